"""Deliveries over HTTP: acknowledged only when on disk, refused for a named reason, and no word of a person in any log."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from conftest import SECRET, make_body, make_conversation, make_settings, rows_of, sign, turn_added
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import SecretStr
from sqlalchemy import text

from service.app import SECURITY_HEADERS, create_app, make_sources
from service.db import Database
from service.ingest import replay
from service.models import Conversation, Delivery, Turn
from service.privacy import make_redact
from service.settings import Settings, SourceSettings

OTHER = "whsec_b3RoZXItc2VjcmV0LTAxMjM0NTY3ODlhYmNkZWY="
BODY = make_body(turn_added(text="How do I return shoes?"))
MARKER = "Kohlrabi"


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def deliver(client: TestClient, body: bytes = BODY, id: str = "d1", **headers: str) -> Response:
    return client.post("/hooks/standard", content=body, headers={**sign(body, id), **headers})


def test_a_signed_delivery_is_acknowledged_and_stored(client: TestClient, db: Database) -> None:
    answer = deliver(client)

    assert (answer.status_code, answer.content) == (202, b"")
    assert [(d.external_id, d.state) for d in rows_of(db, Delivery)] == [("d1", "accepted")]
    assert [turn.text for turn in rows_of(db, Turn)] == ["How do I return shoes?"]


def test_a_delivery_that_comes_again_is_acknowledged_and_changes_nothing(client: TestClient, db: Database) -> None:
    answers = [deliver(client).status_code for _ in range(3)]

    assert answers == [202, 202, 202]
    assert len(rows_of(db, Delivery)) == len(rows_of(db, Turn)) == 1
    assert rows_of(db, Conversation)[0].revision == 1


def test_a_secret_can_be_rotated(sqlite_url: str, tmp_path: Any) -> None:
    both = {"standard": SourceSettings(secrets=[SecretStr(SECRET), SecretStr(OTHER)])}
    with TestClient(create_app(make_settings(sqlite_url, tmp_path, sources=both))) as client:
        old = client.post("/hooks/standard", content=BODY, headers=sign(BODY, "d1", secret=SECRET))
        new = client.post("/hooks/standard", content=BODY, headers=sign(BODY, "d2", secret=OTHER))

    assert (old.status_code, new.status_code) == (202, 202)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"webhook-signature": "v1,d3Jvbmc="}, "webhook-signature"),
        ({"webhook-id": ""}, "webhook-id"),
        ({"webhook-timestamp": str(int((datetime.now(UTC) - timedelta(hours=1)).timestamp()))}, "webhook-timestamp"),
    ],
)
def test_what_is_not_authentic_is_refused_and_leaves_no_trace(
    client: TestClient, db: Database, headers: dict[str, str], says: str
) -> None:
    answer = deliver(client, **headers)

    assert answer.status_code == 401
    assert says in answer.json()["detail"]
    assert SECRET not in answer.text
    assert not rows_of(db, Delivery)


def test_an_unknown_source_is_not_found(client: TestClient) -> None:
    assert client.post("/hooks/nobody", content=BODY, headers=sign(BODY)).status_code == 404


def test_a_body_beyond_the_limit_is_refused_by_its_length(sqlite_url: str, tmp_path: Any) -> None:
    with TestClient(create_app(make_settings(sqlite_url, tmp_path, body_limit_bytes=2048))) as client:
        just_right, large = make_body(turn_added(text="x" * 1800)), make_body(turn_added(text="x" * 2048))

        answers = [deliver(client, just_right, "d1").status_code, deliver(client, large, "d2").status_code]

    assert answers == [202, 413]


@pytest.mark.parametrize("path", ["/hooks/standard", "/sign-in"])
def test_a_body_beyond_the_limit_is_refused_also_where_it_comes_in_pieces(sqlite_url: str, tmp_path: Any, path: str) -> None:
    with TestClient(create_app(make_settings(sqlite_url, tmp_path, body_limit_bytes=2048))) as client:
        pieces = (b"x" * 1000 for _ in range(10))

        answer = client.post(path, content=pieces, headers={**sign(b"{}"), "content-type": "application/x-www-form-urlencoded"})

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no json at all", "Invalid JSON"),
        (b'{"events": 3}', "events"),
        (make_body(turn_added(role="robot")), "events.0.turn_added.turn.role"),
    ],
)
def test_an_authentic_delivery_that_cannot_be_read_is_answered_with_the_field_and_kept(
    client: TestClient, db: Database, body: bytes, says: str
) -> None:
    answer = deliver(client, body)

    (kept,) = rows_of(db, Delivery)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert (kept.state, kept.body, says in kept.reason) == ("unreadable", bytes(kept.body), True)


def test_unreadable_deliveries_are_kept_redacted_and_read_again_on_replay(
    client: TestClient, db: Database, settings: Settings
) -> None:
    # Today's parser rejects the role; as if a later version had learnt it, the kept body is mended by hand.
    deliver(client, make_body(turn_added(role="customer", text="write to eve@example.org")))
    deliver(client, b"no json", id="d2")
    kept = rows_of(db, Delivery)[0].body
    with db.write() as session:
        session.get_one(Delivery, rows_of(db, Delivery)[0].id).body = kept.replace(b"customer", b"user")
    readers, _ = make_sources(settings)

    accepted, still = replay(db, readers, make_redact(True, []), timedelta(), datetime.now(UTC))

    assert b"eve@example.org" not in kept
    assert (accepted, len(still)) == (1, 1)
    assert [turn.text for turn in rows_of(db, Turn)] == ["write to [email]"]
    assert sorted((d.external_id, d.state, d.body is None) for d in rows_of(db, Delivery)) == [
        ("d1", "accepted", True),
        ("d2", "unreadable", False),
    ]


def test_a_delivery_that_is_sent_again_in_a_readable_form_is_taken(client: TestClient, db: Database) -> None:
    deliver(client, b"no json")

    answer = deliver(client)

    assert answer.status_code == 202
    assert [(d.state, d.body) for d in rows_of(db, Delivery)] == [("accepted", None)]
    assert len(rows_of(db, Turn)) == 1


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    answers = [
        deliver(client),
        deliver(client, b"no json", "d2"),
        deliver(client, b" " * 5_000_000, "d3"),
        client.get("/health"),
        client.get("/api/v1/items"),
        client.get("/nowhere"),
        client.get("/sign-in"),
        client.get("/static/now/triage.css"),
        client.post("/sign-in", headers={"origin": "https://evil.example"}),
    ]

    for answer in answers:
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS, answer.request.url


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as entries:
        yield (
            lambda: (
                [json.dumps(entry, default=str) for entry in entries]
                + [record.getMessage() + (record.exc_text or "") for record in caplog.records]
            )
        )


def test_no_word_of_a_person_reaches_a_log(client: TestClient, logged: Any) -> None:
    said = make_conversation(3)
    for turn in said["turns"]:
        turn["text"] = f"{MARKER} asks"
    deliver(client, make_body(turn_added(text=MARKER, note=MARKER)), "d1")
    deliver(client, make_body(turn_added(text=MARKER, role=MARKER), {"type": MARKER}, {MARKER: 1}), "d2")
    deliver(client, MARKER.encode(), "d3")
    deliver(client, make_body(turn_added(text=MARKER)), "d4", **{"webhook-signature": f"v1,{MARKER}"})
    client.post("/api/v1/items/1/decide", json={"answer": MARKER})

    lines = logged()

    assert [line for line in lines if "delivery_unreadable" in line]
    assert not [line for line in lines if MARKER in line]


def test_no_word_of_a_person_reaches_a_log_or_an_answer_when_the_database_fails(
    client: TestClient, db: Database, logged: Any
) -> None:
    with db.write() as session:
        session.execute(text("DROP TABLE turn"))

    answer = deliver(client, make_body(turn_added(text=MARKER, note=MARKER)))

    assert answer.status_code == 500
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert [line for line in logged() if "request_failed" in line]
    assert not [line for line in (*logged(), answer.text) if MARKER in line]
    assert not rows_of(db, Delivery)
