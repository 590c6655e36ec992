"""The pages that find conversations: search, browse, saved filters, and exchanges put into the queue by hand."""

import re
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse

from service import hand_picked
from service.errors import Invalid
from service.routes.access import Now, ReviewerId, WriteSession
from service.routes.page_base import PAGE_SIZE, Id, database_of, see, templates
from service.searching import find as search
from service.searching.fields import NAMES, as_fields, read_fields
from service.searching.results import results
from service.searching.saved import delete_filter, save_filter, saved_filters
from service.views.forms import MOST_ID, Typed
from service.views.search import SavedForm, said_after, search_shown
from service.views.words import address

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
_OURS = re.compile(r"/(search|conversations(/[0-9]{1,10})?)(\?[!-~]*)?")
_MOST_PICKED = 200


@router.get("/search")
@router.get("/conversations")
def search_page(
    request: Request,
    me: ReviewerId,
    now: Now,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    said: str = "",
    picked: Annotated[int, Query(ge=0, le=_MOST_PICKED)] = 0,
) -> Response:
    db = database_of(request)
    wanted = read_fields(request.query_params)
    found = search.find(db, wanted, cursor or None, PAGE_SIZE // 2, now, request.app.state.redact)
    with db.read() as session:
        context = search_shown(
            request.url.path,
            wanted,
            found,
            results(session, wanted, found),
            search.choices(session),
            saved_filters(session, me),
            search.not_searchable_yet(session),
        )
    context |= {"first": not cursor, "said": said_after(said, picked)}
    return templates.TemplateResponse(request, "search.html", context)


@router.post("/search/saved")
def save(form: Annotated[SavedForm, Form()], session: WriteSession, me: ReviewerId, now: Now) -> Response:
    save_filter(session, me, form.name, form.model_dump(include=set(NAMES)), form.shared, now)
    return see("/search", None, **as_fields(read_fields(form.model_dump(include=set(NAMES)))), said="filter_saved")


@router.post("/search/saved/{filter_id}/delete")
def delete_saved(session: WriteSession, filter_id: Id, me: ReviewerId) -> Response:
    delete_filter(session, filter_id, me)
    return see("/search", said="filter_deleted")


@router.post("/exchanges/review")
def pick_by_hand(
    session: WriteSession,
    me: ReviewerId,
    now: Now,
    exchange: Annotated[list[Annotated[int, Query(ge=1, le=MOST_ID)]] | None, Form()] = None,
    reason: Annotated[Typed, Form()] = "",
    back: Annotated[Typed, Form()] = "/search",
) -> Response:
    chosen = list(dict.fromkeys(exchange or ()))
    if len(chosen) > _MOST_PICKED:
        raise Invalid(f"exchange: at most {_MOST_PICKED} at once")
    for exchange_id in chosen:
        hand_picked.hand_pick(session, exchange_id, me, reason, now)
    path = back if _OURS.fullmatch(back) else "/search"
    return see(
        path + ("&" if "?" in path else "?") + address("", picked=len(chosen), said="picked" if chosen else "none_picked")[1:]
    )
