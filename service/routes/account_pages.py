"""Signing in and out, one's own sessions, and for admins everybody's sessions, tries that failed, and tokens."""

from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from service import auth, tokens, tries
from service.errors import NotSignedIn, TooManyTries
from service.models import Scope
from service.routes.access import COOKIE, Now, ReadSession, ReviewerId, WriteSession, needs, settings_of, wants_page
from service.routes.page_base import database_of, see, templates
from service.views.accounts import accounts_shown, sessions_shown
from service.views.forms import Typed
from service.views.words import SAID, sentence

log = structlog.get_logger()
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
MAY_ADMINISTER = [Depends(needs(Scope.admin))]


# --- signing in ---------------------------------------------------------------------------------------------------


@router.get("/sign-in")
def sign_in_page(request: Request, next: Typed = "", said: str = "") -> Response:
    return templates.TemplateResponse(
        request, "sign_in.html", {"next": _local(next), "name": "", "error": None, "said": SAID.get(said)}
    )


@router.post("/sign-in")
def sign_in(
    request: Request,
    now: Now,
    name: Annotated[Typed, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[Typed, Form()] = "",
) -> Response:
    lasts = timedelta(hours=settings_of(request).session_hours)
    before = request.cookies.get(COOKIE, "")
    try:
        token = auth.sign_in(database_of(request), name.strip(), password, now, lasts, _address(request), before)
    except (NotSignedIn, TooManyTries) as error:
        if not wants_page(request):
            raise
        context = {"next": _local(next), "name": name, "error": sentence(str(error)), "said": None}
        headers = {"Retry-After": str(error.seconds)} if isinstance(error, TooManyTries) else None
        return templates.TemplateResponse(request, "sign_in.html", context, status_code=error.status, headers=headers)
    response = RedirectResponse(_local(next), status_code=303)
    response.set_cookie(COOKIE, token, max_age=int(lasts.total_seconds()), httponly=True, samesite="lax", secure=_secure(request))
    return response


@router.post("/sign-out")
def sign_out(request: Request, session: WriteSession) -> Response:
    auth.sign_out(session, request.cookies.get(COOKIE, ""))
    return _signed_out(request, "signed_out")


def _signed_out(request: Request, said: str) -> Response:
    response = see("/sign-in", said=said)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=_secure(request))
    return response


def _secure(request: Request) -> bool:
    """Over HTTPS the cookie is for HTTPS alone, whatever the setting says."""
    return settings_of(request).secure_cookie or request.url.scheme == "https"


def _address(request: Request) -> str:
    """Where the request comes from; `trusted_proxies` names the proxies that may say so for others."""
    if "x-forwarded-for" in request.headers and not settings_of(request).trusted_proxies:
        log.warning("proxy_not_trusted", peer=request.client.host if request.client else None)
    return request.client.host if request.client else ""


def _local(path: str) -> str:
    """The path if it stays on this site, else the queue. Browsers read `\\` as `/` and drop tabs and line ends."""
    stays = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if stays and not path.startswith("/sign-") else "/queue"


# --- one's own sessions -------------------------------------------------------------------------------------------


@router.get("/account")
def account_page(request: Request, session: ReadSession, now: Now, me: ReviewerId, said: str = "") -> Response:
    found = auth.sessions_of(session, now, auth.name_of(session, me))
    return templates.TemplateResponse(request, "account.html", {"sessions": sessions_shown(found), "said": SAID.get(said)})


@router.post("/account/sign-out")
def sign_out_everywhere(request: Request, session: WriteSession, me: ReviewerId) -> Response:
    auth.sign_out_everywhere(session, auth.name_of(session, me))
    return _signed_out(request, "signed_out_everywhere")


# --- everybody's --------------------------------------------------------------------------------------------------


@router.get("/accounts", dependencies=MAY_ADMINISTER)
def accounts_page(request: Request, session: ReadSession, now: Now, said: str = "") -> Response:
    context = accounts_shown(auth.sessions_of(session, now), tries.refused(session, now), tokens.tokens(session, now), now)
    return templates.TemplateResponse(request, "accounts.html", {**context, "said": SAID.get(said)})


@router.post("/accounts/sign-out", dependencies=MAY_ADMINISTER)
def sign_somebody_out(session: WriteSession, name: Annotated[Typed, Form()] = "") -> Response:
    auth.sign_out_everywhere(session, name)
    return see("/accounts", said="sessions_ended")


@router.post("/accounts/tokens/revoke", dependencies=MAY_ADMINISTER)
def revoke(session: WriteSession, now: Now, name: Annotated[Typed, Form()] = "") -> Response:
    tokens.revoke_token(session, name, now)
    return see("/accounts", said="token_revoked")
