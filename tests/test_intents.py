"""The intent model: from one example an intent, calibrated, kept in one file that nothing else is mistaken for."""

from pathlib import Path

import numpy as np
import pytest

from scoring.encoder import Encoder, Vectors
from scoring.intents import IntentModel, IntentModelUnusable

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


def make_model(intents: int = 3, examples: int = 4, encoder: str = "test-encoder") -> IntentModel:
    vectors = np.concatenate([make_vectors(examples, around=i) for i in range(intents)])
    return IntentModel.fit(vectors, [f"intent_{i}" for i in range(intents) for _ in range(examples)], 0, encoder)


def test_questions_in_other_words_get_their_intent(encoder: Encoder) -> None:
    texts = [text for one in EXAMPLES.values() for text in one]
    model = IntentModel.fit(encoder.encode(texts), [name for name, one in EXAMPLES.items() for _ in one], 0, encoder.digest)

    found = model.predict(
        encoder.encode(["can I have a refund for these shoes", "has my parcel been sent", "until when are you open tonight"])
    )

    assert [one.intent for one in found] == ["refund", "delivery", "opening_hours"]
    assert all(one.ranking[0] == (one.intent, one.confidence) for one in found)


def test_a_question_about_something_else_is_more_out_of_scope(encoder: Encoder) -> None:
    texts = [text for one in EXAMPLES.values() for text in one]
    model = IntentModel.fit(encoder.encode(texts), [name for name, one in EXAMPLES.items() for _ in one], 0, encoder.digest)

    inside, outside = model.predict(
        encoder.encode(["I would like to get my money back", "who wrote the opera about the magic flute"])
    )

    assert inside.out_of_scope < 0.5 < outside.out_of_scope


@pytest.mark.parametrize(("intents", "examples"), [(1, 1), (1, 5), (2, 1), (2, 2), (3, 1), (9, 1), (12, 2), (12, 6)])
def test_few_examples_are_enough_to_run(intents: int, examples: int) -> None:
    model = make_model(intents, examples)

    found = model.predict(make_vectors(5, around=intents - 1))

    assert {one.intent for one in found} == {f"intent_{intents - 1}"}
    assert all(0 <= one.confidence <= 1 and 0 <= one.out_of_scope <= 1 for one in found)
    assert all(sum(share for _, share in one.ranking) <= 1 + 1e-6 for one in found)


def test_out_of_scope_examples_are_no_intent_of_their_own() -> None:
    vectors = np.concatenate([make_vectors(4, around=i) for i in range(3)])

    model = IntentModel.fit(vectors, ["a"] * 4 + ["OOS"] * 4 + ["b"] * 4, 0, "test-encoder")

    assert model.intents == ("a", "b")


def test_an_empty_question_belongs_to_no_intent() -> None:
    found = make_model().predict(np.zeros((1, 32), dtype=np.float32))

    assert found[0].out_of_scope == 1.0


def test_no_intent_is_ranked_above_the_predicted_one() -> None:
    between = sum(make_vectors(20, around=i, spread=0.3) for i in range(12))

    for one in make_model(12, 6).predict(between / np.linalg.norm(between, axis=1, keepdims=True)):
        shares = [share for _, share in one.ranking]
        assert one.ranking[0] == (one.intent, one.confidence)
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-6


@pytest.mark.parametrize("examples", [1, 3, 20])
def test_the_same_examples_for_every_intent_still_give_a_model(examples: int) -> None:
    same = np.repeat(make_vectors(1), examples * 9, axis=0)

    model = IntentModel.fit(same, [f"intent_{i % 9}" for i in range(len(same))], 0, "test-encoder")

    (found,) = model.predict(same[:1])
    assert 0 <= found.confidence <= 1
    assert 0 <= found.out_of_scope <= 1


def test_an_intent_that_no_example_names_is_found_out_of_scope() -> None:
    model = make_model(16, 12)

    inside = model.predict(np.concatenate([make_vectors(5, around=i, spread=0.08) for i in range(16)]))
    outside = model.predict(np.concatenate([make_vectors(5, around=i, spread=0.08) for i in range(16, 24)]))

    assert np.mean([one.out_of_scope < 0.5 for one in inside]) > 0.8
    assert np.mean([one.out_of_scope > 0.5 for one in outside]) > 0.8


def test_examples_given_as_out_of_scope_raise_the_score_of_their_like() -> None:
    vectors = np.concatenate([make_vectors(12, around=i) for i in range(16)])
    names = [f"intent_{i}" for i in range(16) for _ in range(12)]
    like = vectors[:12] + vectors[12:24]
    like /= np.linalg.norm(like, axis=1, keepdims=True)

    without = IntentModel.fit(vectors, names).predict(like)
    model = IntentModel.fit(np.concatenate([vectors, like]), [*names, *["oos"] * 12])

    assert np.mean([one.out_of_scope for one in model.predict(like)]) >= np.mean([one.out_of_scope for one in without]) - 0.05
    assert np.mean([one.out_of_scope < 0.5 for one in model.predict(vectors)]) > 0.8


def test_no_questions_give_no_predictions() -> None:
    assert make_model().predict(np.zeros((0, 32), dtype=np.float32)) == []


def test_the_same_examples_and_seed_give_the_same_model() -> None:
    assert make_model(12, 6).version == make_model(12, 6).version
    assert make_model(12, 6).version != make_model(12, 5).version


def test_a_saved_model_predicts_the_same(tmp_path: Path) -> None:
    model = make_model(12, 6)
    model.save(tmp_path / "model.npz")

    loaded = IntentModel.load(tmp_path / "model.npz", encoder="test-encoder")

    assert loaded.version == model.version
    for one, other in zip(model.predict(make_vectors(8, 3)), loaded.predict(make_vectors(8, 3)), strict=True):
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


def test_a_model_whose_arrays_do_not_fit_together_is_refused(tmp_path: Path) -> None:
    make_model().save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as read:
        arrays = {name: read[name] for name in read.files}
    np.savez(tmp_path / "model.npz", **(arrays | {"bias": arrays["bias"][:1]}))  # type: ignore[arg-type]

    with pytest.raises(IntentModelUnusable, match="damaged"):
        IntentModel.load(tmp_path / "model.npz")


@pytest.mark.parametrize("labels", [[], ["a"], ["oos", "oos"]])
def test_examples_that_teach_nothing_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=r"labels|intent"):
        IntentModel.fit(make_vectors(2), labels, 0, "test-encoder")
