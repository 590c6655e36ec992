"""How sure somebody was of what the user wants: the platform's own ranking, else our intent model's prediction."""

import math
import re
from collections.abc import Sequence

from scoring.intents import Prediction
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange, Intent
from scoring.wording import is_small_talk, plain

FALLBACK = re.compile(
    r"^(?:(?:.*[._\s])?(?:nlu_?fallback|default_?fallback(?:_?intent)?|fallback_?intent|fallback|out_?of_?scope|oos|"
    r"no_?match|unknown|unrecogni[sz]ed|not_?understood|irrelevant|anything_?else|none_?intent)(?:_?intent)?|none|null|"
    r"nlu[._ ]fallback)$"
)
"""What platforms call "no intent matched": Rasa, Dialogflow ES and CX, Lex, LUIS and CLU, Watson, Botpress."""


class IntentConfidence:
    """Least confidence, margin and entropy of a ranking (Settles 2009, "Active Learning Literature Survey").

    What the platform says comes first: it decided on that. Our own model is asked where the platform sent nothing.
    """

    @property
    def name(self) -> str:
        return "intent_confidence"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        return [
            _platform(exchange) or _own(exchange, prediction)
            for exchange, prediction in zip(batch.exchanges, batch.predictions, strict=True)
        ]


def is_fallback(intent_name: str) -> bool:
    """True for a platform's way to say that no intent matched."""
    return (
        len(intent_name) <= 200
        and FALLBACK.match(re.sub(r"[\s\-]+", "_", _split_camel(intent_name)).lower().strip("_")) is not None
    )


def _split_camel(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _platform(exchange: Exchange) -> Evidence | None:
    intent = exchange.intent
    if intent is None:
        return None
    turns = tuple(turn.id for turn in exchange.question_turns if turn.intent is not None)[-1:] or (exchange.turn_id,)
    name = intent.name or (intent.ranking[0][0] if intent.ranking else None)
    if name is not None and is_fallback(name):
        return Evidence(
            "intent_confidence", 0.9, 0.72, turns, "The platform recognised no intent in the question.", {"intent": name[:80]}
        )
    ranked = _ranking(intent)
    if not ranked:
        return None
    confidence, margin, entropy = _shape(ranked)
    # Slopes set by hand: .9 and a clear lead read as fine, a tie at .4 as probably wrong. Platforms' confidences differ
    # too much (and are too often overconfident) to fit them on our own model's.
    score = -2.9 + 3.2 * (1 - confidence) + 1.2 * (1 - margin if margin is not None else 1 - confidence) + 0.8 * (entropy or 0.0)
    probability = 1 / (1 + math.exp(-score))
    value = min(max(1 - confidence, (1 - margin) * 0.9 if margin is not None else 0.0), 1.0)
    runner_up = ranked[1][0] if len(ranked) > 1 else None
    if probability < 0.3:
        note = f"The platform was sure of the intent ({confidence:.0%})."
    elif margin is not None and margin < 0.15 and confidence >= 0.3:
        note = f"The platform hesitated between two intents ({confidence:.0%} and {confidence - margin:.0%})."
    else:
        note = f"The platform was only {confidence:.0%} sure of the intent."
    detail: Detail = {
        "intent": ranked[0][0][:80],
        "confidence": round(confidence, 4),
        "margin": None if margin is None else round(margin, 4),
        "entropy": None if entropy is None else round(entropy, 4),
        "runner_up": None if runner_up is None else runner_up[:80],
        "scale": "platform, 0..1",
    }
    return Evidence("intent_confidence", value, probability, turns, note, detail)


def _ranking(intent: Intent) -> list[tuple[str, float]]:
    """(name, confidence 0..1), best first; percentages are recognised; empty where no usable number was sent."""
    sent = [(name, float(score)) for name, score in intent.ranking if score is not None and math.isfinite(score)]
    if intent.confidence is not None and math.isfinite(intent.confidence):
        own = (intent.name or (sent[0][0] if sent else "?"), float(intent.confidence))
        sent = [own] + [(name, score) for name, score in sent if name != own[0]]
    if not sent or min(score for _, score in sent) < 0:
        return []  # raw logits or distances: no scale that we know
    highest = max(score for _, score in sent)
    if highest > 100:
        return []
    scale = 100.0 if highest > 1.0001 else 1.0
    first, rest = sent[0], sorted(sent[1:], key=lambda pair: -pair[1])
    return [(name, min(score / scale, 1.0)) for name, score in [first, *rest]]


def _shape(ranked: Sequence[tuple[str, float]]) -> tuple[float, float | None, float | None]:
    """Confidence, margin to the runner-up, and entropy over log of the number of intents; None where only one was sent."""
    confidence = ranked[0][1]
    others = [(name, score) for name, score in ranked[1:] if not is_fallback(name)]
    if not others:
        return confidence, None, None
    scores = [score for _, score in ranked]
    total = sum(scores)
    shares = [score / total for score in scores if score > 0] if total > 0 else []
    entropy = -sum(share * math.log(share) for share in shares) / math.log(len(scores)) if shares else 1.0
    return confidence, max(confidence - others[0][1], 0.0), min(max(entropy, 0.0), 1.0)


def _own(exchange: Exchange, prediction: Prediction | None) -> Evidence | None:
    if prediction is None or not exchange.question.strip() or is_small_talk(plain(exchange.question)):
        return None
    turns = tuple(turn.id for turn in exchange.question_turns) or (exchange.turn_id,)
    value = 1 - prediction.confidence * (1 - prediction.out_of_scope)
    probability = 0.06 + 0.7 * value
    if prediction.out_of_scope >= 0.5:
        note = "The question fits none of the known intents."
    elif prediction.confidence < 0.5:
        note = f"Our intent model is only {prediction.confidence:.0%} sure what the question is about."
    else:
        note = f"Our intent model knows what the question is about ({prediction.confidence:.0%})."
    detail: Detail = {
        "intent": prediction.intent[:80],
        "confidence": round(prediction.confidence, 4),
        "out_of_scope": round(prediction.out_of_scope, 4),
        "runner_up": prediction.ranking[1][0][:80] if len(prediction.ranking) > 1 else None,
        "scale": "our model, 0..1",
    }
    return Evidence("intent_confidence", min(max(value, 0.0), 1.0), probability, turns, note, detail)
