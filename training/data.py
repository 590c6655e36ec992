"""Reads the public data sets that the heads are fitted on; broken lines are skipped and counted."""

import gzip
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.encoder import SentenceEncoder, Vectors

Row = dict[str, Any]
log = logging.getLogger(__name__)


def read(folder: Path, name: str) -> list[Row]:
    """The objects of `name`.jsonl or `name`.jsonl.gz under the folder, in order."""
    path = folder / f"{name}.jsonl"
    text = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.jsonl.gz").read_bytes())
    rows, broken = [], 0
    for line in text.decode(errors="replace").split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            broken += 1
            continue
        if isinstance(row, dict):
            rows.append(row)
    if broken:
        log.warning("%s: %d broken lines skipped", name, broken)
    return rows


def turns_of(row: Row) -> list[tuple[str, str]]:
    """(role or speaker, text) of a row's turns; some rows hold the dialogue as one string, a turn a line."""
    turns = row.get("turns")
    if isinstance(turns, str):
        return [(str(i % 2), line.strip()) for i, line in enumerate(turns.split("\n")) if line.strip()]
    found = []
    for turn in turns if isinstance(turns, list) else []:
        if isinstance(turn, dict) and isinstance(turn.get("text"), str):
            found.append((str(turn.get("role") or turn.get("speaker") or ""), turn["text"]))
    return found


class CachedVectors:
    """Encodes each text once and keeps the vectors in a folder between runs, by encoder digest."""

    def __init__(self, encoder: SentenceEncoder, folder: Path | None) -> None:
        self._encoder = encoder
        self._file = None if folder is None else folder / f"{encoder.digest}.npz"
        self._rows: dict[str, Vectors] = {}
        if self._file is not None and self._file.exists():
            with np.load(self._file, allow_pickle=False) as kept:
                self._rows = dict(zip(json.loads(kept["texts"].tobytes()), kept["vectors"].astype(np.float32), strict=True))

    @property
    def encoder(self) -> SentenceEncoder:
        return self._encoder

    @property
    def digest(self) -> str:
        return self._encoder.digest

    def of(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors in order; an empty text has the zero vector."""
        missing = list(dict.fromkeys(text for text in texts if text.strip() and text not in self._rows))
        if missing:
            self._rows.update(zip(missing, self._encoder.encode(missing), strict=True))
            self._keep()
        zero = np.zeros(self._encoder.dimensions, dtype=np.float32)
        return np.asarray([self._rows.get(text, zero) for text in texts], dtype=np.float32).reshape(-1, self._encoder.dimensions)

    def _keep(self) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        texts = np.frombuffer(json.dumps(list(self._rows)).encode(), dtype=np.uint8)
        np.savez(self._file, texts=texts, vectors=np.asarray(list(self._rows.values()), dtype=np.float32))
