"""What the readers of files give: one conversation, or part of one, at a time, or why it cannot be read."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

import ijson
from ijson.common import JSONError
from pydantic import ValidationError

from connectors.errors import Reject, explain
from connectors.events import Conversation

# Small, for a damaged .gz gives nothing of the block in which it breaks off.
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Read:
    """`number`: the line or item, from 1, with which it ends. `size`: how much of the file it took, about, in bytes.

    `first`: the place of its first turn; above 0 where earlier turns of the same conversation stood further up in the file.
    """

    number: int
    told: Conversation | Reject
    size: int = 0
    first: int = 0


def with_head(opened: IO[bytes], most: int) -> tuple[bytes, IO[bytes]]:
    """The file's first bytes, and a stream that begins with them: pipes cannot be wound back.

    Where the file breaks off inside its head, the stream says so after what could be read.
    """
    head = b""
    failure: Exception | None = None
    try:
        while len(head) < most and (block := opened.read(min(_BLOCK, most - len(head)))):
            head += block
    except (OSError, EOFError, zlib.error) as error:
        failure = error
    return head, cast("IO[bytes]", io.BufferedReader(_Rejoined(head, opened, failure), _BLOCK))


class _Rejoined(io.RawIOBase):
    def __init__(self, head: bytes, rest: IO[bytes], failure: Exception | None) -> None:
        self._head = head
        self._rest = rest
        self._failure = failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        if not block and self._failure is not None:
            raise self._failure
        block = block or self._rest.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def items(opened: IO[bytes], path: str) -> Iterator[tuple[int, Any, int]]:
    """(number, value, bytes read since) of each element of a JSON array, or of the lone value with the path "".

    A file that is no JSON from some place on gives a Reject there as its last value.
    """
    counted = _Counted(opened)
    number = before = 0
    values = iter(ijson.items(counted, path, use_float=True))
    while True:
        try:
            value = next(values)
        except StopIteration:
            return
        except (JSONError, UnicodeDecodeError, OSError, EOFError, zlib.error):
            yield number + 1, Reject("the file is not JSON from here on, or breaks off"), counted.read_bytes - before
            return
        number += 1
        yield number, value, counted.read_bytes - before
        before = counted.read_bytes


class _Counted:
    """ijson reads ahead, so that the count is of blocks: good enough for a progress bar."""

    def __init__(self, opened: IO[bytes]) -> None:
        self._opened = opened
        self.read_bytes = 0
        self._begun = False

    def read(self, size: int = -1) -> bytes:
        block = self._opened.read(size)
        self.read_bytes += len(block)
        if not self._begun and block:
            self._begun = True
            block = block.removeprefix(b"\xef\xbb\xbf")
        return block


def validated(told: dict[str, Any]) -> Conversation | Reject:
    try:
        return Conversation.model_validate(told)
    except ValidationError as error:
        return Reject(explain(error))
