"""Gradient descent in batches, for heads fitted in seconds: AdamW (Loshchilov and Hutter 2019) with a cosine schedule."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scoring.encoder import Vectors
from scoring.out_of_scope import Floats, Indices


def descended(
    inputs: Any, classes: Indices, count: int, rng: np.random.Generator, batch: int, passes: int, rate: float, decay: float
) -> tuple[Vectors, Vectors]:
    """Weights (features, count) and bias of a multinomial logistic regression; `inputs` (n, features) are dense or sparse."""
    n, features = inputs.shape
    weights, bias = np.zeros((features, count), dtype=np.float32), np.zeros(count, dtype=np.float32)
    steps = passes * max(n // batch, 1)
    descent = Descent((weights, bias), steps, rate, decay)
    for rows in batches(n, batch, steps, rng):
        asked = inputs[rows]
        slope = slopes(asked @ weights + bias, classes[rows])
        descent.step((asked.T @ slope, slope.sum(axis=0)))
    return weights, bias


def batches(n: int, size: int, steps: int, rng: np.random.Generator) -> Iterator[Indices]:
    """Rows for each step: all in an order drawn anew, but for the last that fill no batch."""
    order: Indices = np.zeros(0, dtype=np.intp)
    for _ in range(steps):
        if len(order) < min(size, n):
            order = rng.permutation(n)
        rows, order = order[:size], order[size:]
        yield rows


def slopes(logits: Vectors, classes: Indices) -> Vectors:
    """Of the mean log loss by the logits."""
    found: Vectors = softmax(logits)
    found[np.arange(len(classes)), classes] -= 1.0
    found /= np.float32(len(classes))
    return found


def softmax(logits: Floats | Vectors) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class Descent:
    """Changes the values in place, step by step. Matrices decay, biases do not."""

    def __init__(self, values: Sequence[Vectors], steps: int, rate: float, decay: float) -> None:
        self._values, self._steps, self._rate, self._decay = values, steps, rate, decay
        self._means, self._squares, self._rooms = ([np.zeros_like(value) for value in values] for _ in range(3))
        self._step = 0

    def step(self, gradients: Sequence[Vectors]) -> None:
        self._step += 1
        rate = self._rate * 0.5 * (1 + np.cos(np.pi * self._step / self._steps))
        by, later = np.float32(rate / (1 - 0.9**self._step)), np.float32(1 / (1 - 0.99**self._step))
        every = zip(self._values, self._means, self._squares, self._rooms, gradients, strict=True)
        for value, mean, square, room, gradient in every:  # written into `room`: new arrays cost as much as the arithmetic
            mean *= np.float32(0.9)
            mean += np.multiply(gradient, np.float32(0.1), out=room)
            square *= np.float32(0.99)
            np.multiply(gradient, gradient, out=room)
            room *= np.float32(0.01)
            square += room
            if value.ndim > 1:
                value *= np.float32(1 - rate * self._decay)
            np.sqrt(np.multiply(square, later, out=room), out=room)
            room += np.float32(1e-8)
            np.divide(mean, room, out=room)
            room *= by
            value -= room
