"""The bots of the closed loop: they answer by what lies nearest, so an article that they pull is used at once."""

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import SentenceEncoder, Vectors

Row = dict[str, Any]
AGENCIES = ("who", "cdc", "uk", "australia")
SHOWN = 3
EXAMPLES = 5
_SHARPNESS = 20.0
"""How the cosine of the nearest example becomes a confidence: a softmax over the intents at this inverse temperature."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the answer it should get, and its intent where the bot works by intents."""

    text: str
    answer: str
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A bot's answer with what its platform tells of it (fields of a turn); `confidence` is its own, higher is surer."""

    text: str
    confidence: float
    of_question: Mapping[str, Any]
    of_answer: Mapping[str, Any]


class Bot(Protocol):
    def answer(self, questions: Sequence[Asked]) -> list[Said]: ...

    def learn(self, question: str, answer: str, intent: str | None) -> None:
        """An article that came from the knowledge base."""
        ...


class Memory:
    """The encoder, which remembers what it encoded for all bots, databases and runs."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._words: dict[str, Vectors] = {}

    @property
    def digest(self) -> str:
        return self._encoder.digest

    @property
    def dimensions(self) -> int:
        return self._encoder.dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors.update(zip(fresh, self._encoder.encode(fresh), strict=True))
        return np.stack([self._vectors[text] for text in texts]) if texts else self._encoder.encode([])

    def encode_words(self, texts: Sequence[str], shrink: Callable[[Vectors], Vectors]) -> tuple[Vectors, list[Vectors]]:
        fresh = [text for text in dict.fromkeys(texts) if text not in self._words]
        vectors, words = self._encoder.encode_words(fresh, shrink)
        self._vectors.update(zip(fresh, vectors, strict=True))
        self._words.update(zip(fresh, words, strict=True))
        return self.encode(texts), [self._words[text] for text in texts]


class RetrievalBot:
    """Gives the passage nearest to the question. An article is a passage with the user's question as its title."""

    def __init__(self, passages: Sequence[tuple[str, str]], memory: Memory) -> None:
        """`passages`: (title, text) of each."""
        self._memory = memory
        self._titles = [title for title, _ in passages]
        self._texts = [text for _, text in passages]
        self._vectors = memory.encode([f"{title}\n{text}" for title, text in passages])

    def learn(self, question: str, answer: str, intent: str | None) -> None:
        self._titles.append(question)
        self._texts.append(answer)
        self._vectors = np.vstack([self._vectors, self._memory.encode([f"{question}\n{answer}"])])

    def answer(self, questions: Sequence[Asked]) -> list[Said]:
        scores = self._memory.encode([one.text for one in questions]) @ self._vectors.T
        said = []
        for row in scores:
            best = np.argsort(-row, kind="stable")[:SHOWN]
            shown = [
                {"id": f"p{i}", "title": self._titles[i], "text": self._texts[i], "score": round(float(row[i]), 4)} for i in best
            ]
            said.append(Said(self._texts[best[0]], float(row[best[0]]), {}, {"retrieval": shown}))
        return said


class IntentBot:
    """Takes the intent of the nearest example; articles with an intent are further examples."""

    def __init__(self, examples: Sequence[tuple[str, str]], memory: Memory) -> None:
        """`examples`: (text, intent) of each."""
        self._memory = memory
        self._intents = sorted({intent for _, intent in examples})
        self._place = {intent: i for i, intent in enumerate(self._intents)}
        self._of = np.asarray([self._place[intent] for _, intent in examples])
        self._vectors = memory.encode([text for text, _ in examples])

    def learn(self, question: str, answer: str, intent: str | None) -> None:
        if intent in self._place:
            self._of = np.append(self._of, self._place[intent])
            self._vectors = np.vstack([self._vectors, self._memory.encode([question])])

    def answer(self, questions: Sequence[Asked]) -> list[Said]:
        cosines = self._memory.encode([one.text for one in questions]) @ self._vectors.T
        nearest = np.full((len(questions), len(self._intents)), -1.0)
        np.maximum.at(nearest, (slice(None), self._of), cosines)
        sharp = np.exp(_SHARPNESS * (nearest - nearest.max(axis=1, keepdims=True)))
        sharp /= sharp.sum(axis=1, keepdims=True)
        said = []
        for row in sharp:
            best = np.argsort(-row, kind="stable")[:SHOWN]
            ranking = [{"name": self._intents[i], "confidence": round(float(row[i]), 4)} for i in best]
            told = {"intent": {**ranking[0], "ranking": ranking}}
            said.append(Said(reply(self._intents[best[0]]), float(row[best[0]]), told, {}))
        return said


def reply(intent: str) -> str:
    """What a bot says to everybody with this intent."""
    return f"You would like to know about {intent.replace('_', ' ')}: here is what you can do."


@dataclass(frozen=True, slots=True)
class World:
    """`traffic` is what users ask while the loop runs, `unseen` what the bot is measured on; no question is in both."""

    name: str
    traffic: tuple[Asked, ...]
    unseen: tuple[Asked, ...]
    start: Any
    """What the bot is made of: passages, or examples."""

    @property
    def seeds(self) -> tuple[tuple[str, str], ...]:
        """Labelled examples that the bot's makers have."""
        return () if self.name == "feedbackqa" else self.start

    def bot(self, memory: Memory) -> Bot:
        return RetrievalBot(self.start, memory) if self.name == "feedbackqa" else IntentBot(self.start, memory)


def feedbackqa(data: Path, seed: int) -> World:
    """Questions to four health agencies over all of their passages."""
    folder = data / "relevance/feedbackqa_retrieval"
    passages: dict[str, tuple[str, str]] = {}
    asked: dict[str, str] = {}
    for agency in AGENCIES:
        for row in _rows(folder / f"{agency}_passages.jsonl.gz"):
            passages[row["passage_id"]] = (row["title"], row["passage"])
        for row in _rows(folder / f"{agency}_queries.jsonl"):
            asked[row["query"]] = row["gold_passage_id"]
    known = [Asked(text, passages[gold][1]) for text, gold in asked.items() if gold in passages]
    order = np.random.default_rng(seed).permutation(len(known))
    kept = [known[int(i)] for i in order]
    return World("feedbackqa", tuple(kept[1500:]), tuple(kept[:1500]), tuple(passages.values()))


def intents(data: Path, name: str, seed: int) -> World:
    """Questions of the train part, of which a few are the bot's own examples; measured on the test part."""
    folder = data / "intents" / name
    train, test = ([row for row in _rows(next(folder.glob(f"{part}.jsonl*"))) if _inside(row)] for part in ("train", "test"))
    order = np.random.default_rng(seed).permutation(len(train))
    examples: dict[str, list[str]] = {}
    traffic = []
    for i in order:
        row = train[int(i)]
        if len(examples.setdefault(row["intent"], [])) < EXAMPLES:
            examples[row["intent"]].append(row["text"])
        else:
            traffic.append(_asked(row))
    start = tuple((text, intent) for intent, texts in sorted(examples.items()) for text in texts)
    return World(name, tuple(traffic), tuple(_asked(row) for row in test), start)


def _asked(row: Row) -> Asked:
    return Asked(row["text"], reply(row["intent"]), row["intent"])


def _inside(row: Row) -> bool:
    return not row.get("oos") and row["intent"] != "oos"


def _rows(path: Path) -> list[Row]:
    """The lines that can be read: some of the retrieval sets are not valid JSON."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found
