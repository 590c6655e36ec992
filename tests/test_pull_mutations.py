"""Whatever a platform sends, a record gives events that can be stored, or is refused; nothing else is raised."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from connectors.errors import Reject
from connectors.events import Event, Ignored
from connectors.pulls.dialogflow import parse_conversation
from connectors.pulls.langfuse_records import parse_record
from connectors.pulls.lex import Lex, LexOptions
from connectors.pulls.rasa import parse_event, parse_tracker
from connectors.pulls.voiceflow import Voiceflow, VoiceflowOptions
from connectors.testing import mutated
from service.told import canonical, gather

PAYLOADS = Path(__file__).parent / "payloads"
MUTATIONS = 10_000
Parse = Callable[[bytes], list[Event]]


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / name).read_text())


def lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (PAYLOADS / name).read_text().splitlines()]


def records() -> dict[str, tuple[Parse, list[Any]]]:
    lex = Lex(LexOptions(path=Path("unused")), None)  # type: ignore[arg-type]  # parsing asks nobody
    voiceflow = Voiceflow(VoiceflowOptions(project="p", api_key="k"), None)  # type: ignore[arg-type]
    scores = [{"score": score, "session": "se-1"} for score in payload("langfuse/scores.json")["data"]]
    return {
        "rasa tracker": (parse_tracker, [payload("rasa/tracker.json")]),
        "rasa event": (parse_event, lines("rasa/broker.jsonl")),
        "dialogflow_cx": (parse_conversation, [payload("dialogflow_cx/conversation.json")]),
        "lex": (lex.parse, lines("lex/logs.jsonl")),
        "voiceflow": (voiceflow.parse, [payload("voiceflow/transcript.json")]),
        "langfuse": (lambda body: parse_record(body, {}), [{"trace": payload("langfuse/trace.json")}, *scores]),
    }


RECORDS = records()


def check(parse: Parse, body: bytes) -> bool:
    """True where it was read."""
    try:
        events = parse(body)
    except Reject:
        return False
    told = gather(events, lambda text: text)
    for about in told.values():
        for row in (*about.turns.values(), *about.feedback.values(), about.details):
            assert "\x00" not in str(row.get("text", ""))
            canonical(row).encode()
    assert all(isinstance(event, Ignored) or event.conversation_id for event in events)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("source", RECORDS)
def test_ten_thousand_mutated_records_give_events_or_a_refusal(source: str) -> None:
    parse, samples = RECORDS[source]
    rng = Random(f"mutations of {source}")
    read = 0

    for _ in range(MUTATIONS):
        read += check(parse, json.dumps(mutated(rng.choice(samples), rng)).encode(errors="surrogatepass"))

    assert MUTATIONS * 0.1 < read < MUTATIONS


@pytest.mark.parametrize("source", RECORDS)
@settings(max_examples=200, deadline=None)
@given(
    body=some.one_of(
        some.binary(max_size=200),
        some.recursive(
            some.none() | some.booleans() | some.floats() | some.integers() | some.text(),
            lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
            max_leaves=20,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_json_and_any_bytes_give_events_or_a_refusal(source: str, body: bytes) -> None:
    check(RECORDS[source][0], body)


@pytest.mark.parametrize("source", RECORDS)
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b'{"id": ' + b"9" * 5000 + b"}", b"\xff\xfe", b""])
def test_bodies_made_to_hurt_are_refused(source: str, body: bytes) -> None:
    assert not check(RECORDS[source][0], body)


@pytest.mark.parametrize("source", RECORDS)
def test_each_field_may_be_missing(source: str) -> None:
    parse, samples = RECORDS[source]
    read = [check(parse, json.dumps(lacking).encode()) for sample in samples for lacking in _lacking(sample)]

    assert sum(read) > 0.8 * len(read)


def _lacking(value: Any) -> Iterator[Any]:
    """The value once for each field of it, without that one."""
    if isinstance(value, dict):
        for key in value:
            yield {name: inner for name, inner in value.items() if name != key}
            yield from ({**value, key: inner} for inner in _lacking(value[key]))
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from ([*value[:place], inner, *value[place + 1 :]] for inner in _lacking(one))


@pytest.mark.parametrize("source", RECORDS)
def test_the_same_records_again_tell_the_same(source: str) -> None:
    parse, samples = RECORDS[source]
    body = json.dumps(samples[0]).encode()

    once = gather(parse(body), lambda text: text)
    twice = gather([*parse(body), *parse(body)], lambda text: text)

    assert once == twice
    assert once or source == "rasa event"
