"""Our own intent model: small heads on sentence vectors and words, fitted in seconds from labelled examples.

The logits add up four heads: a multinomial logistic regression over unit vectors, a linear discriminant (Fisher 1936, closed
form), one hidden layer (dropout, Srivastava et al. 2014; AdamW, Loshchilov and Hutter 2019), and one on the words themselves
(support vectors; with many examples a regression), which a sentence vector smooths over. How much of each is fitted on examples
held out (stacking, Wolpert 1992, with shares that are not negative, Breiman 1996), which settles the temperature as well.

`scoring/out_of_scope.py` looks at each prediction from several sides. Two mixes of these looks are learned in rehearsals
(`scoring/rehearsals.py`): heads are fitted without a quarter of the intents and without a fifth of the examples of the others.
The intents left out teach what out of scope looks like close by, so no example of it is needed, and those that are given count
as much. The examples left out teach how often a prediction is right: that is the confidence.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.clauses import clauses
from scoring.encoder import Vectors
from scoring.intent_heads import Head, Heads, WordHead, linear
from scoring.lexical import BUCKETS, Lexicon, bags, lexicon, sparse_rows, weighed
from scoring.out_of_scope import LOOKS, Floats, Indices, Known, compared, looks, mixed
from scoring.rehearsals import Learned, fit_examples, read_examples, rehearse

FORMAT = "transcript-triage-intents-3"
OUT_OF_SCOPE = frozenset({"oos", "out_of_scope"})
"""Labels of examples that belong to no intent."""

_LONGEST_RANKING = 10
_AT_ONCE = 8192
"""Questions predicted together: what is done intent by intent costs the same for few and for many."""
SURE = 0.5
"""Confidence within scope from which a clause is a request of its own."""


class IntentModelUnusable(Exception):
    """The file is no intent model, or one for vectors of another encoder; the message says which."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """`ranking` is (name, probability), best first, `confidence` its first probability; `out_of_scope` in 0..1.

    `further`: the other intents of a question that holds several requests, in their order; nearly always none. `known`: all
    intents that it chose from, in lower case.
    """

    intent: str
    confidence: float
    out_of_scope: float
    ranking: tuple[tuple[str, float], ...]
    further: tuple[str, ...] = ()
    known: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def intents(self) -> tuple[str, ...]:
        return (self.intent, *self.further)


def chances(predictions: Sequence[Prediction], labels: Sequence[str]) -> Floats:
    """The probability that each prediction gave to its label, (n,): within scope and that intent, or out of scope.

    Never below 0.01, so that a label that was never heard of costs no more than a bad mistake.
    """
    found = [
        one.out_of_scope if label.lower() in OUT_OF_SCOPE else (1 - one.out_of_scope) * dict(one.ranking).get(label, 0.0)
        for one, label in zip(predictions, labels, strict=True)
    ]
    return np.clip(np.asarray(found, dtype=np.float64), 0.01, 1.0)


def rehearsed(texts: Sequence[str], vectors: Vectors, labels: Sequence[str], seed: int = 0) -> Learned:
    """What `IntentModel.fit` learns before it fits the model: how much of each head, and both mixes.

    Raises
    ------
    ValueError
        As for `IntentModel.fit`.
    """
    return rehearse(read_examples(texts, vectors, labels, OUT_OF_SCOPE), np.random.default_rng(seed))


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A fitted model. Same examples, seed and encoder: same model, same `version`."""

    intents: tuple[str, ...]
    encoder: str
    """Digest of the encoder whose vectors it was fitted on; vectors of another must not be given."""
    heads: Heads
    known: Known
    words: Lexicon
    scope: Floats
    """Mix of looks that gives the probability of being in scope."""
    right: Floats
    """Mix of looks that gives the confidence."""

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        vectors: Vectors,
        labels: Sequence[str],
        seed: int = 0,
        encoder: str = "",
        learned: Learned | None = None,
    ) -> "IntentModel":
        """Fit from texts, their unit vectors (n, dimensions) and their intents; labels "oos" and "out_of_scope" are negatives.

        One example an intent is enough to run, and one intent alone gives it for everything in scope. `learned`: what
        `rehearsed` gave for these examples, or nearly these, which saves most of the time.

        Raises
        ------
        ValueError
            Lengths differ, a vector is not finite, or no example has an intent.
        """
        given = read_examples(texts, vectors, labels, OUT_OF_SCOPE)
        learned = learned or rehearse(given, np.random.default_rng(seed))
        rng = np.random.default_rng(seed + 1)
        fitted = fit_examples(given.examples, given.classes, len(given.names), rng, learned.shares, given.many)
        heads, near, words = fitted.compared(learned.shares)
        return cls(given.names, encoder, heads, near, words, learned.scope, learned.right)

    @property
    def version(self) -> str:
        """Derived from everything that the model computes with."""
        digest = hashlib.sha256()
        digest.update(json.dumps(self._header(), sort_keys=True).encode())
        for array in self._arrays().values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"intents-{digest.hexdigest()[:12]}"

    def predict(
        self, texts: Sequence[str], vectors: Vectors, parts: Callable[[Sequence[str]], Vectors] | None = None
    ) -> list[Prediction]:
        """One prediction per text and its unit vector (n, dimensions), in order.

        `parts` gives the vectors of the texts' clauses (`scoring/clauses.py`); without it no prediction has further intents.
        """
        if len(texts) != len(vectors):
            raise ValueError(f"{len(texts)} texts but {len(vectors)} vectors")
        found: list[Prediction] = []
        for start in range(0, len(texts), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            found.extend(self._predict(texts[part], np.asarray(vectors[part], dtype=np.float32)))
        split = {i: clauses(text) for i, text in enumerate(texts)} if parts and len(self.intents) > 1 else {}
        said = list(dict.fromkeys(clause for one in split.values() for clause in one))
        if parts is None or not said:
            return found
        asked = dict(zip(said, self.predict(said, parts(said)), strict=True))
        for i, one in split.items():
            sure = [asked[clause].intent for clause in one if _sure(asked[clause])]
            further = tuple(dict.fromkeys(name for name in sure if name != found[i].intent))
            found[i] = replace(found[i], further=further if found[i].intent in sure else ())
        return found

    def save(self, path: Path) -> None:
        """Write one file (npz with a JSON header, no pickle)."""
        header = np.frombuffer(json.dumps(self._header() | {"version": self.version}).encode(), dtype=np.uint8)
        with Path(path).open("wb") as opened:
            np.savez_compressed(opened, header=header, **self._arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, encoder: str | None = None) -> "IntentModel":
        """Read a file that `save` wrote; `encoder`: the digest it has to be for.

        Raises
        ------
        IntentModelUnusable
            The file is missing, is something else, or is for another encoder.
        """
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as read:
                header = json.loads(read["header"].tobytes())
                if header["format"] != FORMAT:
                    raise IntentModelUnusable(f"{path} has the format {str(header['format'])[:60]}; this program reads {FORMAT}")
                arrays = {name: read[name] for name in _STORED}
            intents = tuple(str(name) for name in header["intents"])
            encoder_of = str(header["encoder"])
            _check(path, arrays, len(intents))
        except OSError as error:
            raise IntentModelUnusable(f"cannot read {path}: {error.strerror or 'not an intent model'}") from error
        except (KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise IntentModelUnusable(f"{path} is no intent model of Transcript Triage") from error
        if encoder is not None and encoder_of != encoder:
            raise IntentModelUnusable(f"{path} is for the encoder {encoder_of or '(none)'}, this is {encoder}: fit it again")
        given = {name: array.astype(np.float32) for name, array in arrays.items()}
        heads = Heads(
            Head(*(given[name] for name in Head.__slots__)),
            linear(given["regression"], given["regression_bias"]),
            WordHead(given["word_weights"], given["word_bias"]),
            float(arrays["share"][0]),
        )
        starts = arrays["starts"].astype(np.intp)
        origin, directions, centres, usual = (given[name] for name in ("origin", "directions", "centres", "typical"))
        known = compared(given["examples"], starts, given["seen"], origin, directions, centres, usual)
        kept = sparse_rows(given["kept"], arrays["kept_at"], arrays["kept_starts"])
        words = lexicon(given["rare"], given["told"], given["sizes"], kept)
        return cls(
            intents, encoder_of, heads, known, words, arrays["scope"].astype(np.float64), arrays["right"].astype(np.float64)
        )

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        heads, known, words = self.heads, self.known, self.words
        floats = heads.sum.arrays() | {
            "regression": heads.regression.weights, "regression_bias": heads.regression.bias,
            "word_weights": heads.words.word_weights, "word_bias": heads.words.word_bias,
            "examples": known.examples, "seen": known.logits, "origin": known.origin, "directions": known.directions,
            "centres": known.centres, "rare": words.rare, "kept": words.kept.data,
        }  # fmt: skip
        found: dict[str, NDArray[np.generic]] = {name: array.astype(np.float16) for name, array in floats.items()}
        return found | {
            "typical": known.typical, "starts": known.starts, "told": words.told.astype(np.uint16),
            "sizes": words.sizes.astype(np.uint32), "kept_at": words.kept.indices.astype(np.uint16),
            "kept_starts": words.kept.indptr.astype(np.int64), "share": np.asarray([heads.share]),
            "scope": self.scope, "right": self.right,
        }  # fmt: skip

    def _header(self) -> dict[str, object]:
        return {"format": FORMAT, "intents": list(self.intents), "encoder": self.encoder}

    def _predict(self, texts: Sequence[str], vectors: Vectors) -> list[Prediction]:
        said, spelt = bags(texts)
        asked = self.heads.asked(vectors, said, weighed(said, spelt, self.words.rare))
        found = looks(asked, self.known, self.words)
        outside = 1.0 - mixed(found, self.scope)
        outside[~np.any(vectors != 0, axis=1)] = 1.0  # an empty question belongs nowhere
        order, ranked = _ranked(asked.logits, mixed(found, self.right))
        intents = np.asarray(self.intents, dtype=object)[order].tolist()
        names = frozenset(name.casefold() for name in self.intents)
        return [
            Prediction(best[0], row[0], out, tuple(zip(best, row, strict=True)), known=names)
            for best, row, out in zip(intents, ranked.tolist(), outside.tolist(), strict=True)
        ]


_STORED = (
    *Head.__slots__, "regression", "regression_bias", "word_weights", "word_bias", "examples", "seen", "origin", "directions",
    "centres", "rare", "kept", "typical", "starts", "told", "sizes", "kept_at", "kept_starts", "share", "scope", "right",
)  # fmt: skip


def _check(path: Path, arrays: dict[str, NDArray[np.generic]], count: int) -> None:
    shape = {name: array.shape for name, array in arrays.items()}
    dimensions, hidden = (*shape["inner"], -1, -1)[:2]
    directions, kept = (*shape["directions"], -1, -1)[1], (*shape["examples"], -1)[0]
    wanted = {
        "weights": (dimensions, count), "bias": (count,), "inner": (dimensions, hidden), "inner_bias": (hidden,),
        "outer": (hidden, count), "examples": (kept, dimensions), "origin": (dimensions,),
        "directions": (dimensions, directions), "centres": (count, directions), "typical": (count,), "starts": (count + 1,),
        "regression": (dimensions, count), "regression_bias": (count,), "word_weights": (2 * BUCKETS, count),
        "word_bias": (count,), "seen": (kept, count), "rare": (2 * BUCKETS,), "told": (count, BUCKETS), "sizes": (count,),
        "kept": shape["kept_at"], "kept_at": shape["kept"], "kept_starts": (kept + 1,), "share": (1,),
        "scope": (LOOKS + 1,), "right": (LOOKS + 1,),
    }  # fmt: skip
    fits = count > 0 and shape == wanted and all(np.isfinite(array.astype(np.float64)).all() for array in arrays.values())
    if not (
        fits
        and _divides(arrays["starts"], kept, least=1)
        and len(shape["kept"]) == 1
        and _divides(arrays["kept_starts"], shape["kept"][0], least=0)
        and np.all(arrays["kept_at"].astype(np.intp) < BUCKETS)
    ):
        raise IntentModelUnusable(f"{path} is damaged: its arrays do not fit together")


def _sure(clause: Prediction) -> bool:
    return clause.confidence * (1 - clause.out_of_scope) >= SURE


def _divides(starts: NDArray[Any], total: int, least: int) -> bool:
    """True where `starts` cuts `total` rows into parts of at least `least`."""
    at = starts.astype(np.intp)
    return bool(at[0] == 0 and at[-1] == total and np.all(np.diff(at) >= least))


def _ranked(logits: Vectors, confidence: Floats) -> tuple[Indices, Floats]:
    """(intents, probabilities) of the longest ranking, best first. The best gets the confidence; the others share what is
    left, none more than the best."""
    order = _largest(logits)
    best = np.take_along_axis(logits, order[:, :1], axis=1)
    powers = np.exp(logits - best)
    np.put_along_axis(powers, order[:, :1], 0.0, axis=1)
    rest = powers.sum(axis=1, dtype=np.float64)
    shares = np.take_along_axis(powers, order, axis=1) / (1 + rest)[:, None]
    room = (1 - confidence) / np.maximum(rest / (1 + rest), 1e-12)
    shares *= np.minimum(room, confidence / np.maximum(shares.max(axis=1), 1e-12))[:, None] * (1 - 1e-9)
    shares[:, 0] = confidence
    return order, shares


def _largest(logits: Vectors) -> Indices:
    """The intents of the longest ranking, best first and, among equals, in their order."""
    count = min(_LONGEST_RANKING, logits.shape[1])
    found = np.sort(np.argpartition(-logits, count - 1, axis=1)[:, :count], axis=1)
    return np.take_along_axis(found, np.argsort(-np.take_along_axis(logits, found, axis=1), axis=1, kind="stable"), axis=1)
