"""Kill a pulling process at any moment and start it again: nothing is missed, nothing is stored twice."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import rows_of
from platforms import Answer, Asked, platform
from processes import Running, start
from sqlalchemy import func, select, update

from service.db import Database
from service.models import Conversation, Delivery, PullCursor, Turn

pytestmark = pytest.mark.slow
AGENT = "projects/p/locations/global/agents/a"
CONVERSATIONS = 120
BAD = 7
"""Every seventh conversation cannot be read."""
BEGAN = datetime.now(UTC) - timedelta(hours=5)


class Processes:
    """The `triage` command with one pull configured; whatever still runs at the end is killed."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._started: list[Running] = []

    def start(self, pull: dict[str, Any], *command: str) -> Running:
        environment = {
            **os.environ,
            "TRIAGE_DATABASE_URL": self._url,
            "TRIAGE_PULLS": json.dumps({"shop": pull}),
            "TRIAGE_ENCODER": "hashing",
            "TRIAGE_WORKER_IDLE_SECONDS": "0.05",
            "TRIAGE_LOG_LEVEL": "error",
        }
        self._started.append(start(command, environment, self._folder, self._folder / "output.log"))
        return self._started[-1]

    def output(self) -> str:
        return (self._folder / "output.log").read_text()

    def end(self) -> None:
        for process in self._started:
            process.kill()


@pytest.fixture
def processes(database_url: str, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(database_url, tmp_path)
    yield started
    started.end()


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def count_turns(db: Database) -> int:
    with db.read() as session:
        return int(session.execute(select(func.count()).select_from(Turn)).scalar_one())


def let_the_lease_pass(db: Database) -> None:
    """A killed process's lease ends after ten minutes; here at once."""
    with db.write() as session:
        session.execute(update(PullCursor).values(claimed_until=None))


def until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def history(asked: Asked) -> Answer:
    """An agent's conversations, a few a page, each answer taking its time."""
    name = asked.path.removeprefix("/v3beta1/")
    if name == f"{AGENT}/conversations":
        first = int(asked.query.get("pageToken", 0))
        listed = [
            {"name": f"{AGENT}/conversations/c{n}", "startTime": (BEGAN - timedelta(minutes=n)).isoformat(), "duration": "60s"}
            for n in range(first, min(first + 4, CONVERSATIONS))
        ]
        return Answer({"conversations": listed, **({"nextPageToken": str(first + 4)} if first + 4 < CONVERSATIONS else {})})
    number = int(name.rpartition("c")[2])
    if number % BAD == 0:
        return Answer({"name": name, "interactions": "not a list"}, late=0.005)
    words = {"requestUtterances": f"c{number} asks", "responseUtterances": f"c{number} hears"}
    said = [{**words, "createTime": BEGAN.isoformat(), "response": {"responseId": "r"}}]
    return Answer({"name": name, "interactions": said}, late=0.005)


@pytest.mark.parametrize(("database_url", "rounds"), [("sqlite", 6), ("postgresql", 4)], indirect=["database_url"])
def test_a_pull_that_is_killed_again_and_again_misses_and_doubles_nothing(
    db: Database, processes: Processes, rounds: int
) -> None:
    rng = Random(4)
    amid = 0

    with platform(history) as server:
        pull = {"kind": "dialogflow_cx", "agent": AGENT, "url": server.url, "token": "t", "page_size": 4}
        for _ in range(rounds):
            enough = len(server.asked) + rng.randint(1, 25)
            process = processes.start(pull, "pull", "shop", "--once")
            until(lambda enough=enough, process=process: len(server.asked) > enough or process.poll() is not None, 30)  # type: ignore[misc]
            amid += process.poll() is None
            process.kill()
            let_the_lease_pass(db)
        done = processes.start(pull, "pull", "shop", "--once").wait(60)

    assert done == 0, processes.output()
    assert amid > rounds // 2
    readable = [n for n in range(CONVERSATIONS) if n % BAD]
    assert sorted(c.external_id for c in rows_of(db, Conversation)) == sorted(f"c{n}" for n in readable)
    assert sorted(turn.text for turn in rows_of(db, Turn)) == sorted(
        f"c{n} {word}" for n in readable for word in ("asks", "hears")
    )
    assert len(rows_of(db, Delivery)) == CONVERSATIONS - len(readable)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_worker_that_is_killed_while_a_file_grows_and_rotates_misses_and_doubles_nothing(
    db: Database, processes: Processes, tmp_path: Path
) -> None:
    rng = Random(5)
    log = tmp_path / "events.log"
    wanted: list[str] = []

    def grow(lines: int) -> None:
        with log.open("a") as file:
            for _ in range(lines):
                wanted.append(f"words {len(wanted)}")
                at = BEGAN.timestamp() + len(wanted)
                sender = f"u{len(wanted) % 40}"
                file.write(json.dumps({"event": "user", "text": wanted[-1], "timestamp": at, "sender_id": sender}) + "\n")

    grow(900)
    pull = {"kind": "rasa_events", "path": str(log), "every_minutes": 0.001}
    for n in range(3):
        stored = count_turns(db)
        worker = processes.start(pull, "worker")
        assert until(lambda stored=stored: count_turns(db) > stored, 60), processes.output()  # type: ignore[misc]
        log.rename(tmp_path / f"events.log.{9 - n}")
        grow(700)
        time.sleep(rng.random() / 4)
        worker.kill()
        let_the_lease_pass(db)
    processes.start(pull, "worker")

    assert until(lambda: count_turns(db) >= len(wanted), 60), processes.output()
    assert sorted(turn.text for turn in rows_of(db, Turn)) == sorted(wanted)
