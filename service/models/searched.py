"""What search reads and keeps."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Dialect, Index, String, Text, UniqueConstraint
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

from service.models.columns import json_column, parent_column, text_column, time_column
from service.search_words import for_fts5, for_tsvector


class Words(TypeDecorator[Any]):
    """The words of several texts, as search_words.indexed cuts them: a tsvector on PostgreSQL, text for FTS5 on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(Text())
        from sqlalchemy.dialects.postgresql import TSVECTOR  # commands on SQLite start without it

        return dialect.type_descriptor(TSVECTOR())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return for_tsvector(value) if dialect.name == "postgresql" else for_fts5(value)


class Searchable(SQLModel, table=True):
    """A conversation as search reads it: narrow, and written by the worker (service/searching/index.py).

    `words` is all that was said in it: PostgreSQL has a GIN index over it, SQLite a full text index beside this table that
    triggers keep in step (see the migration).
    """

    __tablename__ = "searchable"
    __table_args__ = (
        Index("ix_searchable_began", "began_at", "conversation_id"),
        Index("ix_searchable_source", "source", "began_at", "conversation_id"),
        Index("ix_searchable_channel", "channel", "began_at", "conversation_id"),
        Index("ix_searchable_feedback", "has_feedback", "began_at", "conversation_id"),
    )

    conversation_id: int = parent_column("conversation.id", primary_key=True, index=False)
    source: str
    channel: str | None
    began_at: datetime = time_column(nullable=False)
    has_feedback: bool
    words: Any = Field(sa_column=Column(Words(), nullable=False))


class SearchRequest(SQLModel, table=True):
    """A list of finds that pages are read from, best first, for an hour.

    By meaning, a worker fills it; by words, the web process does where there is more than one page. `key` names the search.
    """

    __tablename__ = "search_request"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(sa_column=Column(String(), nullable=False, index=True))
    text: str | None = text_column()
    source: str | None
    made_at: datetime = time_column(nullable=False, index=True)
    answered_at: datetime | None = time_column()
    found: list[tuple[int, float]] | None = json_column()


class SavedFilter(SQLModel, table=True):
    """A search that a reviewer keeps under a name. `shared`: everybody sees it."""

    __tablename__ = "saved_filter"
    __table_args__ = (UniqueConstraint("reviewer_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    reviewer_id: int = parent_column("reviewer.id", index=False)
    name: str
    query: dict[str, str] = json_column(nullable=False)
    shared: bool = Field(sa_column=Column(Boolean(), nullable=False))
    created_at: datetime = time_column(nullable=False)
