"""Fits scoring/heads/tone.npz: how annoyed, disappointed or disapproving a sentence sounds (GoEmotions).

Words, word pairs and letter n-grams are scaled by how much more often they occur in unfriendly comments before a logistic
regression weighs them (NB-SVM, Wang & Manning 2012). A few small networks read the sentence vector. How much each member
counts is fitted on predictions for comments that neither had seen.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from sklearn.linear_model import LogisticRegression

from scoring.encoder import Vectors
from scoring.tone import SMOOTHING, letter_grams, network, tokens
from training.data import CachedVectors, read
from training.heads import FOLDER

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_LEAST = 4
"""Comments in which a word or pair must occur to be looked at."""
_LEAST_LETTERS = 6
_MEMBERS, _UNITS, _EPOCHS = 4, 64, 8
_HELD = 0.2
"""Share of the comments that teach the blend."""


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    rows = [row for row in read(data, "emotion/goemotions/train") if isinstance(row.get("text"), str)]
    texts = [row["text"] for row in rows]
    wanted = np.asarray([bool(row.get("frustration")) for row in rows], dtype=np.int64)
    matrix = vectors.of(texts)
    held = np.random.default_rng(seed).random(len(texts)) < _HELD
    seen = [text for text, out in zip(texts, held, strict=True) if not out]
    unseen = [text for text, out in zip(texts, held, strict=True) if out]
    shares = np.column_stack(
        [
            Words.fit(seen, wanted[~held], seed).logits(unseen),
            network(matrix[held], *fit_network(matrix[~held], wanted[~held], seed)),
        ]
    )
    blend = LogisticRegression(C=1e3).fit(shares, wanted[held])
    alone = LogisticRegression(C=1e3).fit(shares[:, :1], wanted[held])
    words = Words.fit(texts, wanted, seed)
    inner, inner_bias, outer = fit_network(matrix, wanted, seed)
    np.savez_compressed(
        FOLDER / "tone.npz",
        grams=_letters("\n".join(words.grams)),
        rarity=words.rarity.astype(np.float16),
        weights=words.weights.astype(np.float16),
        bias=np.float32(words.bias),
        inner=inner.astype(np.float16),
        inner_bias=inner_bias.astype(np.float16),
        outer=outer.astype(np.float16),
        blend=np.asarray([blend.intercept_[0], *blend.coef_[0]], dtype=np.float32),
        blend_words=np.asarray([alone.intercept_[0], *alone.coef_[0]], dtype=np.float32),
        encoder=_letters(vectors.digest.split("-")[0]),
        fitted_on=_letters("GoEmotions, train part (Demszky et al. 2020, Apache-2.0)"),
    )


@dataclass(frozen=True, slots=True)
class Words:
    """The linear model over words, pairs ("one two") and letter n-grams ("_<wor")."""

    grams: list[str]
    rarity: Floats
    """Inverse document frequency per n-gram."""
    weights: Floats
    bias: float

    @classmethod
    def fit(cls, texts: Sequence[str], wanted: Labels, seed: int) -> "Words":
        grams, rarity = _vocabulary(texts)
        given = _matrix(texts, grams, rarity)
        there = (given > 0).astype(np.float64)
        bad, good = (np.asarray(there[wanted == label].sum(axis=0)).ravel() + 1 for label in (1, 0))
        ratio = np.log(bad / bad.sum()) - np.log(good / good.sum())
        ratio = np.sign(ratio) * np.sqrt(np.abs(ratio))
        fitted = LogisticRegression(C=1.0, solver="liblinear", random_state=seed).fit((given @ diags(ratio)).tocsr(), wanted)
        return cls(grams, rarity, fitted.coef_[0] * ratio, float(fitted.intercept_[0]))

    def logits(self, texts: Sequence[str]) -> Floats:
        return np.asarray(_matrix(texts, self.grams, self.rarity) @ self.weights + self.bias)


def _matrix(texts: Sequence[str], grams: Sequence[str], rarity: Floats) -> csr_matrix:
    """One row a text, as `scoring.tone` counts: words and pairs as one vector of about unit length, letters as another."""
    columns = {gram: i for i, gram in enumerate(grams)}
    indices: list[int] = []
    values: list[NDArray[np.float64]] = []
    starts = [0]
    for text in texts:
        for found in _grams(text):
            here = [columns[gram] for gram in found if gram in columns]
            indices.extend(here)
            values.append(rarity[here] / np.sqrt((rarity[here] ** 2).sum() + SMOOTHING))
        starts.append(len(indices))
    return csr_matrix((np.concatenate(values), indices, starts), shape=(len(texts), len(grams)))


def fit_network(matrix: Vectors, wanted: Labels, seed: int) -> tuple[Vectors, Vectors, Vectors]:
    """(dimensions, units), (units,), (units,): networks of `_UNITS` units side by side, their mean as one network.

    The bias of the output is left to the blend.
    """
    import torch  # training only: scoring runs these layers in numpy

    torch.set_num_threads(1)  # the order of sums decides the last digits
    mean, spread = matrix.mean(axis=0), matrix.std(axis=0) + 1e-4
    given, truth = torch.from_numpy((matrix - mean) / spread).float(), torch.from_numpy(wanted).float()
    parts = []
    for member in range(_MEMBERS):
        torch.manual_seed(seed * 100 + member)
        inner, outer = torch.nn.Linear(given.shape[1], _UNITS), torch.nn.Linear(_UNITS, 1)
        model = torch.nn.Sequential(torch.nn.Dropout(0.3), inner, torch.nn.ReLU(), torch.nn.Dropout(0.3), outer)
        steps = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        size = 256
        pace = torch.optim.lr_scheduler.OneCycleLR(steps, 2e-3, total_steps=_EPOCHS * (len(given) // size + 1))
        for _ in range(_EPOCHS):
            order = torch.randperm(len(given))
            for at in range(0, len(order), size):
                rows = order[at : at + size]
                loss = torch.nn.functional.binary_cross_entropy_with_logits(model(given[rows])[:, 0], truth[rows])
                steps.zero_grad()
                loss.backward()
                steps.step()
                pace.step()
        scaled = inner.weight.detach().numpy().T / spread[:, None]
        parts.append((scaled, inner.bias.detach().numpy() - mean @ scaled, outer.weight.detach().numpy()[0] / _MEMBERS))
    inner_all, bias_all, outer_all = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return inner_all, bias_all, outer_all


def _vocabulary(texts: Sequence[str]) -> tuple[list[str], Floats]:
    counts: Counter[str] = Counter()
    for text in texts:
        words, letters = _grams(text)
        counts.update(words)
        counts.update(set(letters))
    grams = sorted(gram for gram, count in counts.items() if count >= (_LEAST_LETTERS if gram[0] == "_" else _LEAST))
    return grams, np.log((1 + len(texts)) / (1 + np.asarray([counts[gram] for gram in grams]))) + 1


def _grams(text: str) -> tuple[list[str], list[str]]:
    found = tokens(text)
    single = list(dict.fromkeys(found))
    pairs = dict.fromkeys(f"{one} {two}" for one, two in pairwise(found))
    return [*single, *pairs], [piece for token in single for piece in letter_grams(token)]


def _letters(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)
