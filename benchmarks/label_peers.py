"""Strategies of small-text and scikit-activeml, asked with the same vectors and the same head's probabilities as ours.

Both libraries want an object that predicts; what it is asked for is what the head has said already.
"""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Falcun, TypiClust
from skactiveml.utils import MISSING_LABEL
from sklearn.cluster import MiniBatchKMeans
from small_text.query_strategies import BreakingTies, EmbeddingKMeans

from scoring.strategies import STRATEGIES
from scoring.strategies.base import Pool

Pick = Callable[[Pool, int, np.random.Generator], list[int]]

logging.getLogger("small_text").setLevel(logging.ERROR)


class _Told(SkactivemlClassifier):  # type: ignore[misc]
    """Gives the probabilities that are known, whatever it is asked about."""

    def __init__(self, told: Any = None) -> None:
        super().__init__(classes=None, missing_label=MISSING_LABEL, cost_matrix=None, random_state=None)
        self.told = told

    def fit(self, X: Any, y: Any) -> "_Told":
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.told


def _open(pool: Pool) -> Any:
    return np.flatnonzero(pool.open())


def _seen(pool: Pool) -> Any:
    """The labels as scikit-activeml wants them: (n,), not a number where there is none."""
    labels = np.full(len(pool), MISSING_LABEL)
    labels[pool.labelled] = pool.labels
    return labels


def _breaking_ties(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    asked = BreakingTies().query(_Told(pool.probabilities), pool.space.vectors, _open(pool), pool.labelled, pool.labels, n=budget)
    return [int(i) for i in asked]


def _embedding_kmeans(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    np.random.seed(int(rng.integers(2**31)))
    everything = _open(pool), pool.labelled
    asked = EmbeddingKMeans().query(
        None, pool.space.vectors, *everything, pool.labels, n=budget, embeddings=pool.space.vectors[np.concatenate(everything)]
    )
    return [int(i) for i in asked]


def _falcun(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    rows = _open(pool)
    assert pool.probabilities is not None
    asked = Falcun(random_state=int(rng.integers(2**31))).query(
        pool.space.vectors, _seen(pool), _Told(pool.probabilities[rows]), fit_clf=False, candidates=rows, batch_size=budget
    )
    return [int(i) for i in asked]


def _typiclust(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    asked = TypiClust(random_state=int(rng.integers(2**31)), cluster_algo=MiniBatchKMeans, cluster_algo_dict={"n_init": 1}).query(
        pool.space.vectors, _seen(pool), batch_size=budget
    )
    return [int(i) for i in asked]


def _from_chance(pick: Pick) -> Pick:
    """Those that need a head's probabilities begin with a batch by chance, as both libraries' manuals do."""

    def picked(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
        started = pool.probabilities is not None and pool.probabilities.shape[1] > 1
        return pick(pool, budget, rng) if started else STRATEGIES["random"].pick(pool, budget, rng)

    return picked


PEERS: dict[str, Pick] = {
    "small-text breaking ties": _from_chance(_breaking_ties),
    "small-text embedding k-means": _from_chance(_embedding_kmeans),
    "scikit-activeml Falcun": _from_chance(_falcun),
    "scikit-activeml TypiClust": _typiclust,
}
