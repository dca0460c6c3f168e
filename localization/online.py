"""Features of frames, as they come -> actions, each soon after it ends, with bounded memory.

The windows are those of the offline way, so a sampled frame's scores are final when no later window can see it; a
stretch of a class's final, smoothed scores that has ended is decoded by itself. Symbols: T sampled frames, D numbers a
frame as stored, K classes (0 is background).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

import segments
from features.preparation import EPSILON, Preparation, prepare_features
from features.records import numpy_dtype
from localization.results import Segment, highlights
from prediction import decoding

if TYPE_CHECKING:
    from config import PredictSettings
    from predictions_json import Classify, TrainedModel

# frames that the running mean and deviation remember: 5 minutes at 5 a second
STATISTICS_FRAMES = 1500
# seconds of scores that are kept; an action that lasts longer is given in parts
LONGEST = 120.0
# standard deviations that the smoothing reaches to each side
REACH = 4


class RunningStatistics:
    """Mean and standard deviation [D] of the rows so far, the older fading out beyond STATISTICS_FRAMES."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._variance = np.zeros(1)

    def add(self, row: np.ndarray) -> None:
        self._count = min(self._count + 1, STATISTICS_FRAMES)
        change = row - self._mean
        self._mean = self._mean + change / self._count
        # Welford's update, with the sum of squares divided by the count
        self._variance = self._variance + (change * (row - self._mean) - self._variance) / self._count

    def instead_of_the_videos(self, preparation: Preparation) -> Preparation:
        """`preparation`, whose normalization is `video`, by these statistics."""
        mean, deviation = self._mean.astype(np.float32), (np.sqrt(self._variance) + EPSILON).astype(np.float32)
        return dataclasses.replace(preparation, normalization="train", mean=mean, deviation=deviation)


class WindowScores:
    """Features, one frame at a time -> probabilities [K] of each frame, the mean over the windows that see it."""

    def __init__(self, classify: Classify, preparation: Preparation, length: int, stride: int, dtype: str):
        """`classify` and `preparation` are a trained model's; windows have `length` frames and begin every `stride`."""
        self._classify, self._preparation, self._length, self._stride = classify, preparation, length, stride
        self._dtype = numpy_dtype(dtype)
        self._statistics = RunningStatistics() if preparation.normalization == "video" else None
        # the rows from `_first` on: of the newest window, and the one before it, from which it may differ
        self._rows: list[np.ndarray] = []
        self._first = 0
        self._next = 0  # where the next window begins; the frames before it are final
        self._total: np.ndarray | None = None  # [frames that are not final, K]
        self._seen = np.zeros((0, 1))

    @property
    def held(self) -> int:
        """Rows in memory, at most length + stride + 1."""
        return len(self._rows)

    def add(self, row: np.ndarray) -> np.ndarray:
        """Take the feature [D] of the next sampled frame; return the rows [T, K] that are final now, often none."""
        row = row.astype(self._dtype).astype(np.float32).reshape(-1)
        if self._statistics:
            self._statistics.add(row)
        self._rows.append(row)
        if self._first + len(self._rows) < self._next + self._length:
            return np.zeros((0, 0))
        self._score(self._next, self._length)
        self._next += self._stride
        final = self._take(self._stride)
        # a last window may begin up to a stride earlier than the next regular one
        passed = max(self._next - self._stride - 1, 0) - self._first
        del self._rows[:passed]
        self._first += passed
        return final

    def finish(self) -> np.ndarray:
        """The rest of the rows [T, K], by a last window that ends with the stream."""
        count = self._first + len(self._rows)
        if count > self._next + len(self._seen):
            start = max(count - self._length, 0) if self._stride < self._length else self._next
            self._score(start, count - start)
        return self._take(len(self._seen))

    def _score(self, start: int, frames: int) -> None:
        before = min(start - self._first, 1)
        rows = np.stack(self._rows[start - self._first - before :][: frames + before])
        preparation = self._preparation
        if self._statistics:
            preparation = self._statistics.instead_of_the_videos(preparation)
        prepared = prepare_features(rows, np.arange(len(rows)), preparation)[before:]
        window = np.zeros((1, self._length, prepared.shape[1]), np.float32)
        window[0, :frames] = prepared.astype(self._dtype)
        mask = np.arange(self._length)[None] < frames
        # of a last window, what is final already stays as it is
        scored = np.asarray(self._classify(window, mask))[0, max(self._next - start, 0) : frames]
        grown = len(scored) - len(self._seen)
        total = np.zeros((0, scored.shape[1])) if self._total is None else self._total
        self._total = np.pad(total, ((0, grown), (0, 0))) + scored
        self._seen = np.pad(self._seen, ((0, grown), (0, 0))) + 1

    def _take(self, count: int) -> np.ndarray:
        if self._total is None:
            return np.zeros((0, 0))
        taken = self._total[:count] / self._seen[:count]
        self._total, self._seen = self._total[count:], self._seen[count:]
        return taken


class ActionFinder:
    """Final scores of frames, as they come -> segments, each once, as they end."""

    def __init__(self, model: TrainedModel, settings: PredictSettings, min_score: float, longest: float = LONGEST):
        """`settings` is section `predict`; segments score `min_score` or more; those over `longest` seconds are cut."""
        self._classes, self._settings, self._longest = model.classes, settings, longest
        self._output = model.output
        self._segment_seconds = model.segment_seconds
        # an action ends where its score falls below what is shown: lower levels would hold it back for long
        levels = tuple(level for level in settings.thresholds if level >= min_score) or (max(settings.thresholds),)
        self._level = min(levels)
        # a stretch comes smoothed, and by itself: no whole shots and no other classes to weigh it by
        method = "thresholds" if settings.method == "shots" else settings.method
        changed = {"method": method, "smoothing": 0.0, "shot_smoothing": 0.0, "video_labels": 0}
        self._decode_settings = settings.model_copy(update={"thresholds": levels, "min_score": min_score, **changed})
        self._scores = np.zeros((0, len(self._classes)))  # [T, K] of the last `longest` seconds
        self._times: np.ndarray = np.zeros(0)
        self._edge = 0.0  # seconds, where the first frame's interval begins
        self._done = np.zeros(len(self._classes), np.int64)  # frames of a class that are dealt with, of those in memory

    @property
    def held(self) -> int:
        """Frames in memory."""
        return len(self._times)

    def add(self, scores: np.ndarray, times: np.ndarray, end: float | None = None) -> list[Segment]:
        """Take the next frames; return what has ended with them, by its end.

        Args:
          scores: [T, K].
          times: [T] seconds, rising.
          end: seconds, when the stream ends with these frames.
        """
        if len(times):
            self._scores = np.concatenate([self._scores, scores])
            self._times = np.concatenate([self._times, times])
        if not len(self._times):
            return []
        boundaries = segments.frame_boundaries(self._times, self._times[-1] if end is None else end)
        boundaries[0] = self._edge
        runs = self._settings.method == "runs"
        smoothed = (
            self._scores if runs else decoding.refine(self._scores, boundaries, self._settings, output=self._output)
        )
        known = len(self._times)
        if end is None:
            # later frames still change the smoothed scores, and the interval, of the newest
            reach = 0.0 if runs else REACH * self._settings.smoothing
            known = min(int(np.searchsorted(self._times, self._times[-1] - reach)), known - 1)
        inside = smoothed[:known] >= self._level
        if runs:
            inside = np.argmax(smoothed[:known], axis=1)[:, None] == np.arange(len(self._classes))
        found = []
        for label in range(1, len(self._classes)):
            found += self._ended(label, inside[:, label], smoothed, boundaries, end is not None)
        self._forget(boundaries)
        return sorted(found, key=lambda segment: segment.end)

    def _ended(
        self, label: int, inside: np.ndarray, scores: np.ndarray, boundaries: np.ndarray, last: bool
    ) -> list[Segment]:
        """The segments of a class in the stretches that have ended, and where it is dealt with from now on."""
        found = []
        done = int(self._done[label])
        first, past, kept = segments.label_runs(inside[done:].astype(np.int64))
        for a, b in zip(first[kept == 1] + done, past[kept == 1] + done, strict=True):
            too_long = boundaries[b] - boundaries[a] >= self._longest
            if b == len(inside) and not last and not too_long:
                self._done[label] = a
                return found
            found += self._decode(label, a, b, scores, boundaries)
        self._done[label] = len(inside)
        return found

    def _decode(self, label: int, first: int, past: int, scores: np.ndarray, boundaries: np.ndarray) -> list[Segment]:
        # with its surroundings, against which a segment is scored, and which must not reach a level themselves
        reach = past - first
        start, end = max(first - reach, 0), min(past + reach, len(scores))
        outside = np.ones(end - start, bool)
        outside[first - start : past - start] = False
        alone = np.zeros_like(scores[start:end])
        alone[:, label] = np.minimum(scores[start:end, label], np.where(outside, np.nextafter(self._level, 0), 1))
        if self._settings.method == "runs":
            alone[:, 0] = 2 * outside
        found = decoding.decode(alone, boundaries[start : end + 1], self._decode_settings, None, self._segment_seconds)
        candidates = [
            Segment(round(float(a), 3), round(float(b), 3), self._classes[label], round(float(score), 6))
            for (a, b), score in zip(found.segments, found.scores, strict=True)
        ]
        return highlights(candidates, self._decode_settings.min_score)

    def _forget(self, boundaries: np.ndarray) -> None:
        passed = int(np.searchsorted(self._times, self._times[-1] - self._longest))
        self._scores, self._times = self._scores[passed:], self._times[passed:]
        self._done = np.maximum(self._done - passed, 0)
        self._edge = float(boundaries[passed])
