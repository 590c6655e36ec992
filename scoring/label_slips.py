"""Which labels are probably slips: a model that has not seen the example, and the examples nearest to it, both say otherwise.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") names the
examples whose probability for another intent reaches what is usual among that intent's own. Close intents overlap, so it alone
points at too much: the nearest neighbours must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.descent import softmax
from scoring.encoder import Vectors
from scoring.out_of_scope import Floats, Indices, shrunk

LEAST_EXAMPLES = 5
"""Of an intent; with fewer nobody can say what is usual."""
_FOLDS = 5
_NEAREST = 10
_REACHED = 0.5
"""Of what is usual among an intent's own examples, so much makes it a candidate."""
SUSPECT = 0.65
"""Suspicion from which a label is pointed out."""
_TEMPERATURES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)


@dataclass(frozen=True, slots=True)
class Slip:
    """The example in `row` is like those of intent `suggested`. `suspicion` 0..1: how far that one leads, by the model's
    probability and by the share of the neighbours, in equal parts."""

    row: int
    suggested: str
    suspicion: float


def find_slips(vectors: Vectors, labels: Sequence[str], seed: int = 0, least: float = SUSPECT) -> list[Slip]:
    """Suspected labels, the surest first, from unit vectors (n, dimensions); same seed, same slips."""
    every, numbers, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    rows = np.flatnonzero(sizes[numbers] >= LEAST_EXAMPLES)
    kept, classes = np.unique(numbers[rows], return_inverse=True)
    if len(kept) < 2:
        return []
    known = np.asarray(vectors, dtype=np.float32)[rows]
    found = disagreeing(known, classes, out_of_fold(known, classes, len(kept), seed), least)
    return [Slip(int(rows[row]), str(every[kept[other]]), round(suspicion, 4)) for row, other, suspicion in found]


def nearest(vectors: Vectors, labels: Sequence[str], wanted: Sequence[tuple[int, str]], most: int = 3) -> list[list[int]]:
    """Per (row, label) the rows of the examples of that label which are nearest to the row's, itself left out, nearest first."""
    known, names = np.asarray(vectors, dtype=np.float32), np.asarray(labels)
    labelled = {label: np.flatnonzero(names == label) for label in {label for _, label in wanted}}
    found: list[list[int]] = []
    for row, label in wanted:
        others = labelled[label][labelled[label] != row]
        found.append(others[np.argsort(-(known[others] @ known[row]), kind="stable")[:most]].tolist())
    return found


def disagreeing(
    vectors: Vectors, classes: Indices, probabilities: Floats, least: float = SUSPECT
) -> list[tuple[int, int, float]]:
    """(row, other class, suspicion), the surest first. `probabilities` (n, classes) are by models that had not seen the row."""
    at = np.arange(len(classes))
    own = probabilities[at, classes]
    sizes = np.maximum(np.bincount(classes, minlength=probabilities.shape[1]), 1)
    usual = np.bincount(classes, weights=own, minlength=probabilities.shape[1]) / sizes
    others = np.where(probabilities >= _REACHED * usual, probabilities, -1.0)
    others[at, classes] = -1.0
    other = others.argmax(axis=1)
    suspects = np.flatnonzero(others[at, other] - own >= max(0.0, 2 * least - 1))
    near = _neighbours(vectors, classes, suspects, probabilities.shape[1])
    row = np.arange(len(suspects))
    led = probabilities[suspects, other[suspects]] - own[suspects]
    outvoted = near[row, other[suspects]] - near[row, classes[suspects]]
    suspicion = (led + outvoted) / 2
    found = [
        (int(suspects[i]), int(other[suspects[i]]), float(suspicion[i])) for i in np.flatnonzero(suspicion >= max(least, 1e-9))
    ]
    return sorted(found, key=lambda one: (-one[2], one[0]))


def out_of_fold(vectors: Vectors, classes: Indices, count: int, seed: int = 0) -> Floats:
    """Probabilities (n, count) by a linear discriminant (Fisher 1936) fitted without the row's fifth: closed form, seconds.

    Its logits are divided by the temperature that suits the held-out labels best (Guo et al. 2017).
    """
    folds = np.random.default_rng(seed).permutation(len(classes)) % _FOLDS
    logits = np.zeros((len(classes), count), dtype=np.float32)
    for fold in range(_FOLDS):
        held = folds == fold
        means, spread = shrunk(vectors[~held], classes[~held], count)
        weights = np.linalg.solve(spread, means.T)
        sizes = np.bincount(classes[~held], minlength=count)
        bias = np.log(np.maximum(sizes, 1e-9)) - 0.5 * np.einsum("kd,dk->k", means, weights)
        logits[held] = vectors[held] @ weights.astype(np.float32) + bias.astype(np.float32)
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(classes)), classes].astype(np.float64)
    losses = [np.log(np.exp(logits / np.float32(at)).sum(axis=1)).mean() - own.mean() / at for at in _TEMPERATURES]
    found: Floats = softmax(logits.astype(np.float64) / _TEMPERATURES[int(np.argmin(losses))])
    return found


def _neighbours(vectors: Vectors, classes: Indices, rows: Indices, count: int) -> Floats:
    """The share of each class among the nearest examples, (len(rows), count); an example is no neighbour of itself."""
    found = np.zeros((len(rows), count))
    nearest = min(_NEAREST, len(vectors) - 1)
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        cosines = vectors[part] @ vectors.T
        cosines[np.arange(len(part)), part] = -np.inf
        for i, near in enumerate(np.argpartition(-cosines, nearest - 1, axis=1)[:, :nearest]):
            found[start + i] = np.bincount(classes[near], minlength=count) / nearest
    return found
