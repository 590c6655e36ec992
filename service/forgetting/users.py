"""Which conversations name a user: by the metadata of the conversation, of its turns and of its ratings.

Platforms say who the user is in a field of their own; these are the names that it goes by.
"""

import json
import re
from typing import Any

from sqlalchemy import Text, cast, select
from sqlmodel import Session, col

from service.models import Conversation, Feedback, Turn

PEOPLE = frozenset({"user", "enduser", "customer", "contact", "visitor", "sender", "author", "client"})
"""Fields that hold the user's id, or an object with it; their names with `id` behind them hold it too."""
_IDS = frozenset({"id", "externalid", "userid"})


def conversations_of_user(session: Session, user_id: str, source: str | None = None) -> list[int]:
    """Ids of the conversations that name the user, in order. Reads the metadata of all: the database looks for the id first."""
    sought = json.dumps(user_id)[1:-1]
    found: set[int] = set()
    for details, conversation_id, joined in (
        (col(Conversation.details), col(Conversation.id), False),
        (col(Turn.details), col(Turn.conversation_id), True),
        (col(Feedback.details), col(Feedback.conversation_id), True),
    ):
        likely = select(conversation_id, details).where(cast(details, Text).contains(sought, autoescape=True))
        if joined and source is not None:
            likely = likely.join(Conversation, col(Conversation.id) == conversation_id)
        if source is not None:
            likely = likely.where(col(Conversation.source) == source)
        found |= {key for key, told in session.execute(likely) if names_user(told, user_id)}
    return sorted(found)


def names_user(details: Any, user_id: str) -> bool:
    """Whether a field for users, at any depth, holds this id."""
    left = [details]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            for name, value in one.items():
                if _is(value, user_id) and _is_user_field(name):
                    return True
                inside = value.items() if isinstance(value, dict) and _plain(name) in PEOPLE else ()
                if any(_is(inner, user_id) and _plain(key) in _IDS for key, inner in inside):
                    return True
            left += one.values()
    return False


def _is_user_field(name: str) -> bool:
    plain = _plain(name)
    return plain in PEOPLE or plain.removesuffix("id") in PEOPLE


def _is(value: Any, user_id: str) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value) == user_id


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
