"""The JSON API's numbers: how often the bot fails, and how sure that is."""

from dataclasses import dataclass

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer

from service.burndown import Burndown
from service.corrections import Corrections
from service.gaps import Gap
from service.models import Scope
from service.quality import Quality
from service.routes.access import needs
from service.routes.lead_base import LeadOf

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
    queue: Burndown
    corrections: Corrections
    unknown: list[Gap]


@router.get("/quality", dependencies=[Depends(needs(Scope.review))])
def read_quality(lead: LeadOf) -> QualityOut:
    """How often the bot fails, what each signal and the queue are worth: value, interval of 95 %, counts and a sentence each;
    the queue by day; what became of corrections. `weeks`, or `since` and `until`, `source` and `channel` narrow it."""
    return QualityOut(lead.quality, lead.queue, lead.corrections, lead.unknown)
