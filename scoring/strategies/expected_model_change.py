"""Expected model change."""

import numpy as np

from scoring.strategies.base import Pool, Strategy, greatest, scores


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Where the label is expected to move a linear head most: expected gradient length (Settles, Craven and Ray 2008,
    "Multiple-Instance Active Learning").

    The gradient of the log loss for class k is (p - e_k) times the vector with a 1 for the bias.
    """
    told = scores(pool)
    squares = (told**2).sum(axis=1, keepdims=True) - 2.0 * told + 1.0
    lengths = np.sqrt(1.0 + (pool.space.vectors.astype(np.float64) ** 2).sum(axis=1))
    return greatest(pool, (told * np.sqrt(np.maximum(squares, 0.0))).sum(axis=1) * lengths, budget, rng)


STRATEGY = Strategy("expected_model_change", pick, reason="its label would change the model most", needs_probabilities=True)
