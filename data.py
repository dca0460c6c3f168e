"""Feature files + annotations -> windows of `max_frames` sampled frames with labels and masks, in batches.

Features are read once into memory, or prepared into a file where they do not fit, and windows are gathered from them;
labels are computed from the annotations when the features are read. Symbols: B windows a batch, T frames a window (or
of a whole video), D numbers a frame as stored, D' after preparation, W windows, K classes with background.

`python data.py import FOLDER --rate R` turns arrays that another tool made into the same feature files;
`python data.py export FOLDER` turns them into arrays for other tools.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from environment import prerequisites  # noqa: F401

import numpy as np

import config
import run_folder
import segments
from annotations import Video
from features.augmentation import Augmentation, disturbed, moved_rows
from features.cache import PreparedVideo, cache_key, cached
from features.memory import memory_bytes
from features.preparation import Preparation, prepare_features, shot_cuts
from features.records import VideoFeatures, feature_file, read_features
from features.window_order import EpochOrder
from utils import LOGGER

if TYPE_CHECKING:
    import tensorflow as tf

IGNORED = -1  # the label of a frame that is not to be learnt


@dataclass(frozen=True)
class FeatureStore:
    """The prepared features of a list of videos, end to end, with their labels.

    `features` [sum of T, D'], which a file may back (np.memmap), `labels` [sum of T] int32 (IGNORED where a frame is
    not to be learnt), `timestamps` [sum of T] float64, `cuts` [sum of T] bool, True after a shot cut; video i has the
    rows `offsets[i]` to `offsets[i + 1]`; `durations` in seconds. `missing` are ids without a feature file. `targets`,
    where a frame may show several classes: uint8 [sum of T, K], 1 for each, and for background where it shows none.
    """

    ids: tuple[str, ...]
    features: np.ndarray
    labels: np.ndarray
    timestamps: np.ndarray
    cuts: np.ndarray
    offsets: np.ndarray
    durations: tuple[float, ...]
    missing: tuple[str, ...]
    targets: np.ndarray | None = None

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
            targets=None if self.targets is None else self.targets[rows],
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
    there = {video.id for video, _ in present}
    missing = tuple(video.id for video in videos if video.id not in there)
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
    return segments.frame_labels(timestamps, *_known_segments(video, class_index))


def _known_segments(video: Video, class_index: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The segments [N, 2] of a video whose labels `class_index` has, and their classes [N]."""
    labelled = [segment for segment in video.labelled_segments() if segment.label in class_index]
    spans = np.asarray([(segment.start, segment.end) for segment in labelled], np.float64).reshape(-1, 2)
    return spans, np.asarray([class_index[segment.label] for segment in labelled], np.int32)


def with_targets(store: FeatureStore, videos: list[Video], class_index: dict[str, int]) -> FeatureStore:
    """The store with the `targets` that the annotations of its `videos` (which may be more) give."""
    by_id, count = {video.id: video for video in videos}, 1 + max(class_index.values())
    targets = []
    for number, name in enumerate(store.ids):
        spans, classes = _known_segments(by_id[name], class_index)
        targets.append(segments.frame_targets(store.timestamps[store.rows(number)], spans, classes, count))
    return dataclasses.replace(store, targets=np.concatenate(targets))


def open_store(
    paths: config.PathSettings,
    cache: Literal["auto", "memory", "none"],
    subset: str,
    videos: list[Video],
    class_index: dict[str, int],
    preparation: Preparation,
) -> FeatureStore:
    """`load_store` as the setting `data.cache` says: in memory, or in a file of the run `paths.model_dir`."""
    files = [path for video in videos if (path := feature_file(paths.feature_map_folder, subset, video.id)).is_file()]
    in_memory = cache == "memory" or (cache == "auto" and fits_memory(files, preparation))
    folder = None if in_memory else paths.model_dir / run_folder.CACHE
    return load_store(paths.feature_map_folder, subset, videos, class_index, preparation, folder)


def load_store(
    folder: Path,
    subset: str,
    videos: list[Video],
    class_index: dict[str, int],
    preparation: Preparation,
    cache_folder: Path | None = None,
) -> FeatureStore:
    """Read, prepare and label the features of a subset's videos.

    Args:
      folder: the feature folder.
      subset: training, validation or testing.
      videos: of the annotations.
      class_index: annotated label -> class, 1 and up (several labels may share one, at a coarser taxonomy level).
      preparation: see `prepare_features`.
      cache_folder: where prepared features are kept in a file and mapped from it; None: in memory.

    Raises:
      ValueError: no features, a damaged file, or more than fits the memory.
    """
    present, missing = present_files(folder, subset, videos)
    paths = [path for _, path in present]
    if cache_folder is None:
        if not fits_memory(paths, preparation):
            raise ValueError(
                f"{Path(folder) / subset}: the features need more memory than there is: set data.cache to none, or use "
                "pooled features (extractor.feature_pooling=avg)"
            )
        prepared = list(_prepared(paths, preparation))
        features = np.concatenate([video.features for video in prepared])
        timestamps, cuts = ([getattr(video, name) for video in prepared] for name in ("timestamps", "cuts"))
        values = {
            "timestamps": np.concatenate(timestamps),
            "cuts": np.concatenate(cuts),
            "durations": np.asarray([video.duration for video in prepared]),
            "frames": np.asarray([len(times) for times in timestamps]),
        }
    else:
        file = cache_folder / f"{subset}-{cache_key(paths, preparation)}.rows"
        features, values = cached(file, _prepared(paths, preparation))
    offsets = np.concatenate([[0], np.cumsum(values["frames"])])
    parts = np.split(values["timestamps"], offsets[1:-1])
    labels = [video_labels(video, times, class_index) for (video, _), times in zip(present, parts, strict=True)]
    return FeatureStore(
        ids=tuple(video.id for video, _ in present),
        features=features,
        labels=np.concatenate(labels),
        timestamps=values["timestamps"],
        cuts=values["cuts"],
        offsets=offsets,
        durations=tuple(values["durations"].tolist()),
        missing=missing,
    )


def prepared_as_stored(stored: VideoFeatures, preparation: Preparation, source: Path) -> np.ndarray:
    """A video's prepared features [T, D'] in the precision they were stored in.

    Raises ValueError that names `source` where numbers are not finite, or beyond that precision.
    """
    prepared = prepare_features(stored.features, stored.timestamps, preparation)
    with np.errstate(over="ignore"):
        prepared = prepared.astype(stored.features.dtype)
    if not np.isfinite(prepared.astype(np.float32)).all():
        raise ValueError(
            f"{source}: expected finite features once they are normalised, "
            f"received NaN or more than {prepared.dtype} holds"
        )
    return prepared


def _prepared(paths: list[Path], preparation: Preparation) -> Iterator[PreparedVideo]:
    """The videos of feature files, one at a time. Raises ValueError for numbers that cannot be learnt from."""
    size = None
    for path, stored in zip(paths, read_features(paths), strict=True):
        prepared = prepared_as_stored(stored, preparation, path)
        size = size or prepared.shape[1]
        if prepared.shape[1] != size:
            raise ValueError(f"{path}: expected {size} numbers a frame, received {prepared.shape[1]}")
        yield PreparedVideo(prepared, stored.timestamps, shot_cuts(stored.features), stored.duration)


def fits_memory(paths: list[Path], preparation: Preparation) -> bool:
    """Whether the prepared features of these files can be held; they are joined while the list of videos is there."""
    stored = sum(path.stat().st_size for path in paths)
    needed = 2 * stored * (1 if preparation.temporal_difference == "none" else 2)
    return needed <= memory_bytes()


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
    store: FeatureStore,
    windows: np.ndarray,
    length: int,
    batch_size: int,
    order: EpochOrder | None = None,
    augmentation: Augmentation | None = None,
) -> tf.data.Dataset:
    """Batches of windows for the model, gathered from a store.

    Args:
      store: prepared features and labels.
      windows: [W, 2], of `store_windows`.
      length: frames a window; shorter ones are padded with zeros and masked.
      batch_size: windows a batch; the last batch of all may be smaller.
      order: in training; without it each window comes once, in order.
      augmentation: in training, with `order`; a pure function of its seed and of the batch's number in the run.

    Returns:
      A dataset of dicts: features [B, T, D'] in the store's precision, labels int32 [B, T], mask bool [B, T], and where
      the store has them targets uint8 [B, T, K]. With several replicas in `order`, one after the other for each of
      those here, its share of each batch, filled up with masked windows.
    """
    import tensorflow as tf

    # a GPU has other use for its memory
    with tf.device("CPU"):
        labels = tf.convert_to_tensor(store.labels)
        targets = None if store.targets is None else tf.convert_to_tensor(store.targets)
        offsets = tf.convert_to_tensor(np.asarray(store.offsets, np.int64))
        look_up = _row_reader(store.features)
    position = tf.range(length, dtype=tf.int64)[None, :]

    def gather(number: tf.Tensor, window: tf.Tensor) -> dict[str, tf.Tensor]:  # [2], [B, 2]
        first, frames = window[:, :1], window[:, 1:]
        mask = position < frames  # [B, T]
        rows = first + tf.minimum(position, tf.maximum(frames - 1, 0))
        if augmentation is not None:
            rows = moved_rows(rows, offsets, augmentation, number)
        # the model widens them: each pass over them here costs as much as the gathering
        gathered = look_up(rows)  # [B, T, D']
        if augmentation is not None:
            gathered = disturbed(gathered, augmentation, number)
        # most batches have no padding
        zero = tf.zeros((), gathered.dtype)
        padded = tf.cond(tf.reduce_all(mask), lambda: gathered, lambda: tf.where(mask[..., None], gathered, zero))
        batch = {
            "features": padded,
            "labels": tf.where(mask, tf.gather(labels, rows), segments.BACKGROUND),
            "mask": mask,
        }
        return batch if targets is None else batch | {"targets": tf.gather(targets, rows)}

    if order is None:
        dataset = tf.data.Dataset.from_tensor_slices(windows).batch(batch_size).map(lambda batch: ([0, 0], batch))
    else:
        dataset = order.batches(windows, _shows_action(store.labels, windows), batch_size)
    return dataset.map(gather, num_parallel_calls=2, deterministic=True).prefetch(4)


def _row_reader(features: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    """Rows int64 [B, T] -> features [B, T, D'], from memory or from the file behind them."""
    import tensorflow as tf

    if not isinstance(features, np.memmap):
        table = tf.convert_to_tensor(features)
        return lambda rows: tf.gather(table, rows)

    def read(rows: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(lambda numbers: features[numbers], [rows], features.dtype, stateful=False)
        return tf.ensure_shape(found, (*rows.shape, features.shape[1]))

    return read


def _shows_action(labels: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Whether any frame of each window is labelled with an action, bool [W]."""
    seen = np.concatenate([[0], np.cumsum(labels > segments.BACKGROUND)])
    return seen[windows[:, 0] + windows[:, 1]] > seen[windows[:, 0]]


if __name__ == "__main__":
    import sys

    from features import arrays, handing_on

    raise SystemExit((handing_on if sys.argv[1:2] == ["export"] else arrays).main())
