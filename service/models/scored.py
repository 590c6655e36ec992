"""What scoring found, and the models that found it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.db import Embedding
from service.models.columns import flag_column, json_column, parent_column, partial, text_column, time_column

_SUSPECTED = text("suspected IS NOT NULL")


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
        Index("ix_exchange_by_priority", "priority", "id"),
        Index("ix_exchange_intent", "intent", "conversation_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = parent_column("conversation.id", index=False)
    source: str
    turn_id: str
    turn_ids: list[str] = json_column(nullable=False)
    question: str = text_column(nullable=False)
    answer: str = text_column(nullable=False)
    question_hash: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False, index=True))
    intent: str | None
    asked_at: datetime | None = time_column()
    priority: float
    uncertainty: float
    because: str = text_column(nullable=False)
    cluster_id: int | None = Field(default=None, index=True)
    versions: dict[str, str | None] = json_column(nullable=False)
    scored_by: str = Field(
        default="",
        sa_column=Column(String(), nullable=False, server_default=""),
        description="those of its versions that refits replace: what rescoring looks for",
    )
    created_at: datetime = time_column(nullable=False)
    scored_at: datetime = time_column(nullable=False)
    reviewed: bool = Field(default=False, description="an item exists, or it is forgotten: acquisition passes it over")
    forgotten: bool = flag_column("its words are gone: only what numbers are made of is left")


class Evidence(SQLModel, table=True):
    """What a signal found. `other_id`: the exchange of another conversation whose answer it quotes."""

    __tablename__ = "evidence"
    __table_args__ = (
        UniqueConstraint("exchange_id", "name"),
        Index("ix_evidence_name", "name", "probability"),
        Index("ix_evidence_other", "other_id", **partial("other_id IS NOT NULL")),
    )

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: int = parent_column("exchange.id", index=False)
    name: str
    value: float
    probability: float
    turn_ids: list[str] = json_column(nullable=False)
    note: str = text_column(nullable=False)
    detail: dict[str, Any] = json_column(nullable=False)
    other_id: int | None = None


class Example(SQLModel, table=True):
    """A labelled question that our own intent model learns from: a seed, or a reviewer's corrected intent, which goes
    before a seed of the same text. `suspected`: the intent that examples like it have, where its own may be a slip; `near`:
    the content hashes (hexadecimal) of the nearest examples of both intents, nearest first."""

    __tablename__ = "example"
    __table_args__ = (
        UniqueConstraint("source", "content_hash", "by_verdict"),
        Index("ix_example_suspected", "suspicion", sqlite_where=_SUSPECTED, postgresql_where=_SUSPECTED),  # few among many
    )

    id: int | None = Field(default=None, primary_key=True)
    source: str
    content_hash: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    text: str = text_column(nullable=False)
    intent: str
    by_verdict: bool = False
    verdict_id: int | None = None
    added_at: datetime = time_column(nullable=False)
    suspected: str | None = None
    suspicion: float | None = Field(default=None, description="0..1, larger the likelier it is a slip")
    near: list[str] | None = json_column()


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
    fitted_at: datetime = time_column(nullable=False)
    comparison: dict[str, Any] | None = json_column()
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
    claimed_until: datetime | None = time_column()


class PlatformHistory(SQLModel, table=True):
    """A sample of the scores that a source's platform sent in one field (scoring/platform_scores.py): numbers, no text."""

    __tablename__ = "platform_history"

    source: str = Field(primary_key=True)
    field: str = Field(primary_key=True)
    content: str = text_column(nullable=False)
    updated_at: datetime = time_column(nullable=False)
