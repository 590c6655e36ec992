"""Rasa's tracker store in SQL: its table `events`, read by increasing id.

Columns (rasa/core/tracker_store.py, SQLEvent): id, sender_id, type_name, timestamp (unix seconds), intent_name,
action_name, data (the event as JSON). Ids are given before the rows are committed, so a higher id can appear before a lower
one: the cursor stays behind whatever is younger than `lag_seconds`, and that part is read again next time.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import Field
from sqlalchemy import Column, Float, Integer, MetaData, Row, Select, String, Table, Text, create_engine, func, inspect, select
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from connectors.errors import Reject, Retry
from connectors.events import Event
from connectors.pulls.base import Options, Page, Record, Sent, make_page, read_sent
from connectors.pulls.rasa import parse_tracker
from connectors.pulls.secret import Secret

ROWS = 500
"""New rows that one look takes."""
SENDERS = 20
"""Conversations on one page."""
LONGEST = 5_000
"""Events of one conversation that are read at once, the latest: more is no conversation but a load test."""


class RasaSqlOptions(Options):
    url: Secret = Field(description="the tracker store as an SQLAlchemy URL, best with a user that may only read")
    table: str = Field("events", description="the table's name, as `schema.table` where it is not in the default schema")
    lag_seconds: Annotated[int, Field(ge=0)] = Field(300, description="age from which an event counts as completely stored")


class _Cursor(Sent):
    id: int = 0


class RasaSql:
    Options = RasaSqlOptions

    def __init__(self, options: RasaSqlOptions, http: httpx.Client) -> None:
        self._options = options
        schema, _, name = options.table.rpartition(".")
        self._table = Table(
            name,
            MetaData(),
            Column("id", Integer, primary_key=True),
            Column("sender_id", String),
            Column("type_name", String),
            Column("timestamp", Float),
            Column("data", Text),
            schema=schema or None,
        )

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        engine = self._engine()
        try:
            if not inspect(engine).has_table(self._table.name, self._table.schema):
                raise Reject(f"the database has no table `{self._options.table}`: check `url` and `table`")
            yield from self._pages(engine, cursor, start, now)
        except DBAPIError as error:
            raise Retry(f"the tracker store cannot be read ({type(error.orig).__name__}): check `url`") from error
        except SQLAlchemyError as error:
            raise Reject(f"the tracker store cannot be read ({type(error).__name__}): check `url` and `table`") from error
        finally:
            engine.dispose()

    def parse(self, body: bytes) -> list[Event]:
        return parse_tracker(body)

    def _engine(self) -> Engine:
        try:
            url = make_url(self._options.url.read())
            engine = create_engine(url, hide_parameters=True)
        except (ArgumentError, NoSuchModuleError) as error:
            raise Reject("`url` is not an SQLAlchemy URL of an installed driver, like postgresql+psycopg://…") from error
        except ImportError as error:
            raise Reject(f"the driver that `url` names is not installed: pip install {error.name or 'it'}") from error
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():  # or it would be made, empty
            raise Reject(f"there is no file {url.database}: check `url`")
        return engine

    def _pages(self, engine: Engine, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        young = (now - timedelta(seconds=self._options.lag_seconds)).timestamp()
        with engine.connect() as connection:
            covered = read_sent(_Cursor, cursor.encode()).id if cursor else self._before(connection, start)
        last, in_line = covered, True
        while True:
            with engine.connect() as connection:  # none is held while a page is stored
                rows = connection.execute(self._new(last)).all()
                records = [self._record(connection, sender, ids) for sender, ids in _by_sender(rows)]
            if not rows:
                return
            for first in range(0, len(records), SENDERS):
                if first + SENDERS >= len(records):
                    old = list(takewhile(lambda row: row.timestamp is None or row.timestamp <= young, rows)) if in_line else []
                    covered = old[-1].id if old else covered
                    in_line = in_line and len(old) == len(rows)
                yield make_page(self.parse, records[first : first + SENDERS], json.dumps({"id": covered}))
            last = rows[-1].id

    def _before(self, connection: Connection, start: datetime | None) -> int:
        """The id before the first event since the start."""
        if start is None:
            return 0
        first = select(func.min(self._table.c.id)).where(self._table.c.timestamp >= start.timestamp())
        found = connection.execute(first).scalar()
        if found is None:
            found = (connection.execute(select(func.max(self._table.c.id))).scalar() or 0) + 1
        return int(found) - 1

    def _new(self, last: int) -> Select[Any]:
        columns = (self._table.c.id, self._table.c.sender_id, self._table.c.timestamp)
        return select(*columns).where(self._table.c.id > last).order_by(self._table.c.id).limit(ROWS)

    def _record(self, connection: Connection, sender: str, ids: Sequence[int]) -> Record:
        """The sender's events from the user's message before the first new one: what an answer is read with."""
        table = self._table
        of_sender = table.c.sender_id == sender
        asked = select(func.max(table.c.id)).where(of_sender, table.c.type_name == "user", table.c.id <= ids[0])
        begin = connection.execute(asked).scalar() or ids[0]
        events = connection.execute(
            select(table.c.data)
            .where(of_sender, table.c.id >= begin, table.c.id <= ids[-1])
            .order_by(table.c.id.desc())
            .limit(LONGEST)
        )
        told = ",".join(data for data in reversed(events.scalars().all()) if data)
        return Record(f"{sender} {ids[0]}-{ids[-1]}", f'{{"sender_id": {json.dumps(sender)}, "events": [{told}]}}'.encode())


def _by_sender(rows: Sequence[Row[Any]]) -> list[tuple[str, list[int]]]:
    ids: dict[str, list[int]] = {}
    for row in rows:
        ids.setdefault(row.sender_id, []).append(row.id)
    return list(ids.items())
