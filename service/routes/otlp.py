"""POST /v1/traces and /v1/logs: OTLP/HTTP from instrumented bots, with an API token of scope `ingest`.

Plain Starlette routes, as webhooks have. The answers are those of the OTLP specification: 200 on disk (in part: with what was
rejected), 400 unreadable, 401 and 403 not allowed, 413 too large, 415 another encoding, and 503 with Retry-After for what the
exporter should send again.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from starlette.responses import Response

from connectors.errors import Reject
from connectors.otlp import reader, wire
from connectors.otlp.reader import Export
from connectors.otlp.spans import fitting_id
from connectors.otlp.wire import Encoding
from service import traces
from service.auth import Identity
from service.db import Database
from service.models import Scope
from service.privacy import Redact
from service.routes.access import program_of

log = structlog.get_logger()
SOURCE_HEADER = "x-triage-source"
MOST_AT_ONCE = 16
"""Exports that are read at the same time; more are asked to come again."""
UNPACKED_TIMES = 8
"""A compressed export may unpack to so many times the largest body."""


class Otlp:
    """The receiver: `traces` and `logs` are its endpoints."""

    def __init__(self, db: Database, redact: Redact, settle: timedelta, body_limit: int) -> None:
        self._db = db
        self._redact = redact
        self._settle = settle
        self._most_unpacked = body_limit * UNPACKED_TIMES
        self._running = 0

    async def traces(self, request: Request) -> Response:
        return await self._receive(request, _read_traces, wire.traces_answer)

    async def logs(self, request: Request) -> Response:
        return await self._receive(request, _read_logs, wire.logs_answer)

    async def _receive(
        self,
        request: Request,
        read: Callable[[bytes, Encoding], Export],
        answer: Callable[[int, str, Encoding], bytes],
    ) -> Response:
        try:
            encoding = wire.encoding_of(request.headers.get("content-type", ""))
        except Reject as error:
            return _refused(415, error.reason, "json")
        if self._running >= MOST_AT_ONCE:
            return _refused(503, "busy: send it again", encoding, {"retry-after": "1"})
        self._running += 1
        try:
            return await self._taken(request, encoding, read, answer)
        except wire.TooLarge as error:
            return _refused(413, error.reason, encoding)
        except Reject as error:
            return _refused(400, error.reason, encoding)
        except (OperationalError, PoolTimeout):
            return _refused(503, "the database cannot be written now: send it again", encoding, {"retry-after": "5"})
        except (DataError, OverflowError):
            return _refused(400, "the export holds a number that is out of range", encoding)
        finally:
            self._running -= 1

    async def _taken(
        self,
        request: Request,
        encoding: Encoding,
        read: Callable[[bytes, Encoding], Export],
        answer: Callable[[int, str, Encoding], bytes],
    ) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        identity = await run_in_threadpool(self._identify, token.strip()) if scheme.lower() == "bearer" else None
        if identity is None:
            told = "send an API token of scope 'ingest' as 'Authorization: Bearer …'"
            return _refused(401, told, encoding, {"www-authenticate": "Bearer"})
        if Scope.ingest not in identity.scopes:
            return _refused(403, "this token lacks the scope 'ingest'", encoding)
        source = fitting_id(request.headers.get(SOURCE_HEADER)) or identity.name
        body = await request.body()
        compression = request.headers.get("content-encoding", "")
        rejected, told = await run_in_threadpool(self._accept, body, compression, encoding, read, source)
        if told:
            log.warning("export_in_part", source=source, rejected=rejected, reason=told)
        return Response(answer(rejected, told, encoding), media_type=wire.MEDIA_TYPES[encoding])

    def _identify(self, token: str) -> Identity | None:
        return program_of(self._db, token, datetime.now(UTC))

    def _accept(
        self, body: bytes, compression: str, encoding: Encoding, read: Callable[[bytes, Encoding], Export], source: str
    ) -> tuple[int, str]:
        export = read(wire.unpacked(body, compression, self._most_unpacked), encoding)
        over = traces.accept(self._db, source, export.traces, self._redact, self._settle, datetime.now(UTC))
        full = f"a trace may have at most {traces.MOST_SPANS} spans" if over else ""
        return export.rejected + over, full or export.told


def _read_traces(body: bytes, encoding: Encoding) -> Export:
    return reader.read_spans(wire.read_traces(body, encoding))


def _read_logs(body: bytes, encoding: Encoding) -> Export:
    return reader.read_logs(wire.read_logs(body, encoding))


def _refused(status: int, reason: str, encoding: Encoding, headers: dict[str, str] | None = None) -> Response:
    log.warning("export_refused", status=status, reason=reason)
    return Response(wire.refusal(reason, encoding), status, headers, wire.MEDIA_TYPES[encoding])
