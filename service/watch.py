"""After a publication: are the questions that it was to answer flagged again? Then the item behind it reopens, once.

What the pages show of it (`corrections`) is in outcomes.py, which needs no vectors.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select, update
from sqlmodel import Session, col

from scoring.encoder import Encoder
from scoring.vectors import gather
from service.db import Database, changed, claim, insert_into
from service.models import (
    Article,
    ArticleStatus,
    ArticleVersion,
    Exchange,
    ItemState,
    Publication,
    PublicationState,
    ReviewItem,
    Verdict,
    Watch,
    Watched,
)
from service.outcomes import FLAGGED_AGAIN, flagged
from service.suggest import SAME_QUESTION
from service.vectors import StoredVectors, vectors_of

log = structlog.get_logger()
WATCHED_FOR = timedelta(days=90)
LOOK_EVERY = timedelta(minutes=1)
LATE = timedelta(minutes=5)
"""Exchanges may become visible in another order than that of their ids: those of the last minutes are looked at again."""
LEASE = timedelta(minutes=5)
MOST_AT_ONCE = 2000


def watch_due(db: Database, encoder: Encoder, now: datetime, limit: int = 200) -> int:
    """Watch what was published since, and look through the exchanges that came in; how many corrections were looked at."""
    with db.read() as session:
        fresh = _published(session, now, limit)
    if fresh:
        with db.write() as session:
            for row in fresh:
                _begin(session, row, now)
    ids, until = claim(db, Watch, limit, now, LEASE)
    if not ids:
        return 0
    with db.read() as session:
        watches = session.execute(select(Watch).where(col(Watch.id).in_(ids)).order_by(col(Watch.id))).scalars().all()
    for source in sorted({one.source or "" for one in watches}):
        _look(db, encoder, [one for one in watches if (one.source or "") == source], until, now)
    return len(ids)


def _published(session: Session, now: datetime, limit: int) -> Sequence[Any]:
    """(version, since when it is out) of corrections that nobody watches yet: made by a verdict, or a later version of such.
    Without any knowledge base, a version is out as soon as it is written."""
    out = (
        select(
            col(Publication.article_version_id).label("version_id"),
            func.min(col(Publication.published_at)).label("published_at"),
        )
        .where(col(Publication.state) == PublicationState.published)
        .group_by(col(Publication.article_version_id))
        .subquery()
    )
    to_go_out = select(col(Publication.id)).where(col(Publication.article_version_id) == col(ArticleVersion.id)).exists()
    earlier = (
        select(col(ArticleVersion.article_id)).join(Watch, col(Watch.article_version_id) == col(ArticleVersion.id)).distinct()
    )
    return session.execute(
        select(ArticleVersion, func.coalesce(out.c.published_at, col(ArticleVersion.changed_at)).label("published_at"))
        .join(out, out.c.version_id == col(ArticleVersion.id), isouter=True)
        .join(Watch, col(Watch.article_version_id) == col(ArticleVersion.id), isouter=True)
        .where(
            col(Watch.id).is_(None),
            col(ArticleVersion.status) == ArticleStatus.active,
            col(ArticleVersion.changed_at) > now - WATCHED_FOR,
            col(ArticleVersion.verdict_id).is_not(None) | col(ArticleVersion.article_id).in_(earlier),
            out.c.version_id.is_not(None) | ~to_go_out,
        )
        .order_by(col(ArticleVersion.id))
        .limit(limit)
    ).all()


def _begin(session: Session, row: Any, now: datetime) -> None:
    """A second worker that sees the same version adds nothing."""
    version: ArticleVersion = row.ArticleVersion
    before = session.execute(
        select(Watch)
        .join(ArticleVersion, col(ArticleVersion.id) == col(Watch.article_version_id))
        .where(col(ArticleVersion.article_id) == version.article_id)
        .order_by(col(Watch.article_version_id).desc())
        .limit(1)
    ).scalar_one_or_none()
    verdict_id = version.verdict_id
    decided: Any = (
        select(Exchange, col(ReviewItem.id).label("item_id"))
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where((col(Verdict.id) == verdict_id) | (col(Verdict.settled_by) == verdict_id))
        .order_by(col(Verdict.settled_by).is_not(None), col(Verdict.id))
    )
    asked = session.execute(decided).all() if verdict_id is not None else []
    if not asked and before is None:
        return
    first = asked[0] if asked else None
    clusters = {one.Exchange.cluster_id for one in asked} | set(before.clusters if before else ())
    questions = (version.question, *version.variants, *(one.Exchange.question.strip() for one in asked))
    seen = select(col(Exchange.id)).where(col(Exchange.created_at) <= row.published_at).order_by(col(Exchange.id).desc())
    session.execute(
        insert_into(session, Watch)
        .values(
            article_version_id=version.id,
            item_id=first.item_id if first else before.item_id if before else None,
            source=first.Exchange.source if first else before.source if before else None,
            questions=list(dict.fromkeys(one for one in questions if one)),
            clusters=sorted(clusters - {None}),
            published_at=row.published_at,
            last_exchange_id=session.execute(seen.limit(1)).scalar() or 0,
            due_at=now,
        )
        .on_conflict_do_nothing(index_elements=["article_version_id"])
    )
    if before is not None:
        session.execute(
            update(Watch).where(col(Watch.id) == before.id, col(Watch.ended_at).is_(None)).values(ended_at=row.published_at)
        )


def _look(db: Database, encoder: Encoder, watches: Sequence[Watch], until: datetime, now: datetime) -> None:
    """Find what was asked since among the exchanges of their source, and reopen what was flagged again."""
    at = func.coalesce(col(Exchange.asked_at), col(Exchange.created_at)).label("at")
    with db.read() as session:
        rows = session.execute(
            select(col(Exchange.id), col(Exchange.cluster_id), col(Exchange.question_hash), col(Exchange.created_at), at)
            .where(
                col(Exchange.id) > min(one.last_exchange_id for one in watches), col(Exchange.source) == (watches[0].source or "")
            )
            .order_by(col(Exchange.id))
            .limit(MOST_AT_ONCE)
        ).all()
        paused = (
            select(col(Watch.id))
            .join(ArticleVersion, col(ArticleVersion.id) == col(Watch.article_version_id))
            .join(Article, col(Article.id) == col(ArticleVersion.article_id))
            .where(col(Watch.id).in_([one.id for one in watches]), col(Article.status) != ArticleStatus.active)
        )
        withdrawn = set(session.execute(paused).scalars())
    texts = gather([text for one in watches for text in one.questions], encoder, StoredVectors(db))
    asked = vectors_of(db, encoder.digest, [bytes(row.question_hash) for row in rows], encoder.dimensions)
    surely = max((row.id for row in rows if row.created_at <= now - LATE), default=0)
    more = len(rows) == MOST_AT_ONCE
    with db.write() as session:
        for one in watches:
            if one.id in withdrawn:  # nobody is told so any more
                stop = update(Watch).where(col(Watch.id) == one.id, col(Watch.claimed_until) == until)
                session.execute(stop.values(ended_at=one.ended_at or now, due_at=None, claimed_until=None))
                continue
            alike = (asked @ texts.of(one.questions).T).max(axis=1) >= SAME_QUESTION if len(rows) and one.questions else ()
            hits = [
                row.id
                for i, row in enumerate(rows)
                if row.at > one.published_at
                and (one.ended_at is None or row.at <= one.ended_at)
                and (row.cluster_id in one.clusters or alike[i])
            ]
            _remember(session, one, hits, max(one.last_exchange_id, rows[-1].id if more else surely), until, now, more)
    log.info("corrections_watched", corrections=len(watches), exchanges=len(rows))


def _remember(session: Session, watch: Watch, hits: Sequence[int], last: int, until: datetime, now: datetime, more: bool) -> None:
    over = watch.published_at <= now - WATCHED_FOR or (watch.ended_at is not None and watch.ended_at <= now - LATE and not more)
    ours = (
        update(Watch)
        .where(col(Watch.id) == watch.id, col(Watch.claimed_until) == until)
        .values(last_exchange_id=last, claimed_until=None, due_at=None if over else now if more else now + LOOK_EVERY)
    )
    if changed(session, ours) == 0:  # another worker goes on with it
        return
    if hits:
        insert = insert_into(session, Watched).on_conflict_do_nothing(index_elements=["watch_id", "exchange_id"])
        session.execute(insert, [{"watch_id": watch.id, "exchange_id": one} for one in hits])
    if watch.reopened_at is None and watch.item_id is not None:
        _reopen(session, watch, now)


def _reopen(session: Session, watch: Watch, now: datetime) -> None:
    """The item is open again if anything was flagged. Its verdict and its article stand until somebody decides it anew."""
    worst = session.execute(
        select(func.max(col(Exchange.priority)))
        .join(Watched, col(Watched.exchange_id) == col(Exchange.id))
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .where(col(Watched.watch_id) == watch.id, flagged())
    ).scalar()
    if worst is None:
        return
    session.execute(update(Watch).where(col(Watch.id) == watch.id).values(reopened_at=now))
    forgotten = select(col(Exchange.id)).where(col(Exchange.id) == col(ReviewItem.exchange_id), col(Exchange.forgotten))
    session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.id) == watch.item_id, col(ReviewItem.state) == ItemState.done, ~forgotten.exists())
        .values(
            state=ItemState.open,
            reviewer_id=None,
            claimed_until=None,
            decided_at=None,
            priority=worst,
            remark=FLAGGED_AGAIN,
        )
    )
    log.info("item_reopened", item_id=watch.item_id, watch_id=watch.id)
