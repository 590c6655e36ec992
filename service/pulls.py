"""Pulls: each platform that does not send is asked, page by page; a page's rows and the cursor after it are one transaction.

One process at a time has a pull: it holds a lease, and every page renews it on the condition that it still holds. So
killing a process at any moment, or starting two, neither misses nor doubles anything.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from random import Random

import httpx
import structlog
from pydantic import ValidationError
from sqlalchemy import select, update
from sqlmodel import Session, col

from connectors import registry
from connectors.errors import Reject, Retry, explain
from connectors.events import Event, FeedbackGiven, TurnAdded
from connectors.pulls.base import Page, Pull
from service.db import Database, changed, insert_into
from service.errors import Conflict, LeaseLost, SetupError
from service.ingest import redacted_body, store
from service.logs import place_of
from service.models import Delivery, DeliveryState, PullCursor
from service.privacy import Redact
from service.settings import Settings
from service.told import Told, gather

log = structlog.get_logger()
LEASE = timedelta(minutes=10)
"""Renewed with every page. A page may need a hundred requests."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Job:
    """A configured pull. `every` None: only by hand."""

    name: str
    source: str
    pull: Pull
    every: timedelta | None
    start: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run brought, repetitions included."""

    records: int = 0
    turns: int = 0
    feedback: int = 0
    unreadable: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended. `error`: why it ended early; `again_at`: when it is tried again, None where only a person can mend it."""

    counts: Counts
    error: str | None = None
    again_at: datetime | None = None


def make_jobs(settings: Settings, http: httpx.Client) -> dict[str, Job]:
    """The configured pulls, by name.

    Raises
    ------
    SetupError
        A kind is unknown, or an option is wrong; the message names it, never its value.
    """
    jobs = {}
    for name, pull in settings.pulls.items():
        try:
            kind = registry.load(registry.PULLS, pull.kind)
            reader = kind(kind.Options.model_validate(pull.model_extra or {}), http)
        except Reject as error:
            raise SetupError(f"pulls.{name}: {error.reason}") from error
        except ValidationError as error:
            raise SetupError(f"pulls.{name}.{explain(error)}") from error
        every = timedelta(minutes=pull.every_minutes) if pull.every_minutes else None
        start = pull.start.astimezone() if pull.start else None
        jobs[name] = Job(name, pull.source or name, reader, every, start)
    return jobs


def begin_anew(db: Database, job: Job, start: datetime, now: datetime) -> None:
    """Forget the cursor: the next run begins at this time. What is stored stays, and is not stored twice.

    Raises
    ------
    Conflict
        A run is under way.
    """
    with db.write() as session:
        _make_row(session, job.name, now if job.every else None)
        free = update(PullCursor).where(col(PullCursor.name) == job.name, _is_free(now)).values(cursor=None, start_at=start)
        if changed(session, free) == 0:
            raise Conflict(f"{job.name} is being pulled right now: try again when that has ended")


def pull_if_due(
    db: Database, job: Job, redact: Redact, settle: timedelta, clock: Callable[[], datetime], rng: Random, stop: threading.Event
) -> int:
    """Run the pull if it is due and no other process has it; how many records that brought."""
    with db.read() as session:
        row = session.get(PullCursor, job.name)
    now = clock()
    if row is not None and (row.due_at is None or row.due_at > now or (row.claimed_until or now) > now):
        return 0
    if row is None and job.every is None:
        return 0
    try:
        return run(db, job, redact, settle, clock, rng, stop).counts.records
    except (Conflict, LeaseLost):  # another process was quicker
        return 0


def run(
    db: Database, job: Job, redact: Redact, settle: timedelta, clock: Callable[[], datetime], rng: Random, stop: threading.Event
) -> Run:
    """Take all that is new now, due or not. Whatever goes wrong with the platform is told in the result and in the row.

    Raises
    ------
    Conflict
        Another process has it.
    LeaseLost
        A page took longer than the lease, and another process went on.
    """
    begun = clock()
    cursor, start, until = _claim(db, job, begun)
    counts, error, again = Counts(), None, None
    try:
        with closing(job.pull.fetch(cursor, start, begun)) as pages:  # type: ignore[type-var]  # fetch is a generator
            for page in pages:
                told = gather(page.events, redact)
                kept = _unreadable(job, page, redact, clock())
                until = _store_page(db, job, page, told, kept, until, settle, clock())
                counts += _counted(page)
                if stop.is_set():
                    again = clock()  # it goes on from its cursor at once
                    break
    except Reject as failure:
        error = failure.reason
    except Retry as failure:
        error, again = failure.reason, _next_try(_attempts(db, job) + 1, clock(), failure.after, rng)
    except LeaseLost:
        raise
    except Exception as failure:  # noqa: BLE001 - a defect of one reader must be seen where its state is shown, and tried again
        log.error("pull_failed", pull=job.name, error=type(failure).__name__, where=place_of(failure))
        error = f"the reader failed unexpectedly ({type(failure).__name__} at {place_of(failure)})"
        again = _next_try(_attempts(db, job) + 1, clock(), None, rng)
    except BaseException:
        _release(db, job, until)
        raise
    _finish(db, job, until, begun, counts, error, again, clock())
    log.info("pulled", pull=job.name, error=error, **asdict(counts))
    return Run(counts, error, again)


def ask_now(db: Database, name: str, now: datetime) -> None:
    """Have the worker run the pull at once; a run that is under way is enough."""
    with db.write() as session:
        _make_row(session, name, None)
        session.execute(update(PullCursor).where(col(PullCursor.name) == name, _is_free(now)).values(due_at=now))


def states(db: Database) -> Mapping[str, PullCursor]:
    """Where each pull stands, by name, for those that ran or were claimed once."""
    with db.read() as session:
        return {row.name: row for row in session.execute(select(PullCursor)).scalars()}


def _claim(db: Database, job: Job, now: datetime) -> tuple[str | None, datetime | None, datetime]:
    until = now + LEASE
    with db.write() as session:
        _make_row(session, job.name, now if job.every else None)
        mine = update(PullCursor).where(col(PullCursor.name) == job.name, _is_free(now)).values(claimed_until=until, ran_at=now)
        if changed(session, mine) == 0:
            raise Conflict(
                f"another process pulls {job.name} right now; a killed one gives it back within {LEASE.seconds // 60} minutes"
            )
        row = session.get_one(PullCursor, job.name)
        return row.cursor, row.start_at or job.start, until


def _make_row(session: Session, name: str, due_at: datetime | None) -> None:
    row = insert_into(session, PullCursor).values(name=name, due_at=due_at, attempts=0, records=0, unreadable=0)
    session.execute(row.on_conflict_do_nothing(index_elements=["name"]))


def _is_free(now: datetime):  # type: ignore[no-untyped-def]  # a condition of SQLAlchemy
    return col(PullCursor.claimed_until).is_(None) | (col(PullCursor.claimed_until) <= now)


def _mine(job: Job, until: datetime):  # type: ignore[no-untyped-def]
    return update(PullCursor).where(col(PullCursor.name) == job.name, col(PullCursor.claimed_until) == until)


def _store_page(
    db: Database,
    job: Job,
    page: Page,
    told: Told,
    kept: list[dict[str, object]],
    until: datetime,
    settle: timedelta,
    now: datetime,
) -> datetime:
    """The page's rows, its unreadable records and the cursor after it; until when the lease holds now."""
    renewed = now + LEASE
    values = {
        "cursor": page.cursor,
        "claimed_until": renewed,
        "records": col(PullCursor.records) + page.records,
        "unreadable": col(PullCursor.unreadable) + len(page.bad),
    }
    with db.write() as session:
        if changed(session, _mine(job, until).values(**values)) == 0:
            raise LeaseLost(f"another process pulls {job.name} now")
        store(session, job.source, told, settle, now)
        if kept:
            _keep(session, kept)
    return renewed


def _unreadable(job: Job, page: Page, redact: Redact, now: datetime) -> list[dict[str, object]]:
    """Rows for the records that cannot be read, as for deliveries: `triage replay` reads them again."""
    rows = {
        f"{job.name}: {bad.record.id}"[:MAX_NAME].replace("\x00", "\ufffd"): {
            "source": job.source,
            "received_at": now,
            "state": DeliveryState.unreadable,
            "reason": bad.reason,
            "body": redacted_body(bad.record.body, redact),
        }
        for bad in page.bad
    }
    return [{"external_id": key, **row} for key, row in rows.items()]


def _keep(session: Session, rows: list[dict[str, object]]) -> None:
    insert = insert_into(session, Delivery)
    changes = {name: insert.excluded[name] for name in ("received_at", "state", "reason", "body")}
    session.connection().execute(insert.on_conflict_do_update(index_elements=["source", "external_id"], set_=changes), rows)


def _counted(page: Page) -> Counts:
    def many(kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in page.events)

    return Counts(page.records, many(TurnAdded), many(FeedbackGiven), len(page.bad))


def _attempts(db: Database, job: Job) -> int:
    with db.read() as session:
        return session.get_one(PullCursor, job.name).attempts


def _next_try(attempts: int, now: datetime, hint: timedelta | None, rng: Random) -> datetime:
    """Twice as long each time, at most an hour, spread by half so that workers do not come together; never before the hint."""
    wait: timedelta = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT) * rng.uniform(0.75, 1.25)
    return now + max(wait, hint or timedelta())


def _finish(
    db: Database,
    job: Job,
    until: datetime,
    begun: datetime,
    counts: Counts,
    error: str | None,
    again: datetime | None,
    now: datetime,
) -> None:
    """The outcome in the row. What only a person can mend is still tried at the usual times: mended, it goes on by itself."""
    regular = max(begun + job.every, now) if job.every else None
    values: dict[str, object] = {
        "claimed_until": None,
        "due_at": (again or regular) if job.every else None,
        "error": error,
        "attempts": col(PullCursor.attempts) + 1 if error else 0,
        "last_run": asdict(counts),
    }
    if error is None and again is None:
        values["succeeded_at"] = now
    with db.write() as session:
        session.execute(_mine(job, until).values(**values))


def _release(db: Database, job: Job, until: datetime) -> None:
    """Interrupted by the person at the terminal: the next run need not wait for the lease."""
    with db.write() as session:
        session.execute(_mine(job, until).values(claimed_until=None))
