"""Which of the processes that share a folder of features makes which file."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path

import utils


class Claims:
    """Files in `folder` that this process makes, and others that work there leave to it, until it closes or ends.

    A claim is a lock on one byte of the folder's `.lock`, whose place the file's name decides: nothing of a process
    that was killed stays. Threads may share an object; a process has one at a time, as the locks belong to the process.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = utils.open_own(folder / ".lock", "ab")

    def take(self, path: Path) -> bool:
        """Claim `path`, which is in the folder, to be called once for each; False when another process has it."""
        name = path.relative_to(self._folder).as_posix()
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # which of the two it is depends on the system
            return False
        except OSError as error:  # a shared folder without locks: the work is done twice there, and ends well
            utils.LOGGER.debug("%s: not locked: %s", path, error)
        return True

    def close(self) -> None:
        """Give all claims back."""
        self._file.close()
