"""Articles, their versions, and their way to the knowledge bases.

A change writes the article, its version and one publication per sink in one transaction; the worker pushes later.
"""

import base64
import binascii
import re
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, text, update
from sqlmodel import Session, col

from connectors.articles import Article as Outgoing
from connectors.articles import Sink
from connectors.errors import Reject, Retry
from service.db import Database, changed, claim
from service.errors import Conflict, Invalid, NotFound
from service.models import Article, ArticleStatus, ArticleVersion, Publication, PublicationState

log = structlog.get_logger()
PUSH_LEASE = timedelta(minutes=5)
BACKOFF = [timedelta(seconds=s) for s in (5, 30, 120, 600, 3600, 3600 * 4, 3600 * 12, 3600 * 24, 3600 * 48)]
# Any number, the same in every process: holds article changes of all processes in one line (see _in_order).
_ARTICLE_LOCK = 0x7452_6961


@dataclass(frozen=True, slots=True)
class Content:
    """What an article says."""

    question: str
    answer: str
    variants: tuple[str, ...] = ()
    intent: str | None = None
    status: ArticleStatus = ArticleStatus.active


def save_article(
    session: Session,
    content: Content,
    sinks: Sequence[str],
    now: datetime,
    origin: str,
    article_id: int | None = None,
    expected_version: int | None = None,
    key: str | None = None,
    verdict_id: int | None = None,
    reviewer_id: int | None = None,
) -> Article:
    """Make the article, or give the existing one its next version, with a publication per sink.

    Raises
    ------
    Invalid
        Question or answer is empty.
    NotFound
        There is no article `article_id`.
    Conflict
        The article is no longer at `expected_version`.
    """
    if not content.question.strip() or not content.answer.strip():
        raise Invalid("an article needs a question and an answer")
    _in_order(session)
    fields: dict[str, Any] = {
        "question": content.question,
        "variants": list(content.variants),
        "answer": content.answer,
        "intent": content.intent,
        "status": content.status,
    }
    if article_id is None:
        article = Article(key=key or _new_key(content.question), version=1, updated_at=now, **fields)
        session.add(article)
    else:
        found = session.get(Article, article_id, populate_existing=True, with_for_update=True)
        if found is None:
            raise NotFound(f"there is no article {article_id}")
        article = found
        if expected_version is not None and article.version != expected_version:
            raise Conflict(f"somebody changed the article meanwhile: it is at version {article.version}, not {expected_version}")
        if all(getattr(article, name) == value for name, value in fields.items()):
            return article
        for name, value in fields.items():
            setattr(article, name, value)
        article.version += 1
        article.updated_at = now
    session.flush()
    version = ArticleVersion(
        article_id=article.id or 0,
        version=article.version,
        origin=origin,
        verdict_id=verdict_id,
        reviewer_id=reviewer_id,
        changed_at=now,
        **fields,
    )
    session.add(version)
    session.flush()
    _publish(session, version, sinks, now)
    return article


def withdraw(session: Session, verdict_id: int, sinks: Sequence[str], now: datetime, reviewer_id: int) -> None:
    """Take back what a verdict did to articles: the version before it counts again, or, where there is none, the article pauses.

    Articles that were changed again since stay as they are.
    """
    done = session.execute(select(ArticleVersion).where(col(ArticleVersion.verdict_id) == verdict_id)).scalars().all()
    for version in done:
        article = session.get_one(Article, version.article_id)
        if article.version != version.version:
            continue
        before = session.execute(
            select(ArticleVersion).where(
                col(ArticleVersion.article_id) == article.id, col(ArticleVersion.version) == version.version - 1
            )
        ).scalar_one_or_none()
        last = before or version
        content = Content(
            question=last.question,
            answer=last.answer,
            variants=tuple(last.variants),
            intent=last.intent,
            status=ArticleStatus(before.status) if before else ArticleStatus.paused,
        )
        save_article(session, content, sinks, now, origin="withdrawn", article_id=article.id, reviewer_id=reviewer_id)


def article_by_key(session: Session, key: str) -> Article:
    """The article.

    Raises
    ------
    NotFound
        There is none under that key.
    """
    found: Article | None = session.execute(select(Article).where(col(Article.key) == key)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"there is no article '{key}'")
    return found


def find_articles(
    session: Session, search: str | None = None, status: ArticleStatus | None = None, limit: int = 100, offset: int = 0
) -> list[Article]:
    """Articles whose question or answer has every word of `search`, the latest changed first."""
    wanted = select(Article).order_by(col(Article.updated_at).desc(), col(Article.id).desc())
    for word in (search or "").split():
        wanted = wanted.where(
            col(Article.question).icontains(word, autoescape=True) | col(Article.answer).icontains(word, autoescape=True)
        )
    if status is not None:
        wanted = wanted.where(col(Article.status) == status)
    return list(session.execute(wanted.limit(limit).offset(offset)).scalars())


def _publish(session: Session, version: ArticleVersion, sinks: Sequence[str], now: datetime) -> None:
    """One publication per sink; older versions that are still waiting are superseded."""
    if version.status == ArticleStatus.draft:
        return
    session.execute(
        update(Publication)
        .where(
            col(Publication.article_id) == version.article_id,
            col(Publication.state).in_([PublicationState.pending, PublicationState.failed]),
        )
        .values(state=PublicationState.cancelled, due_at=None)
    )
    for sink in sinks:
        session.add(
            Publication(
                article_id=version.article_id,
                article_version_id=version.id or 0,
                sink=sink,
                key=f"{version.article_id}-{version.version}-{sink}",
                state=PublicationState.pending,
                due_at=now,
            )
        )


def _in_order(session: Session) -> None:
    """From here to the commit only we change articles: version ids become visible in their order, so that the feed's
    cursor never passes one that is not there yet. SQLite's single writer gives that anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ARTICLE_LOCK})


def _new_key(question: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", question).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", ascii_only)[:8]
    return "-".join([*words, secrets.token_hex(3)])[:80]


# --- the feed -----------------------------------------------------------------------------------------------------


def changes_after(session: Session, cursor: str | None, limit: int) -> tuple[list[tuple[Article, ArticleVersion]], str, bool]:
    """The article versions after the cursor in their order, the cursor after them, and whether there are more.

    Raises
    ------
    Invalid
        The cursor is none of ours.
    """
    after = _read_cursor(cursor)
    rows = session.execute(
        select(Article, ArticleVersion)
        .join(Article, col(Article.id) == col(ArticleVersion.article_id))
        .where(col(ArticleVersion.id) > after, col(ArticleVersion.status) != ArticleStatus.draft)
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


# --- pushing ------------------------------------------------------------------------------------------------------


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
