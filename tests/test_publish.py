"""Articles, their versions and their way out: every change once and in order, and no sink in another's way."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, rows_of

from connectors.articles import Article as Outgoing
from connectors.articles import Change, Receipt
from connectors.errors import Reject, Retry
from connectors.sinks.markdown import MarkdownSink
from service import articles, feed, publish
from service.articles import Content
from service.db import Database
from service.errors import Conflict, Invalid, NotFound
from service.models import Article, ArticleStatus, ArticleVersion, Publication

CONTENT = Content("Which shoes can I return?", "Unworn ones.", ("shoes back?",), "returns")


class ScriptedSink:
    """A knowledge base elsewhere: keeps what it is given, or fails as the script says."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.pushed: list[tuple[str, Outgoing]] = []

    def upsert(self, article: Outgoing, key: str) -> Receipt:
        if self.script:
            raise self.script.pop(0)
        self.pushed.append((key, article))
        return Receipt(f"there/{article.key}")

    def changes(self, cursor: str | None) -> tuple[Sequence[Change], str]:
        return [], ""

    def check(self) -> str | None:
        return None


def save(db: Database, content: Content = CONTENT, sinks: Sequence[str] = ("one",), now: datetime = NOW, **more: Any) -> Article:
    with db.write() as session:
        return articles.save_article(session, content, sinks, now, "import", **more)


def publication(db: Database, number: int = 0) -> Publication:
    return rows_of(db, Publication)[number]


# --- versions -----------------------------------------------------------------------------------------------------


def test_every_change_is_a_version_with_a_publication_per_sink(db: Database) -> None:
    article = save(db, sinks=("one", "two"))

    save(db, Content("Which shoes?", "All."), ("one", "two"), article_id=article.id)

    assert [(v.version, v.question, v.answer) for v in rows_of(db, ArticleVersion)] == [
        (1, CONTENT.question, CONTENT.answer),
        (2, "Which shoes?", "All."),
    ]
    assert [(p.key, p.state) for p in rows_of(db, Publication)] == [
        ("1-1-one", "cancelled"),
        ("1-1-two", "cancelled"),
        ("1-2-one", "pending"),
        ("1-2-two", "pending"),
    ]


def test_saving_what_is_there_makes_no_version(db: Database) -> None:
    article = save(db)

    again = save(db, article_id=article.id)

    assert (again.version, len(rows_of(db, ArticleVersion)), len(rows_of(db, Publication))) == (1, 1, 1)


def test_a_change_of_an_article_that_somebody_changed_meanwhile_is_refused(db: Database) -> None:
    article = save(db)
    save(db, Content("Q", "theirs"), article_id=article.id, expected_version=1)

    with pytest.raises(Conflict, match="version 2"):
        save(db, Content("Q", "ours"), article_id=article.id, expected_version=1)

    assert rows_of(db, Article)[0].answer == "theirs"


@pytest.mark.parametrize("content", [Content(" ", "answer"), Content("question", "\n")])
def test_an_article_needs_a_question_and_an_answer(db: Database, content: Content) -> None:
    with pytest.raises(Invalid):
        save(db, content)
    with pytest.raises(NotFound):
        save(db, article_id=4711)

    assert not rows_of(db, Article)


def test_a_key_names_one_article(db: Database) -> None:
    save(db, key="returns")

    with pytest.raises(Conflict):
        save(db, Content("Another?", "Yes."), key="returns")

    assert len(rows_of(db, Article)) == 1


def test_a_draft_goes_nowhere(db: Database) -> None:
    save(db, Content("Q", "A", status=ArticleStatus.draft))

    assert not rows_of(db, Publication)


# --- pushing ------------------------------------------------------------------------------------------------------


def test_a_pushed_version_keeps_the_receipt(db: Database) -> None:
    save(db, key="returns")
    sink = ScriptedSink()

    handled = publish.push_due(db, {"one": sink}, NOW)

    assert handled == 1
    assert [(key, a.key, a.version, a.active) for key, a in sink.pushed] == [("1-1-one", "returns", 1, True)]
    done = publication(db)
    assert (done.state, done.receipt, done.published_at, done.attempts) == ("published", "there/returns", NOW, 1)
    assert publish.push_due(db, {"one": sink}, NOW + timedelta(days=1)) == 0


def test_a_sink_that_is_down_is_tried_again_later_and_later_until_given_up(db: Database) -> None:
    save(db)
    sink = ScriptedSink(*(Retry("no answer") for _ in range(50)))
    now, waits = NOW, []

    while publication(db).state == "pending":
        publish.push_due(db, {"one": sink}, now)
        if (due_at := publication(db).due_at) is not None:
            waits.append(due_at - now)
            now = due_at

    assert waits == publish.BACKOFF
    assert (publication(db).state, publication(db).error) == ("failed", "no answer")


def test_the_sinks_own_hint_is_respected(db: Database) -> None:
    save(db)

    publish.push_due(db, {"one": ScriptedSink(Retry("slow down", timedelta(hours=3)))}, NOW)

    assert publication(db).due_at == NOW + timedelta(hours=3)


@pytest.mark.parametrize(
    ("error", "state"), [(Reject("too long"), "failed"), (Reject("edited there", conflict=True), "conflict")]
)
def test_what_will_never_work_waits_for_a_person_who_can_have_it_tried_again(db: Database, error: Reject, state: str) -> None:
    save(db)
    sink = ScriptedSink(error)
    publish.push_due(db, {"one": sink}, NOW)
    stopped = publication(db)

    with db.write() as session:
        publish.try_again(session, stopped.id or 0, NOW)
    publish.push_due(db, {"one": sink}, NOW)

    assert (stopped.state, stopped.error, stopped.due_at) == (state, error.reason, None)
    assert publication(db).state == "published"
    with db.write() as session, pytest.raises(Conflict):
        publish.try_again(session, stopped.id or 0, NOW)


@pytest.mark.parametrize("trouble", [Retry("down"), Reject("never"), ValueError("a defect of the connector"), KeyError("x")])
def test_one_sinks_trouble_does_not_keep_others_waiting(db: Database, trouble: Exception) -> None:
    save(db, sinks=("broken", "gone", "healthy"))
    healthy = ScriptedSink()

    publish.push_due(db, {"broken": ScriptedSink(trouble), "healthy": healthy}, NOW)

    assert len(healthy.pushed) == 1
    states = {p.sink: p.state for p in rows_of(db, Publication)}
    assert (states["healthy"], states["gone"]) == ("published", "failed")


def test_a_push_whose_record_was_lost_is_pushed_again_and_that_is_harmless(db: Database, tmp_path: Path) -> None:
    class Dying(MarkdownSink):
        """Writes, and is killed before anybody hears of it."""

        def upsert(self, article: Outgoing, key: str) -> Receipt:
            super().upsert(article, key)
            raise KeyboardInterrupt

    save(db, key="returns")
    with pytest.raises(KeyboardInterrupt):
        publish.push_due(db, {"one": Dying(str(tmp_path / "kb"))}, NOW)
    before = (tmp_path / "kb" / "returns.md").read_bytes()

    meanwhile = publish.push_due(db, {"one": MarkdownSink(str(tmp_path / "kb"))}, NOW + timedelta(seconds=1))
    later = publish.push_due(db, {"one": MarkdownSink(str(tmp_path / "kb"))}, NOW + publish.PUSH_LEASE)

    assert (meanwhile, later) == (0, 1)
    assert publication(db).state == "published"
    assert (tmp_path / "kb" / "returns.md").read_bytes() == before


def test_a_version_that_is_superseded_while_it_is_pushed_stays_cancelled(db: Database) -> None:
    article = save(db)

    class Slow(ScriptedSink):
        def upsert(self, article_there: Outgoing, key: str) -> Receipt:
            if not self.pushed:
                save(db, Content("Q", "newer"), article_id=article.id)
            return super().upsert(article_there, key)

    sink = Slow()
    publish.push_due(db, {"one": sink}, NOW)
    publish.push_due(db, {"one": sink}, NOW)

    assert [p.state for p in rows_of(db, Publication)] == ["cancelled", "published"]
    assert [a.version for _, a in sink.pushed] == [1, 2]


# --- the feed -----------------------------------------------------------------------------------------------------


def read_feed(db: Database, cursor: str | None = None, limit: int = 2) -> tuple[list[tuple[str, int]], str]:
    seen = []
    while True:
        with db.read() as session:
            page, cursor, more = feed.changes_after(session, cursor, limit)
        seen += [(article.key, version.version) for article, version in page]
        if not more:
            return seen, cursor


def test_the_feed_tells_every_change_once_and_in_order(db: Database) -> None:
    save(db, key="a")
    save(db, Content("draft?", "not yet", status=ArticleStatus.draft), key="b")
    save(db, key="c")
    first, cursor = read_feed(db)
    save(db, Content("Q", "changed"), article_id=rows_of(db, Article)[0].id)
    save(db, Content("Q", "A", status=ArticleStatus.paused), article_id=rows_of(db, Article)[2].id)

    second, last = read_feed(db, cursor)

    assert first == [("a", 1), ("c", 1)]
    assert second == [("a", 2), ("c", 2)]
    assert read_feed(db, last) == ([], last)


@pytest.mark.parametrize(
    "cursor",
    ["x", "YXJ0aWNsZXM6", "YXJ0aWNsZXM6LTE", "é", "=" * 50, "b3RoZXI6MQ", "\x00", "YXJ0aWNsZXM6OTk5OTk5OTk5OTk5OTk5OTk5OTk5"],
)
def test_a_cursor_that_is_none_of_ours_is_refused(db: Database, cursor: str) -> None:
    with db.read() as session, pytest.raises(Invalid, match="cursor"):
        feed.changes_after(session, cursor, 10)


def test_the_feed_skips_nothing_while_others_write(db: Database) -> None:
    # Ids are given before the commit: without care, a reader could pass one that is not visible yet.
    def write(writer: int) -> None:
        for n in range(15):
            save(db, Content(f"question {writer} {n}", "answer"), sinks=(), key=f"{writer}-{n}")

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, n) for n in range(4)]
        seen: list[tuple[str, int]] = []
        cursor = None
        while not all(writer.done() for writer in writers):
            found, cursor = read_feed(db, cursor, limit=7)
            seen += found
        for writer in writers:
            writer.result()
    found, _ = read_feed(db, cursor)

    assert sorted(seen + found) == sorted((f"{writer}-{n}", 1) for writer in range(4) for n in range(15))
