"""The pages that reviewers work in: the queue, a conversation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from service import claims, conversations, queue, undo
from service.auth import Identity
from service.filters import QueueFilter
from service.gaps import gaps
from service.live import overdue
from service.models import ItemState, Scope
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, undo_time_of
from service.routes.page_base import PAGE_SIZE, Id, Only, Page, lease_of, see, templates
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
from service.views.words import SIGNALS, address

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


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
    me = reviewer.reviewer_id
    counts = queue.counts(session, now, me)
    # One more than is shown tells whether there is a next page.
    rows = queue.rows(session, now, state, only, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE, me)
    verdicts = queue.verdicts_of(session, [row.item.id or 0 for row in rows], me) if state == ItemState.done else {}
    left = undo.seconds_left(session, after, me, now, undo_time_of(request)) if after and me else None
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


@router.get("/conversations/{conversation_id}")
def conversation_page(
    request: Request,
    session: ReadSession,
    conversation_id: Id,
    reviewer: Annotated[Identity, Depends(needs(Scope.review))],
    turn: Typed = "",
    said: str = "",
    picked: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
) -> Response:
    context = conversation_shown(conversations.told(session, conversation_id, reviewer.reviewer_id), turn) | {
        "said": said_after(said, picked)
    }
    return templates.TemplateResponse(request, "conversation.html", context)
