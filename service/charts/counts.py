"""Charts of counts: what signals raise and are worth, the queue, reviews saved, corrections."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from service.charts.paper import Paper, data_of, name_axis, plain_text, plot_width, small_size
from service.charts.shares import shares, ticks
from service.corrections import FLAGGED, NOT_ASKED, ON_ITS_WAY, OUTCOMES, WORKED
from service.lead import Lead

if TYPE_CHECKING:
    from service.charts.paper import Drawn


def signals(lead: Lead, paper: Paper) -> "Drawn | None":
    found = lead.quality.signals
    if not any(one.precision.exchanges for one in found):
        return None
    import altair as alt

    volume = _bars(
        [(one.name.replace("_", " "), one.precision.exchanges) for one in found], paper, "Exchanges that it speaks against"
    )
    precision = shares(
        [(one.name.replace("_", " "), one.precision) for one in found], paper, "Precision: of these, the share that fails"
    )
    recall = shares(
        [(one.name.replace("_", " "), one.recall) for one in found], paper, "Recall: of all failures, the share among these"
    )
    return alt.vconcat(*(one for one in (volume, precision, recall) if one is not None), spacing=22)


def _bars(counts: Sequence[tuple[str, float]], paper: Paper, title: str = "") -> "Drawn":
    import altair as alt

    rows = [{"name": plain_text(name), "count": count, "told": f"{count:,.0f}"} for name, count in counts]
    base = alt.Chart(data_of(rows)).encode(y=name_axis(paper))
    bars = base.mark_bar(color=paper.ink.soft, cornerRadiusEnd=3, height=14).encode(
        x=alt.X("count:Q", title=None, axis=None), description="told:N"
    )
    words = base.mark_text(align="left", dx=6, fontSize=12, color=paper.ink.muted).encode(x="count:Q", text="told:N")
    chart = alt.layer(bars, words).properties(width=plot_width(paper) + (40 if paper.narrow else 120), height=alt.Step(26))
    return chart.properties(title=title) if title else chart


def ages(lead: Lead, paper: Paper) -> "Drawn | None":
    return _bars([(one.name, one.items) for one in lead.queue.ages], paper) if lead.queue.open else None


def saved(lead: Lead, paper: Paper) -> "Drawn | None":
    saved = lead.quality.saved
    if saved.low is None:
        return None
    import altair as alt

    made, chance = "reviews made", "by chance alone"
    rows: list[dict[str, Any]] = [{"name": made, "count": saved.reviews, "told": f"{saved.reviews:,}", "high": None}]
    least, most = saved.low + saved.reviews, saved.high + saved.reviews if saved.high is not None else None
    guess = saved.value + saved.reviews if saved.value is not None else None
    between = f"{least:,.0f} to {most:,.0f}" if most is not None else f"{least:,.0f} or more"
    rows.append(
        {
            "name": chance, "count": guess, "low": least, "high": most if most is not None else least * 2,
            "told": f"{guess:,.0f} ({between})" if guess is not None else f"too few: {between}",
        }
    )  # fmt: skip
    base = alt.Chart(data_of(rows)).encode(y=name_axis(paper))
    bars = base.mark_bar(color=paper.ink.soft, cornerRadiusEnd=3, height=16).encode(
        x=alt.X("count:Q", title="reviews", axis=alt.Axis(tickCount=4)), description="told:N"
    )
    reach = (
        base.transform_filter("datum.high != null")
        .mark_rule(color=paper.ink.accent, strokeWidth=2)
        .encode(x="low:Q", x2="high:Q")
    )
    words = base.mark_text(align="left", fontSize=small_size(paper), color=paper.ink.muted).encode(
        x=alt.value(plot_width(paper) + 12), text="told:N"
    )
    return alt.layer(bars, reach, words).properties(width=plot_width(paper), height=alt.Step(34))


def queue(lead: Lead, paper: Paper) -> "Drawn | None":
    days = lead.queue.days
    if not any(day.open or day.added or day.decided or day.set_aside for day in days):
        return None
    import altair as alt

    ink, width = paper.ink, paper.width - 60
    rows = [
        {"at": day.day, "open": day.open, "added": day.added, "decided": -day.decided,
         "sentence": f"{day.day}: {day.added} added, {day.decided} decided, {day.open} open at its end"}
        for day in days
    ]  # fmt: skip
    rows.append({"at": (date.fromisoformat(days[-1].day) + timedelta(days=1)).isoformat(), "open": days[-1].open, "sentence": ""})
    after = (date.fromisoformat(days[-1].day) + timedelta(days=1)).isoformat()
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X(
            "at:T", title=None, scale=alt.Scale(type="utc", domain=[days[0].day, after]),
            axis=alt.Axis(format="%-d %b", grid=False, labelOverlap=True, tickCount=4 if paper.narrow else 8),
        )
    )  # fmt: skip
    thick = max(1.0, width / len(days) * 0.7)
    whole = alt.Axis(format=",d", tickMinStep=1, tickCount=4)
    waiting = base.mark_area(color=ink.soft, opacity=0.55, line={"color": ink.accent, "strokeWidth": 2}, interpolate="step-after")
    still = waiting.encode(y=alt.Y("open:Q", title=None, axis=whole)).properties(
        width=width, height=150, title="Open at the end of the day"
    )
    flow_axis = alt.Y(
        "added:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1, labelExpr="format(abs(datum.value), ',d')")
    )
    shift = width / len(days) / 2
    each = base.transform_filter("isValid(datum.added)")
    added = each.mark_bar(color=ink.mark, width=thick, xOffset=shift).encode(y=flow_axis, description="sentence:N")
    decided = each.mark_bar(color=ink.accent, width=thick, xOffset=shift).encode(y="decided:Q", description="sentence:N")
    zero = alt.Chart(data_of([{}])).mark_rule(color=ink.muted).encode(y=alt.datum(0))
    flow = alt.layer(added, decided, zero).properties(width=width, height=130, title="Added (up) and decided (down) each day")
    return alt.vconcat(still, flow, spacing=18)


def corrections(lead: Lead, paper: Paper) -> "Drawn | None":
    made = lead.corrections.made
    if not made:
        return None
    import altair as alt

    ink = paper.ink
    counts: dict[tuple[str, str], int] = {}
    for one in made:
        day = (one.published_at or one.written_at).date()
        key = (day - timedelta(days=day.weekday())).isoformat(), one.outcome
        counts[key] = counts.get(key, 0) + 1
    rows = [
        {"week": week, "outcome": outcome, "order": OUTCOMES.index(outcome), "count": count,
         "sentence": f"Week of {week}: {count} {outcome}"}
        for (week, outcome), count in sorted(counts.items())
    ]  # fmt: skip
    colours = {WORKED: ink.accent, FLAGGED: ink.mark, NOT_ASKED: ink.soft, ON_ITS_WAY: ink.line}
    weeks = sorted({week for week, _ in counts})
    span = [
        (date.fromisoformat(weeks[0]) - timedelta(days=4)).isoformat(),
        (date.fromisoformat(weeks[-1]) + timedelta(days=4)).isoformat(),
    ]
    steps = (date.fromisoformat(weeks[-1]) - date.fromisoformat(weeks[0])).days // 7 + 2
    bars: alt.Chart = (
        alt.Chart(data_of(rows))
        .mark_bar(width=max(3, min(36, (paper.width - 60) / steps * 0.7)))
        .encode(
            x=alt.X(
                "week:T", title="Week of", scale=alt.Scale(type="utc", domain=span),
                axis=alt.Axis(format="%-d %b", grid=False, labelOverlap=True, values=ticks(weeks, paper)),
            ),
            y=alt.Y("count:Q", title=None, axis=alt.Axis(format=",d", tickMinStep=1, tickCount=4)),
            color=alt.Color("outcome:N", scale=alt.Scale(domain=list(colours), range=list(colours.values()))),
            order="order:O",
            description="sentence:N",
        )
        .properties(width=paper.width - 60, height=180)
    )  # fmt: skip
    return bars
