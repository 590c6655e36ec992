"""The JSON API's part for labels that look like slips: which there are, keeping and changing them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict

from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, settings_of, undo_time_of
from service.routes.api_models import Text
from service.team import relabel, second_look
from service.team.relabel import Answer
from service.team.second_look import Kept, Suspect
from service.views.forms import MOST_ID

router = APIRouter(
    prefix="/api/v1/labels",
    tags=["labels"],
    responses={
        401: {"description": "No valid token."},
        403: {"description": "The token lacks the scope, or the verdict is somebody else's."},
        404: {"description": "There is no such label."},
        409: {"description": "Somebody has answered meanwhile."},
    },
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)
Id = Annotated[int, Path(ge=1, le=MOST_ID)]
Source = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=200)]


class KeepIn(BaseModel):
    """`label`: the intent that the label said when it was looked at."""

    model_config = ConfigDict(extra="forbid")

    label: Text


class ChangeIn(KeepIn):
    """`intent`: what it shall say; one that the source has, or `out_of_scope`."""

    intent: Text


class AnswerOut(BaseModel):
    """`intent` is what the label said, `chosen` what it says now."""

    intent: str
    chosen: str
    by: str
    at: datetime


@router.get("/suspected")
def list_suspected(
    session: ReadSession,
    reviewer: ReviewerId,
    source: Source = None,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> list[Suspect]:
    """Labels that disagree with those of questions like theirs, the surest first."""
    return second_look.suspects(session, reviewer, source, limit, offset)


@router.get("/kept")
def list_kept(session: ReadSession, reviewer: ReviewerId, source: Source = None, limit: Limit = 50) -> list[Kept]:
    """Labels that somebody kept, the latest first."""
    return second_look.kept(session, reviewer, source, limit)


@router.post("/{label_id}/keep")
def keep_label(label_id: Id, given: KeepIn, session: WriteSession, now: Now, reviewer: ReviewerId) -> AnswerOut:
    """The label is right; it is not pointed out again until it changes."""
    return _told(relabel.keep(session, label_id, given.label, reviewer, now))


@router.delete("/{label_id}/keep", status_code=204)
def look_again(label_id: Id, session: WriteSession, now: Now, reviewer: ReviewerId) -> None:
    """Takes back that it was kept: it is pointed out as before."""
    relabel.look_again(session, label_id, reviewer, now)


@router.post("/{label_id}/change")
def change_label(
    label_id: Id, given: ChangeIn, request: Request, session: WriteSession, now: Now, reviewer: ReviewerId
) -> AnswerOut:
    """Another intent: a seed learns it; the verdict that gave the label is amended."""
    sinks, grace = list(settings_of(request).sinks), undo_time_of(request)
    return _told(relabel.change(session, label_id, given.label, given.intent, reviewer, sinks, now, grace))


def _told(answer: Answer) -> AnswerOut:
    return AnswerOut(intent=answer.intent, chosen=answer.chosen, by=answer.by, at=answer.at)
