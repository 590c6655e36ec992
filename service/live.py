"""What changes under a reviewer's eyes: the queue's counts, and who holds the items on their page.

One read every few seconds serves all who listen to this process; nobody listens, nothing is read.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from service import auth, calibration, queue
from service.db import Database, chunks
from service.errors import Busy
from service.models import Calibration, ItemState, Mention, Reviewer, ReviewItem

log = structlog.get_logger()
EVERY_SECONDS = 2.0
MOST_LISTENERS = 400
MOST_OF_ONE = 4
"""Browsers open six connections to a site at most: two are left for everything else."""


@dataclass(frozen=True, slots=True)
class View:
    """What one page shows. `items`: who holds each; one that is decided or gone is `gone`."""

    counts: dict[str, int]
    items: dict[str, dict[str, Any]]

    @property
    def key(self) -> str:
        """The same for the same content, in every process: a page that comes back with it has missed nothing."""
        return sha256(json.dumps([self.counts, self.items], sort_keys=True).encode()).hexdigest()[:16]

    def changes(self, since: "View | None") -> dict[str, Any]:
        """What differs from the earlier view; all of it where there is none."""
        if since is None:
            return {"counts": self.counts, "items": self.items}
        counts = {name: count for name, count in self.counts.items() if since.counts.get(name) != count}
        items = {key: item for key, item in self.items.items() if since.items.get(key) != item}
        return {name: part for name, part in (("counts", counts), ("items", items)) if part}


@dataclass(eq=False, slots=True)
class Listener:
    """One open page."""

    token: str = field(repr=False)
    reviewer_id: int
    items: frozenset[int]
    view: View | None = None
    """The latest; a slow page skips those between."""
    over: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Change:
    key: str
    content: dict[str, Any]


class Live:
    """One per web process; everything but the reading itself happens in its event loop."""

    def __init__(self, db: Database, every: float = EVERY_SECONDS) -> None:
        self._db = db
        self._every = every
        self._listeners: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    def make_room(self, reviewer_id: int) -> None:
        """Asked before a page listens.

        Raises
        ------
        Busy
            Too many listen already: the page goes on without.
        """
        mine = sum(one.reviewer_id == reviewer_id for one in self._listeners)
        if mine >= MOST_OF_ONE or len(self._listeners) >= MOST_LISTENERS:
            raise Busy("too many pages listen already; this one shows changes when it is loaded again")

    async def listen(self, listener: Listener, seen: str = "") -> AsyncIterator[Change]:
        """Changes until the reviewer's session ends or the process stops. `seen`: the key of the view that the page has."""
        sent: View | None = None
        self._listeners.add(listener)
        try:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_on())
            while not (listener.over or self._closed):
                await listener.news.wait()
                listener.news.clear()
                view = listener.view
                if view is None or view == sent:
                    continue
                if sent is not None or view.key != seen:
                    yield Change(view.key, view.changes(sent))
                sent = view
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Every stream ends, and none begins."""
        self._closed = True
        for listener in self._listeners:
            listener.news.set()
        if self._reading is not None:
            self._reading.cancel()

    async def _read_on(self) -> None:
        while self._listeners:
            listeners = list(self._listeners)
            try:
                # In a thread of its own kind: those of the requests may all be busy.
                views = await asyncio.to_thread(self._read, listeners)
            except SQLAlchemyError as error:
                log.warning("live_not_read", error=type(error).__name__)
            else:
                for listener, view in zip(listeners, views, strict=True):
                    listener.over = view is None
                    listener.view = view
                    listener.news.set()
            await asyncio.sleep(self._every)

    def _read(self, listeners: Sequence[Listener]) -> list[View | None]:
        with self._db.read() as session:
            return read_views(session, listeners, datetime.now(UTC))


def read_views(session: Session, listeners: Sequence[Listener], now: datetime) -> list[View | None]:
    """What each page shows now, in order; None where the reviewer's session is over."""
    signed_in = auth.still_signed_in(session, {one.token for one in listeners}, now)
    people = {one.reviewer_id for one in listeners}
    wanted = sorted(set().union(*(one.items for one in listeners)))
    items = _items(session, wanted, now)
    veiled = _veiled(session, wanted, people)
    late, unread = overdue(session, people, now), _unread(session, people)
    opened, held = queue.open_items(session), queue.held_items(session, now)
    moved = calibration.moved(session, people, now)
    waiting = {one: {"open": opened + len(moved[one].open), "held": held + moved[one].held} for one in people}
    return [
        View(
            {**waiting[one.reviewer_id], "overdue": late.get(one.reviewer_id, 0), "unread": unread.get(one.reviewer_id, 0)},
            {
                str(key): _shown(items.get(key), one.reviewer_id)
                for key in sorted(one.items)
                if (key, one.reviewer_id) not in veiled
            },
        )
        if one.token in signed_in
        else None
        for one in listeners
    ]


@dataclass(frozen=True, slots=True)
class _Held:
    reviewer_id: int | None
    by: str | None


def _items(session: Session, ids: Sequence[int], now: datetime) -> dict[int, _Held]:
    """The open ones among them."""
    found: dict[int, _Held] = {}
    for some in chunks(ids):
        rows = session.execute(
            select(col(ReviewItem.id), col(ReviewItem.claimed_until), col(ReviewItem.reviewer_id), col(Reviewer.name))
            .join(Reviewer, col(Reviewer.id) == col(ReviewItem.reviewer_id), isouter=True)
            .where(col(ReviewItem.id).in_(some), col(ReviewItem.state) == ItemState.open)
        )
        for key, until, reviewer_id, name in rows:
            held = until is not None and until > now
            found[key] = _Held(reviewer_id if held else None, name if held else None)
    return found


def _shown(item: _Held | None, reviewer_id: int) -> dict[str, Any]:
    if item is None:
        return {"gone": True, "by": None, "mine": False}
    return {"gone": False, "by": item.by, "mine": item.reviewer_id == reviewer_id}


def _veiled(session: Session, ids: Sequence[int], people: Collection[int]) -> set[tuple[int, int]]:
    """Known items that were served to a reviewer again, who must not learn that they are decided."""
    found: set[tuple[int, int]] = set()
    for some in chunks(ids):
        rows = select(col(Calibration.item_id), col(Calibration.reviewer_id)).where(
            col(Calibration.item_id).in_(some), col(Calibration.reviewer_id).in_(people)
        )
        found.update((item_id, reviewer_id) for item_id, reviewer_id in session.execute(rows))
    return found


def overdue(session: Session, people: Collection[int], now: datetime) -> dict[int, int]:
    """How many open items are assigned to each of them and past their time."""
    by = col(ReviewItem.assigned_to)
    late = (by.in_(people), col(ReviewItem.state) == ItemState.open, col(ReviewItem.assigned_until) <= now)
    return dict(session.execute(select(by, func.count()).where(*late).group_by(by)).all())


def _unread(session: Session, people: Collection[int]) -> dict[int, int]:
    by = col(Mention.reviewer_id)
    rows = select(by, func.count()).where(by.in_(people), col(Mention.read_at).is_(None)).group_by(by)
    return dict(session.execute(rows).all())
