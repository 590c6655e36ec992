"""Does the answer speak to the question? The platform's retrieval and reranker scores, and our own judgement.

Ours is a pair of logistic regressions over cheap features of question and answer: cosine of their stored vectors, late
interaction of their words where the encoder shows them, shared words and character trigrams, lengths, what kind of question
it is and whether the answer has what such a question wants. One was fitted on users' ratings of long answers (FeedbackQA,
Li et al. 2022), one on short replies in dialogues (Petrak et al. 2023); the answer's length says which counts.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.calibration import Judged, judge
from scoring.cross_encoder import PairModel
from scoring.encoder import Vectors
from scoring.heads import load_head
from scoring.late_interaction import FEATURES as WORD_FEATURES
from scoring.late_interaction import LateInteraction
from scoring.signals.base import Batch, Detail, Evidence
from scoring.transcripts import Exchange
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

SHORT_FEATURES = ("cosine", "words_found")
"""What tells about a short reply, whatever the domain; the others need a passage."""

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

    def __init__(self, words: LateInteraction | None = None, reranker: PairModel | None = None) -> None:
        """`words`: of the encoder whose vectors `measure` gets; without it we judge by vectors and spelling alone.

        `reranker`: a cross-encoder whose log-odds say that the second text answers the first; asked where we are undecided.
        """
        self._words, self._reranker = words, reranker
        self._long, self._short = load_head("relevance" if words else "relevance_plain"), load_head("relevance_short")

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
        platform = judge(batch.exchanges, ("rerank", "retrieval"), batch.platform)
        return [
            _evidence(exchange, question, answer, own[i], cosines[i], platform[i])
            for i, (exchange, question, answer) in enumerate(zip(batch.exchanges, questions, answers, strict=True))
        ]

    def _logits(self, asked: Sequence[str], answered: Sequence[str], vectors: TextVectors) -> tuple[Floats, Floats]:
        """(log-odds that the answer does not speak to the question, cosines), (n,) each."""
        found = features(asked, answered, vectors.of(asked), vectors.of(answered))
        short = shortness(found)
        if self._words:
            met = np.zeros((len(found), len(WORD_FEATURES)))
            read = np.flatnonzero(short < _ALL_SHORT).tolist()
            met[read] = self._words.compare([asked[i] for i in read], [answered[i] for i in read])
            found = np.column_stack([found, met])
        logits = (1 - short) * self._long.logits(found) + short * self._short.logits(found[:, columns(self._short.features)])
        undecided = np.flatnonzero(np.abs(logits - _MIDDLE) < _UNDECIDED) if self._reranker else np.zeros(0, dtype=np.intp)
        if self._reranker and len(undecided):
            judged = self._reranker.logits([(asked[i], answered[i]) for i in undecided.tolist()])
            logits[undecided] = (logits[undecided] + _MIDDLE - _RERANKER_SLOPE * np.clip(judged, -8.0, 8.0)) / 2
        return logits, found[:, 0]


def columns(names: Sequence[str]) -> list[int]:
    """Where these features stand among those of a pair: `features`, then the words'."""
    return [(*FEATURES, *WORD_FEATURES).index(name) for name in names]


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


def _evidence(
    exchange: Exchange,
    question: str,
    answer: str,
    own: float | None,
    cosine: float | None,
    sent: Judged | None,
) -> Evidence | None:
    asked = plain(question)
    nothing_found = exchange.retrieval is not None and not exchange.retrieval
    gave_up = bool(answer.strip()) and cannot_answer(plain(answer))
    platform = None if sent is None else sent.logit
    chat = is_small_talk(asked)
    if (chat and not gave_up) or (own is None and platform is None and not nothing_found and not gave_up):
        return None
    turns = tuple(turn.id for turn in (*exchange.question_turns, *exchange.answer_turns))
    detail: Detail = {
        "best_passage_score": None if sent is None else round(sent.score, 4),
        "scale": None if sent is None else sent.scale,
        "passages": None if exchange.retrieval is None else len(exchange.retrieval),
        "cosine": None if cosine is None else round(cosine, 4),
        "own_judgement": None if own is None else round(_sigmoid(own), 4),
        **({} if sent is None else sent.detail),
    }
    parts = [(own, 1.0), (platform, 0.6)]
    known = [(value, weight) for value, weight in parts if value is not None]
    logit = sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else -0.5
    if gave_up:
        logit, note = max(logit, 1.5) + 0.3, "The bot said that it does not know or did not understand."
    elif nothing_found and not chat:
        logit, note = max(logit, -0.2) + 0.7, "The bot's search found nothing, and it answered all the same."
    elif sent is not None and platform is not None and platform > -0.3 and (own is None or platform > own):
        note = f"The best passage behind this answer scored only {round(sent.score, 4)} ({sent.scale}){sent.place}."
    elif logit > 0:
        note = "The answer seems to speak of something else than the question."
    elif logit > -0.6:
        note = "The answer speaks to the question only in part."
    else:
        note = "The answer speaks to the question."
    return Evidence(
        "answer_relevance", _sigmoid(logit + _RATED_BAD), _LEAST + (1 - 2 * _LEAST) * _sigmoid(logit), turns, note, detail
    )


_ALL_SHORT = 0.98
"""From this shortness on (eleven words) the head for passages counts for nothing, and the words need not be compared."""
_MIDDLE, _UNDECIDED = -1.4, 0.5
"""Log-odds around which, and within which, the reranker is asked: between one answer bad in eight and three in ten."""
_RERANKER_SLOPE = 0.5
"""What a unit of the reranker's log-odds counts; set by hand."""
_LEAST = 0.03
"""An answer that stays on the topic may still be wrong, and one that leaves it right."""
_RATED_BAD = 1.1
"""The heads' log-odds assume that one answer in five is bad; among the rated answers they were fitted on it was 43 %."""


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
