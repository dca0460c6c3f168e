"""Feature files + annotations -> a trained run: checkpoints, logs, SavedModel and predictions.

Symbols: B windows a batch, T frames a window, D' numbers a prepared frame, K classes with background.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import annotations
import config
import data
import metrics
import predictions_json
import preparation
import segments
import utils
from feature_records import require_spec
from training import Training
from training_log import TrainingLog

if TYPE_CHECKING:
    import tensorflow as tf

# settings of a run that may change when it is taken up again: they do not touch what was learnt so far
RESUMABLE = (
    "extractor.batch_size", "extractor.runtime", "extractor.precision", "extractor.workers", "extractor.cache_folder",
    "train.num_epochs", "train.save_", "train.keep_", "train.log_", "train.eval_steps"
)  # fmt: skip
QUANTILES = 21  # every 5 percent
# what a run writes, and `--fresh` deletes
RUN_FILES = ("config.yml", "model.json", "metrics.jsonl", "checkpoints", "saved_model")


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run trains and evaluates on; `validation` is None where that subset has no features."""

    annotated: annotations.Annotations
    classes: tuple[str, ...]
    segment_seconds: np.ndarray  # [K, QUANTILES], see `predictions_json.TrainedModel`
    feature_spec: dict
    preparation: preparation.Preparation
    training: data.FeatureStore
    validation: data.FeatureStore | None

    def model(self, classify: predictions_json.Classify) -> predictions_json.TrainedModel:
        """What is trained on this data, with what classifies windows."""
        return predictions_json.TrainedModel(
            self.classes, self.preparation, self.feature_spec, self.segment_seconds, classify
        )


def load_data(settings: config.Config, subsets: tuple[str, ...] = ("training", "validation")) -> RunData:
    """Read annotations and features of the training subset and, where `subsets` has it, of the validation subset.

    Raises ValueError that names the command to run when a stage has not run yet.
    """
    paths, chosen = settings.paths, settings.data
    spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
    annotated = annotations.load(paths.json_data_path)
    classes = annotated.classes(chosen.taxonomy_level, chosen.min_examples)
    index = {name: number for number, name in enumerate(classes)}
    class_of = annotated.class_of(chosen.taxonomy_level)
    class_index = {label: index[name] for label, name in class_of.items() if name in index}
    if left_out := sorted(set(class_of.values()) - set(classes)):
        utils.LOGGER.warning(
            "%d classes have fewer than %d training segments (data.min_examples) and count as background: %s",
            len(left_out), chosen.min_examples, ", ".join(left_out),
        )  # fmt: skip
    training = annotated.subset("training")
    prepared = learn_preparation(paths.feature_map_folder, training, chosen)

    def load(subset: str) -> data.FeatureStore:
        return data.load_store(paths.feature_map_folder, subset, annotated.subset(subset), class_index, prepared)

    validation = None
    if "validation" not in subsets:
        pass
    elif any((paths.feature_map_folder / "validation").glob("*.tfrecord")):
        validation = load("validation")
    else:
        utils.LOGGER.warning("no features of validation videos: the run is not evaluated, and its last step is kept")
    seconds = segment_seconds(training, class_index, len(classes))
    return RunData(annotated, classes, seconds, spec, prepared, load("training"), validation)


def learn_preparation(
    folder: Path, videos: list[annotations.Video], chosen: config.DataSettings
) -> preparation.Preparation:
    """How features are prepared, with what the training features in `folder` say of it."""
    made = preparation.Preparation(chosen.feature_normalization, chosen.temporal_difference)
    if chosen.feature_normalization != "train" and chosen.components is None:
        return made
    paths = [path for _, path in data.present_files(folder, "training", videos)[0]]
    if chosen.feature_normalization == "train":
        mean, deviation = preparation.training_statistics(paths)
        made = dataclasses.replace(made, mean=mean, deviation=deviation)
    if chosen.components is not None:
        projections = preparation.training_projections(paths, made, chosen.components)
        made = dataclasses.replace(made, projections=projections)
    return made


def segment_seconds(videos: list[annotations.Video], class_index: dict[str, int], classes: int) -> np.ndarray:
    """[K, QUANTILES] quantiles of the lengths of each class's segments; zeros where it has none."""
    lengths: list[list[float]] = [[] for _ in range(classes)]
    for segment in (segment for video in videos for segment in video.labelled_segments()):
        if segment.label in class_index:
            lengths[class_index[segment.label]].append(segment.end - segment.start)
    grid = np.linspace(0, 1, QUANTILES)
    return np.stack([np.quantile(some, grid) if some else np.zeros(QUANTILES) for some in lengths])


def evaluate(training: Training, run_data: RunData, settings: config.Config) -> dict[str, float]:
    """Loss, mean precision and accuracy over the validation windows, each frame once, and the mAP of its segments."""
    store, length = run_data.validation, settings.data.max_frames
    for metric in training.eval_metrics.values():
        metric.reset_state()
    windows = data.store_windows(store.offsets, length, length)
    batches = data.input_fn(store, windows, length, predictions_json.WINDOWS_A_BATCH)
    for batch in batches.take(settings.train.eval_steps or -1):
        training.eval_step(batch)
    values = {name: float(metric.result()) for name, metric in training.eval_metrics.items()}
    if settings.train.eval_steps is None:
        scores = predictions_json.frame_scores(store, training.classify, length, settings.predict.window_stride)
        results = predictions_json.predict(store, scores, run_data.model(training.classify), settings.predict)
        values |= validation_map(run_data, results, settings.data)
    return values


def validation_map(run_data: RunData, results: dict, chosen: config.DataSettings) -> dict[str, float]:
    """The mAP of predictions for the validation videos that have features."""
    present = set(run_data.validation.ids)
    videos = {name: video for name, video in run_data.annotated.videos.items() if name in present}
    # a class may occur in training and not in validation
    scored = metrics.evaluate(
        dataclasses.replace(run_data.annotated, videos=videos), results, "validation",
        taxonomy_level=chosen.taxonomy_level, ignore_unknown_labels=True,
    )  # fmt: skip
    return {"average_mAP": scored.average_mAP, "mAP_0.50": float(scored.mAP[0])}


def training_batches(store: data.FeatureStore, settings: config.Config, seen: int = 0) -> tf.data.Dataset:
    """Batches of training windows, of all epochs, from the one after `seen` windows on; see `data.input_fn`."""
    chosen = settings.data
    windows = data.store_windows(store.offsets, chosen.max_frames, chosen.window_stride)
    order = data.EpochOrder(settings.train.seed, settings.train.num_epochs, chosen.shuffle, seen)
    changes = data.Augmentation(chosen.jitter, chosen.time_scale, chosen.feature_noise, chosen.feature_shift)
    # what changes nothing costs nothing
    augmentation = changes if changes != data.Augmentation() else None
    return data.input_fn(store, windows, chosen.max_frames, chosen.batch_size, order, augmentation)


def train(training: Training, run_data: RunData, settings: config.Config, log: TrainingLog) -> None:
    """Step until `max_steps` or `num_epochs`; save, evaluate and log when it is time."""
    chosen = settings.train
    seen = training.step * settings.data.batch_size
    batches = training_batches(run_data.training, settings, seen)
    saved = step = training.step
    for batch in batches.take(max(chosen.max_steps - step, 0)):
        loss = float(training.train_step(batch))
        step += 1
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss is {loss} at step {step}: stopped. The newest checkpoint is of step {saved}; "
                "try a lower train.learning_rate, or train.gradient_clip_norm=1"
            )
        log.step(step, len(batch["mask"]), lambda loss=loss: {"loss": loss} | _train_values(training))
        if step % chosen.save_checkpoints_steps == 0:
            _evaluate_and_save(training, run_data, settings, log)
            saved = step
            if chosen.patience and training.stale >= chosen.patience:
                utils.LOGGER.info("no better average mAP in %d evaluations: stopped at step %d", chosen.patience, step)
                break
    if saved < step:
        _evaluate_and_save(training, run_data, settings, log)


def class_weights(labels: np.ndarray, classes: int, chosen: config.TrainSettings) -> np.ndarray:
    """The loss's weight of each class [K], float32, by its training frames; 1 on average over frames before
    `weight_factor` scales that of background.

    Args:
      labels: [N] classes of training frames; IGNORED ones do not count.
      classes: K.
      chosen: its `class_balance` b gives weights of frequency^-b.
    """
    frames = np.bincount(labels[labels != data.IGNORED], minlength=classes).astype(np.float64)
    weights = np.where(frames > 0, np.maximum(frames, 1) ** -chosen.class_balance, 0)
    weights *= frames.sum() / max(np.sum(weights * frames), 1e-12)
    weights[segments.BACKGROUND] *= chosen.weight_factor
    return weights.astype(np.float32)


def _train_values(training: Training) -> dict[str, float]:
    values = {name: float(metric.result()) for name, metric in training.train_metrics.items()}
    return values | {"learning_rate": float(training.optimizer.learning_rate)}


def _evaluate_and_save(training: Training, run_data: RunData, settings: config.Config, log: TrainingLog) -> None:
    if run_data.validation is not None:
        with training.averaged():
            values = evaluate(training, run_data, settings)
            better = values.get("average_mAP", -1.0) > float(training.best_score)
            if better:
                training.best_score.assign(values["average_mAP"])
                training.keep_as_best()
        training.stale.assign(0 if better else training.stale + 1)
        log.evaluation(training.step, values)
    training.save()


def run(settings: config.Config, fresh: bool = False) -> int:
    """Train the run in `paths.model_dir`, from its newest checkpoint on; with `fresh`, from the start."""
    folder = settings.paths.model_dir
    saved_config = folder / "config.yml"
    if fresh:
        delete_run(folder)
    elif saved_config.is_file():
        check_resumable(settings, saved_config)
    utils.start_tensorflow()
    started = time.monotonic()
    run_data = load_data(settings)

    import tensorflow as tf

    chosen = settings.train.deterministic
    deterministic = not tf.config.list_physical_devices("GPU") if chosen == "auto" else chosen
    utils.seed_everything(settings.train.seed, deterministic)
    weights = class_weights(run_data.training.labels, len(run_data.classes), settings.train)
    training = Training(settings, run_data.training.features.shape[1], weights)
    folder.mkdir(parents=True, exist_ok=True)
    utils.write_text(saved_config, settings.to_yaml())
    resumed = training.restore()
    log = TrainingLog(folder, settings.train, first_step=training.step)
    utils.LOGGER.info(
        "%s at step %d: %d training frames of %d videos, %d classes and background, %d weights; ready after %.1f s",
        "resumed" if resumed else "started", training.step, len(run_data.training.features),
        len(run_data.training.ids), len(run_data.classes) - 1, training.classifier.count_params(),
        time.monotonic() - started,
    )  # fmt: skip
    with log:
        train(training, run_data, settings, log)
    training.use_final_weights()
    finish(training, run_data, settings)
    return 0


def check_resumable(settings: config.Config, saved_config: Path) -> None:
    """Raise ValueError that names the keys in which a run folder holds another configuration."""
    # a cosine schedule is laid out over max_steps
    resumable = RESUMABLE + (() if settings.train.schedule == "cosine" else ("train.max_steps",))
    found = config.differences(config.load(saved_config), settings, (*predictions_json.TRAINED_SECTIONS, "train"))
    differing = [difference for difference in found if not difference.startswith(resumable)]
    if differing:
        raise ValueError(
            f"{saved_config}: this run was begun with other settings: {'; '.join(differing)}. Use -c {saved_config} to "
            "go on with it, --fresh to start it over, or another paths.model_dir"
        )


def delete_run(folder: Path) -> None:
    """Delete what a run wrote into its folder, and nothing else that is there."""
    for path in [folder / name for name in RUN_FILES] + list(folder.glob("events.out.tfevents.*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def finish(training: Training, run_data: RunData, settings: config.Config) -> None:
    """Export the model, describe it in model.json, and predict the subset `predict.subset`."""
    folder, subset = settings.paths.model_dir, settings.predict.subset
    training.export(folder / "saved_model")
    utils.write_json(folder / "model.json", {
        "classes": list(run_data.classes),
        "training_data": {
            "version": run_data.annotated.version,
            "file": settings.paths.json_data_path.name,
            "videos": len(run_data.training.ids),
        },
        "segment_seconds": run_data.segment_seconds.round(3).tolist(),
        "preparation": preparation.preparation_to_json(run_data.preparation),
        "features": run_data.feature_spec,
    })  # fmt: skip
    store = {"training": run_data.training, "validation": run_data.validation}.get(subset)
    if store is None:
        videos = run_data.annotated.subset(subset)
        store = data.load_store(settings.paths.feature_map_folder, subset, videos, {}, run_data.preparation)
    written = predictions_json.write_subset(
        settings, run_data.annotated.version, store, run_data.model(training.classify)
    )
    print(f"trained to step {training.step} -> {folder / 'saved_model'}\n{written}")


def main(argv: list[str] | None = None) -> int:
    parser = config.make_parser("Train the BiLSTM on extracted features; a run that was stopped goes on where it was.")
    parser.add_argument("--fresh", action="store_true", help="delete what the run folder holds and start over")
    arguments = parser.parse_args(argv)
    return utils.run_script(lambda: run(config.from_arguments(arguments), arguments.fresh), arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
