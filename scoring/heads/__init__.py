"""The fitted coefficients that ship with scoring: one small JSON file a head, written by training/*.py."""

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Head:
    """A logistic regression over named features."""

    version: str
    features: tuple[str, ...]
    bias: float
    weights: Floats

    def logits(self, features: Floats) -> Floats:
        """Log-odds per row of `features` (n, len(self.features)), shape (n,)."""
        found: Floats = features @ self.weights + self.bias
        return found


def load_head(name: str) -> Head:
    """The packaged head called `name`; its version is derived from its content."""
    raw = files("scoring.heads").joinpath(f"{name}.json").read_bytes()
    content = json.loads(raw)
    return Head(
        version=content_version(name, raw),
        features=tuple(content["features"]),
        bias=float(content["bias"]),
        weights=np.asarray([content["features"][feature] for feature in content["features"]], dtype=np.float64),
    )


def content_version(name: str, raw: bytes) -> str:
    """A name that changes with the content and with nothing else."""
    return f"{name}-{hashlib.sha256(raw).hexdigest()[:12]}"
