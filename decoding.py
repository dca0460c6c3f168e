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

EPSILON = 1e-9
OVERLAPS = np.linspace(0.5, 0.95, 10)  # tIoU thresholds of ActivityNet's average mAP
LEAST_LIKELY = 1e-3  # rows of shots that are less likely one action are not looked at
PAIRS_AT_ONCE = 4_000_000
LEAST_SPREAD = 0.1  # of the logarithm of a class's lengths: equal ones of few examples say little


@dataclass(frozen=True)
class Detections:
    """Segments [N, 2] in seconds with their classes [N] (1 and up) and scores [N] in 0..1, best first."""

    segments: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def take(self, chosen: np.ndarray) -> Detections:
        return Detections(self.segments[chosen], self.classes[chosen], self.scores[chosen])


def decode(
    probabilities: np.ndarray,
    boundaries: np.ndarray,
    settings: PredictSettings,
    cuts: np.ndarray | None = None,
    segment_seconds: np.ndarray | None = None,
) -> Detections:
    """The segments of a video.

    Args:
      probabilities: [T, K] of each sampled frame, background first.
      boundaries: [T + 1] seconds, of `segments.frame_boundaries`.
      settings: section `predict` of the configuration.
      cuts: bool [T], True where a shot cut lies before the frame; None: the video is one shot.
      segment_seconds: [K, Q] quantiles, evenly spaced from 0 to 1, of the lengths of each class's training segments, 0
        for a class that has none; None: nothing is known of them.

    Returns:
      At most `max_segments` detections, best first; of equal scores the earlier and the lower class comes first.
    """
    if settings.method == "runs":
        found = _runs(probabilities, boundaries)
    else:
        scores = refine(probabilities, boundaries, settings, cuts)
        if settings.method == "shots":
            found = _rows_of_shots(scores, boundaries, cuts, settings.max_shots)
        else:
            found = _stretches(scores, boundaries, settings)
        found = _weigh_by_video(found, scores, settings)
        if segment_seconds is not None:
            found = _fit_lengths(found, boundaries, segment_seconds, settings)
    shortest = np.full(probabilities.shape[1], settings.min_seconds)
    if segment_seconds is not None and settings.min_seconds_quantile:
        shortest = np.maximum(shortest, np.quantile(segment_seconds, settings.min_seconds_quantile, axis=1))
    found = found.take(np.ptp(found.segments, axis=1) >= shortest[found.classes])
    # a fixed order makes every later sort by score a documented one
    found = found.take(np.lexsort((found.classes, found.segments[:, 1], found.segments[:, 0])))
    if settings.nms != "none":
        found = suppress(found, settings.nms, settings.nms_tiou, settings.min_score)
    found = found.take(np.argsort(-found.scores, kind="stable"))
    return found.take(np.flatnonzero(found.scores >= settings.min_score)[: settings.max_segments])


def refine(
    probabilities: np.ndarray, boundaries: np.ndarray, settings: PredictSettings, cuts: np.ndarray | None = None
) -> np.ndarray:
    """Smoothed scores [T, K], moved by `shot_smoothing` towards their mean over the shot; rows still sum to 1."""
    if settings.smoothing_filter == "gaussian":
        scores = smooth(probabilities, boundaries, settings.smoothing)
    else:
        scores = median(probabilities, boundaries, settings.smoothing)
    if not settings.shot_smoothing or cuts is None or not len(scores):
        return scores
    borders, means = _shot_means(scores, boundaries, cuts)
    return scores + settings.shot_smoothing * (np.repeat(means, np.diff(borders), axis=0) - scores)


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


def median(probabilities: np.ndarray, boundaries: np.ndarray, seconds: float) -> np.ndarray:
    """The median of each class's scores [T, K] over the frames within `seconds`, scaled to rows that sum to 1."""
    if seconds <= 0 or not len(probabilities):
        return probabilities
    centres = (boundaries[1:] + boundaries[:-1]) / 2
    first = np.searchsorted(centres, centres - seconds)
    past = np.searchsorted(centres, centres + seconds, side="right")
    middles = np.stack([np.median(probabilities[a:b], axis=0) for a, b in zip(first, past, strict=True)])
    return (middles / np.maximum(middles.sum(axis=1, keepdims=True), EPSILON)).astype(probabilities.dtype)


def _runs(probabilities: np.ndarray, boundaries: np.ndarray) -> Detections:
    """The original's way: runs of equal most likely class, scored by that class's mean probability."""
    first, past, classes = segments.label_runs(np.argmax(probabilities, axis=1))
    action = classes != segments.BACKGROUND
    first, past, classes = first[action], past[action], classes[action]
    scores = np.asarray([probabilities[a:b, k].mean() for a, b, k in zip(first, past, classes, strict=True)])
    return Detections(np.stack([boundaries[first], boundaries[past]], axis=1), classes, scores)


def _shot_means(scores: np.ndarray, boundaries: np.ndarray, cuts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of the S shots and T behind them [S + 1], and their mean scores over time [S, K]."""
    inner = np.zeros(len(scores) - 1, bool) if cuts is None else cuts[1:]
    borders = np.flatnonzero(np.concatenate([[True], inner, [True]]))
    widths = np.diff(boundaries)
    sums = np.add.reduceat(scores * widths[:, None], borders[:-1])
    return borders, sums / np.maximum(np.add.reduceat(widths, borders[:-1]), EPSILON)[:, None]


def _rows_of_shots(scores: np.ndarray, boundaries: np.ndarray, cuts: np.ndarray | None, max_shots: int) -> Detections:
    """Up to `max_shots` (0: any number of) whole shots in a row, for videos whose actions begin and end at cuts.

    Shots count as independent, each showing class k with q_k, the mean of its score. So a row of shots is one action
    and no part of a longer one with the probability (1 - q_k of the shot before) * the product of its q_k * (1 - q_k of
    the shot after). A row's score is the share of the tIoU thresholds OVERLAPS that it is expected to reach: the sum
    over all rows, itself included, of their probability times the share that its tIoU with them reaches.
    """
    if not len(scores):
        return Detections(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    borders, means = _shot_means(scores, boundaries, cuts)
    first, past = np.triu_indices(len(borders), 1)
    near = past - first <= (max_shots or len(borders))
    first, past = first[near], past[near]
    inside = np.pad(np.cumsum(np.log(np.maximum(means, EPSILON)), axis=0), ((1, 0), (0, 0)))  # [S + 1, K]
    ends = np.pad(1 - means, ((1, 1), (0, 0)), constant_values=1)  # [S + 2, K]
    spans, classes, values = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]
    for label in range(1, scores.shape[1]):
        likely = np.exp(inside[past, label] - inside[first, label]) * ends[first, label] * ends[past + 1, label]
        rows = np.flatnonzero(likely >= LEAST_LIKELY)
        span = np.stack([boundaries[borders[first[rows]]], boundaries[borders[past[rows]]]], axis=1)
        spans.append(span)
        classes.append(np.full(len(rows), label))
        values.append(_expected_share(span, likely[rows]))
    return Detections(np.concatenate(spans), np.concatenate(classes), np.concatenate(values))


def _expected_share(spans: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """The share [N] of OVERLAPS that spans [N, 2] are expected to reach, where each is the true one with `likely`."""
    expected = np.zeros(len(spans))
    step = max(PAIRS_AT_ONCE // max(len(spans), 1), 1)
    for start in range(0, len(spans), step):
        overlaps = np.nan_to_num(segments.tiou(spans[start : start + step], spans))
        # rounding shall not take a threshold away that is met exactly
        share = np.searchsorted(OVERLAPS, overlaps + EPSILON, side="right") / len(OVERLAPS)
        expected[start : start + step] = share @ likely
    return np.clip(expected, 0, 1)


def _stretches(probabilities: np.ndarray, boundaries: np.ndarray, settings: PredictSettings) -> Detections:
    """Stretches in which a class's score stays above a level, for every class and level (as in TAG, Zhao et al. 2017).

    With `gap_seconds`, neighbouring stretches with a shorter gap also come as one. A stretch's score is the mean inside
    less `contrast` times that of its surroundings: one that stands out is more likely whole than one cut from a longer
    one.
    """
    scores = probabilities[:, 1:].T  # [K - 1, T]
    spans, classes, values = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]

    def add(row: np.ndarray, first: np.ndarray, past: np.ndarray, span: np.ndarray) -> None:
        spans.append(span)
        classes.append(row + 1)
        values.append(_contrast(scores, row, first, past, settings))

    for level in settings.thresholds:
        above = np.pad(scores >= level, ((0, 0), (1, 1)))
        change = np.diff(above.astype(np.int8), axis=1)  # [K - 1, T + 1]
        row, first = np.nonzero(change == 1)
        past = np.nonzero(change == -1)[1]  # the same rows in the same order: each stretch that begins also ends
        start = _crossing(scores, row, first, level, boundaries)
        end = _crossing(scores, row, past, level, boundaries)
        add(row, first, past, np.stack([start, end], axis=1))
        if settings.gap_seconds:
            apart = np.concatenate([[True], (row[1:] != row[:-1]) | (start[1:] - end[:-1] > settings.gap_seconds)])
            left, right = np.flatnonzero(apart[: len(row)]), np.flatnonzero(np.append(apart[1:], True)[: len(row)])
            left, right = left[left < right], right[left < right]
            add(row[left], first[left], past[right], np.stack([start[left], end[right]], axis=1))
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


def _contrast(
    scores: np.ndarray, row: np.ndarray, first: np.ndarray, past: np.ndarray, settings: PredictSettings
) -> np.ndarray:
    """Mean score of frames [first, past) less `contrast` times the mean of their surroundings, at least 0; [N].

    The surroundings reach `context` of the length on each side, and at least one frame.
    """
    total = np.pad(np.cumsum(scores, axis=1), ((0, 0), (1, 0)))  # [K - 1, T + 1]
    length = past - first
    reach = np.maximum(np.round(length * settings.context).astype(np.int64), 1)
    before, after = np.maximum(first - reach, 0), np.minimum(past + reach, scores.shape[1])
    inside = total[row, past] - total[row, first]
    around = total[row, after] - total[row, before] - inside
    outside = around / np.maximum((after - before) - length, 1)
    return np.clip(inside / length - settings.contrast * outside, 0, 1)


def _weigh_by_video(found: Detections, scores: np.ndarray, settings: PredictSettings) -> Detections:
    """Keep the `video_labels` best classes of the video and multiply their scores in (SSN, Zhao et al. 2017).

    A class's score for the video is the mean of its `video_pooling` highest frames; the best class's counts as 1.
    """
    if not settings.video_labels or not len(found.scores):
        return found
    frames = max(round(settings.video_pooling * len(scores)), 1)
    pooled = np.sort(scores[:, 1:], axis=0)[-frames:].mean(axis=0)  # [K - 1]
    kept = np.argsort(-pooled, kind="stable")[: settings.video_labels]
    found = found.take(np.isin(found.classes, 1 + kept))
    weights = pooled / max(pooled.max(), EPSILON)
    return Detections(found.segments, found.classes, found.scores * weights[found.classes - 1])


def _fit_lengths(
    found: Detections, boundaries: np.ndarray, segment_seconds: np.ndarray, settings: PredictSettings
) -> Detections:
    """Draw lengths towards those of their class in training, about their middle; weigh scores by how usual they are.

    The logarithm of a class's lengths counts as normal, with mean m and variance v. Where each border is off by
    `border_error` seconds, the logarithm x of a length that was found has an error of variance n = 2 (border_error /
    length)^2, so its most likely true value is (v x + n m) / (v + n). The score is multiplied by x's density over m's,
    exp(-(x - m)^2 / 2 (v + n)), to the power of `length_weight`. Borders at a video's ends stay.
    """
    if not (settings.border_error or settings.length_weight) or not len(found.scores):
        return found
    logs = np.log(np.maximum(segment_seconds, EPSILON))
    seconds = np.maximum(np.ptp(found.segments, axis=1), EPSILON)
    mean, x = logs.mean(axis=1)[found.classes], np.log(seconds)
    variance = np.maximum(logs.var(axis=1), LEAST_SPREAD**2)[found.classes]
    error = 2 * np.square(settings.border_error / seconds)
    known = segment_seconds[found.classes, -1] > 0
    half = np.exp(x + np.where(known, (mean - x) * error / (variance + error), 0)) / 2
    start, end = found.segments.T
    middle, first, last = (start + end) / 2, boundaries[0], boundaries[-1]
    start = np.where(start <= first, start, np.maximum(middle - half, first))
    end = np.where(end >= last, end, np.minimum(middle + half, last))
    weights = np.where(known, np.exp(-0.5 * settings.length_weight * np.square(x - mean) / (variance + error)), 1.0)
    return Detections(np.stack([start, end], axis=1), found.classes, found.scores * weights)


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
