"""Botpress: messages as its client's API spells them, sent by a hook of the bot.

The shared secret comes in `x-bp-secret`, as Botpress's own webhook integration does it; nothing is signed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from connectors.events import (
    ConversationClosed,
    ConversationRemoved,
    Delivery,
    Event,
    Feedback,
    FeedbackGiven,
    FeedbackWithdrawn,
    Ignored,
    Role,
    Turn,
    TurnAdded,
    TurnRemoved,
    of_user,
)
from connectors.reading import Moment, Wire, name_of, read
from connectors.signatures import WINDOW, Scheme, SharedHeader, Unsigned, delivery_id

MAX_MESSAGES = 10_000
_THUMBS = {"positive": 1.0, "negative": -1.0, "up": 1.0, "down": -1.0}


class _Choice(Wire):
    label: str | None = None
    title: str | None = None


class _Content(Wire):
    text: str | None = None
    markdown: str | None = None
    title: str | None = None
    options: list[_Choice] | None = None


class _Opinion(Wire):
    value: str | None = None
    comment: str | None = None


class _Message(Wire):
    id: str | None = None
    conversationId: str | None = None
    userId: str | None = None
    createdAt: Moment = None
    updatedAt: Moment = None
    type: str | None = None
    direction: str | None = None
    payload: _Content | None = None
    preview: str | None = None
    feedback: _Opinion | None = None


class _Carried(Wire):
    message: _Message | None = None
    messageId: str | None = None
    conversationId: str | None = None


class _Envelope(Wire):
    """A message alone, several, or an event that carries one."""

    id: str | None = None
    type: str | None = None
    conversationId: str | None = None
    direction: str | None = None
    createdAt: Moment = None
    message: _Message | None = None
    messages: Annotated[list[_Message], Field(max_length=MAX_MESSAGES)] | None = None
    payload: dict[str, Any] | None = None


class BotpressSource:
    def __init__(self, replay_window: timedelta = WINDOW, *, allow_unsigned: bool = False) -> None:
        self.scheme: Scheme = Unsigned() if allow_unsigned else SharedHeader("x-bp-secret")

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        return Delivery(delivery_id(None, body), self.scheme.verify(headers, body, secrets, now))

    def parse(self, body: bytes) -> list[Event]:
        return read(_Envelope, body, lambda told: _tell(told, body))

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        said = [("incoming", "Is this a test?"), ("outgoing", "Yes, this is a test delivery.")]
        messages = [
            {
                "id": f"{conversation_id}-m{place}",
                "conversationId": conversation_id,
                "createdAt": now.isoformat(),
                "type": "text",
                "direction": direction,
                "payload": {"text": text},
            }
            for place, (direction, text) in enumerate(said)
        ]
        return json.dumps({"messages": messages}).encode()


def _tell(told: _Envelope, body: bytes) -> Iterator[Event]:
    if told.messages is not None:
        for message in told.messages:
            yield from _message(message)
    elif told.message is not None:
        yield from _message(told.message)
    elif told.direction is not None:
        yield from _message(_Message.model_validate_json(body))
    else:
        carried = _Carried.model_validate(told.payload or {})
        if carried.message is not None and told.type in ("message_created", "message_updated"):
            yield from _message(carried.message)
        elif carried.messageId and told.type == "message_deleted":
            conversation = carried.conversationId or told.conversationId or ""
            yield TurnRemoved(conversation_id=conversation, turn_id=carried.messageId)
        elif told.type == "conversation_closed" and (carried.conversationId or told.conversationId):
            yield ConversationClosed(conversation_id=carried.conversationId or told.conversationId or "", at=told.createdAt)
        elif told.type == "conversation_deleted" and (carried.conversationId or told.conversationId):
            yield ConversationRemoved(conversation_id=carried.conversationId or told.conversationId or "")
        else:
            yield Ignored(name_of(told.type))


def _message(message: _Message) -> Iterator[Event]:
    role: Role | None = {"incoming": "user", "outgoing": "bot"}.get(message.direction or "")  # type: ignore[assignment]
    if role is None:
        yield Ignored(f"message {name_of(message.direction)}")
        return
    conversation = message.conversationId or ""
    user = of_user(message.userId) if role == "user" else {}
    turn = Turn(
        id=message.id, role=role, text=_text(message), at=message.createdAt, edited_at=_edited(message), metadata=user
    )  # fmt: skip
    yield TurnAdded(conversation_id=conversation, turn=turn)
    if message.feedback is not None:
        yield _opinion(conversation, message, message.feedback)


def _opinion(conversation: str, message: _Message, given: _Opinion) -> Event:
    key, at = f"feedback-{message.id}", message.updatedAt or message.createdAt
    thumb = _THUMBS.get(given.value or "")
    if thumb is None and not given.comment:
        return FeedbackWithdrawn(conversation_id=conversation, feedback_id=key, at=at)
    feedback = Feedback(id=key, rating=thumb, scale="thumb", comment=given.comment or None, at=at)
    return FeedbackGiven(conversation_id=conversation, turn_id=message.id, feedback=feedback)


def _edited(message: _Message) -> datetime | None:
    """A message is new at first: its two times are the same."""
    return message.updatedAt if message.updatedAt != message.createdAt else None


def _text(message: _Message) -> str:
    told = message.payload or _Content()
    parts = [told.text or told.markdown or told.title or message.preview or ""]
    parts += [f"- {choice.label or choice.title}" for choice in told.options or () if choice.label or choice.title]
    return "\n".join(part for part in parts if part) or f"[{(message.type or 'no text')[:40]}]"
