"""Is the user unhappy with the answer? The next user turn, and the answer itself, in the context of what was said before.

Rules find what people do after a bad answer: correct it, complain, ask again, say a wish once more, ask for a person, give up
(the reactions of Petrak et al. 2023, "Learning From Free-Text Human Feedback", and Sandbank et al. 2018, "Detecting Egregious
Conversations between Customers and Virtual Agents"), and what an answer does that leaves people unhappy: it finds nothing,
asks what was said, asks the same again (Sun et al. 2021, "Simulating User Satisfaction for the Evaluation of Task-oriented
Dialogue Systems", rate such turns low). `scoring.tone` hears the tone. A logistic regression weighs it all.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring import evasions, reactions
from scoring.encoder import PACKAGED_SHA256
from scoring.heads import load_head
from scoring.signals.base import Batch, Detail, Evidence
from scoring.tone import Tone
from scoring.transcripts import Exchange
from scoring.wording import cannot_answer, content_words, is_english, is_small_talk, plain, words

Floats = NDArray[np.float64]

_EARLIER = 6
"""Earlier questions of the conversation that a follow-up is compared with."""
_HISTORY = 24
"""Earlier turns that are read."""
_EMPHASIS = re.compile(r"(?<=[a-z,] )(?!I\b)[A-Z]{4,}\b|^[A-Z]{4,}\b(?= [a-z])")
_ANGRY_SIGNS = re.compile(r"[😠😡🤬😤👎💩🤦😒🖕]")

_RULES = tuple(reactions.RULES)
_NEED_A_QUESTION = tuple(name for name in _RULES if name != "person")
"""What says nothing in a reply to a greeting: whoever opens with "my parcel still has not come" does not blame the bot."""
_SIGNS = (
    "angry_signs", "shouting", "many_marks", "repeat", "exact_repeat", "thanks", "polite_no", "changed_wish", "small_talk",
    "bot_gave_up", "bot_gave_up_before", "bot_repeats", "handed_over", "no_start",
)  # fmt: skip
_EXCHANGE = (
    "rejects", "accepts", "asks_other", "doubts", "resigned", "insists", "restated",
    "nothing_found", "nothing_found_before", "asks_what_was_given", "asks_again", "says_little",
    "echoes", "leaves_open", "not_solved", "no_to_question", "rejects_to_question", "length",
)  # fmt: skip
_VECTOR = ("tone", "tone_alone", "tone_to_question", "near_answer")
FEATURES = (*_VECTOR, *_RULES, *_SIGNS, *_EXCHANGE)
"""What the head weighs; each from 0 to 1 but for the tones (log-odds) and the cosines."""
_QUIET_TONE = -2.0
"""Tone where nothing is said: about the mean."""
_NOTES = {
    "person": "The user asked for a person right after this answer.",
    "handed_over": "A human agent took over right after this answer.",
    "correction": "The user corrected the bot right after this answer.",
    "no_but": "The user corrected the bot right after this answer.",
    "not_solved": "The user says that this answer did not solve the problem.",
    "unwanted": "The user does not want what this answer is about.",
    "mismatch": "The user says that this answer does not fit.",
    "complaint": "The user complained right after this answer.",
    "reproach": "The user reproached the bot after this answer.",
    "harsh_words": "The user used harsh words right after this answer.",
    "sarcasm": "The user's reply to this answer sounds sarcastic.",
    "giving_up": "The user gave up after this answer.",
    "asks_what_was_given": "The bot asked for something that the user had already said.",
    "asks_again": "The bot asked the same again.",
    "repeat": "The user asked the same again after this answer.",
    "restated": "The user repeated a wish that this answer did not meet.",
    "confused": "The user did not understand this answer.",
    "bot_gave_up_before": "The bot failed to understand, not for the first time in this conversation.",
    "bot_repeats": "The bot gave the same answer as before.",
    "nothing_found_before": "The bot found nothing, not for the first time in this conversation.",
    "angry_signs": "The user's reply to this answer is full of anger.",
    "shouting": "The user answered in capitals.",
    "bot_gave_up": "The bot did not understand, and the user went on.",
    "rejects": "The user turned down what the bot offered.",
    "doubts": "The user doubts this answer.",
    "echoes": "The user doubts this answer.",
    "nothing_found": "The bot found nothing.",
    "leaves_open": "The answer leaves out what the user asked for.",
}
_LANGUAGE_NOTE = "not calibrated for this language"


@dataclass(frozen=True, slots=True)
class _Read:
    """One exchange as the rules saw it; `values` aligned with FEATURES after the vector features."""

    values: dict[str, float]
    similarity: float
    silent: bool
    """Nothing to read: neither follow-up nor hand-over nor a bot that failed twice."""
    english: bool


class UserFrustration:
    """Reads the follow-up, what was said before, and whether a human took over."""

    def __init__(self, encoder: str = PACKAGED_SHA256) -> None:
        """`encoder`: digest of the encoder of the vectors that `measure` gets; the tone's vector part knows one only."""
        self._tone = Tone(encoder)
        self._head = load_head("frustration")

    @property
    def name(self) -> str:
        return "user_frustration"

    def measure(self, batch: Batch) -> list[Evidence | None]:
        reads, found = self._read_all(batch)
        return [
            _evidence(exchange, read, float(logit), float(row[0]))
            for exchange, read, logit, row in zip(batch.exchanges, reads, self._head.logits(found), found, strict=True)
        ]

    def inputs(self, batch: Batch) -> Floats:
        """What the head weighs, shape (n, len(FEATURES)); for fitting."""
        return self._read_all(batch)[1]

    def _read_all(self, batch: Batch) -> tuple[list["_Read"], Floats]:
        follow_ups = [exchange.follow_up or "" for exchange in batch.exchanges]
        questions = [exchange.question for exchange in batch.exchanges]
        replied, asked = batch.vectors.of(follow_ups), batch.vectors.of(questions)
        answered = batch.vectors.of([exchange.answer for exchange in batch.exchanges])
        similarities = _similarities(batch, asked, replied)
        reads = [_read(*one) for one in zip(batch.exchanges, follow_ups, questions, similarities.tolist(), strict=True)]
        tone = np.clip(self._tone.logits(follow_ups, replied), -6.0, 4.0)
        tone[[not text or text.isspace() for text in follow_ups]] = _QUIET_TONE
        # "Wow, so helpful" sounds kind; where a rule hears sarcasm, kindness is no excuse
        sarcastic = np.asarray([read.values["sarcasm"] > 0 for read in reads], dtype=bool)
        tone[sarcastic] = np.maximum(tone[sarcastic], -1.0)
        asking = np.asarray([read.values["_question"] for read in reads])
        after_question = np.asarray([bool(question) for question in questions], dtype=bool)
        vector = np.column_stack(
            [
                tone,
                np.where(after_question, 0.0, tone - _QUIET_TONE),
                np.maximum(tone - _QUIET_TONE, 0.0) * asking,
                np.where(after_question, np.einsum("ij,ij->i", replied, answered), 0.0),
            ]
        ).reshape(-1, len(_VECTOR))
        rules = [[read.values[feature] for feature in FEATURES[len(_VECTOR) :]] for read in reads]
        return reads, np.column_stack([vector, np.asarray(rules, dtype=np.float64).reshape(-1, len(FEATURES) - len(_VECTOR))])


def _similarities(batch: Batch, asked: NDArray[np.float32], replied: NDArray[np.float32]) -> Floats:
    """Largest cosine of each follow-up to this question and the last few before it."""
    found: Floats = np.einsum("ij,ij->i", asked, replied).astype(np.float64)
    rows_of: dict[int, list[int]] = {}
    for i, exchange in enumerate(batch.exchanges):
        rows_of.setdefault(id(exchange.transcript), []).append(i)
    for rows in rows_of.values():
        for position, i in enumerate(rows[1:], start=1):
            earlier = [
                j for j in rows[max(position - _EARLIER, 0) : position] if batch.exchanges[j].start < batch.exchanges[i].start
            ]
            if earlier and batch.exchanges[i].follow_up_turns:
                found[i] = max(found[i], float((asked[earlier] @ replied[i]).max()))
    return found


def _read(exchange: Exchange, follow_up: str, question: str, similarity: float) -> _Read:
    text, asked, answered = plain(follow_up), plain(question), plain(exchange.answer)
    history = exchange.history[-_HISTORY:]
    before = [plain(turn.text) for turn in history if turn.role == "bot"]
    english = not text or is_english(text)
    gave_up_before = cannot_answer(answered) and any(cannot_answer(earlier) for earlier in before)
    silent = not text and not exchange.handed_over and not gave_up_before
    values = _rules(text, follow_up, asked, english)
    values |= _answer(answered, before, [asked, *(plain(turn.text) for turn in history if turn.role == "user")], text)
    if values["not_solved"]:
        values["polite_no"] = values["small_talk"] = 0.0
    if values["no_to_question"]:
        values["no_but"] *= 0.3  # "no, I just want to know the price" mostly answers the bot's question
    if answered.endswith("?"):
        values["unwanted"] *= 0.3  # as does "I don't care"
    if values["thanks"]:
        values["giving_up"] *= 0.5
    calm = values["polite_no"] or values["small_talk"] or (values["changed_wish"] and values["restated"] < 0.5)
    if text and not calm and not (values["thanks"] and not values["correction"]):
        values["repeat"], values["exact_repeat"] = _repeat(text, asked, similarity)
    values["bot_gave_up_before"] = float(gave_up_before)
    values["handed_over"] = float(exchange.handed_over)
    values["length"] = math.log1p(len(history)) / math.log1p(_HISTORY)
    return _Read(values, similarity, silent, english)


def _rules(text: str, follow_up: str, asked: str, english: bool) -> dict[str, float]:
    """What the follow-up's words show."""
    polite = reactions.POLITE_NO.match(text[:200]) is not None
    changed = asked != "" and reactions.CHANGED_WISH.match(text[:200]) is not None
    hits = {
        name: float(english and text != "" and not polite and pattern.search(text[:1500]) is not None)
        for name, pattern in reactions.RULES.items()
    }
    if changed and not hits["complaint"] and not hits["harsh_words"] and not hits["person"]:
        hits |= dict.fromkeys(("no_but", "correction", "unwanted", "mismatch"), 0.0)
    if not asked:
        hits |= dict.fromkeys(_NEED_A_QUESTION, 0.0)
    read = english and text != ""
    replied = read and asked != ""
    thanks = replied and reactions.THANKS.search(text[:600]) is not None and not hits["sarcasm"]
    letters = [character for character in follow_up[:400] if character.isalpha()]
    shouting = float(len(letters) >= 12 and sum(character.isupper() for character in letters) > 0.8 * len(letters))
    if not shouting and _EMPHASIS.search(follow_up[:1500]):
        shouting = 0.4  # one word in capitals: "why was I charged TWICE"
    return hits | {
        "angry_signs": float(_ANGRY_SIGNS.search(follow_up[:1500]) is not None),
        "shouting": shouting,
        "many_marks": float(asked != "" and ("!!" in text or "??" in text or "?!" in text)),
        "repeat": 0.0,
        "exact_repeat": 0.0,
        "thanks": float(thanks and not any(hits[name] for name in hits if name != "giving_up")),
        "polite_no": float(polite),
        "changed_wish": float(changed),
        "small_talk": float(text != "" and is_small_talk(text)),
        "no_start": float(asked != "" and text.startswith(("no ", "no,", "no.", "no!", "nope", "not ")) and not polite),
        "rejects": float(replied and not polite and reactions.REJECTS.search(text[:600]) is not None),
        "accepts": float(replied and reactions.ACCEPTS.search(text[:600]) is not None),
        "asks_other": float(replied and not polite and reactions.ASKS_OTHER.search(text[:600]) is not None),
        "doubts": float(replied and reactions.DOUBTS.search(text[:600]) is not None),
        "resigned": float(replied and reactions.RESIGNED.search(text[:600]) is not None),
        "insists": float(replied and reactions.INSISTS.search(text[:600]) is not None),
    }


def _answer(answered: str, before: list[str], said: list[str], text: str) -> dict[str, float]:
    """What the answer did, and how the follow-up `text` relates to it and to what the user had `said`."""
    mine, answer = evasions.topic(text), content_words(answered)
    told = frozenset[str]().union(*map(evasions.topic, said))
    question = evasions.last_question(answered)
    opinion = evasions.OPINION.search(answered[-300:]) is not None and "?" in answered[-300:]
    went_on = text != ""
    none = evasions.NOTHING_FOUND.search(answered[:600]) is not None and not cannot_answer(answered)
    negative = text.startswith(("no ", "no,", "no.", "not ", "nope"))
    not_solved = evasions.DID_IT_HELP.search(answered[-300:]) is not None and reactions.NOT_SOLVED.match(text) is not None
    return {
        "_question": 1.0 if opinion else 0.5 if question else 0.0,
        "bot_gave_up": float(cannot_answer(answered) and went_on),
        "bot_repeats": float(len(answered) > 25 and answered in before),
        "nothing_found": float(none and went_on),
        "nothing_found_before": float(
            none and went_on and any(evasions.NOTHING_FOUND.search(earlier[:600]) for earlier in before[-4:])
        ),
        "asks_what_was_given": float(went_on and evasions.asks_what_was_given(answered, "\n".join(said))),
        "asks_again": float(
            went_on and bool(question) and any(_alike(question, evasions.last_question(earlier)) for earlier in before)
        ),
        "says_little": float(went_on and len(words(answered)) <= 6 and is_small_talk(answered) and not is_small_talk(said[0])),
        "restated": len((mine & told) - answer) / len(mine) if mine else 0.0,
        "echoes": float(evasions.echoes(text, answer)),
        "leaves_open": float(went_on and evasions.leaves_open(said[0], answered)),
        "not_solved": float(not_solved),
        "no_to_question": float(negative and answered.endswith("?") and not not_solved),
        "rejects_to_question": float(opinion and reactions.REJECTS.search(text[:600]) is not None),
    }


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) >= 2 and len(one & other) >= 0.7 * len(one | other)


def _repeat(text: str, asked: str, similarity: float) -> tuple[float, float]:
    """(how much the follow-up asks again what was asked before, whether in the same words)."""
    if text == asked:
        return 1.0, 1.0
    mine, earlier = content_words(text), content_words(asked)
    shared = len(mine & earlier) / max(min(len(mine), len(earlier)), 1) if len(mine) >= 2 and len(earlier) >= 2 else 0.0
    fresh = any(character.isdigit() for character in text) and {w for w in words(text) if w.isdigit()} != {
        w for w in words(asked) if w.isdigit()
    }
    strength = min(max((similarity - 0.5) / 0.3, 0.0), 1.0) * (0.6 + 0.4 * shared)
    return strength * (0.4 if fresh else 1.0), 0.0


def _evidence(exchange: Exchange, read: _Read, logit: float, tone: float) -> Evidence | None:
    if read.silent:
        return None
    hits = read.values
    strong = any(hits[name] for name in ("handed_over", "bot_gave_up_before", "angry_signs", "exact_repeat"))
    if not read.english and not strong and hits["repeat"] < 0.5:
        return None  # rules and tone know English only
    if not read.english:
        logit = (
            -2.5 + 2.5 * hits["handed_over"] + 2.0 * hits["bot_gave_up_before"] + 3.0 * hits["angry_signs"] + 3.0 * hits["repeat"]
        )
    probability = 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
    reasons = [name for name in _NOTES if hits[name] >= 0.5]
    if probability < 0.25:
        note = (
            "The user's reply shows no trouble with this answer."
            if exchange.follow_up_turns
            else "Little speaks for trouble after this answer."
        )
    elif reasons:
        note = _NOTES[reasons[0]]
    else:
        note = "The user's reply to this answer sounds unhappy."
    turns = tuple(turn.id for turn in exchange.follow_up_turns) or (exchange.turn_id,)
    detail: Detail = {
        "reasons": tuple(reasons),
        "tone": round(1 / (1 + math.exp(-min(max(tone, -30.0), 30.0))), 4),
        "similarity_to_earlier_questions": round(read.similarity, 4),
    }
    if not read.english:
        detail = {**detail, "language_note": _LANGUAGE_NOTE}
    return Evidence("user_frustration", probability, probability, turns, note, detail)
