"""What charts are drawn with: colours, widths, and what several of them share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import altair as alt

    Drawn = alt.Chart | alt.LayerChart | alt.VConcatChart | alt.FacetChart

Size = Literal["wide", "narrow"]
Look = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Ink:
    """The colours of static/triage.css that a chart uses."""

    text: str
    muted: str
    line: str
    accent: str
    soft: str
    mark: str


INKS: dict[Look, Ink] = {
    "light": Ink("#16201e", "#51605b", "#d3dbd8", "#0b6658", "#9ccbc0", "#e0a33b"),
    "dark": Ink("#e5ebe9", "#9fb0ab", "#2c3735", "#58c3ae", "#2b6a5d", "#c9932f"),
}
WIDTHS: dict[Size, int] = {"wide": 880, "narrow": 325}


@dataclass(frozen=True, slots=True)
class Paper:
    """What a chart is drawn with, and how wide it is in all (pixels)."""

    ink: Ink
    width: int

    @property
    def narrow(self) -> bool:
        return self.width < 500


def name_axis(paper: Paper) -> "alt.Y":
    import altair as alt

    axis = alt.Axis(
        labelLimit=label_width(paper) - 10,
        minExtent=label_width(paper),
        maxExtent=label_width(paper),
        labelColor=paper.ink.text,
    )
    return alt.Y("name:N", title=None, sort=None, axis=axis)


def label_width(paper: Paper) -> int:
    return 112 if paper.narrow else 190


def plot_width(paper: Paper) -> int:
    """How wide the lines are between their names and their words."""
    return paper.width - label_width(paper) - (124 if paper.narrow else 190)


def small_size(paper: Paper) -> int:
    return 11 if paper.narrow else 12


def data_of(rows: list[dict[str, Any]]) -> "alt.InlineData":
    import altair as alt

    return alt.InlineData(values=rows)


def plain_text(told: str) -> str:
    """Without what XML has no way to say (control characters), which would make the whole picture unreadable."""
    return "".join(
        one if one >= " " and one not in "\x7f\ufffe\uffff" else "\ufffd" if one not in "\t\n\r" else " " for one in told
    )
