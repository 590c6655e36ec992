"""How a team shares the reviewing: queues, opinions, known items, second looks, and what is said about an item."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from service.models.columns import flag_column, json_column, parent_column, text_column, time_column


class NamedQueue(SQLModel, table=True):
    """What some reviewers work through: a filter over the items, not a list of them. `reviewers` empty: everybody."""

    __tablename__ = "named_queue"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    signal: str | None = None
    source: str | None = None
    strategy: str | None = None
    intent: str | None = None
    channel: str | None = None
    least_priority: float | None = None
    budget: int | None = Field(default=None, description="reviews in 24 hours at most")
    reviewers: list[int] = json_column(nullable=False)
    adjudicators: list[int] = json_column(nullable=False)
    reviews: int = Field(default=1, description="people who judge each item, none of whom sees the others' opinions")
    calibration_share: float = Field(default=0.0, description="share of its claims that are known items")
    due_hours: float | None = None
    created_at: datetime = time_column(nullable=False)


class OpinionKind(StrEnum):
    review = "review"
    calibration = "calibration"


class Opinion(SQLModel, table=True):
    """One person's judgement among several, or of an item whose verdict is known. Never a verdict itself."""

    __tablename__ = "opinion"
    __table_args__ = (
        UniqueConstraint("item_id", "reviewer_id", "kind", "fence"),
        Index("ix_opinion_reviewer", "reviewer_id", "decided_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = parent_column("review_item.id", index=False)
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    fence: int
    kind: str
    label: str
    intent: str | None
    answer: str | None = text_column()
    question: str | None = text_column()
    article_id: int | None
    causes: list[str] = json_column(nullable=False)
    comment: str | None = text_column()
    claimed_at: datetime | None = time_column()
    decided_at: datetime = time_column(nullable=False)
    withdrawn_at: datetime | None = time_column()
    withdrawn_reason: str | None = text_column()


class KnownItem(SQLModel, table=True):
    """A decided item whose verdict is sure: reviewers who did not decide it may get it again, unknowing."""

    __tablename__ = "known_item"

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    marked_at: datetime = time_column(nullable=False)


class Calibration(SQLModel, table=True):
    """A known item in one reviewer's hands. It has a lease of its own: the item itself stays decided."""

    __tablename__ = "calibration"
    __table_args__ = (Index("ix_calibration_held", "reviewer_id", "claimed_until"),)

    item_id: int = Field(sa_column=Column(ForeignKey("review_item.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))
    fence: int
    reserved: bool = flag_column("not shown yet, as with a review item")
    claimed_at: datetime = time_column(nullable=False)
    claimed_until: datetime | None = time_column()


class Comment(SQLModel, table=True):
    """What one reviewer tells the others about an item. `key`: the form it was typed in; sent twice, it is stored once."""

    __tablename__ = "comment"
    __table_args__ = (UniqueConstraint("item_id", "reviewer_id", "key"),)

    id: int | None = Field(default=None, primary_key=True)
    item_id: int = parent_column("review_item.id", index=False)
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    key: str
    text: str = text_column(nullable=False)
    at: datetime = time_column(nullable=False)


class Mention(SQLModel, table=True):
    """A comment that names a reviewer."""

    __tablename__ = "mention"
    __table_args__ = (Index("ix_mention_unread", "reviewer_id", "read_at"),)

    comment_id: int = Field(sa_column=Column(ForeignKey("comment.id", ondelete="CASCADE"), primary_key=True))
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id", ondelete="CASCADE"), primary_key=True))
    read_at: datetime | None = time_column()


_STANDS = text("ended_at IS NULL")


class SecondLook(SQLModel, table=True):
    """What a reviewer said of a label: `intent` is what they saw, `chosen` what they want, the same where they keep it.

    Until `ended_at` the label is kept: no fit points it out. A label belongs to a text, whichever example has it;
    `example_id` is the one that was on the page. `suspected`, `suspicion` and `near` are those that the example had.
    """

    __tablename__ = "second_look"
    __table_args__ = (
        Index("ix_second_look_text", "source", "content_hash"),
        Index("ix_second_look_example", "example_id"),
        Index(
            "ix_second_look_stands", "source", "content_hash", "intent",
            unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS,
        ),
    )  # fmt: skip

    id: int | None = Field(default=None, primary_key=True)
    example_id: int
    source: str
    content_hash: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    intent: str
    chosen: str
    suspected: str | None = None
    suspicion: float | None = None
    near: list[str] | None = json_column()
    reviewer_id: int = Field(sa_column=Column(ForeignKey("reviewer.id"), nullable=False))
    at: datetime = time_column(nullable=False)
    ended_at: datetime | None = time_column()
