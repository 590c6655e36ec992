"""Labels that look like slips get their second look: kept ones stay quiet, changed ones are learned, nobody is passed over."""

import json
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import pytest
from alembic import command
from browser import Site
from conftest import NOW, add_reviewer, add_token, rows_of
from fastapi.testclient import TestClient
from items import make_item, make_slip
from playwright.sync_api import expect
from sqlalchemy import inspect, update
from sqlmodel import col
from typer.testing import CliRunner

from scoring.encoder import Encoder, HashingEncoder
from scoring.vectors import content_hash
from service import calibration, claims
from service.app import create_app
from service.articles import Content, save_article
from service.cli import app as commands
from service.db import Database
from service.errors import Conflict, Forbidden, Invalid, NotFound
from service.learn.intents import IntentModels, refit_due
from service.migrate import config, upgrade
from service.models import Article, Calibration, Example, Exchange, Model, Publication, ReviewItem, Scope, SecondLook, Verdict
from service.models import VerdictLabel as Label
from service.review import Decision, decide, learn_example
from service.settings import Settings
from service.team import amend, relabel, second_look
from service.team.second_look import Suspect

SLIP = "opening openingly thing3 word99"
"""Asks like the questions labelled "hours"."""
LATER = NOW + timedelta(hours=1)
Team = tuple[int, int, int]


@pytest.fixture
def team(db: Database) -> Team:
    """Anna and Ben review; the lead administers."""
    return add_reviewer(db, "anna"), add_reviewer(db, "ben"), add_reviewer(db, "lead", is_admin=True)


def about(subject: str, count: int, first: int = 0) -> list[str]:
    """Questions that share a subject and little else."""
    return [f"{subject} {subject}ly thing{n} word{n * 7 % 11}" for n in range(first, first + count)]


def seed(db: Database, intent: str, *texts: str, at: datetime = NOW, source: str = "standard") -> None:
    with db.write() as session:
        for text in texts:
            learn_example(session, source, text, intent, at)


def judge(db: Database, reviewer: int, intent: str = "refund", answer: str | None = None, question: str = SLIP) -> int:
    """An item decided by this reviewer, who says that the intent is this; its id."""
    item_id = make_item(db, question=question)
    with db.write() as session:
        claim = claims.claim_item(session, item_id, reviewer, NOW, timedelta(minutes=15))
        said = Decision(Label.wrong, intent=intent, answer=answer, comment="see the terms")
        decide(session, item_id, reviewer, claim.fence, said, ["folder"], NOW)
    return item_id


def point_out(db: Database, source: str = "standard", suspected: str = "hours") -> None:
    """What a fit does for the labels "refund" of the source, told by hand: the fit itself takes a second."""
    seed(db, "hours", *about("opening", 3), source=source)
    near = [content_hash(text).hex() for text in about("opening", 3)]
    wrong = rows_of(db, Example, Example.source == source, Example.intent == "refund")
    with db.write() as session:
        second_look.note(session, source, [second_look.Note(one.id, "refund", suspected, 0.9, near) for one in wrong])


def fit(db: Database, at: datetime = LATER, source: str = "standard") -> None:
    """The next fit, with enough labels of other questions that it is due."""
    seed(db, "hours", *about("opening", 20), source=source)
    seed(db, "refund", *about("refund", 20), source=source)
    assert refit_due(db, HashingEncoder(), at, after=1) == 1


def fit_again(db: Database, at: datetime) -> None:
    seed(db, "thanks", *about(f"thanks{at.minute}", 6), at=at - timedelta(seconds=1))
    assert refit_due(db, HashingEncoder(), at, after=1) == 1


def suspects(db: Database, reviewer: int | None = None, source: str | None = None) -> list[Suspect]:
    with db.read() as session:
        return second_look.suspects(session, reviewer, source)


def the_suspect(db: Database, reviewer: int | None = None) -> Suspect:
    (one,) = suspects(db, reviewer)
    return one


def keep(db: Database, label_id: int, reviewer: int, seen: str = "refund", at: datetime = LATER) -> relabel.Answer:
    with db.write() as session:
        return relabel.keep(session, label_id, seen, reviewer, at)


def change(
    db: Database, label_id: int, reviewer: int, intent: str = "hours", seen: str = "refund", at: datetime = LATER
) -> relabel.Answer:
    with db.write() as session:
        return relabel.change(session, label_id, seen, intent, reviewer, ["folder"], at)


def label_of(db: Database, text: str = SLIP) -> str:
    *_, last = sorted(rows_of(db, Example, Example.text == text), key=lambda one: one.by_verdict)
    return str(last.intent)


# --- what is listed -------------------------------------------------------------------------------------------------


def test_a_label_is_listed_with_who_gave_it_its_item_and_its_neighbours(db: Database, team: Team) -> None:
    item_id = judge(db, team[0])
    fit(db)

    found = the_suspect(db, team[0])

    assert (found.text, found.intent, found.suspected) == (SLIP, "refund", "hours")
    assert (found.given_by, found.given_at, found.item_id, found.refusal) == ("anna", NOW, item_id, None)
    assert 0.5 < found.suspicion <= 1
    assert len(found.near_own) == len(found.near_suspected) == 3
    assert all(text.startswith("refund") for text in found.near_own)
    assert found.near_suspected[0] == "opening openingly thing3 word10"


def test_the_surest_come_first_and_a_source_can_be_chosen(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP, "opening openingly what")
    seed(db, "refund", SLIP, source="bank")
    fit(db)
    fit(db, source="bank")

    found = suspects(db)
    with db.read() as session:
        counts = second_look.counts(session, team[0])

    assert [one.suspicion for one in found] == sorted((one.suspicion for one in found), reverse=True)
    assert counts == {"bank": 1, "standard": 2}
    assert [one.given_by for one in suspects(db, source="bank")] == [second_look.SEED]


def test_a_seed_is_not_listed_where_a_verdict_labels_the_same_text(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    listed = the_suspect(db)

    judge(db, team[0], "hours")

    assert listed.verdict_id is None
    assert suspects(db) == []
    with pytest.raises(NotFound):
        keep(db, listed.id, team[0])


def test_a_label_does_not_give_a_known_item_away(db: Database, team: Team) -> None:
    anna, ben, lead = team
    item_id = judge(db, anna)
    point_out(db)

    with db.write() as session:
        calibration.mark(session, item_id, lead, LATER)
    seen = [len(suspects(db, one)) for one in team]
    with db.write() as session:
        session.add(Calibration(item_id=item_id, reviewer_id=lead, fence=9, claimed_at=LATER))

    assert seen == [1, 0, 1]
    assert suspects(db, lead) == []
    with pytest.raises(NotFound):
        keep(db, the_suspect(db).id, ben)


# --- keeping --------------------------------------------------------------------------------------------------------


def test_a_kept_label_is_not_noted_by_the_next_fit_until_it_changes(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    fit(db)

    keep(db, the_suspect(db).id, team[0])
    at_once = suspects(db)
    fit_again(db, LATER + timedelta(minutes=1))
    after_a_fit = suspects(db)
    seed(db, "thanks", SLIP, at=LATER + timedelta(minutes=2))
    seed(db, "refund", SLIP, at=LATER + timedelta(minutes=3))
    fit_again(db, LATER + timedelta(minutes=4))

    assert (at_once, after_a_fit) == ([], [])
    assert the_suspect(db).text == SLIP
    (look,) = rows_of(db, SecondLook)
    assert (look.reviewer_id, look.at, look.intent, look.chosen, look.suspected) == (team[0], LATER, "refund", "refund", "hours")
    assert look.ended_at == LATER + timedelta(minutes=2)


def test_a_keep_outlives_what_does_not_change_the_label(db: Database, team: Team) -> None:
    anna = team[0]
    item_id = judge(db, anna)
    seed(db, "hours", SLIP)
    fit(db)
    keep(db, the_suspect(db).id, anna)

    with db.write() as session:  # another comment on the verdict; the same seeds imported again, and a new one
        counts = amend.current(session, item_id)
        assert counts is not None
        again = Decision(Label.incomplete, intent="refund", comment="half of it")
        amend.amend(session, item_id, counts.id or 0, anna, again, "not all wrong", [], LATER)
    seed(db, "hours", SLIP, at=LATER)
    seed(db, "thanks", SLIP, at=LATER)
    fit_again(db, LATER + timedelta(minutes=1))

    assert suspects(db) == []
    assert rows_of(db, SecondLook)[0].ended_at is None


def test_a_keep_can_be_taken_back(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    before = the_suspect(db)
    keep(db, before.id, team[0])
    with db.read() as session:
        (kept,) = second_look.kept(session, team[1])

    for _ in range(2):
        with db.write() as session:
            relabel.look_again(session, before.id, team[1], LATER)

    assert (kept.by, kept.text, kept.intent, kept.suspected, kept.at) == ("anna", SLIP, "refund", "hours", LATER)
    assert the_suspect(db) == before
    with db.read() as session:
        assert second_look.kept(session) == []


# --- changing -------------------------------------------------------------------------------------------------------


def test_a_changed_seed_is_learned_by_the_next_fit(db: Database, team: Team, hashing: Encoder) -> None:
    seed(db, "refund", SLIP)
    fit(db)
    before = IntentModels(db, hashing).current()["standard"]

    change(db, the_suspect(db).id, team[0], at=LATER + timedelta(seconds=1))
    soon = refit_due(db, hashing, LATER + timedelta(minutes=1))
    next_day = refit_due(db, hashing, LATER + timedelta(days=1, minutes=1))

    assert (soon, next_day) == (0, 1)
    assert label_of(db) == "hours"
    assert suspects(db) == []
    *_, latest = rows_of(db, Model)
    assert (latest.version != before.version, latest.examples) == (True, 41)


def test_who_changed_a_seed_is_named_where_its_label_is_suspected_again(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    seed(db, "thanks", *about("thanks", 6))
    point_out(db)
    label_id = the_suspect(db).id

    change(db, label_id, team[1], "thanks")
    with db.write() as session:
        second_look.note(session, "standard", [second_look.Note(label_id, "thanks", "hours", 0.8, [])])

    assert (the_suspect(db).intent, the_suspect(db).given_by) == ("thanks", "ben")


def test_a_verdicts_label_is_changed_by_amending_it(db: Database, team: Team) -> None:
    anna = team[0]
    item_id = judge(db, anna, answer="From 9 to 5.")
    point_out(db)

    change(db, the_suspect(db).id, anna)
    old, new = rows_of(db, Verdict)

    assert (old.withdrawn_at, old.withdrawn_reason) == (LATER, "second look: 'hours' instead of 'refund'")
    assert (new.item_id, new.reviewer_id, new.label, new.intent, new.answer, new.comment) == (
        item_id, anna, "wrong", "hours", "From 9 to 5.", "see the terms",
    )  # fmt: skip
    assert (label_of(db), rows_of(db, ReviewItem)[0].state) == ("hours", "done")
    (article,) = rows_of(db, Article)
    assert (article.intent, article.status, article.answer) == ("hours", "active", "From 9 to 5.")
    waiting = rows_of(db, Publication, Publication.state == "pending")
    assert [one.article_version_id for one in waiting] == [3]
    assert suspects(db) == []


def test_an_article_keeps_the_intent_that_it_had_before_the_verdict(db: Database, team: Team) -> None:
    with db.write() as session:
        article = save_article(session, Content("Open?", "Yes.", intent="refund"), [], NOW, origin="import")
        article_id = article.id or 0
    item_id = make_item(db, question=SLIP)
    with db.write() as session:
        claim = claims.claim_item(session, item_id, team[0], NOW, timedelta(minutes=15))
        said = Decision(Label.wrong, intent="refund", answer="From 9 to 5.", article_id=article_id)
        decide(session, item_id, team[0], claim.fence, said, [], NOW)
    point_out(db)

    change(db, the_suspect(db).id, team[0])

    (article,) = rows_of(db, Article)
    assert (article.id, article.intent, article.answer, article.question) == (article_id, "refund", "From 9 to 5.", "Open?")


def test_an_article_that_was_changed_since_is_not_put_back(db: Database, team: Team) -> None:
    judge(db, team[0], answer="From 9 to 5.")
    point_out(db)
    (article,) = rows_of(db, Article)
    with db.write() as session:
        newer = Content(article.question, "From 10 to 6.", intent="refund")
        save_article(session, newer, [], LATER, origin="page", article_id=article.id)

    with pytest.raises(Conflict, match="amend the verdict on the page of item"):
        change(db, the_suspect(db).id, team[0])

    assert rows_of(db, Article)[0].answer == "From 10 to 6."
    assert label_of(db) == "refund"


@pytest.mark.parametrize("of_settled", [False, True])
def test_look_alikes_follow_the_verdict_that_settled_them_and_one_alone_goes_alone(
    db: Database, team: Team, of_settled: bool
) -> None:
    anna, other = team[0], f"please, {SLIP}"
    items = [make_item(db, question=text) for text in (SLIP, other)]
    with db.write() as session:
        session.execute(update(Exchange).values(cluster_id=1))
        claim = claims.claim_item(session, items[0], anna, NOW, timedelta(minutes=15))
        exchanges = [session.get_one(ReviewItem, one).exchange_id for one in items]
        said = Decision(Label.wrong, intent="refund", answer="From 9 to 5.", settles=(exchanges[1],))
        decide(session, items[0], anna, claim.fence, said, ["folder"], NOW)
    point_out(db)
    (label,) = (one for one in suspects(db) if (one.item_id == items[1]) == of_settled)

    change(db, label.id, anna)

    (article,) = rows_of(db, Article)
    assert (label_of(db, SLIP), label_of(db, other)) == ("refund" if of_settled else "hours", "hours")
    assert (article.question, article.variants, article.status) == (SLIP, [other], "active")
    assert article.intent == ("refund" if of_settled else "hours")
    assert {one.state for one in rows_of(db, ReviewItem)} == {"done"}


def test_only_who_decided_or_an_admin_changes_a_verdicts_label_and_all_may_keep_it(db: Database, team: Team) -> None:
    anna, ben, lead = team
    judge(db, anna)
    point_out(db)
    label = the_suspect(db, ben)

    with pytest.raises(Forbidden, match="send the item back instead"):
        change(db, label.id, ben)
    change(db, label.id, lead)
    keep(db, rows_of(db, Example, Example.text == SLIP)[0].id, ben, "hours")

    assert label.refusal is not None
    assert "send the item back" in label.refusal
    assert [one.reviewer_id for one in rows_of(db, Verdict)] == [anna, lead]
    assert label_of(db) == "hours"


def test_the_label_of_an_item_that_is_open_again_waits_for_its_verdict(db: Database, team: Team) -> None:
    judge(db, team[0])
    point_out(db)
    with db.write() as session:
        session.execute(update(ReviewItem).values(state="open"))

    refused = the_suspect(db, team[0])

    assert refused.refusal is not None
    assert "open again" in refused.refusal
    with pytest.raises(Forbidden, match="open again"):
        change(db, refused.id, team[0])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("  ", "intent: say which"),
        ("refund", "intent: the label is 'refund' already; keep it instead"),
        ("hour", r"intent: 'standard' has no intent 'hour'; did you mean 'hours'\?"),
        ("xyzzy", "has no intent 'xyzzy'; choose one from the list"),
    ],
)
def test_an_intent_that_cannot_be_is_refused_with_what_to_do(db: Database, team: Team, typed: str, told: str) -> None:
    seed(db, "refund", SLIP)
    point_out(db)

    with pytest.raises(Invalid, match=told):
        change(db, the_suspect(db).id, team[0], typed)

    assert label_of(db) == "refund"


def test_a_question_can_turn_out_to_have_no_intent(db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    point_out(db)

    change(db, the_suspect(db).id, team[0], " out_of_scope ")

    assert label_of(db) == "out_of_scope"


# --- twice, and two at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_verdict", [False, True])
def test_the_same_answer_twice_changes_nothing_more(db: Database, team: Team, by_verdict: bool) -> None:
    anna = team[0]
    if by_verdict:
        judge(db, anna, answer="From 9 to 5.")
    else:
        seed(db, "refund", SLIP)
    point_out(db)
    label_id = the_suspect(db).id

    kept = [keep(db, label_id, anna, at=LATER + timedelta(seconds=n)) for n in range(2)]
    changed = [change(db, label_id, anna, at=LATER + timedelta(minutes=1, seconds=n)) for n in range(2)]

    assert kept[0] == kept[1]
    assert changed[0] == changed[1]
    assert len(rows_of(db, SecondLook)) == 2
    assert len(rows_of(db, Verdict)) == 2 * by_verdict
    assert label_of(db) == "hours"


def kept_by(reviewer: int) -> Callable[[Database, int], object]:
    return lambda db, label_id: keep(db, label_id, reviewer)


def changed_by(reviewer: int, intent: str) -> Callable[[Database, int], object]:
    return lambda db, label_id: change(db, label_id, reviewer, intent)


@pytest.mark.parametrize("first", ["keep", "hours", "thanks"])
@pytest.mark.parametrize("second", ["keep", "hours"])
def test_the_second_of_two_people_is_told(db: Database, team: Team, first: str, second: str) -> None:
    seed(db, "refund", SLIP)
    seed(db, "thanks", *about("thanks", 6))
    point_out(db)
    label_id = the_suspect(db).id
    (one, two) = (kept_by(who) if do == "keep" else changed_by(who, do) for who, do in zip(team, (first, second), strict=False))

    one(db, label_id)
    with pytest.raises(Conflict, match="anna has"):
        two(db, label_id)

    assert label_of(db) == ("refund" if first == "keep" else first)


def test_who_differs_from_a_keep_takes_it_back_first(db: Database, team: Team) -> None:
    judge(db, team[0], answer="From 9 to 5.")
    point_out(db)
    label_id = the_suspect(db).id
    keep(db, label_id, team[0])

    with pytest.raises(Conflict, match="anna has kept the label 'refund': take that back first"):
        change(db, label_id, team[2])
    untouched = rows_of(db, Verdict), rows_of(db, Article)[0].version
    with db.write() as session:
        relabel.look_again(session, label_id, team[2], LATER + timedelta(seconds=1))
    change(db, label_id, team[2], at=LATER + timedelta(seconds=2))

    assert ([one.withdrawn_at for one in untouched[0]], untouched[1]) == ([None], 1)
    assert label_of(db) == "hours"


@pytest.mark.parametrize("other", ["thanks", "refund"], ids=["change", "keep"])
@pytest.mark.parametrize("by_verdict", [False, True])
def test_of_two_who_answer_in_the_same_moment_one_is_told(db: Database, team: Team, by_verdict: bool, other: str) -> None:
    anna, _, lead = team
    seed(db, "thanks", *about("thanks", 6))
    if by_verdict:
        judge(db, anna)
    else:
        seed(db, "refund", SLIP)
    point_out(db)
    label_id = the_suspect(db).id
    together = threading.Barrier(2)
    ends: list[str] = []

    def work(reviewer: int, intent: str) -> None:
        together.wait()
        try:
            keep(db, label_id, reviewer) if intent == "refund" else change(db, label_id, reviewer, intent)
            ends.append(intent)
        except Conflict:
            ends.append("told")

    workers = [threading.Thread(target=work, args=one) for one in ((anna, "hours"), (lead, other))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    (done,) = set(ends) - {"told"}
    assert sorted(ends) == sorted([done, "told"])
    assert label_of(db) == done
    assert len(rows_of(db, SecondLook)) == 1


# --- the page -------------------------------------------------------------------------------------------------------


def reviewers(db: Database) -> dict[str, int]:
    with db.read() as session:
        return {name: key for key, name in second_look.names_of(session).items()}


def forms(page: str, action: str) -> list[tuple[str, dict[str, str]]]:
    """(address, hidden fields) of the page's forms for this answer."""
    found = re.findall(r'<form method="post" action="(/labels/\d+/' + action + r'[^"]*)"[^>]*>(.*?)</form>', page, re.S)
    return [
        (there.replace("&amp;", "&"), dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)))
        for there, inside in found
    ]


def test_a_day_of_second_looks_on_the_page(clients: dict[str, TestClient], db: Database) -> None:
    anna, ben = clients["anna"], clients["ben"]
    item_id = judge(db, reviewers(db)["anna"])
    seed(db, "refund", "opening openingly <b>thing3</b>")
    point_out(db)

    team, page = anna.get("/team").text, anna.get("/labels").text
    there = [anna.post(address, data=fields) for address, fields in forms(page, "keep")[:1]]
    after = anna.get(there[0].headers["location"]).text
    late = ben.post(forms(page, "keep")[0][0], data=forms(page, "keep")[0][1])
    refused = ben.get("/labels").text
    changed = [anna.post(address, data=fields) for address, fields in forms(after, "change")[:1]]
    empty = anna.get(changed[0].headers["location"]).text

    assert 'href="/labels">Labels to look at again <span class="figure">2</span>' in team
    assert f'href="/items/{item_id}">Item {item_id}</a>' in page
    assert "&lt;b&gt;thing3" in page
    assert "<b>thing3" not in page
    assert there[0].status_code == 303
    assert re.search(r"said=label_kept.*#label-\d+$", there[0].headers["location"])
    assert "Kept: this label is not pointed out again" in after
    assert "1 label to look at again" in after
    assert late.status_code == 409
    assert "Anna has kept the label" in late.text
    assert len(forms(refused, "keep")) == 1
    assert changed[0].status_code == 303
    assert "No label looks like a slip." in empty
    assert 'says <span dir="auto">anna</span>' in empty


def test_who_may_not_change_a_label_is_told_before_they_try(clients: dict[str, TestClient], db: Database) -> None:
    item_id = judge(db, reviewers(db)["anna"])
    point_out(db)

    pages = {name: client.get("/labels").text for name, client in clients.items()}
    tried = clients["ben"].post(forms(pages["anna"], "change")[0][0], data=forms(pages["anna"], "change")[0][1])

    assert [len(forms(pages[name], "change")) for name in ("anna", "ben", "lead")] == [3, 0, 3]
    assert f"Only the reviewer who decided item {item_id}, or an admin" in pages["ben"]
    assert tried.status_code == 403
    assert label_of(db) == "refund"


def test_an_intent_that_is_not_known_stays_in_its_field(clients: dict[str, TestClient], db: Database) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    address, fields = forms(clients["anna"].get("/labels").text, "change")[1]

    answer = clients["anna"].post(address, data={**fields, "intent": 'hour" <x>'})
    known = clients["anna"].post(address, data={**fields, "intent": "hours"})

    assert "intent" not in fields
    assert answer.status_code == 422
    assert "has no intent &#39;hour&#34; &lt;x&gt;&#39;" in answer.text
    assert 'value="hour&#34; &lt;x&gt;"' in answer.text
    assert '<option value="hours">' in answer.text
    assert known.status_code == 303
    assert label_of(db) == "hours"


def test_a_keep_is_taken_back_on_the_page(clients: dict[str, TestClient], db: Database) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    keep(db, the_suspect(db).id, reviewers(db)["anna"])

    ((address, _),) = forms(clients["ben"].get("/labels").text, "again")
    there = clients["ben"].post(address).headers["location"]

    assert "The label is pointed out again." in clients["ben"].get(there).text
    assert the_suspect(db).text == SLIP


def test_the_page_goes_by_source_and_by_pages(clients: dict[str, TestClient], db: Database) -> None:
    seed(db, "refund", SLIP, source="bank")
    seed(db, "refund", *about("opening", 40, 90))
    point_out(db, source="bank")
    point_out(db)

    first, bank = clients["anna"].get("/labels").text, clients["anna"].get("/labels?source=bank").text
    last = clients["anna"].get("/labels?page=3").text

    assert "41 labels to look at again" in first
    assert len(forms(first, "keep")) == 20
    assert 'href="/labels?page=2"' in first
    assert len(forms(last, "keep")) == 1
    assert 'rel="next"' not in last
    ((address, _),) = forms(bank, "keep")
    assert "source=bank" in address
    assert re.search(r'href="/labels\?source=bank" aria-current="page"', bank)


@pytest.mark.parametrize("filled", [True, False])
def test_the_page_needs_no_inline_script_or_style(clients: dict[str, TestClient], db: Database, filled: bool) -> None:
    seed(db, "refund", *([SLIP] if filled else []))
    point_out(db)

    page = clients["lead"].get("/labels")

    assert page.status_code == 200
    assert bool(forms(page.text, "keep")) == filled
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", page.text)


def test_labels_are_answered_by_keys(site: Site) -> None:
    first, second, third = (make_slip(site.db, f"Are you open on {day}?") for day in ("Sundays", "Mondays", "Fridays"))
    page = site.visit("anna", "/labels")

    page.keyboard.press("1")  # no label has the focus: nothing is answered
    page.keyboard.press("j")
    page.keyboard.press("1")
    page.wait_for_url(re.compile(f"said=label_kept.*#label-{second}$"))
    expect(page.locator(f"#label-{second}")).to_be_focused()
    page.keyboard.press("2")
    page.wait_for_url(re.compile(f"said=label_changed.*#label-{third}$"))
    page.keyboard.press("i")
    page.keyboard.type("out_of_scope")
    page.keyboard.press("Enter")
    page.get_by_text("No label looks like a slip.").wait_for()

    chosen = {one.example_id: one.chosen for one in rows_of(site.db, SecondLook)}
    assert chosen == {first: "refund", second: "hours", third: "out_of_scope"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_phone(site: Site, scheme: Literal["light", "dark"]) -> None:
    long = "averylongintentwithoutanygap" * 3
    make_slip(site.db, "wordwithoutgap" * 40)
    with site.db.write() as session:
        session.execute(update(Example).where(col(Example.suspected).is_not(None)).values(intent=long))

    page = site.visit("anna", "/labels", viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page.get_by_text("Another intent").first.click()

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


# --- programs -------------------------------------------------------------------------------------------------------


def test_the_api_lists_keeps_and_changes(settings: Settings, db: Database, team: Team) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    anna = add_token(db, Scope.review, name="one", reviewer="anna")
    ben = add_token(db, Scope.review, name="two", reviewer="ben")
    nobody = add_token(db, Scope.ingest, name="three")
    app = create_app(settings)

    with TestClient(app, base_url="http://testserver/api/v1/labels/") as api:
        (found,) = api.get("suspected", headers=anna).json()
        here = f"{found['id']}"
        kept = [api.post(f"{here}/keep", json={"label": "refund"}, headers=anna) for _ in range(2)]
        told = api.post(f"{here}/keep", json={"label": "refund"}, headers=ben)
        listed = api.get("kept", headers=ben).json()
        back = api.delete(f"{here}/keep", headers=ben)
        wrong = api.post(f"{here}/change", json={"label": "refund", "intent": "hour"}, headers=ben)
        changed = api.post(f"{here}/change", json={"label": "refund", "intent": "hours"}, headers=ben)
        late = api.post(f"{here}/change", json={"label": "refund", "intent": "hours"}, headers=anna)
        shapeless = api.post(f"{here}/change", json={"intent": "hours"}, headers=ben)
        missing = api.post("999999/keep", json={"label": "refund"}, headers=ben)
        refused = api.get("suspected", headers=nobody)
        left = api.get("suspected", params={"source": "standard"}, headers=anna).json()
    app.state.db.close()

    assert (found["text"], found["intent"], found["suspected"], found["given_by"]) == (SLIP, "refund", "hours", "seed")
    assert found["near_suspected"] == about("opening", 3)
    assert [one.status_code for one in kept] == [200, 200]
    assert kept[0].json() == kept[1].json()
    assert (told.status_code, told.json()["detail"]) == (409, "anna has kept the label 'refund' already")
    assert [(one["text"], one["by"]) for one in listed] == [(SLIP, "anna")]
    assert (back.status_code, wrong.status_code) == (204, 422)
    assert "did you mean 'hours'?" in wrong.json()["detail"]
    assert {name: changed.json()[name] for name in ("intent", "chosen", "by")} == {
        "intent": "refund", "chosen": "hours", "by": "ben",
    }  # fmt: skip
    assert (late.status_code, shapeless.status_code, missing.status_code, refused.status_code) == (409, 422, 404, 403)
    assert left == []


def test_the_command_lists_them_as_json_lines(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    item_id = judge(db, add_reviewer(db))
    point_out(db)
    db.close()

    done = CliRunner().invoke(commands, ["models", "slips"], env={"TRIAGE_DATABASE_URL": sqlite_url})

    (line,) = done.output.splitlines()
    told = json.loads(line)
    assert (told["text"], told["given_by"], told["item_id"], told["given_at"]) == (SLIP, "anna", item_id, NOW.isoformat())
    assert "refusal" not in told


def test_the_migration_goes_back_and_forth_over_what_is_stored(db: Database, database_url: str, team: Team) -> None:
    seed(db, "refund", SLIP)
    point_out(db)
    keep(db, the_suspect(db).id, team[0])

    command.downgrade(config(database_url), "0009")
    before = inspect(db.engine).has_table("second_look")
    upgrade(database_url)

    assert not before
    assert rows_of(db, SecondLook) == []
    assert label_of(db) == "refund"
