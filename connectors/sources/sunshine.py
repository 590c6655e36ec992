"""Zendesk Sunshine Conversations, webhooks of version 2: several events in one request.

The webhook's secret comes in `X-API-Key`, nothing is signed; `events[].id` names what was sent.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, ValidationError

from connectors.events import ConversationRemoved, Delivery, Event, Ignored, Role, Turn, TurnAdded, TurnRemoved, of_user
from connectors.reading import Moment, Wire, name_of, read
from connectors.signatures import WINDOW, Scheme, SharedHeader, delivery_id

MAX_EVENTS = 10_000
_AGENTS = ("zd:agentworkspace", "zd:support")
_NO_TEXT = {"image": "image", "file": "file", "location": "location", "carousel": "carousel", "list": "list", "form": "form"}


class _Field(Wire):
    label: str | None = None
    name: str | None = None
    text: str | None = None
    email: str | None = None
    select: list[Any] | None = None


class _Choice(Wire):
    title: str | None = None
    text: str | None = None


class _Content(Wire):
    type: str | None = None
    text: str | None = None
    altText: str | None = None
    items: list[_Choice] | None = None
    actions: list[_Choice] | None = None
    fields: list[_Field] | None = None


class _Author(Wire):
    type: str | None = None
    userId: str | None = None
    subtypes: list[str] | None = None


class _Channel(Wire):
    type: str | None = None
    integrationId: str | None = None


class _Message(Wire):
    id: str | None = None
    received: Moment = None
    content: _Content | None = None
    author: _Author | None = None
    source: _Channel | None = None
    deleted: bool | None = None


class _Conversation(Wire):
    id: str | None = None


class _Payload(Wire):
    conversation: _Conversation | None = None
    message: _Message | None = None


class _Sent(Wire):
    id: str | None = None
    type: str | None = None
    createdAt: Moment = None
    payload: _Payload | None = None


class _Body(Wire):
    events: Annotated[list[_Sent], Field(max_length=MAX_EVENTS)]


class _Ids(Wire):
    events: list[_Conversation]


class SunshineSource:
    """`agent_integrations`: ids of integrations by which people answer; other answers of the business are the bot's."""

    def __init__(self, replay_window: timedelta = WINDOW, *, agent_integrations: Sequence[str] = ()) -> None:
        self.scheme: Scheme = SharedHeader("x-api-key")
        self._agents = set(agent_integrations)

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        self.scheme.verify(headers, body, secrets, now)
        try:
            ids = [event.id for event in _Ids.model_validate_json(body).events]
        except ValidationError:  # `parse` says what is wrong with it
            ids = []
        named = [one for one in ids if one]
        if not named or len(named) < len(ids):
            return Delivery(delivery_id(None, body), None)
        return Delivery(named[0] if len(named) == 1 else hashlib.sha256("\n".join(named).encode()).hexdigest(), None)

    def parse(self, body: bytes) -> list[Event]:
        return read(_Body, body, self._tell)

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        said = [("user", "Is this a test?"), ("business", "Yes, this is a test delivery.")]
        events = [
            {
                "id": f"{conversation_id}-e{place}",
                "type": "conversation:message",
                "createdAt": now.isoformat(),
                "payload": {
                    "conversation": {"id": conversation_id, "type": "personal"},
                    "message": {
                        "id": f"{conversation_id}-m{place}",
                        "received": now.isoformat(),
                        "content": {"type": "text", "text": text},
                        "author": {"type": author},
                    },
                },
            }
            for place, (author, text) in enumerate(said)
        ]
        return json.dumps({"app": {"id": "test"}, "webhook": {"id": "test", "version": "v2"}, "events": events}).encode()

    def _tell(self, told: _Body) -> Iterator[Event]:
        for sent in told.events:
            message = sent.payload.message if sent.payload else None
            if sent.type == "conversation:remove":
                gone = sent.payload.conversation if sent.payload else None
                yield ConversationRemoved(conversation_id=(gone.id if gone else None) or "")
                continue
            if sent.type != "conversation:message" or message is None:
                yield Ignored(name_of(sent.type))
                continue
            about = (sent.payload.conversation if sent.payload else None) or _Conversation()
            conversation, role = about.id or "", self._role(message)
            if message.deleted:
                yield TurnRemoved(conversation_id=conversation, turn_id=message.id or "", role=role)
                continue
            at = message.received or sent.createdAt
            user = of_user(message.author.userId) if message.author and role == "user" else {}
            turn = Turn(id=message.id, role=role, text=_text(message.content or _Content()), at=at, metadata=user)
            channel = message.source.type if message.source and role == "user" else None
            yield TurnAdded(conversation_id=conversation, turn=turn, channel=channel)

    def _role(self, message: _Message) -> Role:
        author, source = message.author or _Author(), message.source or _Channel()
        if author.type == "user":
            return "user"
        if any(one.lower() in ("ai", "bot") for one in author.subtypes or ()):
            return "bot"
        people = (source.type or "").lower() in _AGENTS or (source.integrationId or "") in self._agents
        return "agent" if people else "bot"


def _text(content: _Content) -> str:
    """Words where there are any; else what kind of thing was sent."""
    parts = [content.text or content.altText or ""]
    for choice in (*(content.items or ()), *(content.actions or ())):
        if choice.title or choice.text:
            parts.append(f"- {choice.title or choice.text}")
    for field in content.fields or ():
        if content.type == "formResponse":
            chosen = [str(one.get("label") or one.get("name")) for one in field.select or () if isinstance(one, dict)]
            parts.append(f"{field.label or field.name or 'field'}: {field.text or field.email or ', '.join(chosen)}")
    return "\n".join(part for part in parts if part) or f"[{_NO_TEXT.get(content.type or '', content.type or 'no text')[:40]}]"
