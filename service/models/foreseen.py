"""What articles are expected to do before they go out, and what became of them afterwards."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, text_column, time_column


class ImpactState(StrEnum):
    waiting = "waiting"
    ready = "ready"
    failed = "failed"


class Impact(SQLModel, table=True):
    """What an article's draft would change, asked for by a page and computed by a worker. `key`: a hash of the draft, so that
    the same text is computed once. `found` names exchanges and articles by their ids: people's words stay where they are."""

    __tablename__ = "impact"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    article_id: int | None = Field(sa_column=Column(ForeignKey("article.id", ondelete="CASCADE"), index=True))
    source: str | None
    question: str = text_column(nullable=False)
    variants: list[str] = json_column(nullable=False)
    answer: str = text_column(nullable=False)
    state: str
    found: dict[str, Any] | None = json_column()
    attempts: int = 0
    asked_at: datetime = time_column(nullable=False, index=True)
    computed_at: datetime | None = time_column()
    due_at: datetime | None = time_column(index=True)
    claimed_until: datetime | None = time_column()


class Watch(SQLModel, table=True):
    """A published correction and the questions that it was to answer. `item_id`: the item that reopens if they are flagged
    again. `last_exchange_id`: how far the exchanges since then have been looked through."""

    __tablename__ = "watch"

    id: int | None = Field(default=None, primary_key=True)
    article_version_id: int = parent_column("article_version.id", unique=True, index=False)
    item_id: int | None = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="SET NULL"), index=True))
    source: str | None
    questions: list[str] = json_column(nullable=False)
    clusters: list[int] = json_column(nullable=False)
    published_at: datetime = time_column(nullable=False, index=True)
    ended_at: datetime | None = time_column()
    last_exchange_id: int
    reopened_at: datetime | None = time_column()
    due_at: datetime | None = time_column(index=True)
    claimed_until: datetime | None = time_column()


class Watched(SQLModel, table=True):
    """An exchange that asked, after the publication, what the correction was to answer."""

    __tablename__ = "watched"
    __table_args__ = (UniqueConstraint("watch_id", "exchange_id"),)

    id: int | None = Field(default=None, primary_key=True)
    watch_id: int = parent_column("watch.id", index=False)
    exchange_id: int = parent_column("exchange.id")
