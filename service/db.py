"""The database: one engine, read and write sessions, our column types, and claiming rows with a lease."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Double,
    LargeBinary,
    Table,
    Update,
    create_engine,
    event,
    extract,
    func,
    select,
    update,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, CursorResult, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Session, SQLModel

from service.errors import SetupError

# Statements with more parameters than this are cut into several (PostgreSQL takes 65,535, SQLite 32,766).
CHUNK = 500
BUSY_MILLISECONDS = 60_000
"""How long SQLite waits for another process's lock."""

T = TypeVar("T")


class UtcDateTime(TypeDecorator[datetime]):
    """Times in UTC with zone. SQLite drops the zone: it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Embedding(TypeDecorator[Any]):
    """A vector of float32: pgvector's `vector` on PostgreSQL, the raw little-endian bytes on SQLite."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(LargeBinary())
        from pgvector.sqlalchemy import VECTOR  # with numpy .2 s, which commands on SQLite need not pay

        return dialect.type_descriptor(VECTOR())

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        return value if dialect.name == "postgresql" else value.astype("<f4", copy=False).tobytes()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        import numpy as np

        if isinstance(value, bytes):
            return np.frombuffer(value, dtype="<f4")
        return np.asarray(value, dtype=np.float32)


Json = JSON(none_as_null=True)


class Database:
    """One per process. `read()` for looking, `write()` for changing; neither is held while encoding or calling others."""

    def __init__(self, url: str, pool_size: int = 5) -> None:
        self.url = url
        try:
            parsed = make_url(url)
            parsed.get_dialect()
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise SetupError(
                "TRIAGE_DATABASE_URL: give sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
            ) from error
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine: Engine = create_engine(
            url,
            hide_parameters=True,  # an error's message must not quote a person's words
            **(_of_sqlite(parsed.database) if self.is_sqlite else {"pool_size": pool_size, "max_overflow": 10}),
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writer = self.engine.execution_options(write=True)
        # SQLite has one writer, and who waits for its lock polls: our own threads take turns instead.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Commits on clean exit, rolls back on any error. On SQLite it begins with the write lock: open no second one inside."""
        with self._turn, Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _of_sqlite(file: str | None) -> dict[str, Any]:
    # A commit empties the page caches of all other connections: the one that wrote last is the one to write through next.
    in_turn = {"pool_use_lifo": True} if file not in (None, "", ":memory:") else {}
    return {"connect_args": {"timeout": 60}, **in_turn}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we begin transactions ourselves: see _begin_sqlite
    # FULL: a commit is on disk before it is acknowledged, also in WAL mode (sqlite.org/pragma.html#pragma_synchronous)
    # secure_delete: what is deleted is overwritten (sqlite.org/pragma.html#pragma_secure_delete); builds differ in their default
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "cache_size=-65536",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("write") else "BEGIN")


def table_of(model: type[SQLModel]) -> Table:
    """The model's table, for statements over many rows."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def changed(session: Session, statement: Update, each: Sequence[Mapping[str, Any]] | None = None) -> int:
    """How many rows the statement changed, once or with `each` of these parameters: 0 means that its condition no longer held."""
    return cast("CursorResult[Any]", session.execute(statement, each)).rowcount


def seconds_of(session: Session, column: Any) -> Any:
    """The time as seconds since 1970, worked out by the database: over many rows far cheaper than datetimes. SQLite's are
    whole milliseconds, so compare them with their like only."""
    if session.get_bind().dialect.name == "postgresql":
        return cast_to(extract("epoch", column), Double)
    return func.round((func.julianday(column) - 2_440_587.5) * 86_400, 3)  # 1 January 1970 as a Julian day


def day_of(session: Session, column: Any) -> Any:
    """The time's day in UTC, as text like 2026-01-05."""
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD")
    return func.date(column)


def insert_into(where: Session | str, model: type[SQLModel]) -> Any:
    """An insert that can say ON CONFLICT, in the words of the session's database (or of the dialect named)."""
    dialect = where if isinstance(where, str) else where.get_bind().dialect.name
    if dialect != "postgresql":
        return sqlite_insert(table_of(model))
    from sqlalchemy.dialects.postgresql import insert  # commands on SQLite start without it

    return insert(table_of(model))


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def claim(db: Database, model: type[Any], limit: int, now: datetime, lease: timedelta) -> tuple[list[int], datetime]:
    """Ids of rows that were due, now ours until the returned time; a dead worker's rows come back when that has passed.

    The model has `id`, `due_at` and `claimed_until`. Every later statement about such a row repeats
    `claimed_until == until`, so that whoever lost the lease changes nothing.
    """
    until = now + lease
    table = table_of(model)
    due = (
        select(table.c.id)
        .where(table.c.due_at <= now, (table.c.claimed_until.is_(None)) | (table.c.claimed_until <= now))
        .order_by(table.c.due_at, table.c.id)
    )
    with db.read() as session:  # the usual answer is "nothing": look without the write lock first
        if session.execute(due.limit(1)).first() is None:
            return [], until
    with db.write() as session:
        mine = due.limit(limit).with_for_update(skip_locked=True)  # SQLite has one writer and ignores this
        taken = session.execute(update(table).where(table.c.id.in_(mine)).values(claimed_until=until).returning(table.c.id))
        return sorted(taken.scalars()), until
