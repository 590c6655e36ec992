"""Conversations into the search index: the worker's part, seconds behind ingest, which stays as fast as without it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlmodel import col

from service.db import Database, insert_into, table_of
from service.models import Conversation, Feedback, Searchable, Turn
from service.search_words import indexed

AT_ONCE = 100
"""Conversations that one transaction indexes: on SQLite ingest waits for it."""


def index_due(db: Database) -> int:
    """Index conversations that changed since search saw them; how many. One that changes meanwhile stays due."""
    with db.read() as session:
        due = session.execute(
            select(col(Conversation.id), col(Conversation.revision), col(Conversation.searchable_revision))
            .where(col(Conversation.searchable_revision) != col(Conversation.revision))
            .order_by(col(Conversation.id))
            .limit(AT_ONCE)
        ).all()
        if not due:
            return 0
        seen = {row.id: row for row in due}
        rows = _rows(session, sorted(seen))
    table, conversations = table_of(Searchable), table_of(Conversation)
    with db.write() as session:
        still = session.execute(
            select(conversations.c.id, conversations.c.revision, conversations.c.searchable_revision)
            .where(conversations.c.id.in_(sorted(seen)))
            .order_by(conversations.c.id)
            .with_for_update(skip_locked=True)
        ).all()
        ours = {row.id for row in still if row == seen[row.id]}
        mine = [row for row in rows if row["conversation_id"] in ours]
        if mine:
            insert = insert_into(session, Searchable)
            changed = {name: insert.excluded[name] for name in table.c.keys() if name != "conversation_id"}  # noqa: SIM118 - columns
            session.execute(insert.on_conflict_do_update(index_elements=["conversation_id"], set_=changed), mine)
        session.execute(
            update(conversations).where(conversations.c.id.in_(sorted(ours))).values(searchable_revision=conversations.c.revision)
        )
    return len(ours)


def _rows(session: Any, ids: Sequence[int]) -> list[dict[str, Any]]:
    """What search is to know of each conversation: its id at the platform, what was said, and what users wrote in ratings."""
    texts: dict[int, list[str]] = {}
    times: dict[int, list[Any]] = {}
    rated: set[int] = set()
    told = session.execute(
        select(col(Turn.conversation_id), col(Turn.text), col(Turn.at))
        .where(col(Turn.conversation_id).in_(ids))
        .order_by(col(Turn.id))
    )
    for conversation_id, text, at in told:
        texts.setdefault(conversation_id, []).append(text)
        if at is not None:
            times.setdefault(conversation_id, []).append(at)
    given = session.execute(
        select(col(Feedback.conversation_id), col(Feedback.comment)).where(
            col(Feedback.conversation_id).in_(ids), ~col(Feedback.withdrawn)
        )
    )
    for conversation_id, comment in given:
        rated.add(conversation_id)
        texts.setdefault(conversation_id, []).append(comment or "")
    found = session.execute(
        select(
            col(Conversation.id),
            col(Conversation.external_id),
            col(Conversation.source),
            col(Conversation.channel),
            col(Conversation.started_at),
            col(Conversation.received_at),
        ).where(col(Conversation.id).in_(ids))
    )
    return [
        {
            "conversation_id": row.id,
            "source": row.source,
            "channel": row.channel,
            "began_at": row.started_at or min(times.get(row.id, [row.received_at])),
            "has_feedback": row.id in rated,
            "words": indexed([row.external_id, *texts.get(row.id, ())]),
        }
        for row in found
    ]
