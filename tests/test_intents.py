"""The intent model: from one example an intent, calibrated, kept in one file that nothing else is mistaken for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from scoring.clauses import MOST, asks, clauses
from scoring.descent import descended
from scoring.encoder import Encoder, Vectors
from scoring.intent_heads import fit_heads
from scoring.intents import IntentModel, IntentModelUnusable, Prediction
from scoring.lexical import BUCKETS, bags, rarity, weighed
from scoring.signals.base import Batch
from scoring.signals.intent_confidence import IntentConfidence
from scoring.transcripts import Transcript, Turn, split
from scoring.vectors import TextVectors

EXAMPLES = {
    "refund": ["I want my money back", "how do I get a refund", "please refund my order", "refund me"],
    "delivery": ["where is my parcel", "when will my order arrive", "track my delivery", "my package is late"],
    "opening_hours": ["when do you open", "are you open on Sunday", "what are your opening hours", "when does the shop close"],
}


def make_vectors(count: int, around: int = 0, spread: float = 0.05, dimensions: int = 32) -> Vectors:
    """Unit vectors near the axis `around`."""
    vectors = np.random.default_rng(around).normal(scale=spread, size=(count, dimensions))
    vectors[:, around] += 1.0
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_texts(count: int, around: int = 0) -> list[str]:
    """Texts that share a word for each axis."""
    return [f"about topic{around} in way{i}" for i in range(count)]


def make_model(intents: int = 3, examples: int = 4, encoder: str = "test-encoder") -> IntentModel:
    texts = [text for i in range(intents) for text in make_texts(examples, i)]
    vectors = np.concatenate([make_vectors(examples, around=i) for i in range(intents)])
    return IntentModel.fit(texts, vectors, [f"intent_{i}" for i in range(intents) for _ in range(examples)], 0, encoder)


def fitted(encoder: Encoder, examples: Mapping[str, Sequence[str]] = EXAMPLES) -> IntentModel:
    texts = [text for one in examples.values() for text in one]
    return IntentModel.fit(texts, encoder.encode(texts), [name for name, one in examples.items() for _ in one], 0, encoder.digest)


def test_questions_in_other_words_get_their_intent(encoder: Encoder) -> None:
    asked = ["can I have a refund for these shoes", "has my parcel been sent", "until when are you open tonight"]

    found = fitted(encoder).predict(asked, encoder.encode(asked))

    assert [one.intent for one in found] == ["refund", "delivery", "opening_hours"]
    assert all(one.ranking[0] == (one.intent, one.confidence) for one in found)


def test_a_question_about_something_else_is_more_out_of_scope(encoder: Encoder) -> None:
    asked = ["I would like to get my money back", "who wrote the opera about the magic flute"]

    inside, outside = fitted(encoder).predict(asked, encoder.encode(asked))

    assert inside.out_of_scope < 0.5 < outside.out_of_scope


@pytest.mark.parametrize(("intents", "examples"), [(1, 1), (1, 5), (2, 1), (2, 2), (3, 1), (9, 1), (12, 2), (12, 6)])
def test_few_examples_are_enough_to_run(intents: int, examples: int) -> None:
    model = make_model(intents, examples)

    found = model.predict(make_texts(5, intents - 1), make_vectors(5, around=intents - 1))

    assert {one.intent for one in found} == {f"intent_{intents - 1}"}
    assert all(0 <= one.confidence <= 1 and 0 <= one.out_of_scope <= 1 for one in found)
    assert all(sum(share for _, share in one.ranking) <= 1 + 1e-6 for one in found)


def test_out_of_scope_examples_are_no_intent_of_their_own() -> None:
    vectors = np.concatenate([make_vectors(4, around=i) for i in range(3)])

    model = IntentModel.fit([""] * 12, vectors, ["a"] * 4 + ["OOS"] * 4 + ["b"] * 4, 0, "test-encoder")

    assert model.intents == ("a", "b")


def test_an_empty_question_belongs_to_no_intent() -> None:
    found = make_model().predict([""], np.zeros((1, 32), dtype=np.float32))

    assert found[0].out_of_scope == 1.0


def test_no_intent_is_ranked_above_the_predicted_one() -> None:
    between = sum(make_vectors(20, around=i, spread=0.3) for i in range(12))

    for one in make_model(12, 6).predict(make_texts(20, 3), between / np.linalg.norm(between, axis=1, keepdims=True)):
        shares = [share for _, share in one.ranking]
        assert one.ranking[0] == (one.intent, one.confidence)
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-6


@pytest.mark.parametrize("examples", [1, 3, 20])
def test_the_same_examples_for_every_intent_still_give_a_model(examples: int) -> None:
    same = np.repeat(make_vectors(1), examples * 9, axis=0)

    texts = ["the very same"] * len(same)

    model = IntentModel.fit(texts, same, [f"intent_{i % 9}" for i in range(len(same))], 0, "test-encoder")

    (found,) = model.predict(texts[:1], same[:1])
    assert 0 <= found.confidence <= 1
    assert 0 <= found.out_of_scope <= 1


def test_an_intent_that_no_example_names_is_found_out_of_scope() -> None:
    model = make_model(16, 12)

    def ask(intents: range) -> list[Prediction]:
        texts = [text for i in intents for text in make_texts(5, i)]
        return model.predict(texts, np.concatenate([make_vectors(5, around=i, spread=0.08) for i in intents]))

    inside, outside = ask(range(16)), ask(range(16, 24))

    assert np.mean([one.out_of_scope < 0.5 for one in inside]) > 0.8
    assert np.mean([one.out_of_scope > 0.5 for one in outside]) > 0.8


def test_examples_given_as_out_of_scope_raise_the_score_of_their_like() -> None:
    vectors = np.concatenate([make_vectors(12, around=i) for i in range(16)])
    names = [f"intent_{i}" for i in range(16) for _ in range(12)]
    like = vectors[:12] + vectors[12:24]
    like /= np.linalg.norm(like, axis=1, keepdims=True)

    texts, strange = [text for i in range(16) for text in make_texts(12, i)], make_texts(12, 99)

    without = IntentModel.fit(texts, vectors, names).predict(strange, like)
    model = IntentModel.fit([*texts, *strange], np.concatenate([vectors, like]), [*names, *["oos"] * 12])

    given = model.predict(strange, like)
    assert np.mean([one.out_of_scope for one in given]) >= np.mean([one.out_of_scope for one in without]) - 0.05
    assert np.mean([one.out_of_scope < 0.5 for one in model.predict(texts, vectors)]) > 0.8


def test_no_questions_give_no_predictions() -> None:
    assert make_model().predict([], np.zeros((0, 32), dtype=np.float32)) == []


def test_the_same_examples_and_seed_give_the_same_model() -> None:
    assert make_model(12, 6).version == make_model(12, 6).version
    assert make_model(12, 6).version != make_model(12, 5).version


def test_thousands_of_examples_give_the_same_model_again_and_it_knows_them() -> None:
    count = 5200
    at = np.arange(count) % 16
    vectors = np.concatenate([make_vectors(1 + count // 16, around=i, spread=0.15) for i in range(16)])
    vectors = vectors.reshape(16, -1, 32).transpose(1, 0, 2).reshape(-1, 32)[:count]
    texts = [f"about topic{around} in way{i}" for i, around in enumerate(at)]
    names = [f"intent_{around:02}" for around in at]
    asked = np.concatenate([make_vectors(9, around=i, spread=0.15) for i in range(16)])

    first, second = (IntentModel.fit(texts, vectors, names) for _ in range(2))

    assert first.version == second.version
    found = first.predict([f"about topic{i}" for i in range(16) for _ in range(9)], asked)
    assert np.mean([one.intent == f"intent_{i // 9:02}" for i, one in enumerate(found)]) > 0.97
    assert np.mean([one.confidence for one in found]) > 0.9


@pytest.mark.parametrize("quick", [False, True])
def test_the_second_opinion_is_fitted_even_where_it_has_no_share(quick: bool) -> None:
    vectors = np.concatenate([make_vectors(20, around=i) for i in range(4)])
    classes = np.repeat(np.arange(4), 20)

    hidden, regression, discriminant = fit_heads(vectors, classes, 4, np.random.default_rng(0), (1.0, 0.0, 0.0), quick)

    assert (regression.logits(vectors).argmax(axis=1) == classes).all()
    assert hidden.inner.any()
    assert not discriminant.weights.any()


def test_a_descent_is_the_same_on_dense_and_on_sparse_rows_and_finds_what_tells_them_apart() -> None:
    rng = np.random.default_rng(0)
    classes = np.arange(600) % 3
    dense = (rng.random((600, 40)) * (rng.random((600, 40)) < 0.2)).astype(np.float32)
    dense[np.arange(600), classes] += 1.0
    given = {"batch": 128, "passes": 20, "rate": 0.2, "decay": 0.05}

    weights, bias = descended(dense, classes, 3, np.random.default_rng(1), **given)
    same, same_bias = descended(sparse.csr_matrix(dense), classes, 3, np.random.default_rng(1), **given)

    assert np.mean((dense @ weights + bias).argmax(axis=1) == classes) > 0.95
    assert np.allclose(weights, same, atol=1e-2)
    assert np.allclose(bias, same_bias, atol=1e-2)


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    model = make_model(12, 6)
    model.save(tmp_path / "model.npz")

    loaded = IntentModel.load(tmp_path / "model.npz", encoder="test-encoder")

    assert loaded.version == model.version
    asked = (make_texts(8, 3), make_vectors(8, 3))
    for one, other in zip(model.predict(*asked), loaded.predict(*asked), strict=True):
        assert one.intent == other.intent
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)
        assert one.out_of_scope == pytest.approx(other.out_of_scope, abs=1e-6)


def test_a_model_for_another_encoder_is_refused(tmp_path: Path) -> None:
    make_model().save(tmp_path / "model.npz")

    with pytest.raises(IntentModelUnusable, match="test-encoder"):
        IntentModel.load(tmp_path / "model.npz", encoder="another")


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04 not a zip", b"\x93NUMPY", b"\x80\x04K\x01.", b"text,intent\n"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.npz").write_bytes(content)

    with pytest.raises(IntentModelUnusable):
        IntentModel.load(tmp_path / "model.npz")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntentModelUnusable, match="cannot read"):
        IntentModel.load(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bias", lambda array: array[:1]),
        ("word_weights", lambda array: array[:-1]),
        ("kept_at", lambda array: array + 40_000),
        ("kept_starts", lambda array: array[::-1]),
        ("kept_starts", lambda array: array + 1),
        ("seen", lambda array: array * np.float16(np.nan)),
        ("starts", lambda array: array * 0),
    ],
)
def test_a_model_whose_arrays_do_not_fit_together_is_refused(
    tmp_path: Path, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    make_model().save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as read:
        arrays = {name: read[name] for name in read.files}
    np.savez(tmp_path / "model.npz", **(arrays | {name: change(arrays[name])}))

    with pytest.raises(IntentModelUnusable, match="damaged"):
        IntentModel.load(tmp_path / "model.npz")


@pytest.mark.parametrize("labels", [[], ["a"], ["oos", "oos"]])
def test_examples_that_teach_nothing_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"labels|intent"):
        IntentModel.fit(make_texts(2), make_vectors(2), labels, 0, "test-encoder")


def test_a_text_and_a_vector_belong_together() -> None:
    with pytest.raises(ValueError, match="texts"):
        make_model().predict(["one", "two"], make_vectors(3))
    with pytest.raises(ValueError, match="texts"):
        IntentModel.fit(["one"], make_vectors(2), ["a", "b"])


def test_words_decide_where_vectors_cannot() -> None:
    same = make_vectors(1)
    texts = [
        f"{word} my {thing}" for word in ("cancel", "extend") for thing in ("card", "loan", "plan", "visit", "stay", "order")
    ]
    model = IntentModel.fit(texts, np.repeat(same, 12, axis=0), ["cancel"] * 6 + ["extend"] * 6)

    found = model.predict(["please cancel my table", "please extend my table"], np.repeat(same, 2, axis=0))

    assert [one.intent for one in found] == ["cancel", "extend"]


def test_a_prediction_does_not_depend_on_its_company() -> None:
    model, texts, vectors = make_model(12, 6), make_texts(6, 5), make_vectors(6, 5)
    mixed = [*make_texts(30, 2), *texts, "", "nothing of the kind"]

    together = model.predict(mixed, np.concatenate([make_vectors(30, 2), vectors, make_vectors(2, 9)]))[30:36]

    for one, other in zip(together, model.predict(texts, vectors), strict=True):
        assert one.intent == other.intent
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert one.out_of_scope == pytest.approx(other.out_of_scope, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_predicted(text: str) -> None:
    (found,) = _MODEL.predict([text], make_vectors(1), lambda parts: make_vectors(len(parts)))

    assert 0 <= found.confidence <= 1
    assert 0 <= found.out_of_scope <= 1
    assert found.intents[0] == found.intent
    assert len(set(found.intents)) == len(found.intents)


@given(st.lists(st.text(max_size=40), max_size=6))
def test_a_text_has_the_same_bags_in_any_company(texts: list[str]) -> None:
    said, spelt = bags(texts)

    for i, text in enumerate(texts):
        alone, letters = bags([text])
        assert (said[i] != alone[0]).nnz == 0
        assert (spelt[i] != letters[0]).nnz == 0


def test_rows_of_words_and_of_letters_have_length_one_each() -> None:
    said, spelt = bags(["Cancel my order", "cancel  MY order?", "my order", "…", "where is it"])

    rows = weighed(said, spelt, np.concatenate([rarity(said), rarity(spelt)]))

    words, letters = rows[:, :BUCKETS], rows[:, BUCKETS:]
    assert np.allclose((words @ words.T).diagonal(), [1, 1, 1, 0, 1])
    assert np.allclose((letters @ letters.T).diagonal(), [1, 1, 1, 0, 1])
    assert np.isclose((rows @ rows.T)[0, 1], 2.0)
    assert 0 < (words @ words.T)[0, 2] < 1


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("cancel my order and change my address", ("cancel my order", "change my address")),
        ("Where is my card? Also, how do I top up?", ("Where is my card", "Also, how do I top up?")),
        ("what's the weather, and play some jazz", ("what's the weather", "play some jazz")),
        ("do you ship to France and Germany", ()),
        ("I want a black and white shirt", ()),
        ("cancel my order and its invoice", ()),
        ("Hi, can you tell me when it opens?", ()),
        ("I bought it on Monday and it broke", ()),
        ("", ()),
    ],
)
def test_a_question_is_split_where_somebody_asks_again(question: str, expected: tuple[str, ...]) -> None:
    assert clauses(question) == expected


@given(st.text(max_size=600))
def test_clauses_are_none_or_several_pieces_of_the_question(text: str) -> None:
    found = clauses(text)

    assert len(found) != 1
    assert len(found) <= MOST
    assert all(clause in text.replace("’", "'") for clause in found)
    assert asks(text) or not found


def test_a_question_with_two_requests_names_both_intents(encoder: Encoder) -> None:
    asked = ["please refund my order and tell me when you open", "how do I get a refund for my order"]
    encoded: list[str] = []

    def parts(texts: Sequence[str]) -> Vectors:
        encoded.extend(texts)
        return encoder.encode(list(texts))

    two, one = fitted(encoder).predict(asked, encoder.encode(asked), parts)

    assert set(two.intents) == {"refund", "opening_hours"}
    assert one.intents == ("refund",)
    assert encoded == ["please refund my order", "tell me when you open"]


def measure(question: str, prediction: Prediction, before: str = "") -> Any:
    turns = [Turn("1", "user", before), Turn("2", "bot", "Sure.")] if before else []
    exchange = split(Transcript("c", (*turns, Turn("3", "user", question), Turn("4", "bot", "Fine."))))[-1]
    batch = Batch([exchange], TextVectors({}, np.zeros((1, 4), dtype=np.float32)), [()], [prediction])
    return IntentConfidence().measure(batch)[0]


def test_several_requests_are_named_and_not_taken_for_doubt() -> None:
    ranking = (("cancel", 0.4), ("address", 0.4), ("refund", 0.1))

    several = measure("cancel it and change my address", Prediction("cancel", 0.4, 0.6, ranking, ("address",)))
    doubt = measure("cancel or change it", Prediction("cancel", 0.4, 0.6, ranking))

    assert several.note == "The question holds several requests: cancel and address."
    assert several.probability < doubt.probability
    assert several.detail["runner_up"] == "refund"
    assert list(several.detail["further"]) == ["address"]


def test_a_later_turn_that_asks_nothing_is_left_alone() -> None:
    strange = Prediction("returns", 0.3, 0.9, (("returns", 0.3),))

    assert measure("great, I'll use my phone charger then", strange, before="how do I charge it") is None
    assert measure("do you also rent out tents for a single weekend", strange, before="how do I charge it").probability > 0.5
    assert measure("I have a problem with my phone charger", strange).probability > 0.5


def test_a_fragment_is_out_of_scope_only_where_nothing_was_asked_before() -> None:
    strange = Prediction("care", 0.6, 0.9, (("care", 0.6),))

    later = measure("and after? just hang it?", strange, before="how do I wash it")
    first = measure("and after? just hang it?", strange)

    assert first.note == "The question fits none of the known intents."
    assert later.note != first.note
    assert later.probability < first.probability


_THINGS = ("card", "loan", "plan", "visit", "stay", "order")
_MODEL = make_model(9, 4)
