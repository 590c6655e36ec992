"""Choosing what is worth a person's minute: an honest share by chance, and one of each kind by merit."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.acquire import Candidates, by_coverage, by_uncertainty, by_value, draw, mixed


def make_candidates(count: int = 8, seed: int = 0, **changes: Any) -> Candidates:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16)).astype(np.float32)
    given: dict[str, Any] = {
        "priority": rng.random(count),
        "uncertainty": rng.random(count),
        "vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        "clusters": list(range(count)),
        "covered": np.zeros((0, 16), dtype=np.float32),
    }
    return Candidates(**{**given, **changes})


@pytest.mark.parametrize(("pool", "expected"), [(10, 2.0), (10, 0.3), (7, 3.5), (3, 10.0), (1, 0.01)])
def test_on_average_each_is_drawn_as_often_as_its_propensity_says(pool: int, expected: float) -> None:
    rng, times = Random(1), 20_000
    drawn = np.zeros(pool)

    for _ in range(times):
        for choice in draw(pool, expected, rng):
            drawn[choice.index] += 1

    propensity = min(expected, pool) / pool
    spread = 5 * np.sqrt(propensity * (1 - propensity) / times) + 1e-9
    assert np.all(np.abs(drawn / times - propensity) <= spread)


@settings(deadline=None)
@given(pool=st.integers(-1, 50), expected=st.floats(-1, 60), seed=st.integers(0, 1000))
def test_a_draw_is_without_replacement_and_names_its_propensity(pool: int, expected: float, seed: int) -> None:
    choices = draw(pool, expected, Random(seed))

    indices = [choice.index for choice in choices]
    assert len(set(indices)) == len(indices)
    assert all(0 <= i < pool for i in indices)
    assert len(indices) <= max(0.0, expected) + 1
    assert {choice.propensity for choice in choices} <= {min(expected, pool) / pool if pool > 0 else 0.0}


@settings(deadline=None)
@given(
    count=st.integers(0, 30),
    urgent=st.integers(-1, 10),
    explore=st.integers(-1, 10),
    reviewed=st.integers(0, 500),
    kinds=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_a_mixture_keeps_to_its_budget_and_takes_one_of_a_cluster(
    count: int, urgent: int, explore: int, reviewed: int, kinds: int, seed: int
) -> None:
    rng = Random(seed)
    clusters = [rng.randrange(kinds) for _ in range(count)]

    choices = mixed(make_candidates(count, seed, clusters=clusters), urgent, explore, reviewed)

    indices = [choice.index for choice in choices]
    assert len(indices) <= max(0, urgent) + max(0, explore)
    assert len({clusters[i] for i in indices}) == len(indices)
    assert all(choice.reason and choice.propensity == 1.0 for choice in choices)


def test_a_mixture_uses_its_whole_budget_where_there_is_enough() -> None:
    choices = mixed(make_candidates(200), 10, 10, 35)

    counts = {name: sum(choice.strategy == name for choice in choices) for name in ("value", "coverage", "uncertainty")}
    assert counts == {"value": 10, "coverage": 5, "uncertainty": 5}


def test_many_look_alikes_at_the_top_do_not_crowd_out_the_others() -> None:
    priority = np.concatenate([np.full(900, 0.9), np.full(5, 0.5)])
    candidates = make_candidates(905, priority=priority, clusters=[0] * 900 + [1, 2, 3, 4, 5])

    choices = mixed(candidates, 5, 0, 0)

    assert len({candidates.clusters[choice.index] for choice in choices}) == 5


def test_coverage_leads_from_an_empty_start_and_uncertainty_takes_over() -> None:
    shares = [
        sum(choice.strategy == "coverage" for choice in mixed(make_candidates(100), 0, 20, reviewed))
        for reviewed in (0, 35, 100, 1000)
    ]

    assert shares == [20, 10, 3, 0]


def test_value_and_uncertainty_take_the_greatest_first() -> None:
    candidates = make_candidates(3, priority=np.array([0.1, 0.9, 0.5]), uncertainty=np.array([0.2, 0.1, 0.9]))

    assert by_value(candidates, 2) == [1, 2]
    assert by_uncertainty(candidates, 2) == [2, 0]


def test_coverage_goes_where_nobody_looked_and_never_to_empty_questions() -> None:
    east, north, west = (
        np.eye(3, 16, dtype=np.float32)[0],
        np.eye(3, 16, dtype=np.float32)[1],
        -np.eye(3, 16, dtype=np.float32)[0],
    )
    vectors = np.stack([east, np.zeros(16, dtype=np.float32), north, west])

    order = by_coverage(make_candidates(4, vectors=vectors, covered=east[None, :]), 4)

    assert set(order[:2]) == {2, 3}
    assert order[2:] == [0]
