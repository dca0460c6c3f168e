"""Feature files + annotations -> windows of `max_frames` sampled frames with labels and masks, in batches.

Features are read once into memory and windows are gathered from them; labels are computed from the annotations when the
features are read. Symbols: B windows a batch, T frames a window (or of a whole video), D numbers a frame as stored,
D' after preparation, W windows, K classes with background.

`python data.py import FOLDER --rate R` turns arrays that another tool made into the same feature files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import segments
from annotations import Video
from feature_records import feature_file, read_features
from preparation import Preparation, prepare_features, shot_cuts
from utils import LOGGER

if TYPE_CHECKING:
    import tensorflow as tf

IGNORED = -1  # the label of a frame that is not to be learnt


@dataclass(frozen=True)
class FeatureStore:
    """The prepared features of a list of videos, end to end, with their labels.

    `features` [sum of T, D'], `labels` [sum of T] int32 (IGNORED where a frame is not to be learnt), `timestamps`
    [sum of T] float64, `cuts` [sum of T] bool, True after a shot cut; video i has the rows `offsets[i]` to
    `offsets[i + 1]`; `durations` in seconds. `missing` are ids without a feature file.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    timestamps: np.ndarray
    cuts: np.ndarray
    offsets: np.ndarray
    durations: tuple[float, ...]
    missing: tuple[str, ...]

    def rows(self, video: int) -> slice:
        return slice(self.offsets[video], self.offsets[video + 1])

    def take(self, videos: np.ndarray) -> FeatureStore:
        """A store of some of the videos, by their numbers, in that order."""
        rows = np.concatenate([np.arange(self.offsets[video], self.offsets[video + 1]) for video in videos])
        return FeatureStore(
            ids=tuple(self.ids[video] for video in videos),
            features=self.features[rows],
            labels=self.labels[rows],
            timestamps=self.timestamps[rows],
            cuts=self.cuts[rows],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[videos])]),
            durations=tuple(self.durations[video] for video in videos),
            missing=(),
        )

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
    features, labels, timestamps, cuts, durations = [], [], [], [], []
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
        cuts.append(shot_cuts(stored.features))
        durations.append(stored.duration)
    return FeatureStore(
        ids=tuple(video.id for video, _ in present),
        features=np.concatenate(features),
        labels=np.concatenate(labels),
        timestamps=np.concatenate(timestamps),
        cuts=np.concatenate(cuts),
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


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training windows: what differs between two looks at the same frames.

    Attributes:
      jitter: sampled frames by which a window begins earlier or later.
      time_scale: share by which its time is stretched or squeezed about its middle, 0.25 for 0.8 to 1.25.
      noise: standard deviation of what is added to each number of each prepared frame.
      shift: the same, constant over a window.
    """

    jitter: int = 0
    time_scale: float = 0.0
    noise: float = 0.0
    shift: float = 0.0


def input_fn(
    store: FeatureStore,
    windows: np.ndarray,
    length: int,
    batch_size: int,
    order: EpochOrder | None = None,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """Batches of windows for the model, gathered from a store in memory.

    Args:
      store: prepared features and labels.
      windows: [W, 2], of `store_windows`.
      length: frames a window; shorter ones are padded with zeros and masked.
      batch_size: windows a batch; the last batch of all may be smaller.
      order: in training; without it each window comes once, in order.
      augmentation: in training, with `order`; a pure function of its seed and of the batch's number in the run.

    Returns:
      A dataset of dicts: features float32 [B, T, D'], labels int32 [B, T], mask bool [B, T].
    """
    import tensorflow as tf

    features, labels = tf.convert_to_tensor(store.features), tf.convert_to_tensor(store.labels)
    offsets = tf.convert_to_tensor(np.asarray(store.offsets, np.int64))
    position = tf.range(length, dtype=tf.int64)[None, :]

    def gather(number: tf.Tensor, batch: tf.Tensor) -> dict[str, tf.Tensor]:  # [], [B, 2]
        first, frames = batch[:, :1], batch[:, 1:]
        mask = position < frames  # [B, T]
        rows = first + tf.minimum(position, frames - 1)
        if augmentation is not None:
            seed = tf.stack([tf.constant(order.seed, tf.int64), number])
            rows = _moved_rows(rows, offsets, augmentation, seed)
        gathered = tf.cast(tf.gather(features, rows), tf.float32)  # [B, T, D']
        if augmentation is not None:
            gathered = _disturbed(gathered, augmentation, seed)
        # most batches have no padding, and a pass over them costs as much as the gathering
        padded = tf.cond(tf.reduce_all(mask), lambda: gathered, lambda: tf.where(mask[..., None], gathered, 0.0))
        return {
            "features": padded,
            "labels": tf.where(mask, tf.gather(labels, rows), segments.BACKGROUND),
            "mask": mask,
        }

    dataset = order.windows(windows) if order else tf.data.Dataset.from_tensor_slices(windows)
    dataset = dataset.batch(batch_size).enumerate(order.first_window // batch_size if order else 0)
    return dataset.map(gather, num_parallel_calls=2, deterministic=True).prefetch(4)


def _moved_rows(rows: tf.Tensor, offsets: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Rows int64 [B, T] of windows, moved and stretched in time, within their videos (`offsets`)."""
    import tensorflow as tf

    video = tf.searchsorted(offsets, rows[:, 0], side="right") - 1
    first, last = tf.gather(offsets, video)[:, None], tf.gather(offsets, video + 1)[:, None] - 1
    shape = (tf.shape(rows)[0], 1)
    reach = augmentation.jitter
    moved = tf.random.stateless_uniform(shape, seed + [1, 0], -reach, reach + 1, tf.int64)
    rows += tf.clip_by_value(moved, first - rows[:, :1], tf.maximum(last - rows[:, -1:], first - rows[:, :1]))
    reach = np.log1p(augmentation.time_scale)
    scale = tf.exp(tf.random.stateless_uniform(shape, seed + [2, 0], -reach, reach, tf.float64))
    middle = tf.cast(rows[:, :1] + rows[:, -1:], tf.float64) / 2
    stretched = middle + (tf.cast(rows, tf.float64) - middle) * scale
    return tf.clip_by_value(tf.cast(tf.round(stretched), tf.int64), first, last)


def _disturbed(features: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Features float32 [B, T, D'] with noise and shift added."""
    import tensorflow as tf

    if augmentation.noise:
        features += tf.random.stateless_normal(tf.shape(features), seed + [3, 0], 0, augmentation.noise)
    if augmentation.shift:
        shape = tf.shape(features[:, :1])
        features += tf.random.stateless_normal(shape, seed + [4, 0], 0, augmentation.shift)
    return features


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
