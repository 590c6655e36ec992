"""How many items a round of acquisition may add, and of which kind: settings and counts in, numbers out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.settings import QueueSettings

POOL = 20_000
"""So many of the latest exchanges without an item are what a round chooses from."""
RAISED = 0.5
"""The probability from which a signal speaks against an answer."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What the queue holds and has held. `waiting`: open now; `today`: added in the last 24 hours; `chance` and `further`:
    ever drawn by chance, and ever added without being urgent (chance's among them); `exchanges`: ever scored."""

    waiting: int
    today: int
    chance: int
    further: int
    exchanges: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Items to add: drawn by `chance` from everything, `urgent` ones, and others that teach most (`explore`)."""

    chance: int
    urgent: int
    explore: int

    @property
    def total(self) -> int:
        return self.chance + self.urgent + self.explore


def share_out(settings: QueueSettings, filled: Filled, urgent: int) -> Budget:
    """The round's budget where `urgent` exchanges of different clusters ask for a place.

    What is owed to chance comes first, or a full queue would end every honest number. Chance's part is a whole number that
    follows from the counts alone, so each exchange's probability of being drawn is exactly that number over the pool.
    """
    room = max(0, settings.capacity - filled.waiting)
    if settings.daily_items is not None:
        room = min(room, max(0, settings.daily_items - filled.today))
    if settings.chance_rate is not None:
        chance = min(room, max(0, _whole(filled.exchanges * settings.chance_rate) - filled.chance))
        further = chance
    else:
        further = min(room, max(0, _whole(filled.exchanges * settings.review_rate) - filled.further))
        owed = _whole((filled.further + further) * settings.random_share) - filled.chance
        chance = min(further, max(0, owed))
    return Budget(chance, min(urgent, room - further), further - chance)


def _whole(share: float) -> int:
    return math.floor(share + 1e-9)


def quotas(settings: QueueSettings, recent: Mapping[str, int], others: int, budget: int) -> tuple[dict[str, int], dict[str, int]]:
    """(at least, at most) so many of this round's items by merit whose strongest signal is the one named.

    `recent` counts the last seven days' items by merit per strongest signal, `others` those without one. Shares are kept
    over these days and this round together, so that a round of one item need not be a fraction of each.
    """
    total = sum(recent.values()) + others + budget
    least: dict[str, int] = {
        name: min(budget, max(0, math.ceil(share * total - 1e-9) - recent.get(name, 0)))
        for name, share in settings.signal_least.items()
    }
    most: dict[str, int] = {
        name: max(0, _whole(share * total) - recent.get(name, 0)) for name, share in settings.signal_most.items()
    }
    return least, most


def keep_to(most: Mapping[str, int], signals: Sequence[str | None], order: Sequence[int]) -> list[int]:
    """`order` (indices of candidates, best first) without those for which their strongest signal has no place left."""
    left = dict(most)
    kept = []
    for i in order:
        name = signals[i]
        if name is not None and name in left:
            if left[name] <= 0:
                continue
            left[name] -= 1
        kept.append(i)
    return kept
