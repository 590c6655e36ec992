"""Does the answer speak to the question? The platform's retrieval and reranker scores, and our own judgement.

Ours is a pair of logistic regressions over cheap features of question and answer: cosine of their stored vectors, a weighted
product of them, shared words and character trigrams, lengths, what kind of question it is and whether the answer has what
such a question wants. One was fitted on users' ratings of long answers (FeedbackQA, Li et al. 2022), one on short replies in
dialogues (Petrak et al. 2023); the answer's length says which counts.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import PACKAGED_SHA256, Vectors
from scoring.heads import load_head
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange, Passage
from scoring.vectors import TextVectors
from scoring.wording import cannot_answer, content_words, is_english, is_small_talk, plain, words

Floats = NDArray[np.float64]

FEATURES = (
    "cosine", "cosine_squared", "words_found", "words_shared", "trigrams_found", "first_words_found", "answer_length",
    "answer_length_squared",
    "question_length", "short_answer", "asks_back", "yes_no", "yes_no_answered", "wants_number", "number_given", "wants_time",
    "time_given",
    "wants_place", "wants_way", "way_given", "wants_person", "wants_reason", "reason_given", "no_question_mark",
    "cosine_times_words", "links", "names_missed",
)  # fmt: skip

SHORT_FEATURES = ("cosine", "words_found", "words_shared", "trigrams_found")
"""What tells about a short reply; the other features need a passage."""
SHORT_COLUMNS = [FEATURES.index(feature) for feature in SHORT_FEATURES]

_YES_NO = re.compile(
    r"(?:^|[.?!,] ?(?:and |so |but )?)(?:can|could|do|does|did|is|are|am|was|were|will|would|should|may|might|must|has|"
    r"have|had) (?:\w+)"
)
_YES_NO_ANSWERED = re.compile(
    r"^(?:yes|no|yeah|nope|not|of course|certainly|absolutely|unfortunately|sure|it depends|there is (?:no|currently)|"
    r"you (?:can|may|should|must|do|don't|cannot))\b"
)
_WANTS_NUMBER = re.compile(
    r"\bhow (?:many|much|long|often|far|old|big|large|soon|fast)\b|\bwhat (?:is the )?(?:price|cost|fee|age|percentage|"
    r"number|amount|temperature)\b"
)
_WANTS_TIME = re.compile(r"\bwhen\b|\bwhat (?:time|day|date)\b|\bhow (?:long|soon)\b|\bopening hours\b")
_TIME_GIVEN = re.compile(
    r"\b(?:\d+|one|two|three|few|several) ?-?(?:minutes?|hours?|days?|weeks?|months?|years?)\b|\d(?::\d\d|am|pm)\b|"
    r"\b(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|daily|until|once|after|before|january|february|march|"
    r"april|june|july|august|september|october|november|december)\b"
)
_WANTS_PLACE = re.compile(r"\bwhere\b|\bwhich (?:countr|cit|place|website|branch|office)\w*\b|\baddress\b")
_WANTS_WAY = re.compile(
    r"\bhow (?:do|does|can|could|should|would|to|is|are|am)\b|\bwhat (?:should|can|do) (?:i|we|you)\b|\bsteps?\b|\bbest way\b"
)
_WAY_GIVEN = re.compile(
    r"\b(?:click|select|go to|visit|contact|call|follow|use|make sure|you (?:can|should|need|must|may)|should|try|ensure|"
    r"avoid|wash|apply|check|enter|open|by \w+ing)\b"
)
_WANTS_PERSON = re.compile(r"\bwho(?:m|se)?\b")
_WANTS_REASON = re.compile(r"\bwhy\b|\bwhat (?:is the )?(?:reason|cause)s?\b|\bhow come\b")
_REASON_GIVEN = re.compile(
    r"\b(?:because|since|due to|so that|in order to|reason|as a result|therefore|caused? by|this is to|helps?)\b"
)
_LINK = re.compile(r"https?://|www\.")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][A-Za-z]{2,}|\b[A-Z]{2,6}\b|\b\d{3,}\b")


class AnswerRelevance:
    """Platform scores where sent, our own judgement where there is a question to judge."""

    def __init__(self, encoder: str = PACKAGED_SHA256) -> None:
        """`encoder`: digest of the encoder of the vectors that `measure` gets; the weighted product knows one only."""
        self._match = load_head("match")
        self._known = encoder.startswith(self._match.encoder)
        self._long, self._short = load_head("relevance"), load_head("relevance_short")

    @property
    def name(self) -> str:
        return "answer_relevance"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        questions, answers = [e.question for e in batch.exchanges], [e.answer for e in batch.exchanges]
        judged = [i for i, (q, a) in enumerate(zip(questions, answers, strict=True)) if judgeable(q, a)]
        own: list[float | None] = [None] * len(questions)
        cosines: list[float | None] = [None] * len(questions)
        if judged:
            asked, answered = [questions[i] for i in judged], [answers[i] for i in judged]
            found = self._logits(asked, answered, batch.vectors)
            for i, logit, cosine in zip(judged, *found, strict=True):
                own[i], cosines[i] = float(logit), float(cosine)
        scales = _scales(batch.exchanges)
        return [
            _evidence(exchange, question, answer, own[i], cosines[i], scales.get(exchange.source))
            for i, (exchange, question, answer) in enumerate(zip(batch.exchanges, questions, answers, strict=True))
        ]

    def _logits(self, asked: Sequence[str], answered: Sequence[str], vectors: TextVectors) -> tuple[Floats, Floats]:
        """(log-odds that the answer does not speak to the question, cosines), (n,) each."""
        one, other = vectors.of(asked), vectors.of(answered)
        found = features(asked, answered, one, other)
        match = (one * other).astype(np.float64) @ self._match.vector if self._known else self._match.logits(found[:, :1])
        found = np.column_stack([found, match])
        short = shortness(found)
        return (1 - short) * self._long.logits(found) + short * self._short.logits(found[:, SHORT_COLUMNS]), found[:, 0]


def features(questions: Sequence[str], answers: Sequence[str], asked: Vectors, answered: Vectors) -> Floats:
    """Shape (n, len(FEATURES)); `asked` and `answered` are the texts' unit vectors, (n, dimensions) each."""
    cosines = np.einsum("ij,ij->i", asked, answered).astype(np.float64)
    return np.asarray(
        [_row(q, a, float(c)) for q, a, c in zip(questions, answers, cosines, strict=True)], dtype=np.float64
    ).reshape(-1, len(FEATURES))


def shortness(found: Floats) -> Floats:
    """How much an answer is a short reply rather than a passage, 0..1, (n,): a half at 30 words."""
    weights: Floats = 1 / (1 + np.exp((found[:, FEATURES.index("answer_length")] - 3.4) / 0.25))
    return weights


def _row(question: str, answer: str, cosine: float) -> tuple[float, ...]:
    asked, answered = plain(question), plain(answer)
    wanted, given = content_words(asked), content_words(answered)
    start = content_words(answered[:200])
    many = max(len(wanted), 1)
    found = len(wanted & given) / many if wanted else 0.5
    size = math.log1p(len(words(answered)))
    yes_no = _YES_NO.search(asked) is not None
    number, time, way, reason = (
        pattern.search(asked) is not None for pattern in (_WANTS_NUMBER, _WANTS_TIME, _WANTS_WAY, _WANTS_REASON)
    )
    names = {name.lower() for name in _NAME.findall(question[:1000])}
    return (
        cosine,
        cosine * abs(cosine),
        found,
        len(wanted & given) / max(len(wanted | given), 1),
        _trigrams_found(asked, answered),
        len(wanted & start) / many if wanted else 0.5,
        size,
        size * size,
        math.log1p(len(words(asked))),
        float(len(answered) < 40),
        float(answered.rstrip().endswith("?")),
        float(yes_no),
        float(yes_no and _YES_NO_ANSWERED.search(answered) is not None),
        float(number),
        float(number and any(character.isdigit() for character in answered)),
        float(time),
        float(time and _TIME_GIVEN.search(answered) is not None),
        float(_WANTS_PLACE.search(asked) is not None),
        float(way),
        float(way and _WAY_GIVEN.search(answered) is not None),
        float(_WANTS_PERSON.search(asked) is not None),
        float(reason),
        float(reason and _REASON_GIVEN.search(answered) is not None),
        float("?" not in asked),
        cosine * found,
        float(_LINK.search(answered) is not None),
        sum(name not in answered for name in names) / max(len(names), 1),
    )


def _trigrams_found(question: str, answer: str) -> float:
    """Share of the question's character trigrams that the answer has."""
    asked, answered = _trigrams(question[:500]), _trigrams(answer)
    if not len(asked):
        return 0.5
    seen = np.zeros(1 << 13, dtype=bool)
    seen[answered] = True
    return float(seen[asked].mean())


def _trigrams(text: str) -> NDArray[np.int64]:
    letters = np.frombuffer(text.encode(errors="replace"), dtype=np.uint8).astype(np.int64)
    return (letters[:-2] * 961 + letters[1:-1] * 31 + letters[2:]) & 8191 if len(letters) > 2 else np.zeros(0, dtype=np.int64)


def judgeable(question: str, answer: str) -> bool:
    """There is a question in words that we can read; an answer to a greeting or a bare "yes" cannot be irrelevant."""
    asked = plain(question)
    return (
        bool(answer.strip())
        and not is_small_talk(asked)
        and len(words(asked)) >= 3
        and is_english(asked)
        and is_english(plain(answer))
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """How one source's scores are read. `kind` is shown to the reviewer."""

    kind: str
    lowest: float
    highest: float

    def irrelevance(self, score: float) -> float | None:
        """Log-odds that a best passage with this score does not answer; None where the scale says nothing absolute."""
        match self.kind:
            case "cosine 0..1":
                return 1.2 - 5.0 * (score - 0.25) if score < 0.9 else -2.0
            case "probability 0..1":
                return 1.5 - 4.0 * score
            case "percent":
                return 1.3 - 4.0 * score / 100
            case "logit":
                return -0.5 * min(max(score, -8.0), 8.0)
            case "distance":
                return None
            case _:  # BM25 and other open scales: only within the source, and only where it varies
                spread = self.highest - self.lowest
                return 0.8 - 2.0 * (score - self.lowest) / spread if spread > 0 else None


def _scales(exchanges: Sequence[Exchange]) -> dict[str, tuple[_Scale | None, _Scale | None]]:
    """(scale of `score`, scale of `rerank_score`) per source, recognised from all that this batch holds."""
    scores: dict[str, list[list[float]]] = defaultdict(list)
    reranks: dict[str, list[list[float]]] = defaultdict(list)
    for exchange in exchanges:
        for kept, pick in ((scores, _score), (reranks, _rerank)):
            found = [value for passage in exchange.retrieval or () if (value := pick(passage)) is not None]
            if found:
                kept[exchange.source].append(found)
    return {source: (_scale(scores[source], False), _scale(reranks[source], True)) for source in scores.keys() | reranks.keys()}


def _scale(lists: Sequence[Sequence[float]], reranker: bool) -> _Scale | None:
    values = [value for found in lists for value in found]
    if not values:
        return None
    lowest, highest = min(values), max(values)
    longer = [found for found in lists if len(found) > 1 and found[0] != found[-1]]
    rising = sum(all(a <= b for a, b in pairwise(found)) for found in longer)
    best = [max(found) for found in lists]
    if not reranker and len(longer) >= 2 and lowest >= 0 and rising > 0.8 * len(longer):
        return _Scale("distance", lowest, highest)
    if lowest >= -1.0001 and highest <= 1.0001:
        return _Scale("probability 0..1" if reranker and lowest >= 0 else "cosine 0..1", lowest, highest)
    if lowest < 0 or reranker:
        return _Scale("logit", lowest, highest)
    if highest <= 100 and (highest > 60 or all(value == int(value) for value in values)) and lowest >= 0:
        return _Scale("percent", lowest, highest)
    return _Scale("BM25 or other open scale", min(best) if len(best) >= 10 else 0.0, max(best) if len(best) >= 10 else 0.0)


def _score(passage: Passage) -> float | None:
    return passage.score if passage.score is not None and math.isfinite(passage.score) else None


def _rerank(passage: Passage) -> float | None:
    return passage.rerank_score if passage.rerank_score is not None and math.isfinite(passage.rerank_score) else None


def _evidence(
    exchange: Exchange,
    question: str,
    answer: str,
    own: float | None,
    cosine: float | None,
    scales: tuple[_Scale | None, _Scale | None] | None,
) -> Evidence | None:
    asked = plain(question)
    nothing_found = exchange.retrieval is not None and not exchange.retrieval
    gave_up = bool(answer.strip()) and cannot_answer(plain(answer))
    platform, shown, kind = _platform(exchange.retrieval or (), scales)
    chat = is_small_talk(asked)
    if (chat and not gave_up) or (own is None and platform is None and not nothing_found and not gave_up):
        return None
    turns = tuple(turn.id for turn in (*exchange.question_turns, *exchange.answer_turns))
    detail: Detail = {
        "best_passage_score": shown,
        "scale": kind,
        "passages": None if exchange.retrieval is None else len(exchange.retrieval),
        "cosine": None if cosine is None else round(cosine, 4),
        "own_judgement": None if own is None else round(_sigmoid(own), 4),
    }
    parts = [(own, 1.0), (platform, 0.6)]
    known = [(value, weight) for value, weight in parts if value is not None]
    logit = sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else -0.5
    if gave_up:
        logit, note = max(logit, 1.5) + 0.3, "The bot said that it does not know or did not understand."
    elif nothing_found and not chat:
        logit, note = max(logit, -0.2) + 0.7, "The bot's search found nothing, and it answered all the same."
    elif platform is not None and platform > 0.3 and (own is None or platform > own):
        note = f"The best passage behind this answer scored only {shown} ({kind})."
    elif logit > 0:
        note = "The answer seems to speak of something else than the question."
    elif logit > -0.6:
        note = "The answer speaks to the question only in part."
    else:
        note = "The answer speaks to the question."
    return Evidence(
        "answer_relevance", _sigmoid(logit + _RATED_BAD), _LEAST + (1 - 2 * _LEAST) * _sigmoid(logit), turns, note, detail
    )


_LEAST = 0.03
"""An answer that stays on the topic may still be wrong, and one that leaves it right."""
_RATED_BAD = 1.1
"""The heads' log-odds assume that one answer in five is bad; among the rated answers they were fitted on it was 43 %."""


def _platform(
    passages: Sequence[Passage], scales: tuple[_Scale | None, _Scale | None] | None
) -> tuple[float | None, float | None, str | None]:
    """(log-odds of irrelevance, the score shown, its scale): the reranker's where there is one."""
    if scales is None:
        return None, None, None
    for pick, scale in ((_rerank, scales[1]), (_score, scales[0])):
        found = [value for passage in passages if (value := pick(passage)) is not None]
        if scale is not None and found:
            best = min(found) if scale.kind == "distance" else max(found)
            return scale.irrelevance(best), round(best, 4), scale.kind
    return None, None, None


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
