"""Fits scoring/heads/match.json, relevance.json and relevance_short.json: does an answer speak to its question?

First, on questions with their gold passage and passages that only look like it (FeedbackQA retrieval), a weight for each
dimension of the product of the two vectors: which parts of "alike" mean "answers". Then two small logistic regressions: over
that match and the cheap features on users' ratings of passages (FeedbackQA ratings), and over a few features on replies in
dialogues against replies of other dialogues (UKP).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from scoring.encoder import Vectors
from scoring.signals.answer_relevance import FEATURES, SHORT_COLUMNS, SHORT_FEATURES, features, judgeable
from training.data import CachedVectors, read, turns_of
from training.heads import write_head

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

AGENCIES = {"cdc": "CDC", "uk": "UK", "who": "WHO", "australia": "Australia"}
BASE_RATE = 0.2
"""Share of bad answers that the heads' probabilities assume."""
KEPT_APART = "CDC"
"""The agency whose ratings and questions no head sees; what is reported is measured on it."""
_SOURCE = (
    "FeedbackQA ratings and retrieval without CDC (Li et al. 2022, Apache-2.0), "
    "UKP error and reaction (Petrak et al. 2023, Apache-2.0)"
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Questions with answers; `bad` 1 where the answer does not speak to the question; `group` an agency."""

    questions: list[str]
    answers: list[str]
    bad: Floats
    group: list[str]

    def without(self, group: str) -> "Pairs":
        return self.where([name != group for name in self.group])

    def only(self, group: str) -> "Pairs":
        return self.where([name == group for name in self.group])

    def where(self, kept: Sequence[bool]) -> "Pairs":
        rows = [i for i, keep in enumerate(kept) if keep]
        return Pairs(
            [self.questions[i] for i in rows], [self.answers[i] for i in rows], self.bad[rows], [self.group[i] for i in rows]
        )


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    matched, rated, replied = (
        look_alikes(data, vectors, seed).without(KEPT_APART),
        ratings(data).without(KEPT_APART),
        replies(data, seed),
    )
    weights = match_weights(matched, vectors, seed)
    cosines = _products(matched, vectors).sum(axis=1)
    slope, bias = np.polyfit(cosines, _products(matched, vectors) @ weights, 1)
    write_head("match", float(bias), {"cosine": float(slope)}, _SOURCE, weights.tolist(), vectors.digest.split("-")[0])
    for name, pairs, names, strength in (
        ("relevance", rated, (*FEATURES, "match"), 0.03),
        ("relevance_short", replied, SHORT_FEATURES, 0.05),
    ):
        inputs = with_matches(pairs, vectors, weights)
        inputs = inputs if name == "relevance" else inputs[:, SHORT_COLUMNS]
        scaler = StandardScaler().fit(inputs)
        fitted = LogisticRegression(C=strength, max_iter=1000, random_state=seed).fit(scaler.transform(inputs), pairs.bad)
        slopes = fitted.coef_[0] / scaler.scale_
        rate = float(pairs.bad.mean())
        shift = np.log(BASE_RATE / (1 - BASE_RATE)) - np.log(rate / (1 - rate))
        write_head(
            name,
            float(fitted.intercept_[0] - scaler.mean_ @ slopes + shift),
            dict(zip(names, slopes.tolist(), strict=True)),
            _SOURCE,
        )


def match_weights(pairs: Pairs, vectors: CachedVectors, seed: int) -> Floats:
    """A weight per dimension of the product of question and answer vector."""
    products = _products(pairs, vectors) * 20  # to about unit scale, so that one strength of regularisation fits
    fitted = LogisticRegression(C=0.003, max_iter=500, random_state=seed).fit(products, pairs.bad)
    return np.asarray(fitted.coef_[0] * 20, dtype=np.float64)


def with_matches(pairs: Pairs, vectors: CachedVectors, weights: Floats) -> Floats:
    found = features(pairs.questions, pairs.answers, vectors.of(pairs.questions), vectors.of(pairs.answers))
    return np.column_stack([found, _products(pairs, vectors) @ weights]) if len(weights) else found


def _products(pairs: Pairs, vectors: CachedVectors) -> Floats:
    return (vectors.of(pairs.questions) * vectors.of(pairs.answers)).astype(np.float64)


def ratings(data: Path) -> Pairs:
    rows = [
        row
        for row in read(data, "relevance/feedbackqa_ratings")
        if row.get("label") in (0, 1) and row.get("query") and row.get("passage")
    ]
    bad = np.asarray([1.0 - row["label"] for row in rows])
    return Pairs([row["query"] for row in rows], [row["passage"] for row in rows], bad, [str(row.get("domain")) for row in rows])


def look_alikes(data: Path, vectors: CachedVectors, seed: int) -> Pairs:
    """Gold passages, two of the ten nearest others, and now and then any other one."""
    rng = np.random.default_rng(seed)
    questions: list[str] = []
    answers: list[str] = []
    bad: list[float] = []
    group: list[str] = []
    for agency, domain in AGENCIES.items():
        passages = [row for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_passages") if row.get("passage")]
        asked = [row for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_queries") if row.get("query")]
        number = {row["passage_id"]: i for i, row in enumerate(passages)}
        texts = [row["passage"] for row in passages]
        near = _nearest(vectors.of([row["query"] for row in asked]), vectors.of(texts), 12)
        for row, order in zip(asked, near, strict=True):
            gold = number.get(row["gold_passage_id"])
            if gold is None:
                continue
            others = [int(i) for i in order if i != gold]
            chosen = [gold, *rng.choice(others[1:], 2, replace=False).tolist()]
            if rng.random() < 0.5:
                chosen.append(int(rng.integers(len(texts))))
            questions += [row["query"]] * len(chosen)
            answers += [texts[i] for i in chosen]
            bad += [float(i != gold) for i in chosen]
            group += [domain] * len(chosen)
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


def _nearest(asked: Vectors, texts: Vectors, count: int) -> NDArray[np.intp]:
    return np.argsort(-(asked @ texts.T), axis=1, kind="stable")[:, :count]
