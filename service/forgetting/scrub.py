"""On SQLite, what is deleted leaves the file too: the search index is merged anew, and the write-ahead log emptied.

Rows are overwritten as they are deleted, and pages as they are freed (`secure_delete`, service/db.py). Three places are left.
FTS5 keeps the words of deleted rows until their part of the index is merged (sqlite.org/fts5.html, "merge" with a negative
number). The log keeps pages as they were until it is written anew. And a page whose rows moved to another keeps a copy of some
between those that are left (SQLite does not clear it): only VACUUM is sure of that. PostgreSQL does all by its own vacuum.
"""

import time
from typing import Any

from sqlalchemy import text

from service.db import BUSY_MILLISECONDS, Database

PAGES = 64
"""Of the index that one transaction merges: ingest waits for it."""
_MERGE = text("INSERT INTO searchable_words (searchable_words, rank) VALUES ('merge', :pages)")
_PAUSE_SECONDS = 0.002
_MOST_STEPS = 1_000_000


def scrub(db: Database) -> bool:
    """Whether nothing that was deleted is left in the file; False where a reader kept the log from being emptied."""
    if not db.is_sqlite:
        return True
    for _ in range(_MOST_STEPS):
        if not _merge(db):
            break
        time.sleep(_PAUSE_SECONDS)  # the turns of who waits for the write lock come between
    return _empty_log(db)


def rewrite(db: Database) -> bool:
    """As `scrub`, and the file is written anew: for that time nothing else can be written, and it needs its own size twice."""
    if not db.is_sqlite:
        return True
    scrub(db)
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        connection.rollback()  # VACUUM is not for the inside of a transaction
        driver.execute("VACUUM")
    return _empty_log(db)


def _merge(db: Database) -> bool:
    """One step; False where nothing was left to do (fewer than two rows written: sqlite.org/fts5.html)."""
    with db.write() as session:
        driver: Any = session.connection().connection.driver_connection
        before = driver.total_changes
        session.execute(_MERGE, {"pages": -PAGES})
        return bool(driver.total_changes - before >= 2)


def _empty_log(db: Database) -> bool:
    """Waits for no reader: whoever comes next tries again."""
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        connection.rollback()  # a checkpoint is not for the inside of a transaction
        try:
            driver.execute("PRAGMA busy_timeout = 100")
            busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    return not busy
