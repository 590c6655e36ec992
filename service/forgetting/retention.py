"""The worker's step: forget conversations in which nothing was said for `retention_days`, and scrub the file after it."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlmodel import Session, col

from service.db import Database
from service.forgetting.bodies import forget_old_bodies
from service.forgetting.forget import forget
from service.forgetting.scrub import scrub
from service.models import Conversation, ForgottenBecause

log = structlog.get_logger()
AT_ONCE = 20
"""Conversations that one transaction forgets: on SQLite ingest waits for it."""
BODIES_EVERY = timedelta(minutes=1)
TRY_AGAIN = timedelta(minutes=1)


class Retention:
    """One per worker; any number may run. Killed at any moment, what is left is due as before. `days` None: for ever."""

    def __init__(self, db: Database, days: float | None) -> None:
        self._db = db
        self._days = days
        self._scrubbed: datetime | None = None
        """The latest forgetting that the file was scrubbed after."""
        self._scrub_at: datetime | None = None
        self._bodies_at: datetime | None = None

    def step(self, now: datetime) -> int:
        """Forget what is due, a few at a time, and scrub once nothing is; how many conversations and bodies."""
        done = self._forget_due(now) if self._days is not None else 0
        if not done:
            self._scrub_due(now)
        return done

    def _forget_due(self, now: datetime) -> int:
        assert self._days is not None
        before = now - timedelta(days=self._days)
        bodies = 0
        if self._bodies_at is None or now >= self._bodies_at:
            bodies = forget_old_bodies(self._db, before)
            self._bodies_at = None if bodies else now + BODIES_EVERY
        due = (
            select(col(Conversation.id))
            .where(
                col(Conversation.forgotten_at).is_(None),
                col(Conversation.last_event_at) <= before,
                # Whoever scores it now would store its vectors once more: later.
                col(Conversation.claimed_until).is_(None) | (col(Conversation.claimed_until) <= now),
            )
            .order_by(col(Conversation.last_event_at))
            .limit(AT_ONCE)
        )
        with self._db.read() as session:  # the usual answer is "nothing": look without the write lock first
            if session.execute(due.limit(1)).first() is None:
                return bodies
        with self._db.write() as session:
            ids = list(session.execute(due.with_for_update(skip_locked=True)).scalars())
            forgotten = forget(session, ids, ForgottenBecause.age, now)
        log.info("conversations_forgotten", count=forgotten)
        return bodies + forgotten

    def _scrub_due(self, now: datetime) -> None:
        if not self._db.is_sqlite or (self._scrub_at is not None and now < self._scrub_at):
            return
        with self._db.read() as session:
            latest = _latest(session)
        if latest is not None and latest != self._scrubbed:
            if scrub(self._db):
                self._scrubbed, self._scrub_at = latest, None
            else:
                self._scrub_at = now + TRY_AGAIN


def _latest(session: Session) -> datetime | None:
    found: datetime | None = session.execute(
        select(func.max(col(Conversation.forgotten_at))).where(col(Conversation.forgotten_at).is_not(None))
    ).scalar()
    return found
