"""Entropy."""

import numpy as np

from scoring.strategies.base import Floats, Pool, Strategy, greatest, scores


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Where the classes' probabilities are most spread out (Shannon 1948; for choosing labels: Settles and Craven 2008)."""
    return greatest(pool, spread(scores(pool)), budget, rng)


def spread(probabilities: Floats) -> Floats:
    """(n,) entropy in nats of probabilities (n, classes)."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1))


STRATEGY = Strategy("entropy", pick, reason="many answers are possible", needs_probabilities=True)
