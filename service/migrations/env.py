"""Runs migrations over the database that service/migrate.py names."""

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

from service import models  # noqa: F401 - fills the metadata
from service.db import Database

_LOCK = 0x6D69_6772
db = Database(context.config.attributes["url"])
try:
    with db.engine.connect() as connection:
        if not db.is_sqlite:  # several processes may start at once: one migrates, the others wait
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
        context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=db.is_sqlite)
        with context.begin_transaction():
            context.run_migrations()
        if not db.is_sqlite:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
finally:
    db.close()
