"""Whether an item's page that was made ahead of time still shows what is there."""

import json
from hashlib import sha256
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from service.models import Article, Comment, Draft, Exchange, Feedback, Opinion, ReviewItem, Turn


def mark_of(session: Session, item_id: int, reviewer_id: int) -> str:
    """The same for as long as the page shows the same: what people and platforms add to an item meanwhile changes it."""
    item = session.get_one(ReviewItem, item_id)
    exchange = session.get_one(Exchange, item.exchange_id)
    draft = session.get(Draft, (item_id, reviewer_id))
    counts: list[Any] = [
        (Comment, col(Comment.item_id) == item_id),
        (Opinion, (col(Opinion.item_id) == item_id) & col(Opinion.withdrawn_at).is_(None)),
        (Turn, (col(Turn.conversation_id) == exchange.conversation_id) & ~col(Turn.removed)),
        (Feedback, (col(Feedback.conversation_id) == exchange.conversation_id) & ~col(Feedback.withdrawn)),
        (Exchange, (col(Exchange.cluster_id) == exchange.cluster_id) & ~col(Exchange.reviewed)),
        (ReviewItem, (col(ReviewItem.cluster_id) == item.cluster_id) & (col(ReviewItem.state) == item.state)),
    ]
    asked = [
        select(what).select_from(table).where(where).scalar_subquery()
        for table, where in counts
        for what in (func.count(), func.max(table.id))
    ]
    seen = session.execute(select(*asked)).one()
    near = [one["article_id"] for one in item.suggestions.get("articles", [])]
    articles = session.execute(
        select(col(Article.id), col(Article.version), col(Article.status))
        .where(col(Article.id).in_(near))
        .order_by(col(Article.id))
    ).all()
    of_item = [item.remark, item.assigned_to, item.disputed, draft.content if draft else None, exchange.scored_at.isoformat()]
    told = json.dumps([*seen, *map(tuple, articles), *of_item], sort_keys=True)
    return sha256(told.encode()).hexdigest()[:16]
