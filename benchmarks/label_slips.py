"""Plants wrong labels in public intent data and measures how many are pointed out, and how many others.

python -m benchmarks.label_slips --data ../shared/data --cache /tmp/vectors
"""

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from scoring.encoder import SentenceEncoder, Vectors
from scoring.intents import OUT_OF_SCOPE
from scoring.label_slips import find_slips
from scoring.out_of_scope import Indices, means, unit
from training.data import CachedVectors, read

SETS = ("clinc150", "banking77", "hwu64")
SHARES = (0.03, 0.05)
_NEAR = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label_slips", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 120)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    encoded = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    table = Table("data", "examples", "planted", "as", "pointed out", "precision", "recall", "s")
    for name in SETS:
        rows = [row for row in read(given.data, f"intents/{name}/train") if row["intent"] not in OUT_OF_SCOPE]
        vectors = encoded.of([row["text"] for row in rows])
        names, classes = np.unique([row["intent"] for row in rows], return_inverse=True)
        for share in SHARES:
            for kind in ("any intent", "a near one"):
                rng = np.random.default_rng(given.seed)
                planted = rng.random(len(classes)) < share
                told = np.where(planted, _others(vectors, classes, len(names), kind == "a near one", rng), classes)
                begun = time.process_time()
                found = find_slips(vectors, [str(names[one]) for one in told], given.seed)
                took = time.process_time() - begun
                hits = sum(bool(planted[one.row]) for one in found)
                figures = (f"{hits / max(len(found), 1):.3f}", f"{hits / max(int(planted.sum()), 1):.3f}", f"{took:.1f}")
                table.add_row(name, str(len(rows)), f"{planted.sum()} ({share:.0%})", kind, str(len(found)), *figures)
    console.print(table)


def _others(vectors: Vectors, classes: Indices, count: int, near: bool, rng: np.random.Generator) -> Indices:
    """For each example another class: any, or one of the three whose centres are nearest to its own."""
    if not near:
        found: Indices = (classes + rng.integers(1, count, len(classes))) % count
        return found
    centres = unit(means(vectors, classes, count))
    cosines = centres @ centres.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :_NEAR]
    chosen: Indices = nearest[classes, rng.integers(0, _NEAR, len(classes))]
    return chosen


if __name__ == "__main__":
    main()
