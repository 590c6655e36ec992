"""Every webhook source keeps the contract, and reads what its platform really sends."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import NOW as MORNING
from conftest import SETTLE, rows_of
from sqlalchemy import delete, select

from connectors.errors import Reject
from connectors.events import (
    ConversationClosed,
    ConversationRemoved,
    Delivery,
    Event,
    FeedbackGiven,
    FeedbackWithdrawn,
    Ignored,
    Source,
    TurnAdded,
    TurnRemoved,
)
from connectors.html_text import to_text
from connectors.reading import Speaking
from connectors.sources.botpress import BotpressSource
from connectors.sources.chatwoot import ChatwootSource
from connectors.sources.generic import GenericSource
from connectors.sources.intercom import IntercomSource
from connectors.sources.standard import StandardSource
from connectors.sources.sunshine import SunshineSource
from connectors.testing import NOW, SourceContract, load
from service.db import Database
from service.ingest import Received, accept
from service.models import Conversation, Feedback, Turn
from service.privacy import make_redact

PAYLOADS = Path(__file__).parent / "payloads"
GENERIC: dict[str, Any] = {
    "signature": "hmac",
    "header": "X-Acme-Signature",
    "signed": "{timestamp}{body}",
    "encoding": "base64",
    "timestamp_header": "X-Acme-Time",
    "events": "batch",
    "conversation_id": "chat",
    "turn_id": "message.uid",
    "role": 'message."from"',
    "roles": {"customer": "user", "assistant": "bot"},
    "text": "message.body",
    "time": "message.ts",
    "closed": "over",
    "intent": "nlu.label",
    "confidence": "nlu.p",
    "ranking": "nlu.top",
    "intent_scale": "probability",
    "retrieval": "hits",
    "retrieval_scale": "bm25",
    "rating": "vote.verdict",
    "ratings": {"bad": -1, "good": 1},
    "rating_scale": "thumb",
    "comment": "vote.why",
    "feedback_id": "vote.id",
    "feedback_time": "vote.ts",
}


class Own(SourceContract):
    mutations = 10_000

    def sign(self, body: bytes, secret: str, now: datetime) -> Mapping[str, str]:
        assert isinstance(self.source, Speaking)
        return self.source.scheme.sign(body, secret, "d1", now)


class TestStandard(Own):
    source = StandardSource()
    payloads = load(PAYLOADS / "standard")


class TestChatwoot(Own):
    source = ChatwootSource()
    payloads = load(PAYLOADS / "chatwoot")
    unknown = (
        b'{"event": "webwidget_triggered", "id": 1}',
        b'{"event": "conversation_status_changed", "id": 1, "status": "open"}',
        b'{"event": "message_created", "id": 1, "message_type": "outgoing", "private": true, "content": "x"}',
        b'{"event": "message_created", "id": 1, "message_type": 2, "content": "Ben was assigned"}',
        b'{"event": "message_created", "id": 1, "message_type": 3, "content_type": "input_csat", "content": "rate"}',
    )


class TestIntercom(Own):
    source = IntercomSource()
    payloads = load(PAYLOADS / "intercom")
    unknown = (
        b'{"type": "notification_event", "topic": "ping", "id": null, "data": {"item": {"type": "ping", "message": "hi"}}}',
        b'{"type": "notification_event", "topic": "contact.created", "data": {"item": {"type": "contact", "id": "1"}}}',
        b'{"type": "notification_event", "topic": "conversation.admin.assigned", "data": {"item": {"id": "1"}}}',
    )


class TestSunshine(Own):
    source = SunshineSource()
    payloads = load(PAYLOADS / "sunshine")
    signs_body = False
    unknown = (b'{"events": [{"id": "e", "type": "conversation:read", "payload": {}}]}',)


class TestBotpress(Own):
    source = BotpressSource()
    payloads = load(PAYLOADS / "botpress")
    signs_body = False
    unknown = (b'{"type": "webchat:trigger", "payload": {"x": 1}}', b"{}")


class TestGeneric(Own):
    source = GenericSource(**GENERIC)
    payloads = load(PAYLOADS / "generic")
    unknown = (b'{"batch": []}', b'{"batch": [{"chat": "g1"}]}', b'{"batch": [{"kind": "said"}]}')


SOURCES = [TestStandard, TestChatwoot, TestIntercom, TestSunshine, TestBotpress, TestGeneric]


def told(source: Source, name: str) -> list[Event]:
    kind = type(source).__name__.removesuffix("Source").lower()
    return source.parse((PAYLOADS / kind / f"{name}.json").read_bytes())


def turns(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.turn.role, event.turn.text) for event in events if isinstance(event, TurnAdded)]


# --- the same rows, whatever the order and the repetition -----------------------------------------------------------


def content_of(db: Database) -> list[Any]:
    with db.read() as session:
        found = [
            [t.external_id, t.role, t.text, t.at, t.removed, t.position] for t in session.execute(select(Turn)).scalars()
        ] + [[f.external_id, f.rating, f.comment, f.withdrawn] for f in session.execute(select(Feedback)).scalars()]
        closed = [[c.external_id, c.closed] for c in session.execute(select(Conversation)).scalars()]
    return sorted(json.dumps(row, default=str) for row in found + closed)


@pytest.mark.parametrize("contract", SOURCES, ids=lambda contract: contract.__name__)
def test_any_order_and_repetition_of_deliveries_gives_the_same_rows(db: Database, contract: type[Own]) -> None:
    parsed = [contract.source.parse(body) for body in contract.payloads]
    found = []
    for seed in range(6):
        rng = Random(seed)
        with db.write() as session:
            for model in (Feedback, Turn, Conversation):
                session.execute(delete(model))
        order = [*range(len(parsed)), *rng.choices(range(len(parsed)), k=3)]
        rng.shuffle(order)
        for number, i in enumerate(order):
            group = [Received("acme", Delivery(f"{seed}-{number}", None), parsed[i])]
            accept(db, group, make_redact(False, []), SETTLE, MORNING)
        found.append(content_of(db))

    assert found[0]
    assert all(one == found[0] for one in found)


# --- Chatwoot -------------------------------------------------------------------------------------------------------


def test_chatwoot_message_types_are_read_as_words_and_as_numbers() -> None:
    source = ChatwootSource()

    assert turns(told(source, "incoming")) == [("user", "Where is my parcel?")]
    assert turns(told(source, "bot_answer")) == [("bot", "Which one do you mean?\n- The blue shoes\n- The hat")]
    assert turns(told(source, "agent_answer")) == [("agent", "I will look.\n[image]")]
    assert turns(told(source, "old_form")) == [("user", "Hello")]


def test_an_agent_of_chatwoot_may_be_a_bot_by_settings() -> None:
    assert turns(told(ChatwootSource(bot_agents=[12]), "agent_answer")) == [("bot", "I will look.\n[image]")]


def test_chatwoot_deletions_ratings_and_ends_are_read() -> None:
    source = ChatwootSource()
    (deleted,), (rated,), (ended,) = told(source, "deleted"), told(source, "csat"), told(source, "resolved")

    assert isinstance(deleted, TurnRemoved)
    assert (deleted.conversation_id, deleted.turn_id, deleted.role) == ("31", "901", "user")
    assert isinstance(rated, FeedbackGiven)
    assert (rated.turn_id, rated.feedback.rating, rated.feedback.scale, rated.feedback.comment) == (
        None,
        2,
        "csat",
        "took too long",
    )
    assert isinstance(ended, ConversationClosed)


def test_chatwoot_signs_time_and_body_and_names_its_deliveries() -> None:
    body = (PAYLOADS / "chatwoot" / "incoming.json").read_bytes()
    at = str(int(NOW.timestamp()))
    signature = hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-chatwoot-signature": f"sha256={signature}", "x-chatwoot-timestamp": at, "x-chatwoot-delivery": "uuid-1"}

    assert ChatwootSource().verify(headers, body, ["s3cret"], NOW) == Delivery("uuid-1", NOW)
    with pytest.raises(Reject, match="x-chatwoot-timestamp: more than 300 s"):
        ChatwootSource().verify(headers, body, ["s3cret"], NOW + timedelta(minutes=6))


# --- Intercom -------------------------------------------------------------------------------------------------------


def test_intercom_bodies_become_text_with_their_lists_and_links() -> None:
    source = IntercomSource()

    assert turns(told(source, "created")) == [("user", "How do I get my money back?\n\n- order 12\n- order 13")]
    assert turns(told(source, "ai_answer")) == [("bot", "See Refunds (https://help.example/refunds).\nIt takes 5 days.")]
    assert turns(told(source, "replies")) == [("user", "No, a PERSON please")]
    assert turns(told(source, "old_version")) == [("user", "Hello")]


def test_intercom_ratings_of_people_and_of_the_ai_agent_are_read() -> None:
    source = IntercomSource()
    given = [
        event.feedback for event in [*told(source, "ai_answer"), *told(source, "rating")] if isinstance(event, FeedbackGiven)
    ]

    assert [(one.rating, one.scale, one.comment) for one in given] == [
        (2, "1-5", "not my question"),
        (-1, "thumb", None),
        (1, "1-5", "slow & wrong"),
    ]


def test_intercom_names_what_its_ai_agent_answered_from() -> None:
    (answer, *_) = told(IntercomSource(), "ai_answer")

    assert isinstance(answer, TurnAdded)
    assert [passage.title for passage in answer.turn.retrieval or ()] == ["Refunds"]


@pytest.mark.parametrize("name", ["redacted", "redacted_part"])
def test_intercom_redactions_remove_the_turn(name: str) -> None:
    (removed,) = told(IntercomSource(), name)

    assert isinstance(removed, TurnRemoved)
    assert (removed.conversation_id, removed.turn_id) == ("77", "p2")


def test_a_conversation_closed_in_intercom_ends_after_its_last_words() -> None:
    said, closed = told(IntercomSource(), "closed")

    assert isinstance(said, TurnAdded)
    assert isinstance(closed, ConversationClosed)


def test_a_ping_of_intercom_has_no_id_and_is_named_by_its_body() -> None:
    body, source = TestIntercom.unknown[0], IntercomSource()

    delivery = source.verify(source.scheme.sign(body, "s", "", NOW), body, ["s"], NOW)

    assert delivery.id == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain & simple", "plain & simple"),
        ("2 < 3 and 4 > 1", "2 < 3 and 4 > 1"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<p>x<script>alert(1)</script>y</p>", "xy"),
        ('<a href="https://e.example/a">https://e.example/a</a>', "https://e.example/a"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ('<img src="x" alt="a cat">', "[a cat]"),
        ("a&lt;b", "a<b"),
        ("<b>unclosed", "unclosed"),
        ("</p></li></ol></a>", ""),
    ],
)
def test_html_is_read_as_a_person_sees_it(html: str, text: str) -> None:
    assert to_text(html) == text


# --- Sunshine Conversations -----------------------------------------------------------------------------------------


def test_one_post_of_sunshine_tells_of_several_messages() -> None:
    assert turns(told(SunshineSource(), "two_at_once")) == [("user", "Do you ship to Malta?"), ("bot", "Yes.\n- How long?")]


def test_people_and_bots_of_sunshine_are_told_apart() -> None:
    assert turns(told(SunshineSource(), "agent")) == [("agent", "Ben here.")]


def test_what_holds_no_text_in_sunshine_is_named() -> None:
    assert turns(told(SunshineSource(), "no_text")) == [
        ("user", "[image]"),
        ("user", "Order: 12\nWhy: It is late"),
        ("bot", "- Blue shoes\n- Red shoes"),
    ]


def test_sunshine_deletions_remove_the_turn_and_other_events_are_counted() -> None:
    removed, other = told(SunshineSource(), "deleted")

    assert isinstance(removed, TurnRemoved)
    assert other == Ignored("user:merge")


# --- Botpress -------------------------------------------------------------------------------------------------------


def test_botpress_messages_events_and_thumbs_are_read() -> None:
    source = BotpressSource()
    _, opinion = told(source, "feedback")

    assert turns(told(source, "messages")) == [("user", "Can I change my address?"), ("bot", "Choose:\n- Yes\n- No")]
    assert turns(told(source, "event")) == [("bot", "In your account.")]
    assert isinstance(opinion, FeedbackGiven)
    assert (opinion.turn_id, opinion.feedback.rating, opinion.feedback.comment) == ("msg_3", -1, "where?")
    assert isinstance(told(source, "deleted")[0], TurnRemoved)


def test_a_thumb_taken_back_in_botpress_withdraws_the_feedback() -> None:
    content = json.loads((PAYLOADS / "botpress" / "feedback.json").read_bytes())
    content["message"]["feedback"] = {"value": None}

    _, withdrawn = BotpressSource().parse(json.dumps(content).encode())

    assert isinstance(withdrawn, FeedbackWithdrawn)
    assert withdrawn.feedback_id == "feedback-msg_3"


# --- generic --------------------------------------------------------------------------------------------------------


def test_a_generic_source_reads_what_its_settings_point_at() -> None:
    asked, answered, rated, closed = GenericSource(**GENERIC).parse((PAYLOADS / "generic" / "batch.json").read_bytes())

    assert isinstance(asked, TurnAdded)
    assert isinstance(answered, TurnAdded)
    assert isinstance(rated, FeedbackGiven)
    assert isinstance(closed, ConversationClosed)
    assert asked.turn.intent is not None
    assert (asked.turn.id, asked.turn.intent.name, asked.turn.intent.confidence, asked.turn.intent.scale) == (
        "1",
        "hours",
        0.63,
        "probability",
    )
    assert asked.turn.at == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert [(passage.score, passage.scale) for passage in answered.turn.retrieval or ()] == [(11.2, "bm25")]
    assert (rated.turn_id, rated.feedback.rating, rated.feedback.scale) == ("2", -1, "thumb")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conversation_id": "a[["}, "conversation_id: is no JMESPath"),
        ({"converstion": "a"}, "converstion: Extra inputs"),
        ({"header": None}, "header"),
        ({"signature": "none", "header": None}, "allow_unsigned"),
        ({"allow_unsigned": True}, "allow_unsigned"),
        ({"signed": "{timestamp}"}, "{body}"),
        ({"timestamp_header": None}, "timestamp_header"),
        ({"algorithm": "md5"}, "algorithm"),
        ({"turn_id": None}, "turn_id"),
        ({"roles": {"x": "robot"}}, "roles.x"),
    ],
)
def test_wrong_options_of_a_generic_source_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Reject) as refused:
        GenericSource(**{**GENERIC, **change})

    assert says in refused.value.reason


def test_zendesk_supports_signature_is_one_of_generics() -> None:
    # developer.zendesk.com/documentation/webhooks/verifying: base64 of the HMAC-SHA256 of timestamp and body, joined by nothing.
    options = {
        **GENERIC,
        "header": "X-Zendesk-Webhook-Signature",
        "timestamp_header": "X-Zendesk-Webhook-Signature-Timestamp",
    }
    body, at = b"", "2026-01-05T09:00:00Z"
    import base64

    signature = base64.b64encode(hmac.new(b"s", at.encode() + body, hashlib.sha256).digest()).decode()
    headers = {"x-zendesk-webhook-signature": signature, "x-zendesk-webhook-signature-timestamp": at}

    assert GenericSource(**options).verify(headers, body, ["s"], NOW).sent_at == NOW


# --- conversations that a platform deletes, and whose they are ------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name", "conversation"),
    [
        (StandardSource(), "removed", "gone"),
        (SunshineSource(), "removed", "conv12"),
        (IntercomSource(), "deleted", "78"),
        (BotpressSource(), "conversation_deleted", "conv_gone"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_a_deleted_conversation_is_removed(source: Source, name: str, conversation: str) -> None:
    (removed,) = told(source, name)

    assert isinstance(removed, ConversationRemoved)
    assert removed.conversation_id == conversation


def test_a_generic_source_is_told_where_a_removal_and_the_user_stand() -> None:
    source = GenericSource(**{**GENERIC, "removed": "erased", "user": "customer.id"})
    body = {
        "batch": [
            {"kind": "said", "chat": "g1", "message": {"uid": "1", "from": "customer", "body": "hi"}, "customer": {"id": 7}},
            {"chat": "g2", "erased": True},
        ]
    }

    said, removed = source.parse(json.dumps(body).encode())

    assert isinstance(said, TurnAdded)
    assert said.turn.extras == {"user_id": "7"}
    assert removed == ConversationRemoved(conversation_id="g2")


@pytest.mark.parametrize(
    ("source", "name", "user"),
    [
        (SunshineSource(), "two_at_once", "u1"),
        (IntercomSource(), "replies", "u1"),
        (ChatwootSource(), "incoming", "8"),
        (BotpressSource(), "message", "user_1"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_a_user_said_names_them_by_the_platforms_id(source: Source, name: str, user: str) -> None:
    said = [event.turn for event in told(source, name) if isinstance(event, TurnAdded)]

    assert {turn.extras.get("user_id") for turn in said if turn.role == "user"} == {user}
    assert all("user_id" not in turn.extras for turn in said if turn.role != "user")


# --- removed turns and feedback that is taken back ------------------------------------------------------------------


def test_removed_text_leaves_the_rows_and_a_late_telling_does_not_bring_it_back(db: Database) -> None:
    source = ChatwootSource()
    for number, name in enumerate(["deleted", "incoming", "bot_answer", "deleted", "incoming"]):
        accept(db, [Received("cw", Delivery(str(number), None), told(source, name))], make_redact(False, []), SETTLE, MORNING)

    found = {turn.external_id: (turn.removed, turn.role, turn.text) for turn in rows_of(db, Turn)}

    assert found["901"] == (True, "user", "")
    assert found["902"][0] is False
