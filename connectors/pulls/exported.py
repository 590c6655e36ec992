"""Logs in exported files, whatever wraps them: lines, JSON over many lines, lists, CloudWatch's own envelopes, gzip."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from connectors.errors import Reject

MAX_LOG = 16 * 1024 * 1024
"""Bytes of one log, and of a file whose JSON is spread over lines."""
GZIP = b"\x1f\x8b"
_TIME = re.compile(rb"^\s*\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)?\s+(?=[{\[])")


def logs_in(file: Path) -> Iterator[bytes]:
    """Each log of the file, as JSON where it is JSON; what is not is given as it is, so that it can be told of.

    Raises
    ------
    Reject
        The file cannot be opened, or its compressed content is damaged at once.
    """
    try:
        with file.open("rb") as raw:
            zipped = raw.read(2) == GZIP
            raw.seek(0)
            yield from _logs(gzip.GzipFile(fileobj=raw) if zipped else raw)
    except OSError as error:
        raise Reject(f"{file} cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error):
        yield b"(the compressed file breaks off here)"


def _logs(opened: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Line by line while each line is JSON of its own; from the first that is not, what is left is read as one text."""
    while line := opened.readline(MAX_LOG):
        line = _TIME.sub(b"", line.removeprefix(b"\xef\xbb\xbf")).strip()
        if not line:
            continue
        found = _loaded(line)
        if found is not None:
            yield from _unwrapped(found, line)
        elif line.startswith((b"{", b"[")) and not line.endswith((b"}", b"]")):
            yield from _spread(line + b"\n" + opened.read(MAX_LOG))
        elif line in (b"{", b"["):
            yield from _spread(line + opened.read(MAX_LOG))
        else:
            yield line


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _spread(content: bytes) -> Iterator[bytes]:
    """JSON values one after the other, with white space between them."""
    text, place = content.decode(errors="replace"), 0
    decoder = json.JSONDecoder()
    while place < len(text):
        try:
            found, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield text[place:].encode()
            return
        yield from _unwrapped(found, None)
        while place < len(text) and text[place].isspace():
            place += 1


def _unwrapped(found: Any, line: bytes | None) -> Iterator[bytes]:
    """The logs in a list or in one of CloudWatch's envelopes (`events`, `logEvents`, `message`, `@message`)."""
    if isinstance(found, list):
        for one in found:
            yield from _unwrapped(one, None)
        return
    if isinstance(found, dict) and "sessionId" not in found:
        for name in ("events", "logEvents"):
            if isinstance(found.get(name), list):
                yield from _unwrapped(found[name], None)
                return
        message = found.get("message", found.get("@message"))
        if isinstance(message, str):
            yield message.encode()
            return
        if isinstance(message, dict):
            found, line = message, None
    yield line if line is not None else json.dumps(found).encode()
