"""One decision for look-alikes: verdicts that name the one that settled them, and taking those back.

What chance drew is never settled: its verdict speaks for many others, so somebody looks at it on its own (docs/quality.md).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, or_, select, update
from sqlmodel import Session, col

from service.db import chunks, insert_into
from service.errors import Invalid
from service.filters import repeat_exchange
from service.models import Example, Exchange, ItemState, Opinion, ReviewItem, Verdict, VerdictLabel

SETTLED = "settled"
"""Strategy of an item that was made to hold a settled verdict: nobody chose the exchange for a review."""
DRAWN = "random"
MOST_SETTLED = 500


def is_failing(label: str) -> bool:
    """Whether the verdict says that the answer fails, so that it may hold for another answer to the same question."""
    return label not in ("", VerdictLabel.good, VerdictLabel.unclear)


def settle(session: Session, verdict: Verdict, exchange: Exchange, now: datetime) -> list[tuple[Exchange, int]]:
    """Give those of `verdict.settles` that are free a verdict of their own with the same label; (exchange, its verdict's id).

    Left out are exchanges that somebody else holds or has decided, that chance drew, or that are gone.

    Raises
    ------
    Invalid
        An exchange is of another cluster than `exchange`, or there are too many.
    """
    wanted = [one for one in verdict.settles or [] if one != exchange.id]
    if len(wanted) > MOST_SETTLED:
        raise Invalid(f"settles: at most {MOST_SETTLED} exchanges with one decision")
    if not wanted:
        return []
    known = select(col(Exchange.id), col(Exchange.cluster_id)).where(col(Exchange.id).in_(wanted))
    for exchange_id, cluster_id in session.execute(known.order_by(col(Exchange.id))):
        if cluster_id is None or cluster_id != exchange.cluster_id:
            raise Invalid(f"settles: exchange {exchange_id} does not ask the same as the item; take it out of the list")
    items = {**_close(session, verdict, wanted, now), **_add(session, verdict, wanted, now)}
    made = session.execute(
        insert_into(session, Verdict).returning(col(Verdict.id), sort_by_parameter_order=True),
        [
            {
                "item_id": item_id,
                "reviewer_id": verdict.reviewer_id,
                "fence": fence,
                "label": verdict.label,
                "intent": verdict.intent,
                "answer": verdict.answer,
                "causes": verdict.causes,
                "settled_by": verdict.id,
                "decided_at": now,
            }
            for item_id, fence in items.values()
        ],
    ).scalars() if items else ()  # fmt: skip
    verdicts = dict(zip(items, made, strict=True))
    rows = session.execute(select(Exchange).where(col(Exchange.id).in_(list(items))).order_by(col(Exchange.id))).scalars()
    return [(one, verdicts[one.id]) for one in rows if one.id is not None]


def _close(session: Session, verdict: Verdict, wanted: Sequence[int], now: datetime) -> dict[int, tuple[int, int]]:
    """Open items that nobody else holds: (item, fence) by exchange. Rows that are being changed right now are passed over,
    so that two decisions about one cluster never wait for each other."""
    free = (
        select(col(ReviewItem.id))
        .where(col(ReviewItem.exchange_id).in_(wanted), free_for(verdict.reviewer_id, now))
        .order_by(col(ReviewItem.id))
        .with_for_update(skip_locked=True)
    )
    closed = session.execute(
        update(ReviewItem)
        .where(col(ReviewItem.id).in_(session.execute(free).scalars().all()))
        .values(
            state=ItemState.done,
            reviewer_id=verdict.reviewer_id,
            claimed_until=None,
            decided_at=now,
            fence=ReviewItem.fence + 1,  # whoever held it before may no longer decide it
        )
        .returning(col(ReviewItem.exchange_id), col(ReviewItem.id), col(ReviewItem.fence))
        .execution_options(synchronize_session=False)
    )
    return {row.exchange_id: (row.id, row.fence) for row in closed}


def free_for(reviewer_id: int | None, now: datetime) -> Any:
    """The condition on an item for being settled by this reviewer's decision: open, not drawn by chance, and nobody else's: not
    held by another, not assigned to another, and not judged by several apart from each other."""
    mine = col(ReviewItem.reviewer_id) == reviewer_id
    lasts = or_(col(ReviewItem.assigned_until).is_(None), col(ReviewItem.assigned_until) > now)
    assigned = col(ReviewItem.assigned_to).is_not(None) & lasts
    judged = select(col(Opinion.id)).where(col(Opinion.item_id) == col(ReviewItem.id), col(Opinion.withdrawn_at).is_(None))
    return and_(
        col(ReviewItem.state) == ItemState.open,
        col(ReviewItem.strategy) != DRAWN,
        or_(col(ReviewItem.claimed_until).is_(None), col(ReviewItem.claimed_until) <= now, mine),
        ~assigned | (col(ReviewItem.assigned_to) == reviewer_id),
        ~col(ReviewItem.disputed),
        ~judged.correlate(ReviewItem).exists(),
    )


def _add(session: Session, verdict: Verdict, wanted: Sequence[int], now: datetime) -> dict[int, tuple[int, int]]:
    """Items for exchanges that have none: (item, fence) by exchange."""
    free = (
        select(Exchange)
        .where(col(Exchange.id).in_(wanted), ~col(Exchange.reviewed))
        .order_by(col(Exchange.id))
        .with_for_update(skip_locked=True)  # acquisition may be choosing it at this moment
    )
    rows = session.execute(free).scalars().all()
    if not rows:
        return {}
    added = session.execute(
        insert_into(session, ReviewItem)
        .on_conflict_do_nothing(index_elements=["exchange_id"])
        .returning(col(ReviewItem.exchange_id), col(ReviewItem.id)),
        [
            {
                "exchange_id": one.id,
                "cluster_id": one.cluster_id,
                "state": ItemState.done,
                "priority": one.priority,
                "strategy": SETTLED,
                "propensity": 1.0,
                "reason": f"asks the same as item {verdict.item_id} and was settled with it",
                "suggestions": {},
                "created_at": now,
                "decided_at": now,
                "reviewer_id": verdict.reviewer_id,
                "fence": 1,
            }
            for one in rows
        ],
    ).all()
    ids = [row.exchange_id for row in added]
    session.execute(update(Exchange).where(col(Exchange.id).in_(ids)).values(reviewed=True))
    repeat_exchange(session, ids)
    return {row.exchange_id: (row.id, 1) for row in added}


def variants(question: str, known: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """The article's known variants and the questions that are worded otherwise than it and each other, but for case, spaces
    and marks at the end."""
    gained = {_bare(one): one for one in reversed(asked)}
    seen = {_bare(question), *map(_bare, known)}
    return (*dict.fromkeys(known), *(gained[bare] for bare in dict.fromkeys(map(_bare, asked)) if bare and bare not in seen))


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" ?!.…")


def settled_by(session: Session, verdict_id: int) -> list[tuple[int, int]]:
    """(exchange, item) of the verdicts that it settled and that still count, in order."""
    rows = session.execute(
        select(col(ReviewItem.exchange_id), col(ReviewItem.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where(col(Verdict.settled_by) == verdict_id, col(Verdict.withdrawn_at).is_(None))
        .order_by(col(ReviewItem.exchange_id))
    )
    return [(exchange_id, item_id) for exchange_id, item_id in rows]


def take_back(session: Session, verdict_ids: Sequence[int], reason: str, now: datetime) -> None:
    """Withdraw what these verdicts settled. Items that were waiting before wait again; exchanges that had no item have none."""
    if not verdict_ids:
        return
    withdrawn = session.execute(
        update(Verdict)
        .where(col(Verdict.settled_by).in_(verdict_ids), col(Verdict.withdrawn_at).is_(None))
        .values(withdrawn_at=now, withdrawn_reason=reason)
        .returning(col(Verdict.id), col(Verdict.item_id))
        .execution_options(synchronize_session=False)
    ).all()
    for part in chunks([row.id for row in withdrawn]):
        session.execute(delete(Example).where(col(Example.verdict_id).in_(part)))
    forgotten = select(col(Exchange.id)).where(col(Exchange.id) == col(ReviewItem.exchange_id), col(Exchange.forgotten))
    for part in chunks([row.item_id for row in withdrawn]):
        mine = col(ReviewItem.id).in_(part)
        session.execute(
            update(ReviewItem)
            .where(mine, col(ReviewItem.strategy) != SETTLED, ~forgotten.exists())
            .values(state=ItemState.open, reviewer_id=None, claimed_until=None, decided_at=None, remark=reason)
            .execution_options(synchronize_session=False)
        )
        made = select(col(ReviewItem.exchange_id)).where(mine, col(ReviewItem.strategy) == SETTLED)
        session.execute(
            update(Exchange)
            .where(col(Exchange.id).in_(made), ~col(Exchange.forgotten))
            .values(reviewed=False)
            .execution_options(synchronize_session=False)
        )
        session.execute(
            delete(ReviewItem).where(mine, col(ReviewItem.strategy) == SETTLED).execution_options(synchronize_session=False)
        )


def questions_of(session: Session, verdict_id: int) -> set[str]:
    """The questions of the verdict's own exchange and of those that it still settles."""
    rows = session.execute(
        select(col(Exchange.question))
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
        .join(Verdict, col(Verdict.item_id) == col(ReviewItem.id))
        .where((col(Verdict.id) == verdict_id) | (col(Verdict.settled_by) == verdict_id), col(Verdict.withdrawn_at).is_(None))
    )
    return {question.strip() for question in rows.scalars()}


def question_of(session: Session, item_id: int) -> str:
    asked = select(col(Exchange.question)).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id))
    return str(session.execute(asked.where(col(ReviewItem.id) == item_id)).scalar_one()).strip()
