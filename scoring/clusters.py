"""Clusters: exchanges that ask the same, joined one after the other."""

from collections.abc import Mapping, Sequence

import numpy as np

from scoring.scorer import Scored


def cluster(scored: Sequence[Scored], of: Mapping[int, int], look_alike: float) -> list[int | None]:
    """Whom each exchange joins: the cluster of its nearest look-alike question.

    `of` gives the cluster of keys of the past. The result holds, per exchange, a cluster of the past (>= 0),
    -(i + 1) where it joins the cluster that the i-th exchange of this batch opens (itself, if nobody is alike), or None
    where it asks nothing. Leader clustering (Hartigan 1975): order matters, but nothing is ever moved afterwards.
    """
    joined: list[int | None] = []
    opened: list[int] = []  # neighbours are the nearest few of all: among many copies of a question its leader may be missing
    leaders = np.zeros((len(scored), scored[0].question.size if scored else 0), dtype=np.float32)
    for i, one in enumerate(scored):
        if not one.question.any():
            joined.append(None)
            continue
        home: int | None = None
        for key, cosine in one.near:
            if cosine < look_alike:
                break
            if key >= 0 and key in of:
                home = of[key]
            elif -len(joined) <= key < 0:
                home = joined[-key - 1]
            if home is not None:
                break
        if home is None and opened:
            same = np.asarray([scored[leader].exchange.source == one.exchange.source for leader in opened])
            alike = np.where(same, leaders[: len(opened)] @ one.question, -1.0)
            if alike.max() >= look_alike:
                home = -(opened[int(alike.argmax())] + 1)
        if home is None:
            home = -(i + 1)
            leaders[len(opened)] = one.question
            opened.append(i)
        joined.append(home)
    return joined
