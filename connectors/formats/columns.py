"""Which column of a table holds what: guessed from the headers and the values, settable by hand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.errors import Reject

_NAMES = {
    "conversation": "conversation_id conversation conv_id convo_id session_id session chat_id chat thread_id dialogue_id "
    "dialog_id dialogue dialog ticket_id case_id call_id sender_id contact_id",
    "turn": "message_id msg_id turn_id utterance_id event_id",
    "role": "role sender_type author_type speaker_role sender speaker author participant direction actor from who inbound type",
    "text": "text utterance message content body msg message_text utterance_text transcript sentence",
    "question": "question user_message user_query user_input user_utterance customer_message query prompt request instruction "
    "user input",
    "answer": "answer bot_response bot_message bot_answer chatbot_response ai_response assistant_message response reply "
    "completion assistant bot output",
    "at": "timestamp created_at sent_at message_time datetime date_time time at date ts created",
    "rating": "rating user_rating feedback_rating feedback_score thumb thumbs stars csat nps vote feedback satisfaction "
    "helpful liked",
    "comment": "comment feedback_comment feedback_text user_comment remark review",
    "intent": "intent intent_name detected_intent predicted_intent top_intent",
    "confidence": "confidence intent_confidence nlu_confidence intent_score",
    "channel": "channel platform",
}
FIELDS = tuple(_NAMES)
_ROLES = {
    "user": "user customer client visitor human enduser consumer contact caller incoming inbound you true",
    "bot": "bot assistant ai chatbot virtualassistant model system_bot gpt machine",
    "agent": "agent humanagent operator advisor rep representative support staff employee admin",
}
ROLES = {word: role for role, words in _ROLES.items() for word in words.split()}
_BY_INBOUND = {"true": "user", "1": "user", "false": "bot", "0": "bot"}
_NAMES_OF_PEOPLE = {"user", "assistant", "bot"}
"""Columns of what they said, or of who it was."""
_MOSTLY = 0.6
"""Share of the values that must fit: some rows of real tables are bad."""
_PARTED = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s.\-]+")


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each field, by its name in the header, and what the words of the role column mean."""

    of: Mapping[str, str]
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_pairs(self) -> bool:
        """One row holds a question and its answer, not one turn."""
        return "answer" in self.of


def choose(
    header: Sequence[str], rows: Sequence[Mapping[str, str]], given: Mapping[str, str], roles: Mapping[str, str]
) -> Columns:
    """The columns that were given, and a guess for each field that was not.

    Raises
    ------
    Reject
        A given column is not in the header, or it cannot be told who spoke or what was said; the reason says what to give.
    """
    for name, column in given.items():
        if name not in FIELDS:
            raise Reject(f"--map {name}: no such field; there are {', '.join(FIELDS)}")
        if column and column not in header:
            raise Reject(f"--map {name}={column}: no such column; the header has {', '.join(header)}")
    found = {name: column for name, column in given.items() if column}
    spelled = {_plain(column): column for column in reversed(header)}
    for name, words in _NAMES.items():
        taken = set(found.values())
        fitting = (spelled[word] for word in words.split() if word in spelled and spelled[word] not in taken)
        best = next((column for column in fitting if _may_hold(name, column, rows, roles)), None)
        if name not in given and best is not None:
            found[name] = best
    _settle(header, rows, found, given)
    if "text" not in found and "answer" not in found:
        raise Reject(f"no column with what was said: give --map text=COLUMN, one of {', '.join(header)}")
    if "text" in found and "role" not in found:
        raise Reject(f"no column that says who spoke: give --map role=COLUMN, one of {', '.join(header)}")
    if "text" in found and "conversation" not in found:
        raise Reject(f"no column that names the conversation: give --map conversation=COLUMN, one of {', '.join(header)}")
    by_default = _BY_INBOUND if _plain(found.get("role", "")) == "inbound" else ROLES
    return Columns(found, {**by_default, **{word.lower(): role for word, role in roles.items()}})


def role_of(word: str, columns: Columns) -> str | None:
    plain = word.strip().lower()
    return columns.roles.get(plain) or columns.roles.get(re.sub(r"[\s_\-]+", "", plain))


def _settle(header: Sequence[str], rows: Sequence[Mapping[str, str]], found: dict[str, str], given: Mapping[str, str]) -> None:
    """One row is either a turn or a pair; and a plain `id` is the conversation's where it repeats, else the turn's."""
    if "answer" in found and ("question" in found or "text" not in found) and "text" not in given:
        if "question" not in found and "text" in found:
            found["question"] = found.pop("text")
        found.pop("text", None)
        found.pop("role", None) if "role" not in given else None
    elif "text" in found:
        found.pop("question", None)
        found.pop("answer", None)
    if (
        plain := next((column for column in header if _plain(column) == "id" and column not in found.values()), None)
    ) is not None:
        values = [row.get(plain, "") for row in rows]
        repeats = len(set(values)) < len(values)
        name = "conversation" if "conversation" not in found and (repeats or "answer" in found) else "turn"
        if name not in found and name not in given:
            found[name] = plain


def _may_hold(name: str, column: str, rows: Sequence[Mapping[str, str]], roles: Mapping[str, str]) -> bool:
    """Do the values fit the field? Names such as 'type', 'user' and 'feedback' are used for many things."""
    values = [value.strip() for row in rows if (value := row.get(column, "")).strip()]
    if not values:
        return name not in ("role", "rating")
    if name == "role":
        known = {*ROLES, *(_BY_INBOUND if _plain(column) == "inbound" else ()), *(word.lower() for word in roles)}
        fitting = sum(re.sub(r"[\s_\-]+", "", value.lower()) in known or value.lower() in known for value in values)
        return fitting >= _MOSTLY * len(values)
    if name in ("question", "answer") and _plain(column) in _NAMES_OF_PEOPLE:
        return any(" " in value for value in values) or len(set(values)) > 0.5 * len(values)
    if name == "confidence":
        return all(re.fullmatch(r"[-+]?[\d.,]+(?:e[-+]?\d+)?\s*%?", value.lower()) for value in values)
    if name == "rating":
        return all(len(value) <= 16 for value in values)
    if name == "at":
        return sum(any(letter.isdigit() for letter in value) for value in values) >= _MOSTLY * len(values)
    return True


def _plain(column: str) -> str:
    return _PARTED.sub("_", column.strip()).lower().strip("_")
