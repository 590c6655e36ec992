"""A draft replayed over recent traffic, in the worker: what it would answer, what it would displace, and what it meets among
the articles. Traffic is read as stored vectors; only the draft's own texts are ever encoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col

from scoring.cross_encoder import PairModel
from scoring.encoder import Encoder, Vectors
from scoring.same_answer import say_the_same
from scoring.signals.answer_consistency import AnswerConsistency
from scoring.signals.base import Batch, Neighbour
from scoring.transcripts import Transcript, Turn, split
from scoring.vectors import TextVectors, content_hash, gather
from service.budget import RAISED
from service.db import Database, changed, claim
from service.logs import place_of
from service.models import Article, ArticleStatus, Exchange, Impact, ImpactState, ReviewItem, Verdict, VerdictLabel
from service.vectors import StoredVectors, vectors_of

log = structlog.get_logger()
DAYS = 30
MOST_TRAFFIC = 5000
"""The latest so many exchanges of these days are replayed."""
MOST_SHOWN = 10
MOST_COMPARED = 20
"""Other articles whose answers are read, those with the nearest questions."""
CONTRADICTS = 0.5
LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 3
TRY_AGAIN = timedelta(seconds=30)


def replay_due(
    db: Database, encoder: Encoder, look_alike: float, now: datetime, entailment: PairModel | None = None, limit: int = 4
) -> int:
    """Compute what was asked for; how many. `look_alike`: cosine from which an article answers a question.

    Who dies half-way leaves nothing behind: the lease brings the row back.
    """
    ids, until = claim(db, Impact, limit, now, LEASE)
    for impact_id in ids:
        with db.read() as session:
            asked = session.get(Impact, impact_id)
        if asked is None:  # its article was deleted meanwhile
            continue
        try:
            done: dict[str, Any] = {
                "state": ImpactState.ready,
                "found": _replay(db, encoder, asked, look_alike, now, entailment),
                "computed_at": now,
                "due_at": None,
            }
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - one text must not keep the others waiting
            log.error("impact_not_computed", impact_id=impact_id, error=type(error).__name__, where=place_of(error))
            attempts = asked.attempts + 1
            over = attempts >= MOST_ATTEMPTS
            done = {"attempts": attempts, "due_at": None if over else now + TRY_AGAIN}
            done |= {"state": ImpactState.failed} if over else {}
        with db.write() as session:
            mine = update(Impact).where(col(Impact.id) == impact_id, col(Impact.claimed_until) == until)
            changed(session, mine.values(claimed_until=None, **done))
        log.info("impact_computed", impact_id=impact_id, state=str(done.get("state", ImpactState.waiting)))
    return len(ids)


def _replay(
    db: Database, encoder: Encoder, draft: Impact, look_alike: float, now: datetime, entailment: PairModel | None
) -> dict[str, Any]:
    with db.read() as session:
        traffic = _traffic(session, draft.source, now)
        articles = session.execute(select(Article).where(col(Article.status) != ArticleStatus.paused)).scalars().all()
    questions = [draft.question, *draft.variants]
    others = [one for one in articles if one.id != draft.article_id]
    own = next((one for one in articles if one.id == draft.article_id and one.status == ArticleStatus.active), None)
    texts = gather((*questions, draft.answer), encoder, StoredVectors(db))
    asked = vectors_of(db, encoder.digest, [bytes(one.question_hash) for one in traffic], encoder.dimensions)
    best = (asked @ texts.of(questions).T).max(axis=1) if len(traffic) else np.zeros(0, dtype=np.float32)
    near = [i for i in np.argsort(-best, kind="stable").tolist() if best[i] >= look_alike]
    known = _Known(db, encoder, others, own)
    found = _Found(draft, own, texts, known.answers([traffic[i].answer for i in near]))
    rivals, before = known.rivals(asked[near]), known.own(asked[near])
    for row, i in enumerate(near):
        if best[i] >= rivals[row]:  # else another article answers it still
            had = bool(before[row] >= max(look_alike, float(rivals[row])))
            found.add(traffic[i], float(best[i]), row, had)
    flagged = sum(_is_flagged(one) for one in traffic)
    return {
        "traffic": len(traffic),
        "flagged": flagged,
        "good": sum(_is_good(one) for one in traffic),
        "days": DAYS,
        **found.told(),
        **_beside(draft, texts, known, look_alike, entailment),
    }


def _traffic(session: Session, source: str | None, now: datetime) -> Sequence[Any]:
    """The latest exchanges with what people said of them, latest first."""
    wanted = (
        select(
            col(Exchange.id), col(Exchange.question), col(Exchange.answer), col(Exchange.question_hash),
            col(Exchange.priority), col(Verdict.label),
        )
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .where(col(Exchange.created_at) > now - timedelta(days=DAYS), ~col(Exchange.forgotten))
        .order_by(col(Exchange.id).desc())
        .limit(MOST_TRAFFIC)
    )  # fmt: skip
    return session.execute(wanted.where(col(Exchange.source) == source) if source is not None else wanted).all()


def _is_flagged(row: Any) -> bool:
    """A person called it a failure, or, where nobody has looked, the signals do."""
    if row.label in (None, VerdictLabel.unclear):
        return bool(row.priority >= RAISED)
    return bool(row.label != VerdictLabel.good)


def _is_good(row: Any) -> bool:
    return not _is_flagged(row) and bool(row.answer.strip())


class _Known:
    """The other articles, and the draft's own as it is now, as vectors: stored when they were suggested first."""

    def __init__(self, db: Database, encoder: Encoder, others: Sequence[Article], own: Article | None) -> None:
        self._db, self._encoder = db, encoder
        self.others = others
        asked = [(one, text) for one in others for text in (one.question, *one.variants)]
        self._of = [one for one, _ in asked]
        self._own = [own.question, *own.variants] if own else []
        texts = gather((*(text for _, text in asked), *self._own), encoder, StoredVectors(db))
        self._questions = texts.of([text for _, text in asked])
        self._own_questions = texts.of(self._own)
        self._active = np.array([one.status == ArticleStatus.active for one in self._of], dtype=np.bool_)

    def rivals(self, asked: Vectors) -> Vectors:
        """Cosine of each question to the nearest active one of the other articles, (n,)."""
        return _nearest(asked, self._questions[self._active])

    def own(self, asked: Vectors) -> Vectors:
        """Cosine of each question to the article as it is now, (n,)."""
        return _nearest(asked, self._own_questions)

    def nearest(self, questions: Vectors) -> list[tuple[Article, float]]:
        """The other articles nearest to these questions with their cosines, best first."""
        cosines = _nearest(self._questions, questions)
        best: dict[int, tuple[Article, float]] = {}
        for one, cosine in zip(self._of, cosines.tolist(), strict=True):
            if cosine > best.get(one.id or 0, (one, -1.0))[1]:
                best[one.id or 0] = (one, cosine)
        return sorted(best.values(), key=lambda pair: -pair[1])[:MOST_COMPARED]

    def articles_answers(self, articles: Sequence[Article]) -> Vectors:
        """(n, dimensions)"""
        answers = [one.answer for one in articles]
        return gather(answers, self._encoder, StoredVectors(self._db)).of(answers)

    def answers(self, texts: Sequence[str]) -> Vectors:
        """Stored vectors of given answers, in order, (n, dimensions)."""
        return vectors_of(self._db, self._encoder.digest, [content_hash(text) for text in texts], self._encoder.dimensions)


def _nearest(questions: Vectors, to: Vectors) -> Vectors:
    if not len(to) or not len(questions):
        return np.full(len(questions), -1.0, dtype=np.float32)
    parts = [questions[start : start + 512] @ to.T for start in range(0, len(questions), 512)]
    return np.concatenate([part.max(axis=1) for part in parts])


@dataclass
class _Found:
    """Gathers what the draft does to the questions that it would answer, which come most alike first."""

    draft: Impact
    own: Article | None
    texts: TextVectors
    given: Vectors

    def __post_init__(self) -> None:
        self._counts = {"answered": 0, "already": 0, "displaced": 0, "confirms": 0}
        self._answers: list[list[Any]] = []
        self._displaces: list[list[Any]] = []

    def add(self, row: Any, cosine: float, place: int, had: bool) -> None:
        """`place`: of its answer's vector; `had`: the article answers it as it is now."""
        if _is_flagged(row):
            self._counts["answered"] += 1
            self._counts["already"] += had
            if len(self._answers) < MOST_SHOWN:
                self._answers.append([row.id, round(cosine, 3)])
            return
        if not _is_good(row):
            return
        alike = float(self.given[place] @ self.texts.of([self.draft.answer])[0])
        if say_the_same(row.question, row.answer, self.draft.question, self.draft.answer, alike):
            self._counts["confirms"] += 1
            return
        if had and self.own is not None and self.own.answer.strip() == self.draft.answer.strip():
            return  # the article says so today
        self._counts["displaced"] += 1
        if len(self._displaces) < MOST_SHOWN:
            self._displaces.append([row.id, round(cosine, 3)])

    def told(self) -> dict[str, Any]:
        return {**self._counts, "answers": self._answers, "displaces": self._displaces}


def _beside(
    draft: Impact, texts: TextVectors, known: _Known, look_alike: float, entailment: PairModel | None
) -> dict[str, list[list[Any]]]:
    """Articles that say the same to the same question, that contradict it, and that answer it otherwise."""
    nearest = known.nearest(texts.of([draft.question, *draft.variants]))
    if not nearest:
        return {"duplicates": [], "contradicts": [], "near": []}
    alike = (known.articles_answers([one for one, _ in nearest]) @ texts.of([draft.answer])[0]).tolist()
    # The signal that compares answers of conversations reads articles too: each is one answer to one question.
    asked = [_as_exchange(draft, row) for row in range(len(nearest))]
    neighbours = [
        [Neighbour(one.id or 0, "article", "", one.question, one.answer, min(cosine, 1.0), None, alike[row])]
        for row, (one, cosine) in enumerate(nearest)
    ]
    batch = Batch(asked, texts, neighbours, [None] * len(asked))
    evidence = AnswerConsistency(model=entailment).measure(batch)
    told: dict[str, list[list[Any]]] = {"duplicates": [], "contradicts": [], "near": []}
    for row, (one, cosine) in enumerate(nearest):
        against = evidence[row]
        if against is not None and against.probability >= CONTRADICTS:
            differences = against.detail.get("differences")
            note = "; ".join(map(str, differences)) if isinstance(differences, Sequence) else ""
            told["contradicts"].append([one.id, round(cosine, 3), note])
        elif cosine >= look_alike:
            same = say_the_same(draft.question, draft.answer, one.question, one.answer, alike[row])
            told["duplicates" if same else "near"].append([one.id, round(cosine, 3)])
    return told


def _as_exchange(draft: Impact, row: int) -> Any:
    said = (Turn("q", "user", draft.question), Turn("a", "bot", draft.answer))
    return split(Transcript(f"draft {row}", said))[0]
