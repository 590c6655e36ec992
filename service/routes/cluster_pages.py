"""What the pages ask before a decision or an edit is saved: what it would settle, and what the article would change."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from service import impact, queue, review, settle
from service.clusters import MOST_LISTED
from service.errors import Invalid
from service.models import Article
from service.queue import Detail
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession
from service.routes.page_base import FOR_REVIEWERS, Id, Only, database_of, see, templates
from service.views.cluster import cluster_shown, preview_shown
from service.views.forms import ArticleForm, DecisionForm
from service.views.impact import impact_shown
from service.views.items import actions_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Decided = Annotated[DecisionForm, Form()]


@router.post("/items/{item_id}/preview")
def preview(request: Request, item_id: Id, form: Decided, me: ReviewerId, now: Now, only: Only) -> Response:
    """What saving would settle. Without script the form is kept as a draft and the page shows it."""
    db = database_of(request)
    if not _by_script(request):
        with db.write() as session:
            review.save_draft(session, item_id, me, form.kept(), now)
        return see(f"/items/{item_id}", only, anchor="settles", fence=form.fence)
    with db.read() as session:
        detail = queue.detail(session, item_id, me, now, form.look_alikes())
    shown = preview_shown(detail.cluster, detail.exchange.question, detail.articles, form)
    return templates.TemplateResponse(request, "_cluster_preview.html", {"preview": shown})


@router.post("/items/{item_id}/look-alikes")
def more_look_alikes(request: Request, item_id: Id, form: Decided, me: ReviewerId, now: Now, only: Only) -> Response:
    """More of them, with what is ticked so far. Without script the form is kept as a draft and the page shows them."""
    db = database_of(request)
    most = form.look_alikes() + MOST_LISTED
    if not _by_script(request):
        with db.write() as session:
            review.save_draft(session, item_id, me, form.kept(), now)
        return see(f"/items/{item_id}", only, anchor="settles", fence=form.fence, alike=most)
    with db.read() as session:
        detail = queue.detail(session, item_id, me, now, most)
    shown = cluster_shown(detail.cluster, detail.exchange.question, detail.articles, form)
    context = {"cluster": shown, "actions": actions_of(item_id, only)}
    return templates.TemplateResponse(request, "_cluster.html", context)


@router.post("/items/{item_id}/impact")
def item_impact(request: Request, item_id: Id, form: Decided, me: ReviewerId, now: Now, only: Only) -> Response:
    """Have it computed what the corrected answer would change; the form is kept as a draft."""
    db = database_of(request)
    with db.write() as session:
        review.save_draft(session, item_id, me, form.kept(), now)
    try:
        with db.read() as session:
            draft = _draft(queue.detail(session, item_id, me, now, form.look_alikes()), form)
        with db.write() as session:
            key = impact.ask(session, draft, now)
    except Invalid:
        if _by_script(request):
            raise
        return see(f"/items/{item_id}", only, anchor="decision", fence=form.fence, said="no_impact")
    if _by_script(request):
        return JSONResponse({"impact": f"/impact/{key}"}, status_code=202)
    return see(f"/items/{item_id}", only, anchor="impact", fence=form.fence, impact=key)


@router.post("/articles/impact")
@router.post("/articles/{article_id}/impact")
def article_impact(
    request: Request,
    session: WriteSession,
    form: Annotated[ArticleForm, Form()],
    me: ReviewerId,
    now: Now,
    article_id: Id | None = None,
) -> Response:
    """Have it computed what the article would change as it is typed; the page comes back with the text."""
    content = form.content()
    key = impact.ask(session, impact.Draft(content.question, content.answer, content.variants, article_id), now)
    if _by_script(request):
        return JSONResponse({"impact": f"/impact/{key}"}, status_code=202)
    there = f"/articles/{article_id}" if article_id is not None else "/articles/new"
    return see(there, anchor="impact", impact=key)


@router.get("/impact/{key}", dependencies=FOR_REVIEWERS)
def impact_part(request: Request, session: ReadSession, key: str) -> Response:
    """The impact alone, for the script to put into the page."""
    shown = impact_shown(impact.read(session, key), f"/impact/{key}")
    return templates.TemplateResponse(request, "_impact.html", {"impact": shown}, headers={"Cache-Control": "no-store"})


def _draft(detail: Detail, form: DecisionForm) -> impact.Draft:
    """The article that the decision would make, with the variants that it would gain.

    Raises
    ------
    Invalid
        There is no corrected answer yet.
    """
    if not form.answer.strip():
        raise Invalid("Write the corrected answer first: its impact is what it would change.")
    chosen: Article | None = next((near.article for near in detail.articles if form.article == str(near.article.id)), None)
    asked = detail.exchange.question.strip()
    question = form.question.strip() or (chosen.question if chosen else asked)
    ticked = set(form.settled())
    asks = [asked, *(one.exchange.question.strip() for one in detail.cluster.alike if one.exchange.id in ticked)]
    variants = settle.variants(question, chosen.variants if chosen else (), asks)
    return impact.Draft(
        question,
        form.answer,
        variants[: impact.MOST_VARIANTS],
        chosen.id if chosen else None,
        detail.exchange.source,
    )


def _by_script(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "")
