"""A seed -> `videos/<subset>/<id>.mp4` and `annotations.json` in a folder: a small data set in ActivityNet's layout.

A drawn person does named actions between stretches of background. The same seed gives the same bytes; a rerun keeps
what is whole and draws what is missing.
"""

from __future__ import annotations

import os
import signal
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from environment import prerequisites  # noqa: F401

import numpy as np
from tqdm import tqdm

import command_line
import utils
from sample.timeline import FPS, HEIGHT, TAXONOMY, WIDTH, Timeline, plan_timeline
from video_reading.door import open_video

VERSION = "sample set 2"  # raise it whenever what is drawn changes: files of another version are drawn again
OVERLAPPING_VERSION = 2  # the same of the set in which actions overlap
VIDEOS = {"training": 40, "validation": 8, "testing": 8}


@dataclass(frozen=True)
class _Plan:
    """One video of the set: what happens in it, and what its file must say of where it comes from."""

    id: str
    subset: str
    path: Path
    timeline: Timeline
    film_seed: tuple[int, ...]
    origin: str


def draw_sample_set(
    folder: Path,
    seed: int = 0,
    videos: dict[str, int] | None = None,
    workers: int | None = None,
    overlapping: bool = False,
) -> Path:
    """Draw the data set into `folder` and return the path of its annotations.

    videos: subset -> number of videos (default: `VIDEOS`); the first ones are the same however many there are.
    workers: processes that draw (default: one a core); the files are the same however many there are.
    overlapping: whether legs and arms act on their own, so that actions of two classes overlap: see `plan_timeline`.

    Raises ValueError for a seed below 0, or workers below 1.
    """
    videos = VIDEOS if videos is None else videos
    workers = (os.cpu_count() or 1) if workers is None else workers
    for name, value, least in (("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise ValueError(f"{name}: expected a whole number of at least {least}, received {value}")
    plans = []
    for subset, count in videos.items():
        plans += _plan_subset(Path(folder), seed, subset, count, overlapping)
    missing = [plan for plan in plans if not _is_whole(plan)]
    path = Path(folder) / "annotations.json"
    if missing:
        path.unlink(missing_ok=True)  # those of another seed, perhaps; never beside videos that they do not describe
        for subset in videos:
            utils.remove_temporary_files(path.parent / "videos" / subset)
        _draw_all(missing, min(workers, len(missing)))
    database = {plan.id: _database_entry(plan) for plan in plans}
    utils.write_json(path, {"version": VERSION, "taxonomy": _taxonomy(), "database": database})
    return path


def _plan_subset(folder: Path, seed: int, subset: str, count: int, overlapping: bool = False) -> list[_Plan]:
    version = f"{VERSION}, overlapping {OVERLAPPING_VERSION}" if overlapping else VERSION
    counts: dict[str, int] = {}
    plans = []
    for number in range(count):
        name = f"sample_{subset}_{number:02d}"
        # subsets share no random number: a set for testing must not look like another
        seeds = (seed, zlib.crc32(subset.encode()), number)
        timeline = plan_timeline(np.random.default_rng((*seeds, 0)), counts, overlapping)
        path = folder / "videos" / subset / f"{name}.mp4"
        plans.append(_Plan(name, subset, path, timeline, (*seeds, 1), f"{version}, seed {seed}, {name}"))
    return plans


def _is_whole(plan: _Plan) -> bool:
    """Whether the file is there, says that it is this plan's, and has every frame."""
    import av

    try:
        with open_video(plan.path) as video:
            frames = sum(packet.size > 0 and not packet.is_corrupt for packet in video.container.demux(video.stream))
            return video.container.metadata.get("comment") == plan.origin and frames == plan.timeline.frames
    except (av.FFmpegError, ValueError):
        return False


def _draw_all(plans: list[_Plan], workers: int) -> None:
    with tqdm(total=len(plans), desc="drawing", unit="video") as progress:
        if workers == 1:
            for plan in plans:
                _draw(plan)
                progress.update()
            return
        with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
            futures = [pool.submit(_draw, plan) for plan in plans]
            try:
                for future in as_completed(futures):
                    future.result()
                    progress.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _start_worker() -> None:
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; a worker ends with the video in hand
    cv2.setNumThreads(1)


def _draw(plan: _Plan) -> None:
    """Film the timeline and encode it: H.264 whose bytes depend on nothing but the frames."""
    import av
    import cv2

    from sample.film import film

    # mb-tree, which the slower presets use, gave other bytes now and then, even with one thread
    options = {"preset": "superfast", "mbtree": "0", "crf": "25", "g": str(2 * FPS), "threads": "1"}
    with (
        utils.atomic_path(plan.path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        container.metadata["comment"] = plan.origin
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in film(plan.timeline, np.random.default_rng(plan.film_seed)):
            planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(planes, np.uint8), format="yuv420p")))
        container.mux(stream.encode())


def _taxonomy() -> list[dict]:
    """The nodes of the tree as ActivityNet lists them, the root first."""
    numbers = {"Root": 0}
    nodes = [{"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}]
    for label, path in TAXONOMY.items():
        parent = "Root"
        for name in (*path, label):
            if name not in numbers:
                numbers[name] = len(numbers)
                node = {"nodeId": numbers[name], "nodeName": name}
                nodes.append(node | {"parentId": numbers[parent], "parentName": parent})
            parent = name
    return nodes


def _database_entry(plan: _Plan) -> dict:
    actions = plan.timeline.actions
    return {
        "subset": plan.subset,
        "duration": plan.timeline.frames / FPS,
        "resolution": f"{WIDTH}x{HEIGHT}",
        "url": "",
        "annotations": [{"segment": [a.start / FPS, a.stop / FPS], "label": a.kind} for a in actions],
    }


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Draw the sample data set: half an hour of video of a person who does 8 kinds of action."
    )
    parser.add_argument(
        "--output", type=Path, help="folder (default: data/sample in paths.data_dir, or data/overlapping)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, another set (default: %(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that draw (default: one a core)")
    parser.add_argument(
        "--overlapping", action="store_true", help="legs and arms act on their own: short actions inside long ones"
    )
    arguments = parser.parse_args(argv)

    def run() -> None:
        name = "overlapping" if arguments.overlapping else "sample"
        folder = arguments.output or command_line.from_arguments(arguments).paths.data_dir / "data" / name
        path = draw_sample_set(folder, arguments.seed, workers=arguments.workers, overlapping=arguments.overlapping)
        database = utils.read_json(path)["database"].values()
        subsets = Counter(entry["subset"] for entry in database)
        print(
            f"{path.parent / 'videos'}: {', '.join(f'{count} {subset}' for subset, count in subsets.items())} videos, "
            f"{sum(entry['duration'] for entry in database) / 60:.1f} min; "
            f"{path}: {sum(len(entry['annotations']) for entry in database)} actions of {len(TAXONOMY)} classes"
        )

    return command_line.run_script(run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
