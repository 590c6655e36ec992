"""What an article's draft would change: asked for here, computed by a worker (replay.py), and read here when it is ready."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlmodel import Session, col

from service.db import insert_into
from service.errors import Invalid, NotFound
from service.models import Article, Exchange, Impact, ImpactState

FRESH = timedelta(hours=1)
"""Traffic moves on: what was computed longer ago is computed again when somebody asks."""
KEPT = timedelta(days=7)
MOST_TEXT = 20_000
MOST_VARIANTS = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """An article as it might be saved. `article_id`: the one that it changes; `source`: the bot that it is for, None: all."""

    question: str
    answer: str
    variants: tuple[str, ...] = ()
    article_id: int | None = None
    source: str | None = None


def ask(session: Session, draft: Draft, now: datetime) -> str:
    """Have the draft's impact computed, once for the same text; the key to read it by.

    Raises
    ------
    Invalid
        Question or answer is empty, or a text is too long.
    NotFound
        There is no article `article_id`.
    """
    if not draft.question.strip() or not draft.answer.strip():
        raise Invalid("question and answer: an article needs both before its impact can be told")
    if len(draft.variants) > MOST_VARIANTS:
        raise Invalid(f"variants: at most {MOST_VARIANTS}")
    if max(len(text) for text in (draft.question, draft.answer, *draft.variants)) > MOST_TEXT:
        raise Invalid(f"question, answer and variants: at most {MOST_TEXT} characters each")
    if draft.article_id is not None and session.get(Article, draft.article_id) is None:
        raise NotFound(f"article_id: there is no article {draft.article_id}")
    session.execute(delete(Impact).where(col(Impact.asked_at) < now - KEPT))
    given = {
        "question": draft.question.strip(),
        "answer": draft.answer.strip(),
        "variants": [one.strip() for one in draft.variants if one.strip()],
        "article_id": draft.article_id,
        "source": draft.source,
    }
    key = hashlib.blake2b(json.dumps(given, sort_keys=True).encode(), digest_size=16).hexdigest()
    insert = insert_into(session, Impact).values(
        key=key, state=ImpactState.waiting, attempts=0, asked_at=now, due_at=now, **given
    )
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["key"],
            set_={"state": ImpactState.waiting, "attempts": 0, "asked_at": now, "due_at": now},
            where=(col(Impact.state) == ImpactState.failed)
            | ((col(Impact.state) == ImpactState.ready) & (col(Impact.computed_at) <= now - FRESH)),
        )
    )
    return key


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of recent traffic."""

    exchange: Exchange
    similarity: float


@dataclass(frozen=True, slots=True)
class Beside:
    """Another article. `note`: what the two answers state differently, where they contradict each other."""

    article: Article
    similarity: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is known of a draft. The lists are examples, most alike first; the numbers count all of them.

    `answers`: flagged questions that it would answer, `already` of them by the article as it is now. `displaces`: good answers
    in whose place it would come, saying something else; `confirms`: good answers that it repeats. `near`: articles with nearly
    the same question and another answer.
    """

    impact: Impact
    traffic: int
    flagged: int
    good: int
    days: int
    answered: int
    already: int
    answers: list[Asked]
    displaced: int
    displaces: list[Asked]
    confirms: int
    duplicates: list[Beside]
    contradicts: list[Beside]
    near: list[Beside]


def read(session: Session, key: str) -> Foreseen:
    """What is known by now; all empty until the worker has computed it.

    Raises
    ------
    NotFound
        Nobody asked for it, or that is more than a week ago.
    """
    impact = session.execute(select(Impact).where(col(Impact.key) == key)).scalar_one_or_none()
    if impact is None:
        raise NotFound("this impact is not known any more: ask for it again")
    found = impact.found or {}
    exchanges = _by_id(session, Exchange, (one[0] for name in ("answers", "displaces") for one in found.get(name, ())))
    articles = _by_id(session, Article, (one[0] for name in ("duplicates", "contradicts", "near") for one in found.get(name, ())))

    # Exchanges and articles that were deleted or forgotten since are passed over.
    def asked(name: str) -> list[Asked]:
        known = {key for key, one in exchanges.items() if not one.forgotten}
        return [Asked(exchanges[one[0]], *one[1:]) for one in found.get(name, ()) if one[0] in known]

    def beside(name: str) -> list[Beside]:
        return [Beside(articles[one[0]], *one[1:]) for one in found.get(name, ()) if one[0] in articles]

    return Foreseen(
        impact=impact,
        traffic=found.get("traffic", 0),
        flagged=found.get("flagged", 0),
        good=found.get("good", 0),
        days=found.get("days", 0),
        answered=found.get("answered", 0),
        already=found.get("already", 0),
        answers=asked("answers"),
        displaced=found.get("displaced", 0),
        displaces=asked("displaces"),
        confirms=found.get("confirms", 0),
        duplicates=beside("duplicates"),
        contradicts=beside("contradicts"),
        near=beside("near"),
    )


def _by_id(session: Session, model: type[Any], ids: Iterable[int]) -> dict[int, Any]:
    wanted: Sequence[int] = sorted(set(ids))
    return {one.id: one for one in session.execute(select(model).where(model.id.in_(wanted))).scalars()} if wanted else {}
