"""What an article would change, as pages show it."""

from collections.abc import Sequence
from typing import Any

from service.filters import QueueFilter
from service.impact import Asked, Beside, Foreseen
from service.models import Article, ArticleStatus, ImpactState
from service.outcomes import Correction
from service.views.forms import ArticleForm
from service.views.words import address, anchor_of, clip, moment, percent


def impact_shown(found: Foreseen, path: str, only: QueueFilter | None = None, **query: str | int | None) -> dict[str, Any]:
    """`path` and `query`: of the page that shows it, to look again once it is computed."""
    # A browser loads nothing for an address that it is at already: how far it came with it makes the address a new one.
    looked = int(query.get("looked") or 0) + 1
    again = address(path, only, **{**query, "impact": found.impact.key, "looked": looked}) + "#impact"
    return {
        "state": found.impact.state,
        "waits": found.impact.state == ImpactState.waiting,
        "failed": found.impact.state == ImpactState.failed,
        "again": again,
        "part": f"/impact/{found.impact.key}",
        "at": moment(found.impact.computed_at),
        "about": f"Replayed over {_count(found.traffic, 'exchange')} of the last {found.days} days"
        f" ({found.flagged:,} flagged, {found.good:,} good).",
        "parts": [part for part in _parts(found) if part],
    }


def typed_of(found: Foreseen, article: Article | None = None) -> ArticleForm:
    """The text that it was computed for; what it does not depend on is the article's own."""
    return ArticleForm(
        question=found.impact.question,
        variants="\n".join(found.impact.variants),
        answer=found.impact.answer,
        intent=(article.intent or "") if article else "",
        status=article.status if article else ArticleStatus.active,
    )


def outcomes_shown(found: Sequence[Correction]) -> list[dict[str, Any]]:
    """What became of an article's published corrections."""
    return [
        {
            "version": one.version,
            "at": moment(one.published_at),
            "told": _outcome(one),
            "weight": "strong" if one.flagged_again else "good" if one.seen else "calm",
            "item": one.item_id if one.reopened_at else None,
        }
        for one in found
    ]


def _outcome(one: Correction) -> str:
    if not one.seen:
        return "Not asked again yet"
    if not one.flagged_again:
        return f"Worked: asked {_count(one.seen, 'time')} since, never flagged again"
    return f"Flagged again: {one.flagged_again:,} of {_count(one.seen, 'question')} since"


def _parts(found: Foreseen) -> list[dict[str, Any] | None]:
    already = f", {found.already:,} of them by the article as it is now" if found.already else ""
    confirms = f" It repeats {_count(found.confirms, 'good answer')}." if found.confirms else ""
    return [
        {
            "weight": "good" if found.answered else "calm",
            "told": f"Would answer {_count(found.answered, 'flagged question')}{already}.{confirms}",
            "examples": [_asked(one) for one in found.answers],
        },
        {
            "weight": "some",
            "told": f"Would displace {_count(found.displaced, 'good answer')} by another.",
            "examples": [_asked(one) for one in found.displaces],
        }
        if found.displaced
        else None,
        _among("strong", "Contradicts", found.contradicts),
        _among("some", "Says the same as", found.duplicates),
        _among("calm", "Answers otherwise than", found.near),
    ]


def _among(weight: str, told: str, found: list[Beside]) -> dict[str, Any] | None:
    if not found:
        return None
    return {
        "weight": weight,
        "told": f"{told} {_count(len(found), 'article')}.",
        "examples": [
            {
                "href": f"/articles/{one.article.id}",
                "question": clip(one.article.question, 160),
                "answer": clip(one.article.answer, 200),
                "about": f"{percent(one.similarity)} % alike" + (f" · {one.note}" if one.note else ""),
            }
            for one in found
        ],
    }


def _asked(one: Asked) -> dict[str, Any]:
    exchange = one.exchange
    return {
        "href": f"/conversations/{exchange.conversation_id}#{anchor_of(exchange.turn_id)}",
        "question": clip(exchange.question, 160),
        "answer": clip(exchange.answer, 200),
        "about": f"{percent(one.similarity)} % alike",
    }


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
