"""Was the platform's intent wrong? Its own confidence, and what our model makes of it, on questions of the test parts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measuring import Measured, calibration_error, ranked
from scoring.heads import load_head
from training.data import CachedVectors
from training.second_opinion import cases


def second_opinions(data: Path, vectors: CachedVectors, seed: int) -> Iterator[Measured]:
    head = load_head("second_opinion")
    for case in cases(data, vectors, seed, "test"):
        name = f"{case.data}: {case.platform}"
        yield ranked("intent_confidence", name, "the platform's confidence", case.wrong, case.rows[:, 0])
        both = 1 / (1 + np.exp(-head.logits(case.rows)))
        found = ranked("intent_confidence", name, "with our model's opinion", case.wrong, both)
        yield replace(found, calibration_error=calibration_error(both, case.wrong))
