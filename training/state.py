"""The state of a training: model, optimizer, averages of the weights, streaming metrics, and what evaluates with them.

The steps that change it are in step.py, what is kept of it on disk in checkpoints.py. Symbols: B windows a batch,
T frames a window, D' numbers a prepared frame, K classes with background.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import config
import model
import run_folder
from training.adam import Adam
from training.checkpoints import Checkpoints
from training.devices import Devices
from training.step import TrainingSteps, targets
from training.streaming_metrics import MeanAccuracy, MeanPrecision


class Training:
    """What a training has: `train_steps` changes it, `checkpoints` keeps it, `eval_step` and `classify` use it."""

    def __init__(
        self, settings: config.Config, input_size: int, class_weights: np.ndarray, devices: Devices | None = None
    ):
        """Build everything for windows [B, max_frames, input_size] and the loss's `class_weights` [K], background
        first; on one device, unless `devices` says where."""
        self.devices = devices or Devices()
        self.train_settings, self.predict_mode = settings.train, settings.model.predict_mode
        self.class_weights = tf.constant(class_weights, tf.float32)
        with self.devices.strategy.scope():
            self._build(settings.model, input_size, len(class_weights))
        self._make_evaluation(len(class_weights))
        folder = settings.paths.model_dir / run_folder.CHECKPOINTS
        self.checkpoints = Checkpoints(self, folder, settings.train.keep_checkpoint_max)
        self.train_steps = TrainingSteps(self)
        # batches of any number of windows share a graph; their length stays fixed, so that the recurrence is written
        # out frame by frame; see `BidirectionalLSTM`
        self.eval_step = tf.function(self._eval_step, reduce_retracing=True)
        windows = [tf.TensorSpec((None, None, input_size), tf.float32), tf.TensorSpec((None, None), tf.bool)]
        self._probabilities = tf.function(self._classify, input_signature=windows)

    def _build(self, settings: config.ModelSettings, input_size: int, classes: int) -> None:
        train = self.train_settings
        self.classifier = model.build_classifier(input_size, classes, settings, train.precision)
        weights = self.classifier.trainable_variables
        self.optimizer = Adam(weights, _learning_rate(train), train.weight_decay)
        # of the weights, for evaluation and export
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.averages = [
            tf.Variable(weight.value.read_value(), trainable=False, aggregation=first)
            for weight in (weights if train.ema_decay else ())
        ]
        self.train_metrics = {
            "mean_precision_train": MeanPrecision(classes),
            "mean_accuracy_train": MeanAccuracy(classes),
        }

    def _make_evaluation(self, classes: int) -> None:
        """What only the chief uses, outside the strategy's scope: its values belong to no replica."""
        self.eval_metrics = {
            "loss_eval": keras.metrics.Mean(),
            "mean_precision_eval": MeanPrecision(classes),
            "mean_accuracy_eval": MeanAccuracy(classes),
        }
        self.best_score = tf.Variable(-1.0, trainable=False)
        self.stale = tf.Variable(0, trainable=False)  # evaluations since the best one
        self.evaluated = tf.Variable(0, trainable=False, dtype=tf.int64)  # the step of the last evaluation

    @property
    def step(self) -> int:
        """Steps taken since the run began."""
        return int(self.optimizer.iterations.numpy())

    def _eval_step(self, batch: dict) -> None:
        labels, mask = targets(batch, self.predict_mode, len(self.class_weights))
        logits = self.classifier([batch["features"], batch["mask"]], training=False)
        frames = tf.reduce_sum(tf.cast(mask, tf.float32))
        loss, precision, accuracy = self.eval_metrics.values()
        mean = tf.math.divide_no_nan(*model.masked_cross_entropy(labels, logits, mask))
        loss.update_state(mean, sample_weight=frames)
        for metric in (precision, accuracy):
            metric.update_state(labels, tf.nn.softmax(logits), mask)

    def _classify(self, features: tf.Tensor, mask: tf.Tensor) -> dict:
        return {"probabilities": tf.nn.softmax(self.classifier([features, mask], training=False))}

    def classify(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Windows [B, T, D'] and mask [B, T] -> probabilities [B, T, K]; see `predictions_json.Classify`."""
        return self._probabilities(features, mask)["probabilities"].numpy()

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the model has its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()
        try:
            yield
        finally:
            self._swap_averages()

    def _swap_averages(self) -> None:
        if self.averages:
            for average, weight in zip(self.averages, self.classifier.trainable_variables, strict=True):
                value = weight.value.numpy()
                weight.assign(average.numpy())
                average.assign(value)

    def begin_averages(self) -> None:
        """Let the averages begin at the weights as they are."""
        for average, weight in zip(self.averages, self.classifier.trainable_variables, strict=False):
            average.assign(weight.value.numpy())

    def use_final_weights(self) -> None:
        """Leave the model with what is exported: the best weights, where an evaluation chose some, else the last."""
        if not self.checkpoints.take_best():
            self.use_averages()

    def use_averages(self) -> None:
        """Leave the model with its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()


def _learning_rate(train: config.TrainSettings) -> Any:
    if train.schedule == "constant" and not train.warmup_steps:
        return train.learning_rate
    start = 0.0 if train.warmup_steps else train.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        start,
        max(train.max_steps - train.warmup_steps, 1),
        # alpha is the share that is left at the end
        alpha=1.0 if train.schedule == "constant" else 0.0,
        warmup_target=train.learning_rate if train.warmup_steps else None,
        warmup_steps=train.warmup_steps,
    )
