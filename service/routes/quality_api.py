"""The JSON API's numbers: how often the bot fails, and how sure that is."""

from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from fastapi.security import HTTPBearer

from service.gaps import Gap, gaps
from service.models import Scope
from service.quality import Quality, measure
from service.routes.access import Now, ReadSession, needs, settings_of

router = APIRouter(
    prefix="/api/v1",
    tags=["quality"],
    responses={401: {"description": "No valid token."}, 403: {"description": "The token lacks the scope."}},
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)


@dataclass(frozen=True, slots=True)
class QualityOut:
    """`unknown` says what is missing for more, and what to do about it."""

    numbers: Quality
    unknown: list[Gap]


@router.get("/quality", dependencies=[Depends(needs(Scope.review))])
def read_quality(request: Request, session: ReadSession, now: Now) -> QualityOut:
    """How often the bot fails, what each signal and the queue are worth: value, interval of 95 %, counts and a sentence each."""
    settings = settings_of(request)
    return QualityOut(measure(session, now, settings.signal_thresholds), gaps(session, list(settings.sources)))
