"""What was found in a video: scored segments, the choice of them that a person reads, and that choice as a table.

Symbols: T sampled frames of a video, K classes (0 is background).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import utils
from prediction.decoding import SHOWN_SCORE

TOP = 20


@dataclass(frozen=True)
class Segment:
    """An action from `start` to `end`, in seconds, with its score in 0..1."""

    start: float
    end: float
    label: str
    score: float


@dataclass(frozen=True, eq=False, repr=False)
class Localization(Sequence):
    """The segments of a video, best first: a sequence of `Segment`.

    Attributes:
      id: name of the video in files.
      file: the video.
      duration: seconds.
      segments: all of them; `highlights` gives those to read.
      times: [T] seconds, when each sampled frame is shown.
      probabilities: [T, K] scores that the segments were decoded from.
      classes: [K] names, background first.
      shown_score: that of the run, from which segments are to be read.
    """

    id: str
    file: Path
    duration: float
    segments: tuple[Segment, ...]
    times: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]
    shown_score: float = SHOWN_SCORE

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, position: int | slice) -> Segment | tuple[Segment, ...]:  # type: ignore[override]
        return self.segments[position]

    def __repr__(self) -> str:
        return f"{heading(self)}\n{table(self.highlights(top=TOP))}"

    def highlights(self, min_score: float | None = None, top: int | None = None) -> list[Segment]:
        """The segments to read, in the order of time; see `highlights`."""
        return highlights(self.segments, self.shown_score if min_score is None else min_score, top)


def highlights(segments: Iterable[Segment], min_score: float = SHOWN_SCORE, top: int | None = None) -> list[Segment]:
    """Those of `min_score` or more that no better one of their label overlaps, the best `top`, in the order of time."""
    chosen: list[Segment] = []
    for one in sorted(segments, key=lambda segment: -segment.score):
        if one.score < min_score or (top is not None and len(chosen) == top):
            break
        if not any(one.label == other.label and one.start < other.end and other.start < one.end for other in chosen):
            chosen.append(one)
    return sorted(chosen, key=lambda segment: (segment.start, segment.end))


def clock(seconds: float) -> str:
    """Seconds as a person reads them: 0:07.3, 1:02:03.4."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{shown}:{rest // 10:02}.{rest % 10}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def heading(found: Localization) -> str:
    return f"{utils.one_line(found.file.name)}  ({clock(found.duration)})"


HEADER = f"  {'start':>9}  {'end':>9}  {'score':>5}  action"


def row(segment: Segment) -> str:
    label = " ".join(segment.label.split())
    return f"  {clock(segment.start):>9}  {clock(segment.end):>9}  {segment.score:5.2f}  {label}"


def table(segments: Sequence[Segment]) -> str:
    """The segments, a line each, under a header."""
    return "\n".join([HEADER, *map(row, segments)]) if segments else "  no action found"
