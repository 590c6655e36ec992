"""Knowledge bases: publications are pushed to each, tried again later, never lost; what changed there is pulled back."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select, update
from sqlmodel import Session, col

from connectors.articles import Article as Outgoing
from connectors.articles import Change, Sink
from connectors.errors import Reject, Retry
from service.articles import Content, save_article
from service.db import Database, changed, claim, insert_into
from service.errors import Conflict, TriageError
from service.models import Article, ArticleStatus, ArticleVersion, Publication, PublicationState, SinkCursor

log = structlog.get_logger()
PUSH_LEASE = timedelta(minutes=5)
PULL_EVERY = timedelta(seconds=30)
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
        return _later(attempts, now, error.reason, error.after)
    except Exception as error:  # noqa: BLE001 - a defect of one sink must not keep the others waiting
        return _later(attempts, now, f"the sink failed unexpectedly ({type(error).__name__})", None)


def _later(attempts: int, now: datetime, reason: str, hint: timedelta | None) -> dict[str, object]:
    again = next_attempt(attempts, now, hint)
    state = PublicationState.pending if again else PublicationState.failed
    return {"state": state, "error": reason, "attempts": attempts, "due_at": again}


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


def pull_due(db: Database, sinks: Mapping[str, Sink], now: datetime) -> int:
    """Take over what people changed in the knowledge bases since last time; how many articles.

    A change of the version we have is the article's next version, everywhere. One that started from an older version
    is a conflict for a person: nothing is overwritten on either side.
    """
    taken = 0
    for name, sink in sorted(sinks.items()):
        with db.read() as session:
            bookmark = session.get(SinkCursor, name)
        if bookmark is not None and bookmark.due_at > now:
            continue
        cursor = bookmark.cursor if bookmark else None
        changes: Sequence[Change] = ()
        try:
            changes, cursor = sink.changes(cursor)
        except (Reject, Retry) as error:
            log.warning("sink_not_read", sink=name, reason=error.reason)
        with db.write() as session:
            for change in changes:
                try:
                    taken += _take_over(session, name, change, list(sinks), now)
                except TriageError as error:  # an empty question, say: it waits there until somebody mends it
                    log.warning("change_not_taken", sink=name, article=change.article.key, reason=str(error))
            row = insert_into(session, SinkCursor).values(sink=name, cursor=cursor, due_at=now + PULL_EVERY)
            session.execute(
                row.on_conflict_do_update(
                    index_elements=["sink"], set_={"cursor": row.excluded.cursor, "due_at": row.excluded.due_at}
                )
            )
    return taken


def _take_over(session: Session, sink: str, change: Change, sinks: list[str], now: datetime) -> bool:
    theirs = change.article
    ours: Article | None = session.execute(select(Article).where(col(Article.key) == theirs.key)).scalar_one_or_none()
    if ours is not None and ours.version != change.base_version:
        told = f"edited there from version {change.base_version or 'none'}, here it is at {ours.version}: decide which counts"
        latest = select(func.max(col(Publication.id))).where(
            col(Publication.article_id) == ours.id, col(Publication.sink) == sink
        )
        session.execute(
            update(Publication)
            .where(col(Publication.id) == latest.scalar_subquery())
            .values(state=PublicationState.conflict, error=told, due_at=None)
        )
        log.warning("article_conflict", sink=sink, article=theirs.key)
        return False
    status = ArticleStatus.active if theirs.active else ArticleStatus.paused
    content = Content(theirs.question, theirs.answer, theirs.variants, theirs.intent, status)
    save_article(session, content, sinks, now, f"sink {sink}", ours.id if ours else None, key=theirs.key)
    log.info("article_taken_over", sink=sink, article=theirs.key)
    return True


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
