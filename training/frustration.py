"""Fits scoring/heads/frustration.json: how the rules' findings and the tone add up to "unhappy with this answer".

From replies written for this project (training/replies.txt), turns of dialogues that annotators marked as a reaction to an
error (UKP), and single comments of GoEmotions, which teach how much tone is worth where no rule finds anything.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.signals.base import Batch
from scoring.signals.user_frustration import FEATURES, UserFrustration
from scoring.transcripts import Exchange, Role, Transcript, Turn, split
from scoring.vectors import TextVectors
from training.data import CachedVectors, read, turns_of
from training.heads import write_head

Floats = NDArray[np.float64]

WRITTEN = Path(__file__).parent / "replies.txt"
BASE_RATE = 0.15
"""Share of exchanges followed by an unhappy reply that the probability assumes."""
_COMMENTS = 6000
_SOURCE = (
    "replies written for this project, UKP error and reaction (Petrak et al. 2023, Apache-2.0), GoEmotions train (Apache-2.0)"
)
# What the data cannot show (no example of it, or too few) but reason says; pulled towards, not fixed.
_EXPECTED = {
    "tone": 0.6, "person": 3.0,
    "correction": 2.5, "mismatch": 2.0, "harsh_words": 1.2, "complaint": 2.5, "confused": 1.5, "giving_up": 2.0, "sarcasm": 1.8,
    "angry_signs": 4.0, "shouting": 1.2,
    "many_marks": 0.6, "repeat": 3.2, "exact_repeat": 1.0, "thanks": -1.5, "polite_no": -2.5, "changed_wish": -1.5,
    "small_talk": -1.0, "bot_gave_up": 0.9,
    "bot_gave_up_before": 1.5, "bot_repeats": 1.2, "handed_over": 2.2, "no_start": 0.6, "two_rules": 0.3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replies:
    """Exchanges with a follow-up; `unhappy` 0 or 1; `group` the domain or data set."""

    exchanges: list[Exchange]
    unhappy: Floats
    group: list[str]


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    parts = [(written(), 2.0), (reactions(data), 0.1), (comments(data, seed), 0.1)]
    inputs = np.concatenate([inputs_of(part, vectors) for part, _ in parts])
    truth = np.concatenate([part.unhappy for part, _ in parts])
    counted = np.concatenate([np.full(len(part.unhappy), weight) for part, weight in parts])
    bias, weights = fit_towards(inputs, truth, counted)
    rate = float((truth * counted).sum() / counted.sum())
    shift = np.log(BASE_RATE / (1 - BASE_RATE)) - np.log(rate / (1 - rate))
    write_head("frustration", float(bias + shift), dict(zip(FEATURES, weights.tolist(), strict=True)), _SOURCE)


def fit_towards(inputs: Floats, truth: Floats, counted: Floats, strength: float = 4.0) -> tuple[float, Floats]:
    """Logistic regression pulled towards `_EXPECTED` (a Gaussian prior around it) by Newton's method."""
    prior = np.asarray([0.0, *(_EXPECTED[feature] for feature in FEATURES)])
    rows = np.column_stack([np.ones(len(inputs)), inputs])
    pull = np.full(len(prior), strength)
    pull[0] = 1e-3

    def loss(weights: Floats) -> float:
        logits = rows @ weights
        return float((counted * (np.logaddexp(0, logits) - truth * logits)).sum() + 0.5 * (pull * (weights - prior) ** 2).sum())

    found = prior.copy()
    for _ in range(50):
        likely = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope = rows.T @ (counted * (likely - truth)) + pull * (found - prior)
        curve = (rows * (counted * likely * (1 - likely))[:, None]).T @ rows + np.diag(pull)
        step = np.linalg.solve(curve, slope)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-9:
            step = step / 2  # a full step may overshoot far from the minimum
        found = found - step
    return float(found[0]), found[1:]


def inputs_of(replies: Replies, vectors: CachedVectors) -> Floats:
    """What the head reads, (n, len(FEATURES))."""
    texts = list(
        dict.fromkeys(
            text for e in replies.exchanges for text in (e.question, e.answer, e.follow_up) if text and not text.isspace()
        )
    )
    matrix = np.concatenate([np.zeros((1, vectors.of([""]).shape[1]), dtype=np.float32), vectors.of(texts)])
    held = TextVectors({text: row for row, text in enumerate(texts, start=1)}, matrix)
    batch = Batch(replies.exchanges, held, [()] * len(replies.exchanges), [None] * len(replies.exchanges))
    return UserFrustration(vectors.digest).inputs(batch)


def written() -> Replies:
    rows = [line.split("|") for line in WRITTEN.read_text().splitlines() if line and not line.startswith("#")]
    exchanges = [_exchange(f"w{i}", (("user", row[2]), ("bot", row[3]), ("user", row[4])))[-1] for i, row in enumerate(rows)]
    return Replies(exchanges, np.asarray([float(row[1]) for row in rows]), [row[0] for row in rows])


def reactions(data: Path) -> Replies:
    """User turns after which annotators agree: a quoted reaction to an error (codes UR2 to UR5), or a dialogue without any.

    UR1 means that the user ignored the error: nothing in the words shows it, so it teaches nothing and is left out.
    """
    exchanges: list[Exchange] = []
    unhappy: list[float] = []
    for number, row in enumerate(read(data, "feedback/ukp_error_and_reaction")):
        turns = turns_of(row)
        speakers = [speaker for speaker, _ in turns]
        marks = [mark for mark in _marks(row.get("annotations")) if mark.get("user_reaction") in ("UR2", "UR3", "UR4", "UR5")]
        phrases = {str(mark.get("phrase") or mark.get("comment") or "").strip().lower() for mark in marks} - {"", "-"}
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
    return Replies(exchanges, np.asarray(unhappy), ["UKP"] * len(unhappy))


def comments(data: Path, seed: int) -> Replies:
    rows = read(data, "emotion/goemotions/train")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:_COMMENTS]
    picked = [rows[i] for i in chosen if isinstance(rows[i].get("text"), str) and rows[i]["text"].strip()]
    exchanges = [_exchange(f"g{i}", (("bot", "Here you are."), ("user", row["text"])))[-1] for i, row in enumerate(picked)]
    return Replies(exchanges, np.asarray([float(bool(row.get("frustration"))) for row in picked]), ["GoEmotions"] * len(picked))


def _marks(annotations: object) -> list[dict[str, object]]:
    """Single annotations, which some rows nest by annotator."""
    found: list[dict[str, object]] = []
    for one in annotations if isinstance(annotations, list) else []:
        if isinstance(one, dict):
            found.extend(_marks(one["annotation"]) if "annotation" in one else [one])
    return found


def _exchange(name: str, turns: tuple[tuple[Role, str], ...]) -> list[Exchange]:
    return split(Transcript(name, tuple(Turn(f"t{i}", role, text) for i, (role, text) in enumerate(turns))))
