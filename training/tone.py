"""Fits scoring/heads/tone.json and tone_words.json: how annoyed, disappointed or disapproving a sentence sounds (GoEmotions).

An L1 penalty picks the few hundred words and word pairs that add to the sentence vector. `tone_words` reads words alone,
for encoders whose vectors the first head does not know.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from scoring.signals.user_frustration import pairs_and_words
from training.data import CachedVectors, read
from training.heads import write_head

_LEAST = 8
"""Texts in which a word must occur to be looked at."""
_SOURCE = "GoEmotions, train part (Demszky et al. 2020, Apache-2.0)"


def fit(data: Path, vectors: CachedVectors, seed: int) -> None:
    rows = [row for row in read(data, "emotion/goemotions/train") if isinstance(row.get("text"), str)]
    texts = [row["text"] for row in rows]
    wanted = np.asarray([bool(row.get("frustration")) for row in rows], dtype=np.int64)
    counts = Counter(gram for text in texts for gram in pairs_and_words(text))
    names = sorted(gram for gram, count in counts.items() if count >= _LEAST)
    sparse = matrix(texts, {gram: i for i, gram in enumerate(names)})
    both = hstack([sparse, csr_matrix(vectors.of(texts).astype(np.float64))]).tocsr()
    for name, given, encoder in (("tone", both, vectors.digest.split("-")[0]), ("tone_words", sparse, "")):
        fitted = LogisticRegression(C=1.0, l1_ratio=1.0, solver="liblinear", random_state=seed, max_iter=200).fit(given, wanted)
        weights = fitted.coef_[0]
        kept = {gram: float(weight) for gram, weight in zip(names, weights, strict=False) if abs(weight) > 1e-6}
        write_head(name, float(fitted.intercept_[0]), kept, _SOURCE, [float(w) for w in weights[len(names) :]], encoder)


def matrix(texts: list[str], columns: Mapping[str, int]) -> csr_matrix:
    """One row a text: 1 / sqrt(words and pairs + 3) where it has the column's word or pair."""
    indices: list[int] = []
    starts, values = [0], []
    for text in texts:
        grams = pairs_and_words(text)
        found = [columns[gram] for gram in grams if gram in columns]
        indices.extend(found)
        values.extend([1 / np.sqrt(len(grams) + 3)] * len(found))
        starts.append(len(indices))
    return csr_matrix((values, indices, starts), shape=(len(texts), len(columns)))
