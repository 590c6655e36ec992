"""Writes a fitted head as the JSON file that `scoring.heads.load_head` reads."""

import json
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "scoring" / "heads"


def write_head(
    name: str,
    bias: float,
    features: Mapping[str, float],
    fitted_on: str,
    folder: Path = FOLDER,
) -> Path:
    """Six significant digits: the file is read by people, and two runs that differ in the last bit give the same file."""
    content = {
        "fitted_on": fitted_on,
        "bias": _short(bias),
        "features": {feature: _short(weight) for feature, weight in features.items()},
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def _short(number: float) -> float:
    return float(f"{number:.5g}")
