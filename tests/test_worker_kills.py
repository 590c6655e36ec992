"""Kill any process at any moment: nothing that was acknowledged is lost, nothing is stored twice."""

import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import pytest
from conftest import SECRET, make_body, rows_of, sign
from processes import Running, start
from sqlalchemy import func, select, update

from service.db import Database
from service.models import Conversation, Delivery, Evidence, Exchange, Feedback, ReviewItem, Turn

pytestmark = pytest.mark.slow
SENDERS = 3
CONVERSATIONS = 60


class Processes:
    """`triage serve` and `triage worker`, started again after each kill."""

    def __init__(self, url: str, folder: Path, port: int) -> None:
        self._environment = {
            **os.environ,
            "TRIAGE_DATABASE_URL": url,
            "TRIAGE_PORT": str(port),
            "TRIAGE_SOURCES": json.dumps({"standard": {"secrets": [SECRET]}}),
            "TRIAGE_ENCODER": "hashing",
            "TRIAGE_SETTLE_SECONDS": "0",
            "TRIAGE_SCORE_BATCH": "8",
            "TRIAGE_WORKER_IDLE_SECONDS": "0.02",
            "TRIAGE_QUEUE": json.dumps({"review_rate": 1.0, "urgent_priority": 0.0}),
            "TRIAGE_LOG_LEVEL": "error",
        }
        self._folder = folder
        self.running = {name: self._start(name) for name in ("serve", "worker")}

    def _start(self, name: str) -> Running:
        return start([name], self._environment, self._folder, self._folder / f"{name}.log")

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name] = self._start(name)

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            if process.wait(15) is None:
                process.kill()


@contextmanager
def started(url: str, folder: Path) -> Iterator[tuple[Processes, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    processes = Processes(url, folder, port)
    try:
        yield processes, port
    finally:
        processes.stop()


def make_deliveries(rng: Random) -> list[tuple[str, bytes]]:
    """Each conversation in four deliveries, all of them in no order: (delivery id, body)."""
    deliveries = []
    for n in range(CONVERSATIONS):
        name = f"c{n}"

        def turn(place: int, role: str, name: str = name) -> dict[str, object]:
            said = {"id": f"t{place}", "role": role, "text": f"{name} says {place}", "at": f"2026-01-05T09:00:0{place}Z"}
            return {"type": "turn_added", "conversation_id": name, "turn": said}

        parts = [
            [turn(0, "user"), turn(1, "bot")],
            [turn(2, "user")],
            [{"type": "feedback_given", "conversation_id": name, "turn_id": "t1", "feedback": {"rating": -1, "scale": "thumb"}}],
            [{"type": "conversation_closed", "conversation_id": name}],
        ]
        deliveries += [(f"{name}-{part}", make_body(*events)) for part, events in enumerate(parts)]
    rng.shuffle(deliveries)
    return deliveries


class Platform:
    """Delivers as platforms do: again until there is a 2xx, and now and then once more after it."""

    def __init__(self, port: int, deliveries: list[tuple[str, bytes]]) -> None:
        self._deliveries = deliveries
        self._may_send = threading.Semaphore(0)
        self.acknowledged: list[str] = []
        self._senders = [threading.Thread(target=self._send, args=(port, n), daemon=True) for n in range(SENDERS)]
        for sender in self._senders:
            sender.start()

    def send(self, count: int) -> None:
        self._may_send.release(count)

    def finish(self) -> None:
        self.send(len(self._deliveries))
        for sender in self._senders:
            sender.join(30)

    def _send(self, port: int, first: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
            for number, (name, body) in enumerate(self._deliveries[first::SENDERS]):
                self._may_send.acquire()
                for _ in range(2 if number % 10 == 0 else 1):
                    self._until_accepted(client, name, body)
                self.acknowledged.append(name)

    def _until_accepted(self, client: httpx.Client, name: str, body: bytes) -> None:
        while True:
            try:
                if client.post("/hooks/standard", content=body, headers=sign(body, name)).status_code == 202:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def count_exchanges(db: Database) -> int:
    with db.read() as session:
        return int(session.execute(select(func.count()).select_from(Exchange)).scalar_one())


def come_to_rest(db: Database) -> bool:
    """Whether everything is scored. The leases of killed workers are let pass, as ten minutes would."""
    time.sleep(0.1)
    with db.write() as session:
        session.execute(update(Conversation).values(claimed_until=None))
    scored = {exchange.conversation_id for exchange in rows_of(db, Exchange)}
    return len(scored) == CONVERSATIONS and not rows_of(db, Conversation, Conversation.due_at.is_not(None))


def check(db: Database, deliveries: list[tuple[str, bytes]], acknowledged: list[str]) -> None:
    wanted = sorted(name for name, _ in deliveries)
    assert sorted(acknowledged) == wanted
    assert sorted(d.external_id for d in rows_of(db, Delivery)) == wanted
    conversations = {c.id: c.external_id for c in rows_of(db, Conversation)}
    assert len(conversations) == CONVERSATIONS
    turns = sorted((conversations[t.conversation_id], t.external_id) for t in rows_of(db, Turn))
    assert turns == sorted((f"c{n}", f"t{place}") for n in range(CONVERSATIONS) for place in range(3))
    assert len(rows_of(db, Feedback)) == CONVERSATIONS
    exchanges = rows_of(db, Exchange)
    assert sorted(conversations[e.conversation_id] for e in exchanges) == sorted(conversations.values())
    evidence = Counter((e.exchange_id, e.name) for e in rows_of(db, Evidence))
    assert set(evidence.values()) == {1}
    assert {e.id for e in exchanges} == {exchange_id for exchange_id, name in evidence if name == "user_feedback"}
    items = Counter(item.exchange_id for item in rows_of(db, ReviewItem))
    assert set(items.values()) == {1}


@pytest.mark.parametrize(("database_url", "rounds"), [("sqlite", 10), ("postgresql", 3)], indirect=["database_url"])
def test_whatever_is_killed_everything_acknowledged_is_there_once(database_url: str, tmp_path: Path, rounds: int) -> None:
    rng = Random(1)
    deliveries = make_deliveries(rng)
    db = Database(database_url)
    killed_at_work = 0

    with started(database_url, tmp_path) as (processes, port):
        platform = Platform(port, deliveries)
        for _ in range(rounds):
            before, scored = len(platform.acknowledged), count_exchanges(db)
            burst = len(deliveries) // (rounds + 1)
            platform.send(burst)
            amid = before + rng.randint(1, burst - 1)
            killed_at_work += until(lambda amid=amid: len(platform.acknowledged) >= amid, 10)  # type: ignore[misc]
            processes.kill("serve")
            killed_at_work += until(lambda scored=scored: count_exchanges(db) > scored, 4)  # type: ignore[misc]
            processes.kill("worker")
        platform.finish()
        assert until(lambda: come_to_rest(db), 40)

    assert killed_at_work >= rounds
    check(db, deliveries, platform.acknowledged)
    db.close()
