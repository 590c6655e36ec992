"""The looks at a prediction, computed for all questions at once, are what their plain definitions give one by one."""

from collections.abc import Sequence

import numpy as np
import pytest

from scoring.intents import IntentModel
from scoring.lexical import BUCKETS, bags, weighed
from scoring.out_of_scope import LOOKS, Asked, Floats, Known, looks

DIMENSIONS = 24
WORDS = ["cancel", "my", "order", "where", "is", "the", "parcel", "refund", "money", "open", "hours", "card"]


def make_model(sizes: Sequence[int], seed: int = 0) -> IntentModel:
    """Fitted on so many examples of each intent."""
    rng = np.random.default_rng(seed)
    labels = [f"intent {i}" for i, size in enumerate(sizes) for _ in range(size)]
    return IntentModel.fit(make_texts(len(labels), rng), make_vectors(len(labels), rng), labels, seed)


def make_texts(count: int, rng: np.random.Generator) -> list[str]:
    return [" ".join(rng.choice(WORDS, rng.integers(0, 9))) for _ in range(count)]


def make_vectors(count: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.standard_normal((count, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ask(model: IntentModel, count: int, seed: int = 1) -> Asked:
    rng = np.random.default_rng(seed)
    said, spelt = bags([*make_texts(count - 1, rng), "nobody ever said this"])
    return model.heads.asked(make_vectors(count, rng), said, weighed(said, spelt, model.words.rare))


@pytest.mark.parametrize("sizes", [(1,), (5,), (1, 1), (2, 40, 1, 3), (4,) * 12])
def test_looks_at_many_questions_are_what_each_alone_would_get(sizes: Sequence[int]) -> None:
    model = make_model(sizes)
    asked = ask(model, 40)

    found = looks(asked, model.known, model.words)

    assert found.shape == (40, LOOKS)
    for row in range(40):
        assert found[row] == pytest.approx(_looks(asked, row, model), rel=2e-5, abs=2e-5)


def _looks(asked: Asked, row: int, model: IntentModel) -> list[float]:
    logits = asked.logits[row].astype(np.float64)
    ranked = np.argsort(-logits, kind="stable")
    best, second = ranked[0], ranked[min(1, len(ranked) - 1)]
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    rest = np.delete(np.exp(logits - logits.max()), best).sum()
    placed = _unit((asked.vectors[row] - model.known.origin) @ model.known.directions)
    seen = _unit(logits - logits.mean())
    near = _near(asked.vectors[row], model.known.examples, best, model.known)
    return [
        min(-np.log(max(rest, 1e-9)), 15.0),
        float(np.sum(shares * np.log(np.maximum(shares, 1e-300)))),
        float(placed @ model.known.centres[best]) - model.known.typical[best],
        near,
        _near(placed, model.known.projected, best, model.known),
        _near(seen, model.known.logits, best, model.known),
        near - _near(asked.vectors[row], model.known.examples, second, model.known),
        _lead(asked.regression[row], best),
        _lead(asked.words[row], best),
        *_word_looks(asked, row, best, second, model),
    ]


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _near(question: Floats, examples: Floats, intent: int, known: Known) -> float:
    cosines = np.sort(examples[known.starts[intent] : known.starts[intent + 1]] @ question)
    return float(cosines[-3:].mean())


def _lead(logits: Floats, best: int) -> float:
    return float(logits[best] - (np.delete(logits, best).max() if len(logits) > 1 else 0.0))


def _word_looks(asked: Asked, row: int, best: int, second: int, model: IntentModel) -> list[float]:
    words, alone = model.words, len(model.intents) == 1
    said = asked.said[row].indices
    rare = np.log((1 + words.sizes.sum()) / (1 + words.told.sum(axis=0)))[said]
    share = float(rare[words.told[best, said] > 0].sum()) / max(float(rare.sum()), 1e-9)
    lead = _lead(words.likely[said].sum(axis=0), best) / np.sqrt(max(len(said), 1))
    told = asked.rows[row].toarray()[0, :BUCKETS]

    def alike(intent: int) -> float:
        examples = words.kept[model.known.starts[intent] : model.known.starts[intent + 1]].toarray()
        return float((examples @ told).max())

    return [share, lead, np.log1p(len(said)), alike(best) - (0.0 if alone else alike(second))]
