"""What goes out."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Column, ForeignKey, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, text_column, time_column


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


class Article(SQLModel, table=True):
    """One knowledge base entry as it is now; `key` is its name everywhere outside."""

    __tablename__ = "article"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(sa_column=Column(String(), unique=True, nullable=False))
    question: str = text_column(nullable=False)
    variants: list[str] = json_column(nullable=False)
    answer: str = text_column(nullable=False)
    intent: str | None
    status: str
    version: int
    updated_at: datetime = time_column(nullable=False)


class ArticleVersion(SQLModel, table=True):
    """The article as it was at a version. Ids grow in the order of commits (see publish.py): they are the feed's cursor."""

    __tablename__ = "article_version"
    __table_args__ = (UniqueConstraint("article_id", "version"),)

    id: int | None = Field(default=None, primary_key=True)
    article_id: int = parent_column("article.id", index=False)
    version: int
    question: str = text_column(nullable=False)
    variants: list[str] = json_column(nullable=False)
    answer: str = text_column(nullable=False)
    intent: str | None
    status: str
    origin: str
    verdict_id: int | None = Field(sa_column=Column(ForeignKey("verdict.id"), index=True))
    reviewer_id: int | None = Field(sa_column=Column(ForeignKey("reviewer.id")))
    changed_at: datetime = time_column(nullable=False)


class Publication(SQLModel, table=True):
    """An article version on its way to one sink; `key` makes pushing it twice harmless."""

    __tablename__ = "publication"
    __table_args__ = (UniqueConstraint("article_version_id", "sink"), Index("ix_publication_article", "article_id", "sink"))

    id: int | None = Field(default=None, primary_key=True)
    article_id: int = parent_column("article.id", index=False)
    article_version_id: int = parent_column("article_version.id", index=False)
    sink: str
    key: str
    state: str = Field(index=True)
    attempts: int = 0
    due_at: datetime | None = time_column(index=True)
    claimed_until: datetime | None = time_column()
    receipt: str | None = text_column()
    error: str | None = text_column()
    published_at: datetime | None = time_column()


class SinkCursor(SQLModel, table=True):
    """The sink's own bookmark, saved in the transaction of the rows it covers."""

    __tablename__ = "sink_cursor"

    sink: str = Field(primary_key=True)
    cursor: str | None = text_column()
    due_at: datetime = time_column(nullable=False)
