"""The checkpoints of a training: the newest few, from which it goes on, and the best weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

import run_folder

if TYPE_CHECKING:
    from training.state import Training


class Checkpoints:
    """What is kept of a training in `folder`: its `most` newest states, and in `best/` the weights of its best one."""

    def __init__(self, training: Training, folder: Path, most: int):
        self._devices, self._step, self.folder = training.devices, training.optimizer.iterations, folder
        # a Keras metric is not trackable, its variables are; so is the state of dropout, which a model does not track
        counts = [variable.value for metric in training.train_metrics.values() for variable in metric.variables]
        weights = {variable.path for variable in training.classifier.weights}
        random_state = [variable.value for variable in training.classifier.variables if variable.path not in weights]
        optimizer = tf.train.Checkpoint(
            iterations=training.optimizer.iterations,
            momentums=training.optimizer.momentums,
            velocities=training.optimizer.velocities,
        )
        self._checkpoint = tf.train.Checkpoint(
            model=training.classifier,
            optimizer=optimizer,
            best_score=training.best_score,
            stale=training.stale,
            evaluated=training.evaluated,
            averages=training.averages,
            train_metrics=counts,
            random_state=random_state,
        )
        self._newest = tf.train.CheckpointManager(self._checkpoint, str(folder), most)
        weights = tf.train.Checkpoint(model=training.classifier)
        self._best = tf.train.CheckpointManager(weights, str(folder / "best"), max_to_keep=1)

    def restore(self) -> bool:
        """Take up the chief's newest checkpoint, in every process; False when there is none."""
        if self._devices.chief:
            remove_leftovers(self.folder)
            remove_leftovers(self.folder / "best")
        newest = self._newest.latest_checkpoint
        (step,) = self._devices.agree(int(newest.rpartition("-")[2]) if newest else -1)
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
        if self._devices.chief:
            self._newest.save(int(self._step.numpy()))

    def keep_as_best(self) -> None:
        """Keep the weights as they are in the place of those kept before."""
        self._best.save(int(self._step.numpy()))

    def take_best(self) -> bool:
        """Give the model the best weights; False where none were kept."""
        return bool(self._best.latest_checkpoint) and bool(self._best.restore_or_initialize())


def remove_leftovers(folder: Path) -> None:
    """Delete what a kill left of a save in a folder of checkpoints: temporary files, and those of no listed one."""
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
