"""Scores of sampled frames -> scored segments in seconds: smoothing, candidates, non-maximum suppression.

Symbols: T sampled frames of a video, K classes (0 is background), N segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

import segments
from prediction import proposals
from prediction.proposals import EPSILON, Detections

if TYPE_CHECKING:
    from config import PredictSettings

# of all that a detector proposes, most is one action at several lengths: below this score a segment stays out of what
# a person is shown where nothing else says which to show, not out of the JSON
SHOWN_SCORE = 0.2


def decode(
    probabilities: np.ndarray,
    boundaries: np.ndarray,
    settings: PredictSettings,
    cuts: np.ndarray | None = None,
    segment_seconds: np.ndarray | None = None,
    output: Literal["softmax", "sigmoid"] = "softmax",
) -> Detections:
    """The segments of a video.

    Args:
      probabilities: [T, K] of each sampled frame, background first.
      boundaries: [T + 1] seconds, of `segments.frame_boundaries`.
      settings: section `predict` of the configuration.
      cuts: bool [T], True where a shot cut lies before the frame; None: the video is one shot.
      segment_seconds: [K, Q] quantiles, evenly spaced from 0 to 1, of the lengths of each class's training segments, 0
        for a class that has none; None: nothing is known of them.
      output: softmax: the probabilities of a frame sum to 1 | sigmoid: each is by itself.

    Returns:
      At most `max_segments` detections, best first; of equal scores the earlier and the lower class comes first.
    """
    if settings.method == "runs":
        detections = proposals.runs(probabilities, boundaries)
    else:
        scores = refine(probabilities, boundaries, settings, cuts, output)
        if settings.method == "shots":
            detections = proposals.rows_of_shots(scores, boundaries, cuts, settings.max_shots)
        elif settings.method == "peaks":
            detections = proposals.peaks(scores, boundaries, segment_seconds, settings)
        else:
            detections = proposals.stretches(scores, boundaries, settings)
        detections = _weigh_by_video(detections, scores, settings)
    shortest = np.full(probabilities.shape[1], settings.min_seconds)
    if segment_seconds is not None and settings.min_seconds_quantile:
        shortest = np.maximum(shortest, np.quantile(segment_seconds, settings.min_seconds_quantile, axis=1))
    detections = detections.take(np.ptp(detections.segments, axis=1) >= shortest[detections.classes])
    # a fixed order makes every later sort by score a documented one
    detections = detections.take(np.lexsort((detections.classes, detections.segments[:, 1], detections.segments[:, 0])))
    if settings.nms != "none":
        detections = suppress(detections, settings.nms, settings.nms_tiou, settings.min_score)
    detections = detections.take(np.argsort(-detections.scores, kind="stable"))
    return detections.take(np.flatnonzero(detections.scores >= settings.min_score)[: settings.max_segments])


def refine(
    probabilities: np.ndarray,
    boundaries: np.ndarray,
    settings: PredictSettings,
    cuts: np.ndarray | None = None,
    output: Literal["softmax", "sigmoid"] = "softmax",
) -> np.ndarray:
    """Smoothed scores [T, K], moved by `shot_smoothing` towards their mean over the shot; rows that sum to 1 (`output`
    softmax) still do."""
    if settings.smoothing_filter == "gaussian":
        scores = smooth(probabilities, boundaries, settings.smoothing)
    else:
        scores = median(probabilities, boundaries, settings.smoothing, output == "softmax")
    if not settings.shot_smoothing or cuts is None or not len(scores):
        return scores
    borders, means = proposals.shot_means(scores, boundaries, cuts)
    return scores + settings.shot_smoothing * (np.repeat(means, np.diff(borders), axis=0) - scores)


def smooth(probabilities: np.ndarray, boundaries: np.ndarray, seconds: float) -> np.ndarray:
    """Each class's scores [T, K] under a Gaussian of `seconds` standard deviation, weighted by the frames' intervals.

    Each result is a weighted mean of scores, so rows that sum to 1 still do, at a video's ends too.
    """
    if seconds <= 0 or not len(probabilities):
        return probabilities
    centres = segments.frame_centres(boundaries)
    widths = np.diff(boundaries)
    smoothed = np.empty_like(probabilities)
    # 4 standard deviations hold all but 6e-5 of the weight
    first = np.searchsorted(centres, centres - 4 * seconds)
    end = np.searchsorted(centres, centres + 4 * seconds, side="right")
    for frame, (a, b) in enumerate(zip(first, end, strict=True)):
        weights = np.exp(-0.5 * np.square((centres[a:b] - centres[frame]) / seconds)) * widths[a:b]
        smoothed[frame] = weights @ probabilities[a:b] / max(weights.sum(), EPSILON)
    return smoothed


def median(probabilities: np.ndarray, boundaries: np.ndarray, seconds: float, scaled: bool) -> np.ndarray:
    """The median of each class's scores [T, K] over the frames within `seconds`, `scaled` to rows that sum to 1."""
    if seconds <= 0 or not len(probabilities):
        return probabilities
    centres = segments.frame_centres(boundaries)
    first = np.searchsorted(centres, centres - seconds)
    end = np.searchsorted(centres, centres + seconds, side="right")
    middles = np.stack([np.median(probabilities[a:b], axis=0) for a, b in zip(first, end, strict=True)])
    if not scaled:
        return middles.astype(probabilities.dtype)
    return (middles / np.maximum(middles.sum(axis=1, keepdims=True), EPSILON)).astype(probabilities.dtype)


def _weigh_by_video(detections: Detections, scores: np.ndarray, settings: PredictSettings) -> Detections:
    """Keep the `video_labels` best classes of the video and multiply their scores in (SSN, Zhao et al. 2017).

    A class's score for the video is the mean of its `video_pooling` highest frames; the best class's counts as 1.
    """
    if not settings.video_labels or not len(detections.scores):
        return detections
    frames = max(round(settings.video_pooling * len(scores)), 1)
    pooled = np.sort(scores[:, 1:], axis=0)[-frames:].mean(axis=0)  # [K - 1]
    kept = np.argsort(-pooled, kind="stable")[: settings.video_labels]
    detections = detections.take(np.isin(detections.classes, 1 + kept))
    weights = pooled / max(pooled.max(), EPSILON)
    return Detections(detections.segments, detections.classes, detections.scores * weights[detections.classes - 1])


def suppress(detections: Detections, kind: str, parameter: float, min_score: float) -> Detections:
    """Non-maximum suppression within each class.

    `hard`: a segment that overlaps a better one by more than `parameter` (tIoU) goes. `soft`: its score is multiplied
    by exp(-tIoU^2 / parameter) (Bodla et al. 2017, Gaussian; TensorFlow's has another factor in the exponent), and
    those below `min_score` go.
    """
    kept_segments, kept_classes, kept_scores = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]
    for class_index in np.unique(detections.classes):
        spans = detections.segments[detections.classes == class_index]
        scores = detections.scores[detections.classes == class_index].astype(np.float64)
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
