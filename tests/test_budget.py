"""What a queue may take: settings that fit together, budgets that are kept, and probabilities that stay true under all."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest
from conftest import NOW, ingest, make_conversation, make_disliked, make_triage, rows_of, score_all
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import delete, update

from scoring.encoder import Encoder
from scoring.scorer import Scorer, UnknownSignal
from scoring.vectors import MemoryVectors
from service.budget import Filled, keep_to, quotas, share_out
from service.db import Database
from service.models import Exchange, ReviewItem, Round
from service.settings import QueueSettings, SignalName
from service.triage import Triage
from service.vectors import StoredVectors, make_past

LATER = NOW + timedelta(hours=1)


def disliked(count: int, prefix: str = "d") -> list[dict[str, Any]]:
    return [make_disliked(f"{prefix}{n}one {prefix}{n}two {prefix}{n}three", id=f"{prefix}{n}") for n in range(count)]


def fine(count: int) -> list[dict[str, Any]]:
    return [make_conversation(2, id=f"fine{n}") for n in range(count)]


def pick(db: Database, encoder: Encoder, now: datetime = LATER, seed: int = 1, **queue: Any) -> int:
    return make_triage(db, encoder, **queue).pick_due(now, Random(seed))


def decide_all(db: Database, now: datetime) -> None:
    with db.write() as session:
        session.execute(update(ReviewItem).values(state="done", decided_at=now))


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"chance_rate": 0.1, "review_rate": 0.1}, "chance_rate takes the place of review_rate"),
        ({"daily_items": 1, "cluster_items": 8}, "cluster_items"),
        ({"signal_least": {"user_feedback": 0.6, "user_frustration": 0.5}}, "add up to 1.1"),
        ({"signal_least": {"user_feedback": 0.6}, "signal_most": {"user_feedback": 0.5}}, "signal_least of user_feedback"),
        ({"signal_most": {"moon": 0.5}}, "moon"),
        ({"chance_rate": 0}, "chance_rate"),
        ({"daily_items": 0}, "daily_items"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        QueueSettings.model_validate(given)


def test_the_settings_know_every_signal(hashing: Encoder) -> None:
    with pytest.raises(UnknownSignal) as told:
        Scorer(hashing, MemoryVectors(), off=["none of them"])

    assert set(str(told.value).rpartition("there are ")[2].split(", ")) == set(get_args(SignalName))


# --- how many -----------------------------------------------------------------------------------------------------


@given(
    capacity=st.integers(1, 50),
    daily=st.none() | st.integers(1, 50),
    rate=st.floats(0, 1),
    share=st.floats(0.001, 1),
    chance_rate=st.none() | st.floats(0.001, 1),
    waiting=st.integers(0, 60),
    today=st.integers(0, 60),
    exchanges=st.integers(0, 500),
    urgent=st.integers(0, 100),
    before=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_no_budget_is_exceeded(
    capacity: int,
    daily: int | None,
    rate: float,
    share: float,
    chance_rate: float | None,
    waiting: int,
    today: int,
    exchanges: int,
    urgent: int,
    before: tuple[int, int],
) -> None:
    other = {"chance_rate": chance_rate} if chance_rate else {"review_rate": rate, "random_share": share}
    settings = QueueSettings(capacity=capacity, daily_items=daily, **other)
    filled = Filled(waiting, today, chance=min(before), further=sum(before), exchanges=exchanges)

    budget = share_out(settings, filled, urgent)

    assert min(budget.chance, budget.urgent, budget.explore) >= 0
    assert waiting + budget.total <= max(capacity, waiting)
    assert daily is None or today + budget.total <= max(daily, today)
    assert budget.urgent <= urgent
    assert chance_rate is None or budget.explore == 0


def test_chance_gets_its_share_over_many_small_rounds() -> None:
    settings = QueueSettings(review_rate=0.1, random_share=0.3)
    chance = further = 0

    for exchanges in range(0, 5000, 7):
        budget = share_out(settings, Filled(0, 0, chance, further, exchanges), 0)
        chance, further = chance + budget.chance, further + budget.chance + budget.explore

    assert further == 499
    assert abs(chance - 0.3 * further) <= 1


def test_a_quota_counts_what_the_last_days_brought() -> None:
    settings = QueueSettings(signal_least={"user_feedback": 0.25}, signal_most={"user_frustration": 0.5})

    least, most = quotas(settings, {"user_feedback": 3, "user_frustration": 10}, others=7, budget=20)

    assert (least, most) == ({"user_feedback": 7}, {"user_frustration": 10})
    assert keep_to({"b": 1}, ["a", "b", "b", None, "b"], [0, 1, 2, 3, 4]) == [0, 1, 3]


# --- in the queue -------------------------------------------------------------------------------------------------


def test_no_more_items_a_day_than_the_reviewers_can_do(db: Database, hashing: Encoder) -> None:
    ingest(db, *disliked(12))
    score_all(make_triage(db, hashing))

    added = [pick(db, hashing, LATER + timedelta(hours=h), daily_items=5) for h in (0, 1, 23, 24, 25, 50)]

    assert added == [5, 0, 0, 5, 0, 2]


def test_a_cluster_gets_no_more_items_a_week_than_it_may(db: Database, hashing: Encoder) -> None:
    triage = make_triage(db, hashing, cluster_items=2, random_share=0.001)
    added = []
    for day in (0, 1, 2, 3, 9):
        now = LATER + timedelta(days=day)
        ingest(db, make_disliked("where is my parcel", id=f"c{day}"), now=now)
        score_all(triage, now)
        added.append(triage.pick_due(now, Random(1)))
        decide_all(db, now - timedelta(minutes=1))

    assert added == [1, 1, 0, 0, 1]


def test_a_signal_gets_at_most_its_share_and_another_at_least(db: Database, hashing: Encoder) -> None:
    frustrated = [
        {
            "id": f"f{n}",
            "closed": True,
            "turns": [
                {"id": "q", "role": "user", "text": f"f{n}one f{n}two f{n}three"},
                {"id": "a", "role": "bot", "text": "Yes."},
                {"id": "u", "role": "user", "text": "No, that is wrong! I want a human."},
            ],
        }
        for n in range(10)
    ]
    ingest(db, *disliked(20), *frustrated)
    score_all(make_triage(db, hashing))

    pick(db, hashing, capacity=10, review_rate=0, urgent_priority=0.1, signal_most={"user_frustration": 0.4})
    capped = Counter(name_of(db, item) for item in rows_of(db, ReviewItem))
    forget(db)
    pick(db, hashing, capacity=10, review_rate=0, urgent_priority=0.1, signal_least={"user_feedback": 0.7})
    kept = Counter(name_of(db, item) for item in rows_of(db, ReviewItem))

    assert (capped["f"], capped["d"]) == (4, 6)
    assert (kept["f"], kept["d"]) == (3, 7)
    assert any("70% of the items are kept for user_feedback" in item.reason for item in rows_of(db, ReviewItem))


def test_all_bad_ones_enter_and_a_share_of_the_rest_by_chance(db: Database, hashing: Encoder) -> None:
    ingest(db, *disliked(5), *fine(40))
    score_all(make_triage(db, hashing))
    settings = QueueSettings(chance_rate=0.2, urgent_priority=0.3)
    triage = Triage(db, hashing, Scorer(hashing, StoredVectors(db)), make_past(db, hashing), settings)

    triage.pick_due(LATER, Random(3))

    items = rows_of(db, ReviewItem)
    assert {name_of(db, item) for item in items if item.strategy == "value"} <= {"d"}
    assert len([item for item in items if name_of(db, item) == "d"]) == 5
    assert len([item for item in items if item.strategy == "random"]) == 9
    assert {item.strategy for item in items} == {"value", "random"}


def test_each_item_says_why_and_with_which_probability_it_was_chosen(db: Database, hashing: Encoder) -> None:
    ingest(db, *disliked(5), *fine(20))
    score_all(make_triage(db, hashing))

    pick(db, hashing, review_rate=0.6, random_share=0.4)

    items = rows_of(db, ReviewItem)
    assert len(items) > 10
    assert all(item.reason.startswith("chosen ") and "probability" in item.reason for item in items)
    assert {"probability 0.240" in item.reason for item in items if item.strategy == "random"} == {True}


@pytest.mark.parametrize(
    "queue",
    [
        {"capacity": 12, "review_rate": 0.3, "random_share": 0.5},
        {"daily_items": 8, "review_rate": 0.3, "random_share": 0.5},
        {"cluster_items": 1, "signal_most": {"user_feedback": 0.2}, "signal_least": {"user_frustration": 0.2}},
    ],
)
def test_under_every_budget_chance_draws_as_often_as_the_items_say(db: Database, hashing: Encoder, queue: dict[str, Any]) -> None:
    alike = [make_disliked("where is my parcel", id=f"same{n}") for n in range(4)]
    ingest(db, *disliked(6), *alike, *fine(10))
    triage = make_triage(db, hashing, **queue)
    score_all(triage)
    drawn: Counter[int] = Counter()
    said: set[float] = set()
    times = 150

    for seed in range(times):
        triage.pick_due(LATER, Random(seed))
        by_chance = [item for item in rows_of(db, ReviewItem) if item.strategy == "random"]
        said |= {item.propensity for item in by_chance}
        drawn.update(item.exchange_id for item in by_chance)
        forget(db)

    (propensity,) = said
    spread = 4.5 * (propensity * (1 - propensity) / times) ** 0.5
    assert all(abs(drawn[e.id] / times - propensity) <= spread for e in rows_of(db, Exchange))
    assert sum(drawn.values()) == round(propensity * 20) * times


def forget(db: Database) -> None:
    """As if nothing had been chosen yet."""
    with db.write() as session:
        session.execute(delete(ReviewItem))
        session.execute(delete(Round))
        session.execute(update(Exchange).values(reviewed=False))


def name_of(db: Database, item: ReviewItem) -> str:
    """The letter that the item's question begins with."""
    (exchange,) = rows_of(db, Exchange, Exchange.id == item.exchange_id)
    return str(exchange.question[0])
