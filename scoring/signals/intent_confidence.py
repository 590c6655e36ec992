"""How sure somebody was of what the user wants: the platform's own ranking, our intent model's prediction, or both."""

import math
from dataclasses import replace

from scoring.calibration import Judged, judge
from scoring.clauses import asks
from scoring.intents import SURE, Prediction
from scoring.platform_scores import ranking, shares
from scoring.second_opinion import opinion
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange
from scoring.wording import content_words, is_small_talk, plain

NAME = "intent_confidence"
_OURS = "our model, 0..1"
_OPINION = frozenset({"platform_probability", "platform_note", "our_intent", "our_confidence"})
_RIGHT = 0.05
"""Probability that an exchange whose intent is surely right needs a person all the same: the answer may be wrong."""
_FRAGMENT = 3
"""Content words up to which a later question is too short to be out of scope by itself."""


class IntentConfidence:
    """Least confidence, margin and entropy of a ranking (Settles 2009, "Active Learning Literature Survey").

    What the platform says comes first: it decided on that. Our own model gives a second opinion where it knows an intent of
    that name, and is asked alone where the platform sent nothing.
    """

    @property
    def name(self) -> str:
        return NAME

    def measure(self, batch: Batch) -> list[Evidence | None]:
        platform = judge(batch.exchanges, ("intent",), batch.platform)
        return [
            second_opinion(_platform(exchange, sent), exchange, prediction) or own_evidence(exchange, prediction)
            for exchange, sent, prediction in zip(batch.exchanges, platform, batch.predictions, strict=True)
        ]


def _platform(exchange: Exchange, sent: Judged | None) -> Evidence | None:
    intent = exchange.intent
    if intent is None or sent is None or sent.logit is None:
        return None
    turns = tuple(turn.id for turn in exchange.question_turns if turn.intent is not None)[-1:] or (exchange.turn_id,)
    probability = 1 / (1 + math.exp(-sent.logit))
    names = [name for name, _ in ranking(intent)] or [intent.name or intent.ranking[0][0]]
    found = shares(sent.scale, sent.reading)
    confidence, margin = found if found is not None and not sent.reading.fallback else (None, None)
    detail: Detail = {
        "intent": (intent.name or names[0])[:80],
        "confidence": None if confidence is None else round(confidence, 4),
        "margin": None if margin is None else round(margin, 4),
        "entropy": None if sent.reading.entropy is None else round(sent.reading.entropy, 4),
        "runner_up": names[1][:80] if len(names) > 1 else None,
        "scale": f"platform, {sent.scale}",
        **sent.detail,
    }
    if confidence is None:
        note = "The platform recognised no intent in the question."
        return Evidence(NAME, 0.9, probability, turns, note, detail)
    value = min(max(1 - confidence, (1 - margin) * 0.9 if margin is not None else 0.0), 1.0)
    if probability < 0.3:
        note = f"The platform was sure of the intent ({confidence:.0%}){sent.place}."
    elif margin is not None and margin < 0.15 and confidence >= 0.3:
        note = f"The platform hesitated between two intents ({confidence:.0%} and {confidence - margin:.0%}){sent.place}."
    else:
        note = f"The platform was only {confidence:.0%} sure of the intent{sent.place}."
    return Evidence(NAME, value, probability, turns, note, detail)


def of_platform(evidence: Evidence) -> bool:
    """Does the evidence come from what the platform sent, not from our own model?"""
    return evidence.detail.get("scale") != _OURS


def second_opinion(evidence: Evidence | None, exchange: Exchange, prediction: Prediction | None) -> Evidence | None:
    """The platform's evidence, once our own model has said what it makes of the platform's intent.

    Evidence that holds an opinion of another version of our model gets the new one in its place.
    """
    if evidence is None:
        return None
    first = evidence.detail.get("platform_probability", evidence.probability)
    said = evidence.detail.get("platform_note", evidence.note)
    told = evidence.detail.get("intent")
    kept = {name: value for name, value in evidence.detail.items() if name not in _OPINION}
    assert isinstance(first, float)
    alone = replace(evidence, probability=first, note=str(said), detail=kept)
    if not _speaks_for_itself(exchange) or _is_fragment(exchange) or kept.get("confidence") is None:
        return alone
    clipped = min(max(first, 1e-4), 1 - 1e-4)
    logit = opinion(str(told), math.log(clipped / (1 - clipped)), prediction)
    if logit is None or prediction is None:
        return alone
    agrees = prediction.intent.casefold() == str(told).casefold()
    ours = f"“{prediction.intent[:80]}” ({prediction.confidence:.0%})"
    note = f"{said} Our intent model agrees." if agrees else f"{said} Our intent model takes it for {ours}."
    opinions: Detail = {
        "platform_probability": first,
        "platform_note": str(said),
        "our_intent": prediction.intent[:80],
        "our_confidence": round(prediction.confidence, 4),
    }
    probability = _RIGHT + (1 - _RIGHT) / (1 + math.exp(-logit))
    return replace(alone, probability=probability, note=note, detail={**kept, **opinions})


def own_evidence(exchange: Exchange, prediction: Prediction | None) -> Evidence | None:
    """What our own intent model says; None where it says nothing about such a question."""
    if prediction is None or not _speaks_for_itself(exchange):
        return None
    outside = 0.0 if _is_fragment(exchange) else prediction.out_of_scope
    turns = tuple(turn.id for turn in exchange.question_turns) or (exchange.turn_id,)
    several = len(prediction.intents) > 1
    # Two requests share the probability that one would have; each clause alone was sure, and within scope.
    value = 1 - (max(prediction.confidence, SURE) if several else prediction.confidence * (1 - outside))
    probability = 0.06 + 0.7 * value
    if several:
        *others, last = prediction.intents
        note = f"The question holds several requests: {', '.join(name[:80] for name in others)} and {last[:80]}."
    elif outside >= 0.5:
        note = "The question fits none of the known intents."
    elif prediction.confidence < 0.5:
        note = f"Our intent model is only {prediction.confidence:.0%} sure what the question is about."
    else:
        note = f"Our intent model knows what the question is about ({prediction.confidence:.0%})."
    runner_up = next((name for name, _ in prediction.ranking[1:] if name not in prediction.further), None)
    detail: Detail = {
        "intent": prediction.intent[:80],
        "confidence": round(prediction.confidence, 4),
        "out_of_scope": round(prediction.out_of_scope, 4),
        "runner_up": None if runner_up is None else runner_up[:80],
        "scale": _OURS,
        **({"further": [name[:80] for name in prediction.further]} if several else {}),
    }
    return Evidence(NAME, min(max(value, 0.0), 1.0), probability, turns, note, detail)


def _speaks_for_itself(exchange: Exchange) -> bool:
    """It asks something. What is told, not asked, has the intent of a question before."""
    if not exchange.question.strip() or is_small_talk(plain(exchange.question)):
        return False
    return not _is_later(exchange) or asks(exchange.question)


def _is_fragment(exchange: Exchange) -> bool:
    """ "And after? Just hang it?" lends its topic from what was said before: alone it always looks strange."""
    return _is_later(exchange) and len(content_words(plain(exchange.question))) <= _FRAGMENT


def _is_later(exchange: Exchange) -> bool:
    return any(turn.role == "user" for turn in exchange.history)
