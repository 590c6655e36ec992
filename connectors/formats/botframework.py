"""Bot Framework transcripts (.transcript): an array of activities, by the Activity schema (microsoft/botframework-sdk,
specs/botframework-activity) with traces of the LUIS and QnA Maker recognizers."""

import json
from collections.abc import Iterator
from typing import IO, Any

from connectors.errors import Reject
from connectors.formats.base import Read, items, validated

_GOOD = {"like", "heart", "laugh", "plusone", "thumbsup"}
_BAD = {"dislike", "sad", "angry", "thumbsdown"}
_MESSAGES = ("message", "messageUpdate", "messageDelete")
_UNSURE = {"", "None"}


def read_transcript(opened: IO[bytes]) -> Iterator[Read]:
    """A conversation for each stretch of activities with the same conversation id."""
    open_one: _Conversation | None = None
    counts: dict[str, int] = {}
    number = size = 0
    for number, activity, read in items(opened, "item"):
        size += read
        if isinstance(activity, Reject):
            yield Read(number, activity)
            continue
        name = _inner(activity, "conversation", "id")
        if not isinstance(name, str) or not name:
            yield Read(number, Reject("conversation.id: missing; each activity of a transcript names its conversation"))
            continue
        if open_one is not None and open_one.id != name:
            yield open_one.read(number - 1, size, counts)
            open_one, size = None, 0
        open_one = open_one or _Conversation(name)
        if (complaint := open_one.take(activity)) is not None:
            yield Read(number, complaint)
    if open_one is not None:
        yield open_one.read(number, size, counts)


class _Conversation:
    """The activities of one conversation, put together."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.turns: dict[str, dict[str, Any]] = {}
        self.channel: str | None = None
        self.closed = False
        self._found: list[dict[str, Any]] | None = None
        """What was retrieved for the bot's next message."""

    def read(self, number: int, size: int, counts: dict[str, int]) -> Read:
        first = counts.get(self.id, 0)
        counts[self.id] = first + len(self.turns)
        told = {"id": self.id, "turns": list(self.turns.values()), "channel": self.channel, "closed": self.closed}
        return Read(number, validated(told), size, first)

    def take(self, activity: dict[str, Any]) -> Reject | None:
        kind = activity.get("type")
        if isinstance(activity.get("channelId"), str):
            self.channel = activity["channelId"]
        if kind in _MESSAGES:
            return self._message(activity, str(kind))
        if kind == "trace":
            self._trace(activity.get("value"))
        elif kind == "messageReaction":
            for reaction in _dicts(activity.get("reactionsRemoved")):
                self._withdraw(activity, reaction.get("type"))
            for reaction in _dicts(activity.get("reactionsAdded")):
                self._rate(activity, reaction.get("type"), None)
        elif kind == "invoke":
            self._invoked(activity)
        elif kind == "endOfConversation":
            self.closed = True
        return None

    def _message(self, activity: dict[str, Any], kind: str) -> Reject | None:
        role = _role(activity)
        turn_id = activity.get("id")
        turn_id = turn_id if isinstance(turn_id, str) and turn_id else f"#{len(self.turns) + 1}"
        if kind == "messageDelete":
            self.turns.pop(turn_id, None)
            return None
        if role is None:
            return Reject("from.role: neither 'user' nor 'bot', and the name does not tell")
        text = _text(activity)
        if not text:
            return None
        turn = {**self.turns.get(turn_id, {}), "id": turn_id, "role": role, "text": text}
        turn["edited_at" if kind == "messageUpdate" else "at"] = activity.get("timestamp")
        if role == "bot" and self._found is not None:
            turn["retrieval"], self._found = self._found, None
        self.turns[turn_id] = turn
        return None

    def _trace(self, value: Any) -> None:
        if not isinstance(value, dict):
            return
        result = value.get("recognizerResult", value)
        if isinstance(result, dict) and isinstance(result.get("intents"), dict):
            asked = next((turn for turn in reversed(self.turns.values()) if turn["role"] == "user"), None)
            ranking = [
                {"name": name, "confidence": score}
                for name, told in result["intents"].items()
                if name not in _UNSURE and isinstance(score := _inner(told, "score"), int | float)
            ]
            if asked is not None and ranking:
                ranking.sort(key=lambda one: -float(one["confidence"]))
                asked["intent"] = {**ranking[0], "ranking": ranking, "scale": "probability"}
        if isinstance(results := value.get("queryResults"), list):
            self._found = (self._found or []) + [_passage(one) for one in _dicts(results)]

    def _invoked(self, activity: dict[str, Any]) -> None:
        """Teams' and Web Chat's feedback buttons: message/submitAction with actionName 'feedback'."""
        value = activity.get("value")
        if activity.get("name") != "message/submitAction" or _inner(value, "actionName") != "feedback":
            return
        reaction, written = _inner(value, "actionValue", "reaction"), _inner(value, "actionValue", "feedback")
        try:
            told = json.loads(written) if isinstance(written, str) else written
        except ValueError:
            told = {"feedbackText": written}
        comment = _inner(told, "feedbackText")
        self._rate(activity, reaction, comment if isinstance(comment, str) and comment.strip() else None)

    def _rate(self, activity: dict[str, Any], reaction: Any, comment: str | None) -> None:
        mood = str(reaction).lower()
        rating = 1 if mood in _GOOD else -1 if mood in _BAD else None
        turn = self.turns.get(str(activity.get("replyToId")))
        if turn is None or (rating is None and comment is None):
            return
        who = _inner(activity, "from", "id")
        given = {"id": f"{turn['id']}:{who or 'user'}"[:200], "scale": "thumb", "at": activity.get("timestamp")}
        turn["feedback"] = [{**given, "rating": rating, "comment": comment}]

    def _withdraw(self, activity: dict[str, Any], reaction: Any) -> None:
        turn = self.turns.get(str(activity.get("replyToId")))
        if turn is not None and str(reaction).lower() in _GOOD | _BAD:
            turn.pop("feedback", None)


def _role(activity: dict[str, Any]) -> str | None:
    role = _inner(activity, "from", "role")
    if role in ("user", "bot"):
        return str(role)
    if role == "skill" or _inner(activity, "recipient", "role") == "user":
        return "bot"
    if _inner(activity, "recipient", "role") == "bot":
        return "user"
    names = [str(_inner(activity, side, "name") or _inner(activity, side, "id") or "").lower() for side in ("from", "recipient")]
    bots = ["bot" in name for name in names]
    return None if bots[0] == bots[1] else "bot" if bots[0] else "user"


def _text(activity: dict[str, Any]) -> str:
    """What was said; of cards, their title and text."""
    if isinstance(text := activity.get("text"), str) and text.strip():
        return text
    said = []
    for attachment in _dicts(activity.get("attachments")):
        said += [text for key in ("title", "subtitle", "text") if isinstance(text := _inner(attachment, "content", key), str)]
    return "\n".join(text for text in said if text.strip())


def _passage(result: dict[str, Any]) -> dict[str, Any]:
    questions = result.get("questions")
    title = questions[0] if isinstance(questions, list) and questions and isinstance(questions[0], str) else None
    score = result.get("score")
    score = score if isinstance(score, int | float) else None
    scale = None if score is None else "percent" if score > 1 else "probability"
    return {"id": result.get("id"), "title": title, "text": result.get("answer") or "", "score": score, "scale": scale}


def _inner(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
