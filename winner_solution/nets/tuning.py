"""Fine-tune the last layers of a sentence encoder in TensorFlow, from a linear head that fits.

Linear probing first, then everything (Kumar et al. 2022, arXiv 2202.10054); AdamW, warm-up, and a
linear decay that ends with the steps or with the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import config
from ..budget import Deadline, OutOfTimeError
from .transformer import LINEAR, MASKED, NORMS, Head, Layers, pad

Floats = NDArray[np.float32]

_SHARED = 16  # batches whose texts are sorted by length, to be padded little


def tune(
    states: list[Floats],
    labels: Floats,
    body: Layers,
    head: Head,
    *,
    exclusive: bool,
    deadline: Deadline,
) -> tuple[Layers, Head]:
    """Learn ``labels`` (n, C) from texts (t, width); gives new layers and a new head.

    Raises OutOfTimeError when less than half of an epoch could be learnt.
    """
    training = _Training(body, head, exclusive)
    rng = np.random.default_rng(config.SEED)
    smoothing = config.LABEL_SMOOTHING / 2
    share = 1 / labels.shape[1] if exclusive else 0.5
    targets = np.asarray(labels * (1 - smoothing) + smoothing * share, np.float32)
    allowed = max(deadline.remaining, 1e-3)
    per_epoch = -(-len(states) // config.TUNE_BATCH)
    steps, step = per_epoch * config.TUNE_EPOCHS, 0
    for _ in range(config.TUNE_EPOCHS):
        for rows in _batches([len(s) for s in states], rng):
            spent = 1 - deadline.remaining / allowed
            if spent >= 1:
                if step < per_epoch / 2:
                    raise OutOfTimeError
                return training.result(body.heads, body.epsilon)
            left = 1 - max(step / steps, spent)
            rate = config.TUNE_LEARNING_RATE * min(left, (step + 1) / (0.1 * steps))
            training.take(*pad([states[row] for row in rows]), targets[rows], rate)
            step += 1
    return training.result(body.heads, body.epsilon)


def _batches(lengths: list[int], rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Rows of each step of an epoch: texts of like length together, otherwise at random."""
    size = config.TUNE_BATCH
    order = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * _SHARED):
        lot = order[start : start + size * _SHARED]
        lot = lot[np.argsort(np.asarray(lengths)[lot], kind="stable")]
        batches += [lot[i : i + size] for i in range(0, len(lot), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class _Training:
    """Variables, the moments of Adam, and one traced step for texts of any length."""

    def __init__(self, body: Layers, head: Head, exclusive: bool) -> None:
        import tensorflow as tf

        self._tf, self._heads, self._epsilon = tf, body.heads, body.epsilon
        self._exclusive = exclusive
        self._layers = [{k: tf.Variable(v) for k, v in layer.items()} for layer in body.layers]
        self._centre = tf.constant(head.centre)
        self._head = [tf.Variable(head.weights), tf.Variable(head.bias)]
        self._variables = [v for layer in self._layers for v in layer.values()] + self._head
        self._means = [tf.Variable(tf.zeros_like(v)) for v in self._variables]
        self._squares = [tf.Variable(tf.zeros_like(v)) for v in self._variables]
        self._taken = 0
        shapes = [(None, None, body.width), (None, None), (None, head.bias.shape[0]), (), ()]
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._step = tf.function(self._learn, input_signature=signature)

    def take(self, states: Floats, mask: Floats, targets: Floats, rate: float) -> None:
        """One step on a batch."""
        self._taken += 1
        self._step(states, mask, targets, np.float32(rate), np.float32(self._taken))

    def result(self, heads: int, epsilon: float) -> tuple[Layers, Head]:
        """Copies of what has been learnt."""
        layers = [{k: v.numpy() for k, v in layer.items()} for layer in self._layers]
        weights, bias = (variable.numpy() for variable in self._head)
        return Layers(layers, heads, epsilon), Head(self._centre.numpy(), weights, bias)

    def _learn(self, states: Any, mask: Any, targets: Any, rate: Any, taken: Any) -> None:
        tf = self._tf
        with tf.GradientTape() as tape:
            logits = self._logits(states, mask)
            if self._exclusive:
                losses = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
            else:
                losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_mean(losses)
        slopes, _ = tf.clip_by_global_norm(tape.gradient(loss, self._variables), 1.0)
        for number, (variable, slope) in enumerate(zip(self._variables, slopes, strict=True)):
            mean, square = self._means[number], self._squares[number]
            mean.assign(0.9 * mean + 0.1 * slope)
            square.assign(0.99 * square + 0.01 * slope * slope)
            change = mean / (1 - 0.9**taken) / (tf.sqrt(square / (1 - 0.99**taken)) + 1e-8)
            if variable.shape.rank == 2:
                change += config.TUNE_WEIGHT_DECAY * variable
            faster = config.TUNE_HEAD_FACTOR if number >= len(self._variables) - 2 else 1.0
            variable.assign_sub(faster * rate * change)

    def _logits(self, x: Any, mask: Any) -> Any:
        tf = self._tf
        hide = ((1 - mask) * MASKED)[:, None, None, :]
        for layer in self._layers:

            def linear(x: Any, name: str, layer: dict[str, Any] = layer) -> Any:
                return tf.einsum("ntd,de->nte", x, layer[f"{name}.w"]) + layer[f"{name}.b"]

            def norm(x: Any, name: str, layer: dict[str, Any] = layer) -> Any:
                mean, variance = tf.nn.moments(x, -1, keepdims=True)
                z = (x - mean) * tf.math.rsqrt(variance + self._epsilon)
                return z * layer[f"{name}.w"] + layer[f"{name}.b"]

            mixed = self._attend([linear(x, part) for part in LINEAR[:3]], hide)
            x = norm(x + self._drop(linear(mixed, "mix")), NORMS[0])
            y = tf.nn.gelu(linear(x, "inner"))
            x = norm(x + self._drop(linear(y, "outer")), NORMS[1])
        weight = mask[:, :, None]
        mean = tf.reduce_sum(x * weight, 1) / tf.reduce_sum(weight, 1)
        return (mean - self._centre) @ self._head[0] + self._head[1]

    def _attend(self, parts: list[Any], hide: Any) -> Any:
        tf = self._tf
        shape = tf.shape(parts[0])
        size = parts[0].shape[-1] // self._heads
        split = [shape[0], shape[1], self._heads, size]
        query, key, value = (tf.reshape(part, split) for part in parts)
        scores = tf.einsum("nqhd,nkhd->nhqk", query, key) * size**-0.5 + hide
        mixed = tf.einsum("nhqk,nkhd->nqhd", self._drop(tf.nn.softmax(scores)), value)
        return tf.reshape(mixed, [shape[0], shape[1], self._heads * size])

    def _drop(self, x: Any) -> Any:
        return self._tf.nn.dropout(x, config.TUNE_DROPOUT)
