"""Intercom's notifications of conversations.

Signed with the app's client secret: `X-Hub-Signature: sha1=<hex HMAC-SHA1 of the body>`. No time is signed; the
notification's own `id` names the delivery.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import ValidationError

from connectors.events import (
    ConversationClosed,
    ConversationRemoved,
    Delivery,
    Event,
    Feedback,
    FeedbackGiven,
    Ignored,
    Passage,
    Role,
    Turn,
    TurnAdded,
    TurnRemoved,
    of_user,
)
from connectors.html_text import to_text
from connectors.reading import Moment, Wire, name_of, read
from connectors.signatures import WINDOW, Hmac, Scheme, delivery_id

_ROLES: dict[str, Role] = {"user": "user", "lead": "user", "contact": "user", "bot": "bot", "admin": "agent", "team": "agent"}
_SILENT = ("note", "note_and_reopen")


class _Author(Wire):
    id: str | None = None
    type: str | None = None


class _Attachment(Wire):
    type: str | None = None


class _Part(Wire):
    id: str | None = None
    part_type: str | None = None
    body: str | None = None
    created_at: Moment = None
    updated_at: Moment = None
    author: _Author | None = None
    attachments: list[_Attachment] | None = None
    redacted: bool | None = None


class _Parts(Wire):
    conversation_parts: tuple[_Part, ...] = ()


class _Rating(Wire):
    rating: float | None = None
    remark: str | None = None
    created_at: Moment = None
    updated_at: Moment = None


class _Content(Wire):
    url: str | None = None
    title: str | None = None


class _Contents(Wire):
    content_sources: tuple[_Content, ...] = ()


class _AiAgent(Wire):
    last_answer_type: str | None = None
    resolution_state: str | None = None
    rating: float | None = None
    rating_remark: str | None = None
    created_at: Moment = None
    updated_at: Moment = None
    content_sources: _Contents | None = None


class _Link(Wire):
    id: str | None = None


class _Item(_Part):
    type: str | None = None
    conversation_id: str | None = None
    conversation: _Link | None = None
    conversation_message: _Part | None = None
    source: _Part | None = None
    conversation_parts: _Parts | None = None
    conversation_rating: _Rating | None = None
    ai_agent: _AiAgent | None = None


class _Data(Wire):
    item: _Item | None = None


class _Notification(Wire):
    topic: str | None = None
    data: _Data | None = None


class _Named(Wire):
    id: str | None = None


class IntercomSource:
    def __init__(self, replay_window: timedelta = WINDOW) -> None:
        """Intercom signs no time: the window has nothing to look at."""
        self.scheme: Scheme = Hmac("x-hub-signature", algorithm="sha1", prefix="sha1=")

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Delivery:
        sent_at = self.scheme.verify(headers, body, secrets, now)
        try:
            told = _Named.model_validate_json(body).id
        except ValidationError:  # `parse` says what is wrong with it
            told = None
        return Delivery(delivery_id(told, body), sent_at)

    def parse(self, body: bytes) -> list[Event]:
        return read(_Notification, body, _tell)

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        at = int(now.timestamp())
        item = {
            "type": "conversation",
            "id": conversation_id,
            "created_at": at,
            "source": {"id": f"{conversation_id}-1", "body": "<p>Is this a test?</p>", "author": {"type": "user"}},
            "conversation_parts": {
                "conversation_parts": [
                    {
                        "id": f"{conversation_id}-2",
                        "part_type": "comment",
                        "body": "<p>Yes, this is a test delivery.</p>",
                        "created_at": at,
                        "author": {"type": "bot"},
                    }
                ]
            },
        }
        sent = {"type": "notification_event", "id": f"notif_{conversation_id}", "topic": "conversation.user.created"}
        return json.dumps({**sent, "data": {"type": "notification_event_data", "item": item}}).encode()


def _tell(told: _Notification) -> Iterator[Event]:
    topic = told.topic or ""
    item = told.data.item if told.data else None
    if item is None or not topic.startswith("conversation"):
        yield Ignored(name_of(told.topic))
        return
    if topic == "conversation.deleted":
        yield ConversationRemoved(conversation_id=item.id or item.conversation_id or "")
        return
    if item.type == "conversation_part":  # some redactions name the part alone
        conversation = item.conversation_id or (item.conversation.id if item.conversation else None)
        yield from _part(conversation or "", item, (), redacted=topic.endswith(".redacted"))
        return
    found = list(_conversation(item, topic))
    yield from found or [Ignored(name_of(told.topic))]


def _conversation(item: _Item, topic: str) -> Iterator[Event]:
    conversation = item.id or ""
    opening = item.source or item.conversation_message
    parts = item.conversation_parts.conversation_parts if item.conversation_parts else ()
    if opening is not None and opening.id:
        at = opening.created_at or item.created_at
        yield from _part(conversation, opening.model_copy(update={"created_at": at}), ())
    said_by_bot = [part.id for part in parts if part.author and part.author.type == "bot" and part.body]
    passages = _passages(item.ai_agent)
    for part in parts:
        yield from _part(conversation, part, passages if said_by_bot and part.id == said_by_bot[-1] else ())
    if (rating := item.conversation_rating) is not None and (rating.rating is not None or rating.remark):
        at = rating.updated_at or rating.created_at
        yield _rating(conversation, "conversation_rating", rating.rating, "1-5", rating.remark, at)
    if item.ai_agent is not None:
        yield from _judged(conversation, item.ai_agent)
    if topic.endswith(".closed"):
        yield ConversationClosed(conversation_id=conversation, at=item.updated_at)


def _part(conversation: str, part: _Part, passages: Sequence[Passage], redacted: bool = False) -> Iterator[Event]:
    role = _ROLES.get((part.author.type or "") if part.author else "")
    if part.part_type in _SILENT or not part.id:
        return
    if redacted or part.redacted:
        yield TurnRemoved(conversation_id=conversation, turn_id=part.id, role=role)
        return
    text = "\n".join(
        filter(None, (to_text(part.body or ""), *(f"[{one.type or 'attachment'}]" for one in part.attachments or ())))
    )
    if role is None or not text:  # assignments, snoozes and the like
        return
    user = of_user(part.author.id) if part.author and role == "user" else {}
    turn = Turn(id=part.id, role=role, text=text, at=part.created_at, retrieval=tuple(passages) or None, metadata=user)
    yield TurnAdded(conversation_id=conversation, turn=turn)


def _judged(conversation: str, agent: _AiAgent) -> Iterator[Event]:
    """The user's own word on the AI agent: a rating, or the buttons under its answer."""
    at = agent.updated_at or agent.created_at
    if agent.rating is not None or agent.rating_remark:
        yield _rating(conversation, "ai_agent_rating", agent.rating, "1-5", agent.rating_remark, at)
    thumb = {"negative_feedback": -1.0, "confirmed_resolution": 1.0}.get(agent.resolution_state or "")
    if thumb is not None:
        yield _rating(conversation, "ai_agent_resolution", thumb, "thumb", None, at)


def _rating(
    conversation: str, id: str, rating: float | None, scale: Literal["1-5", "thumb"], comment: str | None, at: datetime | None
) -> Event:
    feedback = Feedback(id=id, rating=rating, scale=scale, comment=to_text(comment) if comment else None, at=at)
    return FeedbackGiven(conversation_id=conversation, feedback=feedback)


def _passages(agent: _AiAgent | None) -> list[Passage]:
    """What the AI agent's answer was made from; Intercom sends titles and addresses, and no scores."""
    found = agent.content_sources.content_sources if agent and agent.content_sources else ()
    return [Passage(id=one.url, title=one.title) for one in found if one.url or one.title]
