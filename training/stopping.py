"""SIGTERM and Ctrl-C -> a flag that a training looks at between steps.

Rented machines are taken back on short notice.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopRequested(Exception):
    """A signal asked for the end."""


class StopSignals:
    """Within its `with` block the first SIGTERM or SIGINT is noted in `number`; a second ends the process at once."""

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python takes handlers from its main thread only
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)

    @property
    def name(self) -> str:
        return {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}.get(self.number, "")

    def check(self) -> None:
        """Raise StopRequested when a signal has come."""
        if self.number:
            raise StopRequested(self.name)
