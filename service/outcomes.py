"""What became of published corrections: how often their questions were asked since, and how often flagged again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlmodel import Session, col

from service.budget import RAISED
from service.models import Article, ArticleVersion, Exchange, ReviewItem, Verdict, VerdictLabel, Watch, Watched

FLAGGED_AGAIN = "flagged again after the correction"
"""Remark of an item that reopened for that."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A published version of an article. `seen`: exchanges since that asked what it was to answer; `flagged_again` of them."""

    article_id: int
    key: str
    question: str
    version: int
    version_id: int
    item_id: int | None
    published_at: datetime
    seen: int
    flagged_again: int
    reopened_at: datetime | None


def corrections(session: Session, since: datetime | None = None, article_id: int | None = None) -> list[Correction]:
    """Corrections published since then, latest first."""
    wanted = (
        select(
            col(Article.id).label("article_id"), col(Article.key), col(ArticleVersion.question), col(ArticleVersion.version),
            col(ArticleVersion.id).label("version_id"), col(Watch.item_id), col(Watch.published_at),
            func.count(col(Watched.id)).label("seen"),
            func.coalesce(func.sum(case((flagged(), 1), else_=0)), 0).label("flagged_again"), col(Watch.reopened_at),
        )
        .select_from(Watch)
        .join(ArticleVersion, col(ArticleVersion.id) == col(Watch.article_version_id))
        .join(Article, col(Article.id) == col(ArticleVersion.article_id))
        .join(Watched, col(Watched.watch_id) == col(Watch.id), isouter=True)
        .join(Exchange, col(Exchange.id) == col(Watched.exchange_id), isouter=True)
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .group_by(col(Watch.id), col(ArticleVersion.id), col(Article.id))
        .order_by(col(Watch.published_at).desc(), col(ArticleVersion.id).desc())
    )  # fmt: skip
    if since is not None:
        wanted = wanted.where(col(Watch.published_at) >= since)
    if article_id is not None:
        wanted = wanted.where(col(Article.id) == article_id)
    return [Correction(**row._mapping) for row in session.execute(wanted)]


def flagged_again(session: Session, item_id: int, limit: int = 20) -> Sequence[Exchange]:
    """What was asked after the item's correction and flagged again, latest first."""
    found = (
        select(Exchange)
        .join(Watched, col(Watched.exchange_id) == col(Exchange.id))
        .join(Watch, col(Watch.id) == col(Watched.watch_id))
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .where(col(Watch.item_id) == item_id, flagged(), ~col(Exchange.forgotten))
        .order_by(col(Exchange.id).desc())
        .limit(limit)
    )
    return list({one.id: one for one in session.execute(found).scalars()}.values())


def flagged() -> Any:
    """A person called the answer a failure, or, where nobody has looked, the signals do. Over rows of exchanges with their
    verdict, where there is one."""
    nobody = or_(col(Verdict.label).is_(None), col(Verdict.label) == VerdictLabel.unclear)
    return or_(
        and_(nobody, col(Exchange.priority) >= RAISED),
        and_(~nobody, col(Verdict.label) != VerdictLabel.good),
    )
