"""What is reviewed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, text_column, time_column


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


class Round(SQLModel, table=True):
    """One acquisition: what it chose from, so that estimates from the chosen can be honest."""

    __tablename__ = "round"

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = time_column(nullable=False)
    pool: int
    budget: int
    counts: dict[str, int] = json_column(nullable=False)


class ReviewItem(SQLModel, table=True):
    """One exchange in a queue. `fence` grows with each claim: a decision must name the claim it was made under."""

    __tablename__ = "review_item"
    __table_args__ = (Index("ix_review_item_queue", "state", "priority", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    exchange_id: int = parent_column("exchange.id", unique=True, index=False)
    cluster_id: int | None = Field(default=None, index=True)
    state: str
    priority: float
    strategy: str
    propensity: float
    round_id: int | None = Field(sa_column=Column(ForeignKey("round.id")))
    reason: str = text_column(nullable=False)
    suggestions: dict[str, Any] = json_column(nullable=False)
    created_at: datetime = time_column(nullable=False)
    decided_at: datetime | None = time_column()
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id"), index=True))
    claimed_until: datetime | None = time_column()
    fence: int = 0
    remark: str | None = text_column()


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
    content: dict[str, Any] = json_column(nullable=False)
    saved_at: datetime = time_column(nullable=False)


class Verdict(SQLModel, table=True):
    """A reviewer's judgement. Withdrawn ones are kept."""

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("item_id", "fence"),)

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = parent_column("review_item.id", index=False)
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    fence: int
    label: str
    intent: str | None
    answer: str | None = text_column()
    causes: list[str] = json_column(nullable=False)
    comment: str | None = text_column()
    decided_at: datetime = time_column(nullable=False, index=True)
    withdrawn_at: datetime | None = time_column()
    withdrawn_reason: str | None = text_column()
