"""The JSON API's search: the same finds as the page's, for programs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as PathParam
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from service.auth import Identity
from service.db import Database
from service.models import Scope
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs
from service.searching import find as search
from service.searching.fields import By, read_fields
from service.searching.results import results
from service.searching.saved import Saved, delete_filter, filter_of_id, over, save_filter, saved_filters
from service.searching.shapes import FoundOut, told
from service.views.forms import MOST_ID
from service.views.search import SearchForm

router = APIRouter(
    prefix="/api/v1",
    tags=["search"],
    responses={
        400: {"description": "The body cannot be read."},
        401: {"description": "No valid token."},
        403: {"description": "The token lacks the scope, or acts for no reviewer where filters are asked for."},
        404: {"description": "There is no such filter, or it is somebody else's."},
        422: {"description": "A field holds what it cannot mean, or the cursor is of another search."},
    },
    dependencies=[Depends(HTTPBearer(auto_error=False))],
)


Id = Annotated[int, PathParam(ge=1, le=MOST_ID)]


class SearchIn(SearchForm):
    """What the page's form holds; empty means any. `filter`: the id of a saved one, whose fields those given here replace."""

    filter: Annotated[int | None, Query(ge=1, le=MOST_ID)] = None
    limit: Annotated[int, Query(ge=1, le=100)] = 25
    cursor: Annotated[str, Query(max_length=100)] = ""


class FilterFields(SearchForm):
    """A search without its page."""

    model_config = ConfigDict(extra="forbid")


class FilterIn(BaseModel):
    """`query`: a search's fields, each as text; those that ask for nothing may be left out."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=1000)
    query: FilterFields
    shared: bool = False


class FilterOut(BaseModel):
    id: int
    name: str
    query: dict[str, str]
    shared: bool
    mine: bool
    owner: str
    created_at: datetime


class SearchOut(BaseModel):
    """`waiting`: a worker has not answered by meaning yet, ask the same again in a second. `by`: what these were found by."""

    conversations: list[FoundOut]
    count: int
    more_than_count: bool
    cursor: str | None
    waiting: bool
    by: By


@router.get("/search")
def find_conversations(
    request: Request,
    given: Annotated[SearchIn, Query()],
    now: Now,
    identity: Annotated[Identity, Depends(needs(Scope.review))],
) -> SearchOut:
    """Conversations by words or meaning and by what is known of them. Continue with `cursor`."""
    db: Database = request.app.state.db
    fields = given.model_dump(exclude={"filter", "limit", "cursor"})
    if given.filter is not None:
        with db.read() as session:
            fields = over(filter_of_id(session, given.filter, identity.reviewer_id), fields)
    wanted = read_fields(fields)
    found = search.find(db, wanted, given.cursor or None, given.limit, now, request.app.state.redact)
    with db.read() as session:
        shown = results(session, wanted, found)
    return SearchOut(
        conversations=[told(one) for one in shown],
        count=found.count,
        more_than_count=found.more,
        cursor=found.cursor,
        waiting=found.waiting,
        by=found.by,
    )


@router.get("/search/filters")
def list_filters(session: ReadSession, me: ReviewerId) -> list[FilterOut]:
    """Your saved filters, then those that others share; by name."""
    return [_filter(one) for one in saved_filters(session, me)]


@router.post("/search/filters", status_code=201)
def make_filter(session: WriteSession, me: ReviewerId, given: FilterIn, now: Now) -> FilterOut:
    """Keep a search under a name; your own filter of that name is replaced."""
    return _filter(filter_of_id(session, save_filter(session, me, given.name, given.query.model_dump(), given.shared, now), me))


@router.get("/search/filters/{filter_id}")
def read_filter(session: ReadSession, me: ReviewerId, filter_id: Id) -> FilterOut:
    """One of yours, or one that is shared. Search with it: `GET /search?filter=ID`."""
    return _filter(filter_of_id(session, filter_id, me))


@router.delete("/search/filters/{filter_id}", status_code=204)
def remove_filter(session: WriteSession, me: ReviewerId, filter_id: Id) -> None:
    """Delete one of yours."""
    delete_filter(session, filter_id, me)


def _filter(one: Saved) -> FilterOut:
    return FilterOut.model_validate(one, from_attributes=True)
