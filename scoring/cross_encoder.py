"""Two texts read together: a cross-encoder from the hub, from a directory, or the packaged MiniLM with an adapter of ours.

The packaged one is a low-rank adapter (Hu et al. 2022, "LoRA") and a one-unit head for the packaged sentence encoder,
fitted by `python -m training`: a few MB in `scoring/adapters`, merged into the weights when it is loaded.
"""

import hashlib
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import PACKAGED, ModelUnusable, model_folder, usable_precision, weights_digest

Floats = NDArray[np.float64]

LONGEST = 144
"""Tokens of both texts together that the packaged adapters were fitted with; the second text is cut."""


class PairModel(Protocol):
    """Judges pairs of texts. `digest` names weights, adapter, backend and precision."""

    @property
    def digest(self) -> str: ...

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        """Log-odds per pair, (n,), in order."""
        ...


class CrossEncoder:
    """A sequence classifier over pairs on the CPU; `precision` as for the sentence encoder.

    With one output, its logit is given; with several (an entailment model), the log-odds of the one called `label`.
    """

    def __init__(
        self, model: str, adapter: str, label: str = "", precision: str = "auto", threads: int = 0, batch_size: int = 32
    ) -> None:
        """`model`: "packaged", a directory, or a hub name. `adapter`: the packaged one's name, read where `model` is "packaged".

        Raises
        ------
        ModelUnusable
            The weights cannot be had, or no output is called `label`.
        """
        folder = model_folder(model)
        digest = weights_digest(folder)
        import torch  # here: seconds of import that only a model may cost
        from sentence_transformers import CrossEncoder as Model
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        chosen = usable_precision(precision)
        kind = getattr(torch, chosen)
        if model == PACKAGED:
            home = Path(str(files("scoring").joinpath("adapters", adapter)))
            digest = hashlib.sha256((digest + weights_digest(home)).encode()).hexdigest()
            self._model: Any = _Adapted(folder, home, kind)
            self._column = 0
        else:
            self._model = Model(str(folder), device="cpu", max_length=512, model_kwargs={"dtype": kind})
            self._column = _column(self._model.config, label, model)
        self._batch_size = batch_size
        self._digest = f"{digest[:16]}-torch-{chosen}"

    @property
    def digest(self) -> str:
        return self._digest

    def logits(self, pairs: Sequence[tuple[str, str]]) -> Floats:
        if not pairs:
            return np.zeros(0)
        import torch

        found = self._model.predict(
            list(pairs), batch_size=self._batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity()
        )
        outputs = np.asarray(found, dtype=np.float64).reshape(len(pairs), -1)
        wanted = outputs[:, self._column]
        if outputs.shape[1] == 1:
            return np.asarray(wanted)
        others = np.delete(outputs, self._column, axis=1)
        return np.asarray(wanted - np.logaddexp.reduce(others, axis=1))


class _Adapted:
    """The packaged encoder as a classifier, with a low-rank adapter merged into its weights."""

    def __init__(self, folder: Path, home: Path, kind: Any) -> None:
        import json

        from safetensors.torch import load_file
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        scale = json.loads((home / "adapter_config.json").read_text())
        factor = scale["lora_alpha"] / scale["r"]
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
        weights, adapter = self._model.state_dict(), load_file(home / "adapter_model.safetensors")
        for name, found in adapter.items():
            place = name.removeprefix("base_model.model.")
            if place.endswith(".lora_A.weight"):
                above = adapter[name.replace("lora_A", "lora_B")].float()
                weights[place.replace(".lora_A", "")] += factor * (above @ found.float())
            elif ".lora_" not in place:
                weights[place] = found.float()
        self._model.load_state_dict(weights)
        self._model.to(kind).eval()

    def predict(self, pairs: Sequence[tuple[str, str]], batch_size: int, **_: object) -> Floats:
        """One logit per pair, in order; read in order of length, so that little is padded."""
        import torch

        tokens = self._tokenizer(
            [one for one, _ in pairs], [two for _, two in pairs], truncation="longest_first", max_length=LONGEST
        )
        order = np.argsort([len(ids) for ids in tokens["input_ids"]], kind="stable")
        found = np.zeros(len(pairs))
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                given = self._tokenizer.pad({name: [tokens[name][i] for i in rows] for name in tokens}, return_tensors="pt")
                found[rows] = self._model(**given).logits[:, 0].float().numpy()
        return found


def _column(config: Any, label: str, model: str) -> int:
    """The output called `label`; the only one where there is one."""
    names = {str(name).lower(): int(i) for i, name in (getattr(config, "id2label", None) or {}).items()}
    if len(names) <= 1:
        return 0
    if label.lower() not in names:
        raise ModelUnusable(f"{model}: no output is called {label!r}; there are {', '.join(names)}")
    return names[label.lower()]


def load_pair_model(
    model: str, task: Literal["relevance", "entailment"], precision: str = "auto", threads: int = 0
) -> CrossEncoder | None:
    """The cross-encoder for a task that a setting names: "off", "packaged", "hub" (the task's usual one), or as CrossEncoder.

    Raises
    ------
    ModelUnusable
        The weights cannot be had.
    """
    name, label = _USUAL[task]
    return None if model == OFF else CrossEncoder(name if model == HUB else model, task, label, precision, threads)


OFF, HUB = "off", "hub"
_USUAL = {
    "relevance": ("cross-encoder/ms-marco-MiniLM-L6-v2", ""),
    "entailment": ("cross-encoder/nli-deberta-v3-small", "contradiction"),
}
