"""Calibration of platforms' scores, before any verdict and after some, on public data that plays the platform.

    python -m benchmarks.platform_scores --data ../shared/data --cache /tmp/vectors/cache --json platform_scores.json

A platform answers: with the passage that a search scored highest (wrong where that is not the gold one), with a passage that
people rated, or by the intent of a plain logistic head whose confidences were distorted. Half of its exchanges are its history
and give the verdicts, the other half is measured on; means over several such halves.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from scoring.calibration import BASE_RATE, Calibration, usual
from scoring.encoder import SentenceEncoder
from scoring.intents import OUT_OF_SCOPE
from scoring.platform_scores import histories
from scoring.platform_scores import read as reading_of
from scoring.transcripts import Exchange, Intent, Passage, Transcript, Turn, split
from training import relevance
from training.data import CachedVectors, read

Floats = NDArray[np.float64]
VERDICTS = (20, 50, 100, 300)
AGENCIES = {"cdc": "CDC", "uk": "UK", "who": "WHO", "australia": "Australia"}


@dataclass(frozen=True, slots=True)
class Measured:
    """Calibration error (ten bins of equal width) by the scale alone, with the bot's own history, after so many verdicts."""

    data: str
    platform: str
    scale: str
    count: int
    bad: float
    auroc: float
    auroc_after: float
    by_scale: float
    by_history: float
    after: dict[int, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.platform_scores", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--splits", type=int, default=20, help="how many random halves")
    parser.add_argument("--agency", choices=tuple(AGENCIES), default="cdc", help="whose search and ratings; CDC chose nothing")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="of the intents; train: a third held out")
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 170)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    vectors = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    table = Table("data", "platform", "scale", "n", "bad", "AUROC", "after", "ECE by scale", "by history", *map(str, VERDICTS))
    rows = []
    for data, platform, exchanges, bad in (
        *searches(given.data, vectors, given.agency),
        *heads(given.data, vectors, given.part),
    ):
        row = measure(data, platform, exchanges, bad, given.splits)
        rows.append(row)
        figures = (row.bad, row.auroc, row.auroc_after, row.by_scale, row.by_history, *row.after.values())
        table.add_row(row.data, row.platform, row.scale, str(row.count), *(f"{figure:.3f}" for figure in figures))
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def measure(data: str, platform: str, exchanges: Sequence[Exchange], bad: Floats, splits: int) -> Measured:
    found: list[list[float]] = []
    scale = ""
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(exchanges))
        seen, held = order[: len(order) // 2], order[len(order) // 2 :]
        ((key, history),) = histories(exchanges[i] for i in seen).items()
        before = Calibration.of(history)
        scale, field = before.scale, key[1]
        number = before.badness([reading_of(exchange, field) for exchange in exchanges])
        expected = usual(field, scale, number[held])
        curves = [np.full(len(held), _logit(BASE_RATE[field])) if expected is None else expected, before.logits(number[held])]
        for count in VERDICTS:
            chosen = seen[:count]
            curves.append(before.fit(number[chosen], bad[chosen]).logits(number[held]))
        truth = bad[held]
        found.append(
            [
                float(roc_auc_score(truth, curves[1])),
                float(roc_auc_score(truth, curves[-1])),
                *(_calibration_error(1 / (1 + np.exp(-curve)), truth) for curve in curves),
            ]
        )
    mean = np.mean(found, axis=0)
    after = dict(zip(VERDICTS, mean[4:].tolist(), strict=True))
    return Measured(data, platform, scale, len(exchanges), float(bad.mean()), *mean[:4].tolist(), after)


def searches(data: Path, vectors: CachedVectors, agency: str) -> Iterator[tuple[str, str, list[Exchange], Floats]]:
    """FeedbackQA: questions to one agency with the passage found for them, and rated pairs of question and passage."""
    passages = [row for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_passages") if row.get("passage")]
    asked = [row for row in read(data, f"relevance/feedbackqa_retrieval/{agency}_queries") if row.get("query")]
    texts, questions = [row["passage"] for row in passages], [row["query"] for row in asked]
    gold = [row["gold_passage_id"] for row in asked]
    rated = relevance.ratings(data).only(AGENCIES[agency])
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english", norm=None).fit(texts)
    for name, distort in SCALES.items():
        lexical = name.startswith("open")
        if lexical:
            scores = (words.transform(questions).sign() @ words.transform(texts).T).toarray()
            pairs = np.asarray(
                words.transform(rated.questions).sign().multiply(words.transform(rated.answers)).sum(axis=1)
            ).ravel()
        else:
            scores = (vectors.of(questions) @ vectors.of(texts).T).astype(np.float64)
            pairs = (vectors.of(rated.questions) * vectors.of(rated.answers)).sum(axis=1).astype(np.float64)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :3]
        found = [_answered(i, [distort(scores[i, j]) for j in order[i]]) for i in range(len(questions))]
        bad = np.asarray([float(passages[order[i, 0]]["passage_id"] != gold[i]) for i in range(len(questions))])
        yield f"FeedbackQA search, {agency}", name, found, bad
        if name != "distance":  # one passage tells no direction
            yield f"FeedbackQA ratings, {agency}", name, [_answered(i, [distort(s)]) for i, s in enumerate(pairs)], rated.bad


SCALES: dict[str, Callable[[float], float]] = {
    "cosine": lambda score: score,
    "cosine of a model that calls all alike": lambda score: 0.8 + 0.2 * score,
    "percent": lambda score: 100 * max(score, 0.0),
    "distance": lambda score: 1 - score,
    "logit": lambda score: 20 * (score - 0.6),
    "open, TF-IDF": lambda score: score,
}


def heads(data: Path, vectors: CachedVectors, part: str) -> Iterator[tuple[str, str, list[Exchange], Floats]]:
    """Intents by a logistic regression whose logits are divided by a temperature: below 1 it is too sure of itself."""
    for name in ("clinc150", "banking77", "hwu64"):
        train = [row for row in read(data, f"intents/{name}/train") if row["intent"] not in OUT_OF_SCOPE]
        if part == "train":
            mixed = np.random.default_rng(0).permutation(len(train))
            train, asked = [train[i] for i in mixed[len(train) // 3 :]], [train[i] for i in mixed[: len(train) // 3]]
        else:
            asked = read(data, f"intents/{name}/test")
        head = LogisticRegression(C=20.0, max_iter=300, tol=1e-3)
        head.fit(vectors.of([row["text"] for row in train]), [row["intent"] for row in train])
        logits = head.decision_function(vectors.of([row["text"] for row in asked]))
        bad = np.asarray([float(head.classes_[i] != row["intent"]) for i, row in zip(logits.argmax(axis=1), asked, strict=True)])
        for platform, temperature in (("much too sure", 0.25), ("as fitted", 1.0), ("too unsure", 2.0)):
            powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
            given = powers / powers.sum(axis=1, keepdims=True)
            best = np.argsort(-given, axis=1, kind="stable")[:, :10]
            ranked = [tuple((str(head.classes_[j]), float(row[j])) for j in top) for row, top in zip(given, best, strict=True)]
            intents = [Intent(top[0][0], top[0][1], top) for top in ranked]
            yield name, platform, [_understood(i, intent) for i, intent in enumerate(intents)], bad


def _answered(name: int, scores: Sequence[float]) -> Exchange:
    found = tuple(Passage(score=score) for score in scores)
    return split(Transcript(f"c{name}", (Turn("q", "user", "?"), Turn("a", "bot", ".", retrieval=found))))[0]


def _understood(name: int, intent: Intent) -> Exchange:
    return split(Transcript(f"c{name}", (Turn("q", "user", "?", intent=intent), Turn("a", "bot", "."))))[0]


def _calibration_error(likely: Floats, truth: Floats) -> float:
    bins = np.clip((likely * 10).astype(int), 0, 9)
    gaps = [abs(likely[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any()]
    return float(sum(gaps))


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


if __name__ == "__main__":
    main()
