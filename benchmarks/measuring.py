"""A line of a benchmark's table, and how its figures are computed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table. Accuracy and calibration error only where classes are predicted."""

    signal: str
    data: str
    by: str
    count: int
    auroc: float | None = None
    average_precision: float | None = None
    precision_at_50: float | None = None
    precision_at_100: float | None = None
    accuracy: float | None = None
    calibration_error: float | None = None
    precision: float | None = None
    recall: float | None = None


def ranked(signal: str, data: str, by: str, truth: NDArray[np.bool_], value: Floats) -> Measured:
    order = truth[np.argsort(-value, kind="stable")]
    return Measured(
        signal, data, by, len(truth), float(roc_auc_score(truth, value)), float(average_precision_score(truth, value)),
        float(order[:50].mean()), float(order[:100].mean()),
    )  # fmt: skip


def calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = np.clip((confidence * 10).astype(int), 0, 9)
    return float(
        sum(
            abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
            for b in range(10)
            if (bins == b).any()
        )
    )
