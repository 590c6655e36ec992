"""A committee of heads that learned from different samples of the labels."""

import numpy as np

from scoring.discriminant import Discriminant
from scoring.strategies.base import Pool, Strategy, greatest
from scoring.strategies.entropy import spread

MEMBERS = 5


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Where heads fitted on resamples disagree: query by bagging (Abe and Mamitsuka 1998) with the vote entropy of Dagan and
    Engelson 1995; among equal votes, where the mean of their probabilities is most spread out."""
    if pool.labels is None:
        raise ValueError("the pool has no labels")
    vectors, count = pool.space.vectors, int(pool.labels.max()) + 1
    votes = np.zeros((len(pool), count))
    mean = np.zeros((len(pool), count))
    centre = vectors.mean(axis=0)
    for _ in range(MEMBERS):
        drawn = rng.integers(0, len(pool.labelled), len(pool.labelled))
        head = Discriminant.fit(vectors[pool.labelled[drawn]], pool.labels[drawn], centre)
        told = head.probabilities(vectors)
        votes[np.arange(len(pool)), head.classes[told.argmax(axis=1)]] += 1 / MEMBERS
        mean[:, head.classes] += told / MEMBERS
    return greatest(pool, spread(votes) + 1e-3 * spread(mean), budget, rng)


STRATEGY = Strategy("committee", pick, reason="models that learned from different labels disagree", needs_labels=True)
