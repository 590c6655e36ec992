"""What is forgotten is gone everywhere and stays gone; what numbers are made of stays as it was."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import (
    NOW,
    CountingEncoder,
    add_reviewer,
    closed,
    feedback_given,
    fill_queue,
    ingest,
    make_conversation,
    make_disliked,
    make_triage,
    rows_of,
    score_all,
    turn_added,
)
from forgetting import LATER, WORD, conversation_of, exchange_of, item_of, make_asked, make_known, places_of
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from spans import make_rag, make_span
from sqlalchemy import select, text
from sqlmodel import col
from test_otlp import export
from test_quality import judge, measured
from test_settle import WAYS
from test_watch import correct

from scoring.encoder import HashingEncoder, Vectors
from scoring.vectors import content_hash
from service import calibration, claims, hand_picked, review, undo
from service.db import Database
from service.errors import Conflict, Gone, NotFound
from service.forgetting import erase
from service.forgetting.erase import Wanted
from service.forgetting.forget import QUOTED, forget
from service.forgetting.reviews import REMARK
from service.forgetting.users import names_user
from service.learn.platform import calibrate_due
from service.models import (
    Article,
    ArticleVersion,
    Calibration,
    Conversation,
    Delivery,
    Draft,
    Evidence,
    Example,
    Exchange,
    Feedback,
    ForgottenBecause,
    ItemState,
    Publication,
    ReviewItem,
    SecondLook,
    Turn,
    Vector,
    Verdict,
    Watch,
)
from service.queue import detail
from service.searching.index import index_due
from service.team import amend, comments
from service.team.agreement import agreements, calibrations

C1 = Wanted("standard", "c1")
HOUR = timedelta(hours=1)


def erase_c1(db: Database) -> erase.Going:
    return erase.erase(db, C1, LATER)


def forget_all(db: Database, because: ForgottenBecause, *names: str) -> None:
    with db.write() as session:
        forget(session, [conversation_of(db, name) for name in names], because, LATER)


def test_no_table_holds_a_word_of_an_erased_conversation(db: Database) -> None:
    make_known(db)
    before = places_of(db, WORD)
    assert {"turn", "feedback", "conversation", "exchange", "evidence", "verdict", "opinion", "comment", "draft"} <= set(before)
    assert {"example", "impact", "watch", "delivery", "searchable"} <= set(before)

    erase_c1(db)

    # FTS5 keeps its own copy of the words until it is merged: see test_retention.py.
    assert [name for name in places_of(db, WORD) if not name.startswith("searchable_words")] == []
    assert [one.external_id for one in rows_of(db, Delivery) if one.body] == ["d2"]
    assert not rows_of(db, Vector, Vector.content_hash == content_hash(f"{WORD} keeps for a week."))
    assert rows_of(db, SecondLook) == []


def test_what_numbers_are_made_of_stays(db: Database) -> None:
    item_id = make_known(db)
    before = [
        [(one.priority, one.intent, one.created_at, one.cluster_id) for one in rows_of(db, Exchange)],
        [(one.exchange_id, one.name, one.value, one.probability, one.turn_ids) for one in rows_of(db, Evidence)],
        [(one.label, one.intent, one.causes, one.reviewer_id, one.decided_at) for one in rows_of(db, Verdict)],
        [(one.rating, one.scale, one.at) for one in rows_of(db, Feedback)],
        [(one.strategy, one.propensity, one.round_id, one.priority, one.state) for one in rows_of(db, ReviewItem)],
        [(one.role, one.at, one.external_id, one.position) for one in rows_of(db, Turn)],
    ]

    erase_c1(db)

    after = [
        [(one.priority, one.intent, one.created_at, one.cluster_id) for one in rows_of(db, Exchange)],
        [(one.exchange_id, one.name, one.value, one.probability, one.turn_ids) for one in rows_of(db, Evidence)],
        [(one.label, one.intent, one.causes, one.reviewer_id, one.decided_at) for one in rows_of(db, Verdict)],
        [(one.rating, one.scale, one.at) for one in rows_of(db, Feedback)],
        [(one.strategy, one.propensity, one.round_id, one.priority, one.state) for one in rows_of(db, ReviewItem)],
        [(one.role, one.at, one.external_id, one.position) for one in rows_of(db, Turn)],
    ]
    assert after == before
    (article,) = rows_of(db, Article)
    assert (article.question, article.answer) == ("How long do vegetables keep?", "Two weeks when it is cold.")
    assert [one.item_id for one in rows_of(db, Watch)] == [item_id]


def test_what_other_conversations_have_stays_but_for_what_they_quoted(db: Database) -> None:
    make_known(db)

    erase_c1(db)

    other = exchange_of(db, "c3")
    (exchange,) = rows_of(db, Exchange, col(Exchange.id) == other)
    assert exchange.question == "Where is my parcel?"
    quoting = [one for one in rows_of(db, Evidence, Evidence.exchange_id == other) if one.other_id is not None]
    assert [one.note for one in quoting] == [QUOTED]
    with db.read() as session:
        shown = detail(session, item_of(db, "c3"), None, LATER)
    assert all(not one.exchange.forgotten for one in shown.similar)
    assert shown.contradicted is None


def test_the_quality_report_is_the_same_after_judged_conversations_are_forgotten(db: Database) -> None:
    ingest(db, *(make_disliked(f"d{n}one d{n}two d{n}three", id=f"d{n}") for n in range(20)))
    ingest(db, *(make_conversation(2, id=f"fine{n}", channel="web") for n in range(40)))
    triage = make_triage(db, HashingEncoder(), review_rate=0.5, random_share=0.9)
    score_all(triage)
    triage.pick_due(LATER, Random(1))
    reviewer = add_reviewer(db)
    for item in rows_of(db, ReviewItem)[::2]:
        judge(db, reviewer, item, "wrong" if item.id % 3 else "good")
    before = measured(db)
    with db.read() as session:
        agreed = agreements(session)

    forget_all(db, ForgottenBecause.age, *(f"d{n}" for n in range(0, 20, 2)), *(f"fine{n}" for n in range(0, 40, 2)))
    for n in range(1, 40, 2):
        erase.erase(db, Wanted("standard", f"fine{n}"), LATER)

    assert measured(db) == before
    with db.read() as session:
        assert agreements(session) == agreed
    assert before.failure_rate.judged > 5
    # Nor does what learns from the rows meet anything that it cannot read.
    calibrate_due(db, LATER)
    triage.pick_due(LATER + HOUR, Random(2))
    waiting = [one.exchange_id for one in rows_of(db, ReviewItem) if one.state == ItemState.open]
    assert not any(one.forgotten for one in rows_of(db, Exchange) if one.id in waiting)


@pytest.mark.parametrize("because", list(ForgottenBecause))
def test_events_that_come_again_bring_nothing_back(db: Database, because: ForgottenBecause) -> None:
    told = make_asked()
    ingest(db, told)
    score_all(make_triage(db, HashingEncoder()))
    forget_all(db, because, "c1")
    before = [[one.model_dump() for one in rows_of(db, model)] for model in (Conversation, Turn, Feedback, Exchange)]

    ingest(db, told, now=LATER + HOUR)
    ingest(db, feedback_given("a", id="f", comment=f"{WORD} again", rating=-1), now=LATER + HOUR)
    while index_due(db):
        pass

    after = [[one.model_dump() for one in rows_of(db, model)] for model in (Conversation, Turn, Exchange)]
    # Feedback without a time may be told anew with the same rating: its words stay away.
    assert places_of(db, WORD) == []
    if because != ForgottenBecause.age:
        assert after == [before[0], before[1], before[3]]
    else:
        assert after[1:] == [before[1], before[3]]


def test_of_a_conversation_that_is_only_old_what_is_said_later_is_taken_in(db: Database) -> None:
    ingest(db, make_asked())
    triage = make_triage(db, HashingEncoder())
    score_all(triage)
    forget_all(db, ForgottenBecause.age, "c1")
    late = NOW + timedelta(days=300)

    ingest(db, turn_added("n1", "user", "Do you ship to Malta?"), turn_added("n2", "bot", "Yes."), closed(), now=late)
    score_all(triage, late)
    while index_due(db):
        pass

    assert places_of(db, WORD) == []
    assert [one.question for one in rows_of(db, Exchange)] == ["", "Do you ship to Malta?"]
    (conversation,) = rows_of(db, Conversation)
    assert (conversation.forgotten_at, conversation.last_event_at) == (None, late)
    assert places_of(db, "malta") != []


def test_of_an_erased_conversation_nothing_more_is_taken_in_until_that_is_lifted(db: Database) -> None:
    told = make_asked()
    ingest(db, told)
    triage = make_triage(db, HashingEncoder())
    score_all(triage)
    erase_c1(db)
    ingest(db, turn_added("n1", "user", f"{WORD}?"), now=LATER)
    assert places_of(db, WORD) == []

    erase.lift(db, "standard", "c1")
    ingest(db, told, now=LATER)
    score_all(triage, LATER + HOUR)

    assert next(one.text for one in rows_of(db, Turn)) == f"How long does {WORD} keep?"
    assert [one.comment for one in rows_of(db, Feedback)] == [f"no, {WORD} does not"]
    assert [(one.question, one.forgotten, one.reviewed) for one in rows_of(db, Exchange)] == [
        (f"How long does {WORD} keep?", False, False)
    ]
    with pytest.raises(Conflict):
        erase.lift(db, "standard", "c1")
    with pytest.raises(NotFound):
        erase.lift(db, "standard", "c9")


def test_a_judged_exchange_that_is_told_again_after_lifting_has_its_words_and_its_verdict(db: Database) -> None:
    item_id = make_known(db)
    erase_c1(db)

    erase.lift(db, "standard", "c1")
    ingest(db, make_asked(), now=LATER)
    score_all(make_triage(db, HashingEncoder()), LATER + HOUR)

    (exchange,) = rows_of(db, Exchange, col(Exchange.id) == exchange_of(db, "c1"))
    assert (exchange.question, exchange.forgotten) == (f"How long does {WORD} keep?", False)
    assert [(one.item_id, one.label) for one in rows_of(db, Verdict)] == [(item_id, "wrong")]


def test_forgetting_twice_changes_nothing_more(db: Database) -> None:
    make_known(db)
    erase_c1(db)
    before = [[one.model_dump() for one in rows_of(db, model)] for model in (Conversation, Article, ArticleVersion, Verdict)]

    again = erase.erase(db, C1, LATER + HOUR)

    assert [[one.model_dump() for one in rows_of(db, m)] for m in (Conversation, Article, ArticleVersion, Verdict)] == before
    assert (again.turns, again.open_items, again.bodies) == (0, 0, 0)


def test_what_is_only_old_can_be_erased_for_good(db: Database) -> None:
    ingest(db, make_asked())
    forget_all(db, ForgottenBecause.age, "c1")

    erase_c1(db)
    ingest(db, turn_added("n1", "user", f"{WORD}?"), now=LATER)

    assert [one.forgotten_because for one in rows_of(db, Conversation)] == [ForgottenBecause.request]
    assert places_of(db, WORD) == []


def test_a_dry_run_says_what_would_go_and_changes_nothing(db: Database) -> None:
    make_known(db)
    before = places_of(db, WORD)

    going = erase.foresee(db, C1)

    assert places_of(db, WORD) == before
    assert going.conversations == [("standard", "c1")]
    counted = (going.turns, going.ratings, going.exchanges, going.verdicts, going.drafts, going.comments, going.examples)
    assert counted == (3, 1, 1, 1, 1, 1, 1)
    assert going.bodies == 2
    assert erase_c1(db) == going


def test_an_open_item_leaves_the_queue_and_its_reviewer_is_told(db: Database) -> None:
    (item_id,) = fill_queue(db, make_asked())
    anna = add_reviewer(db)
    with db.write() as session:
        claim = claims.claim_next(session, anna, LATER, HOUR)
    assert claim is not None

    erase_c1(db)

    (item,) = rows_of(db, ReviewItem)
    assert (item.state, item.remark, item.decided_at) == (ItemState.not_reviewable, REMARK, LATER)
    decision = review.Decision(review.VerdictLabel.wrong, comment=WORD)
    with db.write() as session:
        assert claims.claim_next(session, anna, LATER, HOUR) is None
        for attempt in (
            lambda: claims.heartbeat(session, item_id, anna, claim.fence, LATER, HOUR),
            lambda: claims.claim_item(session, item_id, anna, LATER, HOUR),
            lambda: review.decide(session, item_id, anna, claim.fence, decision, [], LATER),
            lambda: review.save_draft(session, item_id, anna, {"comment": WORD}, LATER),
            lambda: review.send_back(session, item_id, anna, "again", [], LATER),
            lambda: comments.add_comment(session, item_id, anna, WORD, "k", LATER),
            lambda: hand_picked.hand_pick(session, item.exchange_id, anna, "", LATER),
        ):
            with pytest.raises(Gone, match="forgotten"):
                attempt()
    assert rows_of(db, Draft) == []
    assert places_of(db, WORD) == []


def test_a_decided_item_stays_decided_whatever_is_tried(db: Database) -> None:
    item_id = make_known(db)
    erase_c1(db)
    (verdict,) = rows_of(db, Verdict)
    decision = review.Decision(review.VerdictLabel.good)

    with db.write() as session:
        for attempt in (
            lambda: undo.undo(session, item_id, verdict.reviewer_id, [], LATER, HOUR, HOUR),
            lambda: amend.amend(session, item_id, verdict.id, verdict.reviewer_id, decision, "why", [], LATER),
        ):
            with pytest.raises(Gone):
                attempt()

    (item,) = rows_of(db, ReviewItem, col(ReviewItem.id) == item_id)
    assert item.state == ItemState.done


def test_a_known_item_counts_on_and_is_served_no_more(db: Database) -> None:
    item_id = make_known(db)
    carla, dora = add_reviewer(db, "carla"), add_reviewer(db, "dora")
    with db.write() as session:
        calibration.mark(session, item_id, carla, LATER)
        for reviewer in (carla, dora):
            lease = {"fence": 7, "claimed_at": LATER, "claimed_until": LATER + HOUR}
            session.add(Calibration(item_id=item_id, reviewer_id=reviewer, **lease))
        session.flush()
        held = calibration.lease_of(session, item_id, carla, 7)
        assert held is not None
        calibration.judge(session, held, {"label": "wrong", "comment": WORD, "causes": []}, LATER)
    with db.read() as session:
        before = calibrations(session)
    assert [(one.reviewer, one.items, one.same) for one in before] == [("carla", 1, 1)]

    erase_c1(db)

    with db.write() as session:
        assert calibrations(session) == before
        assert calibration.held(session, dora, LATER, reserved=False) is None
        with pytest.raises(Gone):
            claims.heartbeat(session, item_id, dora, 7, LATER, HOUR)
    assert [one.reviewer_id for one in rows_of(db, Calibration)] == [carla]
    assert [name for name in places_of(db, WORD) if not name.startswith("searchable_words")] == []


def test_a_wording_leaves_the_articles_it_came_to_and_their_knowledge_bases_hear_of_it(db: Database) -> None:
    correct(db, WAYS, settles=True)
    (article,) = rows_of(db, Article)
    gone, *kept = article.variants
    (asked,) = rows_of(db, Exchange, col(Exchange.question) == gone)
    with db.write() as session:
        session.execute(text("UPDATE publication SET sink = 'folder'"))
    sinks = {one.sink for one in rows_of(db, Publication)}
    conversation = next(one for one in rows_of(db, Conversation) if one.id == asked.conversation_id)

    erase.erase(db, Wanted("standard", conversation.external_id), LATER)

    (after,) = rows_of(db, Article)
    assert (after.variants, after.question, after.version) == (kept, article.question, article.version + 1)
    assert all(gone not in version.variants for version in rows_of(db, ArticleVersion))
    latest = rows_of(db, ArticleVersion)[-1]
    assert latest.origin == "forgotten"
    assert {one.sink for one in rows_of(db, Publication) if one.article_version_id == latest.id} == sinks
    assert all(gone not in one.questions for one in rows_of(db, Watch))


def test_an_article_with_the_users_own_question_stays_and_is_named(db: Database) -> None:
    correct(db, WAYS[:1])
    (article,) = rows_of(db, Article)
    (exchange,) = rows_of(db, Exchange)
    conversation = next(one for one in rows_of(db, Conversation) if one.id == exchange.conversation_id)

    going = erase.erase(db, Wanted("standard", conversation.external_id), LATER)

    assert going.articles == ((article.id, article.key),)
    assert rows_of(db, Article)[0].question == article.question


def test_an_example_that_somebody_else_asked_word_for_word_stays(db: Database) -> None:
    fill_queue(db, make_asked("c1", "Which one?"), make_asked("c2", "Which one?"))
    anna = add_reviewer(db)
    with db.write() as session:
        claim = claims.claim_next(session, anna, LATER, HOUR)
        assert claim is not None
        decision = review.Decision(review.VerdictLabel.wrong, intent="which")
        review.decide(session, claim.item_id, anna, claim.fence, decision, [], LATER)

    erase_c1(db)
    assert [one.text for one in rows_of(db, Example)] == ["Which one?"]

    erase.erase(db, Wanted("standard", "c2"), LATER)
    assert rows_of(db, Example) == []


def test_a_conversation_that_is_forgotten_while_it_is_scored_leaves_no_vector(db: Database) -> None:
    class Interrupted(CountingEncoder):
        def encode(self, texts: Sequence[str]) -> Vectors:
            if any(WORD in one for one in texts) and not self.texts:
                erase_c1(db)
            return super().encode(texts)

    ingest(db, make_asked(), make_disliked("Where is my parcel?", id="c2"))
    encoder = Interrupted()

    score_all(make_triage(db, encoder))

    known = {bytes(one.content_hash) for one in rows_of(db, Vector)}
    assert not known & {content_hash(one) for one in encoder.texts if WORD in one}
    assert known & {content_hash("Where is my parcel?")}
    assert places_of(db, WORD) == []
    assert [one.question for one in rows_of(db, Exchange)] == ["Where is my parcel?"]


def test_a_neighbour_that_is_forgotten_is_compared_with_nobody(db: Database) -> None:
    triage = make_triage(db, HashingEncoder())
    ingest(db, make_disliked(f"How long does {WORD} keep in the cold?", "5 days.", id="c1"))
    score_all(triage)
    erase_c1(db)

    ingest(db, make_disliked(f"How long does {WORD} keep in the cold?", "9 days.", id="c2"), now=LATER)
    score_all(triage, LATER + HOUR)

    assert all(one.other_id is None for one in rows_of(db, Evidence))


def test_evidence_names_whom_it_quotes(db: Database) -> None:
    triage = make_triage(db, HashingEncoder())
    ingest(db, make_disliked("How long does it keep in the cold?", "5 days.", id="c1"))
    score_all(triage)
    ingest(db, make_disliked("How long does it keep in the cold?", "9 days.", id="c2"), now=LATER)

    score_all(triage, LATER + HOUR)

    first, second = rows_of(db, Exchange)
    assert first.id in {one.other_id for one in rows_of(db, Evidence, Evidence.exchange_id == second.id)}


def test_a_trace_that_tells_of_an_erased_conversation_is_not_kept(db: Database) -> None:
    export(db, *make_rag())
    assert places_of(db, "return shoes") == ["delivery", "turn"]

    erase.erase(db, Wanted("bot", "s1"), LATER)
    assert places_of(db, "return shoes") == []
    export(db, *make_rag(), at=timedelta(hours=2))

    assert places_of(db, "return shoes") == []
    assert rows_of(db, Delivery) == []


def test_the_user_whom_a_span_names_is_found(db: Database) -> None:
    export(db, make_span(1, None, "CHAIN", input__value="Where is it?", output__value="On its way.", user__id="u-9"))

    assert erase.foresee(db, Wanted(user_id="u-9")).turns == 2


def test_all_conversations_of_a_user_are_found_by_their_metadata(db: Database) -> None:
    ingest(
        db,
        make_asked("c1", metadata={"customer": {"id": 7, "plan": "gold"}}, turns=[{"id": "1", "role": "user", "text": WORD}]),
        make_asked("c2"),
        make_asked("c3", turns=[{"id": "1", "role": "user", "text": "7", "metadata": {"order_id": "7", "userId": "70"}}]),
    )
    ingest(db, make_asked("c4", metadata={"user_id": "7"}), source="other")

    def found(**wanted: Any) -> list[tuple[str, str]]:
        return erase.foresee(db, Wanted(**wanted)).conversations

    assert found(user_id="7") == [("standard", "c1"), ("other", "c4")]
    assert found(user_id="u-7") == [("standard", "c2"), ("other", "c4")]
    assert found(user_id="7", source="other") == [("other", "c4")]
    with pytest.raises(NotFound, match="names a user 'u'"):
        found(user_id="u")


@pytest.mark.parametrize(
    ("details", "named"),
    [
        ({"user_id": "7"}, True),
        ({"userId": 7}, True),
        ({"enduser.id": "7"}, True),
        ({"a": [{"sender": {"external_id": "7"}}]}, True),
        ({"user": "7"}, True),
        ({"order_id": "7"}, False),
        ({"user_id": "77"}, False),
        ({"user": {"age": 7}}, False),
        ({"user_id": True}, False),
        ([], False),
    ],
)
def test_who_is_named_by_metadata(details: Any, named: bool) -> None:
    assert names_user(details, "7") is named


@pytest.mark.parametrize("before", [True, False])
def test_a_platform_that_deletes_a_conversation_is_followed_whatever_came_first(db: Database, before: bool) -> None:
    gone = {"type": "conversation_removed", "conversation_id": "c1"}
    if before:
        ingest(db, gone)
    ingest(db, make_asked())
    if not before:
        score_all(make_triage(db, HashingEncoder()))
        ingest(db, turn_added("x", "user", WORD), gone, now=LATER)
    ingest(db, turn_added("y", "user", WORD), now=LATER)

    assert places_of(db, WORD) == []
    assert [one.forgotten_because for one in rows_of(db, Conversation)] == [ForgottenBecause.platform]


_TEXT = st.text("abc é\n'\"%_\\", max_size=8).map(lambda said: f"{WORD} {said} {WORD}é")


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(st.lists(st.tuples(st.sampled_from(["user", "bot", "agent"]), _TEXT), max_size=5), min_size=1, max_size=4),
    gone=st.sets(st.integers(0, 3)),
)
def test_whatever_was_said_forgetting_takes_it_and_nothing_else(
    db: Database, said: list[list[tuple[str, str]]], gone: set[int]
) -> None:
    with db.write() as session:
        for table in ("searchable", "exchange", "feedback", "turn", "conversation", "text_vector"):
            session.execute(text(f"DELETE FROM {table}"))
    named = [
        {
            "id": f"c{n}",
            "closed": True,
            "turns": [{"id": f"t{i}", "role": role, "text": f"n{n}n {words}"} for i, (role, words) in enumerate(turns)],
        }
        for n, turns in enumerate(said)
    ]
    ingest(db, *named)
    score_all(make_triage(db, HashingEncoder()))
    while index_due(db):
        pass
    there = [n for n in range(len(said)) if n in gone and said[n]]
    kept = [n for n in range(len(said)) if n not in gone and said[n]]
    before = {n: places_of(db, f"n{n}n") for n in kept}

    forget_all(db, ForgottenBecause.request, *(f"c{n}" for n in there))

    for n in there:
        assert [name for name in places_of(db, f"n{n}n") if not name.startswith("searchable_words")] == []
    for n in kept:
        # A neighbour's note quoted it or was quoted: its own words are all there.
        assert {"turn"} <= set(places_of(db, f"n{n}n"))
        assert set(places_of(db, f"n{n}n")) <= set(before[n])
    with db.read() as session:
        assert session.execute(select(col(Turn.id)).where(col(Turn.removed), col(Turn.text) != "")).first() is None
