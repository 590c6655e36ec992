"""What the decision form offers before anything is typed: intents, the articles that would answer, and a first answer."""

from collections.abc import Sequence
from typing import Any

from scoring.intents import OUT_OF_SCOPE
from service.models import Turn, VerdictLabel
from service.queue import Detail, Nearest
from service.views.differences import difference
from service.views.forms import DecisionForm
from service.views.turns import span_of
from service.views.words import clip, number, percent

NONE_OF_THESE = "out_of_scope"
"""The label of questions that no intent fits: our intent model learns from them what it does not know."""
_MOST_OFFERED = 6


def intents_offered(detail: Detail, form: DecisionForm) -> dict[str, Any]:
    """The platform's ranking and our model's, best first, then every known intent, for typing into; and none of these."""
    span = span_of(detail.turns, {*detail.exchange.turn_ids, detail.exchange.turn_id})
    told: dict[str, list[str]] = {}
    for name, confidence in _by_platform(detail.turns[span[0] : span[1] + 1] if span else []):
        told.setdefault(name, []).append(f"platform {number(confidence)}" if confidence is not None else "platform")
    for name, confidence in _by_us(detail):
        told.setdefault(name, []).append(f"our model {number(confidence)}" if confidence is not None else "our model")
    likely = [name for name in told if name.casefold() not in OUT_OF_SCOPE][:_MOST_OFFERED]
    if form.picked and form.picked not in (*likely, NONE_OF_THESE):
        likely.append(form.picked)
    others = [name for name in detail.intents if name not in likely and name.casefold() not in OUT_OF_SCOPE]
    return {
        "likely": [{"name": name, "told": ", ".join(told.get(name, ())), "chosen": form.picked == name} for name in likely],
        "known": [
            *({"name": name, "told": ", ".join(told.get(name, ()))} for name in likely),
            *({"name": n, "told": ""} for n in others),
        ],
        "none": NONE_OF_THESE,
        "none_chosen": form.picked == NONE_OF_THESE,
    }


def _by_platform(turns: Sequence[Turn]) -> list[tuple[str, float | None]]:
    found: dict[str, float | None] = {}
    for turn in turns:
        intent = turn.intent or {}
        for one in (intent, *(intent.get("ranking") or [])):
            name, confidence = one.get("name"), one.get("confidence")
            if turn.role == "user" and isinstance(name, str) and name.strip():
                known = isinstance(confidence, int | float) and not isinstance(confidence, bool)
                found.setdefault(name, float(confidence) if known else None)
    return list(found.items())


def _by_us(detail: Detail) -> list[tuple[str, float | None]]:
    """From what the signal about intents found: an opinion beside the platform's, or our own ranking."""
    found: dict[str, float | None] = {}
    for one in detail.evidence:
        if one.name != "intent_confidence":
            continue
        figures = one.detail
        ours = str(figures.get("scale", "")).startswith("our model")
        pairs = [(figures.get("our_intent"), figures.get("our_confidence"))]
        if ours:
            pairs += [(figures.get("intent"), figures.get("confidence")), (figures.get("runner_up"), None)]
            pairs += [(name, None) for name in figures.get("further") or []]
        for name, confidence in pairs:
            if isinstance(name, str) and name.strip():
                found.setdefault(name, float(confidence) if isinstance(confidence, int | float) else None)
    return list(found.items())


def answer_offered(detail: Detail, look_alike: float) -> dict[str, Any] | None:
    """The best answer there is for a question that was answered badly: the nearest article's, else one that a look-alike got
    and a reviewer called good. None where nothing is alike enough."""
    for near in detail.articles[:1]:
        if near.similarity >= look_alike:
            return {
                "text": near.article.answer,
                "article": near.article.id,
                "source": f"article {near.article.id}, {percent(near.similarity)} % alike",
            }
    for one in detail.similar:
        if one.similarity >= look_alike and one.verdict == VerdictLabel.good and one.exchange.answer.strip():
            alike = f"{percent(one.similarity)} % alike"
            return {"text": one.exchange.answer, "article": "", "source": f"a good answer to a similar question, {alike}"}
    return None


def articles_offered(articles: Sequence[Nearest], form: DecisionForm) -> list[dict[str, Any]]:
    return [
        {
            "id": near.article.id,
            "question": clip(near.article.question, 200),
            "answer": near.article.answer,
            "status": near.article.status,
            "alike": f"{percent(near.similarity)} % alike",
            "chosen": form.article == str(near.article.id),
        }
        for near in articles
    ]


def difference_shown(articles: Sequence[Nearest], form: DecisionForm) -> dict[str, Any] | None:
    """What the text in the editor changes in the article that it is for; None where it is for no article, or there is none."""
    chosen = next((near.article for near in articles if form.article == str(near.article.id)), None)
    if chosen is None or not form.answer.strip():
        return None
    pieces = difference(chosen.answer, form.answer.strip())
    return {"article": chosen.id, "pieces": pieces, "same": all(kind == "same" for _, kind in pieces)}
