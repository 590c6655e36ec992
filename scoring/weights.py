"""All evidence of one exchange to the number that the queue sorts by."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from scoring.signals.base import Evidence

Floats = NDArray[np.float64]

_BECAUSE = {
    "intent_confidence": "Mostly because it is unclear what the user wanted.",
    "answer_relevance": "Mostly because the answer hardly speaks to the question.",
    "user_frustration": "Mostly because of how the user reacted.",
    "answer_consistency": "Mostly because a similar question got another answer.",
    "user_feedback": "Mostly because of the user's own rating.",
}
_UNKNOWN = "Nothing is known about this exchange."
_QUIET = "Nothing points to trouble."
_LIMIT = 1e-4
"""Probabilities are kept this far from 0 and 1: no single signal may claim certainty."""
_MOST_FALLING = 0.5
"""A signal that sees no trouble may be blind to it in a bot that nothing was fitted on: it never takes back more than half."""


class WeightsUnusable(Exception):
    """The text holds no weights; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """`priority` 0..1: how likely the exchange needs a person. `uncertainty` 0..1: 1 where it could go either way."""

    priority: float
    uncertainty: float
    because: str


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic regression over the log-odds of each signal's probability, with two slopes a signal.

    A signal adds `rising` times its log-odds above the neutral ones, or `falling` times those below them. `falling` is the
    smaller one: a user who says "that is wrong" outweighs an answer that looks relevant. A signal without evidence adds
    nothing. Slopes are never negative, so priority never falls when a probability rises.
    """

    base_rate: float
    """Priority of an exchange without any evidence."""
    rising: Mapping[str, float]
    falling: Mapping[str, float]
    other: tuple[float, float]
    """Rising and falling slope of a signal that the maps do not name."""
    neutral: float = 0.2
    """Probability at which a signal says nothing new."""

    def __post_init__(self) -> None:
        slopes = [*self.rising.values(), *self.falling.values(), *self.other]
        if (
            not 0 < self.base_rate < 1
            or not 0 < self.neutral < 1
            or not all(math.isfinite(slope) and slope >= 0 for slope in slopes)
        ):
            raise WeightsUnusable("base rate and neutral probability must lie between 0 and 1 and no slope may be negative")

    @classmethod
    def default(cls) -> "Weights":
        """The weights that ship with the program."""
        return cls.read(files("scoring.heads").joinpath("priority.json").read_text())

    @classmethod
    def read(cls, text: str) -> "Weights":
        """Weights from the JSON that `text()` gives.

        Raises
        ------
        WeightsUnusable
            It is not such JSON, or a slope is negative.
        """
        try:
            content = json.loads(text)
            rising, falling = ({str(name): float(slope) for name, slope in content[key].items()} for key in ("rising", "falling"))
            other = float(content["other"][0]), float(content["other"][1])
            return cls(float(content["base_rate"]), rising, falling, other, float(content["neutral"]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise WeightsUnusable("no weights: expected JSON with base_rate, neutral, rising, falling and other") from error

    def text(self) -> str:
        """JSON, the same for the same weights."""
        content = {
            "base_rate": self.base_rate,
            "neutral": self.neutral,
            "rising": dict(self.rising),
            "falling": dict(self.falling),
            "other": list(self.other),
        }
        return json.dumps(content, sort_keys=True, indent=1)

    @property
    def version(self) -> str:
        return f"weights-{hashlib.sha256(self.text().encode()).hexdigest()[:12]}"

    def weigh(self, evidence: Sequence[Sequence[Evidence | None]]) -> list[Weighed]:
        """One result per exchange, in order; `evidence` holds each exchange's evidence, in any order, None left out or not."""
        names, probabilities = probabilities_of([[one for one in row if one is not None] for row in evidence])
        return self.weigh_rows(names, probabilities)

    def weigh_rows(self, names: Sequence[str], probabilities: Floats) -> list[Weighed]:
        """The same from `probabilities` (n, len(names)), NaN for no evidence."""
        pushes = self._pushes(names, probabilities)
        priorities = self._priorities(pushes)
        uncertainties = _uncertainty(priorities, probabilities)
        reasons = self._reasons(names, pushes, priorities)
        return [
            Weighed(priority, uncertainty, because)
            for priority, uncertainty, because in zip(priorities.tolist(), uncertainties.tolist(), reasons, strict=True)
        ]

    def priorities(self, names: Sequence[str], probabilities: Floats) -> Floats:
        """Priorities alone, (n,), from `probabilities` (n, len(names)), NaN for no evidence."""
        return self._priorities(self._pushes(names, probabilities))

    def counted(self, names: Sequence[str], probabilities: Floats, thresholds: Mapping[str, float]) -> Floats:
        """`probabilities` (n, len(names)) as they are weighed: below its signal's threshold evidence raises nothing."""
        least = np.asarray([thresholds.get(name, 0.0) for name in names], dtype=np.float64)
        found: Floats = np.where(probabilities < least, np.minimum(probabilities, self.neutral), probabilities)
        return found

    def fit(
        self,
        names: Sequence[str],
        probabilities: Floats,
        needed: Floats,
        propensities: Floats | None = None,
        strength: float = 20.0,
    ) -> "Weights":
        """New weights from verdicts: `probabilities` (n, len(names)) with NaN for no evidence, `needed` (n,) of 0 and 1.

        `propensities` (n,): how likely each was chosen for review; each verdict counts one over that (Horvitz and
        Thompson 1952), at most twenty. `strength`: how many verdicts these weights themselves are worth.
        """
        from scipy.optimize import minimize  # here: scoring alone must not pay for the import

        shifted = self._shifted(probabilities)
        inputs = np.column_stack([np.ones(len(shifted)), np.maximum(shifted, 0.0), np.minimum(shifted, 0.0)])
        slopes = [self._slopes(name)[k] for k in (0, 1) for name in names]
        start = np.asarray([_logit(np.asarray([self.base_rate]))[0], *slopes], dtype=np.float64)
        counted = np.ones(len(needed)) if propensities is None else np.minimum(1 / np.maximum(propensities, 1e-6), 20.0)
        counted = counted * (len(needed) / max(counted.sum(), 1e-9))

        def loss(tried: Floats) -> tuple[float, Floats]:
            logits = inputs @ tried
            lost = float(counted @ (np.logaddexp(0, logits) - needed * logits) + strength / 2 * ((tried - start) ** 2).sum())
            return lost, inputs.T @ (counted * (_sigmoid(logits) - needed)) + strength * (tried - start)

        bounds = [(None, None)] + [(0.0, None)] * len(names) + [(0.0, _MOST_FALLING)] * len(names)
        slopes = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        count = len(names)
        rising = dict(self.rising) | {
            name: round(float(slope), 6) for name, slope in zip(names, slopes[1 : count + 1], strict=True)
        }
        falling = dict(self.falling) | {
            name: round(float(slope), 6) for name, slope in zip(names, slopes[count + 1 :], strict=True)
        }
        return Weights(round(float(_sigmoid(slopes[:1])[0]), 6), rising, falling, self.other, self.neutral)

    def _slopes(self, name: str) -> tuple[float, float]:
        return self.rising.get(name, self.other[0]), self.falling.get(name, self.other[1])

    def _priorities(self, pushes: Floats) -> Floats:
        return _sigmoid(_logit(np.asarray([self.base_rate]))[0] + pushes.sum(axis=1))

    def _pushes(self, names: Sequence[str], probabilities: Floats) -> Floats:
        """What each signal adds to the log-odds, (n, len(names)); 0 without evidence."""
        shifted = self._shifted(probabilities)
        slopes = np.asarray([self._slopes(name) for name in names], dtype=np.float64).reshape(-1, 2)
        pushes: Floats = np.where(shifted > 0, shifted * slopes[:, 0], shifted * slopes[:, 1])
        return pushes

    def _shifted(self, probabilities: Floats) -> Floats:
        """Log-odds beyond those of the neutral probability; 0 without evidence."""
        neutral = _logit(np.asarray([self.neutral]))[0]
        return np.where(np.isnan(probabilities), 0.0, _logit(np.nan_to_num(probabilities, nan=self.neutral)) - neutral)

    def _reasons(self, names: Sequence[str], pushes: Floats, priorities: Floats) -> list[str]:
        known = np.any(pushes != 0, axis=1)
        if not len(names):
            return [_UNKNOWN] * len(pushes)
        first = pushes.argmax(axis=1)
        quiet = np.logical_or(pushes[np.arange(len(pushes)), first] <= 0, priorities < 1.5 * self.base_rate)
        because = [_BECAUSE.get(name, f"Mostly because of {name.replace('_', ' ')}.") for name in names]
        return [
            _UNKNOWN if not is_known else _QUIET if is_quiet else because[place]
            for is_known, is_quiet, place in zip(known.tolist(), quiet.tolist(), first.tolist(), strict=True)
        ]


def probabilities_of(evidence: Sequence[Sequence[Evidence]]) -> tuple[list[str], Floats]:
    """(names of signals, probabilities (n, names) with NaN where there is no evidence)."""
    names = list(dict.fromkeys(one.name for row in evidence for one in row))
    place = {name: i for i, name in enumerate(names)}
    probabilities = np.full((len(evidence), len(names)), np.nan)
    for i, row in enumerate(evidence):
        for one in row:
            probabilities[i, place[one.name]] = one.probability
    return names, probabilities


def log_losses(priorities: Floats, needed: Floats) -> Floats:
    """-ln of the probability that each priority gave to what was judged, (n,); `needed` (n,) of 0 and 1."""
    found: Floats = -np.log(np.clip(np.where(needed > 0, priorities, 1 - priorities), 1e-6, 1.0))
    return found


def _uncertainty(priorities: Floats, probabilities: Floats) -> Floats:
    """Entropy of the priority in bits, raised where signals contradict each other (spread of their probabilities)."""
    p = np.clip(priorities, 1e-9, 1 - 1e-9)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    if probabilities.shape[1] == 0:
        return np.asarray(entropy, dtype=np.float64)
    seen = ~np.isnan(probabilities)
    high = np.where(seen, probabilities, -np.inf).max(axis=1)
    low = np.where(seen, probabilities, np.inf).min(axis=1)
    spread = np.where(seen.any(axis=1), np.maximum(high - low, 0.0), 0.0)
    found: Floats = np.clip(entropy + (1 - entropy) * 0.5 * spread, 0.0, 1.0)
    return found


def _logit(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, _LIMIT, 1 - _LIMIT)
    found: Floats = np.log(clipped / (1 - clipped))
    return found


def _sigmoid(logits: Floats) -> Floats:
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(logits, -40.0, 40.0)))
    return found
