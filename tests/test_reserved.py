"""The next item waits unseen for its reviewer: theirs alone, for a short while, and never in the way of others for long."""

from datetime import datetime, timedelta

import pytest
from conftest import NOW, add_reviewer, fill_queue, make_disliked, rows_of

from service import claims, queue, review
from service.claims import RESERVED_FOR, Claim
from service.db import Database
from service.filters import QueueFilter
from service.models import ReviewItem, VerdictLabel
from service.review import Decision

LEASE = timedelta(minutes=15)


@pytest.fixture
def anna(db: Database) -> int:
    return add_reviewer(db, "anna")


@pytest.fixture
def ben(db: Database) -> int:
    return add_reviewer(db, "ben")


@pytest.fixture
def items(db: Database) -> list[int]:
    return fill_queue(db, *(make_disliked(f"alpha{n} beta{n} gamma{n}", id=f"c{n}") for n in range(3)))


def take(db: Database, reviewer: int, now: datetime = NOW, only: QueueFilter | None = None) -> Claim | None:
    with db.write() as session:
        return claims.claim_next(session, reviewer, now, LEASE, only)


def reserve(db: Database, item: int, reviewer: int, now: datetime = NOW, only: QueueFilter | None = None) -> Claim | None:
    with db.write() as session:
        return claims.reserve_next(session, item, reviewer, now, LEASE, only)


def test_what_was_reserved_is_what_comes_next(db: Database, items: list[int], anna: int) -> None:
    current = take(db, anna)
    assert current is not None

    reserved, again = reserve(db, current.item_id, anna), reserve(db, current.item_id, anna)
    before = take(db, anna)
    with db.write() as session:
        review.decide(session, current.item_id, anna, current.fence, Decision(VerdictLabel.good), [], NOW)
    after = take(db, anna)

    assert reserved is not None
    assert after is not None
    assert reserved == again
    assert before == current
    assert (after.item_id, after.fence, after.until) == (items[1], reserved.fence, NOW + LEASE)
    assert not any(item.reserved for item in rows_of(db, ReviewItem))


def test_nobody_else_is_given_a_reserved_item_until_its_time_is_over(db: Database, items: list[int], anna: int, ben: int) -> None:
    current = take(db, anna)
    assert current is not None
    reserve(db, current.item_id, anna)

    bens = take(db, ben)
    reserved = reserve(db, bens.item_id, ben) if bens else None
    late = reserve(db, bens.item_id, ben, NOW + RESERVED_FOR) if bens else None

    assert bens is not None
    assert bens.item_id == items[2]
    assert reserved is None
    assert late is not None
    assert late.item_id == items[1]


def test_a_sign_of_life_keeps_the_reserved_item_too(db: Database, items: list[int], anna: int) -> None:
    current = take(db, anna)
    assert current is not None
    reserve(db, current.item_id, anna)

    with db.write() as session:
        claims.keep_reserved(session, anna, NOW + timedelta(seconds=100), LEASE)

    kept = {item.id: item.claimed_until for item in rows_of(db, ReviewItem)}
    assert kept[items[1]] == NOW + timedelta(seconds=100) + RESERVED_FOR
    assert kept[items[0]] == NOW + LEASE


def test_leaving_gives_a_reserved_item_back_but_never_one_that_was_shown(db: Database, items: list[int], anna: int) -> None:
    current = take(db, anna)
    assert current is not None
    reserved = reserve(db, current.item_id, anna)
    assert reserved is not None

    with db.write() as session:
        claims.unreserve(session, current.item_id, anna, current.fence)
        claims.unreserve(session, reserved.item_id, anna, reserved.fence)

    held = {item.id: item.reviewer_id for item in rows_of(db, ReviewItem)}
    assert (held[items[0]], held[items[1]]) == (anna, None)


def test_a_reserved_item_counts_as_seen_by_nobody(db: Database, items: list[int], anna: int) -> None:
    current = take(db, anna)
    assert current is not None
    reserve(db, current.item_id, anna)

    with db.read() as session:
        counts = queue.counts(session, NOW)

    assert (counts.open, counts.held) == (3, 1)


def test_a_reserved_item_outside_the_new_filter_goes_back(db: Database, items: list[int], anna: int) -> None:
    current = take(db, anna)
    assert current is not None
    reserve(db, current.item_id, anna)

    other = reserve(db, current.item_id, anna, only=QueueFilter(source="elsewhere"))

    assert other is None
    assert {item.id: item.reviewer_id for item in rows_of(db, ReviewItem)}[items[1]] is None


def test_a_decision_about_a_reserved_item_counts_even_if_nobody_told_that_it_was_shown(
    db: Database, items: list[int], anna: int
) -> None:
    current = take(db, anna)
    assert current is not None
    reserved = reserve(db, current.item_id, anna)
    assert reserved is not None

    with db.write() as session:
        review.decide(session, reserved.item_id, anna, reserved.fence, Decision(VerdictLabel.good), [], NOW)

    assert [item.state for item in rows_of(db, ReviewItem)].count("done") == 1
    assert not any(item.reserved for item in rows_of(db, ReviewItem))


def test_the_fifth_is_chances_also_where_it_was_reserved(db: Database, anna: int) -> None:
    items = fill_queue(db, *(make_disliked(f"alpha{n} beta{n} gamma{n}", id=f"c{n}") for n in range(6)))
    with db.write() as session:
        session.get_one(ReviewItem, items[-1]).strategy = "random"
        for place, key in enumerate(items):
            session.get_one(ReviewItem, key).priority = 0.9 - place / 10
    served = []
    for _ in range(5):
        claim = take(db, anna)
        assert claim is not None
        served.append(claim.item_id)
        reserve(db, claim.item_id, anna)
        with db.write() as session:
            review.decide(session, claim.item_id, anna, claim.fence, Decision(VerdictLabel.good), [], NOW)

    assert served == [*items[:4], items[5]]
