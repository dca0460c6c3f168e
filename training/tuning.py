"""Training features + annotations -> decoding settings chosen on grouped folds of the training subset.

Each frame is scored by a model that has seen neither it nor a copy of it; the settings are those whose segments are
best for these scores. Reached as `python trainer.py --tune`. Symbols: N frames of all videos, K classes.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

import command_line
import config
import data
import metrics
import predictions_json
import run_folder
import utils
from evaluation import matching, segmentation
from features import preparation
from features.records import feature_file, read_features, require_spec
from training.jackknife import gain, jackknifed
from training.run_data import RunData, class_weights, last_step, load_data, training_batches

if TYPE_CHECKING:
    from training.state import TrainingState

# shots whose mean features are closer than this cosine show the same thing
SAME_SHOT = 0.93
FEW_VIDEOS = 20  # below, what folds say of settings is mostly chance
MOST_VIDEOS = 500  # that settings are searched on; more change nothing but the time
TIMED_STEPS = 10
SMALLEST_GAIN = 0.001  # of average mAP, that a change of a setting must bring
LEVELS = (
    (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95),
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    (0.02, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    (0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
)
# one setting, or a few that belong together, at a time; what matters most first
SEARCHED = (
    [{"smoothing": value, "smoothing_filter": "gaussian"} for value in (0.0, 0.15, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5)]
    + [{"smoothing": value, "smoothing_filter": "median"} for value in (0.5, 1.0, 2.0)],
    [{"method": "peaks"}, {"method": "thresholds"}, {"method": "shots"}],
    [{"shot_smoothing": value} for value in (0.0, 0.5, 0.8, 1.0)],
    [{"contrast": value} for value in (0.0, 0.25, 0.5, 0.75, 1.0)],
    [{"context": value} for value in (0.1, 0.25, 0.5, 1.0)],
    [{"nms": "soft", "nms_tiou": value} for value in (0.1, 0.25, 0.5, 1.0)]
    + [{"nms": "hard", "nms_tiou": value} for value in (0.2, 0.4, 0.6)],
    [{"thresholds": levels} for levels in LEVELS],
    [{"length_weight": value} for value in (0.0, 0.25, 0.5, 1.0)],
    [{"min_seconds_quantile": value} for value in (0.0, 0.01, 0.05, 0.1, 0.2)],
    [{"min_seconds": value} for value in (0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 3.0)],
    [{"gap_seconds": value} for value in (0.0, 0.5, 1.0, 2.0, 4.0)],
    [{"video_labels": value, "video_pooling": share} for value in (1, 2, 3, 5) for share in (1.0, 0.3)]
    + [{"video_labels": 0, "video_pooling": 1.0}],
)


def recurring_shots(paths: list[Path]) -> np.ndarray:
    """The group [N] int of each frame: frames of one shot share it, and so do shots that show the same thing.

    Args:
      paths: the feature files of the videos, in the order of their frames.
    """
    shots, means = [], []
    count = 0
    for video in read_features(paths):
        features = np.asarray(video.features, np.float32).reshape(len(video.features), -1)
        shot = np.cumsum(preparation.shot_cuts(features))
        for number in range(shot[-1] + 1):
            mean = features[shot == number].mean(axis=0)
            means.append(mean / max(np.linalg.norm(mean), 1e-12))
        shots.append(count + shot)
        count += shot[-1] + 1
    means = np.stack(means)
    parents = np.arange(count)
    for number in range(1, count):
        # the group of every earlier shot that is like this one becomes this one's
        alike = np.unique(parents[:number][means[:number] @ means[number] > SAME_SHOT])
        parents[np.isin(parents, alike)] = number
    return parents[np.concatenate(shots)]


def split(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold [N] int of each frame: whole groups [N], drawn by `seed`, into folds of nearly as many frames.

    Raises ValueError when there are fewer groups than folds.
    """
    names, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ValueError(
            f"--tune: expected at least {folds} training videos or groups of shots for as many folds, received "
            f"{len(names)}" + (f": --folds {len(names)} takes fewer" if len(names) > 1 else "")
        )
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of, frames = np.empty(len(names), np.int64), np.zeros(folds, np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = np.argmin(frames)
        frames[fold_of[group]] += sizes[group]
    return fold_of[index]


def fit(
    run_data: RunData,
    labels: np.ndarray,
    data_settings: config.DataSettings,
    model_settings: config.ModelSettings,
    train_settings: config.TrainSettings,
    tell: Callable[[float], None] | None = None,
) -> TrainingState:
    """Train to `max_steps` on the training videos with these labels [N], without logs and checkpoints.

    After the first steps `tell` is called with the seconds that a step takes; not where there are hardly more.
    """
    import tensorflow as tf

    from training.state import TrainingState
    from training.step import TrainingSteps

    utils.seed_everything(train_settings.seed, True)
    store, classes = dataclasses.replace(run_data.training, labels=labels), len(run_data.classes)
    state = TrainingState(store.features.shape[1], classes, model_settings, train_settings)
    steps = TrainingSteps(state, train_settings, class_weights(store, classes, train_settings))
    batches = state.devices.distribute(training_batches(store, data_settings, train_settings))
    left = last_step(store, data_settings, train_settings)
    if tell and left > 2 * TIMED_STEPS:
        steps.take(batches, tf.constant(TIMED_STEPS))  # in this call the graph is built
        began = time.monotonic()
        steps.take(batches, tf.constant(TIMED_STEPS))
        tell((time.monotonic() - began) / TIMED_STEPS)
        left -= 2 * TIMED_STEPS
    steps.take(batches, tf.constant(left))
    state.use_averages()
    return state


def out_of_fold_scores(
    store: data.FeatureStore,
    fold_of: np.ndarray,
    classify_after: Callable[[np.ndarray], predictions_json.Classify],
    max_frames: int,
    stride: int,
) -> list[np.ndarray]:
    """Class probabilities [T, K] of each training video, each frame's from a model that has not seen its label.

    Args:
      store: the training videos.
      fold_of: the fold [N] of each frame.
      classify_after: labels [N], of which some are IGNORED -> what classifies windows when it has learnt the others.
      max_frames: of a window.
      stride: sampled frames from window to window.
    """
    total: np.ndarray | None = None
    for fold in command_line.Progress(range(fold_of.max() + 1), desc="training on folds", unit="fold"):
        held_out = fold_of == fold
        classify = classify_after(np.where(held_out, data.IGNORED, store.labels).astype(np.int32))
        scores = np.concatenate(predictions_json.frame_scores(store, classify, max_frames, stride))
        total = np.zeros_like(scores) if total is None else total
        total[held_out] = scores[held_out]
    return [total[store.rows(video)] for video in range(len(store.ids))]


class Search:
    """Tries decoding settings on scores of the training videos; `log` keeps what each trial gave."""

    def __init__(self, run_data: RunData, scores: list[np.ndarray], level: int):
        store = run_data.training
        videos = np.sort(np.random.default_rng(0).permutation(len(store.ids))[:MOST_VIDEOS])
        # segments are decoded from the scores: the features, which may not fit the memory, are not copied
        bare = dataclasses.replace(store, features=np.empty((len(store.features), 0), np.float32))
        self._store, self._scores = bare.take(videos), [scores[video] for video in videos]
        self._model = run_data.model(None)
        searched = set(self._store.ids)
        subset = {name: video for name, video in run_data.annotated.videos.items() if name in searched}
        self._annotated = dataclasses.replace(run_data.annotated, videos=subset)
        self._level = level
        self.log: list[dict] = []

    def average_map(self, settings: config.PredictSettings) -> float:
        scored = metrics.evaluate(
            self._annotated, self._results(settings), "training", taxonomy_level=self._level, ignore_unknown_labels=True
        )
        return scored.average_mAP

    def shown_score(self, settings: config.PredictSettings) -> float:
        """The score from which on segments of these settings are right often enough: where F1 is highest."""
        results = self._results(settings)
        class_of = self._annotated.class_of(self._level)
        truth = {name: [(class_of[s.label], s.start, s.end) for s in video.segments]
                 for name, video in self._annotated.videos.items()}  # fmt: skip
        found = {name: [(one["label"], *one["segment"], one["score"]) for one in some]
                 for name, some in results.items()}  # fmt: skip
        return matching.operating_point(truth, found)

    def _results(self, settings: config.PredictSettings) -> dict[str, list[dict]]:
        return predictions_json.predict(self._store, self._scores, self._model, settings)

    def gain(self, one: config.PredictSettings, other: config.PredictSettings) -> tuple[float, float]:
        """How much higher the average mAP is with `one` than with `other`, and the spread of that over the videos."""
        ids, level = self._store.ids, self._level
        return gain(*(jackknifed(self._annotated, ids, self._results(each), level) for each in (one, other)))

    def best(self, settings: config.PredictSettings) -> tuple[config.PredictSettings, float]:
        """Change one setting at a time for the better, twice over all; returns the settings and their average mAP."""
        score = self.average_map(settings)
        for changes in command_line.Progress(SEARCHED * 2, desc="search", unit="setting"):
            best, best_score = settings, score
            for change in changes:
                candidate = settings.model_copy(update=change)
                if candidate in (settings, best):
                    continue
                value = self.average_map(candidate)
                self.log.append({"average_mAP": value} | change)
                if value > max(best_score, score + SMALLEST_GAIN):
                    best, best_score = candidate, value
            settings, score = best, best_score
        return settings, score


def frame_groups(store: data.FeatureStore, folder: Path, group_by: str) -> np.ndarray:
    """The group [N] of each frame of the training subset: its video's, or its recurring shot's.

    `folder` holds the features.
    """
    if group_by == "shot":
        return recurring_shots([feature_file(folder, "training", name) for name in store.ids])
    return np.repeat(np.arange(len(store.ids)), np.diff(store.offsets))


def _tell_beforehand(store: data.FeatureStore, folds: int, steps: int) -> None:
    videos = len(store.ids)
    utils.LOGGER.info("%d folds of %d videos: a training of %d steps each, then a search", folds, videos, steps)
    if videos < FEW_VIDEOS:
        utils.LOGGER.warning(
            "%d training videos are few to choose settings on: a gain has to exceed its spread over them", videos
        )


def _tell_of_the_trainings(seconds: float) -> None:
    utils.LOGGER.info(
        "the trainings on folds will take %s, then the search begins", command_line.in_words(seconds / 60)
    )


def _timed_average_map(search: Search, settings: config.PredictSettings) -> float:
    """The average mAP, before the search that begins with it: how long that will take is told."""
    began, trials = time.monotonic(), 2 * sum(len(changes) for changes in SEARCHED)
    value = search.average_map(settings)
    length = command_line.in_words(trials * (time.monotonic() - began) / 60)
    utils.LOGGER.info("the search tries up to %d settings on the folds' scores: %s", trials, length)
    return value


def run(settings: config.Config, folds: int, group_by: str) -> int:
    """Choose the settings of section `predict`; write them to tuned.yml, and all trials to tuning.json."""
    if folds < 2:
        raise ValueError(f"--folds: expected at least 2, received {folds}")
    utils.start_tensorflow()
    started = time.monotonic()
    features = settings.paths.feature_map_folder
    spec = require_spec(features, settings.extractor, settings.video)
    run_data = load_data(settings.paths, settings.data, spec, ("training",), settings.model.output)
    store = run_data.training
    groups = frame_groups(store, features, group_by)
    fold_of = split(groups, folds, settings.train.seed)
    steps = last_step(store, settings.data, settings.train)
    _tell_beforehand(store, folds, steps)
    run_folder.advise_a_plan(len(store.features), settings.train)

    # told once, in the first fold
    tells = iter([lambda seconds: _tell_of_the_trainings(folds * steps * seconds)])

    def classify_after(labels: np.ndarray) -> predictions_json.Classify:
        return fit(run_data, labels, settings.data, settings.model, settings.train, next(tells, None)).classify

    scores = out_of_fold_scores(
        store, fold_of, classify_after, settings.data.max_frames, settings.predict.window_stride
    )
    predicted = [np.argmax(values, axis=1) for values in scores]
    true = [store.labels[store.rows(video)] for video in range(len(store.ids))]
    accuracy = segmentation.evaluate_segmentation(predicted, true).accuracy
    search = Search(run_data, scores, settings.data.taxonomy_level)
    before = _timed_average_map(search, settings.predict)
    best, after = search.best(settings.predict)
    gained, spread = search.gain(best, settings.predict)
    if gained <= spread:
        best, after = settings.predict, before
    best = best.model_copy(update={"shown_score": round(search.shown_score(best), 2)})
    tuned = settings.model_copy(update={"predict": best})
    folder = settings.paths.model_dir
    folder.mkdir(parents=True, exist_ok=True)
    utils.write_text(folder / run_folder.TUNED, tuned.to_yaml())
    utils.write_json(folder / run_folder.TRIALS, {
        "folds": folds, "group_by": group_by, "groups": len(np.unique(groups)), "frame_accuracy": accuracy,
        "average_mAP": {"before": before, "tuned": after}, "gain": gained,
        "spread": spread if np.isfinite(spread) else None, "trials": search.log,
    })  # fmt: skip
    changes = {
        name: value for name, value in best.model_dump(mode="json").items()
        if value != settings.predict.model_dump(mode="json")[name]
    }  # fmt: skip
    print(
        f"{folds} folds of {len(np.unique(groups))} groups, {len(search.log)} trials, "
        f"{time.monotonic() - started:.0f} s\n"
        f"training videos, out of fold: frame accuracy {accuracy:.4f}, average mAP {before:.4f} -> {after:.4f}\n"
        f"the best found gains {gained:.4f}, with a spread of {spread:.4f} over the videos: "
        f"{'taken' if gained > spread else 'the settings stay as they were'}\n"
        f"{yaml.safe_dump({'predict': changes}, sort_keys=False) if changes else ''}"
        f"-> {folder / 'tuned.yml'}, tuning.json; the run in this folder decodes so from now on"
    )
    return 0
