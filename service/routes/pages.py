"""The pages that reviewers work in: signing in, the queue, a conversation."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service import auth, claims, queue
from service.auth import Identity
from service.errors import NotSignedIn
from service.filters import QueueFilter
from service.gaps import gaps
from service.live import overdue
from service.models import ItemState, Scope
from service.routes.access import COOKIE, Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, undo_time_of
from service.routes.page_base import FOR_REVIEWERS, PAGE_SIZE, Id, Only, Page, database_of, lease_of, see, templates
from service.team import undo as team_undo
from service.views.forms import MOST_ID, Typed
from service.views.items import (
    before_shown,
    conversation_shown,
    counts_shown,
    empty_queue,
    filters_shown,
    line_shown,
    said_on_queue,
    tabs_shown,
)
from service.views.search import said_after
from service.views.words import SAID, SIGNALS, address

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


# --- signing in ---------------------------------------------------------------------------------------------------


@router.get("/sign-in")
def sign_in_page(request: Request, next: Typed = "", said: str = "") -> Response:
    return templates.TemplateResponse(
        request, "sign_in.html", {"next": _local(next), "name": "", "error": None, "said": SAID.get(said)}
    )


@router.post("/sign-in")
def sign_in(
    request: Request,
    now: Now,
    name: Annotated[Typed, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[Typed, Form()] = "",
) -> Response:
    settings = settings_of(request)
    lasts = timedelta(hours=settings.session_hours)
    try:
        token = auth.sign_in(database_of(request), name.strip(), password, now, lasts)
    except NotSignedIn:
        context = {"next": _local(next), "name": name, "error": "Name or password is wrong.", "said": None}
        return templates.TemplateResponse(request, "sign_in.html", context, status_code=401)
    response = RedirectResponse(_local(next), status_code=303)
    response.set_cookie(
        COOKIE, token, max_age=int(lasts.total_seconds()), httponly=True, samesite="lax", secure=settings.secure_cookie
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, session: WriteSession) -> Response:
    auth.sign_out(session, request.cookies.get(COOKIE, ""))
    response = see("/sign-in", said="signed_out")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=settings_of(request).secure_cookie)
    return response


def _local(path: str) -> str:
    """The path if it stays on this site, else the queue. Browsers read `\\` as `/` and drop tabs and line ends."""
    stays = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if stays and not path.startswith("/sign-") else "/queue"


# --- the queue ----------------------------------------------------------------------------------------------------


@router.get("/")
def home() -> Response:
    return see("/queue")


@router.get("/queue")
def queue_page(
    request: Request,
    session: ReadSession,
    reviewer: Annotated[Identity, Depends(needs(Scope.review))],
    now: Now,
    only: Only,
    state: ItemState = ItemState.open,
    page: Page = 1,
    said: str = "",
    after: Annotated[int | None, Query(ge=1, le=MOST_ID)] = None,
) -> Response:
    counts = queue.counts(session, now)
    # One more than is shown tells whether there is a next page.
    rows = queue.rows(session, now, state, only, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    verdicts = queue.verdicts_of(session, [row.item.id or 0 for row in rows]) if state == ItemState.done else {}
    me = reviewer.reviewer_id
    left = team_undo.seconds_left(session, after, me, now, undo_time_of(request)) if after and me else None
    at = {"state": state.value if state != ItemState.open else None}
    context = {
        "counts": counts_shown(counts, overdue(session, {me}, now).get(me, 0) if me else 0),
        "tabs": tabs_shown(counts, state, only),
        "state": state.value,
        "rows": [line_shown(row, only, verdicts) for row in rows[:PAGE_SIZE]],
        "filters": filters_shown({"signal": list(SIGNALS), **queue.filter_choices(session)}, only),
        "filtered": only != QueueFilter(),
        "clear": address("/queue", None, **at),
        "next_action": address("/queue/next", only),
        "before": address("/queue", only, page=page - 1, **at) if page > 1 else None,
        "after": address("/queue", only, page=page + 1, **at) if len(rows) > PAGE_SIZE else None,
        "page": page,
        "empty": empty_queue(counts, state, only),
        "said": said_on_queue(said, counts, only),
        "done": before_shown(after, said, left, only),
        "unknown": gaps(session, list(settings_of(request).sources)),
    }
    return templates.TemplateResponse(request, "queue.html", context)


@router.post("/queue/next")
def next_item(request: Request, session: WriteSession, me: ReviewerId, now: Now, only: Only) -> Response:
    claim = claims.claim_next(session, me, now, lease_of(request), only)
    if claim is None:
        return see("/queue", only, said="none")
    return see(f"/items/{claim.item_id}", only, anchor="flagged", fence=claim.fence)


# --- a conversation -----------------------------------------------------------------------------------------------


@router.get("/conversations/{conversation_id}", dependencies=FOR_REVIEWERS)
def conversation_page(
    request: Request,
    session: ReadSession,
    conversation_id: Id,
    turn: Typed = "",
    said: str = "",
    picked: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> Response:
    context = conversation_shown(queue.told(session, conversation_id), turn) | {"said": said_after(said, picked)}
    return templates.TemplateResponse(request, "conversation.html", context)
