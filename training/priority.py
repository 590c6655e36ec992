"""Fits scoring/heads/priority.json: how much each signal counts, on conversations put together from labelled parts."""

from pathlib import Path

import numpy as np

from scoring.scorer import Scored, Scorer
from scoring.signals.answer_relevance import Floats
from scoring.vectors import MemoryVectors
from scoring.weights import Weights
from training.composed import Composed, compose
from training.data import CachedVectors
from training.heads import FOLDER

_COUNT = 4000
_START = Weights(0.2, {}, {}, (1.0, 0.5), 0.2)
"""Each signal's probability taken at its word where it rises, and half where it falls."""


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    made = compose(data, vectors, "train", _COUNT, seed)
    names, probabilities = probabilities_of(score(made, vectors))
    weights = _START.fit(names, probabilities, made.bad, strength=40.0)
    (FOLDER / "priority.json").write_text(weights.text() + "\n")


def score(made: Composed, vectors: CachedVectors) -> list[Scored]:
    """Each conversation's exchange, by the whole of scoring."""
    return Scorer(vectors.encoder, MemoryVectors()).score(made.transcripts)


def probabilities_of(scored: list[Scored]) -> tuple[list[str], Floats]:
    """(names of signals, probabilities (n, names) with NaN for no evidence)."""
    names = sorted({one.name for row in scored for one in row.evidence})
    found = np.full((len(scored), len(names)), np.nan)
    for i, row in enumerate(scored):
        for one in row.evidence:
            found[i, names.index(one.name)] = one.probability
    return names, found
