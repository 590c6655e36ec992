"""The pages that reviewers work in. First the routes: read the request, call one function, show a page or redirect.

Then what the pages show: rows into finished values, so that templates need not compute. Then the queries that pages need.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import Text, cast, func, or_, select
from sqlmodel import Session, col

from service import auth, publish, queue, review
from service.db import Database
from service.errors import Conflict, Invalid, LeaseLost, NotFound, NotSignedIn, TriageError
from service.models import (
    Article,
    ArticleStatus,
    ArticleVersion,
    Conversation,
    Evidence,
    Exchange,
    Feedback,
    ItemState,
    Publication,
    PublicationState,
    Reviewer,
    ReviewItem,
    RootCause,
    Scope,
    Turn,
    Verdict,
    VerdictLabel,
)
from service.queue import Counts, Detail, Row, in_order, known_intents
from service.review import Decision, QueueFilter
from service.routes.access import COOKIE, Now, ReadSession, ReviewerId, WriteSession, needs, settings_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

HERE = Path(__file__).resolve().parent.parent
PAGE_SIZE = 50
# PostgreSQL's integer; what is greater can be no id of ours and would fail there.
MOST_ID = 2**31 - 1


@cache
def _asset(name: str) -> str:
    """The address of a static file, new with its content: browsers may keep it for long and never show a stale one."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def _who(request: Request) -> dict[str, Any]:
    identity = getattr(request.state, "identity", None)
    return {"me": identity.name if identity else None}


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,  # everywhere: what people wrote is shown, never run
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["asset"] = _asset
templates = Jinja2Templates(env=_environment, context_processors=[_who])


def _typed(text: str) -> str:
    """Browsers send line ends as CRLF, which would look like a change; PostgreSQL cannot store NUL."""
    return text.replace("\r\n", "\n").replace("\x00", "\ufffd")


Typed = Annotated[str, AfterValidator(_typed)]
Id = Annotated[int, PathParam(ge=1, le=MOST_ID)]
Fence = Annotated[int, Form(ge=0, le=MOST_ID)]
Page = Annotated[int, Query(ge=1, le=100_000)]
# For pages that do not ask which reviewer it is.
FOR_REVIEWERS = [Depends(needs(Scope.review))]


def _only(signal: Typed = "", source: Typed = "", strategy: Typed = "") -> QueueFilter:
    return QueueFilter(signal or None, source or None, strategy or None)


# In the query of every address from the queue to the decision, so that "next" stays within what the reviewer chose.
Only = Annotated[QueueFilter, Depends(_only)]


def _see(path: str, only: QueueFilter | None = None, anchor: str = "", **more: str | int | None) -> Response:
    """Go and look there: 303, so that reloading the page posts nothing twice."""
    return RedirectResponse(_address(path, only, **more) + (f"#{anchor}" if anchor else ""), status_code=303)


def _address(path: str, only: QueueFilter | None = None, **more: str | int | None) -> str:
    filters = {"signal": only.signal, "source": only.source, "strategy": only.strategy} if only else {}
    query = urlencode({name: value for name, value in {**filters, **more}.items() if value not in (None, "")})
    return f"{path}?{query}" if query else path


def _lease(request: Request) -> timedelta:
    return timedelta(seconds=settings_of(request).queue.lease_seconds)


def _database(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


# What a redirect may say on the page that it leads to. Codes, not sentences: an address cannot put words into our mouth.
SAID = {
    "released": "The item is back in the queue.",
    "skipped": "Skipped: this item will not be shown to you again.",
    "not_reviewable": "Taken out of the queue as not reviewable.",
    "sent_back": "Sent back: the verdict is withdrawn and the item is open again.",
    "draft": "Draft saved. It waits for you here.",
    "taken": "Somebody else took this item a moment ago, or decided it.",
    "saved": "Saved.",
    "none": "There is nothing free for you right now.",
    "saved_none": "Saved. There is nothing more for you right now.",
    "article": "Article saved.",
    "retry": "The publication is in line again.",
    "signed_out": "You are signed out.",
}


def error_page(request: Request, status: int, message: str) -> Response:
    """What went wrong, as a page with a way back."""
    context = {"status": status, "message": _sentence(message)}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)


# --- signing in ---------------------------------------------------------------------------------------------------


@router.get("/sign-in")
def sign_in_page(request: Request, next: Typed = "", said: str = "") -> Response:
    return templates.TemplateResponse(
        request, "sign_in.html", {"next": _local(next), "name": "", "error": None, "said": SAID.get(said)}
    )


@router.post("/sign-in")
def sign_in(
    request: Request,
    session: WriteSession,
    now: Now,
    name: Annotated[Typed, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[Typed, Form()] = "",
) -> Response:
    settings = settings_of(request)
    lasts = timedelta(hours=settings.session_hours)
    try:
        token = auth.sign_in(session, name.strip(), password, now, lasts)
    except NotSignedIn:
        context = {"next": _local(next), "name": name, "error": "Name or password is wrong.", "said": None}
        return templates.TemplateResponse(request, "sign_in.html", context, status_code=401)
    response = RedirectResponse(_local(next), status_code=303)
    response.set_cookie(
        COOKIE, token, max_age=int(lasts.total_seconds()), httponly=True, samesite="lax", secure=settings.secure_cookie
    )
    return response


@router.post("/sign-out")
def sign_out(request: Request, session: WriteSession) -> Response:
    auth.sign_out(session, request.cookies.get(COOKIE, ""))
    response = _see("/sign-in", said="signed_out")
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=settings_of(request).secure_cookie)
    return response


def _local(path: str) -> str:
    """The path if it stays on this site, else the queue. Browsers read `\\` as `/` and drop tabs and line ends."""
    stays = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if stays and not path.startswith("/sign-") else "/queue"


# --- the queue ----------------------------------------------------------------------------------------------------


@router.get("/")
def home() -> Response:
    return _see("/queue")


@router.get("/queue", dependencies=FOR_REVIEWERS)
def queue_page(
    request: Request,
    session: ReadSession,
    now: Now,
    only: Only,
    state: ItemState = ItemState.open,
    page: Page = 1,
    said: str = "",
) -> Response:
    counts = queue.counts(session, now)
    # One more than is shown tells whether there is a next page.
    rows = queue.rows(session, now, state, only, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    verdicts = verdicts_of(session, [row.item.id or 0 for row in rows]) if state == ItemState.done else {}
    at = {"state": state.value if state != ItemState.open else None}
    context = {
        "counts": _counts_shown(counts),
        "tabs": _tabs(counts, state, only),
        "state": state.value,
        "rows": [_line(row, only, verdicts) for row in rows[:PAGE_SIZE]],
        "filters": _filters(filter_choices(session), only),
        "filtered": only != QueueFilter(),
        "clear": _address("/queue", None, **at),
        "next_action": _address("/queue/next", only),
        "before": _address("/queue", only, page=page - 1, **at) if page > 1 else None,
        "after": _address("/queue", only, page=page + 1, **at) if len(rows) > PAGE_SIZE else None,
        "page": page,
        "empty": _empty(counts, state, only),
        "said": _said_on_queue(said, counts, only),
    }
    return templates.TemplateResponse(request, "queue.html", context)


@router.post("/queue/next")
def next_item(request: Request, session: WriteSession, me: ReviewerId, now: Now, only: Only) -> Response:
    claim = review.claim_next(session, me, now, _lease(request), only)
    if claim is None:
        return _see("/queue", only, said="none")
    return _see(f"/items/{claim.item_id}", only, anchor="flagged", fence=claim.fence)


# --- an item ------------------------------------------------------------------------------------------------------


class DecisionForm(BaseModel):
    """The decision as it was typed."""

    fence: int = Field(0, ge=0, le=MOST_ID)
    label: Typed = ""
    intent: Typed = ""
    question: Typed = ""
    answer: Typed = ""
    article: Typed = ""
    causes: list[Typed] = []
    comment: Typed = ""

    def decision(self) -> Decision:
        """What it means.

        Raises
        ------
        Invalid
            No verdict is chosen, or a field holds what the form does not offer.
        """
        if not self.label:
            raise Invalid("Choose a verdict first: keys 1 to 6.")
        try:
            label, causes = VerdictLabel(self.label), tuple(RootCause(cause) for cause in self.causes)
            article_id = int(self.article) if self.article else None
        except ValueError as error:
            raise Invalid("The form holds a choice that it does not offer. Load the page again.") from error
        if article_id is not None and not 1 <= article_id <= MOST_ID:
            raise Invalid("There is no such article.")
        if article_id is not None and not self.answer.strip():
            article_id = None  # a choice of article without a text changes none
        return Decision(
            label=label,
            intent=self.intent.strip() or None,
            answer=self.answer.strip() or None,
            question=self.question.strip() or None,
            article_id=article_id,
            causes=causes,
            comment=self.comment.strip() or None,
        )

    def kept(self) -> dict[str, Any]:
        return self.model_dump(exclude={"fence"})

    def has_text(self) -> bool:
        return any(text.strip() for text in (self.intent, self.question, self.answer, self.comment))


def _from_draft(draft: Mapping[str, Any] | None) -> DecisionForm:
    """A draft may be another program's: what does not fit is passed over."""
    known = draft or {}
    texts = {name: value for name in ("label", "intent", "question", "answer", "article", "comment")
             if isinstance(value := known.get(name), str)}  # fmt: skip
    causes = known.get("causes")
    return DecisionForm(**texts, causes=[c for c in causes if isinstance(c, str)] if isinstance(causes, list) else [])


@router.get("/items/{item_id}")
def item_page(
    request: Request,
    session: ReadSession,
    item_id: Id,
    me: ReviewerId,
    now: Now,
    only: Only,
    fence: Annotated[int | None, Query(ge=0, le=MOST_ID)] = None,
    after: Annotated[int | None, Query(ge=1, le=MOST_ID)] = None,
    said: str = "",
) -> Response:
    detail = queue.detail(session, item_id, me, now)
    notice = SAID.get(said)
    if fence is not None and detail.item.state == ItemState.open and not _is_mine(detail, me, now) and not notice:
        notice = "Your time with this item is over. What you typed is kept as your draft."
    context = _item_shown(detail, me, now, only, _from_draft(detail.draft), _lease(request))
    context |= {"said": notice, "after": after, "error": None}
    return templates.TemplateResponse(request, "item.html", context)


@router.post("/items/{item_id}/claim")
def claim(request: Request, session: WriteSession, item_id: Id, me: ReviewerId, now: Now, only: Only) -> Response:
    try:
        mine = review.claim_item(session, item_id, me, now, _lease(request))
    except LeaseLost:
        return _see(f"/items/{item_id}", only, said="taken")
    return _see(f"/items/{item_id}", only, anchor="flagged", fence=mine.fence)


@router.post("/items/{item_id}/decide")
def decide(
    request: Request, item_id: Id, form: Annotated[DecisionForm, Form()], me: ReviewerId, now: Now, only: Only
) -> Response:
    # Sessions of its own: SQLite has one writer, and a refused decision must roll back before the draft is written.
    db = _database(request)
    try:
        with db.write() as session:
            review.decide(session, item_id, me, form.fence, form.decision(), list(settings_of(request).sinks), now)
    except TriageError as error:
        with db.write() as session:
            review.save_draft(session, item_id, me, form.kept(), now)
        with db.read() as session:
            detail = queue.detail(session, item_id, me, now)
        context = _item_shown(detail, me, now, only, form, _lease(request))
        context |= {"said": None, "after": None, "error": _sentence(str(error))}
        return templates.TemplateResponse(request, "item.html", context, status_code=error.status)
    with db.write() as session:
        following = review.claim_next(session, me, now, _lease(request), only)
    if following is None:
        return _see("/queue", only, said="saved_none")
    return _see(f"/items/{following.item_id}", only, anchor="flagged", fence=following.fence, after=item_id)


@router.post("/items/{item_id}/heartbeat")
def heartbeat(request: Request, session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, now: Now) -> Response:
    mine = review.heartbeat(session, item_id, me, fence, now, _lease(request))
    return JSONResponse({"until": mine.until.isoformat()})


@router.post("/items/{item_id}/draft")
def draft(
    request: Request,
    session: WriteSession,
    item_id: Id,
    form: Annotated[DecisionForm, Form()],
    me: ReviewerId,
    now: Now,
    only: Only,
) -> Response:
    review.save_draft(session, item_id, me, form.kept(), now)
    if "text/html" not in request.headers.get("accept", ""):  # the script's own saving
        return Response(status_code=204)
    return _see(f"/items/{item_id}", only, anchor="decision", fence=form.fence, said="draft")


@router.post("/items/{item_id}/release")
def release(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, only: Only) -> Response:
    review.release(session, item_id, me, fence)
    return _see("/queue", only, said="released")


@router.post("/items/{item_id}/skip")
def skip(session: WriteSession, item_id: Id, fence: Fence, me: ReviewerId, only: Only) -> Response:
    review.skip(session, item_id, me, fence)
    return _see("/queue", only, said="skipped")


@router.post("/items/{item_id}/not-reviewable")
def not_reviewable(
    session: WriteSession,
    item_id: Id,
    fence: Fence,
    me: ReviewerId,
    now: Now,
    only: Only,
    reason: Annotated[Typed, Form()] = "",
) -> Response:
    review.not_reviewable(session, item_id, me, fence, reason, now)
    return _see("/queue", only, said="not_reviewable")


@router.post("/items/{item_id}/send-back")
def send_back(
    request: Request,
    session: WriteSession,
    item_id: Id,
    me: ReviewerId,
    now: Now,
    only: Only,
    reason: Annotated[Typed, Form()] = "",
) -> Response:
    review.send_back(session, item_id, me, reason, list(settings_of(request).sinks), now)
    return _see(f"/items/{item_id}", only, said="sent_back")


@router.get("/conversations/{conversation_id}", dependencies=FOR_REVIEWERS)
def conversation_page(request: Request, session: ReadSession, conversation_id: Id) -> Response:
    return templates.TemplateResponse(request, "conversation.html", _conversation_shown(told(session, conversation_id)))


# --- articles -----------------------------------------------------------------------------------------------------


class ArticleForm(BaseModel):
    """An article as it was typed; variants one a line."""

    question: Typed = ""
    variants: Typed = ""
    answer: Typed = ""
    intent: Typed = ""
    status: Typed = ArticleStatus.active.value
    expected_version: int | None = Field(None, ge=0, le=MOST_ID)

    def content(self) -> publish.Content:
        try:
            status = ArticleStatus(self.status)
        except ValueError as error:
            raise Invalid("Choose whether the article is a draft, active or paused.") from error
        lines = (line.strip() for line in self.variants.splitlines())
        return publish.Content(
            question=self.question.strip(),
            answer=self.answer.strip(),
            variants=tuple(dict.fromkeys(line for line in lines if line)),
            intent=self.intent.strip() or None,
            status=status,
        )


@router.get("/articles", dependencies=FOR_REVIEWERS)
def articles_page(
    request: Request,
    session: ReadSession,
    q: Typed = "",
    status: Literal["", "draft", "active", "paused"] = "",
    page: Page = 1,
) -> Response:
    found = find_articles(session, q, ArticleStatus(status) if status else None, PAGE_SIZE + 1, (page - 1) * PAGE_SIZE)
    troubled = troubled_articles(session, [article.id or 0 for article in found])
    context = {
        "articles": [_article_line(article, troubled) for article in found[:PAGE_SIZE]],
        "q": q,
        "statuses": [{"value": one.value, "label": one.value.capitalize(), "chosen": one == status} for one in ArticleStatus],
        "filtered": bool(q.strip() or status),
        "before": _address("/articles", q=q, status=status, page=page - 1) if page > 1 else None,
        "after": _address("/articles", q=q, status=status, page=page + 1) if len(found) > PAGE_SIZE else None,
        "page": page,
    }
    return templates.TemplateResponse(request, "articles.html", context)


@router.get("/articles/new", dependencies=FOR_REVIEWERS)
def new_article_page(request: Request, session: ReadSession) -> Response:
    context = {"form": ArticleForm(), "error": None, "intents": all_intents(session), "statuses": list(ArticleStatus)}
    return templates.TemplateResponse(request, "article_new.html", context)


@router.post("/articles")
def make_article(
    request: Request, session: WriteSession, form: Annotated[ArticleForm, Form()], me: ReviewerId, now: Now
) -> Response:
    try:
        article = publish.save_article(
            session, form.content(), list(settings_of(request).sinks), now, origin="page", reviewer_id=me
        )
    except Invalid as error:
        context = {
            "form": form,
            "error": _sentence(str(error)),
            "intents": all_intents(session),
            "statuses": list(ArticleStatus),
        }
        return templates.TemplateResponse(request, "article_new.html", context, status_code=error.status)
    return _see(f"/articles/{article.id}", said="article")


@router.get("/articles/{article_id}", dependencies=FOR_REVIEWERS)
def article_page(request: Request, session: ReadSession, article_id: Id, said: str = "") -> Response:
    history = history_of(session, article_id)
    context = _article_shown(history, all_intents(session), list(settings_of(request).sinks))
    return templates.TemplateResponse(request, "article.html", context | {"said": SAID.get(said)})


@router.post("/articles/{article_id}")
def change_article(
    request: Request, session: WriteSession, article_id: Id, form: Annotated[ArticleForm, Form()], me: ReviewerId, now: Now
) -> Response:
    sinks = list(settings_of(request).sinks)
    try:
        if form.expected_version is None:
            raise Invalid("The form does not say which version it changes. Load the page again.")
        publish.save_article(
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
        context = _article_shown(history_of(session, article_id), all_intents(session), sinks, form, error)
        return templates.TemplateResponse(request, "article.html", context | {"said": None}, status_code=error.status)
    return _see(f"/articles/{article_id}", said="article")


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
    article = history_of(session, article_id).article
    content = publish.Content(article.question, article.answer, tuple(article.variants), article.intent, status)
    publish.save_article(
        session,
        content,
        list(settings_of(request).sinks),
        now,
        origin="page",
        article_id=article_id,
        expected_version=expected,
        reviewer_id=me,
    )
    return _see(f"/articles/{article_id}", said="article")


@router.post("/publications/{publication_id}/retry", dependencies=FOR_REVIEWERS)
def retry(
    session: WriteSession,
    publication_id: Id,
    article_id: Annotated[int, Form(ge=1, le=MOST_ID)],
    now: Now,
) -> Response:
    publish.try_again(session, publication_id, now)
    return _see(f"/articles/{article_id}", anchor="publications", said="retry")


# === what pages show ==============================================================================================

# (where it raised something, where it did not)
SIGNALS = {
    "intent_confidence": ("Unsure of the intent", "Intent"),
    "answer_relevance": ("Answer may not fit", "Answer fits"),
    "user_frustration": ("User unhappy", "User's reaction"),
    "answer_consistency": ("Inconsistent answers", "Consistent answers"),
    "user_feedback": ("Bad feedback", "Feedback"),
}
RAISED = 0.5  # the probability from which evidence speaks against the answer; review.matches filters by the same
STRONG = 0.75
VERDICTS = [
    ("good", "Good", "Nothing to correct"),
    ("wrong", "Wrong", "Says what is not so"),
    ("incomplete", "Incomplete", "Leaves out what matters"),
    ("unsafe", "Unsafe", "Could do harm"),
    ("unclear", "Unclear", "Hard to understand"),
    ("out_of_scope", "Out of scope", "Not for this bot"),
]
VERDICT_NAMES = {value: label for value, label, _ in VERDICTS}
CAUSES = {
    "intent": "Wrong intent",
    "retrieval": "Wrong passages found",
    "missing_article": "No article about it",
    "outdated_article": "Article out of date",
    "generation": "Answer not true to its passages",
    "other": "Something else",
}
STRATEGIES = {
    "value": "Likely wrong",
    "uncertainty": "Signals undecided",
    "coverage": "Nothing like it reviewed",
    "random": "Pure chance",
}
ORIGINS = {"verdict": "by a verdict", "withdrawn": "verdict withdrawn", "page": "edited here"}
PUBLICATION_STATES = {
    PublicationState.pending: ("Waiting", "calm"),
    PublicationState.published: ("Published", "good"),
    PublicationState.failed: ("Failed", "bad"),
    PublicationState.conflict: ("Conflict", "bad"),
    PublicationState.cancelled: ("Superseded", "calm"),
}
ROLES = {"user": "User", "bot": "Bot", "agent": "Human agent"}

LONG_TEXT = 4000  # longer text is folded: a turn of a megabyte must not push the rest away
FOLD_OVER = 60  # turns; longer conversations show the part around the flagged exchange
AROUND = 20


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: exact for machines, in UTC for people until the script shows it in their zone."""

    iso: str
    full: str
    clock: str


@dataclass(frozen=True, slots=True)
class Told:
    """Text that may be long: what is shown at once, and what unfolds."""

    head: str
    rest: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Evidence as the margin shows it."""

    anchor: str
    label: str
    text: str
    weight: str
    value: str
    chance: str
    figures: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Mark:
    """On a turn that took part in evidence whose note stands at another turn."""

    anchor: str
    label: str
    weight: str


@dataclass(frozen=True, slots=True)
class Passage:
    title: str
    scores: str
    text: Told


@dataclass(frozen=True, slots=True)
class Rating:
    text: str
    comment: str | None
    at: Moment | None
    weight: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored exchange, shown at the turn that completes its answer."""

    priority: str
    percent: int
    item_href: str | None
    item_state: str | None
    asked: str | None


@dataclass(slots=True)
class TurnShown:
    anchor: str
    role: str
    who: str
    text: Told
    at: Moment | None
    edited: Moment | None
    flagged: bool = False
    new_day: bool = False
    intent: str | None = None
    ranking: list[tuple[str, str]] = field(default_factory=list)
    passages: list[Passage] | None = None
    passages_line: str = ""
    ratings: list[Rating] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    scored: Scored | None = None


def _sentence(text: str) -> str:
    told = text.strip()
    return told[:1].upper() + told[1:] + ("" if told.endswith((".", "!", "?")) else ".")


def _moment(at: datetime | None) -> Moment | None:
    return Moment(at.isoformat(), f"{at.day} {at:%b %Y, %H:%M} UTC", f"{at:%H:%M}") if at else None


def _percent(share: float) -> int:
    return round(100 * min(max(share, 0.0), 1.0))


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def _clip(text: str, most: int) -> str:
    one_line = " ".join(text[: most * 4].split())
    return one_line if len(one_line) <= most and len(text) <= most * 4 else one_line[: most - 1].rstrip() + "…"


def _fold(text: str, most: int = LONG_TEXT) -> Told:
    if len(text) <= most + most // 10:
        return Told(text)
    # Cut between words where there is a gap near; else in the middle.
    gap = max(text.rfind(" ", most - 200, most), text.rfind("\n", most - 200, most))
    cut = gap + 1 if gap > 0 else most
    return Told(text[:cut], text[cut:], f"{len(text) - cut:,}")


def _anchor(turn_id: str) -> str:
    """The platform's id as a fragment that needs no quoting; links to a turn are made from its id alone."""
    return "turn-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}.", turn_id)


def _weight(probability: float) -> str:
    return "strong" if probability >= STRONG else "some" if probability >= RAISED else "calm"


def _signal(name: str, probability: float) -> str:
    raised, calm = SIGNALS.get(name, (name.replace("_", " ").capitalize(),) * 2)
    return raised if probability >= RAISED else calm


def _note(one: Evidence) -> Note:
    figures = [
        (key.replace("_", " "), _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value))
        for key, value in one.detail.items()
        if value is not None and value != [] and value != ""
    ]
    return Note(
        anchor=f"evidence-{one.id}",
        label=_signal(one.name, one.probability),
        text=one.note,
        weight=_weight(one.probability),
        value=f"{one.value:.2f}",
        chance=f"{_percent(one.probability)} %",
        figures=figures,
    )


# --- the queue ----------------------------------------------------------------------------------------------------


def _counts_shown(counts: Counts) -> list[tuple[str, str]]:
    shown = [
        ("Being reviewed", f"{counts.held:,}"),
        ("Exchanges scored", f"{counts.exchanges:,}"),
    ]
    if counts.unscored:
        shown.append(("Conversations waiting to be scored", f"{counts.unscored:,}"))
    return shown


def _tabs(counts: Counts, state: ItemState, only: QueueFilter) -> list[dict[str, Any]]:
    named = [
        (ItemState.open, "Open", counts.open),
        (ItemState.done, "Done", counts.done),
        (ItemState.not_reviewable, "Not reviewable", counts.not_reviewable),
    ]
    return [
        {
            "label": label,
            "count": f"{count:,}",
            "href": _address("/queue", only, state=one.value if one != ItemState.open else None),
            "current": one == state,
        }
        for one, label, count in named
    ]


def _filters(choices: Mapping[str, Sequence[str]], only: QueueFilter) -> list[dict[str, Any]]:
    chosen = {"signal": only.signal, "source": only.source, "strategy": only.strategy}
    labels = {
        "signal": ("Signal", {name: raised for name, (raised, _) in SIGNALS.items()}),
        "source": ("Source", {}),
        "strategy": ("Chosen as", STRATEGIES),
    }
    shown = []
    for name, (label, names) in labels.items():
        values = dict.fromkeys((*choices[name], *filter(None, [chosen[name]])))  # what is chosen stays to be seen
        options = [{"value": v, "label": _named(v, names), "chosen": v == chosen[name]} for v in values]
        shown.append({"name": name, "label": label, "options": options})
    return shown


def _named(value: str, names: Mapping[str, str]) -> str:
    return names.get(value, value.replace("_", " ") if names else value)


def _line(row: Row, only: QueueFilter, verdicts: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    chips = [(_signal(e.name, e.probability), _weight(e.probability)) for e in row.evidence if e.probability >= RAISED]
    verdict = verdicts.get(row.item.id or 0)
    return {
        "href": _address(f"/items/{row.item.id}", only) + "#flagged",
        "priority": f"{row.item.priority:.2f}",
        "percent": _percent(row.item.priority),
        "question": _clip(row.exchange.question, 180) or "(no question: the bot spoke first)",
        "answer": _clip(row.exchange.answer, 200),
        "why": row.evidence[0].note if chips else _sentence(row.item.reason),
        "chips": chips,
        "source": row.exchange.source,
        "at": _moment(row.exchange.asked_at),
        "asked": f"asked {row.cluster_size} times" if row.cluster_size > 1 else None,
        "holder": row.holder,
        "remark": row.item.remark,
        "verdict": VERDICT_NAMES.get(verdict[0], verdict[0]) if verdict else None,
        "decided_by": verdict[1] if verdict else None,
    }


def _empty(counts: Counts, state: ItemState, only: QueueFilter) -> tuple[str, str]:
    """(what is so, what to do next) where the list has no line."""
    if only != QueueFilter():
        return "No item matches these filters.", "Clear the filters to see all items."
    if state != ItemState.open:
        return "Nothing here yet.", "Items appear here once somebody has decided them."
    if counts.unscored and not counts.exchanges:
        return (
            "Nothing scored yet.",
            f"{counts.unscored:,} conversations wait. An open conversation is scored once it has been quiet for a while; "
            "if nothing moves, check that the worker runs.",
        )
    if not counts.exchanges:
        return (
            "No conversations yet.",
            "Connect a chatbot platform to /hooks/NAME, or import a file on the server with: triage import FILE",
        )
    if counts.done or counts.not_reviewable:
        return "All done.", "Every chosen exchange has its verdict. New items appear as conversations come in."
    return "Nothing chosen yet.", "Exchanges are scored; the worker chooses the ones worth a look within moments."


def _said_on_queue(said: str, counts: Counts, only: QueueFilter) -> str | None:
    if said not in ("none", "saved_none"):
        return SAID.get(said)
    if only != QueueFilter():
        return SAID[said] + " No free item matches these filters; clear them to go on."
    if counts.open:
        return SAID[said] + " The open items are held by others, or you skipped them."
    return SAID[said] + " " + " ".join(_empty(counts, ItemState.open, only))


# --- a conversation -----------------------------------------------------------------------------------------------


def _turns_shown(turns: Sequence[Turn], feedback: Sequence[Feedback]) -> list[TurnShown]:
    shown = []
    day = None
    for turn in turns:
        one = TurnShown(
            anchor=_anchor(turn.external_id),
            role=turn.role,
            who=ROLES.get(turn.role, turn.role),
            text=_fold(turn.text),
            at=_moment(turn.at),
            edited=_moment(turn.edited_at),
            ratings=[_rating(given) for given in feedback if given.turn_external_id == turn.external_id],
        )
        if turn.at:
            one.new_day = turn.at.date() != day
            day = turn.at.date()
        if turn.intent:
            one.intent, one.ranking = _intent(turn.intent)
        if turn.retrieval is not None:
            one.passages = [_passage(passage) for passage in turn.retrieval]
            one.passages_line = _passages_line(turn.retrieval)
        shown.append(one)
    return shown


def _intent(intent: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    def told(name: Any, confidence: Any) -> tuple[str, str]:
        return str(name or "none"), _number(confidence) if isinstance(confidence, int | float) else ""

    first = " ".join(filter(None, told(intent.get("name"), intent.get("confidence"))))
    return first, [told(one.get("name"), one.get("confidence")) for one in (intent.get("ranking") or [])[:6]]


def _passage(passage: Mapping[str, Any]) -> Passage:
    scores = [
        f"{name} {_number(passage[key])}"
        for key, name in (("score", "score"), ("rerank_score", "reranked"))
        if isinstance(passage.get(key), int | float)
    ]
    title = passage.get("title") or passage.get("id") or "Passage without a title"
    return Passage(str(title), ", ".join(scores), _fold(str(passage.get("text") or "")))


def _passages_line(retrieval: Sequence[Mapping[str, Any]]) -> str:
    if not retrieval:
        return "The bot's search found no passage"
    return f"{len(retrieval)} passage{'s' if len(retrieval) > 1 else ''} found by the bot's search"


_SCALES = {"stars": 5, "csat": 5, "nps": 10}


def _rating(given: Feedback) -> Rating:
    text, weight = "Comment", "calm"
    if given.rating is not None:
        if given.scale == "thumb":
            text, weight = ("Thumb up", "good") if given.rating > 0 else ("Thumb down", "bad")
        elif given.scale in _SCALES:
            text = f"{_number(given.rating)} of {_SCALES[given.scale]} ({given.scale})"
            weight = "bad" if given.rating <= _SCALES[given.scale] * 0.5 else "calm"
        elif given.scale == "percent":
            text = f"{_number(given.rating)} %"
        else:
            text = f"Rated {_number(given.rating)}" + (f" ({given.scale})" if given.scale else "")
    return Rating(text, given.comment, _moment(given.at), weight)


def _place_notes(
    shown: Sequence[TurnShown], turns: Sequence[Turn], evidence: Iterable[Evidence], answer_turn: str, every_note: bool
) -> None:
    """The note beside the last of its turns, a mark on the others. Evidence without a known turn belongs to the answer."""
    place = {turn.external_id: i for i, turn in enumerate(turns)}
    for one in evidence:
        if not every_note and one.probability < RAISED:
            continue
        at = sorted({place[turn_id] for turn_id in one.turn_ids if turn_id in place})
        at = at or ([place[answer_turn]] if answer_turn in place else [len(shown) - 1] if shown else [])
        if not at:
            continue
        note = _note(one)
        shown[at[-1]].notes.append(note)
        if one.probability >= RAISED:
            for i in at[:-1]:
                shown[i].marks.append(Mark(note.anchor, note.label, note.weight))


def _parts(shown: Sequence[TurnShown], around: tuple[int, int] | None) -> dict[str, Sequence[TurnShown]]:
    """The turns before, in and after the flagged exchange; in a long conversation, those far from it apart."""
    first, past = (around[0], around[1] + 1) if around else (0, 0)
    start, end = 0, len(shown)
    if len(shown) > FOLD_OVER:
        start, end = (max(first - AROUND, 0), past + AROUND) if around else (0, FOLD_OVER)
    return {
        "earlier": shown[:start],
        "before": shown[start:first],
        "flagged": shown[first:past],
        "after": shown[past:end],
        "later": shown[end:],
    }


def _span(turns: Sequence[Turn], answer: set[str]) -> tuple[int, int] | None:
    """First and last place of the exchange: its answer, the user's turns right before it, and those right after."""
    places = [i for i, turn in enumerate(turns) if turn.external_id in answer]
    if not places:
        return None
    first, last = places[0], places[-1]
    while first > 0 and turns[first - 1].role == "user":
        first -= 1
    while last + 1 < len(turns) and turns[last + 1].role == "user":
        last += 1
    return first, last


def _heading(conversation: Conversation, turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "external_id": _clip(conversation.external_id, 60),
        "source": conversation.source,
        "channel": conversation.channel,
        "started": _moment(conversation.started_at or next((turn.at for turn in turns if turn.at), None)),
        "closed": conversation.closed,
        "turns": f"{len(turns):,} turn{'' if len(turns) == 1 else 's'}",
    }


def _is_mine(detail: Detail, me: int, now: datetime) -> bool:
    item = detail.item
    held = item.claimed_until is not None and item.claimed_until > now
    return item.state == ItemState.open and item.reviewer_id == me and held


def _item_shown(
    detail: Detail, me: int, now: datetime, only: QueueFilter, form: DecisionForm, lease: timedelta
) -> dict[str, Any]:
    item, exchange, turns = detail.item, detail.exchange, detail.turns
    shown = _turns_shown(turns, detail.feedback)
    span = _span(turns, {*exchange.turn_ids, exchange.turn_id})
    for i in range(span[0], span[1] + 1) if span else ():
        shown[i].flagged = True
    _place_notes(shown, turns, detail.evidence, exchange.turn_id, every_note=True)
    mine = _is_mine(detail, me, now)
    raised = [one for one in detail.evidence if one.probability >= RAISED]
    return {
        "item": {
            "id": item.id,
            "state": item.state,
            "fence": item.fence,
            "priority": f"{item.priority:.2f}",
            "percent": _percent(item.priority),
            "reason": _sentence(item.reason),
            "strategy": _named(item.strategy, STRATEGIES),
            "propensity": _number(item.propensity),
            "remark": item.remark,
            "asked": f"asked {detail.cluster_size} times" if detail.cluster_size > 1 else None,
            "until": _moment(item.claimed_until) if mine else None,
        },
        "because": exchange.because,
        "chips": [(_signal(one.name, one.probability), _weight(one.probability), f"evidence-{one.id}") for one in raised],
        "mine": mine,
        "takeable": item.state == ItemState.open and detail.holder is None,
        "holder": detail.holder,
        "conversation": _heading(detail.conversation, turns),
        "parts": _parts(shown, span),
        "on_conversation": [_rating(given) for given in detail.feedback if given.turn_external_id is None],
        "similar": [
            {
                "question": _clip(one.exchange.question, 300),
                "answer": _fold(one.exchange.answer, 600),
                "alike": f"{_percent(one.similarity)} % alike",
                "verdict": VERDICT_NAMES.get(one.verdict, one.verdict) if one.verdict else None,
                "verdict_weight": "good" if one.verdict == VerdictLabel.good else "bad",
                "at": _moment(one.exchange.asked_at),
                "href": f"/conversations/{one.conversation.id}#{_anchor(one.exchange.turn_id)}",
            }
            for one in detail.similar
        ],
        "articles": [
            {
                "id": near.article.id,
                "question": _clip(near.article.question, 200),
                "answer": near.article.answer,
                "status": near.article.status,
                "alike": f"{_percent(near.similarity)} % alike",
                "chosen": form.article == str(near.article.id),
            }
            for near in detail.articles
        ],
        "verdicts": [_verdict_shown(verdict, name) for verdict, name in detail.verdicts],
        "form": form,
        "typed": _typed_shown(form) if not mine and form.has_text() else None,
        "labels": [
            {"value": v, "label": label, "hint": hint, "key": i, "chosen": form.label == v}
            for i, (v, label, hint) in enumerate(VERDICTS, start=1)
        ],
        "causes": [{"value": v, "label": label, "chosen": v in form.causes} for v, label in CAUSES.items()],
        "intents": detail.intents,
        "question": exchange.question,
        "lease_seconds": int(lease.total_seconds()),
        "actions": {
            name: _address(f"/items/{item.id}/{name}", only)
            for name in ("claim", "decide", "draft", "release", "skip", "not-reviewable", "send-back")
        },
        "queue_href": _address("/queue", only),
        "next_action": _address("/queue/next", only),
    }


def _typed_shown(form: DecisionForm) -> str:
    """All that was typed, as one text to copy."""
    parts = [
        ("Verdict", VERDICT_NAMES.get(form.label, form.label)),
        ("Intent", form.intent),
        ("Question", form.question),
        ("Answer", form.answer),
        ("Comment", form.comment),
    ]
    return "\n\n".join(f"{name}:\n{text}" for name, text in parts if text.strip())


def _verdict_shown(verdict: Verdict, name: str) -> dict[str, Any]:
    return {
        "label": VERDICT_NAMES.get(verdict.label, verdict.label),
        "weight": "good" if verdict.label == VerdictLabel.good else "bad",
        "reviewer": name,
        "at": _moment(verdict.decided_at),
        "intent": verdict.intent,
        "answer": verdict.answer,
        "causes": ", ".join(CAUSES.get(cause, cause) for cause in verdict.causes),
        "comment": verdict.comment,
        "withdrawn_at": _moment(verdict.withdrawn_at),
        "withdrawn_reason": verdict.withdrawn_reason,
    }


def _conversation_shown(whole: "Whole") -> dict[str, Any]:
    shown = _turns_shown(whole.turns, whole.feedback)
    place = {turn.external_id: i for i, turn in enumerate(whole.turns)}
    for exchange, item in whole.exchanges:
        _place_notes(shown, whole.turns, whole.evidence.get(exchange.id or 0, []), exchange.turn_id, every_note=False)
        if exchange.turn_id in place:
            shown[place[exchange.turn_id]].scored = Scored(
                priority=f"{exchange.priority:.2f}",
                percent=_percent(exchange.priority),
                item_href=f"/items/{item.id}" if item else None,
                item_state=item.state.replace("_", " ") if item else None,
                asked=None,
            )
    return {
        "conversation": _heading(whole.conversation, whole.turns),
        "parts": _parts(shown, None),
        "on_conversation": [_rating(given) for given in whole.feedback if given.turn_external_id is None],
        "exchanges": len(whole.exchanges),
        "waits": whole.conversation.due_at is not None,
    }


# --- articles -----------------------------------------------------------------------------------------------------


def _article_line(article: Article, troubled: Mapping[int, str]) -> dict[str, Any]:
    return {
        "href": f"/articles/{article.id}",
        "question": _clip(article.question, 160),
        "answer": _clip(article.answer, 200),
        "intent": article.intent,
        "status": article.status,
        "version": article.version,
        "updated": _moment(article.updated_at),
        "trouble": troubled.get(article.id or 0),
    }


def _article_shown(
    history: "History",
    intents: list[str],
    sinks: Sequence[str],
    typed: ArticleForm | None = None,
    error: TriageError | None = None,
) -> dict[str, Any]:
    article = history.article
    form = typed or ArticleForm(
        question=article.question,
        variants="\n".join(article.variants),
        answer=article.answer,
        intent=article.intent or "",
        status=article.status,
    )
    return {
        "article": {
            "id": article.id,
            "key": article.key,
            "question": article.question,
            "variants": article.variants,
            "answer": article.answer,
            "intent": article.intent,
            "status": article.status,
            "version": article.version,
            "updated": _moment(article.updated_at),
        },
        "form": form.model_copy(update={"expected_version": article.version}),
        "error": _sentence(str(error)) if error else None,
        "conflict": isinstance(error, Conflict),
        "intents": intents,
        "statuses": list(ArticleStatus),
        "sinks": list(sinks),
        "versions": [
            {
                "version": version.version,
                "origin": ORIGINS.get(version.origin, version.origin),
                "reviewer": name,
                "at": _moment(version.changed_at),
                "status": version.status,
                "question": version.question,
                "variants": version.variants,
                "answer": version.answer,
                "intent": version.intent,
                "item_href": f"/items/{item_id}" if item_id else None,
            }
            for version, name, item_id in history.versions
        ],
        "publications": [
            {
                "id": publication.id,
                "sink": publication.sink,
                "version": version,
                "state": PUBLICATION_STATES[PublicationState(publication.state)][0],
                "weight": PUBLICATION_STATES[PublicationState(publication.state)][1],
                "receipt": publication.receipt,
                "error": publication.error,
                "attempts": publication.attempts,
                "published": _moment(publication.published_at),
                "due": _moment(publication.due_at) if publication.attempts else None,
                "can_retry": publication.state in (PublicationState.failed, PublicationState.conflict),
            }
            for publication, version in history.publications
        ],
    }


# === queries that only pages ask ==================================================================================
# They belong to service/queue.py (told, verdicts_of, filter_choices) and service/publish.py (the rest).


@dataclass(frozen=True, slots=True)
class Whole:
    """A conversation with all that was found in it."""

    conversation: Conversation
    turns: list[Turn]
    feedback: list[Feedback]
    exchanges: list[tuple[Exchange, ReviewItem | None]]
    evidence: dict[int, list[Evidence]]


@dataclass(frozen=True, slots=True)
class History:
    """An article with its versions (reviewer's name, item that caused it) and publications (version), latest first."""

    article: Article
    versions: list[tuple[ArticleVersion, str | None, int | None]]
    publications: list[tuple[Publication, int]]


def told(session: Session, conversation_id: int) -> Whole:
    """The whole conversation.

    Raises
    ------
    NotFound
        There is no such conversation.
    """
    conversation = session.get(Conversation, conversation_id)
    if conversation is None:
        raise NotFound(f"there is no conversation {conversation_id}")
    exchanges = session.execute(
        select(Exchange, ReviewItem)
        .join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id), isouter=True)
        .where(col(Exchange.conversation_id) == conversation_id)
    ).all()
    evidence: dict[int, list[Evidence]] = {}
    for one in session.execute(
        select(Evidence)
        .join(Exchange, col(Exchange.id) == col(Evidence.exchange_id))
        .where(col(Exchange.conversation_id) == conversation_id)
        .order_by(col(Evidence.probability).desc())
    ).scalars():
        evidence.setdefault(one.exchange_id, []).append(one)
    turns = session.execute(select(Turn).where(col(Turn.conversation_id) == conversation_id)).scalars()
    feedback = session.execute(
        select(Feedback).where(col(Feedback.conversation_id) == conversation_id).order_by(col(Feedback.id))
    ).scalars()
    return Whole(conversation, in_order(list(turns)), list(feedback), [(e, i) for e, i in exchanges], evidence)


def verdicts_of(session: Session, item_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(label, reviewer's name) of the verdict that counts, per item."""
    found = session.execute(
        select(col(Verdict.item_id), col(Verdict.label), col(Reviewer.name))
        .join(Reviewer, col(Reviewer.id) == col(Verdict.reviewer_id))
        .where(col(Verdict.item_id).in_(item_ids), col(Verdict.withdrawn_at).is_(None))
    ).all()
    return {item_id: (label, name) for item_id, label, name in found}


def filter_choices(session: Session) -> dict[str, list[str]]:
    """What the queue can be filtered by: what there is among its items."""
    sources = select(col(Exchange.source)).join(ReviewItem, col(ReviewItem.exchange_id) == col(Exchange.id)).distinct()
    return {
        "signal": list(SIGNALS),
        "source": sorted(session.execute(sources).scalars()),
        "strategy": sorted(session.execute(select(col(ReviewItem.strategy)).distinct()).scalars()),
    }


def find_articles(session: Session, words: str, status: ArticleStatus | None, limit: int, offset: int) -> list[Article]:
    """Articles that hold every word, latest change first."""
    variants = cast(col(Article.variants), Text)
    everywhere = [col(Article.question), col(Article.answer), col(Article.key), col(Article.intent), variants]
    wanted = [or_(*(column.icontains(word, autoescape=True) for column in everywhere)) for word in words.split()[:20]]
    if status:
        wanted.append(col(Article.status) == status)
    found = select(Article).where(*wanted).order_by(col(Article.updated_at).desc(), col(Article.id).desc())
    return list(session.execute(found.limit(limit).offset(offset)).scalars())


def troubled_articles(session: Session, article_ids: Sequence[int]) -> dict[int, str]:
    """Which of them have a publication that a person must look at, and in which state it is."""
    found = session.execute(
        select(col(Publication.article_id), func.min(col(Publication.state)))
        .where(
            col(Publication.article_id).in_(article_ids),
            col(Publication.state).in_([PublicationState.failed, PublicationState.conflict]),
        )
        .group_by(col(Publication.article_id))
    ).all()
    return {article_id: state for article_id, state in found}


def all_intents(session: Session) -> list[str]:
    sources = session.execute(select(col(Exchange.source)).distinct()).scalars()
    return sorted({intent for source in sources for intent in known_intents(session, source)})


def history_of(session: Session, article_id: int) -> History:
    """The article with all that happened to it.

    Raises
    ------
    NotFound
        There is no such article.
    """
    article = session.get(Article, article_id)
    if article is None:
        raise NotFound(f"there is no article {article_id}")
    versions = session.execute(
        select(ArticleVersion, col(Reviewer.name), col(Verdict.item_id))
        .join(Reviewer, col(Reviewer.id) == col(ArticleVersion.reviewer_id), isouter=True)
        .join(Verdict, col(Verdict.id) == col(ArticleVersion.verdict_id), isouter=True)
        .where(col(ArticleVersion.article_id) == article_id)
        .order_by(col(ArticleVersion.version).desc())
    ).all()
    publications = session.execute(
        select(Publication, col(ArticleVersion.version))
        .join(ArticleVersion, col(ArticleVersion.id) == col(Publication.article_version_id))
        .where(col(Publication.article_id) == article_id)
        .order_by(col(Publication.id).desc())
        .limit(100)
    ).all()
    return History(article, [(v, name, item_id) for v, name, item_id in versions], [(p, v) for p, v in publications])
