"""What routes share: who asks, sessions that commit before the answer, and the clock."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError
from sqlmodel import Session
from starlette.routing import BaseRoute

from service import auth, tokens
from service.auth import Identity
from service.db import Database
from service.errors import Forbidden, NotSignedIn
from service.models import Scope
from service.settings import Settings

log = structlog.get_logger()
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
    identity = None
    if scheme.lower() == "bearer" and token:
        identity = program_of(db, token.strip(), _now())
    elif cookie := request.cookies.get(COOKIE):
        with db.read() as session:
            identity = auth.by_cookie(session, cookie, _now())
        _note(db, identity, auth.note_use, cookie, _now())
    if identity is None:
        raise NotSignedIn("sign in, or send an API token that is valid as 'Authorization: Bearer …'")
    return identity


def program_of(db: Database, token: str, now: datetime) -> Identity | None:
    """The program whose token this is, as `tokens.by_token` says; its use is noted."""
    with db.read() as session:
        identity = tokens.by_token(session, token, now)
    _note(db, identity, tokens.note_use, token, now)
    return identity


def _note(
    db: Database, identity: Identity | None, note: Callable[[Session, str, datetime], None], token: str, now: datetime
) -> None:
    if identity is None or not identity.note_use:
        return
    try:
        with db.write() as session:
            note(session, token, now)
    except OperationalError as error:  # who only reads need not wait for a database that cannot be written
        log.warning("use_not_noted", error=type(error).__name__)


def wants_page(request: Request) -> bool:
    """A browser asks, so that errors are pages too."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/hooks/"))


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
