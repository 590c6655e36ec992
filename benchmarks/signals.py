"""Measures every signal on parts of public data that nothing was fitted on, against the simplest things that could work.

python -m benchmarks.signals --data ../shared/data --cache /tmp/vectors --json signals.json
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.planted import Case, cases
from scoring.encoder import SentenceEncoder
from scoring.facts import extract
from scoring.intents import OUT_OF_SCOPE, IntentModel
from scoring.out_of_scope import means, unit
from scoring.signals.answer_consistency import contradictions
from scoring.signals.answer_relevance import FEATURES, AnswerRelevance, judgeable
from scoring.signals.base import Batch
from scoring.signals.user_frustration import UserFrustration
from scoring.transcripts import Exchange, Transcript, Turn, split
from scoring.vectors import TextVectors
from scoring.wording import content_words, plain, word_set
from training import frustration, relevance
from training.data import CachedVectors, read, turns_of

Floats = NDArray[np.float64]

_NEGATIVE_WORDS = word_set(
    "not no never don't doesn't didn't can't wrong bad hate stupid annoying terrible useless fuck shit sucks worst"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table. Accuracy and calibration error only where classes are predicted."""

    signal: str
    data: str
    by: str
    count: int
    auroc: float | None = None
    average_precision: float | None = None
    precision_at_50: float | None = None
    precision_at_100: float | None = None
    accuracy: float | None = None
    calibration_error: float | None = None
    precision: float | None = None
    recall: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signals", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(_PARTS), help="measure this alone")
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 170)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    vectors = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    found = [row for name, part in _PARTS.items() if given.only in (None, name) for row in part(given.data, vectors, given.seed)]
    table = Table("signal", "data", "by", "n", "AUROC", "AP", "P@50", "P@100", "accuracy", "ECE", "precision", "recall")
    for row in found:
        table.add_row(
            *(
                "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
                for value in asdict(row).values()
            )
        )
    console.print(table)
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


def intents(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    for name in ("clinc150", "banking77", "banking77_oos", "hwu64"):
        train, test = read(data, f"intents/{name}/train"), read(data, f"intents/{name}/test")
        inside = [row for row in train if row["intent"] not in OUT_OF_SCOPE]
        fitted, labels = vectors.of([row["text"] for row in inside]), [row["intent"] for row in inside]
        model = IntentModel.fit(fitted, labels, seed, vectors.digest)
        seen, truth = vectors.of([row["text"] for row in test]), np.asarray([row["intent"] for row in test])
        predictions = model.predict(seen)
        outside = np.asarray([bool(row.get("oos")) for row in test])
        right = np.asarray([p.intent for p in predictions]) == truth
        confidence = np.asarray([p.confidence for p in predictions])
        scope = np.asarray([1 - p.out_of_scope for p in predictions])
        plain_head = LogisticRegression(C=20.0, max_iter=300, tol=1e-3).fit(fitted, labels)
        shares = plain_head.predict_proba(seen)
        plain_right = plain_head.classes_[shares.argmax(axis=1)] == truth
        numbers = np.searchsorted(np.asarray(model.intents), labels)
        centred = np.asarray(model.intents)[np.argmax(seen @ unit(means(fitted, numbers, len(model.intents))).T, axis=1)]
        count = int((~outside).sum())
        yield Measured(
            "intent_confidence", name, "ours", count, accuracy=float(right[~outside].mean()),
            calibration_error=_calibration_error(confidence[~outside], right[~outside]),
        )  # fmt: skip
        for by, given in (("plain logistic head", plain_right), ("nearest centre", centred == truth)):
            yield Measured("intent_confidence", name, by, count, accuracy=float(given[~outside].mean()))
        here = ~outside
        yield _ranked("intent_confidence", f"{name}, wrong in scope", "ours", ~right[here], 1 - confidence[here])
        yield _ranked(
            "intent_confidence",
            f"{name}, wrong in scope",
            "1 - largest probability",
            ~plain_right[here],
            1 - shares.max(axis=1)[here],
        )
        if outside.any():
            what = f"{name}, wrong over all"
            yield _ranked("intent_confidence", what, "ours", ~right, 1 - confidence * scope)
            yield _ranked("intent_confidence", what, "1 - largest probability", ~plain_right, 1 - shares.max(axis=1))
            what = f"{name}, out of scope"
            yield _ranked("intent_confidence", what, "ours", outside, 1 - scope)
            yield _ranked("intent_confidence", what, "1 - largest probability", outside, 1 - shares.max(axis=1))
            yield _ranked("intent_confidence", what, "1 - nearest cosine", outside, 1 - (seen @ fitted.T).max(axis=1))


def answers(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    apart = relevance.KEPT_APART
    sets = {
        f"FeedbackQA ratings, {apart}": relevance.ratings(data).only(apart),
        f"FeedbackQA passages, {apart}": relevance.look_alikes(data, vectors, seed).only(apart),
        "DSTC11 replies": _dialogues(data, seed),
        "AB-ReDial relevance": _recommendations(data),
    }
    for name, pairs in sets.items():
        exchanges = [_exchange(f"r{i}", q, a) for i, (q, a) in enumerate(zip(pairs.questions, pairs.answers, strict=True))]
        evidence = AnswerRelevance(vectors.digest).measure(_batch(exchanges, vectors))
        bad = pairs.bad > 0
        yield _ranked(
            "answer_relevance", name, "ours", bad, np.asarray([0.2 if one is None else one.probability for one in evidence])
        )
        simple = relevance.with_matches(pairs, vectors, np.zeros(0))
        yield _ranked("answer_relevance", name, "1 - cosine", bad, -simple[:, FEATURES.index("cosine")])
        yield _ranked("answer_relevance", name, "words not found", bad, -simple[:, FEATURES.index("words_found")])


def reactions(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    rows = [row for row in read(data, "emotion/goemotions/test") if str(row.get("text") or "").strip()]
    comments = [_exchange(f"g{i}", "", "Here you are.", row["text"]) for i, row in enumerate(rows)]
    unhappy = np.asarray([bool(row.get("frustration")) for row in rows])
    evidence = UserFrustration(vectors.digest).measure(_batch(comments, vectors))
    yield _ranked(
        "user_frustration",
        "GoEmotions test",
        "ours",
        unhappy,
        np.asarray([0.1 if one is None else one.probability for one in evidence]),
    )
    yield _ranked("user_frustration", "GoEmotions test", "negative words", unhappy, _negative([row["text"] for row in rows]))
    written, others = frustration.written(), [(frustration.reactions(data), 0.1), (frustration.comments(data, seed), 0.1)]
    inputs = frustration.inputs_of(written, vectors)
    rest = [(frustration.inputs_of(part, vectors), part.unhappy, np.full(len(part.unhappy), weight)) for part, weight in others]
    likely = np.zeros(len(inputs))
    for group in dict.fromkeys(written.group):  # each domain by a head that has not seen it
        held = np.asarray([one == group for one in written.group])
        seen = [(inputs[~held], written.unhappy[~held], np.full(int((~held).sum()), 2.0)), *rest]
        bias, weights = frustration.fit_towards(*(np.concatenate(column) for column in zip(*seen, strict=True)))
        likely[held] = inputs[held] @ weights + bias
    unhappy, name = written.unhappy > 0, "replies written for this project, domain unseen"
    follow_ups = [exchange.follow_up or "" for exchange in written.exchanges]
    yield _ranked("user_frustration", name, "ours", unhappy, likely)
    yield _ranked("user_frustration", name, "tone alone", unhappy, inputs[:, 0])
    yield _ranked("user_frustration", name, "negative words", unhappy, _negative(follow_ups))


def consistency(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    found = cases(data, vectors, seed)
    truth = np.asarray([case.contradicts for case in found])
    strengths = np.asarray([_strength(case) for case in found])
    figures = np.asarray([float(_figures(case.answer) != _figures(case.other_answer)) for case in found])
    different = np.asarray([1 - _shared(case.answer, case.other_answer) for case in found])
    for by, value in (("ours", strengths), ("any figure differs", figures), ("words differ", different)):
        flagged = value >= 0.5
        row = _ranked("answer_consistency", "planted contradictions", by, truth, value)
        caught = int((flagged & truth).sum())
        yield Measured(**(asdict(row) | {"precision": caught / max(int(flagged.sum()), 1), "recall": caught / int(truth.sum())}))
    for kind in dict.fromkeys(case.kind for case in found):
        here = np.asarray([case.kind == kind for case in found])
        rate = float((strengths[here] >= 0.5).mean())
        what = f"planted: {kind}" if truth[here][0] else f"consistent: {kind} (share flagged)"
        yield Measured("answer_consistency", what, "ours", int(here.sum()), recall=rate)


_PARTS: dict[str, Callable[[Path, CachedVectors, int], Iterator[Measured]]] = {
    "intents": intents,
    "relevance": answers,
    "frustration": reactions,
    "consistency": consistency,
}


def _ranked(signal: str, data: str, by: str, truth: NDArray[np.bool_], value: Floats) -> Measured:
    order = truth[np.argsort(-value, kind="stable")]
    return Measured(
        signal, data, by, len(truth), float(roc_auc_score(truth, value)), float(average_precision_score(truth, value)),
        float(order[:50].mean()), float(order[:100].mean()),
    )  # fmt: skip


def _calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = np.clip((confidence * 10).astype(int), 0, 9)
    return float(
        sum(
            abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
            for b in range(10)
            if (bins == b).any()
        )
    )


def _dialogues(data: Path, seed: int) -> relevance.Pairs:
    """Replies of task dialogues, and replies of other dialogues."""
    questions: list[str] = []
    answers: list[str] = []
    for row in read(data, "relevance/dstc11_track5/queries")[:500]:
        turns = turns_of(row)
        for (asker, question), (replier, answer) in pairwise(turns):
            if (asker, replier) == ("user", "assistant") and judgeable(question, answer):
                questions.append(question)
                answers.append(answer)
    others = np.random.default_rng(seed).permutation(len(answers))
    return relevance.Pairs(
        questions * 2, answers + [answers[i] for i in others], np.repeat([0.0, 1.0], len(answers)), ["DSTC11"] * len(answers) * 2
    )


def _recommendations(data: Path) -> relevance.Pairs:
    """Rated turns of a recommending bot; bad where the raters' mean relevance is below 3 of 5."""
    questions, answers, bad = [], [], []
    for row in read(data, "satisfaction/ab_redial_turns"):
        turns, at = turns_of(row), row.get("rated_turn")
        rated = (row.get("ratings") or {}).get("relevance")
        if isinstance(at, int) and 0 < at < len(turns) and rated and turns[at - 1][0] == "user":
            questions.append(turns[at - 1][1])
            answers.append(turns[at][1])
            bad.append(float(np.mean(rated) < 3))
    return relevance.Pairs(questions, answers, np.asarray(bad), ["AB-ReDial"] * len(bad))


def _exchange(name: str, question: str, answer: str, follow_up: str | None = None) -> Exchange:
    turns = [Turn("q", "user", question)] if question else []
    turns.append(Turn("a", "bot", answer))
    turns.extend([Turn("f", "user", follow_up)] if follow_up else [])
    return split(Transcript(name, tuple(turns)))[-1]


def _batch(exchanges: Sequence[Exchange], vectors: CachedVectors) -> Batch:
    texts = list(dict.fromkeys(t for e in exchanges for t in (e.question, e.answer, e.follow_up) if t and not t.isspace()))
    matrix = np.concatenate([np.zeros((1, vectors.of([""]).shape[1]), dtype=np.float32), vectors.of(texts)])
    held = TextVectors({text: row for row, text in enumerate(texts, start=1)}, matrix)
    return Batch(exchanges, held, [()] * len(exchanges), [None] * len(exchanges))


def _negative(texts: Sequence[str]) -> Floats:
    return np.asarray([float(sum(word.strip(".,!?") in _NEGATIVE_WORDS for word in plain(text).split())) for text in texts])


def _strength(case: Case) -> float:
    found = contradictions(case.question, case.answer, case.other_question, case.other_answer, case.similarity)
    return max((one.strength for one in found), default=0.0)


def _figures(text: str) -> frozenset[tuple[str, float]]:
    return frozenset((fact.kind, fact.low) for fact in extract(text))


def _shared(one: str, two: str) -> float:
    left, right = content_words(plain(one)), content_words(plain(two))
    return len(left & right) / max(len(left | right), 1)


if __name__ == "__main__":
    main()
