"""Geometry of time, in NumPy: sampled frames <-> seconds, frame labels <-> segments, temporal IoU.

Symbols: T sampled frames, N and M segments. Times are seconds, float64. Every conversion between the two lives here.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

Times = TypeVar("Times", bound=Any)  # an array of NumPy, or a tensor

BACKGROUND, BACKGROUND_NAME = 0, "background"  # the class of frames without an action, in numbers and in files
# finer than any container's clock, coarser than the rounding of float64: a midpoint of 22.95 and 23.05 is 23 exactly
DECIMALS = 6
# zero-width (non-)joiners: parts of letters in Persian, Urdu and Hindi, and of emoji
JOINERS = "\u200c\u200d"


def frame_boundaries(timestamps: np.ndarray, duration: float) -> np.ndarray:
    """The borders of the intervals that sampled frames stand for.

    Args:
      timestamps: [T] seconds, rising: when each sampled frame is shown.
      duration: seconds, the video's end.

    Returns:
      [T + 1] seconds: 0, the midpoints between neighbours, and the video's end. Frame i stands for
      `[boundaries[i], boundaries[i + 1])`.
    """
    import numpy as np

    timestamps = np.asarray(timestamps, np.float64)
    if not len(timestamps):
        return np.zeros(1)
    end = video_end(timestamps, duration)
    return np.round(np.concatenate([[0.0], midpoints(timestamps), [end]]), DECIMALS)


def midpoints(timestamps: Times) -> Times:
    """The middles between neighbouring frames: [T] seconds -> [T - 1]; also of a tensor, in an exported model."""
    return (timestamps[1:] + timestamps[:-1]) / 2


def end_by_times(timestamps: Times) -> Times:
    """Where a video ends of which only frames are known: half the last frame's time after it; [T] seconds -> [1].

    That of a single frame is not known, and is 0 here. Also of a tensor, in an exported model.
    """
    last, before = timestamps[-1:], timestamps[-2:][:1]
    return last + (last - before) / 2


def video_end(timestamps: np.ndarray, duration: float) -> float:
    """Where a video ends, in seconds: at its duration, but never before its last sampled frame (`timestamps` [T])."""
    return max(float(duration), float(timestamps[-1]))


def frame_centres(boundaries: np.ndarray) -> np.ndarray:
    """The middles of the intervals that sampled frames stand for: [T + 1] of `frame_boundaries` -> [T] seconds."""
    return (boundaries[1:] + boundaries[:-1]) / 2


def rate_grid(duration: float, rate: float) -> np.ndarray:
    """The times 0, 1 / rate, 2 / rate, … that lie before the end of a video of `duration` seconds; [T] seconds."""
    import numpy as np

    return np.arange(int(np.ceil(duration * rate))) / rate


def grid_like(duration: float, frames: int, seconds: float) -> np.ndarray:
    """The times of a video's frames, as dense as `frames` in `seconds`, from 0 on; their number is rounded. [T]"""
    import numpy as np

    # not by way of the rate: its rounding would move frames across the borders of segments
    return np.arange(round(duration * frames / seconds)) * seconds / frames


def middles_of_parts(count: int, length: float) -> np.ndarray:
    """The middles [count] of as many equal parts of 0 to `length`."""
    import numpy as np

    return (np.arange(count) + 0.5) * length / count


def seconds_of_frames(first: float, last: float, rate: float, zero: int = 0) -> tuple[float, float]:
    """From when to when the frames `first` to `last`, both of them, are shown at `rate`; the first of all is `zero`."""
    return (first - zero) / rate, (last - zero + 1) / rate


def nearest_frame(second: float, rate: float) -> int:
    """The number, from 0 on, of the frame that begins nearest to `second` at `rate` frames a second."""
    return max(round(second * rate), 0)


def rows_at_rate(count: int, rate: float) -> tuple[np.ndarray, float]:
    """The centres [count] of rows that last 1 / rate seconds each, one after another from 0 on, and the last's end."""
    import numpy as np

    return (np.arange(count) + 0.5) / rate, count / rate


def rows_of_clips(count: int, fps: float, stride: float, window: float) -> tuple[np.ndarray, float]:
    """The centres [count] of clips of `window` source frames, a new one every `stride` frames, and the last one's end.

    Clip i shows the source frames from i * stride to i * stride + window.
    """
    import numpy as np

    first = np.arange(count) * stride
    return (first + window / 2) / fps, float(first[-1] + window) / fps


def frame_labels(timestamps: np.ndarray, segments: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The class of each sampled frame: that of the shortest segment it lies in, or background.

    Args:
      timestamps: [T] seconds.
      segments: [N, 2] seconds; half-open, so frame i is inside when start <= t_i < end.
      classes: [N] int, 1 and up.

    Returns:
      [T] int32.
    """
    import numpy as np

    timestamps = np.asarray(timestamps, np.float64)
    segments = np.asarray(segments, np.float64).reshape(-1, 2)
    # the shortest is painted last; of equally short ones the first in the file
    shortest_first = np.argsort(segments[:, 1] - segments[:, 0], kind="stable")
    shortest_last = shortest_first[::-1]
    return paint(timestamps, segments[shortest_last], np.asarray(classes)[shortest_last])


def paint(timestamps: np.ndarray, segments: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The class of each sampled frame: that of the last of the segments that it lies in; as in `frame_labels`."""
    import numpy as np

    labels = np.full(len(timestamps), BACKGROUND, np.int32)
    inside = np.searchsorted(timestamps, np.asarray(segments, np.float64).reshape(-1, 2), side="left")  # [N, 2]
    for (first, end), number in zip(inside.tolist(), classes, strict=True):
        labels[first:end] = number
    return labels


def frame_targets(timestamps: np.ndarray, segments: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """All classes of each sampled frame: 1 for that of each segment it lies in, or for background; uint8 [T, count].

    The arguments are those of `frame_labels`; `count` is K.
    """
    import numpy as np

    targets = np.zeros((len(timestamps), count), np.uint8)
    inside = np.searchsorted(timestamps, np.asarray(segments, np.float64).reshape(-1, 2), side="left")  # [N, 2]
    for (first, end), number in zip(inside.tolist(), classes, strict=True):
        targets[first:end, number] = 1
    targets[:, BACKGROUND] = ~targets.any(axis=1)
    return targets


def label_runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of equal labels: first frame, end (one behind the last frame) and label of each; [N] int."""
    import numpy as np

    labels = np.asarray(labels)
    if not len(labels):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), labels
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    first = np.concatenate([[0], changes])
    end = np.concatenate([changes, [len(labels)]])
    return first, end, labels[first]


def tiou(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Temporal intersection over union of each pair, as ActivityNet's evaluation defines it (no epsilon).

    Args:
      segments: [..., N, 2] seconds.
      others: [..., M, 2] seconds.

    Returns:
      [..., N, M] float64; NaN where both have no length (0 / 0).
    """
    import numpy as np

    segments, others = np.asarray(segments, np.float64), np.asarray(others, np.float64)
    segments = segments.reshape(*segments.shape[:-2], -1, 1, 2)
    others = others.reshape(*others.shape[:-2], 1, -1, 2)
    overlap = np.minimum(segments[..., 1], others[..., 1]) - np.maximum(segments[..., 0], others[..., 0])
    intersection = np.maximum(overlap, 0)
    # not by ptp, which looks for the larger of the two and takes as long as all the rest
    union = (segments[..., 1] - segments[..., 0]) + (others[..., 1] - others[..., 0]) - intersection
    with np.errstate(invalid="ignore"):
        return intersection / union


def tiou_of_pairs(segments: np.ndarray, others: np.ndarray) -> np.ndarray:
    """`tiou` of each segment with the other one of its row: [N, 2] and [N, 2] seconds -> [N]."""
    return tiou(segments[:, None], others[:, None])[:, 0, 0]


@dataclass(frozen=True, slots=True)
class Segment:
    """An annotated action, in seconds, exactly as the file has it."""

    start: float
    end: float
    label: str


def read_seconds(value: object) -> float:
    """A finite number of seconds, or one written as text. Raises ValueError for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number of seconds, received {value!r:.80}")
    return number


def read_segment(start: object, end: object, label: str) -> Segment:
    """A segment with its values checked. Raises ValueError that says what was expected and received."""
    segment = Segment(read_seconds(start), read_seconds(end), check_name(label))
    if segment.start > segment.end:
        raise ValueError(f"expected a segment that ends after it begins, received {segment.start} to {segment.end}")
    return segment


def as_compared(label: str) -> str:
    """A label with each letter and its accents as one character, plain spaces, and no soft hyphens.

    Files write the same word in either way; both mean one class.
    """
    if label.isascii():
        return label
    name = unicodedata.normalize("NFC", label).replace("\u00ad", "")
    return "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in name)


def check_name(label: str) -> str:
    """Return a label, as labels are compared, if it can name a class; raise ValueError otherwise.

    Joiners stay, since letters and emoji need them; what turns the direction of writing is refused, since it shows
    other text than is there.
    """
    name = as_compared(label)
    odd = [letter for letter in name if not letter.isprintable() and letter not in JOINERS]
    if odd or not name.strip(JOINERS + " "):
        which = f" with {' '.join(sorted({f'U+{ord(letter):04X}' for letter in odd}))}" if odd else ""
        raise ValueError(f"expected a label of printable characters, received {label!r:.80}{which}")
    if name.casefold() == BACKGROUND_NAME:
        raise ValueError(f"label {label!r}: reserved for time without a segment; leave these segments out")
    return name


def lanes(spans: Sequence[tuple[float, float]]) -> list[list[int]]:
    """The numbers of `spans` (start, end), in as few rows as it takes that none overlaps another in its row.

    Each row is in the order of time.
    """
    rows: list[list[int]] = []
    for number in sorted(range(len(spans)), key=lambda number: spans[number]):
        row = next((row for row in rows if spans[row[-1]][1] <= spans[number][0]), None)
        if row is None:
            rows.append(row := [])
        row.append(number)
    return rows
