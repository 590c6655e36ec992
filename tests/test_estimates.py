"""Estimates from skewed reviews: right on average, honest about how much they know."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.intervals import make_bot, make_traffic, review, select
from scoring.estimates import (
    best_threshold,
    failure_rate,
    found_share,
    plain_share,
    reviews_saved,
    share_of_failures,
)
from scoring.exposure import Rounds, Stream, Weights, weigh
from service.budget import POOL

WINDOW = 1000


def make_stream(count: int = 100, **changes: Any) -> Stream:
    """Nobody has looked at any of them yet."""
    given: dict[str, Any] = {
        "arrived": np.zeros(count),
        "priority": np.linspace(0, 1, count),
        "taken": np.full(count, -1),
        "by_chance": np.zeros(count, dtype=np.bool_),
        "failed": np.full(count, np.nan),
    }
    return Stream(**{**given, **changes})


def make_rounds(*rounds: tuple[float, float, float]) -> Rounds:
    return Rounds(*(np.array(column, dtype=float) for column in zip(*rounds, strict=True)))


def two_rounds(rng: Random, failed: np.ndarray, priority: np.ndarray) -> tuple[Stream, Rounds]:
    """Twice: ten by chance, then the ten of the highest priority; all are judged."""
    count = len(failed)
    taken, by_chance = np.full(count, -1), np.zeros(count, dtype=np.bool_)
    pools = []
    for now in range(2):
        pool = [i for i in range(count) if taken[i] < 0]
        pools.append((float(now), float(len(pool)), 10.0))
        drawn = rng.sample(pool, 10)
        taken[drawn], by_chance[drawn] = now, True
        rest = sorted((i for i in pool if taken[i] < 0), key=lambda i: -priority[i])
        taken[rest[:10]] = now
    seen = np.where(taken >= 0, failed.astype(float), np.nan)
    return make_stream(count, priority=priority, taken=taken, by_chance=by_chance, failed=seen), make_rounds(*pools)


# --- what each stands for -----------------------------------------------------------------------------------------


def test_a_single_draw_stands_for_the_inverse_of_its_chance() -> None:
    stream = make_stream(4, taken=np.array([0, -1, 0, -1]), by_chance=np.array([True, False, False, False]))

    weights = weigh(stream, make_rounds((0, 4, 1)), WINDOW)

    assert weights.drawn.tolist() == [4, 0, 0, 0]
    assert weights.known.tolist() == [0, 0, 0, 0]


def test_what_merit_took_is_known_for_the_rounds_after_it() -> None:
    taken = np.array([0, 0, 1, -1])
    stream = make_stream(4, taken=taken, by_chance=np.array([False, True, True, False]))

    weights = weigh(stream, make_rounds((0, 4, 1), (1, 2, 1)), WINDOW)

    assert weights.known == pytest.approx([2 / 3, 2 / 3, 0, 0])
    assert weights.drawn == pytest.approx([0, 4 / 3, 4 / 3, 0])


def test_an_exchange_is_at_stake_from_its_arrival_until_the_pool_has_moved_on() -> None:
    arrived = np.array([0, 0, 1, 2])
    taken = np.array([2, 0, 2, 2])
    stream = make_stream(4, arrived=arrived, taken=taken, by_chance=np.ones(4, dtype=np.bool_))

    weights = weigh(stream, make_rounds((0, 2, 1), (1, 2, 1), (2, 2, 1)), window=2)

    assert 1 / weights.drawn == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_the_weighted_failures_are_right_on_average_whatever_merit_takes() -> None:
    rng = np.random.default_rng(1)
    failed = rng.random(80) < 0.3
    priority = failed + 0.3 * rng.normal(size=80)
    totals, naive = [], []

    for seed in range(3000):
        stream, rounds = two_rounds(Random(seed), failed, priority)
        weights = weigh(stream, rounds, WINDOW)
        totals.append(np.nansum((weights.drawn + weights.known) * stream.failed))
        naive.append(80 * np.nanmean(stream.failed[stream.by_chance]))

    spread = float(np.std(totals) / np.sqrt(len(totals)))
    assert abs(np.mean(totals) - failed.sum()) < 4 * spread
    assert np.mean(naive) < failed.sum() - 10 * spread


# --- the failure rate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skewed", [False, True])
def test_the_intervals_hold_in_simulated_streams(skewed: bool) -> None:
    held = 0
    numbers = range(1000 * skewed, 1000 * skewed + 100)
    for number in numbers:
        rng = np.random.default_rng([11, number])
        bot = make_bot(rng)
        traffic = make_traffic(bot, rng)
        stream, rounds = review(bot, traffic, Random(number))
        estimate = failure_rate(stream, weigh(stream, rounds, POOL))
        held += estimate.low - 1e-9 <= traffic.failed.mean() <= estimate.high + 1e-9

    assert held / len(numbers) >= 0.9


def all_drawn(count: int, wrong: int, judged: int | None = None) -> tuple[Stream, Weights]:
    """`count` of 1,000 drawn by chance, every so many of them wrong; the first `judged` by priority are decided."""
    rng = np.random.default_rng(3)
    drawn = np.zeros(1000, dtype=np.bool_)
    drawn[rng.choice(1000, count, replace=False)] = True
    places = np.flatnonzero(drawn)
    failed = np.full(1000, np.nan)
    failed[places] = 0
    failed[rng.permutation(places)[:wrong]] = 1
    if judged is not None:
        failed[places[: count - judged]] = np.nan
    stream = make_stream(1000, taken=np.where(drawn, 0, -1), by_chance=drawn, failed=failed)
    return stream, weigh(stream, make_rounds((0, 1000, count)), WINDOW)


def test_nothing_judged_gives_no_number_and_the_widest_interval() -> None:
    estimate = failure_rate(*all_drawn(50, 0, judged=0))

    assert (estimate.value, estimate.low, estimate.high, estimate.judged) == (None, 0.0, 1.0, 0)


def test_few_verdicts_give_an_interval_but_no_number() -> None:
    few, many = failure_rate(*all_drawn(4, 1)), failure_rate(*all_drawn(400, 100))

    assert few.value is None
    assert few.high - few.low > 0.4
    assert many.value == pytest.approx(0.25, abs=0.03)
    assert many.high - many.low < 0.1


def test_a_rate_near_zero_is_not_told_as_zero() -> None:
    estimate = failure_rate(*all_drawn(60, 0))

    assert estimate.value == 0.0
    assert estimate.low == 0.0
    assert 0.02 < estimate.high < 0.1


def test_when_all_were_judged_the_rate_is_exact() -> None:
    estimate = failure_rate(*all_drawn(1000, 170))

    assert (estimate.low, estimate.value, estimate.high) == pytest.approx((0.17, 0.17, 0.17))


def test_where_reviewers_did_not_come_to_the_rest_the_interval_says_so() -> None:
    complete, stopped = failure_rate(*all_drawn(200, 20)), failure_rate(*all_drawn(200, 20, judged=80))

    assert complete.blind == 0.0
    assert stopped.blind == pytest.approx(0.6, abs=0.1)
    assert stopped.value is None
    assert stopped.low < 0.1 < stopped.high


def test_a_good_priority_narrows_the_interval() -> None:
    stream, weights = all_drawn(300, 0)
    judged = ~np.isnan(stream.failed)
    told = make_stream(
        1000, taken=stream.taken, by_chance=stream.by_chance, failed=np.where(judged, stream.priority > 0.8, np.nan)
    )
    useless = make_stream(1000, priority=np.zeros(1000), taken=stream.taken, by_chance=stream.by_chance, failed=told.failed)

    narrow, wide = failure_rate(told, weights), failure_rate(useless, weights)

    assert narrow.high - narrow.low < 0.85 * (wide.high - wide.low)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 999))
@example(22, 22, 125)  # a share of 1 plus a rounding error
def test_an_estimate_is_possible_and_in_order(count: int, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stream = make_stream(
        count,
        arrived=np.sort(rng.integers(0, rounds, count)).astype(float),
        priority=rng.random(count),
        taken=rng.integers(-1, rounds, count),
        by_chance=rng.random(count) < 0.5,
        failed=rng.choice([0.0, 1.0, np.nan], count),
    )
    stream.failed[stream.taken < 0] = np.nan
    made = make_rounds(*((float(t), float(rng.integers(1, 99)), float(rng.integers(0, 3))) for t in range(rounds)))

    weights = weigh(stream, made, int(rng.integers(1, 99)))
    noticed = rng.random(count) < 0.5

    for estimate in (
        failure_rate(stream, weights),
        share_of_failures(stream, weights, noticed),
        found_share(failure_rate(stream, weights)),
    ):
        assert 0 <= estimate.low <= estimate.high <= 1
        assert estimate.value is None or estimate.low - 1e-9 <= estimate.value <= estimate.high + 1e-9
        assert estimate.judged >= estimate.failures


# --- what follows from it -----------------------------------------------------------------------------------------


def test_recall_is_the_share_of_all_failures_that_was_noticed() -> None:
    stream, weights = all_drawn(500, 200)
    failing = np.flatnonzero(stream.failed == 1)
    noticed = np.zeros(1000, dtype=np.bool_)
    noticed[failing[:150]] = True

    estimate = share_of_failures(stream, weights, noticed)

    assert estimate.value == pytest.approx(0.75, abs=0.04)
    assert estimate.low < 0.75 < estimate.high
    assert share_of_failures(*all_drawn(50, 0), noticed).value is None


def test_a_part_is_estimated_from_what_was_drawn_of_it() -> None:
    stream, weights = all_drawn(500, 100)
    half = np.arange(1000) % 2 == 0

    estimate = failure_rate(*select(stream, weights, half))

    assert estimate.exchanges == 500
    assert estimate.draws == np.sum(stream.by_chance[half])


def test_reviews_saved_are_counted_against_chance() -> None:
    rate = failure_rate(*all_drawn(400, 40))

    value, least, most = reviews_saved(rate)

    assert value == pytest.approx(0.0, abs=25)
    assert least is not None
    assert most is not None
    assert least < 0 < most
    assert reviews_saved(failure_rate(*all_drawn(50, 0))) == (None, None, None)


def test_what_was_looked_at_altogether_is_a_plain_share() -> None:
    assert plain_share(0, 0).value is None
    assert plain_share(30, 100).value == 0.3
    assert plain_share(30, 100).low == pytest.approx(0.217, abs=0.01)


def test_false_alarms_raise_the_threshold_and_too_few_do_not() -> None:
    rng = np.random.default_rng(5)
    probability = rng.uniform(0.5, 1, 300)
    failed = (probability > 0.8).astype(float)

    assert best_threshold(probability, failed, worth=0.25, current=0.5) == pytest.approx(0.8)
    assert best_threshold(probability[:3], failed[:3] * 0, worth=0.25, current=0.5) in (None, 0.95)
    assert best_threshold(probability, np.ones(300), worth=0.25, current=0.5) is None


# --- settled with another -----------------------------------------------------------------------------------------


def test_what_was_settled_with_another_is_right_on_average_and_is_no_review() -> None:
    rng, failed = Random(4), np.zeros(200, dtype=bool)
    failed[150:190] = True  # look-alikes that fail together, of which merit sees some
    values, counts = [], []
    for _ in range(200):
        stream, rounds = two_rounds(rng, failed, np.linspace(0, 1, 200))
        settled = failed & (stream.taken < 0) & (np.arange(200) >= 170)  # not drawn: settled after the first round
        taken = np.where(settled, 0, stream.taken)
        told = np.where(settled, 1.0, stream.failed)
        whole = make_stream(200, priority=stream.priority, taken=taken, by_chance=stream.by_chance, failed=told, settled=settled)
        estimate = failure_rate(whole, weigh(whole, rounds, WINDOW))
        values.append((estimate.low + estimate.high) / 2 if estimate.value is None else estimate.value)
        counts.append((estimate.judged, int(np.sum(~np.isnan(stream.failed)))))

    assert np.mean(values) == pytest.approx(0.2, abs=0.04)
    assert all(judged == reviewed for judged, reviewed in counts)


def test_what_was_settled_does_not_speak_for_what_waits() -> None:
    taken = np.array([0] * 8 + [1] * 2 + [-1] * 10)
    by_chance = np.array([False] * 8 + [True] * 2 + [False] * 10)
    failed = np.array([1.0] * 6 + [0.0, np.nan] + [0.0, 0.0] + [np.nan] * 10)
    settled = np.array([True] * 6 + [False] * 14)
    rounds = make_rounds((0, 20, 2), (1, 12, 2))

    def rate(**changes: Any) -> Any:
        stream = make_stream(20, priority=np.full(20, 0.5), taken=taken, by_chance=by_chance, failed=failed, **changes)
        return failure_rate(stream, weigh(stream, rounds, WINDOW))

    with_it, as_reviews = rate(settled=settled), rate()

    assert (with_it.judged, with_it.failures, as_reviews.failures) == (3, 0, 6)
    assert with_it.low < as_reviews.low
    assert share_of_failures(make_stream(0), Weights(np.zeros(0), np.zeros(0)), np.zeros(0, dtype=bool)).value is None
