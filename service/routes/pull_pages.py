"""The button on the connections page that has a pull asked at once."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from service.errors import NotFound
from service.models import Scope
from service.pulls import ask_now
from service.routes.access import Now, needs, settings_of
from service.routes.page_base import database_of, see

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(needs(Scope.admin))])


@router.post("/connections/pulls/{name}/ask")
def ask(request: Request, name: str, now: Now) -> Response:
    if name not in settings_of(request).pulls:
        raise NotFound(f"there is no pull '{name}'")
    ask_now(database_of(request), name, now)
    return see("/connections", said="asked")
