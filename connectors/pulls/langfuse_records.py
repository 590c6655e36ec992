"""What a Langfuse trace and a Langfuse score tell.

Shapes: langfuse/langfuse, fern/apis/server/definition/{trace,observations-v2,commons,scores,scores-v3}.yml. Input and output
are whatever the bot's code logged: text, a message, a list of messages, or an object with the text under a usual name.
"""

import json
from datetime import datetime
from typing import Any

from connectors.errors import Reject
from connectors.events import At, Event, Feedback, FeedbackGiven, Ignored, Passage, Turn, TurnAdded, of_user
from connectors.pulls.base import Sent, just_after, read_sent, told

TEXTS = (
    "text",
    "content",
    "message",
    "question",
    "query",
    "input",
    "prompt",
    "answer",
    "output",
    "response",
    "completion",
    "result",
)
GOOD_WORDS = {"thumbs_up", "thumbs-up", "thumbs up", "positive", "good", "like", "liked", "helpful", "yes", "correct", "👍"}
BAD_WORDS = {
    "thumbs_down",
    "thumbs-down",
    "thumbs down",
    "negative",
    "bad",
    "dislike",
    "disliked",
    "unhelpful",
    "no",
    "incorrect",
    "👎",
}
KNOWN_SCALES = ("thumb", "csat", "star", "nps", "percent")


class _Observation(Sent):
    id: str
    type: str | None = None
    name: str | None = None
    startTime: At | None = None
    endTime: At | None = None
    parentObservationId: str | None = None
    sessionId: str | None = None
    input: Any = None
    output: Any = None


class _Trace(Sent):
    id: str
    timestamp: At | None = None
    name: str | None = None
    sessionId: str | None = None
    userId: str | None = None
    input: Any = None
    output: Any = None
    environment: str | None = None
    tags: list[str] | None = None
    observations: list[_Observation] | None = None


class _Subject(Sent):
    kind: str | None = None
    id: str | None = None
    traceId: str | None = None
    sessionId: str | None = None


class _Score(Sent):
    id: str
    name: str | None = None
    traceId: str | None = None
    sessionId: str | None = None
    subject: _Subject | None = None
    value: bool | float | str | None = None
    stringValue: str | None = None
    dataType: str | None = None
    comment: str | None = None
    timestamp: At | None = None
    updatedAt: At | None = None
    source: str | None = None


class _Record(Sent):
    trace: _Trace | None = None
    score: _Score | None = None
    session: str | None = None


def parse_record(body: bytes, scales: dict[str, str]) -> list[Event]:
    """The turns of `{"trace": …}`, the feedback of `{"score": …, "session": …}`."""
    record = read_sent(_Record, body)
    if record.trace is not None:
        trace = record.trace
        return told(lambda: _turns(trace))
    if record.score is not None:
        score = record.score
        return told(lambda: _feedback(score, record.session, scales))
    raise Reject("body: neither a trace nor a score")


# --- traces -------------------------------------------------------------------------------------------------------


def _turns(trace: _Trace) -> list[Event]:
    observations = sorted(trace.observations or (), key=lambda one: (one.startTime is None, one.startTime, one.id))
    roots = [one for one in observations if not one.parentObservationId]
    root = roots[0] if roots else None
    given, answered = _read(trace.input), _read(trace.output)
    if given is None and root is not None:
        given = _read(root.input)
    if answered is None and root is not None:
        answered = _read(root.output)
    question, answer = _text(given, "user"), _text(answered, "assistant")
    if not question and not answer:
        return [Ignored("trace without text")]
    conversation = trace.sessionId or next((one.sessionId for one in observations if one.sessionId), None) or trace.id
    asked_at = trace.timestamp or (root.startTime if root else None)
    details = {"name": trace.name, "environment": trace.environment, "tags": trace.tags}
    events: list[Event] = []
    for role, text in (("user", question), ("bot", answer)):
        if text:
            events.append(
                TurnAdded(
                    conversation_id=conversation,
                    turn=Turn(
                        id=f"{trace.id}-{role}",
                        role=role,
                        text=text,
                        at=asked_at if role == "user" else _answered_at(asked_at, root),
                        retrieval=_passages(observations) if role == "bot" else None,
                        metadata={name: value for name, value in details.items() if value}
                        if role == "bot"
                        else of_user(trace.userId),
                    ),
                )
            )
    return events


def _answered_at(asked_at: datetime | None, root: _Observation | None) -> datetime | None:
    """When the outermost step ended, and surely after the question."""
    if asked_at is None:
        return root.endTime if root else None
    return max(filter(None, (just_after(asked_at), root.endTime if root else None)))


def _read(sent: Any) -> Any:
    """Some versions send JSON as text."""
    if isinstance(sent, str) and sent[:1] in ("{", "[", '"'):
        try:
            return json.loads(sent)
        except (ValueError, RecursionError):
            return sent
    return sent


def _text(sent: Any, role: str, depth: int = 0) -> str:
    """The words in an input or output; of a list of messages the last one of that role."""
    if isinstance(sent, str):
        return sent.strip()
    if depth > 6:
        return ""
    if isinstance(sent, dict):
        if isinstance(sent.get("messages"), list):
            return _text(sent["messages"], role, depth + 1)
        for name in TEXTS:
            if sent.get(name):
                return _text(sent[name], role, depth + 1)
        return ""
    if isinstance(sent, list):
        spoken = [one for one in sent if isinstance(one, dict) and one.get("role")]
        if spoken:
            names = ("user", "human") if role == "user" else ("assistant", "ai", "model")
            last = next((one for one in reversed(spoken) if str(one["role"]).lower() in names), None)
            return _text(last.get("content"), role, depth + 1) if last else ""
        return "\n".join(filter(None, (_text(one, role, depth + 1) for one in sent)))
    return ""


def _passages(observations: list[_Observation]) -> tuple[Passage, ...] | None:
    """What retriever spans gave; where none is marked as one, spans with such a name."""
    found = [one for one in observations if (one.type or "").upper() == "RETRIEVER"]
    found = found or [one for one in observations if _is_retrieval(one) and _documents(_read(one.output))]
    if not found:
        return None
    return tuple(passage for one in found for passage in map(_passage, _documents(_read(one.output))))


def _is_retrieval(one: _Observation) -> bool:
    name = (one.name or "").lower()
    return (one.type or "").upper() != "GENERATION" and any(word in name for word in ("retriev", "rerank", "vector", "search"))


def _documents(output: Any) -> list[Any]:
    if isinstance(output, dict):
        output = next(
            (output[name] for name in ("documents", "results", "chunks", "matches", "hits", "data") if output.get(name)), None
        )
    return [one for one in output if isinstance(one, str | dict)] if isinstance(output, list) else []


def _passage(document: Any) -> Passage:
    if isinstance(document, str):
        return Passage(text=document)
    given = document.get("metadata")
    about: dict[str, Any] = given if isinstance(given, dict) else {}

    def first(*names: str, kind: type | tuple[type, ...] = str) -> Any:
        values = [place.get(name) for place in (document, about) for name in names]
        return next((value for value in values if isinstance(value, kind) and not isinstance(value, bool)), None)

    return Passage(
        id=first("id", "chunk_id", "document_id", kind=(str, int)),
        title=first("title", "name", "source"),
        text=first("page_content", "pageContent", "content", "text") or "",
        score=first("score", "similarity", "relevance_score", kind=(int, float)),
        rerank_score=first("rerank_score", "rerankScore", kind=(int, float)),
    )


# --- scores -------------------------------------------------------------------------------------------------------


def _feedback(score: _Score, session: str | None, scales: dict[str, str]) -> list[Event]:
    subject = score.subject or _Subject()
    trace = score.traceId or subject.traceId or (subject.id if subject.kind == "trace" else None)
    of_session = score.sessionId or subject.sessionId or (subject.id if subject.kind == "session" else None)
    conversation = session or of_session or trace
    if conversation is None:
        return [Ignored("score of neither a trace nor a session")]
    rating, scale, comment = _rating(score, scales)
    if rating is None and not comment:
        return [Ignored(f"score of type {score.dataType}")]
    feedback = Feedback(
        id=score.id,
        rating=rating,
        scale=scale,
        comment=comment or None,
        at=score.updatedAt or score.timestamp,
        metadata={"name": score.name, "source": score.source},
    )
    return [FeedbackGiven(conversation_id=conversation, turn_id=f"{trace}-bot" if trace else None, feedback=feedback)]


def _rating(score: _Score, scales: dict[str, str]) -> tuple[float | None, str | None, str | None]:
    value = score.value
    if score.dataType == "CORRECTION":
        return None, None, None
    if score.dataType == "BOOLEAN" or isinstance(value, bool):
        yes = value if isinstance(value, bool) else value == 1 or str(score.stringValue or value).lower() == "true"
        return (1.0 if yes else -1.0), "thumb", score.comment
    word = score.stringValue if isinstance(score.stringValue, str) and score.stringValue else value
    if score.dataType in ("CATEGORICAL", "TEXT") or isinstance(value, str):
        if not isinstance(word, str):
            return None, None, score.comment
        rating = 1.0 if word.lower() in GOOD_WORDS else -1.0 if word.lower() in BAD_WORDS else None
        said = score.comment if rating is not None else ": ".join(filter(None, (word, score.comment)))
        return rating, "thumb" if rating is not None else None, said
    if value is None:
        return None, None, score.comment
    return float(value), _scale(score.name or "", scales), score.comment


def _scale(name: str, scales: dict[str, str]) -> str:
    """As the settings say; else what the score's name says; else a scale of that name."""
    if name in scales:
        return scales[name]
    known = next((scale for scale in KNOWN_SCALES if scale in name.lower()), None)
    return {"star": "stars"}.get(known, known) if known else f"langfuse {name}"
