"""What was said, out of the many ways in which frameworks write inputs, outputs and chat messages.

Seen and tested: OpenInference messages, GenAI messages with parts, OpenAI requests and answers, LangChain messages (plain
and serialised), LlamaIndex and Haystack inputs, and plain text.
"""

from collections.abc import Sequence
from typing import Any

from connectors.otlp.attributes import from_json

MOST_LEVELS = 12
_USER = {"user", "human", "humanmessage", "humanmessagechunk", "customer", "end_user"}
_BOT = {"assistant", "ai", "aimessage", "aimessagechunk", "model", "bot", "chatbot"}
_QUESTION_KEYS = (
    *("question", "query", "user_input", "user_message", "user_query", "utterance", "query_str", "input", "inputs"),
    *("message", "text", "content", "prompt", "task", "chat_input", "human_input", "request", "kwargs", "data"),
)
_ANSWER_KEYS = (
    *("answer", "final_output", "output_text", "response", "reply", "output", "result", "message", "text", "content"),
    *("completion", "generated_text", "return_values", "choices", "generations", "outputs", "replies", "candidates", "data"),
)


def question_in(value: Any) -> str | None:
    """The user's latest message in an input, whether plain text, JSON or a list of messages; None where none can be told."""
    return _said(from_json(value), _USER, _QUESTION_KEYS, MOST_LEVELS)


def answer_in(value: Any) -> str | None:
    """The bot's latest message in an output."""
    return _said(from_json(value), _BOT, _ANSWER_KEYS, MOST_LEVELS)


def last_message(messages: Any, of_user: bool) -> str | None:
    """The text of the last message by the user, or by the bot; the history before it is passed over."""
    return _last(messages, _USER if of_user else _BOT)


def content_text(content: Any, levels: int = MOST_LEVELS) -> str | None:
    """The text of a message's content: a string, or parts of which those with text count."""
    if isinstance(content, str):
        return content if content.strip() else None
    if levels == 0:
        return None
    if isinstance(content, list):
        texts = [text for part in content if (text := content_text(part, levels - 1)) is not None]
        return "\n".join(texts) or None
    if isinstance(content, dict):
        kind = content.get("type")
        if isinstance(kind, str) and "text" not in kind and "message" not in kind:
            return None  # tool calls, images, audio, thinking
        for key in ("text", "content", "value", "parts", "message_content"):
            if (text := content_text(content.get(key), levels - 1)) is not None:
                return text
    return None


def _said(value: Any, roles: set[str], keys: Sequence[str], levels: int) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    if levels == 0:
        return None
    if isinstance(value, list):
        if any(_role(one) for one in value):
            return _last(value, roles)
        if len(value) == 1 or (value and isinstance(value[0], list)):
            return _said(value[-1], roles, keys, levels - 1)
        return None
    if not isinstance(value, dict):
        return None
    if (messages := value.get("messages")) is not None:
        return _last(messages, roles) or _said(messages, roles, keys, levels - 1) if isinstance(messages, list) else None
    if (role := _role(value)) is not None:
        return _content(value) if role in roles else None
    for key in keys:
        if key in value and (text := _said(from_json(value[key]), roles, keys, levels - 1)) is not None:
            return text
    return None


def _last(messages: Any, roles: set[str]) -> str | None:
    given = messages if isinstance(messages, list) else [messages]
    for one in reversed(given):
        if isinstance(one, list) and not _role(one):  # LangChain: one list of messages a prompt
            if (found := _last(one, roles)) is not None:
                return found
        elif _role(one) in roles and (found := _content(one)) is not None:
            return found
    return None


def _role(message: Any) -> str | None:
    """Who speaks, in lower case; None where this is no message."""
    if isinstance(message, list):  # ["user", "hello"]
        pair = len(message) == 2 and all(isinstance(part, str) for part in message)
        return message[0].lower() if pair and message[0].lower() in _USER | _BOT | {"system"} else None
    if not isinstance(message, dict):
        return None
    if isinstance(message.get("message"), dict) and "role" not in message:
        return _role(message["message"])
    role = message.get("role")
    if isinstance(role, dict):  # Haystack's enum
        role = role.get("value")
    if not isinstance(role, str) and isinstance(message.get("id"), list) and message["id"]:
        role = message["id"][-1]  # LangChain's serialised class: ["langchain", "schema", "messages", "HumanMessage"]
    if not isinstance(role, str) and isinstance(message.get("type"), str) and ("content" in message or "kwargs" in message):
        role = message["type"]
    return role.lower() if isinstance(role, str) else None


def _content(message: Any) -> str | None:
    if isinstance(message, list):
        return content_text(message[1])
    if isinstance(message.get("message"), dict) and "role" not in message:
        return _content(message["message"])
    if isinstance(message.get("kwargs"), dict):
        message = message["kwargs"]
    for key in ("content", "contents", "parts", "text", "_content"):
        if (text := content_text(message.get(key))) is not None:
            return text
    return None
