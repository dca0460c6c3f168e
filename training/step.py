"""A batch -> a step of learning: the loss, its gradient, the optimizer's change, and what is measured on the way.

Symbols: B windows a batch, T frames a window, K classes with background.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

import data
import model
from training.devices import sum_over_replicas

if TYPE_CHECKING:
    from training.state import Training


class TrainingSteps:
    """`steps(batches, count)` takes `count` steps with the next of `batches`, of `Devices.distribute`, in one graph."""

    def __init__(self, state: Training):
        self._state = state
        self._in_a_graph = tf.function(self._several)

    def __call__(self, batches: Iterator, count: int) -> dict[str, np.ndarray]:
        """Returns `loss` and `gradient_norm` (before clipping) of each step, float32 [count], and `input_wait`, the
        seconds that all of them waited for their batches."""
        losses, norms, waited = self._in_a_graph(batches, tf.constant(count))
        return {"loss": losses.numpy(), "gradient_norm": norms.numpy(), "input_wait": waited.numpy()}

    def _several(self, batches: Iterator, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        strategy = self._state.devices.strategy
        losses, norms = (tf.TensorArray(tf.float32, count, element_shape=()) for _ in range(2))
        loss, waited = tf.constant(0.0), tf.constant(0.0, tf.float64)
        for number in tf.range(count):
            # fetched while the step before is at work; only what goes by after its end is waiting
            batch = next(batches)
            with tf.control_dependencies([loss, self._state.optimizer.iterations.read_value()]):
                done = _seconds()
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited += tf.maximum(_seconds() - done, 0)
            # on all replicas, which agree on both
            loss, norm = strategy.run(self._replica, args=(batch,))
            loss = strategy.experimental_local_results(loss)[0]
            norm = strategy.experimental_local_results(norm)[0]
            losses, norms = losses.write(number, loss), norms.write(number, norm)
        return losses.stack(), norms.stack(), waited

    def _replica(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """One replica's part of a step, with its share [B, T, …] of the batch."""
        state = self._state
        labels, mask = targets(batch, state.predict_mode, len(state.class_weights))
        with tf.GradientTape() as tape:
            logits = state.classifier([batch["features"], batch["mask"]], training=True)  # [B, T, K]
            total, weight = model.masked_cross_entropy(
                labels, logits, mask, state.class_weights, state.train_settings.label_smoothing
            )
            loss = tf.math.divide_no_nan(total, sum_over_replicas(weight))
        weights = state.classifier.trainable_variables
        gradients = sum_over_replicas(tape.gradient(loss, weights))
        norm = tf.linalg.global_norm(gradients)
        if state.train_settings.gradient_clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, state.train_settings.gradient_clip_norm, norm)
        state.optimizer.apply(gradients)
        if state.averages:
            # a short memory at first, so that the random start is soon forgotten
            steps = tf.cast(state.optimizer.iterations, tf.float32)
            decay = tf.minimum(state.train_settings.ema_decay, (1 + steps) / (10 + steps))
            for average, weight in zip(state.averages, weights, strict=True):
                average.assign(decay * average + (1 - decay) * weight.value)
        for metric in state.train_metrics.values():
            metric.update_state(labels, tf.nn.softmax(logits), mask)
        return sum_over_replicas(loss), norm


def targets(batch: dict, predict_mode: str, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels int32 [B, T] to learn, and the mask bool [B, T] of the frames that have one; see `model.target_labels`."""
    labels = model.target_labels(batch["labels"], batch["mask"], predict_mode, classes)
    mask = batch["mask"] & (batch["labels"] != data.IGNORED) & (labels != data.IGNORED)
    return tf.maximum(labels, 0), mask


def _seconds() -> tf.Tensor:
    """The time when it is asked for in a graph, float64."""
    # tf.timestamp refuses to run where operations are deterministic
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())
