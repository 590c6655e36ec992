"""Search as pages show it: the form with what is chosen, the finds, and what can be done with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from service.models import ItemState
from service.searching.fields import FILTERS, NAMES, UNREVIEWED, By, Order, Wanted, as_fields
from service.searching.find import Found
from service.searching.results import FoundExchange, Result
from service.searching.saved import Saved
from service.views.forms import Typed
from service.views.words import (
    ROLES,
    SIGNALS,
    VERDICT_NAMES,
    address,
    anchor_of,
    clip,
    moment,
    percent,
    signal_label,
    weight_of,
)

ORDERS = {Order.relevance: "Best match", Order.date: "Latest first", Order.priority: "Priority"}
_LABELS = {
    "q": "",
    "source": "source",
    "channel": "channel",
    "since": "from",
    "until": "to",
    "feedback": "feedback",
    "intent": "intent",
    "signal": "signal",
    "verdict": "verdict",
    "least": "priority from",
    "most": "priority to",
}


class SearchForm(BaseModel):
    """The fields of a search as a form or an address holds them (service/searching/fields.py says what each means)."""

    q: Typed = ""
    by: Typed = ""
    source: Typed = ""
    channel: Typed = ""
    since: Typed = ""
    until: Typed = ""
    feedback: Typed = ""
    intent: Typed = ""
    signal: Typed = ""
    verdict: Typed = ""
    least: Typed = ""
    most: Typed = ""
    order: Typed = ""


class SavedForm(SearchForm):
    name: Typed = ""
    shared: bool = False


def search_shown(
    path: str,
    wanted: Wanted,
    found: Found,
    results: Sequence[Result],
    choices: Mapping[str, Sequence[str]],
    saved: Sequence[Saved],
    unknown: int,
) -> dict[str, Any]:
    fields = as_fields(wanted)
    # Where words served instead of meaning, the next page is by words too: its cursor is of that list.
    served = {**fields, "by": ""} if found.by == By.words else fields
    return {
        "path": path,
        "browsing": path == "/conversations",
        "fields": {name: fields.get(name, "") for name in NAMES},
        "hidden": fields,
        "selects": _selects(wanted, choices),
        "intents": choices["intent"],
        "orders": [
            {"value": order, "label": label, "chosen": order == wanted.ordered()}
            for order, label in ORDERS.items()
            if wanted.q or order != Order.relevance
        ],
        "by_meaning": wanted.by == By.meaning,
        "narrowed": wanted.narrows(),
        "filtered": bool(fields),
        "waiting": found.waiting,
        "heading": _heading(found),
        "unanswered": wanted.by == By.meaning and bool(wanted.q) and found.by == By.words,
        "unknown": f"{unknown:,} conversation{'s are' if unknown != 1 else ' is'} not searchable yet." if unknown else None,
        "results": [_result(result) for result in results],
        "pickable": any(one.item_id is None for result in results for one in result.exchanges),
        "after": address(path, None, **served, cursor=found.cursor) if found.cursor else None,
        "first_href": address(path, None, **served),
        "back": address(path, None, **fields),
        "empty": _empty(wanted, unknown),
        "saved": [_saved(one) for one in saved],
    }


def said_after(said: str, picked: int) -> str | None:
    """What a redirect to one of these pages reports."""
    if said == "picked":
        return f"{picked} exchange{'s are' if picked != 1 else ' is'} in the queue now."
    return {
        "none_picked": "Choose at least one exchange first.",
        "filter_saved": "The filter is saved.",
        "filter_deleted": "The filter is deleted.",
        "forgotten": "Forgotten: its words are gone, and do not come back when the platform tells them again.",
        "lifted": "Lifted: what the platform tells of it from now on is taken in.",
    }.get(said)


def _selects(wanted: Wanted, choices: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    signals = {name: raised for name, (raised, _) in SIGNALS.items()}
    given = {
        "source": ("Source", dict.fromkeys(choices["source"], "")),
        "channel": ("Channel", dict.fromkeys(choices["channel"], "")),
        "feedback": ("Feedback", {"yes": "With feedback", "no": "Without"}),
        "signal": ("Signal", signals),
        "verdict": ("Verdict", {UNREVIEWED: "No verdict yet", **VERDICT_NAMES}),
    }
    chosen = as_fields(wanted)
    shown = []
    for name, (label, names) in given.items():
        values = dict.fromkeys((*names, *filter(None, [chosen.get(name)])))  # what is chosen stays to be seen
        options = [{"value": v, "label": names.get(v) or v, "chosen": v == chosen.get(name)} for v in values]
        shown.append({"name": name, "label": label, "options": options})
    return shown


def _heading(found: Found) -> str:
    if found.waiting:
        return "Searching"
    if found.more:
        return f"More than {found.count:,} conversations"
    return f"{found.count:,} conversation{'' if found.count == 1 else 's'}" if found.count else "Nothing found"


def _empty(wanted: Wanted, unknown: int) -> str:
    if wanted.by == By.meaning and wanted.q:
        return "No stored question means something like this. Say it in other words, or search by words."
    if wanted.q:
        return "Every word must stand in the conversation. Use fewer words, or a beginning such as refund*, or search by meaning."
    if wanted.narrows():
        return "No conversation meets all of these filters."
    return "The worker takes conversations in within seconds." if unknown else "Conversations appear here as they come in."


def _result(result: Result) -> dict[str, Any]:
    page = f"/conversations/{result.conversation_id}"
    return {
        "id": result.conversation_id,
        "href": _turn_href(page, result.places[0].turn_id if result.places else None),
        "opening": clip(result.opening, 160) or "(nothing said)",
        "source": result.source,
        "channel": result.channel,
        "at": moment(result.began_at),
        "turns": f"{result.turns:,} turn{'' if result.turns == 1 else 's'}",
        "feedback": result.has_feedback,
        "external_id": clip(result.external_id, 60),
        "places": [
            {
                "who": ROLES.get(place.role, place.role) if place.role else "End user's comment",
                "href": _turn_href(page, place.turn_id),
                "pieces": place.pieces,
            }
            for place in result.places
        ],
        "exchanges": [_exchange(page, one) for one in result.exchanges],
        "more": f"{result.more_exchanges:,} more exchange{'' if result.more_exchanges == 1 else 's'}"
        if result.more_exchanges
        else None,
        "page": page,
    }


def _turn_href(page: str, turn_id: str | None) -> str:
    """The turn by its anchor; `turn` opens the part of a long conversation in which it stands."""
    return address(page, turn=turn_id) + f"#{anchor_of(turn_id)}" if turn_id else page


def _exchange(page: str, one: FoundExchange) -> dict[str, Any]:
    return {
        "id": one.id,
        "href": _turn_href(page, one.turn_id),
        "priority": f"{one.priority:.2f}",
        "percent": percent(one.priority),
        "question": clip(one.question, 160) or "(no question: the bot spoke first)",
        "answer": clip(one.answer, 160),
        "intent": one.intent,
        "alike": f"{percent(one.alike)} % alike" if one.alike is not None else None,
        "chips": [(signal_label(name, probability), weight_of(probability)) for name, probability in one.raised],
        "item_href": f"/items/{one.item_id}" if one.item_id else None,
        "state": _state(one),
        "state_weight": "good" if one.verdict == "good" else "some" if one.verdict else "calm",
    }


def _state(one: FoundExchange) -> str | None:
    if one.item_state is None:
        return None
    if one.verdict:
        return VERDICT_NAMES.get(one.verdict, one.verdict)
    return "in the queue" if one.item_state == ItemState.open else one.item_state.replace("_", " ")


def _saved(one: Saved) -> dict[str, Any]:
    told = [
        f"{_LABELS[name]} {value}".strip() if name != "q" else f"“{value}”"
        for name, value in one.query.items()
        if name == "q" or name in FILTERS
    ]
    return {
        "id": one.id,
        "name": one.name,
        "href": address("/search", None, **one.query),
        "told": clip(", ".join(told), 120),
        "shared": one.shared,
        "mine": one.mine,
        "owner": one.owner,
    }
