"""Articles: one entry with its versions. A change writes the article, the version and a publication per sink at once.

Pushing the publications is another job (publish.py); knowledge bases that would rather pull read the feed of versions (feed.py).
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, cast, delete, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from service.errors import Conflict, Invalid, NotFound
from service.models import Article, ArticleStatus, ArticleVersion, Publication, PublicationState, Reviewer, Verdict

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
    due_at: datetime | None = None,
) -> Article:
    """Make the article, or give the existing one its next version, with a publication per sink, due now or at `due_at`.

    Raises
    ------
    Invalid
        Question or answer is empty.
    NotFound
        There is no article `article_id`.
    Conflict
        The article is no longer at `expected_version`, or there is one under that key.
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
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"there is an article '{key}' already") from error
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
    _publish(session, version, sinks, due_at or now)
    return article


def withdraw(session: Session, verdict_id: int, sinks: Sequence[str], now: datetime, reviewer_id: int) -> None:
    """Take back what a verdict did to articles: the version before it counts again, or, where there is none, the article pauses.

    Articles that were changed again since stay as they are.
    """
    for article_id, versions in _made_by(session, verdict_id).items():
        article = session.get_one(Article, article_id, populate_existing=True)
        if article.version != versions[-1].version:
            continue
        before = _version_before(session, versions[0])
        last = before or versions[-1]
        content = Content(
            question=last.question,
            answer=last.answer,
            variants=tuple(last.variants),
            intent=last.intent,
            status=ArticleStatus(before.status) if before else ArticleStatus.paused,
        )
        save_article(session, content, sinks, now, origin="withdrawn", article_id=article.id, reviewer_id=reviewer_id)


def forget_variant(
    session: Session, verdict_id: int, question: str, sinks: Sequence[str], now: datetime, reviewer_id: int
) -> None:
    """Take one question back that the verdict gave to articles as a variant. Articles changed again since stay as they are."""
    for article_id, versions in _made_by(session, verdict_id).items():
        article = session.get_one(Article, article_id, populate_existing=True)
        before = _version_before(session, versions[0])
        gained = question in article.variants and question not in (before.variants if before else [])
        if article.version != versions[-1].version or not gained:
            continue
        content = Content(
            question=article.question,
            answer=article.answer,
            variants=tuple(one for one in article.variants if one != question),
            intent=article.intent,
            status=ArticleStatus(article.status),
        )
        # Still the verdict's version: withdrawing the verdict must take this one back too.
        save_article(
            session, content, sinks, now, "withdrawn", article_id=article.id, verdict_id=verdict_id, reviewer_id=reviewer_id
        )


def _made_by(session: Session, verdict_id: int) -> dict[int, list[ArticleVersion]]:
    """The versions that a verdict made, by article, in order."""
    made: dict[int, list[ArticleVersion]] = {}
    rows = select(ArticleVersion).where(col(ArticleVersion.verdict_id) == verdict_id).order_by(col(ArticleVersion.id))
    for version in session.execute(rows).scalars():
        made.setdefault(version.article_id, []).append(version)
    return made


def _version_before(session: Session, version: ArticleVersion) -> ArticleVersion | None:
    before = (col(ArticleVersion.article_id) == version.article_id) & (col(ArticleVersion.version) == version.version - 1)
    found: ArticleVersion | None = session.execute(select(ArticleVersion).where(before)).scalar_one_or_none()
    return found


def unmake(session: Session, verdict_id: int, now: datetime) -> None:
    """Articles are as if the verdict had not been made: what it changed has not left yet, and never will.

    Articles that were changed again since stay as they are.

    Raises
    ------
    Conflict
        A version of it is on its way to a knowledge base, or there.
    """
    _in_order(session)
    made = session.execute(select(ArticleVersion).where(col(ArticleVersion.verdict_id) == verdict_id)).scalars().all()
    for version in made:
        article = session.get_one(Article, version.article_id, populate_existing=True, with_for_update=True)
        if article.version != version.version:
            continue
        of_version = col(Publication.article_version_id) == version.id
        session.execute(
            delete(Publication).where(of_version, col(Publication.attempts) == 0, col(Publication.claimed_until).is_(None))
        )
        if session.execute(select(col(Publication.id)).where(of_version).limit(1)).first() is not None:
            raise Conflict("too late to undo: the correction is on its way to the knowledge base; send the item back instead")
        before = _version_before(session, version)
        session.delete(version)
        session.flush()
        if before is None:
            session.delete(article)
            continue
        for name in ("question", "variants", "answer", "intent", "status", "version"):
            setattr(article, name, getattr(before, name))
        article.updated_at = before.changed_at
        session.execute(
            update(Publication)
            .where(col(Publication.article_version_id) == before.id, col(Publication.state) == PublicationState.cancelled)
            .values(state=PublicationState.pending, due_at=now)
        )


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


def find_articles(session: Session, words: str, status: ArticleStatus | None, limit: int, offset: int) -> list[Article]:
    """Articles that hold every word, latest change first."""
    variants = cast(col(Article.variants), Text)
    everywhere = [col(Article.question), col(Article.answer), col(Article.key), col(Article.intent), variants]
    wanted = [or_(*(column.icontains(word, autoescape=True) for column in everywhere)) for word in words.split()[:20]]
    if status:
        wanted.append(col(Article.status) == status)
    found = select(Article).where(*wanted).order_by(col(Article.updated_at).desc(), col(Article.id).desc())
    return list(session.execute(found.limit(limit).offset(offset)).scalars())


def troubled_articles(session: Session, article_ids: Sequence[int]) -> dict[int, str]:
    """Which of them have a publication that a person must look at, and in which state it is."""
    found = session.execute(
        select(col(Publication.article_id), func.min(col(Publication.state)))
        .where(
            col(Publication.article_id).in_(article_ids),
            col(Publication.state).in_([PublicationState.failed, PublicationState.conflict]),
        )
        .group_by(col(Publication.article_id))
    ).all()
    return {article_id: str(state) for article_id, state in found}


def _publish(session: Session, version: ArticleVersion, sinks: Sequence[str], due_at: datetime) -> None:
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
                due_at=due_at,
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


@dataclass(frozen=True, slots=True)
class History:
    """An article with its versions (reviewer's name, item that caused it) and publications (version), latest first."""

    article: Article
    versions: list[tuple[ArticleVersion, str | None, int | None]]
    publications: list[tuple[Publication, int]]


def history_of(session: Session, article_id: int) -> History:
    """The article with all that happened to it.

    Raises
    ------
    NotFound
        There is no such article.
    """
    article = session.get(Article, article_id)
    if article is None:
        raise NotFound(f"there is no article {article_id}")
    versions = session.execute(
        select(ArticleVersion, col(Reviewer.name), col(Verdict.item_id))
        .join(Reviewer, col(Reviewer.id) == col(ArticleVersion.reviewer_id), isouter=True)
        .join(Verdict, col(Verdict.id) == col(ArticleVersion.verdict_id), isouter=True)
        .where(col(ArticleVersion.article_id) == article_id)
        .order_by(col(ArticleVersion.version).desc())
    ).all()
    publications = session.execute(
        select(Publication, col(ArticleVersion.version))
        .join(ArticleVersion, col(ArticleVersion.id) == col(Publication.article_version_id))
        .where(col(Publication.article_id) == article_id)
        .order_by(col(Publication.id).desc())
        .limit(100)
    ).all()
    return History(article, [(v, name, item_id) for v, name, item_id in versions], [(p, v) for p, v in publications])
