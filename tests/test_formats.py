"""Files in the formats that people have: what is in them is told, bad places are named, and memory stays small."""

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import NOW, make_conversation, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from connectors.errors import Reject
from connectors.events import Conversation
from connectors.files import open_bytes
from connectors.formats.base import Read
from connectors.formats.readers import FORMATS, Options, Plan, plan
from service import imports
from service.cli import app
from service.db import Database
from service.imports import import_transcripts
from service.models import Conversation as StoredConversation
from service.models import Feedback, Turn
from service.privacy import make_redact

PLAIN = make_redact(False, [])
SAMPLES = Path(__file__).parents[2] / "shared" / "data" / "connectors"
TURNS = """Chat ID;timestamp;Sender;Utterance;Intent;Confidence;Feedback;shop
c1;2026-01-05 09:00;Customer;Wo ist mein Paket?;track;0.61;;dublin
c1;2026-01-05 09:01;Chatbot;"Es ist ""unterwegs"";
bald da.";;;down;dublin
c2;2026-01-05T09:00:00Z;visitor;hello;;;;
c1;2026-01-05 09:02;Human Agent;Ich helfe.;;;;
"""
ACTIVITY = {"conversation": {"id": "b1"}, "channelId": "webchat"}
USER, BOT = {"id": "u", "role": "user"}, {"id": "b", "role": "bot"}


def read(content: bytes | str, name: str = "in", **options: Any) -> tuple[Plan, list[Read]]:
    way = plan(io.BytesIO(content.encode() if isinstance(content, str) else content), name, Options(**options))
    return way, list(way.read())


def conversations(content: bytes | str, name: str = "in", **options: Any) -> list[Conversation]:
    return [one.told for one in read(content, name, **options)[1] if isinstance(one.told, Conversation)]


def rejects(content: bytes | str, name: str = "in", **options: Any) -> list[tuple[int, str]]:
    return [(one.number, one.told.reason) for one in read(content, name, **options)[1] if isinstance(one.told, Reject)]


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in conversation.turns]


def write(folder: Path, content: bytes | str, name: str) -> str:
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(folder / name)


# --- tables -------------------------------------------------------------------------------------------------------


def test_a_table_of_turns_is_read_by_its_headers_and_values() -> None:
    way, reads = read(TURNS, "in.csv")

    first, second, third = (one.told for one in reads)
    assert way.table is not None
    assert way.table.delimiter == ";"
    assert isinstance(first, Conversation)
    assert isinstance(second, Conversation)
    assert isinstance(third, Conversation)
    assert said(first) == [("user", "Wo ist mein Paket?"), ("bot", 'Es ist "unterwegs";\nbald da.')]
    assert first.turns[0].intent is not None
    assert (first.turns[0].intent.name, first.turns[0].intent.confidence) == ("track", 0.61)
    assert (first.turns[1].feedback[0].rating, first.turns[1].feedback[0].scale) == (-1, "thumb")
    assert first.turns[0].at == NOW
    assert first.turns[0].metadata == {"shop": "dublin"}
    assert [(one.number, one.first) for one in reads] == [(4, 0), (5, 0), (6, 2)]
    assert (said(second), said(third)) == ([("user", "hello")], [("agent", "Ich helfe.")])


def test_a_conversation_whose_rows_are_apart_is_one_in_the_order_of_the_rows(db: Database, tmp_path: Path) -> None:
    bare = "chat,role,text\na,user,one\nb,user,uno\na,bot,two\nb,bot,dos\na,user,three\n"

    done = import_transcripts(db, "bot", write(tmp_path, bare, "in.csv"), PLAIN, timedelta(), NOW)

    assert (done.conversations, done.turns) == (2, 5)
    by_name = {c.id: c.external_id for c in rows_of(db, StoredConversation)}
    turns = [(by_name[t.conversation_id], t.position, t.external_id, t.text) for t in rows_of(db, Turn)]
    assert sorted(turns) == [
        ("a", 0, "#1", "one"),
        ("a", 1, "#2", "two"),
        ("a", 2, "#3", "three"),
        ("b", 0, "#1", "uno"),
        ("b", 1, "#2", "dos"),
    ]


def test_a_table_of_questions_and_answers_needs_no_conversations() -> None:
    (one, other) = conversations('question,answer,rating,model\nDo you ship?,"Yes, in 5 days",1,m\nWhen open?,At 9,0,m\n')

    assert said(one) == [("user", "Do you ship?"), ("bot", "Yes, in 5 days")]
    assert (other.turns[1].feedback[0].rating, other.turns[1].metadata) == (0, {"model": "m"})
    assert one.id != other.id


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_delimiters_and_encodings_are_told_from_the_file(mark: str, encoding: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=mark).writerows([["session", "speaker", "message"], ["s1", "user", "Größe, 5; oder | so?"]])

    (one,) = conversations(out.getvalue().encode(encoding), "in.csv")

    assert said(one) == [("user", "Größe, 5; oder | so?")]


def test_columns_roles_and_times_can_be_given() -> None:
    content = "k;v;w;z\nx1;he;05.01.2026 10:00;Hallo\nx1;it;05.01.2026 10:01;Guten Tag\n"
    columns = {"conversation": "k", "role": "v", "at": "w", "text": "z"}

    (one,) = conversations(content, "in.csv", columns=columns, roles={"he": "user", "it": "bot"}, time_format="%d.%m.%Y %H:%M")

    assert [(turn.role, turn.text, turn.at and turn.at.hour) for turn in one.turns] == [
        ("user", "Hallo", 10),
        ("bot", "Guten Tag", 10),
    ]


@pytest.mark.parametrize(
    ("content", "columns", "needle"),
    [
        ("", {}, "empty"),
        ("a,b\n1,2\n", {}, "--map text=COLUMN"),
        ("chat,text\n1,hello there\n", {}, "--map role=COLUMN"),
        ("role,text\nuser,hello there\n", {}, "--map conversation=COLUMN"),
        ("role,text\nuser,hello there\n", {"words": "text"}, "no such field"),
        ("role,text\nuser,hello there\n", {"text": "words"}, "no such column"),
    ],
)
def test_a_table_that_cannot_be_told_says_what_to_give(content: str, columns: dict[str, str], needle: str) -> None:
    with pytest.raises(Reject, match=needle):
        read(content, "in.csv", columns=columns)


def test_bad_lines_of_a_table_are_named_and_the_others_read() -> None:
    lines = [
        "chat,role,text,at,rating",
        "a,user,hi,2026-01-05,",
        "a,alien,hi,,",
        "a,bot,hello,soon,",
        "a,bot,hello,,many",
        "a,bot,x,,,,",
        ",bot,x,,",
    ]
    told = rejects("\n".join([*lines, "a,bot,hello,2026-01-05,5"]), "in.csv")

    assert [number for number, _ in told] == [3, 4, 5, 6, 7]
    needles = ["--role", "--time-format", "neither a number", "more fields", "must name its conversation"]
    assert all(needle in reason for (_, reason), needle in zip(told, needles, strict=True))


# --- chat logs ----------------------------------------------------------------------------------------------------

CHAT = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "…"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
        {"role": "tool", "content": "42"},
        {"role": "assistant", "content": "hello"},
    ]
}
EXPORTED = {
    "title": "A chat",
    "conversation_id": "e1",
    "create_time": 1767603600.5,
    "current_node": "d",
    "mapping": {
        "a": {"message": None, "parent": None, "children": ["b"]},
        "b": {"message": {"id": "m1", "author": {"role": "user"}, "content": {"parts": ["hi"]}}, "parent": "a"},
        "c": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["first try"]}}, "parent": "b"},
        "d": {"message": {"author": {"role": "assistant"}, "content": {"parts": ["hello"]}}, "parent": "b"},
    },
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "chat",
    [
        CHAT,
        EXPORTED,
        {
            "custom_id": "r1",
            "request": {"body": {"messages": CHAT["messages"][:2]}},
            "response": {"body": {"choices": [{"message": CHAT["messages"][4]}]}},
        },
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
    ],
)
def test_chat_logs_are_told_by_their_content(chat: dict[str, Any], indent: int | None) -> None:
    written = [json.dumps(chat, indent=indent), json.dumps([chat, chat], indent=indent)]

    lone, several = (conversations(text) for text in written)

    assert [said(one) for one in [*lone, *several]] == [[("user", "hi"), ("bot", "hello")]] * 3
    assert len({one.id for one in [*lone, *several]}) == 1


def test_a_bad_line_of_a_chat_log_is_named() -> None:
    content = "\n".join([json.dumps(CHAT), "{", json.dumps({"messages": [{"content": "x"}]}), json.dumps({"messages": 5})])

    assert [number for number, _ in rejects(content)] == [2, 3, 4]


# --- Bot Framework ------------------------------------------------------------------------------------------------


def activity(kind: str = "message", **fields: Any) -> dict[str, Any]:
    return {**ACTIVITY, "type": kind, "timestamp": "2026-01-05T09:00:00Z", **fields}


TRANSCRIPT = [
    activity("conversationUpdate"),
    activity(id="1", **{"from": USER}, text="Where is my parcel?"),
    activity(
        "trace",
        name="LuisRecognizer",
        value={"recognizerResult": {"intents": {"Track": {"score": 0.39}, "None": {"score": 0.3}}}},
    ),
    activity("typing", **{"from": BOT}),
    activity(
        "trace",
        name="QnAMaker",
        value={"queryResults": [{"id": 7, "questions": ["Where?"], "answer": "See the page.", "score": 0.71}]},
    ),
    activity(id="2", **{"from": BOT}, text="See the page."),
    activity("messageReaction", **{"from": USER}, replyToId="2", reactionsAdded=[{"type": "like"}]),
    activity(id="3", **{"from": BOT}, attachments=[{"content": {"title": "Parcels", "text": "On their way"}}]),
    activity(
        "invoke",
        name="message/submitAction",
        **{"from": USER},
        replyToId="3",
        value={"actionName": "feedback", "actionValue": {"reaction": "dislike", "feedback": '{"feedbackText": "not mine"}'}},
    ),
    activity("endOfConversation"),
]


def test_a_transcript_gives_turns_intents_retrieval_and_feedback() -> None:
    (one,) = conversations(json.dumps(TRANSCRIPT), "in.transcript")

    question, answer, card = one.turns
    assert (one.id, one.channel, one.closed) == ("b1", "webchat", True)
    assert (question.text, answer.text, card.text) == ("Where is my parcel?", "See the page.", "Parcels\nOn their way")
    assert question.intent is not None
    assert (question.intent.name, question.intent.confidence, question.intent.scale) == ("Track", 0.39, "probability")
    assert answer.retrieval is not None
    assert [(p.id, p.title, p.score, p.scale) for p in answer.retrieval] == [("7", "Where?", 0.71, "probability")]
    assert [(turn.feedback[0].rating, turn.feedback[0].comment) for turn in (answer, card)] == [(1, None), (-1, "not mine")]


def test_a_reaction_taken_back_an_edit_and_a_deletion_count() -> None:
    more = [
        activity("messageReaction", **{"from": USER}, replyToId="2", reactionsRemoved=[{"type": "like"}]),
        activity("messageUpdate", id="2", **{"from": BOT}, text="See that page.", timestamp="2026-01-05T09:05:00Z"),
        activity("messageDelete", id="3", **{"from": BOT}),
    ]

    (one,) = conversations(json.dumps([*TRANSCRIPT, *more]))

    assert [turn.text for turn in one.turns] == ["Where is my parcel?", "See that page."]
    assert (one.turns[1].feedback, one.turns[1].edited_at) == ((), NOW + timedelta(minutes=5))


def test_a_transcript_may_hold_several_conversations_and_nameless_roles() -> None:
    other = {
        "conversation": {"id": "b2"},
        "type": "message",
        "from": {"name": "User1"},
        "recipient": {"name": "Bot"},
        "text": "hi",
    }

    told = conversations(json.dumps([*TRANSCRIPT, other, {"type": "message"}]))
    (bad,) = rejects(json.dumps([*TRANSCRIPT, other, {"type": "message"}]))

    assert [(one.id, len(one.turns)) for one in told] == [("b1", 3), ("b2", 1)]
    assert bad[0] == len(TRANSCRIPT) + 2


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the public samples in ../shared/data/connectors")
def test_microsofts_sample_transcript_is_read() -> None:
    (one,) = conversations((SAMPLES / "botframework_chatdown.transcript").read_bytes(), "in.transcript")

    assert [turn.role for turn in one.turns] == ["bot", "user", "bot", "bot", "user", "bot", "bot"]
    assert one.turns[1].text == "Bonjour mon nom est l'état"


# --- our own shape ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["in.json", "in.json.gz"])
def test_an_array_of_our_own_shape_is_read_too(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, json.dumps([make_conversation(3, id="a"), {"id": "b"}, make_conversation(1, id="c")], indent=1), name)

    done = import_transcripts(None, "bot", path, PLAIN, timedelta(), NOW)

    assert (done.conversations, done.turns, len(done.bad)) == (2, 4, 1)
    assert "item 2: turns" in done.bad[0]


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    _, reads = read(json.dumps([make_conversation(3, id=f"c{n}") for n in range(100)])[:5000])

    assert isinstance(reads[-1].told, Reject)
    assert len(reads) > 5


# --- imports ------------------------------------------------------------------------------------------------------


def test_an_interrupted_import_of_a_table_goes_on_where_it_stopped(db: Database, tmp_path: Path) -> None:
    rows = [f"c{n % 7},{'user' if n % 2 else 'bot'},text {n}" for n in range(3 * imports.BATCH)]
    path = write(tmp_path, "\n".join(["chat,role,text", *rows]), "in.csv")

    class Killed(Exception):
        pass

    def kill(size: int, seen: list[int] = []) -> None:  # noqa: B006
        seen.append(size)
        if len(seen) == imports.BATCH + 30:
            raise Killed

    with pytest.raises(Killed):
        import_transcripts(db, "bot", path, PLAIN, timedelta(), NOW, advance=kill)
    done = import_transcripts(db, "bot", path, PLAIN, timedelta(), NOW)
    again = import_transcripts(db, "bot", path, PLAIN, timedelta(), NOW)

    assert (done.skipped, again.turns) == (imports.BATCH, 0)
    turns = rows_of(db, Turn)
    assert len(turns) == len(rows)
    assert sorted(turn.text for turn in turns) == sorted(f"text {n}" for n in range(3 * imports.BATCH))


def test_the_same_table_read_in_another_way_is_another_import(db: Database, tmp_path: Path) -> None:
    path = write(tmp_path, "chat,role,text,note\na,user,wrong column,right column\n", "in.csv")
    import_transcripts(db, "bot", path, PLAIN, timedelta(), NOW)

    done = import_transcripts(db, "bot", path, PLAIN, timedelta(), NOW, options=Options(columns={"text": "note"}))

    assert (done.turns, done.skipped) == (1, 0)


def test_feedback_of_a_transcript_is_stored_once(db: Database, tmp_path: Path) -> None:
    for name in ("a.transcript", "b.transcript.gz"):
        import_transcripts(db, "bot", write(tmp_path, json.dumps(TRANSCRIPT, indent=len(name)), name), PLAIN, timedelta(), NOW)

    assert sorted((f.turn_external_id, f.rating) for f in rows_of(db, Feedback)) == [("2", 1), ("3", -1)]


def test_a_dry_run_shows_the_columns_and_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, TURNS + "c9;;nobody;x;;;;\n", "in.csv")

    shown = CliRunner().invoke(app, ["import", "--dry-run", "in.csv"])

    assert shown.exit_code == 1
    for word in (
        "Utterance",
        "Chat ID",
        "Wo ist mein Paket?",
        "2 conversations with 4 turns are readable",
        "line 7",
        "--role WORD",
    ):
        assert word in shown.output
    assert not (tmp_path / ".triage").exists()


@pytest.mark.parametrize("options", [["--format", "xml"], ["--map", "text"], ["--role", "a=b"], ["--delimiter", "ab"]])
def test_options_that_are_none_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.chdir(tmp_path)

    refused = CliRunner().invoke(app, ["import", "--dry-run", *options, write(tmp_path, TURNS, "in.csv")])

    assert (refused.exit_code, options[0] in refused.output) == (1, True)


# --- any bytes, and much of them ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
@pytest.mark.parametrize("chosen", [None, *FORMATS])
def test_any_bytes_give_conversations_or_a_reject(content: bytes, chosen: Any) -> None:
    try:
        _, reads = read(content, format=chosen)
    except Reject:
        return
    assert all(isinstance(one.told, Conversation | Reject) for one in reads)


@pytest.mark.parametrize(
    ("good", "name"), [(TURNS, "in.csv"), (json.dumps([CHAT, EXPORTED]), "in.json"), (json.dumps(TRANSCRIPT), "in.transcript")]
)
def test_thousands_of_mutated_files_give_conversations_or_a_reject(good: str, name: str) -> None:
    rng = Random(2)
    raw = good.encode()
    told = 0
    for _ in range(3000):
        place = rng.randrange(len(raw))
        changed = (
            raw[:place]
            + rng.choice([b"", b"null", b"[]", b"{}", b'"', b"1e999", b"\x00", b";"])
            + raw[place + rng.randint(0, 6) :]
        )
        try:
            told += sum(isinstance(one.told, Conversation) for one in read(changed, name)[1])
        except Reject:
            continue

    assert told > 500


def rows_of_table(size: int) -> Iterator[str]:
    yield "chat,role,text,at\n"
    written = 0
    number = 0
    while written < size:
        number += 1
        role = "user" if number % 2 else "bot"
        line = f"conversation-{number // 6},{role},{'some words of a turn ' * 12}{number},{1767603600 + number}\n"
        written += len(line)
        yield line


@pytest.mark.slow
@pytest.mark.parametrize("name", ["in.csv", "in.json"])
def test_a_large_file_needs_little_memory(tmp_path: Path, name: str) -> None:
    size = 10_000_000
    with (tmp_path / name).open("w") as out:
        if name == "in.csv":
            out.writelines(rows_of_table(size))
        else:
            one = json.dumps(make_conversation(20, metadata={"much": "words " * 100}))
            out.write("[" + ",\n".join([one] * (size // len(one))) + "]")
    tracemalloc.start()

    with open_bytes(str(tmp_path / name)) as opened:
        told = sum(isinstance(one.told, Conversation) for one in plan(opened, name, Options()).read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert told > 2_000
    assert peak < 3_300_000
