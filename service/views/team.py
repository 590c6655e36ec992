"""The team's pages: progress, agreement, queues, mentions, and what stands beside an item."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from service.errors import Invalid
from service.filters import QueueFilter
from service.team.agreement import Agreement, Calibrated
from service.team.beside import Beside
from service.team.comments import Named
from service.team.progress import PersonProgress, QueueProgress
from service.team.queues import Held, QueueContent
from service.views.forms import MOST_ID, DecisionForm, Typed
from service.views.words import CAUSES, SIGNALS, STRATEGIES, VERDICT_NAMES, VERDICTS, address, clip, moment, sentence


class QueueForm(BaseModel):
    """A queue as it was typed; people one a line."""

    name: Typed = ""
    signal: Typed = ""
    source: Typed = ""
    strategy: Typed = ""
    intent: Typed = ""
    channel: Typed = ""
    least_priority: Typed = ""
    budget: Typed = ""
    reviewers: Typed = ""
    adjudicators: Typed = ""
    reviews: Typed = "1"
    calibration_share: Typed = "0"
    due_hours: Typed = ""

    def content(self) -> QueueContent:
        """What it means.

        Raises
        ------
        Invalid
            A number is none; the message names the field.
        """
        budget, reviews = self._number("budget"), self._number("reviews")
        return QueueContent(
            name=self.name.strip(),
            signal=self.signal.strip() or None,
            source=self.source.strip() or None,
            strategy=self.strategy.strip() or None,
            intent=self.intent.strip() or None,
            channel=self.channel.strip() or None,
            least_priority=self._number("least_priority"),
            budget=int(budget) if budget is not None else None,
            reviewers=_lines(self.reviewers),
            adjudicators=_lines(self.adjudicators),
            reviews=int(reviews) if reviews is not None else 1,
            calibration_share=self._number("calibration_share") or 0.0,
            due_hours=self._number("due_hours"),
        )

    def _number(self, field: str) -> float | None:
        typed = str(getattr(self, field)).strip()
        try:
            return float(typed) if typed else None
        except ValueError as error:
            raise Invalid(f"{field}: '{clip(typed, 40)}' is not a number") from error


class AmendForm(DecisionForm):
    """The verdict in place of the one with the id `verdict`, and why."""

    verdict: int = Field(0, ge=0, le=MOST_ID)
    reason: Typed = ""


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


def form_of(content: QueueContent) -> QueueForm:
    typed = {name: getattr(content, name) for name in QueueContent.__slots__}
    people = {name: "\n".join(typed[name]) for name in ("reviewers", "adjudicators")}
    return QueueForm(**{name: "" if value is None else str(value) for name, value in {**typed, **people}.items()})


def beside_shown(found: Beside, item_id: int, only: QueueFilter | None = None) -> dict[str, Any]:
    return {
        "team": {
            "opinions": [
                {
                    "reviewer": name,
                    "label": VERDICT_NAMES.get(one.label, one.label.replace("_", " ")),
                    "weight": "good" if one.label == "good" else "bad",
                    "at": moment(one.decided_at),
                    "intent": one.intent,
                    "answer": one.answer,
                    "causes": ", ".join(CAUSES.get(cause, cause) for cause in one.causes),
                    "comment": one.comment,
                }
                for one, name in found.opinions
            ],
            "missing": found.missing,
            "disputed": found.disputed,
            "refusal": sentence(found.refusal) if found.refusal else None,
            "comments": [
                {"id": one.comment.id, "by": one.by, "at": moment(one.comment.at), "text": one.comment.text}
                for one in found.comments
            ],
            "people": found.people,
            "comment_action": address(f"/items/{item_id}/comments", only),
            "comment_key": secrets.token_hex(8),
            "amend": f"/items/{item_id}/amend" if found.amendable else None,
            "known": found.known,
            "known_action": f"/items/{item_id}/known",
            "assign_action": f"/items/{item_id}/assign",
            "assigned_to": found.assigned_to,
            "assigned_until": moment(found.assigned_until),
        }
    }


def team_shown(
    queues: Sequence[QueueProgress],
    people: Sequence[PersonProgress],
    held: Sequence[Held],
    ages: Sequence[tuple[str, int]],
    slips: Mapping[str, int],
) -> dict[str, Any]:
    """`slips`: labels that look like slips, by source."""
    return {
        "slips": f"{sum(slips.values()):,}",
        "queues": [
            {
                "name": one.name,
                "work": address("/queue", QueueFilter(queue=one.name)),
                "href": address("/team/queues/one", name=one.name),
                "agreement": address("/team/agreement", queue=one.name),
                "counts": [
                    ("Open", f"{one.open:,}"), ("Held", f"{one.held:,}"), ("Overdue", f"{one.overdue:,}"),
                    ("Partly judged", f"{one.judged:,}"), ("Disputed", f"{one.disputed:,}"),
                ],
                "day": f"{one.day:,} of {one.budget:,}" if one.budget else f"{one.day:,}",
                "week": f"{one.week:,}",
                "ages": [(name, f"{count:,}") for name, count in one.ages],
            }
            for one in queues
        ],
        "people": [
            {
                "name": one.name,
                "day": f"{one.decided_day:,}", "week": f"{one.decided_week:,}",
                "skipped": f"{one.skipped_day:,} / {one.skipped_week:,}",
                "time": _lasted(one.seconds, one.timed),
                "assigned": f"{one.assigned:,}", "overdue": f"{one.overdue:,}",
            }
            for one in people
        ],
        "held": [
            {
                "href": f"/items/{one.item_id}", "item": one.item_id, "reviewer": one.reviewer, "kind": one.kind,
                "since": moment(one.since), "until": moment(one.until), "overdue": one.overdue,
                "unassign": f"/items/{one.item_id}/unassign" if one.kind == "assigned" else None,
            }
            for one in held
        ],
        "ages": [(name, f"{count:,}") for name, count in ages],
    }  # fmt: skip


def _lasted(seconds: float | None, timed: int) -> str:
    if seconds is None:
        return "not timed yet"
    shown = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{shown} ({timed:,} timed)"


def agreement_shown(found: Sequence[Agreement], known: Sequence[Calibrated], queue: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "rows": [
            {
                "measure": one.measure, "of": one.of, "value": "–" if one.value is None else f"{one.value:.2f}",
                "items": f"{one.items:,}", "same": f"{one.same:,}", "sentence": one.sentence,
            }
            for one in found
        ],
        "known": [
            {
                "reviewer": one.reviewer, "value": "–" if one.value is None else f"{one.value:.0%}",
                "items": f"{one.items:,}", "sentence": one.sentence,
            }
            for one in known
        ],
        "queue": queue,
        "names": names,
        "csv": address("/team/agreement.csv", queue=queue or None),
    }  # fmt: skip


def queue_shown(form: QueueForm, old: str | None, people: Sequence[str], choices: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "form": form,
        "action": address("/team/queues/one", old=old),
        "old": old,
        "people": people,
        "signals": [(name, raised) for name, (raised, _) in SIGNALS.items()],
        "strategies": [(name, label) for name, label in STRATEGIES.items()],
        "choices": choices,
    }


def mentions_shown(found: Sequence[Named]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.comment.id,
            "item": one.comment.item_id,
            "by": one.by,
            "at": moment(one.comment.at),
            "text": one.comment.text,
            "unread": one.read_at is None,
        }
        for one in found
    ]


def amend_shown(item_id: int, form: AmendForm) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "form": form,
        "labels": [{"value": v, "label": label, "hint": hint, "chosen": form.label == v} for v, label, hint in VERDICTS],
        "causes": [{"value": v, "label": label, "chosen": v in form.causes} for v, label in CAUSES.items()],
    }
