"""Forgetting as admins do it: from a conversation's page, by the API, by the command; reviewers are told."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import add_reviewer, add_token, fill_queue, ingest, make_body, make_disliked, rows_of, sign, turn_added
from fastapi.testclient import TestClient
from forgetting import WORD, conversation_of, item_of, make_asked, make_known, places_of
from test_cli import triage as run_triage

from service import claims
from service.app import create_app
from service.db import Database
from service.models import Conversation, Draft, ItemState, ReviewItem, Scope
from service.settings import Settings

PAGE = {"accept": "text/html"}
PASSWORD = "a long password"
LEASE = timedelta(hours=1)


@pytest.fixture
def client(settings: Settings, db: Database) -> Iterator[TestClient]:
    add_reviewer(db, "lead", PASSWORD, is_admin=True)
    with TestClient(create_app(settings), headers=PAGE) as client:
        yield client


def sign_in(client: TestClient, name: str = "lead") -> None:
    client.post("/sign-in", data={"name": name, "password": PASSWORD})


def test_an_admin_sees_what_would_go_and_forgets_it_from_its_page(client: TestClient, db: Database) -> None:
    make_known(db)
    here = f"/conversations/{conversation_of(db, 'c1')}"
    sign_in(client)
    assert f'action="{here}/forget"' in client.get(here).text

    asked = client.get(f"{here}/forget")
    assert WORD in client.get(here).text.lower()
    for told in ("3 turns", "1 rating", "1 reviewer&#39;s draft", "1 comment", "1 labelled example", "2 kept deliveries"):
        assert told in asked.text, told
    answer = client.post(f"{here}/forget")

    assert answer.status_code == 200
    assert "Forgotten: its words are gone" in answer.text
    assert "These words were forgotten on request." in answer.text
    assert WORD not in answer.text.lower()
    assert "put into the queue" not in answer.text
    assert f'action="{here}/lift"' in answer.text
    assert "No words of it are left." in client.get(f"{here}/forget").text


def test_forgetting_can_be_lifted_from_the_page(client: TestClient, db: Database) -> None:
    ingest(db, make_asked())
    here = f"/conversations/{conversation_of(db, 'c1')}"
    sign_in(client)
    client.post(f"{here}/forget")

    answer = client.post(f"{here}/lift")

    assert "Lifted" in answer.text
    assert rows_of(db, Conversation)[0].forgotten_at is None
    assert client.post(f"{here}/lift").status_code == 409


def test_nobody_but_an_admin_forgets(client: TestClient, db: Database) -> None:
    ingest(db, make_asked())
    add_reviewer(db, "anna", PASSWORD)
    here = f"/conversations/{conversation_of(db, 'c1')}"
    sign_in(client, "anna")

    assert "forget" not in client.get(here).text.lower()
    assert [client.get(f"{here}/forget").status_code, client.post(f"{here}/forget").status_code] == [403, 403]
    token = add_token(db, Scope.review, Scope.ingest, reviewer="anna")
    asked = {"source": "standard", "conversation_id": "c1"}
    for path in ("forget", "forget/lift"):
        assert client.post(f"/api/v1/{path}", json=asked, headers=token).status_code == 403
    assert client.get("/api/v1/forgotten", headers=token).status_code == 403
    assert places_of(db, WORD) != []


def test_a_reviewer_whose_item_was_forgotten_is_told_on_its_page_and_by_its_script(client: TestClient, db: Database) -> None:
    (item_id,) = fill_queue(db, make_asked())
    anna = add_reviewer(db, "anna", PASSWORD)
    with db.write() as session:
        claim = claims.claim_next(session, anna, datetime.now(UTC), LEASE)
    assert claim is not None
    sign_in(client)
    client.post(f"/conversations/{conversation_of(db, 'c1')}/forget")
    sign_in(client, "anna")
    form = {"fence": str(claim.fence), "label": "wrong", "comment": f"about {WORD}"}

    beat = client.post(f"/items/{item_id}/heartbeat", data={"fence": claim.fence}, headers={"accept": "application/json"})
    saved = client.post(f"/items/{item_id}/decide", data=form)
    draft = client.post(f"/items/{item_id}/draft", data=form)
    page = client.get(f"/items/{item_id}")

    assert (beat.status_code, saved.status_code, draft.status_code) == (410, 410, 410)
    assert "forgotten" in beat.json()["detail"]
    for told in (saved.text, page.text):
        assert "forgotten" in told
        assert WORD not in told.lower()
        assert "Send it back" not in told
        assert "Add comment" not in told
    assert rows_of(db, Draft) == []
    assert [one.state for one in rows_of(db, ReviewItem)] == [ItemState.not_reviewable]


def test_a_decided_item_that_was_forgotten_still_shows_its_verdict(client: TestClient, db: Database) -> None:
    item_id = make_known(db)
    sign_in(client)
    client.post(f"/conversations/{conversation_of(db, 'c1')}/forget")

    page = client.get(f"/items/{item_id}").text

    assert "Wrong" in page
    assert "These words were forgotten on request." in page
    assert WORD not in page.lower()
    for path in ("/queue?state=done", "/queue?state=not_reviewable", f"/items/{item_of(db, 'c3')}", "/lead", "/conversations"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert WORD not in answer.text.lower(), path


def test_the_api_says_what_would_go_forgets_lists_and_lifts(client: TestClient, db: Database) -> None:
    make_known(db)
    admin = {**add_token(db, Scope.admin), "accept": "application/json"}
    asked = {"source": "standard", "conversation_id": "c1"}

    foreseen = client.post("/api/v1/forget", json={**asked, "dry_run": True}, headers=admin).json()
    assert places_of(db, WORD) != []
    done = client.post("/api/v1/forget", json=asked, headers=admin).json()
    listed = client.get("/api/v1/forgotten", headers=admin).json()
    lifted = client.post("/api/v1/forget/lift", json=asked, headers=admin)

    assert foreseen == done
    assert done["conversations"] == [{"source": "standard", "conversation_id": "c1"}]
    assert (done["turns"], done["verdicts"], done["bodies"], done["articles"]) == (3, 1, 2, [])
    assert [(one["source"], one["conversation_id"], one["because"]) for one in listed] == [("standard", "c1", "request")]
    assert lifted.status_code == 204
    assert client.get("/api/v1/forgotten", headers=admin).json() == []


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({}, 422, "either a conversation or a user"),
        ({"source": "standard", "conversation_id": "c1", "user_id": "u"}, 422, "either a conversation or a user"),
        ({"conversation_id": "c1"}, 422, "source: which"),
        ({"source": "standard", "conversation_id": "c9"}, 404, "has no conversation 'c9'"),
        ({"user_id": "nobody"}, 404, "names a user 'nobody'"),
        ({"user": "u"}, 422, "user"),
    ],
)
def test_what_cannot_be_forgotten_is_said(client: TestClient, db: Database, asked: Any, status: int, says: str) -> None:
    ingest(db, make_asked())
    admin = {**add_token(db, Scope.admin), "accept": "application/json"}

    answer = client.post("/api/v1/forget", json=asked, headers=admin)

    assert answer.status_code == status
    assert says in answer.text


def test_an_item_decided_by_the_api_after_it_was_forgotten_is_gone(client: TestClient, db: Database) -> None:
    (item_id,) = fill_queue(db, make_asked())
    add_reviewer(db, "anna", PASSWORD)
    token = {**add_token(db, Scope.review, reviewer="anna"), "accept": "application/json"}
    claim = client.post(f"/api/v1/items/{item_id}/claim", headers=token).json()
    admin = {**add_token(db, Scope.admin, name="lead's"), "accept": "application/json"}
    client.post("/api/v1/forget", json={"user_id": "u-7"}, headers=admin)

    answer = client.post(
        f"/api/v1/items/{item_id}/decide", json={"fence": claim["fence"], "label": "wrong", "comment": WORD}, headers=token
    )

    assert answer.status_code == 410
    assert places_of(db, WORD) == []


def test_a_webhook_that_tells_of_a_forgotten_conversation_again_gets_its_2xx_and_stores_nothing(
    client: TestClient, db: Database
) -> None:
    ingest(db, make_asked())
    admin = {**add_token(db, Scope.admin), "accept": "application/json"}
    client.post("/api/v1/forget", json={"source": "standard", "conversation_id": "c1"}, headers=admin)
    body = make_body(turn_added("t7", "user", f"{WORD}?"), turn_added("t1", "user", "another", conversation="c2"))

    answer = client.post("/hooks/standard", content=body, headers=sign(body))

    assert answer.status_code == 202
    assert places_of(db, WORD) == []
    assert places_of(db, "another") != []


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(sqlite_url: str, tmp_path: Path) -> Path:
    db = Database(sqlite_url)
    ingest(db, make_asked(), make_disliked("Where is my parcel?", id="c2"))
    db.close()
    return tmp_path


def words_left(folder: Path) -> list[str]:
    db = Database(f"sqlite:///{folder}/triage.db")
    found = places_of(db, WORD)
    db.close()
    return found


def test_the_command_asks_first_and_a_dry_run_changes_nothing(folder: Path) -> None:
    dry = run_triage(folder, "forget", "c1", "--source", "standard", "--dry-run")
    refused = run_triage(folder, "forget", "c1", "--source", "standard", given="n\n")

    assert dry.returncode == 0
    assert dry.stdout.startswith("standard c1\nWould go: conversations 1, turns 3, ratings' words 1")
    assert refused.returncode == 1
    assert words_left(folder) != []


def test_the_command_forgets_a_user_lists_it_and_lifts_it(folder: Path) -> None:
    done = run_triage(folder, "forget", "--user", "u-7", "--yes")
    listed = run_triage(folder, "forgotten")
    left = words_left(folder)
    lifted = run_triage(folder, "forget", "c1", "--source", "standard", "--lift")
    scrubbed = run_triage(folder, "scrub")

    assert (done.returncode, lifted.returncode, scrubbed.returncode) == (0, 0, 0)
    assert "Gone: conversations 1," in done.stdout
    assert listed.stdout.endswith("request  standard  c1\n")
    assert left == []
    assert run_triage(folder, "forgotten").stdout == ""
    file = (folder / "triage.db").read_bytes().lower()
    assert WORD.encode() not in file
    assert b"parcel" in file


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "either a conversation or a user"),
        (["c1"], "source: which source"),
        (["c1", "--source", "standard", "--user", "u"], "either a conversation or a user"),
        (["c9", "--source", "standard", "--yes"], "has no conversation 'c9'"),
        (["--user", "u-7", "--lift"], "--lift: give one conversation"),
        (["c1", "--source", "standard", "--lift"], "is not forgotten"),
    ],
)
def test_the_command_says_what_it_cannot_forget(folder: Path, args: list[str], says: str) -> None:
    told = run_triage(folder, "forget", *args)

    assert told.returncode == 1
    assert says in told.stderr
    assert words_left(folder) != []
