"""Runs tasks on a few workers: politely, with back-off, and stops when going on would only burn the list.

Workers fetch and check; everything that is remembered (manifest, queue, rules to stop) is the business of the one
thread that calls `work`.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import random
import signal
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

import command_line
from download.attempt import Outcome, Task, attempt
from download.failures import BLOCKS, FINAL, advice
from download.fetch import FetcherApart
from download.manifest import HAVE, Manifest
from download.meter import Meter
from download.terminal import Display

_GRACE_SECONDS = 3.0  # for workers to let go once the run is stopped; what hangs in a read is left behind


@dataclass(frozen=True)
class Pace:
    sleep: tuple[float, float]  # seconds from the start of a video to the next start, drawn evenly
    attempts: int  # a video in one run
    backoff: float  # seconds after the first failure, doubled with each further one
    backoff_max: float
    patience: float  # seconds that a run waits when it has nothing else to do
    stop_after_blocks: int  # videos in a row
    stop_after_failures: int
    stop_after_gone: float  # inf: never
    tolerance: tuple[float, float]  # of the duration: share, seconds


def backoff(failures: int, pace: Pace, chance: random.Random) -> float:
    """Seconds to wait after the given number of failures in a row: half of it sure, half of it chance."""
    if failures < 1:
        return 0.0
    return min(pace.backoff_max, pace.backoff * 2.0 ** min(failures - 1, 40)) * chance.uniform(0.5, 1.0)


class Crew:
    """One run over a list of tasks."""

    def __init__(self, folder: Path, pace: Pace, manifest: Manifest, meter: Meter, display: Display) -> None:
        self._folder, self._pace, self._manifest, self._meter, self._display = folder, pace, manifest, meter, display
        self._chance = random.Random()  # noqa: S311 (of waiting times)
        self._fresh: deque[Task] = deque()
        # times are those of time.monotonic(), so that no jump of the clock makes a run wait
        self._again: list[tuple[float, int, Task]] = []  # a heap: (when it may be tried, order, task)
        self._order = itertools.count()
        self._handed: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._active = 0
        self._next_start = 0.0  # for politeness
        self._blocked_until = 0.0  # because the site refused us
        self._tries: Counter[str] = Counter()
        self._streak = ("", 0)  # what goes wrong with one video after the other, and with how many

    def work(self, tasks: list[Task], fetchers: list[FetcherApart]) -> None:
        """Try every task until it is settled, its back-off outlasts the patience, or the meter has stopped the run."""
        for task in tasks:
            past = self._manifest.of(task.video.id)
            if past.failures:
                # a line from the future is of a clock that was put back since
                ago = max(0.0, time.time() - past.time)
                pause = backoff(past.failures, self._pace, self._chance)
                self._retry(task, time.monotonic() - ago + pause)
            else:
                self._fresh.append(task)
        workers = [threading.Thread(target=self._worker, args=(fetcher,), daemon=True) for fetcher in fetchers]
        for worker in workers:
            worker.start()
        with command_line.OnSignals(self._stop):
            self._coordinate(len(workers))
            for _ in workers:
                self._handed.put(None)
            deadline = time.monotonic() + _GRACE_SECONDS
            for worker in workers:
                worker.join(max(0.0, deadline - time.monotonic()))
        while not self._results.empty():
            self._account(self._results.get())

    def _stop(self, number: int) -> None:
        self._meter.stop("Ctrl-C" if number == signal.SIGINT else "SIGTERM", 128 + number)

    def _retry(self, task: Task, due: float) -> None:
        heapq.heappush(self._again, (due, next(self._order), task))

    def _worker(self, fetcher: FetcherApart) -> None:
        while (task := self._handed.get()) is not None:
            try:
                self._results.put(attempt(task, fetcher, self._folder, self._pace.tolerance))
            except BaseException as error:  # raised again where it ends the run
                self._results.put(error)
        fetcher.close()

    def _coordinate(self, workers: int) -> None:
        while (self._fresh or self._again or self._active) and not self._meter.stopped:
            now = time.monotonic()
            wait = self._hand_out(now, workers)
            if not self._active and self._impatient(now):
                return
            with contextlib.suppress(queue.Empty):
                # short, so that a signal and the display are never late
                self._account(self._results.get(timeout=min(max(wait, 0.01), 0.5)))
            self._display.tick(waiting=0.0 if self._active else wait)

    def _impatient(self, now: float) -> bool:
        """True when what is left may start only after longer than a run should sit idle."""
        if self._blocked_until - now > self._pace.patience:
            until = time.strftime("%H:%M", time.localtime(time.time() + self._blocked_until - now))
            self._meter.stop(f"the site asks to wait until {until}; run the same command again then", 1)
            return True
        return not self._fresh and bool(self._again) and self._again[0][0] - now > self._pace.patience

    def _hand_out(self, now: float, workers: int) -> float:
        """Give tasks to idle workers; return the seconds until the next one may start, at least."""
        while (self._fresh or self._again) and self._active < workers:
            again = bool(self._again) and (self._again[0][0] <= now or not self._fresh)
            start = max(self._again[0][0] if again else 0.0, self._next_start, self._blocked_until)
            if start > now:
                return start - now
            task = heapq.heappop(self._again)[2] if again else self._fresh.popleft()
            self._tries[task.video.id] += 1
            self._active += 1
            self._handed.put(task)
            if task.file is None:
                self._next_start = now + self._chance.uniform(*self._pace.sleep)
        return 0.5

    def _account(self, outcome: Outcome | BaseException) -> None:
        """Write down one outcome, and decide about the video and the run."""
        if isinstance(outcome, BaseException):
            raise outcome
        self._active -= 1
        failure = outcome.failure
        if outcome.status == "interrupted":
            return
        if failure and failure.reason == "disk":
            self._meter.stop(advice("disk"), 1)
            return
        self._manifest.append(_line(outcome, self._folder))
        past = self._manifest.of(outcome.task.video.id)
        again = None
        if failure and not past.gone and outcome.task.file is None:
            pause = max(failure.retry_after, backoff(past.failures, self._pace, self._chance))
            if self._tries[outcome.task.video.id] < self._pace.attempts:
                again = pause
                self._retry(outcome.task, time.monotonic() + pause)
        self._watch(outcome)
        self._display.outcome(outcome, past.gone, again)

    def _watch(self, outcome: Outcome) -> None:
        """Stop when video after video fails in one way, for that is hardly the videos' own.

        A second try of one video tells nothing new, and in the end of a run there are only those.
        """
        failure = outcome.failure
        if outcome.task.file is not None:
            return
        if failure is None:
            self._streak = ("", 0)
            return
        kind = "block" if failure.reason in BLOCKS else failure.reason
        count = self._streak[1] if kind == self._streak[0] else 0
        if self._tries[outcome.task.video.id] == 1:
            count += 1
            self._streak = (kind, count)
        if kind == "block":
            pause = max(failure.retry_after, backoff(count, self._pace, self._chance))
            self._blocked_until = max(self._blocked_until, time.monotonic() + pause)
        limit = self._pace.stop_after_gone if kind in FINAL else self._pace.stop_after_failures
        if count >= (self._pace.stop_after_blocks if kind == "block" else limit):
            self._meter.stop(f"{count} videos in a row failed ({failure.reason}): {advice(failure.reason)}", 1)


def _line(outcome: Outcome, folder: Path) -> dict:
    have = outcome.status in HAVE
    return {
        "id": outcome.task.video.id,
        "subset": outcome.task.video.subset,
        "status": outcome.status,
        "reason": outcome.failure.reason if outcome.failure else None,
        "message": outcome.failure.message if outcome.failure else None,
        "file": outcome.file.relative_to(folder).as_posix() if have else None,
        "bytes": outcome.file.stat().st_size if have else 0,
        "duration": round(outcome.duration, 3),
        "seconds": round(outcome.seconds, 3),
    }
