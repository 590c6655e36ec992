"""Fits scoring/heads/late_interaction.safetensors: which directions of the words' states tell an answer from a look-alike.

From questions with their gold passage among the twenty nearest (FeedbackQA retrieval): the projection starts as the
principal directions of the states and moves as far as the ranking loss pays for it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch.nn import functional

from scoring.encoder import SentenceEncoder, Vectors
from training.data import CachedVectors
from training.heads import FOLDER

log = logging.getLogger(__name__)

SIZE = 128
"""Dimensions of a word; 64 ranked almost as well."""
_PASSES = 2
_AT_ONCE = 8
_OTHERS = 9
_PULL = 0.01
"""How much a squared step away from the principal directions costs."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """A question with its nearest passages, best first, their cosines, and the gold one's place (-1: not among them)."""

    question: str
    passages: list[str]
    cosines: list[float]
    gold: int
    agency: str


class _Ranker(torch.nn.Module):
    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        sample = states[torch.randperm(len(states))[:20_000]]
        self.start = torch.linalg.svd(sample, full_matrices=False)[2][:SIZE].T.clone()
        self.weights = torch.nn.Parameter(self.start.clone())
        self.importance = torch.nn.Parameter(torch.zeros(states.shape[1]))
        self.scale = torch.nn.Parameter(torch.tensor(3.0))
        self.cosine = torch.nn.Parameter(torch.tensor(10.0))
        self.dropout = torch.nn.Dropout(0.1)

    def forward(self, question: torch.Tensor, passages: Sequence[torch.Tensor], cosines: torch.Tensor) -> torch.Tensor:
        asked = functional.normalize(self.dropout(question) @ self.weights, dim=1)
        answered = functional.normalize(self.dropout(torch.cat(list(passages))) @ self.weights, dim=1)
        met = [part.max(dim=1).values for part in (asked @ answered.T).split([len(one) for one in passages], dim=1)]
        counts = torch.softmax(question @ self.importance, dim=0)
        return (torch.stack(met) * counts).sum(dim=1) * self.scale.exp() + self.cosine * cosines


def fit(found: Sequence[Candidates], encoder: SentenceEncoder, seed: int, source: str, folder: Path = FOLDER) -> None:
    """Writes late_interaction.safetensors to `folder`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    found = [one for one in found if one.gold >= 0]
    texts = list(dict.fromkeys(text for one in found for text in (one.question, *one.passages)))
    words = dict(zip(texts, (torch.from_numpy(one) for one in encoder.encode_words(texts, _directions)[1]), strict=True))
    ranker = _Ranker(torch.cat([words[text] for text in texts]))
    optimizer = torch.optim.AdamW(
        [
            {"params": [ranker.weights], "lr": 1e-3},
            {"params": [ranker.importance], "lr": 3e-3},
            {"params": [ranker.scale, ranker.cosine], "lr": 3e-2},
        ],
        weight_decay=0.0,
    )
    for turn in range(_PASSES):
        order = rng.permutation(len(found))
        losses = []
        for start in range(0, len(order), _AT_ONCE):
            loss = _PULL * ((ranker.weights - ranker.start) ** 2).sum()
            for i in order[start : start + _AT_ONCE]:
                one = found[i]
                others = rng.choice([at for at in range(len(one.passages)) if at != one.gold], _OTHERS, replace=False)
                picked = [one.gold, *others.tolist()]
                passages, cosines = [words[one.passages[at]] for at in picked], torch.tensor([one.cosines[at] for at in picked])
                scores = ranker(words[one.question], passages, cosines)
                loss = loss - torch.log_softmax(scores, dim=0)[0] / _AT_ONCE
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        log.info("pass %d: loss %.3f", turn + 1, float(np.mean(losses)))
    arrays = {
        "weights": ranker.weights.half(), "importance": ranker.importance.half(),
        "slopes": torch.stack([ranker.scale.exp(), ranker.cosine]),
    }  # fmt: skip
    path = folder / "late_interaction.safetensors"
    known = {"fitted_on": source, "encoder": encoder.digest.split("-")[0]}
    save_file({name: array.detach().numpy() for name, array in arrays.items()}, path, known)
    path.chmod(0o644)  # the library writes for the owner alone


def _directions(states: Vectors) -> Vectors:
    return np.asarray(states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def candidates(
    questions: Sequence[str], gold: Sequence[str], passages: Sequence[str], agency: str, vectors: CachedVectors, count: int = 20
) -> list[Candidates]:
    """Each question with the `count` passages nearest to it by cosine."""
    asked, answered = vectors.of(questions), vectors.of(passages)
    cosines = asked @ answered.T
    nearest: NDArray[np.intp] = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    found = []
    for question, wanted, row, order in zip(questions, gold, cosines, nearest, strict=True):
        texts = [passages[i] for i in order]
        place = texts.index(wanted) if wanted in texts else -1
        found.append(Candidates(question, texts, [float(row[i]) for i in order], place, agency))
    return found
