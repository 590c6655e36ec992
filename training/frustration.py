"""Fits scoring/heads/frustration.json: how the rules' findings and the tone add up to "unhappy with this answer".

From replies and dialogues written for this project (training/replies.txt, training/dialogues.txt) and turns of dialogues that
annotators marked as a reaction to an error (UKP). The tone comes calibrated, from comments that nobody has asked for: how much
it is worth alone is expected, not fitted.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from scoring.signals.base import Batch
from scoring.signals.user_frustration import FEATURES, UserFrustration
from scoring.transcripts import Exchange, Role, Transcript, Turn, split
from scoring.vectors import TextVectors
from training.data import CachedVectors, read, turns_of
from training.heads import write_head

Floats = NDArray[np.float64]

WRITTEN = Path(__file__).parent / "replies.txt"
DIALOGUES = Path(__file__).parent / "dialogues.txt"
BASE_RATE = 0.15
"""Share of exchanges followed by an unhappy reply that the probability assumes."""
MILDLY = 0.5
"""How unhappy a reply marked ~ counts: the bot had nothing better to say, or the user makes do."""
WRITTEN_COUNT, UKP_COUNT = 2.0, 0.1
"""How much a reply counts: UKP's are many and mostly happy chat."""
_SOURCE = "replies and dialogues written for this project, UKP error and reaction (Petrak et al. 2023, Apache-2.0)"
# What the data cannot show (no example of it, or too few) but reason says; pulled towards, not fixed.
_EXPECTED = {
    "tone": 0.5, "tone_alone": 0.5, "tone_to_question": -0.4, "near_answer": -0.5, "person": 3.0, "no_but": 1.5,
    "correction": 2.0, "unwanted": 1.2, "mismatch": 1.5, "reproach": 1.5, "harsh_words": 1.2, "complaint": 2.5, "confused": 1.5,
    "giving_up": 2.0, "sarcasm": 1.8, "angry_signs": 4.0, "shouting": 1.2, "many_marks": 0.6, "repeat": 2.5,
    "exact_repeat": 1.0, "thanks": -1.5, "polite_no": -2.5, "changed_wish": -1.0, "small_talk": -1.0, "bot_gave_up": 1.0,
    "bot_gave_up_before": 1.5, "bot_repeats": 1.2, "handed_over": 2.2, "no_start": 0.6, "rejects": 0.8, "accepts": -1.2,
    "asks_other": 0.6, "doubts": 0.8, "resigned": 0.7, "insists": 0.7, "restated": 1.2, "nothing_found": 1.0,
    "nothing_found_before": 0.6, "asks_what_was_given": 1.2, "asks_again": 1.0, "says_little": 0.5, "echoes": 1.0,
    "leaves_open": 0.7, "not_solved": 3.0, "no_to_question": -0.8, "rejects_to_question": -1.0, "length": 0.1,
}  # fmt: skip


_MARKS = {"0": 0.0, "1": 1.0, "~": MILDLY}


@dataclass(frozen=True, slots=True)
class Replies:
    """Exchanges with a follow-up; `unhappy` from 0 to 1; `group` the domain or data set."""

    exchanges: list[Exchange]
    unhappy: Floats
    group: list[str]


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    parts = [(written(), WRITTEN_COUNT), (reactions(data), UKP_COUNT)]
    inputs = np.concatenate([inputs_of(part, vectors) for part, _ in parts])
    truth = np.concatenate([part.unhappy for part, _ in parts])
    counted = np.concatenate([np.full(len(part.unhappy), weight) for part, weight in parts])
    bias, weights = fit_towards(inputs, truth, counted)
    rate = float((truth * counted).sum() / counted.sum())
    shift = np.log(BASE_RATE / (1 - BASE_RATE)) - np.log(rate / (1 - rate))
    write_head("frustration", float(bias + shift), dict(zip(FEATURES, weights.tolist(), strict=True)), _SOURCE)


def fit_towards(inputs: Floats, truth: Floats, counted: Floats, strength: float = 4.0) -> tuple[float, Floats]:
    """Logistic regression pulled towards `_EXPECTED` (a Gaussian prior around it); no weight changes the sign expected of it.

    What contradicts the expectation is an accident of what was written, and would make the signal surprising: zero then.
    """
    prior = np.asarray([0.0, *(_EXPECTED[feature] for feature in FEATURES)])
    rows = np.column_stack([np.ones(len(inputs)), inputs])
    pull = np.full(len(prior), strength)
    pull[0] = 1e-3

    def loss_and_slope(weights: Floats) -> tuple[float, Floats]:
        logits, off = rows @ weights, weights - prior
        slope = rows.T @ (counted * (1 / (1 + np.exp(-np.clip(logits, -30, 30))) - truth)) + pull * off
        return float((counted * (np.logaddexp(0, logits) - truth * logits)).sum() + 0.5 * (pull * off**2).sum()), slope

    bounds = [(None, None), *((0.0, None) if expected > 0 else (None, 0.0) for expected in prior[1:])]
    found = minimize(loss_and_slope, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000, "ftol": 1e-12})
    return float(found.x[0]), np.asarray(found.x[1:])


def inputs_of(replies: Replies, vectors: CachedVectors) -> Floats:
    """What the head reads, (n, len(FEATURES)); each exchange is read among the others of its dialogue."""
    whole = {id(e.transcript): split(e.transcript) for e in replies.exchanges}
    exchanges = [e for dialogue in whole.values() for e in dialogue]
    row_of = {(id(e.transcript), e.start): row for row, e in enumerate(exchanges)}
    texts = list(
        dict.fromkeys(text for e in exchanges for text in (e.question, e.answer, e.follow_up) if text and not text.isspace())
    )
    matrix = np.concatenate([np.zeros((1, vectors.of([""]).shape[1]), dtype=np.float32), vectors.of(texts)])
    held = TextVectors({text: row for row, text in enumerate(texts, start=1)}, matrix)
    batch = Batch(exchanges, held, [()] * len(exchanges), [None] * len(exchanges))
    found = UserFrustration(vectors.digest).inputs(batch)
    return found[[row_of[id(e.transcript), e.start] for e in replies.exchanges]]


def written() -> Replies:
    """The replies and dialogues written for this project; the marks are explained at the head of the two files."""
    rows = [line.split("|") for line in WRITTEN.read_text().splitlines() if line and not line.startswith("#")]
    exchanges = [_exchange(f"w{i}", (("user", row[2]), ("bot", row[3]), ("user", row[4])))[-1] for i, row in enumerate(rows)]
    unhappy, group = [float(row[1]) for row in rows], [row[0] for row in rows]
    domain = ""
    turns: list[tuple[Role, str]] = []
    for number, line in enumerate(DIALOGUES.read_text().splitlines()):
        mark, _, text = line.partition(" ")
        if mark == "=":
            domain, turns = text, []
        elif mark in ("U", "B"):
            turns.append(("user" if mark == "U" else "bot", text))
        elif mark and mark[0] in _MARKS:
            before = turns[:-1] if turns[-1][0] == "user" else turns
            exchanges.append(_exchange(f"d{number}", (*before, ("user", text)))[-1])
            unhappy.append(_MARKS[mark[0]])
            group.append(domain)
            if not mark.endswith("|"):
                turns = [*before, ("user", text)]
    return Replies(exchanges, np.asarray(unhappy), group)


def reactions(data: Path) -> Replies:
    """User turns after which annotators agree: a quoted reaction to an error (codes UR2 to UR5), or a dialogue without any.

    UR1 means that the user ignored the error: nothing in the words shows it, so it teaches nothing and is left out. Where the
    annotators quote nothing, the phrase by which the dialogue was chosen is the reaction, if half of them see one.
    """
    exchanges: list[Exchange] = []
    unhappy: list[float] = []
    group: list[str] = []
    for number, row in enumerate(read(data, "feedback/ukp_error_and_reaction")):
        turns = turns_of(row)
        speakers = [speaker for speaker, _ in turns]
        marks = [mark for mark in _marks(row.get("annotations")) if mark.get("user_reaction") in ("UR2", "UR3", "UR4", "UR5")]
        phrases = {str(mark.get("phrase") or mark.get("comment") or "").strip().lower() for mark in marks} - {"", "-"}
        if 2 * len(marks) >= int(row.get("annotators") or 1):
            hit = row.get("filter_hit")
            chosen_by = hit.get("phrase") if isinstance(hit, dict) else None
            phrases |= {str(phrase).strip().lower() for phrase in (chosen_by or ())[1:]}
        for user in dict.fromkeys(speakers):
            dialogue: list[tuple[Role, str]] = [("user" if speaker == user else "bot", text) for speaker, text in turns]
            for exchange in _exchange(f"u{number}", tuple(dialogue)):
                follow_up = (exchange.follow_up or "").lower()
                if not follow_up:
                    continue
                quoted = any(len(phrase) > 3 and phrase in follow_up for phrase in phrases)
                if quoted or not row.get("annotators_marking_error"):
                    exchanges.append(exchange)
                    unhappy.append(float(quoted))
                    group.append(f"UKP {row.get('source')}")
    return Replies(exchanges, np.asarray(unhappy), group)


def _marks(annotations: object) -> list[dict[str, object]]:
    """Single annotations, which some rows nest by annotator."""
    found: list[dict[str, object]] = []
    for one in annotations if isinstance(annotations, list) else []:
        if isinstance(one, dict):
            found.extend(_marks(one["annotation"]) if "annotation" in one else [one])
    return found


def _exchange(name: str, turns: tuple[tuple[Role, str], ...]) -> list[Exchange]:
    return split(Transcript(name, tuple(Turn(f"t{i}", role, text) for i, (role, text) in enumerate(turns))))
