"""What events say, by conversation, redacted and joined. The rules do not ask what came first.

The latest edit of a turn wins, ties go to the fuller telling, then to the greater content; a removed turn stays removed; a
conversation keeps its earliest start and its latest close; of one that is removed nothing else counts.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.events import (
    ConversationClosed,
    ConversationRemoved,
    Event,
    Feedback,
    FeedbackGiven,
    FeedbackWithdrawn,
    Ignored,
    Intent,
    Passage,
    Turn,
    TurnAdded,
    TurnRemoved,
)
from scoring.vectors import content_hash
from service.privacy import Redact, redact_all

LONG_AGO = datetime.min.replace(tzinfo=UTC)
Row = dict[str, Any]


@dataclass(slots=True)
class About:
    """What a group of events says about one conversation: rows of turns and feedback by the platform's ids, and fields."""

    turns: dict[str, Row] = field(default_factory=dict)
    feedback: dict[str, Row] = field(default_factory=dict)
    channel: str | None = None
    started_at: datetime | None = None
    closed: bool = False
    closed_at: datetime | None = None
    details: Row = field(default_factory=dict)
    removed: bool = False

    def last_at(self, now: datetime) -> datetime | None:
        """When the last of it was said, rated or closed: what tells no time, or one to come, is of now. Removals say nothing."""
        turns = [row["edited_at"] or row["at"] or now for row in self.turns.values() if not row["removed"]]
        rated = [row["at"] or now for row in self.feedback.values()]
        closed = [self.closed_at] if self.closed_at else []
        return min(max((*turns, *rated, *closed)), now) if turns or rated or closed else None


Told = dict[str, About]


def gather(events: Iterable[Event], redact: Redact) -> Told:
    """What the events say, by conversation, redacted. Redacting costs time: do it before the write session begins."""
    told: Told = {}
    for event in events:
        if isinstance(event, Ignored):
            continue
        about = told.setdefault(event.conversation_id, About())
        match event:
            case TurnAdded(turn=turn):
                assert turn.id is not None  # the model demands it
                _add_turn(about, turn.id, _turn(turn, event.position, redact))
                for feedback in turn.feedback:
                    _add_feedback(about, turn.id, feedback, redact)
                about.channel = max(filter(None, (about.channel, event.channel)), default=None)
                about.started_at = min(filter(None, (about.started_at, event.started_at)), default=None)
            case TurnRemoved(turn_id=turn_id, role=role):
                _add_turn(about, turn_id, _removed(turn_id, role or ""))
            case FeedbackGiven(turn_id=turn_id, feedback=feedback):
                _add_feedback(about, turn_id, feedback, redact)
            case FeedbackWithdrawn(feedback_id=key, at=at):
                about.feedback[key] = latest(about.feedback.get(key), _withdrawn(key, at))
            case ConversationClosed(at=at):
                about.closed = True
                about.closed_at = max(filter(None, (about.closed_at, at)), default=None)
            case ConversationRemoved():
                about.removed = True
        about.details = joined(about.details, redact_all(event.extras, redact))
    return told


def latest(one: Row | None, other: Row) -> Row:
    """The telling that counts: the later edit or time, then the fuller, then the greater; the same whichever comes first."""
    if one is None:
        return other
    return _latest_turn(one, other) if "role" in one else _latest_feedback(one, other)


def _latest_turn(one: Row, other: Row) -> Row:
    # Files know the place of a turn, webhooks may not: it is joined by itself. The greater one is the younger, for a
    # conversation only grows.
    position = max((row["position"] for row in (one, other) if row["position"] is not None), default=None)
    kept = max(one, other, key=_turn_order)
    if one["removed"] or other["removed"]:
        kept = {**_removed(kept["external_id"], kept["role"]), "at": kept["at"], "edited_at": kept["edited_at"]}
    return {**kept, "position": position}


def _latest_feedback(one: Row, other: Row) -> Row:
    kept = max(one, other, key=_feedback_order)
    return {**kept, "comment": None, "details": {}, "forgotten": True} if one["forgotten"] or other["forgotten"] else kept


def _turn_order(row: Row) -> tuple[datetime, datetime, str, int, str]:
    said = {**row, "position": None}  # joined by itself
    return row["edited_at"] or LONG_AGO, row["at"] or LONG_AGO, row["role"], _fullness(said), canonical(said)


def _fullness(value: object) -> int:
    """How many values a telling holds: one that adds retrieval or details to the same turn counts more."""
    if isinstance(value, dict):
        return sum(_fullness(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(_fullness(inner) for inner in value)
    return 0 if value is None or value == "" else 1


def _feedback_order(row: Row) -> tuple[bool, datetime, bool, str]:
    for_good = row["withdrawn"] and row["at"] is None
    return for_good, row["at"] or LONG_AGO, row["withdrawn"], canonical(row)


def joined(one: Row, other: Row) -> Row:
    """The fields of both; of one told twice the greater value."""
    if not other:
        return one
    both = dict(one)
    for key, value in other.items():
        both[key] = max(both.get(key, value), value, key=canonical)
    return both


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _add_turn(about: About, turn_id: str, row: Row) -> None:
    about.turns[turn_id] = latest(about.turns.get(turn_id), row)


def _add_feedback(about: About, turn_id: str | None, feedback: Feedback, redact: Redact) -> None:
    row = {
        "turn_external_id": turn_id,
        "rating": feedback.rating,
        "scale": feedback.scale,
        "comment": redact(feedback.comment) if feedback.comment else None,
        "at": feedback.at,
        "details": redact_all(feedback.extras, redact),
    }
    key = feedback.id or content_hash(canonical(row)).hex()
    row |= {"external_id": key, "withdrawn": False, "forgotten": False}
    about.feedback[key] = latest(about.feedback.get(key), row)


def _turn(turn: Turn, position: int | None, redact: Redact) -> Row:
    return {
        "external_id": turn.id,
        "role": turn.role,
        "text": redact(turn.text),
        "at": turn.at,
        "edited_at": turn.edited_at,
        "position": position,
        "intent": _intent(turn.intent, redact),
        "retrieval": None if turn.retrieval is None else [_passage(p, redact) for p in turn.retrieval],
        "details": redact_all(turn.extras, redact),
        "removed": False,
    }


def _removed(turn_id: str, role: str) -> Row:
    """`role` is empty until somebody tells it."""
    nothing: Row = {"text": "", "at": None, "edited_at": None, "position": None, "intent": None, "retrieval": None, "details": {}}
    return {"external_id": turn_id, "role": role, **nothing, "removed": True}


def _withdrawn(key: str, at: datetime | None) -> Row:
    nothing: Row = {"turn_external_id": None, "rating": None, "scale": None, "comment": None, "details": {}}
    return {"external_id": key, **nothing, "at": at, "withdrawn": True, "forgotten": False}


def _intent(intent: Intent | None, redact: Redact) -> Row | None:
    if intent is None:
        return None
    return {
        **redact_all(intent.extras, redact),
        "name": intent.name,
        "confidence": intent.confidence,
        "ranking": [
            {"name": ranked.name, "confidence": ranked.confidence, **redact_all(ranked.extras, redact)}
            for ranked in intent.ranking
        ],
        **_named(scale=intent.scale),
    }


def _passage(passage: Passage, redact: Redact) -> Row:
    return {
        **redact_all(passage.extras, redact),
        "id": passage.id,
        "title": passage.title,
        "text": redact(passage.text),
        "score": passage.score,
        "rerank_score": passage.rerank_score,
        **_named(scale=passage.scale, rerank_scale=passage.rerank_scale),
    }


def _named(**scales: str | None) -> Row:
    """Left out where none was sent, so that what was stored before scales had names is still the same content."""
    return {name: scale for name, scale in scales.items() if scale is not None}
