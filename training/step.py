"""Batches of windows -> a model that has learnt from them: the training step, and what of a batch is learnt.

Symbols: B windows a batch, T frames a window, K classes with background.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import keras
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
        # each member learns as if it were alone
        learnt = [self._gradients(member, batch, labels, mask) for member in state.members]
        losses, probabilities, gradients, norms = zip(*learnt, strict=True)
        state.optimizer.apply([gradient for of_member in gradients for gradient in of_member])
        if state.averages:
            # a short memory at first, so that the random start is soon forgotten
            steps = tf.cast(state.optimizer.iterations, tf.float32)
            decay = tf.minimum(settings.ema_decay, (1 + steps) / (10 + steps))
            for average, value in zip(state.averages, state.trained, strict=True):
                average.assign(decay * average + (1 - decay) * value.value)
        for metric in state.metrics.values():
            metric.update_state(labels, _mean(probabilities), mask)
        return sum_over_replicas(_mean(losses)), _mean(norms)

    def _gradients(
        self, member: keras.Model, batch: dict, labels: tf.Tensor, mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """A member's loss, its probabilities [B, T, K], and its gradients over all replicas with their norm."""
        settings = self._settings
        with tf.GradientTape() as tape:
            logits = member([batch["features"], batch["mask"]], training=True)  # [B, T, K]
            total, weight = model.masked_cross_entropy(
                labels, logits, mask, self._class_weights, settings.label_smoothing
            )
            loss = tf.math.divide_no_nan(total, sum_over_replicas(weight))
        gradients = sum_over_replicas(tape.gradient(loss, member.trainable_variables))
        norm = tf.linalg.global_norm(gradients)
        if settings.gradient_clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, settings.gradient_clip_norm, norm)
        return loss, model.probabilities(logits, self._state.output), gradients, norm


def _mean(values: Sequence[tf.Tensor]) -> tf.Tensor:
    """Over the members."""
    return values[0] if len(values) == 1 else tf.add_n(values) / len(values)


def targets(batch: dict, predict_mode: str, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What to learn, labels int32 [B, T] or, where a batch has them, 1 for each class that a frame shows [B, T, K]; and
    the mask bool [B, T] of the frames that have a label."""
    mask = batch["mask"] & (batch["labels"] != data.IGNORED)
    if "targets" in batch:
        return batch["targets"], mask
    labels = model.target_labels(batch["labels"], batch["mask"], predict_mode, classes)
    return tf.maximum(labels, 0), mask & (labels != data.IGNORED)


def _seconds() -> tf.Tensor:
    """The time when it is asked for in a graph, float64."""
    # tf.timestamp refuses to run where operations are deterministic
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())
