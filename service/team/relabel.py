"""What a reviewer does about a label that looks like a slip: keep it, change it, or take a keep back. Each is one transaction.

Whoever answers says which label they saw (`seen`), so that of two people at once the second is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from sqlalchemy import select, update
from sqlmodel import Session, col

from scoring.intents import OUT_OF_SCOPE
from service import queue
from service.db import changed, insert_into
from service.errors import Conflict, Forbidden, Invalid, NotFound
from service.models import Article, ArticleVersion, Example, Reviewer, RootCause, SecondLook, Verdict, VerdictLabel
from service.review import Decision, learn_example
from service.team import amend, second_look


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reviewer said of the label `intent`; `chosen` is the same where they kept it."""

    intent: str
    chosen: str
    by: str
    at: datetime


def keep(session: Session, label_id: int, seen: str, reviewer_id: int, now: datetime) -> Answer:
    """The label is right: no fit points it out until it changes. The same reviewer twice changes nothing.

    Raises
    ------
    NotFound
        There is no such label for this reviewer.
    Conflict
        Somebody else has kept or changed it meanwhile.
    """
    example = second_look.shown_example(session, label_id, reviewer_id)
    if example is None or example.intent != seen:
        return _answered(session, label_id, seen, seen, reviewer_id, example)
    look = insert_into(session, SecondLook).values(_look(example, seen, reviewer_id, now, None)).on_conflict_do_nothing()
    still = update(Example).where(col(Example.id) == label_id, col(Example.intent) == seen)
    if changed(session, still.values(suspected=None, suspicion=None, near=None)) == 0:
        return _answered(session, label_id, seen, seen, reviewer_id, None)
    session.execute(look)
    return _standing(session, example, seen, reviewer_id)


def _standing(session: Session, example: Example, seen: str, reviewer_id: int) -> Answer:
    by_whom = (
        select(SecondLook, col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(SecondLook.reviewer_id))
        .where(*_of_label(example, seen), col(SecondLook.ended_at).is_(None))
    )
    look, name = session.execute(by_whom).one()
    if look.reviewer_id != reviewer_id:
        raise Conflict(f"{name} has kept the label '{seen}' already")
    return Answer(look.intent, look.chosen, name, look.at)


def look_again(session: Session, label_id: int, reviewer_id: int, now: datetime) -> None:
    """Take back that the label was kept: it is pointed out as before. Twice changes nothing.

    Raises
    ------
    NotFound
        There is no such label for this reviewer.
    """
    example = second_look.shown_example(session, label_id, reviewer_id)
    if example is None:
        raise NotFound(f"there is no label {label_id}")
    ended = session.execute(
        update(SecondLook)
        .where(*_of_label(example, example.intent), col(SecondLook.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(SecondLook.suspected), col(SecondLook.suspicion), col(SecondLook.near))
        .execution_options(synchronize_session=False)
    ).first()
    if ended is not None:
        same = update(Example).where(col(Example.id) == label_id, col(Example.intent) == example.intent)
        session.execute(same.values(suspected=ended.suspected, suspicion=ended.suspicion, near=ended.near))


def change(
    session: Session, label_id: int, seen: str, intent: str, reviewer_id: int, sinks: Sequence[str], now: datetime,
    grace: timedelta = timedelta(0),
) -> Answer:  # fmt: skip
    """Another intent for the text: a seed learns it, a verdict is amended. The same reviewer twice changes nothing.

    Raises
    ------
    NotFound
        There is no such label for this reviewer.
    Conflict
        Somebody else has kept or changed it meanwhile, or the item or article behind it is not as the verdict left it.
    Forbidden
        The verdict is somebody else's.
    Invalid
        The intent is none that the source has, or the one that the label says already.
    """
    chosen = intent.strip()
    example = second_look.shown_example(session, label_id, reviewer_id)
    if example is None or example.intent != seen:
        return _answered(session, label_id, seen, chosen, reviewer_id, example)
    _check(session, example, chosen)
    look = _look(example, chosen, reviewer_id, now, now)
    if example.verdict_id is None:
        mine = select(col(Example.id)).where(col(Example.id) == label_id, col(Example.intent) == seen).with_for_update()
        if session.execute(mine).first() is None:
            return _answered(session, label_id, seen, chosen, reviewer_id, None)
        learn_example(session, example.source, example.text, chosen, now)
    else:
        _amend(session, example, chosen, reviewer_id, sinks, now, grace)
    _respect_keep(session, example, seen, reviewer_id, now)
    session.execute(insert_into(session, SecondLook).values(look))
    return Answer(seen, chosen, _name(session, reviewer_id), now)


def _respect_keep(session: Session, example: Example, seen: str, reviewer_id: int, now: datetime) -> None:
    """Refuse what has just ended somebody else's keep: looked at last, so that one of the same moment is seen too."""
    overruled = (
        select(col(Reviewer.name))
        .join(SecondLook, col(SecondLook.reviewer_id) == col(Reviewer.id))
        .where(
            *_of_label(example, seen),
            col(SecondLook.chosen) == seen,
            col(SecondLook.reviewer_id) != reviewer_id,
            col(SecondLook.ended_at) == now,
        )
    )
    name = session.execute(overruled).scalar()
    if name is not None:
        raise Conflict(f"{name} has kept the label '{seen}': take that back first, under Kept")


def _of_label(example: Example, intent: str) -> list[Any]:
    return [
        col(SecondLook.source) == example.source,
        col(SecondLook.content_hash) == example.content_hash,
        col(SecondLook.intent) == intent,
    ]


def _check(session: Session, example: Example, chosen: str) -> None:
    known = set(queue.known_intents(session, example.source))
    if not chosen:
        raise Invalid("intent: say which one it should be")
    if chosen == example.intent:
        raise Invalid(f"intent: the label is '{chosen}' already; keep it instead")
    if chosen not in known and chosen.casefold() not in OUT_OF_SCOPE:
        close = get_close_matches(chosen, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else "choose one from the list"
        raise Invalid(f"intent: '{example.source}' has no intent '{chosen[:80]}'; {hint}")


def _amend(
    session: Session, example: Example, chosen: str, reviewer_id: int, sinks: Sequence[str], now: datetime, grace: timedelta
) -> None:
    """The verdict that counts for the label's item, with another intent and everything else as it is."""
    given = session.get(Verdict, example.verdict_id)
    counts = amend.current(session, given.item_id) if given is not None else None
    if counts is None or counts.id is None:
        raise Conflict("the verdict behind this label was withdrawn meanwhile: load the page again")
    if (refused := second_look.refusal(session, counts.item_id, reviewer_id)) is not None:
        raise Forbidden(refused)
    article = _article_of(session, counts)
    decision = Decision(
        label=VerdictLabel(counts.label),
        intent=chosen,
        answer=counts.answer,
        article_id=article.id if article else None,
        causes=tuple(RootCause(cause) for cause in counts.causes),
        comment=counts.comment,
    )
    made = _made(session, counts.id)
    reason = f"second look: '{chosen}' instead of '{example.intent}'"
    verdict = amend.amend(session, counts.item_id, counts.id, reviewer_id, decision, reason, sinks, now, grace)
    if made and made[0].version == 1:
        _relabel_article(session, verdict.id or 0, example.intent, chosen)


def _article_of(session: Session, verdict: Verdict) -> Article | None:
    """The article that the verdict's correction went to, or that of the verdict which settled it.

    Raises
    ------
    Conflict
        Somebody has changed the article since: amending would put the old answer back.
    """
    if not verdict.answer:
        return None
    versions = _made(session, verdict.settled_by or verdict.id)
    if not versions:
        return None
    article = session.get_one(Article, versions[0].article_id, populate_existing=True)
    if article.version != versions[-1].version:
        raise Conflict(
            f"article {article.id}, which came from this verdict, was changed since: amend the verdict on the page of item "
            f"{verdict.item_id}"
        )
    return article


def _made(session: Session, verdict_id: int | None) -> Sequence[ArticleVersion]:
    made = select(ArticleVersion).where(col(ArticleVersion.verdict_id) == verdict_id).order_by(col(ArticleVersion.id))
    return session.execute(made).scalars().all()


def _relabel_article(session: Session, verdict_id: int, before: str, after: str) -> None:
    """An article that the verdict had made has its intent from the slip. Its new version has left nowhere yet."""
    mine = [col(ArticleVersion.verdict_id) == verdict_id, col(ArticleVersion.intent) == before]
    articles = session.execute(select(col(ArticleVersion.article_id)).where(*mine)).scalars().all()
    session.execute(update(ArticleVersion).where(*mine).values(intent=after))
    session.execute(update(Article).where(col(Article.id).in_(articles), col(Article.intent) == before).values(intent=after))


def _look(example: Example, chosen: str, reviewer_id: int, now: datetime, ended_at: datetime | None) -> dict[str, object]:
    same = ("source", "content_hash", "intent", "suspected", "suspicion", "near")
    told = {"example_id": example.id, "chosen": chosen, "reviewer_id": reviewer_id, "at": now, "ended_at": ended_at}
    return {name: getattr(example, name) for name in same} | told


def _answered(session: Session, label_id: int, seen: str, chosen: str, reviewer_id: int, example: Example | None) -> Answer:
    """The answer that this reviewer gave before; everybody else is told what became of the label."""
    last = (
        select(SecondLook, col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(SecondLook.reviewer_id))
        .where(col(SecondLook.example_id) == label_id, col(SecondLook.intent) == seen)
        .order_by(col(SecondLook.id).desc())
        .limit(1)
    )
    found = session.execute(last).first()
    if found is not None:
        look, name = found
        if (look.reviewer_id, look.chosen) == (reviewer_id, chosen):
            return Answer(look.intent, look.chosen, name, look.at)
        did = "kept" if look.chosen == look.intent else f"changed to '{look.chosen}'"
        raise Conflict(f"{name} has {did} the label '{seen}' meanwhile: load the page again")
    if example is not None:
        raise Conflict(f"the label is '{example.intent}' by now: load the page again")
    raise NotFound(f"there is no label {label_id}: it was taken back, or is not for you to see")


def _name(session: Session, reviewer_id: int) -> str:
    return str(session.execute(select(col(Reviewer.name)).where(col(Reviewer.id) == reviewer_id)).scalar_one())
