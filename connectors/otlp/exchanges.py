"""The spans of one trace into the events of its conversation. What is told depends on which spans are known, never on their
order, and with more spans it only becomes more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from connectors.events import Feedback, FeedbackGiven, Passage, Told, Turn, TurnAdded, of_user
from connectors.otlp.spans import Rating, Span, details_of, fitting_id

_EARLY = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """`tops` hold what was said, by time; the bot's turn is named by the last of them, which gives the answer."""

    trace_id: str
    tops: tuple[Span, ...]
    spans: tuple[Span, ...]

    @property
    def id(self) -> str:
        return f"{self.trace_id}-{self.tops[-1].span_id}"


def is_whole(spans: Mapping[str, Span]) -> bool:
    """Has the root come, and does every speaking span hang on it? Then no span above can change who spoke."""
    tops = _tops(spans)
    return bool(tops) and all(_up(top, spans)[-1].parent_id is None for top in tops)


def says_something(spans: Mapping[str, Span]) -> bool:
    """False where all spans are of other programs: nothing of them will ever be told."""
    return any(span.kind != "other" or span.ratings or span.judgements for span in spans.values())


def events_of_trace(trace_id: str, spans: Mapping[str, Span]) -> list[Told]:
    """Turns with their retrieval, and feedback; nothing while no span says what the user or the bot said.

    The conversation is the session that a span names, else the trace. The bot's turn is named TRACE-SPAN by the span that
    gives the answer, the user's the same with `-user`.
    """
    exchanges = _exchanges(trace_id, spans)
    events: list[Told] = []
    for exchange in exchanges:
        events += _turns(trace_id, exchange, spans)
    for exchange in exchanges:
        for span in exchange.spans:
            for rating in span.ratings:
                last = exchanges[-1] if rating.target == "trace" else exchange
                turn_id = None if rating.target == "session" else last.id
                events.append(_feedback(trace_id, _conversation(trace_id, exchange, spans), turn_id, span, rating))
    return events


def _turns(trace_id: str, exchange: _Exchange, spans: Mapping[str, Span]) -> list[Told]:
    first, last = exchange.tops[0], exchange.tops[-1]
    inner = [span for span in exchange.spans if span.kind == "llm" and not _is_aside(span, spans)]
    question = first.question or _first(span.question for span in inner) or first.rough_question
    answer = last.answer or _first(span.answer for span in reversed(inner)) or last.rough_answer
    conversation = _conversation(trace_id, exchange, spans)
    started_at = last.start or last.end
    details: dict[str, JsonValue] = {"trace_id": trace_id, "span_ids": [s.span_id for s in exchange.spans if _adds(s)]}
    told: list[Told] = []
    if question:
        user = min((span.user for span in spans.values() if span.user), default=None)
        turn = Turn(id=f"{exchange.id}-user", role="user", text=question, at=started_at, metadata=details | of_user(user))
        told.append(TurnAdded(conversation_id=conversation, turn=turn, started_at=started_at))
    problem = _first(top.problem for top in reversed(exchange.tops))
    if answer or problem:
        details = dict(details)
        model = _first(span.model for span in reversed(inner)) or last.model
        for name, value in (("model", model), ("service", last.service), ("error", problem)):
            if value:
                details[name] = value
        if judgements := tuple(judgement for span in exchange.spans for judgement in span.judgements):
            details["evaluations"] = details_of(judgements)
        turn = Turn(
            id=exchange.id,
            role="bot",
            text=answer or "",
            at=last.end or last.start,
            retrieval=_retrieval(exchange.spans),
            metadata=details,
        )
        told.append(TurnAdded(conversation_id=conversation, turn=turn, started_at=started_at))
    return told


def _feedback(trace_id: str, conversation: str, turn_id: str | None, span: Span, rating: Rating) -> FeedbackGiven:
    given = Feedback(
        id=fitting_id(f"{turn_id or trace_id}:{span.span_id}:{rating.key}"),
        rating=rating.rating,
        scale=rating.scale,
        comment=rating.comment,
        at=rating.at,
    )
    return FeedbackGiven(conversation_id=conversation, turn_id=turn_id, feedback=given)


def _conversation(trace_id: str, exchange: _Exchange, spans: Mapping[str, Span]) -> str:
    above = [span.conversation for top in exchange.tops for span in _up(top, spans)]
    beside = [span.conversation for span in exchange.spans]
    anywhere = [span.conversation for span in sorted(spans.values(), key=_order)]
    return _first(above) or _first(beside) or _first(anywhere) or trace_id


# --- who spoke ----------------------------------------------------------------------------------------------------


def _exchanges(trace_id: str, spans: Mapping[str, Span]) -> list[_Exchange]:
    """One a trace, or one for each outermost run of an agent, or for each call of a model that takes the talk further."""
    tops = _tops(spans)
    agents = [top for top in tops if top.kind == "agent"]
    chains = [top for top in tops if top.kind == "chain"]
    if agents:  # what other chains and models do beside an agent's run is not the talk with the user
        groups: list[tuple[Span, ...]] = [(top,) for top in agents]
    elif chains:
        groups = [tuple(chains)]
    else:
        groups = _calls(tops)
    if not groups:
        return []
    members: list[list[Span]] = [[] for _ in groups]
    for span in sorted(spans.values(), key=_order):
        members[_place(span, groups, spans)].append(span)
    return [_Exchange(trace_id, group, tuple(inside)) for group, inside in zip(groups, members, strict=True)]


def _calls(tops: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Bare calls of a model: the last that answers counts (rewrites of the question and calls of tools come before it)."""
    said = [top for top in tops if top.answer or top.failed] or list(tops)
    return [(said[-1],)] if said else []


def _tops(spans: Mapping[str, Span]) -> list[Span]:
    """The outermost spans that say something, by time."""
    speaking = {key for key, span in spans.items() if _speaks(span) and not _is_aside(span, spans)}
    found = [spans[key] for key in speaking if not any(above.span_id in speaking for above in _up(spans[key], spans)[1:])]
    return sorted(found, key=_order)


def _speaks(span: Span) -> bool:
    said = span.question or span.answer or span.rough_question or span.rough_answer or span.failed
    return span.kind in ("agent", "chain", "llm") and bool(said)


def _adds(span: Span) -> bool:
    """Does the span add to the exchange? Their number grows with every telling, and so the fuller telling counts."""
    return _speaks(span) or bool(span.passages or span.reranked or span.judgements)


def _is_aside(span: Span, spans: Mapping[str, Span]) -> bool:
    return any(above.kind == "aside" for above in _up(span, spans))


def _up(span: Span, spans: Mapping[str, Span]) -> list[Span]:
    """The span and those above it, as far as they are known."""
    path, seen = [span], {span.span_id}
    while (above := spans.get(path[-1].parent_id or "")) is not None and above.span_id not in seen:
        path.append(above)
        seen.add(above.span_id)
    return path


def _place(span: Span, groups: Sequence[tuple[Span, ...]], spans: Mapping[str, Span]) -> int:
    """The exchange that the span belongs to: the one it lies in, else the first that ends after the span began."""
    if len(groups) == 1:
        return 0
    path = {above.span_id for above in _up(span, spans)}
    for place, group in enumerate(groups):
        if any(top.span_id in path for top in group):
            return place
    began = span.start or span.end or _EARLY
    return next((place for place, group in enumerate(groups) if (group[-1].end or _EARLY) >= began), len(groups) - 1)


# --- retrieval ----------------------------------------------------------------------------------------------------


def _retrieval(spans: Sequence[Span]) -> tuple[Passage, ...] | None:
    """The passages of all retrievers in their order, with the rerankers' scores; None where nothing was searched."""
    if all(span.passages is None and span.reranked is None for span in spans):
        return None
    found: list[Passage] = []
    # What a reranker was given comes last: a retriever tells the same passages with more.
    for span in sorted(spans, key=lambda span: span.kind == "reranker"):
        for passage in span.passages or ():
            if _match(passage, found) is None:
                found.append(passage)
    for span in spans:
        for passage in span.reranked or ():
            place = _match(passage, found)
            if place is None:
                found.append(passage)
            else:
                score = {"rerank_score": passage.rerank_score, "rerank_scale": passage.rerank_scale}
                found[place] = found[place].model_copy(update=score)
    return tuple(found)


def _match(passage: Passage, found: Sequence[Passage]) -> int | None:
    """The same passage among those found: by id where both have one, else by its text."""
    for place, other in enumerate(found):
        if passage.id is not None and other.id is not None:
            if passage.id == other.id:
                return place
        elif passage.text and passage.text.strip() == other.text.strip():
            return place
    return None


def _order(span: Span) -> tuple[datetime, datetime, str]:
    return span.start or _EARLY, span.end or _EARLY, span.span_id


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)
