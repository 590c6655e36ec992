"""What an intent model learns from heads that have not seen some intents and some examples."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors
from scoring.intent_heads import Head, Heads, WordHead, fit_heads, fit_word_head, together
from scoring.lexical import BUCKETS, Counts, Lexicon, bags, lexicon, rarity, told_by, weighed
from scoring.out_of_scope import (
    DEFAULT_RIGHT,
    DEFAULT_SCOPE,
    Floats,
    Indices,
    Known,
    fit_mixes,
    half,
    kept_rows,
    looks,
    surroundings,
)

_WITHOUT_REHEARSAL = (0.0, 3.0, 0.75, 1.0)
"""Shares of hidden layer, regression, discriminant and words where no example can be held out."""
_MANY = 5000
"""With more examples the regression is fitted quickly, in rehearsals as in the end."""
_TOWARDS = 1.0
"""Weight of the squared distance from these shares, in examples held out."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts as vectors, and as counts of words and of letters."""

    vectors: Vectors
    said: Counts
    spelt: Counts

    def __getitem__(self, rows: NDArray[Any]) -> "Examples":
        return Examples(self.vectors[rows], self.said[rows], self.spelt[rows])

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Given:
    """What a model is fitted from. `classes` are places in `names`; `strange` are the negatives."""

    names: tuple[str, ...]
    examples: Examples
    classes: Indices
    strange: Examples

    @property
    def many(self) -> bool:
        return len(self.examples) > _MANY


def read_examples(texts: Sequence[str], vectors: Vectors, labels: Sequence[str], negatives: frozenset[str]) -> Given:
    """Texts, their unit vectors (n, dimensions) and their intents; those labelled as one of `negatives` have none.

    Raises
    ------
    ValueError
        Lengths differ, a vector is not finite, or no example has an intent.
    """
    if not len(texts) == len(vectors) == len(labels):
        raise ValueError(f"{len(texts)} texts and {len(vectors)} vectors but {len(labels)} labels")
    vectors = np.asarray(vectors, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("the vectors are not finite")
    inside = np.asarray([label.lower() not in negatives for label in labels], dtype=bool)
    names = tuple(sorted({label for label, known in zip(labels, inside, strict=True) if known}))
    if not names:
        raise ValueError("no example has an intent")
    number = {name: i for i, name in enumerate(names)}
    classes = np.asarray([number[label] for label, here in zip(labels, inside, strict=True) if here], dtype=np.intp)
    read = Examples(vectors, *bags(texts))
    return Given(names, read[inside], classes, read[~inside])


@dataclass(frozen=True, slots=True)
class Fitted:
    """Heads fitted on examples, not yet added up."""

    examples: Examples
    rows: Counts
    """TF-IDF rows of the examples."""
    classes: Indices
    rare: Vectors
    heads: list[Head]
    words: WordHead
    kept: list[Indices]

    def weighed(self, asked: Examples) -> Counts:
        return weighed(asked.said, asked.spelt, self.rare)

    def compared(self, shares: Sequence[float]) -> tuple[Heads, Known, Lexicon]:
        """What predictions are made with, for these shares of the heads."""
        heads = together(self.heads, self.words, shares)
        count, kept = len(self.kept), np.concatenate(self.kept)
        logits = heads.sum.logits(self.examples.vectors) + np.float32(heads.share) * self.words.logits(self.rows)
        known = surroundings(self.examples.vectors, self.classes, count, logits, self.kept)
        rows = self.rows[kept][:, :BUCKETS]
        rows.data = half(rows.data)
        told = np.minimum(told_by(self.examples.said, self.classes, count), 65535)
        return heads, known, lexicon(self.rare, told, np.bincount(self.classes, minlength=count).astype(np.float32), rows)


def fit_examples(
    examples: Examples,
    classes: Indices,
    count: int,
    rng: np.random.Generator,
    shares: Sequence[float] = (1.0,) * 4,
    quick: bool = False,
) -> Fitted:
    """Fit all heads, as `fit_heads` does."""
    rare = half(np.concatenate([rarity(examples.said), rarity(examples.spelt)]))
    rows = weighed(examples.said, examples.spelt, rare)
    (own,) = rng.spawn(1)
    # Filters of warnings are the whole process's, so they are set outside both threads. The same text under two intents never
    # converges, few rounds are enough, and one example an intent looks odd to scikit-learn.
    with warnings.catch_warnings(), ThreadPoolExecutor(1) as beside:
        warnings.simplefilter("ignore")
        fitting = beside.submit(fit_word_head, rows, classes, count, own, quick)
        heads = fit_heads(examples.vectors, classes, count, rng, shares[:-1], quick)
        words = fitting.result()
    return Fitted(examples, rows, classes, rare, heads, words, kept_rows(classes, count, rng))


@dataclass(frozen=True, slots=True)
class Learned:
    """Shares of the heads, and the mixes of looks."""

    shares: tuple[float, ...]
    scope: Floats
    right: Floats


@dataclass(frozen=True, slots=True)
class _Rehearsal:
    fitted: Fitted
    seen: Examples
    """Held out; `truth` holds their intents."""
    truth: Indices
    strange: Examples
    """Of intents left out."""


def rehearse(given: Given, rng: np.random.Generator) -> Learned:
    """What is learned from heads that have not seen some intents and some examples."""
    examples, classes, count = given.examples, given.classes, len(given.names)
    learned = Learned(_WITHOUT_REHEARSAL, DEFAULT_SCOPE, DEFAULT_RIGHT)
    if count < 2 or len(examples) < 12 or np.median(np.bincount(classes)) < 2:
        return learned
    quarter = count // 4 if count >= 8 else 0
    unseen = rng.permutation(count)
    rehearsals = []
    for turn in range(int(np.clip(20_000 // len(examples), 1, 4 if quarter else 2))):
        left_out = np.isin(classes, unseen[turn * quarter : (turn + 1) * quarter])
        held = _held_out(classes, rng) & ~left_out
        known = ~left_out & ~held
        names, renumbered = np.unique(classes[known], return_inverse=True)
        fitted = fit_examples(examples[known], renumbered, len(names), rng, quick=given.many)
        truth = np.searchsorted(names, classes[held])
        rehearsals.append(_Rehearsal(fitted, examples[held], truth, examples[left_out]))
    shares = _shares(rehearsals)
    found, right, kinds = [], [], []
    for one in rehearsals:
        heads, known_by, words = one.fitted.compared(shares)
        for kind, part in enumerate((one.seen, one.strange, given.strange)):
            if not len(part):
                continue
            asked = heads.asked(part.vectors, part.said, one.fitted.weighed(part))
            found.append(looks(asked, known_by, words))
            right.append(asked.logits.argmax(axis=1) == one.truth if kind == 0 else np.zeros(len(part), dtype=bool))
            kinds.append(np.full(len(part), kind, dtype=np.intp))
    scope, mix = fit_mixes(np.concatenate(found), np.concatenate(right).astype(np.float64), np.concatenate(kinds))
    return Learned(shares, scope, mix)


def _shares(rehearsals: list[_Rehearsal]) -> tuple[float, ...]:
    """How much of each head, by the loss on the examples held out; never negative. Few examples stay near the default."""
    from scipy import optimize  # a part of a second of import that only fitting may cost

    minimize: Any = optimize.minimize
    default = np.asarray(_WITHOUT_REHEARSAL)
    parts = []
    for one in rehearsals:
        logits = [head.logits(one.seen.vectors) for head in one.fitted.heads] + [
            one.fitted.words.logits(one.fitted.weighed(one.seen))
        ]
        parts.append((np.stack(logits).astype(np.float64), one.truth))
    total = sum(len(truth) for _, truth in parts)
    towards = _TOWARDS / total

    def loss(at: Floats) -> tuple[float, Floats]:
        value, slope = 0.5 * towards * float((at - default) @ (at - default)), towards * (at - default)
        for logits, truth in parts:
            rows = np.arange(len(truth))
            chances = np.tensordot(at, logits, axes=1)
            chances -= chances.max(axis=1, keepdims=True)
            np.exp(chances, out=chances)
            chances /= chances.sum(axis=1, keepdims=True)
            value -= float(np.log(np.maximum(chances[rows, truth], 1e-300)).sum()) / total
            chances[rows, truth] -= 1.0
            slope = slope + np.tensordot(logits, chances, axes=2) / total
        return value, slope

    found = minimize(
        loss, default + 0.1, jac=True, method="L-BFGS-B", bounds=[(0.0, 12.0)] * len(default), options={"maxiter": 40}
    ).x
    return tuple(float(share) for share in np.round(found, 4))


def _held_out(classes: Indices, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A fifth of the examples of every intent, at least one where it has two; none where it has one."""
    held = np.zeros(len(classes), dtype=bool)
    for wanted in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == wanted))
        held[rows[: max(len(rows) // 5, 1) if len(rows) > 1 else 0]] = True
    return held
