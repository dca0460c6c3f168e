"""The state of a training: model, optimizer, streaming metrics, their checkpoints, and steps of learning.

Symbols: B windows a batch, T frames a window, D' numbers a prepared frame, K classes with background.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import config
import run_folder

if TYPE_CHECKING:
    import tensorflow as tf

    from training.devices import Devices


class Training:
    """The model, its optimizer and streaming metrics, what is saved of them, and steps of learning."""

    def __init__(
        self, settings: config.Config, input_size: int, class_weights: np.ndarray, devices: Devices | None = None
    ):
        """Build everything for windows [B, max_frames, input_size] and the loss's `class_weights` [K], background
        first; on one device, unless `devices` says where."""
        import tensorflow as tf

        from training.devices import Devices

        self.devices = devices or Devices()
        self._settings, self._class_weights = settings, tf.constant(class_weights, tf.float32)
        with self.devices.strategy.scope():
            self._build(input_size, len(class_weights))
        self._make_evaluation(len(class_weights))
        self._make_checkpoints(settings.paths.model_dir / run_folder.CHECKPOINTS, settings.train.keep_checkpoint_max)
        self._train_steps = tf.function(self._learn_several)
        # batches of any number of windows share a graph; their length stays fixed, so that the recurrence is written
        # out frame by frame; see `BidirectionalLSTM`
        self.eval_step = tf.function(self._eval_step, reduce_retracing=True)
        windows = [tf.TensorSpec((None, None, input_size), tf.float32), tf.TensorSpec((None, None), tf.bool)]
        self._probabilities = tf.function(self._classify, input_signature=windows)

    def _build(self, input_size: int, classes: int) -> None:
        import tensorflow as tf

        import model
        from training.adam import Adam
        from training.streaming_metrics import MeanAccuracy, MeanPrecision

        chosen = self._settings.train
        self.classifier = model.build_classifier(input_size, classes, self._settings.model, chosen.precision)
        weights = self.classifier.trainable_variables
        self.optimizer = Adam(weights, _learning_rate(chosen), chosen.weight_decay)
        # of the weights, for evaluation and export
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self._averages = [
            tf.Variable(weight.value.read_value(), trainable=False, aggregation=first)
            for weight in (weights if chosen.ema_decay else ())
        ]
        self.train_metrics = {
            "mean_precision_train": MeanPrecision(classes),
            "mean_accuracy_train": MeanAccuracy(classes),
        }

    def _make_evaluation(self, classes: int) -> None:
        """What only the chief uses, outside the strategy's scope: its values belong to no replica."""
        import keras
        import tensorflow as tf

        from training.streaming_metrics import MeanAccuracy, MeanPrecision

        self.eval_metrics = {
            "loss_eval": keras.metrics.Mean(),
            "mean_precision_eval": MeanPrecision(classes),
            "mean_accuracy_eval": MeanAccuracy(classes),
        }
        self.best_score = tf.Variable(-1.0, trainable=False)
        self.stale = tf.Variable(0, trainable=False)  # evaluations since the best one
        self.evaluated = tf.Variable(0, trainable=False, dtype=tf.int64)  # the step of the last evaluation

    def _make_checkpoints(self, folder: Path, most: int) -> None:
        import tensorflow as tf

        # a Keras metric is not trackable, its variables are; so is the state of dropout, which a model does not track
        counts = [variable.value for metric in self.train_metrics.values() for variable in metric.variables]
        weights = {variable.path for variable in self.classifier.weights}
        random_state = [variable.value for variable in self.classifier.variables if variable.path not in weights]
        optimizer = tf.train.Checkpoint(
            iterations=self.optimizer.iterations,
            momentums=self.optimizer.momentums,
            velocities=self.optimizer.velocities,
        )
        self._checkpoint = tf.train.Checkpoint(
            model=self.classifier,
            optimizer=optimizer,
            best_score=self.best_score,
            stale=self.stale,
            evaluated=self.evaluated,
            averages=self._averages,
            train_metrics=counts,
            random_state=random_state,
        )
        self.folder = folder
        self._newest = tf.train.CheckpointManager(self._checkpoint, str(folder), most)
        weights = tf.train.Checkpoint(model=self.classifier)
        self._best = tf.train.CheckpointManager(weights, str(folder / "best"), max_to_keep=1)

    @property
    def step(self) -> int:
        """Steps taken since the run began."""
        return int(self.optimizer.iterations.numpy())

    def train_steps(self, batches: Iterator, count: int) -> dict[str, np.ndarray]:
        """Take `count` steps with the next of `batches`, of `Devices.distribute`, in one call of a graph.

        Returns `loss` and `gradient_norm` (before clipping) of each step, float32 [count], and `input_wait`, the
        seconds that all of them waited for their batches.
        """
        import tensorflow as tf

        losses, norms, waited = self._train_steps(batches, tf.constant(count))
        return {"loss": losses.numpy(), "gradient_norm": norms.numpy(), "input_wait": waited.numpy()}

    def _learn_several(self, batches: Iterator, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        losses, norms = (tf.TensorArray(tf.float32, count, element_shape=()) for _ in range(2))
        loss, waited = tf.constant(0.0), tf.constant(0.0, tf.float64)
        for number in tf.range(count):
            # fetched while the step before is at work; only what goes by after its end is waiting
            batch = next(batches)
            with tf.control_dependencies([loss, self.optimizer.iterations.read_value()]):
                done = _seconds()
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited += tf.maximum(_seconds() - done, 0)
            loss, norm = self._learn(batch)
            losses, norms = losses.write(number, loss), norms.write(number, norm)
        return losses.stack(), norms.stack(), waited

    def _learn(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """Learn from one batch, on all replicas; its loss and gradient's norm, float32."""
        strategy = self.devices.strategy
        loss, norm = strategy.run(self._replica_step, args=(batch,))
        return strategy.experimental_local_results(loss)[0], strategy.experimental_local_results(norm)[0]

    def _replica_step(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """One replica's part of a step, with its share [B, T, …] of the batch."""
        import tensorflow as tf

        import model
        from training.devices import sum_over_replicas

        labels, mask = self._targets(batch)
        chosen = self._settings.train
        with tf.GradientTape() as tape:
            logits = self.classifier([batch["features"], batch["mask"]], training=True)  # [B, T, K]
            total, weight = model.masked_cross_entropy(
                labels, logits, mask, self._class_weights, chosen.label_smoothing
            )
            loss = tf.math.divide_no_nan(total, sum_over_replicas(weight))
        weights = self.classifier.trainable_variables
        gradients = sum_over_replicas(tape.gradient(loss, weights))
        norm = tf.linalg.global_norm(gradients)
        if chosen.gradient_clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, chosen.gradient_clip_norm, norm)
        self.optimizer.apply(gradients)
        if self._averages:
            # a short memory at first, so that the random start is soon forgotten
            steps = tf.cast(self.optimizer.iterations, tf.float32)
            decay = tf.minimum(chosen.ema_decay, (1 + steps) / (10 + steps))
            for average, weight in zip(self._averages, weights, strict=True):
                average.assign(decay * average + (1 - decay) * weight.value)
        for metric in self.train_metrics.values():
            metric.update_state(labels, tf.nn.softmax(logits), mask)
        return sum_over_replicas(loss), norm

    def _targets(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
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
        mean = tf.math.divide_no_nan(*model.masked_cross_entropy(labels, logits, mask))
        loss.update_state(mean, sample_weight=frames)
        for metric in (precision, accuracy):
            metric.update_state(labels, tf.nn.softmax(logits), mask)

    def _classify(self, features: tf.Tensor, mask: tf.Tensor) -> dict:
        import tensorflow as tf

        return {"probabilities": tf.nn.softmax(self.classifier([features, mask], training=False))}

    def classify(self, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Windows [B, T, D'] and mask [B, T] -> probabilities [B, T, K]; see `predictions_json.Classify`."""
        return self._probabilities(features, mask)["probabilities"].numpy()

    def restore(self) -> bool:
        """Take up the chief's newest checkpoint, in every process; False when there is none."""
        if self.devices.chief:
            _remove_leftovers(self.folder)
            _remove_leftovers(self.folder / "best")
        newest = self._newest.latest_checkpoint
        (step,) = self.devices.agree(int(newest.rpartition("-")[2]) if newest else -1)
        if step < 0:
            return False
        path, damage = self.folder / f"ckpt-{int(step)}", run_folder.damage()
        if not path.with_suffix(".index").is_file():
            raise ValueError(
                f"{path}.index: no such file; several workers need one paths.model_dir for all, others --fresh"
            )
        try:
            self._checkpoint.restore(str(path)).assert_consumed()
        except damage as error:
            cause = " ".join(str(error).split())
            raise ValueError(
                f"{path}: a damaged checkpoint, or one of another model or version: {cause:.200}; use --fresh"
            ) from None
        return True

    def save(self) -> None:
        """Write a checkpoint; beside the chief no process does."""
        if self.devices.chief:
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
                weight.assign(average.numpy())
                average.assign(value)

    def begin_averages(self) -> None:
        """Let the averages begin at the weights as they are."""
        for average, weight in zip(self._averages, self.classifier.trainable_variables, strict=False):
            average.assign(weight.value.numpy())

    def use_final_weights(self) -> None:
        """Leave the model with what is exported: the best weights, where an evaluation chose some, else the last."""
        if self._best.latest_checkpoint:
            self._best.restore_or_initialize()
        else:
            self.use_averages()

    def use_averages(self) -> None:
        """Leave the model with its averaged weights, where `train.ema_decay` keeps some."""
        self._swap_averages()


def _remove_leftovers(folder: Path) -> None:
    """Delete what a kill left of a save in a folder of checkpoints: temporary files, and those of no listed one."""
    import tensorflow as tf

    # not of the manager's own list, which a clock that was put back leaves empty
    state = tf.train.get_checkpoint_state(str(folder))
    paths = (*state.all_model_checkpoint_paths, state.model_checkpoint_path) if state else ()
    listed = {Path(path).name for path in paths}
    for path in folder.glob("c*"):
        if path.name.startswith("checkpoint.tmp"):
            path.unlink()
        elif path.name.startswith("ckpt-") and path.name.endswith("_temp"):
            shutil.rmtree(path)
        elif path.name.startswith("ckpt-") and state and path.name.partition(".")[0] not in listed:
            path.unlink()


def _seconds() -> tf.Tensor:
    """The time when it is asked for in a graph, float64."""
    import tensorflow as tf

    # tf.timestamp refuses to run where operations are deterministic
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), ())


def _learning_rate(chosen: config.TrainSettings) -> Any:
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
