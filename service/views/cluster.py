"""The look-alikes of an item and what the decision would do to them, as its page shows them."""

from collections.abc import Sequence
from typing import Any

from service.clusters import LEAST_ALIKE, MOST_LISTED, Alike, Cluster, Free, Settled
from service.models import Exchange, VerdictLabel
from service.queue import Nearest
from service.settle import MOST_SETTLED, variants
from service.views.forms import DecisionForm
from service.views.words import SIGNALS, VERDICT_NAMES, anchor_of, clip, fold, moment, percent

_AT_ONCE = 4
"""Look-alikes that are shown unfolded."""


def cluster_shown(found: Cluster, asked: str, articles: Sequence[Nearest], form: DecisionForm) -> dict[str, Any] | None:
    """None where there are no look-alikes. `asked`: the item's own question."""
    if not found.alike:
        return None
    ticked = ticked_in(found, form)
    rows = [_row(one, one.exchange.id in ticked) for one in found.alike]
    return {
        "told": f"the first {len(rows):,} that ask the same" if found.more else f"{len(rows):,} ask the same",
        "rows": rows[:_AT_ONCE],
        "folded": rows[_AT_ONCE:],
        "open": len(rows) > MOST_LISTED,
        "listed": " ".join(row["id"] for row in rows),
        "more": f"List {min(found.more, MOST_LISTED)} more" if found.more else None,
        "rest": _rest(found),
        "preview": preview_shown(found, asked, articles, form),
    }


def ticked_in(found: Cluster, form: DecisionForm) -> set[int]:
    """Ids of the look-alikes that are ticked: as the form has them, and as at first where it did not show them yet."""
    typed, shown = {*form.settles, *form.settles_failing}, set(form.listed.split())
    ticked: set[int] = set()
    for one in found.alike:
        key = str(one.exchange.id)
        known = form.settling and (not shown or key in shown)
        if key in typed if known else (one.same_answer or one.same_reason) and len(ticked) < MOST_SETTLED:
            ticked.add(one.exchange.id or 0)
    return ticked


def _rest(found: Cluster) -> str | None:
    """What of the cluster is not in the list."""
    told = []
    if found.more:
        told.append(f"{found.more:,} more of the cluster {'is' if found.more == 1 else 'are'} not listed yet.")
    if found.apart:
        told.append(f"{found.apart:,} ask{'s' if found.apart == 1 else ''} something else: less than {LEAST_ALIKE:.0%} alike.")
    return " ".join(told) or None


def _row(one: Alike, ticked: bool) -> dict[str, Any]:
    exchange = one.exchange
    return {
        "id": str(exchange.id),
        # A good answer is never closed with a bad one, nor the other way round, without somebody ticking it.
        "name": "settles_failing" if _has_other_answer(one) else "settles",
        "ticked": ticked and one.free == Free.free,
        "free": one.free == Free.free,
        "question": clip(exchange.question, 200),
        "answer": fold(exchange.answer, 300),
        "alike": f"{percent(one.similarity)} % alike" if one.similarity is not None else None,
        "priority": f"{exchange.priority:.2f}",
        "signals": ", ".join(SIGNALS.get(name, (name.replace("_", " "),))[0] for name in one.signals),
        "why": _why(one),
        "href": f"/conversations/{exchange.conversation_id}#{anchor_of(exchange.turn_id)}",
        "item": one.item.id if one.item else None,
    }


def _has_other_answer(one: Alike) -> bool:
    """Another answer, flagged for the same reason: a failing verdict alone settles it."""
    return one.same_reason and not one.same_answer


def _why(one: Alike) -> str:
    if one.free == Free.held:
        return f"{one.holder} is reviewing it now." if one.holder else "Others are at work on it."
    if one.free == Free.drawn:
        return "Drawn by chance: it gets a look of its own, so that the failure rate stays right."
    if one.same_answer:
        return "The same answer."
    return "Another answer, flagged for the same reason: only with a failing verdict." if one.same_reason else "Another answer."


def preview_shown(found: Cluster, asked: str, articles: Sequence[Nearest], form: DecisionForm) -> dict[str, Any]:
    """What saving the form would do to the look-alikes."""
    ticked = ticked_in(found, form)
    chosen = [one for one in found.alike if one.exchange.id in ticked and one.free == Free.free]
    of_answer = form.label in (VerdictLabel.good, VerdictLabel.unclear)
    free = [one for one in chosen if not (of_answer and _has_other_answer(one))]
    stay = len(chosen) - len(free)
    items = sum(one.item is not None for one in free)
    closes = " and ".join(
        f"{count} {name}{'' if count == 1 else 's'}{more}"
        for count, name, more in ((items, "waiting item", ""), (len(free) - items, "exchange", " not in the queue"))
        if count
    )
    label = f"as “{VERDICT_NAMES[form.label]}”" if form.label in VERDICT_NAMES else "with the verdict that you choose"
    gained = _gained([one.exchange.question.strip() for one in free], asked.strip(), articles, form)
    return {
        "closes": f"Closes {closes}, {label}." if free else "Closes this item alone.",
        "stay": f"{stay} with another answer stay{'s' if stay == 1 else ''}: this verdict is about the answer." if stay else None,
        "gains": f"The article gains {len(gained)} way{'' if len(gained) == 1 else 's'} to ask it:" if gained else None,
        "variants": [clip(one, 200) for one in gained],
    }


def _gained(questions: list[str], asked: str, articles: Sequence[Nearest], form: DecisionForm) -> list[str]:
    if not form.answer.strip():
        return []
    chosen = next((near.article for near in articles if form.article == str(near.article.id)), None)
    known = chosen.variants if chosen else []
    title = form.question.strip() or (chosen.question if chosen else asked)
    return list(variants(title, known, [asked, *questions])[len(dict.fromkeys(known)) :])


def settled_shown(found: Settled | None) -> dict[str, Any]:
    """What a verdict settled, or what it was settled with, beside it."""
    told = []
    if found and found.exchanges:
        told.append(f"Settled {len(found.exchanges)} look-alike{'' if len(found.exchanges) == 1 else 's'} with it.")
    if found and found.left_out:
        told.append(f"{found.left_out} left out: held or decided by somebody else, drawn by chance, or gone.")
    return {
        "settled": [(f"/items/{item_id}", f"item {item_id}") for _, item_id in found.exchanges[:20]] if found else [],
        "settled_told": " ".join(told),
        "settled_by": f"/items/{found.by_item}" if found and found.by_item else None,
        "settled_by_item": found.by_item if found else None,
    }


def with_settled(done: dict[str, Any] | None, found: Settled | None) -> dict[str, Any] | None:
    """The notice about the item before, with what became of its look-alikes."""
    told = settled_shown(found)["settled_told"]
    return {**done, "text": f"{done['text']} {told}"} if done and told else done


def again_shown(exchange: Exchange) -> dict[str, Any]:
    """A question that was flagged again after the correction."""
    return {
        "href": f"/conversations/{exchange.conversation_id}#{anchor_of(exchange.turn_id)}",
        "question": clip(exchange.question, 200),
        "answer": fold(exchange.answer, 300),
        "at": moment(exchange.asked_at),
        "priority": f"{exchange.priority:.2f}",
    }
