"""What a reviewer finds beside an item: look-alikes with what they were answered, and the articles nearest to the question."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from scoring.encoder import Encoder
from scoring.scorer import NEAREST
from scoring.vectors import gather
from service.db import Database
from service.models import Article, ArticleStatus, ArticleVersion, Exchange
from service.vectors import FaissPast, PgvectorPast, StoredVectors, vectors_of

# Look-alikes below this cosine would only distract; the consistency signal looks further, for it compares the answers too.
LEAST_SHOWN = 0.6


@dataclass
class _Articles:
    """The active articles' questions as vectors, kept until an article changes."""

    last_version: int = 0
    ids: list[int] = field(default_factory=list)
    matrix: Any = None


class Suggestions:
    """Computed by the worker when an item is made, so that the web process needs no vectors."""

    def __init__(self, db: Database, encoder: Encoder, past: FaissPast | PgvectorPast) -> None:
        self._db = db
        self._encoder = encoder
        self._past = past
        self._articles = _Articles()

    def of(self, exchange_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Per exchange its look-alikes with what they were answered, and the articles nearest to its question."""
        with self._db.read() as session:
            rows = session.execute(
                select(
                    col(Exchange.id),
                    col(Exchange.source),
                    col(Exchange.question_hash),
                    col(Exchange.conversation_id),
                ).where(col(Exchange.id).in_(exchange_ids))
            ).all()
        size = self._encoder.dimensions
        questions = vectors_of(self._db, self._encoder.digest, [bytes(row.question_hash) for row in rows], size)
        self._refresh_articles()
        suggestions: dict[int, dict[str, Any]] = {}
        for i, row in enumerate(rows):
            (near,) = self._past.search(row.source, questions[i : i + 1], NEAREST + 4)
            similar = [
                {"exchange_id": key, "similarity": round(cosine, 3)}
                for key, cosine in near
                if key != row.id and cosine >= LEAST_SHOWN
            ]
            suggestions[row.id] = {"similar": similar[:NEAREST], "articles": self._nearest_articles(questions[i])}
        return suggestions

    def _refresh_articles(self) -> None:
        with self._db.read() as session:
            last = session.execute(select(func.max(col(ArticleVersion.id)))).scalar_one() or 0
            if last == self._articles.last_version:
                return
            active = session.execute(select(Article).where(col(Article.status) == ArticleStatus.active)).scalars().all()
        asked = [(article.id or 0, question) for article in active for question in (article.question, *article.variants)]
        vectors = gather((question for _, question in asked), self._encoder, StoredVectors(self._db))
        self._articles = _Articles(last, [i for i, _ in asked], vectors.of([question for _, question in asked]))

    def _nearest_articles(self, question: Any) -> list[dict[str, Any]]:
        if not self._articles.ids or not question.any():
            return []
        best: dict[int, float] = {}
        for article_id, cosine in zip(self._articles.ids, self._articles.matrix @ question, strict=True):
            best[article_id] = max(best.get(article_id, -1.0), float(cosine))
        nearest = sorted(best.items(), key=lambda pair: -pair[1])[:3]
        return [{"article_id": article_id, "similarity": round(cosine, 3)} for article_id, cosine in nearest]
