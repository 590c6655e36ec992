"""Evidence to priority: bounds, monotony, what counts alone, and what verdicts teach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.signals.base import Evidence
from scoring.weights import Weights, WeightsUnusable

SIGNALS = ("intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback", "one_of_your_own")
probabilities = st.floats(0, 1)
evidence_sets = st.dictionaries(st.sampled_from(SIGNALS), probabilities)


def make_evidence(**found: float) -> list[Evidence | None]:
    return [Evidence(name, probability, probability, ("t1",), "A note.") for name, probability in found.items()]


def priority(**found: float) -> float:
    return Weights.default().weigh([make_evidence(**found)])[0].priority


def test_an_exchange_without_evidence_has_a_low_priority() -> None:
    (found,) = Weights.default().weigh([[None, None]])

    assert found.priority == pytest.approx(Weights.default().base_rate)
    assert found.because == "Nothing is known about this exchange."


@pytest.mark.parametrize("signal", ["user_feedback", "user_frustration"])
def test_one_strong_signal_is_enough(signal: str) -> None:
    assert priority(**{signal: 0.9}) > 0.6
    outvoted = priority(**{signal: 0.9, "answer_relevance": 0.03, "intent_confidence": 0.06, "answer_consistency": 0.06})
    assert outvoted > 2 * Weights.default().base_rate


def test_a_well_answered_exchange_sinks() -> None:
    assert priority(user_frustration=0.01, answer_relevance=0.2, intent_confidence=0.1) < 0.1


@given(evidence_sets, st.sampled_from(SIGNALS), probabilities, probabilities)
def test_priority_never_falls_when_a_probability_rises(rest: dict[str, float], signal: str, one: float, two: float) -> None:
    low, high = sorted((one, two))

    assert priority(**(rest | {signal: low})) <= priority(**(rest | {signal: high})) + 1e-12


@given(st.lists(evidence_sets, max_size=5))
def test_whatever_the_evidence_everything_stays_within_bounds(rows: list[dict[str, float]]) -> None:
    found = Weights.default().weigh([make_evidence(**row) for row in rows])

    assert len(found) == len(rows)
    assert all(0 <= one.priority <= 1 and 0 <= one.uncertainty <= 1 and one.because.endswith(".") for one in found)


def test_because_names_the_signal_that_weighs_most() -> None:
    (found,) = Weights.default().weigh([make_evidence(user_frustration=0.9, answer_relevance=0.3)])

    assert found.because == "Mostly because of how the user reacted."


def test_signals_that_contradict_each_other_leave_more_uncertainty() -> None:
    alone, disputed = Weights.default().weigh(
        [make_evidence(user_feedback=0.95), make_evidence(user_feedback=0.95, answer_relevance=0.03)]
    )

    assert disputed.uncertainty > alone.uncertainty


def test_the_version_is_that_of_the_content() -> None:
    weights = Weights.default()

    assert Weights.read(weights.text()).version == weights.version
    assert Weights(0.2, weights.rising, weights.falling, weights.other).version != weights.version


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"base_rate": 2, "neutral": 0.2, "rising": {}, "falling": {}, "other": [1, 1]}',
        '{"base_rate": 0.1, "neutral": 0, "rising": {}, "falling": {}, "other": [1, 1]}',
        '{"base_rate": 0.1, "neutral": 0.2, "rising": {"a": -1}, "falling": {}, "other": [1, 1]}',
    ],
)
def test_a_text_that_holds_no_weights_is_refused(text: str) -> None:
    with pytest.raises(WeightsUnusable):
        Weights.read(text)


def test_verdicts_teach_which_signal_to_trust() -> None:
    rng = np.random.default_rng(0)
    seen = rng.uniform(0.02, 0.98, size=(600, 2))
    seen[rng.random(600) < 0.2, 1] = np.nan
    needed = (rng.random(600) < seen[:, 0]).astype(float)  # the first signal is right, the second says nothing

    fitted = Weights.default().fit(("answer_relevance", "intent_confidence"), seen, needed, np.full(600, 0.1))

    assert fitted.rising["answer_relevance"] > fitted.rising["intent_confidence"]
    assert all(slope >= 0 for slope in (*fitted.rising.values(), *fitted.falling.values()))


def test_a_handful_of_verdicts_changes_little() -> None:
    before = Weights.default()

    after = before.fit(("answer_relevance",), np.asarray([[0.9], [0.8]]), np.asarray([0.0, 0.0]))

    assert abs(after.rising["answer_relevance"] - before.rising["answer_relevance"]) < 0.2
