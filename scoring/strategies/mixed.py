"""The default: coverage while little is known, then doubt, and in both never two texts that say the same."""

from typing import Any

import numpy as np

from scoring.strategies.base import Floats, Indices, Pool, Space, Strategy
from scoring.strategies.margin import closeness

WIDE, NARROW = 3.0, 0.3
"""Reach of a label in squared distances from a text to its nearest label (median), for a head that is never and always right."""
AT_ONCE = 20
"""Picked with one reach. Of a larger batch, the next ones are picked as if those before had their labels: nearer, so less far."""


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """Uncertainty herding (Bae et al. 2025, "Uncertainty Herding: One Active Learning Method for All Label Budgets").

    Each text is worth covering by how close its two likeliest classes are, and a label covers its neighbours by a Gaussian of
    the distance; what is picked is what adds most to the worth that is covered, one after the other. Two things shift from
    coverage to doubt with `pool.trust`, the head's accuracy on labels it did not see: the share of the worth that is the same
    for all shrinks, and so does the reach of a label, beyond its shrinking with the distance to the nearest label.

    Without probabilities every text is worth the same, which is pure coverage. Nothing is random: `rng` is not used.
    """
    open_ = pool.open()
    budget = min(budget, int(open_.sum()))
    told, trust, space = pool.probabilities, pool.trust, pool.space
    worth = space.asked.astype(np.float64)
    if told is not None and told.shape[1] > 1:
        worth *= (1.0 - trust) + trust * closeness(told)
    chosen: list[int] = []
    while len(chosen) < budget:
        reached, distance = _nearest(space, np.append(pool.labelled, chosen).astype(np.intp))
        reach = max(((1.0 - trust) * WIDE + trust * NARROW) * distance, 1e-3)
        covered = np.exp(-np.maximum(2.0 - 2.0 * reached, 0.0) / reach)
        some = _herd(space, reach, worth, covered, open_, min(AT_ONCE, budget - len(chosen)))
        open_[some] = False
        chosen += some
    return chosen


def _nearest(space: Space, labelled: Indices) -> tuple[Floats, float]:
    """Cosine of each text with its nearest label (-inf where there is none), and the typical squared distance to it."""
    vectors, asked = space.vectors, space.asked
    if not len(labelled):
        tenth = space.near[0][asked][:, :11][:, -1]
        return np.full(len(vectors), -np.inf), float(2.0 - 2.0 * np.median(tenth))
    cosines = np.concatenate(
        [np.max(part @ vectors[labelled].T, axis=1) for part in np.array_split(vectors, len(vectors) // 4096 + 1)]
    )
    return cosines.astype(np.float64), float(2.0 - 2.0 * np.median(cosines[asked]))


def _herd(space: Space, reach: float, worth: Floats, covered: Floats, open_: Any, budget: int) -> list[int]:
    """Greedily what adds most to the sum of worth times coverage; `covered` (n,) is what labels cover already."""
    starts, columns, cosines = space.both_ways
    values = np.exp(-np.maximum(2.0 - 2.0 * cosines, 0.0) / reach).astype(np.float64)
    rows = np.repeat(np.arange(len(worth)), np.diff(starts))
    gains = np.bincount(columns, weights=worth[rows] * np.maximum(values - covered[rows], 0.0), minlength=len(worth))
    gains[~open_] = -np.inf
    covered = covered.copy()
    chosen: list[int] = []
    for _ in range(budget):
        best = int(np.argmax(gains))
        chosen.append(best)
        gains[best] = -np.inf
        its = slice(starts[best], starts[best + 1])
        nearer = values[its] > covered[columns[its]]
        near, now = columns[its][nearer], values[its][nearer]
        sizes = starts[near + 1] - starts[near]
        ends = np.cumsum(sizes)
        # The entries of all those rows, one row after the other: `of` is the row of each.
        of = np.repeat(np.arange(len(near)), sizes)
        entries = np.arange(len(of)) + (starts[near] - ends + sizes)[of]
        before = np.maximum(values[entries] - covered[near][of], 0.0)
        after = np.maximum(values[entries] - now[of], 0.0)
        np.subtract.at(gains, columns[entries], worth[near][of] * (before - after))
        covered[near] = now
    return chosen


STRATEGY = Strategy("mixed", pick, reason="it is unlike what was labelled, or the model cannot decide on it and its like")
