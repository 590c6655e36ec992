"""What a strategy would have cost: labels are asked for in batches, and after each the head is tested."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.acquire import choose
from scoring.discriminant import Discriminant, Indices, fit_growing
from scoring.encoder import Vectors
from scoring.strategies.base import Pool, Space

Pick = Callable[[Pool, int, np.random.Generator], list[int]]
Fit = Callable[[Vectors, Indices, Vectors], Discriminant]


@dataclass(frozen=True, slots=True)
class Task:
    """Texts to choose from and texts to be tested on, as unit vectors (n, dimensions) with their classes (n,) as numbers."""

    space: Space
    classes: Indices
    test: Vectors
    test_classes: Indices


def make_task(vectors: Vectors, intents: Sequence[str], test: Vectors, test_intents: Sequence[str]) -> Task:
    """Intents become numbers; those only the test knows get numbers that no label has."""
    names = {name: i for i, name in enumerate(dict.fromkeys((*sorted(set(intents)), *sorted(set(test_intents)))))}
    numbers = [np.asarray([names[name] for name in given], dtype=np.intp) for given in (intents, test_intents)]
    return Task(Space(vectors), numbers[0], np.asarray(test, dtype=np.float32), numbers[1])


def asking(strategy: str) -> Pick:
    """The strategy of that name as `simulate` takes it.

    Raises
    ------
    UnknownStrategy
        No strategy has that name (when it is asked).
    """
    return lambda pool, budget, rng: [choice.index for choice in choose(strategy, pool, budget, rng)]


def simulate(task: Task, pick: Pick, budget: int, batch: int, seed: int, fit: Fit = fit_growing) -> Iterator[tuple[int, float]]:
    """(labels, test accuracy) after each batch, from no label on; ends at `budget` or where nothing is left to pick.

    `fit` makes the head from vectors, classes and the centre of all texts. Same task, pick and seed: same curve.
    """
    rng = np.random.default_rng(seed)
    vectors, centre = task.space.vectors, task.space.vectors.mean(axis=0)
    labelled: list[int] = []
    probabilities, trust = None, 0.0
    while len(labelled) < budget:
        rows = np.asarray(labelled, dtype=np.intp)
        pool = Pool(task.space, rows, task.classes[rows], probabilities, trust)
        chosen = pick(pool, min(batch, budget - len(labelled)), rng)
        if not chosen:
            return
        labelled += chosen
        rows = np.asarray(labelled, dtype=np.intp)
        head = fit(vectors[rows], task.classes[rows], centre)
        probabilities, trust = head.probabilities(vectors), head.accuracy
        yield len(labelled), float((head.predict(task.test) == task.test_classes).mean())
