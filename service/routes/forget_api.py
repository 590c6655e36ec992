"""The API for forgetting, for admins: what would go, letting it go, lifting it, and what is forgotten."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from connectors.events import MAX_ID_LENGTH
from service.forgetting import erase
from service.models import ForgottenBecause, Scope
from service.routes.access import Now, ReadSession, needs
from service.routes.page_base import database_of

router = APIRouter(prefix="/api/v1", tags=["forgetting"], dependencies=[Depends(needs(Scope.admin))])
Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


class ForgetIn(BaseModel):
    """Either a conversation with its source, or a user (of one source, where it is given). `dry_run` changes nothing."""

    model_config = ConfigDict(extra="forbid")

    source: Name | None = None
    conversation_id: Name | None = None
    user_id: Name | None = None
    dry_run: bool = False


class LiftIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source: Name
    conversation_id: Name


class ConversationOut(BaseModel):
    source: str
    conversation_id: str


class ArticleNameOut(BaseModel):
    id: int
    key: str


class GoingOut(BaseModel):
    """What went, or would go. `verdicts` stay as labels; `articles` stay, with a question in the user's own words."""

    conversations: list[ConversationOut]
    turns: int
    ratings: int
    exchanges: int
    open_items: int
    verdicts: int
    drafts: int
    comments: int
    examples: int
    bodies: int
    articles: list[ArticleNameOut]


class ForgottenOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    source: str
    conversation_id: str
    forgotten_at: datetime
    because: ForgottenBecause


@router.post("/forget")
def forget(asked: ForgetIn, request: Request, now: Now) -> GoingOut:
    """Forget what was said in a conversation, or by a user. Again, it takes what is left."""
    wanted = erase.Wanted(asked.source, asked.conversation_id, asked.user_id)
    db = database_of(request)
    going = erase.foresee(db, wanted) if asked.dry_run else erase.erase(db, wanted, now)
    return GoingOut(
        conversations=[ConversationOut(source=source, conversation_id=name) for source, name in going.conversations],
        turns=going.turns,
        ratings=going.ratings,
        exchanges=going.exchanges,
        open_items=going.open_items,
        verdicts=going.verdicts,
        drafts=going.drafts,
        comments=going.comments,
        examples=going.examples,
        bodies=going.bodies,
        articles=[ArticleNameOut(id=key, key=name) for key, name in going.articles],
    )


@router.post("/forget/lift", status_code=204)
def lift(asked: LiftIn, request: Request) -> None:
    """Let the platform tell a forgotten conversation again."""
    erase.lift(database_of(request), asked.source, asked.conversation_id)


@router.get("/forgotten")
def forgotten(
    session: ReadSession,
    because: ForgottenBecause | None = None,
    source: Annotated[str | None, Query(max_length=MAX_ID_LENGTH)] = None,
    limit: Annotated[int, Query(ge=1, le=erase.MOST_LISTED)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ForgottenOut]:
    """Conversations that are kept from coming back, the latest first."""
    return [ForgottenOut.model_validate(one) for one in erase.forgotten(session, because, source, limit, offset)]
