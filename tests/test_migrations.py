"""The tables that migrations make are the tables of the models, however often and by however many they are run."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import ingest, make_conversation, rows_of
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from service.db import Database
from service.errors import SetupError
from service.migrate import check_current, upgrade
from service.models import Conversation

FALLING = ("queue", "source", "channel", "intent", "strategy", "assigned")
"""Indexes of review items whose priority falls."""


def test_migrations_make_exactly_the_tables_of_the_models(db: Database) -> None:
    with db.engine.connect() as connection:
        # No model can say these: the index over vectors is an expression of pgvector's, those over words are PostgreSQL's GIN
        # and, on SQLite, tables of FTS5's own.
        # The direction of an index's column is not told by SQLite.
        unsaid = ("ix_text_vector_questions", "ix_searchable_words", *(f"ix_review_item_{n}" for n in FALLING))
        options = {
            "compare_type": True,
            "include_name": lambda name, *_: name is None or not name.startswith("searchable_words"),
            "include_object": lambda o, name, *_: name not in unsaid,
        }
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), SQLModel.metadata)

    assert differences == []


def test_migrating_again_changes_nothing(db: Database, database_url: str) -> None:
    ingest(db, make_conversation())

    upgrade(database_url)

    check_current(db)
    assert len(rows_of(db, Conversation)) == 1


def test_a_database_without_tables_is_told_what_to_do(empty_postgres_url: str, tmp_path: Path) -> None:
    for url in (empty_postgres_url, f"sqlite:///{tmp_path}/new.db"):
        db = Database(url)
        with pytest.raises(SetupError, match="triage migrate"):
            check_current(db)
        db.close()


def test_a_database_of_another_version_is_told_what_to_do(db: Database) -> None:
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    with pytest.raises(SetupError, match=r"version 0000.*triage migrate"):
        check_current(db)


def test_a_database_that_cannot_be_reached_is_said_so_without_its_password() -> None:
    url = "postgresql+psycopg://someone:hunter2@127.0.0.1:9/nowhere"

    with pytest.raises(SetupError, match="TRIAGE_DATABASE_URL") as migrating:
        upgrade(url)
    db = Database(url)
    with pytest.raises(SetupError, match="TRIAGE_DATABASE_URL") as checking:
        check_current(db)
    db.close()

    assert "hunter2" not in f"{migrating.value}{checking.value}"


def test_processes_that_migrate_at_once_wait_for_each_other(empty_postgres_url: str) -> None:
    command = [sys.executable, "-c", "import sys; from service.migrate import upgrade; upgrade(sys.argv[1])", empty_postgres_url]

    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in running]

    assert [(process.returncode, said) for process, said in zip(running, said, strict=True)] == [(0, b"")] * 3
    db = Database(empty_postgres_url)
    check_current(db)
    assert "exchange" in inspect(db.engine).get_table_names()
    db.close()
