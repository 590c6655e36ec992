"""A folder as knowledge base: written whole or not at all, and nothing that a person edited is ever overwritten."""

import os
from dataclasses import replace
from pathlib import Path

import frontmatter
import pytest
from conftest import NOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.articles import Article
from connectors.errors import Reject, Retry
from connectors.sinks.markdown import MarkdownSink

ARTICLE = Article("returns", 1, "Which shoes?", "Unworn ones.", ("shoes back?",), "returns", changed_at=NOW)


@pytest.fixture
def sink(tmp_path: Path) -> MarkdownSink:
    return MarkdownSink(str(tmp_path / "kb"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kb" / "returns.md"


def edit(file: Path, old: str = "Unworn", new: str = "Clean") -> None:
    file.write_text(file.read_text().replace(old, new))


def test_an_article_is_a_readable_file(sink: MarkdownSink, file: Path) -> None:
    receipt = sink.upsert(ARTICLE, "k1")

    page = frontmatter.loads(file.read_text())
    assert receipt.reference == "returns.md"
    assert page.content == "Unworn ones."
    assert {name: page[name] for name in ("key", "question", "variants", "intent", "version", "status")} == {
        "key": "returns",
        "question": "Which shoes?",
        "variants": ["shoes back?"],
        "intent": "returns",
        "version": 1,
        "status": "active",
    }
    assert [name.name for name in file.parent.iterdir()] == ["returns.md"]


def test_the_same_again_changes_nothing_and_an_older_version_never_replaces_a_newer(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(replace(ARTICLE, version=2, answer="All of them."), "k2")
    before = file.read_bytes(), file.stat().st_mtime_ns

    sink.upsert(replace(ARTICLE, version=2, answer="All of them."), "k2")
    sink.upsert(ARTICLE, "k1")

    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_a_newer_version_replaces_an_older_and_a_paused_one_says_so(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")

    sink.upsert(replace(ARTICLE, version=2, active=False), "k2")

    assert frontmatter.loads(file.read_text())["status"] == "paused"


def test_an_edited_file_is_never_overwritten(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")
    edit(file)
    before = file.read_bytes()

    with pytest.raises(Reject) as refused:
        sink.upsert(replace(ARTICLE, version=2, answer="Ours."), "k2")

    assert refused.value.conflict
    assert "returns.md" in refused.value.reason
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", ["no front matter, no digest", "---\nkey: [broken\n---\ntext", "---\nat: 2026-13-45\n---\nx"])
def test_a_file_that_was_there_before_is_never_overwritten(sink: MarkdownSink, file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)

    with pytest.raises(Reject) as refused:
        sink.upsert(ARTICLE, "k1")

    assert refused.value.conflict
    assert file.read_text() == content


def test_an_edit_that_says_what_we_are_about_to_write_is_no_conflict_then_or_later(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")
    edit(file, "Unworn ones.", "All of them.")

    sink.upsert(replace(ARTICLE, version=2, answer="All of them."), "k2")
    sink.upsert(replace(ARTICLE, version=3, answer="None of them."), "k3")

    assert frontmatter.loads(file.read_text()).content == "None of them."
    assert list(sink.changes(None)[0]) == []


def test_an_edit_is_reported_once_with_the_version_it_started_from(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")
    nothing, start = sink.changes(None)
    edit(file)

    found, cursor = sink.changes(start)
    again, same = sink.changes(cursor)

    assert list(nothing) == []
    assert [(c.article.key, c.article.answer, c.base_version) for c in found] == [("returns", "Clean ones.", 1)]
    assert (list(again), same) == ([], cursor)


def test_a_further_edit_and_a_new_file_are_reported_too(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")
    edit(file)
    _, cursor = sink.changes(None)
    edit(file, "Clean", "Very clean")
    (file.parent / "fees.md").write_text("# What does it cost?\n\nNothing.\n")

    found, _ = sink.changes(cursor)

    assert [(c.article.key, c.article.question, c.article.answer, c.base_version) for c in found] == [
        ("fees", "What does it cost?", "Nothing.", None),
        ("returns", "Which shoes?", "Very clean ones.", 1),
    ]


def test_a_file_that_cannot_be_read_does_not_hide_the_edits_of_others(sink: MarkdownSink, file: Path) -> None:
    sink.upsert(ARTICLE, "k1")
    edit(file)
    for name, content in (("a", "---\nkey: [broken\n---\n"), ("b", "no question here"), ("c", "---\nat: 2026-13-45\n---\nx")):
        (file.parent / f"{name}.md").write_text(content)
    (file.parent / "d.md").write_bytes(b"\xff\xfe")

    found, cursor = sink.changes(None)

    assert [c.article.key for c in found] == ["returns"]
    assert list(sink.changes(cursor)[0]) == []


@pytest.mark.parametrize("key", ["", ".", "..", "../up", "a/b", "/etc/passwd", "a\x00b", ".hidden", "a b", "é", "a\n", "x" * 200])
def test_a_key_that_is_no_plain_file_name_is_rejected(sink: MarkdownSink, tmp_path: Path, key: str) -> None:
    with pytest.raises(Reject, match="key"):
        sink.upsert(replace(ARTICLE, key=key), "k1")

    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_a_folder_that_cannot_be_written_to_is_tried_again_later_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    sink = MarkdownSink(str(tmp_path / "a file" / "kb"))

    with pytest.raises(Retry):
        sink.upsert(ARTICLE, "k1")
    complaint = sink.check()

    assert complaint is not None
    assert "cannot be written to" in complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_tried_again_later_and_said_so(sink: MarkdownSink, file: Path) -> None:
    file.parent.mkdir(mode=0o555)

    with pytest.raises(Retry):
        sink.upsert(ARTICLE, "k1")

    assert "cannot be written to" in (sink.check() or "")


def test_a_folder_that_can_be_written_to_needs_no_word(sink: MarkdownSink, file: Path) -> None:
    assert sink.check() is None
    assert file.parent.is_dir()


_text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1).filter(str.strip)
_lines = st.lists(st.sampled_from(["a", "---", "# b", "", " c", "key: v", "\r", "…", "\t"]), min_size=1).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(lines))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=_text, answer=_text | _lines.filter(str.strip), variants=st.lists(_text, max_size=2), intent=st.none() | _text)
def test_what_we_wrote_never_looks_edited(
    tmp_path_factory: pytest.TempPathFactory, question: str, answer: str, variants: list[str], intent: str | None
) -> None:
    folder = tmp_path_factory.mktemp("kb")
    sink = MarkdownSink(str(folder))

    sink.upsert(Article("k", 1, question, answer, tuple(variants), intent), "k1")

    assert list(sink.changes(None)[0]) == []
    assert sink.upsert(Article("k", 2, question, answer + "!", tuple(variants), intent), "k2").reference == "k.md"
