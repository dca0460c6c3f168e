"""Annotations -> `<videos_folder>/<subset>/<id>.<suffix>`, manifest.jsonl, report.json and missing.txt.

Run it again to go on: what is whole is kept, what is gone for good is left, everything else is tried.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from environment import prerequisites  # noqa: F401

from annotations import Annotations, Video
from command_line import from_arguments, make_parser, run_script
from config import SUBSETS, Config, DownloadSettings, PathSettings
from download import selection, summary
from download.attempt import Task
from download.crew import Crew, Pace
from download.failures import BY_HAND
from download.fetch import FetcherApart, FetchOptions, check_backend
from download.manifest import Manifest, locked
from download.meter import Meter
from download.selection import Wanted, address_of, choose, read_ids
from download.terminal import Display
from utils import LOGGER

_PARTIAL = ".partial"  # on the disk of the videos, so that a rename puts a whole one in its place


def run(config: Config, wanted: Wanted, dry_run: bool = False, retry_permanent: bool = False) -> int:
    """Get the wanted videos.

    dry_run: only say what there is to get. retry_permanent: try again what earlier runs found gone for good.

    Returns: the exit status. 0; 1 when more than `max_failed_fraction` failed or the run had to stop; 130 after Ctrl-C.
    Raises: ValueError for what the user can mend.
    """
    root, settings = config.paths.videos_folder, config.download
    data = selection.get(config.paths.json_data_path, settings.annotations_url)
    if dry_run:
        return _show(data, wanted, Manifest(root), summary.Folder(root, SUBSETS))
    with locked(root):
        manifest, folder = Manifest(root), summary.Folder(root, SUBSETS)
        if (root / _PARTIAL).is_symlink():
            raise ValueError(f"{root / _PARTIAL}: expected a folder of ours, received a link: remove it")
        shutil.rmtree(root / _PARTIAL, ignore_errors=True)
        videos = _choose(data, wanted, set() if retry_permanent else _gone(data, manifest, folder))
        tasks, refused = _plan(videos, manifest, folder, settings.url_template, retry_permanent)
        LOGGER.info(
            "%s videos chosen, %s to get with %s into %s", f"{len(videos):,}", f"{len(tasks):,}", settings.backend, root
        )
        room = None if settings.max_total_gb is None else settings.max_total_gb * 1e9 - sum(folder.sizes.values())
        meter, started = Meter(root, room, settings.min_free_gb * 1e9), time.monotonic()
        if tasks:
            _download(tasks, config.paths, settings, manifest, meter, retry_permanent)
        failed = _finish(root, data, videos, manifest, meter, refused, time.monotonic() - started)
        return meter.status or int(failed > settings.max_failed_fraction)


def _choose(data: Annotations, wanted: Wanted, gone: set[str]) -> list[Video]:
    videos = choose(data.videos.values(), wanted, gone)
    if not videos:
        raise ValueError(f"{data.source}: no video is left by these options; --dry-run shows what there is")
    return videos


def _gone(data: Annotations, manifest: Manifest, folder: summary.Folder) -> set[str]:
    videos = data.videos.values()
    return {video.id for video in videos if manifest.of(video.id).gone and not folder.has_whole(video, manifest)}


def _plan(
    videos: list[Video], manifest: Manifest, folder: summary.Folder, template: str | None, retry_permanent: bool
) -> tuple[list[Task], dict[str, str]]:
    """What to do, and the ids whose address cannot be used, each with the reason."""
    tasks, refused = [], {}
    for video in videos:
        if folder.has_whole(video, manifest):
            continue
        file = folder.find(video)
        if file is None and manifest.of(video.id).gone and not retry_permanent:
            continue
        try:
            tasks.append(Task(video, "" if file else address_of(video, template), file))
        except ValueError as error:
            refused[video.id] = str(error)
    for video_id, message in list(refused.items())[:3]:
        LOGGER.warning("%s  bad_address  %s", video_id, message)
    if len(refused) > 3:
        LOGGER.warning("%d more videos have no usable address", len(refused) - 3)
    return tasks, refused


def _download(
    tasks: list[Task], paths: PathSettings, settings: DownloadSettings, manifest: Manifest, meter: Meter,
    expect_gone: bool,
) -> None:  # fmt: skip
    root = paths.videos_folder
    check_backend(settings.backend, [task.address for task in tasks if task.address])
    workers = min(settings.workers, len(tasks))
    cookies = settings.cookies_file
    options = FetchOptions(
        backend=settings.backend,
        format=settings.format,
        timeout=settings.timeout_seconds,
        longest=settings.video_timeout_seconds,
        rate_limit=None if settings.rate_limit_mb is None else settings.rate_limit_mb * 1e6 / workers,
        cookies_file=None if cookies is None else paths.data_dir / cookies.expanduser(),
    )
    fetchers = [FetcherApart(options, root / _PARTIAL / f"worker-{number}", meter.add) for number in range(workers)]
    try:
        with Display(len(tasks), meter) as display:
            Crew(root, _pace(settings, expect_gone), manifest, meter, display).work(tasks, fetchers)
    finally:
        shutil.rmtree(root / _PARTIAL, ignore_errors=True)


def _pace(settings: DownloadSettings, expect_gone: bool) -> Pace:
    return Pace(
        sleep=settings.sleep_seconds,
        attempts=settings.attempts,
        backoff=settings.backoff_seconds,
        backoff_max=settings.backoff_max_seconds,
        patience=settings.patience_seconds,
        stop_after_blocks=settings.stop_after_blocks,
        stop_after_failures=settings.stop_after_failures,
        # a third of the videos is gone, but hardly so many in a row for one reason
        stop_after_gone=math.inf if expect_gone else 3 * settings.stop_after_failures,
        tolerance=settings.duration_tolerance,
    )


def _finish(
    root: Path, data: Annotations, videos: list[Video], manifest: Manifest, meter: Meter,
    refused: dict[str, str], seconds: float,
) -> float:  # fmt: skip
    """Print the table, write report.json and missing.txt, and tell the share of the videos that failed."""
    folder = summary.Folder(root, SUBSETS)
    state = summary.states(videos, manifest, folder, refused)
    gone = _gone(data, manifest, folder)
    kinds = Counter(entry.kind for entry in state.values())
    failed = (kinds["gone"] + kinds["failed"]) / len(videos)
    facts = {
        "annotations": str(data.source),
        "videos_folder": str(root),
        "stopped": meter.stopped or None,
        "failed_fraction": round(failed, 4),
        "bytes_in_folder": sum(folder.sizes.values()),
        "bytes_this_run": meter.total,
        "seconds_this_run": round(seconds, 1),
    }
    missing = [video_id for video_id in data.videos if video_id in gone]
    summary.write(root, summary.report(videos, state, facts), missing)
    print(f"\n{summary.table(videos, state)}\n")
    print(f"{meter.total / 1e6:,.1f} MB in {seconds:,.0f} s; ids and reasons in {root / 'report.json'}")
    if meter.stopped:
        print(f"stopped: {meter.stopped}")
    elif passing := sum(entry.kind == "failed" and entry.reason not in BY_HAND for entry in state.values()):
        print(f"{passing:,} failed for reasons that may pass: the same command tries them again")
    return failed


def _show(data: Annotations, wanted: Wanted, manifest: Manifest, folder: summary.Folder) -> int:
    """Print counts and hours of what a run would get."""
    videos = _choose(data, wanted, _gone(data, manifest, folder))
    state = summary.states(videos, manifest, folder, {})
    rows = []
    for subset in [*wanted.subsets, "total"]:
        mine = [video for video in videos if subset in (video.subset, "total")]
        kinds = Counter(state[video.id].kind for video in mine)
        left = [video for video in mine if state[video.id].kind not in (summary.DONE, "gone")]
        counts = [f"{count:,}" for count in (kinds[summary.DONE], kinds["gone"], len(left))]
        hours, hours_left = (f"{sum(video.duration for video in some) / 3600:,.1f}" for some in (mine, left))
        rows.append([subset, f"{len(mine):,}", hours, *counts, hours_left])
    print(summary.layout(["subset", "videos", "hours", "done", "gone", "to get", "hours to get"], rows))
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("subsets", nargs="*", metavar="SUBSET", help=f"{', '.join(SUBSETS)}; default: all but testing")
    parser.add_argument("--class", action="append", default=[], dest="classes", metavar="LABEL", help="repeatable")
    parser.add_argument(
        "--per-subset", type=_count, metavar="N", help="N videos of each subset, drawn evenly over classes"
    )
    parser.add_argument("--per-class", type=_count, metavar="N", help="N videos of each class in each subset")
    parser.add_argument("--ids", type=Path, metavar="FILE", help="only these, an id a line; default: of all subsets")
    parser.add_argument("--dry-run", action="store_true", help="print counts and hours, download no video")
    parser.add_argument("--retry-permanent", action="store_true", help="also try what was found gone for good")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.subsets) - set(SUBSETS):
        parser.error(f"expected a subset ({', '.join(SUBSETS)}), received {', '.join(sorted(unknown))}")

    def start() -> int:
        default = SUBSETS if arguments.ids else SUBSETS[:2]
        wanted = Wanted(
            subsets=tuple(subset for subset in SUBSETS if subset in (arguments.subsets or default)),
            classes=tuple(arguments.classes),
            per_subset=arguments.per_subset,
            per_class=arguments.per_class,
            ids=read_ids(arguments.ids) if arguments.ids else None,
        )
        return run(from_arguments(arguments), wanted, arguments.dry_run, arguments.retry_permanent)

    return run_script(start, arguments.verbosity)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(text)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
