"""The web process: webhooks, the API and the pages. It never loads a model."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors import registry
from connectors.articles import Sink
from connectors.errors import Reject
from connectors.events import Source
from service.db import Database
from service.errors import NotSignedIn, SetupError, TriageError
from service.ingest import Ingest
from service.privacy import make_redact
from service.routes import api, pages, webhooks
from service.routes.access import COOKIE, authenticate
from service.settings import Settings

log = structlog.get_logger()
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(settings: Settings) -> FastAPI:
    """The application over an existing, migrated database.

    Raises
    ------
    SetupError
        A source is of an unknown kind or lacks its secret.
    """
    sources, secrets = make_sources(settings)
    db = Database(settings.database_url)
    redact = make_redact(settings.redact, settings.redact_phone_regions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        db.close()

    app = FastAPI(
        title="Transcript Triage",
        summary="Finds the chatbot answers that went wrong and carries people's corrections back.",
        lifespan=lifespan,
        dependencies=[Depends(authenticate)],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.db = settings, db
    app.state.sources, app.state.secrets, app.state.redact = sources, secrets, redact
    app.state.ingest = Ingest(db, redact, timedelta(seconds=settings.settle_seconds))
    app.include_router(webhooks.router)
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_api_route("/health", _health, include_in_schema=False)
    app.add_api_route("/ready", _ready, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.add_exception_handler(TriageError, _told)
    app.add_middleware(Guard, limit=settings.body_limit_bytes, origins=settings.allowed_origins)
    return app


def make_sources(settings: Settings) -> tuple[dict[str, Source], dict[str, list[str]]]:
    """The configured sources' readers and their secrets, by name."""
    sources: dict[str, Source] = {}
    secrets: dict[str, list[str]] = {}
    for name, source in settings.sources.items():
        try:
            kind = registry.load(registry.SOURCES, source.kind)
        except Reject as error:
            raise SetupError(f"sources.{name}.kind: {error.reason}") from error
        secrets[name] = [secret.get_secret_value() for secret in source.secrets]
        if not any(secrets[name]):
            raise SetupError(f"sources.{name}.secrets: give at least one signing secret")
        sources[name] = kind(timedelta(seconds=settings.replay_window_seconds))
    return sources, secrets


def make_sinks(settings: Settings) -> dict[str, Sink]:
    """The configured knowledge bases, by name."""
    sinks: dict[str, Sink] = {}
    for name, sink in settings.sinks.items():
        try:
            kind = registry.load(registry.SINKS, sink.kind)
            sinks[name] = kind(**(sink.model_extra or {}))
        except Reject as error:
            raise SetupError(f"sinks.{name}.kind: {error.reason}") from error
        except TypeError as error:
            raise SetupError(f"sinks.{name}: {error}") from error
    return sinks


async def _health() -> dict[str, str]:
    return {"status": "ok"}


def _ready(request: Request) -> dict[str, str]:
    db: Database = request.app.state.db
    with db.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, TriageError)
    wants_page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/hooks/"))
    if wants_page and isinstance(error, NotSignedIn):
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(there if request.method == 'GET' else '/')}", status_code=303)
    if wants_page:
        return pages.error_page(request, error.status, str(error))
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse({"detail": str(error)}, status_code=error.status, headers=headers)


class Guard:
    """Before anything else: no body beyond the limit, no form from another site; security headers on every answer."""

    def __init__(self, app: ASGIApp, limit: int, origins: list[str]) -> None:
        self._app = app
        self._limit = limit
        self._origins = {origin.rstrip("/").lower() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        finish = _with_headers(send)
        if self._too_large(headers):
            await _refuse(finish, 413, f"the body is larger than {self._limit} bytes")
        elif self._is_foreign(scope, headers):
            await _refuse(finish, 403, "the request comes from another site")
        else:
            await self._limited(scope, receive, finish)

    def _too_large(self, headers: dict[str, str]) -> bool:
        length = headers.get("content-length", "")
        return length.isdigit() and int(length) > self._limit

    def _is_foreign(self, scope: Scope, headers: dict[str, str]) -> bool:
        """An unsafe request that a browser sends with a cookie (or to sign in) must come from our own pages."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or scope["path"].startswith("/hooks/"):
            return False
        if COOKIE not in headers.get("cookie", "") and scope["path"] != "/sign-in":
            return False
        origin = headers.get("origin")
        if origin is not None:
            return origin.lower() not in self._origins and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        # Browsers always send one of the two with an unsafe request; other programs carry no foreign cookie.
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A body without a length is counted as it comes."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise HTTPException(413, f"the body is larger than {self._limit} bytes")
            return message

        await self._app(scope, counted, send)


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    raw = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def finish(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *raw]}
        await send(message)

    return finish


async def _refuse(send: Send, status: int, detail: str) -> None:
    response = JSONResponse({"detail": detail}, status_code=status)
    start = {"type": "http.response.start", "status": status, "headers": response.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})
