"""An item's page: read it, hold it, decide, undo, hand it back. Forms post and redirect; the script asks the same addresses
for JSON."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from sqlmodel import Session

from service import claims, clusters, queue, review, undo
from service import impact as foreseen
from service.claims import Claim
from service.clusters import MOST_LISTED
from service.errors import Forbidden, Gone, LeaseLost, NotFound, TriageError
from service.filters import QueueFilter
from service.made_ahead import mark_of
from service.models import ItemState
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, settings_of, undo_time_of
from service.routes.page_base import Fence, Id, Only, database_of, lease_of, see, templates
from service.team import beside, opinions
from service.views.cluster import settled_shown, with_settled
from service.views.forms import MOST_ID, DecisionForm, Typed, from_draft
from service.views.impact import impact_shown
from service.views.items import before_shown, is_mine, item_shown
from service.views.suggested import difference_shown
from service.views.team import beside_shown
from service.views.words import SAID, address, sentence

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Decided = Annotated[DecisionForm, Form()]


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
    impact: str | None = None,
    looked: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
    alike: Annotated[int, Query(ge=1, le=MOST_ID)] = MOST_LISTED,
) -> Response:
    detail = queue.detail(session, item_id, me, now, alike)
    notice = SAID.get(said)
    if fence is not None and detail.item.state == ItemState.open and not is_mine(detail, me, now) and not notice:
        notice = "Your time with this item is over. What you typed is kept as your draft."
    left = undo.seconds_left(session, after, me, now, undo_time_of(request)) if after else None
    context = item_shown(detail, me, now, only, from_draft(detail.draft), settings_of(request))
    context |= beside_shown(beside.read(session, item_id, me, now), item_id, only)
    context |= {"said": notice, "done": before_shown(after, said, left, only), "error": None}
    if after and said == "":
        context["done"] = with_settled(context["done"], clusters.settled_with(session, after))
    if impact is not None:
        found = foreseen.read(session, impact)
        context["impact"] = impact_shown(found, f"/items/{item_id}", only, fence=fence, looked=looked)
    return templates.TemplateResponse(request, "item.html", context)


@router.post("/items/{item_id}/claim")
def claim(request: Request, session: WriteSession, item_id: Id, me: ReviewerId, now: Now, only: Only) -> Response:
    try:
        mine = claims.claim_item(session, item_id, me, now, lease_of(request))
    except LeaseLost:
        return see(f"/items/{item_id}", only, said="taken")
    return see(f"/items/{item_id}", only, anchor="flagged", fence=mine.fence)


@router.post("/items/{item_id}/decide")
def decide(request: Request, item_id: Id, form: Decided, me: ReviewerId, now: Now, only: Only) -> Response:
    # Sessions of its own: SQLite has one writer, and a refused decision must roll back before the draft is written.
    db = database_of(request)
    sinks = list(settings_of(request).sinks)
    try:
        with db.write() as session:
            opinions.decide(session, item_id, me, form.fence, form.decision(), sinks, now, undo_time_of(request))
            settled = settled_shown(clusters.settled_with(session, item_id))["settled_told"]
            following = _following(session, request, me, now, only)
            mark = mark_of(session, following.item_id, me) if following else None
    except TriageError as error:
        if not isinstance(error, Gone):  # of what is forgotten no draft is kept
            with db.write() as session:
                review.save_draft(session, item_id, me, form.kept(), now)
        if _by_script(request):
            raise
        return _refused(request, item_id, me, now, only, None if isinstance(error, Gone) else form, error)
    if _by_script(request):
        until = following.until.isoformat() if following else None
        there = _after(following, only, item_id, "saved")
        return JSONResponse({"next": there, "until": until, "settled": settled, "mark": mark})
    return _next(following, only, item_id, "saved")


@router.post("/items/{item_id}/undo")
def undo_decision(request: Request, item_id: Id, me: ReviewerId, now: Now, only: Only) -> Response:
    try:
        with database_of(request).write() as session:
            sinks = list(settings_of(request).sinks)
            mine = undo.undo(session, item_id, me, sinks, now, lease_of(request), undo_time_of(request))
    except TriageError as error:
        return _refused(request, item_id, me, now, only, None, error)
    return see(f"/items/{item_id}", only, anchor="decision", fence=mine.fence, said="undone")


@router.post("/items/{item_id}/next")
def reserve_next(request: Request, item_id: Id, fence: Fence, me: ReviewerId, now: Now, only: Only) -> Response:
    """The page that follows once this item is decided, its item reserved; 204 where there is none."""
    db = database_of(request)
    with db.write() as session:
        claims.heartbeat(session, item_id, me, fence, now, lease_of(request))
        following = claims.reserve_next(session, item_id, me, now, lease_of(request), only)
    if following is None:
        return Response(status_code=204)
    with db.read() as session:
        mark = mark_of(session, following.item_id, me)
        detail = queue.detail(session, following.item_id, me, now)
        of_team = beside.read(session, following.item_id, me, now)
    context = beside_shown(of_team, following.item_id, only)
    context |= item_shown(detail, me, now, only, from_draft(detail.draft), settings_of(request))
    grace = settings_of(request).queue.undo_seconds
    context |= {"said": None, "done": before_shown(item_id, "saved", grace, only), "error": None}
    there = _address(following, only, after=item_id)
    headers = {"Content-Location": there, "Cache-Control": "no-store", "ETag": f'"{mark}"'}
    return templates.TemplateResponse(request, "item.html", context, headers=headers)


@router.post("/items/{item_id}/unreserve")
def unreserve(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId) -> Response:
    claims.unreserve(session, item_id, me, fence)
    return Response(status_code=204)


@router.post("/items/{item_id}/heartbeat")
def heartbeat(request: Request, session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, now: Now) -> Response:
    mine = claims.heartbeat(session, item_id, me, fence, now, lease_of(request))
    claims.keep_reserved(session, me, now, lease_of(request))
    return JSONResponse({"until": mine.until.isoformat()})


@router.post("/items/{item_id}/draft")
def draft(request: Request, session: WriteSession, item_id: Id, form: Decided, me: ReviewerId, now: Now, only: Only) -> Response:
    review.save_draft(session, item_id, me, form.kept(), now)
    if _by_script(request):
        return Response(status_code=204)
    return see(f"/items/{item_id}", only, anchor="decision", fence=form.fence, said="draft")


@router.post("/items/{item_id}/difference")
def difference(request: Request, session: ReadSession, item_id: Id, form: Decided, me: ReviewerId, now: Now) -> Response:
    """What the text in the editor changes in the article that it is for."""
    shown = difference_shown(queue.articles_beside(session, item_id), form)
    return templates.TemplateResponse(request, "_difference.html", {"difference": shown})


@router.post("/items/{item_id}/release")
def release(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, only: Only) -> Response:
    claims.release(session, item_id, me, fence)
    return see("/queue", only, said="released")


@router.post("/items/{item_id}/skip")
def skip(request: Request, session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, now: Now, only: Only) -> Response:
    claims.skip(session, item_id, me, fence, now)
    return _next(_following(session, request, me, now, only), only, item_id, "skipped")


@router.post("/items/{item_id}/not-reviewable")
def not_reviewable(
    request: Request,
    session: WriteSession,
    item_id: Id,
    fence: Fence,
    me: ReviewerId,
    now: Now,
    only: Only,
    reason: Annotated[Typed, Form()] = "",
) -> Response:
    claims.not_reviewable(session, item_id, me, fence, reason, now)
    return _next(_following(session, request, me, now, only), only, item_id, "not_reviewable")


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


def _following(session: Session, request: Request, me: int, now: datetime, only: QueueFilter) -> Claim | None:
    """The item after this one; none where the chosen queue is gone meanwhile or for others: what was done before stays done."""
    try:
        return claims.claim_next(session, me, now, lease_of(request), only)
    except (NotFound, Forbidden):
        return None


def _by_script(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "")


def _address(following: Claim, only: QueueFilter, **more: int | str) -> str:
    return address(f"/items/{following.item_id}", only, fence=following.fence, **more)


def _next(following: Claim | None, only: QueueFilter, done: int, said: str) -> Response:
    return see(_after(following, only, done, said), anchor="flagged" if following else "")


def _after(following: Claim | None, only: QueueFilter, done: int, said: str) -> str:
    """Where to go on: the next item, or the queue where there is none."""
    if following is None:
        return address("/queue", only, said="saved_none" if said == "saved" else said, after=done)
    more = {"after": done} if said == "saved" else {"after": done, "said": said}
    return _address(following, only, **more)


def _refused(
    request: Request, item_id: int, me: int, now: datetime, only: QueueFilter, form: DecisionForm | None, error: TriageError
) -> Response:
    """The item's page with what is wrong, and what was typed."""
    with database_of(request).read() as session:
        detail = queue.detail(session, item_id, me, now, form.look_alikes() if form else MOST_LISTED)
        of_team = beside.read(session, item_id, me, now)
    context = beside_shown(of_team, item_id, only)
    context |= item_shown(detail, me, now, only, form or from_draft(detail.draft), settings_of(request))
    context |= {"said": None, "done": None, "error": sentence(str(error))}
    return templates.TemplateResponse(request, "item.html", context, status_code=error.status)
