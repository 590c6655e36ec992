"""Files into rows: good lines go in, bad ones are named, and what was interrupted goes on."""

import gzip
import io
import json
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import NOW, make_conversation, rows_of

from connectors.errors import Reject
from connectors.files import open_bytes
from service import imports
from service.db import Database
from service.imports import Imported, import_articles, import_examples, import_transcripts
from service.models import Article, Conversation, Example, Publication, Turn
from service.privacy import make_redact

PLAIN = make_redact(False, [])


def write(folder: Path, *lines: Any, name: str = "in.jsonl", prefix: bytes = b"") -> str:
    content = prefix + b"".join((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n" for line in lines)
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def take(db: Database | None, path: str, report: Any = lambda line: None) -> Imported:
    return import_transcripts(db, "standard", path, PLAIN, timedelta(), NOW, report=report)


def names(db: Database) -> list[str]:
    return sorted(c.external_id for c in rows_of(db, Conversation))


def test_good_lines_go_in_and_bad_ones_are_named_by_their_number(db: Database, tmp_path: Path) -> None:
    twice = {"id": "x", "turns": [{"id": "1", "role": "user", "text": ""}, {"id": "1", "role": "bot", "text": ""}]}
    path = write(tmp_path, make_conversation(3, id="a"), "no json", "", {"id": "b"}, twice, make_conversation(2, id="c"))
    reported: list[str] = []

    done = take(db, path, reported.append)

    assert (done.conversations, done.turns, names(db)) == (2, 5, ["a", "c"])
    assert done.bad == reported
    assert [line.partition(": ")[0].removeprefix(path) for line in reported] == [", line 2", ", line 4", ", line 5"]
    assert ["JSON" in reported[0], "turns" in reported[1], "occurs twice" in reported[2]] == [True] * 3


def test_the_same_file_again_changes_nothing(db: Database, tmp_path: Path) -> None:
    path = write(tmp_path, make_conversation(3, id="a"), make_conversation(3, id="b"))
    take(db, path)
    before = [(c.revision, c.due_at) for c in rows_of(db, Conversation)]

    again = take(db, path)
    copied = take(db, write(tmp_path, make_conversation(3, id="b"), make_conversation(3, id="a"), name="other.jsonl"))

    assert (again.conversations, again.skipped) == (0, 2)
    assert copied.conversations == 2
    assert [(c.revision, c.due_at) for c in rows_of(db, Conversation)] == before
    assert len(rows_of(db, Turn)) == 6


def test_turns_without_ids_get_the_same_ones_each_time(db: Database, tmp_path: Path) -> None:
    bare = {"id": "a", "turns": [{"role": "user", "text": "hi"}, {"role": "bot", "text": "hello"}]}
    take(db, write(tmp_path, bare))
    take(db, write(tmp_path, bare, make_conversation(1, id="b"), name="more.jsonl"))

    assert [t.external_id for t in rows_of(db, Turn)] == ["#1", "#2", "t1"]


def test_an_interrupted_import_goes_on_where_it_stopped(db: Database, tmp_path: Path) -> None:
    path = write(tmp_path, *(make_conversation(2, id=f"c{n}") for n in range(2 * imports.BATCH + 50)))

    class Killed(Exception):
        pass

    def kill_in_the_second_batch(size: int) -> None:
        seen.append(size)
        if len(seen) == imports.BATCH + 30:
            raise Killed

    seen: list[int] = []
    with pytest.raises(Killed):
        import_transcripts(db, "standard", path, PLAIN, timedelta(), NOW, advance=kill_in_the_second_batch)
    stored = len(rows_of(db, Conversation))

    done = take(db, path)

    assert stored == imports.BATCH
    assert (done.skipped, done.conversations) == (imports.BATCH, imports.BATCH + 50)
    assert len(rows_of(db, Conversation)) == 2 * imports.BATCH + 50


def test_a_gzip_file_and_a_byte_order_mark_are_read_as_such(db: Database, tmp_path: Path) -> None:
    take(db, write(tmp_path, make_conversation(1, id="zipped"), name="in.jsonl.gz"))
    take(db, write(tmp_path, make_conversation(1, id="marked"), prefix=b"\xef\xbb\xbf"))

    assert names(db) == ["marked", "zipped"]


@pytest.mark.parametrize("damage", ["cut off", "scrambled", "no gzip at all"])
def test_a_damaged_gzip_file_is_read_as_far_as_it_goes(db: Database, tmp_path: Path, damage: str) -> None:
    path = Path(write(tmp_path, *(make_conversation(3, id=f"c{n}") for n in range(500)), name="in.jsonl.gz"))
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut off": content[: len(content) // 2],
            "scrambled": content[: len(content) // 2] + bytes(len(content) // 2),
            "no gzip at all": b"text",
        }[damage]
    )

    done = take(db, str(path))

    assert len(done.bad) >= 1
    assert "breaks off" in done.bad[-1]
    assert bool(rows_of(db, Conversation)) == bool(done.conversations) == (damage != "no gzip at all")


def test_standard_input_is_a_file_too(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(json.dumps(make_conversation(1, id="piped")).encode())

    monkeypatch.setattr(sys, "stdin", Standard())

    take(db, "-")

    assert names(db) == ["piped"]


def test_a_pipe_is_read_once_and_whole(db: Database, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    line = json.dumps(make_conversation(1, id="piped"))
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(line), daemon=True)
    writer.start()

    done = take(db, str(tmp_path / "pipe"))

    writer.join(5)
    assert (done.conversations, names(db)) == (1, ["piped"])


def test_a_dry_run_only_checks(tmp_path: Path) -> None:
    done = take(None, write(tmp_path, make_conversation(3), "no json"))

    assert (done.conversations, done.turns, len(done.bad)) == (1, 3, 1)


@pytest.mark.parametrize("path", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_opened_is_said_so(path: str) -> None:
    with pytest.raises(Reject, match=path), open_bytes(path):
        pass


# --- articles -----------------------------------------------------------------------------------------------------

LINE = {"id": "fees", "question": "What does it cost?", "answer": "Nothing.", "variants": ["price?"], "intent": "fees"}


def make_articles(folder: Path, kind: str) -> str:
    """The same article in each format, and one that cannot be read."""
    if kind == "markdown":
        (folder / "kb").mkdir()
        (folder / "kb" / "fees.md").write_text(
            "---\nquestion: What does it cost?\nvariants: [price?]\nintent: fees\n---\nNothing.\n"
        )
        (folder / "kb" / "broken.md").write_text("---\na: [\n---\n")
        return str(folder / "kb")
    if kind == "csv":
        path = folder / "in.csv"
        path.write_text(
            "\ufeffid,question,answer,variants,intent\nfees,What does it cost?,Nothing.,price?| ,fees\nempty,,,,\n",
            encoding="utf-8",
        )
        return str(path)
    return write(folder, LINE, {"id": "x", "question": ""})


@pytest.mark.parametrize("kind", ["markdown", "csv", "jsonl"])
def test_articles_come_from_each_format_once(db: Database, tmp_path: Path, kind: str) -> None:
    path = make_articles(tmp_path, kind)

    first, second = (import_articles(db, [path], ["folder"], NOW) for _ in range(2))

    assert [(saved, unchanged, len(bad)) for saved, unchanged, bad in (first, second)] == [(1, 0, 1), (0, 1, 1)]
    (article,) = rows_of(db, Article)
    assert {name: getattr(article, "key" if name == "id" else name) for name in LINE} == LINE
    assert len(rows_of(db, Publication)) == 1


def test_an_article_without_an_id_is_known_by_its_question(db: Database, tmp_path: Path) -> None:
    nameless = {"question": "Where?", "answer": "Here."}
    import_articles(db, [write(tmp_path, nameless)], [], NOW)

    saved, _, _ = import_articles(db, [write(tmp_path, {**nameless, "answer": "There."})], [], NOW)

    assert saved == 1
    assert [(a.answer, a.version) for a in rows_of(db, Article)] == [("There.", 2)]


def test_a_table_without_the_columns_is_refused(db: Database, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("q,a\n1,2\n")

    _, _, bad = import_articles(db, [str(tmp_path / "in.csv")], [], NOW)

    assert "answer and question" in bad[0]


def test_examples_are_stored_once_and_the_latest_label_counts(db: Database, tmp_path: Path) -> None:
    path = write(tmp_path, {"text": "hi", "intent": "greet"}, {"text": "hi", "intent": "hello"}, {"text": "no intent"})

    taken, bad = import_examples(db, "standard", [path], NOW)

    assert (taken, len(bad)) == (2, 1)
    assert [(e.text, e.intent) for e in rows_of(db, Example)] == [("hi", "hello")]
