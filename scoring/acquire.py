"""Choosing which scored exchanges are worth a person's minute: strategies over arrays, and their mixture.

A strategy is a pure function from the candidates to an order of preference. `mixed` takes from each; what pure chance
draws comes first and from everything, so that it is a fair sample.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """n scored, unreviewed exchanges. `clusters` (n,) names look-alikes: one of them is enough.

    `covered` (m, dimensions) are questions that somebody reviewed already.
    """

    priority: Array
    uncertainty: Array
    vectors: Vectors
    clusters: Sequence[int]
    covered: Vectors

    def __len__(self) -> int:
        return len(self.priority)


@dataclass(frozen=True, slots=True)
class Choice:
    """`index` into the candidates (for `random`: into the pool)."""

    index: int
    strategy: str
    propensity: float
    reason: str


def draw(pool: int, expected: float, rng: Random) -> list[Choice]:
    """Uniform without replacement from a pool of that size: `expected` of them on average, each with the same propensity.

    This is the part of the queue that estimates can be honest from: it never looks at a score.
    """
    if pool <= 0 or expected <= 0:
        return []
    expected = min(expected, float(pool))
    whole = math.floor(expected)
    count = whole + (rng.random() < expected - whole)
    chance = expected / pool
    reason = f"chosen by pure chance, probability {chance:.3f}: keeps the numbers honest"
    return [Choice(i, "random", chance, reason) for i in rng.sample(range(pool), count)]


def mixed(candidates: Candidates, urgent: int, explore: int, reviewed: int) -> list[Choice]:
    """At most `urgent` of the likeliest failures, then `explore` of what teaches most; one a cluster.

    The choice is determined by the candidates: propensity 1. From an empty start what is explored is what nobody has
    looked at (coverage); as verdicts arrive (`reviewed`) it moves to what the signals cannot decide: half and half
    after 35 verdicts.
    """
    coverage = round(explore * math.exp(-reviewed / 50))
    shares = {"value": urgent, "coverage": coverage, "uncertainty": explore - coverage}
    choices: list[Choice] = []
    taken: set[int] = set()
    clusters: set[int] = set()
    for name, share in shares.items():
        # Look further than the share: some are taken or stand for a cluster that is. Coverage pays for each step.
        most = len(candidates) if name != "coverage" else min(len(candidates), 2 * share + 5 * len(choices) + 50)
        for i in STRATEGIES[name](candidates, most) if share > 0 else ():
            if share <= 0:
                break
            if i in taken or candidates.clusters[i] in clusters:
                continue
            taken.add(i)
            clusters.add(candidates.clusters[i])
            choices.append(Choice(i, name, 1.0, _reason(name, candidates, i)))
            share -= 1
    return choices


def by_value(candidates: Candidates, most: int) -> list[int]:
    """Likely failures first: a review is worth the probability that there is something to correct."""
    return [int(i) for i in np.argsort(-candidates.priority, kind="stable")[:most]]


def by_uncertainty(candidates: Candidates, most: int) -> list[int]:
    """Where the signals cannot say: least confidence (Lewis and Gale 1994) of the priority."""
    return [int(i) for i in np.argsort(-candidates.uncertainty, kind="stable")[:most]]


def by_coverage(candidates: Candidates, most: int) -> list[int]:
    """Questions far from all that was reviewed: greedy k-center (Sener and Savarese 2018).

    With nothing reviewed yet it starts from the most typical question. Empty questions are never taken.
    """
    vectors = candidates.vectors
    asked = np.flatnonzero(np.any(vectors != 0, axis=1))
    if not len(asked) or most <= 0:
        return []
    order: list[int] = []
    if len(candidates.covered):
        nearest = np.max(vectors[asked] @ candidates.covered.T, axis=1)
    else:
        order.append(int(np.argmax(vectors[asked] @ vectors[asked].mean(axis=0))))
        nearest = vectors[asked] @ vectors[asked[order[0]]]
    nearest[order] = np.inf
    while len(order) < min(most, len(asked)):
        farthest = int(np.argmin(nearest))
        order.append(farthest)
        nearest = np.maximum(nearest, vectors[asked] @ vectors[asked[farthest]])
        nearest[farthest] = np.inf
    return [int(asked[i]) for i in order]


STRATEGIES: dict[str, Callable[[Candidates, int], list[int]]] = {
    "coverage": by_coverage,
    "uncertainty": by_uncertainty,
    "value": by_value,
}


def _reason(strategy: str, candidates: Candidates, i: int) -> str:
    if strategy == "value":
        return f"chosen because it is likely wrong (priority {candidates.priority[i]:.2f})"
    if strategy == "uncertainty":
        return f"chosen because the signals cannot decide (priority {candidates.priority[i]:.2f})"
    return "chosen because nothing like it was reviewed yet"
