"""Users' own words in what was learned from them: labelled examples, drafts of articles, what is watched, articles' variants.

An article is what a reviewer wrote, and stays, with the question under which they put it. The variants are other people's
wordings that came in with the verdict: where somebody asked to be forgotten, theirs goes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, tuple_, update
from sqlmodel import Session, col

from scoring.vectors import content_hash
from service import articles
from service.db import chunks
from service.models import (
    Article,
    ArticleStatus,
    ArticleVersion,
    Example,
    Exchange,
    Impact,
    Publication,
    SecondLook,
    Verdict,
    Watch,
)

FORGOTTEN = "forgotten"
"""Origin of an article's version that lacks what was forgotten."""


def forget_examples(session: Session, verdict_ids: Sequence[int], asked: set[tuple[str, str]]) -> None:
    """Labelled questions that came from verdicts, with what was said of their labels; `asked`: (source, question).

    One that another conversation asked word for word, and a seed from a file, are not this person's alone: they stay.
    """
    texts = {(source, content_hash(question)) for source, question in asked if question.strip()}
    elsewhere = select(col(Exchange.id)).where(
        col(Exchange.source) == col(Example.source), col(Exchange.question_hash) == col(Example.content_hash)
    )
    named = tuple_(col(Example.source), col(Example.content_hash))
    wanted = [named.in_(part) for part in chunks(sorted(texts))] + [
        col(Example.verdict_id).in_(part) for part in chunks(verdict_ids)
    ]
    for some in wanted:
        gone = session.execute(
            delete(Example)
            .where(some, col(Example.by_verdict), ~elsewhere.correlate(Example).exists())
            .returning(col(Example.source), col(Example.content_hash))
            .execution_options(synchronize_session=False)
        )
        texts |= {(source, bytes(key)) for source, key in gone}
    left = select(col(Example.id)).where(
        col(Example.source) == col(SecondLook.source), col(Example.content_hash) == col(SecondLook.content_hash)
    )
    for part in chunks(sorted(texts)):
        session.execute(
            delete(SecondLook)
            .where(tuple_(col(SecondLook.source), col(SecondLook.content_hash)).in_(part), ~left.correlate(SecondLook).exists())
            .execution_options(synchronize_session=False)
        )


def forget_drafts_of_articles(session: Session, exchange_ids: Sequence[int], asked: set[str]) -> None:
    """Drafts whose impact somebody looked at: those that say the questions, or whose impact names the exchanges."""
    texts, ids = {text.strip() for text in asked}, set(exchange_ids)
    gone = []
    for row in session.execute(select(col(Impact.id), col(Impact.question), col(Impact.variants), col(Impact.found))):
        named = {one[0] for name in ("answers", "displaces") for one in (row.found or {}).get(name, ())}
        if texts & {row.question, *row.variants} or ids & named:
            gone.append(row.id)
    for part in chunks(gone):
        session.execute(delete(Impact).where(col(Impact.id).in_(part)))


def forget_watches(session: Session, verdict_ids: Sequence[int], asked: set[str]) -> None:
    """Questions that a published correction is watched for: what the article itself says is watched on."""
    for version in _versions(session, verdict_ids):
        said = {version.question, *version.variants}
        _keep_watching(session, version.id or 0, {text.strip() for text in asked} - said)


def forget_articles(session: Session, verdict_ids: Sequence[int], asked: set[str], now: datetime) -> None:
    """The users' wordings leave the articles that their verdicts gave them to, in every version, and the knowledge bases that
    have those. A wording that another conversation has stays."""
    texts = {text.strip() for text in asked if text.strip()}
    texts -= set(_asked_elsewhere(session, texts))
    article_ids = sorted({version.article_id for version in _versions(session, verdict_ids)})
    for article_id in article_ids:
        versions = session.execute(select(ArticleVersion).where(col(ArticleVersion.article_id) == article_id)).scalars().all()
        for version in versions:
            if texts & set(version.variants):
                version.variants = [one for one in version.variants if one not in texts]
                session.add(version)
                _keep_watching(session, version.id or 0, texts - {version.question})
        article = session.get_one(Article, article_id, populate_existing=True)
        if texts & set(article.variants):
            _save_without(session, article, texts, now)


def users_words(session: Session, exchange_ids: Sequence[int]) -> list[Article]:
    """Articles whose question is, word for word, that of one of the exchanges."""
    found: dict[int, Article] = {}
    for part in chunks(exchange_ids):
        asked = [
            text.strip() for text in session.execute(select(col(Exchange.question)).where(col(Exchange.id).in_(part))).scalars()
        ]
        rows = session.execute(select(Article).where(col(Article.question).in_([text for text in asked if text])))
        found |= {article.id or 0: article for article in rows.scalars()}
    return [found[key] for key in sorted(found)]


def _versions(session: Session, verdict_ids: Sequence[int]) -> list[ArticleVersion]:
    """Those that the verdicts made, or that the verdict made which settled them."""
    found: dict[int, ArticleVersion] = {}
    for part in chunks(verdict_ids):
        settling = select(col(Verdict.settled_by)).where(col(Verdict.id).in_(part), col(Verdict.settled_by).is_not(None))
        by = or_(col(ArticleVersion.verdict_id).in_(part), col(ArticleVersion.verdict_id).in_(settling))
        found |= {one.id or 0: one for one in session.execute(select(ArticleVersion).where(by)).scalars()}
    return [found[key] for key in sorted(found)]


def _asked_elsewhere(session: Session, texts: set[str]) -> list[str]:
    by_hash = {content_hash(text): text for text in texts}
    found: list[str] = []
    for part in chunks(sorted(by_hash)):
        rows = select(col(Exchange.question_hash)).where(col(Exchange.question_hash).in_(part)).distinct()
        found += [by_hash[bytes(key)] for key in session.execute(rows).scalars()]
    return found


def _keep_watching(session: Session, version_id: int, but: set[str]) -> None:
    watch: Any = session.execute(select(Watch).where(col(Watch.article_version_id) == version_id)).scalar_one_or_none()
    if watch is not None and but & set(watch.questions):
        kept = [one for one in watch.questions if one not in but]
        session.execute(
            update(Watch).where(col(Watch.id) == watch.id).values(questions=kept).execution_options(synchronize_session=False)
        )


def _save_without(session: Session, article: Article, texts: set[str], now: datetime) -> None:
    """The article's next version, for the knowledge bases that have one of it."""
    sinks = session.execute(select(col(Publication.sink)).where(col(Publication.article_id) == article.id).distinct()).scalars()
    content = articles.Content(
        question=article.question,
        answer=article.answer,
        variants=tuple(one for one in article.variants if one not in texts),
        intent=article.intent,
        status=ArticleStatus(article.status),
    )
    articles.save_article(session, content, sorted(sinks), now, FORGOTTEN, article_id=article.id)
