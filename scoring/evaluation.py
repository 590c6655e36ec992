"""How good an intent model is on labelled examples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.intents import Prediction

OUT_OF_SCOPE = "oos"


def evaluate(predictions: Sequence[Prediction], labels: Sequence[str]) -> dict[str, float | int | None]:
    """Accuracy within scope, AUROC of the out-of-scope score, AUROC of low confidence for "this is wrong" (within scope),
    and expected calibration error (15 equal-width bins; Guo et al. 2017). None where the labels cannot tell.
    """
    inside = np.array([label != OUT_OF_SCOPE for label in labels])
    right = np.array([p.intent == label for p, label in zip(predictions, labels, strict=True)])
    confidence = np.array([p.confidence for p in predictions])
    outside = np.array([p.out_of_scope for p in predictions])
    return {
        "examples": len(labels),
        "in_scope": int(inside.sum()),
        "accuracy": float(right[inside].mean()) if inside.any() else None,
        "out_of_scope_auroc": _auroc(outside, ~inside),
        "wrong_auroc": _auroc(1 - confidence[inside], ~right[inside]),
        "calibration_error": _calibration_error(confidence[inside], right[inside]) if inside.any() else None,
    }


def _auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    if positive.all() or not positive.any():
        return None
    from sklearn.metrics import roc_auc_score  # a second of import that only an evaluation pays

    return float(roc_auc_score(positive, scores))


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in range(15) if (bins == b).any()
    ]
    return float(sum(gaps))
