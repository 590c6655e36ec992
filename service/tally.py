"""How deliveries end, counted by source and reason: in memory first, in the database every few seconds.

So a flood of refused requests costs no disk, and their names cannot fill it: each source keeps a few, the rest is one sum.
"""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from service.db import Database, insert_into, table_of
from service.models import DeliveryCount

log = structlog.get_logger()
FLUSH_SECONDS = 5.0
MOST_NAMES = 40
"""Reasons, and ignored events, that a source keeps by name."""
MOST_LETTERS = 200
MOST_HEADERS = 50
OTHERS = "others"


class Outcome(StrEnum):
    accepted = "accepted"
    refused = "refused"
    unreadable = "unreadable"
    ignored = "ignored"


Key = tuple[str, str, str]
"""(source, outcome, what)"""


@dataclass(slots=True)
class _Counted:
    count: int = 0
    last_at: datetime | None = None
    headers: list[str] | None = None


class Tally:
    """One per web process. `note` costs no database; `flush` writes what has gathered."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counted: dict[Key, _Counted] = {}
        self._lock = threading.Lock()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, source: str, outcome: Outcome, now: datetime, what: str = "", headers: Sequence[str] | None = None) -> None:
        """One more, from the event loop, which writes it within FLUSH_SECONDS. `headers`: their names only."""
        self.count(source, outcome, now, what, headers)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FLUSH_SECONDS, lambda: loop.run_in_executor(None, self._flush_or_log))

    def count(self, source: str, outcome: Outcome, now: datetime, what: str = "", headers: Sequence[str] | None = None) -> None:
        """One more, written by whoever calls `flush`."""
        key = (source, outcome.value, what[:MOST_LETTERS].replace("\x00", ""))
        with self._lock:
            if key not in self._counted and sum(one[:2] == key[:2] for one in self._counted) >= MOST_NAMES:
                key = (source, outcome.value, OTHERS)
            counted = self._counted.setdefault(key, _Counted())
            counted.count += 1
            counted.last_at = now
            if headers is not None:
                counted.headers = sorted({name[:60] for name in headers[:MOST_HEADERS]})

    def flush(self) -> None:
        """What was counted into the database, in one transaction; what cannot be written is counted on."""
        self._timer = None
        with self._lock:
            gathered, self._counted = self._counted, {}
        if not gathered:
            return
        try:
            with self._db.write() as session:
                known = self._names(session.connection(), {source for source, _, _ in gathered})
                insert = insert_into(session, DeliveryCount)
                table = table_of(DeliveryCount)
                for (source, outcome, what), counted in sorted(gathered.items()):
                    named = known.setdefault((source, outcome), set())
                    kept = what if what in named or len(named) < MOST_NAMES else OTHERS
                    named.add(kept)
                    row = {"count": counted.count, "last_at": counted.last_at, "headers": counted.headers}
                    session.execute(
                        insert.values(source=source, outcome=outcome, what=kept, **row).on_conflict_do_update(
                            index_elements=["source", "outcome", "what"],
                            set_={
                                "count": table.c.count + insert.excluded["count"],
                                "last_at": insert.excluded["last_at"],
                                "headers": func.coalesce(insert.excluded["headers"], table.c.headers),
                            },
                        )
                    )
        except SQLAlchemyError:
            with self._lock:
                for key, counted in gathered.items():
                    mine = self._counted.setdefault(key, _Counted(0, counted.last_at, counted.headers))
                    mine.count += counted.count
            raise

    def close(self) -> None:
        """The last ones, when the process ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush_or_log()

    def _names(self, connection: Connection, sources: Iterable[str]) -> dict[tuple[str, str], set[str]]:
        table = table_of(DeliveryCount)
        known: dict[tuple[str, str], set[str]] = {}
        rows = connection.execute(
            select(table.c.source, table.c.outcome, table.c.what).where(table.c.source.in_(sorted(sources)))
        )
        for source, outcome, what in rows:
            known.setdefault((source, outcome), set()).add(what)
        return known

    def _flush_or_log(self) -> None:
        try:
            self.flush()
        except SQLAlchemyError as error:
            log.warning("deliveries_not_counted", error=type(error).__name__)
