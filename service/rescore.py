"""New priorities for what was scored before, after a refit: from stored evidence, vectors and texts; nothing is encoded.

Each exchange names the versions that scored it (`scored_by`), so what is left to do is a question to the database: whoever
stops anywhere, or comes second, goes on where it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import structlog
from sqlalchemy import select
from sqlmodel import Session

from scoring.clauses import clauses
from scoring.encoder import Vectors
from scoring.intents import IntentModel, Prediction
from scoring.scorer import Scorer
from scoring.signals.base import Evidence as Found
from scoring.signals.intent_confidence import NAME as INTENT_CONFIDENCE
from scoring.signals.intent_confidence import of_platform, own_evidence, second_opinion
from scoring.transcripts import Exchange as Asked
from scoring.transcripts import split
from scoring.vectors import content_hash
from scoring.weights import Floats, Weights
from service.db import Database, chunks, table_of
from service.models import Evidence, Exchange
from service.new_scores import NewScore, Versions, store
from service.transcripts import load_asked
from service.vectors import StoredVectors
from service.versions import claim_fit, release, scored_by

log = structlog.get_logger()
RESCORING = "rescoring"
"""Kind of the claim that keeps two workers from the same chunk."""
CHUNK = 4000
"""Exchanges read and predicted together: the more, the cheaper each is; scoring waits for them, about a second."""
_AT_ONCE = 500
"""Exchanges changed in one write session, for SQLite has one writer; what comes next is computed in between."""
_LEASE = timedelta(minutes=5)


def rescore_due(
    db: Database,
    scorer: Scorer,
    digest: str,
    intents: Mapping[str, IntentModel],
    weights: Mapping[str, Weights],
    now: datetime,
    limit: int = CHUNK,
) -> int:
    """Rescore up to `limit` exchanges that other versions scored than those given, all of one source; how many.

    `digest`: of the encoder whose stored vectors are read. An exchange that is scored anew meanwhile is left as it is.
    """
    found = _next_source(db, scorer, intents, weights)
    if found is None:
        return 0
    source, versions = found
    claimed = claim_fit(db, RESCORING, source, now, _LEASE)
    if claimed is None:
        return 0
    try:
        return _rescore(db, scorer, digest, source, intents.get(source), scorer.weights_of(source, weights), versions, limit)
    finally:
        release(db, claimed)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Exchanges with all that their new scores are made of."""

    rows: Sequence[Any]
    names: Sequence[str]
    """Of signals."""
    probabilities: Floats
    """Of the stored evidence (rows, names), NaN where there is none."""
    asked: Mapping[int, Asked]
    """Those whose intent another model told, as they were said."""
    platform: Mapping[int, Found]
    """What the platform's intents say of them."""
    predictions: Mapping[str, Prediction]
    """By question."""


def _next_source(
    db: Database, scorer: Scorer, intents: Mapping[str, IntentModel], weights: Mapping[str, Weights]
) -> tuple[str, Versions] | None:
    """A source that other versions scored, and those which it is to have."""
    table = table_of(Exchange)
    with db.read() as session:
        first = select(table.c.source).order_by(table.c.source).limit(1)
        source: str | None = session.execute(first).scalar_one_or_none()
        while source is not None:
            versions = scorer.versions(intents.get(source), None, source, weights)
            wanted = scored_by(versions)
            if any(session.execute(_left(source, wanted, smaller).limit(1)).first() for smaller in (True, False)):
                return source, {name: versions[name] for name in ("weights", "intents")}
            following = select(table.c.source).where(table.c.source > source).order_by(table.c.source).limit(1)
            source = session.execute(following).scalar_one_or_none()
    return None


def _left(source: str, wanted: str, smaller: bool) -> Any:
    """Two ranges of the index, for "not equal" would read all of it."""
    table = table_of(Exchange)
    other = table.c.scored_by < wanted if smaller else table.c.scored_by > wanted
    return select(*(table.c[name] for name in _READ)).where(table.c.source == source, other)


_READ = (
    "id", "conversation_id", "turn_id", "question", "intent", "because", "versions", "scored_by", "scored_at",
)  # fmt: skip


def _rescore(
    db: Database,
    scorer: Scorer,
    digest: str,
    source: str,
    model: IntentModel | None,
    weights: Weights,
    versions: Versions,
    limit: int,
) -> int:
    chunk = _read(db, scorer, digest, source, model, versions, limit)
    done = 0
    for start in range(0, len(chunk.rows), _AT_ONCE):
        scores = _new_scores(chunk, range(len(chunk.rows))[start : start + _AT_ONCE], scorer, model, weights)
        done += store(db, scores, versions)
    log.info("exchanges_rescored", source=source, count=done, changed_meanwhile=len(chunk.rows) - done)
    return len(chunk.rows)


def _read(
    db: Database,
    scorer: Scorer,
    digest: str,
    source: str,
    model: IntentModel | None,
    versions: Versions,
    limit: int,
) -> _Chunk:
    with db.read() as session:
        left = [session.execute(_left(source, scored_by(versions), smaller).limit(limit)).all() for smaller in (True, False)]
        rows = sorted([row for part in left for row in part][:limit], key=lambda row: row.id)  # whoever locks rows goes by id
        names, probabilities = _probabilities(session, [row.id for row in rows], scorer.signals)
        asked = _asked(session, [row for row in rows if row.versions.get("intents") != versions["intents"]])
        platform = _of_platform(session, [key for key, exchange in asked.items() if exchange.intent])
    predictions = _predict(StoredVectors(db), digest, model, list(asked.values()))
    return _Chunk(rows, names, probabilities, asked, platform, predictions)


def _new_scores(chunk: _Chunk, places: range, scorer: Scorer, model: IntentModel | None, weights: Weights) -> list[NewScore]:
    """The new scores of the rows at `places`."""
    rows = [chunk.rows[place] for place in places]
    probabilities = chunk.probabilities[places.start : places.stop]
    intents, evidence = {row.id: row.intent for row in rows}, dict[int, Found | None]()
    measured, column = INTENT_CONFIDENCE in scorer.signals, chunk.names.index(INTENT_CONFIDENCE)
    had = (~np.isnan(probabilities[:, column])).tolist()
    for i, row in enumerate(rows):
        exchange = chunk.asked.get(row.id)
        if exchange is None:
            continue
        question = row.question
        prediction = chunk.predictions.get(question)
        if model is not None and prediction is None and question.strip():
            continue
        told = exchange.intent.name if exchange.intent else None
        intents[row.id] = told or (prediction.intent if prediction else None)
        if measured:
            found = second_opinion(chunk.platform.get(row.id), exchange, prediction) or own_evidence(exchange, prediction)
            evidence[row.id] = found
            probabilities[i, column] = found.probability if found else np.nan
    weighed = weights.weigh_rows(chunk.names, weights.counted(chunk.names, probabilities, scorer.thresholds))
    return [
        NewScore(row, new, intents[row.id], evidence.get(row.id), row.id in evidence, before)
        for row, new, before in zip(rows, weighed, had, strict=True)
    ]


def _probabilities(session: Session, exchange_ids: Sequence[int], signals: Sequence[str]) -> tuple[list[str], Floats]:
    """(names of signals, probabilities of the stored evidence (n, names) with NaN where there is none)."""
    stored = table_of(Evidence).c
    found: list[Any] = []
    for part in chunks(exchange_ids):
        wanted = select(stored.exchange_id, stored.name, stored.probability).where(stored.exchange_id.in_(part))
        found += session.execute(wanted)
    names = list(dict.fromkeys([INTENT_CONFIDENCE, *signals, *sorted({name for _, name, _ in found})]))
    place, column = {key: i for i, key in enumerate(exchange_ids)}, {name: i for i, name in enumerate(names)}
    probabilities = np.full((len(exchange_ids), len(names)), np.nan)
    if found:
        keys, of_signals, stored_values = zip(*found, strict=True)
        probabilities[[place[key] for key in keys], [column[name] for name in of_signals]] = stored_values
    return names, probabilities


def _asked(session: Session, rows: Sequence[Any]) -> dict[int, Asked]:
    """The exchanges as they were said; those whose conversation changed since are left out, they are scored anew anyway."""
    place = {(row.conversation_id, row.turn_id): row for row in rows}
    found = {}
    for conversation_id, transcript in load_asked(session, sorted({row.conversation_id for row in rows})).items():
        for exchange in split(transcript):
            row = place.get((conversation_id, exchange.turn_id))
            if row is not None and row.question == exchange.question:
                found[row.id] = exchange
    return found


def _of_platform(session: Session, exchange_ids: Sequence[int]) -> dict[int, Found]:
    """The evidence that comes from intents which the platform sent."""
    stored = table_of(Evidence).c
    found = {}
    for part in chunks(exchange_ids):
        rows = session.execute(
            select(stored.exchange_id, stored.value, stored.probability, stored.turn_ids, stored.note, stored.detail).where(
                stored.exchange_id.in_(part), stored.name == INTENT_CONFIDENCE
            )
        )
        for key, value, probability, turn_ids, note, detail in rows:
            found[key] = Found(INTENT_CONFIDENCE, value, probability, tuple(turn_ids), note, detail)
    return {key: one for key, one in found.items() if of_platform(one)}


def _predict(store: StoredVectors, digest: str, model: IntentModel | None, exchanges: Sequence[Asked]) -> dict[str, Prediction]:
    """By question, from stored vectors; a question without one is left out, and so are clauses without."""
    questions = list(dict.fromkeys(one.question for one in exchanges if one.question.strip()))
    if model is None or not questions:
        return {}
    parts = {question: clauses(question) for question in questions}
    texts = dict.fromkeys([*questions, *(part for of in parts.values() for part in of)])
    hashes = {text: content_hash(text) for text in texts}
    stored = store.get(digest, list(hashes.values()))
    known: dict[str, Vectors] = {text: stored[h] for text, h in hashes.items() if h in stored}
    whole = [q for q in questions if q in known and all(part in known for part in parts[q])]
    alone = [q for q in questions if q in known and not all(part in known for part in parts[q])]
    found = model.predict(whole, _stack(known, whole), lambda said: _stack(known, said)) if whole else []
    found += model.predict(alone, _stack(known, alone)) if alone else []
    return dict(zip([*whole, *alone], found, strict=True))


def _stack(known: Mapping[str, Vectors], texts: Sequence[str]) -> Vectors:
    return np.stack([known[text] for text in texts])
