"""Is a new version better than the one in use? Their losses on the same judgements, which neither has seen."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_JUDGED = 5
"""Fewer judgements settle nothing."""
LEAST_RANDOM = 20
"""Fewer judgements of the random share cannot speak against a version."""
MOST_WEIGHT = 20.0
"""Of one judgement, against one that was certain to be made: rarer ones would decide alone."""


ONE_ERROR = 1.0
"""Standard errors by which a version must be better, where nothing is known of how well comparisons tell (the margin of Breiman,
Friedman, Olshen and Stone 1984)."""
HALF_ERROR = 0.5
"""The same for a version that is judged by fits which lack some of its labels, so that it is better than it looks: of the rules
in `python -m benchmarks.go_live` the one with the smallest loss in use (docs/learning.md)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what was decided. Losses are means of -ln(probability of what was judged), smaller is better;
    None where nothing was compared."""

    better: bool
    reason: str
    """One sentence for a person."""
    judged_on: str = ""
    """Which judgements, in words."""
    count: int = 0
    before: float | None = None
    after: float | None = None
    random_count: int = 0
    random_before: float | None = None
    random_after: float | None = None

    def stored(self) -> dict[str, str | int | float | bool | None]:
        return asdict(self)


def compare(
    before: Floats,
    after: Floats,
    weights: Floats,
    by_chance: Flags,
    judged_on: str,
    taken_back: bool = False,
    errors: float = ONE_ERROR,
) -> Comparison:
    """Compare losses (n,) of the version in use and of the new one, judgement by judgement.

    The new one is better where its weighted mean loss is smaller by more than `errors` standard errors of the difference, and
    it is not worse by a whole one on the judgements `by_chance`. `weights`: see `judgement_weights`. `taken_back`: the version
    in use learned from labels that people have withdrawn since; then the new one need only not be worse by a standard error.
    """
    count, drawn = len(before), int(by_chance.sum())
    told = {"judged_on": judged_on, "count": count, "random_count": drawn}
    if not count:
        return Comparison(taken_back, _TAKEN_BACK if taken_back else "Kept aside: no judgement to compare on.", **told)  # type: ignore[arg-type]
    old, new, gain, margin = _means(before, after, weights)
    losses = f"log loss {new:.3f} after {old:.3f} on {count} {judged_on}"
    random_gain = random_margin = 0.0
    random = {}
    if drawn:
        one, two, random_gain, random_margin = _means(before[by_chance], after[by_chance], weights[by_chance])
        random = {"random_before": one, "random_after": two}
    worse_by_chance = drawn >= LEAST_RANDOM and random_gain < -random_margin
    if taken_back:
        better = count < LEAST_JUDGED or (gain >= -margin and not worse_by_chance)
        reason = f"{_TAKEN_BACK[:-1]}, and it is not worse ({losses})." if better else f"Kept aside, it is worse: {losses}."
    elif count < LEAST_JUDGED:
        better, reason = False, f"Kept aside: {count} {judged_on} are too few to tell."
    elif gain <= errors * margin:
        better, reason = False, f"Kept aside, it is not clearly better: {losses}, give or take {margin:.3f}."
    elif worse_by_chance:
        better, reason = False, f"Kept aside: {losses}, but worse on the {drawn} that chance chose."
    else:
        better, reason = True, f"Better: {losses}, give or take {margin:.3f}."
    return Comparison(better, reason, before=old, after=new, **told, **random)  # type: ignore[arg-type]


def judgement_weights(propensities: Floats) -> Floats:
    """One over the probability of being chosen (Horvitz and Thompson 1952), at most MOST_WEIGHT; the mean is 1."""
    found = np.minimum(1.0 / np.maximum(propensities, 1e-6), MOST_WEIGHT)
    return found / found.mean() if len(found) else found


def folds_of(count: int, folds: int, seed: int = 0) -> NDArray[np.intp]:
    """The fold of each of `count` judgements, as equal in size as can be."""
    found: NDArray[np.intp] = np.random.default_rng(seed).permutation(count) % max(min(folds, count), 1)
    return found


_TAKEN_BACK = "Live because labels that the version before learned from were taken back."


def _means(before: Floats, after: Floats, weights: Floats) -> tuple[float, float, float, float]:
    """Weighted mean losses, the gain, and the standard error of the gain."""
    total = float(weights.sum())
    gains = before - after
    gain = float(weights @ gains) / total
    error = float(np.sqrt((weights**2) @ (gains - gain) ** 2)) / total
    return float(weights @ before) / total, float(weights @ after) / total, gain, error
