"""Reads a text as its words, pairs of words and n-grams of letters, hashed into buckets: what sentence vectors smooth over.

Feature hashing (Weinberger et al. 2009) needs no vocabulary, so a fitted model holds no word of anybody's. Substrings are hashed
by differences of one running sum (Karp and Rabin 1987), for all texts of a call at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.wording import WORD, plain, straight

BUCKETS = 4096
"""Of words and pairs of words; the n-grams of letters have as many of their own."""
_LETTERS = (3, 4)
_UNSEEN = 0.1
"""Examples with a word that none of an intent has, in the log-ratio of the intents."""
_LONGEST = 1000
"""Characters read of a text: an intent is said at its beginning, or never."""
_BASE = 0x9E3779B97F4A7C15
_SALT = 0xA24BAED4963EE407
_SPACE, _BREAK = 32, 0
_WORD_OR_BREAK = re.compile(rf"{WORD.pattern}|\0")

Counts = Any
"""A sparse matrix (texts, buckets) of scipy, which brings no types."""
Weights = NDArray[np.float32]
_Hashes = NDArray[np.uint64]
_Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Which words the examples use. Intent i has rows starts[i] to starts[i + 1] of the kept examples."""

    rare: Weights
    """TF-IDF weights (2 * BUCKETS,)"""
    told: Weights
    """How many examples of an intent use a word (intents, BUCKETS)."""
    sizes: Weights
    """Examples of each intent."""
    kept: Counts
    """Kept examples as TF-IDF rows of words (examples, BUCKETS)."""
    likely: Weights
    """Log-probability of a word in an example of an intent (BUCKETS, intents)."""


def lexicon(rare: Weights, told: Weights, sizes: Weights, kept: Counts) -> Lexicon:
    likely = np.log((told + _UNSEEN) / (sizes[:, None] + 1)).T
    return Lexicon(rare, told, sizes, kept, np.ascontiguousarray(likely, dtype=np.float32))


def sparse_rows(values: Weights, buckets: NDArray[np.generic], starts: NDArray[np.generic]) -> Counts:
    """Rows (n, BUCKETS) from values with their buckets; row i has those from starts[i] to starts[i + 1]."""
    return _sparse().csr_matrix((values, buckets.astype(np.int32), starts.astype(np.int32)), (len(starts) - 1, BUCKETS))


def told_by(said: Counts, classes: _Places, count: int) -> Weights:
    """How many examples of each intent use each word, (count, BUCKETS)."""
    members = _sparse().csr_matrix(
        (np.ones(len(classes), dtype=np.float32), (classes, np.arange(len(classes)))), (count, len(classes))
    )
    found: Weights = (members @ (said > 0).astype(np.float32)).toarray()
    return found


def word_looks(
    said: Counts, rows: Counts, best: _Places, second: _Places, known: Lexicon, starts: _Places
) -> NDArray[np.float64]:
    """Four looks at the words of questions, (n, 4), each larger the better they suit the predicted intent.

    Share of the words, by rarity, that some example of the intent uses; lead of the intent over the next by naive Bayes log
    probabilities (the log-count ratios of Wang and Manning 2012); number of words; and the cosine with the intent's most alike
    example less that with the runner-up's.
    """
    at, n = np.arange(said.shape[0]), np.diff(said.indptr)
    row = np.repeat(at, n)
    weight = np.log((1 + known.sizes.sum()) / (1 + known.told.sum(axis=0)))[said.indices]
    shared = np.bincount(row, weight * (known.told[best[row], said.indices] > 0), minlength=len(at))
    share = shared / np.maximum(np.bincount(row, weight, minlength=len(at)), 1e-9)
    likely = (said > 0).astype(np.float32) @ known.likely
    own = likely[at, best].copy()
    if likely.shape[1] > 1:
        likely[at, best] = -np.inf
        own -= likely.max(axis=1)
    told = rows[:, :BUCKETS]
    if likely.shape[1] > 1:
        lead = np.subtract(*_most_alike(told, (best, second), known.kept, starts))
    else:
        (lead,) = _most_alike(told, (best,), known.kept, starts)
    return np.column_stack([share, own / np.sqrt(np.maximum(n, 1)), np.log1p(n), lead]).astype(np.float64)


def _most_alike(rows: Counts, asked: Sequence[_Places], kept: Counts, starts: _Places) -> list[Weights]:
    """For each of `asked` (an intent a row), the largest product of each row with a kept example of that intent, (n,).

    Every intent gets buckets of its own, so that one sparse product compares each row with the examples of one intent.
    """
    present, place = np.unique(np.concatenate(asked), return_inverse=True)
    sizes = np.diff(starts)[present]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    examples = kept[np.repeat(starts[present], sizes) + within]
    n = np.diff(examples.indptr)
    bucket = np.repeat(np.repeat(np.arange(len(present)), sizes) * BUCKETS, n) + examples.indices
    shape = (len(present) * BUCKETS, int(sizes.max(initial=0)))
    by_intent = _sparse().csr_matrix((examples.data, (bucket, np.repeat(within, n))), shape)
    found = []
    for intent in np.split(place, len(asked)):
        moved = rows.indices + np.repeat(intent * BUCKETS, np.diff(rows.indptr))
        products = _sparse().csr_matrix((rows.data, moved, rows.indptr), (rows.shape[0], shape[0])) @ by_intent
        some = np.diff(products.indptr) > 0
        largest = np.zeros(len(some), dtype=np.float32)
        if some.any():
            largest[some] = np.maximum.reduceat(products.data, products.indptr[:-1][some])
        found.append(largest)
    return found


def bags(texts: Sequence[str]) -> tuple[Counts, Counts]:
    """Damped counts (1 + log n) of words with pairs of words, and of n-grams of letters, each (texts, BUCKETS)."""
    codes = np.frombuffer(_read(texts).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    row = np.cumsum(codes == _BREAK)
    codes[codes == _BREAK] = _SPACE
    between = _substrings(codes)
    space = codes == _SPACE
    starts, ends = np.flatnonzero(space[:-1] & ~space[1:]) + 1, np.flatnonzero(~space[:-1] & space[1:]) + 1
    paired = np.flatnonzero(row[starts[:-1]] == row[starts[1:]])
    said = [(row[starts], between(starts, ends, 1)), (row[starts[paired]], between(starts[paired], ends[paired + 1], 2))]
    spaces = np.concatenate([[0], np.cumsum(space)])
    spelt = []
    for size in _LETTERS:
        at = np.arange(max(len(codes) - size + 1, 0))
        inside = spaces[at + size - 1] == spaces[at + 1]  # a word with the space around it, never two words
        at = at[inside & (row[at] == row[at + size - 1])]
        spelt.append((row[at], between(at, at + size, 10 + size)))
    return _counted(said, len(texts)), _counted(spelt, len(texts))


def _read(texts: Sequence[str]) -> str:
    """The words of all texts, each between spaces, with a break between two texts: one call reads all of them."""
    said = [text if 2 * len(text) <= _LONGEST else plain(text)[:_LONGEST] for text in texts]  # lower case at most doubles it
    joined = "\0".join(said)
    if joined.count("\0") >= len(said):
        joined = "\0".join(text.replace("\0", " ") for text in said)
    return f" {' '.join(_WORD_OR_BREAK.findall(straight(joined)))} "


def rarity(counts: Counts) -> Weights:
    """Inverse document frequency of each bucket (Spärck Jones 1972), smoothed."""
    used = np.bincount(counts.indices, minlength=counts.shape[1])
    found: Weights = (np.log((1 + counts.shape[0]) / (1 + used)) + 1).astype(np.float32)
    return found


def weighed(said: Counts, spelt: Counts, rare: Weights) -> Counts:
    """TF-IDF rows (texts, 2 * BUCKETS): words and letters each of length 1, so that long words do not drown the pairs."""
    halves = []
    for counts, weights in ((said, rare[:BUCKETS]), (spelt, rare[BUCKETS:])):
        half = counts.copy()
        half.data = half.data * weights[half.indices]
        rows = np.repeat(np.arange(half.shape[0]), np.diff(half.indptr))
        lengths = np.sqrt(np.bincount(rows, weights=half.data.astype(np.float64) ** 2, minlength=half.shape[0]))
        half.data = (half.data / np.maximum(lengths, 1e-9)[rows]).astype(np.float32)
        halves.append(half)
    return _sparse().hstack(halves).tocsr()


def _substrings(codes: _Hashes) -> Any:
    """A function (starts, ends, kind) -> hashes of codes[start:end], the same wherever the substring stands."""
    n = len(codes)
    with np.errstate(over="ignore"):
        powers = np.concatenate([np.ones(1, np.uint64), np.cumprod(np.full(n, _BASE, dtype=np.uint64))])
        undone = np.concatenate([np.ones(1, np.uint64), np.cumprod(np.full(n, pow(_BASE, -1, 2**64), dtype=np.uint64))])
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((codes + np.uint64(7)) * powers[:n])])

    def between(starts: _Places, ends: _Places, kind: int) -> _Hashes:
        with np.errstate(over="ignore"):
            found: _Hashes = (sums[ends] - sums[starts]) * undone[starts] + np.uint64(kind * _SALT % 2**64)
            found ^= found >> np.uint64(32)
            found *= np.uint64(0xD6E8FEB86659FD93)
        return found

    return between


def _counted(parts: Sequence[tuple[_Places, _Hashes]], texts: int) -> Counts:
    rows = np.concatenate([row for row, _ in parts])
    buckets = (np.concatenate([hashes for _, hashes in parts]) >> np.uint64(40)) % np.uint64(BUCKETS)
    counts: Counts = _sparse().csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (rows, buckets.astype(np.intp))), (texts, BUCKETS)
    )
    counts.sum_duplicates()
    counts.data = 1 + np.log(counts.data)
    return counts


def _sparse() -> Any:
    from scipy import sparse  # a tenth of a second of import that whoever predicts nothing need not pay

    return sparse
