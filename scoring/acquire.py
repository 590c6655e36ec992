"""Choosing what is worth a person's minute.

`choose` asks one strategy of `scoring/strategies/` for texts to label. `draw` and `mixed` fill the queue with exchanges: what
pure chance draws comes first and from everything, so that it is a fair sample; the mixture takes likely failures, what nobody
looked at, and what the signals cannot decide.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors
from scoring.strategies import STRATEGIES
from scoring.strategies.base import Pool, Space

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


class UnknownStrategy(Exception):
    """There is no strategy of that name; the message lists those there are."""


def choose(name: str, pool: Pool, budget: int, rng: np.random.Generator) -> list[Choice]:
    """At most `budget` texts of the pool by the strategy of that name, best first; same pool and rng, same choice.

    A strategy that needs scores or labels where there are none is replaced by chance, and each reason says so.

    Raises
    ------
    UnknownStrategy
        No strategy has that name.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise UnknownStrategy(f"no strategy is called {name}; there are {', '.join(STRATEGIES)}")
    lacks = strategy.lacks(pool)
    asked = STRATEGIES["random"] if lacks else strategy
    left = int(pool.open().sum())
    chance = min(1.0, budget / left) if asked.name == "random" and left else 1.0
    reason = f"chosen because {asked.reason}" + (f": {name} has no {lacks} to go by yet" if lacks else "")
    return [Choice(i, asked.name, chance, reason) for i in asked.pick(pool, budget, rng)]


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
        for i in _SHARES[name](candidates, most) if share > 0 else ():
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
    """Typical questions of what is far from all that was reviewed: the strategy `mixed` without doubts.

    Empty questions are never taken.
    """
    if not len(candidates) or most <= 0:
        return []
    everything = np.concatenate([candidates.vectors, candidates.covered])
    pool = Pool(Space(everything), np.arange(len(candidates), len(everything)))
    return STRATEGIES["mixed"].pick(pool, most, np.random.default_rng(0))


_SHARES: dict[str, Callable[[Candidates, int], list[int]]] = {
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
