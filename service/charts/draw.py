"""A chart by its name, as SVG."""

from collections.abc import Callable
from typing import Any

from service.charts import counts, shares
from service.charts.paper import INKS, WIDTHS, Ink, Look, Paper, Size, plain_text
from service.errors import NotFound
from service.lead import Lead

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"


def draw(name: str, lead: Lead, look: Look = "light", size: Size = "wide", says: str = "") -> str:
    """The chart of that name as SVG; `says` is its finding in a sentence, for those who do not see it.

    Raises
    ------
    NotFound
        There is no such chart, or nothing to draw.
    """
    chart = CHARTS[name](lead, Paper(INKS[look], WIDTHS[size])) if name in CHARTS else None
    if chart is None:
        raise NotFound(f"there is no chart '{name}' of these numbers")
    import vl_convert

    told = chart.properties(description=plain_text(says), background="transparent", padding=4).configure(**_style(INKS[look]))
    return vl_convert.vegalite_to_svg(told.to_dict(), allowed_base_urls=[])


def _style(ink: Ink) -> dict[str, Any]:
    return {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": ink.muted, "titleColor": ink.muted, "gridColor": ink.line, "domain": False, "ticks": False,
            "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelPadding": 6,
        },
        "title": {"color": ink.text, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
        "legend": {
            "labelColor": ink.muted, "labelFontSize": 12, "orient": "top", "title": None, "symbolType": "square", "columns": 2,
        },
    }  # fmt: skip


CHARTS: dict[str, Callable[[Lead, Paper], Any]] = {
    "weeks": shares.weeks,
    "intents": shares.intents,
    "channels": shares.channels,
    "sources": shares.sources,
    "signals": counts.signals,
    "queue": counts.queue,
    "ages": counts.ages,
    "saved": counts.saved,
    "corrections": counts.corrections,
}
