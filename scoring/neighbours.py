"""Questions that are near each other, by FAISS: exact inner product over unit vectors, one index per bot."""

from collections.abc import Sequence
from typing import Any, Protocol

import faiss
import numpy as np

from scoring.encoder import Vectors

Near = list[tuple[int, float]]


class Neighbours(Protocol):
    """Finds exchanges by their question's vector, within one source."""

    def search(self, source: str, questions: Vectors, k: int) -> list[Near]:
        """Per row of `questions` (n, dimensions) the k nearest as (key, cosine), best first."""
        ...


class FaissNeighbours:
    """Flat indexes in memory, exact and deletable (HNSW in FAISS cannot delete); about 14 ms a search at 100,000."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._indexes: dict[str, Any] = {}

    def add(self, source: str, keys: Sequence[int], questions: Vectors) -> None:
        """Keep these; a key that is known already is replaced. Zero vectors (empty questions) are near nothing: left out."""
        real = np.flatnonzero(np.any(questions != 0, axis=1))
        ids = np.asarray(keys, dtype=np.int64)[real]
        if source not in self._indexes:
            self._indexes[source] = faiss.IndexIDMap2(faiss.IndexFlatIP(self._dimensions))
        elif self._indexes[source].ntotal:
            self._indexes[source].remove_ids(np.asarray(keys, dtype=np.int64))
        if len(ids):
            self._indexes[source].add_with_ids(np.ascontiguousarray(questions[real], dtype=np.float32), ids)

    def search(self, source: str, questions: Vectors, k: int) -> list[Near]:
        index = self._indexes.get(source)
        if index is None or not index.ntotal or not len(questions):
            return [[] for _ in range(len(questions))]
        # Never more than there are: FAISS would fill the rest with -1, which may be somebody's key.
        cosines, keys = index.search(np.ascontiguousarray(questions, dtype=np.float32), min(k, index.ntotal))
        return [
            [(int(key), float(cosine)) for key, cosine in zip(row_keys, row, strict=True)]
            for row_keys, row in zip(keys, cosines, strict=True)
        ]
