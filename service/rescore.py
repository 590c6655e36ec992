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
from sqlmodel import Session

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
from scoring.weights import Floats, Weighed, Weights
from service.db import Database, changed, chunks, insert_into, table_of
from service.models import Evidence, Exchange, ItemState, ReviewItem
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

Versions = Mapping[str, str | None]
"""Of the weights and of the intent model."""


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


@dataclass(frozen=True, slots=True)
class _Change:
    """What an exchange gets. `evidence`: of its intent, with what our model says now; it holds where it was `asked_anew`."""

    row: Any
    weighed: Weighed
    intent: str | None
    evidence: Found | None
    asked_anew: bool
    had_evidence: bool
    """Of its intent."""


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
        changes = _changes(chunk, range(len(chunk.rows))[start : start + _AT_ONCE], scorer, model, weights)
        done += _store(db, changes, versions)
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


def _changes(chunk: _Chunk, places: range, scorer: Scorer, model: IntentModel | None, weights: Weights) -> list[_Change]:
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
        _Change(row, new, intents[row.id], evidence.get(row.id), row.id in evidence, before)
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


def _store(db: Database, changes: Sequence[_Change], versions: Versions) -> int:
    """The changes of exchanges that nobody scored anew since they were read; how many."""
    if not changes:
        return 0
    try:
        with db.write() as session:
            _change(session, changes, versions)
        return len(changes)
    except _ScoredAnew:
        if len(changes) == 1:
            return 0
        middle = len(changes) // 2
        return sum(_store(db, part, versions) for part in (changes[:middle], changes[middle:]))


class _ScoredAnew(Exception):
    """One of the exchanges has another score than the one that was read."""


def _change(session: Session, changes: Sequence[_Change], versions: Versions) -> None:
    exchanges, items = table_of(Exchange), table_of(ReviewItem)
    by = scored_by(versions)
    as_read = [exchanges.c[name] == bindparam(f"read_{name}") for name in ("id", "scored_at", "scored_by")]
    still = changed(
        session,
        update(exchanges).where(*as_read),
        [
            {
                "read_id": change.row.id,
                "read_scored_at": change.row.scored_at,
                "read_scored_by": change.row.scored_by,
                "priority": change.weighed.priority,
                "uncertainty": change.weighed.uncertainty,
                "because": _because(change),
                "intent": change.intent,
                "versions": {**change.row.versions, **versions},
                "scored_by": by,
            }
            for change in changes
        ],
    )
    if still != len(changes):
        raise _ScoredAnew
    waiting = items.c.exchange_id.in_([change.row.id for change in changes]), items.c.state == ItemState.open
    queued = set(session.execute(select(items.c.exchange_id).where(*waiting)).scalars())
    if queued:
        session.execute(
            update(items).where(items.c.exchange_id == bindparam("exchange"), items.c.state == ItemState.open),
            [
                {"exchange": one.row.id, "priority": one.weighed.priority, "intent": one.intent}
                for one in changes
                if one.row.id in queued
            ],
        )
    _change_evidence(session, [change for change in changes if change.asked_anew])


def _change_evidence(session: Session, changes: Sequence[_Change]) -> None:
    gone = [change.row.id for change in changes if change.had_evidence and change.evidence is None]
    known = [_evidence_row(change.row.id, one) for change in changes if (one := change.evidence) and change.had_evidence]
    fresh = [_evidence_row(change.row.id, one) for change in changes if (one := change.evidence) and not change.had_evidence]
    table = table_of(Evidence)
    if gone:
        session.execute(delete(table).where(table.c.exchange_id.in_(gone), table.c.name == INTENT_CONFIDENCE))
    if known:
        place = table.c.exchange_id == bindparam("exchange"), table.c.name == INTENT_CONFIDENCE
        session.execute(update(table).where(*place), [{"exchange": one.pop("exchange_id"), **one} for one in known])
    if fresh:
        session.execute(insert_into(session, Evidence), fresh)


def _evidence_row(exchange_id: int, evidence: Found) -> dict[str, Any]:
    return {
        "exchange_id": exchange_id,
        "name": evidence.name,
        "value": evidence.value,
        "probability": evidence.probability,
        "turn_ids": list(evidence.turn_ids),
        "note": evidence.note,
        "detail": dict(evidence.detail),
    }


def _because(change: _Change) -> str:
    """The reason, with the warning about its language that it had before."""
    told = change.weighed.because
    return f"{told} {NOT_CALIBRATED}" if change.row.because.endswith(NOT_CALIBRATED) else told
