"""The JSON API: what programs send is checked and named, what they get is complete."""

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import (
    NOW,
    add_reviewer,
    add_token,
    fill_queue,
    ingest,
    make_conversation,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
    turn_added,
)
from fastapi.testclient import TestClient

from scoring.encoder import Encoder
from service.app import create_app
from service.db import Database
from service.models import Article, Conversation, Exchange, ReviewItem, Scope, Turn
from service.settings import Settings


@pytest.fixture
def api(db: Database, settings: Settings) -> Iterator[TestClient]:
    """With a token that may do everything, for Anna."""
    add_reviewer(db, "anna")
    with TestClient(create_app(settings), base_url="http://testserver/api/v1/") as client:
        client.headers.update(add_token(db, Scope.admin, Scope.review, reviewer="anna"))
        yield client


@pytest.fixture
def item(db: Database, api: TestClient) -> int:
    (only,) = fill_queue(db, make_disliked("where is my parcel"))
    return only


def claim(api: TestClient) -> dict[str, Any]:
    claimed: dict[str, Any] = api.post("items/claim", json={}).json()
    return claimed


# --- ingest -------------------------------------------------------------------------------------------------------


def test_whole_conversations_and_events_come_in_and_the_same_again_changes_nothing(api: TestClient, db: Database) -> None:
    body = {"conversations": [make_conversation(3)], "events": [turn_added("t4", "bot", "mail eve@example.org")]}

    answers = [api.post("sources/standard/conversations", json=body) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, {"events": 5})] * 2
    assert [turn.text for turn in rows_of(db, Turn)][-1] == "mail [email]"
    assert rows_of(db, Conversation)[0].revision == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"conversations": [{"id": "c", "turns": [{"role": "robot", "text": "x"}]}]}',
        '{"events": [{"type": "nothing"}]}',
        '{"conversations": [{"id": "c", "turns": [], "x": NaN}]}',
        '{"conversations": [{"id": "c", "turns": [], "started_at": "0001-01-01T00:00:00+20:00"}]}',
        '{"conversations": [{"id": "c", "turns": [], "x": ' + "[" * 300 + "]" * 300 + "}]}",
        "[" * 100_000,
        '{"conversations": ' + "9" * 5000 + "}",
        "no json",
        "",
    ],
)
def test_what_cannot_be_read_is_refused_and_stores_nothing(api: TestClient, db: Database, body: str) -> None:
    answer = api.post("sources/standard/conversations", content=body, headers={"content-type": "application/json"})

    assert answer.status_code in (400, 422)
    assert not rows_of(db, Conversation)


def test_an_unknown_source_is_not_found(api: TestClient) -> None:
    assert api.post("sources/nobody/conversations", json={}).status_code == 404


# --- by hand ------------------------------------------------------------------------------------------------------


def test_any_exchange_comes_into_the_queue_by_hand_and_only_once(api: TestClient, db: Database, hashing: Encoder) -> None:
    ingest(db, make_conversation(2))
    score_all(make_triage(db, hashing))
    (exchange,) = rows_of(db, Exchange)

    first = api.post(f"exchanges/{exchange.id}/review", json={"reason": "the lead wants to see it"})
    again = api.post(f"exchanges/{exchange.id}/review", json={})

    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    (item,) = rows_of(db, ReviewItem)
    assert (item.id, item.strategy, item.propensity) == (first.json()["item_id"], "by_hand", 1.0)
    assert item.reason == "chosen by anna: the lead wants to see it"
    assert claim(api)["item_id"] == item.id
    assert make_triage(db, hashing).pick_due(NOW + timedelta(hours=1), Random(0)) == 0


def test_what_cannot_be_put_into_the_queue_by_hand_is_told(api: TestClient, db: Database, item: int) -> None:
    assert api.post("exchanges/999/review", json={}).status_code == 404
    assert api.post("exchanges/999/review", json={"reason": "x" * 501}).status_code == 422
    (known,) = rows_of(db, ReviewItem)
    assert api.post(f"exchanges/{known.exchange_id}/review", json={}).json() == {"item_id": item}
    assert rows_of(db, ReviewItem)[0].strategy == known.strategy


# --- the queue ----------------------------------------------------------------------------------------------------


def test_an_item_comes_with_all_that_a_reviewer_needs(api: TestClient, item: int) -> None:
    (listed,) = api.get("items").json()
    detail = api.get(f"items/{item}").json()

    assert listed["evidence"][0]["note"]
    assert [turn["text"] for turn in detail["turns"]] == ["where is my parcel", "We ship to all of Europe."]
    assert detail["feedback"][0]["comment"] == "wrong answer"
    assert {name: detail[name] for name in listed} == listed
    assert api.get("counts").json()["open"] == 1


def test_an_item_goes_through_its_life(api: TestClient, db: Database, item: int) -> None:
    held = claim(api)
    fence = {"fence": held["fence"]}

    statuses = [
        api.put(f"items/{item}/draft", json={"answer": "half"}).status_code,
        api.post(f"items/{item}/heartbeat", json=fence).status_code,
        api.post(f"items/{item}/release", json=fence).status_code,
        api.post(f"items/{item}/heartbeat", json=fence).status_code,
        api.post(f"items/{item}/claim").status_code,
        api.post(f"items/{item}/decide", json={"fence": 2, "label": "good"}).status_code,
        api.post(f"items/{item}/decide", json={"fence": 2, "label": "good"}).status_code,
        api.post(f"items/{item}/send-back", json={"reason": "look again"}).status_code,
        api.post(f"items/{item}/send-back", json={"reason": "look again"}).status_code,
    ]

    assert statuses == [204, 200, 204, 409, 200, 200, 200, 204, 409]
    assert rows_of(db, ReviewItem)[0].state == "open"


@pytest.mark.parametrize(
    "decision",
    [
        {"label": "good"},
        {"fence": 1, "label": "superb"},
        {"fence": 1, "label": "wrong", "causes": ["magic"]},
        {"fence": 1, "label": "wrong", "answer": "x" * 20_001},
        {"fence": 1, "label": "wrong", "unknown": 1},
        {"fence": 1, "label": "wrong", "answer": " "},
        {"fence": 10**30, "label": "wrong"},
        {"fence": 1, "label": "wrong", "answer": "x", "article_id": 10**30},
    ],
)
def test_a_wrong_decision_is_refused_and_the_item_stays(
    api: TestClient, db: Database, item: int, decision: dict[str, Any]
) -> None:
    claim(api)

    answer = api.post(f"items/{item}/decide", json=decision)

    assert answer.status_code == 422
    assert rows_of(db, ReviewItem)[0].state == "open"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "items/4711"),
        ("GET", "items/99999999999999999999"),
        ("GET", "items/0"),
        ("GET", "items/x"),
        ("GET", "items?offset=99999999999999999999"),
        ("GET", "items?limit=0"),
        ("GET", "items?colour=red"),
        ("POST", "items/99999999999999999999/claim"),
        ("GET", "articles/nothing"),
        ("GET", "articles/%00"),
        ("GET", "articles?search=%00"),
        ("GET", "articles?search=%FF"),
        ("GET", "items?source=%00"),
        ("GET", "articles/changes?after=nonsense"),
        ("GET", "articles/changes?limit=501"),
    ],
)
def test_what_is_not_there_or_cannot_be_is_never_a_server_error(api: TestClient, method: str, path: str) -> None:
    answer = api.request(method, path)

    assert answer.status_code in (200, 404, 422)
    assert answer.status_code == 200 or answer.json()["detail"]


# --- articles -----------------------------------------------------------------------------------------------------


def test_an_article_is_made_changed_and_pulled_from_the_feed(api: TestClient, db: Database) -> None:
    content = {"question": "What does it cost?", "answer": "Nothing.", "variants": ["price?"], "intent": "fees"}

    made = api.post("articles", json={**content, "key": "fees"})
    same = api.post("articles", json={**content, "key": "fees"})
    changed = api.put("articles/fees", json={**content, "answer": "A lot.", "expected_version": 1})
    late = api.put("articles/fees", json={**content, "answer": "Some.", "expected_version": 1})
    paused = api.put("articles/fees", json={**content, "answer": "A lot.", "status": "paused"})
    first = api.get("articles/changes", params={"limit": 2}).json()
    rest = api.get("articles/changes", params={"limit": 2, "after": first["cursor"]}).json()

    assert [answer.status_code for answer in (made, same, changed, late, paused)] == [201, 409, 200, 409, 200]
    assert [(c["version"], c["answer"], c["status"]) for c in first["changes"] + rest["changes"]] == [
        (1, "Nothing.", "active"),
        (2, "A lot.", "active"),
        (3, "A lot.", "paused"),
    ]
    assert (first["more"], rest["more"]) == (True, False)
    assert first["changes"][-1]["cursor"] == first["cursor"]
    assert api.get("articles/fees").json()["version"] == 3
    assert [a["key"] for a in api.get("articles", params={"search": "lot cost"}).json()] == ["fees"]


@pytest.mark.parametrize("key", ["../x", "", "a b", "x" * 200])
def test_a_key_that_could_not_be_a_file_name_is_refused(api: TestClient, db: Database, key: str) -> None:
    assert api.post("articles", json={"question": "q", "answer": "a", "key": key}).status_code == 422
    assert not rows_of(db, Article)


def test_a_character_that_cannot_be_stored_is_refused_or_stored_but_no_failure(api: TestClient) -> None:
    for text in ("a\x00b", "\ud800", "\u202e🙈"):
        body = {"question": text, "answer": text}

        answer = api.post("articles", content=json.dumps(body), headers={"content-type": "application/json"})

        assert answer.status_code in (201, 422)


def test_the_api_describes_itself(api: TestClient) -> None:
    schema = api.get("openapi.json").json()

    assert "/api/v1/items/{item_id}/decide" in schema["paths"]
