"""Decisions of a team: a verdict where one review is wanted; opinions, given apart from each other, where several are.

Agreeing opinions make the verdict; those that differ go to an adjudicator. Only verdicts count in estimates and learning.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from service import calibration, review
from service.claims import hold
from service.db import insert_into
from service.errors import Conflict
from service.filters import filter_of, matches
from service.models import Calibration, Draft, ItemState, NamedQueue, Opinion, OpinionKind, ReviewItem, RootCause, Skip, Verdict
from service.models import VerdictLabel as Label
from service.review import Decision


def decide(
    session: Session,
    item_id: int,
    reviewer_id: int,
    fence: int,
    decision: Decision,
    sinks: Sequence[str],
    now: datetime,
    grace: timedelta = timedelta(0),
) -> Verdict | Opinion:
    """What `review.decide` does where the item wants one review. Where it wants several, an opinion: the last one makes the
    verdict if all agree, else the item is disputed. Of a known item, an opinion that changes nothing.

    The same again under the same fence gives what is there.

    Raises
    ------
    LeaseLost, Conflict, Invalid
        As `review.decide`.
    """
    review.check(decision)
    same = _given(session, item_id, reviewer_id, fence)
    if same is not None:
        if not _says(same, decision):
            raise Conflict("you judged this item already, otherwise")
        return same
    if (lease := calibration.lease_of(session, item_id, reviewer_id, fence)) is not None and _is_done(session, item_id):
        return _calibrate(session, lease, decision, now)
    item = session.get(ReviewItem, item_id)
    earlier = opinions_of(session, item_id)
    wanted = reviews_wanted(session, item_id)
    if item is None or item.disputed or (wanted <= 1 and not earlier):
        return review.decide(session, item_id, reviewer_id, fence, decision, sinks, now, grace)
    opinion = _opinion(item, reviewer_id, fence, decision, now)
    if len(earlier) + 1 < wanted:
        hold(session, item_id, reviewer_id, fence, {"reviewer_id": None, "claimed_until": None})
    elif (agreed := agreement([*earlier, opinion])) is not None:
        review.decide(session, item_id, reviewer_id, fence, replace(decision, **agreed), sinks, now, grace)
    else:
        hold(session, item_id, reviewer_id, fence, {"reviewer_id": None, "claimed_until": None, "disputed": True})
    session.add(opinion)
    not_again = insert_into(session, Skip).values(item_id=item_id, reviewer_id=reviewer_id)
    session.execute(not_again.on_conflict_do_nothing())
    session.execute(delete(Draft).where(col(Draft.item_id) == item_id, col(Draft.reviewer_id) == reviewer_id))
    session.flush()
    return opinion


def reviews_wanted(session: Session, item_id: int) -> int:
    """How many people shall judge the item: the most that a queue wants which it is in, whichever they work in."""
    several = session.execute(select(NamedQueue).where(col(NamedQueue.reviews) > 1)).scalars().all()
    wanted = 1
    for queue in several:
        inside = select(func.count()).where(col(ReviewItem.id) == item_id, *matches(filter_of(queue)))
        if queue.reviews > wanted and session.execute(inside).scalar_one():
            wanted = queue.reviews
    return wanted


def opinions_of(session: Session, item_id: int) -> list[Opinion]:
    """Those that count for the item now, the earliest first."""
    found = select(Opinion).where(
        col(Opinion.item_id) == item_id, col(Opinion.kind) == OpinionKind.review, col(Opinion.withdrawn_at).is_(None)
    )
    return list(session.execute(found.order_by(col(Opinion.id))).scalars())


def agreement(opinions: Sequence[Opinion]) -> dict[str, Any] | None:
    """What all of them say, as a decision's fields; None where they differ in label, corrected intent or corrected answer.

    An opinion without a correction does not speak against another's.
    """
    agreed: dict[str, Any] = {}
    for name in ("label", "intent", "answer"):
        said = {value.strip() for one in opinions if (value := getattr(one, name))}
        if len(said) > 1:
            return None
        agreed[name] = next(iter(said), None)
    with_answer = next((one for one in reversed(opinions) if one.answer), None)
    causes = {cause for one in opinions for cause in one.causes}
    comments = [one.comment for one in opinions if one.comment]
    return {
        **agreed,
        "label": Label(agreed["label"]),
        "question": with_answer.question if with_answer else None,
        "article_id": with_answer.article_id if with_answer else None,
        "causes": tuple(cause for cause in RootCause if cause in causes),
        "comment": "\n\n".join(dict.fromkeys(comments))[: review.MOST_TEXT] or None,
    }


def _given(session: Session, item_id: int, reviewer_id: int, fence: int) -> Opinion | None:
    found: Opinion | None = session.execute(
        select(Opinion).where(
            col(Opinion.item_id) == item_id,
            col(Opinion.reviewer_id) == reviewer_id,
            col(Opinion.fence) == fence,
            col(Opinion.withdrawn_at).is_(None),
        )
    ).scalar_one_or_none()
    return found


def _says(opinion: Opinion, decision: Decision) -> bool:
    told = (opinion.label, opinion.intent, opinion.answer, opinion.comment, sorted(opinion.causes))
    given = (decision.label, decision.intent, decision.answer, decision.comment, sorted(str(c) for c in decision.causes))
    return told == given


def _is_done(session: Session, item_id: int) -> bool:
    state = session.execute(select(col(ReviewItem.state)).where(col(ReviewItem.id) == item_id)).scalar()
    return state == ItemState.done


def _calibrate(session: Session, lease: Calibration, decision: Decision, now: datetime) -> Opinion:
    opinion = calibration.judge(session, lease, _told(decision), now)
    session.execute(delete(Draft).where(col(Draft.item_id) == lease.item_id, col(Draft.reviewer_id) == lease.reviewer_id))
    return opinion


def _opinion(item: ReviewItem, reviewer_id: int, fence: int, decision: Decision, now: datetime) -> Opinion:
    assert item.id is not None
    return Opinion(
        item_id=item.id,
        reviewer_id=reviewer_id,
        fence=fence,
        kind=OpinionKind.review,
        claimed_at=item.claimed_at,
        decided_at=now,
        **_told(decision),
    )


def _told(decision: Decision) -> dict[str, Any]:
    fields = ("label", "intent", "answer", "question", "article_id", "comment")
    told = asdict(decision)
    return {**{name: told[name] for name in fields}, "causes": [str(cause) for cause in decision.causes]}
