"""The state of a training <-> its checkpoints: the newest ones, from which a run goes on, and the best weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

import run_folder
from training.state import TrainingState


class Checkpoints:
    """Saves and restores a state in `folder`, whose subfolder `best` holds the best weights."""

    def __init__(self, folder: Path, state: TrainingState, most: int):
        """Keep the `most` newest checkpoints."""
        self.folder, self._state = folder, state
        # a Keras metric is not trackable, its variables are; so is the state of dropout, which a model does not track
        counts = [variable.value for metric in state.metrics.values() for variable in metric.variables]
        paths = {variable.path for variable in state.classifier.weights}
        random_state = [variable.value for variable in state.classifier.variables if variable.path not in paths]
        optimizer = tf.train.Checkpoint(
            iterations=state.optimizer.iterations,
            momentums=state.optimizer.momentums,
            velocities=state.optimizer.velocities,
        )
        # these names are the layout of the file
        self._whole = tf.train.Checkpoint(
            model=state.classifier,
            optimizer=optimizer,
            best_score=state.best_score,
            stale=state.stale,
            evaluated=state.evaluated,
            averages=state.averages,
            train_metrics=counts,
            random_state=random_state,
        )
        self._newest = tf.train.CheckpointManager(self._whole, str(folder), most)
        weights = tf.train.Checkpoint(model=state.classifier)
        self._best = tf.train.CheckpointManager(weights, str(folder / "best"), max_to_keep=1)

    def restore(self) -> bool:
        """Take up the chief's newest checkpoint, in every process; False when there is none.

        Raises ValueError when it is damaged, of another model, or not in a folder that this process shares.
        """
        devices = self._state.devices
        if devices.chief:
            _remove_leftovers(self.folder)
            _remove_leftovers(self.folder / "best")
        newest = self._newest.latest_checkpoint
        (step,) = devices.agree(int(newest.rpartition("-")[2]) if newest else -1)
        if step < 0:
            return False
        path, damage = self.folder / f"ckpt-{int(step)}", run_folder.damage()
        if not path.with_suffix(".index").is_file():
            raise ValueError(
                f"{path}.index: no such file; several workers need one paths.model_dir for all, others --fresh"
            )
        try:
            self._whole.restore(str(path)).assert_consumed()
        except damage as error:
            cause = " ".join(str(error).split())
            raise ValueError(
                f"{path}: a damaged checkpoint, or one of another model or version: {cause:.200}; use --fresh"
            ) from None
        return True

    def save(self) -> None:
        """Write a checkpoint; beside the chief no process does."""
        if self._state.devices.chief:
            self._newest.save(self._state.step)

    def keep_as_best(self) -> None:
        """Write the weights that the model has now, in place of the best ones so far."""
        self._best.save(self._state.step)

    def use_final_weights(self) -> None:
        """Leave the model with what is exported: the best weights, where an evaluation chose some, else the last."""
        if self._best.latest_checkpoint:
            self._best.restore_or_initialize()
        else:
            self._state.use_averages()


def _remove_leftovers(folder: Path) -> None:
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
