"""Two heads on one question: what our own intent model makes of the intent that the platform took."""

import pytest
from conftest import SECRET  # noqa: F401 - its import settles the environment first

from scoring.encoder import Encoder, HashingEncoder
from scoring.intents import IntentModel
from scoring.scorer import Scorer
from scoring.second_opinion import FEATURES, inputs, opinion
from scoring.signals.base import Evidence
from scoring.transcripts import Intent, Transcript, Turn
from scoring.vectors import MemoryVectors

EXAMPLES = {
    "when do you open": "hours",
    "opening hours please": "hours",
    "are you open on sunday": "hours",
    "at what time do you open": "hours",
    "i want my money back": "refund",
    "refund my order": "refund",
    "can i get a refund": "refund",
    "how do i get my money back": "refund",
}
QUESTION = "can i get my money back?"


@pytest.fixture(scope="module")
def model() -> IntentModel:
    texts = list(EXAMPLES)
    return IntentModel.fit(texts, HashingEncoder().encode(texts), list(EXAMPLES.values()), 0, "hashing-384")


def evidence(encoder: Encoder, told: str, model: IntentModel | None, question: str = QUESTION, *before: Turn) -> Evidence:
    turns = (*before, Turn("q", "user", question, intent=Intent(told, 0.7)), Turn("a", "bot", "Certainly."))
    scored = Scorer(encoder, MemoryVectors()).score([Transcript("c", turns)], intents={"": model} if model else {})
    return next(one for one in scored[-1].evidence if one.name == "intent_confidence")


def test_a_model_that_sees_another_intent_raises_the_alarm_and_says_which(hashing: Encoder, model: IntentModel) -> None:
    alone, both = evidence(hashing, "hours", None), evidence(hashing, "hours", model)

    assert both.probability > alone.probability + 0.1
    assert "takes it for “refund”" in both.note
    assert both.note.startswith(alone.note)
    assert both.detail["our_intent"] == "refund"
    assert both.detail["platform_probability"] == alone.probability


def test_a_model_that_agrees_says_so_and_never_alarms_more_than_one_that_does_not(hashing: Encoder, model: IntentModel) -> None:
    agreed, not_agreed = evidence(hashing, "Refund", model), evidence(hashing, "hours", model)

    assert agreed.note.endswith("Our intent model agrees.")
    assert agreed.probability < not_agreed.probability


@pytest.mark.parametrize("told", ["shop.refund", "smalltalk"])
def test_of_an_intent_that_it_does_not_know_it_says_nothing(hashing: Encoder, model: IntentModel, told: str) -> None:
    assert evidence(hashing, told, model) == evidence(hashing, told, None)


@pytest.mark.parametrize("said", ["thanks!", "the blue one", "and hours?"])
def test_what_has_its_meaning_from_before_is_left_to_the_platform(hashing: Encoder, model: IntentModel, said: str) -> None:
    before = (Turn("q0", "user", "i want my money back"), Turn("a0", "bot", "Which order is it?"))

    assert evidence(hashing, "refund", model, said, *before) == evidence(hashing, "refund", None, said, *before)


def test_more_doubt_of_anybody_is_never_less_alarming(model: IntentModel) -> None:
    (prediction,) = model.predict([QUESTION], HashingEncoder().encode([QUESTION]))
    logits = [opinion("hours", logit, prediction) for logit in (-4.0, -1.0, 0.0, 2.0)]

    assert None not in logits
    assert sorted(logits, key=lambda one: one or 0.0) == logits
    assert len(inputs("hours", 0.0, prediction)) == len(FEATURES)
    assert opinion("unheard of", 0.0, prediction) is None
    assert opinion("hours", 0.0, None) is None
