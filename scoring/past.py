"""Exchanges that were asked before, and which of them are near those of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from scoring.encoder import Vectors
from scoring.neighbours import FaissNeighbours, Neighbours
from scoring.signals.base import Neighbour
from scoring.transcripts import Exchange
from scoring.vectors import TextVectors, VectorStore, content_hash

NEAREST = 8
# People word the same question so differently that true paraphrases in support chats go down to about here. What the answers
# have in common decides about those that are no nearer than this.
LEAST_SIMILARITY = 0.45
# Answers are compared with those of so many neighbours, nearest first.
COMPARED = 5


@dataclass(frozen=True, slots=True)
class Known:
    """An exchange that was scored before, as a neighbour shows it."""

    conversation_id: str
    turn_id: str
    question: str
    answer: str
    asked_at: datetime | None = None


class Past(Neighbours, Protocol):
    """Exchanges scored before: found by vector, described by key."""

    def describe(self, keys: Sequence[int]) -> Mapping[int, Known]:
        """Those of `keys` that still exist."""
        ...


def nearest(exchanges: Sequence[Exchange], asked: Vectors, past: Past | None) -> list[list[tuple[int, float]]]:
    """Of the same source and of other conversations: the nearest in this batch and in the past, best first."""
    here = FaissNeighbours(asked.shape[1])
    rows: dict[str, list[int]] = {}
    for i, exchange in enumerate(exchanges):
        rows.setdefault(exchange.source, []).append(i)
    near: list[list[tuple[int, float]]] = [[] for _ in exchanges]
    for source, of_source in rows.items():
        here.add(source, [-(i + 1) for i in of_source], asked[of_source])
        found = here.search(source, asked[of_source], 2 * NEAREST)
        older = past.search(source, asked[of_source], 2 * NEAREST) if past else [[] for _ in of_source]
        for i, in_batch, in_past in zip(of_source, found, older, strict=True):
            if not asked[i].any():
                continue
            others = [
                (key, cosine) for key, cosine in in_batch if exchanges[-key - 1].conversation_id != exchanges[i].conversation_id
            ]
            best = sorted((pair for pair in others + list(in_past) if pair[1] >= LEAST_SIMILARITY), key=lambda pair: -pair[1])
            near[i] = best[: NEAREST + 4]  # some more than are kept: the past may hold this very conversation
    return near


def described(exchanges: Sequence[Exchange], near: list[list[tuple[int, float]]], past: Past | None) -> list[list[Neighbour]]:
    """Turns keys into neighbours; prunes `near` in place to those that exist, of other conversations, NEAREST at most."""
    known: dict[int, Known] = {
        -(i + 1): Known(e.conversation_id, e.turn_id, e.question, e.answer, e.answer_turns[0].at) for i, e in enumerate(exchanges)
    }
    if past:
        known.update(past.describe(sorted({key for pairs in near for key, _ in pairs if key >= 0})))
    neighbours = []
    for i, pairs in enumerate(near):
        mine = exchanges[i].conversation_id
        kept = [(key, cosine) for key, cosine in pairs if key in known and known[key].conversation_id != mine]
        # An exchange of this batch that was scored before is found twice: once here, once in the past.
        best: dict[tuple[str, str], tuple[int, float]] = {}
        for key, cosine in kept:
            best.setdefault((known[key].conversation_id, known[key].turn_id), (key, cosine))
        near[i] = sorted(best.values(), key=lambda pair: -pair[1])[:NEAREST]
        neighbours.append(
            [
                Neighbour(key, k.conversation_id, k.turn_id, k.question, k.answer, min(1.0, cosine), k.asked_at)
                for key, cosine in near[i]
                for k in (known[key],)
            ]
        )
    return neighbours


def compared(
    exchanges: Sequence[Exchange], neighbours: list[list[Neighbour]], vectors: TextVectors, digest: str, store: VectorStore
) -> list[list[Neighbour]]:
    """Adds the answers' cosine, from stored vectors, to the nearest `COMPARED` neighbours."""
    texts = {n.answer: content_hash(n.answer) for near in neighbours for n in near[:COMPARED]}
    known = store.get(digest, list(texts.values()))
    own = vectors.of([exchange.answer for exchange in exchanges])
    return [
        [
            replace(n, answer_similarity=float(own[row] @ known[texts[n.answer]]))
            if n.answer in texts and texts[n.answer] in known
            else n
            for n in near
        ]
        for row, near in enumerate(neighbours)
    ]
