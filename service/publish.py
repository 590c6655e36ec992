"""Publications on their way: pushed to each knowledge base by the worker, tried again later, never lost."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlmodel import Session, col

from connectors.articles import Article as Outgoing
from connectors.articles import Sink
from connectors.errors import Reject, Retry
from service.articles import Content, article_by_key, changes_after, find_articles, save_article, withdraw, write_cursor  # noqa: F401
from service.db import Database, changed, claim
from service.errors import Conflict
from service.models import Article, ArticleStatus, ArticleVersion, Publication, PublicationState

log = structlog.get_logger()
PUSH_LEASE = timedelta(minutes=5)
BACKOFF = [timedelta(seconds=s) for s in (5, 30, 120, 600, 3600, 3600 * 4, 3600 * 12, 3600 * 24, 3600 * 48)]


def push_due(db: Database, sinks: Mapping[str, Sink], now: datetime, limit: int = 20) -> int:
    """Push publications that are due, one by one; how many were handled. A sink's trouble delays only its own."""
    ids, until = claim(db, Publication, limit, now, PUSH_LEASE)
    for publication_id in ids:
        with db.read() as session:
            publication, version, article = session.execute(
                select(Publication, ArticleVersion, Article)
                .join(ArticleVersion, col(ArticleVersion.id) == col(Publication.article_version_id))
                .join(Article, col(Article.id) == col(Publication.article_id))
                .where(col(Publication.id) == publication_id)
            ).one()
        outcome = _push(publication, outgoing(article, version), sinks.get(publication.sink), now)
        with db.write() as session:
            mine = (
                update(Publication)
                .where(col(Publication.id) == publication_id, col(Publication.claimed_until) == until)
                .values(claimed_until=None, **outcome)
            )
            # Superseded while we pushed: the newer version's own push puts it right.
            session.execute(mine.where(col(Publication.state) == PublicationState.pending))
        log.info("publication_handled", publication_id=publication_id, sink=publication.sink, state=str(outcome["state"]))
    return len(ids)


def _push(publication: Publication, article: Outgoing, sink: Sink | None, now: datetime) -> dict[str, object]:
    attempts = publication.attempts + 1
    try:
        if sink is None:
            raise Reject(f"the sink '{publication.sink}' is not configured")
        receipt = sink.upsert(article, publication.key)
        return {
            "state": PublicationState.published,
            "receipt": receipt.reference,
            "published_at": now,
            "attempts": attempts,
            "due_at": None,
            "error": None,
        }
    except Reject as error:
        state = PublicationState.conflict if error.conflict else PublicationState.failed
        return {"state": state, "error": error.reason, "attempts": attempts, "due_at": None}
    except Retry as error:
        again = next_attempt(attempts, now, error.after)
        return {
            "state": PublicationState.pending if again else PublicationState.failed,
            "error": error.reason,
            "attempts": attempts,
            "due_at": again,
        }


def next_attempt(attempts: int, now: datetime, hint: timedelta | None = None) -> datetime | None:
    """When to try again after so many attempts, not before the other side's hint; None to give up."""
    if attempts > len(BACKOFF):
        return None
    return now + max(BACKOFF[attempts - 1], hint or timedelta())


def try_again(session: Session, publication_id: int, now: datetime) -> None:
    """Put a failed publication back in line.

    Raises
    ------
    Conflict
        It is not a failed one.
    """
    again = (
        update(Publication)
        .where(
            col(Publication.id) == publication_id,
            col(Publication.state).in_([PublicationState.failed, PublicationState.conflict]),
        )
        .values(state=PublicationState.pending, due_at=now, attempts=0)
    )
    if changed(session, again) == 0:
        raise Conflict(f"publication {publication_id} is not waiting for a new try")


def outgoing(article: Article, version: ArticleVersion) -> Outgoing:
    """The version as knowledge bases see it."""
    return Outgoing(
        key=article.key,
        version=version.version,
        question=version.question,
        variants=tuple(version.variants),
        answer=version.answer,
        intent=version.intent,
        active=version.status == ArticleStatus.active,
        changed_at=version.changed_at,
    )
