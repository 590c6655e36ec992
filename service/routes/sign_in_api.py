"""The JSON API's part for admins about signing in: who is signed in, and which tries failed."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from service import auth, tries
from service.auth import OpenSession
from service.models import Scope, TryKind
from service.routes.access import Now, ReadSession, WriteSession, needs

router = APIRouter(
    prefix="/api/v1/sign-ins",
    tags=["accounts"],
    responses={
        401: {"description": "No valid token."},
        403: {"description": "The token lacks the scope `admin`."},
        404: {"description": "There is no such reviewer."},
    },
    dependencies=[Depends(HTTPBearer(auto_error=False)), Depends(needs(Scope.admin))],
)
Name = Annotated[str, Query(max_length=80)]


class SessionOut(BaseModel):
    reviewer: str
    began_at: datetime | None
    seen_at: datetime | None
    expires_at: datetime
    address: str | None


class FailedOut(BaseModel):
    """`wrong` tries failed, `refused` ones came during a wait, until `free_at`. `account`: null where nobody has the name."""

    kind: TryKind
    account: str | None
    address: str | None
    wrong: int
    refused: int
    last_at: datetime
    free_at: datetime


class EndedOut(BaseModel):
    ended: int


@router.get("", response_model=list[SessionOut])
def list_sessions(session: ReadSession, now: Now, reviewer: Name | None = None) -> list[OpenSession]:
    """Sessions that go on, the latest used first."""
    return auth.sessions_of(session, now, reviewer)


@router.delete("")
def end_sessions(session: WriteSession, reviewer: Name) -> EndedOut:
    """End all of the reviewer's sessions."""
    return EndedOut(ended=auth.sign_out_everywhere(session, reviewer))


@router.get("/failed")
def list_failed(session: ReadSession, now: Now) -> list[FailedOut]:
    """Tries at signing in that failed in the last days, the latest first, by account and by address."""
    return [
        FailedOut(
            kind=one.kind,
            account=one.name,
            address=one.address,
            wrong=one.wrong,
            refused=one.refused,
            last_at=one.tried_at,
            free_at=one.free_at,
        )
        for one in tries.refused(session, now)
    ]
