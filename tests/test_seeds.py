"""Labelled examples as teams have them: read, or refused by line and field."""

import gzip
import sys
import time
from pathlib import Path

import pytest
from conftest import NOW, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import Reject
from service.db import Database
from service.imports import import_examples
from service.models import Example
from service.seeds import read_examples

RASA = """version: "3.1"
nlu:
- intent: order/track
  examples: |
    - where is my [parcel](item)?
    - track [two]{"entity": "number", "value": "2"} orders to [New York](city){"role": "to"}

- lookup: city
  examples: |
    - Berlin
- intent: greet
  metadata: {sentiment: neutral}
  examples:
  - text: |
      hello
    metadata: {sentiment: neutral}
  - text: hi there
- regex: zip
  examples: |
    - \\d{5}
rules:
- rule: none
"""


def write(folder: Path, name: str, content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(folder / name)


def read(path: str) -> tuple[list[tuple[str, str]], list[str]]:
    """((text, intent) of what is good, complaints without the path)."""
    found = list(read_examples(path))
    good = [(one.example.text, one.example.intent) for one in found if not isinstance(one.example, Reject)]
    bad = [f"{one.where}: {one.example.reason}".removeprefix(path) for one in found if isinstance(one.example, Reject)]
    return good, bad


def test_rasa_examples_come_without_their_entity_marks(tmp_path: Path) -> None:
    good, bad = read(write(tmp_path, "nlu.yml", RASA))

    assert bad == []
    assert good == [
        ("where is my parcel?", "order/track"),
        ("track two orders to New York", "order/track"),
        ("hello", "greet"),
        ("hi there", "greet"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [", ["line 1"]),
        ("version: '3.1'\n", ["nlu: the list of intents is missing"]),
        ("nlu:\n- intent: a\n  examples: |\n    - fine\n    not fine\n", ["line 5", "examples of a"]),
        ("nlu:\n- examples: |\n    - x\n", ["line 2", "names no intent"]),
        ("nlu:\n- intent: a\n", ["line 2", "examples of a: missing"]),
        ("nlu:\n- intent: [a]\n  examples: |\n    - x\n", ["line 2", "intent: must be a name"]),
        ("nlu:\n- intent: a\n  examples:\n  - metadata: {}\n", ["line 4", "text is missing"]),
        ("nlu:\n- intent: ''\n  examples: |\n    - x\n", ["line 4", "intent"]),
        ("nlu: !!python/object/apply:os.system ['true']\n", ["nlu"]),
        (b"nlu:\n- \xff\xfe", ["can be read"]),
    ],
)
def test_what_is_wrong_with_a_rasa_file_is_told_by_line_and_field(tmp_path: Path, content: str | bytes, told: list[str]) -> None:
    _, bad = read(write(tmp_path, "nlu.yml", content))

    assert len(bad) == 1
    assert all(part in bad[0] for part in told)


def test_a_file_that_unfolds_without_end_is_refused_at_once(tmp_path: Path) -> None:
    bomb = 'a0: &a0 ["lol"]\n' + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    deep = "nlu: " + "[" * 100_000

    started = time.thread_time()
    complaints = [read(write(tmp_path, "nlu.yml", content))[1] for content in (bomb + "nlu: *a11\n", deep)]

    assert time.thread_time() - started < 5
    assert ["aliases" in complaints[0][0], "deeply" in complaints[1][0]] == [True, True]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("text,intent", '"hello, you",greet'),
        ("Intent,Utterance", 'greet,"hello, you"'),
        ("id;Label;Sentence", '1;greet;"hello, you"'),
        ("question\tcategory\tnote", "hello, you\tgreet\t"),
    ],
)
@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz"])
def test_a_table_is_read_by_its_header(tmp_path: Path, name: str, header: str, row: str) -> None:
    good, bad = read(write(tmp_path, name, f"\ufeff{header}\r\n{row}\r\n\r\n"))

    assert (good, bad) == ([("hello, you", "greet")], [])


def test_what_is_wrong_with_a_table_is_told_by_line_and_field(tmp_path: Path) -> None:
    header = read(write(tmp_path, "a.csv", "words,intent\nhello,greet\n"))
    rows = read(write(tmp_path, "b.csv", 'text,intent\nhello,greet\n,greet\nshort\n"two\nlines",\n'))
    quote = read(write(tmp_path, "c.csv", 'text,intent\nhello,greet\n"open,greet\n'))

    assert header[1] == [", line 1: the header has no column 'text'; it has: words, intent"]
    assert [line.split(": ")[0:2] for line in rows[1]] == [[", line 3", "text"], [", line 4", "intent"], [", line 6", "intent"]]
    assert quote[0] == [("hello", "greet")]
    assert "cannot be read" in quote[1][0]


@settings(deadline=None, max_examples=150)
@given(
    content=st.one_of(st.binary(max_size=300), st.text(alphabet="-:|[]{}&*!'\"# \nnluintexamps", max_size=200)),
    kind=st.sampled_from(["csv", "yml", "jsonl"]),
)
def test_any_bytes_give_examples_or_complaints(tmp_path_factory: pytest.TempPathFactory, content: str | bytes, kind: str) -> None:
    path = write(tmp_path_factory.getbasetemp(), f"any.{kind}", content)

    for one in read_examples(path):
        assert isinstance(one.example, Reject) or (one.example.text and one.example.intent)


def test_each_format_is_stored_and_the_same_again_changes_nothing(db: Database, tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "nlu.yaml", RASA),
        write(tmp_path, "in.csv", "text,intent\nbye,leave\n,leave\n"),
        write(tmp_path, "in.jsonl", '{"text": "no", "intent": "deny"}\n'),
    ]

    results = [import_examples(db, "standard", paths, NOW) for _ in range(2)]

    assert [(taken, len(bad)) for taken, bad in results] == [(6, 1), (6, 1)]
    assert sorted(one.intent for one in rows_of(db, Example)) == ["deny", "greet", "greet", "leave", "order/track", "order/track"]


def test_a_dry_run_shows_the_intents_and_stores_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from service.cli import main

    path = write(tmp_path, "nlu.yml", RASA)
    argv, sys.argv = sys.argv, ["triage", "seed", "--dry-run", path]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = argv

    told = capsys.readouterr().err
    assert ended.value.code == 0
    assert "4 examples of 2 intents" in told
    assert "order/track: 2, such as 'where is my parcel?'" in told
