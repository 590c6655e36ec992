"""A conversation as pages show it: turns with what the platform told, what users rated, and evidence beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.forgetting.forget import ERASED
from service.models import Conversation, Evidence, Feedback, Turn
from service.views.words import (
    FORGOTTEN,
    RAISED,
    ROLES,
    Moment,
    Told,
    anchor_of,
    clip,
    fold,
    moment,
    number,
    percent,
    signal_label,
    weight_of,
)

FOLD_OVER = 60  # turns; longer conversations show the part around the flagged exchange
AROUND = 20


@dataclass(frozen=True, slots=True)
class Note:
    """Evidence as the margin shows it."""

    anchor: str
    label: str
    text: str
    weight: str
    value: str
    chance: str
    counts: str
    """From which probability on it is shown as raised, and from which it counts for the priority where the settings say."""
    figures: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Mark:
    """On a turn that took part in evidence whose note stands at another turn."""

    anchor: str
    label: str
    weight: str


@dataclass(frozen=True, slots=True)
class Passage:
    title: str
    scores: str
    text: Told


@dataclass(frozen=True, slots=True)
class Rating:
    text: str
    comment: str | None
    at: Moment | None
    weight: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored exchange, shown at the turn that completes its answer."""

    exchange_id: int
    priority: str
    percent: int
    item_href: str | None
    item_state: str | None
    asked: str | None


@dataclass(slots=True)
class TurnShown:
    anchor: str
    role: str
    who: str
    text: Told
    at: Moment | None
    edited: Moment | None
    removed: bool = False
    flagged: bool = False
    new_day: bool = False
    intent: str | None = None
    ranking: list[tuple[str, str]] = field(default_factory=list)
    passages: list[Passage] | None = None
    passages_line: str = ""
    ratings: list[Rating] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    scored: Scored | None = None


def scale_of(evidence: Iterable[Evidence]) -> str | None:
    """On which scale the platform gave the scores of its passages, where that could be told."""
    return next(
        (str(one.detail["scale"]) for one in evidence if one.name == "answer_relevance" and one.detail.get("scale")), None
    )


def turns_shown(turns: Sequence[Turn], feedback: Sequence[Feedback], scale: str | None = None) -> list[TurnShown]:
    shown = []
    day = None
    for turn in turns:
        one = TurnShown(
            anchor=anchor_of(turn.external_id),
            role=turn.role,
            who=ROLES.get(turn.role, turn.role) or "Somebody",  # a turn may be removed before anybody told whose it was
            text=fold(turn.text),
            at=moment(turn.at),
            edited=moment(turn.edited_at),
            removed=turn.removed,
            ratings=[rating_shown(given) for given in feedback if given.turn_external_id == turn.external_id],
        )
        if turn.at:
            one.new_day = turn.at.date() != day
            day = turn.at.date()
        if turn.intent:
            one.intent, one.ranking = _intent(turn.intent)
        if turn.retrieval is not None:
            one.passages = [_passage(passage) for passage in turn.retrieval]
            one.passages_line = _passages_line(turn.retrieval, scale)
        shown.append(one)
    return shown


def _intent(intent: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    def told(name: Any, confidence: Any) -> tuple[str, str]:
        return str(name or "none"), number(confidence) if isinstance(confidence, int | float) else ""

    first = " ".join(filter(None, told(intent.get("name"), intent.get("confidence"))))
    return first, [told(one.get("name"), one.get("confidence")) for one in (intent.get("ranking") or [])[:6]]


def _passage(passage: Mapping[str, Any]) -> Passage:
    scores = [
        f"{name} {number(passage[key])}"
        for key, name in (("score", passage.get("scale") or "score"), ("rerank_score", passage.get("rerank_scale") or "reranked"))
        if isinstance(passage.get(key), int | float)
    ]
    title = passage.get("title") or passage.get("id") or "Passage without a title"
    return Passage(str(title), ", ".join(scores), fold(str(passage.get("text") or "")))


def _passages_line(retrieval: Sequence[Mapping[str, Any]], scale: str | None) -> str:
    if not retrieval:
        return "The bot's search found no passage"
    found = f"{len(retrieval)} passage{'s' if len(retrieval) > 1 else ''} found by the bot's search"
    return f"{found}, scores on the scale {scale}" if scale else found


_SCALES = {"stars": 5, "csat": 5, "nps": 10}


def rating_shown(given: Feedback) -> Rating:
    text, weight = "Comment", "calm"
    if given.rating is not None:
        if given.scale == "thumb":
            text, weight = ("Thumb up", "good") if given.rating > 0 else ("Thumb down", "bad")
        elif given.scale in _SCALES:
            text = f"{number(given.rating)} of {_SCALES[given.scale]} ({given.scale})"
            weight = "bad" if given.rating <= _SCALES[given.scale] * 0.5 else "calm"
        elif given.scale == "percent":
            text = f"{number(given.rating)} %"
        else:
            text = f"Rated {number(given.rating)}" + (f" ({given.scale})" if given.scale else "")
    return Rating(text, given.comment, moment(given.at), weight)


def place_notes(
    shown: Sequence[TurnShown],
    turns: Sequence[Turn],
    evidence: Iterable[Evidence],
    answer_turn: str,
    every_note: bool,
    thresholds: Mapping[str, float],
) -> None:
    """The note beside the last of its turns, a mark on the others. Evidence without a known turn belongs to the answer."""
    place = {turn.external_id: i for i, turn in enumerate(turns)}
    for one in evidence:
        if not every_note and one.probability < RAISED:
            continue
        at = sorted({place[turn_id] for turn_id in one.turn_ids if turn_id in place})
        at = at or ([place[answer_turn]] if answer_turn in place else [len(shown) - 1] if shown else [])
        if not at:
            continue
        note = _note(one, thresholds.get(one.name))
        shown[at[-1]].notes.append(note)
        if one.probability >= RAISED:
            for i in at[:-1]:
                shown[i].marks.append(Mark(note.anchor, note.label, note.weight))


def parts_of(shown: Sequence[TurnShown], around: tuple[int, int] | None) -> dict[str, Sequence[TurnShown]]:
    """The turns before, in and after the flagged exchange; in a long conversation, those far from it apart."""
    first, past = (around[0], around[1] + 1) if around else (0, 0)
    start, end = 0, len(shown)
    if len(shown) > FOLD_OVER:
        start, end = (max(first - AROUND, 0), past + AROUND) if around else (0, FOLD_OVER)
    return {
        "earlier": shown[:start],
        "before": shown[start:first],
        "flagged": shown[first:past],
        "after": shown[past:end],
        "later": shown[end:],
    }


def span_of(turns: Sequence[Turn], answer: set[str]) -> tuple[int, int] | None:
    """First and last place of the exchange: its answer, the user's turns right before it, and those right after."""
    places = [i for i, turn in enumerate(turns) if turn.external_id in answer]
    if not places:
        return None
    first, last = places[0], places[-1]
    while first > 0 and turns[first - 1].role == "user":
        first -= 1
    while last + 1 < len(turns) and turns[last + 1].role == "user":
        last += 1
    return first, last


def heading_of(conversation: Conversation, turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "external_id": clip(conversation.external_id, 60),
        "source": conversation.source,
        "channel": conversation.channel,
        "started": moment(conversation.started_at or next((turn.at for turn in turns if turn.at), None)),
        "closed": conversation.closed,
        "turns": f"{len(turns):,} turn{'' if len(turns) == 1 else 's'}",
        "forgotten": FORGOTTEN.get(conversation.forgotten_because or ""),
        "forgotten_at": moment(conversation.forgotten_at),
        "erased": conversation.forgotten_because in ERASED,
    }


def _note(one: Evidence, threshold: float | None) -> Note:
    figures = [
        (key.replace("_", " "), number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value))
        for key, value in one.detail.items()
        if value is not None and value != [] and value != ""
    ]
    return Note(
        anchor=f"evidence-{one.id}",
        label=signal_label(one.name, one.probability),
        text=one.note,
        weight=weight_of(one.probability),
        value=f"{one.value:.2f}",
        chance=f"{percent(one.probability)} %",
        counts=f"raised from {percent(RAISED)} %" + (f", counts from {percent(threshold)} %" if threshold is not None else ""),
        figures=figures,
    )
