"""The state of a training: model, optimizer, streaming metrics, their checkpoints, and one step of learning.

Symbols: B windows a batch, T frames a window, D' numbers a prepared frame, K classes with background.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import config
import utils


class Training:
    """The model, its optimizer and streaming metrics, what is saved of them, and one step."""

    def __init__(self, settings: config.Config, input_size: int, class_weights: np.ndarray):
        """Build everything for windows [B, T, input_size] and the loss's `class_weights` [K], background first."""
        import keras
        import tensorflow as tf

        import model

        chosen, classes = settings.train, len(class_weights)
        self._settings, self._class_weights = settings, tf.constant(class_weights, tf.float32)
        self.classifier = model.build_classifier(input_size, classes, settings.model)
        self.optimizer = keras.optimizers.AdamW(
            _learning_rate(chosen),
            weight_decay=chosen.weight_decay,  # 0: Adam
            global_clipnorm=chosen.gradient_clip_norm or None,
        )
        self.optimizer.build(self.classifier.trainable_variables)
        # of the weights, for evaluation and export
        averaged = self.classifier.trainable_variables if chosen.ema_decay else ()
        self._averages = [tf.Variable(weight.value, trainable=False) for weight in averaged]
        self.train_metrics = {
            "mean_precision_train": model.MeanPrecision(classes),
            "mean_accuracy_train": model.MeanAccuracy(classes),
        }
        self.eval_metrics = {
            "loss_eval": keras.metrics.Mean(),
            "mean_precision_eval": model.MeanPrecision(classes),
            "mean_accuracy_eval": model.MeanAccuracy(classes),
        }
        self.best_score = tf.Variable(-1.0, trainable=False)
        self.stale = tf.Variable(0, trainable=False)  # evaluations since the best one
        # a Keras metric is not trackable, its variables are; so is the state of dropout, which a model does not track
        counts = [variable.value for metric in self.train_metrics.values() for variable in metric.variables]
        weights = {variable.path for variable in self.classifier.weights}
        random_state = [variable.value for variable in self.classifier.variables if variable.path not in weights]
        self._checkpoint = tf.train.Checkpoint(
            model=self.classifier,
            optimizer=self.optimizer,
            best_score=self.best_score,
            stale=self.stale,
            averages=self._averages,
            train_metrics=counts,
            random_state=random_state,
        )
        folder = settings.paths.model_dir / "checkpoints"
        self._newest = tf.train.CheckpointManager(self._checkpoint, str(folder), chosen.keep_checkpoint_max)
        weights = tf.train.Checkpoint(model=self.classifier)
        self._best = tf.train.CheckpointManager(weights, str(folder / "best"), max_to_keep=1)
        frames = tf.TensorSpec((None, None, input_size), tf.float32)
        batch = {
            "features": frames,
            "labels": tf.TensorSpec((None, None), tf.int32),
            "mask": tf.TensorSpec((None, None), tf.bool),
        }
        self.train_step = tf.function(self._train_step, input_signature=[batch])
        self.eval_step = tf.function(self._eval_step, input_signature=[batch])
        self._probabilities = tf.function(self._classify, input_signature=[batch["features"], batch["mask"]])

    @property
    def step(self) -> int:
        """Steps taken since the run began."""
        return int(self.optimizer.iterations.numpy())

    def _train_step(self, batch: dict) -> object:
        """Learn from one batch; its loss, float32."""
        import tensorflow as tf

        import model

        labels, mask = self._targets(batch)
        chosen = self._settings.train
        with tf.GradientTape() as tape:
            logits = self.classifier([batch["features"], batch["mask"]], training=True)  # [B, T, K]
            loss = model.masked_cross_entropy(labels, logits, mask, self._class_weights, chosen.label_smoothing)
        weights = self.classifier.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        if self._averages:
            # a short memory at first, so that the random start is soon forgotten
            steps = tf.cast(self.optimizer.iterations, tf.float32)
            decay = tf.minimum(chosen.ema_decay, (1 + steps) / (10 + steps))
            for average, weight in zip(self._averages, weights, strict=True):
                average.assign(decay * average + (1 - decay) * weight.value)
        for metric in self.train_metrics.values():
            metric.update_state(labels, tf.nn.softmax(logits), mask)
        return loss

    def _targets(self, batch: dict) -> tuple:
        """Labels int32 [B, T] to learn, and the mask bool [B, T] of the frames that have one."""
        import tensorflow as tf

        import data
        import model

        mode, classes = self._settings.model.predict_mode, len(self._class_weights)
        labels = model.target_labels(batch["labels"], batch["mask"], mode, classes)
        mask = batch["mask"] & (batch["labels"] != data.IGNORED) & (labels != data.IGNORED)
        return tf.maximum(labels, 0), mask

    def _eval_step(self, batch: dict) -> None:
        import tensorflow as tf

        import model

        labels, mask = self._targets(batch)
        logits = self.classifier([batch["features"], batch["mask"]], training=False)
        frames = tf.reduce_sum(tf.cast(mask, tf.float32))
        loss, precision, accuracy = self.eval_metrics.values()
        loss.update_state(model.masked_cross_entropy(labels, logits, mask), sample_weight=frames)
        for metric in (precision, accuracy):
            metric.update_state(labels, tf.nn.softmax(logits), mask)

    def _classify(self, features: object, mask: object) -> dict:
        import tensorflow as tf

        return {"probabilities": tf.nn.softmax(self.classifier([features, mask], training=False))}

    def classify(self, features: object, mask: object) -> object:
        """Windows [B, T, D'] and mask [B, T] -> probabilities [B, T, K], NumPy; see `predictions_json.Classify`."""
        return self._probabilities(features, mask)["probabilities"].numpy()

    def restore(self) -> bool:
        """Take up the newest checkpoint; False when there is none."""
        if not self._newest.latest_checkpoint:
            return False
        self._checkpoint.restore(self._newest.latest_checkpoint).assert_consumed()
        return True

    def save(self) -> None:
        self._newest.save(self.step)

    def keep_as_best(self) -> None:
        self._best.save(self.step)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the model has its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()
        try:
            yield
        finally:
            self._swap_averages()

    def _swap_averages(self) -> None:
        if self._averages:
            for average, weight in zip(self._averages, self.classifier.trainable_variables, strict=True):
                value = weight.value.numpy()
                weight.assign(average)
                average.assign(value)

    def use_final_weights(self) -> None:
        """Leave the model with what is exported: the best weights, where an evaluation chose some, else the last."""
        if self._best.latest_checkpoint:
            self._best.restore_or_initialize()
        else:
            self._swap_averages()

    def export(self, folder: Path) -> None:
        """Write a SavedModel whose `serving_default` maps features and mask to probabilities."""
        import keras
        import tensorflow as tf

        archive = keras.export.ExportArchive()
        archive.track(self.classifier)
        archive.add_endpoint("serving_default", self._classify, input_signature=[
            tf.TensorSpec((None, None, self.classifier.input_shape[0][-1]), tf.float32, name="features"),
            tf.TensorSpec((None, None), tf.bool, name="mask"),
        ])  # fmt: skip
        with utils.atomic_folder(folder) as temporary:
            archive.write_out(str(temporary), verbose=False)


def _learning_rate(chosen: config.TrainSettings) -> object:
    import keras

    if chosen.schedule == "constant" and not chosen.warmup_steps:
        return chosen.learning_rate
    start = 0.0 if chosen.warmup_steps else chosen.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        start,
        max(chosen.max_steps - chosen.warmup_steps, 1),
        # alpha is the share that is left at the end
        alpha=1.0 if chosen.schedule == "constant" else 0.0,
        warmup_target=chosen.learning_rate if chosen.warmup_steps else None,
        warmup_steps=chosen.warmup_steps,
    )
