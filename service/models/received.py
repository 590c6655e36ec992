"""What platforms told us."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.models.columns import flag_column, json_column, parent_column, partial, text_column, time_column


class DeliveryState(StrEnum):
    accepted = "accepted"
    unreadable = "unreadable"
    waiting = "waiting"
    """Spans of a trace whose root has not come: the body holds their facts."""
    traced = "traced"
    """A trace that was told; its spans' facts are kept for those that come late."""
    forgotten = "forgotten"
    """It could not be read, and its body is gone with what is forgotten."""


class Delivery(SQLModel, table=True):
    """One authentic webhook request, or a trace that comes in parts. The body is kept (redacted) only while it is needed."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    external_id: str
    received_at: datetime = time_column(nullable=False)
    state: str = Field(index=True)
    reason: str | None = text_column()
    body: bytes | None = Field(sa_column=Column(LargeBinary()))


class ForgottenBecause(StrEnum):
    """Why a conversation's words are gone. Of one that is only old, what is said later is taken in; of the others, nothing."""

    age = "age"
    request = "request"
    platform = "platform"


class Conversation(SQLModel, table=True):
    """A stored dialogue. `due_at` wakes scoring; `revision` grows with every change, so that a late turn is noticed.

    `searchable_revision`: the one that search knows; what differs is due to be indexed (service/searching/index.py).
    `last_event_at`: when anything was last said or rated in it, as the platform told it, else as it came. `forgotten_at`: since
    then its words are gone (service/forgetting).
    """

    __tablename__ = "conversation"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        Index(
            "ix_conversation_unsearchable",
            "id",
            sqlite_where=text("searchable_revision <> revision"),
            postgresql_where=text("searchable_revision <> revision"),
        ),
        Index("ix_conversation_last_event", "last_event_at", **partial("forgotten_at IS NULL")),
        Index("ix_conversation_forgotten", "forgotten_at", **partial("forgotten_at IS NOT NULL")),
    )

    id: int | None = Field(default=None, primary_key=True)
    source: str
    external_id: str
    channel: str | None
    started_at: datetime | None = time_column()
    closed: bool = False
    closed_at: datetime | None = time_column()
    received_at: datetime = time_column(nullable=False)
    details: dict[str, Any] = json_column(nullable=False)
    revision: int = 0
    searchable_revision: int = Field(default=-1, sa_column=Column(Integer(), nullable=False, server_default="-1"))
    scored_at: datetime | None = time_column()
    due_at: datetime | None = time_column(index=True)
    claimed_until: datetime | None = time_column()
    last_event_at: datetime | None = time_column()
    forgotten_at: datetime | None = time_column()
    forgotten_because: str | None = None


class Turn(SQLModel, table=True):
    __tablename__ = "turn"
    __table_args__ = (UniqueConstraint("conversation_id", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = parent_column("conversation.id", index=False)
    external_id: str
    role: str
    text: str = text_column(nullable=False)
    at: datetime | None = time_column()
    edited_at: datetime | None = time_column()
    position: int | None
    received_at: datetime = time_column(nullable=False)
    intent: dict[str, Any] | None = json_column()
    retrieval: list[dict[str, Any]] | None = json_column()
    details: dict[str, Any] = json_column(nullable=False)
    removed: bool = flag_column("the platform deleted it, or it is forgotten: no text is left, and scoring passes it over")


class Feedback(SQLModel, table=True):
    """An end user's rating; it may arrive before its turn, so it names the turn by the platform's id."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("conversation_id", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    conversation_id: int = parent_column("conversation.id", index=False)
    external_id: str
    turn_external_id: str | None
    rating: float | None
    scale: str | None
    comment: str | None = text_column()
    at: datetime | None = time_column()
    details: dict[str, Any] = json_column(nullable=False)
    withdrawn: bool = flag_column("the user took it back: it says nothing, and no page shows it")
    forgotten: bool = flag_column("its words are gone, and no telling brings them back; the rating stays")


class DeliveryCount(SQLModel, table=True):
    """How many deliveries (or ignored events) of a source ended in which way. No body is kept.

    `what`: of refused ones the reason, of ignored events their name, else empty. `headers`: the names, without values, of
    the latest refused one's headers.
    """

    __tablename__ = "delivery_count"

    source: str = Field(primary_key=True)
    outcome: str = Field(primary_key=True)
    what: str = Field(primary_key=True)
    count: int
    last_at: datetime = time_column(nullable=False)
    headers: list[str] | None = json_column()
