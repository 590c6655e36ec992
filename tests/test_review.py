"""The queue: never the same work twice, never work lost, and a decision with all it causes together or not at all."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from conftest import NOW, add_reviewer, fill_queue, make_disliked, rows_of
from sqlalchemy import select
from sqlmodel import Session

from service import articles, claims, review
from service.claims import Claim
from service.db import Database
from service.errors import Conflict, Invalid, LeaseLost, NotFound
from service.models import (
    Article,
    ArticleVersion,
    Draft,
    Example,
    ItemState,
    Publication,
    ReviewItem,
    RootCause,
    Verdict,
    VerdictLabel,
)
from service.review import Decision

LEASE = timedelta(minutes=15)
SINKS = ["folder", "other"]
WRONG = Decision(VerdictLabel.wrong, answer="Worn shoes cannot be returned.", intent="returns", causes=(RootCause.retrieval,))


@pytest.fixture
def anna(db: Database) -> int:
    return add_reviewer(db, "anna")


@pytest.fixture
def ben(db: Database) -> int:
    return add_reviewer(db, "ben")


def questions(count: int = 1) -> list[dict[str, Any]]:
    """Conversations whose questions have no word in common: each is a cluster of its own."""
    return [make_disliked(f"alpha{n} beta{n} gamma{n}", id=f"c{n}") for n in range(count)]


@pytest.fixture
def item(db: Database) -> int:
    (only,) = fill_queue(db, *questions(1))
    return only


def take(db: Database, reviewer: int, now: Any = NOW) -> Claim:
    with db.write() as session:
        claim = claims.claim_next(session, reviewer, now, LEASE)
    assert claim is not None
    return claim


def decide(db: Database, claim: Claim, reviewer: int, decision: Decision = WRONG, now: Any = NOW) -> Verdict:
    with db.write() as session:
        return review.decide(session, claim.item_id, reviewer, claim.fence, decision, SINKS, now)


def state_of(db: Database, item_id: int) -> ReviewItem:
    with db.read() as session:
        return session.get_one(ReviewItem, item_id)


@contextmanager
def refused(kind: type[Exception], db: Database) -> Iterator[Session]:
    with pytest.raises(kind), db.write() as session:
        yield session


# --- claiming -----------------------------------------------------------------------------------------------------


def test_reviewers_who_ask_at_once_never_hold_the_same_item(db: Database) -> None:
    items = fill_queue(db, *questions(24))
    reviewers = [add_reviewer(db, f"reviewer {n}") for n in range(6)]

    def work(reviewer: int) -> list[int]:
        done = []
        while True:
            with db.write() as session:
                claim = claims.claim_next(session, reviewer, NOW, LEASE)
            if claim is None:
                return done
            done.append(claim.item_id)
            with db.write() as session:
                review.decide(session, claim.item_id, reviewer, claim.fence, Decision(VerdictLabel.good), [], NOW)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(work, reviewers))

    assert len(items) == 24
    assert sorted(item for one in done for item in one) == sorted(items)


def test_every_fifth_item_is_one_that_chance_drew_however_low_its_priority(db: Database, anna: int) -> None:
    items = fill_queue(db, *questions(8))
    with db.write() as session:
        for place, key in enumerate(items):
            item = session.get_one(ReviewItem, key)
            item.strategy = "random" if place >= 6 else "value"
            item.priority = 0.9 - place / 10
    served = []
    for _ in items:
        claim = take(db, anna)
        served.append(claim.item_id)
        with db.write() as session:
            review.decide(session, claim.item_id, anna, claim.fence, Decision(VerdictLabel.good), SINKS, NOW)

    assert served == [*items[:4], items[6], *items[4:6], items[7]]


def test_the_best_item_comes_first_and_the_one_held_is_given_again(db: Database, anna: int, ben: int) -> None:
    items = fill_queue(db, *questions(3))

    first, again, other = take(db, anna), take(db, anna), take(db, ben)

    assert (first.item_id, again.item_id, other.item_id) == (items[0], items[0], items[1])
    assert first.fence == again.fence


def test_an_abandoned_item_goes_to_the_next_and_the_late_answer_is_refused(db: Database, item: int, anna: int, ben: int) -> None:
    late = take(db, anna)
    with db.write() as session:
        review.save_draft(session, item, anna, {"answer": "half a thought"}, NOW)
    taken = take(db, ben, NOW + LEASE)

    for action in (
        lambda s: review.decide(s, item, anna, late.fence, WRONG, SINKS, NOW + LEASE),
        lambda s: claims.heartbeat(s, item, anna, late.fence, NOW + LEASE, LEASE),
        lambda s: claims.release(s, item, anna, late.fence),
        lambda s: claims.not_reviewable(s, item, anna, late.fence, "spam", NOW),
    ):
        with refused(LeaseLost, db) as session:
            action(session)

    assert (taken.item_id, taken.fence) == (item, late.fence + 1)
    assert not rows_of(db, Verdict)
    assert not rows_of(db, Article)
    with db.read() as session:
        kept = session.get(Draft, (item, anna))
        assert kept is not None
        assert kept.content == {"answer": "half a thought"}


def test_a_fence_of_an_earlier_claim_is_refused_even_for_the_same_reviewer(db: Database, item: int, anna: int) -> None:
    first = take(db, anna)
    second = take(db, anna, NOW + LEASE)

    with refused(LeaseLost, db) as session:
        review.decide(session, item, anna, first.fence, WRONG, SINKS, NOW + LEASE)

    assert decide(db, second, anna).fence == second.fence


def test_a_decision_after_the_lease_counts_as_long_as_nobody_else_took_the_item(db: Database, item: int, anna: int) -> None:
    claim = take(db, anna)

    verdict = decide(db, claim, anna, now=NOW + 3 * LEASE)

    assert verdict.label == VerdictLabel.wrong


def test_a_sign_of_life_keeps_the_item(db: Database, item: int, anna: int, ben: int) -> None:
    claim = take(db, anna)
    with db.write() as session:
        claims.heartbeat(session, item, anna, claim.fence, NOW + LEASE / 2, LEASE)

    with db.write() as session:
        assert claims.claim_next(session, ben, NOW + LEASE, LEASE) is None


def test_a_released_item_is_free_and_a_skipped_one_is_free_for_others(db: Database, item: int, anna: int, ben: int) -> None:
    claim = take(db, anna)
    with db.write() as session:
        claims.release(session, item, anna, claim.fence)
    again = take(db, anna)
    with db.write() as session:
        claims.skip(session, item, anna, again.fence, NOW)

    with db.write() as session:
        assert claims.claim_next(session, anna, NOW, LEASE) is None
    assert take(db, ben).item_id == item


def test_this_very_item_can_be_claimed_unless_somebody_holds_it(db: Database, anna: int, ben: int) -> None:
    items = fill_queue(db, *questions(2))
    with db.write() as session:
        claim = claims.claim_item(session, items[1], anna, NOW, LEASE)

    with refused(LeaseLost, db) as session:
        claims.claim_item(session, items[1], ben, NOW, LEASE)
    with refused(NotFound, db) as session:
        claims.claim_item(session, 9999, ben, NOW, LEASE)

    assert claim.item_id == items[1]
    assert take(db, ben).item_id == items[0]


def test_what_cannot_be_reviewed_leaves_the_queue_with_its_reason(db: Database, item: int, anna: int) -> None:
    claim = take(db, anna)

    with refused(Invalid, db) as session:
        claims.not_reviewable(session, item, anna, claim.fence, "  ", NOW)
    with db.write() as session:
        claims.not_reviewable(session, item, anna, claim.fence, "a test conversation", NOW)

    assert (state_of(db, item).state, state_of(db, item).remark) == (ItemState.not_reviewable, "a test conversation")
    with db.write() as session:
        assert claims.claim_next(session, anna, NOW, LEASE) is None


# --- deciding -----------------------------------------------------------------------------------------------------


def test_a_decision_makes_verdict_article_and_a_publication_per_sink(db: Database, item: int, anna: int) -> None:
    with db.write() as session:
        review.save_draft(session, item, anna, {"answer": "x"}, NOW)

    verdict = decide(db, take(db, anna), anna)

    (article,) = rows_of(db, Article)
    (version,) = rows_of(db, ArticleVersion)
    assert (article.question, article.answer, article.intent) == ("alpha0 beta0 gamma0", WRONG.answer, "returns")
    assert (version.verdict_id, version.origin, version.version) == (verdict.id, "verdict", 1)
    assert sorted((p.sink, p.state) for p in rows_of(db, Publication)) == [("folder", "pending"), ("other", "pending")]
    assert state_of(db, item).state == ItemState.done
    assert [(e.text, e.intent, e.verdict_id) for e in rows_of(db, Example)] == [("alpha0 beta0 gamma0", "returns", verdict.id)]
    with db.read() as session:
        assert session.get(Draft, (item, anna)) is None


def test_the_same_decision_twice_gives_the_same_verdict_once(db: Database, item: int, anna: int) -> None:
    claim = take(db, anna)

    first, second = decide(db, claim, anna), decide(db, claim, anna)

    assert first.id == second.id
    assert len(rows_of(db, Verdict)) == len(rows_of(db, Article)) == 1
    assert len(rows_of(db, Publication)) == 2


def test_a_decision_that_cannot_be_published_leaves_nothing(db: Database, item: int, anna: int) -> None:
    claim = take(db, anna)
    nowhere = Decision(VerdictLabel.wrong, answer="An answer.", article_id=4711)

    with refused(NotFound, db) as session:
        review.decide(session, item, anna, claim.fence, nowhere, SINKS, NOW)
    with refused(Invalid, db) as session:  # fails after verdict and item were written
        review.decide(session, item, anna, claim.fence, Decision(VerdictLabel.wrong, answer="  "), SINKS, NOW)

    assert state_of(db, item).state == ItemState.open
    assert not [*rows_of(db, Verdict), *rows_of(db, Article), *rows_of(db, Publication), *rows_of(db, Example)]
    assert decide(db, claim, anna).id is not None


@pytest.mark.parametrize(
    "decision",
    [
        Decision(VerdictLabel.good, causes=(RootCause.intent,)),
        Decision(VerdictLabel.wrong, article_id=1),
        Decision(VerdictLabel.wrong, answer="x" * (review.MOST_TEXT + 1)),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(db: Database, item: int, anna: int, decision: Decision) -> None:
    claim = take(db, anna)

    with refused(Invalid, db) as session:
        review.decide(session, item, anna, claim.fence, decision, SINKS, NOW)

    assert state_of(db, item).state == ItemState.open


def test_a_correction_can_change_an_article_and_adds_the_question_as_a_variant(db: Database, item: int, anna: int) -> None:
    with db.write() as session:
        content = articles.Content("Which shoes?", "Unworn ones.", intent="shoes")
        article_id = articles.save_article(session, content, [], NOW, "import").id

    decide(db, take(db, anna), anna, Decision(VerdictLabel.incomplete, answer="Unworn ones, 30 days.", article_id=article_id))

    (article,) = rows_of(db, Article)
    assert (article.question, article.answer, article.version) == ("Which shoes?", "Unworn ones, 30 days.", 2)
    assert (article.variants, article.intent) == (["alpha0 beta0 gamma0"], "shoes")


# --- sending back -------------------------------------------------------------------------------------------------


def send_back(db: Database, item: int, reviewer: int) -> None:
    with db.write() as session:
        review.send_back(session, item, reviewer, "the policy changed", SINKS, NOW + timedelta(hours=1))


def test_sending_back_withdraws_the_verdict_pauses_its_new_article_and_takes_the_example_back(
    db: Database, item: int, anna: int, ben: int
) -> None:
    decide(db, take(db, anna), anna)

    send_back(db, item, ben)

    (verdict,) = rows_of(db, Verdict)
    (article,) = rows_of(db, Article)
    assert (verdict.withdrawn_reason, state_of(db, item).state) == ("the policy changed", ItemState.open)
    assert (article.status, article.version) == ("paused", 2)
    assert not rows_of(db, Example)
    assert sorted((p.sink, p.state) for p in rows_of(db, Publication) if p.state == "pending") == [
        ("folder", "pending"),
        ("other", "pending"),
    ]
    assert take(db, anna, NOW + timedelta(hours=2)).fence == 2


def test_sending_back_restores_a_changed_article_unless_somebody_changed_it_since(db: Database, anna: int) -> None:
    items = fill_queue(db, *questions(2))
    with db.write() as session:
        ids = [articles.save_article(session, articles.Content(q, "as it was"), [], NOW, "import").id for q in ("one", "two")]
    for article_id in ids:
        claim = take(db, anna)
        decide(db, claim, anna, Decision(VerdictLabel.wrong, answer="as corrected", article_id=article_id))
    with db.write() as session:
        articles.save_article(session, articles.Content("two", "as changed since"), [], NOW, "page", article_id=ids[1])

    for item in items:
        send_back(db, item, anna)

    with db.read() as session:
        answers = {a.question: a.answer for a in session.execute(select(Article)).scalars()}
    assert answers == {"one": "as it was", "two": "as changed since"}


def test_only_a_decided_item_can_be_sent_back_and_only_with_a_reason(db: Database, item: int, anna: int) -> None:
    with refused(Conflict, db) as session:
        review.send_back(session, item, anna, "why not", SINKS, NOW)
    decide(db, take(db, anna), anna)

    with refused(Invalid, db) as session:
        review.send_back(session, item, anna, " ", SINKS, NOW)

    assert state_of(db, item).state == ItemState.done


def test_after_sending_back_the_old_decision_cannot_be_repeated_but_a_new_one_can_be_made(
    db: Database, item: int, anna: int
) -> None:
    claim = take(db, anna)
    decide(db, claim, anna)
    send_back(db, item, anna)

    with refused(LeaseLost, db) as session:
        review.decide(session, item, anna, claim.fence, WRONG, SINKS, NOW)
    decide(db, take(db, anna), anna, Decision(VerdictLabel.good))

    assert [v.label for v in rows_of(db, Verdict)] == ["wrong", "good"]
