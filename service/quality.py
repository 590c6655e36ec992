"""How often the bot fails, what the signals and the queue are worth: rows in, numbers with intervals and a sentence out.

docs/quality.md says what each number means and how it comes about.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, get_args

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from scoring.estimates import (
    Estimate,
    best_threshold,
    failure_rate,
    found_share,
    plain_share,
    reviews_saved,
    share_of_failures,
)
from scoring.exposure import Array, Flags, Rounds, Stream, Weights, weigh
from service.budget import POOL, RAISED
from service.models import Conversation, Evidence, Exchange, ReviewItem, Round, Verdict, VerdictLabel
from service.settings import SignalName

MOST = 50_000
"""The latest so many exchanges are what the numbers are about."""
MOST_GROUPS = 30
SIGNALS: tuple[str, ...] = get_args(SignalName)
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """The exchanges as arrays, and what they are grouped by; `evidence` holds each signal's probability, NaN without."""

    stream: Stream
    weights: Weights
    source: list[str]
    channel: list[str]
    intent: list[str]
    week: list[str]
    evidence: Mapping[str, Array] = field(default_factory=dict)

    def only(self, here: Flags) -> tuple[Stream, Weights]:
        s, w = self.stream, self.weights
        stream = Stream(s.arrived[here], s.priority[here], s.taken[here], s.by_chance[here], s.failed[here])
        return stream, Weights(w.drawn[here], w.known[here])


def measure(session: Session, now: datetime, thresholds: Mapping[str, float] | None = None) -> Quality:
    """All numbers over the latest exchanges. `thresholds` are the settings' own, by signal."""
    asked = _read(session)
    overall = failure_rate(asked.stream, asked.weights)
    merit = ~asked.stream.by_chance & ~np.isnan(asked.stream.failed)
    return Quality(
        at=now,
        failure_rate=_number("all", overall, "of the answers fail"),
        by_source=_groups(asked, asked.source),
        by_channel=_groups(asked, asked.channel),
        by_intent=_groups(asked, asked.intent),
        by_week=_groups(asked, asked.week, latest=True),
        signals=[_worth(asked, name, (thresholds or {}).get(name, 0.0)) for name in SIGNALS],
        queue_precision=_number(
            "queue",
            plain_share(int(asked.stream.failed[merit].sum()), int(merit.sum())),
            "of what was chosen by merit had failed",
        ),
        queue_recall=_number("queue", found_share(overall), "of all failures have been found by reviewing"),
        saved=_saved(overall),
    )


def _groups(asked: _Asked, names: list[str], latest: bool = False) -> list[Number]:
    """The failure rate of each group: the largest ones, or the last ones by name."""
    of = np.asarray(names)
    groups, counts = np.unique(of, return_counts=True) if len(of) else (of, of)
    order = np.arange(len(groups))[::-1] if latest else np.argsort(-counts, kind="stable")
    return [
        _number(str(groups[i]), failure_rate(*asked.only(of == groups[i])), "of the answers fail") for i in order[:MOST_GROUPS]
    ]


def _worth(asked: _Asked, name: str, current: float) -> SignalWorth:
    probability = asked.evidence[name]
    raised = np.nan_to_num(probability) >= max(RAISED, current)
    judged = ~np.isnan(probability) & ~np.isnan(asked.stream.failed)
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
    between = f"{_percent(of.low)} to {_percent(of.high)}"
    if of.exchanges == 0:
        sentence = "There is nothing to measure yet."
    elif of.judged == 0:
        sentence = f"Not known: none of {of.exchanges:,} exchanges has a verdict."
    elif of.value is not None:
        sentence = f"{_percent(of.value)} {what} (95 % interval {between}), by {_verdicts(of)}."
    else:
        sentence = f"Too few verdicts for a number: {between} {what}, by {_verdicts(of)}."
    if of.judged and of.blind >= 0.005:
        sentence += f" Of {_percent(of.blind)} of the exchanges, chance has drawn none like them that is decided."
    return Number(name, of.value, of.low, of.high, of.exchanges, of.judged, of.draws, of.failures, sentence)


def _verdicts(of: Estimate) -> str:
    drawn = f", {of.draws:,} of them drawn by chance" if of.draws else ""
    return f"{of.judged:,} verdict{'' if of.judged == 1 else 's'}{drawn}, on {of.exchanges:,} exchanges"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


# --- rows into arrays ---------------------------------------------------------------------------------------------


def _read(session: Session) -> _Asked:
    rows = session.execute(
        select(
            col(Exchange.id), col(Exchange.source), col(Exchange.intent), col(Exchange.asked_at), col(Exchange.created_at),
            col(Exchange.priority), col(Conversation.channel),
        )
        .join(Conversation, col(Conversation.id) == col(Exchange.conversation_id))
        .order_by(col(Exchange.id).desc())
        .limit(MOST)
    ).all()[::-1]  # fmt: skip
    place = {row.id: i for i, row in enumerate(rows)}
    first = rows[0].id if rows else 0
    rounds = session.execute(select(Round).order_by(col(Round.at), col(Round.id))).scalars().all()
    number = {one.id: i for i, one in enumerate(rounds)}
    at = np.array([one.at.timestamp() for one in rounds], dtype=np.float64)
    taken = np.full(len(rows), -1, dtype=np.int64)
    by_chance = np.zeros(len(rows), dtype=np.bool_)
    failed = np.full(len(rows), np.nan)
    for item in _items(session, first):
        if (i := place.get(item.exchange_id)) is None:
            continue
        # What a person asked for belongs to no round: it left the pool as if the round before had taken it.
        taken[i] = number.get(item.round_id, max(0, np.searchsorted(at, item.created_at.timestamp(), side="right") - 1))
        by_chance[i] = item.strategy == "random"
        if item.label is not None and item.label != VerdictLabel.unclear:
            failed[i] = float(item.label != VerdictLabel.good)
    arrived = np.maximum.accumulate(np.array([row.created_at.timestamp() for row in rows], dtype=np.float64))
    stream = Stream(arrived, np.array([row.priority for row in rows], dtype=np.float64), taken, by_chance, failed)
    made = Rounds(
        at,
        np.array([one.pool for one in rounds], dtype=np.float64),
        np.array([one.counts.get("random", 0) for one in rounds], dtype=np.float64),
    )
    return _Asked(
        stream,
        weigh(stream, made, POOL),
        source=[row.source for row in rows],
        channel=[row.channel or "no channel" for row in rows],
        intent=[row.intent or "no intent" for row in rows],
        week=[_week(row.asked_at or row.created_at) for row in rows],
        evidence=_evidence(session, first, place),
    )


def _items(session: Session, first: int) -> Iterable[Any]:
    return session.execute(
        select(
            col(ReviewItem.exchange_id), col(ReviewItem.round_id), col(ReviewItem.strategy), col(ReviewItem.created_at),
            col(Verdict.label),
        )
        .join(Verdict, (col(Verdict.item_id) == col(ReviewItem.id)) & col(Verdict.withdrawn_at).is_(None), isouter=True)
        .where(col(ReviewItem.exchange_id) >= first)
    )  # fmt: skip


def _evidence(session: Session, first: int, place: Mapping[int, int]) -> dict[str, Array]:
    found = {name: np.full(len(place), np.nan) for name in SIGNALS}
    rows = session.execute(
        select(col(Evidence.exchange_id), col(Evidence.name), col(Evidence.probability)).where(col(Evidence.exchange_id) >= first)
    )
    for exchange_id, name, probability in rows:
        if name in found and exchange_id in place:
            found[name][place[exchange_id]] = probability
    return found


def _week(at: datetime) -> str:
    """The week's Monday."""
    day: date = at.date()
    return (day - timedelta(days=day.weekday())).isoformat()
