"""Feature files + annotations -> a trained run: checkpoints, logs, SavedModel and predictions.

A run that was stopped goes on where it was: its step says which windows come next. Symbols: W windows an epoch.
"""

from __future__ import annotations

import contextlib
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import command_line
import config
import data
import predictions_json
import run_folder
import utils
from training import evaluation, tuning
from training.log import TrainingLog
from training.profile import Profile
from training.run_data import RunData, class_weights, last_step, load_data, training_batches
from training.state import Training
from training.stopping import StopRequested, StopSignals

if TYPE_CHECKING:
    from training.devices import Devices


def train(training: Training, run_data: RunData, settings: config.Config, log: TrainingLog, profile: Profile) -> int:
    """Step until `max_steps` or `num_epochs`; save, evaluate and log when it is time.

    Returns 0, or the number of the signal that ended it early, its state being saved.
    """
    chosen, devices, size = settings.train, training.devices, settings.data.batch_size
    last = last_step(run_data.training, settings)
    step = saved = begun = training.step
    batches = devices.distribute(training_batches(run_data.training, settings, step * size, devices))
    with StopSignals() as signals:
        try:
            if step and (step % chosen.save_checkpoints_steps == 0 or step == last) and training.evaluated != step:
                # it was stopped in its evaluation
                _evaluate_and_save(training, run_data, settings, log, signals)
            while step < last and not _is_stale(training, chosen.patience):
                if devices.any(bool(signals.number)):
                    raise StopRequested
                due = (step // chosen.save_checkpoints_steps + 1) * chosen.save_checkpoints_steps
                count = min(chosen.steps_per_call, last - step, due - step, log.next_line(step) - step)
                profile.after(step - begun)
                taken = training.train_steps(batches, count)
                _require_finite(taken["loss"], step, saved)
                step += count
                log.steps(step, count * size, float(taken["input_wait"]), partial(_values, training, taken))
                if step in (due, last):
                    _evaluate_and_save(training, run_data, settings, log, signals)
                    saved = step
        except StopRequested:
            training.save()
            # where another process was told to stop, this one ends as it does
            return signals.number or signal.SIGTERM
    return 0


def _is_stale(training: Training, patience: int) -> bool:
    stale = bool(patience) and int(training.stale) >= patience
    if stale:
        utils.LOGGER.info("no better average mAP in %d evaluations: stopped at step %d", patience, training.step)
    return stale


def _require_finite(losses: np.ndarray, step: int, saved: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        raise ValueError(
            f"the loss is {losses[wrong[0]]} at step {step + wrong[0] + 1}: stopped. The newest checkpoint is of step "
            f"{saved}; try a lower train.learning_rate, or train.gradient_clip_norm=1"
        )


def _values(training: Training, taken: dict[str, np.ndarray]) -> dict[str, float]:
    values = {name: float(taken[name][-1]) for name in ("loss", "gradient_norm")}
    values |= {name: float(metric.result()) for name, metric in training.train_metrics.items()}
    return values | {"learning_rate": float(training.optimizer.learning_rate)}


def _evaluate_and_save(
    training: Training, run_data: RunData, settings: config.Config, log: TrainingLog, signals: StopSignals
) -> None:
    """The chief evaluates, and tells the others what that means. Raises StopRequested when a signal comes meanwhile."""
    stopped = False
    if training.devices.chief and run_data.validation is not None:
        try:
            with training.averaged():
                values, pictures = evaluation.evaluate(training, run_data, settings, signals.check)
                better = values.get("average_mAP", -1.0) > float(training.best_score)
                if better:
                    training.best_score.assign(values["average_mAP"])
                    training.keep_as_best()
                log.evaluation(training.step, values, pictures, training.classifier)
            training.stale.assign(0 if better else training.stale + 1)
        except StopRequested:
            stopped = True
    stale, stopped = training.devices.agree(float(training.stale), float(stopped))
    if stopped:
        raise StopRequested
    training.stale.assign(int(stale))
    training.evaluated.assign(training.step)
    training.save()
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
    folder = settings.paths.model_dir
    if not fresh and (folder / run_folder.CONFIG).is_file():
        check_resumable(settings, folder / run_folder.CONFIG)
    elif resume:
        raise ValueError(f"{folder}: holds no run that --resume could go on with; leave it out to begin one")
    utils.start_tensorflow()
    from training.devices import Devices

    # before anything else of TensorFlow's, which could not be told of other hosts later
    devices = Devices(settings.train.strategy)
    utils.LOGGER.debug("TensorFlow was imported in %.1f s", time.monotonic() - started)
    with utils.held(folder, "training") if devices.chief else contextlib.nullcontext():
        return _run_here(settings, devices, fresh, resume, profile)


def _run_here(settings: config.Config, devices: Devices, fresh: bool, resume: bool, profile: bool) -> int:
    """`run`, in a folder that no other training uses."""
    begun, folder = time.monotonic(), settings.paths.model_dir
    if devices.chief:
        if fresh:
            run_folder.delete_training(folder)
        # what kills left, such as a half saved_model
        utils.remove_temporary_files(folder)
    run_data = load_data(settings, ("training", "validation") if devices.chief else ("training",))
    training = make_training(settings, run_data, devices)
    resumed = training.restore()
    if resume and not resumed:
        raise ValueError(f"{folder}: holds no checkpoint that --resume could go on with; leave it out to begin anew")
    if settings.train.warm_start and not resumed:
        warm_start(training, run_data, settings.train.warm_start)
    if devices.chief:
        utils.write_text(folder / run_folder.CONFIG, settings.to_yaml())
    utils.LOGGER.info(
        "%s at step %d: %d training frames of %d videos, %d classes and background, %d weights, %d device%s; ready "
        "%.1f s after the import of TensorFlow",
        "resumed" if resumed else "started", training.step, len(run_data.training.features),
        len(run_data.training.ids), len(run_data.classes) - 1, training.classifier.count_params(), devices.replicas,
        "s" if devices.replicas > 1 else "", time.monotonic() - begun,
    )  # fmt: skip
    with TrainingLog(folder, settings.train, training.step, devices.chief) as log:
        number = _train_together(training, run_data, settings, log, profile)
    if number:
        name = signal.Signals(number).name
        print(f"{name}: step {training.step} is saved in {training.folder}; the same command goes on from there")
        return 128 + number
    if devices.chief:
        training.use_final_weights()
        finish(training, run_data, settings)
    # a worker that ended would take the others with it
    devices.wait()
    return 0


def _train_together(
    training: Training, run_data: RunData, settings: config.Config, log: TrainingLog, profile: bool
) -> int:
    """`train`, with an error that says what to do when another host is lost."""
    import tensorflow as tf

    try:
        with Profile(settings.paths.model_dir if profile and training.devices.chief else None) as tracing:
            return train(training, run_data, settings, log, tracing)
    except tf.errors.OpError as error:
        if training.devices.workers == 1:
            raise
        raise ValueError(
            f"another worker was lost ({error.message.splitlines()[0]:.200}): run all of them again with the same "
            "command; they go on from the newest checkpoint"
        ) from None


def make_training(settings: config.Config, run_data: RunData, devices: Devices) -> Training:
    """The state of a training of this data, before its first step."""
    import tensorflow as tf

    chosen = settings.train.deterministic
    deterministic = not tf.config.list_physical_devices("GPU") if chosen == "auto" else chosen
    utils.seed_everything(settings.train.seed, deterministic)
    weights = class_weights(run_data.training.labels, len(run_data.classes), settings.train)
    return Training(settings, run_data.training.features.shape[1], weights, devices)


def warm_start(training: Training, run_data: RunData, folder: Path) -> None:
    """Begin with the weights of another run, see `training.state.warm_start`."""
    from training.warm_start import take_weights

    known = take_weights(training.classifier, run_data.classes, folder)
    training.begin_averages()
    utils.LOGGER.info("weights of %s, which knows %d of %d classes", folder, known, len(run_data.classes))


def check_resumable(settings: config.Config, saved_config: Path) -> None:
    """Raise ValueError that names the keys in which a run folder holds another configuration."""
    differing = config.differences(config.load(saved_config), settings, "run")
    if differing:
        raise ValueError(
            f"{saved_config}: this run was begun with other settings: {'; '.join(differing)}. Use -c {saved_config} to "
            "go on with it, --fresh to start it over, or another paths.model_dir"
        )


def finish(training: Training, run_data: RunData, settings: config.Config) -> None:
    """Export the model, describe it in model.json, and predict the subset `predict.subset`."""
    from training.export import write_saved_model

    folder, subset = settings.paths.model_dir, settings.predict.subset
    description = run_data.description()
    write_saved_model(folder / run_folder.SAVED_MODEL, training.classifier, settings, description)
    utils.write_json(folder / run_folder.DESCRIPTION, description)
    store = {"training": run_data.training, "validation": run_data.validation}.get(subset)
    if store is None:
        videos = run_data.annotated.subset(subset)
        store = data.open_store(settings.paths, settings.data.cache, subset, videos, {}, run_data.preparation)
    written = predictions_json.write_subset(
        settings, run_data.annotated.version, store, run_data.model(training.classify)
    )
    print(f"trained to step {training.step} -> {folder / 'saved_model'}\n{written}")


def export_onnx(settings: config.Config) -> int:
    """Turn the finished run in `paths.model_dir` into model.onnx."""
    utils.start_tensorflow()
    from training.export import write_onnx

    print(f"exported -> {write_onnx(settings.paths.model_dir)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Train the BiLSTM on extracted features; a run that was stopped goes on where it was."
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on with the run in the folder, and begin no new one")
    start.add_argument("--fresh", action="store_true", help="delete what the run folder holds and start over")
    parser.add_argument("--profile", action="store_true", help="trace a few steps for TensorBoard's profiler")
    parser.add_argument("--export", choices=["onnx"], help="do not train: turn the finished run into model.onnx")
    parser.add_argument("--tune", action="store_true", help="train on folds of the training subset only, choose the "
                        "settings of section predict on them, write them to tuned.yml in paths.model_dir")  # fmt: skip
    parser.add_argument("--folds", type=int, default=4, metavar="N", help="with --tune (default: 4)")
    parser.add_argument("--group-by", choices=("video", "shot"), default="video", help="with --tune: what a fold keeps "
                        "together; shot where the same clips recur in several videos (default: video)")  # fmt: skip
    arguments = parser.parse_args(argv)

    def chosen_run() -> int:
        settings = command_line.from_arguments(arguments)
        if arguments.export:
            return export_onnx(settings)
        if arguments.tune:
            return tuning.run(settings, arguments.folds, arguments.group_by)
        return run(settings, arguments.fresh, arguments.resume, arguments.profile)

    return command_line.run_script(chosen_run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
