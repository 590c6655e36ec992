"""How often the bot fails, what the signals and the queue are worth: rows in, numbers with intervals and a sentence out.

docs/quality.md says what each number means and how it comes about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlmodel import Session

from scoring.estimates import (
    Estimate,
    best_threshold,
    failure_rate,
    found_share,
    plain_share,
    reviews_saved,
    share_of_failures,
)
from scoring.exposure import Array
from service.budget import RAISED
from service.quality_rows import SIGNALS, Asked, Groups, Part, read_asked

MOST_GROUPS = 30
WORTH = 0.25
"""An alarm is worth a review if at least one in four is a failure."""
LEAST_JUDGED = 20
"""Verdicts on a signal's evidence before a threshold is suggested."""


@dataclass(frozen=True, slots=True)
class Number:
    """A share with its interval of 95 %; `value` is None where too few verdicts allow none. `name`: of what."""

    name: str
    value: float | None
    low: float
    high: float
    exchanges: int
    judged: int
    draws: int
    failures: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """`suggested` is None where the verdicts give no reason to leave `current`."""

    current: float
    suggested: float | None
    judged: int
    sentence: str


@dataclass(frozen=True, slots=True)
class SignalWorth:
    name: str
    precision: Number
    recall: Number
    threshold: Threshold


@dataclass(frozen=True, slots=True)
class Saved:
    """Reviews that pure chance would have needed beyond those that were made; None where there is no bound."""

    value: float | None
    low: float | None
    high: float | None
    reviews: int
    failures: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Quality:
    at: datetime
    failure_rate: Number
    by_source: list[Number]
    by_channel: list[Number]
    by_intent: list[Number]
    by_week: list[Number]
    signals: list[SignalWorth]
    queue_precision: Number
    queue_recall: Number
    saved: Saved


def measure(session: Session, now: datetime, thresholds: Mapping[str, float] | None = None, part: Part | None = None) -> Quality:
    """All numbers over the latest exchanges. `thresholds` are the settings' own, by signal."""
    return numbers(read_asked(session), now, thresholds, part)


def numbers(asked: Asked, now: datetime, thresholds: Mapping[str, float] | None = None, part: Part | None = None) -> Quality:
    """All numbers over the part of these exchanges."""
    asked = asked.of(part or Part())
    overall = failure_rate(asked.stream, asked.weights)
    merit = ~asked.stream.by_chance & asked.stream.judged
    return Quality(
        at=now,
        failure_rate=_number("all", overall, "of the answers fail"),
        by_source=_groups(asked, asked.source),
        by_channel=_groups(asked, asked.channel),
        by_intent=_groups(asked, asked.intent),
        by_week=_groups(asked, asked.week(), latest=True),
        signals=[_worth(asked, name, (thresholds or {}).get(name, 0.0)) for name in SIGNALS],
        queue_precision=_number(
            "queue",
            plain_share(int(asked.stream.failed[merit].sum()), int(merit.sum())),
            "of what was chosen by merit had failed",
        ),
        queue_recall=_number("queue", found_share(overall), "of all failures have been found by reviewing"),
        saved=_saved(overall),
    )


def _groups(asked: Asked, groups: Groups, latest: bool = False) -> list[Number]:
    """The failure rate of each group: the largest ones, or the last ones by name."""
    counts = np.bincount(groups.of, minlength=len(groups.names))
    by_name = sorted(np.flatnonzero(counts).tolist(), key=lambda i: groups.names[i], reverse=latest)
    order = by_name if latest else sorted(by_name, key=lambda i: -counts[i])
    return [
        _number(groups.names[i], failure_rate(*asked.only(groups.of == i)), "of the answers fail") for i in order[:MOST_GROUPS]
    ]


def _worth(asked: Asked, name: str, current: float) -> SignalWorth:
    probability = asked.evidence[name]
    raised = np.nan_to_num(probability) >= max(RAISED, current)
    judged = ~np.isnan(probability) & asked.stream.judged
    return SignalWorth(
        name,
        _number(name, failure_rate(*asked.only(raised)), "of the answers that it speaks against fail"),
        _number(
            name, share_of_failures(asked.stream, asked.weights, raised), "of all failures are among those it speaks against"
        ),
        _threshold(probability[judged], asked.stream.failed[judged], current),
    )


def _threshold(probability: Array, failed: Array, current: float) -> Threshold:
    count = len(probability)
    if count < LEAST_JUDGED:
        return Threshold(current, None, count, f"{count} verdicts on its evidence are too few to suggest a threshold.")
    now = max(current, RAISED)  # weaker evidence speaks for the answer: no threshold is about it
    best = best_threshold(probability, failed, WORTH, now)
    if best is None:
        return Threshold(current, None, count, f"{count} verdicts on its evidence give no reason to change the threshold.")
    low, high = sorted((best, now))
    between = (probability >= low) & (probability < high)
    fine, wrong = int(np.sum(between & (failed == 0))), int(np.sum(between & (failed == 1)))
    told = f"of its evidence from {low:.2f} to {high:.2f}, {fine} were false alarms and {wrong} failures"
    return Threshold(current, best, count, f"{'Raise' if best > now else 'Lower'} the threshold to {best:.2f}: {told}.")


def _saved(overall: Estimate) -> Saved:
    value, low, high = reviews_saved(overall)
    reviews, failures = overall.judged, overall.failures
    if low is None:
        sentence = "No failure has been found yet: nothing to compare."
    else:
        about = f"about {value:,.0f} more" if value is not None else "a number of reviews that is not known yet more"
        most = f"{high:,.0f}" if high is not None else "any number"
        sentence = (
            f"{failures:,} failures were found in {reviews:,} reviews; pure chance would have needed {about}"
            f" (95 % interval {low:,.0f} to {most}; less than 0: fewer)."
        )
    return Saved(value, low, high, reviews, failures, sentence)


def _number(name: str, of: Estimate, what: str) -> Number:
    between = f"{percentage(of.low)} to {percentage(of.high)}"
    if of.exchanges == 0:
        sentence = "There is nothing to measure yet."
    elif of.judged == 0:
        sentence = f"Not known: none of {of.exchanges:,} exchanges has a verdict."
    elif of.value is not None:
        sentence = f"{percentage(of.value)} {what} (95 % interval {between}), by {_verdicts(of)}."
    else:
        sentence = f"Too few verdicts for a number: {between} {what}, by {_verdicts(of)}."
    if of.judged and of.blind >= 0.005:
        sentence += f" Of {percentage(of.blind)} of the exchanges, chance has drawn none like them that is decided."
    return Number(name, of.value, of.low, of.high, of.exchanges, of.judged, of.draws, of.failures, sentence)


def _verdicts(of: Estimate) -> str:
    drawn = f", {of.draws:,} of them drawn by chance" if of.draws else ""
    return f"{of.judged:,} verdict{'' if of.judged == 1 else 's'}{drawn}, on {of.exchanges:,} exchanges"


def percentage(share: float) -> str:
    """As pages, charts and sentences say it."""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
