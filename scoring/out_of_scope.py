"""Is a prediction right, and is the question in scope at all? Several looks at one question, and a small regression over them.

The looks, each larger the safer the prediction:

- the head's own: log-odds of the largest probability (Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and
  Out-of-Distribution Examples") and negative entropy; the lead of the predicted intent in the regression and in the head on
  words alone, for heads that disagree err (Lakshminarayanan et al. 2017);
- the cosine with the predicted intent's centre after the directions in which examples of one intent differ have been shrunk
  (Fisher 1936; Lee et al. 2018 use the same shared covariance as a Mahalanobis distance), less what is typical for that intent,
  as Ren et al. 2021 take off what is typical for all;
- the cosine of the nearest examples of the predicted intent (Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest
  Neighbors"), among the vectors, the discriminant directions and the logits; and its lead over those of the runner-up;
- what its words say (`scoring/lexical.py`): a question close by but out of scope uses words that no example of the intent uses.

Examples of the predicted intent alone tell more than the nearest of all, and cost a hundredth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors
from scoring.lexical import Counts, Lexicon, word_looks

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

LOOKS = 13
# Bias and a coefficient for each look, where too little can be left out to learn them: nearness to examples alone, fitted over
# two to sixty intents with one to eight examples from the train parts of CLINC150, BANKING77 and HWU64.
DEFAULT_SCOPE: Floats = np.asarray([-6.0, 0.0, 0.0, 0.0, 7.0, 4.0] + [0.0] * (LOOKS - 5))
DEFAULT_RIGHT: Floats = np.asarray([0.0, 1.0] + [0.0] * (LOOKS - 1))
_NEAREST = 3
_MOST_PER_INTENT = 30
"""Examples kept per intent: they are most of the file."""
_PENALTY = 1e-3
_STRANGE = 0.25
"""Share of questions that is taken to be out of scope. A rehearsal cannot know it; a half would call a third of a dialogue's
elliptical turns strange."""
_ENOUGH = 8
"""Fewer examples of either kind teach no mix."""
_USUAL = 5.0
"""So many examples are worth as much as all other intents' in saying what is typical for one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions as every look needs them, a row each."""

    vectors: Vectors
    said: Counts
    """Their words, counted."""
    rows: Counts
    """Their TF-IDF rows."""
    logits: Vectors
    """Of all heads together."""
    regression: Vectors
    words: Vectors
    """Logits of the head on words."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a question is compared with. Examples lie intent by intent; intent i has rows starts[i] to starts[i + 1]."""

    examples: Vectors
    starts: Indices
    projected: Vectors
    """The examples in the discriminant directions, unit length."""
    logits: Vectors
    """The examples as the head sees them, centred, unit length."""
    origin: Vectors
    directions: Vectors
    """(dimensions, directions)"""
    centres: Vectors
    """(intents, directions), unit length."""
    typical: Vectors
    """Per intent, the mean cosine of its examples with its centre."""


def kept_rows(classes: Indices, count: int, rng: np.random.Generator) -> list[Indices]:
    """For each intent the examples that questions are compared with, at most `_MOST_PER_INTENT`."""
    return [rng.permutation(np.flatnonzero(classes == wanted))[:_MOST_PER_INTENT] for wanted in range(count)]


def surroundings(vectors: Vectors, classes: Indices, count: int, logits: Vectors, kept: list[Indices]) -> Known:
    """What questions are compared with; `logits` are those of all the vectors."""
    origin, directions = (half(array) for array in discriminant(vectors, classes, count))
    centres, usual = typical(vectors, classes, count, origin, directions)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in kept])]).astype(np.intp)
    rows = np.concatenate(kept)
    return compared(half(vectors[rows]), starts, half(centred(logits[rows])), origin, directions, half(centres), usual)


def compared(
    examples: Vectors,
    starts: Indices,
    seen: Vectors,
    origin: Vectors,
    directions: Vectors,
    centres: Vectors,
    usual: Vectors,
) -> Known:
    return Known(examples, starts, unit((examples - origin) @ directions), seen, origin, directions, centres, usual)


def centred(logits: Vectors) -> Vectors:
    """Logits less their mean, unit length."""
    return unit(logits - logits.mean(axis=1, keepdims=True))


def half(array: Vectors) -> Vectors:
    """Rounded to 16 bits, as files hold it: so a loaded model computes exactly what the fitted one did."""
    return np.clip(array, -6e4, 6e4).astype(np.float16).astype(np.float32)


def discriminant(vectors: Vectors, classes: Indices, count: int) -> tuple[Vectors, Vectors]:
    """(origin, directions): Fisher's, at most one fewer than intents, in units of the spread within intents."""
    dimensions = vectors.shape[1]
    origin = vectors.mean(axis=0).astype(np.float32)
    if count < 2:
        return np.zeros(dimensions, dtype=np.float32), np.eye(dimensions, dtype=np.float32)
    centres, spread = shrunk(vectors, classes, count)
    whiten = np.linalg.cholesky(np.linalg.inv(spread))
    _, _, rows = np.linalg.svd((centres - origin) @ whiten, full_matrices=False)
    return origin, (whiten @ rows[: min(count - 1, dimensions)].T).astype(np.float32)


def shrunk(vectors: Vectors, classes: Indices, count: int) -> tuple[Floats, Floats]:
    """Means of the intents, and the covariance within them; the fewer examples, the more of it is a sphere."""
    found = means(vectors, classes, count)
    rest = vectors - found[classes]
    spread = rest.T @ rest / len(vectors)
    dimensions = len(spread)
    share = max(0.1, dimensions / (dimensions + len(vectors)))
    sphere = max(float(np.trace(spread)) / dimensions, 1e-4)  # no spread at all: one example an intent
    return found, (1 - share) * spread + share * sphere * np.eye(dimensions)


def typical(vectors: Vectors, classes: Indices, count: int, origin: Vectors, directions: Vectors) -> tuple[Vectors, Vectors]:
    """(centres, typical cosine with them) of the intents, in the discriminant directions."""
    placed = unit((vectors - origin) @ directions)
    centres = unit(means(placed, classes, count))
    cosines = np.einsum("nd,nd->n", placed, centres[classes])
    sums = np.bincount(classes, weights=cosines, minlength=count)
    usual = (sums + _USUAL * cosines.mean()) / (np.bincount(classes, minlength=count) + _USUAL)
    return centres.astype(np.float32), usual.astype(np.float32)


def looks(asked: Asked, known: Known, words: Lexicon) -> Floats:
    """The looks of the module's docstring, shape (n, LOOKS)."""
    logits = asked.logits
    rows = np.arange(len(logits))
    best = logits.argmax(axis=1)
    shifts = logits - logits[rows, best][:, None]
    others = np.exp(shifts)
    others[rows, best] = 0.0
    second = others.argmax(axis=1) if logits.shape[1] > 1 else best
    rest = others.sum(axis=1)
    log_odds = np.minimum(-np.log(np.maximum(rest, 1e-9)), 15.0)
    certainty = np.einsum("nk,nk->n", others, shifts) / (1 + rest) - np.log1p(rest)

    placed = unit((asked.vectors - known.origin) @ known.directions)
    own = np.einsum("nd,nd->n", placed, known.centres[best])
    spaces = ((asked.vectors, known.examples), (placed, known.projected), (centred(logits), known.logits))
    near, near_placed, near_seen = _nearest(best, spaces, known.starts)
    (near_second,) = _nearest(second, spaces[:1], known.starts)
    return np.column_stack(
        [
            log_odds,
            certainty,
            own - known.typical[best],
            near,
            near_placed,
            near_seen,
            near - near_second,
            _lead(asked.regression, best),
            _lead(asked.words, best),
            word_looks(asked.said, asked.rows, best, second, words, known.starts),
        ]
    ).astype(np.float64)


def _lead(logits: Vectors, best: Indices) -> Vectors:
    """Of the intent `best` over the next."""
    rows = np.arange(len(best))
    own = logits[rows, best]
    if logits.shape[1] < 2:
        return own
    others = logits.copy()
    others[rows, best] = -np.inf
    found: Vectors = own - others.max(axis=1)
    return found


def mixed(found: Floats, mix: Floats) -> Floats:
    """Probability from looks and a mix: bias, then a coefficient for each look."""
    scores: Floats = 1.0 / (1.0 + np.exp(-np.clip(mix[0] + found @ mix[1:], -40.0, 40.0)))
    return scores


def fit_mixes(found: Floats, right: Floats, kinds: Indices) -> tuple[Floats, Floats]:
    """Mixes for "in scope" and, within scope, for "right". Kinds: 0 in scope, 1 an intent left out, 2 given as out of scope."""
    inside = kinds == 0
    scope, confidence = DEFAULT_SCOPE, DEFAULT_RIGHT
    if min(inside.sum(), (~inside).sum()) >= _ENOUGH:
        # In scope and out of scope count alike, so that either is learned; so do, among those out of scope, intents left out
        # and examples given. The bias then says how frequent they are.
        size = np.maximum(np.bincount(kinds, minlength=3), 1)
        parts = np.count_nonzero(np.bincount(kinds, minlength=3)[1:])
        scope = _fit_mix(found, inside.astype(np.float64), np.where(inside, parts, 1.0) / size[kinds])
        scope[0] += np.log((1 - _STRANGE) / _STRANGE)
    answers = right[inside]
    if min(answers.sum(), (1 - answers).sum()) >= _ENOUGH:
        confidence = _fit_mix(found[inside], answers, np.ones(len(answers)))
    return scope, confidence


def _fit_mix(found: Floats, safe: Floats, weights: Floats) -> Floats:
    """A logistic regression of `safe` (0 or 1) on the looks whose slopes are never negative: being nearer is never worse."""
    from scipy import optimize  # a part of a second of import that only fitting may cost

    minimize: Any = optimize.minimize

    centre, scale = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-6)
    inputs = np.column_stack([np.ones(len(found)), (found - centre) / scale])
    weights = weights / weights.sum()
    sign = 2.0 * safe - 1.0

    def loss(at: Floats) -> tuple[float, Floats]:
        margins = sign * (inputs @ at)
        slope = -weights * sign / (1.0 + np.exp(np.clip(margins, -40.0, 40.0)))
        value = float(weights @ np.logaddexp(0.0, -margins)) + 0.5 * _PENALTY * float(at[1:] @ at[1:])
        return value, inputs.T @ slope + _PENALTY * np.concatenate([[0.0], at[1:]])

    start = np.full(LOOKS + 1, 0.1)
    at = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0.0, None)] * LOOKS).x
    slopes = at[1:] / scale
    return np.concatenate([[at[0] - centre @ slopes], slopes]).astype(np.float64)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return found


def means(vectors: Vectors, classes: Indices, count: int) -> Floats:
    """Mean vector of each class."""
    found = np.zeros((count, vectors.shape[1]))
    order = np.argsort(classes, kind="stable")
    present, first, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    if len(present):
        found[present] = np.add.reduceat(vectors[order].astype(np.float64), first, axis=0) / sizes[:, None]
    return found


def _nearest(intents: Indices, spaces: Sequence[tuple[Vectors, Vectors]], starts: Indices) -> list[Vectors]:
    """For each space (questions, examples), the mean cosine of the nearest examples of one intent a question."""
    order = np.argsort(intents, kind="stable")
    present, first = np.unique(intents[order], return_index=True)
    sizes = np.diff(starts)[present]
    ends = [*first[1:].tolist(), len(order)]
    blocks = list(zip(first.tolist(), ends, starts[present].tolist(), sizes.tolist(), strict=True))
    found = []
    for questions, examples in spaces:
        cosines = np.full((int(sizes.max(initial=0)), len(order)), -np.inf, dtype=np.float32)  # a column a question
        sorted_questions = questions[order]
        for start, end, example, size in blocks:
            np.matmul(examples[example : example + size], sorted_questions[start:end].T, out=cosines[:size, start:end])
        nearest = np.empty(len(order), dtype=np.float32)
        nearest[order] = _mean_of_largest(cosines, np.repeat(np.minimum(sizes, _NEAREST), np.diff([*first, len(order)])))
        found.append(nearest)
    return found


def _mean_of_largest(values: Vectors, counts: Indices) -> Vectors:
    """The mean of the `counts` largest of each column, at most `_NEAREST`: row by row, so that all columns go at once."""
    largest = np.full((_NEAREST, values.shape[1]), -np.inf, dtype=np.float32)
    for row in values:
        for kept in largest:
            row, kept[:] = np.minimum(row, kept), np.maximum(row, kept)
    sums = np.where(np.arange(_NEAREST)[:, None] < counts, largest, 0.0).sum(axis=0)
    found: Vectors = (sums / counts).astype(np.float32)
    return found
