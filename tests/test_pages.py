"""The pages as a reviewer's browser uses them: forms that post and redirect, nothing typed ever lost."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from items import EARLY, let_the_lease_pass, make_article, make_item
from sqlalchemy import select, update
from sqlmodel import col

from service import auth, queue
from service.app import create_app
from service.db import Database
from service.models import (
    Article,
    Draft,
    Feedback,
    ItemState,
    Publication,
    PublicationState,
    ReviewItem,
    Turn,
    Verdict,
)
from service.settings import Settings

PAGE = {"accept": "text/html,application/xhtml+xml"}
PASSWORD = "a long enough password"


def sign_in(client: TestClient, name: str = "anna") -> TestClient:
    answer = client.post("/sign-in", data={"name": name, "password": PASSWORD}, headers=PAGE)
    assert answer.status_code == 303
    return client


def fence_in(location: str) -> str:
    return parse_qs(urlsplit(location).query)["fence"][0]


def take_next(client: TestClient) -> tuple[int, str]:
    """(item, fence) of the item that "Review next" leads to."""
    location = client.post("/queue/next", headers=PAGE).headers["location"]
    found = re.match(r"/items/(\d+)\?", location)
    assert found, location
    return int(found[1]), fence_in(location)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What differs between databases is tested below the pages."""
    return sqlite_url


@pytest.fixture
def app(db: Database, settings: Settings) -> FastAPI:
    with db.write() as session:
        for name in ("anna", "ben"):
            auth.add_reviewer(session, name, PASSWORD, EARLY)
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, follow_redirects=False, headers=PAGE) as client:
        yield client


@pytest.fixture
def anna(client: TestClient) -> TestClient:
    return sign_in(client)


@pytest.fixture
def ben(app: FastAPI) -> TestClient:
    return sign_in(TestClient(app, follow_redirects=False, headers=PAGE), "ben")


# --- signing in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/queue", "/items/1", "/conversations/1", "/articles", "/articles/new", "/articles/1"])
def test_every_page_sends_strangers_to_sign_in_and_remembers_where_they_wanted_to_go(client: TestClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next={path}"


@pytest.mark.parametrize("path", ["/queue/next", "/items/1/claim", "/items/1/decide", "/articles", "/publications/1/retry"])
def test_strangers_can_post_nothing(client: TestClient, path: str) -> None:
    answer = client.post(path, data={"fence": "1"})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")


def test_signing_in_leads_to_where_one_wanted_to_go(client: TestClient) -> None:
    answer = client.post("/sign-in", data={"name": "anna", "password": PASSWORD, "next": "/articles?q=shoes"})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/articles?q=shoes"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/queue").status_code == 200


def test_a_wrong_password_says_so_and_keeps_the_name(client: TestClient) -> None:
    answer = client.post("/sign-in", data={"name": "anna", "password": "not the password", "next": "/articles"})

    assert answer.status_code == 401
    assert "Name or password is wrong" in answer.text
    assert 'value="anna"' in answer.text
    assert 'value="/articles"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_signing_in_never_leads_to_another_site(client: TestClient, elsewhere: str) -> None:
    page = client.get("/sign-in", params={"next": elsewhere})
    answer = client.post("/sign-in", data={"name": "anna", "password": PASSWORD, "next": elsewhere})

    assert 'name="next" value="/queue"' in page.text
    assert answer.headers["location"] == "/queue"


def test_signing_out_ends_the_session(anna: TestClient) -> None:
    answer = anna.post("/sign-out")

    assert answer.headers["location"].startswith("/sign-in")
    assert anna.get("/queue").status_code == 303


# --- the queue ----------------------------------------------------------------------------------------------------


def test_the_queue_lists_open_items_by_priority(anna: TestClient, db: Database) -> None:
    make_item(db, "less urgent?", priority=0.3)
    make_item(db, "most urgent?", priority=0.9)
    make_item(db, "decided?", priority=0.95, state=ItemState.done)

    page = anna.get("/queue").text

    assert page.index("most urgent?") < page.index("less urgent?")
    assert "decided?" not in page
    assert "Answer may not fit" in page


def test_the_queue_can_be_narrowed_and_next_stays_within(anna: TestClient, db: Database) -> None:
    make_item(db, "about relevance?", priority=0.9)
    unhappy = make_item(db, "about anger?", priority=0.4, signal="user_frustration")

    page = anna.get("/queue?signal=user_frustration").text
    answer = anna.post("/queue/next?signal=user_frustration")

    assert "about anger?" in page
    assert "about relevance?" not in page
    assert answer.headers["location"].startswith(f"/items/{unhappy}?signal=user_frustration")


def test_the_queue_can_be_narrowed_to_a_source(anna: TestClient, db: Database) -> None:
    make_item(db, "asked on the web?", source="web")
    wanted = make_item(db, "asked by phone?", source="phone", priority=0.1)

    page = anna.get("/queue?source=phone").text
    answer = anna.post("/queue/next?source=phone")

    assert "asked by phone?" in page
    assert "asked on the web?" not in page
    assert answer.headers["location"].startswith(f"/items/{wanted}?source=phone")


def test_a_long_queue_has_pages(anna: TestClient, db: Database) -> None:
    for i in range(51):
        make_item(db, f"question number {i:02}", priority=0.9 - i / 100)

    first, second = anna.get("/queue").text, anna.get("/queue?page=2").text

    assert 'href="/queue?page=2"' in first
    assert "question number 49" in first
    assert "question number 50" in second
    assert 'rel="next"' not in second


def test_an_empty_queue_says_what_to_do_next(anna: TestClient, db: Database) -> None:
    nothing_yet = anna.get("/queue").text
    make_item(db, state=ItemState.done)
    all_done = anna.get("/queue").text
    filtered = anna.get("/queue?strategy=random").text

    assert "No conversations yet." in nothing_yet
    assert "triage import" in nothing_yet
    assert "All done." in all_done
    assert "Clear the filters" in filtered


def test_next_with_nothing_free_comes_back_with_a_friendly_word(anna: TestClient, ben: TestClient, db: Database) -> None:
    make_item(db)
    take_next(ben)

    answer = anna.post("/queue/next")
    page = anna.get(answer.headers["location"]).text

    assert "There is nothing free for you right now." in page
    assert "ben" in page


# --- an item ------------------------------------------------------------------------------------------------------


def test_review_next_claims_the_best_item_and_shows_the_form(anna: TestClient, ben: TestClient, db: Database) -> None:
    make_item(db, priority=0.2)
    best = make_item(db, priority=0.9)

    item_id, fence = take_next(anna)
    mine, theirs = anna.get(f"/items/{item_id}?fence={fence}").text, ben.get(f"/items/{item_id}").text

    assert item_id == best
    assert 'id="decision-form"' in mine
    assert f'name="fence" value="{fence}"' in mine
    assert 'id="decision-form"' not in theirs
    assert "is reviewing this item now" in theirs


def test_the_flagged_exchange_and_its_evidence_stand_in_the_conversation(anna: TestClient, db: Database) -> None:
    item_id = make_item(db, turns_around=2)

    page = anna.get(f"/items/{item_id}").text
    flagged = page[page.index('id="flagged"') : page.index("later 0")]

    assert "Can I return worn shoes?" in flagged
    assert "We ship to all of Europe." in flagged
    assert "That is not what I asked" in flagged
    assert "The answer seems to speak of something else" in flagged
    assert "before 1" not in flagged


def test_a_free_item_can_be_taken_and_only_once(anna: TestClient, ben: TestClient, db: Database) -> None:
    item_id = make_item(db)

    first, second = anna.post(f"/items/{item_id}/claim"), ben.post(f"/items/{item_id}/claim")

    assert "Take this item" not in anna.get(first.headers["location"]).text
    assert "Somebody else took this item" in ben.get(second.headers["location"]).text


def test_deciding_leads_to_the_next_item(anna: TestClient, db: Database) -> None:
    make_item(db, priority=0.9)
    following = make_item(db, priority=0.5)
    item_id, fence = take_next(anna)

    answer = anna.post(
        f"/items/{item_id}/decide",
        data={"fence": fence, "label": "wrong", "intent": "returns", "causes": ["retrieval", "generation"], "comment": "c"},
    )
    page = anna.get(answer.headers["location"]).text

    assert answer.headers["location"].startswith(f"/items/{following}?")
    assert f"Item {item_id} saved." in page
    with db.read() as session:
        verdict = session.execute(select(Verdict)).scalar_one()
    assert (verdict.label, verdict.intent, verdict.causes) == ("wrong", "returns", ["retrieval", "generation"])


def test_the_last_decision_leads_back_to_the_queue(anna: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    answer = anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"})

    assert "All done." in anna.get(answer.headers["location"]).text


def test_a_corrected_answer_makes_an_article_with_line_ends_as_they_were_typed(anna: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "wrong", "answer": "First.\r\nSecond.", "article": ""})

    with db.read() as session:
        article = session.execute(select(Article)).scalar_one()
    assert (article.question, article.answer) == ("Can I return worn shoes?", "First.\nSecond.")


def test_a_corrected_answer_can_change_an_article(anna: TestClient, db: Database) -> None:
    article_id = make_article(db)
    make_item(db, suggestions={"articles": [{"article_id": article_id, "similarity": 0.9}]})
    item_id, fence = take_next(anna)

    page = anna.get(f"/items/{item_id}").text
    anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "wrong", "answer": "Any.", "article": str(article_id)})

    assert f'name="article" value="{article_id}"' in page
    assert "Unworn ones." in page
    with db.read() as session:
        article = session.execute(select(Article)).scalar_one()
    assert (article.id, article.version, article.answer) == (article_id, 2, "Any.")


def test_a_decision_after_the_lease_was_lost_is_refused_and_the_words_are_kept(
    anna: TestClient, ben: TestClient, db: Database
) -> None:
    make_item(db)
    item_id, fence = take_next(anna)
    let_the_lease_pass(db, item_id)
    take_next(ben)

    answer = anna.post(
        f"/items/{item_id}/decide", data={"fence": fence, "label": "wrong", "answer": "My long and careful answer <b>"}
    )

    assert answer.status_code == 409
    assert "Somebody else has this item now" in answer.text
    assert re.search(r"<textarea id=\"typed\"[^>]*readonly[^>]*>[^<]*My long and careful answer &lt;b&gt;", answer.text)
    with db.read() as session:
        assert session.execute(select(Verdict)).scalars().all() == []
        kept = session.execute(select(Draft)).scalar_one()
    assert kept.content["answer"] == "My long and careful answer <b>"


def test_a_draft_that_was_kept_fills_the_form_again(anna: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    form = {
        "fence": fence,
        "label": "unsafe",
        "answer": "Half an ans",
        "causes": ["other"],
        "picked": "an intent nobody offers now",
    }
    by_script = anna.post(f"/items/{item_id}/draft", data=form, headers={"accept": "application/json"})
    by_hand = anna.post(f"/items/{item_id}/draft", data=form)
    page = anna.get(f"/items/{item_id}").text

    assert (by_script.status_code, by_hand.status_code) == (204, 303)
    assert "Half an ans</textarea>" in page
    assert re.search(r'name="label" value="unsafe" required checked', page)
    assert re.search(r'name="causes" value="other" checked', page)
    assert re.search(r'name="picked" value="an intent nobody offers now" checked', page)


@pytest.mark.parametrize("label", ["", "splendid"])
def test_a_decision_without_a_verdict_keeps_the_form_as_it_was_typed(anna: TestClient, db: Database, label: str) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    answer = anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": label, "comment": "typed already"})

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "typed already</textarea>" in answer.text
    assert 'id="decision-form"' in answer.text


def test_a_heartbeat_keeps_the_item_until_somebody_else_has_it(anna: TestClient, ben: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    alive = anna.post(f"/items/{item_id}/heartbeat", data={"fence": fence}, headers={"accept": "application/json"})
    let_the_lease_pass(db, item_id)
    take_next(ben)
    too_late = anna.post(f"/items/{item_id}/heartbeat", data={"fence": fence}, headers={"accept": "application/json"})

    assert datetime.fromisoformat(alive.json()["until"]) > datetime.now(UTC)
    assert too_late.status_code == 409


@pytest.mark.parametrize(
    ("action", "says", "state"),
    [
        ("release", "The item is back in the queue.", ItemState.open),
        ("skip", "this item will not be shown to you again", ItemState.open),
        ("not-reviewable", "Taken out of the queue", ItemState.not_reviewable),
    ],
)
def test_an_item_can_be_handed_back(anna: TestClient, db: Database, action: str, says: str, state: str) -> None:
    make_item(db)
    item_id, fence = take_next(anna)

    answer = anna.post(f"/items/{item_id}/{action}", data={"fence": fence, "reason": "only a test call"})

    assert says in anna.get(answer.headers["location"]).text
    with db.read() as session:
        item = session.get_one(ReviewItem, item_id)
    assert (item.state, item.claimed_until) == (state, None)


def test_a_decided_item_can_be_sent_back_and_shows_its_withdrawn_verdict(anna: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)
    anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"})

    answer = anna.post(f"/items/{item_id}/send-back", data={"reason": "look at the price again"})
    page = anna.get(answer.headers["location"]).text

    assert "Withdrawn" in page
    assert "look at the price again" in page
    assert "Take this item" in page


def test_the_script_is_told_what_comes_next_and_what_is_wrong(anna: TestClient, db: Database) -> None:
    make_item(db, priority=0.9)
    following = make_item(db, priority=0.5)
    item_id, fence = take_next(anna)
    by_script = {"accept": "application/json"}

    refused = anna.post(f"/items/{item_id}/decide", data={"fence": fence}, headers=by_script)
    saved = anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"}, headers=by_script)
    again = anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"}, headers=by_script)

    assert (refused.status_code, "Choose a verdict" in refused.json()["detail"]) == (422, True)
    assert saved.json()["next"].startswith(f"/items/{following}?fence=")
    assert saved.json()["next"] == again.json()["next"]


def test_the_page_that_follows_is_given_ahead_and_is_nobody_elses(anna: TestClient, ben: TestClient, db: Database) -> None:
    make_item(db, priority=0.9)
    following = make_item(db, priority=0.5)
    item_id, fence = take_next(anna)

    ahead = anna.post(f"/items/{item_id}/next", data={"fence": fence})
    nothing_free = ben.post("/queue/next").headers["location"]
    not_mine = ben.post(f"/items/{item_id}/next", data={"fence": fence}, headers={"accept": "application/json"})
    saved = anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"}, headers={"accept": "application/json"})

    assert 'id="decision-form"' in ahead.text
    assert ahead.headers["content-location"].startswith(f"/items/{following}?fence=")
    assert saved.json()["next"] == ahead.headers["content-location"]
    assert nothing_free.startswith("/queue?")
    assert not_mine.status_code == 409


def test_an_undo_that_comes_too_late_points_to_sending_back(anna: TestClient, db: Database) -> None:
    make_item(db)
    item_id, fence = take_next(anna)
    anna.post(f"/items/{item_id}/decide", data={"fence": fence, "label": "good"})

    answer = anna.post(f"/items/{item_id}/undo")

    assert answer.status_code == 409
    assert "send the item back instead" in answer.text
    assert f'action="/items/{item_id}/send-back"' in answer.text


def test_what_a_text_changes_in_its_article_is_shown_and_for_another_one_nothing(anna: TestClient, db: Database) -> None:
    article_id = make_article(db, answer="Unworn <b>ones</b>.")
    item_id = make_item(db, suggestions={"articles": [{"article_id": article_id, "similarity": 0.9}]})

    shown = anna.post(f"/items/{item_id}/difference", data={"article": str(article_id), "answer": "Worn <b>ones</b>."}).text
    nothing = anna.post(f"/items/{item_id}/difference", data={"article": "999", "answer": "Worn."}).text

    assert "<del>Unworn </del><ins>Worn </ins>&lt;b&gt;ones&lt;/b&gt;." in shown
    assert nothing.strip() == ""


def test_what_people_wrote_is_shown_and_never_run(anna: TestClient, db: Database) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>"
    item_id = make_item(db, question=attack, answer=attack, follow_up=attack, note=attack)
    with db.write() as session:
        session.add(
            Feedback(
                conversation_id=1, external_id="f", turn_external_id="t1", rating=-1, scale="thumb", comment=attack, details={}
            )
        )
        turn = session.execute(select(Turn).where(col(Turn.external_id) == "t1")).scalar_one()
        turn.intent = {"name": attack, "confidence": 0.4, "ranking": [{"name": attack, "confidence": 0.4}]}
        turn.retrieval = [{"id": attack, "title": attack, "text": attack, "score": 0.3}]
    article_id = make_article(db, attack, attack)

    pages = [anna.get("/queue"), anna.get(f"/items/{item_id}"), anna.get("/conversations/1")]
    pages += [anna.get(f"/articles/{article_id}"), anna.get("/articles", params={"q": attack[:20]})]

    for page in pages:
        assert page.status_code == 200
        assert "&lt;script&gt;alert(1)" in page.text
        assert not re.search(r"<script>|<img src=x|<svg/", page.text)


def test_long_conversations_and_very_long_turns_are_folded(anna: TestClient, db: Database) -> None:
    item_id = make_item(db, answer="word " * 200_000, turns_around=200)

    page = anna.get(f"/items/{item_id}").text

    assert "Show 180 earlier turns" in page
    assert "later turns" in page
    assert re.search(r"Show the other 99\d,\d{3} characters", page)


@pytest.mark.parametrize("path", ["/items/999", "/items/999999999999", "/conversations/999", "/articles/999"])
def test_what_is_not_there_is_said_so(anna: TestClient, path: str) -> None:
    assert anna.get(path).status_code in (404, 422)


def test_pages_need_no_inline_script_or_style(anna: TestClient, db: Database) -> None:
    item_id = make_item(db)
    anna.post(f"/items/{item_id}/claim")

    for path in ("/queue", f"/items/{item_id}", "/conversations/1", "/articles", "/articles/new"):
        page = anna.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", page), path
        for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
            assert anna.get(address).status_code == 200


# --- a conversation -----------------------------------------------------------------------------------------------


def test_the_conversation_page_shows_every_scored_exchange(anna: TestClient, db: Database) -> None:
    item_id = make_item(db, priority=0.83)

    page = anna.get("/conversations/1").text

    assert "0.83" in page
    assert f'href="/items/{item_id}"' in page
    assert 'id="turn-t1"' in page


# --- articles -----------------------------------------------------------------------------------------------------


def article_form(**changes: str) -> dict[str, str]:
    return {"question": "Do you ship to Malta?", "variants": "", "answer": "Yes.", "intent": "", "status": "active", **changes}


def version_of(page: Response) -> str:
    found = re.search(r'name="expected_version" value="(\d+)"', page.text)
    assert found
    return found[1]


def test_an_article_can_be_written_and_found_by_its_words(anna: TestClient, db: Database) -> None:
    answer = anna.post("/articles", data=article_form(variants="Shipping to Malta?\r\n\r\nMalta?\r\n", intent="shipping"))
    page = anna.get(answer.headers["location"]).text
    found, not_found = anna.get("/articles?q=SHIP+yes").text, anna.get("/articles?q=ship+%25").text

    assert "Article saved." in page
    assert "Do you ship to Malta?" in found
    assert "Do you ship to Malta?" not in not_found
    with db.read() as session:
        article = session.execute(select(Article)).scalar_one()
        assert session.execute(select(Publication)).scalar_one().sink == "folder"
    assert article.variants == ["Shipping to Malta?", "Malta?"]


def test_an_article_without_an_answer_is_refused_and_the_words_are_kept(anna: TestClient) -> None:
    answer = anna.post("/articles", data=article_form(answer=" ", variants="kept"))

    assert answer.status_code == 422
    assert "kept</textarea>" in answer.text


def test_a_change_of_an_article_that_somebody_changed_meanwhile_is_refused_and_shown_beside(
    anna: TestClient, ben: TestClient, db: Database
) -> None:
    article_id = make_article(db)
    seen = version_of(anna.get(f"/articles/{article_id}"))
    ben.post(f"/articles/{article_id}", data=article_form(answer="What Ben wrote", expected_version=seen))

    answer = anna.post(f"/articles/{article_id}", data=article_form(answer="What Anna wrote", expected_version=seen))
    again = anna.post(f"/articles/{article_id}", data=article_form(answer="Both", expected_version=version_of(answer)))

    assert answer.status_code == 409
    assert "What Anna wrote</textarea>" in answer.text
    assert "What Ben wrote" in answer.text
    assert again.status_code == 303


def test_saving_an_article_unchanged_makes_no_version(anna: TestClient, db: Database) -> None:
    article_id = make_article(db, "Q?", "First.\nSecond.")
    page = anna.get(f"/articles/{article_id}")

    form = {"question": "Q?", "variants": "", "answer": "First.\r\nSecond.", "intent": "", "status": "active"}
    anna.post(f"/articles/{article_id}", data={**form, "expected_version": version_of(page)})

    with db.read() as session:
        assert session.get_one(Article, article_id).version == 1


def test_an_article_can_be_paused_and_activated(anna: TestClient, db: Database) -> None:
    article_id = make_article(db)

    anna.post(f"/articles/{article_id}/pause", data={"expected_version": "1"})
    stale = anna.post(f"/articles/{article_id}/activate", data={"expected_version": "1"})
    page = anna.get(f"/articles/{article_id}").text

    assert stale.status_code == 409
    assert f'action="/articles/{article_id}/activate"' in page
    assert "Version 2" in page


def test_a_failed_publication_says_why_and_can_be_tried_again(anna: TestClient, db: Database) -> None:
    article_id = make_article(db)
    with db.write() as session:
        session.execute(update(Publication).values(state=PublicationState.failed, error="the disk is full", due_at=None))
    page = anna.get(f"/articles/{article_id}").text
    publication_id = re.search(r"/publications/(\d+)/retry", page)
    assert publication_id

    answer = anna.post(f"/publications/{publication_id[1]}/retry", data={"article_id": str(article_id)})

    assert "the disk is full" in page
    assert answer.headers["location"].startswith(f"/articles/{article_id}?said=retry")
    with db.read() as session:
        assert session.execute(select(Publication)).scalar_one().state == PublicationState.pending


def test_the_list_of_articles_points_at_trouble(anna: TestClient, db: Database) -> None:
    make_article(db)
    with db.write() as session:
        session.execute(update(Publication).values(state=PublicationState.conflict))

    assert "publication conflict" in anna.get("/articles").text


def test_the_counts_stand_on_the_queue(anna: TestClient, db: Database) -> None:
    make_item(db)
    take_next(anna)

    with db.read() as session:
        counts = queue.counts(session, datetime.now(UTC))
    page = anna.get("/queue").text

    assert counts.held == 1
    assert 'Being reviewed</dt><dd data-count="held">1</dd>' in page
