"""The page of labels that look like slips: keep one, change it, or take a keep back."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlmodel import Session

from service import queue
from service.errors import TriageError
from service.routes.access import Now, ReadSession, ReviewerId, settings_of, undo_time_of
from service.routes.page_base import Id, Page, database_of, see, templates
from service.team import relabel, second_look
from service.views.forms import MOST_ID, Typed
from service.views.labels import labels_shown
from service.views.words import SAID, sentence

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
PAGE_SIZE = 20
Word = Annotated[Typed, Form()]
Next = Annotated[int, Query(ge=0, le=MOST_ID)]


@router.get("/labels")
def labels_page(
    request: Request, session: ReadSession, me: ReviewerId, source: Typed = "", page: Page = 1, said: str = ""
) -> Response:
    return _page(request, session, me, source, page, SAID.get(said))


@router.post("/labels/{label_id}/keep")
def keep_label(
    request: Request, label_id: Id, me: ReviewerId, now: Now, label: Word = "", source: Typed = "", page: Page = 1, next: Next = 0
) -> Response:
    try:
        with database_of(request).write() as session:
            relabel.keep(session, label_id, label, me, now)
    except TriageError as error:
        return _refused(request, me, source, page, error)
    return _on(source, page, "label_kept", next)


@router.post("/labels/{label_id}/change")
def change_label(
    request: Request, label_id: Id, me: ReviewerId, now: Now, label: Word = "", intent: Word = "", source: Typed = "",
    page: Page = 1, next: Next = 0,
) -> Response:  # fmt: skip
    sinks, grace = list(settings_of(request).sinks), undo_time_of(request)
    try:
        with database_of(request).write() as session:
            relabel.change(session, label_id, label, intent, me, sinks, now, grace)
    except TriageError as error:
        return _refused(request, me, source, page, error, (label_id, intent))
    return _on(source, page, "label_changed", next)


@router.post("/labels/{label_id}/again")
def look_again(request: Request, label_id: Id, me: ReviewerId, now: Now, source: Typed = "", page: Page = 1) -> Response:
    with database_of(request).write() as session:
        relabel.look_again(session, label_id, me, now)
    return _on(source, page, "label_again", label_id)


def _on(source: str, page: int, said: str, label_id: int) -> Response:
    """To the label that stood beside the answered one, so that the keyboard goes on from there."""
    return see(
        "/labels", anchor=f"label-{label_id}" if label_id else "", source=source, page=page if page > 1 else None, said=said
    )


def _refused(
    request: Request, me: int, source: str, page: int, error: TriageError, typed: tuple[int, str] | None = None
) -> Response:
    with database_of(request).read() as session:
        return _page(request, session, me, source, page, None, error, typed)


def _page(
    request: Request, session: Session, me: int, source: str, page: int, said: str | None, error: TriageError | None = None,
    typed: tuple[int, str] | None = None,
) -> Response:  # fmt: skip
    found = second_look.suspects(session, me, source or None, PAGE_SIZE + 1, PAGE_SIZE * (page - 1))
    context = labels_shown(
        found,
        second_look.kept(session, me, source or None),
        second_look.counts(session, me),
        {name: queue.known_intents(session, name) for name in {one.source for one in found}},
        source,
        page,
        PAGE_SIZE,
        typed,
    )
    context |= {"said": said, "error": sentence(str(error)) if error else None}
    return templates.TemplateResponse(request, "labels.html", context, status_code=error.status if error else 200)
