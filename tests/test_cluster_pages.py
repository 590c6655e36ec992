"""Look-alikes and impact on the pages and in the API: plain forms, nothing ticked that should not be, nothing typed lost."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, add_reviewer, add_token, ingest, make_disliked, make_settings, make_triage, rows_of, score_all
from httpx import Response
from items import add_look_alikes
from sqlalchemy import update
from sqlmodel import col
from starlette.testclient import TestClient

from scoring.encoder import HashingEncoder
from service import articles, claims
from service.app import create_app
from service.articles import Content
from service.db import Database
from service.hand_picked import hand_pick
from service.models import Article, Draft, Exchange, Impact, ItemState, ReviewItem, Scope, Verdict
from service.replay import replay_due

PAGE = {"accept": "text/html"}
SCRIPT = {"accept": "application/json"}
ASKED = "Can I return the worn red shoes that I bought?"
SAME, OTHER, FINE = "Yes, within 30 days.", "Yes, of course you can.", "No, worn shoes cannot be returned."


@pytest.fixture
def client(db: Database, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(make_settings(db.url, tmp_path)), follow_redirects=False) as client:
        add_reviewer(db, "anna")
        add_reviewer(db, "ben")
        client.post("/sign-in", data={"name": "anna", "password": "a long password"}, headers=PAGE)
        yield client


@pytest.fixture
def exchanges(db: Database) -> dict[str, int]:
    """A cluster: the item's exchange, one with the same answer, a flagged one with another, and a good one."""
    liked = make_disliked(ASKED, FINE, id="fine")
    liked["turns"][1]["feedback"] = [{"rating": 1, "scale": "thumb"}]
    triage = make_triage(db, HashingEncoder())
    for told in (make_disliked(ASKED, SAME, id="mine"), make_disliked(ASKED, SAME, id="same"),
                 make_disliked(ASKED, OTHER, id="other"), liked):  # fmt: skip
        ingest(db, told)
        score_all(triage)
    names = ["mine", "same", "other", "fine"]
    return dict(zip(names, [one.id for one in rows_of(db, Exchange)], strict=True))


@pytest.fixture
def held(db: Database, client: TestClient, exchanges: dict[str, int]) -> claims.Claim:
    with db.write() as session:
        item = hand_pick(session, exchanges["mine"], 1, "", NOW)
        return claims.claim_item(session, item, 1, datetime.now(UTC), timedelta(minutes=15))


def page(client: TestClient, held: claims.Claim, **query: Any) -> str:
    shown = client.get(f"/items/{held.item_id}", params=query, headers=PAGE)
    assert shown.status_code == 200
    return shown.text


def boxes(html: str) -> dict[str, tuple[str, bool, bool]]:
    """By exchange: (name, ticked, can be ticked)."""
    found = re.findall(r'<input type="checkbox" name="(settles\w*)" value="(\d+)"( checked)?( disabled)?>', html)
    return {key: (name, bool(ticked), not disabled) for name, key, ticked, disabled in found}


def post(client: TestClient, held: claims.Claim, what: str, headers: dict[str, str] = PAGE, **form: Any) -> Response:
    answer: Response = client.post(f"/items/{held.item_id}/{what}", data={"fence": held.fence, **form}, headers=headers)
    return answer


# --- look-alikes --------------------------------------------------------------------------------------------------


def test_look_alikes_are_listed_and_no_good_answer_is_ticked(
    client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    html = page(client, held)

    assert boxes(html) == {
        str(exchanges["same"]): ("settles", True, True),
        str(exchanges["other"]): ("settles_failing", True, True),
        str(exchanges["fine"]): ("settles", False, True),
    }
    assert "100 % alike" in html
    assert "Closes 2 exchanges not in the queue, with the verdict that you choose." in html


def listed(html: str) -> dict[str, str]:
    """What the form with its look-alikes sends, but for the ticks."""
    return {"settling": "1", "listed": re.findall(r'name="listed" value="([\d ]*)"', html)[0]}


def test_all_of_a_large_cluster_can_be_gone_through_with_every_tick_kept(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    added = [str(one) for one in add_look_alikes(db, exchanges["mine"], 120)]
    html, unticked = page(client, held), set()
    sizes = [len(boxes(html))]
    while more := re.findall(r'formaction="(/items/\d+/look-alikes)"', html):
        shown = boxes(html)
        unticked |= {one for one in shown if one in added and shown[one][1] and int(one) % 7 == 0}
        ticked = {name: [one for one in shown if shown[one][:2] == (name, True) and one not in unticked]
                  for name in ("settles", "settles_failing")}  # fmt: skip
        form = {"fence": held.fence, "label": "wrong", "answer": "kept", **listed(html), **ticked}
        answer = client.post(more[0], data=form, headers=PAGE)
        assert answer.headers["location"].endswith("#settles")
        html = client.get(answer.headers["location"], headers=PAGE).text
        sizes.append(len(boxes(html)))
    later = boxes(page(client, held))

    assert sizes == [50, 100, 123]
    assert {one for one in added if not boxes(html)[one][1]} == unticked
    assert unticked
    assert "not listed" not in html
    assert later == dict(list(boxes(html).items())[:100])  # as many as the draft was written beside


def test_the_script_gets_more_look_alikes_as_a_part_and_the_decision_takes_them(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    add_look_alikes(db, exchanges["mine"], 70)
    first = listed(page(client, held))

    part = post(client, held, "look-alikes", SCRIPT, label="wrong", **first)
    shown = boxes(part.text)
    settles = [one for one in shown if shown[one][:2] == ("settles", True)]
    post(client, held, "decide", label="wrong", **listed(part.text), settles=settles)

    assert "<html" not in part.text
    assert len(shown) == 73
    assert f"Closes {len(settles)} exchanges not in the queue" in part.text
    assert len(rows_of(db, Verdict)) == len(settles) + 1


def test_no_more_are_ticked_by_themselves_than_one_decision_can_settle(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    add_look_alikes(db, exchanges["mine"], 520)

    html = page(client, held, alike=600)
    settles = [key for key, (name, ticked, _) in boxes(html).items() if ticked and name == "settles"]
    answer = post(client, held, "decide", SCRIPT, label="good", **listed(html), settles=settles)

    assert sum(ticked for _, ticked, _ in boxes(html).values()) == 500
    assert answer.status_code == 200


def test_a_good_verdict_settles_the_same_answer_alone(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    ticked = {"settling": "1", "settles": exchanges["same"], "settles_failing": exchanges["other"]}

    post(client, held, "decide", label="good", **ticked)

    verdicts = rows_of(db, Verdict)
    assert [one.label for one in verdicts] == ["good", "good"]
    settled = {one.item_id for one in verdicts if one.settled_by}
    assert [one.exchange_id for one in rows_of(db, ReviewItem) if one.id in settled] == [exchanges["same"]]


def test_a_failing_verdict_settles_what_is_ticked_and_says_what_was_left_out(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    with db.write() as session:  # ben takes one after the page was shown
        theirs = hand_pick(session, exchanges["same"], 2, "", NOW)
        claims.claim_item(session, theirs, 2, datetime.now(UTC), timedelta(minutes=15))
    ticked = {"settling": "1", "settles": exchanges["same"], "settles_failing": exchanges["other"]}

    answer = post(client, held, "decide", SCRIPT, label="wrong", answer=FINE, **ticked)

    assert answer.json()["settled"].startswith("Settled 1 look-alike with it. 1 left out: held or decided by somebody else")
    shown = client.get("/queue", params={"after": held.item_id, "said": "saved_none"}, headers=PAGE)
    assert shown.status_code == 200
    decided = page(client, held)
    assert "Settled 1 look-alike with it." in decided
    other = next(one for one in rows_of(db, ReviewItem) if one.exchange_id == exchanges["other"])
    assert f'Settled together with <a href="/items/{held.item_id}">' in client.get(f"/items/{other.id}", headers=PAGE).text
    assert next(one for one in rows_of(db, ReviewItem) if one.id == theirs).state == ItemState.open


def test_the_preview_follows_the_form_with_and_without_script(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    form = {"label": "wrong", "answer": FINE, "question": "May worn shoes go back?", "settling": "1",
            "settles": [exchanges["fine"], exchanges["same"]]}  # fmt: skip

    by_script = post(client, held, "preview", SCRIPT, **form)
    plain = post(client, held, "preview", **form)

    assert "Closes 2 exchanges not in the queue, as “Wrong”." in by_script.text
    assert "The article gains 1 way to ask it:" in by_script.text
    assert ASKED in by_script.text
    assert (plain.status_code, plain.headers["location"].split("#")[1]) == (303, "settles")
    html = page(client, held)
    assert "as “Wrong”" in html
    assert {key for key, (_, ticked, _) in boxes(html).items() if ticked} == {str(exchanges["fine"]), str(exchanges["same"])}


def test_unticking_all_is_kept_as_a_choice(client: TestClient, held: claims.Claim) -> None:
    post(client, held, "draft", label="wrong", settling="1")

    html = page(client, held)

    assert not any(ticked for _, ticked, _ in boxes(html).values())
    assert "Closes this item alone." in html


def test_who_holds_a_look_alike_and_what_chance_drew_is_said_and_cannot_be_ticked(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    with db.write() as session:
        theirs = hand_pick(session, exchanges["same"], 2, "", NOW)
        claims.claim_item(session, theirs, 2, datetime.now(UTC), timedelta(minutes=15))
        drawn = hand_pick(session, exchanges["other"], 2, "", NOW)
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == drawn).values(strategy="random"))

    html = page(client, held)

    assert "ben is reviewing it now." in html
    assert "Drawn by chance" in html
    assert [one[1:] for one in boxes(html).values()] == [(False, False), (False, False), (False, True)]


def test_markup_in_a_look_alike_is_text(db: Database, client: TestClient, held: claims.Claim) -> None:
    ingest(db, make_disliked(f"{ASKED} <script>alert(1)</script>", "<img src=x onerror=alert(1)>", id="evil"))
    score_all(make_triage(db, HashingEncoder()))
    with db.write() as session:
        cluster = rows_of(db, Exchange)[0].cluster_id
        session.execute(update(Exchange).values(cluster_id=cluster))

    html = page(client, held)

    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<script>alert(1)" not in html
    assert "<img src=x" not in html


def test_a_made_up_look_alike_is_refused_and_what_was_typed_is_kept(db: Database, client: TestClient, held: claims.Claim) -> None:
    answer = post(client, held, "decide", label="wrong", comment="keep me", settling="1", settles="12; DROP")

    assert answer.status_code == 422
    assert "look-alike" in answer.text
    assert rows_of(db, Draft)[0].content["comment"] == "keep me"
    assert not rows_of(db, Verdict)


# --- impact -------------------------------------------------------------------------------------------------------


def test_the_impact_of_a_corrected_answer_is_asked_for_and_shown_without_script(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    asked = post(client, held, "impact", label="wrong", answer="Ask in the shop.", settling="1", settles=exchanges["same"])

    waiting = client.get(asked.headers["location"], headers=PAGE).text
    replay_due(db, HashingEncoder(), 0.82, datetime.now(UTC))
    with db.write() as session:
        session.execute(update(Exchange).values(created_at=datetime.now(UTC)))
        session.execute(update(Impact).values(state="waiting", due_at=datetime.now(UTC)))
    replay_due(db, HashingEncoder(), 0.82, datetime.now(UTC))
    shown = client.get(asked.headers["location"], headers=PAGE).text

    assert asked.status_code == 303
    assert "Being computed over recent traffic." in waiting
    assert "Ask in the shop." in shown
    assert "Would answer 3 flagged questions." in shown
    assert "Would displace 1 good answer by another." in shown
    assert 'href="/conversations/' in shown


def test_the_script_gets_the_impact_as_a_part_of_the_page(db: Database, client: TestClient, held: claims.Claim) -> None:
    asked = post(client, held, "impact", SCRIPT, label="wrong", answer="Ask in the shop.")

    there = asked.json()["impact"]
    before = client.get(there)
    replay_due(db, HashingEncoder(), 0.82, datetime.now(UTC))
    after = client.get(there)

    assert asked.status_code == 202
    assert f'data-waiting="{there}"' in before.text
    assert "Replayed over" in after.text
    assert "<html" not in after.text
    assert client.get("/impact/unknown").status_code == 404


def test_an_answer_is_needed_first(db: Database, client: TestClient, held: claims.Claim) -> None:
    plain = post(client, held, "impact", label="wrong", comment="so far")
    by_script = post(client, held, "impact", SCRIPT, label="wrong")

    assert "said=no_impact" in plain.headers["location"]
    assert (by_script.status_code, rows_of(db, Impact)) == (422, [])


def test_an_articles_text_survives_the_look_at_its_impact(db: Database, client: TestClient) -> None:
    with db.write() as session:
        article = articles.save_article(session, Content("Q?", "A."), [], NOW, "page")
    form = {"question": "Q?", "answer": "A new answer.", "variants": "one\ntwo", "status": "active", "expected_version": 1}

    edited = client.post(f"/articles/{article.id}/impact", data=form, headers=PAGE)
    fresh = client.post("/articles/impact", data=form, headers=PAGE)

    for answer in (edited, fresh):
        html = client.get(answer.headers["location"], headers=PAGE).text
        assert "A new answer." in html
        assert "one\ntwo" in html
    assert rows_of(db, Article)[0].answer == "A."


# --- the API ------------------------------------------------------------------------------------------------------


def test_the_api_lists_look_alikes_settles_them_and_tells_the_impact(
    db: Database, client: TestClient, held: claims.Claim, exchanges: dict[str, int]
) -> None:
    client.cookies.clear()
    token = add_token(db, Scope.review, reviewer="anna")
    listed = client.get(f"/api/v1/items/{held.item_id}/cluster", headers=token).json()
    settles = [one["exchange_id"] for one in listed["alike"] if one["same_answer"]]
    decision = {"fence": held.fence, "label": "wrong", "answer": FINE, "settles": [*settles, 4711]}

    first = client.post(f"/api/v1/items/{held.item_id}/decide", json=decision, headers=token)
    again = client.post(f"/api/v1/items/{held.item_id}/decide", json=decision, headers=token)

    assert {one["exchange_id"]: one["free"] for one in listed["alike"]} == {
        exchanges[name]: "free" for name in ("same", "other", "fine")
    }
    assert (first.json()["settles"], first.json()["settled"]) == ([*settles, 4711], settles)
    assert again.json() == first.json()
    asked = client.post("/api/v1/impact", json={"question": ASKED, "answer": "Ask."}, headers=token)
    replay_due(db, HashingEncoder(), 0.82, datetime.now(UTC))
    found = client.get(f"/api/v1/impact/{asked.json()['key']}", headers=token).json()
    assert (asked.status_code, found["state"]) == (202, "ready")
    assert [one["answer"] for one in found["near"]] == [FINE]
    assert client.get("/api/v1/corrections", headers=token).json() == []
    assert client.post("/api/v1/impact", json={"question": "", "answer": "Ask."}, headers=token).status_code == 422
    assert client.get("/api/v1/items/4711/cluster", headers=token).status_code == 404
