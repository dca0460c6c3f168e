"""Feature files + annotations -> arrays and an annotation file as ActionFormer and OpenTAD read them.

Reached as `python data.py export FOLDER`. Symbols: T rows (sampled frames) of a video, D numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import annotations
import command_line
import config
import utils
from annotations import Video
from features.records import VideoFeatures, feature_file, read_features, require_spec

ARRAYS = {"npy": "features", "hdf5": "features.hdf5"}  # in the folder that is written
ANNOTATIONS, CATEGORIES = "annotations.json", "category_idx.txt"
# source frames from row to row where rows come of no frames; OpenTAD rounds annotations to whole frames
NOMINAL_STRIDE = 16
UNEVEN = 0.5  # rows, by which a row's time may be off an even grid


@dataclass(frozen=True)
class Grid:
    """When rows are in the words of both programs: row i at (i * stride + offset) / fps seconds."""

    stride: float
    offset: float  # source frames
    fps: float

    def off(self, timestamps: np.ndarray) -> float:
        """By how many rows the farthest of `timestamps` [T] is off."""
        rows = (timestamps * self.fps - self.offset) / self.stride
        return float(np.abs(rows - np.arange(len(timestamps))).max())


def even_grid(timestamps: np.ndarray, duration: float, stride: float) -> Grid:
    """The even grid of `stride` that has the first and the last of `timestamps` [T]; one row lasts the whole video."""
    rows = len(timestamps)
    step = (timestamps[-1] - timestamps[0]) / (rows - 1) if rows > 1 else duration or 1.0
    fps = stride / step
    return Grid(stride, float(timestamps[0] * fps), float(fps))


def run(settings: config.Config, folder: Path, form: str) -> int:
    """Write the features of all annotated videos that have some into the new `folder`. Returns the exit status.

    Raises ValueError where there are no features, or the folder is there.
    """
    if folder.exists():
        raise ValueError(f"{folder}: is there already; expected a folder to make")
    utils.start_tensorflow()
    paths, level = settings.paths, settings.data.taxonomy_level
    annotated = annotations.load(paths.json_data_path)
    spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
    files = {
        name: path
        for name, video in annotated.videos.items()
        if (path := feature_file(paths.feature_map_folder, video.subset, name)).is_file()
    }
    if not files:
        raise ValueError(
            f"{paths.feature_map_folder}: has no features of the {len(annotated.videos)} videos of {annotated.source}"
        )
    with utils.atomic_folder(folder) as temporary:
        grids, width = _write_arrays(temporary / ARRAYS[form], files, float(spec.get("skip_frames") or NOMINAL_STRIDE))
        database, names = _database([annotated.videos[name] for name in files], annotated.class_of(level), grids)
        content = {"version": annotated.version, "taxonomy": [], "database": database}
        utils.write_json(temporary / ANNOTATIONS, content)
        utils.write_text(temporary / CATEGORIES, "".join(f"{name}\n" for name in names))
    offset = float(np.median([grid.offset for grid in grids.values()]))
    stride = next(iter(grids.values())).stride
    print(
        f"{len(files)} videos of {len(annotated.videos)}, {len(names)} classes -> {folder}\n"
        f"ActionFormer: feat_stride {stride:g}, num_frames {2 * offset:g}, input_dim {width}, "
        f"num_classes {len(names)}\n"
        f"OpenTAD: feature_stride {stride:g}, sample_stride 1, offset_frames {offset:g}, in_channels {width}"
    )
    return 0


def _write_arrays(path: Path, files: dict[str, Path], stride: float) -> tuple[dict[str, Grid], int]:
    """Write each video's rows float32 [T, D]; returns their grids, and D."""
    grids, uneven, width = {}, [], 0

    def take(video: VideoFeatures, write: Callable[[str, np.ndarray], None]) -> None:
        nonlocal width
        rows = video.features.reshape(len(video.features), -1).astype(np.float32)
        grids[video.id], width = even_grid(video.timestamps, video.duration, stride), rows.shape[1]
        if grids[video.id].off(video.timestamps) > UNEVEN:
            uneven.append(video.id)
        write(video.id, rows)

    videos = command_line.Progress(read_features(files.values()), total=len(files), unit="video", desc="export")
    if path.suffix == ".hdf5":
        import h5py

        with h5py.File(path, "w") as file:
            for video in videos:
                take(video, lambda name, rows: file.create_dataset(name, data=rows))
    else:
        path.mkdir()
        for video in videos:
            take(video, lambda name, rows: np.save(path / f"{name}.npy", rows))
    if uneven:
        utils.LOGGER.warning(
            "%d videos have frames at uneven times, such as %s: both programs count them as even, which moves "
            "some by more than %g rows", len(uneven), uneven[0], UNEVEN,
        )  # fmt: skip
    return grids, width


def _database(
    videos: list[Video], class_of: dict[str, str], grids: dict[str, Grid]
) -> tuple[dict[str, dict], list[str]]:
    """The entries of an ActivityNet file with what both programs need besides, and the names of the classes."""
    segments = {video.id: video.labelled_segments() for video in videos}
    names = sorted({class_of[segment.label] for found in segments.values() for segment in found})
    number = {name: index for index, name in enumerate(names)}
    return {
        video.id: {
            "subset": video.subset,
            "duration": video.duration,
            "fps": grids[video.id].fps,
            # OpenTAD divides it by the duration
            "frame": grids[video.id].fps * video.duration,
            "annotations": [
                {"segment": [found.start, found.end], "label": class_of[found.label],
                 "label_id": number[class_of[found.label]]}
                for found in segments[video.id]
            ],
        }
        for video in videos
    }, names  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser("Write features and annotations as ActionFormer and OpenTAD read them.")
    parser.add_argument("command", choices=["export"])
    parser.add_argument("folder", type=Path, help="to make")
    parser.add_argument("--format", choices=ARRAYS, default="npy",
                        help="npy: a file a video (default); hdf5: one of all, not for OpenTAD")  # fmt: skip
    arguments = parser.parse_args(argv)

    def chosen() -> int:
        return run(command_line.from_arguments(arguments), arguments.folder, arguments.format)

    return command_line.run_script(chosen, arguments.verbosity)
