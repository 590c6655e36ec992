"""Late interaction: how well each word of a question is met by some word of the answer (Khattab and Zaharia 2020, "ColBERT").

The words' states come out of the same forward pass as the sentence vector; a fitted projection makes them small, a fitted
direction says how much each word of a question counts. Nothing is read twice: recent texts' words are kept in memory.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from scoring.encoder import Encoder, Vectors
from scoring.vectors import content_hash

Words = NDArray[np.float16]
"""A text's words, (words, size + 1): unit vectors, and in the last column how much the word counts (a logit)."""

FEATURES = (
    "met", "met_evenly", "met_quarter", "met_least", "met_half", "met_top", "met_top_least", "answer_met", "answer_met_best",
    "met_spread",
)  # fmt: skip


@runtime_checkable
class WordEncoder(Encoder, Protocol):
    """An encoder that can show the states of the words behind its vectors."""

    def encode_words(self, texts: Sequence[str], shrink: Callable[[Vectors], Vectors]) -> tuple[Vectors, list[Vectors]]:
        """What `encode` gives, and per text the result of `shrink` on its words' states (words, dimensions)."""
        ...


class LateInteraction:
    """An encoder that remembers the words of what it encoded, so that pairs of texts can be compared word by word."""

    def __init__(self, encoder: WordEncoder, fitted: "Fitted", room: int = 1 << 27) -> None:
        """`room`: bytes of words that are kept; older ones are encoded again when somebody asks."""
        self._encoder = encoder
        self._projection = Projection(fitted.weights, fitted.importance)
        self._slopes = fitted.slopes
        self._kept: OrderedDict[bytes, Words] = OrderedDict()
        self._room, self._size = room, 0

    @classmethod
    def over(cls, encoder: Encoder) -> "LateInteraction | None":
        """With what was fitted for this encoder; None where nothing was, or where it shows no words. Itself, if it is one."""
        if isinstance(encoder, LateInteraction):
            return encoder
        fitted = Fitted.packaged()
        return cls(encoder, fitted) if isinstance(encoder, WordEncoder) and encoder.digest.startswith(fitted.encoder) else None

    @property
    def digest(self) -> str:
        return self._encoder.digest

    @property
    def dimensions(self) -> int:
        return self._encoder.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors, words = self._encoder.encode_words(texts, self._projection)
        for text, one in zip(texts, words, strict=True):
            self._keep(content_hash(text), one.astype(np.float16))
        return vectors

    def compare(self, questions: Sequence[str], answers: Sequence[str]) -> Vectors:
        """Features of each pair, (n, len(FEATURES)), in order."""
        known = self.read((*questions, *answers))
        rows = [interaction(known[q], known[a]) for q, a in zip(questions, answers, strict=True)]
        return np.asarray(rows, dtype=np.float32).reshape(-1, len(FEATURES))

    def read(self, texts: Sequence[str]) -> dict[str, Words]:
        """The texts' words; those that are not remembered are encoded in one go."""
        keys = {text: content_hash(text) for text in dict.fromkeys(texts)}
        known: dict[str, Words] = {}
        for text, key in keys.items():
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                known[text] = found
        missing = [text for text in keys if text not in known]
        if missing:
            words = self._encoder.encode_words(missing, self._projection)[1]
            known |= {text: one.astype(np.float16) for text, one in zip(missing, words, strict=True)}
            for text in missing:
                self._keep(keys[text], known[text])
        return known

    def rank(self, question: str, passages: Sequence[str], cosines: Sequence[float]) -> Vectors:
        """How well each passage answers, (n,), the higher the better, for one question only. `cosines`: to the question."""
        met = self.compare([question] * len(passages), passages)[:, 0]
        return np.asarray(self._slopes[0] * met + self._slopes[1] * np.asarray(cosines), dtype=np.float32)

    def _keep(self, key: bytes, words: Words) -> None:
        if key in self._kept:
            self._size -= self._kept.pop(key).nbytes
        self._kept[key] = words
        self._size += words.nbytes
        while self._size > self._room and self._kept:
            self._size -= self._kept.popitem(last=False)[1].nbytes


@dataclass(frozen=True, slots=True)
class Fitted:
    """What `python -m training` fitted, for the words of the encoder whose digest starts with `encoder`."""

    encoder: str
    weights: Vectors
    """(dimensions, size)"""
    importance: Vectors
    """(dimensions,)"""
    slopes: Vectors
    """(2,): what a word that is met and a unit of cosine add to a passage's rank."""

    @classmethod
    @cache
    def packaged(cls) -> "Fitted":
        path = Path(str(files("scoring.heads").joinpath("late_interaction.safetensors")))
        with safe_open(path, "numpy") as opened:
            return cls(opened.metadata()["encoder"], *map(opened.get_tensor, ("weights", "importance", "slopes")))


class Projection:
    """States of words (n, dimensions) to `Words`; called by the encoder on many texts at once."""

    def __init__(self, weights: Vectors, importance: Vectors) -> None:
        """`weights` (dimensions, size); `importance` (dimensions,)."""
        self._weights = weights.astype(np.float32)
        self._importance = importance.astype(np.float32)

    def __call__(self, states: Vectors) -> Vectors:
        states = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
        small = states @ self._weights
        small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-9)
        return np.column_stack([small, states @ self._importance])


def interaction(question: Words, answer: Words) -> tuple[float, ...]:
    """FEATURES of one pair; zeros where either has no words."""
    if not len(question) or not len(answer):
        return (0.0,) * len(FEATURES)
    asked, answered = question.astype(np.float32), answer.astype(np.float32)
    cosines = asked[:, :-1] @ answered[:, :-1].T
    met, back = cosines.max(axis=1), cosines.max(axis=0)
    counts = np.exp(asked[:, -1] - asked[:, -1].max())
    counts /= counts.sum()
    top = met[np.argsort(-counts, kind="stable")[:3]]
    ordered = np.sort(met)
    many = len(met) - 1
    return (
        float(met @ counts),
        float(met.mean()),
        float(ordered[round(0.25 * many)]),
        float(ordered[0]),
        float(ordered[round(0.5 * many)]),
        float(top.mean()),
        float(top.min()),
        float(back.mean()),
        float(np.partition(back, -min(8, len(back)))[-min(8, len(back)) :].mean()),
        float(met.std()),
    )
