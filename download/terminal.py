"""How a run looks: a bar on a terminal, plain lines elsewhere, one line per failure in both."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from collections import Counter, deque

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from download.attempt import Outcome
from download.meter import Meter
from utils import LOGGER

_LINE_EVERY = 30.0  # seconds from one plain progress line to the next
_RATE_OVER = 10.0  # seconds that the shown bytes/s are averaged over


class Display(contextlib.ExitStack):
    """Progress over `total` videos; a context manager."""

    def __init__(self, total: int, meter: Meter) -> None:
        super().__init__()
        self._total, self._meter = total, meter
        self._counts: Counter[str] = Counter()
        self._rate: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._next_line = time.monotonic() + _LINE_EVERY
        self._bar = None
        if sys.stderr.isatty() and LOGGER.isEnabledFor(logging.INFO):
            layout = "{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt}  {elapsed}<{remaining}  {desc}"
            self._bar = self.enter_context(tqdm(total=total, bar_format=layout, dynamic_ncols=True))
            self.enter_context(logging_redirect_tqdm())

    def outcome(self, outcome: Outcome, gone: bool, again: float | None) -> None:
        """One attempt is over. gone: for good; again: seconds until the next try, None: not in this run."""
        failure = outcome.failure
        if failure is not None:
            sequel = "" if gone or again is None else f"  (again in {math.ceil(again)} s)"
            LOGGER.info("%s  %-11s  %s%s", outcome.task.video.id, failure.reason, failure.message, sequel)
        else:
            LOGGER.debug("%s  %s  %s  %.1f s", outcome.task.video.id, outcome.status, outcome.file, outcome.seconds)
        if again is None:
            self._counts["done" if failure is None else "gone" if gone else "failed"] += 1
            if self._bar is not None:
                self._bar.update()

    def tick(self, waiting: float) -> None:
        """Called a few times a second. waiting: seconds until anything can go on."""
        now = time.monotonic()
        self._rate.append((now, self._meter.total))
        while now - self._rate[0][0] > _RATE_OVER:
            self._rate.popleft()
        text = self._text(waiting)
        if self._bar is not None:
            self._bar.set_description_str(text)
        elif now >= self._next_line:
            self._next_line = now + _LINE_EVERY
            LOGGER.info("%d/%d videos  %s", self._counts.total(), self._total, text)

    def _text(self, waiting: float) -> str:
        (start, first), (end, last) = self._rate[0], self._rate[-1]
        rate = (last - first) / (end - start) / 1e6 if end > start else 0.0
        counts = ", ".join(f"{self._counts[name]} {name}" for name in ("done", "gone", "failed"))
        pause = f", next in {waiting:.0f} s" if waiting >= 1 else ""
        return f"{self._meter.total / 1e6:.1f} MB  {rate:.1f} MB/s  {counts}{pause}"
