"""The page of the connections, for admins: what came, what was refused, the signature doctor, test deliveries, replay."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from fastapi.responses import HTMLResponse

from connectors.doctor import Finding, diagnose, diagnose_names
from connectors.events import Source
from connectors.reading import Signing
from service import pulls
from service.connections import TEST_TIMEOUT, TESTED, TESTED_EMPTY, Connection, connections, own_address, send_test
from service.errors import Invalid, NotFound
from service.ingest import replay
from service.models import Scope
from service.routes.access import Now, needs, settings_of
from service.routes.page_base import database_of, see, templates
from service.views.pulls import pulls_shown
from service.views.words import moment, sentence

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(needs(Scope.admin))])
SAID = {
    "tested": TESTED,
    "tested_empty": TESTED_EMPTY,
    "replayed": "All deliveries that could not be read went in.",
    "still": "Some deliveries still cannot be read: 'triage replay' says why for each.",
    "asked": "The worker asks at once.",
    "none_waiting": "No delivery of this source waits to be read again.",
}


@router.get("/connections")
def connections_page(request: Request, said: str = "", about: str = "") -> Response:
    return _page(request, said=SAID.get(said), about=about)


@router.post("/connections/{name}/test")
def test_delivery(request: Request, name: str, now: Now) -> Response:
    source, held = _source(request, name)
    try:
        with httpx.Client(base_url=own_address(settings_of(request)), timeout=TEST_TIMEOUT) as client:
            turns = send_test(database_of(request), client, name, source, held, now)
    except Invalid as error:
        return _page(request, status=error.status, error=sentence(str(error)), about=name)
    return see("/connections", said="tested_empty" if turns is None else "tested", about=name)


@router.post("/connections/{name}/replay")
def replay_kept(request: Request, name: str, now: Now) -> Response:
    _source(request, name)
    state = request.app.state
    settle = timedelta(seconds=settings_of(request).settle_seconds)
    accepted, still = replay(database_of(request), state.sources, state.redact, settle, now, only=name)
    return see("/connections", said="still" if still else "replayed" if accepted else "none_waiting", about=name)


@router.post("/connections/{name}/check")
def check(
    request: Request,
    name: str,
    headers: Annotated[str, Form(max_length=100_000)] = "",
    body: Annotated[str, Form()] = "",
    body_file: Annotated[UploadFile | None, File()] = None,
    received_at: Annotated[str, Form(max_length=60)] = "",
) -> Response:
    source, held = _source(request, name)
    told = {line.partition(":")[0]: line.partition(":")[2] for line in headers.splitlines() if ":" in line}
    at = _time(received_at)
    if not told or at == "unreadable":
        why = (
            "Received at: give a time such as 2026-01-05T09:00:00Z."
            if told
            else "Headers: paste them one a line, as 'name: value'."
        )
        return _page(request, status=422, error=why, about=name, typed={"headers": headers, "body": body, "at": received_at})
    # Browsers send a text field's line ends as CR LF, whatever they were.
    raw = body_file.file.read() if body_file is not None and body_file.filename else body.replace("\r\n", "\n").encode()
    others = {other: keys for other, keys in request.app.state.secrets.items() if other != name}
    findings = diagnose(source, told, raw, held, at if isinstance(at, datetime) else None, others)
    return _page(request, about=name, findings=findings, typed={"headers": headers, "body": body, "at": received_at})


def _source(request: Request, name: str) -> tuple[Source, list[str]]:
    sources: dict[str, Source] = request.app.state.sources
    if name not in sources:
        raise NotFound(f"there is no source '{name}'")
    return sources[name], request.app.state.secrets[name]


def _time(told: str) -> datetime | str | None:
    """None where nothing was typed."""
    if not told.strip():
        return None
    try:
        at = datetime.fromisoformat(told.strip())
    except ValueError:
        return "unreadable"
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _page(
    request: Request,
    status: int = 200,
    said: str | None = None,
    error: str | None = None,
    about: str = "",
    findings: list[Finding] | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    request.app.state.tally.flush()
    with database_of(request).read() as session:
        found = connections(session, settings_of(request))
    sources = request.app.state.sources
    context = {
        "said": said,
        "error": error,
        "about": about,
        "connections": [_shown(one, sources[one.name], str(request.base_url)) for one in found],
        "findings": [] if findings is None else findings,
        "typed": typed or {"headers": "", "body": "", "at": ""},
        "pulls": pulls_shown(settings_of(request).pulls, pulls.states(database_of(request)), datetime.now(UTC)),
    }
    return templates.TemplateResponse(request, "connections.html", context, status_code=status)


def _shown(one: Connection, source: Source, base: str) -> dict[str, Any]:
    headers = source.scheme.needs if isinstance(source, Signing) else ()
    return {
        "name": one.name,
        "kind": one.kind,
        "anchor": f"source-{one.name}",
        "address": f"{base}hooks/{one.name}",
        "needs": ", ".join(headers),
        "last": moment(one.last_at),
        "accepted": f"{one.accepted:,}",
        "unreadable": one.unreadable,
        "refused": [
            {
                "what": sentence(kind.what),
                "count": f"{kind.count:,}",
                "last": moment(kind.last_at),
                "headers": ", ".join(kind.headers),
                "findings": [finding.says for finding in diagnose_names(source, kind.headers)] if kind.headers else [],
            }
            for kind in one.refused
        ],
        "ignored": [{"what": kind.what, "count": f"{kind.count:,}", "last": moment(kind.last_at)} for kind in one.ignored],
    }
