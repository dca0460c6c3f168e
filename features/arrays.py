"""Arrays of anyone's features (.npy, .npz, .csv, [T, D] each) -> the feature files that the trainer reads.

Reached as `python data.py import FOLDER --rate R`. Symbols: T rows (frames) of a video, D numbers a row.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

import annotations
import command_line
import config
import segments
import utils
from features.records import VideoFeatures, create_spec, feature_file, write_features

SUFFIXES = (".npy", ".npz", ".csv")
# how far a video's length by its rows may be from the annotated one: the rows may have come from a sliding window
LENGTH_SHARE, LENGTH_ROWS = 0.1, 2
# of one video: an archive of zeros unpacks to a thousand times its size
MAX_BYTES = 4 << 30


def read_array(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """One video's features [T, D] float32 and, where the file has them, its timestamps [T] (seconds, frame centres).

    `.npy` holds the features; `.npz` holds `features` and perhaps `timestamps` (or a single array of any name); `.csv`
    holds a row a line, and with a header line whose first column is called `timestamp` the times come first.
    Raises ValueError with the file and what is wrong.
    """
    try:
        if path.suffix == ".csv":
            features, timestamps = _read_csv(path)
        else:
            if zipfile.is_zipfile(path):
                _check_unpacked(path)
            with path.open("rb") as file:  # NumPy leaves a file open that it cannot read
                loaded = np.load(file, allow_pickle=False)
                if isinstance(loaded, np.ndarray):
                    features, timestamps = loaded, None
                else:
                    name = loaded.files[0] if len(loaded.files) == 1 else "features"
                    features = loaded[name]
                    timestamps = loaded["timestamps"] if "timestamps" in loaded.files else None
        timestamps = None if timestamps is None else np.asarray(timestamps, np.float64)
    except (ValueError, KeyError, EOFError, OSError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not an array of features: {error}") from None
    except MemoryError:
        raise ValueError(f"{path}: not an array of features: its header asks for more than the memory holds") from None
    if features.ndim != 2 or not features.size or features.dtype.kind not in "iuf":
        raise ValueError(f"{path}: expected numbers of the shape [T, D], received {features.dtype} {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError(f"{path}: expected finite numbers, received NaN or infinity")
    if timestamps is not None and (
        timestamps.shape != features.shape[:1] or not np.all(np.diff(timestamps) > 0) or timestamps[0] < 0
    ):
        raise ValueError(f"{path}: expected {len(features)} rising timestamps from 0 on, a row each")
    return features.astype(np.float32), timestamps


def _check_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes unpacked, received {size:,}")


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline().strip().split(",")
    try:
        [float(cell) for cell in header]
        skip = 0
    except ValueError:
        skip = 1
    rows = np.loadtxt(path, delimiter=",", skiprows=skip, ndmin=2, encoding="utf-8-sig")
    if skip and header[0].strip().lower() == "timestamp":
        return rows[:, 1:], rows[:, 0]
    return rows, None


def as_video(path: Path, rate: float | None, annotated: float) -> VideoFeatures:
    """The array at `path` as a video's features.

    Args:
      path: see `read_array`; its stem is the video's id.
      rate: rows a second; row i covers [i / rate, (i + 1) / rate) and gets its centre as its time. None: the file has
        timestamps, which are centres.
      annotated: seconds that the annotations give the video.

    Raises:
      ValueError: neither rate nor timestamps, or rows that do not fit the video's length (another rate, or [D, T]).
    """
    features, timestamps = read_array(path)
    if timestamps is None and rate is None:
        raise ValueError(f"{path}: has no timestamps: give the rows a second with --rate")
    if timestamps is None:
        timestamps, duration = segments.rows_at_rate(len(features), rate)
        if abs(duration - annotated) > max(LENGTH_SHARE * annotated, LENGTH_ROWS / rate):
            raise ValueError(
                f"{path}: its {len(features)} rows last {duration:.1f} seconds at {rate:g} a second, its annotation "
                f"{annotated:.1f}: is the rate another, or the array [D, T] instead of [T, D]?"
            )
        fps = rate
    else:
        duration = segments.video_end(timestamps, annotated)
        fps = 1 / float(np.median(np.diff(timestamps, prepend=0)))
    return VideoFeatures(path.stem, features, timestamps, duration, fps)


def run(settings: config.Config, folder: Path, rate: float | None) -> int:
    """Write a feature file for each array in `folder` whose name is an annotated id. Returns the exit status."""
    utils.start_tensorflow()
    videos = annotations.load(settings.paths.json_data_path).videos
    arrays = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES) if folder.is_dir() else []
    if not arrays:
        raise ValueError(f"{folder}: expected a folder with {', '.join(SUFFIXES)} files, received none")
    known = [path for path in arrays if path.stem in videos]
    if not known:
        raise ValueError(
            f"{folder}: none of {len(arrays)} files, such as {arrays[0].name}, is named as a video of "
            f"{settings.paths.json_data_path}: expected <id>.npy, .npz or .csv"
        )
    target, width, failures = settings.paths.feature_map_folder, None, []
    for part in (target, *(target / subset for subset in config.SUBSETS)):
        utils.remove_temporary_files(part)
    stems = [path.stem for path in known]
    for path in tqdm(known, unit="video", desc="import", disable=None):
        try:
            if stems.count(path.stem) > 1:
                raise ValueError(f"{path}: another file has the same id {path.stem!r}")
            video = as_video(path, rate, videos[path.stem].duration)
            if width is None:
                # refused for one file, it is asked again for the next
                create_spec(target, _spec(video.features.shape[1], rate))
                width = video.features.shape[1]
            if video.features.shape[1] != width:
                received = video.features.shape[1]
                raise ValueError(f"{path}: expected {width} numbers a row, as in the first file; received {received}")
            write_features(feature_file(target, videos[path.stem].subset, path.stem), video, "float32")
        except ValueError as error:
            failures.append(str(error))
    if len(known) < len(arrays):
        unknown = len(arrays) - len(known)
        utils.LOGGER.warning("%d of %d files are named as no annotated video and were left out", unknown, len(arrays))
    for failure in failures:
        utils.LOGGER.error("%s", failure)
    print(f"{len(known) - len(failures)} videos imported, {len(failures)} failed -> {target}")
    return 1 if failures else 0


def _spec(width: int, rate: float | None) -> dict:
    return {"backbone": "imported", "feature_shape": [width], "rate": rate, "dtype": "float32"}


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser("Import features that another tool made, for the trainer to read.")
    parser.add_argument("command", choices=["import"])
    parser.add_argument("folder", type=Path, help="of <id>.npy, .npz or .csv files, [T, D] each; subfolders included")
    parser.add_argument("--rate", type=float, metavar="R", help="rows a second, unless the files have timestamps")
    arguments = parser.parse_args(argv)
    if arguments.rate is not None and not 0 < arguments.rate < float("inf"):
        parser.error(f"--rate: expected rows a second above 0, received {arguments.rate}")
    return command_line.run_script(
        lambda: run(command_line.from_arguments(arguments), arguments.folder, arguments.rate), arguments.verbosity
    )
