"""Bytes that arrive over all workers -> their count, and the end of the run when it must end."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Interrupted(Exception):
    """The run is being stopped: what was in flight is dropped and is no failure of the video's."""


class Meter:
    """Shared by all workers.

    room: bytes that may still arrive, None for any number; spare: bytes of the disk that must stay free.
    """

    _CHECK_EVERY = 4_000_000  # bytes from one look at the disk to the next

    def __init__(self, folder: Path, room: float | None, spare: float) -> None:
        self._folder, self._room, self._spare = folder, room, spare
        self._lock = threading.Lock()
        self._next_check = 0
        self.total = 0
        self.stopped = ""  # why, for people
        self.status = 0  # exit status of a run that stopped

    def stop(self, why: str, status: int) -> None:
        if not self.stopped:
            self.stopped, self.status = why, status

    def add(self, count: int) -> None:
        """Count new bytes. Raises Interrupted when the run has been stopped or its limits are reached."""
        with self._lock:
            self.total += count
            if self._room is not None and self.total >= self._room:
                self.stop("the videos have reached download.max_total_gb", 0)
            elif self.total >= self._next_check:
                self._next_check = self.total + self._CHECK_EVERY
                disk = os.statvfs(self._folder)
                if disk.f_bavail * disk.f_frsize < self._spare:
                    self.stop("the disk has less room than download.min_free_gb", 1)
        if self.stopped:
            raise Interrupted(self.stopped)
