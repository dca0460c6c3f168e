"""Work on videos that the page waits for, one piece at a time in a thread: copies for the browser, shot changes."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import utils
from labelling import media, proxies
from labelling.media import VideoFile


@dataclass
class Work:
    """A piece of work: its share done, 0 to 1, and the error that ended it, or ""."""

    share: float = 0.0
    error: str = ""
    done: bool = False


class Workshop:
    """Makes copies and finds shot changes when they are asked for first; both are kept in `folder` and found again."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._works: dict[Path, Work] = {}
        self._plays: dict[Path, bool] = {}
        self._lock = threading.Lock()
        self._queue: queue.PriorityQueue = queue.PriorityQueue()
        self._stopped = threading.Event()
        threading.Thread(target=self._labour, daemon=True).start()

    def picture(self, video: VideoFile) -> tuple[Path | None, Work]:
        """The file that a browser plays, or None while it is being made. Raises ValueError for no readable video."""
        with self._lock:
            if video.path not in self._plays:
                self._plays[video.path] = media.browser_plays(video.path)
        if self._plays[video.path]:
            return video.path, Work(done=True)
        target = self._target(video, ".mp4")
        work = self._ask(0, target, lambda progress: proxies.make_proxy(video.path, target, progress))
        return (target if work.done and not work.error else None), work

    def shots(self, video: VideoFile) -> tuple[list[float] | None, Work]:
        """Where shots change, in seconds, or None while it is being found out."""
        target = self._target(video, ".shots.json")

        def find(progress: Callable[[float], None]) -> None:
            utils.write_json(target, proxies.shot_changes(video.path, progress))

        work = self._ask(1, target, find)
        times: Any = utils.read_json(target) if work.done and not work.error else None
        return times, work

    def _target(self, video: VideoFile, suffix: str) -> Path:
        """A name that another file of the same name does not find."""
        told = video.path.stat()
        return self._folder / f"{video.id}.{told.st_size:x}-{told.st_mtime_ns:x}{suffix}"

    def _ask(self, priority: int, target: Path, make: Callable[[Callable[[float], None]], None]) -> Work:
        with self._lock:
            work = self._works.get(target)
            if work is None:
                self._works[target] = work = Work(done=target.is_file())
                if not work.done:
                    self._queue.put((priority, len(self._works), work, make))
            return work

    def _labour(self) -> None:
        while True:
            _, _, work, make = self._queue.get()

            def progress(share: float, work: Work = work) -> None:
                work.share = share
                if self._stopped.is_set():
                    raise ValueError("stopped")

            try:
                make(progress)
            except (ValueError, OSError) as error:
                work.error = utils.one_line(error)
            work.done = True
            self._queue.task_done()

    def wait(self) -> None:
        """Until all that was asked for is done."""
        self._queue.join()

    def stop(self) -> None:
        """Let what is in work end at its next frame, and wait for nothing."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
                self._queue.task_done()
