"""Feature files + annotations -> what a run trains and evaluates on.

Symbols: D' numbers a prepared frame, K classes with background, N frames of all videos.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

import annotations
import config
import data
import predictions_json
import segments
import utils
from annotations import Annotations, Video
from features import preparation

if TYPE_CHECKING:
    import tensorflow as tf

    from training.devices import Devices


QUANTILES = 21  # every 5 percent


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run trains and evaluates on; `validation` is None where that subset has no features."""

    annotated: Annotations
    classes: tuple[str, ...]
    segment_seconds: np.ndarray  # [K, QUANTILES], see `predictions_json.TrainedModel`
    feature_spec: dict
    preparation: preparation.Preparation
    training: data.FeatureStore
    validation: data.FeatureStore | None
    output: Literal["softmax", "sigmoid"] = "softmax"  # with sigmoid, the stores of features have `targets`

    def model(self, classify: predictions_json.Classify) -> predictions_json.TrainedModel:
        """What is trained on this data, with what classifies windows."""
        return predictions_json.TrainedModel(
            self.classes, self.preparation, self.feature_spec, self.segment_seconds, classify, self.output
        )

    def description(self) -> dict:
        """The content of model.json: what a user of the model has to know besides its weights."""
        return {
            "classes": list(self.classes),
            "output": self.output,
            "segment_seconds": self.segment_seconds.round(3).tolist(),
            "preparation": preparation.preparation_to_json(self.preparation),
            "features": self.feature_spec,
            "training_data": {
                "version": self.annotated.version,
                "videos": len(self.training.ids),
                "frames": len(self.training.features),
                "file": Path(self.annotated.source).name,
            },
        }


def load_data(
    paths: config.PathSettings,
    settings: config.DataSettings,
    feature_spec: dict,
    subsets: tuple[str, ...] = ("training", "validation"),
    output: Literal["softmax", "sigmoid"] = "softmax",
) -> RunData:
    """Read annotations and features of the training subset and, where `subsets` has it, of the validation subset.

    `feature_spec` is what the features are, of `features.records.require_spec`; `output` is `model.output`.

    Raises ValueError that names the command to run when a stage has not run yet.
    """
    annotated = annotations.load(paths.json_data_path)
    classes = annotated.classes(settings.taxonomy_level, settings.min_examples)
    index = {name: number for number, name in enumerate(classes)}
    class_of = annotated.class_of(settings.taxonomy_level)
    class_index = {label: index[name] for label, name in class_of.items() if name in index}
    if left_out := sorted(set(class_of.values()) - set(classes)):
        utils.LOGGER.warning(
            "classes with fewer than %d training segments (data.min_examples) count as background: %s",
            settings.min_examples, ", ".join(left_out),
        )  # fmt: skip
    training = annotated.subset("training")
    prepared = learn_preparation(paths.feature_map_folder, training, settings)

    def load(subset: str) -> data.FeatureStore:
        videos = annotated.subset(subset)
        store = data.open_store(paths, settings.cache, subset, videos, class_index, prepared)
        return data.with_targets(store, videos, class_index) if output == "sigmoid" else store

    validation = None
    if "validation" not in subsets:
        pass
    elif any((paths.feature_map_folder / "validation").glob("*.tfrecord")):
        validation = load("validation")
    else:
        utils.LOGGER.warning("no features of validation videos: the run is not evaluated, and its last step is kept")
    seconds = segment_seconds(training, class_index, len(classes))
    return RunData(annotated, classes, seconds, feature_spec, prepared, load("training"), validation, output)


def learn_preparation(folder: Path, videos: list[Video], settings: config.DataSettings) -> preparation.Preparation:
    """How features are prepared, with what the training features in `folder` say of it."""
    made = preparation.Preparation(settings.feature_normalization, settings.temporal_difference)
    if settings.feature_normalization != "train" and settings.components is None:
        return made
    paths = [path for _, path in data.present_files(folder, "training", videos)[0]]
    if settings.feature_normalization == "train":
        mean, deviation = preparation.training_statistics(paths)
        made = dataclasses.replace(made, mean=mean, deviation=deviation)
    if settings.components is not None:
        projections = preparation.training_projections(paths, made, settings.components)
        made = dataclasses.replace(made, projections=projections)
    return made


def segment_seconds(videos: list[Video], class_index: dict[str, int], classes: int) -> np.ndarray:
    """[K, QUANTILES] quantiles of the lengths of each class's segments; zeros where it has none."""
    lengths: list[list[float]] = [[] for _ in range(classes)]
    for segment in (segment for video in videos for segment in video.labelled_segments()):
        if segment.label in class_index:
            lengths[class_index[segment.label]].append(segment.end - segment.start)
    grid = np.linspace(0, 1, QUANTILES)
    return np.stack([np.quantile(some, grid) if some else np.zeros(QUANTILES) for some in lengths])


def class_weights(store: data.FeatureStore, classes: int, settings: config.TrainSettings) -> np.ndarray:
    """The loss's weight of each class [K], float32, by its training frames; 1 on average over frames before
    `weight_factor` scales that of background.

    Args:
      store: the training frames; IGNORED ones do not count.
      classes: K.
      settings: its `class_balance` b gives weights of frequency^-b.
    """
    learnt = store.labels != data.IGNORED
    if store.targets is None:
        frames = np.bincount(store.labels[learnt], minlength=classes).astype(np.float64)
    else:
        frames = store.targets[learnt].sum(axis=0, dtype=np.float64)
    weights = np.where(frames > 0, np.maximum(frames, 1) ** -settings.class_balance, 0)
    weights *= frames.sum() / max(np.sum(weights * frames), 1e-12)
    weights[segments.BACKGROUND] *= settings.weight_factor
    return weights.astype(np.float32)


def training_windows(store: data.FeatureStore, settings: config.DataSettings) -> np.ndarray:
    """The windows [W, 2] of an epoch, see `data.store_windows`."""
    return data.store_windows(store.offsets, settings.max_frames, settings.window_stride)


def training_batches(
    store: data.FeatureStore,
    settings: config.DataSettings,
    train_settings: config.TrainSettings,
    seen: int = 0,
    devices: Devices | None = None,
) -> tf.data.Dataset:
    """Batches of training windows, of all epochs, from the one after `seen` windows on; see `data.input_fn`.

    With `devices`, only the shares of the batches that this process' replicas learn from.
    """
    replicas = (devices.replicas, devices.here) if devices else (1, range(1))
    order = data.EpochOrder(
        train_settings.seed, train_settings.num_epochs, settings.shuffle, seen, settings.background_share, *replicas
    )
    changes = data.Augmentation(settings.jitter, settings.time_scale, settings.feature_noise, settings.feature_shift)
    # what changes nothing costs nothing
    augmentation = changes if changes != data.Augmentation() else None
    windows = training_windows(store, settings)
    return data.input_fn(store, windows, settings.max_frames, settings.batch_size, order, augmentation)


def last_step(store: data.FeatureStore, settings: config.DataSettings, train_settings: config.TrainSettings) -> int:
    """The number of steps until `train.max_steps`, or until `train.num_epochs` are through."""
    windows = len(training_windows(store, settings)) * train_settings.num_epochs
    return min(train_settings.max_steps, math.ceil(windows / settings.batch_size))
