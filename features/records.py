"""Feature files: one TFRecord a video, and `extractor.json`, which says how all of a folder's features were made.

Each record holds a run of consecutive sampled frames (RECORD_FRAMES of them, the last one fewer). Features carry the
times at which their frames are shown, never labels. Symbols: T sampled frames of a video, D numbers a frame.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import atomic_path, open_own, read_json, require_file

if TYPE_CHECKING:
    from config import ExtractorSettings, VideoSettings

RECORD_FRAMES = 120
MOST_AHEAD, BYTES_AHEAD = 63, 4_000_000  # records read before they are used, at most
SUFFIX = ".tfrecord"
SPEC_FILE = "extractor.json"
# of a folder's spec, what two sets of features must share to be mixed; versions may differ
SPEC_KEYS = (
    "backbone", "weights", "weights_sha256", "seed", "preprocessing", "feature_pooling", "feature_shape", "resize",
    "skip_frames", "rate", "placing", "dtype",
)  # fmt: skip
# what the files of one folder must share as well, with what a spec of before these keys stands for. Consumers compare
# them only where the settings ask for one: runtimes differ by rounding
MADE_WITH = {"runtime": "tensorflow", "precision": "float32"}


@dataclass(frozen=True)
class VideoFeatures:
    """A whole video's features [T, ...], the times [T] (seconds, float64) of its sampled frames, and its length."""

    id: str
    features: np.ndarray
    timestamps: np.ndarray
    duration: float
    fps: float


def feature_file(folder: Path, subset: str, video_id: str) -> Path:
    return Path(folder) / subset / f"{video_id}{SUFFIX}"


def numpy_dtype(name: str) -> np.dtype:
    """The little-endian NumPy type of `float16`, `bfloat16` or `float32`. Raises ValueError for another name."""
    if name not in ("float16", "bfloat16", "float32"):
        raise ValueError(f"dtype: expected float16, bfloat16 or float32, received {name!r:.80}")
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


class FeatureWriter:
    """Writes one video's features as they come, with bounded memory; the file appears when `finish` is called."""

    def __init__(self, path: Path, dtype: str):
        import tensorflow as tf

        self._dtype = dtype
        self._stack = contextlib.ExitStack()
        self._temporary = self._stack.enter_context(atomic_path(path, sweep=False))
        self._writer = tf.io.TFRecordWriter(str(self._temporary))
        self._id = Path(path).name.removesuffix(SUFFIX)
        self._rows: list[np.ndarray] = []
        self._times: list[float] = []
        self._written = 0

    def add(self, row: np.ndarray, timestamp: float) -> None:
        """Take the feature [D] or [h, w, C] of the next sampled frame, shown at `timestamp` seconds."""
        # a full record waits for the next row, so that the last one is known as such when it is written
        if len(self._rows) == RECORD_FRAMES:
            self._write(last=False, duration=0.0, fps=0.0)
        self._rows.append(np.asarray(row).astype(numpy_dtype(self._dtype)))
        self._times.append(float(timestamp))

    def finish(self, duration: float, fps: float) -> None:
        """Write what is left, with the video's length in seconds and its frame rate, and rename the file into place."""
        try:
            self._write(last=True, duration=duration, fps=fps)
            self._writer.close()
        except BaseException:
            self.discard()
            raise
        self._stack.close()

    def discard(self) -> None:
        """Give the video up: nothing appears under its name."""
        import tensorflow as tf

        with contextlib.suppress(_Discarded), self._stack:
            with contextlib.suppress(tf.errors.OpError):  # a full disk lets nothing be closed either
                self._writer.close()
            raise _Discarded

    def _write(self, last: bool, duration: float, fps: float) -> None:
        import tensorflow as tf

        def raw(values: bytes) -> tf.train.Feature:
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[values]))

        def whole(*values: int) -> tf.train.Feature:
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

        rows = np.stack(self._rows) if self._rows else np.zeros((0,), numpy_dtype(self._dtype))
        record = {
            "video_id": raw(self._id.encode()),
            "first_frame": whole(self._written),
            "last": whole(int(last)),
            "shape": whole(*rows.shape),
            "dtype": raw(self._dtype.encode()),
            "features": raw(rows.tobytes()),
            # float64 bytes, since a float_list would keep only 7 digits
            "timestamps": raw(np.asarray(self._times, "<f8").tobytes()),
            "duration_fps": raw(np.asarray([duration, fps], "<f8").tobytes()),
        }
        example = tf.train.Example(features=tf.train.Features(feature=record))
        # deterministic: the order of a map differs from process to process otherwise
        self._writer.write(example.SerializeToString(deterministic=True))
        self._written += len(self._rows)
        self._rows, self._times = [], []


class _Discarded(Exception):
    pass


def write_features(path: Path, video: VideoFeatures, dtype: str) -> None:
    """Write a whole video's features that are at hand in memory."""
    writer = FeatureWriter(path, dtype)
    for row, timestamp in zip(video.features, video.timestamps, strict=True):
        writer.add(row, timestamp)
    writer.finish(video.duration, video.fps)


def read_features(paths: Iterable[Path]) -> Iterator[VideoFeatures]:
    """Read feature files, one video at a time, in the order of `paths`.

    Raises ValueError that names the file when it is cut, damaged, empty or not of this schema.
    """
    paths = [Path(path) for path in paths]
    done = 0
    try:
        for video in _read(paths, MOST_AHEAD):
            done += 1
            yield video
    except ValueError:
        # one record after the other, so that all that stands before the fault comes, and then the fault; from the video
        # before on, which is passed over: the fault may be what its file holds after its last record
        begin = max(done - 1, 0)
        yield from itertools.islice(_read(paths[begin:], 0), done - begin, None)


def _read(paths: list[Path], most_ahead: int) -> Iterator[VideoFeatures]:
    """`read_features`, with up to `most_ahead` records read before the one that is used."""
    import tensorflow as tf

    longest = _check_lengths(paths[0]) if paths else 0
    ahead = min(most_ahead, BYTES_AHEAD // max(longest, 1))
    unchecked, remaining = iter(paths[1:]), iter(paths)
    parts: list[dict] = []
    path, finished = next(remaining, None), None
    for following in itertools.islice(unchecked, ahead):
        _check_lengths(following)
    try:
        # one dataset over all files: a dataset a file costs 12 ms, which is minutes for ActivityNet
        records = tf.data.TFRecordDataset([str(path) for path in paths], buffer_size=1 << 22)
        # in batches: to hand a record on costs as much as to read it
        for record in itertools.chain.from_iterable(records.batch(ahead + 1).as_numpy_iterator()):
            if path is None:
                raise ValueError(f"{finished}: damaged: it goes on after its last record; {_REMEDY}")
            parts.append(_parse(path, record, parts))
            if parts[-1]["last"]:
                yield _join(path, parts)
                parts, finished, path = [], path, next(remaining, None)
                # a file has a record at least: so many files lie before the last one that may have been begun
                for following in itertools.islice(unchecked, 1):
                    _check_lengths(following)
    except tf.errors.DataLossError:
        raise ValueError(f"{path or finished}: damaged: its checksum is wrong or it is cut; {_REMEDY}") from None
    except tf.errors.OpError as error:
        raise ValueError(f"{path or finished}: cannot be read: {error.message}") from None
    if path is not None:
        raise ValueError(f"{path}: cut or empty: its last record is missing; {_REMEDY}")


_REMEDY = "delete it and run feature_map_extractor.py (or `data.py import`) again"


def _check_lengths(path: Path) -> int:
    """The bytes of a file's longest record.

    Raises ValueError for one longer than the rest of its file: TensorFlow would ask for the memory, and crash.

    A record is its length (8 bytes), 4 bytes of checksum, so many bytes and their checksum; the reader checks the rest.
    """
    try:
        with require_file(path, "a feature file").open("rb") as file:
            size, position, longest = os.fstat(file.fileno()).st_size, 0, 0
            while position + 12 <= size:
                file.seek(position)
                length = int.from_bytes(file.read(8), "little")
                position, longest = position + 16 + length, max(longest, length)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    if position != size:
        raise ValueError(f"{path}: damaged: its checksum is wrong or it is cut; {_REMEDY}")
    if not size:
        raise ValueError(f"{path}: empty: {_REMEDY}")
    return longest


def _parse(path: Path, record: bytes, parts: list[dict]) -> dict:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        fields = tf.train.Example.FromString(record).features.feature
        shape = tuple(fields["shape"].int64_list.value)
        dtype = numpy_dtype(fields["dtype"].bytes_list.value[0].decode())
        part = {
            "id": fields["video_id"].bytes_list.value[0].decode(),
            "features": np.frombuffer(fields["features"].bytes_list.value[0], dtype).reshape(shape),
            "timestamps": np.frombuffer(fields["timestamps"].bytes_list.value[0], "<f8"),
            "duration_fps": np.frombuffer(fields["duration_fps"].bytes_list.value[0], "<f8"),
            "last": bool(fields["last"].int64_list.value[0]),
            "first_frame": int(fields["first_frame"].int64_list.value[0]),
        }
        consistent = shape[0] == len(part["timestamps"]) and len(part["duration_fps"]) == 2
    except (DecodeError, IndexError, ValueError, TypeError, UnicodeDecodeError):
        raise ValueError(f"{path}: not a feature file of this project: its records have another schema") from None
    expected_first = sum(len(part["timestamps"]) for part in parts)
    expected_id = path.name.removesuffix(SUFFIX)
    if part["id"] != expected_id:
        raise ValueError(f"{path}: cut, or renamed: expected features of {expected_id!r}, received {part['id']!r}")
    if not consistent or part["first_frame"] != expected_first:
        raise ValueError(f"{path}: damaged: expected the record of frame {expected_first} next; {_REMEDY}")
    return part


def _join(path: Path, parts: list[dict]) -> VideoFeatures:
    if len({part["features"].shape[1:] for part in parts}) > 1:
        raise ValueError(f"{path}: damaged: its records differ in shape; {_REMEDY}")
    timestamps = np.concatenate([part["timestamps"] for part in parts])
    duration, fps = parts[-1]["duration_fps"]
    if not len(timestamps) or not np.all(np.diff(timestamps) > 0) or not np.isfinite([duration, *timestamps]).all():
        raise ValueError(f"{path}: damaged: expected rising, finite timestamps; {_REMEDY}")
    features = np.concatenate([part["features"] for part in parts])
    return VideoFeatures(parts[0]["id"], features, timestamps, float(duration), float(fps))


def create_spec(folder: Path, spec: dict) -> dict:
    """Put `extractor.json` into `folder`, or compare `spec` with the one that is there.

    The first of several processes creates it (exclusively); the others must agree. Returns what stands there.
    Raises ValueError that names the differing keys.
    """
    path = Path(folder) / SPEC_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    # a link fails where the name exists, so the file appears whole and only once
    temporary = path.with_name(f".{SPEC_FILE}.{os.getpid()}.part")
    try:
        with open_own(temporary, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # tells a file in work from one that a killed process left
            file.write(json.dumps(spec, indent=1, allow_nan=False).encode() + b"\n")
            file.flush()
            os.link(temporary, path)
    except FileExistsError:
        present = read_spec(folder)
        check_spec(present, spec, path, "these features", (*SPEC_KEYS, *MADE_WITH))
        return present
    finally:
        temporary.unlink(missing_ok=True)
    return spec


def read_spec(folder: Path) -> dict:
    """How the features in `folder` were made. Raises ValueError that names the command to run when there are none."""
    path = Path(folder) / SPEC_FILE
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file, so there are no features yet: run `python feature_map_extractor.py` "
            "(or `python data.py import FOLDER --rate R` for features of your own) with the same settings first"
        )
    spec = read_json(path)
    if not isinstance(spec, dict) or "backbone" not in spec:
        raise ValueError(f"{path}: expected an object with the key backbone, received {spec!r:.80}")
    return spec


def check_spec(present: dict, wanted: dict, path: Path, wanted_by: str, keys: tuple[str, ...] = SPEC_KEYS) -> None:
    """Raise ValueError unless `present`, read from `path`, agrees with `wanted` in each of `keys` that `wanted` has."""
    present = MADE_WITH | present
    differing = [key for key in keys if key in wanted and present.get(key) != wanted[key]]
    if differing:
        details = "; ".join(f"{key}: {present.get(key)!r} there, {wanted[key]!r} for {wanted_by}" for key in differing)
        raise ValueError(
            f"{path}: made with other settings: {details}. Use the settings that stand there, or another "
            "paths.feature_map_folder (and run `python feature_map_extractor.py` for it)"
        )


def recorded_spec(folder: Path, extractor: ExtractorSettings, video: VideoSettings) -> dict | None:
    """What stands in a folder's `extractor.json`, which must agree with the settings; None where there is none yet."""
    if not (Path(folder) / SPEC_FILE).is_file():
        return None
    recorded, wanted = read_spec(folder), chosen_spec(extractor, video)
    check_spec(recorded, wanted, Path(folder) / SPEC_FILE, "these features", (*SPEC_KEYS, *MADE_WITH))
    return recorded


def chosen_spec(extractor: ExtractorSettings, video: VideoSettings) -> dict:
    """The part of `extractor.json` that the settings decide, which every consumer of the features compares."""
    made_with = {key: getattr(extractor, key) for key in MADE_WITH if getattr(extractor, key) != "auto"}
    return made_with | {
        "backbone": extractor.backbone,
        "weights": extractor.weights if extractor.weights in ("imagenet", "random") else Path(extractor.weights).name,
        "seed": extractor.seed if extractor.weights == "random" else None,
        "feature_pooling": extractor.feature_pooling,
        "resize": list(video.resize),
        "skip_frames": video.skip_frames,
    }


def require_spec(folder: Path, extractor: ExtractorSettings, video: VideoSettings) -> dict:
    """The spec of a feature folder, which must agree with the settings, unless the features were imported."""
    spec = read_spec(folder)
    if spec["backbone"] != "imported":
        wanted, keys = chosen_spec(extractor, video), (*SPEC_KEYS, *MADE_WITH)
        check_spec(spec, wanted, Path(folder) / SPEC_FILE, "this configuration", keys)
    return spec
