"""What platforms send about their own answers: scores of passages and confidences of intents, each on its own scale.

A history is a small sample of what one source sent in one field. It tells which scale that is, and where a score lies among
the bot's own.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter, itemgetter

from scoring.transcripts import Exchange, Intent

FIELDS = ("retrieval", "rerank", "intent")
Key = tuple[str, str]
"""(source, field)"""

COSINE, PROBABILITY, PERCENT, LOGIT = "cosine 0..1", "probability 0..1", "percent", "logit"
DISTANCE, OPEN = "distance", "BM25 or other open scale"

SAMPLE = 500
"""Exchanges that a history keeps. A share read off 500 is within .06 of the true one everywhere (Massart 1990), within .024
at the worst tenth, 19 times in 20."""
HALF_LIFE_DAYS = 14.0
"""After this time an exchange is half as likely to be kept: a bot whose search was replaced is known anew within weeks."""
_MOST = 1e12
_ONE = 1.0001
"""Cosines of single precision end a little above 1."""
_TRIMMED = 200
"""One reading of so many may be a slip and does not decide the scale."""

_CALLED = {
    COSINE: ("cosine", "cosinesimilarity", "similarity", "dot", "innerproduct"),
    PROBABILITY: ("probability", "confidence", "unit", "share", "01"),
    PERCENT: ("percent", "percentage", "%", "0100"),
    LOGIT: ("logit", "logits", "logodds"),
    DISTANCE: ("distance", "cosinedistance", "l2", "euclidean"),
    OPEN: ("bm25", "tfidf", "lexical", "open"),
}
"""What platforms call their scales, without capitals, blanks and signs."""

FALLBACK = re.compile(
    r"^(?:(?:.*[._\s])?(?:nlu_?fallback|default_?fallback(?:_?intent)?|fallback_?intent|fallback|out_?of_?scope|oos|"
    r"no_?match|unknown|unrecogni[sz]ed|not_?understood|irrelevant|anything_?else|none_?intent)(?:_?intent)?|none|null|"
    r"nlu[._ ]fallback)$"
)
"""What platforms call "no intent matched": Rasa, Dialogflow ES and CX, Lex, LUIS and CLU, Watson, Botpress."""
FALLBACK_DOUBT = 0.94


class HistoryUnusable(ValueError):
    """The text holds no history."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a platform sent about one exchange in one field, as it was sent.

    `order`: 1 where the passages' scores rise from the first to the last, -1 where they do not, 0 for one passage. The
    others are about intents: confidence of the chosen one, its lead, the ranking's entropy (None with one intent).
    `named`: what the platform calls its scale, where it says so.
    """

    highest: float
    lowest: float
    order: int = 0
    confidence: float | None = None
    lead: float | None = None
    entropy: float | None = None
    fallback: bool = False
    named: str | None = None


_numbers_of = attrgetter(*Reading.__slots__)


# --- reading ------------------------------------------------------------------------------------------------------


def read(exchange: Exchange, field: str) -> Reading | None:
    """What the platform sent in this field, None where that is no usable number."""
    if field == "intent":
        return _read_intent(exchange.intent) if exchange.intent is not None else None
    found, named = [], None
    for passage in exchange.retrieval or ():
        value = number(passage.score if field == "retrieval" else passage.rerank_score)
        if value is not None:
            found.append(value)
            named = named or (passage.scale if field == "retrieval" else passage.rerank_scale)
    if not found:
        return None
    several = len(found) > 1 and found[0] != found[-1]
    order = 0 if not several else 1 if all(a <= b for a, b in pairwise(found)) else -1
    return Reading(max(found), min(found), order, named=_clip(named))


def ranking(intent: Intent) -> list[tuple[str, float]]:
    """(name, number as sent), the platform's choice first, then best first; empty where no usable number was sent."""
    sent = [(name, value) for name, score in intent.ranking if (value := number(score)) is not None]
    own = number(intent.confidence)
    if own is not None:
        chosen = intent.name or (sent[0][0] if sent else "?")
        sent = [(chosen, own), *((name, value) for name, value in sent if name != chosen)]
    return [*sent[:1], *sorted(sent[1:], key=lambda pair: -pair[1])]


def number(sent: object) -> float | None:
    """Platforms send numbers as text too; None for what is no finite number. Huge ones are cut to 1e12."""
    try:
        value = float(sent)  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        return None
    return max(-_MOST, min(value, _MOST)) if math.isfinite(value) else None


@lru_cache(4096)
def is_fallback(intent_name: str) -> bool:
    """True for a platform's way to say that no intent matched."""
    if len(intent_name) > 200:
        return False
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", intent_name)
    return FALLBACK.match(re.sub(r"[\s\-]+", "_", words).lower().strip("_")) is not None


def _read_intent(intent: Intent) -> Reading | None:
    ranked = ranking(intent)
    name = intent.name or (intent.ranking[0][0] if intent.ranking else None)
    fallback = name is not None and is_fallback(name)
    if not ranked:
        return Reading(0.0, 0.0, fallback=True) if fallback else None
    values = [value for _, value in ranked]
    confidence = values[0]
    others = [value for name, value in ranked[1:] if not is_fallback(name)]
    lead = max(confidence - others[0], 0.0) if others else None
    entropy = _entropy(values) if others and min(values) >= 0 else None
    return Reading(max(values), min(values), 0, confidence, lead, entropy, fallback, _clip(intent.scale))


def _clip(named: str | None) -> str | None:
    return named[:40] if named else None


def _entropy(values: Sequence[float]) -> float:
    """Over the log of how many there are, so that it lies in 0..1; the same for percent and shares."""
    total = sum(values)
    if total <= 0:
        return 1.0
    shares = [value / total for value in values if value > 0]
    return min(max(-sum(share * math.log(share) for share in shares) / math.log(len(values)), 0.0), 1.0)


# --- scales -------------------------------------------------------------------------------------------------------


@lru_cache(256)
def called(named: str | None) -> str | None:
    """Our name of the scale that a platform calls so; None for a name that we do not know."""
    told = re.sub(r"[\s_.:()-]+", "", named.lower()) if named else ""
    return next((scale for scale, names in _CALLED.items() if told in names), None)


def scale_of(field: str, readings: Sequence[Reading]) -> str:
    """The scale that these are on: the one the platform names if its numbers can be on it, else the more of them, the surer."""
    for told in _CALLED:
        if 2 * sum(called(one.named) == told and fits(told, one) for one in readings) > len(readings):
            return told
    if field == "intent":
        return _intent_scale([one for one in readings if not one.fallback])
    cut = len(readings) // _TRIMMED
    lowest = sorted(one.lowest for one in readings)[cut]
    highest = sorted(one.highest for one in readings)[-1 - cut]
    ordered = [one.order for one in readings if one.order]
    if field == "retrieval" and len(ordered) >= 2 and lowest >= 0 and ordered.count(1) > 0.8 * len(ordered):
        return DISTANCE
    if lowest >= -_ONE and highest <= _ONE:
        return PROBABILITY if field == "rerank" and lowest >= 0 else COSINE
    if lowest < 0 or field == "rerank":
        return LOGIT
    whole = all(one.highest == int(one.highest) and one.lowest == int(one.lowest) for one in readings)
    # Open scales have few high scores; percent that are shares of something have many.
    many = highest > 60 and sorted(one.highest for one in readings)[len(readings) // 2] >= 0.5 * highest
    return PERCENT if highest <= 100 and (many or whole) else OPEN


def _intent_scale(readings: Sequence[Reading]) -> str:
    """Percent only where hardly any confidence stays below 1: a file may hold several bots."""
    above = sum(one.highest > _ONE for one in readings)
    return PERCENT if above and above >= 0.95 * len(readings) else PROBABILITY


def fits(scale: str, reading: Reading) -> bool:
    """False where this reading cannot be on that scale."""
    if scale in (COSINE, PROBABILITY):
        return reading.highest <= _ONE and reading.lowest >= -_ONE
    if scale == PERCENT:
        return reading.highest <= 100 * _ONE and reading.lowest >= 0
    return True


def best(scale: str, reading: Reading) -> float:
    """The score of the best passage, or the confidence in the intent, as it was sent."""
    if reading.confidence is not None:
        return reading.confidence
    return reading.lowest if scale == DISTANCE else reading.highest


def badness(field: str, scale: str, reading: Reading) -> float | None:
    """One number that grows with trouble, whatever the scale; None where there is none (an intent's logit)."""
    if field == "intent":
        return _doubt(scale, reading)
    value = best(scale, reading)
    return value if scale == DISTANCE else -value


def shares(scale: str, reading: Reading) -> tuple[float, float | None] | None:
    """An intent's confidence and lead as 0..1; None where they are neither shares nor percent."""
    if reading.confidence is None or reading.lowest < 0 or reading.highest > 100 or scale == LOGIT:
        return None
    factor = 0.01 if scale == PERCENT or reading.highest > _ONE else 1.0
    lead = None if reading.lead is None else min(reading.lead * factor, 1.0)
    return min(reading.confidence * factor, 1.0), lead


def _doubt(scale: str, reading: Reading) -> float | None:
    """Least confidence, margin and entropy (Settles 2009) as one number, by slopes set by hand: .9 with a clear lead reads
    as fine, a tie at .4 as probably wrong."""
    if reading.fallback:
        return FALLBACK_DOUBT
    found = shares(scale, reading)
    if found is None:
        return None
    confidence, lead = found
    apart = confidence if lead is None else lead
    return -2.9 + 3.2 * (1 - confidence) + 1.2 * (1 - apart) + 0.8 * (reading.entropy or 0.0)


# --- history ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """A sample of what one source sent in one field: those of lowest rank, (rank, key, reading) each, by rank.

    Each exchange draws its rank from a hash of its name, so merging is order-free, and doing it twice changes nothing
    (bottom-k sketch, Cohen and Kaplan 2007). Later exchanges draw lower ranks: a sample weighted by exp(-age) (Efraimidis
    and Spirakis 2006) whose weights never need to be renewed (forward decay, Cormode et al. 2009).
    """

    field: str
    sample: tuple[tuple[float, int, Reading], ...]

    @property
    def readings(self) -> list[Reading]:
        return [reading for _, _, reading in self.sample]

    @property
    def scale(self) -> str:
        return scale_of(self.field, self.readings)

    def merge(self, other: "History") -> "History":
        """The history of both. Commutative, associative, idempotent."""
        kept: dict[int, tuple[float, int, Reading]] = {}
        for one in (*self.sample, *other.sample):
            known = kept.setdefault(one[1], one)
            if one[0] < known[0] or (one[0] == known[0] and one is not known and repr(one) < repr(known)):
                kept[one[1]] = one
        return History(self.field, tuple(sorted(kept.values(), key=itemgetter(0, 1))[:SAMPLE]))

    def text(self) -> str:
        """JSON, the same for the same history."""
        return json.dumps([self.field, [(rank, key, *_numbers_of(reading)) for rank, key, reading in self.sample]])

    @classmethod
    def read(cls, text: str) -> "History":
        """What `text()` gave.

        Raises
        ------
        HistoryUnusable
            It is not such JSON.
        """
        try:
            field, rows = json.loads(text)
            return cls(str(field), tuple((float(rank), int(key), Reading(*rest)) for rank, key, *rest in rows))
        except (ValueError, TypeError) as error:
            raise HistoryUnusable("no history: expected what History.text gives") from error


def histories(exchanges: Iterable[Exchange], now: datetime | None = None) -> dict[Key, History]:
    """What these exchanges' platforms sent, by source and field.

    `now`: counts for exchanges without a time, and no later time is believed. Without it all count alike.
    """
    found: dict[Key, list[tuple[float, int, Reading]]] = {}
    for exchange in exchanges:
        readings = [(field, reading) for field in FIELDS if (reading := read(exchange, field)) is not None]
        if readings:
            rank, name = _rank(exchange, now)
            for field, reading in readings:
                found.setdefault((exchange.source, field), []).append((rank, name, reading))
    return {key: History(key[1], ()).merge(History(key[1], tuple(rows))) for key, rows in found.items()}


def _rank(exchange: Exchange, now: datetime | None) -> tuple[float, int]:
    name = f"{exchange.conversation_id}\0{exchange.turn_id}".encode(errors="replace")
    key = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 11  # 53 bits: exact in any JSON
    days = 0.0
    if now is not None:
        at = (exchange.question_turns or exchange.answer_turns)[-1].at
        days = min(at or now, now).timestamp() / 86_400
    return round(math.log(-math.log((key + 0.5) / 2**53)) - days * math.log(2) / HALF_LIFE_DAYS, 9), key
