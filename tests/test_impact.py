"""Impact before publishing: what a draft would answer and displace in recent traffic, and what it meets among the articles."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from conftest import NOW, CountingEncoder, add_reviewer, ingest, make_conversation, make_disliked, make_triage, rows_of, score_all

from scoring.encoder import Encoder
from service import articles, impact
from service.db import Database
from service.errors import Invalid, NotFound
from service.hand_picked import hand_pick
from service.impact import Draft, Foreseen
from service.models import ArticleStatus, Exchange, Impact, ImpactState
from service.replay import LEASE, MOST_ATTEMPTS, replay_due

LATER = NOW + timedelta(hours=2)
ASKED = "Can I return the worn red shoes that I bought?"
NO = "Worn shoes cannot be returned."
DRAFT = Draft(ASKED, NO)


def make_fine(question: str, answer: str, id: str) -> dict[str, Any]:
    """A conversation whose user is happy."""
    turns = [{"id": "q", "role": "user", "text": question}, {"id": "a", "role": "bot", "text": answer,
             "feedback": [{"rating": 1, "scale": "thumb"}]}]  # fmt: skip
    return {"id": id, "closed": True, "turns": turns}


def make_traffic(db: Database, encoder: Encoder) -> None:
    ingest(
        db,
        make_disliked(ASKED, "Yes, within 30 days.", id="bad1"),
        make_disliked(ASKED.lower(), "Yes, of course.", id="bad2"),
        make_fine(ASKED, "Yes, you can return worn shoes within 30 days.", id="good"),
        make_fine(ASKED, f"{NO}", id="same"),
        make_disliked("When does the shop in Rome open on Sunday?", id="other"),
    )
    score_all(make_triage(db, encoder))


def ask(db: Database, draft: Draft = DRAFT, now: datetime = LATER) -> str:
    with db.write() as session:
        return impact.ask(session, draft, now)


def read(db: Database, key: str) -> Foreseen:
    with db.read() as session:
        return impact.read(session, key)


def foreseen(db: Database, encoder: Encoder, draft: Draft = DRAFT) -> Foreseen:
    key = ask(db, draft)
    assert replay_due(db, encoder, 0.82, LATER) == 1
    return read(db, key)


def save(db: Database, question: str, answer: str, status: ArticleStatus = ArticleStatus.active) -> int:
    with db.write() as session:
        content = articles.Content(question, answer, status=status)
        return articles.save_article(session, content, [], NOW, "page").id or 0


def conversations(db: Database, found: list[impact.Asked]) -> list[int]:
    return sorted(one.exchange.conversation_id for one in found)


# --- what it finds ------------------------------------------------------------------------------------------------


def test_flagged_questions_are_answered_good_answers_displaced_and_repeated_ones_confirmed(
    db: Database, hashing: Encoder
) -> None:
    make_traffic(db, hashing)

    found = foreseen(db, hashing)

    assert (found.impact.state, found.traffic, found.flagged + found.good) == (ImpactState.ready, 5, 5)
    by_answer = {one.answer: one for one in rows_of(db, Exchange)}
    assert {one.exchange.answer for one in found.answers} == {"Yes, within 30 days.", "Yes, of course."}
    assert (found.answered, found.already, found.displaced, found.confirms) == (2, 0, 1, 1)
    assert [one.exchange.id for one in found.displaces] == [by_answer["Yes, you can return worn shoes within 30 days."].id]


def test_a_verdict_goes_before_what_the_signals_say(db: Database, hashing: Encoder) -> None:
    make_traffic(db, hashing)
    reviewer = add_reviewer(db)
    bad = next(one for one in rows_of(db, Exchange) if one.answer == "Yes, of course.")
    from test_settle import claim, decide

    with db.write() as session:
        item = hand_pick(session, bad.id, reviewer, "", NOW)
    decide(db, claim(db, item, reviewer), reviewer, label="good", answer=None, intent=None, causes=())

    found = foreseen(db, hashing)

    assert (found.answered, found.displaced) == (1, 2)


def test_questions_that_another_article_answers_better_stay_with_it(db: Database, hashing: Encoder) -> None:
    make_traffic(db, hashing)
    other = save(db, ASKED, "Ask in the shop.")

    found = foreseen(db, hashing, Draft("Can I return worn red shoes that I bought there?", NO))

    assert (found.answered, found.displaced) == (0, 0)
    assert [one.article.id for one in found.near] == [other]


def test_a_change_of_an_article_tells_what_it_answers_already(db: Database, hashing: Encoder) -> None:
    make_traffic(db, hashing)
    mine = save(db, ASKED, "Yes, you can return worn shoes within 30 days.")

    same = foreseen(db, hashing, Draft(ASKED, "Yes, you can return worn shoes within 30 days.", article_id=mine))
    changed = foreseen(db, hashing, Draft(ASKED, NO, article_id=mine))

    assert (same.answered, same.already, same.displaced, same.confirms) == (2, 2, 0, 1)
    assert (changed.answered, changed.already, changed.displaced) == (2, 2, 1)
    assert changed.duplicates == changed.contradicts == changed.near == []


def test_articles_that_say_the_same_or_the_contrary_are_named(db: Database, hashing: Encoder) -> None:
    twin = save(db, ASKED, "Worn shoes cannot be returned")
    against = save(db, ASKED, "You can return shoes within 30 days.")
    save(db, ASKED, "Paused.", ArticleStatus.paused)
    save(db, "Where is the shop in Rome?", NO)

    found = foreseen(db, hashing, Draft(ASKED, NO))
    days = foreseen(db, hashing, Draft(ASKED, "You can return shoes within 14 days."))

    assert [one.article.id for one in found.duplicates] == [twin]
    assert [one.article.id for one in days.contradicts if "30" in one.note] == [against]


def test_only_the_bots_own_traffic_of_the_last_month_counts(db: Database, hashing: Encoder) -> None:
    make_traffic(db, hashing)

    elsewhere = foreseen(db, hashing, Draft(ASKED, NO, source="another"))
    key = ask(db, DRAFT, LATER + timedelta(days=40))
    replay_due(db, hashing, 0.82, LATER + timedelta(days=40))

    assert (elsewhere.traffic, elsewhere.answered) == (0, 0)
    assert read(db, key).traffic == 0


def test_nothing_there_is_nothing_found(db: Database, hashing: Encoder) -> None:
    found = foreseen(db, hashing)

    assert (found.traffic, found.answered, found.displaced, found.answers, found.near) == (0, 0, 0, [], [])


# --- cost, repetition, failure ------------------------------------------------------------------------------------


def test_traffic_is_never_encoded_only_the_drafts_own_texts_once(db: Database) -> None:
    encoder = CountingEncoder()
    ingest(db, *(make_conversation(4, id=f"c{n}") for n in range(50)))
    make_traffic(db, encoder)
    save(db, "Where is the shop in Rome?", "In the old town.")
    encoder.texts.clear()
    draft = Draft("May worn shoes go back?", "Not at all.", ("And red ones?",))

    foreseen(db, encoder, draft)

    assert sorted(encoder.texts) == sorted(
        [draft.question, draft.answer, *draft.variants, "Where is the shop in Rome?", "In the old town."]
    )
    encoder.texts.clear()
    foreseen(db, encoder, Draft("May worn shoes go back?", "Never.", ("And red ones?",)))
    assert encoder.texts == ["Never."]


def test_the_same_text_is_computed_once_and_again_when_traffic_has_moved_on(db: Database, hashing: Encoder) -> None:
    first = ask(db)
    assert replay_due(db, hashing, 0.82, LATER) == 1

    again = ask(db, Draft(f" {ASKED} ", NO), LATER + timedelta(minutes=5))

    assert again == first
    assert replay_due(db, hashing, 0.82, LATER + timedelta(minutes=5)) == 0
    assert ask(db, DRAFT, LATER + impact.FRESH) == first
    assert replay_due(db, hashing, 0.82, LATER + impact.FRESH) == 1
    assert ask(db, Draft(ASKED, "Something else.")) != first


def test_a_worker_that_dies_leaves_the_row_to_another(db: Database, hashing: Encoder) -> None:
    class Dying(CountingEncoder):
        def encode(self, texts: Any) -> Any:
            raise KeyboardInterrupt

    key = ask(db)
    with pytest.raises(KeyboardInterrupt):
        replay_due(db, Dying(), 0.82, LATER)

    assert replay_due(db, hashing, 0.82, LATER + timedelta(seconds=1)) == 0
    assert read(db, key).impact.state == ImpactState.waiting
    assert replay_due(db, hashing, 0.82, LATER + LEASE + timedelta(seconds=1)) == 1
    assert read(db, key).impact.state == ImpactState.ready


def test_what_cannot_be_computed_is_given_up_and_can_be_asked_for_again(db: Database, hashing: Encoder) -> None:
    class Broken(CountingEncoder):
        def encode(self, texts: Any) -> Any:
            raise ValueError("a defect")

    key, now = ask(db), LATER
    for _ in range(MOST_ATTEMPTS):
        replay_due(db, Broken(), 0.82, now)
        now += timedelta(minutes=1)

    assert read(db, key).impact.state == ImpactState.failed
    assert replay_due(db, hashing, 0.82, now) == 0
    assert ask(db, now=now) == key
    assert replay_due(db, hashing, 0.82, now) == 1
    assert read(db, key).impact.state == ImpactState.ready


def test_a_draft_without_a_text_is_refused_and_old_ones_are_forgotten(db: Database) -> None:
    for draft, kind in ((Draft(" ", NO), Invalid), (Draft(ASKED, ""), Invalid), (Draft(ASKED, NO, article_id=4711), NotFound)):
        with pytest.raises(kind):
            ask(db, draft)
    old = ask(db)

    ask(db, Draft(ASKED, "New."), LATER + impact.KEPT + timedelta(days=1))

    assert old not in [one.key for one in rows_of(db, Impact)]
    with pytest.raises(NotFound):
        read(db, old)
