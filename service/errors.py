"""What can go wrong, named for the reader; routes map each to its status once."""

from typing import ClassVar


class TriageError(Exception):
    """The message is a sentence for the person who can act on it."""

    status: ClassVar[int] = 400


class NotFound(TriageError):
    """There is no such thing, or it is not for you."""

    status = 404


class LeaseLost(TriageError):
    """Someone else has this item now, or the time to decide it is over."""

    status = 409


class Conflict(TriageError):
    """The state changed meanwhile; look again before you act."""

    status = 409


class Invalid(TriageError):
    """The request is well-formed but asks for something that cannot be."""

    status = 422


class Gone(TriageError):
    """It was here, and was forgotten."""

    status = 410


class NotSignedIn(TriageError):
    """Sign in, or send a valid API token."""

    status = 401


class Forbidden(TriageError):
    """Signed in, but this needs another scope or role."""

    status = 403


class Busy(TriageError):
    """Too many ask for this at once."""

    status = 429


class TooManyTries(TriageError):
    """Signing in failed so often that the next try has to wait."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many tries at signing in: wait {_lasting(seconds)}, then try again")
        self.seconds = seconds


class SetupError(TriageError):
    """The installation is not ready: the message says which command or setting mends it."""

    status = 500


def _lasting(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes > 1 else f"{seconds} second{'' if seconds == 1 else 's'}"
