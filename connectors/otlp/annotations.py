"""Annotations and evaluations: the end user's own become ratings, all others judgements."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors.otlp.attributes import below, dicts, number_or_none, text_or_none
from connectors.otlp.spans import Judgement, Rating, Target, fitting_id

_UP = {"thumbsup", "up", "👍", "positive", "good", "like", "liked", "helpful", "yes", "correct", "satisfied", "upvote", "great"}
_DOWN = {
    *("thumbsdown", "down", "👎", "negative", "bad", "dislike", "disliked", "unhelpful", "nothelpful", "no", "incorrect"),
    *("unsatisfied", "dissatisfied", "downvote", "wrong", "poor"),
}
_OF_THE_USER = re.compile(
    r"(?x) ^(?:feedback|rating|ratings|stars?|csat|nps|like|dislike|thumbs?|satisfaction)$ | thumb | star_rating"
)
_USERS = re.compile(
    r"^(?:end_?)?(?:user|customer|human)s?_.*(?:feedback|rating|score|satisfaction|reaction|like|vote)|_csat|csat_|_nps$"
)
_MORE_IS_BETTER = re.compile(r"correct|quality|relevan|helpful|accura|useful|satisf|overall")
_JUDGES = {"LLM", "CODE"}


def read_annotations(attributes: Mapping[str, Any], at: datetime | None, of_a_span: bool = True) -> Iterator[Rating | Judgement]:
    """The OpenInference annotations and evaluations among the attributes (spec/annotations.md)."""
    places: list[tuple[str, Target]] = [("trace.annotations", "trace"), ("session.annotations", "session")]
    if of_a_span:
        places = [("annotations", "span"), ("evaluations", "span"), *places, ("session.evaluations", "session")]
        places.append(("trace.evaluations", "trace"))
    for name, target in places:
        for one in dicts(below(attributes, name)):
            inner = one.get("annotation") or one.get("evaluation") or one
            if isinstance(inner, dict):
                yield from judged(
                    inner.get("name"),
                    inner.get("score"),
                    inner.get("label"),
                    inner.get("explanation"),
                    by=inner.get("annotator_kind"),
                    identifier=inner.get("identifier"),
                    target=target,
                    at=at,
                )


def judged(
    name: Any,
    score: Any,
    label: Any,
    explanation: Any,
    by: Any = None,
    identifier: Any = None,
    target: Target = "span",
    at: datetime | None = None,
) -> Iterator[Rating | Judgement]:
    """One annotation or evaluation, whoever made it; nothing where it says nothing."""
    called = text_or_none(name) or "annotation"
    value, said, why = number_or_none(score), text_or_none(label), text_or_none(explanation)
    if value is None and said is None and why is None:
        return
    kind = by.upper() if isinstance(by, str) else None
    plain = re.sub(r"[\s.\-]+", "_", called.lower())
    users = bool(_OF_THE_USER.search(plain) or _USERS.search(plain))
    rating, scale = _rating(plain, value, said, users)
    if (users and kind != "LLM") or (kind == "HUMAN" and (rating is not None or _MORE_IS_BETTER.search(plain))):
        comment = why or (said if rating is None or not _mood(said) else None)
        if rating is not None or comment:
            key = fitting_id(f"{target}:{called}:{text_or_none(identifier) or ''}"[:200]) or target
            yield Rating(key=key, target=target, rating=rating, scale=scale, comment=comment, at=at)
            return
    yield Judgement(name=called, score=value, label=said, explanation=why, by=kind)


def _rating(name: str, score: float | None, label: str | None, users: bool) -> tuple[float | None, str | None]:
    """The rating and its scale. A score counts only where its direction is known: a high 'hallucination' is no praise."""
    if (mood := _mood(label)) is not None:
        return mood, "thumb"
    if score is None or not (users or _MORE_IS_BETTER.search(name)):
        return None, None
    if "down" in name or name == "dislike":
        return (-1.0 if score > 0 else 1.0), "thumb"
    if "nps" in name and 0 <= score <= 10:
        return score, "nps"
    if re.search(r"star|csat|satisf", name) and 1 <= score <= 5:
        return score, "csat" if "csat" in name else "stars"
    if "thumb" in name or "like" in name or score in (-1, 0):
        return score, "thumb"
    if 0 < score < 1:
        return score, "unit"
    return score, "thumb" if score == 1 and re.search(r"feedback|reaction|vote", name) else None


def _mood(label: str | None) -> float | None:
    plain = re.sub(r"[\s_.\-!]+", "", label.lower()) if label else ""
    return 1.0 if plain in _UP else -1.0 if plain in _DOWN else None


def ratings_in(found: list[Rating | Judgement]) -> tuple[Rating, ...]:
    return tuple(one for one in found if isinstance(one, Rating))


def judgements_in(found: list[Rating | Judgement]) -> tuple[Judgement, ...]:
    return tuple(one for one in found if isinstance(one, Judgement))
