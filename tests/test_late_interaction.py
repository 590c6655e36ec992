"""Words of question and answer meet; nothing is encoded again that is still remembered."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scoring.encoder import HashingEncoder, SentenceEncoder, Vectors
from scoring.late_interaction import FEATURES, Fitted, LateInteraction, Projection, interaction
from scoring.signals.answer_relevance import AnswerRelevance

QUESTION = "How long does a refund take?"
ANSWERS = ["Refunds arrive within five days.", "Our shop opens at nine.", "You can pay by card."]


class Counting:
    """The packaged encoder, and what it was asked to read."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self.read: list[str] = []

    @property
    def digest(self) -> str:
        return self._encoder.digest

    @property
    def dimensions(self) -> int:
        return self._encoder.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError("words are wanted with the vectors, in one pass")

    def encode_words(self, texts: Sequence[str], shrink: Callable[[Vectors], Vectors]) -> tuple[Vectors, list[Vectors]]:
        self.read += texts
        return self._encoder.encode_words(texts, shrink)


def test_the_vectors_are_those_that_encode_gives(encoder: SentenceEncoder) -> None:
    texts = [QUESTION, *ANSWERS, "ok", "?!", "A longer answer. " * 60]

    vectors, words = encoder.encode_words(texts, lambda states: states)

    np.testing.assert_allclose(vectors, encoder.encode(texts), atol=2e-6)
    assert [len(one) for one in words][4:6] == [1, 0]  # marks are no words


def test_what_was_encoded_is_compared_without_reading_it_again(encoder: SentenceEncoder) -> None:
    counting = Counting(encoder)
    words = LateInteraction(counting, Fitted.packaged())

    words.encode([QUESTION, *ANSWERS])
    words.compare([QUESTION] * 3, ANSWERS)

    assert sorted(counting.read) == sorted([QUESTION, *ANSWERS])


def test_what_was_forgotten_is_read_again_with_the_same_result(encoder: SentenceEncoder) -> None:
    roomy = LateInteraction(Counting(encoder), Fitted.packaged())
    counting = Counting(encoder)
    cramped = LateInteraction(counting, Fitted.packaged(), room=1)

    cramped.encode(ANSWERS)
    found = cramped.compare([QUESTION] * 3, ANSWERS)

    np.testing.assert_allclose(found, roomy.compare([QUESTION] * 3, ANSWERS), atol=2e-3)
    assert sorted(counting.read) == sorted([*ANSWERS, QUESTION, *ANSWERS])


def test_the_answer_ranks_before_what_only_stands_near(encoder: SentenceEncoder) -> None:
    words = LateInteraction.over(encoder)
    assert words is not None
    cosines = (encoder.encode([QUESTION]) @ encoder.encode(ANSWERS).T)[0].tolist()

    assert int(np.argmax(words.rank(QUESTION, ANSWERS, cosines))) == 0


def test_an_encoder_that_shows_no_words_has_none() -> None:
    assert LateInteraction.over(HashingEncoder()) is None
    assert AnswerRelevance(None).name == "answer_relevance"


def test_a_text_meets_itself_and_nothing_meets_nothing() -> None:
    states = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    words = Projection(np.eye(8, 4, dtype=np.float32), np.zeros(8, dtype=np.float32))(states).astype(np.float16)

    found = dict(zip(FEATURES, interaction(words, words), strict=True))

    assert found["met"] == pytest.approx(1, abs=2e-3)
    assert found["met_least"] == pytest.approx(1, abs=2e-3)
    assert interaction(words[:0], words) == interaction(words, words[:0]) == (0.0,) * len(FEATURES)


_STATES = arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(6)), elements=st.floats(-5, 5, width=32))


@given(question=_STATES, answer=_STATES, more=_STATES)
def test_a_longer_answer_never_meets_a_word_less(question: Vectors, answer: Vectors, more: Vectors) -> None:
    shrink = Projection(np.eye(6, 3, dtype=np.float32), np.linspace(-1, 1, 6, dtype=np.float32))
    asked, short, longer = (shrink(one).astype(np.float16) for one in (question, answer, np.concatenate([answer, more])))

    before, after = interaction(asked, short), interaction(asked, longer)

    assert all(np.isfinite(before))
    assert all(y >= x - 2e-3 for x, y in zip(before[:7], after[:7], strict=True))
