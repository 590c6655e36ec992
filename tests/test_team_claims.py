"""Whose item it is: named queues, assignments, due times, and many reviewers on one queue."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from conftest import NOW, add_reviewer, rows_of
from items import make_item
from sqlalchemy import event, text

from service import claims
from service.claims import Claim
from service.db import Database
from service.errors import Forbidden, NotFound
from service.filters import QueueFilter
from service.models import NamedQueue, ReviewItem, Skip, Verdict, VerdictLabel
from service.review import Decision
from service.team import opinions

LEASE = timedelta(minutes=15)
GOOD = Decision(VerdictLabel.good)


@pytest.fixture
def anna(db: Database) -> int:
    return add_reviewer(db, "anna")


@pytest.fixture
def ben(db: Database) -> int:
    return add_reviewer(db, "ben")


def add_queue(db: Database, name: str, **changes: Any) -> None:
    with db.write() as session:
        session.add(NamedQueue(**{"name": name, "reviewers": [], "adjudicators": [], "created_at": NOW, **changes}))


def take(db: Database, reviewer: int, queue: str | None = None, now: Any = NOW) -> Claim | None:
    with db.write() as session:
        return claims.claim_next(session, reviewer, now, LEASE, QueueFilter(queue=queue))


def change(db: Database, item_id: int, **values: Any) -> None:
    with db.write() as session:
        item = session.get_one(ReviewItem, item_id)
        for name, value in values.items():
            setattr(item, name, value)


def decide(db: Database, claim: Claim, reviewer: int, now: Any = NOW) -> None:
    with db.write() as session:
        opinions.decide(session, claim.item_id, reviewer, claim.fence, GOOD, [], now)


def serve_all(db: Database, reviewer: int, queue: str | None = None) -> list[int]:
    served = []
    while (claim := take(db, reviewer, queue)) is not None:
        served.append(claim.item_id)
        decide(db, claim, reviewer)
    return served


def test_a_named_queue_serves_what_meets_its_filter_and_nothing_else(db: Database, anna: int) -> None:
    fits = make_item(db, source="shop", signal="user_feedback", priority=0.7)
    make_item(db, source="bank", signal="user_feedback", priority=0.9)
    make_item(db, source="shop", signal="answer_relevance", priority=0.9)
    make_item(db, source="shop", signal="user_feedback", priority=0.2)
    add_queue(db, "shop", source="shop", channel="web", signal="user_feedback", least_priority=0.5)

    assert serve_all(db, anna, "shop") == [fits]


def test_a_queue_that_does_not_exist_is_said_so(db: Database, anna: int) -> None:
    with pytest.raises(NotFound, match="there is no queue 'nowhere'"):
        take(db, anna, "nowhere")


def test_items_of_a_queue_with_reviewers_of_its_own_go_to_them_alone(db: Database, anna: int, ben: int) -> None:
    legal = make_item(db, source="legal", priority=0.9)
    other = make_item(db, source="shop", priority=0.3)
    change(db, other, channel=None)
    add_queue(db, "legal", source="legal", channel="web", reviewers=[anna])

    with pytest.raises(Forbidden, match="for other reviewers"):
        take(db, ben, "legal")
    with pytest.raises(Forbidden), db.write() as session:
        claims.claim_item(session, legal, ben, NOW, LEASE)
    assert serve_all(db, ben) == [other]
    assert serve_all(db, anna) == [legal]


def test_a_queue_gives_no_more_in_a_day_than_its_budget(db: Database, anna: int, ben: int) -> None:
    for _ in range(4):
        make_item(db, source="shop")
    add_queue(db, "shop", source="shop", budget=2)

    assert len(serve_all(db, anna, "shop")) == 2
    assert take(db, ben, "shop") is None
    assert take(db, ben, "shop", NOW + timedelta(hours=25)) is not None


def test_an_assigned_item_comes_first_to_its_reviewer_and_to_nobody_else_until_it_is_overdue(
    db: Database, anna: int, ben: int
) -> None:
    best = make_item(db, priority=0.9)
    assigned = make_item(db, priority=0.2)
    change(db, assigned, assigned_to=anna, assigned_until=NOW + timedelta(hours=8))

    assert serve_all(db, ben) == [best]
    late = take(db, ben, now=NOW + timedelta(hours=8))
    assert late is not None
    assert late.item_id == assigned
    with db.write() as session:
        claims.release(session, assigned, ben, late.fence)
    change(db, make_item(db, priority=0.95), reason="better than what is assigned")
    first = take(db, anna)
    assert first is not None
    assert first.item_id == assigned


def test_late_items_come_first_but_after_urgent_ones(db: Database, anna: int) -> None:
    ages = {"urgent": (0.9, 1), "late": (0.2, 30), "later": (0.1, 50), "urgent and late": (0.61, 30), "young": (0.5, 1)}
    made = {}
    for name, (priority, hours) in ages.items():
        made[make_item(db, priority=priority)] = name
        change(db, max(made), created_at=NOW - timedelta(hours=hours))
    add_queue(db, "all", due_hours=24)

    assert [made[item] for item in serve_all(db, anna, "all")] == ["urgent and late", "urgent", "later", "late", "young"]


def test_many_reviewers_who_claim_release_skip_and_decide_at_once_never_hold_the_same_item(db: Database) -> None:
    items = [make_item(db, priority=0.5, source="shop") for _ in range(60)]
    add_queue(db, "shop", source="shop")
    reviewers = [add_reviewer(db, f"reviewer {n}") for n in range(8)]
    held: Counter[int] = Counter()
    twice: list[int] = []

    def work(reviewer: int) -> None:
        rng = Random(reviewer)
        while (claim := take(db, reviewer, "shop")) is not None:
            held[claim.item_id] += 1
            if held[claim.item_id] > 1:
                twice.append(claim.item_id)
            with db.write() as session:
                claims.heartbeat(session, claim.item_id, reviewer, claim.fence, NOW, LEASE)
            skips = rng.random() < 0.1
            held[claim.item_id] -= 1
            if skips:
                with db.write() as session:
                    claims.skip(session, claim.item_id, reviewer, claim.fence, NOW)
            else:
                decide(db, claim, reviewer)

    with ThreadPoolExecutor(len(reviewers)) as pool:
        list(pool.map(work, reviewers))

    assert twice == []
    decided = sorted(verdict.item_id for verdict in rows_of(db, Verdict))
    assert decided == sorted(set(decided))
    assert {*decided, *(skip.item_id for skip in rows_of(db, Skip))} == set(items)  # the last may be skipped when all others left


def test_late_items_come_from_an_index_in_the_order_in_which_they_are_served(db: Database, anna: int) -> None:
    """Where they would have to be sorted, PostgreSQL reads 33 of them for every claim, with all their evidence."""
    oldest, *_ = [make_item(db, signal="user_feedback", priority=0.9) for _ in range(3)]
    change(db, oldest, created_at=NOW - timedelta(days=3))
    add_queue(db, "late", channel="web", signal="user_feedback", due_hours=24)
    asked: list[tuple[str, Any]] = []
    event.listen(db.engine, "before_cursor_execute", lambda _c, _k, statement, given, *_: asked.append((statement, given)))

    claim = take(db, anna, "late")

    assert claim is not None
    assert claim.item_id == oldest
    ((statement, given),) = [one for one in asked if "ORDER BY review_item.created_at" in one[0]]
    assert "sort" not in plan(db, statement, given).replace("TEMP B-TREE", "sort").lower()


def plan(db: Database, statement: str, given: Any) -> str:
    """How the database would run it if the table were too large to be read whole."""
    with db.read() as session:
        if not db.is_sqlite:
            for name in ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort"):
                session.execute(text(f"SET LOCAL {name} = off"))
        explain = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
        return "\n".join(str(row) for row in session.connection().exec_driver_sql(f"{explain} {statement}", given))


def test_on_sqlite_the_connection_that_wrote_last_writes_next(sqlite_url: str) -> None:
    """Its page cache is still good; a commit empties those of all others."""
    db = Database(sqlite_url)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(db.engine.connect())
    through = set[int]()
    for number in range(3):
        with db.write() as session:
            through.add(id(session.connection().connection.dbapi_connection))
            session.add(NamedQueue(name=str(number), reviewers=[], adjudicators=[], created_at=NOW))
    db.close()

    assert len(through) == 1
