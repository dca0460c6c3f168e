"""One video, tried once: found in the folder or fetched, checked, and only then given its name."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotations import Video
from download.failures import Failure, classify
from download.fetch import Fetcher
from download.meter import Interrupted
from download.verify import Refused, check
from utils import LOGGER


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


def attempt(task: Task, fetcher: Fetcher, folder: Path, tolerance: tuple[float, float]) -> Outcome:
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
