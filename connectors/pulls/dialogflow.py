"""What Dialogflow CX keeps of a conversation: interactions, each with the user's words, the match and the answer.

Shapes: googleapis/googleapis, google/cloud/dialogflow/cx/v3beta1/conversation_history.proto, session.proto and
data_store_connection.proto, in their JSON form.
"""

from datetime import UTC, datetime
from typing import Any

from connectors.events import (
    At,
    ConversationClosed,
    Event,
    Feedback,
    FeedbackGiven,
    Intent,
    Passage,
    RankedIntent,
    Turn,
    TurnAdded,
)
from connectors.pulls.base import Sent, just_after, read_sent, told

NO_MATCH = "NO_MATCH"
WORDS = {"VERY_LOW": 0.1, "LOW": 0.3, "MEDIUM": 0.5, "HIGH": 0.7, "VERY_HIGH": 0.9}
"""Google gives a grounding score as a word; the middles of five equal parts keep its order."""
GROUNDING = "dialogflow grounding"
LAST = datetime.max.replace(tzinfo=UTC)
THUMBS = {"THUMBS_UP": 1.0, "THUMBS_DOWN": -1.0}


class _Named(Sent):
    displayName: str | None = None


class _Match(Sent):
    intent: _Named | None = None
    event: str | None = None
    matchType: str | None = None
    confidence: float | None = None
    resolvedInput: str | None = None


class _Snippet(Sent):
    documentTitle: str | None = None
    documentUri: str | None = None
    text: str | None = None


class _Cited(Sent):
    searchSnippet: _Snippet | None = None


class _Grounding(Sent):
    decision: str | None = None
    score: str | None = None


class _DataStore(Sent):
    rewrittenQuery: str | None = None
    searchSnippets: list[_Snippet] | None = None
    citedSnippets: list[_Cited] | None = None
    groundingSignals: _Grounding | None = None


class _Message(Sent):
    text: dict[str, Any] | None = None
    outputAudioText: dict[str, Any] | None = None
    endInteraction: dict[str, Any] | None = None
    liveAgentHandoff: dict[str, Any] | None = None


class _Result(Sent):
    text: str | None = None
    transcript: str | None = None
    responseMessages: list[_Message] | None = None
    match: _Match | None = None
    intent: _Named | None = None
    intentDetectionConfidence: float | None = None
    currentPage: _Named | None = None
    sentimentAnalysisResult: dict[str, Any] | None = None
    dataStoreConnectionSignals: _DataStore | None = None


class _Response(Sent):
    responseId: str | None = None
    queryResult: _Result | None = None


class _Reason(Sent):
    reasonLabels: list[str] | None = None
    feedback: str | None = None


class _Rated(Sent):
    rating: str | None = None
    ratingReason: _Reason | None = None
    customRating: str | None = None


class _Missing(Sent):
    intentDisplayName: str | None = None
    score: float | None = None


class _Interaction(Sent):
    requestUtterances: str | None = None
    responseUtterances: str | None = None
    createTime: At | None = None
    response: _Response | None = None
    partialResponses: list[_Response] | None = None
    answerFeedback: _Rated | None = None
    missingTransition: _Missing | None = None


class _Metrics(Sent):
    hasEndInteraction: bool | None = None


class _Conversation(Sent):
    name: str
    type: str | None = None
    languageCode: str | None = None
    startTime: At | None = None
    metrics: _Metrics | None = None
    interactions: list[_Interaction] | None = None
    environment: _Named | None = None


def parse_conversation(body: bytes) -> list[Event]:
    """The turns and ratings of a conversation as GetConversation answers."""
    conversation = read_sent(_Conversation, body)
    return told(lambda: _events(conversation))


def _events(conversation: _Conversation) -> list[Event]:
    name = conversation.name.rpartition("/")[2]
    # The API's order is not promised; the place decides between equal times.
    interactions = sorted(conversation.interactions or (), key=lambda one: one.createTime or LAST)
    events: list[Event] = []
    for place, interaction in enumerate(interactions):
        events += _interaction(conversation, name, place, interaction)
    if conversation.metrics and conversation.metrics.hasEndInteraction:
        events.append(
            ConversationClosed(conversation_id=name, at=max((i.createTime for i in interactions if i.createTime), default=None))
        )
    return events


def _interaction(conversation: _Conversation, name: str, place: int, one: _Interaction) -> list[Event]:
    result = (one.response.queryResult if one.response else None) or _Result()
    key = (one.response.responseId if one.response else None) or f"#{place + 1}"
    about: dict[str, Any] = {
        "language": conversation.languageCode,
        "environment": conversation.environment.displayName if conversation.environment else None,
    }

    def added(turn: Turn) -> TurnAdded:
        return TurnAdded(
            conversation_id=name,
            channel=conversation.type,
            started_at=conversation.startTime,
            turn=turn,
            metadata={key: value for key, value in about.items() if value is not None},
        )

    events: list[Event] = []
    asked = one.requestUtterances or result.text or result.transcript
    if asked:
        sentiment = result.sentimentAnalysisResult
        events.append(
            added(
                Turn(
                    id=f"{key}-user",
                    role="user",
                    text=asked,
                    at=one.createTime,
                    intent=_intent(result, one.missingTransition),
                    metadata={"sentiment": sentiment} if sentiment else {},
                )
            )
        )
    answer = one.responseUtterances or _texts([*(one.partialResponses or ()), *([one.response] if one.response else ())])
    if answer:
        events.append(added(_answer(f"{key}-bot", answer, one, result)))
        events += _feedback(name, f"{key}-bot", one)
    return events


def _answer(key: str, text: str, one: _Interaction, result: _Result) -> Turn:
    details: dict[str, Any] = {"page": result.currentPage.displayName if result.currentPage else None}
    signals = result.dataStoreConnectionSignals
    if signals and signals.groundingSignals:
        details["grounding"] = {"decision": signals.groundingSignals.decision, "score": signals.groundingSignals.score}
    if any(message.liveAgentHandoff is not None for message in result.responseMessages or ()):
        details["handed_over"] = True
    return Turn(
        id=key,
        role="bot",
        text=text,
        at=just_after(one.createTime),  # the interaction has one time for both
        retrieval=_passages(signals),
        metadata={name: value for name, value in details.items() if value is not None},
    )


def _intent(result: _Result, missing: _Missing | None) -> Intent | None:
    match = result.match or _Match()
    named = match.intent or result.intent
    name = named.displayName if named else None
    confidence = match.confidence if match.confidence is not None else result.intentDetectionConfidence
    details = {"match_type": match.matchType} if match.matchType else {}
    ranking: tuple[RankedIntent, ...] = ()
    if missing is not None and missing.intentDisplayName:
        ranking = (RankedIntent(name=missing.intentDisplayName, confidence=missing.score),)
    if match.matchType == NO_MATCH:
        return Intent(name=NO_MATCH, scale="probability", ranking=ranking, metadata=details)
    if name is None:
        return None
    return Intent(name=name, confidence=confidence, scale="probability", ranking=ranking, metadata=details)


def _passages(signals: _DataStore | None) -> tuple[Passage, ...] | None:
    """The snippets that the data store's search found; Google sends them without scores, the best first.

    How well the answer is grounded stands with the snippets that it cites, or with all where it cites none.
    """
    if signals is None or signals.searchSnippets is None:
        return None
    cited = {_key(one.searchSnippet) for one in signals.citedSnippets or () if one.searchSnippet}
    grounded = WORDS.get((signals.groundingSignals and signals.groundingSignals.score) or "")
    return tuple(
        Passage(
            id=snippet.documentUri,
            title=snippet.documentTitle,
            text=snippet.text or "",
            rerank_score=grounded if not cited or _key(snippet) in cited else None,
            rerank_scale=GROUNDING if grounded is not None and (not cited or _key(snippet) in cited) else None,
            metadata={"cited": _key(snippet) in cited} if cited else {},
        )
        for snippet in signals.searchSnippets
    )


def _key(snippet: _Snippet) -> tuple[str | None, str | None]:
    return snippet.documentUri, snippet.text


def _texts(responses: list[_Response]) -> str:
    found: list[str] = []
    for response in responses:
        for message in (response.queryResult.responseMessages if response.queryResult else None) or ():
            texts = (message.text or {}).get("text")
            found += [text for text in texts if isinstance(text, str) and text] if isinstance(texts, list) else []
            spoken = (message.outputAudioText or {}).get("text")
            found += [spoken] if isinstance(spoken, str) and spoken else []
    return "\n\n".join(found)


def _feedback(conversation: str, turn: str, one: _Interaction) -> list[Event]:
    rated = one.answerFeedback
    if rated is None:
        return []
    reason = rated.ratingReason or _Reason()
    comment = "; ".join(filter(None, [*(reason.reasonLabels or ()), reason.feedback, rated.customRating]))
    rating = THUMBS.get(rated.rating or "")
    if rating is None and not comment:
        return []
    # One rating an answer: given anew it takes the place of the one before.
    feedback = Feedback(id=f"{turn}-rating", rating=rating, scale="thumb", comment=comment or None, at=one.createTime)
    return [FeedbackGiven(conversation_id=conversation, turn_id=turn, feedback=feedback)]
