"""What our own intent model makes of the intent that the platform took: two heads see more than one (query by committee,
Seung, Opper and Sompolinsky 1992).

A regression weighs the platform's own log-odds of being wrong, how much likelier our model's favourite is than the
platform's intent, and how unsure our model is (`scoring/heads/second_opinion.json`, by `training/second_opinion.py`).
"""

import math
from functools import cache

import numpy as np

from scoring.heads import Head, load_head
from scoring.intents import Prediction

FEATURES = ("platform", "rather", "unsure")
_LEAST = 1e-4


def opinion(told: str, logit: float, prediction: Prediction | None) -> float | None:
    """Log-odds that the platform's intent `told` is wrong; None where our model cannot say.

    `logit`: the platform's own log-odds of that. Our model can say where it knows an intent of this name.
    """
    if prediction is None or told.casefold() not in prediction.known:
        return None
    return float(_head().logits(np.asarray([inputs(told, logit, prediction)]))[0])


def inputs(told: str, logit: float, prediction: Prediction) -> list[float]:
    """One row of `FEATURES`. `rather`: log ratio of our favourite's probability and that of the platform's intent."""
    ranked = {name.casefold(): probability for name, probability in prediction.ranking}
    beyond = prediction.ranking[-1][1] / 2 if len(prediction.ranking) > 1 else 0.0
    share = ranked.get(told.casefold(), beyond)
    best = min(max(prediction.confidence, _LEAST), 1 - _LEAST)
    return [logit, math.log(best / max(share, _LEAST)), math.log((1 - best) / best)]


@cache
def _head() -> Head:
    return load_head("second_opinion")
