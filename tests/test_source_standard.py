"""Our own webhook format: who signed it is verified on the bytes; whatever the bytes are, they give events or a Reject."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import NOW, SECRET, closed, feedback_given, make_body, sign, turn_added
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import Reject
from connectors.events import ConversationClosed, FeedbackGiven, TurnAdded
from connectors.sources.standard import StandardSource

OTHER = "whsec_b3RoZXItc2VjcmV0LTAxMjM0NTY3ODlhYmNkZWY="
BODY = make_body(turn_added())
SOURCE = StandardSource()


def why_not(body: bytes | str) -> str:
    with pytest.raises(Reject) as refused:
        SOURCE.parse(body.encode() if isinstance(body, str) else body)
    return refused.value.reason


# --- verify -------------------------------------------------------------------------------------------------------


def test_a_delivery_signed_by_the_reference_implementation_is_authentic() -> None:
    delivery = SOURCE.verify(sign(BODY, "msg_1", NOW), BODY, [SECRET], NOW)

    assert (delivery.id, delivery.sent_at) == ("msg_1", NOW)


@pytest.mark.parametrize("signed_with", [SECRET, OTHER])
def test_either_of_two_secrets_will_do(signed_with: str) -> None:
    delivery = SOURCE.verify(sign(BODY, at=NOW, secret=signed_with), BODY, [SECRET, OTHER], NOW)

    assert delivery.id == "d1"


def test_one_of_several_signatures_in_the_header_is_enough() -> None:
    headers = sign(BODY, at=NOW)
    headers["webhook-signature"] = f"v1a,xyz v1,d3Jvbmc= {headers['webhook-signature']}"

    assert SOURCE.verify(headers, BODY, [SECRET], NOW).id == "d1"


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-signature": "v1,d3Jvbmc="},
        {"webhook-signature": "v2,d3Jvbmc="},
        {"webhook-signature": "é"},
        {"webhook-id": "another"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
    ],
)
def test_whatever_is_changed_after_signing_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(Reject, match="webhook-signature"):
        SOURCE.verify({**sign(BODY, at=NOW), **changes}, BODY, [SECRET], NOW)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(Reject, match="webhook-signature"):
        SOURCE.verify(sign(BODY, at=NOW), BODY + b" ", [SECRET], NOW)


@pytest.mark.parametrize("late", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_delivery_from_another_time_is_refused(late: timedelta) -> None:
    with pytest.raises(Reject, match="webhook-timestamp"):
        SOURCE.verify(sign(BODY, at=NOW), BODY, [SECRET], NOW + late)


@pytest.mark.parametrize("timestamp", ["soon", "1e400", "nan", "-1e30", "12.5", "9" * 400, ""])
def test_a_timestamp_that_is_none_is_refused(timestamp: str) -> None:
    with pytest.raises(Reject, match="webhook-timestamp"):
        SOURCE.verify({**sign(BODY, at=NOW), "webhook-timestamp": timestamp}, BODY, [SECRET], NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    headers = {name: value for name, value in sign(BODY, at=NOW).items() if name != missing}

    with pytest.raises(Reject, match=missing):
        SOURCE.verify(headers, BODY, [SECRET], NOW)


# --- parse --------------------------------------------------------------------------------------------------------


def test_the_three_events_are_read_in_their_order() -> None:
    events = SOURCE.parse(make_body(turn_added("t2", "bot", at="2026-01-05T10:00:00+01:00"), feedback_given(), closed()))

    assert [type(event) for event in events] == [TurnAdded, FeedbackGiven, ConversationClosed]
    assert isinstance(events[0], TurnAdded)
    assert events[0].turn.at == datetime(2026, 1, 5, 9, tzinfo=UTC)


def test_unknown_fields_are_kept() -> None:
    (event,) = SOURCE.parse(make_body(turn_added(device="phone", metadata={"shop": 3})))

    assert isinstance(event, TurnAdded)
    assert event.turn.extras == {"device": "phone", "shop": 3}


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (turn_added(role="robot"), "events.0.turn_added.turn.role"),
        (turn_added(at="yesterday"), "events.0.turn_added.turn.at"),
        (turn_added(at="0001-01-01T00:00:00+23:00"), "events.0.turn_added.turn.at"),
        (turn_added(at="9999-12-31T23:59:59-23:00"), "events.0.turn_added.turn.at"),
        (turn_added(id=""), "events.0.turn_added.turn.id"),
        (turn_added(id="x" * 256), "events.0.turn_added.turn.id"),
        ({"type": "turn_added", "conversation_id": "c", "turn": {"role": "user", "text": "hi"}}, "turn.id"),
        ({"type": "turn_added", "conversation_id": "c", "turn": {"id": "t", "role": "user"}}, "turn.text"),
        ({"type": "feedback_given", "conversation_id": "c", "feedback": {}}, "needs a 'rating' or a 'comment'"),
        ({"type": "something", "conversation_id": "c"}, "events.0"),
        ({}, "events.0"),
    ],
)
def test_a_wrong_shape_names_the_field(event: dict[str, Any], field: str) -> None:
    assert field in why_not(make_body(event))


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", b"null", b"{", b'{"events": null}', b'{"events": {}}', b"{}"])
def test_other_bodies_are_rejected(body: bytes) -> None:
    assert why_not(body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize(
    "where", ['"metadata": {"x": %s}', '"unknown": %s', '"unknown": [{"x": %s}]', '"intent": {"confidence": %s}']
)
def test_numbers_that_are_none_in_json_never_come_through(number: str, where: str) -> None:
    turn = '{"id": "t", "role": "user", "text": "hi", ' + where % number + "}"

    reason = why_not('{"events": [{"type": "turn_added", "conversation_id": "c", "turn": ' + turn + "}]}")

    assert reason


def test_the_reason_never_quotes_what_was_sent() -> None:
    hostile = [
        {"type": "marker-words", "conversation_id": "c"},
        turn_added(at="marker-words"),
        turn_added(role="marker-words"),
        turn_added(intent="marker-words"),
        turn_added(retrieval=[{"score": "marker-words"}]),
        {"type": "closed", "conversation_id": {"marker-words": 1}},
        {"type": "turn_added", "conversation_id": "c", "turn": {"id": "t", "role": "user", "text": {"marker-words": 1}}},
    ]

    reasons = [why_not(make_body(event)) for event in hostile] + [why_not('{"events": [marker-words]}')]

    assert not [reason for reason in reasons if "marker" in reason]


def test_text_that_no_database_could_hold_is_mended_or_rejected() -> None:
    (event,) = SOURCE.parse(make_body(turn_added(text="before\x00after")))
    lone_surrogate = make_body(turn_added(text="\ud800"))

    assert isinstance(event, TurnAdded)
    assert event.turn.text == "before\ufffdafter"
    assert why_not(lone_surrogate)


@pytest.mark.parametrize(
    "body",
    [
        '{"events": ' * 100_000,
        '{"events": [' + '{"a":' * 5000 + "1" + "}" * 5000 + "]}",
        "[" * 100_000 + "]" * 100_000,
        '{"events": [{"type": "conversation_closed", "conversation_id": "c", "x": ' + "[" * 5000 + "]" * 5000 + "}]}",
        '{"events": [{"type": "conversation_closed", "conversation_id": ' + "9" * 5000 + "}]}",
    ],
    ids=["broken off", "deep objects", "deep lists", "deep unknown field", "huge number"],
)
def test_bodies_made_to_hurt_are_rejected(body: str) -> None:
    assert why_not(body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["turn_added", "user", "c1", "thumb"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "conversation_id",
                    "turn",
                    "turn_id",
                    "feedback",
                    "rating",
                    "id",
                    "role",
                    "text",
                    "at",
                    "intent",
                    "metadata",
                ]
            )
            | st.text(),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
_nearly = st.fixed_dictionaries(
    {"type": st.sampled_from(["turn_added", "feedback_given", "conversation_closed"])},
    optional={
        "conversation_id": st.text() | _values,
        "turn": st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "role", "text", "at", "intent", "retrieval"), _values)),
        "feedback": _values,
        "at": _values | st.datetimes().map(str),
        "position": _values,
    },
)


_bodies = _values | st.fixed_dictionaries({"events": st.lists(_nearly | _values)})


@settings(max_examples=300, deadline=None)
@given(body=st.binary() | _bodies.map(json.dumps).map(str.encode))
def test_any_body_gives_events_or_a_reject_and_nothing_else(body: bytes) -> None:
    try:
        events = SOURCE.parse(body)
    except Reject:
        return

    assert all(isinstance(event, TurnAdded | FeedbackGiven | ConversationClosed) for event in events)
