"""What sources of other platforms share: lenient models, times in every spelling, and one way to fail."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from connectors.errors import Reject, explain
from connectors.events import Event
from connectors.signatures import Scheme

M = TypeVar("M", bound=BaseModel)


class Wire(BaseModel):
    """A part of a platform's payload. Fields that we do not read may hold anything."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


def _spelt(value: object) -> object:
    """ISO 8601 with " UTC" for its zone, as Ruby writes it, and the blank for "no time"."""
    if isinstance(value, str):
        return value.removesuffix(" UTC") + "Z" if value.endswith(" UTC") else value or None
    return value


Moment = Annotated[datetime | None, BeforeValidator(_spelt)]
"""Unix seconds or milliseconds, ISO 8601, or nothing."""


def read(model: type[M], body: bytes, tell: Callable[[M], Iterable[Event]]) -> list[Event]:
    """The events that `tell` makes of the body.

    Raises
    ------
    Reject
        The body is not such a payload, or holds what we cannot keep; the reason names the field.
    """
    try:
        return list(tell(model.model_validate_json(body)))
    except ValidationError as error:
        raise Reject(explain(error)) from error


def name_of(told: Any) -> str:
    """A platform's name of something we ignore, as it may be counted."""
    return str(told)[:100] if isinstance(told, str) and told else "without a name"


@runtime_checkable
class Signing(Protocol):
    """A source whose scheme is known: the doctor can say what is wrong with a signature."""

    scheme: Scheme


@runtime_checkable
class Speaking(Signing, Protocol):
    """A source that can also say something as its platform would, for test deliveries."""

    def sample(self, conversation_id: str, now: datetime) -> bytes:
        """A body that tells of one question and one answer; the conversation stays open."""
        ...
