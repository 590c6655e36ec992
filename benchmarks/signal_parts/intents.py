"""The intent head: right, calibrated, knows what is out of scope and what it takes wrongly, several requests in one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.measuring import Measured, calibration_error, ranked
from scoring.intents import OUT_OF_SCOPE, IntentModel
from scoring.out_of_scope import means, unit
from training.data import CachedVectors, read


def intents(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    for name in ("clinc150", "banking77", "banking77_oos", "hwu64"):
        train, test = read(data, f"intents/{name}/train"), read(data, f"intents/{name}/test")
        inside = [row for row in train if row["intent"] not in OUT_OF_SCOPE]
        texts, labels = [row["text"] for row in inside], [row["intent"] for row in inside]
        fitted, asked = vectors.of(texts), [row["text"] for row in test]
        model = IntentModel.fit(texts, fitted, labels, seed, vectors.digest)
        seen, truth = vectors.of(asked), np.asarray([row["intent"] for row in test])
        predictions = model.predict(asked, seen)
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
            calibration_error=calibration_error(confidence[~outside], right[~outside]),
        )  # fmt: skip
        for by, given in (("plain logistic head", plain_right), ("nearest centre", centred == truth)):
            yield Measured("intent_confidence", name, by, count, accuracy=float(given[~outside].mean()))
        here = ~outside
        yield ranked("intent_confidence", f"{name}, wrong in scope", "ours", ~right[here], 1 - confidence[here])
        yield ranked(
            "intent_confidence",
            f"{name}, wrong in scope",
            "1 - largest probability",
            ~plain_right[here],
            1 - shares.max(axis=1)[here],
        )
        if outside.any():
            what = f"{name}, wrong over all"
            yield ranked("intent_confidence", what, "ours", ~right, 1 - confidence * scope)
            yield ranked("intent_confidence", what, "1 - largest probability", ~plain_right, 1 - shares.max(axis=1))
            what = f"{name}, out of scope"
            yield ranked("intent_confidence", what, "ours", outside, 1 - scope)
            yield ranked("intent_confidence", what, "1 - largest probability", outside, 1 - shares.max(axis=1))
            yield ranked("intent_confidence", what, "1 - nearest cosine", outside, 1 - (seen @ fitted.T).max(axis=1))


def requests(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    """Questions with several intents: precision and recall of the intents named, beside naming the first alone."""
    for name in ("clinc150", "hwu64"):  # two questions of the test part joined; and the test part as it is, one intent each
        model, test = _model(data, f"intents/{name}/train", vectors, seed), read(data, f"intents/{name}/test")
        inside = [row for row in test if row["intent"] not in OUT_OF_SCOPE]
        order = np.random.default_rng(seed).permutation(len(inside))[:400]
        pairs = [(inside[a], inside[b]) for a, b in zip(order[::2], order[1::2], strict=True)]
        joined = [
            (one["text"].rstrip(".?! ") + (" and " if i % 2 else ". Also, ") + two["text"], {one["intent"], two["intent"]})
            for i, (one, two) in enumerate(pairs)
            if one["intent"] != two["intent"]
        ]
        yield from _named(f"{name}, two questions joined", model, joined, vectors)
        yield from _named(f"{name}, single questions", model, [(row["text"], {row["intent"]}) for row in inside], vectors)
    for name in ("nlupp_banking", "nlupp_hotels"):  # labels are aspects of one request; fitted on the first label of each
        rows = [row for row in read(data, f"intents/{name}/train") if row["intents"]]
        seen, test = [row for row in rows if row["fold"] > 1], [row for row in rows if row["fold"] <= 1]
        texts = [row["text"] for row in seen]
        model = IntentModel.fit(texts, vectors.of(texts), [row["intents"][0] for row in seen], seed, vectors.digest)
        yield from _named(f"{name}, all labels", model, [(row["text"], set(row["intents"])) for row in test], vectors)


def _model(data: Path, train: str, vectors: CachedVectors, seed: int) -> IntentModel:
    inside = [row for row in read(data, train) if row["intent"] not in OUT_OF_SCOPE]
    texts = [row["text"] for row in inside]
    return IntentModel.fit(texts, vectors.of(texts), [row["intent"] for row in inside], seed, vectors.digest)


def _named(data: str, model: IntentModel, asked: Sequence[tuple[str, set[str]]], vectors: CachedVectors) -> Iterator[Measured]:
    texts = [text for text, _ in asked]
    predictions = model.predict(texts, vectors.of(texts), vectors.of)
    wanted = sum(len(truth) for _, truth in asked)
    for by, most in (("ours", None), ("first intent alone", 1)):
        named = [set(one.intents[:most]) for one in predictions]
        hits = sum(len(found & truth) for found, (_, truth) in zip(named, asked, strict=True))
        precision = hits / sum(len(found) for found in named)
        yield Measured("intent_confidence", data, by, len(asked), precision=precision, recall=hits / wanted)
