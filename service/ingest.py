"""Deliveries and files into rows. Any order and any repetition of the same events gives the same rows.

What is told is joined with what is stored by rules that do not ask what came first (service/told.py). That makes retries,
reordering and replays harmless.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection, bindparam, select, update
from sqlmodel import Session

from connectors.errors import Reject
from connectors.events import Delivery, Event
from service import models
from service.db import Database, chunks, insert_into, table_of
from service.forgetting.forget import ERASED, forget
from service.privacy import Redact, redact_all
from service.removals import Removed, erase
from service.told import Told, canonical, gather, joined, latest

log = structlog.get_logger()
# How long a group waits for more to join it: what a commit costs is shared by all in it.
GATHER_SECONDS = 0.001

# Built once: putting a statement together costs more than SQLite takes to run it.
_DELIVERY, _CONVERSATION = table_of(models.Delivery), table_of(models.Conversation)
_SEEN = select(_DELIVERY.c.source, _DELIVERY.c.external_id).where(
    _DELIVERY.c.external_id.in_(bindparam("keys", expanding=True)), _DELIVERY.c.state == models.DeliveryState.accepted
)
_CONVERSATIONS = select(_CONVERSATION).where(
    _CONVERSATION.c.source == bindparam("of"), _CONVERSATION.c.external_id.in_(bindparam("keys", expanding=True))
)
_HELD = (
    select(_CONVERSATION)
    .where(_CONVERSATION.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_CONVERSATION.c.id)
    .with_for_update()
)
_CHANGE = update(_CONVERSATION).where(_CONVERSATION.c.id == bindparam("row"))
_KNOWN = {
    model: select(table_of(model)).where(
        table_of(model).c.conversation_id.in_(bindparam("ids", expanding=True)),
        table_of(model).c.external_id.in_(bindparam("keys", expanding=True)),
    )
    for model in (models.Turn, models.Feedback)
}
_NEW = {model: table_of(model).insert() for model in (models.Turn, models.Feedback)}
_REPLACE = {
    model: update(table_of(model)).where(table_of(model).c.id == bindparam("row")) for model in (models.Turn, models.Feedback)
}


@cache
def _new_conversations(dialect: str) -> Any:
    return insert_into(dialect, models.Conversation).on_conflict_do_nothing(index_elements=["source", "external_id"])


@cache
def _new_deliveries(dialect: str) -> Any:
    insert = insert_into(dialect, models.Delivery)
    return insert.on_conflict_do_update(  # an unreadable delivery that came again and can be read now
        index_elements=["source", "external_id"],
        set_={name: insert.excluded[name] for name in ("state", "reason", "body")},
        where=_DELIVERY.c.state == models.DeliveryState.unreadable,
    )


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery on its way in: its events, or why it cannot be read together with its redacted body."""

    source: str
    delivery: Delivery
    events: Sequence[Event] = ()
    unreadable: str | None = None
    body: bytes | None = None


class Reader(Protocol):
    """What reads a kept body again: a source or a pull."""

    def parse(self, body: bytes) -> list[Event]: ...


class Ingest:
    """Takes deliveries from concurrent requests and commits those that wait together in one transaction.

    One transaction a delivery would cost one disk flush each; sharing it is what makes durable ingest fast. `accept`
    returns only after the commit.
    """

    def __init__(self, db: Database, redact: Redact, settle: timedelta) -> None:
        self._db = db
        self._redact = redact
        self._settle = settle
        self._waiting: list[tuple[Received, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def accept(self, received: Received) -> None:
        """Returns once the delivery is on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        await done

    async def _commit_waiting(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            group, self._waiting = self._waiting, []
            outcomes = await asyncio.to_thread(self._commit, [received for received, _ in group])
            for (_, done), outcome in zip(group, outcomes, strict=True):
                if done.done():  # the client went away meanwhile; its rows are stored all the same
                    continue
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(outcome)
        self._committing = None

    def _commit(self, group: Sequence[Received]) -> list[Exception | None]:
        try:
            accept(self._db, group, self._redact, self._settle, datetime.now(UTC))
            return [None] * len(group)
        except Exception as error:  # noqa: BLE001 - one delivery that cannot be stored must not take the others with it
            if len(group) == 1:
                return [error]
            return [outcome for received in group for outcome in self._commit([received])]


def accept(db: Database, group: Sequence[Received], redact: Redact, settle: timedelta, now: datetime) -> int:
    """Store deliveries and their events in one transaction; how many deliveries are new.

    What was stored before changes nothing.
    """
    told = {
        source: gather([event for received in group if received.source == source for event in received.events], redact)
        for source in sorted({received.source for received in group})
    }
    with db.write() as session:
        for source, of_source in told.items():
            store(session, source, of_source, settle, now)
        return _keep_deliveries(session.connection(), group, now)


def _keep_deliveries(connection: Connection, group: Sequence[Received], now: datetime) -> int:
    unseen = _unseen(connection, group)
    rows = [
        {
            "source": received.source,
            "external_id": received.delivery.id,
            "received_at": now,
            "state": models.DeliveryState.unreadable if received.unreadable else models.DeliveryState.accepted,
            "reason": received.unreadable,
            "body": received.body,
        }
        for received in unseen
    ]
    if rows:
        connection.execute(_new_deliveries(connection.dialect.name), rows)
    return len(unseen)


def _unseen(connection: Connection, group: Sequence[Received]) -> list[Received]:
    first = {(received.source, received.delivery.id): received for received in reversed(group)}
    seen: set[tuple[str, str]] = set()
    for part in chunks(sorted({external_id for _, external_id in first})):
        seen.update((source, external_id) for source, external_id in connection.execute(_SEEN, {"keys": part}))
    return [received for key, received in first.items() if key not in seen]


def store(session: Session, source: str, told: Told, settle: timedelta, now: datetime) -> None:
    """Join what was told into the rows of its conversations, and set when each is due to be scored."""
    if not told:
        return
    connection = session.connection()
    before = _lock(connection, source, sorted(told), now)
    deleted = [before[key].id for key, about in told.items() if about.removed]
    if deleted:
        forget(session, deleted, models.ForgottenBecause.platform, now)
    told = {key: about for key, about in told.items() if not about.removed and before[key].forgotten_because not in ERASED}
    ids = {key: row.id for key, row in before.items()}
    for keys in chunks(sorted(told)):
        part = {key: told[key] for key in keys}
        turned, removed = _store_turns(connection, {ids[key]: about.turns for key, about in part.items() if about.turns}, now)
        erase(session, removed, now)
        rated = _store_feedback(connection, {ids[key]: about.feedback for key, about in part.items() if about.feedback})
        gone = {one.conversation_id for one in removed}
        changes = []
        for key, about in part.items():
            row = before[key]
            channel = max(filter(None, (row.channel, about.channel)), default=None)
            started_at = min(filter(None, (row.started_at, about.started_at)), default=None)
            closed_at = max(filter(None, (row.closed_at, about.closed_at)), default=None)
            details = joined(row.details, about.details)
            closed = row.closed or about.closed
            new_turns, new_feedback = row.id in turned, row.id in rated
            after = (channel, started_at, closed, closed_at, details)
            before_it = (row.channel, row.started_at, row.closed, row.closed_at, row.details)
            if not new_turns and not new_feedback and (row.forgotten_at or canonical(after) == canonical(before_it)):
                continue
            told_at = about.last_at(now)
            due_at = row.due_at
            if closed or row.id in gone or (new_feedback and not new_turns and due_at is None):
                due_at = now
            elif new_turns:
                due_at = now + settle
            changes.append(
                {
                    "row": row.id,
                    "channel": channel,
                    "started_at": started_at,
                    "closed": closed,
                    "closed_at": closed_at,
                    "details": details,
                    "due_at": due_at,
                    "revision": row.revision + 1,
                    "last_event_at": max(filter(None, (row.last_event_at, told_at)), default=now),
                    "forgotten_at": None,
                    "forgotten_because": None,
                }
            )
        if changes:
            connection.execute(_CHANGE, changes)


def _lock(connection: Connection, source: str, keys: Sequence[str], now: datetime) -> dict[str, Any]:
    """The conversations' rows, made where missing, held against other writers until we commit.

    All are made before any is held, made in the order of their names and held in that of their ids (as scoring holds
    them): so no two writers ever wait for each other.
    """
    rows: dict[str, Any] = {}
    for part in chunks(keys):
        look = {"of": source, "keys": part}
        known = {row.external_id: row for row in connection.execute(_CONVERSATIONS, look)}
        missing = [
            {"source": source, "external_id": key, "closed": False, "details": {}, "received_at": now, "revision": 0}
            for key in part
            if key not in known
        ]
        if missing:
            connection.execute(_new_conversations(connection.dialect.name), missing)
            known = {row.external_id: row for row in connection.execute(_CONVERSATIONS, look)}
        rows |= known
    if connection.dialect.name == "sqlite":  # we are the one writer since the session began
        return rows
    held: dict[str, Any] = {}
    for some in chunks(sorted(row.id for row in rows.values())):
        held.update((row.external_id, row) for row in connection.execute(_HELD, {"ids": some}))
    return held


def _store_turns(
    connection: Connection, told: dict[int, dict[str, dict[str, Any]]], now: datetime
) -> tuple[set[int], list[Removed]]:
    """The conversations in which a turn changed, and the turns whose text went."""
    columns = ("external_id", "role", "text", "at", "edited_at", "position", "intent", "retrieval", "details", "removed")
    changed, replaced = _merge(connection, models.Turn, told, columns, {"received_at": now})
    removed = [
        Removed(old.conversation_id, old.external_id, old.text) for old, after in replaced if after["removed"] and not old.removed
    ]
    return changed, removed


def _store_feedback(connection: Connection, told: dict[int, dict[str, dict[str, Any]]]) -> set[int]:
    columns = ("external_id", "turn_external_id", "rating", "scale", "comment", "at", "details", "withdrawn", "forgotten")
    return _merge(connection, models.Feedback, told, columns, {})[0]


def _merge(
    connection: Connection,
    model: type[models.Turn] | type[models.Feedback],
    told: dict[int, dict[str, dict[str, Any]]],
    columns: Sequence[str],
    fresh: dict[str, Any],
) -> tuple[set[int], list[tuple[Any, dict[str, Any]]]]:
    """Insert what is new, replace what a later telling supersedes.

    The conversations in which anything changed, and each replaced row with what replaces it.
    """
    if not told:
        return set(), []
    wanted = {(conversation_id, key): row for conversation_id, rows in told.items() for key, row in rows.items()}
    existing: dict[tuple[int, str], Any] = {}
    for part in chunks(sorted({key for _, key in wanted})):
        known = connection.execute(_KNOWN[model], {"ids": sorted(told), "keys": part})
        existing.update(((row.conversation_id, row.external_id), row) for row in known)
    inserts, replaced = [], []
    for (conversation_id, key), row in wanted.items():
        old = existing.get((conversation_id, key))
        if old is None:
            inserts.append({"conversation_id": conversation_id, **row, **fresh})
            continue
        before = {name: getattr(old, name) for name in columns}
        after = latest(before, row)
        if canonical(after) != canonical(before):
            replaced.append((old, after))
    if inserts:
        connection.execute(_NEW[model], inserts)
    if replaced:
        connection.execute(_REPLACE[model], [{"row": old.id, **after} for old, after in replaced])
    changed = {row["conversation_id"] for row in inserts} | {old.conversation_id for old, _ in replaced}
    return changed, replaced


def redacted_body(body: bytes, redact: Redact) -> bytes:
    """An unreadable body as it may be stored: redacted, and still the same JSON where it was JSON."""
    text = body.decode(errors="replace")
    try:
        return json.dumps(redact_all(json.loads(text), redact), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return redact(text).encode()


def replay(
    db: Database, readers: Mapping[str, Reader], redact: Redact, settle: timedelta, now: datetime, only: str | None = None
) -> tuple[int, list[str]]:
    """Read the unreadable deliveries again: how many went in, and why the others still cannot be read.

    `only`: those of this source.
    """
    table = table_of(models.Delivery)
    waiting = select(table).where(table.c.state == models.DeliveryState.unreadable).order_by(table.c.id)
    with db.read() as session:
        kept = session.execute(waiting.where(table.c.source == only) if only else waiting).all()
    accepted, still = 0, []
    for row in kept:
        name = f"{row.source} {row.external_id}"
        if row.source not in readers:
            still.append(f"{name}: the source is not configured")
            continue
        try:
            events = readers[row.source].parse(row.body)
        except Reject as error:
            still.append(f"{name}: {error.reason}")
            continue
        accept(db, [Received(row.source, Delivery(row.external_id, None), events)], redact, settle, now)
        accepted += 1
    return accepted, still
