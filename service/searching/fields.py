"""What a search asks for: read from a form, an address, a saved filter or the command line, all by the same names."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum

from service.errors import Invalid
from service.models import VerdictLabel
from service.search_words import MOST_QUESTION

UNREVIEWED = "none"
"""The verdict of exchanges that have none."""
_MOST_NAME = 255


class By(StrEnum):
    words = "words"
    meaning = "meaning"


class Order(StrEnum):
    relevance = "relevance"
    date = "date"
    priority = "priority"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which conversations; None means any. What is asked of an exchange must hold of one and the same exchange.

    Days are of UTC and both count; so do both ends of the priority's range.
    """

    q: str = ""
    by: By = By.words
    source: str | None = None
    channel: str | None = None
    since: date | None = None
    until: date | None = None
    feedback: bool | None = None
    intent: str | None = None
    signal: str | None = None
    verdict: str | None = None
    least: float | None = None
    most: float | None = None
    order: Order | None = None

    def narrows(self) -> bool:
        """Is anything asked for beyond words?"""
        return any(getattr(self, name) is not None for name in FILTERS)

    def asks_exchange(self) -> bool:
        return any(value is not None for value in (self.intent, self.signal, self.verdict, self.least, self.most))

    def ordered(self) -> Order:
        """The order asked for, or the one that suits: nothing is more relevant than the rest where no words are given."""
        if not self.q:
            return self.order if self.order and self.order != Order.relevance else Order.date
        return self.order or Order.relevance


NAMES = tuple(field.name for field in fields(Wanted))
FILTERS = tuple(name for name in NAMES if name not in ("q", "by", "order"))


def read_fields(given: Mapping[str, str]) -> Wanted:
    """The search that these fields ask for; empty ones ask for nothing.

    Raises
    ------
    Invalid
        A field holds what it cannot mean; the message names it and says what it takes.
    """
    told = {name: given.get(name, "").replace("\x00", "").strip() for name in NAMES}
    if len(told["q"]) > MOST_QUESTION:
        raise Invalid(f"q: at most {MOST_QUESTION} characters")
    for name in ("source", "channel", "intent", "signal"):
        if len(told[name]) > _MOST_NAME:
            raise Invalid(f"{name}: at most {_MOST_NAME} characters")
    wanted = Wanted(
        q=told["q"],
        by=By(_one_of("by", told["by"], list(By)) or By.words),
        source=told["source"] or None,
        channel=told["channel"] or None,
        since=_day("since", told["since"]),
        until=_day("until", told["until"]),
        feedback={"": None, "yes": True, "no": False}[_one_of("feedback", told["feedback"], ["yes", "no"])],
        intent=told["intent"] or None,
        signal=told["signal"] or None,
        verdict=_one_of("verdict", told["verdict"], [*VerdictLabel, UNREVIEWED]) or None,
        least=_share("least", told["least"]),
        most=_share("most", told["most"]),
        order=Order(told["order"]) if _one_of("order", told["order"], list(Order)) else None,
    )
    if wanted.since and wanted.until and wanted.until < wanted.since:
        raise Invalid("until: must not be before since")
    if wanted.least is not None and wanted.most is not None and wanted.most < wanted.least:
        raise Invalid("most: must not be less than least")
    return wanted


def as_fields(wanted: Wanted) -> dict[str, str]:
    """The fields that read_fields makes this search of; those that ask for nothing are left out."""
    told = {
        "q": wanted.q,
        "by": wanted.by if wanted.by != By.words else "",
        "feedback": {None: "", True: "yes", False: "no"}[wanted.feedback],
        "since": wanted.since.isoformat() if wanted.since else "",
        "until": wanted.until.isoformat() if wanted.until else "",
        "least": f"{wanted.least:g}" if wanted.least is not None else "",
        "most": f"{wanted.most:g}" if wanted.most is not None else "",
        "order": wanted.order or "",
        **{name: getattr(wanted, name) or "" for name in ("source", "channel", "intent", "signal", "verdict")},
    }
    return {name: str(told[name]) for name in NAMES if told[name]}


def _one_of(name: str, value: str, choices: list[str]) -> str:
    if value and value not in choices:
        raise Invalid(f"{name}: one of {', '.join(choices)}")
    return value


def _day(name: str, value: str) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise Invalid(f"{name}: a day such as 2026-01-31") from error


def _share(name: str, value: str) -> float | None:
    try:
        share = float(value) if value else None
    except ValueError as error:
        raise Invalid(f"{name}: a number from 0 to 1") from error
    if share is not None and not 0 <= share <= 1:
        raise Invalid(f"{name}: a number from 0 to 1")
    return share
