"""Which format a file has, and its conversations by that format's reader."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, get_args

from connectors.errors import Reject
from connectors.events import Conversation
from connectors.files import read_lines
from connectors.formats.base import Read, items, validated, with_head
from connectors.formats.botframework import read_transcript
from connectors.formats.chats import read_chat
from connectors.formats.tables import Table, look, read_table

Format = Literal["jsonl", "csv", "openai", "botframework"]
FORMATS = get_args(Format)
HEAD = 1 << 18
_CHAT_KEYS = re.compile(rb'"(?:messages|mapping|conversations|choices)"\s*:')


@dataclass(frozen=True, slots=True)
class Options:
    """What the user said about a file; the rest is guessed. `columns` and `roles` are for tables, as are the last three."""

    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    delimiter: str | None = None
    time_format: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file will be read. `unit`: what is numbered, lines or items."""

    format: Format
    unit: Literal["line", "item"]
    table: Table | None
    _opened: IO[bytes]
    _whole: Literal["lines", "array", "lone"]

    def read(self) -> Iterator[Read]:
        """The file's conversations in their order, as a stream."""
        if self.table is not None:
            return read_table(self._opened, self.table)
        if self.format == "botframework":
            return read_transcript(self._opened)
        if self._whole == "lines":
            return _read_lines(self._opened, self.format)
        return _read_items(self._opened, self.format, "item" if self._whole == "array" else "")


def plan(opened: IO[bytes], path: str, options: Options) -> Plan:
    """How to read the file: by its ending and its first bytes, unless the options say it.

    Raises
    ------
    Reject
        It is of no format that we know, or a table's columns cannot be told.
    """
    head, stream = with_head(opened, HEAD)
    chosen = options.format or _guess(head, path)
    if chosen == "csv":
        whole = len(head) < HEAD
        table = look(head, whole, options.columns, options.roles, options.encoding, options.delimiter, options.time_format)
        return Plan(chosen, "line", table, stream, "lines")
    form: Literal["lines", "array", "lone"] = "array" if _start(head) == b"[" else "lone" if _is_lone(head) else "lines"
    if chosen == "botframework" and form != "array":
        raise Reject("a Bot Framework transcript is a JSON array of activities")
    return Plan(chosen, "line" if form == "lines" else "item", None, stream, form)


def _guess(head: bytes, path: str) -> Format:
    endings = [ending.lower() for ending in Path(path).suffixes[-2:] if ending.lower() != ".gz"]
    ending = endings[-1] if endings else ""
    if ending in (".csv", ".tsv"):
        return "csv"
    if ending == ".transcript":
        return "botframework"
    start = _start(head)
    if start not in (b"[", b"{") and head.strip() and ending not in (".jsonl", ".ndjson", ".json"):
        first = head.lstrip().partition(b"\n")[0]
        return "csv" if any(mark in first for mark in (b",", b";", b"\t", b"|")) else "jsonl"
    begin = head[:65_536]
    if start == b"[" and b'"channelId"' in begin and b'"from"' in begin:
        return "botframework"
    return "openai" if _CHAT_KEYS.search(begin) and not re.search(rb'"turns"\s*:', begin) else "jsonl"


def _read_lines(opened: IO[bytes], chosen: Format) -> Iterator[Read]:
    if chosen == "jsonl":
        for number, told, size in read_lines(opened, Conversation):
            yield Read(number, told, size)
        return
    for number, line in enumerate(_lines(opened), 1):
        if isinstance(line, Reject):
            yield Read(number, line)
        elif line.strip():
            try:
                yield Read(number, read_chat(json.loads(line.removeprefix(b"\xef\xbb\xbf"))), len(line))
            except (ValueError, RecursionError):
                yield Read(number, Reject("not JSON"), len(line))


def _lines(opened: IO[bytes]) -> Iterator[bytes | Reject]:
    while True:
        try:
            line = opened.readline()
        except (OSError, EOFError, zlib.error) as error:
            yield Reject(f"the file breaks off here: {error}")
            return
        if not line:
            return
        yield line


def _read_items(opened: IO[bytes], chosen: Format, path: str) -> Iterator[Read]:
    for number, value, size in items(opened, path):
        yield Read(number, value if isinstance(value, Reject) else _one(value, chosen), size)


def _one(value: Any, chosen: Format) -> Conversation | Reject:
    return validated(value) if chosen == "jsonl" else read_chat(value)


def _start(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]


def _is_lone(head: bytes) -> bool:
    """One object over several lines, as a JSON file that was made to be read has it."""
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0].strip()
    return first in (b"{", b'{"') or (
        first.startswith(b"{") and not first.endswith(b"}") and b"\n" in head.strip() and len(first) < 200
    )
