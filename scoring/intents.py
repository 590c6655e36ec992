"""Our own intent model: a small head on sentence vectors, fitted in seconds from labelled examples.

The head adds up three: a multinomial logistic regression over unit vectors, a linear discriminant (Fisher 1936, closed form),
and one hidden layer (dropout, Srivastava et al. 2014; AdamW, Loshchilov and Hutter 2019). How much of each, and the temperature
(Guo et al. 2017, "On Calibration of Modern Neural Networks"), is chosen on examples held out.

`scoring/out_of_scope.py` looks at each prediction from several sides. Two mixes of these looks are learned in rehearsals: a
head is fitted without a quarter of the intents and without a fifth of the examples of the others. The intents left out teach
what out of scope looks like close by, so no example of it is needed, and those that are given count as much. The examples left
out teach how often a prediction is right: that is the confidence.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors
from scoring.intent_heads import Head, blended, fit_heads, rounded, softmax
from scoring.out_of_scope import (
    DEFAULT_RIGHT,
    DEFAULT_SCOPE,
    LOOKS,
    Floats,
    Indices,
    Known,
    compared,
    fit_mixes,
    looks,
    mixed,
    surroundings,
)

FORMAT = "transcript-triage-intents-2"
OUT_OF_SCOPE = frozenset({"oos", "out_of_scope"})
"""Labels of examples that belong to no intent."""

_LONGEST_RANKING = 10
_SHARES = tuple(product((0.0, 0.5, 1.0), (0.0, 0.3, 0.6, 1.0), (0.0, 0.25, 0.5)))
"""Of hidden layer, regression and discriminant, each scaled to the same spread."""
_WITHOUT_REHEARSAL = (0.0, 1.0, 0.25)
_LOGITS_SPREAD = 3.0
"""Standard deviation of the logits where no example can be held out: between what sixty intents and four ask for."""


class IntentModelUnusable(Exception):
    """The file is no intent model, or one for vectors of another encoder; the message says which."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """`ranking` is (name, probability), best first, `confidence` its first probability; `out_of_scope` in 0..1."""

    intent: str
    confidence: float
    out_of_scope: float
    ranking: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A fitted model. Same examples, seed and encoder: same model, same `version`."""

    intents: tuple[str, ...]
    encoder: str
    """Digest of the encoder whose vectors it was fitted on; vectors of another must not be given."""
    head: Head
    """Its temperature is divided in."""
    known: Known
    scope: Floats
    """Mix of looks that gives the probability of being in scope."""
    right: Floats
    """Mix of looks that gives the confidence."""

    @classmethod
    def fit(cls, vectors: Vectors, labels: Sequence[str], seed: int = 0, encoder: str = "") -> "IntentModel":
        """Fit from unit vectors (n, dimensions) and their intents; labels "oos" and "out_of_scope" are negatives.

        One example an intent is enough to run, and one intent alone gives it for everything in scope.

        Raises
        ------
        ValueError
            Lengths differ, a vector is not finite, or no example has an intent.
        """
        if len(vectors) != len(labels):
            raise ValueError(f"{len(vectors)} vectors but {len(labels)} labels")
        vectors = np.asarray(vectors, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("the vectors are not finite")
        inside = np.asarray([label.lower() not in OUT_OF_SCOPE for label in labels], dtype=bool)
        names = tuple(sorted({label for label, known in zip(labels, inside, strict=True) if known}))
        if not names:
            raise ValueError("no example has an intent")
        number = {name: i for i, name in enumerate(names)}
        known = vectors[inside]
        classes = np.asarray([number[label] for label, here in zip(labels, inside, strict=True) if here], dtype=np.intp)
        rng = np.random.default_rng(seed)
        learned = _rehearse(known, classes, len(names), vectors[~inside], rng)
        head = rounded(blended(fit_heads(known, classes, len(names), rng, learned.shares), learned.shares, learned.temperature))
        return cls(names, encoder, head, surroundings(known, classes, len(names), head.logits, rng), learned.scope, learned.right)

    @property
    def version(self) -> str:
        """Derived from everything that the model computes with."""
        digest = hashlib.sha256()
        digest.update(json.dumps(self._header(), sort_keys=True).encode())
        for array in self._arrays().values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"intents-{digest.hexdigest()[:12]}"

    def predict(self, vectors: Vectors) -> list[Prediction]:
        """One prediction per row of unit vectors (n, dimensions), in order."""
        found: list[Prediction] = []
        for start in range(0, len(vectors), 1024):
            found.extend(self._predict(np.asarray(vectors[start : start + 1024], dtype=np.float32)))
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
        head = Head(*(given[name] for name in Head.__slots__))
        origin, directions, centres, usual = (given[name] for name in ("origin", "directions", "centres", "typical"))
        starts = arrays["starts"].astype(np.intp)
        known = compared(given["examples"], starts, head.logits, origin, directions, centres, usual)
        return cls(intents, encoder_of, head, known, arrays["scope"].astype(np.float64), arrays["right"].astype(np.float64))

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        known = self.known
        found: dict[str, NDArray[np.generic]] = {name: a.astype(np.float16) for name, a in self.head.arrays().items()}
        found |= {name: getattr(known, name).astype(np.float16) for name in ("examples", "origin", "directions", "centres")}
        return found | {"typical": known.typical, "starts": known.starts, "scope": self.scope, "right": self.right}

    def _header(self) -> dict[str, object]:
        return {"format": FORMAT, "intents": list(self.intents), "encoder": self.encoder}

    def _predict(self, vectors: Vectors) -> list[Prediction]:
        logits = self.head.logits(vectors)
        found = looks(vectors, logits, self.known)
        outside = 1.0 - mixed(found, self.scope)
        outside[~np.any(vectors != 0, axis=1)] = 1.0  # an empty question belongs nowhere
        probabilities = _ranked(softmax(logits.astype(np.float64)), mixed(found, self.right))
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :_LONGEST_RANKING]
        return [
            Prediction(
                intent=self.intents[best[0]],
                confidence=float(row[best[0]]),
                out_of_scope=float(out),
                ranking=tuple((self.intents[i], float(row[i])) for i in best),
            )
            for best, row, out in zip(order, probabilities, outside, strict=True)
        ]


_STORED = (*Head.__slots__, "examples", "origin", "directions", "centres", "typical", "starts", "scope", "right")


def _check(path: Path, arrays: dict[str, NDArray[np.generic]], count: int) -> None:
    shape = {name: array.shape for name, array in arrays.items()}
    dimensions, hidden = (*shape["inner"], -1, -1)[:2]
    directions, kept = (*shape["directions"], -1, -1)[1], (*shape["examples"], -1)[0]
    wanted = {
        "weights": (dimensions, count), "bias": (count,), "inner": (dimensions, hidden), "inner_bias": (hidden,),
        "outer": (hidden, count), "examples": (kept, dimensions), "origin": (dimensions,),
        "directions": (dimensions, directions), "centres": (count, directions), "typical": (count,), "starts": (count + 1,),
        "scope": (LOOKS + 1,), "right": (LOOKS + 1,),
    }  # fmt: skip
    fits = count > 0 and shape == wanted and all(np.isfinite(array.astype(np.float64)).all() for array in arrays.values())
    starts = arrays["starts"].astype(np.intp)
    if not fits or starts[0] != 0 or starts[-1] != kept or not np.all(np.diff(starts) > 0):
        raise IntentModelUnusable(f"{path} is damaged: its arrays do not fit together")


def _ranked(probabilities: Floats, confidence: Floats) -> Floats:
    """The best intent gets the confidence; the others share what is left, none more than the best."""
    rows = np.arange(len(probabilities))
    best = probabilities.argmax(axis=1)
    rest = probabilities.copy()
    rest[rows, best] = 0.0
    room = (1 - confidence) / np.maximum(rest.sum(axis=1), 1e-12)
    rest *= np.minimum(room, confidence / np.maximum(rest.max(axis=1), 1e-12))[:, None] * (1 - 1e-9)
    rest[rows, best] = confidence
    return rest


@dataclass(frozen=True, slots=True)
class _Learned:
    shares: tuple[float, float, float]
    temperature: float
    scope: Floats
    right: Floats


def _rehearse(vectors: Vectors, classes: Indices, count: int, negatives: Vectors, rng: np.random.Generator) -> _Learned:
    """What is learned from heads that have not seen some intents and some examples."""
    learned = _Learned(_WITHOUT_REHEARSAL, 1.0 / _LOGITS_SPREAD, DEFAULT_SCOPE, DEFAULT_RIGHT)
    if count < 2 or len(vectors) < 12 or np.median(np.bincount(classes)) < 2:
        return learned
    quarter = count // 4 if count >= 8 else 0
    unseen = rng.permutation(count)
    rehearsals = []
    for turn in range(int(np.clip(20_000 // len(vectors), 1, 4 if quarter else 2))):
        left_out = np.isin(classes, unseen[turn * quarter : (turn + 1) * quarter])
        held = _held_out(classes, rng) & ~left_out
        fitted = ~left_out & ~held
        names, renumbered = np.unique(classes[fitted], return_inverse=True)
        heads = fit_heads(vectors[fitted], renumbered, len(names), rng)
        truth = np.searchsorted(names, classes[held])
        rehearsals.append((vectors[fitted], renumbered, heads, vectors[held], truth, vectors[left_out]))
    shares, temperature = _tune([(heads, seen, truth) for _, _, heads, seen, truth, _ in rehearsals])
    found, right, kinds = [], [], []
    for fitted_vectors, renumbered, heads, seen, truth, strange in rehearsals:
        head = blended(heads, shares, temperature)
        known = surroundings(fitted_vectors, renumbered, len(head.bias), head.logits, rng)
        asked = np.concatenate([seen, strange, negatives])
        logits = head.logits(asked)
        found.append(looks(asked, logits, known))
        right.append(np.concatenate([logits[: len(seen)].argmax(axis=1) == truth, np.zeros(len(strange) + len(negatives))]))
        kinds.append(np.repeat([0, 1, 2], [len(seen), len(strange), len(negatives)]))
    scope, mix = fit_mixes(np.concatenate(found), np.concatenate(right), np.concatenate(kinds))
    return _Learned(shares, temperature, scope, mix)


def _tune(rehearsals: list[tuple[list[Head], Vectors, Indices]]) -> tuple[tuple[float, float, float], float]:
    """Shares of the heads and temperature with the least loss on the examples held out."""
    parts = [[head.logits(seen).astype(np.float64) for head in heads] for heads, seen, _ in rehearsals]
    best = (np.inf, _WITHOUT_REHEARSAL, 1.0)
    for shares in _SHARES:
        if not sum(shares[:2]):
            continue
        logits = [sum((s * part for s, part in zip(shares, one, strict=True) if s), np.zeros(1)) for one in parts]
        for temperature in np.geomspace(0.05, 0.7, 24):
            losses = [_losses(z / temperature, truth) for z, (_, _, truth) in zip(logits, rehearsals, strict=True)]
            best = min(best, (float(np.concatenate(losses).mean()), shares, float(temperature)))
    return best[1], best[2]


def _losses(logits: Floats, truth: Indices) -> Floats:
    top = logits.max(axis=1)
    found: Floats = top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - logits[np.arange(len(truth)), truth]
    return found


def _held_out(classes: Indices, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A fifth of the examples of every intent, at least one where it has two; none where it has one."""
    held = np.zeros(len(classes), dtype=bool)
    for wanted in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == wanted))
        held[rows[: max(len(rows) // 5, 1) if len(rows) > 1 else 0]] = True
    return held
