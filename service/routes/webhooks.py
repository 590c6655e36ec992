"""POST /hooks/{source}: what platforms send. Verified on the raw bytes, committed, then acknowledged."""

from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from connectors.errors import Reject
from connectors.events import Delivery, Source
from service.errors import NotFound
from service.ingest import Ingest, Received, redacted_body
from service.privacy import Redact

log = structlog.get_logger()
router = APIRouter(tags=["webhooks"])


@router.post(
    "/hooks/{source}",
    status_code=202,
    response_class=Response,
    responses={
        202: {"description": "The delivery is on disk."},
        401: {"description": "The signature, its timestamp or a header is not right."},
        404: {"description": "No such source."},
        413: {"description": "The body is too large."},
        422: {"description": "Authentic, but unreadable: it is kept and can be replayed."},
    },
    openapi_extra={
        "requestBody": {
            "description": "What the source's platform sends; for `standard` sources see docs/formats.md.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def receive(source: str, request: Request) -> Response:
    reader: Source | None = request.app.state.sources.get(source)
    if reader is None:
        raise NotFound("no such source: add it to TRIAGE_SOURCES")
    body = await request.body()
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers.raw}
    try:
        delivery = reader.verify(headers, body, request.app.state.secrets[source], datetime.now(UTC))
    except Reject as error:
        log.warning("delivery_refused", source=source, reason=error.reason)
        return JSONResponse({"detail": error.reason}, status_code=401)
    ingest: Ingest = request.app.state.ingest
    try:
        # A large body is read beside the event loop, so that others are answered meanwhile.
        events = reader.parse(body) if len(body) < 65_536 else await run_in_threadpool(reader.parse, body)
    except Reject as error:
        await ingest.accept(await _unreadable(request.app.state.redact, source, delivery, body, error))
        log.warning("delivery_unreadable", source=source, delivery=delivery.id, reason=error.reason)
        return JSONResponse({"detail": error.reason}, status_code=422)
    await ingest.accept(Received(source, delivery, events))
    return Response(status_code=202)


async def _unreadable(redact: Redact, source: str, delivery: Delivery, body: bytes, error: Reject) -> Received:
    kept = await run_in_threadpool(redacted_body, body, redact)
    return Received(source, delivery, unreadable=error.reason, body=kept)
