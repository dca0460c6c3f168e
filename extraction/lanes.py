"""Videos -> feature files on one machine: as many threads as cores, each of which decodes or runs the CNN, in turn.

A lane is a thread that decodes one video after the other. Its full batches go to one line that all threads serve: lanes
when they are far enough ahead, and threads for which no video is left all the time. No core waits for another, and no
two threads want the same core, whichever of decoding and CNN is the slower.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import config
import utils
from command_line import Progress
from extraction.collector import Collector, Embed, End, Frame, Writer, decode
from features.records import FeatureWriter

GPU = "GPU"  # the resource that `dask worker --resources GPU=1` offers

# batches of a lane that wait for the CNN: one that is computed, and one that is ready when it is done
AHEAD = 2
FRAMES_A_REPORT = 16


@dataclass
class Outcome:
    """What a run did: videos written, frames seen, and a line for each video that failed."""

    written: int = 0
    elsewhere: int = 0  # left to another process
    frames: int = 0
    failures: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def count_frames(self, frames: int, progress: Progress) -> None:
        self.frames += frames
        rate = self.frames / (time.monotonic() - self.started)
        progress.set_postfix_str(f"{self.frames} frames, {rate:.1f} frames/s", refresh=False)

    def count(self, failure: str, progress: Progress) -> None:
        """Count a video that is through; `failure` says why it gave nothing, or is empty."""
        if failure:
            self.failures.append(failure)
            progress.write(f"failed: {utils.one_line(failure)}")
        else:
            self.written += 1
        progress.update()


def make_progress(videos: int) -> Progress:
    return Progress(total=videos, unit="video", desc="extraction")


@dataclass(frozen=True)
class Plan:
    """How threads are shared out: `lanes` * `decoder_threads` + `helpers` are the cores, unless one lane has many."""

    lanes: int
    decoder_threads: int
    helpers: int

    @property
    def callers(self) -> int:
        """Threads that may call the CNN at once."""
        return self.lanes + self.helpers


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(videos: int, cores: int, workers: int | str = "auto") -> Plan:
    """Share `cores` out among lanes for `videos`; where cores are left over, half go to the decoders, half to the CNN.

    Args:
        videos: how many there are to do.
        cores: threads that may run at once.
        workers: the most lanes; auto: one a core.
    """
    most = cores if isinstance(workers, str) else workers
    lanes = max(1, min(videos, cores, most))
    decoder_threads = 1 + (cores - lanes) // 2 // lanes
    return Plan(lanes, decoder_threads, cores - lanes * decoder_threads)


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video are taken, at which (height, width), and how many of them the CNN sees at once."""

    skip_frames: int
    resize: tuple[int, int]
    batch_size: int


class _Line:
    """Batches that wait for the CNN; every thread may take the next."""

    def __init__(self, embed: Embed):
        self._embed = embed
        self._jobs: deque[tuple[np.ndarray, Future]] = deque()
        self._changed, self._closed = threading.Condition(), False

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        """Put a batch into the line; the returned function gives its features, and works on the line meanwhile."""
        future: Future = Future()
        with self._changed:
            self._jobs.append((batch, future))
            self._changed.notify()

        def wait() -> np.ndarray:
            while not future.done() and (job := self._next(wait=False)):
                self._run(*job)
            return future.result()  # no job is left, so another thread has this one

        return wait

    def serve(self) -> None:
        """Run the CNN on batches until the line is closed."""
        while job := self._next(wait=True):
            self._run(*job)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            while self._jobs:
                self._jobs.popleft()[1].cancel()
            self._changed.notify_all()

    def _next(self, wait: bool) -> tuple[np.ndarray, Future] | None:
        with self._changed:
            while wait and not self._jobs and not self._closed:
                self._changed.wait()
            return self._jobs.popleft() if self._jobs else None

    def _run(self, batch: np.ndarray, future: Future) -> None:
        try:
            future.set_result(self._embed(batch))
        except BaseException as error:  # raised again by the lane that waits for this batch
            future.set_exception(error)


class _Lanes:
    """What the lanes of a run share. Events: numbers of decoded frames, ends, errors, at last a None from each lane."""

    def __init__(self, videos: list[Path], line: _Line, take: Callable[[Path], bool]):
        self.line, self.stopped, self._take = line, threading.Event(), take
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        for path in videos:
            self._waiting.put(path)

    def work(self, collector: Collector, sampling: Sampling, decoder_threads: int) -> None:
        """Be a lane until no video is left, then help with the CNN until the line is closed."""
        try:
            frames = 0
            for item in decode(self._rest(), sampling.skip_frames, sampling.resize, decoder_threads):
                for end in collector.take(item):
                    self.events.put(end)
                frames += isinstance(item, Frame)
                if frames == FRAMES_A_REPORT:
                    self.events.put(frames)
                    frames = 0
                if self.stopped.is_set():
                    return
            self.events.put(frames)
            for end in collector.flush():
                self.events.put(end)
        except BaseException as error:  # carried over to the thread that iterates
            self.events.put(error)
        finally:
            collector.discard()
            self.events.put(None)
            self.line.serve()

    def _rest(self) -> Iterator[Path]:
        while not self.stopped.is_set():
            try:
                path = self._waiting.get_nowait()
            except queue.Empty:
                return
            if self._take(path):
                yield path
            else:
                self.events.put(End(path, elsewhere=True))


def embed_videos(
    videos: list[Path],
    sampling: Sampling,
    embed: Embed,
    open_writer: Callable[[Path], Writer],
    plan: Plan,
    take: Callable[[Path], bool] = lambda video: True,
) -> Iterator[int | End]:
    """Write the features of each video; yield numbers of frames that were decoded, and the `End` of each video.

    Args:
        videos: taken in this order.
        sampling: what is decoded of a video and how it is batched.
        embed: is called by `plan.callers` threads at once.
        open_writer: gives what takes the features of a video; its methods are called by one thread at a time.
        plan: of `make_plan`. With one lane the ends come in the order of `videos`.
        take: asked when a video's turn comes, by any thread; False leaves the video to another process.

    Raises:
        Whatever `embed` or a writer raises; no file and no thread is left then, nor when the iteration is given up.
    """
    import cv2

    cv2.setNumThreads(1)  # its own threads would take the cores of other lanes
    line = _Line(embed)
    lanes = _Lanes(videos, line, take)
    threads = [threading.Thread(target=line.serve, name="cnn", daemon=True) for _ in range(plan.helpers)]
    for _ in range(plan.lanes):
        batch = np.zeros((sampling.batch_size, *sampling.resize, 3), np.uint8)
        arguments = Collector(line.begin, batch, open_writer, AHEAD), sampling, plan.decoder_threads
        threads.append(threading.Thread(target=lanes.work, args=arguments, name="lane", daemon=True))
    for thread in threads:
        thread.start()
    decoding = plan.lanes
    try:
        while decoding:
            event = lanes.events.get()
            if isinstance(event, BaseException):
                raise event
            if event is None:
                decoding -= 1
            elif event:
                yield event
    finally:
        lanes.stopped.set()
        line.close()
        for thread in threads:
            thread.join()


def extract(
    todo: dict[Path, Path],
    extractor: config.ExtractorSettings,
    video: config.VideoSettings,
    embed: Embed,
    plan: Plan | None = None,
    claim: Callable[[Path], bool] = lambda path: True,
) -> Outcome:
    """Write the feature file of each video in `todo`; one that cannot be read becomes a line in the outcome.

    A file that is there when its video's turn comes, or that cannot be claimed, is another process's and only counted.
    """
    plan = plan or make_plan(len(todo), available_cores(), extractor.workers)
    sampling = Sampling(video.skip_frames, video.resize, extractor.batch_size)
    outcome = Outcome()

    def open_writer(path: Path) -> FeatureWriter:
        return FeatureWriter(todo[path], extractor.dtype)

    def take(path: Path) -> bool:
        return claim(todo[path]) and not todo[path].exists()

    with (
        make_progress(len(todo)) as progress,
        contextlib.closing(embed_videos(list(todo), sampling, embed, open_writer, plan, take)) as events,
    ):
        for event in events:
            if not isinstance(event, End):
                outcome.count_frames(event, progress)
            elif event.elsewhere:
                outcome.elsewhere += 1
                progress.update()
            else:
                outcome.count(event.failure, progress)
    return outcome
