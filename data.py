"""Feature files + annotations -> windows of `max_frames` sampled frames with labels and masks, in batches.

Features are read once into memory and windows are gathered from them; labels are computed from the annotations when the
features are read. Symbols: B windows a batch, T frames a window (or of a whole video), D numbers a frame as stored,
D' after preparation, W windows, K classes with background.

`python data.py import FOLDER --rate R` turns arrays that another tool made into the same feature files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import segments
from annotations import Video
from feature_records import feature_file, read_features
from utils import LOGGER

if TYPE_CHECKING:
    import tensorflow as tf

# consecutive sampled frames whose features differ by more than this cosine distance lie on two sides of a shot cut
SHOT_CUT = 0.3
EPSILON = 1e-6


@dataclass(frozen=True)
class Preparation:
    """What `prepare_features` does; `mean` and `deviation` [D] belong to normalization `train`, and to a run."""

    normalization: str = "none"
    temporal_difference: str = "none"
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None


def prepare_features(features: np.ndarray, timestamps: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Whole-video features as the model takes them; everything that feeds the model calls this, before windows are cut.

    Args:
      features: [T, D] of one whole video, or maps [T, h, w, C], which are laid out as D = h * w * C.
      timestamps: [T] seconds.
      preparation: `normalization` none, train (given mean and deviation) or video (the video's own); and
        `temporal_difference` none, absolute or signed: f_t - f_(t-1) is appended, 0 at the start and at shot cuts.

    Returns:
      [T, D'] float32; D' is D, or 2 D with temporal differences.

    Raises:
      ValueError: the statistics or timestamps do not fit the features.
    """
    features = np.asarray(features, np.float32).reshape(len(features), -1)
    if len(timestamps) != len(features):
        raise ValueError(f"features: expected a timestamp for each of {len(features)} rows, received {len(timestamps)}")
    # cuts show in the features as they are: normalised ones point everywhere
    change = _temporal_difference(features) if preparation.temporal_difference != "none" else None
    mean, deviation = 0.0, 1.0
    if preparation.normalization == "train":
        mean, deviation = preparation.mean, preparation.deviation
        if mean is None or mean.shape != features.shape[1:]:
            trained, received = None if mean is None else len(mean), features.shape[1]
            raise ValueError(f"features: expected {trained} numbers a frame as in training, received {received}")
    elif preparation.normalization == "video" and len(features):
        mean, deviation = features.mean(axis=0), features.std(axis=0) + EPSILON
    prepared = (features - mean) / deviation
    if change is None:
        return prepared
    change /= deviation
    if preparation.temporal_difference == "absolute":
        change = np.abs(change)
    return np.concatenate([prepared, change], axis=1)


def _temporal_difference(features: np.ndarray) -> np.ndarray:
    """f_t - f_(t-1) [T, D], 0 in the first frame and across shot cuts."""
    change = np.diff(features, axis=0, prepend=features[:1])
    norm = np.linalg.norm(features, axis=1) + EPSILON
    cosine = np.sum(features[1:] * features[:-1], axis=1) / (norm[1:] * norm[:-1])
    change[1:][cosine < 1 - SHOT_CUT] = 0
    return change


def training_statistics(paths: Iterable[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D], float32, over all frames of feature files, one video in memory at a time."""
    count, total, squares = 0, 0.0, 0.0
    for video in read_features(paths):
        features = np.asarray(video.features, np.float64).reshape(len(video.features), -1)
        count += len(features)
        total = total + features.sum(axis=0)
        squares = squares + np.square(features).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0)) + EPSILON
    return mean.astype(np.float32), deviation.astype(np.float32)


def preparation_to_json(preparation: Preparation) -> dict:
    """A preparation, statistics included, as JSON values that give the same float32 numbers back."""
    statistics = {name: getattr(preparation, name) for name in ("mean", "deviation")}
    return {"normalization": preparation.normalization, "temporal_difference": preparation.temporal_difference} | {
        name: None if values is None else [float(value) for value in values] for name, values in statistics.items()
    }


def preparation_from_json(value: dict) -> Preparation:
    """What `preparation_to_json` made. Raises KeyError, TypeError or ValueError when it is something else."""
    statistics = {
        name: None if value[name] is None else np.asarray(value[name], np.float32) for name in ("mean", "deviation")
    }
    return Preparation(value["normalization"], value["temporal_difference"], **statistics)


@dataclass(frozen=True)
class FeatureStore:
    """The prepared features of a list of videos, end to end, with their labels.

    `features` [sum of T, D'], `labels` [sum of T] int32, `timestamps` [sum of T] float64; video i has the rows
    `offsets[i]` to `offsets[i + 1]`; `durations` in seconds. `missing` are ids without a feature file.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    timestamps: np.ndarray
    offsets: np.ndarray
    durations: tuple[float, ...]
    missing: tuple[str, ...]

    def rows(self, video: int) -> slice:
        return slice(self.offsets[video], self.offsets[video + 1])

    def boundaries(self, video: int) -> np.ndarray:
        """[T + 1] seconds, see `segments.frame_boundaries`."""
        return segments.frame_boundaries(self.timestamps[self.rows(video)], self.durations[video])


def present_files(folder: Path, subset: str, videos: list[Video]) -> tuple[list[tuple[Video, Path]], tuple[str, ...]]:
    """The videos of a subset that have a feature file, with it, and the ids of those that have none.

    Raises ValueError that names the command to run when no video has one.
    """
    files = [(video, feature_file(folder, subset, video.id)) for video in videos]
    present = [(video, path) for video, path in files if path.is_file()]
    missing = tuple(video.id for video, path in files if not path.is_file())
    if not present:
        raise ValueError(
            f"{Path(folder) / subset}: no features of any of the {len(videos)} {subset} videos of the annotations: "
            f"run `python feature_map_extractor.py {subset}` with the same settings first"
        )
    if missing:
        LOGGER.warning(
            "%s: %d of %d annotated videos have no features and are left out: %s%s",
            subset, len(missing), len(videos), ", ".join(missing[:5]), " …" if len(missing) > 5 else "",
        )  # fmt: skip
    return present, missing


def video_labels(video: Video, timestamps: np.ndarray, class_index: dict[str, int]) -> np.ndarray:
    """The class [T] int32 of each sampled frame of a video; labels that `class_index` lacks count as background."""
    labelled = [segment for segment in video.labelled_segments() if segment.label in class_index]
    spans = np.asarray([(segment.start, segment.end) for segment in labelled], np.float64).reshape(-1, 2)
    return segments.frame_labels(timestamps, spans, np.asarray([class_index[s.label] for s in labelled], np.int32))


def load_store(
    folder: Path, subset: str, videos: list[Video], class_index: dict[str, int], preparation: Preparation
) -> FeatureStore:
    """Read, prepare and label the features of a subset's videos.

    Args:
      folder: the feature folder.
      subset: training, validation or testing.
      videos: of the annotations.
      class_index: annotated label -> class, 1 and up (several labels may share one, at a coarser taxonomy level).
      preparation: see `prepare_features`.

    Raises:
      ValueError: no features, a damaged file, or more than fits the memory.
    """
    present, missing = present_files(folder, subset, videos)
    _require_memory(sum(path.stat().st_size for _, path in present), preparation)
    features, labels, timestamps, durations = [], [], [], []
    for (video, path), stored in zip(present, read_features([path for _, path in present]), strict=True):
        # kept in the precision they were stored in
        prepared = prepare_features(stored.features, stored.timestamps, preparation)
        with np.errstate(over="ignore"):
            prepared = prepared.astype(stored.features.dtype)
        if not np.isfinite(prepared.astype(np.float32)).all():
            raise ValueError(f"{path}: expected finite features, received NaN or more than {prepared.dtype} holds")
        if features and prepared.shape[1] != features[0].shape[1]:
            raise ValueError(f"{path}: expected {features[0].shape[1]} numbers a frame, received {prepared.shape[1]}")
        features.append(prepared)
        labels.append(video_labels(video, stored.timestamps, class_index))
        timestamps.append(stored.timestamps)
        durations.append(stored.duration)
    return FeatureStore(
        ids=tuple(video.id for video, _ in present),
        features=np.concatenate(features),
        labels=np.concatenate(labels),
        timestamps=np.concatenate(timestamps),
        offsets=np.concatenate([[0], np.cumsum([len(rows) for rows in timestamps])]),
        durations=tuple(durations),
        missing=missing,
    )


def _require_memory(stored_bytes: int, preparation: Preparation) -> None:
    # joined once more while the list of videos is still there
    needed = 2 * stored_bytes * (1 if preparation.temporal_difference == "none" else 2)
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > available:
        raise ValueError(
            f"features need {needed / 1e9:.1f} GB of memory, of {available / 1e9:.1f} GB: use pooled features "
            "(extractor.feature_pooling=avg) or a larger machine"
        )


def window_starts(frames: int, length: int, stride: int) -> np.ndarray:
    """First frames [W] of windows that cover a video of `frames` sampled frames.

    With `stride` = `length` each frame is in exactly one window and the last window may be short. With a smaller stride
    windows overlap, and the last one ends with the video, so that only a video shorter than a window gives a short one.
    """
    if stride >= length:
        return np.arange(0, frames, length)
    last = max(frames - length, 0)
    return np.unique(np.append(np.arange(0, last + 1, stride), last))


def store_windows(offsets: np.ndarray, length: int, stride: int) -> np.ndarray:
    """Windows [W, 2] int64 over all videos of a store: the row of the first frame, and the number of frames."""
    windows = []
    for first, past in zip(offsets[:-1], offsets[1:], strict=True):
        starts = window_starts(past - first, length, stride)
        windows.append(np.stack([first + starts, np.minimum(length, past - first - starts)], axis=1))
    return np.concatenate(windows).astype(np.int64)


def input_fn(
    store: FeatureStore, windows: np.ndarray, length: int, batch_size: int, order: EpochOrder | None = None
) -> tf.data.Dataset:
    """Batches of windows for the model, gathered from a store in memory.

    Args:
      store: prepared features and labels.
      windows: [W, 2], of `store_windows`.
      length: frames a window; shorter ones are padded with zeros and masked.
      batch_size: windows a batch; the last batch of all may be smaller.
      order: in training; without it each window comes once, in order.

    Returns:
      A dataset of dicts: features float32 [B, T, D'], labels int32 [B, T], mask bool [B, T].
    """
    import tensorflow as tf

    features, labels = tf.convert_to_tensor(store.features), tf.convert_to_tensor(store.labels)

    def gather(batch: tf.Tensor) -> dict[str, tf.Tensor]:  # [B, 2]
        first, frames = batch[:, :1], batch[:, 1:]
        position = tf.range(length, dtype=tf.int64)[None, :]
        mask = position < frames  # [B, T]
        rows = first + tf.minimum(position, frames - 1)
        gathered = tf.cast(tf.gather(features, rows), tf.float32)  # [B, T, D']
        return {
            "features": tf.where(mask[..., None], gathered, 0.0),
            "labels": tf.where(mask, tf.gather(labels, rows), segments.BACKGROUND),
            "mask": mask,
        }

    dataset = order.windows(windows) if order else tf.data.Dataset.from_tensor_slices(windows)
    return dataset.batch(batch_size).map(gather, num_parallel_calls=2, deterministic=True).prefetch(4)


@dataclass(frozen=True)
class EpochOrder:
    """The order of training windows: a pure function of seed and epoch, so a position in it is all a resume needs."""

    seed: int
    num_epochs: int
    shuffle: bool = True
    first_window: int = 0  # windows already seen, over all epochs

    def windows(self, windows: np.ndarray) -> tf.data.Dataset:
        """A dataset of the windows [2] of all epochs from `first_window` on; epochs follow without a gap."""
        import tensorflow as tf

        table = tf.convert_to_tensor(windows)
        first_epoch, passed = divmod(self.first_window, len(windows))

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            if not self.shuffle:
                return tf.data.Dataset.from_tensor_slices(table)
            seed = tf.stack([tf.constant(self.seed, tf.int64), number])
            return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(table, seed=seed))

        return tf.data.Dataset.range(first_epoch, self.num_epochs).flat_map(epoch).skip(passed)


if __name__ == "__main__":
    import feature_import

    raise SystemExit(feature_import.main())
