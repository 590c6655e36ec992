"""How often the bot fails and what the signals are worth, with intervals, from exchanges of which few were judged.

All arrays are (n,) over the exchanges that are asked about: all of them, or those of an intent, a week, a signal.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scoring.exposure import Array, Flags, Stream, Weights

CONFIDENCE = 0.95
STRATA = 5
LEAST_A_STRATUM = 15
"""Judged draws that a band of priorities needs to have a rate of its own."""
WIDEST, MOST_BLIND = 0.4, 0.25
"""A wider interval, or more exchanges of whose kind nothing is known, gets no value: a number would only mislead."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share from 0 to 1 with its interval of 95 %; `value` is None where too little is known for a number.

    `draws` counts the judged exchanges that chance chose, `judged` all judged ones, `failures` the failures among them.
    `blind` is the share of the exchanges of whose kind nobody has judged any.
    """

    value: float | None
    low: float
    high: float
    exchanges: int
    judged: int
    draws: int
    failures: int
    blind: float = 0.0


@dataclass(frozen=True, slots=True)
class _Part:
    """So many exchanges (`mass`) of which judged ones speak as `n` plain draws would, with this rate of failures."""

    mass: float
    rate: float
    n: float


@dataclass(frozen=True, slots=True)
class _Split:
    """A total of failures: `fixed` is known, the parts are estimated, of `blind` exchanges nothing is known."""

    fixed: float
    parts: list[_Part]
    blind: float
    certain: Array
    """How many exchanges each judged one stands for as known, and as a draw."""
    sampled: Array


def failure_rate(stream: Stream, weights: Weights) -> Estimate:
    """The share of all these exchanges that failed, judged or not.

    What was taken counts as known so far as it was gone when chance drew; for the rest speak the draws, in bands of
    priority, because reviewers decide the likely failures first and may never come to the others. The interval is that of
    Jeffreys (Brown, Cai and DasGupta 2001) for the effective number of draws (Korn and Graubard 1998), within what the
    verdicts leave possible. Below the lowest priority that was judged, failures are taken to be no more frequent than in
    the band above.
    """
    n = len(stream)
    judged = stream.judged
    failures = int(stream.failed[judged].sum())
    counts = (n, int(judged.sum()), int((judged & (weights.drawn > 0)).sum()), failures)
    if n == 0:
        return Estimate(None, 0.0, 1.0, *counts)
    split = _split(stream, weights)
    floor, ceiling = failures / n, 1 - (counts[1] - failures) / n
    mass = sum(part.mass for part in split.parts)
    if mass <= 0 and split.blind > 0:
        return Estimate(None, floor, ceiling, *counts, blind=split.blind / n)
    rate, low, high = _interval(split.parts)
    worst = _interval(split.parts[:1])[2] if split.parts else 0.0
    unseen = split.blind * max(worst, high)
    ends = [
        (split.fixed + mass * low) / n,
        (split.fixed + mass * rate + unseen / 2) / n,
        (split.fixed + mass * high + unseen) / n,
    ]
    low, value, high = (float(min(max(end, floor), ceiling)) for end in ends)
    return _told(Estimate(value, min(low, value), max(high, value), *counts, blind=split.blind / n))


def share_of_failures(stream: Stream, weights: Weights, noticed: Flags) -> Estimate:
    """Of all failures, judged or not, the share that is among those `noticed` (a signal's recall).

    The interval takes the worst of both: how many failures there are, and which of the drawn ones were noticed.
    """
    total = failure_rate(stream, weights)
    nobody = replace(total, value=None, low=0.0, high=1.0)
    if total.draws == 0 or total.failures == 0:
        return nobody
    split = _split(stream, weights)
    failed = np.nan_to_num(stream.failed)
    certain, certain_noticed = float(split.certain @ failed), float(split.certain @ (failed * noticed))
    sampled = split.sampled * failed
    mass = float(sampled.sum())
    found = float(sampled @ noticed) / mass if mass > 0 else 0.0
    low, high = _jeffreys(found, mass**2 / float(sampled @ sampled)) if mass > 0 else (0.0, 1.0)
    n = len(stream)
    most, least = max(total.high * n - certain, 0.0), max(total.low * n - certain, 0.0)
    value = min((certain_noticed + mass * found) / (certain + mass), 1.0) if certain + mass > 0 else None  # rounding
    ends = [
        min((certain_noticed + rest * end) / (certain + rest), 1.0)
        for rest in (least, most)
        for end in (low, high)
        if certain + rest > 0
    ]
    if not ends or value is None:
        return nobody
    return _told(replace(total, value=value, low=min(*ends, value), high=max(*ends, value)))


def plain_share(found: int, of: int) -> Estimate:
    """A share among things that were all looked at, as an estimate for more of their kind."""
    if of == 0:
        return Estimate(None, 0.0, 1.0, 0, 0, 0, 0)
    return _told(Estimate(found / of, *_jeffreys(found / of, of), of, of, 0, found))


def found_share(rate: Estimate) -> Estimate:
    """Of all failures, judged or not, the share that reviewing has found so far."""
    n = rate.exchanges

    def found(at: float | None) -> float:
        return min(rate.failures / (at * n), 1.0) if at else 1.0

    if not rate.failures:
        return replace(rate, value=None, low=0.0, high=1.0)
    value = None if rate.value is None else found(rate.value)
    return _told(replace(rate, value=value, low=found(rate.high), high=found(rate.low)))


def reviews_saved(rate: Estimate) -> tuple[float | None, float | None, float | None]:
    """How many more reviews pure chance would have needed to find as many failures: (value, least, most); negative where it
    would have needed fewer, None where that is not known."""

    def saved(at: float | None) -> float | None:
        return rate.failures / at - rate.judged if at and rate.failures else None

    return saved(rate.value), saved(rate.high), saved(rate.low)


def best_threshold(probability: Array, failed: Array, worth: float, current: float) -> float | None:
    """The probability from which a signal's evidence should raise the priority, or None to leave it at `current`.

    The one with the greatest net benefit among the judged: failures above it, each less `worth`, the share of failures at
    which an alarm is just worth a review (Vickers and Elkin 2006). A change must gain more than one standard error.
    """

    def benefit(threshold: float) -> Array:
        return np.where(probability >= threshold, failed - worth, 0.0)

    best = max(np.round(np.arange(0.5, 0.96, 0.05), 2), key=lambda t: (benefit(t).sum(), -abs(t - current)))
    gain = benefit(float(best)) - benefit(current)
    return float(best) if gain.sum() > np.sqrt(np.sum(gain**2)) and gain.any() else None


def _told(estimate: Estimate) -> Estimate:
    vague = estimate.high - estimate.low > WIDEST or estimate.blind > MOST_BLIND
    return replace(estimate, value=None) if vague else estimate


# --- parts --------------------------------------------------------------------------------------------------------


def _split(stream: Stream, weights: Weights) -> _Split:
    band = _bands(stream, weights)
    sizes = np.bincount(band)
    mine = np.flatnonzero((weights.drawn > 0) | (weights.known > 0))
    kept, failed, judged = weights.known[mine], np.nan_to_num(stream.failed[mine]), stream.judged[mine]
    settled = np.zeros(len(mine), dtype=np.bool_) if stream.settled is None else ~np.isnan(stream.failed[mine]) & ~judged
    certain, sampled = np.where(judged, kept, 0.0), np.where(judged, weights.drawn[mine], 0.0)
    fixed = blind = 0.0
    parts: list[_Part] = []
    for number, size in enumerate(sizes):
        here = band[mine] == number
        known, draws = certain * here, sampled * here
        fixed += float(known @ failed) + float((kept * (here & settled)) @ failed)
        waiting = float(kept @ (here & ~judged & ~settled))
        rest = float(size - kept @ here)
        if known.any():
            parts += _part(waiting, known, failed, 0.0)
            certain = np.where(here & ~settled, certain * (1 + waiting / known.sum()), certain)
        else:
            rest += waiting
        if draws.any():
            parts += _part(rest, draws, failed, float(np.sum((1 - kept) * (draws > 0))))
            sampled = np.where(here, sampled * rest / draws.sum(), sampled)
        else:
            blind += rest
    certain = np.where(settled, kept, certain)
    everyone = np.zeros((2, len(stream)))
    everyone[:, mine] = certain, sampled
    return _Split(fixed, parts, blind, everyone[0], everyone[1])


def _part(mass: float, weights: Array, failed: Array, within: float) -> list[_Part]:
    """What the judged ones say of `mass` exchanges, `within` of which they are themselves: those cannot surprise."""
    if mass <= 1e-9:
        return []
    total, draws = float(weights.sum()), float(weights.sum() ** 2 / (weights @ weights))
    spread = 1 / draws + 1 / mass - 2 * min(within / draws, 1) / mass
    return [_Part(mass, float(weights @ failed) / total, 1 / max(spread, 1e-6))]


def _bands(stream: Stream, weights: Weights) -> NDArray[np.int64]:
    """(n,) the band of each, numbered from low priorities to high, with about as many judged draws in each. What lies below
    the lowest judged draw is a band of its own where draws of that kind wait: those who decide from the top come to it last.
    """
    drawn, judged = weights.drawn > 0, stream.judged
    known = np.sort(stream.priority[drawn & judged])
    count = int(np.clip(len(known) // LEAST_A_STRATUM, 1, STRATA))
    edges = [known[len(known) * k // count] for k in range(1, count)]
    if len(known) and (stream.priority[drawn & ~judged] < known[0]).any():
        edges.insert(0, known[0])
    return np.searchsorted(np.asarray(edges), stream.priority, side="right")


def _interval(parts: list[_Part]) -> tuple[float, float, float]:
    """(rate, low, high) over all parts."""
    mass = sum(part.mass for part in parts)
    if mass <= 0:
        return 0.0, 0.0, 0.0
    draws = sum(part.n for part in parts)
    common = (sum(part.n * part.rate for part in parts) + 0.5) / (draws + 1)
    rate = even = variance = 0.0
    for part in parts:
        share = part.mass / mass
        towards = (part.n * part.rate + common) / (part.n + 1)  # a band without failures is not sure to have none
        rate += share * part.rate
        even += share * towards
        variance += share**2 * towards * (1 - towards) / part.n
    return rate, *_jeffreys(rate, even * (1 - even) / variance)


def _jeffreys(share: float, n: float) -> tuple[float, float]:
    from scipy.special import betaincinv  # scikit-learn brings it; commands that estimate nothing need not pay the import

    tail = (1 - CONFIDENCE) / 2
    hits = share * n
    low = float(betaincinv(hits + 0.5, n - hits + 0.5, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 0.5, n - hits + 0.5, 1 - tail)) if hits < n else 1.0
    return low, high
