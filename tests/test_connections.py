"""What an admin sees of the sources: counts that nobody can blow up, test deliveries over the network, replay, the doctor."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from conftest import SECRET, add_reviewer, make_body, make_settings, rows_of, sign, turn_added
from fastapi.testclient import TestClient
from pydantic import SecretStr
from standardwebhooks import Webhook

from connectors.sources.chatwoot import ChatwootSource
from service.app import create_app
from service.db import Database
from service.errors import SetupError
from service.models import Conversation, Delivery, DeliveryCount, Turn
from service.settings import Settings, SourceSettings
from service.tally import MOST_NAMES, Outcome, Tally

PASSWORD = "a long password"
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
SOURCES = {
    "standard": SourceSettings(secrets=[SecretStr(SECRET)]),
    "chat": SourceSettings(kind="chatwoot", secrets=[SecretStr("cw-secret")]),
    "icom": SourceSettings(kind="intercom", secrets=[SecretStr("ic-secret")]),
    "sun": SourceSettings(kind="sunshine", secrets=[SecretStr("su-secret")]),
    "bp": SourceSettings(kind="botpress", secrets=[SecretStr("bp-secret")]),
    "acme": SourceSettings(
        kind="generic", secrets=[SecretStr("g")], header="x-sig", conversation_id="c", turn_id="i", role="r", text="t"
    ),
}


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return make_settings(sqlite_url, tmp_path, sources=SOURCES, port=port)


@pytest.fixture
def own_db(settings: Settings) -> Iterator[Database]:
    db = Database(settings.database_url)
    yield db
    db.close()


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The web process over a real socket."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=settings.port, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{settings.port}"
    server.should_exit = True
    thread.join()


def signed_in(base: str, name: str = "lead") -> httpx.Client:
    client = httpx.Client(base_url=base, headers={"accept": "text/html"}, timeout=30)
    assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    return client


def test_the_standardwebhooks_package_drives_a_running_server(settings: Settings, own_db: Database) -> None:
    body, at = make_body(turn_added(text="sent over the network")).decode(), datetime.now(UTC)
    headers = {
        "webhook-id": "n1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("n1", at, body),
    }

    with running(settings) as base:
        answers = [httpx.post(f"{base}/hooks/standard", content=body, headers=headers).status_code for _ in range(2)]

    assert answers == [202, 202]
    assert [turn.text for turn in rows_of(own_db, Turn)] == ["sent over the network"]


def test_a_test_delivery_of_every_source_travels_over_the_network_and_leaves_nothing(
    settings: Settings, own_db: Database
) -> None:
    add_reviewer(own_db, "lead", PASSWORD, is_admin=True)

    with running(settings) as base, closing(signed_in(base)) as client:
        where = {name: client.post(f"/connections/{name}/test").headers["location"] for name in SOURCES}

    assert {name for name, location in where.items() if "said=tested&" in location} == set(SOURCES) - {"acme"}
    assert "said=tested_empty&" in where["acme"]
    assert rows_of(own_db, Conversation) == rows_of(own_db, Delivery) == []
    accepted = {row.source: row.count for row in rows_of(own_db, DeliveryCount) if row.outcome == "accepted"}
    assert accepted == dict.fromkeys(SOURCES, 1)


@pytest.fixture
def lead(settings: Settings, own_db: Database) -> Iterator[TestClient]:
    add_reviewer(own_db, "lead", PASSWORD, is_admin=True)
    with TestClient(create_app(settings), headers={"accept": "text/html"}) as client:
        client.post("/sign-in", data={"name": "lead", "password": PASSWORD})
        yield client


def test_the_page_shows_what_was_refused_why_and_what_was_ignored(lead: TestClient) -> None:
    for _ in range(3):
        lead.post("/hooks/bp", content=b"{}", headers={"x-bp-secret": "nope"})
    lead.post("/hooks/bp", content=b'{"type": "webchat:trigger"}', headers={"x-bp-secret": "bp-secret"})

    page = lead.get("/connections").text

    assert re.search(r"Header x-bp-secret: matches no secret of this source\..*?Count\">3<", page, re.DOTALL)
    assert re.search(r"webchat:trigger</td><td data-label=\"Count\">1<", page)
    assert "/hooks/bp" in page
    assert "nope" not in page
    assert "bp-secret" not in page.replace("x-bp-secret", "")


def test_a_test_delivery_says_when_nobody_listens(lead: TestClient) -> None:
    answer = lead.post("/connections/bp/test")

    assert answer.status_code == 422
    assert "does not answer" in answer.text


def test_what_could_not_be_read_is_counted_and_read_again(lead: TestClient, own_db: Database) -> None:
    body = b'{"events": 3}'
    assert lead.post("/hooks/standard", content=body, headers=sign(body)).status_code == 422

    page = lead.get("/connections").text
    again = lead.post("/connections/standard/replay")

    assert "Read them again" in page
    assert "still cannot be read" in again.text
    assert len(rows_of(own_db, Delivery)) == 1


def test_the_doctor_on_the_page_takes_a_file_and_shows_no_secret(lead: TestClient) -> None:
    headers = ChatwootSource().scheme.sign(b"{}", "cw-secret", "d", datetime.now(UTC))
    pasted = "\n".join(f"{name}: {value}" for name, value in headers.items())

    right = lead.post("/connections/chat/check", data={"headers": pasted}, files={"body_file": ("b", b"{}")})
    wrong = lead.post("/connections/chat/check", data={"headers": pasted}, files={"body_file": ("b", b"{}\n")})
    pasted_body = lead.post("/connections/chat/check", data={"headers": pasted, "body": "{}"})
    empty = lead.post("/connections/chat/check", data={"headers": ""})

    assert "The signature holds" in right.text
    assert "The signature holds" in pasted_body.text
    assert "a line end was added" in wrong.text
    assert (empty.status_code, "one a line" in empty.text) == (422, True)
    assert "cw-secret" not in right.text + wrong.text


def test_only_admins_see_the_connections(settings: Settings, own_db: Database) -> None:
    add_reviewer(own_db, "anna", PASSWORD)
    with TestClient(create_app(settings), headers={"accept": "text/html"}) as client:
        client.post("/sign-in", data={"name": "anna", "password": PASSWORD})

        assert client.get("/connections").status_code == 403
        assert client.post("/connections/bp/test").status_code == 403
        assert "/connections" not in client.get("/queue").text


def test_nobody_can_fill_the_disk_with_reasons(db: Database) -> None:
    tally = Tally(db)

    for round_ in range(3):
        for number in range(200):
            tally.count("s", Outcome.refused, NOW, f"reason {round_} {number}" + "x" * 5000, ["h" * 999] * 999)
        tally.flush()

    rows = rows_of(db, DeliveryCount)
    assert len(rows) <= MOST_NAMES + 1
    assert sum(row.count for row in rows) == 600
    assert all(len(row.what) <= 200 and len(str(row.headers)) < 5000 for row in rows)


def test_counts_of_several_processes_add_up(db: Database) -> None:
    one, other = Tally(db), Tally(db)
    for tally in (one, other, one):
        tally.count("s", Outcome.accepted, NOW)
        tally.flush()

    assert [(row.outcome, row.count) for row in rows_of(db, DeliveryCount)] == [("accepted", 3)]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"kind": "chatwoot", "secrets": ["s"], "bot_agent": 3}, "sources.x: .*bot_agent"),
        ({"kind": "chatwoot"}, "sources.x.secrets"),
        ({"kind": "chatwoot", "secrets": ["s"], "allow_unsigned": True}, "sources.x.allow_unsigned"),
        ({"kind": "standard", "allow_unsigned": True}, "sources.x: .*allow_unsigned"),
        ({"kind": "generic", "secrets": ["s"]}, r"sources.x.conversation_id: Field required"),
        (
            {"kind": "generic", "secrets": ["s"], "header": "h", "conversation_id": "a["},
            "sources.x.conversation_id: is no JMESPath",
        ),
    ],
)
def test_options_that_a_source_does_not_know_are_an_error_at_the_start(
    sqlite_url: str, tmp_path: Path, source: dict[str, Any], says: str
) -> None:
    with pytest.raises(SetupError, match=says):
        create_app(make_settings(sqlite_url, tmp_path, sources={"x": SourceSettings(**source)}))


def test_an_unsigned_source_takes_what_comes_only_where_the_settings_allow_it(sqlite_url: str, tmp_path: Path) -> None:
    open_ = {"old": SourceSettings(kind="chatwoot", allow_unsigned=True)}
    body = (Path(__file__).parent / "payloads" / "chatwoot" / "incoming.json").read_bytes()
    with TestClient(create_app(make_settings(sqlite_url, tmp_path, sources=open_))) as client:
        assert [client.post("/hooks/old", content=body).status_code for _ in range(2)] == [202, 202]
