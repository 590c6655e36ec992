"""Pure chance: the yardstick of every other strategy, and what they fall back to."""

import numpy as np

from scoring.strategies.base import Pool, Strategy


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Uniformly without replacement."""
    rows = np.flatnonzero(pool.open())
    return [int(i) for i in rng.choice(rows, min(budget, len(rows)), replace=False)]


STRATEGY = Strategy("random", pick, reason="chance drew it")
