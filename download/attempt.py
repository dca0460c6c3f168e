"""One video, tried once: found in the folder or fetched, checked, and only then given its name."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import Video
from download.failures import Failure, classify
from download.fetch import Fetcher, FetcherApart
from download.meter import Interrupted
from utils import LOGGER
from video_reading.clock import Clock, packet_end
from video_reading.door import NoPicture, open_video

# by what the container is, so that no name from outside decides how a file is called
_SUFFIXES = {
    "mov": ".mp4", "matroska": ".mkv", "avi": ".avi", "flv": ".flv", "mpegts": ".ts", "mpeg": ".mpg", "asf": ".wmv",
    "ogg": ".ogv",
}  # fmt: skip
_FREE_CHOICE = {"mov": (".mp4", ".m4v", ".mov", ".3gp"), "matroska": (".mkv", ".webm")}


@dataclass(frozen=True, slots=True)
class Task:
    video: Video
    address: str
    file: Path | None = None  # a file that lies there without a line in the manifest


@dataclass(frozen=True, slots=True)
class Outcome:
    task: Task
    status: str  # done | found | failed | interrupted
    failure: Failure | None = None
    file: Path | None = None
    duration: float = 0.0  # seconds of video
    seconds: float = 0.0  # spent


def attempt(task: Task, fetcher: Fetcher | FetcherApart, folder: Path, tolerance: tuple[float, float]) -> Outcome:
    """Try to have `<folder>/<subset>/<id>.<suffix>`; every failure of the video's is in the outcome.

    A file under that name is whole: it is fetched elsewhere on the same disk, read to its end, compared with the
    annotated duration, written out, and renamed.
    """
    started = time.monotonic()

    def outcome(status: str, **more: Any) -> Outcome:
        return Outcome(task, status, seconds=time.monotonic() - started, **more)

    if task.file is not None:
        try:
            duration, _ = check(task.file, task.video.duration, tolerance)
        except Refused as error:
            message = f"{error}; remove {task.file} to have the video downloaded"
            return outcome("failed", failure=Failure("bad_file", message))
        return outcome("found", file=task.file, duration=duration)
    try:
        fetched = fetcher.fetch(task.address)
    except Interrupted:
        return outcome("interrupted")
    except Exception as error:  # a bug in one of 1,800 extractors is that video's failure, not the run's
        LOGGER.debug("%s", task.video.id, exc_info=True)
        return outcome("failed", failure=classify(error))
    try:
        duration, suffix = check(fetched, task.video.duration, tolerance)
    except Refused as error:
        return outcome("failed", failure=Failure(error.reason, str(error)))
    final = folder / task.video.subset / (task.video.id + suffix)
    final.parent.mkdir(exist_ok=True)
    with fetched.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(fetched, final)
    return outcome("done", file=final, duration=duration)


class Refused(Exception):
    """The file is not the video. reason: too_short | too_long | not_a_video."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check(path: Path, expected: float, tolerance: tuple[float, float]) -> tuple[float, str]:
    """Read a file's packets and compare its length with the annotation.

    Args:
      expected: seconds; 0 when unknown.
      tolerance: as a share of `expected` and in seconds; the larger counts.

    Returns: the duration of the video track in seconds, and the suffix that fits the container.
    Raises: Refused.
    """
    duration, suffix, cut = _measure(path)
    allowed = max(tolerance[0] * expected, tolerance[1])
    lengths = f"{duration:.2f} s of video where the annotation has {expected:.2f} s"
    if cut:
        raise Refused("too_short", f"the file ends within a frame, after {duration:.2f} s")
    if expected > 0 and duration < expected - allowed:
        raise Refused("too_short", lengths)
    if expected > 0 and duration > expected + allowed:
        raise Refused("too_long", lengths)
    return duration, suffix


def _measure(path: Path) -> tuple[float, str, bool]:
    """Duration, suffix and whether the last frame is cut.

    The duration in a header is a promise: a file cut in transfer keeps it. The packets say what is there.
    """
    import av

    seconds, cut = 0.0, False
    try:
        with open_video(path) as video:
            for packet in Clock(video).packets():
                if packet.size:
                    seconds, cut = max(seconds, packet_end(video, packet)), packet.is_corrupt
            if seconds > 0:
                video.container.seek(0)
                next(Clock(video).frames())
            family = video.container.format.name.split(",")[0]
    except NoPicture:
        raise Refused("not_a_video", "the file has no video track") from None
    except (av.FFmpegError, StopIteration, ValueError) as error:
        why = str(error).removeprefix(f"{path}: ") or "no frame can be decoded"
        raise Refused("not_a_video", f"{path.stat().st_size:,} bytes that do not open as a video: {why}") from None
    if seconds <= 0:
        raise Refused("not_a_video", "the file has no frames")
    suffix = path.suffix.lower() if path.suffix.lower() in _FREE_CHOICE.get(family, ()) else _SUFFIXES.get(family)
    if suffix is None:
        raise Refused("not_a_video", f"the container {family} is not one of {', '.join(_SUFFIXES)}")
    return seconds, suffix, cut
