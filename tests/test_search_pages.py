"""Search as a reviewer's browser and a program use it."""

import re
from collections.abc import Iterator

import pytest
from conftest import (
    add_reviewer,
    add_token,
    fill_queue,
    ingest,
    make_conversation,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
)
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import update
from sqlmodel import col

from scoring.encoder import HashingEncoder
from service.app import create_app
from service.db import Database
from service.models import Exchange, ReviewItem, SavedFilter, Scope, SearchRequest
from service.searching.find import PATIENCE
from service.searching.index import index_due
from service.searching.meaning import answer_due
from service.settings import Settings
from service.vectors import make_past

PAGE = {"accept": "text/html"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What pages show does not depend on the database; tests/test_search.py asks both."""
    return sqlite_url


@pytest.fixture
def client(settings: Settings, db: Database) -> Iterator[TestClient]:
    add_reviewer(db, "anna", "a long enough password")
    with TestClient(create_app(settings), headers=PAGE) as client:
        yield client


@pytest.fixture
def anna(client: TestClient) -> TestClient:
    client.post("/sign-in", data={"name": "anna", "password": "a long enough password"})
    return client


def text_of(page: Response) -> str:
    assert page.status_code == 200, page.text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def add_scored(db: Database, *questions: str) -> None:
    """Scored conversations that nobody has to look at."""
    triage = make_triage(db, HashingEncoder())
    ingest(db, *(make_disliked(question, id=f"c{i}") for i, question in enumerate(questions)))
    score_all(triage)
    while index_due(db):
        pass


def test_strangers_find_nothing(client: TestClient) -> None:
    for path in ("/search?q=lamp", "/conversations"):
        assert client.get(path, follow_redirects=False).status_code == 303
    assert client.get("/api/v1/search", headers={"accept": "application/json"}).status_code == 401


def test_finds_are_counted_marked_and_lead_to_their_turn(anna: TestClient, db: Database) -> None:
    add_scored(db, "Is <b>my</b> lamp broken?", "Where is my parcel?")

    page = anna.get("/search?q=lamp")

    assert '<h2 id="results-title">1 conversation</h2>' in page.text
    assert "Is &lt;b&gt;my&lt;/b&gt; <mark>lamp</mark> broken?" in page.text
    assert 'href="/conversations/1?turn=q#turn-q"' in page.text
    assert "2 conversations" in text_of(anna.get("/conversations"))
    assert "Nothing found" in text_of(anna.get("/search?q=nobody+said+this"))


def test_every_page_has_a_field_to_search_in(anna: TestClient) -> None:
    for path in ("/queue", "/articles"):
        assert re.search(r'<form method="get" action="/search" role="search".*?name="q"', anna.get(path).text, re.DOTALL)


def test_pages_lead_on_by_a_cursor(anna: TestClient, db: Database) -> None:
    ingest(db, *(make_conversation(id=f"c{i}") for i in range(30)))
    index_due(db)

    for path in ("/conversations", "/search?q=turn"):
        first = anna.get(path)
        address = re.search(r'<a rel="next" href="([^"]+)">', first.text)
        assert address
        second = anna.get(address[1].replace("&amp;", "&"))
        seen = [re.findall(r'<h3 class="find-title"><a href="/conversations/(\d+)', page.text) for page in (first, second)]
        assert sorted(int(key) for keys in seen for key in keys) == list(range(1, 31))
        assert "First page" in second.text


@pytest.mark.parametrize("query", ["since=soon", "least=2", "verdict=x", "cursor=x&order=date", "q=lamp&cursor=list:1:2"])
def test_what_cannot_be_read_is_named(anna: TestClient, query: str) -> None:
    page = anna.get(f"/search?{query}")

    assert page.status_code == 422
    assert "Cursor:" in page.text if "cursor" in query else query.partition("=")[0].capitalize() in page.text


def test_a_search_by_meaning_waits_then_shows_what_is_alike(anna: TestClient, db: Database) -> None:
    add_scored(db, "Where is my parcel?", "Is my lamp broken?")
    path = "/search?q=where+is+a+parcel&by=meaning"

    waiting = anna.get(path)
    encoder = HashingEncoder()
    (asked,) = rows_of(db, SearchRequest)
    answer_due(db, encoder, make_past(db, encoder), asked.made_at)
    ready = anna.get(path)

    assert "data-waiting" in waiting.text
    assert '<noscript><meta http-equiv="refresh" content="1"></noscript>' in waiting.text
    assert "data-waiting" not in ready.text
    assert re.search(r"\d+ % alike", ready.text)
    assert text_of(ready).index("Where is my parcel?") > 0


def test_where_no_worker_answers_the_page_says_so_and_shows_words(anna: TestClient, db: Database) -> None:
    add_scored(db, "Where is my parcel?")
    anna.get("/search?q=parcel&by=meaning")
    with db.write() as session:
        session.execute(update(SearchRequest).values(made_at=col(SearchRequest.made_at)))
        (asked,) = rows_of(db, SearchRequest)
        session.execute(update(SearchRequest).values(made_at=asked.made_at - PATIENCE))

    page = anna.get("/search?q=parcel&by=meaning")

    assert "No worker has answered by meaning yet" in page.text
    assert "<mark>parcel</mark>" in page.text


def test_several_exchanges_go_into_the_queue_at_once_and_twice_changes_nothing(anna: TestClient, db: Database) -> None:
    add_scored(db, "Is my lamp broken?", "Is my chair broken?", "Where is it?")
    ids = re.findall(r'name="exchange" value="(\d+)"', anna.get("/search?q=broken").text)
    form = {"exchange": ids, "reason": "a <series>", "back": "/search?q=broken"}

    for _ in range(2):
        page = anna.post("/exchanges/review", data=form)

    assert page.url.path == "/search"
    assert "2 exchanges are in the queue now." in page.text
    items = rows_of(db, ReviewItem)
    assert sorted((str(item.exchange_id), item.strategy, item.reason) for item in items) == [
        (key, "by_hand", "chosen by anna: a <series>") for key in sorted(ids)
    ]
    assert not re.findall(r'name="exchange" value="(\d+)"', page.text)
    assert "in the queue" in page.text


def test_nothing_ticked_is_said_and_one_is_never_led_to_another_site(anna: TestClient, db: Database) -> None:
    page = anna.post("/exchanges/review", data={"back": "/conversations"})
    assert "Choose at least one exchange first." in page.text

    for back in (
        "//evil.example",
        "https://evil.example/search",
        "/search\\@evil",
        "/conversations/1/../../x",
        "/search?\r\nX: y",
    ):
        answer = anna.post("/exchanges/review", data={"back": back}, follow_redirects=False)
        assert answer.headers["location"].startswith("/search?")
    assert anna.post("/exchanges/review", data={"exchange": "99"}).status_code == 404


def test_the_conversation_page_offers_its_exchanges_and_opens_where_the_turn_stands(anna: TestClient, db: Database) -> None:
    ingest(db, make_conversation(turns=200))
    score_all(make_triage(db, HashingEncoder()))
    (first, *_) = rows_of(db, Exchange)

    page = anna.get("/conversations/1?turn=t150")
    picked = anna.post("/exchanges/review", data={"exchange": str(first.id), "back": "/conversations/1"})

    assert '<details class="fold" open>' in page.text
    assert '<details class="fold">' in anna.get("/conversations/1").text
    assert f'name="exchange" value="{first.id}" form="pick-form"' in page.text
    assert picked.url.path == "/conversations/1"
    assert "1 exchange is in the queue now." in picked.text
    assert f'name="exchange" value="{first.id}"' not in picked.text


def test_filters_are_kept_shown_shared_and_deleted(anna: TestClient, db: Database) -> None:
    add_scored(db, "Is my lamp broken?")

    page = anna.post("/search/saved", data={"name": "<Lamps>", "q": "lamp", "least": "0.25", "order": "date", "shared": "true"})

    assert "The filter is saved." in page.text
    assert 'href="/search?q=lamp&amp;least=0.25&amp;order=date" dir="auto">&lt;Lamps&gt;</a>' in page.text
    (saved,) = rows_of(db, SavedFilter)
    assert (saved.query, saved.shared) == ({"q": "lamp", "least": "0.25", "order": "date"}, True)
    gone = anna.post(f"/search/saved/{saved.id}/delete")
    assert "The filter is deleted." in gone.text
    assert rows_of(db, SavedFilter) == []
    assert anna.post(f"/search/saved/{saved.id}/delete").status_code == 404
    assert anna.post("/search/saved", data={"name": "x"}).status_code == 422


def test_programs_search_too(client: TestClient, db: Database) -> None:
    fill_queue(db, *(make_disliked(f"Is my lamp {i} broken?", id=f"c{i}") for i in range(3)))
    index_due(db)
    may = add_token(db, Scope.review, reviewer="anna")
    get = {**may, "accept": "application/json"}

    page = client.get("/api/v1/search", params={"q": "lamp", "limit": 2, "signal": "user_feedback"}, headers=get).json()
    rest = client.get(
        "/api/v1/search", params={"q": "lamp", "limit": 2, "signal": "user_feedback", "cursor": page["cursor"]}, headers=get
    ).json()

    assert (page["count"], page["more_than_count"], page["waiting"], page["by"]) == (3, False, False, "words")
    found = page["conversations"] + rest["conversations"]
    assert {one["conversation_id"] for one in found} == {"c0", "c1", "c2"}
    assert rest["cursor"] is None
    (exchange,) = found[0]["exchanges"]
    assert exchange["item_state"] == "open"
    assert exchange["raised"][0]["name"] == "user_feedback"
    assert ["lamp", True] in found[0]["quotes"][0]["pieces"]
    assert client.get("/api/v1/search", params={"least": "x"}, headers=get).status_code == 422
    other = add_token(db, Scope.sync, name="other")
    assert client.get("/api/v1/search", headers={**other, "accept": "application/json"}).status_code == 403
