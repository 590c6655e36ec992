"""What the JSON API takes and gives."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.events import Conversation, Event
from service import review
from service.models import ArticleStatus, ItemState, RootCause, VerdictLabel

Text = Annotated[str, Field(max_length=review.MOST_TEXT)]


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EvidenceOut(_Out):
    name: str
    value: float
    probability: float
    turn_ids: list[str]
    note: str
    detail: dict[str, Any]


class ItemOut(_Out):
    """A review item as the queue lists it."""

    id: int
    state: ItemState
    priority: float
    strategy: str
    propensity: float
    reason: str
    created_at: datetime
    question: str
    answer: str
    intent: str | None
    source: str
    cluster_size: int
    holder: str | None
    evidence: list[EvidenceOut]


class TurnOut(_Out):
    id: str = Field(validation_alias="external_id")
    role: str
    text: str
    at: datetime | None
    intent: dict[str, Any] | None
    retrieval: list[dict[str, Any]] | None


class FeedbackOut(_Out):
    turn_id: str | None = Field(validation_alias="turn_external_id")
    rating: float | None
    scale: str | None
    comment: str | None
    at: datetime | None


class SimilarOut(BaseModel):
    exchange_id: int
    conversation_id: str
    question: str
    answer: str
    similarity: float
    verdict: VerdictLabel | None


class ArticleOut(_Out):
    id: int
    key: str
    version: int
    question: str
    variants: list[str]
    answer: str
    intent: str | None
    status: ArticleStatus
    updated_at: datetime


class NearestOut(BaseModel):
    article: ArticleOut
    similarity: float


class VerdictOut(_Out):
    id: int
    label: VerdictLabel
    intent: str | None
    answer: str | None
    causes: list[RootCause]
    comment: str | None
    settles: list[int] | None = None
    settled_by: int | None = None
    decided_at: datetime
    withdrawn_at: datetime | None
    withdrawn_reason: str | None


class DecidedOut(VerdictOut):
    """`settled`: of the exchanges in `settles`, those that got the verdict; the others were held, decided, drawn by chance,
    or gone."""

    settled: list[int] = []


class ItemDetailOut(ItemOut):
    """A review item with all that a reviewer needs to decide it."""

    turn_id: str
    conversation_id: str
    turns: list[TurnOut]
    feedback: list[FeedbackOut]
    similar: list[SimilarOut]
    articles: list[NearestOut]
    verdicts: list[VerdictOut]
    draft: dict[str, Any] | None
    intents: list[str]
    remark: str | None


class ClaimOut(_Out):
    """`fence` proves the claim: send it with every later step."""

    item_id: int
    fence: int
    until: datetime


class FilterIn(_In):
    signal: str | None = None
    source: str | None = None
    strategy: str | None = None
    queue: str | None = None


class FenceIn(_In):
    fence: int


class ReasonIn(_In):
    reason: Text


class FencedReasonIn(ReasonIn):
    fence: int


class DecisionIn(_In):
    """`answer` makes a new article, or the next version of the article `article_id`."""

    fence: int
    label: VerdictLabel
    intent: Text | None = None
    answer: Text | None = None
    question: Text | None = None
    article_id: int | None = None
    causes: list[RootCause] = []
    comment: Text | None = None
    settles: Annotated[list[Annotated[int, Field(ge=1, le=2**31 - 1)]], Field(max_length=500)] = Field(
        default=[], description="ids of look-alike exchanges that get the same verdict"
    )


class ArticleIn(_In):
    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")] | None = None
    question: Text
    answer: Text
    variants: list[Text] = []
    intent: Text | None = None
    status: ArticleStatus = ArticleStatus.active
    expected_version: int | None = Field(None, description="refuse if the article is at another version by now")


class ChangeOut(BaseModel):
    """One article version. A paused article must no longer be used."""

    key: str
    version: int
    question: str
    variants: list[str]
    answer: str
    intent: str | None
    status: ArticleStatus
    origin: str
    changed_at: datetime
    cursor: str


class ChangesOut(BaseModel):
    """Continue with `after=cursor`; `more` says that there is more right now."""

    changes: list[ChangeOut]
    cursor: str
    more: bool


class CountsOut(_Out):
    open: int
    held: int
    done: int
    not_reviewable: int
    exchanges: int
    unscored: int


class ConversationsIn(BaseModel):
    conversations: Annotated[list[Conversation], Field(max_length=1000)] = []
    events: Annotated[list[Event], Field(max_length=10_000)] = []


class WhyIn(_In):
    reason: Annotated[str, Field(max_length=500)] = ""


class HandPickedOut(BaseModel):
    item_id: int
