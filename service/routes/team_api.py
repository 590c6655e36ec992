"""The JSON API's part for teams: queues, assignments, agreement, progress, comments, amending."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from service import calibration
from service.auth import Identity
from service.filters import QueueFilter
from service.models import Scope
from service.review import Decision
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, undo_time_of
from service.routes.api_models import DecisionIn, VerdictOut
from service.team import agreement, amend, comments, progress, queues
from service.team.agreement import Agreement, Calibrated
from service.team.progress import PersonProgress, QueueProgress
from service.team.queues import Held, QueueContent

router = APIRouter(
    prefix="/api/v1",
    tags=["team"],
    responses={
        401: {"description": "No valid token."},
        403: {"description": "The token lacks the scope."},
        404: {"description": "There is no such thing."},
        409: {"description": "The state changed meanwhile."},
    },
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)
MAY_REVIEW, MAY_LEAD = Depends(needs(Scope.review)), Depends(needs(Scope.admin))
Known = Annotated[Identity, MAY_REVIEW]
QueueName = Annotated[str | None, Query(max_length=80)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueueIn(_In):
    """A queue as it shall be; people by name. Fields that are left out ask for nothing."""

    name: str = Field(max_length=80)
    signal: str | None = None
    source: str | None = None
    strategy: str | None = None
    intent: str | None = None
    channel: str | None = None
    least_priority: float | None = None
    budget: int | None = None
    reviewers: list[str] = []
    adjudicators: list[str] = []
    reviews: int = 1
    calibration_share: float = 0.0
    due_hours: float | None = None

    def content(self) -> QueueContent:
        return QueueContent(**{**dict(self), "reviewers": tuple(self.reviewers), "adjudicators": tuple(self.adjudicators)})


class AssignIn(_In):
    """One item by `item_id`, or the best `most` of a queue or of all."""

    reviewer: str
    hours: float = 24.0
    item_id: int | None = None
    queue: str | None = None
    most: int = 1


class CommentIn(_In):
    """`key`: sent again with the same key, the comment is stored once."""

    text: str = Field(max_length=comments.MOST_TEXT)
    key: str = Field(min_length=1, max_length=40)


class CommentOut(BaseModel):
    id: int
    item_id: int
    by: str
    text: str
    at: datetime


class AmendIn(DecisionIn):
    """The decision in place of verdict `verdict_id`, and why. `fence` is not looked at."""

    fence: int = 0
    verdict_id: int
    reason: str = Field(max_length=2000)


@router.get("/team/queues", dependencies=[MAY_REVIEW])
def list_queues(session: ReadSession) -> list[QueueContent]:
    return [queues.content_of(session, one) for one in queues.all_queues(session)]


@router.post("/team/queues", status_code=201, dependencies=[MAY_LEAD])
def add_queue(given: QueueIn, session: WriteSession, now: Now) -> QueueContent:
    return queues.content_of(session, queues.save_queue(session, given.content(), now))


@router.put("/team/queues/{name}", dependencies=[MAY_LEAD])
def change_queue(name: str, given: QueueIn, session: WriteSession, now: Now) -> QueueContent:
    """States the whole queue; another `name` renames it."""
    known = queues.queue_by_name(session, name)
    return queues.content_of(session, queues.save_queue(session, given.content(), now, known.id))


@router.delete("/team/queues/{name}", status_code=204, dependencies=[MAY_LEAD])
def remove_queue(name: str, session: WriteSession) -> None:
    """The filter goes; its items stay."""
    queues.remove_queue(session, name)


@router.get("/team/progress", dependencies=[MAY_REVIEW])
def read_progress(session: ReadSession, now: Now) -> dict[str, list[QueueProgress] | list[PersonProgress]]:
    """By queue and by person; people by name, not by rank."""
    return {"queues": progress.queue_progress(session, now), "people": progress.person_progress(session, now)}


@router.get("/team/holders", dependencies=[MAY_REVIEW])
def read_holders(session: ReadSession, now: Now) -> list[Held]:
    return queues.holders(session, now)


@router.post("/team/assign", dependencies=[MAY_LEAD])
def assign(given: AssignIn, session: WriteSession, now: Now) -> dict[str, int]:
    """Only this reviewer is served them, until they are taken back or `hours` have passed."""
    only = QueueFilter(queue=queues.queue_by_name(session, given.queue).name) if given.queue else None
    return {"assigned": queues.assign(session, given.reviewer, now, given.hours, given.item_id, only, given.most)}


@router.delete("/team/assign", dependencies=[MAY_LEAD])
def unassign(session: WriteSession, item_id: int | None = None, reviewer: str | None = None) -> dict[str, int]:
    """One item, or all of a reviewer."""
    return {"unassigned": queues.unassign(session, item_id, reviewer)}


@router.get("/team/agreement")
def read_agreement(
    session: ReadSession, identity: Known, queue: QueueName = None
) -> dict[str, list[Agreement] | list[Calibrated]]:
    """`known`: of known items; everybody's for admins, else the reader's own."""
    chosen = queues.queue_by_name(session, queue) if queue else None
    known = [one for one in agreement.calibrations(session) if Scope.admin in identity.scopes or one.reviewer == identity.name]
    return {"agreement": agreement.agreements(session, chosen), "known": known}


@router.put("/items/{item_id}/known", status_code=204, dependencies=[MAY_LEAD])
def mark_known(item_id: int, session: WriteSession, now: Now, reviewer: ReviewerId) -> None:
    calibration.mark(session, item_id, reviewer, now)


@router.delete("/items/{item_id}/known", status_code=204, dependencies=[MAY_LEAD])
def unmark_known(item_id: int, session: WriteSession) -> None:
    calibration.unmark(session, item_id)


@router.get("/items/{item_id}/comments")
def list_comments(item_id: int, session: ReadSession, reviewer: ReviewerId) -> list[CommentOut]:
    return [_comment(one) for one in comments.comments_of(session, item_id, reviewer)]


@router.post("/items/{item_id}/comments", status_code=201)
def add_comment(item_id: int, given: CommentIn, session: WriteSession, now: Now, reviewer: ReviewerId) -> dict[str, int]:
    return {"id": comments.add_comment(session, item_id, reviewer, given.text, given.key, now)}


@router.get("/mentions")
def list_mentions(session: ReadSession, reviewer: ReviewerId) -> list[CommentOut]:
    """Comments that name the reviewer and are not read yet."""
    return [_comment(one) for one in comments.mentions_of(session, reviewer) if one.read_at is None]


@router.post("/items/{item_id}/amend")
def amend_verdict(
    item_id: int, given: AmendIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId
) -> VerdictOut:
    """Another verdict for a decided item, by who decided it or an admin; the one before stays in the history."""
    told = given.model_dump(exclude={"fence", "verdict_id", "reason"})
    decision = Decision(**{**told, "causes": tuple(given.causes)})
    sinks, grace = list(settings_of(request).sinks), undo_time_of(request)
    verdict = amend.amend(session, item_id, given.verdict_id, reviewer, decision, given.reason, sinks, now, grace)
    return VerdictOut.model_validate(verdict)


def _comment(one: comments.Said | comments.Named) -> CommentOut:
    comment = one.comment
    return CommentOut(id=comment.id or 0, item_id=comment.item_id, by=one.by, text=comment.text, at=comment.at)
