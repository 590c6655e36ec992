"""Writes the scores that a rescoring made, each only where nobody scored the exchange anew meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlmodel import Session

from scoring.scorer import NOT_CALIBRATED
from scoring.signals.base import Evidence as Found
from scoring.signals.intent_confidence import NAME as INTENT_CONFIDENCE
from scoring.weights import Weighed
from service.db import Database, changed, insert_into, table_of
from service.models import Evidence, Exchange, ItemState, ReviewItem
from service.versions import scored_by

Versions = Mapping[str, str | None]
"""Of the weights and of the intent model."""


@dataclass(frozen=True, slots=True)
class NewScore:
    """What an exchange gets. `evidence`: of its intent, with what our model says now; it holds where it was `asked_anew`."""

    row: Any
    """The exchange as it was read."""
    weighed: Weighed
    intent: str | None
    evidence: Found | None
    asked_anew: bool
    had_evidence: bool
    """Of its intent."""


def store(db: Database, scores: Sequence[NewScore], versions: Versions) -> int:
    """Of those, the scores of exchanges that nobody scored anew since they were read; how many."""
    if not scores:
        return 0
    try:
        with db.write() as session:
            _write(session, scores, versions)
        return len(scores)
    except _ScoredAnew:
        if len(scores) == 1:
            return 0
        middle = len(scores) // 2
        return sum(store(db, part, versions) for part in (scores[:middle], scores[middle:]))


class _ScoredAnew(Exception):
    """One of the exchanges has another score than the one that was read."""


def _write(session: Session, scores: Sequence[NewScore], versions: Versions) -> None:
    exchanges, items = table_of(Exchange), table_of(ReviewItem)
    by = scored_by(versions)
    as_read = [exchanges.c[name] == bindparam(f"read_{name}") for name in ("id", "scored_at", "scored_by")]
    still = changed(
        session,
        update(exchanges).where(*as_read),
        [
            {
                "read_id": new.row.id,
                "read_scored_at": new.row.scored_at,
                "read_scored_by": new.row.scored_by,
                "priority": new.weighed.priority,
                "uncertainty": new.weighed.uncertainty,
                "because": _because(new),
                "intent": new.intent,
                "versions": {**new.row.versions, **versions},
                "scored_by": by,
            }
            for new in scores
        ],
    )
    if still != len(scores):
        raise _ScoredAnew
    waiting = items.c.exchange_id.in_([new.row.id for new in scores]), items.c.state == ItemState.open
    queued = set(session.execute(select(items.c.exchange_id).where(*waiting)).scalars())
    if queued:
        session.execute(
            update(items).where(items.c.exchange_id == bindparam("exchange"), items.c.state == ItemState.open),
            [
                {"exchange": one.row.id, "priority": one.weighed.priority, "intent": one.intent}
                for one in scores
                if one.row.id in queued
            ],
        )
    _write_evidence(session, [new for new in scores if new.asked_anew])


def _write_evidence(session: Session, scores: Sequence[NewScore]) -> None:
    gone = [new.row.id for new in scores if new.had_evidence and new.evidence is None]
    known = [_evidence_row(new.row.id, one) for new in scores if (one := new.evidence) and new.had_evidence]
    fresh = [_evidence_row(new.row.id, one) for new in scores if (one := new.evidence) and not new.had_evidence]
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


def _because(new: NewScore) -> str:
    """The reason, with the warning about its language that it had before."""
    told = new.weighed.because
    return f"{told} {NOT_CALIBRATED}" if new.row.because.endswith(NOT_CALIBRATED) else told
