"""Answers questions that were asked by meaning: the worker's part, for the web process has no model."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import col

from scoring.encoder import Encoder
from service.db import Database
from service.models import Exchange, SearchRequest
from service.searching.find import KEPT
from service.vectors import FaissPast, PgvectorPast

NEAREST = 1_000
"""Exchanges that one answer holds."""
AT_ONCE = 16


def answer_due(db: Database, encoder: Encoder, past: FaissPast | PgvectorPast, now: datetime) -> int:
    """Write the exchanges whose questions are nearest to each question asked, and drop what is an hour old; how many answers."""
    with db.read() as session:
        asked = session.execute(
            select(col(SearchRequest.id), col(SearchRequest.text), col(SearchRequest.source))
            .where(col(SearchRequest.answered_at).is_(None), col(SearchRequest.made_at) > now - KEPT)
            .order_by(col(SearchRequest.id))
            .limit(AT_ONCE)
        ).all()
        old = session.execute(select(col(SearchRequest.id)).where(col(SearchRequest.made_at) <= now - KEPT).limit(1)).first()
        sources = list(session.execute(select(col(Exchange.source)).distinct()).scalars()) if asked else []
    if old is not None:
        with db.write() as session:
            session.execute(delete(SearchRequest).where(col(SearchRequest.made_at) <= now - KEPT))
    if not asked:
        return 0
    past.refresh()
    vectors = encoder.encode([row.text for row in asked])
    answers = []
    for row, vector in zip(asked, vectors, strict=True):
        near = [
            one
            for source in ([row.source] if row.source else sources)
            for one in past.search(source, vector[None, :], NEAREST)[0]
        ]
        answers.append(sorted(near, key=lambda one: (-one[1], one[0]))[:NEAREST])
    with db.write() as session:
        for row, near in zip(asked, answers, strict=True):
            session.execute(
                update(SearchRequest)
                .where(col(SearchRequest.id) == row.id, col(SearchRequest.answered_at).is_(None))
                .values(answered_at=now, found=[[key, round(cosine, 4)] for key, cosine in near])
            )
    return len(asked)
