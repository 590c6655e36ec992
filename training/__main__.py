"""Fits every head that ships with scoring: `python -m training --data ../shared/data`. Same data and seed, same files."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

from scoring.encoder import SentenceEncoder
from training import consistency, entailment, frustration, priority, relevance, second_opinion, tone
from training.data import CachedVectors

# In this order: later ones read what earlier ones wrote.
_PARTS: dict[str, Callable[[Path, CachedVectors, int], None]] = {
    "relevance": relevance.fit,
    "second_opinion": second_opinion.fit,
    "tone": tone.fit,
    "frustration": frustration.fit,
    "entailment": lambda data, _, seed: entailment.fit(data, seed),
    "consistency": consistency.fit,
    "priority": priority.fit,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(_PARTS), help="fit this alone")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # float32 on every processor: bfloat16 would make the shipped files depend on the machine
    vectors = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    for name, fit in _PARTS.items():
        if given.only in (None, name):
            fit(given.data, vectors, given.seed)
            logging.getLogger(__name__).info("fitted %s", name)


if __name__ == "__main__":
    main()
