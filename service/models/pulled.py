"""Platforms that are asked for what is new."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from service.models.columns import json_column, text_column, time_column


class PullCursor(SQLModel, table=True):
    """Where a pull stands. The platform's own cursor is saved in the transaction of the rows it covers.

    `due_at` wakes the worker, None: only by hand. `start_at`: nothing older is asked for. `attempts`: tries in a row that
    failed. `records` and `unreadable` count all runs, `last_run` holds the last one's counts.
    """

    __tablename__ = "pull_cursor"

    name: str = Field(primary_key=True)
    cursor: str | None = text_column()
    start_at: datetime | None = time_column()
    due_at: datetime | None = time_column()
    claimed_until: datetime | None = time_column()
    attempts: int = 0
    error: str | None = text_column()
    ran_at: datetime | None = time_column()
    succeeded_at: datetime | None = time_column()
    records: int = 0
    unreadable: int = 0
    last_run: dict[str, Any] | None = json_column()
