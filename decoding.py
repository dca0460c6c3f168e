"""Scores of sampled frames -> scored segments in seconds: smoothing, grouping, non-maximum suppression.

Symbols: T sampled frames of a video, K classes (0 is background), N segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import segments

if TYPE_CHECKING:
    from config import PredictSettings

# of a segment's length, how far its surroundings reach on each side when it is scored
CONTEXT = 0.25
EPSILON = 1e-9


@dataclass(frozen=True)
class Detections:
    """Segments [N, 2] in seconds with their classes [N] (1 and up) and scores [N] in 0..1, best first."""

    segments: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def take(self, chosen: np.ndarray) -> Detections:
        return Detections(self.segments[chosen], self.classes[chosen], self.scores[chosen])


def decode(probabilities: np.ndarray, boundaries: np.ndarray, settings: PredictSettings) -> Detections:
    """The segments of a video.

    Args:
      probabilities: [T, K] of each sampled frame, background first.
      boundaries: [T + 1] seconds, of `segments.frame_boundaries`.
      settings: section `predict` of the configuration.

    Returns:
      At most `max_segments` detections, best first; of equal scores the earlier and the lower class comes first.
    """
    found = _runs(probabilities, boundaries) if settings.method == "runs" else _levels(
        smooth(probabilities, boundaries, settings.smoothing), boundaries, settings.thresholds
    )  # fmt: skip
    found = found.take(np.ptp(found.segments, axis=1) >= settings.min_seconds)
    # a fixed order makes every later sort by score a documented one
    found = found.take(np.lexsort((found.classes, found.segments[:, 1], found.segments[:, 0])))
    if settings.nms != "none":
        found = suppress(found, settings.nms, settings.nms_tiou, settings.min_score)
    found = found.take(np.argsort(-found.scores, kind="stable"))
    return found.take(np.flatnonzero(found.scores >= settings.min_score)[: settings.max_segments])


def smooth(probabilities: np.ndarray, boundaries: np.ndarray, seconds: float) -> np.ndarray:
    """Each class's scores [T, K] under a Gaussian of `seconds` standard deviation, weighted by the frames' intervals.

    Each result is a weighted mean of scores, so rows that sum to 1 still do, at a video's ends too.
    """
    if seconds <= 0 or not len(probabilities):
        return probabilities
    centres = (boundaries[1:] + boundaries[:-1]) / 2
    widths = np.diff(boundaries)
    smoothed = np.empty_like(probabilities)
    # 4 standard deviations hold all but 6e-5 of the weight
    first = np.searchsorted(centres, centres - 4 * seconds)
    past = np.searchsorted(centres, centres + 4 * seconds, side="right")
    for frame, (start, end) in enumerate(zip(first, past, strict=True)):
        weights = np.exp(-0.5 * np.square((centres[start:end] - centres[frame]) / seconds)) * widths[start:end]
        smoothed[frame] = weights @ probabilities[start:end] / max(weights.sum(), EPSILON)
    return smoothed


def _runs(probabilities: np.ndarray, boundaries: np.ndarray) -> Detections:
    """The original's way: runs of equal most likely class, scored by that class's mean probability."""
    first, past, classes = segments.label_runs(np.argmax(probabilities, axis=1))
    action = classes != segments.BACKGROUND
    first, past, classes = first[action], past[action], classes[action]
    scores = np.asarray([probabilities[a:b, k].mean() for a, b, k in zip(first, past, classes, strict=True)])
    return Detections(np.stack([boundaries[first], boundaries[past]], axis=1), classes, scores)


def _levels(probabilities: np.ndarray, boundaries: np.ndarray, levels: tuple[float, ...]) -> Detections:
    """Stretches in which a class's score stays above a level, for every class and level (as in TAG, Zhao et al. 2017).

    A stretch is scored by the mean inside less that of its surroundings, halfway to the plain mean: a stretch that
    stands out is more likely whole than one cut from a longer one.
    """
    scores = probabilities[:, 1:].T  # [K - 1, T]
    spans, classes, values = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]
    for level in levels:
        above = np.pad(scores >= level, ((0, 0), (1, 1)))
        change = np.diff(above.astype(np.int8), axis=1)  # [K - 1, T + 1]
        row, first = np.nonzero(change == 1)
        past = np.nonzero(change == -1)[1]  # the same rows in the same order: each stretch that begins also ends
        spans.append(np.stack([
            _crossing(scores, row, first, level, boundaries), _crossing(scores, row, past, level, boundaries)
        ], axis=1))  # fmt: skip
        classes.append(row + 1)
        values.append(_contrast(scores, row, first, past))
    return Detections(np.concatenate(spans), np.concatenate(classes), np.concatenate(values))


def _crossing(
    scores: np.ndarray, row: np.ndarray, frame: np.ndarray, level: float, boundaries: np.ndarray
) -> np.ndarray:
    """When the score of each `row` passes `level` between the sampled frames `frame` - 1 and `frame`; [N] seconds.

    Linear between the centres of the two frames' intervals, so that a jump from 0 to 1 passes 0.5 on the boundary.
    """
    last = scores.shape[1]
    inner = (frame > 0) & (frame < last)
    left, right = np.clip(frame - 1, 0, last - 1), np.clip(frame, 0, last - 1)
    before, after = scores[row, left], scores[row, right]
    rise = np.where(np.abs(after - before) > EPSILON, after - before, 1.0)
    share = np.clip((level - before) / rise, 0, 1)
    centres = (boundaries[1:] + boundaries[:-1]) / 2
    return np.where(inner, centres[left] + share * (centres[right] - centres[left]), boundaries[frame])


def _contrast(scores: np.ndarray, row: np.ndarray, first: np.ndarray, past: np.ndarray) -> np.ndarray:
    """Mean score of frames [first, past) less half the mean of their surroundings, at least 0; [N]."""
    total = np.pad(np.cumsum(scores, axis=1), ((0, 0), (1, 0)))  # [K - 1, T + 1]
    length = past - first
    reach = np.maximum(np.round(length * CONTEXT).astype(np.int64), 1)
    before, after = np.maximum(first - reach, 0), np.minimum(past + reach, scores.shape[1])
    inside = total[row, past] - total[row, first]
    around = total[row, after] - total[row, before] - inside
    outside = around / np.maximum((after - before) - length, 1)
    return np.clip(inside / length - 0.5 * outside, 0, 1)


def suppress(found: Detections, kind: str, parameter: float, min_score: float) -> Detections:
    """Non-maximum suppression within each class.

    `hard`: a segment that overlaps a better one by more than `parameter` (tIoU) goes. `soft`: its score is multiplied
    by exp(-tIoU^2 / parameter) (Bodla et al. 2017, Gaussian; TensorFlow's has another factor in the exponent), and
    those below `min_score` go.
    """
    kept_segments, kept_classes, kept_scores = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]
    for class_index in np.unique(found.classes):
        spans = found.segments[found.classes == class_index]
        scores = found.scores[found.classes == class_index].astype(np.float64)
        overlaps = np.nan_to_num(segments.tiou(spans, spans))
        alive = scores >= min_score
        while alive.any():
            best = int(np.argmax(np.where(alive, scores, -1.0)))
            kept_segments.append(spans[best : best + 1])
            kept_classes.append(np.asarray([class_index]))
            kept_scores.append(scores[best : best + 1].copy())
            alive[best] = False
            if kind == "hard":
                alive &= overlaps[best] <= parameter
            else:
                scores = np.where(alive, scores * np.exp(-np.square(overlaps[best]) / parameter), scores)
                alive &= scores >= min_score
    return Detections(np.concatenate(kept_segments), np.concatenate(kept_classes), np.concatenate(kept_scores))
