"""The two ways in which a connector fails, and how a pydantic complaint becomes a sentence."""

from datetime import timedelta

from pydantic import ValidationError
from pydantic_core import ErrorDetails


class Reject(Exception):
    """This will never work as it is. The reason is a sentence for the person who can mend it; it quotes no user's words.

    `conflict`: it failed because somebody changed the same thing on the other side.
    """

    def __init__(self, reason: str, conflict: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.conflict = conflict


class Retry(Exception):
    """This may work later; `after` is the other side's own hint, if it gave one."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


def explain(error: ValidationError, most: int = 3) -> str:
    """The first complaints as 'field: what is wrong', without the values themselves (they may be a person's words)."""
    complaints = error.errors(include_url=False, include_input=False)
    told = ["{}: {}".format(".".join(str(part) for part in c["loc"]) or "body", _message(c)) for c in complaints[:most]]
    more = len(complaints) - most
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _message(complaint: ErrorDetails) -> str:
    if complaint["type"] == "union_tag_invalid":  # the one message that quotes what was sent
        return "must have as 'type' one of {}".format(complaint["ctx"]["expected_tags"])
    return complaint["msg"]
