"""Video files of one or more subsets -> feature files and `extractor.json`, by a CNN trained on ImageNet.

A rerun takes up where the last one stopped. The work can be split among machines that share a folder (`--shard`), or be
given to a Dask cluster (`--scheduler`, `--local-cluster`).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
from pathlib import Path

from environment import prerequisites  # noqa: F401

import command_line
import config
import utils
import video_input
from extraction.claims import Claims
from extraction.lanes import Outcome, available_cores, extract, make_plan
from extraction.runtime import open_extractor
from features.records import feature_file, recorded_spec


def video_files(folder: Path, subset: str) -> list[Path]:
    """A subset's video files in the order of their names, broken links too; a line tells how many files are none.

    Raises ValueError when there is none, or when two have one id.
    """
    files = video_input.find_videos(folder / subset)
    if not files:
        raise ValueError(
            f"{folder / subset}: expected video files (<id>.mp4, …), received none: put your videos of this "
            f"subset there, or run `python download_video_script.py {subset}`"
        )
    by_id: dict[str, Path] = {}
    for path in files:
        other = by_id.setdefault(video_input.video_id(path), path)
        if other is not path:
            raise ValueError(f"{path}: expected one file a video, received also {other.name}")
    others = sorted({path.name for path in (folder / subset).glob("[!.]*")} - {path.name for path in files})
    if others:
        utils.LOGGER.info("%s: passed over %d names that do not end as a video's, such as %s",
                          folder / subset, len(others), utils.one_line(others[0]))  # fmt: skip
    return files


def in_shard(video_id: str, shard: tuple[int, int]) -> bool:
    """Whether a video belongs to shard (i, n), i from 1 to n.

    A hash of its id decides, so that machines agree even while videos are still being downloaded.
    """
    number, shards = shard
    return int.from_bytes(hashlib.sha256(os.fsencode(video_id)).digest()[:8]) % shards == number - 1


def missing_features(
    paths: config.PathSettings, subsets: list[str], shard: tuple[int, int] = (1, 1)
) -> dict[Path, Path]:
    """The videos of a shard that have no features yet, the largest file first, with their feature files."""
    folder, todo = paths.feature_map_folder, {}
    utils.remove_temporary_files(folder)
    for subset in subsets:
        ids = {path: video_input.video_id(path) for path in video_files(paths.videos_folder, subset)}
        utils.remove_temporary_files(folder / subset)
        targets = {path: feature_file(folder, subset, id_) for path, id_ in ids.items() if in_shard(id_, shard)}
        todo |= {video: target for video, target in targets.items() if not target.exists()}
        utils.LOGGER.info("%s: %d videos, %d of them have features", subset, len(targets),
                          sum(target.exists() for target in targets.values()))  # fmt: skip
    # so that no thread is left with a long video when the others are done
    return {video: todo[video] for video in sorted(todo, key=lambda video: -video.lstat().st_size)}


def run(
    settings: config.Config,
    subsets: list[str],
    shard: tuple[int, int] = (1, 1),
    scheduler: str | None = None,
    local_cluster: int | None = None,
) -> int:
    """Extract the features of the videos of `subsets` that have none yet. Returns 1 when a video failed, else 0.

    Args:
        settings: see config.yml.
        subsets: of training, validation, testing.
        shard: (i, n): only the i-th of n parts of the videos.
        scheduler: address of a Dask scheduler whose workers do it.
        local_cluster: so many worker processes on this machine do it.
    """
    folder, extractor, video = settings.paths.feature_map_folder, settings.extractor, settings.video
    todo = missing_features(settings.paths, subsets, shard)
    nameless = [path for path in todo if not _is_utf8(path.name)]
    for path in nameless:
        del todo[path]
    if not todo and recorded_spec(folder, extractor, video):
        outcome = Outcome()  # no CNN has to be made ready
    elif scheduler or local_cluster:
        from extraction import cluster

        with cluster.connect(scheduler, local_cluster) as client:
            outcome = cluster.extract(client, todo, folder, extractor, video)
        for subset in subsets:  # what lost workers left
            utils.remove_temporary_files(folder / subset)
    else:
        plan = make_plan(len(todo), available_cores(), extractor.workers)
        embed = open_extractor(folder, extractor, video, plan.callers)
        with contextlib.closing(Claims(folder)) as claims:
            outcome = extract(todo, extractor, video, embed, plan, claims.take)
    outcome.failures += [f"{path}: expected a name in UTF-8, as annotations are: rename it" for path in nameless]
    return _report(outcome, folder)


def _is_utf8(name: str) -> bool:
    # other bytes become halves of surrogate pairs
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _report(outcome: Outcome, folder: Path) -> int:
    elsewhere = f"; {outcome.elsewhere} left to another process" if outcome.elsewhere else ""
    print(f"{outcome.written} videos, {outcome.frames} frames -> {folder}; {len(outcome.failures)} failed{elsewhere}")
    for failure in sorted(outcome.failures):
        print(f"  {utils.one_line(failure)}")
    return 1 if outcome.failures else 0


def _shard(text: str) -> tuple[int, int]:
    try:
        number, shards = map(int, text.split("/"))
    except ValueError:
        number, shards = 0, 0
    if not 1 <= number <= shards:
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, such as 2/8, received {text!r}")
    return number, shards


def _workers(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of worker processes from 1 on, received {text!r}")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser("Extract CNN features of every skip_frames-th frame of the videos.")
    parser.add_argument("subset", nargs="*", help=f"of {', '.join(config.SUBSETS)}; training when none is given")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only the I-th of N parts")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask scheduler whose workers do it")
    where.add_argument("--local-cluster", type=_workers, metavar="N", help="N Dask worker processes on this machine")
    arguments = parser.parse_args(argv)
    for subset in arguments.subset:
        if subset not in config.SUBSETS:
            parser.error(f"expected {', '.join(config.SUBSETS)}, received {subset!r}")
    subsets = list(dict.fromkeys(arguments.subset)) or ["training"]

    def chosen() -> int:
        settings = command_line.from_arguments(arguments)
        return run(settings, subsets, arguments.shard, arguments.scheduler, arguments.local_cluster)

    return command_line.run_script(chosen, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
