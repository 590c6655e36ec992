"""The queue's lines and one item, as pages show them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from service.conversations import Whole
from service.filters import QueueFilter
from service.models import Conversation, Exchange, ItemState, Verdict, VerdictLabel
from service.queue import Counts, Detail, Row, Similar
from service.settings import Settings
from service.views.cluster import again_shown, cluster_shown, settled_shown
from service.views.differences import side_by_side
from service.views.forms import DecisionForm
from service.views.suggested import answer_offered, articles_offered, difference_shown, intents_offered
from service.views.turns import FOLD_OVER, Scored, heading_of, parts_of, place_notes, rating_shown, scale_of, span_of, turns_shown
from service.views.words import (
    CAUSES,
    RAISED,
    SAID,
    SIGNALS,
    STRATEGIES,
    VERDICT_NAMES,
    VERDICTS,
    address,
    anchor_of,
    clip,
    moment,
    named,
    percent,
    sentence,
    signal_label,
    weight_of,
)


def counts_shown(counts: Counts, overdue: int) -> list[dict[str, Any]]:
    """`name`: by which the script finds the count when it changes. What is empty is not there to be read."""
    shown = [
        ("held", "Being reviewed", counts.held, False),
        ("overdue", "Yours and overdue", overdue, not overdue),
        ("exchanges", "Exchanges scored", counts.exchanges, False),
        ("unscored", "Conversations waiting to be scored", counts.unscored, not counts.unscored),
    ]
    return [{"name": name, "label": label, "count": f"{count:,}", "empty": empty} for name, label, count, empty in shown]


def tabs_shown(counts: Counts, state: ItemState, only: QueueFilter) -> list[dict[str, Any]]:
    named = [
        (ItemState.open, "Open", counts.open),
        (ItemState.done, "Done", counts.done),
        (ItemState.not_reviewable, "Not reviewable", counts.not_reviewable),
    ]
    return [
        {
            "name": one.value,
            "label": label,
            "count": f"{count:,}",
            "href": address("/queue", only, state=one.value if one != ItemState.open else None),
            "current": one == state,
        }
        for one, label, count in named
    ]


def filters_shown(choices: Mapping[str, Sequence[str]], only: QueueFilter) -> list[dict[str, Any]]:
    chosen = {"queue": only.queue, "signal": only.signal, "source": only.source, "strategy": only.strategy}
    labels = {
        "queue": ("Queue", {}),
        "signal": ("Signal", {name: raised for name, (raised, _) in SIGNALS.items()}),
        "source": ("Source", {}),
        "strategy": ("Chosen as", STRATEGIES),
    }
    shown = []
    for name, (label, names) in labels.items():
        values = dict.fromkeys((*choices.get(name, ()), *filter(None, [chosen[name]])))  # what is chosen stays to be seen
        options = [{"value": v, "label": named(v, names), "chosen": v == chosen[name]} for v in values]
        shown.append({"name": name, "label": label, "options": options})
    return shown


def line_shown(row: Row, only: QueueFilter, verdicts: Mapping[int, tuple[str, str]]) -> dict[str, Any]:
    chips = [(signal_label(e.name, e.probability), weight_of(e.probability)) for e in row.evidence if e.probability >= RAISED]
    verdict = verdicts.get(row.item.id or 0)
    return {
        "id": row.item.id,
        "href": address(f"/items/{row.item.id}", only) + "#flagged",
        "priority": f"{row.item.priority:.2f}",
        "percent": percent(row.item.priority),
        "question": clip(row.exchange.question, 180) or _without_question(row.exchange),
        "answer": clip(row.exchange.answer, 200),
        "why": row.evidence[0].note if chips else sentence(row.item.reason),
        "chips": chips,
        "source": row.exchange.source,
        "at": moment(row.exchange.asked_at),
        "asked": f"asked {row.cluster_size} times" if row.cluster_size > 1 else None,
        "holder": row.holder,
        "remark": row.item.remark,
        "verdict": VERDICT_NAMES.get(verdict[0], verdict[0]) if verdict else None,
        "decided_by": verdict[1] if verdict else None,
    }


def empty_queue(counts: Counts, state: ItemState, only: QueueFilter) -> tuple[str, str]:
    """(what is so, what to do next) where the list has no line."""
    if only != QueueFilter():
        return "No item matches these filters.", "Clear the filters to see all items."
    if state != ItemState.open:
        return "Nothing here yet.", "Items appear here once somebody has decided them."
    if counts.unscored and not counts.exchanges:
        return (
            "Nothing scored yet.",
            f"{counts.unscored:,} conversations wait. An open conversation is scored once it has been quiet for a while; "
            "if nothing moves, check that the worker runs.",
        )
    if not counts.exchanges:
        return (
            "No conversations yet.",
            "Connect a chatbot platform to /hooks/NAME, or import a file on the server with: triage import FILE",
        )
    if counts.done or counts.not_reviewable:
        return "All done.", "Every chosen exchange has its verdict. New items appear as conversations come in."
    return "Nothing chosen yet.", "Exchanges are scored; the worker chooses the ones worth a look within moments."


def said_on_queue(said: str, counts: Counts, only: QueueFilter) -> str | None:
    if said not in ("none", "saved_none"):
        return SAID.get(said)
    if only != QueueFilter():
        return SAID[said] + " No free item matches these filters; clear them to go on."
    if counts.open:
        return SAID[said] + " The open items are held by others, or you skipped them."
    return SAID[said] + " " + " ".join(empty_queue(counts, ItemState.open, only))


def is_mine(detail: Detail, me: int, now: datetime) -> bool:
    item = detail.item
    held = item.claimed_until is not None and item.claimed_until > now
    return item.state == ItemState.open and item.reviewer_id == me and held


def item_shown(
    detail: Detail, me: int, now: datetime, only: QueueFilter, form: DecisionForm, settings: Settings
) -> dict[str, Any]:
    item, exchange, turns = detail.item, detail.exchange, detail.turns
    shown = turns_shown(turns, detail.feedback, scale_of(detail.evidence))
    span = span_of(turns, {*exchange.turn_ids, exchange.turn_id})
    for i in range(span[0], span[1] + 1) if span else ():
        shown[i].flagged = True
    place_notes(shown, turns, detail.evidence, exchange.turn_id, True, settings.signal_thresholds)
    mine = is_mine(detail, me, now)
    raised = [one for one in detail.evidence if one.probability >= RAISED]
    return {
        "item": {
            "id": item.id,
            "state": item.state,
            "fence": item.fence,
            "priority": f"{item.priority:.2f}",
            "percent": percent(item.priority),
            "reason": sentence(item.reason),
            "remark": item.remark,
            "asked": f"asked {detail.cluster_size} times" if detail.cluster_size > 1 else None,
            "until": moment(item.claimed_until) if mine else None,
        },
        "because": sentence(exchange.because) if exchange.because else "",
        "chips": [(signal_label(one.name, one.probability), weight_of(one.probability), f"evidence-{one.id}") for one in raised],
        "mine": mine,
        "takeable": item.state == ItemState.open and detail.holder is None,
        "holder": detail.holder,
        "conversation": heading_of(detail.conversation, turns),
        "parts": parts_of(shown, span),
        "on_conversation": [rating_shown(given) for given in detail.feedback if given.turn_external_id is None],
        "two_answers": _two_answers(exchange, *detail.contradicted) if detail.contradicted else None,
        "similar": [_similar_shown(exchange, one) for one in detail.similar],
        "articles": articles_offered(detail.articles, form),
        "suggestion": answer_offered(detail, settings.queue.look_alike),
        "difference": difference_shown(detail.articles, form),
        "flagged_again": [again_shown(one) for one in detail.flagged_again],
        "cluster": cluster_shown(detail.cluster, exchange.question, detail.articles, form) if mine else None,
        "verdicts": [
            _verdict_shown(verdict, name) | settled_shown(detail.settled.get(verdict.id or 0))
            for verdict, name in detail.verdicts
        ],
        "form": form,
        "typed": _typed_shown(form) if not mine and form.has_text() else None,
        "labels": [
            {"value": v, "label": label, "hint": hint, "key": i, "chosen": form.label == v}
            for i, (v, label, hint) in enumerate(VERDICTS, start=1)
        ],
        "causes": [{"value": v, "label": label, "chosen": v in form.causes} for v, label in CAUSES.items()],
        "intents": intents_offered(detail, form),
        "question": exchange.question,
        "lease_seconds": settings.queue.lease_seconds,
        "actions": actions_of(item.id or 0, only),
        "queue_href": address("/queue", only),
        "next_action": address("/queue/next", only),
    }


def actions_of(item_id: int, only: QueueFilter) -> dict[str, str]:
    """Where the item's forms go."""
    names = ("claim", "decide", "draft", "release", "skip", "not-reviewable", "send-back", "next", "difference", "preview",
             "look-alikes", "impact")  # fmt: skip
    return {name: address(f"/items/{item_id}/{name}", only) for name in names}


def _without_question(exchange: Exchange) -> str:
    return "(forgotten)" if exchange.forgotten else "(no question: the bot spoke first)"


def _similar_shown(exchange: Exchange, one: Similar) -> dict[str, Any]:
    """A look-alike; what its answer says that this one does not is marked."""
    return {
        "question": clip(one.exchange.question, 300),
        "pieces": side_by_side(exchange.answer, one.exchange.answer)[1],
        "alike": f"{percent(one.similarity)} % alike",
        "verdict": VERDICT_NAMES.get(one.verdict, one.verdict) if one.verdict else None,
        "verdict_weight": "good" if one.verdict == VerdictLabel.good else "bad",
        "at": moment(one.exchange.asked_at),
        "href": f"/conversations/{one.conversation.id}#{anchor_of(one.exchange.turn_id)}",
    }


def _two_answers(mine: Exchange, other: Exchange, conversation: Conversation) -> list[dict[str, Any]]:
    """Both exchanges side by side; each answer in pieces, those that the other answer lacks marked."""
    pieces = side_by_side(mine.answer, other.answer)
    hrefs = (f"#{anchor_of(mine.turn_id)}", f"/conversations/{conversation.id}#{anchor_of(other.turn_id)}")
    return [
        {"title": title, "at": moment(one.asked_at), "question": clip(one.question, 300), "pieces": shown, "href": href}
        for title, one, shown, href in zip(("This answer", "The other answer"), (mine, other), pieces, hrefs, strict=True)
    ]


def before_shown(done: int | None, said: str, seconds: int | None, only: QueueFilter) -> dict[str, Any] | None:
    """The item before this page: what became of it, and how to take that back within `seconds`; None where there was none.

    A skipped item can be taken again at any time.
    """
    if done is None:
        return None
    back = f"/items/{done}/claim" if said == "skipped" else f"/items/{done}/undo"
    return {
        "id": done,
        "text": {"skipped": "skipped: it will not be shown to you again.", "not_reviewable": "taken out of the queue."}.get(
            said, "saved."
        ),
        "undo": address(back, only) if seconds is not None or said == "skipped" else None,
        "seconds": seconds if said != "skipped" else None,
    }


def _typed_shown(form: DecisionForm) -> str:
    """All that was typed, as one text to copy."""
    parts = [
        ("Verdict", VERDICT_NAMES.get(form.label, form.label)),
        ("Intent", form.intent or form.picked),
        ("Question", form.question),
        ("Answer", form.answer),
        ("Comment", form.comment),
    ]
    return "\n\n".join(f"{name}:\n{text}" for name, text in parts if text.strip())


def _verdict_shown(verdict: Verdict, name: str) -> dict[str, Any]:
    return {
        "label": VERDICT_NAMES.get(verdict.label, verdict.label),
        "weight": "good" if verdict.label == VerdictLabel.good else "bad",
        "reviewer": name,
        "at": moment(verdict.decided_at),
        "intent": verdict.intent,
        "answer": verdict.answer,
        "causes": ", ".join(CAUSES.get(cause, cause) for cause in verdict.causes),
        "comment": verdict.comment,
        "withdrawn_at": moment(verdict.withdrawn_at),
        "withdrawn_reason": verdict.withdrawn_reason,
    }


def conversation_shown(whole: Whole, turn_id: str) -> dict[str, Any]:
    """`turn_id`: a turn that is to be seen at once, also where it stands in a part that is folded."""
    shown = turns_shown(whole.turns, whole.feedback)
    place = {turn.external_id: i for i, turn in enumerate(whole.turns)}
    for exchange, item in whole.exchanges:
        place_notes(shown, whole.turns, whole.evidence.get(exchange.id or 0, []), exchange.turn_id, False, {})
        if exchange.turn_id in place and (item is not None or not exchange.forgotten):
            shown[place[exchange.turn_id]].scored = Scored(
                exchange_id=exchange.id or 0,
                priority=f"{exchange.priority:.2f}",
                percent=percent(exchange.priority),
                item_href=f"/items/{item.id}" if item else None,
                item_state=item.state.replace("_", " ") if item else None,
                asked=None,
            )
    return {
        "conversation": heading_of(whole.conversation, whole.turns),
        "parts": parts_of(shown, None),
        "open_later": place.get(turn_id, 0) >= FOLD_OVER,
        "pickable": any(turn.scored and turn.scored.item_href is None for turn in shown),
        "on_conversation": [rating_shown(given) for given in whole.feedback if given.turn_external_id is None],
        "exchanges": len(whole.exchanges),
        "waits": whole.conversation.due_at is not None,
    }
