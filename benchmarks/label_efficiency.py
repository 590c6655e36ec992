"""How many labels each strategy needs to reach an accuracy, against chance and against strategies of other libraries.

python -m benchmarks.label_efficiency --data ../shared/data --cache /tmp/vectors --json labels.json --svg labels.svg

Train parts are the pools, test parts give the accuracy. All are asked on the same vectors; a strategy is compared with chance
under the same head. What chance picks does not depend on the size of a batch: it is asked once, for 100 at a time.
"""

import argparse
import gzip
import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from benchmarks.label_peers import PEERS
from scoring.discriminant import Discriminant, Indices, fit_growing
from scoring.encoder import Vectors, make_encoder
from scoring.simulation import Fit, Task, asking, make_task, simulate
from scoring.strategies import STRATEGIES

TARGETS = {"banking77": (0.80, 0.85, 0.90), "clinc150": (0.85, 0.90), "hwu64": (0.80, 0.85, 0.88)}
CHANCE, OURS, GROWING, REGRESSION = "random", "mixed", "growing", "regression"
MOST_BY_CHANCE, MOST = 3600, 1200


@dataclass(frozen=True, slots=True)
class Run:
    data: str
    strategy: str
    head: str
    batch: int
    seed: int


@dataclass(frozen=True, slots=True)
class Curve:
    """(labels, accuracy) after each batch, up to the highest target or the budget."""

    run: Run
    points: list[tuple[int, float]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_efficiency", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the vectors between runs")
    parser.add_argument("--json", type=Path, help="write every curve and the figures here; what is there already is kept")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, help="processes; give each one thread (OMP_NUM_THREADS=1)")
    parser.add_argument("--small", action="store_true", help="batches of 20 for every strategy, not only for the main ones")
    given = parser.parse_args()
    folder = given.data / "intents"
    if not folder.is_dir():
        Console().print(f"no data in {folder}: nothing measured")
        return
    for name in TARGETS:
        load_task(folder, given.cache, name)
    curves = _known(given.json)
    waiting = [run for run in planned(given.seeds, given.small) if run not in {curve.run for curve in curves}]
    # Spawned: threads of the encoder, which this process may have run, do not survive a fork.
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as processes:
        for done in as_completed([processes.submit(draw_curve, run, folder, given.cache) for run in waiting]):
            curves.append(done.result())
            if given.json:
                given.json.write_text(json.dumps([asdict(curve) for curve in curves]))
    Console(width=150).print(table(curves))
    if given.svg:
        plot(curves, given.svg)


def planned(seeds: int, small: bool) -> Iterator[Run]:
    """What is measured, the most telling first. Nothing in the default strategy is random: one seed stands for all."""
    small_batches = [*STRATEGIES, *PEERS] if small else [OURS, "margin", "scikit-activeml Falcun"]
    kinds = [
        (CHANCE, GROWING, 100),
        (OURS, GROWING, 20),
        (OURS, GROWING, 100),
        (OURS, REGRESSION, 20),
        *((peer, GROWING, 100) for peer in PEERS),
        *((name, GROWING, 100) for name in STRATEGIES if name not in (CHANCE, OURS)),
        *((name, GROWING, 20) for name in small_batches if name not in (CHANCE, OURS)),
        (CHANCE, REGRESSION, 100),
    ]
    for strategy, head, batch in kinds:
        for seed in range(1 if strategy == OURS else seeds):
            yield from (Run(data, strategy, head, batch, seed) for data in TARGETS)


def draw_curve(run: Run, folder: Path, cache: Path) -> Curve:
    task = load_task(folder, cache, run.data)
    most = MOST_BY_CHANCE if run.strategy == CHANCE else MOST
    pick = PEERS.get(run.strategy) or asking(run.strategy)
    points: list[tuple[int, float]] = []
    for point in simulate(task, pick, most, run.batch, run.seed, HEADS[run.head]):
        points.append(point)
        if len(points) > 2 and min(accuracy for _, accuracy in points[-3:]) >= TARGETS[run.data][-1]:
            break
    return Curve(run, points)


def fit_regression(vectors: Vectors, classes: Indices, centre: Vectors) -> Discriminant:
    """Logistic regression alone, with the strength of the intent model's; the discriminant tells how far it can be believed."""
    head = Discriminant.fit(vectors, classes, centre)
    if len(head.classes) < 3:
        return head
    with warnings.catch_warnings():  # one example a class looks odd to scikit-learn
        warnings.simplefilter("ignore")
        regression = LogisticRegression(C=20.0, tol=2e-4, max_iter=200).fit(vectors, classes)
    return replace(head, weights=regression.coef_.T.astype(np.float32), bias=regression.intercept_.astype(np.float32))


HEADS: dict[str, Fit] = {GROWING: fit_growing, REGRESSION: fit_regression}


def needed(points: Sequence[tuple[int, float]], target: float) -> float:
    """Labels at which the curve, its points averaged with those before and after, first reaches the target; else infinite."""
    labels, accuracies = np.asarray(points, dtype=np.float64).T
    around = np.convolve(np.pad(accuracies, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")
    reached = np.flatnonzero(around >= target)
    if not len(reached):
        return float("inf")
    i = int(reached[0])
    if i == 0:
        return float(labels[0])
    return float(np.interp(target, around[i - 1 : i + 1], labels[i - 1 : i + 1]))


def table(curves: Sequence[Curve]) -> Table:
    """Mean labels over the seeds, and in brackets how many fewer than by chance with the same head."""
    targets = [(data, target) for data, some in TARGETS.items() for target in some]
    shown = Table("strategy", "head", "batch", *(f"{data} {target:.2f}" for data, target in targets))
    for strategy, head, batch in dict.fromkeys((c.run.strategy, c.run.head, c.run.batch) for c in curves):
        cells = []
        for data, target in targets:
            mine, sure = mean_needed(curves, Run(data, strategy, head, batch, 0), target)
            chance, _ = mean_needed(curves, Run(data, CHANCE, head, 100, 0), target)
            fewer = f" ({1 - mine / chance:.0%})" if sure and np.isfinite(chance) and strategy != CHANCE else ""
            cells.append(f"{mine:,.0f}{fewer}" if sure else f"> {mine:,.0f}")
        shown.add_row(strategy, head, str(batch), *cells)
    return shown


def mean_needed(curves: Sequence[Curve], of: Run, target: float) -> tuple[float, bool]:
    """The mean over all seeds of that run, and whether all reached it: one that did not counts with the labels that it had."""
    found = [(needed(c.points, target), c.points[-1][0]) for c in curves if replace(c.run, seed=0) == of]
    if not found:
        return float("nan"), False
    return float(np.mean([min(labels, most) for labels, most in found])), all(np.isfinite(labels) for labels, _ in found)


def plot(curves: Sequence[Curve], path: Path) -> None:
    """One panel a data set: mean accuracy over the seeds in batches of 100, and of the default in batches of 20."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "labels"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(TARGETS), figsize=(15, 5), sharey=True)
    names = dict.fromkeys((c.run.strategy, c.run.batch) for c in curves if c.run.head == GROWING)
    for panel, data in zip(panels, TARGETS, strict=True):
        for strategy, batch in names:
            if batch == 20 and strategy != OURS:
                continue
            wanted = Run(data, strategy, GROWING, batch, 0)
            some = [c.points for c in curves if replace(c.run, seed=0) == wanted]
            shortest = min((len(points) for points in some), default=0)
            if shortest:
                mean = np.mean([np.asarray(points[:shortest]) for points in some], axis=0)
                width = 2.5 if strategy in (OURS, CHANCE) else 1.0
                panel.plot(*mean.T, linewidth=width, label=f"{strategy}, {batch} at a time")
        panel.set(title=data, xlabel="labels", xlim=(0, 1500), ylim=(0.4, 0.95))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy")
    panels[-1].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


@lru_cache
def load_task(folder: Path, cache: Path, name: str) -> Task:
    """In-scope texts of a data set as vectors, from the cache where they are there."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for part in ("train", "test"):
        rows = [row for row in _lines(folder / name / f"{part}.jsonl") if row["intent"] != "oos"]
        texts = [row["text"] for row in rows]
        kept = cache / f"{name}_{part}_{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}.npy"
        if not kept.exists():
            np.save(kept, make_encoder("packaged").encode(texts))
        parts += [np.load(kept), [row["intent"] for row in rows]]
    return make_task(*parts)


def _lines(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes() if path.exists() else gzip.decompress(path.with_suffix(".jsonl.gz").read_bytes())
    return [json.loads(line) for line in content.splitlines()]


def _known(path: Path | None) -> list[Curve]:
    if path is None or not path.exists():
        return []
    return [Curve(Run(**one["run"]), one["points"]) for one in json.loads(path.read_text())]


if __name__ == "__main__":
    main()
