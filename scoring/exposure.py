"""What each review stands for, where a queue is filled in rounds: first by pure chance, then by merit.

Whoever was taken by merit has left the pool, so later draws speak only for what was left. Each round in which an exchange
existed says something of it all the same: as known, if an earlier round took it; else by chance. The mean over these
rounds, weighted by their chance, is unbiased whatever merit looked at (levelled sampling of Farquhar, Gal and Rainforth
2021, for a pool that grows; the inverse chance is that of Horvitz and Thompson 1952).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_ALIKE = 5.0
"""No draw counts for more than so many times the median one: exchanges that came in last were hardly ever at stake."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """m acquisitions in their order, arrays (m,): when (seconds), from how many, how many of them by pure chance."""

    at: Array
    pool: Array
    drawn: Array

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Stream:
    """n exchanges in the order in which they came in, arrays (n,).

    `arrived` in seconds; `taken` the index of the round that put it into the queue, or -1; `by_chance` whether that round
    drew it; `failed` what was found: 1, 0, or NaN where nobody has said. `settled`: found by looking at another one, so that
    it stands for itself and says nothing of others; None where none was.
    """

    arrived: Array
    priority: Array
    taken: NDArray[np.int64]
    by_chance: Flags
    failed: Array
    settled: Flags | None = None

    def __len__(self) -> int:
        return len(self.arrived)

    @property
    def judged(self) -> Flags:
        """Whether somebody looked at it and said."""
        known: Flags = ~np.isnan(self.failed)
        return known if self.settled is None else known & ~self.settled

    def only(self, here: Flags) -> "Stream":
        settled = None if self.settled is None else self.settled[here]
        return Stream(self.arrived[here], self.priority[here], self.taken[here], self.by_chance[here], self.failed[here], settled)


@dataclass(frozen=True, slots=True)
class Weights:
    """How many exchanges each stands for, arrays (n,): `drawn` for others as a draw, `known` for itself (0 to 1)."""

    drawn: Array
    known: Array


def weigh(stream: Stream, rounds: Rounds, window: int) -> Weights:
    """The weights of all that was taken; 0 for the rest. A round's pool reached back `window` exchanges at most.

    Taken by merit without ever having been at stake in a draw, an exchange stands for itself alone.
    """
    n = len(stream)
    drawn, known = np.zeros(n), np.zeros(n)
    taken = stream.taken >= 0
    if not taken.any():
        return Weights(drawn, known)
    chance = rounds.drawn / np.maximum(rounds.pool, 1)
    so_far = np.concatenate([[0.0], np.cumsum(chance)])
    first = np.searchsorted(rounds.at, stream.arrived, side="left")
    newest = np.searchsorted(stream.arrived, rounds.at, side="right")
    oldest = np.where(rounds.pool >= window, np.maximum(newest - rounds.pool, 0), 0)
    last = np.searchsorted(np.maximum.accumulate(oldest), np.arange(n), side="right") if len(rounds) else np.zeros(n, dtype=int)
    after = np.minimum(stream.taken + 1, last)
    at_stake = np.maximum(so_far[last] - so_far[np.minimum(first, last)], 0)[taken]
    later = np.maximum(so_far[last] - so_far[after], 0)[taken]
    known[taken] = np.where(at_stake > 0, np.minimum(later / np.where(at_stake > 0, at_stake, 1), 1), 1.0)
    by_chance = stream.by_chance & taken
    if by_chance.any():
        mine = at_stake[by_chance[taken]]
        drawn[by_chance] = 1 / np.maximum(np.maximum(mine, np.median(mine) / MOST_ALIKE), 1e-12)
        known[by_chance] = np.where(mine > 0, known[by_chance], 0.0)
    return Weights(drawn, known)
