"""`triage pull` as a person uses it, and the pulls on the connections page."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from conftest import add_reviewer, make_settings, rows_of
from fastapi.testclient import TestClient
from platforms import Answer, in_turn, platform
from processes import run
from sqlalchemy import update

from service.app import create_app
from service.db import Database
from service.models import Conversation, Delivery, DeliveryState, PullCursor, Turn
from service.settings import PullSettings

PASSWORD = "a long password"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "events.log"
    at = datetime.now(UTC).timestamp() - 3600
    lines = [{"event": "user", "text": f"words {n}", "timestamp": at + n, "sender_id": "u1"} for n in range(3)]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "user", "text": "lost", "timestamp": 1}\n')
    return log


def triage(folder: Path, pulls: dict[str, Any], *args: str) -> CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")},
        "TRIAGE_DATABASE_URL": f"sqlite:///{folder}/triage.db",
        "TRIAGE_PULLS": json.dumps(pulls),
        "PYTHONWARNINGS": "error",
        "COLUMNS": "200",
    }
    return run(args, environment, folder)


def stored(folder: Path, model: Any) -> list[Any]:
    db = Database(f"sqlite:///{folder}/triage.db")
    rows = rows_of(db, model)
    db.close()
    return rows


def test_a_dry_run_says_what_is_there_and_stores_nothing(sqlite_url: str, tmp_path: Path, log: Path) -> None:
    done = triage(tmp_path, {"shop": {"kind": "rasa_events", "path": str(log)}}, "pull", "shop", "--dry-run")

    assert done.returncode == 1
    assert "4 records of 1 conversations on the first page; nothing is stored" in done.stderr
    assert "3 × turn_added" in done.stderr
    assert "sender_id: missing" in done.stderr
    assert stored(tmp_path, Turn) == stored(tmp_path, PullCursor) == []


def test_a_pull_by_hand_stores_and_its_state_can_be_seen(sqlite_url: str, tmp_path: Path, log: Path) -> None:
    pulls = {"shop": {"kind": "rasa_events", "path": str(log), "every_minutes": 0}, "other": {"kind": "lex", "path": "nowhere"}}

    first = triage(tmp_path, pulls, "pull", "shop")
    other = triage(tmp_path, pulls, "pull", "other")
    status = triage(tmp_path, pulls, "pull", "--status")

    assert first.returncode == 0
    assert "4 records with 3 turns and 0 ratings, 1 unreadable" in first.stderr
    assert [turn.text for turn in stored(tmp_path, Turn)] == ["words 0", "words 1", "words 2"]
    assert (other.returncode, "`path`: nowhere cannot be read" in other.stderr) == (1, True)
    assert "shop: last run" in status.stdout
    assert "next never; 4 records in all, 1 unreadable" in status.stdout
    assert "`path`: nowhere cannot be read" in status.stdout


def test_a_pull_from_a_date_begins_anew(sqlite_url: str, tmp_path: Path, log: Path) -> None:
    pulls = {"shop": {"kind": "rasa_events", "path": str(log)}}
    triage(tmp_path, pulls, "pull", "shop")
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"

    done = triage(tmp_path, pulls, "pull", "shop", "--from", tomorrow)

    assert "4 records with 0 turns" in done.stderr
    assert len(stored(tmp_path, Turn)) == 3


def test_once_says_when_to_try_again_and_without_it_the_command_waits(sqlite_url: str, tmp_path: Path) -> None:
    busy = Answer({}, 429, {"retry-after": "1"})
    with platform(in_turn(busy, busy, Answer({"transcripts": []}))) as server:
        pulls = {"vf": {"kind": "voiceflow", "project": "p", "api_key": "k", "url": server.url}}

        once = triage(tmp_path, pulls, "pull", "vf", "--once")

    assert once.returncode == 1
    assert "127.0.0.1 answered 429; again at" in once.stderr


@pytest.mark.parametrize(
    ("pulls", "args", "says"),
    [
        ({}, ["shop"], "there is no pull shop; configured: none"),
        ({"shop": {"kind": "lex", "path": "x"}}, [], "give the name of a pull; configured: shop"),
        ({"shop": {"kind": "lex"}}, ["shop"], "pulls.shop.path: Field required"),
        ({"shop": {"kind": "voiceflow", "project": "p", "api_key": ["hush-hush"]}}, ["shop"], "pulls.shop.api_key"),
        ({"shop": {"kind": "lex", "path": "x", "every_minutes": -1}}, ["shop"], "pulls.shop.every_minutes"),
    ],
)
def test_what_is_wrong_is_one_line_without_secrets(
    sqlite_url: str, tmp_path: Path, pulls: dict[str, Any], args: list[str], says: str
) -> None:
    done = triage(tmp_path, pulls, "pull", *args)

    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush-hush" not in done.stderr


def test_records_that_could_not_be_read_are_read_again(sqlite_url: str, tmp_path: Path, log: Path) -> None:
    pulls = {"shop": {"kind": "rasa_events", "path": str(log), "source": "bot"}}
    triage(tmp_path, pulls, "pull", "shop")
    db = Database(sqlite_url)
    mended = json.dumps({"event": "user", "text": "found", "timestamp": 1, "sender_id": "u2"}).encode()
    with db.write() as session:
        session.execute(update(Delivery).values(body=mended))
    db.close()

    done = triage(tmp_path, pulls, "replay")

    assert (done.returncode, [delivery.state for delivery in stored(tmp_path, Delivery)]) == (0, [DeliveryState.accepted])
    assert [(c.source, c.external_id) for c in stored(tmp_path, Conversation)] == [("bot", "u1"), ("bot", "u2")]


# --- the page -----------------------------------------------------------------------------------------------------


@pytest.fixture
def lead(sqlite_url: str, tmp_path: Path) -> Iterator[TestClient]:
    db = Database(sqlite_url)
    add_reviewer(db, "lead", PASSWORD, is_admin=True)
    now = datetime.now(UTC)
    with db.write() as session:
        session.add(
            PullCursor(
                name="shop", due_at=now + timedelta(hours=1), ran_at=now, attempts=3, records=1204, error="the host answered 503"
            )
        )
    db.close()
    settings = make_settings(
        sqlite_url, tmp_path, pulls={"shop": PullSettings(kind="lex", path="x"), "new": PullSettings(kind="lex", path="y")}
    )
    with TestClient(create_app(settings), headers={"accept": "text/html"}) as client:
        client.post("/sign-in", data={"name": "lead", "password": PASSWORD})
        yield client


def test_the_page_says_how_each_pull_stands(lead: TestClient) -> None:
    page = lead.get("/connections").text

    assert "The host answered 503." in page
    assert "3 tries in a row" in page
    assert "in trouble" in page
    assert "1,204" in page
    assert "not asked yet" in page


def test_the_button_makes_a_pull_due(lead: TestClient, sqlite_url: str) -> None:
    for name in ("shop", "new"):
        answer = lead.post(f"/connections/pulls/{name}/ask")
        assert "The worker asks at once." in answer.text
    unknown = lead.post("/connections/pulls/nobody/ask")

    db = Database(sqlite_url)
    assert all(row.due_at <= datetime.now(UTC) for row in rows_of(db, PullCursor))
    assert unknown.status_code == 404
    db.close()
