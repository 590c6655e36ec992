"""The latest exchanges, their verdicts and their evidence as arrays: what the numbers of service/quality.py are measured on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select
from sqlmodel import Session, col

from scoring.exposure import Array, Flags, Rounds, Stream, Weights, weigh
from service.budget import POOL, RAISED
from service.db import seconds_of, table_of
from service.models import Conversation, Evidence, Exchange, Publication, ReviewItem, Round, Verdict, VerdictLabel, Watched
from service.settings import SignalName

MOST = 100_000
"""The latest so many exchanges are what the numbers are about."""
NO_CHANNEL, NO_INTENT = "no channel", "no intent"
SIGNALS: tuple[str, ...] = get_args(SignalName)
_BLOCK = 20_000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Part:
    """Which exchanges, by their day (UTC, `until` included), source and channel; None means any."""

    since: date | None = None
    until: date | None = None
    source: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """What the exchanges are grouped by: `of` holds the place of each one's name in `names`."""

    names: Sequence[str]
    of: NDArray[np.int32]

    def at(self, here: Flags) -> "Groups":
        return Groups(self.names, self.of[here])


@dataclass(frozen=True, slots=True)
class Asked:
    """The exchanges in the order in which they came in. `day` counts from 1 January 1970, UTC; `evidence` holds each signal's
    probability where it speaks against the answer or a reviewer has the exchange, else NaN."""

    stream: Stream
    weights: Weights
    source: Groups
    channel: Groups
    intent: Groups
    day: NDArray[np.int64]
    evidence: dict[str, Array]

    def only(self, here: Flags) -> tuple[Stream, Weights]:
        return self.stream.only(here), Weights(self.weights.drawn[here], self.weights.known[here])

    def of(self, part: Part) -> "Asked":
        """Those of the part. Each keeps the weight it has among all: rounds draw from all, whatever is looked at."""
        if part == Part():
            return self
        here = np.ones(len(self.day), dtype=np.bool_)
        if part.since is not None:
            here &= self.day >= _days(part.since)
        if part.until is not None:
            here &= self.day <= _days(part.until)
        for groups, name in ((self.source, part.source), (self.channel, part.channel)):
            if name is not None:
                here &= groups.of == (list(groups.names).index(name) if name in groups.names else -1)
        stream, weights = self.only(here)
        evidence = {name: values[here] for name, values in self.evidence.items()}
        return Asked(stream, weights, self.source.at(here), self.channel.at(here), self.intent.at(here), self.day[here], evidence)

    def week(self) -> Groups:
        """The week of each, by its Monday."""
        mondays, of = np.unique(self.day - (self.day + 3) % 7, return_inverse=True)  # 1 January 1970 was a Thursday
        return Groups([(date(1970, 1, 1) + timedelta(days=int(day))).isoformat() for day in mondays], of.astype(np.int32))


def _days(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def read_asked(session: Session) -> Asked:
    """The latest exchanges. Columns and plain numbers, block by block: rows with times would take five times as long."""
    exchange, conversation = table_of(Exchange), table_of(Conversation)
    first = session.execute(select(col(Exchange.id)).order_by(col(Exchange.id).desc()).offset(MOST - 1).limit(1)).scalar() or 0
    asked_at = func.coalesce(exchange.c.asked_at, exchange.c.created_at)
    columns = _Columns()
    found = (
        select(
            exchange.c.id, exchange.c.source, conversation.c.channel, exchange.c.intent, exchange.c.priority,
            seconds_of(session, exchange.c.created_at), seconds_of(session, asked_at),
        )
        .join_from(exchange, conversation, conversation.c.id == exchange.c.conversation_id)
        .where(exchange.c.id >= first)
        .order_by(exchange.c.id)
    )  # fmt: skip
    for block in _blocks(session, found):
        columns.add(*block)
    ids, source, channel, intent, priority, created, asked = columns.finished()
    rounds, taken, by_chance, failed, settled = _reviews(session, ids)
    stream = Stream(np.maximum.accumulate(created), priority, taken, by_chance, failed, settled)
    day = np.floor(asked / _DAY).astype(np.int64)
    return Asked(stream, weigh(stream, rounds, POOL), source, channel, intent, day, _evidence(session, ids))


class _Places(dict[str | None, int]):
    """The place of each name in `names`, in the order in which they came; no name is told as `without`."""

    def __init__(self, without: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self._without = without

    def __missing__(self, name: str | None) -> int:
        if not name and name != self._without:
            place = self[self._without]
        else:
            place = len(self.names)
            self.names.append(self._without if name is None else name)
        self[name] = place
        return place


class _Columns:
    """Blocks of rows, gathered as arrays; names are kept once."""

    def __init__(self) -> None:
        self._numbers: list[list[Array]] = [[np.zeros(0)] for _ in range(4)]
        self._names = [_Places(""), _Places(NO_CHANNEL), _Places(NO_INTENT)]
        self._places: list[list[NDArray[np.int32]]] = [[np.zeros(0, dtype=np.int32)] for _ in range(3)]

    def add(
        self,
        ids: Sequence[int],
        source: Sequence[str],
        channel: Sequence[str | None],
        intent: Sequence[str | None],
        *numbers: Sequence[float],
    ) -> None:
        for kept, values in zip(self._numbers, (ids, *numbers), strict=True):
            kept.append(np.array(values, dtype=np.float64))
        for places, names, given in zip(self._places, self._names, (source, channel, intent), strict=True):
            places.append(np.fromiter(map(names.__getitem__, given), np.int32, len(given)))

    def finished(self) -> tuple[NDArray[np.int64], Groups, Groups, Groups, Array, Array, Array]:
        ids, priority, created, asked = (np.concatenate(kept) for kept in self._numbers)
        source, channel, intent = (
            Groups(kept.names, np.concatenate(places)) for kept, places in zip(self._names, self._places, strict=True)
        )
        return ids.astype(np.int64), source, channel, intent, priority, created, asked


def _blocks(session: Session, found: Select[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows as columns, block by block."""
    for rows in session.connection().execution_options(yield_per=_BLOCK).execute(found).partitions():
        yield list(zip(*rows, strict=True))


def _reviews(session: Session, ids: NDArray[np.int64]) -> tuple[Rounds, NDArray[np.int64], Flags, Array, Flags]:
    """The rounds; and per exchange the round that took it (-1: none), whether by chance, what was found (NaN: nothing), and
    whether that was found by looking at another one."""
    rounds = session.execute(
        select(col(Round.id), seconds_of(session, col(Round.at)).label("at"), col(Round.pool), col(Round.counts)).order_by(
            col(Round.at), col(Round.id)
        )
    ).all()
    at = np.array([one.at for one in rounds], dtype=np.float64)
    taken = np.full(len(ids), -1, dtype=np.int64)
    by_chance = np.zeros(len(ids), dtype=np.bool_)
    failed = np.full(len(ids), np.nan)
    settled = np.zeros(len(ids), dtype=np.bool_)
    items = _items(session, ids)
    number = {one.id: i for i, one in enumerate(rounds)}
    place, known = _places(ids, [item.exchange_id for item in items])
    # What a person asked for belongs to no round: it left the pool as if the round before had taken it.
    before = np.maximum(np.searchsorted(at, np.array([item.created for item in items], dtype=np.float64), side="right") - 1, 0)
    for item, i, here, last in zip(items, place.tolist(), known.tolist(), before.tolist(), strict=True):
        if here:
            taken[i] = number.get(item.round_id, last)
            by_chance[i] = item.strategy == "random"
            if item.label is not None and item.label != VerdictLabel.unclear:
                failed[i] = float(item.label != VerdictLabel.good)
                settled[i] = item.settled_by is not None
    made = Rounds(
        at,
        np.array([one.pool for one in rounds], dtype=np.float64),
        np.array([one.counts.get("random", 0) for one in rounds], dtype=np.float64),
    )
    return made, taken, by_chance, failed, settled


def _items(session: Session, ids: NDArray[np.int64]) -> Sequence[Any]:
    return session.execute(
        select(
            col(ReviewItem.exchange_id), col(ReviewItem.round_id), col(ReviewItem.strategy), col(Verdict.label),
            col(Verdict.settled_by),
            seconds_of(session, col(ReviewItem.created_at)).label("created"),
        )
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .where(col(ReviewItem.exchange_id) >= (int(ids[0]) if len(ids) else 0))
    ).all()  # fmt: skip


def _places(ids: NDArray[np.int64], wanted: Sequence[int]) -> tuple[NDArray[np.int64], Flags]:
    """Where each stands among the sorted ids, and whether it does: other processes add rows meanwhile."""
    of = np.array(wanted, dtype=np.int64)
    if not len(ids):
        return of, np.zeros(len(of), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ids, of), len(ids) - 1)
    return place, ids[place] == of


def _evidence(session: Session, ids: NDArray[np.int64]) -> dict[str, Array]:
    """Weak evidence on what nobody reviews is in no number: it stays in the database."""
    found = {name: np.full(len(ids), np.nan) for name in SIGNALS}
    if not len(ids):
        return found
    evidence, item = table_of(Evidence), table_of(ReviewItem)
    told = select(evidence.c.exchange_id, evidence.c.name, evidence.c.probability).where(evidence.c.exchange_id >= int(ids[0]))
    reviewed = told.join(item, item.c.exchange_id == evidence.c.exchange_id)
    for which in (told.where(evidence.c.probability >= RAISED), reviewed):
        for exchange_ids, names, probabilities in _blocks(session, which):
            place, known = _places(ids, exchange_ids)
            value, named = np.array(probabilities, dtype=np.float64), np.array(names)
            for name, values in found.items():
                here = known & (named == name)
                values[place[here]] = value[here]
    return found


def newest(session: Session) -> tuple[Any, ...]:
    """Changes with exchanges, verdicts, items, publications and what is watched: what was read before still holds while it is
    the same, but for scores that were made anew."""
    exchanges = session.execute(select(func.max(col(Exchange.id)))).scalar()
    verdicts = session.execute(select(func.max(col(Verdict.id)), func.count(col(Verdict.withdrawn_at)))).one()
    states = [
        tuple(sorted((str(state), count) for state, count in session.execute(select(column, func.count()).group_by(column))))
        for column in (col(ReviewItem.state), col(Publication.state))
    ]
    watched = session.execute(select(func.max(col(Watched.id)))).scalar()
    return (exchanges, *verdicts, *states, watched)


def in_channel(name: str) -> Any:
    """The condition on a conversation for being of this channel, as channels are called here."""
    named = col(Conversation.channel) == name
    return named | col(Conversation.channel).is_(None) | (col(Conversation.channel) == "") if name == NO_CHANNEL else named


def start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
