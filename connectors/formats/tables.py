"""CSV tables of conversations: one row a turn, or one row a question and its answer; read row by row."""

import csv
import hashlib
import io
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from connectors.errors import Reject
from connectors.formats.base import Read, validated
from connectors.formats.columns import Columns, choose, role_of

SAMPLE_ROWS = 200
MOST_FIELD = 1 << 20
_DELIMITERS = ",;\t|"
_GOOD = {"up", "good", "positive", "like", "liked", "yes", "true", "helpful", "👍", "thumbs up", "thumbs_up", "thumbsup", "+1"}
_BAD = {
    "down",
    "bad",
    "negative",
    "dislike",
    "disliked",
    "no",
    "false",
    "unhelpful",
    "not helpful",
    "👎",
    "thumbs down",
    "thumbs_down",
    "thumbsdown",
}
_TIME = TypeAdapter(datetime)
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is written, and which column holds what; `example` is the first row."""

    encoding: str
    delimiter: str
    columns: Columns
    example: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None


def look(
    head: bytes,
    whole: bool,
    columns: Mapping[str, str],
    roles: Mapping[str, str],
    encoding: str | None = None,
    delimiter: str | None = None,
    time_format: str | None = None,
) -> Table:
    """How the table that begins so is to be read; `whole`: the head is all of it.

    Raises
    ------
    Reject
        It has no header, or the columns cannot be told; the reason says what to give.
    """
    name = encoding or _encoding(head, whole)
    try:
        text = head.decode(name, errors="replace").removeprefix("\ufeff")
    except LookupError as error:
        raise Reject(f"--encoding {encoding}: no such encoding") from error
    lines = text.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut
    if not lines or not lines[0].strip():
        raise Reject("the table is empty: its first line must name the columns")
    mark = delimiter or _delimiter(lines)
    try:
        rows = list(csv.reader(lines, delimiter=mark))[: SAMPLE_ROWS + 1]
    except (csv.Error, TypeError) as error:
        raise Reject(f"the table cannot be read: {error}") from error
    header = rows[0]
    named = [dict(zip(header, row, strict=False)) for row in rows[1:] if any(row)]
    return Table(name, mark, choose(header, named, columns, roles), named[0] if named else {}, time_format)


def read_table(opened: IO[bytes], table: Table) -> Iterator[Read]:
    """A conversation for each stretch of rows that name the same one; each line that cannot be read by its number."""
    csv.field_size_limit(MOST_FIELD)
    errors = "surrogateescape" if table.encoding.startswith("utf-8") else "replace"
    text = io.TextIOWrapper(opened, encoding=table.encoding, errors=errors, newline="")
    lines = _Lines(text)
    rows = csv.reader(lines, delimiter=table.delimiter)
    open_one: _Stretch | None = None
    with closing(_Places()) as places:
        try:
            header = [name.removeprefix("\ufeff") for name in next(rows)]
            for row in rows:
                if not any(row):
                    continue
                turns = _turns(dict(zip(header, row, strict=False)), len(row) > len(header), table)
                if isinstance(turns, Reject):
                    yield Read(rows.line_num, turns)
                    continue
                if open_one is not None and open_one.name != turns.name:
                    yield open_one.read(places, lines.taken())
                    open_one = None
                open_one = open_one or _Stretch(turns.name)
                open_one.add(turns, rows.line_num)
            if open_one is not None:
                yield open_one.read(places, lines.taken())
        except (csv.Error, UnicodeError, OSError, EOFError, zlib.error) as error:
            if open_one is not None:
                yield open_one.read(places, lines.taken())
            yield Read(rows.line_num + 1, Reject(f"the table cannot be read from here on: {error}"))
        except StopIteration:
            return
        finally:
            text.detach()


class _Lines:
    """The lines, counted in characters."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self._size += len(line)
            yield line

    def taken(self) -> int:
        size, self._size = self._size, 0
        return size


class _Places:
    """How many turns of each conversation were read. On disk, for a table may name more of them than memory holds."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # a file of SQLite's own, gone when closed
        self._db.execute("CREATE TABLE place (name TEXT PRIMARY KEY, turns INTEGER) WITHOUT ROWID")

    def take(self, name: str, turns: int) -> int:
        """The place of the next turn, and so many more are read."""
        add = "INSERT INTO place VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET turns = turns + excluded.turns RETURNING turns"
        after: int = self._db.execute(add, (name, turns)).fetchone()[0]
        return after - turns

    def close(self) -> None:
        self._db.close()


@dataclass(slots=True)
class _Row:
    """The turns of one row."""

    name: str
    turns: list[dict[str, Any]]
    channel: str | None


class _Stretch:
    def __init__(self, name: str) -> None:
        self.name = name
        self._turns: list[dict[str, Any]] = []
        self._channel: str | None = None
        self._number = 0

    def add(self, row: _Row, number: int) -> None:
        self._turns += row.turns
        self._channel = row.channel or self._channel
        self._number = number

    def read(self, places: _Places, size: int) -> Read:
        first = places.take(self.name, len(self._turns))
        for place, turn in enumerate(self._turns):
            turn.setdefault("id", f"#{first + place + 1}")
        told = {"id": self.name, "turns": self._turns, "channel": self._channel}
        return Read(self._number, validated(told), size, first)


def _turns(row: Mapping[str, str], too_long: bool, table: Table) -> _Row | Reject:
    if too_long:
        return Reject("more fields than the header has columns: is a field with the delimiter not in quotes?")
    if any("\udc80" <= letter <= "\udcff" for value in row.values() for letter in value):
        return Reject("not UTF-8: give --encoding, such as cp1252")
    columns = table.columns.of
    known = set(columns.values())
    told = {name: value.strip() for name, column in columns.items() if (value := row.get(column, "")).strip()}
    others = {column: value for column, value in row.items() if column not in known and value}
    name = told.get("conversation")
    if name is None:
        if not table.columns.in_pairs or "conversation" in columns:
            return Reject(f"{columns['conversation']}: empty; each row must name its conversation")
        name = hashlib.sha256("\x1f".join(row.values()).encode()).hexdigest()[:32]
    at = _time(told["at"], table.time_format) if "at" in told else None
    feedback = _feedback(told, columns.get("rating", ""), at)
    intent = _intent(told)
    for one in (at, feedback, intent):
        if isinstance(one, Reject):
            return one
    if table.columns.in_pairs:
        turns = _pair(told, others)
    else:
        role = role_of(told.get("role", ""), table.columns)
        if role is None:
            return Reject(
                f"{columns['role']}: '{told.get('role', '')[:20]}' is no known role: give --role WORD=user, bot or agent"
            )
        turns = [
            {"role": role, "text": told.get("text", ""), **({"id": told["turn"]} if "turn" in told else {}), "metadata": others}
        ]
    for turn in turns:
        turn["at"] = at
        if turn["role"] == "user" and intent:
            turn["intent"] = intent
    if feedback:
        turns[-1]["feedback"] = [feedback]
    return _Row(name, turns, told.get("channel"))


def _pair(told: Mapping[str, str], others: Mapping[str, str]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    if "question" in told:
        turns.append({"role": "user", "text": told["question"]})
    turns.append({"role": "bot", "text": told.get("answer", ""), "metadata": dict(others)})
    if "turn" in told:
        for turn in turns:
            turn["id"] = told["turn"] if turn["role"] == "bot" else f"{told['turn']}-user"
    return turns


def _feedback(told: Mapping[str, str], column: str, at: Any) -> dict[str, Any] | Reject | None:
    given: dict[str, Any] = {}
    if (word := told.get("rating")) is not None:
        plain = word.lower()
        if plain in _GOOD | _BAD:
            given |= {"rating": 1 if plain in _GOOD else -1, "scale": "thumb"}
        else:
            try:
                given["rating"] = float(word.replace(",", "."))
            except ValueError:
                return Reject(f"{column}: neither a number nor a word such as up or down")
            scale = next((name for name in ("csat", "nps", "star", "thumb") if name in column.lower()), None)
            if scale:
                given["scale"] = "stars" if scale == "star" else scale
    if "comment" in told:
        given["comment"] = told["comment"]
    return {**given, "at": at} if given else None


def _intent(told: Mapping[str, str]) -> dict[str, Any] | Reject | None:
    if "intent" not in told:
        return None
    intent: dict[str, Any] = {"name": told["intent"]}
    if (word := told.get("confidence")) is not None:
        try:
            intent["confidence"] = float(word.rstrip("% ").replace(",", "."))
        except ValueError:
            return Reject("confidence: not a number")
        if word.endswith("%"):
            intent["scale"] = "percent"
    return intent


def _time(word: str, time_format: str | None) -> datetime | Reject:
    if time_format is not None:
        try:
            at = datetime.strptime(word, time_format)  # noqa: DTZ007 - a time without zone is read as UTC, here as everywhere
        except ValueError:
            return Reject(f"the time does not fit --time-format {time_format}")
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    try:
        return _TIME.validate_python(word)
    except ValidationError:
        pass
    try:
        return parsedate_to_datetime(word)
    except ValueError:
        return Reject("the time is neither ISO 8601 nor unix seconds: give --time-format, such as '%d.%m.%Y %H:%M'")


def _encoding(head: bytes, whole: bool) -> str:
    """By the byte order mark; else UTF-8 if it can be, else the encoding of Western Windows."""
    for mark, name in _BOMS.items():
        if head.startswith(mark):
            return name
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if whole or error.start < len(head) - 4:
            return "cp1252"
    return "utf-8"


def _delimiter(lines: Sequence[str]) -> str:
    """The one that cuts all rows into the same number of fields, and into the most."""

    def fits(mark: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in csv.reader(lines[:50], delimiter=mark) if row]
        except csv.Error:
            return 0, 0
        same = sum(width == widths[0] for width in widths) / len(widths)
        return (same, widths[0]) if widths[0] > 1 else (0, 0)

    return max(_DELIMITERS, key=fits)
