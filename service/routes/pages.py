"""The pages that reviewers work in: signing in, the queue, an item, a conversation."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from service import auth, claims, queue, review
from service.claims import QueueFilter
from service.errors import LeaseLost, NotSignedIn, TriageError
from service.gaps import gaps
from service.models import ItemState
from service.routes.access import COOKIE, Now, ReadSession, ReviewerId, WriteSession, settings_of
from service.routes.page_base import FOR_REVIEWERS, PAGE_SIZE, Fence, Id, Only, Page, database_of, lease_of, see, templates
from service.views.forms import MOST_ID, DecisionForm, Typed, from_draft
from service.views.items import (
    _is_mine,
    conversation_shown,
    counts_shown,
    empty_queue,
    filters_shown,
    item_shown,
    line_shown,
    said_on_queue,
    tabs_shown,
)
from service.views.words import SAID, SIGNALS, address, sentence

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


@router.get("/queue", dependencies=FOR_REVIEWERS)
def queue_page(
    request: Request,
    session: ReadSession,
    now: Now,
    only: Only,
    state: ItemState = ItemState.open,
    page: Page = 1,
    said: str = "",
) -> Response:
    counts = queue.counts(session, now)
    # One more than is shown tells whether there is a next page.
    rows = queue.rows(session, now, state, only, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    verdicts = queue.verdicts_of(session, [row.item.id or 0 for row in rows]) if state == ItemState.done else {}
    at = {"state": state.value if state != ItemState.open else None}
    context = {
        "counts": counts_shown(counts),
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
        "unknown": gaps(session, list(settings_of(request).sources)),
    }
    return templates.TemplateResponse(request, "queue.html", context)


@router.post("/queue/next")
def next_item(request: Request, session: WriteSession, me: ReviewerId, now: Now, only: Only) -> Response:
    claim = claims.claim_next(session, me, now, lease_of(request), only)
    if claim is None:
        return see("/queue", only, said="none")
    return see(f"/items/{claim.item_id}", only, anchor="flagged", fence=claim.fence)


# --- an item ------------------------------------------------------------------------------------------------------


@router.get("/items/{item_id}")
def item_page(
    request: Request,
    session: ReadSession,
    item_id: Id,
    me: ReviewerId,
    now: Now,
    only: Only,
    fence: Annotated[int | None, Query(ge=0, le=MOST_ID)] = None,
    after: Annotated[int | None, Query(ge=1, le=MOST_ID)] = None,
    said: str = "",
) -> Response:
    detail = queue.detail(session, item_id, me, now)
    notice = SAID.get(said)
    if fence is not None and detail.item.state == ItemState.open and not _is_mine(detail, me, now) and not notice:
        notice = "Your time with this item is over. What you typed is kept as your draft."
    context = item_shown(detail, me, now, only, from_draft(detail.draft), lease_of(request))
    context |= {"said": notice, "after": after, "error": None}
    return templates.TemplateResponse(request, "item.html", context)


@router.post("/items/{item_id}/claim")
def claim(request: Request, session: WriteSession, item_id: Id, me: ReviewerId, now: Now, only: Only) -> Response:
    try:
        mine = claims.claim_item(session, item_id, me, now, lease_of(request))
    except LeaseLost:
        return see(f"/items/{item_id}", only, said="taken")
    return see(f"/items/{item_id}", only, anchor="flagged", fence=mine.fence)


@router.post("/items/{item_id}/decide")
def decide(
    request: Request, item_id: Id, form: Annotated[DecisionForm, Form()], me: ReviewerId, now: Now, only: Only
) -> Response:
    # Sessions of its own: SQLite has one writer, and a refused decision must roll back before the draft is written.
    db = database_of(request)
    try:
        with db.write() as session:
            review.decide(session, item_id, me, form.fence, form.decision(), list(settings_of(request).sinks), now)
    except TriageError as error:
        with db.write() as session:
            review.save_draft(session, item_id, me, form.kept(), now)
        with db.read() as session:
            detail = queue.detail(session, item_id, me, now)
        context = item_shown(detail, me, now, only, form, lease_of(request))
        context |= {"said": None, "after": None, "error": sentence(str(error))}
        return templates.TemplateResponse(request, "item.html", context, status_code=error.status)
    with db.write() as session:
        following = claims.claim_next(session, me, now, lease_of(request), only)
    if following is None:
        return see("/queue", only, said="saved_none")
    return see(f"/items/{following.item_id}", only, anchor="flagged", fence=following.fence, after=item_id)


@router.post("/items/{item_id}/heartbeat")
def heartbeat(request: Request, session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, now: Now) -> Response:
    mine = claims.heartbeat(session, item_id, me, fence, now, lease_of(request))
    return JSONResponse({"until": mine.until.isoformat()})


@router.post("/items/{item_id}/draft")
def draft(
    request: Request,
    session: WriteSession,
    item_id: Id,
    form: Annotated[DecisionForm, Form()],
    me: ReviewerId,
    now: Now,
    only: Only,
) -> Response:
    review.save_draft(session, item_id, me, form.kept(), now)
    if "text/html" not in request.headers.get("accept", ""):  # the script's own saving
        return Response(status_code=204)
    return see(f"/items/{item_id}", only, anchor="decision", fence=form.fence, said="draft")


@router.post("/items/{item_id}/release")
def release(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, only: Only) -> Response:
    claims.release(session, item_id, me, fence)
    return see("/queue", only, said="released")


@router.post("/items/{item_id}/skip")
def skip(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, only: Only) -> Response:
    claims.skip(session, item_id, me, fence)
    return see("/queue", only, said="skipped")


@router.post("/items/{item_id}/not-reviewable")
def not_reviewable(
    session: WriteSession,
    item_id: Id,
    fence: Fence,
    me: ReviewerId,
    now: Now,
    only: Only,
    reason: Annotated[Typed, Form()] = "",
) -> Response:
    claims.not_reviewable(session, item_id, me, fence, reason, now)
    return see("/queue", only, said="not_reviewable")


@router.post("/items/{item_id}/send-back")
def send_back(
    request: Request,
    session: WriteSession,
    item_id: Id,
    me: ReviewerId,
    now: Now,
    only: Only,
    reason: Annotated[Typed, Form()] = "",
) -> Response:
    review.send_back(session, item_id, me, reason, list(settings_of(request).sinks), now)
    return see(f"/items/{item_id}", only, said="sent_back")


@router.get("/conversations/{conversation_id}", dependencies=FOR_REVIEWERS)
def conversation_page(request: Request, session: ReadSession, conversation_id: Id) -> Response:
    return templates.TemplateResponse(request, "conversation.html", conversation_shown(queue.told(session, conversation_id)))
