"""The lead's numbers as tables with plain cells: what the page shows, what the files hold, what the report prints."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scoring.estimates import Estimate
from service.errors import NotFound
from service.lead import Lead
from service.quality import Number

Cell = str | int | float | datetime | None
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins with one of these (OWASP, CSV injection)."""


class Kind(StrEnum):
    """How a cell reads: a name that people gave, a share from 0 to 1, a number, a day, a time, a sentence of ours."""

    name = "name"
    share = "share"
    whole = "whole"
    amount = "amount"
    day = "day"
    time = "time"
    sentence = "sentence"


@dataclass(frozen=True, slots=True)
class Column:
    """`name` heads it in a file, `label` on the page."""

    name: str
    label: str
    kind: Kind = Kind.name


@dataclass(frozen=True, slots=True)
class Table:
    """`name` is its place in addresses."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]


_ESTIMATE = (
    Column("value", "Share", Kind.share),
    Column("low", "At least", Kind.share),
    Column("high", "At most", Kind.share),
    Column("exchanges", "Exchanges", Kind.whole),
    Column("judged", "With a verdict", Kind.whole),
    Column("draws", "Drawn by chance", Kind.whole),
    Column("failures", "Failures found", Kind.whole),
    Column("sentence", "In words", Kind.sentence),
)


def table(name: str, lead: Lead) -> Table:
    """The table of that name.

    Raises
    ------
    NotFound
        There is none.
    """
    if name not in TABLES:
        raise NotFound(f"there is no table '{name}': {', '.join(TABLES)}")
    return TABLES[name](name, lead)


def as_csv(told: Table) -> str:
    """UTF-8 text with a header, empty where there is no number. Text that a spreadsheet would run gets an apostrophe first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow([column.name for column in told.columns])
    writer.writerows([_plain(cell) for cell in row] for row in told.rows)
    return out.getvalue()


def _plain(cell: Cell) -> str | int | float | None:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, float):
        return round(cell, 6)
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


# --- each of them -------------------------------------------------------------------------------------------------


def _weeks(name: str, lead: Lead) -> Table:
    return Table(
        name, "Failure rate by week", (Column("week", "Week of", Kind.day), *_ESTIMATE), _rows(lead.quality.by_week[::-1])
    )


def _intents(name: str, lead: Lead) -> Table:
    return Table(name, "Failure rate by intent", (Column("intent", "Intent"), *_ESTIMATE), _rows(lead.quality.by_intent))


def _channels(name: str, lead: Lead) -> Table:
    return Table(name, "Failure rate by channel", (Column("channel", "Channel"), *_ESTIMATE), _rows(lead.quality.by_channel))


def _sources(name: str, lead: Lead) -> Table:
    return Table(name, "Failure rate by source", (Column("source", "Source"), *_ESTIMATE), _rows(lead.quality.by_source))


def _signals(name: str, lead: Lead) -> Table:
    columns = (
        Column("signal", "Signal"),
        Column("raised", "Speaks against", Kind.whole),
        Column("judged", "With a verdict", Kind.whole),
        Column("precision", "Precision", Kind.share),
        Column("precision_low", "At least", Kind.share),
        Column("precision_high", "At most", Kind.share),
        Column("recall", "Recall", Kind.share),
        Column("recall_low", "At least", Kind.share),
        Column("recall_high", "At most", Kind.share),
        Column("threshold", "Threshold", Kind.amount),
        Column("suggested", "Suggested", Kind.amount),
        Column("sentence", "In words", Kind.sentence),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one.name, one.precision.exchanges, one.precision.judged,
            one.precision.value, one.precision.low, one.precision.high, one.recall.value, one.recall.low, one.recall.high,
            one.threshold.current, one.threshold.suggested, one.threshold.sentence,
        )
        for one in lead.quality.signals
    ]  # fmt: skip
    return Table(name, "What each signal is worth", columns, rows)


def _queue(name: str, lead: Lead) -> Table:
    columns = (
        Column("day", "Day (UTC)", Kind.day),
        Column("added", "Added", Kind.whole),
        Column("decided", "Decided", Kind.whole),
        Column("set_aside", "Not reviewable", Kind.whole),
        Column("reopened", "Reopened", Kind.whole),
        Column("open", "Open at its end", Kind.whole),
    )
    rows: list[tuple[Cell, ...]] = [
        (day.day, day.added, day.decided, day.set_aside, day.reopened, day.open) for day in lead.queue.days
    ]
    return Table(name, "The queue by day", columns, rows)


def _ages(name: str, lead: Lead) -> Table:
    columns = (Column("waiting", "Waiting"), Column("items", "Open items", Kind.whole))
    return Table(name, "Open items by age", columns, [(one.name, one.items) for one in lead.queue.ages])


def _saved(name: str, lead: Lead) -> Table:
    columns = (
        Column("what", "What"),
        Column("value", "Reviews", Kind.amount),
        Column("low", "At least", Kind.amount),
        Column("high", "At most", Kind.amount),
    )
    saved = lead.quality.saved
    needed = [None if one is None else one + saved.reviews for one in (saved.value, saved.low, saved.high)]
    rows: list[tuple[Cell, ...]] = [
        ("reviews made", saved.reviews, saved.reviews, saved.reviews),
        ("reviews that pure chance would have needed", *needed),
        ("saved", saved.value, saved.low, saved.high),
    ]
    return Table(name, "Reviews saved against pure chance", columns, rows)


def _corrections(name: str, lead: Lead) -> Table:
    columns = (
        Column("question", "Correction"),
        Column("article_id", "Article", Kind.whole),
        Column("version", "Version", Kind.whole),
        Column("source", "Source", Kind.name),
        Column("written_at", "Written", Kind.time),
        Column("published_at", "Published", Kind.time),
        Column("asked", "Asked since", Kind.whole),
        Column("flagged", "Flagged again", Kind.whole),
        Column("outcome", "So far", Kind.sentence),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            one.question, one.article_id, one.version, one.source, one.written_at, one.published_at, one.asked, one.flagged,
            one.outcome,
        )
        for one in lead.corrections.made
    ]  # fmt: skip
    return Table(name, "Corrections and what became of them", columns, rows)


def _numbers(name: str, lead: Lead) -> Table:
    return Table(name, "All numbers", (Column("part", "Part"), Column("name", "Name"), *_ESTIMATE), list(_all_numbers(lead)))


def _all_numbers(lead: Lead) -> Iterator[tuple[Cell, ...]]:
    quality = lead.quality
    groups: list[tuple[str, Sequence[Number]]] = [
        ("failure_rate", [quality.failure_rate]),
        ("by_source", quality.by_source),
        ("by_channel", quality.by_channel),
        ("by_intent", quality.by_intent),
        ("by_week", quality.by_week),
        ("signal_precision", [one.precision for one in quality.signals]),
        ("signal_recall", [one.recall for one in quality.signals]),
        ("queue_precision", [quality.queue_precision]),
        ("queue_recall", [quality.queue_recall]),
    ]
    for part, found in groups:
        for row in _rows(found):
            yield part, *row
    saved = quality.saved
    yield "saved", "reviews", saved.value, saved.low, saved.high, None, saved.reviews, None, saved.failures, saved.sentence
    worked = lead.corrections.worked
    yield "corrections_worked", "corrections", *_estimate(worked), lead.corrections.sentence


def _rows(found: Sequence[Number]) -> list[tuple[Cell, ...]]:
    return [(one.name, *_estimate(one), one.sentence) for one in found]


def _estimate(one: Number | Estimate) -> tuple[Cell, ...]:
    return one.value, one.low, one.high, one.exchanges, one.judged, one.draws, one.failures


TABLES: dict[str, Callable[[str, Lead], Table]] = {
    "weeks": _weeks,
    "intents": _intents,
    "channels": _channels,
    "sources": _sources,
    "signals": _signals,
    "queue": _queue,
    "ages": _ages,
    "saved": _saved,
    "corrections": _corrections,
    "numbers": _numbers,
}
