"""Chatwoot's account, inbox and agent-bot webhooks.

Signed since 4.11: `X-Chatwoot-Signature: sha256=<hex HMAC-SHA256 of "timestamp.body">` with `X-Chatwoot-Timestamp`; the id
is `X-Chatwoot-Delivery`. Older versions, and agent-bot hooks, sign nothing: `allow_unsigned`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from connectors.events import (
    ConversationClosed,
    Delivery,
    Event,
    Feedback,
    FeedbackGiven,
    Ignored,
    Role,
    Turn,
    TurnAdded,
    TurnRemoved,
    of_user,
)
from connectors.reading import Moment, Wire, name_of, read
from connectors.signatures import WINDOW, Hmac, Scheme, Unsigned, delivery_id

# The same four, as a word at the top of an event and as a number inside a conversation's messages.
_TYPES: dict[str | int, str] = {0: "incoming", 1: "outgoing", 2: "activity", 3: "template"}
_BOTS = ("agent_bot", "agentbot", "captain_assistant")
_CLOSING = ("conversation_resolved", "conversation_status_changed")


class _Sender(Wire):
    id: str | None = None
    type: str | None = None


class _Survey(Wire):
    rating: float | None = None
    feedback_message: str | None = None


class _Submitted(Wire):
    csat_survey_response: _Survey | None = None


class _Item(Wire):
    title: str | None = None


class _Attributes(Wire):
    deleted: bool = False
    # A form's answers stand here as a list, a rating's as an object.
    submitted_values: _Submitted | list[Any] | None = None
    items: list[_Item] | None = None


class _Attachment(Wire):
    file_type: str | None = None


class _Conversation(Wire):
    id: str | None = None
    display_id: str | None = None
    channel: str | None = None
    timestamp: Moment = None
    updated_at: Moment = None


class _Payload(Wire):
    event: str | None = None
    id: str | None = None
    status: str | None = None
    content: str | None = None
    content_type: str | None = None
    content_attributes: _Attributes | None = None
    message_type: Literal[0, 1, 2, 3] | str | None = None
    private: bool | None = None
    created_at: Moment = None
    updated_at: Moment = None
    timestamp: Moment = None
    sender: _Sender | None = None
    sender_type: str | None = None
    attachments: list[_Attachment] | None = None
    conversation: _Conversation | None = None


class ChatwootSource:
    """`bot_agents`: ids of agents that are bots, where a bot answers by an agent's access token."""

    def __init__(
        self, replay_window: timedelta = WINDOW, *, allow_unsigned: bool = False, bot_agents: Sequence[int | str] = ()
    ) -> None:
        signed = Hmac(
            "x-chatwoot-signature",
            prefix="sha256=",
            signed="{timestamp}.{body}",
            timestamp_header="x-chatwoot-timestamp",
            window=replay_window,
        )
        self.scheme: Scheme = Unsigned() if allow_unsigned else signed
        self._bots = {str(one) for one in bot_agents}

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        sent_at = self.scheme.verify(headers, body, secrets, now)
        return Delivery(delivery_id(headers.get("x-chatwoot-delivery"), body), sent_at)

    def parse(self, body: bytes) -> list[Event]:
        return read(_Payload, body, self._tell)

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        message = {
            "event": "message_created",
            "id": f"{conversation_id}-1",
            "content": "Is this a test?",
            "message_type": "incoming",
            "content_type": "text",
            "created_at": now.isoformat(),
            "private": False,
            "sender": {"id": 1, "type": "contact"},
            "conversation": {"id": conversation_id, "channel": "Channel::WebWidget"},
        }
        return json.dumps(message).encode()

    def _tell(self, told: _Payload) -> Iterator[Event]:
        if told.event in ("message_created", "message_updated"):
            yield from self._message(told)
        elif told.event in _CLOSING and told.status in (None, "resolved") and told.id:
            yield ConversationClosed(conversation_id=told.id, at=told.updated_at or told.timestamp)
        else:
            yield Ignored(name_of(told.event))

    def _message(self, told: _Payload) -> Iterator[Event]:
        about = told.conversation or _Conversation()
        conversation = about.id or about.display_id or ""
        kind = _TYPES.get(told.message_type, told.message_type) if told.message_type is not None else None
        attributes = told.content_attributes or _Attributes()
        if told.content_type == "input_csat":
            yield _rating(told, attributes, conversation, about)
        elif told.private:
            yield Ignored("private note")
        elif kind not in ("incoming", "outgoing"):
            yield Ignored(f"{name_of(kind)} message")
        elif attributes.deleted:
            yield TurnRemoved(conversation_id=conversation, turn_id=told.id or "", role=self._role(told, kind))
        else:
            user = of_user(told.sender.id) if told.sender and kind == "incoming" else {}
            role = self._role(told, kind)
            turn = Turn(id=told.id, role=role, text=_text(told, attributes), at=told.created_at, metadata=user)
            yield TurnAdded(conversation_id=conversation, turn=turn, channel=about.channel)

    def _role(self, told: _Payload, kind: str) -> Role:
        if kind == "incoming":
            return "user"
        sender = told.sender or _Sender()
        type_ = (sender.type or told.sender_type or "").lower()
        if sender.id in self._bots or type_ in _BOTS or sender.id is None:
            return "bot"
        return "agent"


def _rating(told: _Payload, attributes: _Attributes, conversation: str, about: _Conversation) -> Event:
    submitted = attributes.submitted_values
    given = submitted.csat_survey_response if isinstance(submitted, _Submitted) else None
    if given is None or (given.rating is None and not given.feedback_message):
        return Ignored("survey without an answer")
    # A survey's message keeps its time; that of the conversation moves on, so that a changed rating is the later one.
    at = told.updated_at or about.updated_at or about.timestamp or told.created_at
    feedback = Feedback(id=f"csat-{told.id}", rating=given.rating, scale="csat", comment=given.feedback_message or None, at=at)
    return FeedbackGiven(conversation_id=conversation, feedback=feedback)


def _text(told: _Payload, attributes: _Attributes) -> str:
    parts = [told.content or ""]
    parts += [f"- {item.title}" for item in attributes.items or () if item.title]
    parts += [f"[{one.file_type or 'attachment'}]" for one in told.attachments or ()]
    return "\n".join(part for part in parts if part)
