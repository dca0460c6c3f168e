"""Feature files + annotations -> a trained run: checkpoints, logs, SavedModel and predictions.

A run that was stopped goes on where it was: its step says which windows come next. Symbols: W windows an epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from environment import prerequisites  # noqa: F401

import numpy as np

import command_line
import config
import data
import predictions_json
import run_folder
import utils
from features.records import require_spec
from training import tuning
from training.log import TrainingLog
from training.profile import Profile
from training.run_data import RunData, last_step, load_data, training_batches
from training.stopping import StopRequested, StopSignals

# what needs TensorFlow is imported where `run` has begun: a wrong setting and --help do not wait for it
if TYPE_CHECKING:
    import tensorflow as tf

    from training.checkpoints import Checkpoints
    from training.evaluation import Evaluation
    from training.state import TrainingState
    from training.step import TrainingSteps


@dataclasses.dataclass(frozen=True)
class Training:
    """What there is, how it learns, how it is saved, and how it is evaluated where there is something to do it on."""

    state: TrainingState
    steps: TrainingSteps
    checkpoints: Checkpoints
    evaluation: Evaluation | None


def train(
    training: Training,
    store: data.FeatureStore,
    data_settings: config.DataSettings,
    train_settings: config.TrainSettings,
    log: TrainingLog,
    profile: Profile,
) -> int:
    """Step until `max_steps` or `num_epochs`; save, evaluate and log when it is time.

    Returns 0, or the number of the signal that ended it early, its state being saved.
    """
    import tensorflow as tf

    state, devices, size = training.state, training.state.devices, data_settings.batch_size
    every, last = train_settings.save_checkpoints_steps, last_step(store, data_settings, train_settings)
    step = saved = begun = state.step
    batches = devices.distribute(training_batches(store, data_settings, train_settings, step * size, devices))
    with StopSignals() as signals:
        try:
            if step and (step % every == 0 or step == last) and state.evaluated != step:
                # it was stopped in its evaluation
                _evaluate_and_save(training, log, signals)
            while step < last and not _is_stale(state, train_settings.patience):
                if devices.any(bool(signals.number)):
                    raise StopRequested
                due = (step // every + 1) * every
                count = min(train_settings.steps_per_call, last - step, due - step, log.next_line(step) - step)
                profile.after(step - begun)
                taken = training.steps.take(batches, tf.constant(count))
                _require_finite(taken["loss"].numpy(), step, saved)
                step += count
                log.steps(step, count * size, float(taken["input_wait"]), partial(_values, state, taken))
                if step in (due, last):
                    _evaluate_and_save(training, log, signals)
                    saved = step
        except StopRequested:
            training.checkpoints.save()
            # where another process was told to stop, this one ends as it does
            return signals.number or signal.SIGTERM
    return 0


def _is_stale(state: TrainingState, patience: int) -> bool:
    stale = bool(patience) and int(state.stale) >= patience
    if stale:
        utils.LOGGER.info("no better average mAP in %d evaluations: stopped at step %d", patience, state.step)
    return stale


def _require_finite(losses: np.ndarray, step: int, saved: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        raise ValueError(
            f"the loss is {losses[wrong[0]]} at step {step + wrong[0] + 1}: stopped. The newest checkpoint is of step "
            f"{saved}; try a lower train.learning_rate, or train.gradient_clip_norm=1"
        )


def _values(state: TrainingState, taken: dict[str, tf.Tensor]) -> dict[str, float]:
    values = {name: float(taken[name][-1]) for name in ("loss", "gradient_norm")}
    values |= {name: float(metric.result()) for name, metric in state.metrics.items()}
    return values | {"learning_rate": float(state.optimizer.learning_rate)}


def _evaluate_and_save(training: Training, log: TrainingLog, signals: StopSignals) -> None:
    """The chief evaluates, and tells the others what that means. Raises StopRequested when a signal comes meanwhile."""
    state, stopped = training.state, False
    if training.evaluation is not None:
        try:
            with state.averaged():
                values, pictures = training.evaluation.run(signals.check)
                better = values.get("average_mAP", -1.0) > float(state.best_score)
                if better:
                    state.best_score.assign(values["average_mAP"])
                    training.checkpoints.keep_as_best()
                log.evaluation(state.step, values, pictures, state.classifier)
            if "average_mAP" in values:  # without one nothing is known to be worse
                state.stale.assign(0 if better else state.stale + 1)
        except StopRequested:
            stopped = True
    stale, stopped = state.devices.agree(float(state.stale), float(stopped))
    if stopped:
        raise StopRequested
    state.stale.assign(int(stale))
    state.evaluated.assign(state.step)
    training.checkpoints.save()
    log.restart_clock()


def run(settings: config.Config, fresh: bool = False, resume: bool = False, profile: bool = False) -> int:
    """Train the run in `paths.model_dir`, from its newest checkpoint on; with `fresh`, from the start.

    Args:
      settings: the configuration.
      fresh: delete what the folder holds of a run.
      resume: refuse to begin a new run.
      profile: trace some steps for TensorBoard.

    Returns 0, or 128 and the number of the signal that ended the training, which goes on when it is run again.
    """
    started = time.monotonic()
    paths, train_settings, folder = settings.paths, settings.train, settings.paths.model_dir
    if not fresh:
        refuse_another_run(folder, dict(settings), resume)
    utils.start_tensorflow()
    from training.devices import Devices, lost_workers_explained

    # before anything else of TensorFlow's, which could not be told of other hosts later
    devices = Devices(train_settings.strategy)
    utils.LOGGER.debug("TensorFlow was imported in %.1f s", time.monotonic() - started)
    from training import start
    from training.evaluation import Evaluation

    with utils.held(folder, "training") if devices.chief else contextlib.nullcontext():
        begun = time.monotonic()
        if devices.chief:
            utils.remove_temporary_files(folder)  # what kills left, such as a half saved_model
        spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
        subsets = ("training", "validation") if devices.chief else ("training",)
        run_data = load_data(paths, settings.data, spec, subsets, settings.model.output)
        if not fresh:
            start.tell_of_other_data(folder, run_data)
        state, steps = start.make_state(run_data, settings.model, train_settings, devices)
        evaluation = None
        if run_data.validation is not None:
            evaluation = Evaluation(state, run_data, settings.data, train_settings, settings.predict)
        checkpoints, resumed = start.begin(folder, state, run_data.classes, train_settings, fresh, resume)
        training = Training(state, steps, checkpoints, evaluation)
        if devices.chief:
            utils.write_text(folder / run_folder.CONFIG, settings.to_yaml())
            _tell_what_patience_lacks(train_settings, evaluation)
        _tell_the_start(state, run_data, resumed, time.monotonic() - begun)
        run_folder.advise_a_plan(len(run_data.training.features), train_settings)
        with (
            TrainingLog(folder, train_settings, state.step, devices.chief) as log,
            lost_workers_explained(devices.workers),
            Profile(folder if profile and devices.chief else None) as tracing,
        ):
            number = train(training, run_data.training, settings.data, train_settings, log, tracing)
        if number:
            name = signal.Signals(number).name
            print(f"{name}: step {state.step} is saved in {checkpoints.folder}; the same command goes on from there")
            return 128 + number
        if devices.chief:
            checkpoints.use_final_weights()
            finish(state, run_data, paths, settings.data, settings.model, settings.predict, settings.to_yaml())
        # a worker that ended would take the others with it
        devices.wait()
    return 0


def refuse_another_run(folder: Path, sections: Mapping[str, config.Section], resume: bool) -> None:
    """Raise ValueError when `folder` holds a run that was begun with other settings, or none that `resume` asks for."""
    saved = folder / run_folder.CONFIG
    if not saved.is_file():
        if resume:
            raise ValueError(f"{folder}: holds no run that --resume could go on with; leave it out to begin one")
    elif differing := run_folder.differences(dict(config.load(saved)), sections, "run"):
        raise ValueError(
            f"{saved}: this run was begun with other settings: {'; '.join(differing)}. Use -c {saved} to go on with "
            "it, --fresh to start it over, or another paths.model_dir"
        )


def finish(
    state: TrainingState, run_data: RunData, paths: config.PathSettings, data_settings: config.DataSettings,
    model_settings: config.ModelSettings, predict_settings: config.PredictSettings, resolved: str,
) -> None:  # fmt: skip
    """Export the model as it is now and predict with it; `resolved` is the run's config.yml."""
    from exporting.saved_model import write_saved_model

    folder, windows = paths.model_dir, (data_settings.max_frames, predict_settings.window_stride)
    description, saved_model = run_data.description(), folder / run_folder.SAVED_MODEL
    write_saved_model(saved_model, state.classifier, model_settings, windows, description, resolved)
    utils.write_json(folder / run_folder.DESCRIPTION, description)
    subset, annotated = predict_settings.subset, run_data.annotated
    # what is loaded already is not loaded again
    store = {"training": run_data.training, "validation": run_data.validation}.get(subset) or data.open_store(
        paths, data_settings.cache, subset, annotated.subset(subset), {}, run_data.preparation
    )
    own, model = run_folder.own_decoding(folder, predict_settings), run_data.model(state.classify)
    written = predictions_json.write_subset(folder, own, windows[0], annotated.version, store, model)
    print(f"trained to step {state.step} -> {saved_model}\n{written}")


def _tell_what_patience_lacks(settings: config.TrainSettings, evaluation: Evaluation | None) -> None:
    if settings.patience and (evaluation is None or settings.eval_steps):
        cause = "there is nothing to evaluate on" if evaluation is None else "train.eval_steps leaves it out"
        utils.LOGGER.warning("train.patience waits for a better average mAP, and %s: nothing stops early", cause)


def _tell_the_start(state: TrainingState, run_data: RunData, resumed: bool, seconds: float) -> None:
    utils.LOGGER.info(
        "%s at step %d: %d training frames of %d videos, %d classes and background, %d weights, %d device%s; ready "
        "%.1f s after the import of TensorFlow",
        "resumed" if resumed else "started", state.step, len(run_data.training.features), len(run_data.training.ids),
        len(run_data.classes) - 1, state.classifier.count_params(), state.devices.replicas,
        "s" if state.devices.replicas > 1 else "", seconds,
    )  # fmt: skip


def export(folder: Path, form: str) -> int:
    """Write the finished run in `folder` as a file of another runtime."""
    utils.start_tensorflow()
    from exporting import formats

    print(f"exported -> {formats.export(folder, form)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Train the BiLSTM on extracted features; a run that was stopped goes on where it was."
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on with the run in the folder, and begin no new one")
    start.add_argument("--fresh", action="store_true", help="delete what the run folder holds and start over")
    parser.add_argument("--profile", action="store_true", help="trace a few steps for TensorBoard's profiler")
    parser.add_argument("--export", choices=run_folder.EXPORTS, help="do not train: write the finished run's model so")
    parser.add_argument("--tune", action="store_true", help="train on folds of the training subset only, choose the "
                        "settings of section predict on them, write them to tuned.yml in paths.model_dir")  # fmt: skip
    parser.add_argument("--folds", type=int, default=4, metavar="N", help="with --tune (default: 4)")
    parser.add_argument("--group-by", choices=("video", "shot"), default="video", help="with --tune: what a fold keeps "
                        "together; shot where the same clips recur in several videos (default: video)")  # fmt: skip
    arguments = parser.parse_args(argv)

    def chosen_run() -> int:
        settings = command_line.from_arguments(arguments)
        if arguments.export:
            return export(settings.paths.model_dir, arguments.export)
        if arguments.tune:
            return tuning.run(settings, arguments.folds, arguments.group_by)
        return run(settings, arguments.fresh, arguments.resume, arguments.profile)

    return command_line.run_script(chosen_run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
