"""Server-sent events of what changes on a reviewer's page."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.auth import Identity
from service.errors import Forbidden, Invalid
from service.live import Listener, Live
from service.models import Scope
from service.routes.access import COOKIE, needs
from service.routes.page_base import PAGE_SIZE
from service.views.forms import MOST_ID, Typed

router = APIRouter(include_in_schema=False)
RETRY_MILLISECONDS = 3000


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


def _items(items: Typed = "") -> frozenset[int]:
    """Ids with commas between, as many as a page of the queue has."""
    words = [word for word in items.split(",") if word]
    if len(words) > PAGE_SIZE or not all(word.isascii() and word.isdigit() and 0 < int(word) <= MOST_ID for word in words):
        raise Invalid(f"items: give at most {PAGE_SIZE} ids of items with commas between")
    return frozenset(map(int, words))


async def _listener(
    request: Request,
    live: Annotated[Live, Depends(_live)],
    identity: Annotated[Identity, Depends(needs(Scope.review))],
    items: Annotated[frozenset[int], Depends(_items)],
) -> Listener:
    if not identity.by_cookie or identity.reviewer_id is None:
        raise Forbidden("this is for pages of a signed-in reviewer; programs read /api/v1/items")
    live.make_room(identity.reviewer_id)
    return Listener(request.cookies[COOKIE], identity.reviewer_id, items)


# FastAPI sends the comment that keeps quiet connections open, every 15 s.
@router.get("/live", response_class=EventSourceResponse)
async def changes(
    live: Annotated[Live, Depends(_live)],
    listener: Annotated[Listener, Depends(_listener)],
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(comment="listening", retry=RETRY_MILLISECONDS)
    async for change in live.listen(listener, last_event_id):
        yield ServerSentEvent(event="changed", data=change.content, id=change.key)
