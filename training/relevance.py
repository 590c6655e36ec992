"""Fits scoring/heads/late_interaction.safetensors and the relevance heads: does an answer speak to its question?

First, on questions with their gold passage among its look-alikes (FeedbackQA retrieval), which words of a question must be
met by the answer, and what "met" is. Then small logistic regressions over that and the cheap features: on users' ratings of
passages (FeedbackQA ratings), and on replies in dialogues against replies of other dialogues (UKP).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from scoring.late_interaction import FEATURES as WORD_FEATURES
from scoring.late_interaction import Fitted, LateInteraction
from scoring.signals.answer_relevance import FEATURES, SHORT_FEATURES, Floats, columns, features, judgeable
from training import late_interaction
from training.data import CachedVectors, read, turns_of
from training.heads import write_head
from training.late_interaction import Candidates, candidates

log = logging.getLogger(__name__)

AGENCIES = {"cdc": "CDC", "uk": "UK", "who": "WHO", "australia": "Australia"}
BASE_RATE = 0.2
"""Share of bad answers that the heads' probabilities assume."""
_SOURCE = "FeedbackQA ratings and retrieval (Li et al. 2022, Apache-2.0), UKP error and reaction (Petrak et al. 2023, Apache-2.0)"
_RANKED, _REPLIED = 0.2, 0.3
"""What all pairs of gold and look-alike passages together count, of all ratings; and what one reply counts, in ratings."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Questions with answers; `bad` 1 where the answer does not speak to the question; `group` an agency."""

    questions: list[str]
    answers: list[str]
    bad: Floats
    group: list[str]

    def where(self, kept: Sequence[bool]) -> "Pairs":
        rows = [i for i, keep in enumerate(kept) if keep]
        return Pairs(
            [self.questions[i] for i in rows], [self.answers[i] for i in rows], self.bad[rows], [self.group[i] for i in rows]
        )


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    asked = [one for one in retrieval(data, vectors) if not held_out(one.question)]
    late_interaction.fit(asked, vectors.encoder, seed, _SOURCE)
    fit_heads(data, vectors, asked, seed)


def fit_heads(data: Path, vectors: CachedVectors, asked: Sequence[Candidates], seed: int) -> None:
    """The regressions, over what `late_interaction` wrote."""
    words = words_of(vectors)
    rated, ranked, replied = ratings(data), look_alikes(asked, seed), replies(data, seed)
    rated = rated.where([not held_out(question) for question in rated.questions])
    known = {id(one): inputs_of(one, vectors, words) for one in (rated, ranked, replied)}
    for name, pairs, names in (
        ("relevance", (rated, ranked), (*FEATURES, *WORD_FEATURES)),
        ("relevance_plain", (rated, ranked), FEATURES),
        ("relevance_short", (rated, ranked, replied), SHORT_FEATURES),
    ):
        bias, slopes = fit_head([known[id(one)][:, columns(names)] for one in pairs], pairs, seed)
        write_head(name, bias, dict(zip(names, slopes.tolist(), strict=True)), _SOURCE)


def fit_head(inputs: Sequence[Floats], pairs: Sequence[Pairs], seed: int) -> tuple[float, Floats]:
    """(bias, weights) of a logistic regression at `BASE_RATE` over rated, ranked and perhaps replied pairs, in this order.

    Ranked ones count `_RANKED` of the rated ones together, half of that for gold passages; a reply `_REPLIED` of a rating.
    """
    both, bad = np.concatenate(inputs), np.concatenate([one.bad for one in pairs])
    rated, ranked = pairs[0].bad, pairs[1].bad
    share = np.where(ranked > 0, 0.5 / ranked.sum(), 0.5 / (1 - ranked).sum())
    rest = np.full(len(bad) - len(rated) - len(ranked), _REPLIED)
    counted = np.concatenate([np.ones(len(rated)), _RANKED * len(rated) * share, rest])
    scaler = StandardScaler().fit(both, sample_weight=counted)
    fitted = LogisticRegression(C=0.02, max_iter=2000, random_state=seed).fit(scaler.transform(both), bad, counted)
    slopes = fitted.coef_[0] / scaler.scale_
    rate = float(np.average(bad, weights=counted))
    shift = np.log(BASE_RATE / (1 - BASE_RATE)) - np.log(rate / (1 - rate))
    return float(fitted.intercept_[0] - scaler.mean_ @ slopes + shift), slopes


def inputs_of(pairs: Pairs, vectors: CachedVectors, words: LateInteraction | None) -> Floats:
    """FEATURES of each pair, and the words' where `words` is given."""
    found = features(pairs.questions, pairs.answers, vectors.of(pairs.questions), vectors.of(pairs.answers))
    return np.column_stack([found, words.compare(pairs.questions, pairs.answers)]) if words else found


def words_of(vectors: CachedVectors) -> LateInteraction:
    """With room for all words of the data sets."""
    return LateInteraction(vectors.encoder, Fitted.packaged(), room=1 << 30)


def held_out(question: str) -> bool:
    """One question of FeedbackQA in seven is kept for reporting; by its text, so that every set that holds it agrees."""
    return crc32(" ".join(question.lower().split()).encode()) % 7 == 0


def retrieval(data: Path, vectors: CachedVectors) -> list[Candidates]:
    """Every question of the four agencies with the twenty nearest passages of its agency."""
    found = []
    for agency, domain in AGENCIES.items():
        passages = [row for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_passages") if row.get("passage")]
        text = {row["passage_id"]: row["passage"] for row in passages}
        asked = [
            row
            for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_queries")
            if row.get("query") and row["gold_passage_id"] in text
        ]
        found += candidates(
            [row["query"] for row in asked], [text[row["gold_passage_id"]] for row in asked], list(text.values()), domain, vectors
        )
    return found


def ratings(data: Path) -> Pairs:
    rows = [
        row
        for row in read(data, "relevance/feedbackqa_ratings")
        if row.get("label") in (0, 1) and row.get("query") and row.get("passage")
    ]
    bad = np.asarray([1.0 - row["label"] for row in rows])
    return Pairs([row["query"] for row in rows], [row["passage"] for row in rows], bad, [str(row.get("domain")) for row in rows])


def look_alikes(asked: Sequence[Candidates], seed: int) -> Pairs:
    """Gold passages, and three of the nearest others for each."""
    rng = np.random.default_rng(seed)
    questions: list[str] = []
    answers: list[str] = []
    bad: list[float] = []
    group: list[str] = []
    for one in asked:
        if one.gold < 0:
            continue
        others = rng.choice([at for at in range(len(one.passages)) if at != one.gold], 3, replace=False)
        questions += [one.question] * 4
        answers += [one.passages[at] for at in (one.gold, *others.tolist())]
        bad += [0.0, 1.0, 1.0, 1.0]
        group += [one.agency] * 4
    return Pairs(questions, answers, np.asarray(bad), group)


def replies(data: Path, seed: int) -> Pairs:
    """Turns of dialogues with the reply they got, and with a reply of another dialogue."""
    questions: list[str] = []
    answers: list[str] = []
    for row in read(data, "feedback/ukp_error_and_reaction"):
        turns = turns_of(row)
        for (one, question), (two, answer) in pairwise(turns):
            if one != two and judgeable(question, answer):
                questions.append(question)
                answers.append(answer)
    others = np.random.default_rng(seed).permutation(len(answers))
    bad = np.repeat([0.0, 1.0], len(answers))
    return Pairs(questions * 2, answers + [answers[i] for i in others], bad, ["UKP"] * len(bad))
