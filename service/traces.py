"""Exported spans into rows: what is known of a trace is kept, and its conversation told anew with each span that joins it.

Spans of one trace come in several exports, children before parents, some of them twice. So the facts of a trace's spans are
kept in one row, a delivery that comes in parts, and what they say together is told to the rules of service/told.py. Until
the trace's root has come (or no span has come for a while: some roots are never exported to us) nothing is told, for a span
further out may name another session or hold the question as the user put it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from sqlalchemy import bindparam, delete, select, tuple_, update
from sqlmodel import Session, col

from connectors.events import FeedbackGiven, FeedbackWithdrawn, Passage, Told, TurnAdded, TurnRemoved
from connectors.otlp.exchanges import events_of_trace, is_whole, says_something
from connectors.otlp.reader import Traces
from connectors.otlp.spans import Span, joined
from service.db import Database, chunks, insert_into, table_of
from service.forgetting.forget import erased
from service.ingest import store
from service.models import Delivery, DeliveryState
from service.privacy import Redact
from service.told import gather

WAIT = timedelta(seconds=60)
"""How long a trace without its root may be quiet before it is told as it is. SDKs export every 5 seconds."""
KEPT = timedelta(days=7)
"""How long after its last span a trace's facts are kept. A span that comes later starts a trace of its own."""
MOST_SPANS = 5000
_PREFIX = "trace:"
_KEEP = update(table_of(Delivery)).where(table_of(Delivery).c.id == bindparam("row"))


class _Kept(BaseModel):
    """A trace's row: the facts of its spans, and what was told of them by conversation and id."""

    spans: list[Span] = []
    turns: list[tuple[str, str]] = []
    feedback: list[tuple[str, str]] = []


@dataclass(slots=True)
class _Changes:
    """What becomes of the traces' rows: those to be kept as they are now, and those to be dropped. `about`: the source and the
    conversations that each tells of."""

    kept: list[dict[str, Any]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    about: dict[int, tuple[str, set[str]]] = field(default_factory=dict)

    def make(self, session: Session) -> None:
        """Spans that tell of nothing but forgotten conversations are not kept."""
        for source in sorted({source for source, _ in self.about.values()}):
            told = {key: names for key, (of, names) in self.about.items() if of == source and names}
            forgotten = erased(session, source, set().union(*told.values()))
            self.gone += [key for key, names in told.items() if names <= forgotten]
        self.kept = [one for one in self.kept if one["row"] not in self.gone]
        if self.kept:
            session.connection().execute(_KEEP, self.kept)
        if self.gone:
            session.execute(delete(table_of(Delivery)).where(table_of(Delivery).c.id.in_(self.gone)))


def accept(db: Database, source: str, traces: Traces, redact: Redact, settle: timedelta, now: datetime) -> int:
    """Keep the spans and tell what their traces say by now, in one transaction; how many spans had no room in their trace.

    `source` is whose they are where their resource names none. What was accepted before changes nothing.
    """
    given = {
        (of or source, _PREFIX + trace_id): [_redacted(span, redact) for span in spans.values()]
        for (of, trace_id), spans in traces.items()
    }
    if not given:
        return 0
    with db.write() as session:
        rows = _hold(session, sorted(given), now)
        refused = 0
        told: dict[str, list[Told]] = defaultdict(list)
        changes = _Changes()
        for key, row in rows.items():
            kept = _Kept.model_validate_json(row.body)
            before = {span.span_id: span for span in kept.spans}
            after = _with(before, given[key])
            refused += len({span.span_id for span in given[key]} - after.keys())
            if after == before:
                continue
            told[row.source] += _tell(changes, row, kept, after, now, waited=row.state == DeliveryState.traced)
        changes.make(session)
        _store(session, told, settle, now)
    return refused


def tell_due(db: Database, settle: timedelta, now: datetime, limit: int = 50) -> int:
    """Tell the traces whose root did not come in time, and forget those kept long enough; how many traces."""
    quiet = (col(Delivery.state) == DeliveryState.waiting) & (col(Delivery.received_at) <= now - WAIT)
    over = (col(Delivery.state) == DeliveryState.traced) & (col(Delivery.received_at) <= now - KEPT)
    with db.read() as session:  # nearly always there is nothing, and on SQLite there is one write lock
        if session.execute(select(col(Delivery.id)).where(quiet | over).limit(1)).first() is None:
            return 0
    with db.write() as session:
        due = select(table_of(Delivery)).where(quiet).order_by(col(Delivery.id)).limit(limit).with_for_update(skip_locked=True)
        rows = session.execute(due).all()
        told: dict[str, list[Told]] = defaultdict(list)
        changes = _Changes()
        for row in rows:
            kept = _Kept.model_validate_json(row.body)
            told[row.source] += _tell(changes, row, kept, {span.span_id: span for span in kept.spans}, now, waited=True)
        changes.make(session)
        _store(session, told, settle, now)
        session.execute(delete(Delivery).where(over))
    return len(rows)


def _hold(session: Session, keys: Sequence[tuple[str, str]], now: datetime) -> dict[tuple[str, str], Any]:
    """The traces' rows, made where missing, held against other writers; in one order, so that no two wait for each other."""
    new = {"received_at": now, "state": DeliveryState.waiting, "body": _Kept().model_dump_json().encode()}
    insert = insert_into(session, Delivery).on_conflict_do_nothing(index_elements=["source", "external_id"])
    session.execute(insert, [{"source": source, "external_id": name, **new} for source, name in keys])
    rows: dict[tuple[str, str], Any] = {}
    named = tuple_(col(Delivery.source), col(Delivery.external_id))
    for part in chunks(keys):
        held = select(table_of(Delivery)).where(named.in_(part)).order_by(col(Delivery.id)).with_for_update()
        rows.update(((row.source, row.external_id), row) for row in session.execute(held))
    return rows


def _with(before: Mapping[str, Span], given: Sequence[Span]) -> dict[str, Span]:
    after = dict(before)
    for span in given:
        if span.span_id in after:
            after[span.span_id] = joined(after[span.span_id], span)
        elif len(after) < MOST_SPANS:
            after[span.span_id] = span
    return after


def _tell(changes: _Changes, row: Any, kept: _Kept, spans: Mapping[str, Span], now: datetime, waited: bool) -> list[Told]:
    """Keep the spans in the trace's row; the events, if it may be told. What was told and no longer holds is taken back."""
    trace_id = row.external_id.removeprefix(_PREFIX)
    ready = waited or is_whole(spans)
    events: list[Told] = list(events_of_trace(trace_id, spans)) if ready else []
    if waited and not says_something(spans):
        changes.gone.append(row.id)
        return []
    changes.about[row.id] = row.source, {event.conversation_id for event in events}
    turns = [(event.conversation_id, event.turn.id or "") for event in events if isinstance(event, TurnAdded)]
    feedback = [(event.conversation_id, event.feedback.id or "") for event in events if isinstance(event, FeedbackGiven)]
    events += [TurnRemoved(conversation_id=of, turn_id=key) for of, key in kept.turns if (of, key) not in turns]
    events += [FeedbackWithdrawn(conversation_id=of, feedback_id=key) for of, key in kept.feedback if (of, key) not in feedback]
    after = _Kept(spans=list(spans.values()), turns=turns, feedback=feedback)
    body = after.model_dump_json(exclude_defaults=True).encode()
    state = DeliveryState.traced if ready else DeliveryState.waiting
    changes.kept.append({"row": row.id, "body": body, "state": state, "received_at": now})
    return events


def _store(session: Session, told: Mapping[str, Sequence[Told]], settle: timedelta, now: datetime) -> None:
    for source in sorted(told):
        store(session, source, gather(told[source], _as_it_is), settle, now)  # redacted when the spans came


def _as_it_is(text: str) -> str:
    return text


def _redacted(span: Span, redact: Redact) -> Span:
    def hide(text: str | None) -> str | None:
        return redact(text) if text else text

    def passages(given: Sequence[Passage] | None) -> tuple[Passage, ...] | None:
        if given is None:
            return None
        return tuple(one.model_copy(update={"text": redact(one.text), "title": hide(one.title)}) for one in given)

    said = ("question", "answer", "rough_question", "rough_answer", "problem")
    return span.model_copy(
        update={
            **{name: hide(getattr(span, name)) for name in said},
            "passages": passages(span.passages),
            "reranked": passages(span.reranked),
            "ratings": tuple(one.model_copy(update={"comment": hide(one.comment)}) for one in span.ratings),
            "judgements": tuple(
                one.model_copy(update={"label": hide(one.label), "explanation": hide(one.explanation)}) for one in span.judgements
            ),
        }
    )
