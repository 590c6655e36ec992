"""Our own intent model: a linear head on sentence vectors, fitted in seconds from labelled examples.

The head is a multinomial logistic regression over unit vectors, to which a linear discriminant (Fisher 1936, closed form)
is added where that helps on examples held out; the sum of two linear heads is one linear head. Its temperature is fitted on
the same held-out examples (Guo et al. 2017, "On Calibration of Modern Neural Networks").

Out of scope is judged by four looks at one question: the energy of its logits (Liu et al. 2020, "Energy-based
Out-of-distribution Detection"), the largest probability (Hendrycks and Gimpel 2017, "A Baseline for Detecting
Misclassified and Out-of-Distribution Examples"), the cosine of the nearest examples (Sun et al. 2022,
"Out-of-Distribution Detection with Deep Nearest Neighbors") and of the nearest intent's centre. A small logistic regression
mixes them. It is fitted by leaving whole intents out of the training examples, so it needs no example of what is out of
scope, and uses those that are given. Energy alone is best far from the scope (AUROC .982 on CLINC150, .850 on BANKING77-OOS),
nearness close to it; mixed they reach both. More looks (largest logit, margin, Mahalanobis distance, agreement of
neighbours) and boosted trees over them gained nothing on either, so they were left out. Strong regularisation matters:
left-out intents are nearer than most real out-of-scope questions, and a mix fitted to them alone loses the far ones.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors

FORMAT = "transcript-triage-intents-1"
OUT_OF_SCOPE = frozenset({"oos", "out_of_scope"})
"""Labels of examples that belong to no intent."""

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_LONGEST_RANKING = 10
_NEAREST = 3
_MOST_PER_INTENT = 50
"""Examples kept per intent for the nearest-example look: a hundred cost twice the time and gain nothing."""
_STRENGTH = 20.0
"""C of the logistic regression; 10 to 40 differ by less than .003 in accuracy on CLINC150, BANKING77 and HWU64."""


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
    weights: Vectors
    """(dimensions, intents)"""
    bias: Vectors
    temperature: float
    examples: Vectors
    """(m, dimensions): what nearness is measured against."""
    centres: Vectors
    """(intents, dimensions), unit vectors."""
    mix: Floats
    """Bias and four coefficients of the out-of-scope score."""

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
        share, temperature = _tune(known, classes, len(names), rng, seed)
        weights, bias = _linear(known, classes, len(names), seed, share)
        return cls(
            intents=names,
            encoder=encoder,
            weights=weights,
            bias=bias,
            temperature=temperature,
            examples=known[_sample(classes, rng)],
            centres=_centres(known, classes, len(names)),
            mix=_mix(known, classes, len(names), vectors[~inside], (share, temperature), rng, seed),
        )

    @property
    def version(self) -> str:
        """Derived from everything that the model computes with."""
        digest = hashlib.sha256()
        digest.update(json.dumps(self._header(), sort_keys=True).encode())
        for array in (self.weights, self.bias, self.examples.astype(np.float16), self.centres, self.mix):
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"intents-{digest.hexdigest()[:12]}"

    def predict(self, vectors: Vectors) -> list[Prediction]:
        """One prediction per row of unit vectors (n, dimensions), in order."""
        found: list[Prediction] = []
        for start in range(0, len(vectors), 1024):
            found.extend(self._predict(np.asarray(vectors[start : start + 1024], dtype=np.float32)))
        return found

    def probabilities(self, vectors: Vectors) -> Floats:
        """Calibrated probabilities of the intents, shape (n, len(self.intents))."""
        return _softmax((vectors @ self.weights + self.bias).astype(np.float64) / self.temperature)

    def save(self, path: Path) -> None:
        """Write one file (npz with a JSON header, no pickle)."""
        header = np.frombuffer(json.dumps(self._header() | {"version": self.version}).encode(), dtype=np.uint8)
        with Path(path).open("wb") as opened:
            np.savez_compressed(
                opened,
                header=header,
                weights=self.weights,
                bias=self.bias,
                examples=self.examples.astype(np.float16),
                centres=self.centres,
                mix=self.mix,
            )

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
                arrays = {name: read[name] for name in ("header", "weights", "bias", "examples", "centres", "mix")}
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise IntentModelUnusable(f"{path} has the format {str(header['format'])[:60]}; this program reads {FORMAT}")
            model = cls(
                intents=tuple(str(name) for name in header["intents"]),
                encoder=str(header["encoder"]),
                weights=arrays["weights"].astype(np.float32),
                bias=arrays["bias"].astype(np.float32),
                temperature=float(header["temperature"]),
                examples=arrays["examples"].astype(np.float32),
                centres=arrays["centres"].astype(np.float32),
                mix=arrays["mix"].astype(np.float64),
            )
        except OSError as error:
            raise IntentModelUnusable(f"cannot read {path}: {error.strerror or 'not an intent model'}") from error
        except (KeyError, TypeError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise IntentModelUnusable(f"{path} is no intent model of Transcript Triage") from error
        model._check(path)
        if encoder is not None and model.encoder != encoder:
            raise IntentModelUnusable(f"{path} is for the encoder {model.encoder or '(none)'}, this is {encoder}: fit it again")
        return model

    def _check(self, path: Path) -> None:
        count = len(self.intents)
        dimensions = self.weights.shape[0] if self.weights.ndim == 2 else -1
        shapes = (
            self.weights.shape == (dimensions, count)
            and self.bias.shape == (count,)
            and self.centres.shape == (count, dimensions)
            and self.examples.ndim == 2
            and self.examples.shape[1] == dimensions
            and self.mix.shape == (len(_DEFAULT_MIX),)
        )
        finite = shapes and all(np.isfinite(a).all() for a in (self.weights, self.bias, self.examples, self.centres, self.mix))
        if not finite or not count or not self.temperature > 0:
            raise IntentModelUnusable(f"{path} is damaged: its arrays do not fit together")

    def _header(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "intents": list(self.intents),
            "encoder": self.encoder,
            "temperature": self.temperature,
        }

    def _predict(self, vectors: Vectors) -> list[Prediction]:
        logits = vectors @ self.weights + self.bias
        probabilities = _softmax(logits.astype(np.float64) / self.temperature)
        outside = _sigmoid(
            np.column_stack([np.ones(len(vectors)), _looks(vectors, logits, probabilities, self.examples, self.centres)])
            @ self.mix
        )
        outside[~np.any(vectors != 0, axis=1)] = 1.0  # an empty question belongs nowhere
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


# Bias, energy, largest probability, nearest examples, nearest centre: about what leaving intents out of CLINC150, BANKING77
# and HWU64 gives with ten examples an intent; used where there are too few intents to leave any out.
_DEFAULT_MIX: Floats = np.asarray([6.0, -0.25, -2.0, -3.5, -3.5])


def _looks(vectors: Vectors, logits: Vectors, probabilities: Floats, examples: Vectors, centres: Vectors) -> Floats:
    """The four looks of the module's docstring, shape (n, 4), each larger the more the question is in scope."""
    top = logits.max(axis=1, keepdims=True)
    energy = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    cosines = vectors @ examples.T
    k = min(_NEAREST, examples.shape[0])
    nearest = np.partition(cosines, -k, axis=1)[:, -k:].mean(axis=1)
    return np.column_stack([energy, probabilities.max(axis=1), nearest, (vectors @ centres.T).max(axis=1)]).astype(np.float64)


def _linear(vectors: Vectors, classes: Indices, count: int, seed: int, share: float = 0.0) -> tuple[Vectors, Vectors]:
    """Weights (dimensions, count) and bias (count,); `share` of the linear discriminant is added to the regression."""
    if count == 1:
        return np.zeros((vectors.shape[1], 1), dtype=np.float32), np.zeros(1, dtype=np.float32)
    regression = _regression()

    fitted = regression(C=_STRENGTH, max_iter=300, tol=1e-3, random_state=seed).fit(vectors, classes)
    weights, bias = fitted.coef_.T.astype(np.float32), fitted.intercept_.astype(np.float32)
    if count == 2:  # scikit-learn gives one column for two classes; half each way is the same model
        weights, bias = np.concatenate([-weights / 2, weights / 2], axis=1), np.concatenate([-bias / 2, bias / 2])
    if share:
        other_weights, other_bias = _discriminant(vectors, classes, count)
        scale = share * float(np.std(vectors @ weights + bias) / max(np.std(vectors @ other_weights + other_bias), 1e-9))
        weights, bias = weights + scale * other_weights, bias + scale * other_bias
    return weights, bias


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression  # a second of import that only fitting may cost

    return LogisticRegression


def _discriminant(vectors: Vectors, classes: Indices, count: int) -> tuple[Vectors, Vectors]:
    """Fisher's linear discriminant with a tenth of the shared covariance shrunk to a sphere."""
    means = np.zeros((count, vectors.shape[1]))
    np.add.at(means, classes, vectors)
    means /= np.bincount(classes, minlength=count)[:, None]
    rest = vectors - means[classes]
    spread = rest.T @ rest / len(vectors)
    dimensions = len(spread)
    sphere = max(float(np.trace(spread)) / dimensions, 1e-6)
    weights = np.linalg.solve(0.9 * spread + 0.1 * sphere * np.eye(dimensions), means.T)
    bias = -0.5 * np.einsum("kd,dk->k", means, weights)
    return weights.astype(np.float32), bias.astype(np.float32)


def _tune(vectors: Vectors, classes: Indices, count: int, rng: np.random.Generator, seed: int) -> tuple[float, float]:
    """(share of the discriminant, temperature) with the least loss on examples that the head has not seen."""
    kept = _held_out(classes, rng)
    if count < 2 or kept.sum() < 8 or len(np.unique(classes[~kept])) < count:
        return 0.0, _WITHOUT_EXAMPLES
    truth = classes[kept]
    best = (math.inf, 0.0, _WITHOUT_EXAMPLES)
    weights, bias = _linear(vectors[~kept], classes[~kept], count, seed)
    other_weights, other_bias = _discriminant(vectors[~kept], classes[~kept], count)
    seen = vectors[~kept]
    scale = float(np.std(seen @ weights + bias) / max(np.std(seen @ other_weights + other_bias), 1e-9))
    for share in _SHARES:
        logits = (vectors[kept] @ (weights + share * scale * other_weights) + bias + share * scale * other_bias).astype(
            np.float64
        )
        for temperature in np.geomspace(0.1, 3.0, 40):
            likely = _softmax(logits / temperature)[np.arange(len(truth)), truth]
            best = min(best, (float(-np.log(np.maximum(likely, 1e-9)).mean()), share, float(temperature)))
    return best[1], best[2]


_SHARES = (0.0, 0.2, 0.5, 1.0)
_WITHOUT_EXAMPLES = 0.5
"""Temperature where no example can be held out: about what ten examples an intent give."""


def _held_out(classes: Indices, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A fifth of the examples of every intent, at least one where it has two; none where it has one."""
    held = np.zeros(len(classes), dtype=bool)
    for wanted in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == wanted))
        held[rows[: max(len(rows) // 5, 1) if len(rows) > 1 else 0]] = True
    return held


def _mix(
    known: Vectors,
    classes: Indices,
    count: int,
    negatives: Vectors,
    tuned: tuple[float, float],
    rng: np.random.Generator,
    seed: int,
) -> Floats:
    """Coefficients of the out-of-scope score, by leaving a quarter of the intents out, twice; examples given are added."""
    if count < 8 or len(classes) < 40:
        return _DEFAULT_MIX.copy()
    share, temperature = tuned
    looks, outside = [], []
    for _ in range(2):
        left_out = np.isin(classes, rng.permutation(count)[: count // 4])
        held = _held_out(classes, rng) & ~left_out
        fitted = ~left_out & ~held
        names, renumbered = np.unique(classes[fitted], return_inverse=True)
        weights, bias = _linear(known[fitted], renumbered, len(names), seed, share)
        examples = known[fitted][_sample(renumbered, rng)]
        centres = _centres(known[fitted], renumbered, len(names))
        seen = np.concatenate([known[held], known[left_out], negatives])
        logits = seen @ weights + bias
        looks.append(_looks(seen, logits, _softmax(logits.astype(np.float64) / temperature), examples, centres))
        outside.append(np.concatenate([np.zeros(held.sum()), np.ones(left_out.sum() + len(negatives))]))
    truth = np.concatenate(outside)
    return _logistic(np.concatenate(looks), truth, seed) if 8 <= truth.sum() <= len(truth) - 8 else _DEFAULT_MIX.copy()


def _logistic(looks: Floats, outside: Floats, seed: int) -> Floats:
    """Bias and slopes; a slope that would call a question in scope for being far away is set to zero."""
    regression = _regression()

    centre, scale = looks.mean(axis=0), np.maximum(looks.std(axis=0), 1e-6)
    fitted = regression(C=_MIX_STRENGTH, class_weight="balanced", random_state=seed).fit((looks - centre) / scale, outside)
    slopes = np.minimum(fitted.coef_[0], 0.0)
    # The strength that ranks best is too weak to be calibrated: one factor and the bias are fitted again without it.
    ranked = ((looks - centre) / scale) @ slopes
    again = regression(C=1e3, class_weight="balanced", random_state=seed).fit(ranked[:, None], outside)
    factor = max(float(again.coef_[0, 0]), 1e-3)
    slopes = slopes * factor / scale
    return np.concatenate([again.intercept_ - centre @ slopes, slopes]).astype(np.float64)


_MIX_STRENGTH = 0.01


def _sample(classes: Indices, rng: np.random.Generator) -> Indices:
    """Rows of at most `_MOST_PER_INTENT` examples an intent."""
    rows = [rng.permutation(np.flatnonzero(classes == wanted))[:_MOST_PER_INTENT] for wanted in np.unique(classes)]
    return np.sort(np.concatenate(rows))


def _centres(vectors: Vectors, classes: Indices, count: int) -> Vectors:
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, classes, vectors)
    centres: Vectors = (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    return centres


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def _sigmoid(logits: Floats) -> Floats:
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(logits, -40.0, 40.0)))
    return found
