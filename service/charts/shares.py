"""Charts of shares with their intervals: failure rates by week and by group."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from service.charts.paper import Paper, data_of, name_axis, plain_text, plot_width, small_size
from service.lead import Lead
from service.quality import Number, percentage

if TYPE_CHECKING:
    from service.charts.paper import Drawn

MOST_BARS = 15
"""Groups that a chart shows; its table shows all."""


def weeks(lead: Lead, paper: Paper) -> "Drawn | None":
    found = lead.quality.by_week[::-1]
    if not found:
        return None
    import altair as alt

    ink = paper.ink
    top = _top(found)
    rows = [
        {
            "at": one.name, "value": one.value, "low": one.low, "high": min(one.high, top), "sure": one.value is not None,
            "told": _label(one), "sentence": f"Week of {one.name}: {_label(one)}",
        }
        for one in found
    ]  # fmt: skip
    first, last = date.fromisoformat(found[0].name), date.fromisoformat(found[-1].name)
    span = [(first - timedelta(days=4)).isoformat(), (last + timedelta(days=4)).isoformat()]
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X(
            "at:T", title="Week of", scale=alt.Scale(type="utc", domain=span),
            axis=alt.Axis(format="%-d %b", grid=False, labelOverlap=True, values=ticks([one.name for one in found], paper)),
        ),
    )  # fmt: skip
    scale = alt.Scale(domain=[0, top])
    interval = base.mark_rule(strokeWidth=_stroke(len(found), paper)).encode(
        y=alt.Y("low:Q", title=None, scale=scale, axis=alt.Axis(format="~%", tickCount=4)),
        y2="high:Q",
        color=alt.condition("datum.sure", alt.value(ink.soft), alt.value(ink.line)),
        description="sentence:N",
    )
    sure = base.transform_filter("datum.sure")
    line = sure.mark_line(color=ink.accent, strokeWidth=1.5, opacity=0.6).encode(y=alt.Y("value:Q", scale=scale))
    points = sure.mark_circle(color=ink.accent, size=52, opacity=1).encode(
        y=alt.Y("value:Q", scale=scale), description="sentence:N"
    )
    return alt.layer(interval, line, points).properties(width=paper.width - 52, height=220)


def ticks(mondays: Sequence[str], paper: Paper) -> list[float]:
    """Some of the Mondays in milliseconds: left alone, Vega marks Sundays."""
    step = -(-len(mondays) // (4 if paper.narrow else 9))
    return [datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000 for day in mondays[::step]]


def _top(found: Sequence[Number]) -> float:
    """As high as the axis must go for the numbers that are known; wider intervals run out of the picture."""
    known = [one.high for one in found if one.value is not None]
    return min(1.0, max(known) * 1.15) if known else 1.0


def _stroke(count: int, paper: Paper) -> float:
    return max(3.0, min(14.0, (paper.width - 52) / count * 0.4))


def intents(lead: Lead, paper: Paper) -> "Drawn | None":
    return shares([(one.name, one) for one in lead.quality.by_intent], paper)


def channels(lead: Lead, paper: Paper) -> "Drawn | None":
    return shares([(one.name, one) for one in lead.quality.by_channel], paper)


def sources(lead: Lead, paper: Paper) -> "Drawn | None":
    return shares([(one.name, one) for one in lead.quality.by_source], paper)


def shares(found: Sequence[tuple[str, Number]], paper: Paper, title: str = "") -> "Drawn | None":
    """A line for each name: its interval, its value where there is one, and both in words."""
    shown = [(name, one) for name, one in found if one.exchanges][:MOST_BARS]
    if not shown:
        return None
    import altair as alt

    ink = paper.ink
    rows = [
        {"name": plain_text(name), "value": one.value, "low": one.low, "high": one.high, "sure": one.value is not None,
         "told": _label(one), "sentence": f"{plain_text(name)}: {_label(one)}"}
        for name, one in shown
    ]  # fmt: skip
    top = min(1.0, max(one.high for _, one in shown))
    base = alt.Chart(data_of(rows)).encode(y=name_axis(paper), description="sentence:N")
    scale = alt.Scale(domain=[0, top])
    axis = alt.Axis(format="~%", tickCount=4, orient="bottom")
    interval = base.mark_rule(strokeWidth=8).encode(
        x=alt.X("low:Q", title=None, scale=scale, axis=axis),
        x2="high:Q",
        color=alt.condition("datum.sure", alt.value(ink.soft), alt.value(ink.line)),
    )
    points = (
        base.transform_filter("datum.sure")
        .mark_circle(color=ink.accent, size=70, opacity=1)
        .encode(x=alt.X("value:Q", scale=scale))
    )
    words = base.mark_text(align="left", fontSize=small_size(paper), color=ink.muted).encode(
        x=alt.value(plot_width(paper) + 12), text="told:N"
    )
    chart = alt.layer(interval, points, words).properties(width=plot_width(paper), height=alt.Step(26))
    return chart.properties(title=title) if title else chart


def _label(one: Number) -> str:
    between = f"{percentage(one.low)} to {percentage(one.high)}"
    return f"too few: {between}" if one.value is None else f"{percentage(one.value)} ({between})"
