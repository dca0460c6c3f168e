"""Where a training starts: from its newest checkpoint, from another run's weights, or from the seed."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

import config
import run_folder
import utils
from training.checkpoints import Checkpoints
from training.devices import Devices
from training.run_data import RunData, class_weights
from training.state import TrainingState
from training.step import TrainingSteps
from training.warm_start import take_weights


def make_state(
    run_data: RunData, model_settings: config.ModelSettings, train_settings: config.TrainSettings, devices: Devices
) -> tuple[TrainingState, TrainingSteps]:
    """A training of this data before its first step, and what takes its steps."""
    deterministic = train_settings.deterministic
    if deterministic == "auto":
        deterministic = not tf.config.list_physical_devices("GPU")
    utils.seed_everything(train_settings.seed, deterministic)
    classes = len(run_data.classes)
    state = TrainingState(run_data.training.features.shape[1], classes, model_settings, train_settings, devices)
    return state, TrainingSteps(state, train_settings, class_weights(run_data.training, classes, train_settings))


def begin(
    folder: Path,
    state: TrainingState,
    classes: tuple[str, ...],
    train_settings: config.TrainSettings,
    fresh: bool,
    resume: bool,
) -> tuple[Checkpoints, bool]:
    """Go on from the newest checkpoint of the run in `folder`, where there is one; else begin.

    With `fresh` what the folder holds of a training is deleted first. Returns the checkpoints, and whether it goes on.
    Raises ValueError when `resume` asks for a checkpoint in vain.
    """
    other = train_settings.warm_start
    if fresh:
        _begin_with(state, classes, other)
        if state.devices.chief:
            # not before all of the new run has been checked
            run_folder.delete_training(folder)
    checkpoints = Checkpoints(folder / run_folder.CHECKPOINTS, state, train_settings.keep_checkpoint_max)
    resumed = checkpoints.restore()
    if resume and not resumed:
        raise ValueError(f"{folder}: holds no checkpoint that --resume could go on with; leave it out to begin anew")
    if not resumed and not fresh:
        _begin_with(state, classes, other)
    return checkpoints, resumed


def tell_of_other_data(folder: Path, run_data: RunData) -> None:
    """Warn where the finished run in `folder`, which is to go on, has learnt from other annotations or features.

    Raises ValueError where its classes are others: its outputs would get wrong names.
    """
    file = folder / run_folder.DESCRIPTION
    if not file.is_file():
        return
    known, now = utils.read_json(file), run_data.description()
    if not isinstance(known, dict) or not isinstance(known.get("classes"), list):
        raise ValueError(f"{file}: not the description of a run; --fresh starts it over")
    if known["classes"] != now["classes"]:
        changed = sorted({*map(str, known["classes"])} ^ {*now["classes"]}) or now["classes"]
        raise ValueError(
            f"{file}: this run was begun with other classes, such as {changed[0]!r}: --fresh starts it over, "
            "or name another paths.model_dir"
        )
    if any(known.get(key, now[key]) != now[key] for key in ("training_data", "segment_seconds")):
        utils.LOGGER.warning(
            "%s: has learnt from other annotations or features than there are now, and keeps what it learnt: "
            "--fresh starts it over", folder,
        )  # fmt: skip


def _begin_with(state: TrainingState, classes: tuple[str, ...], other: Path | None) -> None:
    """Begin with the weights of the `other` run, where one is given."""
    if other:
        known = take_weights(state.classifier, classes, other)
        state.begin_averages()
        utils.LOGGER.info("weights of %s, which knows %d of %d classes", other, known, len(classes))
