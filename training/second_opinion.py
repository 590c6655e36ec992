"""Fits scoring/heads/second_opinion.json: when to believe our intent model that a platform took the wrong intent.

The platforms are classifiers fitted on a few or many examples of an intent, ours on fewer, as many or more of them, so that
neither is always the better one. Each data set weighs the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scoring.encoder import Vectors
from scoring.intents import OUT_OF_SCOPE, IntentModel
from scoring.second_opinion import FEATURES, inputs
from training.data import CachedVectors, read
from training.heads import write_head

Floats = NDArray[np.float64]
_SETS = ("banking77", "clinc150", "hwu64", "snips")
_SHOTS = ((5, 5), (15, 15), (40, 5), (10, 3), (5, 10))
"""Examples of an intent that the platform has, and that we have."""
_INFORMED = 4.0
"""How much more a case counts in which the platform has more examples than we: there our opinion does harm most easily."""
_ASKED = 600
_SHARPNESS = 20.0
_FITTED_ON = (
    "train parts of BANKING77 (Casanueva et al. 2020, CC BY 4.0), CLINC150 (Larson et al. 2019, CC BY 3.0), HWU64 (Liu et al. "
    "2019, CC BY 4.0), Snips (Coucke et al. 2018, CC0), with classifiers in the place of platforms"
)


@dataclass(frozen=True, slots=True)
class Case:
    """Rows of `inputs` (n, 3) and whether the platform was wrong (n,). `data` names the set; `informed`: the platform has more
    examples than we have."""

    data: str
    platform: str
    informed: bool
    rows: Floats
    wrong: NDArray[np.bool_]


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    found = list(cases(data, vectors, seed))
    rows = np.vstack([one.rows for one in found])
    wrong = np.concatenate([one.wrong for one in found])
    size = {name: sum(len(one.wrong) for one in found if one.data == name) for name in _SETS}
    counted = np.concatenate(
        [np.full(len(one.wrong), (_INFORMED if one.informed else 1.0) * len(wrong) / len(size) / size[one.data]) for one in found]
    )
    fitted = LogisticRegression(C=10.0).fit(rows, wrong, sample_weight=counted)
    write_head("second_opinion", float(fitted.intercept_[0]), dict(zip(FEATURES, fitted.coef_[0], strict=True)), _FITTED_ON)


def cases(data: Path, vectors: CachedVectors, seed: int, part: str = "train") -> Iterator[Case]:
    """Every set with every platform and every number of examples, which are always of the train part.

    `part`: where the questions are from.
    """
    for name in _SETS:
        rows, others = (
            [row for row in read(data, f"intents/{name}/{which}") if row["intent"] not in OUT_OF_SCOPE]
            for which in ("train", part)
        )
        order = [int(i) for i in np.random.default_rng(seed).permutation(len(rows))]
        for theirs, ours in _SHOTS:
            seen: dict[str, list[int]] = {}
            for i in order:
                seen.setdefault(rows[i]["intent"], []).append(i)
            most = max(theirs, ours)
            spoken = {j for some in seen.values() for j in some[:most]}
            if part == "train":
                asked = [rows[i] for i in order if i not in spoken][:_ASKED]
            else:
                asked = [others[int(i)] for i in np.random.default_rng(seed).permutation(len(others))[:_ASKED]]
            platform_knows, we_know = ([j for some in seen.values() for j in some[:shots]] for shots in (theirs, ours))
            texts = [row["text"] for row in rows]
            labels = [row["intent"] for row in rows]
            made = IntentModel.fit(
                [texts[i] for i in we_know], vectors.of([texts[i] for i in we_know]), [labels[i] for i in we_know], seed
            )
            given = vectors.of([row["text"] for row in asked])
            predictions = made.predict([row["text"] for row in asked], given)
            known = vectors.of([texts[i] for i in platform_knows])
            for kind, probabilities, names in _platforms(known, [labels[i] for i in platform_knows], given):
                best = probabilities.argmax(axis=1)
                sure = np.clip(probabilities.max(axis=1), 1e-4, 1 - 1e-4)
                told = [names[int(i)] for i in best]
                logits = np.log((1 - sure) / sure)
                yield Case(
                    name,
                    f"{kind}, {theirs} examples against {ours}",
                    theirs > ours,
                    np.asarray([inputs(*one) for one in zip(told, map(float, logits), predictions, strict=True)]),
                    np.asarray([one != row["intent"] for one, row in zip(told, asked, strict=True)]),
                )


def _platforms(known: Vectors, labels: list[str], asked: Vectors) -> Iterator[tuple[str, Floats, list[str]]]:
    """(kind, probabilities of the intents (n, intents), their names)."""
    names = sorted(set(labels))
    of = np.asarray([names.index(label) for label in labels])
    nearest = np.full((len(asked), len(names)), -1.0)
    np.maximum.at(nearest, (slice(None), of), asked @ known.T)
    sharp = np.exp(_SHARPNESS * (nearest - nearest.max(axis=1, keepdims=True)))
    yield "nearest example", sharp / sharp.sum(axis=1, keepdims=True), names
    fitted = LogisticRegression(C=5.0, max_iter=300).fit(known, of)
    yield "regression", fitted.predict_proba(asked), names
