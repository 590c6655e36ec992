"""Kept bodies that name a forgotten conversation: deliveries that could not be read, and traces whose spans are kept."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, delete, func, literal, or_, select, update
from sqlmodel import Session, col

from service.db import Database, chunks
from service.models import Delivery, DeliveryState

_KEPT = (DeliveryState.unreadable, DeliveryState.waiting, DeliveryState.traced)
_TRACES = (DeliveryState.waiting, DeliveryState.traced)
_TRACE = "trace:"
_EMPTY = {"state": DeliveryState.forgotten, "body": None}


def bodies_naming(db: Database, source: str, names: Sequence[str]) -> list[int]:
    """Ids of the source's deliveries whose body holds one of these, ids of conversations or users, as a value of its own.

    Where a body is no JSON, as a word of its own. What a trace is called counts as its conversation.
    """
    found: list[int] = []
    with db.read() as session:
        for part in chunks(names, 50):
            # The database looks first: bodies are large, and few name any of these.
            likely = or_(*(_holds(session, json.dumps(name, ensure_ascii=False)[1:-1]) for name in part))
            traces = col(Delivery.external_id).in_([_TRACE + name for name in part])
            rows = session.execute(
                select(col(Delivery.id), col(Delivery.external_id), col(Delivery.body)).where(
                    col(Delivery.source) == source, col(Delivery.state).in_(_KEPT), likely | traces
                )
            )
            found += [row.id for row in rows if row.external_id.removeprefix(_TRACE) in part or _names(row.body or b"", part)]
    return sorted(set(found))


def forget_bodies(session: Session, delivery_ids: Sequence[int]) -> None:
    """A delivery stays known by its id, so that it is taken for seen when it comes again; a trace is begun anew."""
    for part in chunks(delivery_ids):
        mine = col(Delivery.id).in_(part)
        session.execute(delete(Delivery).where(mine, col(Delivery.state).in_(_TRACES)))
        session.execute(update(Delivery).where(mine, col(Delivery.state) == DeliveryState.unreadable).values(_EMPTY))


def forget_old_bodies(db: Database, before: datetime) -> int:
    """Bodies that came before then; how many."""
    old = col(Delivery.state).in_(_KEPT), col(Delivery.received_at) <= before
    with db.read() as session:
        ids = list(session.execute(select(col(Delivery.id)).where(*old).limit(500)).scalars())
    if ids:
        with db.write() as session:
            forget_bodies(session, ids)
    return len(ids)


def _holds(session: Session, text: str) -> Any:
    sought = literal(text.encode(), LargeBinary())
    if session.get_bind().dialect.name == "postgresql":
        return func.position(sought.op("IN")(col(Delivery.body))) > 0
    return func.instr(col(Delivery.body), sought) > 0


def _names(body: bytes, names: Sequence[str]) -> bool:
    text = body.decode(errors="replace")
    try:
        return _has_value(json.loads(text), frozenset(names))
    except (ValueError, RecursionError):
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names)


def _has_value(value: Any, names: frozenset[str]) -> bool:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += one.values()
        elif isinstance(one, list):
            left += one
        elif isinstance(one, str | int) and str(one) in names:
            return True
    return False
