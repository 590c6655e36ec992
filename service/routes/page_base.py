"""What the pages' routes share: templates, the kinds of parameters, where a redirect goes."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Form, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from service.assets import asset, scripts
from service.db import Database
from service.filters import QueueFilter
from service.models import Scope
from service.routes.access import needs, settings_of
from service.views.forms import MOST_ID, Typed
from service.views.words import address, sentence

HERE = Path(__file__).resolve().parent.parent
PAGE_SIZE = 50


def _who(request: Request) -> dict[str, Any]:
    identity = getattr(request.state, "identity", None)
    return {
        "me": identity.name if identity else None,
        "is_admin": identity is not None and Scope.admin in identity.scopes,
        "unread": identity.unread if identity else 0,
    }


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,  # everywhere: what people wrote is shown, never run
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"asset": asset, "scripts": scripts}
templates = Jinja2Templates(env=_environment, context_processors=[_who])


Id = Annotated[int, PathParam(ge=1, le=MOST_ID)]
Fence = Annotated[int, Form(ge=0, le=MOST_ID)]
Page = Annotated[int, Query(ge=1, le=100_000)]
# For pages that do not ask which reviewer it is.
FOR_REVIEWERS = [Depends(needs(Scope.review))]


def _only(signal: Typed = "", source: Typed = "", strategy: Typed = "", queue: Typed = "") -> QueueFilter:
    return QueueFilter(signal or None, source or None, strategy or None, queue or None)


# In the query of every address from the queue to the decision, so that "next" stays within what the reviewer chose.
Only = Annotated[QueueFilter, Depends(_only)]


def see(path: str, only: QueueFilter | None = None, anchor: str = "", **more: str | int | None) -> Response:
    """Go and look there: 303, so that reloading the page posts nothing twice."""
    return RedirectResponse(address(path, only, **more) + (f"#{anchor}" if anchor else ""), status_code=303)


def lease_of(request: Request) -> timedelta:
    return timedelta(seconds=settings_of(request).queue.lease_seconds)


def database_of(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


def error_page(request: Request, status: int, message: str) -> Response:
    """What went wrong, as a page with a way back."""
    context = {"status": status, "message": sentence(message)}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)
