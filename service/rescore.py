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
from sqlalchemy import bindparam, delete, select, update
from sqlmodel import Session, col

from scoring.clauses import clauses
from scoring.encoder import Vectors
from scoring.intents import IntentModel, Prediction
from scoring.scorer import NOT_CALIBRATED, Scorer
from scoring.signals.base import Evidence as Found
from scoring.signals.intent_confidence import NAME as INTENT_CONFIDENCE
from scoring.signals.intent_confidence import of_platform, own_evidence, second_opinion
from scoring.transcripts import Exchange as Asked
from scoring.transcripts import split
from scoring.vectors import content_hash
from scoring.weights import Weighed, Weights, probabilities_of
from service.db import Database, chunks, insert_into, table_of
from service.models import Evidence, Exchange, ItemState, ReviewItem
from service.transcripts import load_transcripts
from service.vectors import StoredVectors
from service.versions import claim_fit, release, scored_by

log = structlog.get_logger()
RESCORING = "rescoring"
"""Kind of the claim that keeps two workers from the same chunk."""
CHUNK = 1000
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
    source = _next_source(db, scorer, intents, weights)
    if source is None:
        return 0
    claimed = claim_fit(db, RESCORING, source, now, _LEASE)
    if claimed is None:
        return 0
    try:
        return _rescore(db, scorer, digest, source, intents.get(source), scorer.weights_of(source, weights), limit)
    finally:
        release(db, claimed)


@dataclass(frozen=True, slots=True)
class _Change:
    """What an exchange gets. `evidence`: of its intent, with what our model says now; it holds where it was `asked_anew`."""

    row: Any
    weighed: Weighed
    intent: str | None
    evidence: Found | None
    asked_anew: bool


def _next_source(db: Database, scorer: Scorer, intents: Mapping[str, IntentModel], weights: Mapping[str, Weights]) -> str | None:
    table = table_of(Exchange)
    with db.read() as session:
        first = select(table.c.source).order_by(table.c.source).limit(1)
        source: str | None = session.execute(first).scalar_one_or_none()
        while source is not None:
            wanted = scored_by(scorer.versions(intents.get(source), None, source, weights))
            if any(session.execute(_left(source, wanted, smaller).limit(1)).first() for smaller in (True, False)):
                return source
            following = select(table.c.source).where(table.c.source > source).order_by(table.c.source).limit(1)
            source = session.execute(following).scalar_one_or_none()
    return None


def _left(source: str, wanted: str, smaller: bool) -> Any:
    """Two ranges of the index, for "not equal" would read all of it."""
    table = table_of(Exchange)
    other = table.c.scored_by < wanted if smaller else table.c.scored_by > wanted
    return select(table).where(table.c.source == source, other)


def _rescore(
    db: Database, scorer: Scorer, digest: str, source: str, model: IntentModel | None, weights: Weights, limit: int
) -> int:
    versions = {"weights": weights.version, "intents": model.version if model else None}
    with db.read() as session:
        left = [session.execute(_left(source, scored_by(versions), smaller).limit(limit)).all() for smaller in (True, False)]
        rows = [row for part in left for row in part][:limit]
        evidence = _evidence(session, [row.id for row in rows])
        anew = [row for row in rows if row.versions.get("intents") != versions["intents"]]
        asked = _asked(session, anew)
    predictions = _predict(StoredVectors(db), digest, model, list(asked.values()))
    renewed = {
        key: exchange
        for key, exchange in asked.items()
        if model is None or not exchange.question.strip() or exchange.question in predictions
    }
    own = {
        key: second_opinion(_of_platform(evidence[key]), exchange, predictions.get(exchange.question))
        or own_evidence(exchange, predictions.get(exchange.question))
        for key, exchange in renewed.items()
        if INTENT_CONFIDENCE in scorer.signals
    }
    counted = [_renewed(evidence[row.id], own, row.id) for row in rows]
    names, probabilities = probabilities_of(counted)
    weighed = weights.weigh_rows(names, weights.counted(names, probabilities, scorer.thresholds))
    changes = [
        _Change(
            row,
            found,
            _intent(renewed[row.id], predictions) if row.id in renewed else row.intent,
            own.get(row.id),
            row.id in own,
        )
        for row, found in zip(rows, weighed, strict=True)
    ]
    with db.write() as session:
        done = _store(session, changes, versions)
    log.info("exchanges_rescored", source=source, count=done, changed_meanwhile=len(rows) - done)
    return len(rows)


def _of_platform(evidence: Sequence[Found]) -> Found | None:
    return next((one for one in evidence if one.name == INTENT_CONFIDENCE and of_platform(one)), None)


def _renewed(evidence: Sequence[Found], own: Mapping[int, Found | None], key: int) -> list[Found]:
    if key not in own:
        return list(evidence)
    now = own[key]
    return [*(one for one in evidence if one.name != INTENT_CONFIDENCE), *([now] if now else [])]


def _intent(exchange: Asked, predictions: Mapping[str, Prediction]) -> str | None:
    """What the platform told, else what our own model says."""
    told = exchange.intent.name if exchange.intent else None
    prediction = predictions.get(exchange.question)
    return told or (prediction.intent if prediction else None)


def _evidence(session: Session, exchange_ids: Sequence[int]) -> dict[int, list[Found]]:
    found: dict[int, list[Found]] = {key: [] for key in exchange_ids}
    for part in chunks(exchange_ids):
        rows = session.execute(
            select(
                col(Evidence.exchange_id),
                col(Evidence.name),
                col(Evidence.value),
                col(Evidence.probability),
                col(Evidence.turn_ids),
                col(Evidence.note),
                col(Evidence.detail),
            )
            .where(col(Evidence.exchange_id).in_(part))
            .order_by(col(Evidence.exchange_id), col(Evidence.name))
        )
        for row in rows:
            found[row.exchange_id].append(Found(row.name, row.value, row.probability, tuple(row.turn_ids), row.note, row.detail))
    return found


def _asked(session: Session, rows: Sequence[Any]) -> dict[int, Asked]:
    """The exchanges as they were said; those whose conversation changed since are left out, they are scored anew anyway."""
    place = {(row.conversation_id, row.turn_id): row for row in rows}
    transcripts, _ = load_transcripts(session, sorted({row.conversation_id for row in rows}))
    found = {}
    for conversation_id, transcript in transcripts.items():
        for exchange in split(transcript):
            row = place.get((conversation_id, exchange.turn_id))
            if row is not None and row.question == exchange.question:
                found[row.id] = exchange
    return found


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


def _store(session: Session, changes: Sequence[_Change], versions: Mapping[str, str | None]) -> int:
    """The changes of exchanges that nobody scored anew since they were read."""
    exchanges, items = table_of(Exchange), table_of(ReviewItem)
    place = {change.row.id: change for change in changes}
    still = []
    for part in chunks(sorted(place)):
        rows = session.execute(
            select(exchanges.c.id, exchanges.c.scored_at, exchanges.c.scored_by)
            .where(exchanges.c.id.in_(part))
            .order_by(exchanges.c.id)
            .with_for_update()
        )
        still += [
            place[row.id]
            for row in rows
            if (row.scored_at, row.scored_by) == (place[row.id].row.scored_at, place[row.id].row.scored_by)
        ]
    if not still:
        return 0
    session.execute(
        update(exchanges).where(exchanges.c.id == bindparam("exchange")),
        [
            {
                "exchange": change.row.id,
                "priority": change.weighed.priority,
                "uncertainty": change.weighed.uncertainty,
                "because": _because(change),
                "intent": change.intent,
                "versions": {**change.row.versions, **versions},
                "scored_by": scored_by(versions),
            }
            for change in still
        ],
    )
    queued = [change for change in still if change.row.reviewed]
    if queued:
        session.execute(
            update(items).where(items.c.exchange_id == bindparam("exchange"), items.c.state == ItemState.open),
            [{"exchange": one.row.id, "priority": one.weighed.priority, "intent": one.intent} for one in queued],
        )
    anew = [change for change in still if change.asked_anew]
    for part in chunks([change.row.id for change in anew]):
        gone = delete(Evidence).where(col(Evidence.exchange_id).in_(part), col(Evidence.name) == INTENT_CONFIDENCE)
        session.execute(gone)
    fresh = [
        {
            "exchange_id": change.row.id,
            "name": one.name,
            "value": one.value,
            "probability": one.probability,
            "turn_ids": list(one.turn_ids),
            "note": one.note,
            "detail": dict(one.detail),
        }
        for change in anew
        for one in (change.evidence,)
        if one is not None
    ]
    if fresh:
        session.execute(insert_into(session, Evidence), fresh)
    return len(still)


def _because(change: _Change) -> str:
    """The reason, with the warning about its language that it had before."""
    told = change.weighed.because
    return f"{told} {NOT_CALIBRATED}" if change.row.because.endswith(NOT_CALIBRATED) else told
