"""Measures every signal on parts of public data that nothing was fitted on, against the simplest things that could work.

python -m benchmarks.signals --data ../shared/data --cache /tmp/vectors --json signals.json
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Measured
from benchmarks.signal_parts.consistency import consistency
from benchmarks.signal_parts.intents import intents, requests
from benchmarks.signal_parts.priority import priority
from benchmarks.signal_parts.reactions import reactions
from benchmarks.signal_parts.relevance import answers
from benchmarks.signal_parts.second_opinions import second_opinions
from scoring.encoder import SentenceEncoder
from training.data import CachedVectors

_PARTS: dict[str, Callable[[Path, CachedVectors, int], Iterator[Measured]]] = {
    "intents": intents,
    "second opinion": second_opinions,
    "requests": requests,
    "relevance": answers,
    "frustration": reactions,
    "consistency": consistency,
    "priority": priority,
}


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


if __name__ == "__main__":
    main()
