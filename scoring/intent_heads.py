"""The intent model's heads: a hidden layer, a regression and a discriminant on vectors, and one on words.

Those on vectors add up to one head. The one on words (Crammer and Singer 2001, one machine for all intents, or with many examples
a regression, on TF-IDF rows of `scoring/lexical.py`) errs elsewhere, so it helps in the sum, and disagreement with it tells of
mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.descent import Descent, batches, descended, slopes
from scoring.encoder import Vectors
from scoring.lexical import Counts
from scoring.out_of_scope import Asked, Floats, Indices, half, shrunk

_STRENGTH = 20.0
"""C of the logistic regression."""
_TOLERANCE = 0.5
"""Of the dual for the head on words; a smaller one takes longer and does not make it more often right."""
_STEP = 1 / 128
"""To which weights of words are rounded: they are the half of a file, and this halves them again."""
_BATCH = 256
_HIDDEN = 512
_PASSES = 3
_LEAST_STEPS = 200
_DROPOUT = 0.4
# Steep and strongly held: three passes then do as well as twenty at a fifth of the rate.
_RATE, _DECAY = 2e-2, 0.6
_QUICK: Any = {"batch": _BATCH, "passes": 3, "rate": 0.2, "decay": 0.05}
_QUICK_WORDS: Any = {"batch": _BATCH, "passes": 2, "rate": 0.2, "decay": 0.2}


@dataclass(frozen=True, slots=True)
class Head:
    """Logits of the intents: a linear part, and one hidden layer."""

    weights: Vectors
    """(dimensions, intents)"""
    bias: Vectors
    inner: Vectors
    """(dimensions, hidden); none is hidden in a linear head."""
    inner_bias: Vectors
    outer: Vectors
    """(hidden, intents)"""

    def logits(self, vectors: Vectors) -> Vectors:
        found: Vectors = vectors @ self.weights + self.bias
        if self.inner.shape[1]:
            found = found + np.maximum(vectors @ self.inner + self.inner_bias, 0.0) @ self.outer
        return found

    def arrays(self) -> dict[str, Vectors]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class WordHead:
    """Logits of the intents from TF-IDF rows."""

    word_weights: Vectors
    """(2 * BUCKETS, intents)"""
    word_bias: Vectors

    def logits(self, rows: Counts) -> Vectors:
        found: Vectors = np.asarray(rows @ self.word_weights, dtype=np.float32) + self.word_bias
        return found


@dataclass(frozen=True, slots=True)
class Heads:
    """All heads of a model."""

    sum: Head
    """Those on vectors, added up."""
    regression: Head
    words: WordHead
    share: float
    """Of the head on words, beside the sum."""

    def asked(self, vectors: Vectors, said: Counts, rows: Counts) -> Asked:
        """The questions of unit vectors (n, dimensions), word counts and TF-IDF rows, with the heads' logits."""
        words = self.words.logits(rows)
        logits = self.sum.logits(vectors) + np.float32(self.share) * words
        return Asked(vectors, said, rows, logits, self.regression.logits(vectors), words)


def together(heads: Sequence[Head], words: WordHead, shares: Sequence[float]) -> Heads:
    """Heads of `fit_heads` and `fit_word_head` by their four shares."""
    return Heads(rounded(blended(heads, shares[:-1])), rounded(heads[1]), words, float(shares[-1]))


def fit_word_head(rows: Counts, classes: Indices, count: int, rng: np.random.Generator, quick: bool = False) -> WordHead:
    """Fitted on TF-IDF rows (n, 2 * BUCKETS); its logits have a standard deviation of 1, or are all zero.

    `quick`: a regression in a few passes instead of support vectors, as for `fit_heads`.
    """
    nothing = WordHead(np.zeros((rows.shape[1], count), dtype=np.float32), np.zeros(count, dtype=np.float32))
    if count < 2 or not rows.nnz:
        return nothing
    weights, bias = descended(rows, classes, count, rng, **_QUICK_WORDS) if quick else _machine(rows, classes, rng)
    head = WordHead(weights.astype(np.float32), bias.astype(np.float32))
    by = np.float32(1.0 / max(float(np.std(head.logits(rows))), 0.05))
    return WordHead(half(np.round(head.word_weights * by / _STEP) * np.float32(_STEP)), half(head.word_bias * by))


def _machine(rows: Counts, classes: Indices, rng: np.random.Generator) -> tuple[Floats, Floats]:
    from sklearn import svm

    machine: Any = svm.LinearSVC
    own = int(rng.integers(2**31))
    return _fitted(machine(C=1.0, tol=_TOLERANCE, multi_class="crammer_singer", random_state=own), rows, classes)


def fit_heads(
    vectors: Vectors,
    classes: Indices,
    count: int,
    rng: np.random.Generator,
    shares: Sequence[float] = (1.0, 1.0, 1.0),
    quick: bool = False,
) -> list[Head]:
    """Hidden layer, regression, discriminant; each one's logits have a standard deviation of 1.

    Without a share all are zero, but for the regression, which is a second opinion as well. `quick`: the regression descends
    as the hidden layer does. With many examples that takes a tenth of the time and is as often right, with few it is not.
    """
    nothing = linear(np.zeros((vectors.shape[1], count)), np.zeros(count))
    regression = _descended if quick else _regression
    found = []
    for share, fit in zip(shares, (_hidden, regression, _discriminant), strict=True):
        if count < 2 or not (share or fit is regression):
            found.append(nothing)
            continue
        head = fit(vectors, classes, count, rng)
        found.append(_scaled(head, 1.0 / max(float(np.std(head.logits(vectors))), 0.05)))
    return found


def _regression(vectors: Vectors, classes: Indices, count: int, rng: np.random.Generator) -> Head:
    from sklearn import linear_model  # a second of import that only fitting may cost

    regression: Any = linear_model.LogisticRegression
    return linear(*_fitted(regression(C=_STRENGTH, max_iter=300, tol=1e-3), vectors, classes))


def _fitted(model: Any, inputs: Any, classes: Indices) -> tuple[Floats, Floats]:
    """Weights (features, intents) and bias; for two classes scikit-learn gives one column: half each way is the same model."""
    model.fit(inputs, classes)
    weights, bias = model.coef_.T, model.intercept_
    if len(bias) > 1:
        return weights, bias
    return np.concatenate([-weights / 2, weights / 2], axis=1), np.concatenate([-bias / 2, bias / 2])


def _discriminant(vectors: Vectors, classes: Indices, count: int, rng: np.random.Generator) -> Head:
    means, spread = shrunk(vectors, classes, count)
    weights = np.linalg.solve(spread, means.T)
    bias: Floats = -0.5 * np.einsum("kd,dk->k", means, weights)
    return linear(weights.astype(np.float64), bias)


def _descended(vectors: Vectors, classes: Indices, count: int, rng: np.random.Generator) -> Head:
    return linear(*descended(vectors, classes, count, rng, **_QUICK))


def _hidden(vectors: Vectors, classes: Indices, count: int, rng: np.random.Generator) -> Head:
    n, dimensions = vectors.shape
    shapes = ((dimensions, _HIDDEN), (_HIDDEN,), (_HIDDEN, count), (count,))
    spreads = (np.sqrt(2.0), 0.0, np.sqrt(1.0 / _HIDDEN), 0.0)
    inner, inner_bias, outer, bias = values = tuple(
        (rng.standard_normal(shape) * spread).astype(np.float32) for shape, spread in zip(shapes, spreads, strict=True)
    )
    steps = max(_PASSES * (n // min(_BATCH, n)), _LEAST_STEPS)
    descent = Descent(values, steps, _RATE, _DECAY)
    for rows in batches(n, _BATCH, steps, rng):
        asked = vectors[rows]
        hidden = asked @ inner + inner_bias
        open_ = ((hidden > 0) & (rng.random(hidden.shape, dtype=np.float32) > _DROPOUT)) / np.float32(1 - _DROPOUT)
        hidden *= open_
        slope = slopes(hidden @ outer + bias, classes[rows])
        back = (slope @ outer.T) * open_
        descent.step((asked.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)))
    return Head(np.zeros((dimensions, count), dtype=np.float32), bias, inner, inner_bias, outer)


def linear(weights: Floats | Vectors, bias: Floats | Vectors) -> Head:
    """A head without a hidden layer."""
    (dimensions, count), single = weights.shape, np.float32
    nothing = (np.zeros((dimensions, 0), single), np.zeros(0, single), np.zeros((0, count), single))
    return Head(weights.astype(single), bias.astype(single), *nothing)


def _scaled(head: Head, factor: float) -> Head:
    by = np.float32(factor)
    return Head(head.weights * by, head.bias * by, head.inner, head.inner_bias, head.outer * by)


def blended(heads: Sequence[Head], shares: Sequence[float]) -> Head:
    """The sum of the heads by their shares is one head."""
    parts = [_scaled(head, share) for head, share in zip(heads, shares, strict=True)]
    return Head(
        np.sum([part.weights for part in parts], axis=0),
        np.sum([part.bias for part in parts], axis=0),
        np.concatenate([part.inner for part in parts], axis=1),
        np.concatenate([part.inner_bias for part in parts]),
        np.concatenate([part.outer for part in parts]),
    )


def rounded(head: Head) -> Head:
    return Head(*(half(array) for array in head.arrays().values()))
