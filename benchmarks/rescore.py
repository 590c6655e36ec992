"""Measures rescoring: the arithmetic beside bare matrix products, and the whole way through a database.

Two products to compare with: one of the vectors with a matrix of as many columns as there are intents, the least that any linear
model takes; and those of the model's own layers (the heads on vectors with the hidden layer, and the discriminant directions).
Seconds are of the processor, rates by the clock unless they say otherwise.

python -m benchmarks.rescore --exchanges 1000000 --intents 150 --stored 20000 --json rescore.json
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, event

from scoring.encoder import HashingEncoder, Vectors
from scoring.intent_heads import Head
from scoring.intents import IntentModel
from scoring.scorer import Scorer
from scoring.vectors import content_hash
from scoring.weights import Weights
from service.db import Database, chunks, insert_into
from service.logs import set_up
from service.migrate import upgrade
from service.models import Conversation, Evidence, Exchange, Turn
from service.rescore import CHUNK, rescore_due
from service.vectors import StoredVectors

DIMENSIONS = 384
HIDDEN = 512
SIGNALS = ("intent_confidence", "answer_relevance", "user_frustration", "answer_consistency", "user_feedback")
BLOCK = 50_000
NOW = datetime(2026, 1, 5, tzinfo=UTC)
_WORDS = 400


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rescore", description=__doc__)
    parser.add_argument("--exchanges", type=int, default=1_000_000, help="for the arithmetic")
    parser.add_argument("--intents", type=int, default=150)
    parser.add_argument("--stored", type=int, default=20_000, help="for the way through a database; 0 leaves it out")
    parser.add_argument("--database", help="a migrated, empty database; without it a new SQLite file")
    parser.add_argument("--predicted", type=int, default=20_000, help="questions whose prediction is measured")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    console = Console(width=None if Console().is_terminal else 120)
    set_up("error", False)
    found = arithmetic(given.exchanges, given.intents, given.predicted, rng)
    if given.stored:
        found |= stored(given.stored, given.database, given.intents, rng)
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, f"{value:,.3g}")
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def arithmetic(count: int, intents: int, predicted: int, rng: np.random.Generator) -> dict[str, float]:
    """Processor seconds for `count` exchanges; predictions are measured on `predicted` questions and scaled up."""
    model, texts = _model(intents, rng)
    heads, directions = model.heads, model.known.directions
    weights = rng.standard_normal((DIMENSIONS, intents), dtype=np.float32)
    bare = layers = head = weighing = 0.0
    evidence = Weights.default()

    def products(vectors: Vectors) -> object:
        hidden = vectors @ heads.sum.inner
        return vectors @ heads.sum.weights, hidden @ heads.sum.outer, vectors @ heads.regression.weights, vectors @ directions

    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        vectors = rng.standard_normal((size, DIMENSIONS), dtype=np.float32)
        probabilities = rng.uniform(0.01, 0.99, (size, len(SIGNALS)))
        probabilities[rng.random(probabilities.shape) < 0.4] = np.nan
        bare += _seconds(lambda vectors=vectors: vectors @ weights)
        layers += _seconds(lambda vectors=vectors: products(vectors))
        head += _seconds(lambda vectors=vectors: heads.sum.logits(vectors))
        weighing += _seconds(lambda given=probabilities: evidence.priorities(SIGNALS, given))
    asked = [texts[i] for i in rng.integers(len(texts), size=predicted)]
    vectors = rng.standard_normal((predicted, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    predicting = _seconds(lambda: model.predict(asked, vectors)) * count / predicted
    return {
        "exchanges": count,
        "intents": intents,
        f"bare product ({DIMENSIONS} x intents), s": bare,
        "bare products of the model's layers, s": layers,
        "weights: new priorities, s": weighing,
        "weights, times the bare product": weighing / bare,
        "intents: logits of the heads on vectors, s": head,
        "intents: whole prediction with words and looks, s (scaled up)": predicting,
        "intents: whole prediction, times the bare product": predicting / bare,
        "intents: whole prediction, times the layers' products": predicting / layers,
    }


def stored(count: int, url: str | None, intents: int, rng: np.random.Generator) -> dict[str, float]:
    """Exchanges a second through a database of `count`: once with new weights, once with a new intent model."""
    with tempfile.TemporaryDirectory() as folder:
        if url is None:
            url = f"sqlite:///{folder}/triage.db"
            upgrade(url)
        db = Database(url)
        encoder = HashingEncoder(DIMENSIONS)
        model, texts = _model(intents, rng)
        questions = [f"{texts[i % len(texts)]} {i}" for i in range(count)]
        _fill(db, encoder, questions, rng)
        scorer = Scorer(encoder, StoredVectors(db))
        sessions = _write_sessions(db)
        gc.freeze()  # as the worker does
        start = Weights.default()
        steps = {
            "first": ({}, {"": start}),
            "new weights": ({}, {"": Weights(0.2, start.rising, start.falling, (1.0, 0.5))}),
        }
        steps["new intent model"] = ({"bench": model}, steps["new weights"][1])
        found: dict[str, float] = {"database: exchanges": count}
        for name, (models, weights) in steps.items():
            begun, used, done = time.perf_counter(), time.process_time(), 0
            while rescored := rescore_due(db, scorer, encoder.digest, models, weights, NOW + timedelta(hours=1)):
                done += rescored
            used = time.process_time() - used
            if name != "first":
                found[f"database: {name}, exchanges a second"] = done / (time.perf_counter() - begun)
                found[f"database: {name}, exchanges a second of this processor"] = done / used
        db.close()
        vectors = encoder.encode(questions)
        predicting = sum(_seconds(lambda at=at: model.predict(questions[at], vectors[at])) for at in _blocks(count, CHUNK))
    return found | {
        "database: share of the prediction in that processor time": predicting / used,
        "database: longest write session, ms": 1000 * max(sessions),
    }


def _write_sessions(db: Database) -> list[float]:
    """Seconds that each write session held its transaction, as they come."""
    took: list[float] = []
    begun: dict[int, float] = {}

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write"):
            begun[id(connection)] = time.perf_counter()

    def end(connection: Connection) -> None:
        if (at := begun.pop(id(connection), None)) is not None:
            took.append(time.perf_counter() - at)

    event.listen(db.engine, "begin", begin)
    event.listen(db.engine, "commit", end)
    return took


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _model(intents: int, rng: np.random.Generator) -> tuple[IntentModel, list[str]]:
    """Fitted on ten made-up questions an intent. On those a fit may do without its hidden layer: here it has one."""
    words = [f"w{n}" for n in range(_WORDS)]
    texts = [
        " ".join([words[i % _WORDS], words[i * 7 % _WORDS], *rng.choice(words, 6)]) for i in range(intents) for _ in range(10)
    ]
    encoder = HashingEncoder(DIMENSIONS)
    labels = [f"intent {i}" for i in range(intents) for _ in range(10)]
    model = IntentModel.fit(texts, encoder.encode(texts), labels, 0, encoder.digest)
    shapes = ((DIMENSIONS, HIDDEN), (HIDDEN,), (HIDDEN, intents))
    inner, inner_bias, outer = (rng.standard_normal(shape, dtype=np.float32) / HIDDEN for shape in shapes)
    head = Head(model.heads.sum.weights, model.heads.sum.bias, inner, inner_bias, outer)
    return replace(model, heads=replace(model.heads, sum=head)), texts


def _fill(db: Database, encoder: HashingEncoder, questions: list[str], rng: np.random.Generator) -> None:
    probabilities = rng.uniform(0.01, 0.99, (len(questions), len(SIGNALS)))
    for part in chunks(range(len(questions)), 5000):
        StoredVectors(db).put(
            encoder.digest,
            dict(zip((content_hash(questions[i]) for i in part), encoder.encode([questions[i] for i in part]), strict=True)),
        )
        with db.write() as session:
            session.execute(
                insert_into(session, Conversation),
                [
                    {
                        "id": i + 1,
                        "source": "bench",
                        "external_id": str(i),
                        "closed": True,
                        "received_at": NOW,
                        "details": {},
                        "revision": 0,
                    }
                    for i in part
                ],
            )
            session.execute(
                insert_into(session, Turn),
                [
                    {
                        "conversation_id": i + 1,
                        "external_id": name,
                        "role": role,
                        "text": text,
                        "position": place,
                        "received_at": NOW,
                        "details": {},
                    }
                    for i in part
                    for place, (name, role, text) in enumerate((("q", "user", questions[i]), ("a", "bot", "It depends.")))
                ],
            )
            session.execute(
                insert_into(session, Exchange),
                [
                    {
                        "id": i + 1, "conversation_id": i + 1, "source": "bench", "turn_id": "a", "turn_ids": ["a"],
                        "question": questions[i], "answer": "It depends.", "question_hash": content_hash(questions[i]),
                        "priority": 0.1, "uncertainty": 0.5, "because": "", "versions": {}, "scored_by": "", "created_at": NOW,
                        "scored_at": NOW, "reviewed": False,
                    }
                    for i in part
                ],
            )  # fmt: skip
            session.execute(
                insert_into(session, Evidence),
                [
                    {
                        "exchange_id": i + 1,
                        "name": name,
                        "value": 0.5,
                        "probability": float(probabilities[i, k]),
                        "turn_ids": [],
                        "note": "",
                        "detail": {},
                    }
                    for i in part
                    for k, name in enumerate(SIGNALS[1:4])
                ],
            )


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
