"""POST /hooks/{source}: what platforms send. Verified on the raw bytes, committed, then acknowledged.

A plain Starlette route: FastAPI's reading of parameters and dependencies would cost a third of a request and has nothing
to read here. The answers: 202 on disk, 401 not authentic, 404 no such source, 413 too large, 422 authentic but unreadable
(it is kept and can be replayed). How each delivery ended is counted (service/tally.py).
"""

from datetime import UTC, datetime

import structlog
from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connectors.errors import Reject
from connectors.events import Delivery, Ignored, Source
from service.errors import NotFound
from service.ingest import Ingest, Received, redacted_body
from service.privacy import Redact
from service.tally import Outcome, Tally

log = structlog.get_logger()


async def receive(request: Request) -> Response:
    source: str = request.path_params["source"]
    reader: Source | None = request.app.state.sources.get(source)
    if reader is None:
        raise NotFound("no such source: add it to TRIAGE_SOURCES")
    body = await request.body()
    now = datetime.now(UTC)
    tally: Tally = request.app.state.tally
    try:
        delivery = reader.verify(request.headers, body, request.app.state.secrets[source], now)
    except Reject as error:
        tally.note(source, Outcome.refused, now, error.reason, list(request.headers))
        log.warning("delivery_refused", source=source, reason=error.reason)
        return JSONResponse({"detail": error.reason}, status_code=401)
    ingest: Ingest = request.app.state.ingest
    try:
        # A large body is read beside the event loop, so that others are answered meanwhile.
        events = reader.parse(body) if len(body) < 65_536 else await run_in_threadpool(reader.parse, body)
    except Reject as error:
        await ingest.accept(await _unreadable(request.app.state.redact, source, delivery, body, error))
        tally.note(source, Outcome.unreadable, now)
        log.warning("delivery_unreadable", source=source, delivery=delivery.id, reason=error.reason)
        return JSONResponse({"detail": error.reason}, status_code=422)
    await ingest.accept(Received(source, delivery, events))
    tally.note(source, Outcome.accepted, now)
    for event in events:
        if isinstance(event, Ignored):
            tally.note(source, Outcome.ignored, now, event.what)
    return Response(status_code=202)


async def _unreadable(redact: Redact, source: str, delivery: Delivery, body: bytes, error: Reject) -> Received:
    kept = await run_in_threadpool(redacted_body, body, redact)
    return Received(source, delivery, unreadable=error.reason, body=kept)
