"""One decision for look-alikes: each gets a verdict of its own, all together, and all or one can be taken back."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest
from conftest import NOW, add_reviewer, fill_queue, ingest, make_disliked, make_triage, rows_of, score_all
from sqlalchemy import update
from sqlmodel import col

from scoring.encoder import HashingEncoder
from scoring.same_answer import say_the_same
from service import claims, review, settle
from service.claims import Claim
from service.db import Database
from service.errors import Conflict, Invalid, LeaseLost
from service.hand_picked import hand_pick
from service.learn.weights import judgements
from service.models import Article, Example, Exchange, ItemState, ReviewItem, RootCause, Verdict, VerdictLabel
from service.quality import measure
from service.review import Decision
from service.team.amend import amend

LEASE = timedelta(minutes=15)
SINKS = ["folder"]
WAYS = [
    "Can I return the worn red shoes that I bought?",
    "can I return the worn red shoes that I bought",
    "Can I return the worn red shoes that I bought, please?",
    "The worn red shoes that I bought: can I return?",
]
WRONG = Decision(VerdictLabel.wrong, answer="Worn shoes cannot be returned.", intent="returns", causes=(RootCause.retrieval,))


@pytest.fixture
def anna(db: Database) -> int:
    return add_reviewer(db, "anna")


@pytest.fixture
def ben(db: Database) -> int:
    return add_reviewer(db, "ben")


@pytest.fixture
def item(db: Database, anna: int) -> int:
    """The one item of a cluster of four exchanges, of which the others have none."""
    return make_cluster(db, anna, WAYS)


def make_cluster(db: Database, reviewer: int, ways: Sequence[str]) -> int:
    triage = make_triage(db, HashingEncoder())
    for n, way in enumerate(ways):
        ingest(db, make_disliked(way, id=f"c{n}"))
        score_all(triage)
    exchanges = rows_of(db, Exchange)
    assert len({one.cluster_id for one in exchanges}) == 1
    return pick(db, exchanges[0].id, reviewer)


def others_of(db: Database, item_id: int) -> list[int]:
    (item,) = rows_of(db, ReviewItem, col(ReviewItem.id) == item_id)
    return [one.id for one in rows_of(db, Exchange) if one.id != item.exchange_id]


def pick(db: Database, exchange_id: int, reviewer: int) -> int:
    with db.write() as session:
        return hand_pick(session, exchange_id, reviewer, "", NOW)


def claim(db: Database, item_id: int, reviewer: int, now: Any = NOW) -> Claim:
    with db.write() as session:
        return claims.claim_item(session, item_id, reviewer, now, LEASE)


def decide(db: Database, held: Claim, reviewer: int, settles: Any = (), now: Any = NOW, **changes: Any) -> Verdict:
    told = {name: getattr(WRONG, name) for name in ("label", "answer", "intent", "causes")} | {"settles": tuple(settles)}
    with db.write() as session:
        return review.decide(session, held.item_id, reviewer, held.fence, Decision(**(told | changes)), SINKS, now)


def send_back(db: Database, item_id: int, reviewer: int) -> None:
    with db.write() as session:
        review.send_back(session, item_id, reviewer, "not so", SINKS, NOW)


def item_of(db: Database, exchange_id: int) -> ReviewItem:
    (found,) = rows_of(db, ReviewItem, col(ReviewItem.exchange_id) == exchange_id)
    return found


def settled(db: Database, verdict: Verdict) -> list[int]:
    with db.read() as session:
        return [exchange_id for exchange_id, _ in settle.settled_by(session, verdict.id or 0)]


# --- settling -----------------------------------------------------------------------------------------------------


def test_look_alikes_get_verdicts_of_their_own_that_name_the_one_that_settled_them(db: Database, item: int, anna: int) -> None:
    others = others_of(db, item)
    waiting = pick(db, others[0], anna)

    verdict = decide(db, claim(db, item, anna), anna, others)

    assert settled(db, verdict) == others
    verdicts = {one.item_id: one for one in rows_of(db, Verdict)}
    assert len(verdicts) == 4
    assert verdicts[waiting].settled_by == verdict.id
    told = {(one.label, one.intent, one.answer, tuple(one.causes)) for one in verdicts.values()}
    assert told == {("wrong", "returns", WRONG.answer, ("retrieval",))}
    assert {(one.state, one.reviewer_id) for one in rows_of(db, ReviewItem)} == {(ItemState.done, anna)}
    assert sorted(one.strategy for one in rows_of(db, ReviewItem)) == ["by_hand", "by_hand", "settled", "settled"]
    assert all(one.reviewed for one in rows_of(db, Exchange))


def test_settled_questions_become_variants_and_examples_each_text_once(db: Database, item: int, anna: int) -> None:
    decide(db, claim(db, item, anna), anna, others_of(db, item))

    (article,) = rows_of(db, Article)
    assert sorted([article.question, *article.variants]) == sorted(way for way in WAYS if way != WAYS[1])
    assert sorted(one.text for one in rows_of(db, Example)) == sorted(WAYS)
    assert {one.intent for one in rows_of(db, Example)} == {"returns"}


def test_an_article_that_is_changed_keeps_its_variants_and_gains_the_settled_ones(db: Database, item: int, anna: int) -> None:
    assert settle.variants("Q?", ["older", "old"], ["q", "OLD!", "new", "New?", ""]) == ("older", "old", "new")


def test_what_somebody_else_holds_what_chance_drew_and_what_is_gone_is_left_out(
    db: Database, item: int, anna: int, ben: int
) -> None:
    others = others_of(db, item)
    held, drawn = pick(db, others[0], ben), pick(db, others[1], ben)
    claim(db, held, ben)
    with db.write() as session:
        session.execute(update(ReviewItem).where(col(ReviewItem.id) == drawn).values(strategy="random"))

    verdict = decide(db, claim(db, item, anna), anna, [*others, 4711])

    assert settled(db, verdict) == others[2:]
    assert verdict.settles == [*others, 4711]
    assert item_of(db, others[0]).reviewer_id == ben
    assert {item_of(db, one).state for one in others[:2]} == {ItemState.open}


def test_a_lease_that_is_over_does_not_keep_an_item_from_being_settled(db: Database, item: int, anna: int, ben: int) -> None:
    others = others_of(db, item)
    late = claim(db, pick(db, others[0], ben), ben)
    now = NOW + LEASE + timedelta(seconds=1)

    verdict = decide(db, claim(db, item, anna, now), anna, others, now)

    assert settled(db, verdict) == others
    with pytest.raises(LeaseLost):
        decide(db, late, ben, now=now)


def test_an_exchange_that_asks_something_else_cannot_be_settled(db: Database, anna: int) -> None:
    items = fill_queue(db, make_disliked("alpha beta gamma", id="a"), make_disliked("delta epsilon zeta", id="b"))
    (other,) = others_of(db, items[0])

    with pytest.raises(Invalid, match=f"settles: exchange {other} "):
        decide(db, claim(db, items[0], anna), anna, [other])

    assert not rows_of(db, Verdict)
    assert {one.state for one in rows_of(db, ReviewItem)} == {ItemState.open}


def test_the_same_decision_twice_settles_once_and_another_list_is_refused(db: Database, item: int, anna: int) -> None:
    held, others = claim(db, item, anna), others_of(db, item)
    first = decide(db, held, anna, others)

    again = decide(db, held, anna, others[::-1])

    assert (again.id, len(rows_of(db, Verdict)), rows_of(db, Article)[0].version) == (first.id, 4, 1)
    with pytest.raises(Conflict):
        decide(db, held, anna, others[:1])


def test_two_who_settle_the_same_exchanges_at_once_share_them_out(db: Database, anna: int, ben: int) -> None:
    first = make_cluster(db, anna, WAYS[:1] * 8)
    others = others_of(db, first)
    second = pick(db, others.pop(), ben)
    held = [(claim(db, first, anna), anna), (claim(db, second, ben), ben)]
    start = Barrier(2)

    def work(mine: tuple[Claim, int]) -> list[int]:
        start.wait()
        return settled(db, decide(db, *mine, others, answer=None))

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(work, held))

    shared = sorted(done[0] + done[1])
    assert len(set(shared)) == len(shared)
    assert set(shared) <= set(others)
    standing = [one.item_id for one in rows_of(db, Verdict) if one.withdrawn_at is None]
    assert len(set(standing)) == len(standing) == len(shared) + 2


def test_an_item_is_settled_or_taken_by_another_never_both(db: Database, item: int, anna: int, ben: int) -> None:
    others = others_of(db, item)
    waiting = [pick(db, one, anna) for one in others]
    held = claim(db, item, anna)
    start = Barrier(2)

    def settling() -> list[int]:
        start.wait()
        return settled(db, decide(db, held, anna, others))

    def taking() -> int:
        start.wait()
        with db.write() as session:
            taken = claims.claim_next(session, ben, NOW, LEASE)
        if taken is None:
            return 0
        decide(db, taken, ben, label=VerdictLabel.good, answer=None, causes=())
        return taken.item_id

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.submit(settling), pool.submit(taking)
        closed, taken = one.result(), two.result()

    assert len(closed) + (taken in waiting) <= 3
    standing = [one.item_id for one in rows_of(db, Verdict) if one.withdrawn_at is None]
    assert len(set(standing)) == len(standing)
    assert taken not in {item_of(db, one).id for one in closed}


# --- taking back --------------------------------------------------------------------------------------------------


def test_sending_the_deciding_verdict_back_takes_all_settled_ones_back(db: Database, item: int, anna: int) -> None:
    others = others_of(db, item)
    waiting = pick(db, others[0], anna)
    decide(db, claim(db, item, anna), anna, others)

    send_back(db, item, anna)

    assert {one.id: one.state for one in rows_of(db, ReviewItem)} == {item: ItemState.open, waiting: ItemState.open}
    assert all(one.withdrawn_at for one in rows_of(db, Verdict))
    assert [one.reviewed for one in rows_of(db, Exchange)].count(False) == 2
    assert not rows_of(db, Example)
    assert rows_of(db, Article)[0].status == "paused"


def test_one_settled_item_is_sent_back_alone_and_takes_its_question_along(db: Database, item: int, anna: int) -> None:
    others = others_of(db, item)
    verdict = decide(db, claim(db, item, anna), anna, others)
    alone = next(one for one in others if rows_of(db, Exchange, col(Exchange.id) == one)[0].question == WAYS[3])

    send_back(db, item_of(db, alone).id or 0, anna)

    assert settled(db, verdict) == [one for one in others if one != alone]
    assert item_of(db, alone).state == ItemState.open
    (article,) = rows_of(db, Article)
    assert WAYS[3] not in [article.question, *article.variants]
    assert (article.status, article.version) == ("active", 2)
    assert WAYS[3] not in [one.text for one in rows_of(db, Example)]


def test_after_one_was_sent_back_alone_the_deciding_verdict_still_takes_back_the_rest(db: Database, item: int, anna: int) -> None:
    others = others_of(db, item)
    decide(db, claim(db, item, anna), anna, others)
    alone = item_of(db, others[-1]).id or 0
    send_back(db, alone, anna)
    decide(db, claim(db, alone, anna), anna, label=VerdictLabel.good, answer=None, intent=None, causes=())

    send_back(db, item, anna)

    assert {one.id: one.state for one in rows_of(db, ReviewItem)} == {item: ItemState.open, alone: ItemState.done}
    assert [one.label for one in rows_of(db, Verdict) if one.withdrawn_at is None] == ["good"]
    assert rows_of(db, Article)[0].status == "paused"


def test_a_changed_article_is_what_it_was_before_once_the_settling_is_taken_back(db: Database, item: int, anna: int) -> None:
    first = decide(db, claim(db, item, anna), anna)
    (article,) = rows_of(db, Article)
    send_back_to = pick(db, others_of(db, item)[0], anna)
    decide(db, claim(db, send_back_to, anna), anna, others_of(db, item)[1:], article_id=article.id, answer="Never.", intent=None)
    gained = rows_of(db, Article)[0].variants
    send_back(db, item_of(db, others_of(db, item)[1]).id or 0, anna)

    send_back(db, send_back_to, anna)

    (now,) = rows_of(db, Article)
    assert len(gained) > len(article.variants)
    assert (now.answer, now.variants, now.status) == (first.answer, article.variants, "active")


def test_an_amended_verdict_settles_anew_what_the_one_before_had_settled(db: Database, item: int, anna: int) -> None:
    others = others_of(db, item)
    first = decide(db, claim(db, item, anna), anna, others)

    with db.write() as session:
        told = Decision(VerdictLabel.incomplete, answer="Worn shoes can never be returned.")
        second = amend(session, item, first.id or 0, anna, told, "more exact", SINKS, NOW + timedelta(hours=1))

    assert settled(db, second) == others
    labels = {one.label for one in rows_of(db, Verdict) if one.withdrawn_at is None}
    assert labels == {"incomplete"}
    with db.write() as session:
        good = amend(
            session, item, second.id or 0, anna, Decision(VerdictLabel.good), "it is right", SINKS, NOW + timedelta(hours=2)
        )
    assert settled(db, good) == []


# --- what settled verdicts count for ------------------------------------------------------------------------------


def test_a_settled_verdict_is_known_for_itself_and_no_review(db: Database, item: int, anna: int) -> None:
    alone = decide(db, claim(db, item, anna), anna)
    with db.read() as session:
        before = measure(session, NOW)
    send_back(db, item, anna)

    decide(db, claim(db, item, anna), anna, others_of(db, item))

    with db.read() as session:
        after = measure(session, NOW)
    for measured in (before, after):
        assert (measured.failure_rate.judged, measured.failure_rate.failures) == (1, 1)
        assert (measured.queue_precision.judged, measured.saved.reviews) == (1, 1)
    assert alone.id
    assert after.failure_rate.low >= before.failure_rate.low


def test_weights_and_calibrations_learn_from_the_one_that_somebody_looked_at(db: Database, item: int, anna: int) -> None:
    decide(db, claim(db, item, anna), anna, others_of(db, item))

    with db.read() as session:
        judged = judgements(session)

    assert len(judged.needed) == 1


def test_settled_exchanges_take_no_place_in_the_queues_budgets(db: Database, item: int, anna: int) -> None:
    decide(db, claim(db, item, anna), anna, others_of(db, item))
    triage = make_triage(db, HashingEncoder(), daily_items=2, cluster_items=2)
    ingest(db, make_disliked("delta epsilon zeta", id="new"))
    score_all(triage)

    added = triage.pick_due(NOW + timedelta(hours=1), Random(1))

    assert added == 1


def test_settled_exchanges_do_not_put_off_what_chance_drew(db: Database, item: int, anna: int) -> None:
    ingest(db, *(make_disliked(f"alpha{n} beta{n} gamma{n}", id=f"more{n}") for n in range(6)))
    score_all(make_triage(db, HashingEncoder()))
    more = [pick(db, one.id, anna) for one in rows_of(db, Exchange)[4:]]
    with db.write() as session:
        drawn = update(ReviewItem).where(col(ReviewItem.id) == more[-1])
        session.execute(drawn.values(strategy="random", priority=0.01))
    decide(db, claim(db, item, anna), anna, others_of(db, item)[:3])
    served = []

    for _ in range(4):
        with db.write() as session:
            taken = claims.claim_next(session, anna, NOW, LEASE)
        assert taken is not None
        served.append(taken.item_id)
        decide(db, taken, anna, label=VerdictLabel.good, answer=None, intent=None, causes=())

    assert served.index(more[-1]) == 3  # the fifth that anna looked at


# --- the same answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "cosine", "same"),
    [
        ("We ship to Europe.", "we ship to  Europe", 0.0, True),
        ("You can return shoes within 30 days.", "Shoes can be returned within 30 days by you.", 0.97, True),
        ("You can return shoes within 30 days.", "You can return shoes within 14 days.", 0.99, False),
        ("You can return worn shoes.", "You cannot return worn shoes.", 0.97, False),
        ("Yes.", "Yes, within thirty days and with the receipt that came with them.", 0.97, False),
        ("Write to Anna Smith for that.", "Write to John Miller for that.", 0.97, False),
        ("You can return shoes within 30 days.", "Shoes can be returned within 30 days by you.", 0.8, False),
        ("", "", 1.0, False),
    ],
)
def test_in_doubt_two_answers_do_not_say_the_same(one: str, two: str, cosine: float, same: bool) -> None:
    assert say_the_same("Can I return shoes?", one, "can i return shoes", two, cosine) is same
