"""Exchanges to measure on, one by one and as a batch."""

from collections.abc import Sequence

import numpy as np

from scoring.signals.base import Batch
from scoring.transcripts import Exchange, Transcript, Turn, split
from scoring.vectors import TextVectors
from training.data import CachedVectors


def exchange_of(name: str, question: str, answer: str, follow_up: str | None = None) -> Exchange:
    turns = [Turn("q", "user", question)] if question else []
    turns.append(Turn("a", "bot", answer))
    turns.extend([Turn("f", "user", follow_up)] if follow_up else [])
    return split(Transcript(name, tuple(turns)))[-1]


def batch_of(exchanges: Sequence[Exchange], vectors: CachedVectors) -> Batch:
    texts = list(dict.fromkeys(t for e in exchanges for t in (e.question, e.answer, e.follow_up) if t and not t.isspace()))
    matrix = np.concatenate([np.zeros((1, vectors.of([""]).shape[1]), dtype=np.float32), vectors.of(texts)])
    held = TextVectors({text: row for row, text in enumerate(texts, start=1)}, matrix)
    return Batch(exchanges, held, [()] * len(exchanges), [None] * len(exchanges))
