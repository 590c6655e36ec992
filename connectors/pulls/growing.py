"""Lines of a file that grows and is rotated: renamed, compressed or emptied under us, none is missed.

A file is known by the digest of its first line, whatever its name is by now.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from connectors.errors import Reject, Retry

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; what is longer is passed over, for no event is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two lines: of which file, and after how many bytes of it (uncompressed)."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Line:
    content: bytes
    after: Place


def new_lines(path: Path, place: Place | None) -> Iterator[Line]:
    """Complete lines since the place, those of rotated files (`path.1`, `path.2.gz`, `path-20260105`) first.

    A place in a file that is gone begins again with the oldest file that is left.

    Raises
    ------
    Reject
        There is no such file, or it may not be read.
    Retry
        A compressed file breaks off: it may still be in the writing.
    """
    files = _files(path)
    known = [name for _, name in files]
    begin = known.index(place.file) if place is not None and place.file in known else 0
    for file, name in files[begin:]:
        offset = place.offset if place is not None and name == place.file else 0
        yield from _lines(file, name, offset)


def _files(path: Path) -> list[tuple[Path, str]]:
    """(file, digest of its first line), the oldest first; files without a complete line have none."""
    try:
        found = [path, *path.parent.glob(f"{path.name}[.-]*")]
        rotated = sorted((file for file in found[1:] if file.is_file()), key=lambda file: (file.stat().st_mtime_ns, file.name))
        if not path.is_file() and not rotated:
            raise Reject(f"there is no file {path}: check `path`")
        every = [*rotated, *([path] if path.is_file() else [])]
        named = [(file, name) for file in every if (name := _name(file))]
    except OSError as error:
        raise Reject(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    # A file that is being compressed is there twice for a moment.
    first: dict[str, Path] = {}
    for file, name in named:
        first.setdefault(name, file)
    return [(file, name) for name, file in first.items()]


def _name(file: Path) -> str | None:
    try:
        with _opened(file) as opened:
            line = opened.readline(LONGEST_LINE)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None  # half compressed: the original is still beside it
    return hashlib.sha256(line).hexdigest()[:32] if line.endswith(b"\n") else None


def _opened(file: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _lines(file: Path, name: str, offset: int) -> Iterator[Line]:
    try:
        with _opened(file) as opened:
            opened.seek(offset)
            whole = True
            while line := opened.readline(LONGEST_LINE):
                offset += len(line)
                if not line.endswith(b"\n"):
                    if len(line) < LONGEST_LINE:
                        return  # still in the writing: next time
                    whole = False
                    continue
                if whole:
                    yield Line(line, Place(name, offset))
                whole = True
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Retry(f"{file.name} breaks off") from error
    except OSError as error:
        raise Reject(f"{file} cannot be read: {error.strerror or type(error).__name__}") from error
