"""From what a platform sent to the log-odds that the exchange needs a person, learned per source.

Three layers, each of which keeps the platform's order: what such a score usually means, where it lies among the bot's own,
and what reviewers said about exchanges with such scores.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring import platform_scores
from scoring.platform_scores import COSINE, DISTANCE, LOGIT, PERCENT, PROBABILITY, History, Key, Reading
from scoring.transcripts import Exchange

Floats = NDArray[np.float64]

BASE_RATE = {"retrieval": 0.2, "rerank": 0.2, "intent": 0.1}
"""Share of exchanges that need a person, before anything is known about a bot."""
COLD = 30.0
"""So many exchanges of its own history count as much as what the scale says."""
RANK_SHARE = 0.5
"""The most that a score's place in the bot's history counts where the scale has a meaning of its own."""
APART = {"retrieval": 1.0, "rerank": 1.0, "intent": 1.5}
"""How many standard deviations the scores of bad exchanges are taken to lie from those of good ones (AUROC .76 and .86)."""
STRENGTH = 15.0
"""How many verdicts the curve before any verdict is worth."""
LEAST_VERDICTS = 10
LEAST_SEEN = 10
"""A scale without a meaning of its own (distances, BM25) says nothing before so many exchanges."""
_STEPS = 100
_TELLING = 20
"""A history shorter than this names no shares."""
_SPECIAL = 0.8


class CalibrationUnusable(ValueError):
    """The text holds no calibration."""


@dataclass(frozen=True)
class Calibration:
    """A rising curve from badness (platform_scores.badness) to log-odds.

    `quantiles`: badness of the bot's history in hundredths. `slopes`: (a, b, c) of a beta calibration (Kull et al. 2017),
    fitted on `verdicts` verdicts; (1, 1, 0) changes nothing.
    """

    field: str
    scale: str
    count: int
    quantiles: tuple[float, ...]
    slopes: tuple[float, float, float] = (1.0, 1.0, 0.0)
    verdicts: int = 0

    @classmethod
    def of(cls, history: History) -> "Calibration":
        """Before any verdict."""
        empty = cls(history.field, history.scale, 0, ())
        found = empty.badness(history.readings)
        usable = found[~np.isnan(found)]
        steps = np.quantile(usable, np.linspace(0, 1, _STEPS + 1)) if len(usable) else np.zeros(0)
        return replace(empty, count=len(found), quantiles=tuple(float(f"{one:.6g}") for one in steps))

    @classmethod
    def read(cls, text: str) -> "Calibration":
        """What `text()` gave.

        Raises
        ------
        CalibrationUnusable
            It is not such JSON.
        """
        try:
            content = json.loads(text)
            a, b, c = (float(one) for one in content["slopes"])
            return cls(
                str(content["field"]),
                str(content["scale"]),
                int(content["count"]),
                tuple(float(one) for one in content["quantiles"]),
                (a, b, c),
                int(content["verdicts"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CalibrationUnusable("no calibration: expected what Calibration.text gives") from error

    def text(self) -> str:
        """JSON, the same for the same calibration."""
        names = ("field", "scale", "count", "quantiles", "slopes", "verdicts")
        return json.dumps({name: getattr(self, name) for name in names})

    @cached_property
    def version(self) -> str:
        return f"{self.field}-{hashlib.sha256(self.text().encode()).hexdigest()[:12]}"

    def badness(self, readings: Sequence[Reading | None]) -> Floats:
        """One number an exchange that grows with trouble, (n,); NaN where nothing usable was sent."""
        found = [None if one is None else platform_scores.badness(self.field, self.scale, one) for one in readings]
        return np.asarray([np.nan if one is None else one for one in found], dtype=np.float64)

    def logits(self, badness: Floats) -> Floats:
        """Log-odds that exchanges need a person, (n,); never falls where badness rises."""
        return _bend(self._unbent(badness), self.slopes)

    def worse_than(self, badness: float) -> float | None:
        """The share of the bot's exchanges with better scores; None where too few are known."""
        if self.count < _TELLING or not self.quantiles or self.quantiles[0] == self.quantiles[-1]:
            return None
        return float(np.searchsorted(self.quantiles, badness) / len(self.quantiles))

    def fit(self, badness: Floats, bad: Floats, propensities: Floats | None = None, worth: Floats | None = None) -> "Calibration":
        """Learns from judged exchanges; arrays are (n,), `bad` of 0 and 1.

        A beta calibration on top of this curve, which itself counts as STRENGTH verdicts spread over the bot's history
        (data augmentation prior, Bedrick, Christensen and Johnson 1996). `propensities`: how likely each was chosen; it
        counts one over that, at most twenty (Horvitz and Thompson 1952), and all together as many as they are effectively
        (Kish 1965). `worth`: less than 1 for judgements weaker than a verdict. Returned unchanged where there are fewer
        than LEAST_VERDICTS, or where the learned curve does not predict verdicts better that it has not seen.
        """
        before = replace(self, slopes=(1.0, 1.0, 0.0), verdicts=0)
        known = np.isfinite(badness)
        if not self.quantiles or known.sum() < LEAST_VERDICTS:
            return before
        counted = np.ones(len(bad)) if propensities is None else np.minimum(1 / np.maximum(propensities, 1e-6), 20.0)
        counted = counted[known]
        counted = counted * counted.sum() / (counted**2).sum() * (1.0 if worth is None else worth[known])
        start, truth = before._unbent(badness[known]), bad[known]
        own = before._unbent(np.asarray(self.quantiles)[2::5])
        folds = np.random.default_rng(0).permutation(len(truth)) % 5
        loss = np.zeros(2)
        for fold in range(5):
            held = folds == fold
            slopes = _fit(start[~held], truth[~held], counted[~held], own)
            for i, curve in enumerate((start[held], _bend(start[held], slopes))):
                loss[i] += float(counted[held] @ np.logaddexp(0, np.where(truth[held] > 0, -curve, curve)))
        if loss[1] >= loss[0]:
            return before
        return replace(before, slopes=_fit(start, truth, counted, own), verdicts=len(truth))

    def _unbent(self, badness: Floats) -> Floats:
        """Log-odds before any verdict."""
        base = _logit(BASE_RATE[self.field])
        expected = usual(self.field, self.scale, badness)
        weight = self.count / (self.count + COLD) * (1.0 if expected is None else RANK_SHARE)
        return (1 - weight) * (base if expected is None else expected) + weight * (base + self._place(badness))

    def _place(self, badness: Floats) -> Floats:
        """What the place in the bot's history adds to the log-odds: the normal score of the rank, as if good and bad
        exchanges had normal scores APART apart."""
        if not self.quantiles:
            return np.zeros(len(badness))
        from scipy.special import ndtri  # scikit-learn brings it; only platforms that send scores pay the import

        values, counts = np.unique(self.quantiles, return_counts=True)
        middles = (np.cumsum(counts) - counts / 2) / counts.sum()
        least = 0.5 / (self.count + 1)
        normal = ndtri(np.clip(np.interp(badness, values, middles), least, 1 - least))
        share, apart = BASE_RATE[self.field], APART[self.field]
        # Log-likelihood ratio of two normals; the middle between them is where the share of good ones puts it.
        found: Floats = apart * (normal - apart * (0.5 - share))
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """What a platform's score says of one exchange.

    `logit`: log-odds that it needs a person, None where the scale says nothing yet. `score`: as sent, of the best passage
    or the chosen intent. `worse_than`: the share of the bot's exchanges with better scores, where enough are known.
    """

    logit: float | None
    score: float
    reading: Reading
    worse_than: float | None
    calibration: Calibration

    @property
    def scale(self) -> str:
        return self.calibration.scale

    @property
    def place(self) -> str:
        """Where the score lies among the bot's own, for a note; empty where that is nothing special."""
        if self.worse_than is None or self.worse_than < _SPECIAL:
            return ""
        return f", {'farther' if self.scale == DISTANCE else 'lower'} than {self.worse_than:.0%} of this bot's answers"

    @property
    def detail(self) -> dict[str, str | float | int | None]:
        """What evidence tells about where the number comes from."""
        return {
            "lower_than": None if self.worse_than is None else round(self.worse_than, 2),
            "answers_known": self.calibration.count,
            "verdicts_known": self.calibration.verdicts,
            "calibration": self.calibration.version,
            **({} if self.reading.named is None else {"scale_named_by_platform": self.reading.named}),
        }


def judge(exchanges: Sequence[Exchange], fields: Sequence[str], known: Mapping[Key, Calibration]) -> list[Judged | None]:
    """By the first of `fields` that the exchange's platform sent; None where it sent none.

    A source that `known` lacks, or whose scores are plainly on another scale now, is read by these exchanges alone.
    """
    readings: dict[Key, dict[int, Reading]] = {}
    for i, exchange in enumerate(exchanges):
        for field in fields:
            if (reading := platform_scores.read(exchange, field)) is not None:
                readings.setdefault((exchange.source, field), {})[i] = reading
                break
    judged: list[Judged | None] = [None] * len(exchanges)
    for key, rows in readings.items():
        calibration = known.get(key)
        if calibration is None or 2 * sum(platform_scores.fits(calibration.scale, one) for one in rows.values()) < len(rows):
            calibration = Calibration.of(platform_scores.histories(exchanges[i] for i in rows)[key])
        for i, one in _judge(calibration, rows).items():
            judged[i] = one
    return judged


def _judge(calibration: Calibration, rows: Mapping[int, Reading]) -> dict[int, Judged]:
    scale = calibration.scale
    found = calibration.badness(list(rows.values()))
    usable = [(i, reading) for (i, reading), one in zip(rows.items(), found, strict=True) if not math.isnan(one)]
    numbers = found[~np.isnan(found)]
    speaks = calibration.count >= LEAST_SEEN or usual(calibration.field, scale, numbers) is not None
    return {
        i: Judged(
            float(logit) if speaks else None,
            platform_scores.best(scale, reading),
            reading,
            calibration.worse_than(float(number)),
            calibration,
        )
        for (i, reading), number, logit in zip(usable, numbers, calibration.logits(numbers), strict=True)
    }


def version_of(known: Mapping[Key, Calibration], source: str) -> str | None:
    """The versions of a source's calibrations as one text, None where it has none."""
    return " ".join(known[key].version for key in sorted(known) if key[0] == source) or None


def usual(field: str, scale: str, badness: Floats) -> Floats | None:
    """Log-odds that such a score usually means; None where the scale says nothing absolute."""
    found: Floats
    if field == "intent":
        return badness
    if scale == COSINE:
        found = np.maximum(1.2 + 5.0 * (badness + 0.25), -2.0)
    elif scale == PROBABILITY:
        found = 1.5 + 4.0 * badness
    elif scale == PERCENT:
        found = 1.3 + 0.04 * badness
    elif scale == LOGIT:
        found = 0.5 * np.clip(badness, -8.0, 8.0)
    else:
        return None
    return np.clip(found, -4.0, 4.0)


def _fit(start: Floats, bad: Floats, counted: Floats, own: Floats) -> tuple[float, float, float]:
    """Slopes by scikit-learn's regression on ln p and -ln(1 - p); a falling one is left out, as Kull et al. do."""
    from sklearn import linear_model  # a second of import that only fitting may cost

    points = np.concatenate([start, own, own])
    truth = np.concatenate([bad, np.ones(len(own)), np.zeros(len(own))])
    likely = 1 / (1 + np.exp(-own))
    weights = np.concatenate([counted, likely * (STRENGTH / len(own)), (1 - likely) * (STRENGTH / len(own))])
    columns = np.column_stack([-np.logaddexp(0, -points), np.logaddexp(0, points)])
    for used in ([0, 1], [0], [1]):
        regression: Any = linear_model.LogisticRegression
        fitted = regression(C=100.0, tol=1e-6, max_iter=1000).fit(columns[:, used], truth, sample_weight=weights)
        if (fitted.coef_[0] > 0).all():
            found = dict(zip(used, fitted.coef_[0], strict=True))
            return round(float(found.get(0, 0.0)), 6), round(float(found.get(1, 0.0)), 6), round(float(fitted.intercept_[0]), 6)
    # The verdicts say that better scores are worse: the order stays the platform's, and counts for next to nothing.
    share = float((weights * truth).sum() / weights.sum())
    return _FLAT, _FLAT, round(_logit(share), 6)


_FLAT = 0.02


def _bend(logits: Floats, slopes: tuple[float, float, float]) -> Floats:
    a, b, c = slopes
    found: Floats = -a * np.logaddexp(0, -logits) + b * np.logaddexp(0, logits) + c
    return found


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
