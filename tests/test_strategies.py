"""The strategies: same input, same choice; each looks where it says it looks; none asks twice or for an empty text."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.acquire import UnknownStrategy, choose
from scoring.discriminant import Discriminant, fit_growing
from scoring.strategies import STRATEGIES
from scoring.strategies.base import Pool, Space
from scoring.strategies.committee import pick as pick_by_committee
from scoring.strategies.coverage import pick as pick_by_coverage
from scoring.strategies.mixed import pick as pick_mixed

NAMES = sorted(STRATEGIES)


def make_clusters(sizes: tuple[int, ...], noise: float = 0.05, seed: int = 0) -> tuple[Any, Any]:
    """Unit vectors (n, 32) around orthogonal centres, and the centre of each."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(32)[classes] + noise * rng.normal(size=(len(classes), 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), classes


def make_pool(sizes: tuple[int, ...] = (30, 20, 10), labelled: tuple[int, ...] = (), told: Any = None, **more: Any) -> Pool:
    vectors, classes = make_clusters(sizes)
    rows = np.asarray(labelled, dtype=np.intp)
    return Pool(Space(vectors), rows, classes[rows], told, **more)


def told(lead: dict[int, float], count: int = 60) -> Any:
    """Probabilities (count, 3): sure of the first class, but for those whose lead over the second is given."""
    found = np.tile([0.98, 0.01, 0.01], (count, 1))
    for row, ahead in lead.items():
        found[row] = [0.495 + ahead / 2, 0.495 - ahead / 2, 0.01]
    return found


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(NAMES),
    budget=st.integers(0, 70),
    labelled=st.sets(st.integers(0, 59), max_size=20),
    empty=st.sets(st.integers(0, 59), max_size=10),
    seed=st.integers(0, 5),
)
def test_no_text_is_asked_for_twice_or_empty_and_the_budget_is_used(
    name: str, budget: int, labelled: set[int], empty: set[int], seed: int
) -> None:
    vectors, classes = make_clusters((30, 20, 10))
    vectors[list(empty)] = 0
    rows = np.asarray(sorted(labelled), dtype=np.intp)
    pool = Pool(Space(vectors), rows, classes[rows], told({3: 0.1}), 0.5)

    chosen = [choice.index for choice in choose(name, pool, budget, np.random.default_rng(seed))]

    allowed = set(range(60)) - labelled - empty
    assert len(chosen) == len(set(chosen)) == min(budget, len(allowed))
    assert set(chosen) <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_choice(name: str) -> None:
    pool = make_pool(labelled=(0, 1, 30, 31, 50), told=told({5: 0.1, 35: 0.2}), trust=0.6)

    first, second = (choose(name, pool, 10, np.random.default_rng(7)) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy", "expected_model_change", "committee"])
def test_without_scores_or_labels_chance_chooses_and_says_so(name: str) -> None:
    pool = Pool(Space(make_clusters((30, 30))[0]), np.zeros(0, dtype=np.intp))

    chosen = choose(name, pool, 6, np.random.default_rng(0))

    assert [choice.index for choice in chosen] == STRATEGIES["random"].pick(pool, 6, np.random.default_rng(0))
    assert {choice.strategy for choice in chosen} == {"random"}
    assert {choice.propensity for choice in chosen} == {0.1}
    assert all(name in choice.reason for choice in chosen)


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy", "expected_model_change"])
def test_doubt_is_looked_for_where_the_probabilities_show_it(name: str) -> None:
    pool = make_pool(told=told({5: 0.0, 35: 0.1, 55: 0.2}))

    chosen = [choice.index for choice in choose(name, pool, 3, np.random.default_rng(0))]

    assert chosen == [5, 35, 55]


def test_margin_and_least_confidence_differ_where_many_classes_are_possible() -> None:
    probabilities = told({})
    probabilities[10] = [0.5, 0.49, 0.01]
    probabilities[20] = [0.4, 0.3, 0.3]
    pool = make_pool(told=probabilities)

    firsts = {
        name: choose(name, pool, 1, np.random.default_rng(0))[0].index for name in ("margin", "least_confidence", "entropy")
    }

    assert firsts == {"margin": 10, "least_confidence": 20, "entropy": 20}


def test_a_committee_looks_between_the_classes() -> None:
    vectors, classes = make_clusters((30, 30))
    between = (vectors[0] + vectors[30]) / np.linalg.norm(vectors[0] + vectors[30])
    rows = np.r_[0:15, 30:45]
    pool = Pool(Space(np.concatenate([vectors, between[None]])), rows, classes[rows])

    assert pick_by_committee(pool, 1, np.random.default_rng(0)) == [60]


def test_coverage_takes_one_of_each_cluster_largest_first_and_passes_over_those_with_labels() -> None:
    _, classes = make_clusters((30, 20, 10))

    fresh = pick_by_coverage(make_pool(), 3, np.random.default_rng(0))
    later = pick_by_coverage(make_pool(labelled=(2, 3)), 1, np.random.default_rng(0))

    assert classes[fresh].tolist() == [0, 1, 2]
    assert classes[later].tolist() == [1]


def test_the_default_covers_first_and_follows_doubt_once_the_head_can_be_trusted() -> None:
    doubts = told({})
    doubts[:30] = [0.5, 0.49, 0.01]
    _, classes = make_clusters((30, 20, 10))

    new = pick_mixed(make_pool(labelled=(0,), told=doubts, trust=0.0), 2, np.random.default_rng(0))
    trusted = pick_mixed(make_pool(labelled=(0, 30, 50), told=doubts, trust=1.0), 2, np.random.default_rng(0))

    assert sorted(classes[new].tolist()) == [1, 2]
    assert classes[trusted].tolist() == [0, 0]


def test_the_default_never_takes_two_that_say_the_same_while_others_are_left() -> None:
    vectors, _ = make_clusters((1, 20, 20))
    vectors[1:15] = vectors[1]
    pool = Pool(Space(vectors), np.zeros(0, dtype=np.intp))

    chosen = pick_mixed(pool, 10, np.random.default_rng(0))

    assert len(set(chosen) & set(range(1, 15))) <= 1


def test_an_unknown_strategy_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownStrategy, match=r"telepathy.*margin"):
        choose("telepathy", make_pool(), 1, np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
def test_each_names_its_paper_or_is_chance(name: str) -> None:
    assert name == "random" or any(character.isdigit() for character in STRATEGIES[name].pick.__doc__ or "")


# --- the head -----------------------------------------------------------------------------------------------------


def test_the_head_learns_from_one_example_a_class() -> None:
    vectors, classes = make_clusters((30, 20, 10))
    rows = np.array([0, 30, 50])

    head = fit_growing(vectors[rows], classes[rows], vectors.mean(axis=0))

    assert (head.predict(vectors) == classes).mean() == 1.0
    np.testing.assert_allclose(head.probabilities(vectors).sum(axis=1), 1.0, atol=1e-6)


def test_its_accuracy_lies_between_that_on_examples_left_out_and_that_on_its_own() -> None:
    vectors, classes = make_clusters((12, 12, 12), noise=0.6)
    centre = vectors.mean(axis=0)
    left_out = 0.0
    for i in range(len(vectors)):
        rest = np.delete(np.arange(len(vectors)), i)
        left_out += (
            float((Discriminant.fit(vectors[rest], classes[rest], centre).predict(vectors[[i]]) == classes[i]).mean()) / 36
        )

    head = Discriminant.fit(vectors, classes, centre)

    assert left_out <= head.accuracy < (head.predict(vectors) == classes).mean()


def test_one_class_alone_is_no_reason_for_trust() -> None:
    vectors, classes = make_clusters((5,))

    assert fit_growing(vectors, classes, vectors.mean(axis=0)).accuracy == 0.0


def test_with_many_examples_the_regression_joins_in() -> None:
    vectors, classes = make_clusters((60, 60), noise=0.4)
    centre = vectors.mean(axis=0)

    few, many = (
        (
            fit_growing(vectors[rows], classes[rows], centre).weights,
            Discriminant.fit(vectors[rows], classes[rows], centre).weights,
        )
        for rows in (np.r_[0:2, 60:62], np.r_[0:120])
    )

    assert np.array_equal(*few)
    assert not np.allclose(*many)


def test_mixed_picks_a_large_batch_as_small_ones_of_which_it_has_not_heard() -> None:
    vectors, _ = make_clusters((60, 40, 30, 20), noise=0.2)

    def asked(labelled: list[int], budget: int) -> list[int]:
        return pick_mixed(Pool(Space(vectors), np.asarray(labelled, dtype=np.intp)), budget, np.random.default_rng(0))

    first = asked([], 20)
    second = asked(first, 20)

    assert asked([], 50) == first + second + asked(first + second, 10)
    assert not set(first) & set(second)
