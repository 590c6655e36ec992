"""What a refit of a source's intent model costs, by part: the rehearsal, the fit, the comparison's fit, the file, the slips.

python -m benchmarks.refit --data ../shared/data --cache /tmp/vectors
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from scoring.encoder import SentenceEncoder
from scoring.intents import OUT_OF_SCOPE, IntentModel, rehearsed
from scoring.label_slips import find_slips
from training.data import CachedVectors, read

SETS = ("clinc150", "hwu64")
COUNTS = (2_000, 20_000)
JUDGED = 20
"""Labels that the comparison's fit lacks."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refit", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--labels", type=int, nargs="+", default=COUNTS, help="how many labels; each is a line of the table")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 120)
    if not given.data.is_dir():
        console.print(f"no data in {given.data}: nothing measured")
        return
    encoded = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    labels = {  # a text once, as a source has it
        row["text"]: f"{name} {row['intent']}"
        for name in SETS
        for row in read(given.data, f"intents/{name}/train")
        if row["intent"] not in OUT_OF_SCOPE
    }
    texts = [list(labels)[i] for i in np.random.default_rng(given.seed).permutation(len(labels))]
    table = Table("labels", "intents", "part", "processor s", "wall s")
    for count in given.labels:
        some = texts[:count]
        table.add_section()
        for part, processor, wall in _measured(some, encoded.of(some), [labels[text] for text in some], given.seed):
            table.add_row(f"{len(some):,}", str(len({labels[text] for text in some})), part, f"{processor:.2f}", f"{wall:.2f}")
    console.print(table)


def _measured(texts: list[str], vectors: Any, intents: list[str], seed: int) -> list[tuple[str, float, float]]:
    """(part, seconds of processor, seconds of wall) for each part of a refit, and for all of it."""
    found: list[tuple[str, float, float]] = []

    def timed(part: str, do: Callable[[], Any]) -> Any:
        processor, wall = time.process_time(), time.perf_counter()
        done = do()
        found.append((part, time.process_time() - processor, time.perf_counter() - wall))
        return done

    learned = timed("rehearsal", lambda: rehearsed(texts, vectors, intents, seed))
    model = timed("fit", lambda: IntentModel.fit(texts, vectors, intents, seed, "", learned))
    kept = slice(len(texts) - JUDGED)
    timed("fit to compare", lambda: IntentModel.fit(texts[kept], vectors[kept], intents[kept], seed, "", learned))
    with tempfile.TemporaryDirectory() as folder:
        timed("file", lambda: model.save(Path(folder) / "model"))
    timed("slips", lambda: find_slips(vectors, intents))
    return [*found, ("all", sum(one[1] for one in found), sum(one[2] for one in found))]


if __name__ == "__main__":
    main()
