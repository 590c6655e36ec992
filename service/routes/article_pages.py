"""The pages about articles and their publications."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlmodel import Session

from service import articles, outcomes, publish, queue
from service import impact as foreseen
from service.errors import Conflict, Invalid
from service.models import ArticleStatus
from service.routes.access import Now, ReadSession, ReviewerId, WriteSession, settings_of
from service.routes.page_base import FOR_REVIEWERS, PAGE_SIZE, Id, Page, see, templates
from service.views.articles import article_line, article_shown
from service.views.forms import MOST_ID, ArticleForm, Typed
from service.views.impact import impact_shown, outcomes_shown, typed_of
from service.views.words import SAID, address, sentence

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Looked = Annotated[int, Query(ge=0, le=MOST_ID)]


# --- articles -----------------------------------------------------------------------------------------------------


@router.get("/articles", dependencies=FOR_REVIEWERS)
def articles_page(
    request: Request,
    session: ReadSession,
    q: Typed = "",
    status: Literal["", "draft", "active", "paused"] = "",
    page: Page = 1,
) -> Response:
    found = articles.find_articles(session, q, ArticleStatus(status) if status else None, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    troubled = articles.troubled_articles(session, [article.id or 0 for article in found])
    context = {
        "articles": [article_line(article, troubled) for article in found[:PAGE_SIZE]],
        "q": q,
        "statuses": [{"value": one.value, "label": one.value.capitalize(), "chosen": one == status} for one in ArticleStatus],
        "filtered": bool(q.strip() or status),
        "before": address("/articles", q=q, status=status, page=page - 1) if page > 1 else None,
        "after": address("/articles", q=q, status=status, page=page + 1) if len(found) > PAGE_SIZE else None,
        "page": page,
    }
    return templates.TemplateResponse(request, "articles.html", context)


@router.get("/articles/new", dependencies=FOR_REVIEWERS)
def new_article_page(request: Request, session: ReadSession, impact: str | None = None, looked: Looked = 0) -> Response:
    context: dict[str, Any] = {
        "form": ArticleForm(),
        "error": None,
        "intents": queue.all_intents(session),
        "statuses": list(ArticleStatus),
    }
    if impact is not None:
        found = foreseen.read(session, impact)
        context |= {
            "form": typed_of(found),
            "impact": impact_shown(found, "/articles/new", looked=looked),
        }
    return templates.TemplateResponse(request, "article_new.html", context)


@router.post("/articles")
def make_article(
    request: Request, session: WriteSession, form: Annotated[ArticleForm, Form()], me: ReviewerId, now: Now
) -> Response:
    try:
        article = articles.save_article(
            session, form.content(), list(settings_of(request).sinks), now, origin="page", reviewer_id=me
        )
    except Invalid as error:
        context = {
            "form": form,
            "error": sentence(str(error)),
            "intents": queue.all_intents(session),
            "statuses": list(ArticleStatus),
        }
        return templates.TemplateResponse(request, "article_new.html", context, status_code=error.status)
    return see(f"/articles/{article.id}", said="article")


@router.get("/articles/{article_id}", dependencies=FOR_REVIEWERS)
def article_page(
    request: Request, session: ReadSession, article_id: Id, said: str = "", impact: str | None = None, looked: Looked = 0
) -> Response:
    """With `impact`: the text that it was computed for is in the form again."""
    history = articles.history_of(session, article_id)
    found = foreseen.read(session, impact) if impact is not None else None
    typed = typed_of(found, history.article) if found else None
    context = article_shown(history, queue.all_intents(session), list(settings_of(request).sinks), typed)
    context |= {"said": SAID.get(said), "outcomes": outcomes_shown(outcomes.corrections(session, article_id=article_id))}
    if found:
        context["impact"] = impact_shown(found, f"/articles/{article_id}", looked=looked)
    return templates.TemplateResponse(request, "article.html", context)


@router.post("/articles/{article_id}")
def change_article(
    request: Request, session: WriteSession, article_id: Id, form: Annotated[ArticleForm, Form()], me: ReviewerId, now: Now
) -> Response:
    sinks = list(settings_of(request).sinks)
    try:
        if form.expected_version is None:
            raise Invalid("The form does not say which version it changes. Load the page again.")
        articles.save_article(
            session,
            form.content(),
            sinks,
            now,
            origin="page",
            article_id=article_id,
            expected_version=form.expected_version,
            reviewer_id=me,
        )
    except (Invalid, Conflict) as error:
        context = article_shown(articles.history_of(session, article_id), queue.all_intents(session), sinks, form, error)
        return templates.TemplateResponse(
            request, "article.html", context | {"said": None, "outcomes": []}, status_code=error.status
        )
    return see(f"/articles/{article_id}", said="article")


@router.post("/articles/{article_id}/pause")
def pause_article(
    request: Request,
    session: WriteSession,
    article_id: Id,
    expected_version: Annotated[int, Form(ge=0, le=MOST_ID)],
    me: ReviewerId,
    now: Now,
) -> Response:
    return _set_status(request, session, article_id, expected_version, ArticleStatus.paused, me, now)


@router.post("/articles/{article_id}/activate")
def activate_article(
    request: Request,
    session: WriteSession,
    article_id: Id,
    expected_version: Annotated[int, Form(ge=0, le=MOST_ID)],
    me: ReviewerId,
    now: Now,
) -> Response:
    return _set_status(request, session, article_id, expected_version, ArticleStatus.active, me, now)


def _set_status(
    request: Request, session: Session, article_id: int, expected: int, status: ArticleStatus, me: int, now: datetime
) -> Response:
    article = articles.history_of(session, article_id).article
    content = articles.Content(article.question, article.answer, tuple(article.variants), article.intent, status)
    articles.save_article(
        session,
        content,
        list(settings_of(request).sinks),
        now,
        origin="page",
        article_id=article_id,
        expected_version=expected,
        reviewer_id=me,
    )
    return see(f"/articles/{article_id}", said="article")


@router.post("/publications/{publication_id}/retry", dependencies=FOR_REVIEWERS)
def retry(
    session: WriteSession,
    publication_id: Id,
    article_id: Annotated[int, Form(ge=1, le=MOST_ID)],
    now: Now,
) -> Response:
    publish.try_again(session, publication_id, now)
    return see(f"/articles/{article_id}", anchor="publications", said="retry")
