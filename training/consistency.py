"""Fits the heads that weigh how two texts of one bot speak against each other, without and with the entailment adapter.

`answers`: answers of two conversations to questions that ask the same. `turns`: a turn and an earlier one of the same speaker.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.planted import cases
from scoring.contradiction import ANSWER_FEATURES, TURN_FEATURES, inputs, model_pairs, with_entailment
from scoring.cross_encoder import CrossEncoder, PairModel
from scoring.differences import rule_strength
from scoring.signals.answer_consistency import TOP
from training.data import CachedVectors, read, turns_of
from training.entailment import answer_blocks
from training.heads import FOLDER, write_head

Floats = NDArray[np.float64]
Logits = dict[tuple[str, str], float]
log = logging.getLogger(__name__)

_FITTED_ON = (
    "answers and turns written for this project; FeedbackQA CDC and UK (Li et al. 2022, Apache-2.0) with planted contradictions; "
    "UKP error and reaction (Petrak et al. 2023, Apache-2.0)"
)
_AGENCIES = ("cdc", "uk")
"""The other two are reported on."""
_NEAREST = 0.45


@dataclass(frozen=True, slots=True)
class Answered:
    """Two answers and what is known of them. `counts`: the row's weight."""

    kind: str
    contradicts: bool
    question: str
    answer: str
    other_question: str
    other_answer: str
    question_cosine: float
    cosine: float
    counts: float = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """A speaker's last turn after all own earlier ones. `target`: which of those it contradicts; -1 for none."""

    held: bool
    source: str
    earlier: tuple[str, ...]
    turn: str
    target: int


def fit(data: Path, vectors: CachedVectors, seed: int, model: PairModel | None = None, folder: Path = FOLDER) -> None:
    """Write `contradiction_answers` and `contradiction_turns`, and the same two `_read` by `model` (the packaged adapter)."""
    model = model or CrossEncoder("packaged", "entailment", threads=1)
    answered = [*written_answers(vectors, held=False), *planted_answers(data, vectors, seed), *task_answers(data, vectors, seed)]
    said = [one for one in spoken(data) if not one.held]
    vectors.of([text for one in said for text in (*one.earlier, one.turn)])
    turns = [(one, place, cosine) for one in said for place, cosine in turn_pairs(one, vectors)]
    texts = [(row.answer, row.other_answer) for row in answered] + [(one.earlier[place], one.turn) for one, place, _ in turns]
    for logits in (None, asked_all(model, texts)):
        ending = "" if logits is None else "_read"
        _write(
            f"contradiction_answers{ending}", [answer_inputs(row, logits) for row in answered],
            [row.contradicts for row in answered], [row.counts for row in answered], ANSWER_FEATURES, logits is not None, 0.3,
            folder,
        )  # fmt: skip
        _write(
            f"contradiction_turns{ending}", [turn_inputs(one.earlier[at], one.turn, cosine, logits) for one, at, cosine in turns],
            [one.target >= 0 for one, _, _ in turns], [1.0 if one.target >= 0 else 0.6 for one, _, _ in turns],
            TURN_FEATURES, logits is not None, 0.03, folder,
        )  # fmt: skip


def written_answers(vectors: CachedVectors, held: bool) -> list[Answered]:
    """Pairs of `answers.txt`: the same question in other words, and near questions of other blocks."""
    found: list[Answered] = []
    blocks = answer_blocks(held)
    vectors.of(
        [text for block in blocks for text in (*block.questions, *block.agreeing, *(text for _, text in block.contradicting))]
    )
    for block in blocks:
        asked = [(one, two) for one, two in product(block.questions, repeat=2) if one != two]
        pairs = [("agree", False, one, two) for one, two in combinations(block.agreeing, 2)]
        pairs += [(kind, True, one, two) for kind, two in block.contradicting for one in block.agreeing]
        for i, (kind, contradicts, one, two) in enumerate(pairs):
            question, other = asked[i % len(asked)]
            found.append(_answered(vectors, kind, contradicts, question, one, other, two, 1.0 if contradicts else 3.0))
    for block, beside in combinations(blocks, 2):
        for question, other in product(block.questions, beside.questions):
            for two in (beside.agreeing[0], beside.contradicting[0][1]):
                row = _answered(vectors, "other question", False, question, block.agreeing[0], other, two)
                if row.question_cosine >= _NEAREST:
                    found.append(row)
    return found


def planted_answers(
    data: Path, vectors: CachedVectors, seed: int, agencies: Sequence[str] = _AGENCIES, most: int = 2500
) -> list[Answered]:
    made = cases(data, vectors, seed, agencies=agencies)
    chosen = [made[int(i)] for i in np.random.default_rng(seed).permutation(len(made))[:most]]
    vectors.of([text for case in chosen for text in (case.answer, case.other_answer)])
    found = []
    for case in chosen:
        cosine = _cosine(vectors, case.answer, case.other_answer)
        found.append(
            Answered(case.kind, case.contradicts, case.question, case.answer, case.other_question, case.other_answer,
                     case.similarity, cosine, 0.6)
        )  # fmt: skip
    return found


def task_answers(data: Path, vectors: CachedVectors, seed: int, most: int = 900) -> list[Answered]:
    """Near questions of different dialogues, about bookings or the speakers themselves: nothing contradicts."""
    rows = read(data, "feedback/ukp_error_and_reaction")
    return _neighbours([turns_of(row) for row in rows], vectors, seed, most)


def _neighbours(dialogues: Sequence[Sequence[tuple[str, str]]], vectors: CachedVectors, seed: int, most: int) -> list[Answered]:
    asked: list[tuple[int, str, str]] = []
    for number, turns in enumerate(dialogues):
        if len({speaker for speaker, _ in turns}) == 2 and len(turns) <= 60:
            asked.extend(
                (number, turns[i][1], turns[i + 1][1]) for i in range(0, len(turns) - 1, 2) if len(turns[i][1].split()) > 2
            )
    questions, answers = vectors.of([q for _, q, _ in asked]), vectors.of([a for _, _, a in asked])
    cosines = questions @ questions.T
    found = []
    for i, j in zip(*np.nonzero(np.triu(cosines, 1) >= _NEAREST), strict=True):
        if asked[i][0] != asked[j][0]:
            found.append(
                Answered("another dialogue", False, asked[i][1], asked[i][2], asked[j][1], asked[j][2],
                         float(cosines[i, j]), float(answers[i] @ answers[j]), 0.5)
            )  # fmt: skip
    return [found[int(i)] for i in np.random.default_rng(seed).permutation(len(found))[:most]]


def spoken(data: Path) -> list[Said]:
    """Last turns of real dialogues, and those of `contradicted.txt` after the same dialogues; every second dialogue is held."""
    dialogues: dict[str, tuple[bool, str, list[tuple[str, str]]]] = {}
    for number, row in enumerate(read(data, "feedback/ukp_error_and_reaction")):
        turns = turns_of(row)
        if len(turns) <= 60 and len({speaker for speaker, _ in turns}) == 2 and row["source"] != "SelfFeeding":
            dialogues[row["conversation_id"]] = number % 2 == 1, row["source"], turns
    found = []
    for held, source, turns in dialogues.values():
        for speaker in dict.fromkeys(speaker for speaker, _ in turns):
            own = [text for who, text in turns if who == speaker]
            if len(own) > 1:
                found.append(Said(held, source, tuple(own[:-1]), own[-1], -1))
    for line in (Path(__file__).parent / "contradicted.txt").read_text(encoding="utf-8").split("\n"):
        if not line or line.startswith("#"):
            continue
        name, place, text = line.split(" | ", 2)
        if name in dialogues:
            held, source, turns = dialogues[name]
            speaker, at = turns[int(place)][0], int(place)
            before = turns[:-1] if turns[-1][0] == speaker and at < len(turns) - 1 else turns
            own = [words for who, words in before if who == speaker]
            found.append(Said(held, source, tuple(own), text, sum(who == speaker for who, _ in turns[:at])))
    return found


def _answered(
    vectors: CachedVectors,
    kind: str,
    contradicts: bool,
    question: str,
    answer: str,
    other: str,
    other_answer: str,
    counts: float = 1.0,
) -> Answered:
    return Answered(
        kind, contradicts, question, answer, other, other_answer, _cosine(vectors, question, other),
        _cosine(vectors, answer, other_answer), counts,
    )  # fmt: skip


def _cosine(vectors: CachedVectors, one: str, two: str) -> float:
    found = vectors.of([one, two])
    return float(found[0] @ found[1])


def answer_inputs(row: Answered, logits: Logits | None = None) -> dict[str, float]:
    rule = rule_strength(row.question, row.answer, row.other_question, row.other_answer, row.question_cosine)
    found = inputs(row.answer, row.other_answer, row.cosine, row.question_cosine, rule)
    return found if logits is None else with_entailment(found, logits[row.answer, row.other_answer])


def turn_inputs(earlier: str, turn: str, cosine: float, logits: Logits | None = None) -> dict[str, float]:
    found = inputs(earlier, turn, cosine)
    return found if logits is None else with_entailment(found, logits[earlier, turn])


def asked_all(model: PairModel, texts: Sequence[tuple[str, str]]) -> Logits:
    """What the model says of each pair of texts, all in one call."""
    wanted = {pair: model_pairs(*pair) for pair in dict.fromkeys(texts)}
    flat = [pair for pairs in wanted.values() for pair in pairs]
    said = iter(model.logits(flat))
    return {pair: max((float(next(said)) for _ in pairs), default=0.0) for pair, pairs in wanted.items()}


def turn_pairs(one: Said, vectors: CachedVectors) -> list[tuple[int, float]]:
    """(place, cosine) of the own turns to learn from: the contradicted one, or the two nearest."""
    if one.target >= 0:
        return [(one.target, _cosine(vectors, one.earlier[one.target], one.turn))]
    return list(nearest(one, vectors, 2))


def nearest(one: Said, vectors: CachedVectors, most: int = TOP) -> Iterator[tuple[int, float]]:
    """(place, cosine) of the nearest own turns, best first."""
    cosines = vectors.of(one.earlier) @ vectors.of([one.turn])[0]
    return ((int(i), float(cosines[i])) for i in np.argsort(-cosines, kind="stable")[:most])


def _write(
    name: str, rows: Sequence[dict[str, float]], wanted: Sequence[bool], counts: Sequence[float], features: Sequence[str],
    read_by_model: bool, strength: float, folder: Path,
) -> None:  # fmt: skip
    used = [feature for feature in features if read_by_model or not feature.startswith("entailment")]
    given: Floats = np.asarray([[row[feature] for feature in used] for row in rows])
    spread = np.maximum(given.std(axis=0), 1e-6)
    model = LogisticRegression(C=strength, max_iter=5000).fit(
        given / spread, np.asarray(wanted), sample_weight=np.asarray(counts)
    )
    weights = model.coef_[0] / spread
    path = write_head(
        name, float(model.intercept_[0]), dict(zip(used, map(float, weights), strict=True)), _FITTED_ON, folder=folder
    )
    log.info("%s: %d rows", path.name, len(rows))
