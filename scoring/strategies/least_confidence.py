"""Least confidence."""

import numpy as np

from scoring.strategies.base import Pool, Strategy, greatest, scores


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Where the likeliest class is least likely (Lewis and Gale 1994, "A Sequential Algorithm for Training Text Classifiers")."""
    return greatest(pool, 1.0 - scores(pool).max(axis=1), budget, rng)


STRATEGY = Strategy("least_confidence", pick, reason="no answer is likely", needs_probabilities=True)
