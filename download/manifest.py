"""videos/manifest.jsonl: one line per attempt, append-only -> what is known of each video; and the lock of the folder.

Fields of a line: id, subset, status (done | found | failed), reason, message, file (relative to the folder), bytes,
duration (seconds of video), seconds (spent), time (UTC).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from download.failures import BELIEVED_AFTER
from utils import append_jsonl, held, open_own, read_jsonl

NAME = "manifest.jsonl"
HAVE = ("done", "found")  # fetched by us | met in the folder, and whole


@dataclass(slots=True)
class History:
    """What the lines of one video add up to."""

    status: str = ""
    reason: str | None = None
    file: str = ""
    bytes: int = 0
    failures: int = 0  # in a row, up to the last line
    equal_failures: int = 0  # of the same reason in a row
    time: float = 0.0  # of the last line, seconds since 1970

    def add(self, line: dict) -> None:
        """Take the next line. Raises KeyError, TypeError, ValueError or OverflowError for one of another kind."""
        texts = [line["id"], line["status"], line["time"]]
        texts += [text for text in (line["reason"], line.get("file")) if text is not None]
        if not (all(isinstance(text, str) for text in texts) and type(line.get("bytes", 0)) is int):
            raise TypeError(f"expected text, and a whole number of bytes, received {line!r:.120}")
        # a bad file that lay in the folder says nothing about what there is to download
        failed = line["status"] == "failed" and line["reason"] != "bad_file"
        self.equal_failures = self.equal_failures * (line["reason"] == self.reason) + 1 if failed else 0
        self.failures = self.failures + 1 if failed else 0
        self.status, self.reason = line["status"], line["reason"]
        self.file, self.bytes = line.get("file") or "", line.get("bytes") or 0
        self.time = datetime.fromisoformat(line["time"]).timestamp()

    @property
    def gone(self) -> bool:
        """True when the last reason is final."""
        return self.equal_failures >= BELIEVED_AFTER.get(self.reason, self.equal_failures + 1)


class Manifest:
    """The manifest of one folder of videos. Raises ValueError with file and line when it is not one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.videos: dict[str, History] = {}
        for number, line in enumerate(read_jsonl(self.path), start=1):
            try:
                self._note(line)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{self.path}:{number}: not a line of a manifest: {error!r}") from None

    def append(self, line: dict) -> None:
        line = {**line, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        append_jsonl(self.path, line)
        self._note(line)

    def of(self, video_id: str) -> History:
        return self.videos.get(video_id) or History()

    def _note(self, line: dict) -> None:
        self.videos.setdefault(line["id"], History()).add(line)


def _cut_unfinished_line(path: Path) -> None:
    """Drop what a kill left of a line, so that the next one does not continue it."""
    with contextlib.suppress(FileNotFoundError), open_own(path, "rb+") as file:
        file.seek(0, os.SEEK_END)
        end = file.tell()
        while end > 0:
            start = max(0, end - 4096)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process, with a manifest that can be appended to; a kill gives it back.

    Raises ValueError when another process holds it.
    """
    with held(folder, "download"):
        _cut_unfinished_line(folder / NAME)
        yield
