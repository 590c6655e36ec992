"""The tables. They do not validate: never build a row straight from a payload (connectors/events.py reads payloads)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.db import Embedding, Json, UtcDateTime


class DeliveryState(StrEnum):
    accepted = "accepted"
    unreadable = "unreadable"


class ItemState(StrEnum):
    open = "open"
    done = "done"
    not_reviewable = "not_reviewable"


class VerdictLabel(StrEnum):
    good = "good"
    wrong = "wrong"
    incomplete = "incomplete"
    unsafe = "unsafe"
    unclear = "unclear"
    out_of_scope = "out_of_scope"


class RootCause(StrEnum):
    intent = "intent"
    retrieval = "retrieval"
    missing_article = "missing_article"
    outdated_article = "outdated_article"
    generation = "generation"
    other = "other"


class ArticleStatus(StrEnum):
    draft = "draft"
    active = "active"
    paused = "paused"


class PublicationState(StrEnum):
    pending = "pending"
    published = "published"
    failed = "failed"
    conflict = "conflict"
    cancelled = "cancelled"


class Scope(StrEnum):
    ingest = "ingest"
    review = "review"
    sync = "sync"
    admin = "admin"


def _at(**kwargs: Any) -> Any:
    return Field(sa_column=Column(UtcDateTime(), **kwargs))


def _text(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Text(), **kwargs))


def _json(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Json, **kwargs))


def _parent(target: str, **kwargs: Any) -> Any:
    return Field(sa_column=Column(ForeignKey(target, ondelete="CASCADE"), **{"nullable": False, "index": True, **kwargs}))


# --- what platforms told us ---------------------------------------------------------------------------------------


class Delivery(SQLModel, table=True):
    """One authentic webhook request. The body is kept (redacted) only while it is unreadable."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    external_id: str
    received_at: datetime = _at(nullable=False)
    state: str = Field(index=True)
    reason: str | None = _text()
    body: bytes | None = Field(sa_column=Column(LargeBinary()))


class Conversation(SQLModel, table=True):
    """A stored dialogue. `due_at` wakes scoring; `revision` grows with every change, so that a late turn is noticed."""

    __tablename__ = "conversation"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    external_id: str
    channel: str | None
    started_at: datetime | None = _at()
    closed: bool = False
    closed_at: datetime | None = _at()
    received_at: datetime = _at(nullable=False)
    details: dict[str, Any] = _json(nullable=False)
    revision: int = 0
    scored_at: datetime | None = _at()
    due_at: datetime | None = _at(index=True)
    claimed_until: datetime | None = _at()


class Turn(SQLModel, table=True):
    __tablename__ = "turn"
    __table_args__ = (UniqueConstraint("conversation_id", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = _parent("conversation.id", index=False)
    external_id: str
    role: str
    text: str = _text(nullable=False)
    at: datetime | None = _at()
    edited_at: datetime | None = _at()
    position: int | None
    received_at: datetime = _at(nullable=False)
    intent: dict[str, Any] | None = _json()
    retrieval: list[dict[str, Any]] | None = _json()
    details: dict[str, Any] = _json(nullable=False)


class Feedback(SQLModel, table=True):
    """An end user's rating; it may arrive before its turn, so it names the turn by the platform's id."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("conversation_id", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = _parent("conversation.id", index=False)
    external_id: str
    turn_external_id: str | None
    rating: float | None
    scale: str | None
    comment: str | None = _text()
    at: datetime | None = _at()
    details: dict[str, Any] = _json(nullable=False)


# --- what scoring found -------------------------------------------------------------------------------------------


class Vector(SQLModel, table=True):
    """Every text's vector once, by content hash and the encoder's digest. `asked`: it is a question, so it is searched."""

    __tablename__ = "text_vector"  # a table "vector" would clash with pgvector's type
    __table_args__ = (Index("ix_text_vector_content_hash", "content_hash"),)

    digest: str = Field(primary_key=True)
    content_hash: bytes = Field(sa_column=Column(LargeBinary(16), primary_key=True))
    dimensions: int
    asked: bool = False
    embedding: Any = Field(sa_column=Column(Embedding(), nullable=False))


class Exchange(SQLModel, table=True):
    """The unit that is scored and reviewed, with its latest score. `cluster_id` is the id of the cluster's first exchange."""

    __tablename__ = "exchange"
    __table_args__ = (
        UniqueConstraint("conversation_id", "turn_id"),
        Index("ix_exchange_priority", "reviewed", "priority"),
        Index("ix_exchange_recent", "reviewed", "id"),
        Index("ix_exchange_scored_by", "source", "scored_by"),
    )

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = _parent("conversation.id", index=False)
    source: str
    turn_id: str
    turn_ids: list[str] = _json(nullable=False)
    question: str = _text(nullable=False)
    answer: str = _text(nullable=False)
    question_hash: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False, index=True))
    intent: str | None
    asked_at: datetime | None = _at()
    priority: float
    uncertainty: float
    because: str = _text(nullable=False)
    cluster_id: int | None = Field(default=None, index=True)
    versions: dict[str, str | None] = _json(nullable=False)
    scored_by: str = Field(
        default="",
        sa_column=Column(String(), nullable=False, server_default=""),
        description="those of its versions that refits replace: what rescoring looks for",
    )
    created_at: datetime = _at(nullable=False)
    scored_at: datetime = _at(nullable=False)
    reviewed: bool = Field(default=False, description="an item exists: acquisition passes it over")


class Evidence(SQLModel, table=True):
    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("exchange_id", "name"), Index("ix_evidence_name", "name", "probability"))

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: int = _parent("exchange.id", index=False)
    name: str
    value: float
    probability: float
    turn_ids: list[str] = _json(nullable=False)
    note: str = _text(nullable=False)
    detail: dict[str, Any] = _json(nullable=False)


class Example(SQLModel, table=True):
    """A labelled question that our own intent model learns from: a seed, or a reviewer's corrected intent, which goes
    before a seed of the same text. `suspected`: the intent that examples like it have, where its own may be a slip."""

    __tablename__ = "example"
    __table_args__ = (UniqueConstraint("source", "content_hash", "by_verdict"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    content_hash: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    text: str = _text(nullable=False)
    intent: str
    by_verdict: bool = False
    verdict_id: int | None = None
    added_at: datetime = _at(nullable=False)
    suspected: str | None = None
    suspicion: float | None = Field(default=None, description="0..1, larger the likelier it is a slip")


class Model(SQLModel, table=True):
    """A fitted model as a file, in the database so that every worker has it. Versions are kept.

    `comparison`: how it did beside the version that was live when it was fitted, and what was decided.
    """

    __tablename__ = "model"
    __table_args__ = (UniqueConstraint("kind", "source", "version"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    source: str
    version: str
    encoder: str
    examples: int
    content: bytes = Field(sa_column=Column(LargeBinary(), nullable=False))
    fitted_at: datetime = _at(nullable=False)
    comparison: dict[str, Any] | None = _json()
    replaced_id: int | None = Field(default=None, description="the version that was live before it, where it ever was live")


class LiveModel(SQLModel, table=True):
    """Which version of a kind scores a source's exchanges. `claimed_until`: a worker fits a new one.

    `pinned`: a person chose the version, so no refit replaces it.
    """

    __tablename__ = "live_model"

    kind: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    model_id: int | None = Field(sa_column=Column(ForeignKey("model.id")))
    pinned: bool = False
    claimed_until: datetime | None = _at()


class PlatformHistory(SQLModel, table=True):
    """A sample of the scores that a source's platform sent in one field (scoring/platform_scores.py): numbers, no text."""

    __tablename__ = "platform_history"

    source: str = Field(primary_key=True)
    field: str = Field(primary_key=True)
    content: str = _text(nullable=False)
    updated_at: datetime = _at(nullable=False)


# --- what is reviewed ---------------------------------------------------------------------------------------------


class Round(SQLModel, table=True):
    """One acquisition: what it chose from, so that estimates from the chosen can be honest."""

    __tablename__ = "round"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = _at(nullable=False)
    pool: int
    budget: int
    counts: dict[str, int] = _json(nullable=False)


class ReviewItem(SQLModel, table=True):
    """One exchange in a queue. `fence` grows with each claim: a decision must name the claim it was made under."""

    __tablename__ = "review_item"
    __table_args__ = (Index("ix_review_item_queue", "state", "priority", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: int = _parent("exchange.id", unique=True, index=False)
    cluster_id: int | None = Field(default=None, index=True)
    state: str
    priority: float
    strategy: str
    propensity: float
    round_id: int | None = Field(sa_column=Column(ForeignKey("round.id")))
    reason: str = _text(nullable=False)
    suggestions: dict[str, Any] = _json(nullable=False)
    created_at: datetime = _at(nullable=False)
    decided_at: datetime | None = _at()
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id"), index=True))
    claimed_until: datetime | None = _at()
    fence: int = 0
    remark: str | None = _text()


class Skip(SQLModel, table=True):
    """Not for this reviewer."""

    __tablename__ = "skip"

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))


class Draft(SQLModel, table=True):
    """What a reviewer typed and could not, or did not yet, submit."""

    __tablename__ = "draft"

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))
    content: dict[str, Any] = _json(nullable=False)
    saved_at: datetime = _at(nullable=False)


class Verdict(SQLModel, table=True):
    """A reviewer's judgement. Withdrawn ones are kept."""

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("item_id", "fence"),)

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = _parent("review_item.id", index=False)
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    fence: int
    label: str
    intent: str | None
    answer: str | None = _text()
    causes: list[str] = _json(nullable=False)
    comment: str | None = _text()
    decided_at: datetime = _at(nullable=False, index=True)
    withdrawn_at: datetime | None = _at()
    withdrawn_reason: str | None = _text()


# --- what goes out ------------------------------------------------------------------------------------------------


class Article(SQLModel, table=True):
    """One knowledge base entry as it is now; `key` is its name everywhere outside."""

    __tablename__ = "article"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    question: str = _text(nullable=False)
    variants: list[str] = _json(nullable=False)
    answer: str = _text(nullable=False)
    intent: str | None
    status: str
    version: int
    updated_at: datetime = _at(nullable=False)


class ArticleVersion(SQLModel, table=True):
    """The article as it was at a version. Ids grow in the order of commits (see publish.py): they are the feed's cursor."""

    __tablename__ = "article_version"
    __table_args__ = (UniqueConstraint("article_id", "version"),)

    id: int | None = Field(default=None, primary_key=True)
    article_id: int = _parent("article.id", index=False)
    version: int
    question: str = _text(nullable=False)
    variants: list[str] = _json(nullable=False)
    answer: str = _text(nullable=False)
    intent: str | None
    status: str
    origin: str
    verdict_id: int | None = Field(sa_column=Column(ForeignKey("verdict.id"), index=True))
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id")))
    changed_at: datetime = _at(nullable=False)


class Publication(SQLModel, table=True):
    """An article version on its way to one sink; `key` makes pushing it twice harmless."""

    __tablename__ = "publication"
    __table_args__ = (UniqueConstraint("article_version_id", "sink"), Index("ix_publication_article", "article_id", "sink"))

    id: int | None = Field(default=None, primary_key=True)
    article_id: int = _parent("article.id", index=False)
    article_version_id: int = _parent("article_version.id", index=False)
    sink: str
    key: str
    state: str = Field(index=True)
    attempts: int = 0
    due_at: datetime | None = _at(index=True)
    claimed_until: datetime | None = _at()
    receipt: str | None = _text()
    error: str | None = _text()
    published_at: datetime | None = _at()


class SinkCursor(SQLModel, table=True):
    """The sink's own bookmark, saved in the transaction of the rows it covers."""

    __tablename__ = "sink_cursor"

    sink: str = Field(primary_key=True)
    cursor: str | None = _text()
    due_at: datetime = _at(nullable=False)


# --- who may ------------------------------------------------------------------------------------------------------


class Reviewer(SQLModel, table=True):
    __tablename__ = "reviewer"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    password_hash: str
    is_admin: bool = False
    active: bool = True
    created_at: datetime = _at(nullable=False)


class SignIn(SQLModel, table=True):
    """A reviewer's session; only the hash of the cookie's token is stored."""

    __tablename__ = "sign_in"

    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    reviewer_id: int = _parent("reviewer.id")
    expires_at: datetime = _at(nullable=False)


class ApiToken(SQLModel, table=True):
    __tablename__ = "api_token"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    token_hash: bytes = Field(sa_column=Column(LargeBinary(32), unique=True, nullable=False))
    scopes: list[str] = _json(nullable=False)
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id")))
    created_at: datetime = _at(nullable=False)
    revoked_at: datetime | None = _at()


class ImportProgress(SQLModel, table=True):
    """How far an import of a file came; saved in the transaction of the rows it covers."""

    __tablename__ = "import_progress"

    file_digest: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    lines: int
    updated_at: datetime = _at(nullable=False)
