"""The kinds of columns that the tables share."""

from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Text, false, text
from sqlmodel import Field

from service.db import Json, UtcDateTime


def time_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(UtcDateTime(), **kwargs))


def text_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Text(), **kwargs))


def flag_column(description: str) -> Any:
    """False unless told otherwise, also for rows that were there before the column."""
    return Field(default=False, description=description, sa_column=Column(Boolean(), nullable=False, server_default=false()))


def json_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Json, **kwargs))


def parent_column(target: str, **kwargs: Any) -> Any:
    return Field(sa_column=Column(ForeignKey(target, ondelete="CASCADE"), **{"nullable": False, "index": True, **kwargs}))


def partial(condition: str) -> dict[str, Any]:
    """Arguments of an index over the rows that meet the condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
