"""Chat logs as OpenAI's API and those who speak like it write them, and the export of ChatGPT's conversations.

One object a conversation: `{"messages": [{"role", "content"}]}` (fine-tuning files and logs), a log of requests with the answer
beside it (`request`/`response` or `choices`), or a tree of messages (`mapping`). What systems and tools say is passed over.
"""

import hashlib
import json
from typing import Any

from connectors.errors import Reject
from connectors.events import Conversation
from connectors.formats.base import validated
from connectors.otlp.messages import content_text

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "bot",
    "model": "bot",
    "ai": "bot",
    "bot": "bot",
    "gpt": "bot",
    "agent": "agent",
}
_IDS = ("id", "conversation_id", "session_id", "thread_id", "chat_id", "custom_id", "request_id", "uuid")
_TIMES = ("created_at", "timestamp", "create_time", "created", "at")


def read_chat(told: Any) -> Conversation | Reject:
    """The conversation that one object of a chat log holds. Without an id its content names it."""
    if not isinstance(told, dict):
        return Reject("must be an object with 'messages'")
    messages = _branch(told) if isinstance(told.get("mapping"), dict) else _messages(told)
    if messages is None:
        return Reject("messages: missing; a chat log has a list of messages with 'role' and 'content'")
    turns = []
    for message in messages:
        if not isinstance(message, dict):
            return Reject("messages: each must be an object with 'role' and 'content'")
        turn = _turn(message)
        if isinstance(turn, Reject):
            return turn
        if turn is not None:
            turns.append(turn)
    digest = hashlib.sha256(json.dumps([(turn["role"], turn["text"]) for turn in turns]).encode(errors="surrogatepass"))
    name = next((told[key] for key in _IDS if isinstance(told.get(key), str | int) and told[key] != ""), digest.hexdigest()[:32])
    started_at = next((told[key] for key in _TIMES if told.get(key) is not None), None)
    title = {"title": told["title"]} if isinstance(told.get("title"), str) else {}
    given = told.get("metadata")
    metadata = {**(given if isinstance(given, dict) else {}), **title}
    return validated({"id": name, "turns": turns, "started_at": started_at, "closed": True, "metadata": metadata})


def _messages(told: dict[str, Any]) -> list[Any] | None:
    request: dict[str, Any] = next((told[key] for key in ("request", "body", "input") if isinstance(told.get(key), dict)), {})
    request = request["body"] if isinstance(request.get("body"), dict) else request
    messages = told.get("messages", request.get("messages", told.get("conversations")))
    if not isinstance(messages, list):
        return None
    answer = next((told[key] for key in ("response", "output") if isinstance(told.get(key), dict)), told)
    answer = answer["body"] if isinstance(answer.get("body"), dict) else answer
    choices = answer.get("choices")
    chosen = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = chosen.get("message")
    return [*messages, {"role": "assistant", **message}] if isinstance(message, dict) else messages


def _turn(message: dict[str, Any]) -> dict[str, Any] | Reject | None:
    """A turn; None for what a system or a tool says, and for calls of tools."""
    author = message.get("author")
    role = message.get("role", message.get("from", author.get("role") if isinstance(author, dict) else None))
    if not isinstance(role, str):
        return Reject("messages.role: missing")
    text = content_text(message.get("content", message.get("value")))
    if role.lower() not in _ROLES or text is None:
        return None
    at = next((message[key] for key in _TIMES if message.get(key) is not None), None)
    turn: dict[str, Any] = {"role": _ROLES[role.lower()], "text": text, "at": at}
    if isinstance(message.get("id"), str) and message["id"]:
        turn["id"] = message["id"]
    return turn


def _branch(told: dict[str, Any]) -> list[Any]:
    """The messages from the root to the current leaf: other branches are answers that the user had written anew."""
    nodes = told["mapping"]
    leaf = told.get("current_node")
    if leaf not in nodes:
        parents = {node.get("parent") for node in nodes.values() if isinstance(node, dict)}
        leaf = next((key for key in reversed(nodes) if key not in parents), None)
    path: list[Any] = []
    seen = set()
    while isinstance(leaf, str) and leaf not in seen and isinstance(node := nodes.get(leaf), dict):
        seen.add(leaf)
        if isinstance(node.get("message"), dict):
            path.append(node["message"])
        leaf = node.get("parent")
    return path[::-1]
