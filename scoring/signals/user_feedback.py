"""What the end user said about the answer: thumb, stars, score or comment, also days later."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange, Feedback
from scoring.wording import is_english, plain, quoted

_RANGE = re.compile(r"^\s*(-?\d{1,4}(?:\.\d+)?)\s*(?:-|–|\.\.|to|/|:)\s*(\d{1,4}(?:\.\d+)?)\s*$")
_NAMED = {
    "thumb": None, "thumbs": None, "binary": None, "bool": None, "boolean": None, "like": None, "helpful": None, "updown": None,
    "star": (1.0, 5.0), "stars": (1.0, 5.0), "csat": (1.0, 5.0), "5star": (1.0, 5.0), "emoji": (1.0, 5.0), "smiley": (1.0, 5.0),
    "likert": (1.0, 5.0), "ces": (1.0, 7.0), "nps": (0.0, 10.0), "percent": (0.0, 100.0), "percentage": (0.0, 100.0),
    "%": (0.0, 100.0),
    "unit": (0.0, 1.0), "score": None,
}  # fmt: skip
_THUMBS = frozenset({"thumb", "thumbs", "binary", "bool", "boolean", "like", "helpful", "updown"})
_BAD = re.compile(
    r"\b(?:wrong|incorrect|false|not (?:true|right|correct|helpful|what|useful|help|working|answer\w*|relevant)|unhelpful|"
    r"useless|no help|bad|terrible|awful|worst|horrible|"
    r"outdated|out of date|misleading|confus\w+|didn't (?:help|answer|work|understand|solve)|did not (?:help|answer|work|"
    r"understand|solve)|doesn't (?:help|answer|work|understand|solve|make sense)|"
    r"does not (?:help|answer|work|solve)|irrelevant|nonsense|frustrat\w+|annoy\w+|waste|rubbish|garbage|stupid|"
    r"disappoint\w+|poor|incomplete|missing|still (?:not|no|don't|can't|waiting)|"
    r"can't|cannot|never|human|broken|unclear|made up|lie|lies|dangerous)\b"
)
_GOOD = re.compile(
    r"\b(?:thanks?|thank you|great|good|perfect|helpful|excellent|awesome|love|nice|correct|works|worked|solved|useful|"
    r"amazing|well done|exactly|fast|quick|easy|clear|spot on|brilliant)\b"
)
_NEGATED_BAD = re.compile(
    r"\b(?:not bad|no problems?|nothing (?:wrong|missing)|never (?:better|easier)|can't complain|not (?:at all )?confusing)\b"
)


@dataclass(frozen=True, slots=True)
class _Given:
    turn_id: str
    feedback: Feedback
    goodness: float | None
    """0 worst, 1 best; None where the rating has no scale that we know."""


class UserFeedback:
    """The latest rating by `at` counts; a comment alone is judged by its tone; a good rating is evidence too (a low one)."""

    @property
    def name(self) -> str:
        return "user_feedback"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        ceilings = _ceilings(batch.exchanges)
        return [_evidence(exchange, ceilings.get(exchange.source, 0.0)) for exchange in batch.exchanges]


def goodness(rating: float, scale: str | None, ceiling: float = 0.0) -> float | None:
    """Where the rating lies on its scale: 0 worst, 1 best; None for a rating outside it or an unknown scale.

    `ceiling`: the highest rating without a scale that is known of the same source; 4 makes a 1 the worst of five stars.
    """
    if not math.isfinite(rating):
        return None
    wanted = re.sub(r"[\s_]+", "", scale.lower()) if scale else ""
    if (found := _RANGE.match(scale[:40]) if scale else None) is not None:
        low, high = float(found[1]), float(found[2])
        return (rating - low) / (high - low) if high > low and low <= rating <= high else None
    if wanted in _THUMBS:
        return {-1.0: 0.0, 0.0: 0.0, 1.0: 1.0}.get(rating)
    span = _NAMED.get(wanted)
    if span is None and wanted and (digits := re.fullmatch(r"(\d{1,3})(?:star|stars|point|points|pt)", wanted)):
        span = (1.0, float(digits[1]))
    if span is None:
        return _guessed(rating, max(ceiling, rating))
    low, high = span
    if wanted in {"star", "stars"} and 5 < rating <= 10:
        high = 10.0
    return (rating - low) / (high - low) if low <= rating <= high else (0.0 if rating == 0 and low == 1 else None)


def _guessed(rating: float, ceiling: float) -> float | None:
    """No scale was sent: the highest rating of the source says which it is. Alone, a 1 is a thumb up."""
    if rating < 0:
        return 0.0 if rating >= -1 else None
    if ceiling <= 1:
        return rating
    if ceiling <= 5:
        return max(rating - 1, 0.0) / 4
    if ceiling <= 10:
        return rating / 10
    return rating / 100 if ceiling <= 100 else None


def _ceilings(exchanges: Sequence[Exchange]) -> dict[str, float]:
    found: dict[str, float] = {}
    for exchange in exchanges:
        for _, feedback in exchange.feedback:
            if feedback.rating is not None and not feedback.scale and math.isfinite(feedback.rating):
                found[exchange.source] = max(found.get(exchange.source, 0.0), feedback.rating)
    return found


def tone(comment: str) -> float | None:
    """0 bad, 1 good; None where the comment says neither or is not in English."""
    text = plain(comment[:2000])
    if not text:
        return None
    if any(sign in text for sign in ("👎", "😡", "🤬", "😠", "🙁", "😞")):
        return 0.05
    if any(sign in text for sign in ("👍", "❤", "😀", "😊", "🎉")):
        return 0.95
    if not is_english(text):
        return None
    softened = _NEGATED_BAD.sub(" fine ", text)
    bad, good = len(_BAD.findall(softened)), len(_GOOD.findall(_BAD.sub(" ", softened)))
    if not bad and not good:
        return 0.9 if softened != text else None
    return 0.1 if bad >= good else 0.9


def _evidence(exchange: Exchange, ceiling: float) -> Evidence | None:
    given = [
        _Given(turn_id, feedback, None if feedback.rating is None else goodness(float(feedback.rating), feedback.scale, ceiling))
        for turn_id, feedback in exchange.feedback
    ]
    rated = [one for one in given if one.goodness is not None]
    commented = [one for one in given if one.feedback.comment and one.feedback.comment.strip()]
    if not rated:
        return _by_comment(_latest(commented))
    latest = _latest(rated)
    assert latest is not None
    assert latest.goodness is not None
    good = min(max(latest.goodness, 0.0), 1.0)
    # A thumb down or one star is nearly always worth a look; the middle of a scale leans to it (people who are content
    # give four or five of five).
    probability = 1 / (1 + math.exp(-(2.3 - 5.6 * good)))
    comment = latest.feedback.comment if latest.feedback.comment and latest.feedback.comment.strip() else None
    mood = tone(comment) if comment else None
    if comment is not None and mood is None and good <= 0.5:
        probability = min(probability + 0.02, 0.95)
    elif mood is not None and mood < 0.5:
        probability = max(0.93, probability) if good <= 0.5 else max(probability, 0.45)
    said = f", writing {quoted(comment)}" if comment else ""
    word = "badly" if good < 0.4 else "middling" if good < 0.7 else "well"
    sign = _shown(latest.feedback)
    note = f"The user rated this answer {word} ({sign}){said}."
    detail: Detail = {
        "rating": latest.feedback.rating,
        "scale": latest.feedback.scale or "not stated",
        "ratings": len(rated),
        "goodness": round(good, 3),
    }
    return Evidence("user_feedback", 1 - good, probability, (latest.turn_id,), note, detail)


def _by_comment(given: _Given | None) -> Evidence | None:
    if given is None or given.feedback.comment is None or (mood := tone(given.feedback.comment)) is None:
        return None
    how = "critical" if mood < 0.5 else "kind"
    note = f"The user left a {how} comment on this answer: {quoted(given.feedback.comment)}."
    return Evidence("user_feedback", 1 - mood, 0.8 if mood < 0.5 else 0.08, (given.turn_id,), note, {"scale": "comment only"})


def _latest(given: list[_Given]) -> _Given | None:
    """The latest by `at`; among those without a time, and where times are equal, the last one sent."""
    early = datetime.min.replace(tzinfo=UTC)

    def when(pair: tuple[int, _Given]) -> tuple[datetime, int]:
        at = pair[1].feedback.at
        return (early if at is None else at.replace(tzinfo=UTC) if at.tzinfo is None else at, pair[0])

    return max(enumerate(given), key=when)[1] if given else None


def _shown(feedback: Feedback) -> str:
    rating = feedback.rating
    if rating is None:
        return "no rating"
    scale = (feedback.scale or "").lower().strip()
    if re.sub(r"[\s_]+", "", scale) in _THUMBS:
        return "thumb up" if rating > 0 else "thumb down"
    return f"{rating:g} on the scale {scale[:20]}" if scale else f"{rating:g}"
