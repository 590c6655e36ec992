"""What a reviewer finds beside an item: look-alikes with what they were answered, and the articles nearest to the question."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlmodel import col

from scoring.encoder import Encoder
from scoring.late_interaction import LateInteraction
from scoring.past import NEAREST
from scoring.vectors import gather
from service.db import Database
from service.models import Article, ArticleStatus, ArticleVersion, Exchange
from service.vectors import FaissPast, PgvectorPast, StoredVectors, vectors_of

# Look-alikes below this cosine would only distract; the consistency signal looks further, for it compares the answers too.
LEAST_SHOWN = 0.6
CANDIDATES = 20
"""Articles that are read word by word for an item."""
SAME_QUESTION = 0.9
"""Cosine from which an article's question is the user's."""


@dataclass
class _Articles:
    """The active articles' questions, and articles as a whole, as vectors; kept until an article changes."""

    last_version: tuple[int, datetime] | None = None
    ids: list[int] = field(default_factory=list)
    questions: Any = None
    wholes: dict[int, tuple[str, Any]] = field(default_factory=dict)


class Suggestions:
    """Computed by the worker when an item is made, so that the web process needs no vectors."""

    def __init__(self, db: Database, encoder: Encoder, past: FaissPast | PgvectorPast) -> None:
        self._db = db
        self._words = LateInteraction.over(encoder)
        self._encoder = self._words or encoder
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
                    col(Exchange.question),
                ).where(col(Exchange.id).in_(exchange_ids))
            ).all()
        size = self._encoder.dimensions
        questions = vectors_of(self._db, self._encoder.digest, [bytes(row.question_hash) for row in rows], size)
        self._refresh_articles()
        if self._words and self._articles.ids:
            self._words.read([row.question for row in rows])  # all at once: one by one costs ten times as much
        suggestions: dict[int, dict[str, Any]] = {}
        for i, row in enumerate(rows):
            (near,) = self._past.search(row.source, questions[i : i + 1], NEAREST + 4)
            similar = [
                {"exchange_id": key, "similarity": round(cosine, 3)}
                for key, cosine in near
                if key != row.id and cosine >= LEAST_SHOWN
            ]
            suggestions[row.id] = {"similar": similar[:NEAREST], "articles": self._nearest_articles(row.question, questions[i])}
        return suggestions

    def _refresh_articles(self) -> None:
        with self._db.read() as session:
            # With its time: SQLite gives the id of a version that was undone to the next one.
            latest = select(col(ArticleVersion.id), col(ArticleVersion.changed_at)).order_by(col(ArticleVersion.id).desc())
            found = session.execute(latest.limit(1)).first()
            last = (found.id, found.changed_at) if found else None
            if last == self._articles.last_version:
                return
            active = session.execute(select(Article).where(col(Article.status) == ArticleStatus.active)).scalars().all()
        asked = [(article.id or 0, question) for article in active for question in (article.question, *article.variants)]
        wholes = [f"{article.question}\n{article.answer}" for article in active]
        vectors = gather((*(question for _, question in asked), *wholes), self._encoder, StoredVectors(self._db))
        self._articles = _Articles(
            last,
            [i for i, _ in asked],
            vectors.of([question for _, question in asked]),
            {article.id or 0: pair for article, pair in zip(active, zip(wholes, vectors.of(wholes), strict=True), strict=True)},
        )

    def _nearest_articles(self, text: str, question: Any) -> list[dict[str, Any]]:
        """The three most likely to answer: of the nearest by question, those whose words meet the question's."""
        if not self._articles.ids or not question.any():
            return []
        best: dict[int, float] = {}
        for article_id, cosine in zip(self._articles.ids, self._articles.questions @ question, strict=True):
            best[article_id] = max(best.get(article_id, -1.0), float(cosine))
        nearest = sorted(best, key=lambda one: -best[one])[:CANDIDATES]
        if self._words and len(nearest) > 1:
            wholes = [self._articles.wholes[one] for one in nearest]
            ranks = self._words.rank(text, [whole for whole, _ in wholes], [float(vector @ question) for _, vector in wholes])
            # An article made from this very wording of the question needs no second opinion.
            order = np.argsort(-np.where([best[one] >= SAME_QUESTION for one in nearest], np.inf, ranks), kind="stable")
            nearest = [nearest[i] for i in order]
        return [{"article_id": one, "similarity": round(best[one], 3)} for one in nearest[:3]]
