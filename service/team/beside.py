"""What the team has to say beside one item: opinions, comments, and what this reviewer may do about it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from service import calibration, claims
from service.models import ItemState, KnownItem, Opinion, Reviewer, ReviewItem
from service.team import amend, comments, opinions
from service.team.queues import names_of


@dataclass(frozen=True, slots=True)
class Beside:
    opinions: list[tuple[Opinion, str]]
    """(opinion, reviewer's name): all once it is decided or disputed, before that only the reader's own."""
    missing: int
    """Opinions that are still to come."""
    comments: list[comments.Said]
    amendable: int | None
    """The verdict that the reader may amend."""
    known: bool | None
    """Whether it serves as a known item; None where the reader may not say."""
    assigned_to: str | None
    assigned_until: datetime | None
    disputed: bool
    refusal: str | None
    """Why the reader may not take the item though nobody holds it."""
    people: list[str]


def read(session: Session, item_id: int, reviewer_id: int, now: datetime) -> Beside:
    item = session.get_one(ReviewItem, item_id)
    veiled = calibration.veil(session, item, reviewer_id) is not None
    given = [] if veiled else opinions.opinions_of(session, item_id)
    is_admin = bool(session.execute(select(col(Reviewer.is_admin)).where(col(Reviewer.id) == reviewer_id)).scalar())
    waits = bool(given) and item.state == ItemState.open and not item.disputed
    mine = [one for one in given if one.reviewer_id == reviewer_id]
    may_see_all = not waits and (item.state != ItemState.open or is_admin or bool(mine) or _holds(item, reviewer_id))
    names = names_of(session)
    verdict = amend.may_amend(session, item, reviewer_id)
    decided = is_admin and item.state == ItemState.done and not veiled
    people = select(col(Reviewer.name)).where(col(Reviewer.active)).order_by(col(Reviewer.name))
    return Beside(
        opinions=[(one, names.get(one.reviewer_id, "?")) for one in (given if may_see_all else mine)],
        missing=max(opinions.reviews_wanted(session, item_id) - len(given), 0) if waits else 0,
        comments=comments.comments_of(session, item_id, reviewer_id),
        amendable=verdict.id if verdict else None,
        known=(session.get(KnownItem, item_id) is not None) if decided else None,
        assigned_to=names.get(item.assigned_to) if item.assigned_to and item.state == ItemState.open else None,
        assigned_until=item.assigned_until,
        disputed=item.disputed and item.state == ItemState.open,
        refusal=claims.refusal(session, item, reviewer_id, now) if item.state == ItemState.open else None,
        people=list(session.execute(people).scalars()),
    )


def _holds(item: ReviewItem, reviewer_id: int) -> bool:
    """Disputed, it is served to adjudicators alone."""
    return item.disputed and item.reviewer_id == reviewer_id
