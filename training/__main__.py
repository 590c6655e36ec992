"""Fits every head that ships with scoring: `python -m training --data ../shared/data`. Same data and seed, same files."""

import argparse
import logging
from pathlib import Path

from scoring.encoder import SentenceEncoder
from training import frustration, relevance, tone
from training.data import CachedVectors


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the public data sets")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("relevance", "tone", "frustration"), help="fit this head alone")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # float32 on every processor: bfloat16 would make the shipped files depend on the machine
    vectors = CachedVectors(SentenceEncoder(precision="float32"), given.cache)
    for name, fit in (("relevance", relevance.fit), ("tone", tone.fit), ("frustration", frustration.fit)):
        if given.only in (None, name):
            fit(given.data, vectors, given.seed)
            logging.getLogger(__name__).info("fitted %s", name)


if __name__ == "__main__":
    main()
