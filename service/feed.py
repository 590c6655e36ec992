"""The feed of articles: their versions in order, for knowledge bases that would rather pull than be pushed to."""

import base64
import binascii
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session, col

from service.errors import Invalid
from service.models import Article, ArticleStatus, ArticleVersion, Verdict


def changes_after(
    session: Session, cursor: str | None, limit: int, held_from: datetime | None = None
) -> tuple[list[tuple[Article, ArticleVersion]], str, bool]:
    """The article versions after the cursor in their order, the cursor after them, and whether there are more.

    A version that a verdict made after `held_from` waits, for the verdict may be undone; those after it wait with it, for the
    cursor passes none.

    Raises
    ------
    Invalid
        The cursor is none of ours.
    """
    after = _read_cursor(cursor)
    settled = []
    if held_from is not None:
        waiting = (
            select(func.min(col(ArticleVersion.id)))
            .join(Verdict, col(Verdict.id) == col(ArticleVersion.verdict_id))
            .where(col(Verdict.decided_at) > held_from)
        )
        first = session.execute(waiting).scalar_one()
        settled = [col(ArticleVersion.id) < first] if first is not None else []
    rows = session.execute(
        select(Article, ArticleVersion)
        .join(Article, col(Article.id) == col(ArticleVersion.article_id))
        .where(col(ArticleVersion.id) > after, col(ArticleVersion.status) != ArticleStatus.draft, *settled)
        .order_by(col(ArticleVersion.id))
        .limit(limit + 1)
    ).all()
    page = [(article, version) for article, version in rows[:limit]]
    last = page[-1][1].id if page else after
    return page, write_cursor(last or 0), len(rows) > limit


def write_cursor(version_id: int) -> str:
    return base64.urlsafe_b64encode(f"articles:{version_id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        name, _, number = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode().partition(":")
        if name != "articles" or not number.isascii() or not number.isdigit() or len(number) > 18:
            raise ValueError(cursor)
        return int(number)
    except (ValueError, binascii.Error) as error:
        raise Invalid("after: not a cursor of this feed; leave it out to start from the beginning") from error
