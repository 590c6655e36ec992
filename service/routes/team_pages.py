"""The team's pages: progress, who holds what, agreement, queues, mentions; comments on an item and amending it."""

import csv
import io
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import HTMLResponse

from service import calibration, queue
from service.auth import Identity
from service.errors import Forbidden, NotFound, TriageError
from service.models import ReviewItem, Scope
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, undo_time_of
from service.routes.page_base import FOR_REVIEWERS, Id, Only, database_of, see, templates
from service.team import agreement, amend, comments, progress, queues, second_look
from service.views.forms import Typed
from service.views.team import (
    AmendForm,
    QueueForm,
    agreement_shown,
    amend_shown,
    form_of,
    mentions_shown,
    queue_shown,
    team_shown,
)
from service.views.words import SAID, sentence

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MAY_LEAD = [Depends(needs(Scope.admin))]
Known = Annotated[Identity, Depends(needs(Scope.review))]
Word = Annotated[Typed, Form()]


@router.get("/team")
def team_page(request: Request, session: ReadSession, now: Now, identity: Known, said: str = "") -> Response:
    context = team_shown(
        progress.queue_progress(session, now),
        progress.person_progress(session, now),
        queues.holders(session, now),
        queues.ages(session, now),
        second_look.counts(session, identity.reviewer_id),
    )
    return templates.TemplateResponse(request, "team.html", {**context, "said": SAID.get(said)})


@router.get("/team/agreement", dependencies=FOR_REVIEWERS)
def agreement_page(request: Request, session: ReadSession, identity: Known, queue: Typed = "") -> Response:
    chosen = queues.queue_by_name(session, queue) if queue else None
    # What known items say of a person is for the lead, and for that person.
    known = [one for one in agreement.calibrations(session) if Scope.admin in identity.scopes or one.reviewer == identity.name]
    names = [one.name for one in queues.all_queues(session)]
    context = agreement_shown(agreement.agreements(session, chosen), known, queue, names)
    return templates.TemplateResponse(request, "team_agreement.html", context)


@router.get("/team/agreement.csv", dependencies=FOR_REVIEWERS)
def agreement_csv(session: ReadSession, queue: Typed = "") -> Response:
    chosen = queues.queue_by_name(session, queue) if queue else None
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["measure", "of", "value", "items", "same", "sentence"])
    for one in agreement.agreements(session, chosen):
        value = "" if one.value is None else f"{one.value:.4f}"
        rows.writerow([one.measure, _cell(one.of), value, one.items, one.same, one.sentence])
    headers = {"Content-Disposition": 'attachment; filename="agreement.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(text: str) -> str:
    """A name must not be read as a formula by a spreadsheet."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


# --- queues -------------------------------------------------------------------------------------------------------


@router.get("/team/queues/one", dependencies=MAY_LEAD)
def queue_page(request: Request, session: ReadSession, name: Typed = "") -> Response:
    form = form_of(queues.content_of(session, queues.queue_by_name(session, name))) if name else QueueForm()
    return _queue_page(request, session, form, name or None, None)


@router.post("/team/queues/one", dependencies=MAY_LEAD)
def save_queue(request: Request, form: Annotated[QueueForm, Form()], now: Now, old: Typed = "") -> Response:
    db = database_of(request)
    try:
        with db.write() as session:
            known = queues.queue_by_name(session, old).id if old else None
            queues.save_queue(session, form.content(), now, known)
    except TriageError as error:
        with db.read() as session:
            return _queue_page(request, session, form, old or None, error)
    return see("/team", said="queue", anchor="queues")


@router.post("/team/queues/remove", dependencies=MAY_LEAD)
def remove_queue(session: WriteSession, name: Word = "") -> Response:
    queues.remove_queue(session, name)
    return see("/team", said="queue_removed", anchor="queues")


def _queue_page(request: Request, session: ReadSession, form: QueueForm, old: str | None, error: TriageError | None) -> Response:
    people = sorted(queues.names_of(session).values())
    choices = {"source": queue.filter_choices(session)["source"], "intent": queue.all_intents(session)}
    context = queue_shown(form, old, people, choices) | {"error": sentence(str(error)) if error else None}
    return templates.TemplateResponse(request, "team_queue.html", context, status_code=error.status if error else 200)


# --- assignments and known items ----------------------------------------------------------------------------------


@router.post("/team/assign", dependencies=MAY_LEAD)
def assign(
    session: WriteSession, now: Now, only: Only, reviewer: Word = "", hours: Annotated[float, Form()] = 24.0,
    most: Annotated[int, Form()] = 1,
) -> Response:  # fmt: skip
    queues.assign(session, reviewer, now, hours, only=only, most=most)
    return see("/team", said="assigned", anchor="holders")


@router.post("/items/{item_id}/assign", dependencies=MAY_LEAD)
def assign_item(
    session: WriteSession, item_id: Id, now: Now, only: Only, reviewer: Word = "", hours: Annotated[float, Form()] = 24.0
) -> Response:
    queues.assign(session, reviewer, now, hours, item_id=item_id)
    return see(f"/items/{item_id}", only, said="assigned")


@router.post("/items/{item_id}/unassign", dependencies=MAY_LEAD)
def unassign_item(session: WriteSession, item_id: Id) -> Response:
    queues.unassign(session, item_id=item_id)
    return see("/team", said="unassigned", anchor="holders")


@router.post("/items/{item_id}/known", dependencies=MAY_LEAD)
def mark_known(session: WriteSession, item_id: Id, me: ReviewerId, now: Now, known: Word = "") -> Response:
    if known:
        calibration.mark(session, item_id, me, now)
    else:
        calibration.unmark(session, item_id)
    return see(f"/items/{item_id}", said="known" if known else "not_known")


# --- comments and mentions ----------------------------------------------------------------------------------------


@router.post("/items/{item_id}/comments")
def comment(
    session: WriteSession, item_id: Id, me: ReviewerId, now: Now, only: Only, text: Word = "", key: Word = ""
) -> Response:
    comments.add_comment(session, item_id, me, text, key[:40], now)
    return see(f"/items/{item_id}", only, anchor="comments")


@router.get("/mentions")
def mentions_page(request: Request, session: ReadSession, me: ReviewerId) -> Response:
    return templates.TemplateResponse(request, "mentions.html", {"mentions": mentions_shown(comments.mentions_of(session, me))})


@router.post("/mentions/read")
def read_mentions(session: WriteSession, me: ReviewerId, now: Now) -> Response:
    comments.mark_read(session, me, now)
    return see("/mentions")


@router.post("/mentions/{comment_id}")
def open_mention(session: WriteSession, comment_id: Id, me: ReviewerId, now: Now) -> Response:
    named = next((one for one in comments.mentions_of(session, me, limit=1000) if one.comment.id == comment_id), None)
    if named is None:
        raise NotFound("this comment does not name you")
    comments.mark_read(session, me, now, comment_id)
    return see(f"/items/{named.comment.item_id}", anchor="comments")


# --- amending -----------------------------------------------------------------------------------------------------


@router.get("/items/{item_id}/amend")
def amend_page(request: Request, session: ReadSession, item_id: Id, me: ReviewerId) -> Response:
    item = session.get(ReviewItem, item_id)
    verdict = amend.may_amend(session, item, me) if item is not None else None
    if verdict is None:
        raise Forbidden("only the reviewer who decided, or an admin, can amend a verdict")
    form = AmendForm(
        verdict=verdict.id or 0,
        label=verdict.label,
        intent=verdict.intent or "",
        answer=verdict.answer or "",
        causes=list(verdict.causes),
        comment=verdict.comment or "",
    )
    return templates.TemplateResponse(request, "amend.html", amend_shown(item_id, form) | {"error": None})


@router.post("/items/{item_id}/amend")
def amend_verdict(request: Request, item_id: Id, form: Annotated[AmendForm, Form()], me: ReviewerId, now: Now) -> Response:
    sinks = list(settings_of(request).sinks)
    try:
        with database_of(request).write() as session:
            amend.amend(session, item_id, form.verdict, me, form.decision(), form.reason, sinks, now, undo_time_of(request))
    except TriageError as error:
        context = amend_shown(item_id, form) | {"error": sentence(str(error))}
        return templates.TemplateResponse(request, "amend.html", context, status_code=error.status)
    return see(f"/items/{item_id}", said="amended")
