"""Forgetting on request: what would go, letting it go, and lifting what keeps it from coming back.

A forgotten conversation's row stays, without words: source, the platform's id, and when. While it is there, whatever is
told of the conversation again is passed over.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from service.db import Database, chunks
from service.errors import Conflict, Invalid, NotFound
from service.forgetting.bodies import bodies_naming, forget_bodies
from service.forgetting.forget import forget
from service.forgetting.knowledge import users_words
from service.forgetting.users import conversations_of_user
from service.models import (
    Comment,
    Conversation,
    Draft,
    Example,
    Exchange,
    Feedback,
    ForgottenBecause,
    ItemState,
    ReviewItem,
    Turn,
    Verdict,
)

AT_ONCE = 20
"""Conversations that one transaction forgets."""
MOST_LISTED = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose words: one conversation of a source, or every conversation that names a user (of one source, where it is given)."""

    source: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None

    def check(self) -> None:
        """Raise Invalid unless it says exactly one of both."""
        if bool(self.conversation_id) == bool(self.user_id):
            raise Invalid("give either a conversation or a user")
        if self.conversation_id and not self.source:
            raise Invalid("source: which source's conversation? Ids of conversations are unique within a source only")


@dataclass(frozen=True, slots=True)
class Going:
    """What goes, or went. `verdicts` stay as labels, without what was written with them. `articles`: (id, key) of those whose
    question is in the user's own words: they stay, and a person can reword them."""

    conversations: list[tuple[str, str]]
    """(source, the platform's id)"""
    turns: int = 0
    ratings: int = 0
    exchanges: int = 0
    open_items: int = 0
    verdicts: int = 0
    drafts: int = 0
    comments: int = 0
    examples: int = 0
    bodies: int = 0
    articles: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A conversation that is kept from coming back. `id` of its page."""

    id: int
    source: str
    conversation_id: str
    forgotten_at: datetime
    because: str


def foresee(db: Database, wanted: Wanted) -> Going:
    """What forgetting would take; nothing is changed.

    Raises
    ------
    Invalid
        It says neither or both of a conversation and a user, or a conversation without its source.
    NotFound
        There is no such conversation, or none that names the user.
    """
    rows = _found(db, wanted)
    return _going(db, rows, _bodies(db, rows, wanted))


def erase(db: Database, wanted: Wanted, now: datetime) -> Going:
    """Forget them, a few in a transaction; what went. Again, it takes what is left; what went before is not counted.

    Raises
    ------
    Invalid, NotFound
        As `foresee`.
    """
    rows = _found(db, wanted)
    bodies = _bodies(db, rows, wanted)
    going = _going(db, rows, bodies)
    # First, while what names them is still known: whoever is stopped here begins anew.
    with db.write() as session:
        forget_bodies(session, bodies)
    for part in chunks([row.id for row in rows], AT_ONCE):
        with db.write() as session:
            forget(session, part, ForgottenBecause.request, now)
    return going


def lift(db: Database, source: str, conversation_id: str) -> None:
    """Let the platform tell the conversation again: what it tells from now on is taken in. Nothing comes back by itself.

    Raises
    ------
    NotFound
        There is no such conversation.
    Conflict
        It is not forgotten.
    """
    with db.write() as session:
        mine = col(Conversation.source) == source, col(Conversation.external_id) == conversation_id
        row = session.execute(
            select(col(Conversation.id), col(Conversation.forgotten_at)).where(*mine).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound(f"source '{source}' has no conversation '{conversation_id}'")
        if row.forgotten_at is None:
            raise Conflict(f"conversation '{conversation_id}' is not forgotten")
        # Emptied rows would keep what is told again out: what they hold is told with it.
        session.execute(delete(Turn).where(col(Turn.conversation_id) == row.id, col(Turn.removed)))
        session.execute(delete(Feedback).where(col(Feedback.conversation_id) == row.id, col(Feedback.forgotten)))
        items = select(col(ReviewItem.id)).where(col(ReviewItem.exchange_id) == col(Exchange.id))
        session.execute(
            delete(Exchange)
            .where(col(Exchange.conversation_id) == row.id, col(Exchange.forgotten), ~items.exists())
            .execution_options(synchronize_session=False)
        )
        revision = col(Conversation.revision) + 1
        session.execute(
            update(Conversation)
            .where(col(Conversation.id) == row.id)
            .values(forgotten_at=None, forgotten_because=None, revision=revision, searchable_revision=revision)
            .execution_options(synchronize_session=False)
        )


def forgotten(
    session: Session, because: ForgottenBecause | None = None, source: str | None = None, limit: int = 100, offset: int = 0
) -> list[Forgotten]:
    """Conversations that are forgotten, the latest first."""
    wanted = select(
        col(Conversation.id), col(Conversation.source), col(Conversation.external_id), col(Conversation.forgotten_at),
        col(Conversation.forgotten_because),
    ).where(col(Conversation.forgotten_at).is_not(None))  # fmt: skip
    if because is not None:
        wanted = wanted.where(col(Conversation.forgotten_because) == because)
    if source is not None:
        wanted = wanted.where(col(Conversation.source) == source)
    order = col(Conversation.forgotten_at).desc(), col(Conversation.id).desc()
    rows = session.execute(wanted.order_by(*order).limit(min(limit, MOST_LISTED)).offset(offset))
    return [Forgotten(*row) for row in rows]


def _found(db: Database, wanted: Wanted) -> Sequence[Any]:
    """Rows (id, source, external_id, forgotten_because) of the conversations."""
    wanted.check()
    columns = (
        col(Conversation.id), col(Conversation.source), col(Conversation.external_id), col(Conversation.forgotten_because),
    )  # fmt: skip
    with db.read() as session:
        if wanted.conversation_id:
            mine = col(Conversation.source) == wanted.source, col(Conversation.external_id) == wanted.conversation_id
            rows: list[Any] = list(session.execute(select(*columns).where(*mine)).all())
            if not rows:
                raise NotFound(f"source '{wanted.source}' has no conversation '{wanted.conversation_id}'")
            return rows
        ids = conversations_of_user(session, wanted.user_id or "", wanted.source)
        rows = []
        for part in chunks(ids):
            rows += session.execute(select(*columns).where(col(Conversation.id).in_(part)).order_by(col(Conversation.id)))
    if not rows:
        raise NotFound(f"no conversation names a user '{wanted.user_id}'")
    return rows


def _going(db: Database, rows: Sequence[Any], bodies: Sequence[int]) -> Going:
    named = [(row.source, row.external_id) for row in rows]
    counts: Counter[str] = Counter()
    articles: dict[int, str] = {}
    with db.read() as session:
        for part in chunks([row.id for row in rows]):
            exchanges = select(col(Exchange.id)).where(col(Exchange.conversation_id).in_(part), ~col(Exchange.forgotten))
            ids = list(session.execute(exchanges).scalars())
            items = select(col(ReviewItem.id)).where(col(ReviewItem.exchange_id).in_(exchanges))
            verdicts = select(col(Verdict.id)).where(col(Verdict.item_id).in_(items))
            for name, table, where in (
                ("turns", Turn, (col(Turn.conversation_id).in_(part), ~col(Turn.removed))),
                ("ratings", Feedback, (col(Feedback.conversation_id).in_(part), ~col(Feedback.forgotten))),
                ("open_items", ReviewItem, (col(ReviewItem.id).in_(items), col(ReviewItem.state) == ItemState.open)),
                ("verdicts", Verdict, (col(Verdict.item_id).in_(items), col(Verdict.withdrawn_at).is_(None))),
                ("drafts", Draft, (col(Draft.item_id).in_(items),)),
                ("comments", Comment, (col(Comment.item_id).in_(items),)),
                ("examples", Example, (col(Example.verdict_id).in_(verdicts),)),
            ):
                counts[name] += session.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
            counts["exchanges"] += len(ids)
            articles |= {one.id or 0: one.key for one in users_words(session, ids)}
    return Going(named, **counts, bodies=len(bodies), articles=tuple(sorted(articles.items())))


def _bodies(db: Database, rows: Sequence[Any], wanted: Wanted) -> list[int]:
    found: list[int] = []
    for source in sorted({row.source for row in rows}):
        names = [row.external_id for row in rows if row.source == source] + ([wanted.user_id] if wanted.user_id else [])
        found += bodies_naming(db, source, names)
    return found
