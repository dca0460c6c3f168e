"""Arrays of anyone's features, a file a video -> the feature files that the trainer reads.

Reached as `python data.py import FOLDER --rate R`. Symbols: T rows (frames, clips) of a video, D numbers a row.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import annotations
import command_line
import config
import segments
import utils
from features.array_files import ROWS_FIRST, SUFFIXES, Layout, read_array
from features.records import VideoFeatures, create_spec, feature_file, write_features
from video_input import video_id

# how far a video's length by its rows may be from the annotated one: the rows may have come from a sliding window
LENGTH_SHARE, LENGTH_ROWS = 0.1, 2


@dataclass(frozen=True)
class Placing:
    """When rows are, where files have no timestamps. At most one of the three; none: the files have them.

    rate: rows a second, side by side. clips: fps, stride and window, of clips that may overlap, in source frames.
    rescale: so many rows as there are share the video evenly, whatever its length.
    """

    rate: float | None = None
    clips: tuple[float, float, float] | None = None
    rescale: bool = False

    def __str__(self) -> str:
        if self.clips is not None:
            return "clips of {2:g} frames every {1:g} at {0:g} a second".format(*self.clips)
        return "rows share the video" if self.rescale else f"rate {self.rate}"

    def spec(self) -> dict:
        """What features of one folder must share; a rate and timestamps are said as they always were."""
        return {"rate": self.rate, "placing": str(self) if self.clips is not None or self.rescale else None}


@dataclass(frozen=True)
class Names:
    """How files are called: prefix, id, suffix; `also` are suffixes of further parts, whose numbers are appended."""

    prefix: str = ""
    suffix: str = ""
    also: tuple[str, ...] = ()

    def of(self, name: str) -> list[str]:
        """The names, without ending, of a video's files."""
        return [f"{self.prefix}{name}{suffix}" for suffix in (self.suffix, *self.also)]


NAMED_BY_ID = Names()


def as_video(
    paths: Path | list[Path], placing: Placing, annotated: float, layout: Layout = ROWS_FIRST, name: str | None = None
) -> VideoFeatures:
    """The arrays at `paths`, side by side, as a video's features.

    Args:
      paths: see `read_array`.
      placing: when the rows are, unless the files have timestamps.
      annotated: seconds that the annotations give the video.
      layout: see `Layout`.
      name: the video's id; None: the stem of the path.

    Raises:
      ValueError: nothing says when rows are, or they do not fit the video's length (another rate or unit, or [D, T]).
    """
    paths = [paths] if isinstance(paths, Path) else paths
    read = [read_array(path, layout) for path in paths]
    rows = min(len(features) for features, _ in read)
    for path, (features, _) in zip(paths, read, strict=True):
        if len(features) > rows + 1:  # flow has one row less than pictures
            raise ValueError(
                f"{path}: expected {rows} rows, as in another part of this video; received {len(features)}"
            )
    features = np.concatenate([features[:rows] for features, _ in read], axis=1)
    timestamps = next((times[:rows] for _, times in read if times is not None), None)
    times, covered, step, end = _place(paths[0], rows, timestamps, placing, annotated)
    if abs(covered - annotated) > max(LENGTH_SHARE * annotated, LENGTH_ROWS * step):
        said = f"at {placing}"
        remedy = "is the rate another, has every video so many rows (--rescale), or is the array [D, T] (--layout DT)?"
        if timestamps is not None:
            said, remedy = "by its timestamps", "are these no seconds (timestamps_ms are milliseconds)?"
        raise ValueError(
            f"{paths[0]}: its {rows} rows last {covered:.1f} seconds {said}, its annotation {annotated:.1f}: {remedy}"
        )
    return VideoFeatures(name or video_id(paths[0]), features, times, end, 1 / step if step > 0 and rows > 1 else 0.0)


def _place(
    path: Path, rows: int, timestamps: np.ndarray | None, placing: Placing, annotated: float
) -> tuple[np.ndarray, float, float, float]:
    """The rows' centres, the seconds that they cover, those from one row to the next, and the video's end."""
    if timestamps is not None:
        step = float(np.median(np.diff(timestamps))) if rows > 1 else max(annotated, 0.0)
        covered = float(segments.end_by_times(timestamps)[0])
        return timestamps, covered, step, segments.video_end(timestamps, annotated)
    if placing.rate is not None:
        times, end = segments.rows_at_rate(rows, placing.rate)
        return times, end, 1 / placing.rate, end
    if placing.clips is not None:
        fps, stride, window = placing.clips
        times, end = segments.rows_of_clips(rows, fps, stride, window)
        # a last clip may be filled up, and a last stride may give no whole clip
        return times, end, max(stride, window / 2) / fps, segments.video_end(times, annotated)
    if placing.rescale:
        if annotated <= 0:
            raise ValueError(f"{path}: its annotation gives the video no length to share")
        times, end = segments.rows_at_rate(rows, rows / annotated)
        return times, annotated, annotated / rows, annotated
    raise ValueError(
        f"{path}: has no timestamps: give the rows a second with --rate (or --fps, --stride and --window, or --rescale)"
    )


def run(
    settings: config.Config,
    folder: Path,
    placing: Placing,
    layout: Layout = ROWS_FIRST,
    names: Names = NAMED_BY_ID,
) -> int:
    """Write a feature file for each annotated video that `folder` has arrays of. Returns the exit status."""
    utils.start_tensorflow()
    videos = annotations.load(settings.paths.json_data_path).videos
    arrays = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not arrays:
        raise ValueError(f"{folder}: expected a folder with {', '.join(SUFFIXES)} files, received none")
    by_name: dict[str, list[Path]] = {}
    for path in arrays:
        by_name.setdefault(video_id(path), []).append(path)
    known = {name: video for name, video in videos.items() if names.of(name)[0] in by_name}
    if not known:
        raise ValueError(
            f"{folder}: none of {len(arrays)} files, such as {arrays[0].name}, is named as a video of "
            f"{settings.paths.json_data_path}: expected {names.of('<id>')[0]}.npy, .npz, .csv or .h5; --prefix and "
            "--suffix say what stands around the id"
        )
    target = settings.paths.feature_map_folder
    for part in (target, *(target / subset for subset in config.SUBSETS)):
        utils.remove_temporary_files(part)

    failures = []
    write = _Writer(target, placing)
    for name, video in command_line.Progress(known.items(), unit="video", desc="import"):
        try:
            paths = _parts(folder, names.of(name), by_name)
            write(as_video(paths, placing, video.duration, layout, name), video.subset, paths[0])
        except ValueError as error:
            failures.append(str(error))
    used = sum(len(by_name.get(part, ())) for name in known for part in names.of(name))
    if used < len(arrays):
        utils.LOGGER.warning("%d of %d files are named as no annotated video and were left out", len(arrays) - used,
                             len(arrays))  # fmt: skip
    for failure in failures:
        utils.LOGGER.error("%s", utils.one_line(failure))
    print(f"{len(known) - len(failures)} videos imported, {len(failures)} failed -> {target}")
    return 1 if failures else 0


def _parts(folder: Path, names: list[str], by_name: dict[str, list[Path]]) -> list[Path]:
    """A file for each name. Raises ValueError where there is none, or more than one."""
    for name in names:
        files = by_name.get(name, [])
        if not files:
            raise ValueError(f"{folder}: expected a file {name}{'|'.join(SUFFIXES)}, received none")
        if len(files) > 1:
            raise ValueError(f"{files[0]}: another file has the same id {name!r}: {files[1]}")
    return [by_name[name][0] for name in names]


class _Writer:
    """Writes videos whose rows are equally wide, as the first of them says."""

    def __init__(self, target: Path, placing: Placing):
        self._target, self._placing = target, placing
        self._width: int | None = None

    def __call__(self, video: VideoFeatures, subset: str, path: Path) -> None:
        received = video.features.shape[1]
        if self._width is None:
            # refused for one file, it is asked again for the next
            create_spec(self._target, _spec(received, self._placing))
            self._width = received
        if received != self._width:
            raise ValueError(f"{path}: expected {self._width} numbers a row, as in the first file; received {received}")
        write_features(feature_file(self._target, subset, video.id), video, "float32")


def _spec(width: int, placing: Placing) -> dict:
    return {"backbone": "imported", "feature_shape": [width], "dtype": "float32"} | placing.spec()


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text}")
    return number


def _axes(text: str) -> str:
    if sorted(text.replace("1", "")) != ["D", "T"] or not re.fullmatch(r"[1TD]{2,8}", text):
        raise argparse.ArgumentTypeError(f"expected one T, one D and 1s, such as TD, DT, 1TD or T1D, received {text!r}")
    return text


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Import features that another tool made, for the trainer to read.\n\n"
        "data.py export  for other tools to read; with --help of its own"
    )
    parser.add_argument("command", choices=["import"])
    parser.add_argument("folder", type=Path, help="of <id>.npy, .npz, .csv or .h5 files; subfolders included")
    when = parser.add_argument_group("when rows are, unless the files have timestamps")
    when.add_argument("--rate", type=_positive, metavar="R", help="rows a second, side by side")
    when.add_argument("--fps", type=_positive, metavar="F", help="of clips: source frames a second")
    when.add_argument("--stride", type=_positive, metavar="N", help="of clips: source frames from one to the next")
    when.add_argument("--window", type=_positive, metavar="N", help="of clips: source frames in each")
    when.add_argument("--rescale", action="store_true", help="the rows share the video evenly, whatever its length")
    files = parser.add_argument_group("what the files hold, and how they are called")
    files.add_argument("--layout", type=_axes, default="TD", metavar="AXES", help="TD (default), DT, 1TD, T1D, …")
    files.add_argument("--key", metavar="NAME", help="of the array in an .npz or .h5 that holds several")
    files.add_argument("--prefix", default="", metavar="TEXT", help="before the id, such as v_")
    files.add_argument("--suffix", default="", metavar="TEXT", help="behind the id, such as _rgb")
    files.add_argument("--also", action="append", default=[], metavar="SUFFIX",
                       help="of a further file a video, whose numbers are appended; repeatable")  # fmt: skip
    arguments = parser.parse_args(argv)
    clips = (arguments.fps, arguments.stride, arguments.window)
    if None in clips and clips != (None, None, None):
        parser.error("--fps, --stride and --window belong together")
    if (arguments.rate is not None) + (clips[0] is not None) + arguments.rescale > 1:
        parser.error("expected one of --rate, of --fps with --stride and --window, and of --rescale")
    placing = Placing(arguments.rate, None if None in clips else clips, arguments.rescale)
    layout = Layout(arguments.key, arguments.layout)
    prefix, suffix, *also = map(utils.composed, (arguments.prefix, arguments.suffix, *arguments.also))
    names = Names(prefix, suffix, tuple(also))

    def chosen() -> int:
        return run(command_line.from_arguments(arguments), arguments.folder, placing, layout, names)

    return command_line.run_script(chosen, arguments.verbosity)
