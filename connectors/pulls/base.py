"""What every pull promises, and how its records become pages: a bad record is kept with its reason, the rest goes on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.errors import Reject, explain
from connectors.events import Event

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Record:
    """One of the platform's own records (a conversation, a log line), named so that the same one has the same name again."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be read, and why."""

    record: Record
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """What some records tell, and the cursor that covers them."""

    cursor: str
    events: Sequence[Event] = ()
    records: int = 0
    bad: Sequence[BadRecord] = ()


class Options(BaseModel):
    """A pull's own settings: beside `kind` in the settings. A misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Pull(Protocol):
    """A platform that is asked. It knows nothing of our database: the cursor is its own, and opaque to everyone else.

    The class names its settings as `Options` and is made with them and a client: `Kind(options, http)`.
    """

    def fetch(self, cursor: str | None, start: datetime | None, now: datetime) -> Iterator[Page]:
        """What is new since the cursor, page by page, until there is no more for now.

        `start`: without a cursor, nothing older is asked for. What was told before may be told again. The next page is
        asked for only after the last one is stored, so whoever must acknowledge does it there.

        Raises
        ------
        Reject
            It will not work as it is; the sentence names the option that mends it.
        Retry
            It may work later.
        """
        ...

    def parse(self, body: bytes) -> list[Event]:
        """The events that one record tells.

        Raises
        ------
        Reject
            It is not what this platform writes; the reason names the field and quotes nobody's words.
        """
        ...


def make_page(parse: Callable[[bytes], list[Event]], records: Iterable[Record], cursor: str) -> Page:
    """The page of these records."""
    events: list[Event] = []
    bad: list[BadRecord] = []
    count = 0
    for record in records:
        count += 1
        try:
            events += parse(record.body)
        except Reject as error:
            bad.append(BadRecord(record, error.reason))
    return Page(cursor, events, count, bad)


class Sent(BaseModel):
    """A platform's own shape. Fields that we do not read may hold anything: platforms add them without notice."""

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


def read_sent(model: type[T], body: bytes) -> T:
    """The body as the platform's shape.

    Raises
    ------
    Reject
        It is not; the reason names the fields.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Reject(explain(error)) from error


def told(build: Callable[[], list[Event]]) -> list[Event]:
    """The events, with our own limits (length of ids, storable numbers) told as a `Reject`."""
    try:
        return build()
    except ValidationError as error:
        raise Reject(explain(error)) from error


def at_unix(seconds: float) -> datetime:
    """The time of a unix timestamp in seconds.

    Raises
    ------
    Reject
        It lies outside the years 1 to 9999.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Reject("timestamp: not a time in unix seconds") from error


def just_after(at: datetime | None) -> datetime | None:
    """A millisecond later: for an answer whose platform gives one time for question and answer."""
    try:
        return at and at + timedelta(milliseconds=1)
    except OverflowError:
        return at
