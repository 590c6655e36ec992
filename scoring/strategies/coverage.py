"""Coverage: what is typical of the clusters that nobody looked at."""

from typing import Any

import numpy as np

from scoring.strategies.base import Pool, Strategy

MOST_CLUSTERS = 500


def pick(pool: Pool, budget: int, rng: np.random.Generator) -> list[int]:
    """TypiClust (Hacohen et al. 2022, "Active Learning on a Budget"): as many clusters as there will be labels, at most 500;
    from those with the fewest labels, the largest first, the text that is most like its neighbours."""
    open_ = pool.open()
    asked = np.flatnonzero(pool.space.asked)
    budget = min(budget, int(open_.sum()))
    if budget <= 0:
        return []
    clusters = np.full(len(pool), -1)
    count = min(len(pool.labelled) + budget, MOST_CLUSTERS, len(asked))
    clusters[asked] = _clusters(pool.space.vectors[asked], count, int(rng.integers(2**31)))
    sizes = np.bincount(clusters[asked], minlength=count)
    seen = np.bincount(clusters[np.intersect1d(pool.labelled, asked)], minlength=count)
    rows = np.flatnonzero(open_)
    rows = rows[np.argsort(-pool.space.typicality[rows], kind="stable")]
    waiting: list[list[int]] = [[] for _ in range(count)]
    for i in rows[::-1]:
        waiting[clusters[i]].append(int(i))
    chosen: list[int] = []
    while len(chosen) < budget:
        left = [c for c in range(count) if waiting[c]]
        best = min(left, key=lambda c: (seen[c], -sizes[c]))
        chosen.append(waiting[best].pop())
        seen[best] += 1
    return chosen


def _clusters(vectors: Any, count: int, seed: int) -> Any:
    import faiss  # a second of import that other strategies need not pay

    found: Any = faiss.Kmeans(
        vectors.shape[1], count, niter=8, seed=seed, min_points_per_centroid=1, max_points_per_centroid=len(vectors)
    )
    found.train(vectors)
    return found.index.search(vectors, 1)[1][:, 0]


STRATEGY = Strategy("coverage", pick, reason="nothing like it was labelled yet")
