"""The words and forms in which pages show things: labels, times, numbers, addresses, long text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from service.filters import QueueFilter
from service.models import PublicationState

# (where it raised something, where it did not)
SIGNALS = {
    "intent_confidence": ("Unsure of the intent", "Intent"),
    "answer_relevance": ("Answer may not fit", "Fit of the answer"),
    "user_frustration": ("User unhappy", "User's reaction"),
    "answer_consistency": ("Inconsistent answers", "Consistency"),
    "user_feedback": ("Bad feedback", "Feedback"),
}
RAISED = 0.5  # the probability from which evidence speaks against the answer; filters.matches filters by the same
STRONG = 0.75
VERDICTS = [
    ("good", "Good", "Nothing to correct"),
    ("wrong", "Wrong", "Says what is not so"),
    ("incomplete", "Incomplete", "Leaves out what matters"),
    ("unsafe", "Unsafe", "Could do harm"),
    ("unclear", "Unclear", "Hard to understand"),
    ("out_of_scope", "Out of scope", "Not for this bot"),
]
VERDICT_NAMES = {value: label for value, label, _ in VERDICTS}
CAUSES = {
    "intent": "Wrong intent",
    "retrieval": "Wrong passages found",
    "missing_article": "No article about it",
    "outdated_article": "Article out of date",
    "generation": "Answer not true to its passages",
    "other": "Something else",
}
STRATEGIES = {
    "value": "Likely wrong",
    "uncertainty": "Signals undecided",
    "coverage": "Nothing like it reviewed",
    "random": "Pure chance",
    "by_hand": "By hand",
}
ORIGINS = {
    "verdict": "by a verdict",
    "withdrawn": "verdict withdrawn",
    "page": "edited here",
    "forgotten": "a wording was forgotten",
}
PUBLICATION_STATES = {
    PublicationState.pending: ("Waiting", "calm"),
    PublicationState.published: ("Published", "good"),
    PublicationState.failed: ("Failed", "bad"),
    PublicationState.conflict: ("Conflict", "bad"),
    PublicationState.cancelled: ("Superseded", "calm"),
}
FORGOTTEN = {
    "age": "These words were forgotten for their age.",
    "request": "These words were forgotten on request. What the platform tells of the conversation again is passed over.",
    "platform": "The platform deleted this conversation. What it tells of it again is passed over.",
}
ROLES = {"user": "User", "bot": "Bot", "agent": "Human agent"}

# What a redirect may say on the page that it leads to. Codes, not sentences: an address cannot put words into our mouth.
SAID = {
    "released": "The item is back in the queue.",
    "skipped": "Skipped: this item will not be shown to you again.",
    "not_reviewable": "Taken out of the queue as not reviewable.",
    "sent_back": "Sent back: the verdict is withdrawn and the item is open again.",
    "undone": "Undone: the item is open and yours again, and what you had decided is in the form.",
    "draft": "Draft saved. It waits for you here.",
    "no_impact": "Write the corrected answer first, and a question where the user asked none: then its impact can be told.",
    "taken": "Somebody else took this item a moment ago, or decided it.",
    "saved": "Saved.",
    "none": "There is nothing free for you right now.",
    "saved_none": "Saved. There is nothing more for you right now.",
    "article": "Article saved.",
    "retry": "The publication is in line again.",
    "signed_out": "You are signed out.",
    "signed_out_everywhere": "You are signed out everywhere.",
    "sessions_ended": "Signed out everywhere.",
    "token_revoked": "The token is revoked.",
    "queue": "Queue saved.",
    "queue_removed": "The queue is gone; its items stay.",
    "assigned": "Assigned.",
    "unassigned": "Not assigned any more.",
    "known": "Known from now on: reviewers of queues with known items may get it.",
    "not_known": "Not a known item any more.",
    "amended": "Amended. The verdict before stays in the history.",
    "label_kept": "Kept: this label is not pointed out again until it changes.",
    "label_changed": "Changed: the intent model learns it with its next fit.",
    "label_again": "The label is pointed out again.",
}


LONG_TEXT = 4000  # longer text is folded: a turn of a megabyte must not push the rest away


@dataclass(frozen=True, slots=True)
class Moment:
    """A time: exact for machines, in UTC for people until the script shows it in their zone."""

    iso: str
    full: str
    clock: str


@dataclass(frozen=True, slots=True)
class Told:
    """Text that may be long: what is shown at once, and what unfolds."""

    head: str
    rest: str = ""
    size: str = ""


def address(path: str, only: QueueFilter | None = None, **more: str | int | None) -> str:
    chosen = ("signal", "source", "strategy", "queue")
    filters = {name: getattr(only, name) for name in chosen} if only else {}
    query = urlencode({name: value for name, value in {**filters, **more}.items() if value not in (None, "")})
    return f"{path}?{query}" if query else path


def sentence(text: str) -> str:
    told = text.strip()
    return told[:1].upper() + told[1:] + ("" if told.endswith((".", "!", "?")) else ".")


def moment(at: datetime | None) -> Moment | None:
    return Moment(at.isoformat(), f"{at.day} {at:%b %Y, %H:%M} UTC", f"{at:%H:%M}") if at else None


def percent(share: float) -> int:
    return round(100 * min(max(share, 0.0), 1.0))


def number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"


def clip(text: str, most: int) -> str:
    one_line = " ".join(text[: most * 4].split())
    return one_line if len(one_line) <= most and len(text) <= most * 4 else one_line[: most - 1].rstrip() + "…"


def fold(text: str, most: int = LONG_TEXT) -> Told:
    if len(text) <= most + most // 10:
        return Told(text)
    # Cut between words where there is a gap near; else in the middle.
    gap = max(text.rfind(" ", most - 200, most), text.rfind("\n", most - 200, most))
    cut = gap + 1 if gap > 0 else most
    return Told(text[:cut], text[cut:], f"{len(text) - cut:,}")


def anchor_of(turn_id: str) -> str:
    """The platform's id as a fragment that needs no quoting; links to a turn are made from its id alone."""
    return "turn-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}.", turn_id)


def weight_of(probability: float) -> str:
    return "strong" if probability >= STRONG else "some" if probability >= RAISED else "calm"


def signal_label(name: str, probability: float) -> str:
    raised, calm = SIGNALS.get(name, (name.replace("_", " ").capitalize(),) * 2)
    return raised if probability >= RAISED else calm


def named(value: str, names: Mapping[str, str]) -> str:
    return names.get(value, value.replace("_", " ") if names else value)
