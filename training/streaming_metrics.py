"""Labels and class probabilities of batches -> mean precision and mean accuracy of all that was seen since a reset.

Symbols: B windows a batch, T frames a window, K classes with background.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from training.devices import sum_over_replicas


def _count(size: int, name: str) -> keras.Variable:
    """A metric's count [size], the same on all replicas, so that one process can read and save it by itself."""
    return keras.Variable(np.zeros(size), dtype="float64", trainable=False, aggregation="only_first_replica", name=name)


def _add(count: keras.Variable, seen: tf.Tensor) -> None:
    count.assign_add(sum_over_replicas(seen))


def _shown(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """1 for each class that a frame shows, else 0; float64 [B, T, K]. `labels` are that, or one class each [B, T]."""
    if labels.shape.rank == 3:
        return tf.cast(labels, tf.float64)
    return tf.one_hot(labels, tf.shape(probabilities)[-1], dtype=tf.float64)


class MeanPrecision(keras.metrics.Metric):
    """The original's `mean_precision`: the mean of precision at 5 thresholds, over all that was seen since a reset.

    The thresholds are linspace(1, 10, 5) / K, capped at 1. Precision counts every (real frame, class) pair whose
    probability reaches the threshold, background included; a threshold that nothing reaches contributes 0.
    """

    def __init__(self, classes: int, name: str = "mean_precision"):
        super().__init__(name=name)
        self.thresholds = np.minimum(np.linspace(1, 10, 5) / classes, 1).astype(np.float32)
        self.positives, self.hits = _count(5, "positives"), _count(5, "hits")

    def update_state(self, labels: tf.Tensor, probabilities: tf.Tensor, mask: tf.Tensor) -> None:
        """Count labels (see `_shown`) and probabilities [B, T, K] where mask [B, T] is True."""
        reached = (probabilities[..., None] >= self.thresholds) & mask[..., None, None]  # [B, T, K, 5]
        correct = reached & tf.cast(_shown(labels, probabilities), tf.bool)[..., None]
        _add(self.positives, tf.reduce_sum(tf.cast(reached, tf.float64), axis=(0, 1, 2)))
        _add(self.hits, tf.reduce_sum(tf.cast(correct, tf.float64), axis=(0, 1, 2)))

    def result(self) -> tf.Tensor:
        return tf.reduce_mean(tf.math.divide_no_nan(self.hits, self.positives))


class MeanAccuracy(keras.metrics.Metric):
    """Per-class accuracy (recall of each class's frames), averaged over the classes that have frames.

    A frame's class is found where it is the likeliest one; of several at once, where its probability reaches 0.5.
    """

    def __init__(self, classes: int, name: str = "mean_accuracy"):
        super().__init__(name=name)
        self.frames, self.correct = _count(classes, "frames"), _count(classes, "correct")

    def update_state(self, labels: tf.Tensor, probabilities: tf.Tensor, mask: tf.Tensor) -> None:
        """Count labels (see `_shown`) and probabilities [B, T, K] where mask [B, T] is True."""
        real = _shown(labels, probabilities) * tf.cast(mask, tf.float64)[..., None]  # [B, T, K]
        if labels.shape.rank == 3:
            found = probabilities >= 0.5
        else:
            found = (tf.argmax(probabilities, axis=-1, output_type=labels.dtype) == labels)[..., None]
        _add(self.frames, tf.reduce_sum(real, axis=(0, 1)))
        _add(self.correct, tf.reduce_sum(real * tf.cast(found, tf.float64), axis=(0, 1)))

    def result(self) -> tf.Tensor:
        seen = tf.cast(self.frames > 0, tf.float64)
        return tf.math.divide_no_nan(
            tf.reduce_sum(tf.math.divide_no_nan(self.correct, self.frames)), tf.reduce_sum(seen)
        )
