"""Transcript files: JSON Lines, plain or gzip, from a path or standard input."""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeVar, cast

from pydantic import BaseModel, ValidationError

from connectors.errors import Reject, explain

T = TypeVar("T", bound=BaseModel)
STANDARD = "-"


@contextmanager
def open_bytes(path: str) -> Iterator[IO[bytes]]:
    """The file's bytes; `.gz` is read as such, `-` is standard input.

    Raises
    ------
    Reject
        The file cannot be opened.
    """
    if path == STANDARD:
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            opened: IO[bytes] = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise Reject(f"{path}: {error.strerror or error}") from error
        if Path(path).suffix == ".gz":
            opened = cast("IO[bytes]", stack.enter_context(gzip.open(opened)))
        yield opened


def read_lines(opened: IO[bytes], model: type[T]) -> Iterator[tuple[int, T | Reject, int]]:
    """(line number from 1, what the line holds or why it cannot be read, bytes consumed). Blank lines are passed over."""
    number = 0
    while True:
        number += 1
        try:
            line = opened.readline()
        except (OSError, EOFError, zlib.error) as error:  # a truncated or broken .gz: what came before is good
            yield number, Reject(f"the file breaks off here: {error}"), 0
            return
        if not line:
            return
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            yield number, model.model_validate_json(line), len(line)
        except ValidationError as error:
            yield number, Reject(explain(error)), len(line)


def write_line(out: IO[str], value: object) -> None:
    out.write(json.dumps(value, ensure_ascii=False) + "\n")
