"""The lead's page: numbers as finished sentences, tables and addresses of charts (docs/quality.md says what they mean)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.burndown import Burndown
from service.charts.paper import INKS, WIDTHS
from service.charts.shares import MOST_BARS
from service.lead import Lead
from service.quality import Number, Quality, SignalWorth, percentage
from service.quality_rows import MOST, Part
from service.tables import Cell, Column, Kind, Table, table
from service.views.words import SIGNALS, Moment, address, moment, number

PERIODS = {"": "All", "4": "Last 4 weeks", "12": "Last 12 weeks", "26": "Last 26 weeks", "52": "Last 52 weeks"}
NARROW = "screen and (max-width: 46rem)"  # as static/triage.css turns to one column
DARK = "(prefers-color-scheme: dark)"


@dataclass(frozen=True, slots=True)
class ShownCell:
    text: str
    is_name: bool = False
    is_figure: bool = False
    at: Moment | None = None
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart's addresses: (media, address) for where another than the wide, light one fits, and its finding in words."""

    address: str
    others: list[tuple[str, str]]
    alt: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart (None: nothing to draw), what it says, and its numbers."""

    name: str
    title: str
    finding: str
    note: str
    picture: Picture | None
    columns: list[str]
    rows: list[list[ShownCell]]
    csv: str


def lead_shown(lead: Lead, asked: dict[str, str]) -> dict[str, Any]:
    """All that the page shows. `asked`: the filters as they were typed, for addresses."""
    quality = lead.quality
    return {
        "at": moment(lead.at),
        "asked": asked,
        "periods": [{"value": value, "label": label, "chosen": asked["weeks"] == value} for value, label in PERIODS.items()],
        "sources": _choices(lead.sources, asked["source"]),
        "channels": _choices(lead.channels, asked["channel"]),
        "filtered": any(asked.values()),
        "most": f"{MOST:,}",
        "is_empty": quality.failure_rate.exchanges == 0,
        "rate": quality.failure_rate,
        "cards": _cards(lead),
        "failures": [_figure(lead, asked, name) for name in ("weeks", "intents", "channels", "sources")],
        "signals": _figure(lead, asked, "signals"),
        "thresholds": [(_signal(one), one.threshold.sentence) for one in quality.signals if one.threshold.judged],
        "settings": _settings(quality.signals),
        "queue": [_figure(lead, asked, name) for name in ("queue", "ages")],
        "saved": _figure(lead, asked, "saved"),
        "corrections": _figure(lead, asked, "corrections"),
        "unknown": lead.unknown,
        "numbers_csv": address("/lead/numbers.csv", None, **asked),
    }


def finding(name: str, lead: Lead) -> str:
    """What the chart of that name shows, in a sentence or two."""
    quality = lead.quality
    if name == "weeks":
        return _trend(quality)
    groups = {"intents": ("intent", quality.by_intent), "channels": ("channel", quality.by_channel)}
    groups["sources"] = ("source", quality.by_source)
    if name in groups:
        return _highest(quality.failure_rate, *groups[name])
    if name == "signals":
        return _best_signal(quality.signals)
    told = {"saved": quality.saved.sentence, "corrections": lead.corrections.sentence}
    return told.get(name) or (_waiting(lead.queue) if name == "ages" else _flow(lead.queue))


def _choices(names: Sequence[str], chosen: str) -> list[dict[str, Any]]:
    known = [*names, *([chosen] if chosen and chosen not in names else [])]
    return [{"value": name, "chosen": name == chosen} for name in known]


def _cards(lead: Lead) -> list[tuple[str, str, str]]:
    """(what, figure, sentence) of what a lead looks at first."""
    quality, worked = lead.quality, lead.corrections.worked
    saved = quality.saved
    return [
        ("Answers that fail", _share(quality.failure_rate), quality.failure_rate.sentence),
        ("Failures found so far", _share(quality.queue_recall), quality.queue_recall.sentence),
        ("Reviews saved", number(round(saved.value)) if saved.value is not None else "not known yet", saved.sentence),
        (
            "Corrections that worked",
            percentage(worked.value) if worked.value is not None else "not known yet",
            lead.corrections.sentence,
        ),
    ]


def _share(one: Number) -> str:
    if one.value is not None:
        return percentage(one.value)
    return f"{percentage(one.low)} to {percentage(one.high)}" if one.judged else "not known yet"


# --- findings -----------------------------------------------------------------------------------------------------


def _trend(quality: Quality) -> str:
    known = [week for week in quality.by_week[::-1] if week.value is not None]
    if not known:
        return f"No week has enough verdicts for a number of its own. All of them: {quality.failure_rate.sentence}"
    first, last = known[0], known[-1]
    told = f"Week of {last.name}: {_with_interval(last)} of the answers fail."
    if len(known) == 1:
        return told + " It is the only week with enough verdicts for a number."
    before = f"the week of {first.name} ({_with_interval(first)})"
    if last.low > first.high:
        return f"{told} That is clearly more than in {before}."
    if last.high < first.low:
        return f"{told} That is clearly less than in {before}."
    return f"{told} Against {before} that is within what chance explains."


def _highest(overall: Number, what: str, found: Sequence[Number]) -> str:
    known = sorted((one for one in found if one.value is not None), key=lambda one: -(one.value or 0))
    if not known:
        return f"No {what} has enough verdicts for a number of its own."
    top = known[0]
    if len(found) == 1:
        return f"{top.name}: {_with_interval(top)} of the answers fail."
    told = f"{top.name} has the highest rate of those with enough verdicts: {_with_interval(top)}."
    if top.low > overall.high:
        return f"{told} That is clearly above all together ({_with_interval(overall)})."
    return f"{told} No {what} is clearly above all together."


def _best_signal(signals: Sequence[SignalWorth]) -> str:
    known = sorted((one for one in signals if one.precision.value is not None), key=lambda one: -(one.precision.value or 0))
    if not known:
        return "No signal has enough verdicts to say how often it is right."
    best = known[0]
    told = f"{_signal(best)} is right most often: {best.precision.sentence}"
    advised = sum(one.threshold.suggested is not None for one in signals)
    return f"{told} The verdicts suggest another threshold for {advised} of the signals." if advised else told


def _flow(queue: Burndown) -> str:
    added, decided = sum(day.added for day in queue.days), sum(day.decided for day in queue.days)
    days = f"{queue.days[0].day} to {queue.days[-1].day}: " if queue.days else ""
    return f"{days}{added:,} added, {decided:,} decided. Now {queue.open:,} are open. {queue.forecast.sentence}"


def _waiting(queue: Burndown) -> str:
    if not queue.open:
        return "Nothing is open."
    old = sum(one.items for one in queue.ages if one.days >= 7)
    return f"Of {queue.open:,} open items {old:,} have waited for seven days or longer."


def _with_interval(one: Number) -> str:
    between = f"{percentage(one.low)} to {percentage(one.high)}"
    return f"{percentage(one.value)} ({between})" if one.value is not None else f"too few verdicts for a number ({between})"


def _signal(one: SignalWorth) -> str:
    return SIGNALS[one.name][0] if one.name in SIGNALS else one.name


def _settings(signals: Sequence[SignalWorth]) -> str:
    """The table for triage.toml with what is suggested, and what is set already; empty where nothing is suggested."""
    if not any(one.threshold.suggested is not None for one in signals):
        return ""
    wanted = {one.name: one.threshold.current if one.threshold.suggested is None else one.threshold.suggested for one in signals}
    return "[signal_thresholds]\n" + "".join(f"{name} = {value:g}\n" for name, value in wanted.items() if value)


# --- a figure -----------------------------------------------------------------------------------------------------

_INTERVALS = "A bar is the interval of 95 %, a dot the share. A grey bar without a dot: too few verdicts for a number."
NOTES = {
    "weeks": f"{_INTERVALS} Weeks are ISO weeks in UTC, named by their Monday; grey bars may run out of the picture.",
    "intents": f"{_INTERVALS} The {MOST_BARS} with the most exchanges; the table has up to 30.",
    "channels": _INTERVALS,
    "sources": _INTERVALS,
    "signals": f"{_INTERVALS} An exchange may have several signals against it.",
    "queue": "Days are in UTC. The queue is filled up again to its capacity, so it need not become empty.",
    "ages": "Open items now, by when they were added.",
    "saved": "The line is the interval of 95 %.",
    "corrections": (
        "Asked since: exchanges after the publication that ask what the correction answers. Flagged again: a reviewer called the"
        " answer a failure, or, where nobody has looked, the signals do. The latest 500, by the week of their publication."
    ),
}


def _figure(lead: Lead, asked: dict[str, str], name: str) -> Figure:
    told, says = table(name, lead), finding(name, lead)
    shown = [i for i, column in enumerate(told.columns) if column.kind != Kind.sentence and column.name != "article_id"]
    return Figure(
        name=name,
        title=told.title,
        finding=says,
        note=NOTES[name],
        picture=_picture(lead, name, says),
        columns=[told.columns[i].label for i in shown],
        rows=[[_cell(told, row, i) for i in shown] for row in told.rows],
        csv=address(f"/lead/{name}.csv", None, **asked),
    )


def _picture(lead: Lead, name: str, says: str) -> Picture | None:
    quality = lead.quality
    drawn = {
        "signals": any(one.precision.exchanges for one in quality.signals),
        "queue": any(day.open or day.added or day.decided or day.set_aside for day in lead.queue.days),
        "ages": lead.queue.open > 0,
        "saved": quality.saved.low is not None,
        "corrections": bool(lead.corrections.made),
    }
    if not drawn.get(name, quality.failure_rate.exchanges > 0):
        return None

    def at(look: str, size: str) -> str:
        assert look in INKS
        assert size in WIDTHS
        return address(f"/lead/{name}.svg", None, look=look, size=size, state=lead.state, **_named(lead.part))

    others = [(f"{NARROW} and {DARK}", at("dark", "narrow")), (NARROW, at("light", "narrow")), (DARK, at("dark", "wide"))]
    return Picture(at("light", "wide"), others, says)


def _named(part: Part) -> dict[str, str | None]:
    return {
        "since": part.since.isoformat() if part.since else None,
        "until": part.until.isoformat() if part.until else None,
        "source": part.source,
        "channel": part.channel,
    }


def _cell(told: Table, row: tuple[Cell, ...], i: int) -> ShownCell:
    column, cell = told.columns[i], row[i]
    if column.kind == Kind.name:
        names = [one.name for one in told.columns]
        article = row[names.index("article_id")] if i == 0 and "article_id" in names else None
        return ShownCell(str(cell), is_name=True, href=f"/articles/{article}" if article else None)
    if column.kind == Kind.time:
        at = moment(cell) if not isinstance(cell, (str, int, float)) else None
        return ShownCell(at.full if at else "not yet", at=at)
    return ShownCell(_figure_text(column, cell), is_figure=True)


def _figure_text(column: Column, cell: Cell) -> str:
    if cell is None:
        return "too few verdicts" if column.kind == Kind.share else "none" if column.name == "suggested" else "not known"
    if isinstance(cell, (int, float)):
        return percentage(cell) if column.kind == Kind.share else number(round(cell, 2) if column.kind == Kind.amount else cell)
    return str(cell)
