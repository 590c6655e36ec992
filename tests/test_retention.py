"""Old conversations are forgotten by workers, a few at a time, whoever is killed; SQLite's file keeps nothing of them."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from conftest import NOW, feedback_given, ingest, make_conversation, make_triage, rows_of, score_all, turn_added
from forgetting import LATER, WORD, bytes_of, make_asked, make_known, places_of
from pydantic import ValidationError
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col

from scoring.encoder import HashingEncoder
from service.db import Database
from service.forgetting.erase import Wanted, erase
from service.forgetting.retention import AT_ONCE, Retention
from service.forgetting.scrub import rewrite, scrub
from service.migrate import check_current, config, upgrade
from service.models import Article, Conversation, Delivery, DeliveryState, Evidence, Turn, Watch
from service.searching.index import index_due
from service.settings import Settings
from service.worker import run

DAY = timedelta(days=1)


def old(n: int, days: int, **more: Any) -> dict[str, Any]:
    """A conversation that was held so many days before NOW."""
    at = (NOW - timedelta(days=days)).isoformat()
    turns = [{"id": f"t{i}", "role": role, "text": f"{WORD}{n} {i}", "at": at} for i, role in enumerate(("user", "bot"))]
    return {"id": f"c{n}", "closed": True, "turns": turns, **more}


def forget_due(db: Database, days: float | None = 90, now: Any = NOW) -> int:
    retention, done = Retention(db, days), 0
    while count := retention.step(now):
        done += count
    return done


def forgotten(db: Database) -> list[str]:
    return [one.external_id for one in rows_of(db, Conversation, col(Conversation.forgotten_at).is_not(None))]


def test_conversations_without_a_word_for_so_long_are_forgotten_and_no_others(db: Database) -> None:
    ingest(db, old(1, 91), old(2, 89), old(3, 500), make_conversation(id="c4"))

    assert forget_due(db) == 2

    assert forgotten(db) == ["c1", "c3"]
    assert forget_due(db) == 0
    assert forget_due(db, None, NOW + 9999 * DAY) == 0


@pytest.mark.parametrize(
    "late",
    [
        turn_added("t9", "user", "still here", at=(NOW - 10 * DAY).isoformat()),
        turn_added("t1", "bot", "edited", edited_at=(NOW - 10 * DAY).isoformat()),
        feedback_given("t1", at=(NOW - 10 * DAY).isoformat()),
        turn_added("t9", "user", "who knows when"),
    ],
)
def test_the_last_that_was_said_or_rated_counts(db: Database, late: dict[str, Any]) -> None:
    ingest(db, {**late, "conversation_id": "c1"}, old(1, 100), now=NOW)

    assert forget_due(db) == 0
    assert forget_due(db, now=NOW + 100 * DAY) == 1


def test_a_removal_keeps_nothing_for_longer_and_a_time_to_come_counts_as_now(db: Database) -> None:
    ingest(db, old(1, 100))
    ingest(db, {"type": "turn_removed", "conversation_id": "c1", "turn_id": "t0"})
    ingest(db, old(2, -9000), now=NOW - 100 * DAY)

    assert forget_due(db) == 2


def test_a_conversation_that_is_being_scored_is_forgotten_after_it(db: Database) -> None:
    ingest(db, old(1, 100))
    with db.write() as session:
        session.execute(update(Conversation).values(claimed_until=NOW + timedelta(minutes=1)))

    assert forget_due(db) == 0
    assert forget_due(db, now=NOW + timedelta(minutes=2)) == 1


def test_all_that_was_made_of_an_old_conversation_goes_and_the_article_stays_whole(db: Database) -> None:
    make_known(db)

    forget_due(db, 30, NOW + 400 * DAY)

    assert places_of(db, WORD) == ["article", "article_version", "watch"]
    (article,) = rows_of(db, Article)
    assert article.variants == [f"How long does {WORD} keep?"]
    assert [one.questions for one in rows_of(db, Watch)] == [[article.question, *article.variants]]
    assert rows_of(db, Delivery, col(Delivery.body).is_not(None)) == []


def test_deliveries_that_nobody_could_read_go_by_their_age_and_stay_known(db: Database) -> None:
    for name, days in (("d1", 100), ("d2", 10)):
        row = {"source": "standard", "external_id": name, "state": DeliveryState.unreadable, "body": WORD.encode()}
        with db.write() as session:
            session.add(Delivery(**row, received_at=NOW - days * DAY, reason="x"))

    assert forget_due(db) == 1

    told = [(one.external_id, one.state, one.body) for one in rows_of(db, Delivery)]
    assert told == [("d1", DeliveryState.forgotten, None), ("d2", DeliveryState.unreadable, WORD.encode())]


def test_several_workers_at_once_forget_each_conversation_once(db: Database) -> None:
    count = 5 * AT_ONCE
    ingest(db, *(old(n, 100) for n in range(count)))
    done: list[int] = []

    def work() -> None:
        mine = Database(db.url)
        done.append(forget_due(mine))
        mine.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done.append(forget_due(db))  # what another one held was passed over

    assert sum(done) == count
    assert len(forgotten(db)) == count


def test_ingest_goes_on_while_much_is_forgotten(db: Database) -> None:
    ingest(db, *(old(n, 100) for n in range(200)))
    mine = Database(db.url)
    worker = threading.Thread(target=forget_due, args=(mine,))
    worker.start()

    waited = []
    for n in range(1000, 1010):
        began = time.monotonic()
        ingest(db, old(n, 1))
        waited.append(time.monotonic() - began)
    worker.join()
    mine.close()
    forget_due(db)

    assert max(waited) < 5
    assert len(forgotten(db)) == 200


_WORK = """
import sys
from datetime import datetime
from service.db import Database
from service.forgetting.retention import Retention
retention = Retention(Database(sys.argv[1]), 90)
print("ready", flush=True)
while retention.step(datetime.fromisoformat(sys.argv[2])):
    pass
"""


@pytest.mark.slow
def test_a_killed_worker_leaves_no_conversation_half_forgotten(db: Database) -> None:
    count = 300
    ingest(db, *(old(n, 100) for n in range(count)))
    rng, kills = random.Random(7), 0

    while len(forgotten(db)) < count:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        worker = [sys.executable, "-c", _WORK, db.url, NOW.isoformat()]
        process = subprocess.Popen(worker, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        process.stdout.readline()
        if kills < 5:
            time.sleep(rng.uniform(0.0, 0.08))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        process.stdout.close()
        gone = {one.id for one in rows_of(db, Conversation) if one.forgotten_at}
        left = {one.conversation_id for one in rows_of(db, Turn) if one.text}
        assert not gone & left
        assert len(gone | left) == count
    assert places_of(db, WORD) == []


def test_the_migration_tells_the_age_and_the_quotes_of_what_was_there(db: Database, database_url: str) -> None:
    triage = make_triage(db, HashingEncoder())
    for n, days in ((1, "5 days."), (2, "9 days.")):
        told = old(n, 100 * n)
        for turn, said in zip(told["turns"], ("How long does it keep in the cold?", days), strict=True):
            turn["text"] = said
        ingest(db, told)
        score_all(triage)
    ingest(db, old(3, -9000), now=NOW)  # by a wrong clock
    before = [[(one.id, one.last_event_at) for one in rows_of(db, Conversation)][:2]]
    before.append([(one.id, one.other_id) for one in rows_of(db, Evidence)])
    assert any(other for _, other in before[1])

    db.engine.dispose()
    command.downgrade(config(database_url), "0011")
    upgrade(database_url)

    found = [(one.id, one.last_event_at) for one in rows_of(db, Conversation)]
    assert [found[:2], [(one.id, one.other_id) for one in rows_of(db, Evidence)]] == before
    assert found[2][1] < NOW + 9000 * DAY
    check_current(db)


# --- SQLite's file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite(sqlite_url: str) -> Any:
    database = Database(sqlite_url)
    yield database
    database.close()


def fill(db: Database, count: int) -> None:
    """Conversations of very different sizes, indexed in several parts, some of them changed since."""
    rng = random.Random(3)
    for start in range(0, count, 40):
        told = []
        for n in range(start, start + 40):
            one = make_asked(f"c{n}", f"{WORD} " * rng.choice((1, 30, 900)) + f"number{n} {n}")
            told.append(one)
        ingest(db, *told)
        while index_due(db):
            pass
    score_all(make_triage(db, HashingEncoder()))
    ingest(db, turn_added("q", "user", f"{WORD}x again", conversation="c1", edited_at=LATER.isoformat()))
    while index_due(db):
        pass


def pages_with(db: Database, word: str) -> tuple[int, int]:
    """How many pages of the file hold the word: those in use, and free ones. The log must be empty."""
    data = bytes_of(db)
    with db.read() as session:
        size = session.execute(text("PRAGMA page_size")).scalar_one()
        try:
            used = set(session.execute(text("SELECT pageno FROM dbstat")).scalars())
        except OperationalError:
            pytest.skip("this SQLite has no dbstat, which tells the pages in use")
    assert len(data) % size == 0
    found = [n + 1 for n in range(len(data) // size) if word.encode() in data[n * size : (n + 1) * size]]
    return sum(n in used for n in found), sum(n not in used for n in found)


def test_the_file_holds_no_word_of_what_was_forgotten(sqlite: Database) -> None:
    fill(sqlite, 120)
    ingest(sqlite, turn_added("k", "user", "this is new", conversation="kept"), now=NOW + 300 * DAY)
    index_due(sqlite)
    assert WORD.encode() in bytes_of(sqlite)

    forget_due(sqlite, 90, NOW + 300 * DAY)

    assert places_of(sqlite, WORD) == []
    held, free = pages_with(sqlite, WORD[1:])  # the index writes what a word shares with the one before only once
    assert free == 0
    assert held <= 0.01 * len(bytes_of(sqlite)) / 4096  # copies that SQLite leaves in pages whose rows moved
    assert rewrite(sqlite)
    assert WORD[1:].encode() not in bytes_of(sqlite)
    assert [one.text for one in rows_of(sqlite, Turn, Turn.text != "")] == ["this is new"]


def test_what_is_searched_for_is_found_as_before_after_the_index_was_merged(sqlite: Database) -> None:
    fill(sqlite, 80)
    ingest(sqlite, make_conversation(2, id="kept"))
    index_due(sqlite)
    for n in range(40):
        erase(sqlite, Wanted("standard", f"c{n}"), LATER)

    assert scrub(sqlite)

    with sqlite.read() as session:
        found = text("SELECT count(*) FROM searchable_words WHERE searchable_words MATCH :word")
        counts = [session.execute(found, {"word": word}).scalar() for word in (f'"{WORD}"', '"kept"')]
    with sqlite.write() as session:
        session.execute(text("INSERT INTO searchable_words (searchable_words, rank) VALUES ('integrity-check', 1)"))
    assert counts == [40, 1]


def test_the_log_is_emptied_once_no_reader_needs_it(sqlite: Database) -> None:
    ingest(sqlite, old(1, 100))
    index_due(sqlite)
    other = Database(sqlite.url)
    with other.read() as session:
        session.execute(text("SELECT count(*) FROM turn")).scalar()
        erase(sqlite, Wanted("standard", "c1"), LATER)
        assert not scrub(sqlite)
    other.close()

    retention = Retention(sqlite, None)
    retention.step(NOW)

    assert WORD.encode() not in bytes_of(sqlite)


def test_a_worker_scrubs_after_what_others_forgot_and_then_rests(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    scrubbed: list[Database] = []
    real: Callable[[Database], bool] = scrub
    monkeypatch.setattr("service.forgetting.retention.scrub", lambda db: scrubbed.append(db) or real(db))
    retention = Retention(sqlite, None)
    ingest(sqlite, old(1, 1))
    retention.step(NOW)
    assert scrubbed == []

    erase(sqlite, Wanted("standard", "c1"), LATER)
    for _ in range(3):
        retention.step(NOW)

    assert len(scrubbed) == 1


# --- the setting ------------------------------------------------------------------------------------------------------


def test_a_running_worker_forgets_by_the_setting(settings: Settings, db: Database) -> None:
    ingest(db, old(1, 100), now=NOW)
    stop = threading.Event()
    worker = threading.Thread(target=run, args=(settings.model_copy(update={"retention_days": 30.0}), db, {}, stop))
    worker.start()
    try:
        for _ in range(200):
            if forgotten(db):
                break
            time.sleep(0.1)
    finally:
        stop.set()
        worker.join()

    assert forgotten(db) == ["c1"]


@pytest.mark.parametrize("days", [0, -1])
def test_a_retention_of_no_days_is_refused(days: float) -> None:
    with pytest.raises(ValidationError, match="retention_days"):
        Settings(retention_days=days)
