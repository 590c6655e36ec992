"""What is reviewed."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.models.columns import flag_column, json_column, parent_column, partial, text_column, time_column


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
    """One exchange in a queue. `fence` grows with each claim: a decision must name the claim it was made under.

    `source`, `channel` and `intent` repeat the exchange's, so that an index serves the queue that filters by them.
    `assigned_to`: a reviewer's id; until `assigned_until` nobody else is served it. `disputed`: opinions differ, an
    adjudicator decides.
    """

    __tablename__ = "review_item"
    __table_args__ = (
        Index("ix_review_item_queue", "state", text("priority DESC"), "id"),
        Index("ix_review_item_source", "state", "source", text("priority DESC"), "id"),
        Index("ix_review_item_channel", "state", "channel", text("priority DESC"), "id"),
        Index("ix_review_item_intent", "state", "intent", text("priority DESC"), "id"),
        Index("ix_review_item_strategy", "state", "strategy", text("priority DESC"), "id"),
        Index("ix_review_item_oldest", "state", "strategy", "id"),
        Index("ix_review_item_age", "state", "created_at", "id", "priority"),
        # Only the few items that are held, or assigned: SQLite would else think that all are, and read the whole queue.
        Index("ix_review_item_held", "reviewer_id", "state", "claimed_until", **partial("claimed_until IS NOT NULL")),
        Index(
            "ix_review_item_assigned", "assigned_to", "state", text("priority DESC"), "id", **partial("assigned_to IS NOT NULL")
        ),
    )

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
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id")))
    claimed_at: datetime | None = time_column()
    claimed_until: datetime | None = time_column()
    fence: int = 0
    source: str | None = None
    channel: str | None = None
    intent: str | None = None
    disputed: bool = flag_column("reviewers who judged it apart from each other differ")
    assigned_to: int | None = None
    assigned_at: datetime | None = time_column()
    assigned_until: datetime | None = time_column()
    reserved: bool = flag_column("its reviewer has another one before them and has not been shown it yet")
    remark: str | None = text_column()


class Skip(SQLModel, table=True):
    """Not for this reviewer: they passed it over, or have given their opinion on it (then `skipped_at` is None)."""

    __tablename__ = "skip"

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))
    skipped_at: datetime | None = time_column()


class Draft(SQLModel, table=True):
    """What a reviewer typed and could not, or did not yet, submit."""

    __tablename__ = "draft"

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))
    content: dict[str, Any] = json_column(nullable=False)
    saved_at: datetime = time_column(nullable=False)


class Verdict(SQLModel, table=True):
    """A reviewer's judgement. Withdrawn ones are kept.

    `settles`: ids of the look-alike exchanges that were to be settled with it. `settled_by`: the verdict that settled this
    one; nobody looked at it on its own.
    """

    __tablename__ = "verdict"
    __table_args__ = (UniqueConstraint("item_id", "fence"), Index("ix_verdict_reviewer", "reviewer_id", "decided_at"))

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = parent_column("review_item.id", index=False)
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    fence: int
    label: str = Field(index=True)
    intent: str | None
    answer: str | None = text_column()
    causes: list[str] = json_column(nullable=False)
    comment: str | None = text_column()
    settles: list[int] | None = json_column()
    settled_by: int | None = Field(default=None, index=True)
    decided_at: datetime = time_column(nullable=False, index=True)
    withdrawn_at: datetime | None = time_column()
    withdrawn_reason: str | None = text_column()
