"""The kinds of columns that the tables share."""

from typing import Any

from sqlalchemy import Column, ForeignKey, Text
from sqlmodel import Field

from service.db import Json, UtcDateTime


def time_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(UtcDateTime(), **kwargs))


def text_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Text(), **kwargs))


def json_column(**kwargs: Any) -> Any:
    return Field(sa_column=Column(Json, **kwargs))


def parent_column(target: str, **kwargs: Any) -> Any:
    return Field(sa_column=Column(ForeignKey(target, ondelete="CASCADE"), **{"nullable": False, "index": True, **kwargs}))
