"""What people change in a knowledge base comes back, and nothing is overwritten on either side."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import col

from connectors.sinks.markdown import MarkdownSink
from service.articles import Content, article_by_key, save_article
from service.db import Database
from service.models import Publication, PublicationState
from service.publish import PULL_EVERY, pull_due, push_due

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER = NOW + PULL_EVERY + timedelta(seconds=1)


@pytest.fixture
def sink(tmp_path: Path) -> MarkdownSink:
    return MarkdownSink(str(tmp_path / "kb"))


@pytest.fixture
def file(db: Database, sink: MarkdownSink, tmp_path: Path) -> Path:
    """A published article's file."""
    with db.write() as session:
        save_article(session, Content("When do you open?", "At nine."), ["folder"], NOW, "page", key="hours")
    push_due(db, {"folder": sink}, NOW)
    pull_due(db, {"folder": sink}, NOW)
    return tmp_path / "kb" / "hours.md"


def test_an_edited_file_becomes_the_articles_next_version(db: Database, sink: MarkdownSink, file: Path) -> None:
    file.write_text(file.read_text().replace("At nine.", "At ten."))

    taken = pull_due(db, {"folder": sink}, LATER)
    push_due(db, {"folder": sink}, LATER)

    with db.read() as session:
        article = article_by_key(session, "hours")
    assert taken == 1
    assert (article.answer, article.version) == ("At ten.", 2)
    assert "version: 2" in file.read_text()
    assert pull_due(db, {"folder": sink}, LATER + PULL_EVERY) == 0


def test_a_new_file_becomes_an_article(db: Database, sink: MarkdownSink, file: Path) -> None:
    file.with_name("parking.md").write_text("# Can I park?\n\nYes, behind the shop.\n")

    pull_due(db, {"folder": sink}, LATER)

    with db.read() as session:
        assert article_by_key(session, "parking").answer == "Yes, behind the shop."


def test_a_change_on_both_sides_is_a_conflict_and_overwrites_nothing(db: Database, sink: MarkdownSink, file: Path) -> None:
    edited = file.read_text().replace("At nine.", "At ten.")
    file.write_text(edited)
    with db.write() as session:
        article = article_by_key(session, "hours")
        save_article(session, Content("When do you open?", "At eight."), ["folder"], LATER, "page", article.id)

    pull_due(db, {"folder": sink}, LATER)
    push_due(db, {"folder": sink}, LATER)

    with db.read() as session:
        last = session.execute(select(Publication).order_by(col(Publication.id).desc()).limit(1)).scalar_one()
        assert article_by_key(session, "hours").answer == "At eight."
    assert last.state == PublicationState.conflict
    assert file.read_text() == edited


def test_a_half_edited_file_waits(db: Database, sink: MarkdownSink, file: Path) -> None:
    file.write_text("---\nkey: [\n---\n")

    assert pull_due(db, {"folder": sink}, LATER) == 0
