"""Pull jobs: rows and cursor in one transaction, one process at a time, trouble waited out and told."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from conftest import SETTLE, make_settings, rows_of
from platforms import Answer, Asked, in_turn, platform

from connectors.errors import Retry
from connectors.events import Event, Turn, TurnAdded
from connectors.pulls.base import Page
from service import pulls
from service.db import Database
from service.errors import Conflict, LeaseLost, SetupError
from service.models import Conversation, Delivery, PullCursor
from service.models import Turn as StoredTurn
from service.privacy import make_redact
from service.pulls import Job, begin_anew, make_jobs, pull_if_due, run, states

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
REDACT = make_redact(True, ["US"])


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as client:
        yield client


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


def write(log: Path, *texts: str, sender: str = "u1") -> None:
    with log.open("a") as file:
        for n, text in enumerate(texts):
            file.write(json.dumps({"event": "user", "text": text, "timestamp": NOW.timestamp() + n, "sender_id": sender}) + "\n")


def jobs(http: httpx.Client, folder: Path, **configured: dict[str, Any]) -> dict[str, Job]:
    return make_jobs(make_settings("sqlite://", folder, pulls=configured), http)


def events_job(http: httpx.Client, log: Path, **more: Any) -> Job:
    return jobs(http, log.parent, shop={"kind": "rasa_events", "path": str(log), **more})["shop"]


def go(db: Database, job: Job, clock: Clock) -> pulls.Run:
    return run(db, job, REDACT, SETTLE, clock, Random(1), threading.Event())


def texts(db: Database) -> list[str]:
    return [turn.text for turn in rows_of(db, StoredTurn)]


def cursor_of(db: Database, name: str = "shop") -> PullCursor:
    return states(db)[name]


# --- what is stored -----------------------------------------------------------------------------------------------


def test_a_run_stores_what_is_new_and_the_next_one_what_came_since(
    db: Database, http: httpx.Client, log: Path, clock: Clock
) -> None:
    job = events_job(http, log, source="web-bot")
    write(log, "one", "write to a@example.com")

    first = go(db, job, clock)
    again = go(db, job, clock)
    write(log, "three")
    third = go(db, job, clock)

    assert (first.counts.records, first.counts.turns, first.error) == (2, 2, None)
    assert (again.counts.records, third.counts.records) == (0, 1)
    assert texts(db) == ["one", "write to [email]", "three"]
    assert [(c.source, c.external_id) for c in rows_of(db, Conversation)] == [("web-bot", "u1")]
    row = cursor_of(db)
    assert (row.records, row.succeeded_at, row.due_at, row.claimed_until) == (3, NOW, NOW + timedelta(minutes=5), None)


def test_an_unreadable_record_is_kept_once_and_the_rest_goes_on(
    db: Database, http: httpx.Client, log: Path, clock: Clock
) -> None:
    job = events_job(http, log)
    write(log, "one")
    log.write_text(log.read_text() + '{"event": "user", "text": "call 212 555 0187", "timestamp": 1}\n')
    write(log, "two")

    done = go(db, job, clock)
    begin_anew(db, job, NOW - timedelta(days=1), NOW)
    go(db, job, clock)

    (kept,) = rows_of(db, Delivery)
    assert (done.counts.unreadable, cursor_of(db).unreadable, texts(db)) == (1, 2, ["one", "two"])
    assert (kept.source, kept.state, kept.reason) == ("shop", "unreadable", "sender_id: missing")
    assert b"212 555" not in kept.body


def test_beginning_anew_stores_nothing_twice(db: Database, http: httpx.Client, log: Path, clock: Clock) -> None:
    job = events_job(http, log)
    write(log, "one", "two")
    go(db, job, clock)

    begin_anew(db, job, NOW + timedelta(seconds=1), NOW)
    done = go(db, job, clock)

    assert (done.counts.records, done.counts.turns) == (2, 1)
    assert texts(db) == ["one", "two"]


# --- one at a time ------------------------------------------------------------------------------------------------


class Slow:
    """A pull that does something between its pages."""

    def __init__(self, between: Any = None) -> None:
        self.between = between

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        for n in range(int(cursor or 0), 3):
            turn = Turn(id=f"t{n}", role="user", text=f"words {n}", at=NOW + timedelta(seconds=n))
            yield Page(str(n + 1), [TurnAdded(conversation_id="c", turn=turn)], 1)
            if self.between and n == 0:
                self.between()

    def parse(self, body: bytes) -> list[Event]:
        return []


def slow_job(between: Any = None) -> Job:
    return Job("shop", "shop", Slow(between), timedelta(minutes=5), None)


def test_two_processes_never_pull_the_same(db: Database, clock: Clock) -> None:
    met: list[Any] = []

    def another() -> None:
        with pytest.raises(Conflict, match="another process pulls shop"):
            go(db, slow_job(), clock)
        met.append(pull_if_due(db, slow_job(), REDACT, SETTLE, clock, Random(1), threading.Event()))

    done = go(db, slow_job(another), clock)

    assert (met, done.counts.records) == ([0], 3)


def test_whoever_lost_the_lease_stores_nothing_more(db: Database, clock: Clock) -> None:
    def overtaken() -> None:
        clock.now += pulls.LEASE + timedelta(seconds=1)
        assert go(db, slow_job(), clock).counts.records == 2

    with pytest.raises(LeaseLost):
        go(db, slow_job(overtaken), clock)

    assert texts(db) == ["words 0", "words 1", "words 2"]
    assert (cursor_of(db).cursor, cursor_of(db).records, cursor_of(db).claimed_until) == ("3", 3, None)


def test_a_worker_that_is_stopped_goes_on_from_its_cursor(db: Database, clock: Clock) -> None:
    stop = threading.Event()

    run(db, slow_job(stop.set), REDACT, SETTLE, clock, Random(1), stop)
    first = texts(db)
    handled = pull_if_due(db, slow_job(), REDACT, SETTLE, clock, Random(1), threading.Event())

    assert first == ["words 0", "words 1"]
    assert (handled, texts(db)) == (1, ["words 0", "words 1", "words 2"])


def test_a_pull_is_due_at_its_times_only(db: Database, clock: Clock) -> None:
    def due(job: Job) -> int:
        return pull_if_due(db, job, REDACT, SETTLE, clock, Random(1), threading.Event())

    by_hand = Job("hand", "hand", Slow(), None, None)
    handled = [due(slow_job()), due(slow_job()), due(by_hand)]
    clock.now += timedelta(minutes=5)
    with db.write() as session:
        row = session.get(PullCursor, "shop")
        assert row is not None
        row.cursor = "2"

    assert (handled, due(slow_job())) == ([3, 0, 0], 1)


# --- trouble ------------------------------------------------------------------------------------------------------


def langfuse(http: httpx.Client, folder: Path, url: str) -> Job:
    options = {"kind": "langfuse", "url": url, "api": "v3", "public_key": "pk", "secret_key": "sk-very-secret"}
    return jobs(http, folder, shop=options)["shop"]


EMPTY = Answer({"data": [], "meta": {"page": 1, "totalPages": 0}})


@pytest.mark.parametrize("hint", ["1800", "Mon, 05 Jan 2026 12:30:00 GMT"])
def test_a_hint_is_waited_out(db: Database, http: httpx.Client, tmp_path: Path, clock: Clock, hint: str) -> None:
    with platform(in_turn(Answer({}, 429, {"retry-after": hint}), EMPTY)) as server:
        job = langfuse(http, tmp_path, server.url)
        refused = go(db, job, clock)
        due = cursor_of(db).due_at
        clock.now += timedelta(minutes=29)
        early = pull_if_due(db, job, REDACT, SETTLE, clock, Random(1), threading.Event())
        asked_early = len(server.asked)
        clock.now += timedelta(minutes=2)
        pull_if_due(db, job, REDACT, SETTLE, clock, Random(1), threading.Event())

    assert refused.error == "127.0.0.1 answered 429"
    assert due == NOW + timedelta(minutes=30)
    assert (early, asked_early) == (0, 1)
    assert (cursor_of(db).error, cursor_of(db).attempts) == (None, 0)


def test_without_a_hint_each_wait_is_longer_up_to_an_hour(db: Database, http: httpx.Client, tmp_path: Path, clock: Clock) -> None:
    waits = []

    with platform(in_turn(Answer({}, 503))) as server:
        job = langfuse(http, tmp_path, server.url)
        for _ in range(12):
            again = go(db, job, clock).again_at
            assert again is not None
            waits.append((again - clock.now).total_seconds())
            clock.now = again

    assert 22 <= waits[0] <= 38
    assert all(after > before for before, after in pairwise(waits[:7]))
    assert all(2_700 <= wait <= 4_500 for wait in waits[8:])
    assert cursor_of(db).attempts == 12


def test_pages_before_the_trouble_are_stored_and_the_run_goes_on_after_them(
    db: Database, http: httpx.Client, tmp_path: Path, clock: Clock
) -> None:
    trouble = [Answer({}, 500), Answer({}, 429, {"retry-after": "5"}), Answer({"data": "cut"}, missing=99)]

    def answer(asked: Asked) -> Answer:
        page = int(asked.query.get("page", 1))
        if asked.path.endswith("/traces"):
            if page > 1 and trouble:
                return trouble.pop()
            return Answer({"data": [{"id": f"t{page}"}], "meta": {"page": page, "totalPages": 4}})
        if asked.path.endswith("/scores"):
            return EMPTY
        name = asked.path.rpartition("/")[2]
        return Answer({"id": name, "input": f"asked {name}", "output": "answered", "timestamp": NOW.isoformat()})

    with platform(answer) as server:
        job = langfuse(http, tmp_path, server.url)
        runs = [go(db, job, clock) for _ in range(4)]

    assert [one.counts.records for one in runs] == [1, 0, 0, 3]
    assert sorted(texts(db)) == sorted(["answered"] * 4 + [f"asked t{n}" for n in range(1, 5)])


def test_what_only_a_person_can_mend_names_the_option_and_heals_by_itself(
    db: Database, http: httpx.Client, tmp_path: Path, clock: Clock
) -> None:
    with platform(in_turn(Answer({}, 401), EMPTY)) as server:
        job = langfuse(http, tmp_path, server.url)
        refused = go(db, job, clock)
        row = cursor_of(db)
        go(db, job, clock)

    assert refused.again_at is None
    assert row.error is not None
    assert "check `public_key`, `secret_key`" in row.error
    assert "very-secret" not in row.error
    assert row.due_at == NOW + timedelta(minutes=5)
    assert cursor_of(db).error is None


def test_a_defect_of_a_reader_is_told_by_its_place_and_tried_again(db: Database, clock: Clock) -> None:
    def defect() -> None:
        raise KeyError("a person's words")

    done = go(db, slow_job(defect), clock)

    assert done.error is not None
    assert "KeyError at test_pulls.py" in done.error
    assert "words" not in done.error
    assert done.again_at is not None
    assert texts(db) == ["words 0"]


def test_an_interrupted_run_gives_its_lease_back(db: Database, clock: Clock) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(db, slow_job(interrupt), clock)

    assert go(db, slow_job(), clock).counts.records == 2


def test_a_retry_that_the_reader_raises_keeps_its_reason(db: Database, clock: Clock) -> None:
    def later() -> None:
        raise Retry("the broker sleeps", timedelta(hours=2))

    done = go(db, slow_job(later), clock)

    assert (done.error, done.again_at) == ("the broker sleeps", NOW + timedelta(hours=2))


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "rasa"}, r"pulls\.shop: unknown kind 'rasa'; installed: dialogflow_cx, langfuse, lex, rasa_events"),
        ({"kind": "rasa_sql"}, r"pulls\.shop\.url: Field required"),
        ({"kind": "lex", "path": "x", "pth": 1}, r"pulls\.shop\.pth: Extra inputs"),
        ({"kind": "rasa_events"}, "exactly one of `path`, `kafka` and `amqp`"),
        ({"kind": "dialogflow_cx", "agent": "a", "token": "t"}, r"pulls\.shop\.agent"),
        ({"kind": "voiceflow", "project": "p", "api_key": {"file": "a", "env": "B"}}, "exactly one of file, env and command"),
    ],
)
def test_a_wrong_option_is_told_by_its_name(http: httpx.Client, tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(SetupError, match=says):
        jobs(http, tmp_path, shop=options)


def test_a_secret_may_lie_in_a_file_a_variable_or_come_from_a_command(
    db: Database, http: httpx.Client, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-file\n")
    monkeypatch.setenv("SHOP_KEY", "from-variable")

    with platform(in_turn(Answer({"transcripts": []}))) as server:
        for n, secret in enumerate(
            [{"file": str(tmp_path / "key")}, {"env": "SHOP_KEY"}, {"command": "echo from-command"}, "from-settings"]
        ):
            options = {"kind": "voiceflow", "project": "p", "url": server.url, "api_key": secret}
            go(db, jobs(http, tmp_path, **{f"p{n}": options})[f"p{n}"], clock)

    assert [asked.headers["authorization"] for asked in server.asked] == [
        "from-file",
        "from-variable",
        "from-command",
        "from-settings",
    ]


@pytest.mark.parametrize(
    ("secret", "says"),
    [({"file": "/nowhere"}, "cannot be read"), ({"env": "NO_SUCH_KEY"}, "not set"), ({"command": "true"}, "empty")],
)
def test_a_secret_that_is_not_there_is_told(
    db: Database, http: httpx.Client, tmp_path: Path, clock: Clock, secret: dict[str, str], says: str
) -> None:
    job = jobs(http, tmp_path, shop={"kind": "voiceflow", "project": "p", "api_key": secret})["shop"]

    done = go(db, job, clock)

    assert done.error is not None
    assert says in done.error
