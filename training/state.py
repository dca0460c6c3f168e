"""What there is in a training: the model, its optimizer, averages of the weights, metrics of the steps, and the best.

Symbols: B windows a batch, T frames a window, D' numbers a prepared frame, K classes with background.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

import config
import model
from training.adam import Adam
from training.devices import Devices
from training.streaming_metrics import MeanAccuracy, MeanPrecision


class TrainingState:
    """All that steps change; `training.checkpoints` saves it."""

    def __init__(
        self,
        input_size: int,
        classes: int,
        model_settings: config.ModelSettings,
        train_settings: config.TrainSettings,
        devices: Devices | None = None,
    ):
        """Build everything for windows [B, T, input_size] and K = `classes`; on one device, unless `devices` says
        where."""
        self.devices, self.classes = devices or Devices(), classes
        self.predict_mode, self.output = model_settings.predict_mode, model_settings.output
        with self.devices.strategy.scope():
            self.members = model.build_members(input_size, classes, model_settings, train_settings.precision)
            self.classifier = model.mean_of(self.members, self.output)
            weights = self.trained
            self.optimizer = Adam(weights, _learning_rate(train_settings), train_settings.weight_decay)
            # of the weights, for evaluation and export
            first = tf.VariableAggregation.ONLY_FIRST_REPLICA
            self.averages = [
                tf.Variable(weight.value.read_value(), trainable=False, aggregation=first)
                for weight in (weights if train_settings.ema_decay else ())
            ]
            self.metrics = {
                "mean_precision_train": MeanPrecision(classes),
                "mean_accuracy_train": MeanAccuracy(classes),
            }
        # what only the chief uses, outside the strategy's scope: its values belong to no replica
        self.best_score = tf.Variable(-1.0, trainable=False)
        self.stale = tf.Variable(0, trainable=False)  # evaluations since the best one
        self.evaluated = tf.Variable(0, trainable=False, dtype=tf.int64)  # the step of the last evaluation
        windows = [tf.TensorSpec((None, None, input_size), tf.float32), tf.TensorSpec((None, None), tf.bool)]
        self._probabilities = tf.function(self._classify, input_signature=windows)

    @property
    def trained(self) -> list[keras.Variable]:
        """The weights that are learnt, member by member; those of `optimizer` and `averages` come in the same order."""
        return [weight for member in self.members for weight in member.trainable_variables]

    @property
    def step(self) -> int:
        """Steps taken since the run began."""
        return int(self.optimizer.iterations.numpy())

    def classify(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Windows [B, T, D'] and mask [B, T] -> probabilities [B, T, K]; see `predictions_json.Classify`."""
        return self._probabilities(features, mask)["probabilities"].numpy()

    def _classify(self, features: tf.Tensor, mask: tf.Tensor) -> dict:
        logits = self.classifier([features, mask], training=False)
        return {"probabilities": model.probabilities(logits, self.output)}

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the model has its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()
        try:
            yield
        finally:
            self._swap_averages()

    def begin_averages(self) -> None:
        """Let the averages begin at the weights as they are."""
        for average, weight in zip(self.averages, self.trained, strict=False):
            average.assign(weight.value.numpy())

    def use_averages(self) -> None:
        """Leave the model with its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()

    def _swap_averages(self) -> None:
        if self.averages:
            for average, weight in zip(self.averages, self.trained, strict=True):
                value = weight.value.numpy()
                weight.assign(average.numpy())
                average.assign(value)


def _learning_rate(settings: config.TrainSettings) -> float | Callable[[tf.Tensor], tf.Tensor]:
    if settings.schedule == "constant" and not settings.warmup_steps:
        return settings.learning_rate
    start = 0.0 if settings.warmup_steps else settings.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        start,
        max(settings.max_steps - settings.warmup_steps, 1),
        # alpha is the share that is left at the end
        alpha=1.0 if settings.schedule == "constant" else 0.0,
        warmup_target=settings.learning_rate if settings.warmup_steps else None,
        warmup_steps=settings.warmup_steps,
    )
