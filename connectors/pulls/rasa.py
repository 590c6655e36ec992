"""What Rasa writes of a conversation, the same in its tracker store, its HTTP API and its event broker.

Shapes: rasa/shared/core/events.py and the fixture data/test_trackers/tracker_moodbot.json of RasaHQ/rasa; trackers of a
deployed bot (RasaHQ/helpdesk-assistant). Of a conversation's events `user`, `bot` and `agent` become turns. `action` events
say which action an answer came from and whether the bot fell back; slots, forms, sessions and restarts tell nothing.
A rewind takes a user's words out of the bot's memory, not out of what was said: the turn stays.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, ValidationError

from connectors.errors import Reject, explain
from connectors.events import Event, Intent, RankedIntent, Turn, TurnAdded
from connectors.pulls.base import Sent, at_unix, read_sent, told

CORE_FALLBACK = "action_default_fallback"
PROBABILITY = "probability"
READ = {"user", "bot", "agent", "action"}


class _Kind(Sent):
    event: str


class _Named(Sent):
    name: str | None = None
    confidence: float | None = None


class _Command(Sent):
    """What CALM's model decided to do, instead of an intent; the rest of a command depends on its kind."""

    model_config = ConfigDict(extra="allow")

    command: str | None = None
    flow: str | None = None


class _Parsed(Sent):
    intent: _Named | None = None
    intent_ranking: list[_Named] | None = None
    commands: list[_Command] | None = None


class _Data(Sent):
    buttons: list[dict[str, Any]] | None = None
    image: Any = None
    attachment: Any = None
    custom: Any = None


class RasaEvent(Sent):
    """One event; of kinds that we do not read only `event` is filled."""

    event: str
    timestamp: float | None = None
    sender_id: str | None = None
    text: str | None = None
    message_id: str | None = None
    input_channel: str | None = None
    parse_data: _Parsed | None = None
    data: _Data | None = None
    name: str | None = None
    policy: str | None = None
    confidence: float | None = None


class _Tracker(Sent):
    sender_id: str
    events: list[Any] | None = None


def parse_tracker(body: bytes) -> list[Event]:
    """The turns of a tracker, or of a part of one that begins with a user's message."""
    tracker = read_sent(_Tracker, body)
    return told(lambda: turns_of(tracker.sender_id, [_event(one, place) for place, one in enumerate(tracker.events or ())]))


def parse_event(body: bytes) -> list[Event]:
    """The turn of one event as the broker sends it."""
    return told(lambda: turns_of(None, [read_event(body)]))


def read_event(body: bytes) -> RasaEvent:
    """One event as the broker sends it; of kinds that tell nothing only the kind is read.

    Raises
    ------
    Reject
        It is none.
    """
    kind = read_sent(_Kind, body)
    return read_sent(RasaEvent, body) if kind.event in READ else RasaEvent(event=kind.event)


def _event(sent: Any, place: int) -> RasaEvent:
    if isinstance(sent, dict) and isinstance(kind := sent.get("event"), str) and kind not in READ:
        return RasaEvent(event=kind)
    try:
        return RasaEvent.model_validate(sent)
    except ValidationError as error:
        raise Reject(f"events.{place}.{explain(error)}") from error


def turns_of(sender: str | None, events: list[RasaEvent], retold: bool = False) -> list[Event]:
    """The turns of one conversation's events, in their order.

    `retold`: its first user turn was told before; where a fallback after it changes it, this telling counts.
    """
    turns: list[Event] = []
    users: dict[int, int] = {}
    for place, event in enumerate(events):
        if event.event in ("user", "bot", "agent") and (added := _turn(sender, event, _action_before(events, place))):
            if event.event == "user":
                users[place] = len(turns)
            turns.append(added)
        elif event.event == "action" and event.name == CORE_FALLBACK and users:
            asked = max(users)
            first = turns[users[asked]]
            assert isinstance(first, TurnAdded)
            turns[users[asked]] = _fallen_back(first, at_unix(event.timestamp) if retold and event.timestamp else None)
    return turns


def _turn(sender: str | None, event: RasaEvent, action: RasaEvent | None) -> TurnAdded | None:
    conversation = event.sender_id or sender
    if not conversation:
        raise Reject("sender_id: missing")
    if event.timestamp is None:
        raise Reject("timestamp: missing")
    text = event.text or _without_text(event.data)
    if text is None:
        return None
    details: dict[str, Any] = {}
    if event.event == "bot" and action is not None:
        details = {"action": action.name, "policy": action.policy}
    buttons = [button["title"] for button in (event.data and event.data.buttons) or () if isinstance(button.get("title"), str)]
    if buttons:
        details["buttons"] = buttons
    return TurnAdded(
        conversation_id=conversation,
        channel=event.input_channel or None,
        turn=Turn(
            id=_id(event, conversation),
            role="user" if event.event == "user" else "bot" if event.event == "bot" else "agent",
            text=text,
            at=at_unix(event.timestamp),
            intent=_intent(event.parse_data) if event.event == "user" and event.parse_data else None,
            metadata={name: value for name, value in details.items() if value is not None},
        ),
    )


def _id(event: RasaEvent, conversation: str) -> str:
    """The message's id; where Rasa gives none, one that the same event always gives, whichever way it came."""
    if event.event == "user" and event.message_id:
        return event.message_id[:200]
    said = json.dumps([conversation, event.timestamp, event.event, event.text], ensure_ascii=True).encode()
    return f"{event.event}-{event.timestamp!r}-{hashlib.sha256(said).hexdigest()[:8]}"


def _action_before(events: list[RasaEvent], place: int) -> RasaEvent | None:
    """The action that an answer came from: the last one since the user spoke."""
    for before in reversed(events[:place]):
        if before.event == "action":
            return before
        if before.event == "user":
            return None
    return None


def _without_text(data: _Data | None) -> str | None:
    """What stands for an answer that is no text: the words in a custom payload, or its kind."""
    if data is None:
        return None
    for kind, value in (("custom", data.custom), ("image", data.image), ("attachment", data.attachment)):
        if value:
            words = [value[key] for key in ("text", "title", "message") if isinstance(value, dict) and value.get(key)]
            return next((word for word in words if isinstance(word, str)), f"[{kind}]")
    return None


def _intent(parsed: _Parsed) -> Intent | None:
    ranking = tuple(
        RankedIntent(name=one.name, confidence=one.confidence) for one in parsed.intent_ranking or () if one.name is not None
    )
    name = parsed.intent.name if parsed.intent else None
    if name is None and parsed.commands:
        return Intent(name=_command(parsed.commands), metadata={"commands": [one.model_dump() for one in parsed.commands]})
    if name is None and not ranking:
        return None
    confidence = parsed.intent.confidence if parsed.intent and name is not None else None
    return Intent(name=name, confidence=confidence, scale=PROBABILITY, ranking=ranking)


def _command(commands: list[_Command]) -> str | None:
    """CALM has no intents: what it set out to do takes their place."""
    first = commands[0]
    if first.command == "cannot handle":
        return "fallback"
    return " ".join(filter(None, (first.command, first.flow))) or None


def _fallen_back(asked: TurnAdded, retold_at: datetime | None) -> TurnAdded:
    before = asked.turn.intent or Intent()
    intent = Intent(
        name=CORE_FALLBACK,
        scale=before.scale,
        ranking=before.ranking or ((RankedIntent(name=before.name, confidence=before.confidence),) if before.name else ()),
        metadata={"predicted": before.name} if before.name else {},
    )
    return asked.model_copy(update={"turn": asked.turn.model_copy(update={"intent": intent, "edited_at": retold_at})})
