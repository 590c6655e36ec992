"""What platforms told us."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, text_column, time_column


class DeliveryState(StrEnum):
    accepted = "accepted"
    unreadable = "unreadable"


class Delivery(SQLModel, table=True):
    """One authentic webhook request. The body is kept (redacted) only while it is unreadable."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    external_id: str
    received_at: datetime = time_column(nullable=False)
    state: str = Field(index=True)
    reason: str | None = text_column()
    body: bytes | None = Field(sa_column=Column(LargeBinary()))


class Conversation(SQLModel, table=True):
    """A stored dialogue. `due_at` wakes scoring; `revision` grows with every change, so that a late turn is noticed."""

    __tablename__ = "conversation"
    __table_args__ = (UniqueConstraint("source", "external_id"),)

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
    scored_at: datetime | None = time_column()
    due_at: datetime | None = time_column(index=True)
    claimed_until: datetime | None = time_column()


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
