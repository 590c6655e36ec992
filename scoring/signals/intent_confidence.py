"""How sure somebody was of what the user wants: the platform's own ranking, else our intent model's prediction."""

import math

from scoring.calibration import Judged, judge
from scoring.clauses import asks
from scoring.intents import SURE, Prediction
from scoring.platform_scores import ranking, shares
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange
from scoring.wording import content_words, is_small_talk, plain

_FRAGMENT = 3
"""Content words up to which a later question is too short to be out of scope by itself."""


class IntentConfidence:
    """Least confidence, margin and entropy of a ranking (Settles 2009, "Active Learning Literature Survey").

    What the platform says comes first: it decided on that. Our own model is asked where the platform sent nothing.
    """

    @property
    def name(self) -> str:
        return "intent_confidence"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        platform = judge(batch.exchanges, ("intent",), batch.platform)
        return [
            _platform(exchange, sent) or _own(exchange, prediction)
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
        return Evidence("intent_confidence", 0.9, probability, turns, note, detail)
    value = min(max(1 - confidence, (1 - margin) * 0.9 if margin is not None else 0.0), 1.0)
    if probability < 0.3:
        note = f"The platform was sure of the intent ({confidence:.0%}){sent.place}."
    elif margin is not None and margin < 0.15 and confidence >= 0.3:
        note = f"The platform hesitated between two intents ({confidence:.0%} and {confidence - margin:.0%}){sent.place}."
    else:
        note = f"The platform was only {confidence:.0%} sure of the intent{sent.place}."
    return Evidence("intent_confidence", value, probability, turns, note, detail)


def _own(exchange: Exchange, prediction: Prediction | None) -> Evidence | None:
    if prediction is None or not exchange.question.strip() or is_small_talk(plain(exchange.question)):
        return None
    later = any(turn.role == "user" for turn in exchange.history)
    if later and not asks(exchange.question):
        return None  # told, not asked: the intent is that of a question before
    # "And after? Just hang it?" lends its topic from what was said before: alone it always looks strange.
    fragment = later and len(content_words(plain(exchange.question))) <= _FRAGMENT
    outside = 0.0 if fragment else prediction.out_of_scope
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
        "scale": "our model, 0..1",
        **({"further": [name[:80] for name in prediction.further]} if several else {}),
    }
    return Evidence("intent_confidence", min(max(value, 0.0), 1.0), probability, turns, note, detail)
