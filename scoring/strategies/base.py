"""What a strategy sees and what it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

NEIGHBOURS = 100
"""How many of its nearest a text can stand for."""
_AWAY = np.float64(3.0)


class Space:
    """Unit vectors (n, dimensions) and which of them are near each other: worked out once, used for every batch."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = np.ascontiguousarray(vectors, dtype=np.float32)

    @cached_property
    def asked(self) -> NDArray[np.bool_]:
        """(n,) False for empty texts, whose vector is zero."""
        return np.asarray(np.any(self.vectors != 0, axis=1))

    @cached_property
    def near(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosines and rows of the nearest, both (n, at most NEIGHBOURS), best first; the first is mostly the text itself."""
        import faiss  # a second of import that whoever asks for no neighbours need not pay

        index: Any = faiss.IndexFlatIP(self.vectors.shape[1])
        index.add(self.vectors)
        cosines, rows = index.search(self.vectors, min(NEIGHBOURS, len(self.vectors)))
        return cosines, rows

    @cached_property
    def both_ways(self) -> tuple[Indices, Indices, NDArray[np.float32]]:
        """Where one is among the nearest of the other, each is near the other: (starts of the rows, columns, cosines)."""
        from scipy import sparse  # a tenth of a second of import that other strategies need not pay

        make: Any = sparse.csr_matrix
        cosines, rows = self.near
        n, k = cosines.shape
        # Moved away from 0 and -1, for a sparse maximum takes what is not there as 0.
        one_way = make((cosines.ravel() + _AWAY, rows.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
        found = one_way.maximum(one_way.T).tocsr()
        return found.indptr, found.indices, (found.data - _AWAY).astype(np.float32)

    @cached_property
    def typicality(self) -> Floats:
        """(n,) mean cosine with the 20 nearest others."""
        cosines = self.near[0][:, 1:21]
        return np.asarray(cosines.mean(axis=1) if cosines.shape[1] else np.zeros(len(self.vectors)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Pool:
    """n texts, of which some are labelled already."""

    space: Space
    labelled: Indices
    """(m,) rows that have a label."""
    labels: Indices | None = None
    """(m,) their classes as numbers; None where there are no classes, as for exchanges that need a person or not."""
    probabilities: Floats | None = None
    """(n, classes) what the head says; None: nothing was scored yet."""
    trust: float = 0.0
    """0..1, how often the head is right on labelled texts that it did not see: how far its doubts can be believed."""

    def __len__(self) -> int:
        return len(self.space.vectors)

    def open(self) -> NDArray[np.bool_]:
        """(n,) True where a label can be asked for: not labelled yet and not empty."""
        found = self.space.asked.copy()
        found[self.labelled] = False
        return found


@dataclass(frozen=True, slots=True)
class Strategy:
    """`pick(pool, budget, rng)` gives at most `budget` different open rows, best first; same pool and rng, same rows.

    A strategy that `needs_probabilities` or `needs_labels` is not asked where the pool has none.
    """

    name: str
    pick: Callable[[Pool, int, np.random.Generator], list[int]]
    reason: str = field(kw_only=True)
    """What a reviewer reads after "chosen because"."""
    needs_probabilities: bool = field(default=False, kw_only=True)
    needs_labels: bool = field(default=False, kw_only=True)

    def lacks(self, pool: Pool) -> str:
        """What the pool must have and has not; empty where it can be asked."""
        if self.needs_probabilities and (pool.probabilities is None or pool.probabilities.shape[1] < 2):
            return "scores"
        return "labels" if self.needs_labels and (pool.labels is None or not len(pool.labels)) else ""


def greatest(pool: Pool, merit: Floats, budget: int, rng: np.random.Generator) -> list[int]:
    """The open rows of greatest `merit` (n,), best first; equal ones in random order."""
    rows = rng.permutation(np.flatnonzero(pool.open()))
    return [int(i) for i in rows[np.argsort(-merit[rows], kind="stable")[:budget]]]


def scores(pool: Pool) -> Floats:
    """The pool's probabilities (n, classes); only for strategies that need them."""
    if pool.probabilities is None:
        raise ValueError("the pool has no probabilities")
    return pool.probabilities
