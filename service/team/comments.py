"""What reviewers tell each other about an item, and whom they name with @."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from service import calibration
from service.db import changed, insert_into
from service.errors import Invalid, NotFound
from service.forgetting.forget import refuse_forgotten
from service.models import Comment, ItemState, Mention, Opinion, OpinionKind, Reviewer, ReviewItem

MOST_TEXT = 5000


@dataclass(frozen=True, slots=True)
class Said:
    comment: Comment
    by: str


@dataclass(frozen=True, slots=True)
class Named:
    """A comment that names the reader."""

    comment: Comment
    by: str
    read_at: datetime | None


def add_comment(session: Session, item_id: int, reviewer_id: int, text: str, key: str, now: datetime) -> int:
    """The comment's id; whoever it names finds it under their mentions. The same `key` again stores nothing twice.

    Raises
    ------
    Invalid
        The text is empty or too long.
    NotFound
        There is no such item.
    Gone
        Its conversation is forgotten.
    """
    said = text.strip()
    if not said or len(said) > MOST_TEXT:
        raise Invalid(f"text: write 1 to {MOST_TEXT} characters")
    if session.get(ReviewItem, item_id) is None:
        raise NotFound(f"there is no item {item_id}")
    refuse_forgotten(session, item_id)
    insert = insert_into(session, Comment).values(item_id=item_id, reviewer_id=reviewer_id, key=key, text=said, at=now)
    added = session.execute(insert.on_conflict_do_nothing().returning(col(Comment.id))).scalar()
    if added is None:
        same = (col(Comment.item_id) == item_id, col(Comment.reviewer_id) == reviewer_id, col(Comment.key) == key)
        return int(session.execute(select(col(Comment.id)).where(*same)).scalar_one())
    people = {
        name: key_ for key_, name in session.execute(select(col(Reviewer.id), col(Reviewer.name)).where(col(Reviewer.active)))
    }
    for name in names_in(said, list(people)):
        if people[name] != reviewer_id:
            session.add(Mention(comment_id=added, reviewer_id=people[name]))
    return int(added)


def names_in(text: str, names: list[str]) -> list[str]:
    """Those of the names that stand in the text after an @, longer names before shorter ones that they begin with."""
    found: dict[str, None] = {}
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    by_case = {name.casefold(): name for name in names}
    for match in re.finditer(rf"(?<!\w)@({known})(?!\w)", text, re.IGNORECASE) if known else ():
        if (name := by_case.get(match[1].casefold())) is not None:
            found[name] = None
    return list(found)


def comments_of(session: Session, item_id: int, reviewer_id: int) -> list[Said]:
    """What this reviewer may read about the item, the earliest first.

    Not what those wrote who gave their opinion already, while this reviewer's is still to come; and of a known item that they
    got unknowing, only what they wrote themselves.
    """
    rows = session.execute(
        select(Comment, col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(Comment.reviewer_id))
        .where(col(Comment.item_id) == item_id)
        .order_by(col(Comment.id))
    ).all()
    item = session.get(ReviewItem, item_id)
    if not rows or item is None:
        return []
    hidden: set[int] = set()
    if calibration.veil(session, item, reviewer_id) is not None:
        hidden = {comment.reviewer_id for comment, _ in rows} - {reviewer_id}
    elif item.state == ItemState.open and not item.disputed:
        given = select(col(Opinion.reviewer_id)).where(
            col(Opinion.item_id) == item_id, col(Opinion.kind) == OpinionKind.review, col(Opinion.withdrawn_at).is_(None)
        )
        judged = set(session.execute(given).scalars())
        hidden = set() if reviewer_id in judged else judged
    return [Said(comment, name) for comment, name in rows if comment.reviewer_id not in hidden]


def mentions_of(session: Session, reviewer_id: int, limit: int = 100) -> list[Named]:
    """Comments that name the reviewer, the latest first."""
    rows = session.execute(
        select(Comment, col(Reviewer.name), col(Mention.read_at))
        .join(Mention, col(Mention.comment_id) == col(Comment.id))
        .join(Reviewer, col(Reviewer.id) == col(Comment.reviewer_id))
        .where(col(Mention.reviewer_id) == reviewer_id)
        .order_by(col(Comment.id).desc())
        .limit(limit)
    ).all()
    return [Named(comment, name, read_at) for comment, name, read_at in rows]


def unread(session: Session, reviewer_id: int) -> int:
    waiting = select(func.count()).where(col(Mention.reviewer_id) == reviewer_id, col(Mention.read_at).is_(None))
    return int(session.execute(waiting).scalar_one())


def mark_read(session: Session, reviewer_id: int, now: datetime, comment_id: int | None = None) -> int:
    """The mention, or all of the reviewer's, are read; how many."""
    mine = update(Mention).where(col(Mention.reviewer_id) == reviewer_id, col(Mention.read_at).is_(None))
    if comment_id is not None:
        mine = mine.where(col(Mention.comment_id) == comment_id)
    return changed(session, mine.values(read_at=now))
