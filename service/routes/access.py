"""What routes share: who asks, sessions that commit before the answer, and the clock."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session
from starlette.routing import BaseRoute

from service import auth
from service.auth import Identity
from service.db import Database
from service.errors import Forbidden, NotSignedIn
from service.models import Scope
from service.settings import Settings

COOKIE = "triage_session"
# The only ones of our FastAPI routes that answer without an identity; webhooks prove themselves by their signature.
PUBLIC = {"/sign-in", "/health", "/ready"}


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def undo_time_of(request: Request) -> timedelta:
    return timedelta(seconds=settings_of(request).queue.undo_seconds)


def _read(request: Request) -> Iterator[Session]:
    db: Database = request.app.state.db
    with db.read() as session:
        yield session


def _write(request: Request) -> Iterator[Session]:
    db: Database = request.app.state.db
    with db.write() as session:
        yield session


# Function scope: the session commits before the answer begins, so that what was acknowledged is on disk.
ReadSession = Annotated[Session, Depends(_read, scope="function")]
WriteSession = Annotated[Session, Depends(_write, scope="function")]


def _now() -> datetime:
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(_now)]


async def authenticate(request: Request) -> None:
    """Runs before every route: whoever is not known gets no further, except to the PUBLIC ones.

    Raises
    ------
    NotSignedIn
        No valid cookie or token came with the request.
    """
    route: BaseRoute | None = request.scope.get("route")
    if getattr(route, "path", None) in PUBLIC:
        return
    request.state.identity = await run_in_threadpool(_identify, request)


def _identify(request: Request) -> Identity:
    db: Database = request.app.state.db
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    with db.read() as session:
        if scheme.lower() == "bearer" and token:
            identity = auth.by_token(session, token.strip())
        elif cookie := request.cookies.get(COOKIE):
            identity = auth.by_cookie(session, cookie, _now())
        else:
            identity = None
    if identity is None:
        raise NotSignedIn("sign in, or send an API token as 'Authorization: Bearer …'")
    return identity


def needs(scope: Scope) -> Callable[[Request], Identity]:
    """A dependency: the identity, if it has the scope."""

    def identity_with_scope(request: Request) -> Identity:
        identity: Identity = request.state.identity
        if scope not in identity.scopes:
            raise Forbidden(f"this needs the scope '{scope}'")
        return identity

    return identity_with_scope


def acting_reviewer(identity: Annotated[Identity, Depends(needs(Scope.review))]) -> int:
    """The reviewer who acts: the one signed in, or the one the token acts for."""
    if identity.reviewer_id is None:
        raise Forbidden("this token acts for no reviewer: make one with --reviewer")
    return identity.reviewer_id


ReviewerId = Annotated[int, Depends(acting_reviewer)]
