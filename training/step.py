"""Batches of windows -> a model that has learnt from them: the training step, and what of a batch is learnt.

Symbols: B windows a batch, T frames a window, K classes with background.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

import config
import data
import model
from training.devices import sum_over_replicas
from training.state import TrainingState


class TrainingSteps:
    """Steps of a training, by the loss's weight of each class [K], background first."""

    def __init__(self, state: TrainingState, settings: config.TrainSettings, class_weights: np.ndarray):
        self._state, self._settings = state, settings
        self._class_weights = tf.constant(class_weights, tf.float32)

    @tf.function
    def take(self, batches: Iterator, count: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take `count` steps with the next of `batches`, of `Devices.distribute`, in one call of a graph.

        `count` is a tensor: each number of another kind would be a graph of its own.

        Returns `loss` and `gradient_norm` (before clipping) of each step, float32 [count], and `input_wait`, the
        seconds that all of them waited for their batches.
        """
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
            on_replicas, their_norms = strategy.run(self._learn, args=(batch,))
            # the same on all of them
            loss = strategy.experimental_local_results(on_replicas)[0]
            norm = strategy.experimental_local_results(their_norms)[0]
            losses, norms = losses.write(number, loss), norms.write(number, norm)
        return {"loss": losses.stack(), "gradient_norm": norms.stack(), "input_wait": waited}

    def _learn(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """One replica's part of a step, with its share [B, T, …] of the batch; the loss and the gradient's norm."""
        state, settings = self._state, self._settings
        labels, mask = targets(batch, state.predict_mode, state.classes)
        with tf.GradientTape() as tape:
            logits = state.classifier([batch["features"], batch["mask"]], training=True)  # [B, T, K]
            total, weight = model.masked_cross_entropy(
                labels, logits, mask, self._class_weights, settings.label_smoothing
            )
            loss = tf.math.divide_no_nan(total, sum_over_replicas(weight))
        weights = state.classifier.trainable_variables
        gradients = sum_over_replicas(tape.gradient(loss, weights))
        norm = tf.linalg.global_norm(gradients)
        if settings.gradient_clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, settings.gradient_clip_norm, norm)
        state.optimizer.apply(gradients)
        if state.averages:
            # a short memory at first, so that the random start is soon forgotten
            steps = tf.cast(state.optimizer.iterations, tf.float32)
            decay = tf.minimum(settings.ema_decay, (1 + steps) / (10 + steps))
            for average, value in zip(state.averages, weights, strict=True):
                average.assign(decay * average + (1 - decay) * value.value)
        for metric in state.metrics.values():
            metric.update_state(labels, tf.nn.softmax(logits), mask)
        return sum_over_replicas(loss), norm


def targets(batch: dict, predict_mode: str, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels int32 [B, T] to learn, and the mask bool [B, T] of the frames that have one."""
    labels = model.target_labels(batch["labels"], batch["mask"], predict_mode, classes)
    mask = batch["mask"] & (batch["labels"] != data.IGNORED) & (labels != data.IGNORED)
    return tf.maximum(labels, 0), mask


def _seconds() -> tf.Tensor:
    """The time when it is asked for in a graph, float64."""
    # tf.timestamp refuses to run where operations are deterministic
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())
