"""Margin."""

import numpy as np

from scoring.strategies.base import Floats, Pool, Strategy, greatest, scores


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Where the two likeliest classes are closest (Scheffer et al. 2001, "Active Hidden Markov Models for Information
    Extraction"; "breaking ties" in Luo et al. 2005)."""
    return greatest(pool, closeness(scores(pool)), budget, rng)


def closeness(probabilities: Floats) -> Floats:
    """(n,) 1 less the lead of the likeliest class, from probabilities (n, classes of which there are at least two)."""
    best = np.partition(probabilities, -2, axis=1)
    return np.asarray(1.0 - (best[:, -1] - best[:, -2]))


STRATEGY = Strategy("margin", pick, reason="two answers are about equally likely", needs_probabilities=True)
