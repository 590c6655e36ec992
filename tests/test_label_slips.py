"""Labels that are wrong by a slip are pointed out; those that are right, or that nobody can judge, are left alone."""

import numpy as np
import pytest

from scoring.label_slips import LEAST_EXAMPLES, find_slips, nearest
from scoring.out_of_scope import Floats, Indices, unit


def clouds(intents: int, each: int, spread: float, seed: int = 0) -> tuple[Floats, Indices]:
    """Unit vectors around the centres of intents."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((intents, 32))
    classes = np.repeat(np.arange(intents), each)
    return unit(centres[classes] + spread * rng.standard_normal((len(classes), 32))), classes


@pytest.mark.parametrize("share", [0.03, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_planted_slips_are_found_and_few_others(share: float, seed: int) -> None:
    vectors, classes = clouds(20, 40, 0.8, seed)
    rng = np.random.default_rng(seed)
    planted = set(rng.choice(len(classes), int(share * len(classes)), replace=False).tolist())
    told = [str((n + 1 + rng.integers(19)) % 20 if i in planted else n) for i, n in enumerate(classes)]

    found = find_slips(vectors, told, seed)

    hits = [one for one in found if one.row in planted]
    assert len(hits) >= 0.9 * len(planted)
    assert len(hits) >= 0.9 * len(found)
    assert sum(one.suggested == str(classes[one.row]) for one in hits) >= 0.9 * len(hits)
    assert [one.suspicion for one in found] == sorted((one.suspicion for one in found), reverse=True)


def test_the_same_seed_gives_the_same_slips() -> None:
    vectors, classes = clouds(5, 20, 1.5)
    told = [str(n) for n in classes]

    assert find_slips(vectors, told, 3) == find_slips(vectors, told, 3)


def test_an_intent_with_few_examples_is_not_judged() -> None:
    vectors, classes = clouds(4, 20, 0.3)
    told = [str(n) for n in classes]
    told[: LEAST_EXAMPLES - 1] = ["rare"] * (LEAST_EXAMPLES - 1)

    assert not {one.row for one in find_slips(vectors, told)} & set(range(LEAST_EXAMPLES - 1))


@pytest.mark.parametrize("told", [[], ["a"], ["a"] * 20, ["a", "b"] * 2])
def test_where_nothing_can_be_compared_nothing_is_said(told: list[str]) -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((len(told), 8))) if told else np.zeros((0, 8), np.float32)

    assert find_slips(vectors, told) == []


def test_the_nearest_examples_of_a_label_are_in_order_and_leave_the_example_itself_out() -> None:
    angles = np.radians([0.0, 30.0, 10.0, 20.0, 5.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    told = ["hours", "hours", "hours", "hours", "refund"]

    found = nearest(vectors, told, [(0, "hours"), (0, "refund"), (4, "refund"), (1, "thanks")], 2)

    assert found == [[2, 3], [4], [], []]
