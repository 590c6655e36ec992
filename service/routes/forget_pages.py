"""Forgetting a conversation from its page, for admins: what would go, then the button that does it."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from service import conversations
from service.forgetting import erase
from service.forgetting.erase import Wanted
from service.models import Scope
from service.routes.access import Now, needs
from service.routes.page_base import Id, database_of, see, templates
from service.views.forget import going_shown
from service.views.turns import heading_of

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse, dependencies=[Depends(needs(Scope.admin))])


@router.get("/conversations/{conversation_id}/forget")
def forget_page(request: Request, conversation_id: Id) -> Response:
    db = database_of(request)
    with db.read() as session:
        found = conversations.told(session, conversation_id)
    going = erase.foresee(db, Wanted(found.conversation.source, found.conversation.external_id))
    context = {"conversation": heading_of(found.conversation, found.turns), **going_shown(going)}
    return templates.TemplateResponse(request, "forget.html", context)


@router.post("/conversations/{conversation_id}/forget")
def forget(request: Request, conversation_id: Id, now: Now) -> Response:
    erase.erase(database_of(request), _wanted(request, conversation_id), now)
    return see(f"/conversations/{conversation_id}", said="forgotten")


@router.post("/conversations/{conversation_id}/lift")
def lift(request: Request, conversation_id: Id) -> Response:
    wanted = _wanted(request, conversation_id)
    erase.lift(database_of(request), wanted.source or "", wanted.conversation_id or "")
    return see(f"/conversations/{conversation_id}", said="lifted")


def _wanted(request: Request, conversation_id: int) -> Wanted:
    with database_of(request).read() as session:
        conversation = conversations.told(session, conversation_id).conversation
    return Wanted(conversation.source, conversation.external_id)
