"""How angry, annoyed, disappointed or disapproving a text sounds: words and letters, and the sentence vector.

Two members, blended by a logistic regression on predictions for comments that neither had seen: a linear model over words,
word pairs and letter n-grams (Wang & Manning 2012 show how far such a baseline carries), and a few small networks over the
sentence vector. Fitted on GoEmotions (Demszky et al. 2020) by training/tone.py.
"""

import io
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scoring.encoder import Vectors
from scoring.wording import LONGEST, plain

Floats = NDArray[np.float64]

WORDS = 200
"""Words of a text that are read."""
SMOOTHING = 1.0
"""Added to the squared length of a text before the root: an empty one has none."""
LETTERS = (2, 3, 4, 5)
_LONG_WORD = 30
_UNKNOWN = (0.0, 0.0)
_TOKEN = re.compile(r"[^\W_]+(?:'[a-z]+)?|[!?]+|[^\w\s]")
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b")


class Tone:
    """Log-odds that a text is unfriendly, for vectors of one encoder; other encoders get the words' part alone."""

    def __init__(self, encoder: str) -> None:
        """`encoder`: digest of the encoder of the vectors that `logits` gets."""
        self._grams, kept = _load()
        self._bias = float(kept["bias"])
        fitted_for = kept["encoder"].tobytes().decode()
        both = bool(fitted_for) and encoder.startswith(fitted_for)
        self._blend = kept["blend"] if both else kept["blend_words"]
        self._layers = tuple(kept[name].astype(np.float32) for name in ("inner", "inner_bias", "outer")) if both else None
        self._of_token = lru_cache(maxsize=32768)(self._token)

    def logits(self, texts: Sequence[str], vectors: Vectors) -> Floats:
        """Shape (n,); `vectors` (n, dimensions) belong to the texts. The mean over ordinary comments is about -2.5."""
        by_words = np.asarray([self._by_words(text) for text in texts], dtype=np.float64)
        if self._layers is None or not len(texts):
            return np.asarray(self._blend[0] + self._blend[1] * by_words)
        return np.asarray(self._blend[0] + self._blend[1] * by_words + self._blend[2] * network(vectors, *self._layers))

    def _by_words(self, text: str) -> float:
        found = tokens(text)
        words = words_length = letters = letters_length = 0.0
        for token in dict.fromkeys(found):
            one = self._of_token(token)
            words, words_length, letters, letters_length = (
                words + one[0], words_length + one[1], letters + one[2], letters_length + one[3],
            )  # fmt: skip
        for first, second in set(pairwise(found)):
            share, length = self._grams.get(f"{first} {second}", _UNKNOWN)
            words, words_length = words + share, words_length + length
        return self._bias + words / math.sqrt(words_length + SMOOTHING) + letters / math.sqrt(letters_length + SMOOTHING)

    def _token(self, token: str) -> tuple[float, float, float, float]:
        """(weight and squared length of the word, those of its letter n-grams together)."""
        pieces = [self._grams.get(piece, _UNKNOWN) for piece in letter_grams(token)]
        return *self._grams.get(token, _UNKNOWN), sum(piece[0] for piece in pieces), sum(piece[1] for piece in pieces)


@lru_cache(maxsize=1)
def _load() -> tuple[dict[str, tuple[float, float]], dict[str, NDArray[np.generic]]]:
    """(share of the log-odds and of the squared length per n-gram, the other arrays); nobody writes to them."""
    with np.load(io.BytesIO(files("scoring.heads").joinpath("tone.npz").read_bytes()), allow_pickle=False) as file:
        kept = dict(file)
    rarity, weights = kept["rarity"].astype(np.float64), kept["weights"].astype(np.float64)
    shares = zip((weights * rarity).tolist(), (rarity**2).tolist(), strict=True)
    return dict(zip(kept["grams"].tobytes().decode().split("\n"), shares, strict=True)), kept


def tokens(text: str) -> list[str]:
    """Words, runs of ! and ? (cut at three), other signs one by one, of the first 200; CAPITALS where a word is shouted."""
    found = [token[:3] if token[0] in "!?" else token[:_LONG_WORD] for token in _TOKEN.findall(plain(text)[:LONGEST])[:WORDS]]
    return [*found, "CAPITALS"] if _CAPITALS.search(text[:LONGEST]) else found


@lru_cache(maxsize=32768)
def letter_grams(token: str) -> tuple[str, ...]:
    """Distinct runs of two to five letters of a word with its ends marked; no word begins with their underscore."""
    marked = f"<{token}>"
    return tuple(dict.fromkeys(f"_{marked[i : i + n]}" for n in LETTERS for i in range(len(marked) - n + 1)))


def network(vectors: Vectors, inner: Vectors, inner_bias: Vectors, outer: Vectors) -> Floats:
    """One hidden layer of rectified units over the sentence vector, shape (n,)."""
    return np.asarray(np.maximum(vectors @ inner + inner_bias, 0.0) @ outer, dtype=np.float64)
