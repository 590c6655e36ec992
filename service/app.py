"""The web process: webhooks, the API and the pages. It never loads a model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import quote, urlsplit

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors import registry
from connectors.articles import Sink
from connectors.errors import Reject
from connectors.events import Source
from service.assets import Assets
from service.db import Database
from service.errors import NotSignedIn, SetupError, TooManyTries, TriageError
from service.ingest import Ingest
from service.lead import Numbers
from service.live import Live
from service.logs import place_of
from service.privacy import make_redact
from service.routes import (
    account_pages,
    api,
    article_pages,
    cluster_api,
    cluster_pages,
    connection_pages,
    forget_api,
    forget_pages,
    item_pages,
    label_api,
    label_pages,
    lead_pages,
    live,
    pages,
    pull_pages,
    quality_api,
    search_api,
    search_pages,
    sign_in_api,
    team_api,
    team_pages,
    webhooks,
)
from service.routes.access import COOKIE, authenticate, wants_page
from service.routes.otlp import Otlp
from service.routes.page_base import error_page
from service.settings import Settings
from service.tally import Tally

log = structlog.get_logger()
REQUESTS_AT_ONCE = 32  # of the 40 threads that Starlette has
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
        A source is of an unknown kind, lacks its secret or has an option that its kind does not know.
    """
    sources, secrets = make_sources(settings)
    db = Database(settings.database_url)
    redact = make_redact(settings.redact, settings.redact_phone_regions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.live.close()
        app.state.tally.close()
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
    app.state.numbers = Numbers(settings.signal_thresholds, list(settings.sources))
    app.state.ingest = Ingest(db, redact, timedelta(seconds=settings.settle_seconds))
    app.state.tally = Tally(db)
    app.state.live = Live(db)
    app.add_route("/hooks/{source}", webhooks.receive, methods=["POST"])
    otlp = Otlp(db, redact, timedelta(seconds=settings.settle_seconds), settings.body_limit_bytes)
    app.add_route("/v1/traces", otlp.traces, methods=["POST"])
    app.add_route("/v1/logs", otlp.logs, methods=["POST"])
    app.include_router(api.router)
    app.include_router(quality_api.router)
    app.include_router(cluster_api.router)
    app.include_router(cluster_pages.router)
    app.include_router(search_api.router)
    app.include_router(search_pages.router)
    app.include_router(account_pages.router)
    app.include_router(sign_in_api.router)
    app.include_router(pages.router)
    app.include_router(item_pages.router)
    app.include_router(article_pages.router)
    app.include_router(team_pages.router)
    app.include_router(team_api.router)
    app.include_router(label_pages.router)
    app.include_router(label_api.router)
    app.include_router(connection_pages.router)
    app.include_router(forget_api.router)
    app.include_router(forget_pages.router)
    app.include_router(pull_pages.router)
    app.include_router(lead_pages.router)
    app.include_router(live.router)
    app.add_api_route("/health", _health, include_in_schema=False)
    app.add_api_route("/ready", _ready, include_in_schema=False, response_model=None)
    app.mount("/static/{version}", Assets(), name="static")
    app.add_exception_handler(TriageError, _told)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(RequestValidationError, _not_understood)
    # Numbers beyond the columns' and NUL characters: PostgreSQL and SQLite each complain in their own way.
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(OverflowError, _unstorable)
    # The last added is the outermost: refusals of large bodies carry the guard's headers too.
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.body_limit_bytes)
    app.add_middleware(Room)
    app.add_middleware(Guard, origins=settings.allowed_origins)
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
        options = source.model_extra or {}
        secrets[name] = [secret.get_secret_value() for secret in source.secrets]
        if any(secrets[name]) == (options.get("allow_unsigned") is True):
            raise SetupError(
                f"sources.{name}.secrets: give at least one signing secret"
                if not any(secrets[name])
                else f"sources.{name}.allow_unsigned: leave it out where there are secrets"
            )
        try:
            sources[name] = kind(timedelta(seconds=settings.replay_window_seconds), **options)
        except Reject as error:
            raise SetupError(f"sources.{name}.{error.reason}") from error
        except TypeError as error:
            raise SetupError(f"sources.{name}: {str(error).rpartition('() ')[2]}") from error
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


def _ready(request: Request) -> Response:
    db: Database = request.app.state.db
    try:
        with db.read() as session:
            session.execute(text("SELECT 1"))
    except OperationalError:
        return JSONResponse({"status": "the database cannot be reached"}, status_code=503)
    return JSONResponse({"status": "ok"})


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, TriageError)
    if wants_page(request) and isinstance(error, NotSignedIn):
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?next={quote(there if request.method == 'GET' else '/')}", status_code=303)
    response = _failed(request, error.status, str(error))
    if isinstance(error, TooManyTries):
        response.headers["Retry-After"] = str(error.seconds)
    return response


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if wants_page(request):
        return error_page(request, error.status_code, "There is no such page." if error.status_code == 404 else str(error.detail))
    return await http_exception_handler(request, error)


async def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if wants_page(request):
        fields = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return error_page(request, 422, f"The address or the form holds something that does not fit: {fields}.")
    # FastAPI's own answer quotes the input, which JSON may be unable to say (NaN).
    told = [{"loc": one["loc"], "msg": one["msg"], "type": one["type"]} for one in error.errors()]
    return JSONResponse({"detail": told}, status_code=422)


async def _unstorable(request: Request, error: Exception) -> Response:
    return _failed(request, 422, "The request holds a number that is out of range, or a character that cannot be stored.")


def _failed(request: Request, status: int, detail: str) -> Response:
    if wants_page(request):
        return error_page(request, status, detail)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


class Room:
    """So many requests at a time, the others in the order in which they came; webhooks have their own way in.

    Each keeps one thread busy at most, and there are more: a request that holds SQLite's write lock always finds one to go
    on with, however many wait for that lock.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._room = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/hooks/", "/static/", "/live")):
            await self._app(scope, receive, send)
            return
        async with self._room:
            await self._app(scope, receive, send)


class Guard:
    """No form from another site; security headers on every answer."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        self._app = app
        self._origins = {origin.rstrip("/").lower() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._is_foreign(scope):
            await JSONResponse({"detail": "the request comes from another site"}, 403)(scope, receive, _with_headers(send))
        else:
            await self._answered(scope, receive, _with_headers(send))

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A defect is answered and logged here: the server's own log would quote the exception, and that a person's words."""
        begun = False

        async def noticed(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noticed)
        except Exception as error:
            if begun:  # the client went away
                raise
            route = getattr(scope.get("route"), "path", None)
            log.error("request_failed", error=type(error).__name__, where=place_of(error), method=scope["method"], route=route)
            await _failed(Request(scope), 500, "Something went wrong here; the log says where.")(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        """An unsafe request that a browser sends with a cookie (or to sign in) must come from our own pages."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or scope["path"].startswith("/hooks/"):
            return False
        headers = Headers(scope=scope)
        if COOKIE not in headers.get("cookie", "") and scope["path"] != "/sign-in":
            return False
        origin = headers.get("origin")
        if origin is not None:
            return origin.lower() not in self._origins and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        # Browsers always send one of the two with an unsafe request; other programs carry no foreign cookie.
        return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    raw = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

    async def finish(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *raw]}
        await send(message)

    return finish
