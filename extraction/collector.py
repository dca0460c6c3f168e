"""Decoded frames of several videos -> batches of one shape -> rows of features, each handed to its video's writer.

Symbols: B frames a batch, D numbers a frame.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from video_input import SampledVideo

# frames [n, H, W, 3] uint8 -> features [n, D] or [n, h, w, C]
Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Frame:
    """A sampled frame [height, width, 3] uint8 of `video`, shown at `timestamp` seconds."""

    video: Path
    pixels: np.ndarray
    timestamp: float


@dataclass(frozen=True)
class End:
    """A video's last frame has gone by; with `failure`, the reason why it cannot be used; or it is done elsewhere."""

    video: Path
    duration: float = 0.0
    fps: float = 0.0
    failure: str = ""
    elsewhere: bool = False


class Writer(Protocol):
    """What takes a video's features; `features.records.FeatureWriter` is one."""

    def add(self, row: np.ndarray, timestamp: float) -> None: ...

    def finish(self, duration: float, fps: float) -> None: ...

    def discard(self) -> None: ...


def decode(
    videos: Iterable[Path], skip_frames: int, resize: tuple[int, int], threads: int | None = None
) -> Iterator[Frame | End]:
    """The sampled frames of all videos, each video closed by an `End`. A video that cannot be read does not stop it."""
    for path in videos:
        try:
            with SampledVideo(path, skip_frames, resize, threads) as video:
                for pixels, timestamp in video:
                    yield Frame(path, pixels, timestamp)
            yield End(path, video.duration, video.fps)
        except (ValueError, OSError) as error:
            yield End(path, failure=str(error))


def in_background(items: Iterator, size: int) -> Iterator:
    """Iterate on another thread, at most `size` items ahead. What it raises is raised here; leaving here ends it."""
    waiting: queue.Queue = queue.Queue(size)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:  # carried over to the thread that waits
            put((None, error))

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


class Collector:
    """Gathers frames into batches, has them embedded, and hands each row to its video's writer, in order."""

    # utils.atomic_path reads the process's umask by setting it, which two threads must not do at once
    _finishing = threading.Lock()

    def __init__(
        self,
        embed: Embed | Callable[[np.ndarray], Callable[[], np.ndarray]],
        batch: np.ndarray,
        open_writer: Callable[[Path], Writer],
        ahead: int = 0,
    ):
        """Collect into `batch` [B, height, width, 3] uint8; `embed` sees at most so many frames at once.

        With `ahead`, `embed` begins a batch and returns the function that waits for its features; so many batches are
        begun before the first is waited for.
        """
        self._embed, self._batch, self._open_writer, self._ahead = embed, batch, open_writer, ahead
        # (video, timestamp) of the frames in the batch, and the ends that come after them, in order
        self._pending: list[tuple[Path, float] | End] = []
        self._filled = 0
        self._begun: deque[tuple[Callable[[], np.ndarray] | np.ndarray | None, list]] = deque()
        self._writer: Writer | None = None

    def take(self, item: Frame | End) -> list[End]:
        """Take the next frame or end; return the ends of the videos that this completes."""
        if isinstance(item, Frame):
            self._batch[self._filled] = item.pixels
            self._filled += 1
            self._pending.append((item.video, item.timestamp))
        else:
            self._pending.append(item)
        if self._filled < len(self._batch):
            return []
        self._begin()
        return [end for _ in range(len(self._begun) - self._ahead) for end in self._settle()]

    def flush(self) -> list[End]:
        """Embed what is pending, write it, and return the ends of the videos that are complete with it."""
        self._begin()
        return [end for _ in range(len(self._begun)) for end in self._settle()]

    def discard(self) -> None:
        """Give up the video in work."""
        if self._writer:
            self._writer.discard()

    def _begin(self) -> None:
        embedded = self._embed(self._batch[: self._filled]) if self._filled else None
        self._begun.append((embedded, self._pending))
        if self._ahead:
            self._batch = np.zeros_like(self._batch)
        self._pending, self._filled = [], 0

    def _settle(self) -> list[End]:
        embedded, pending = self._begun.popleft()
        rows = iter(embedded() if callable(embedded) else () if embedded is None else embedded)
        ended = []
        for item in pending:
            if not isinstance(item, End):
                video, timestamp = item
                self._writer = self._writer or self._open_writer(video)
                self._writer.add(next(rows), timestamp)
                continue
            if self._writer:
                with self._finishing:
                    if item.failure:
                        self._writer.discard()
                    else:
                        self._writer.finish(item.duration, item.fps)
            self._writer = None
            ended.append(item)
        return ended
