"""What forgetting costs on SQLite: `secure_delete` off, fast and on, in turns in one run.

    python -m benchmarks.forgetting [--rounds 100]

Each round stores 20 new conversations, stores them again with two turns more, and indexes them, on a database of each kind. Then
all are forgotten, the index is merged, and the file is searched for a word that every turn held.
"""

import argparse
import json
import logging
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import event, text

from connectors.events import Conversation, events_of
from service.db import Database
from service.forgetting import scrub
from service.forgetting.retention import AT_ONCE, Retention
from service.ingest import store
from service.migrate import upgrade
from service.searching.index import index_due
from service.told import Told, gather

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
KINDS = ("OFF", "FAST", "ON")
WORD = "forgetmenot"
PAGE = 4096


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=100)
    rounds: int = parser.parse_args().rounds
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        files = {kind: Path(folder) / f"{kind}.db" for kind in KINDS}
        upgrade(f"sqlite:///{folder}/empty.db")
        for file in files.values():
            shutil.copy(Path(folder) / "empty.db", file)
        databases = {kind: _open(file, kind) for kind, file in files.items()}
        for what, spent in _fill(databases, rounds).items():
            floor = statistics.median(spent["OFF"])
            print(
                what,
                {kind: f"{statistics.median(t) * 1e3:.1f} ms, {statistics.median(t) / floor:.2f}" for kind, t in spent.items()},
            )
        for kind, db in databases.items():
            print(kind, _forget(db, files[kind], rounds))
            db.close()


def _open(file: Path, kind: str) -> Database:
    db = Database(f"sqlite:///{file}")
    event.listen(db.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA secure_delete={kind}"))
    return db


def _fill(databases: dict[str, Database], rounds: int) -> dict[str, dict[str, list[float]]]:
    spent = {what: {kind: list[float]() for kind in KINDS} for what in ("new", "changed", "indexed")}
    rng = random.Random(1)
    words = [f"word{n}" for n in range(5000)]
    for start in range(0, rounds * AT_ONCE, AT_ONCE):
        new, changed = (_told(range(start, start + AT_ONCE), turns, words, rng) for turns in (6, 8))
        for kind in rng.sample(KINDS, len(KINDS)):
            db = databases[kind]
            spent["new"][kind].append(_timed(lambda db=db, told=new: _store(db, told)))  # type: ignore[misc]
            spent["changed"][kind].append(_timed(lambda db=db, told=changed: _store(db, told)))  # type: ignore[misc]
            spent["indexed"][kind].append(_timed(lambda db=db: index_due(db)))  # type: ignore[misc]
    return spent


def _told(names: range, turns: int, words: list[str], rng: random.Random) -> Told:
    def said() -> Iterator[Conversation]:
        for name in names:
            of = [
                {"id": f"t{i}", "role": ("user", "bot")[i % 2], "text": f"{WORD} {' '.join(rng.choices(words, k=30))}"}
                for i in range(turns)
            ]
            yield Conversation.model_validate_json(json.dumps({"id": f"c{name}", "turns": of}))

    return gather((event for one in said() for event in events_of(one)), lambda told: told)


def _store(db: Database, told: Told) -> None:
    with db.write() as session:
        store(session, "standard", told, timedelta(0), NOW)


def _forget(db: Database, file: Path, rounds: int) -> str:
    with db.write() as session:
        session.execute(text("UPDATE conversation SET due_at = NULL"))
    retention, steps = Retention(db, 1), list[float]()
    while rounds > len(steps):
        steps.append(_timed(lambda: retention.step(NOW + timedelta(days=9))))
    merged = _timed(lambda: scrub.scrub(db))
    data = file.read_bytes()
    held = sum(WORD[1:].encode() in data[place : place + PAGE] for place in range(0, len(data), PAGE))
    rewritten = _timed(lambda: scrub.rewrite(db))
    left = file.read_bytes().count(WORD[1:].encode())
    return (
        f"{AT_ONCE} conversations in {statistics.median(steps) * 1e3:.0f} ms (at most {max(steps) * 1e3:.0f}); index merged in"
        f" {merged:.2f} s; then {held} of {len(data) // PAGE} pages hold the word; rewritten in {rewritten:.2f} s"
        f" ({len(data) / 1e6:.0f} MB), then {left} places do"
    )


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
