"""Every text is encoded once: vectors by content hash, kept in a store, gathered for a batch."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from scoring.encoder import Encoder, Vectors


def content_hash(text: str) -> bytes:
    """16 bytes that name the text (BLAKE2b)."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class VectorStore(Protocol):
    """Vectors of one encoder digest by content hash."""

    def get(self, digest: str, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The known ones among `hashes`, each of shape (dimensions,)."""
        ...

    def put(self, digest: str, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep them; a hash that is known already keeps its vector."""
        ...


class MemoryVectors:
    """A store for one run of a command."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes], Vectors] = {}

    def get(self, digest: str, hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        return {h: self._kept[digest, h] for h in hashes if (digest, h) in self._kept}

    def put(self, digest: str, vectors: Mapping[bytes, Vectors]) -> None:
        for h, vector in vectors.items():
            self._kept.setdefault((digest, h), vector)


class TextVectors:
    """The vectors of a batch's texts. Empty and absent texts have the zero vector, so that cosine says 'nothing alike'."""

    def __init__(self, rows: Mapping[str, int], matrix: Vectors) -> None:
        self._rows = rows
        self._matrix = matrix

    def of(self, texts: Sequence[str | None]) -> Vectors:
        """Unit vectors in order, shape (len(texts), dimensions).

        Raises
        ------
        KeyError
            A text was not among those gathered.
        """
        return self._matrix[[self._rows[text] if text and not text.isspace() else 0 for text in texts]]


def gather(texts: Iterable[str | None], encoder: Encoder, store: VectorStore) -> TextVectors:
    """Look the texts up, encode those that nobody has encoded before (each once, all in one call), keep them."""
    wanted = list(dict.fromkeys(text for text in texts if text and not text.isspace()))
    hashes = [content_hash(text) for text in wanted]
    known = store.get(encoder.digest, hashes)
    missing = [i for i, h in enumerate(hashes) if h not in known]
    if missing:
        found = encoder.encode([wanted[i] for i in missing])
        fresh = {hashes[i]: found[row] for row, i in enumerate(missing)}
        store.put(encoder.digest, fresh)
        known |= fresh
    matrix = np.zeros((len(wanted) + 1, encoder.dimensions), dtype=np.float32)
    for row, h in enumerate(hashes, start=1):
        matrix[row] = known[h]
    return TextVectors({text: row for row, text in enumerate(wanted, start=1)}, matrix)
