"""The truth and the predictions of videos -> which prediction is right, and from which score on to believe them.

Symbols: N predictions, best first; M annotated segments; P points of a curve. A prediction is right at a tIoU of
MIN_TIOU. A match holds at any threshold of the score: what scores less never takes anything from what scores more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import segments

MIN_TIOU = 0.5
STEPS = 100  # of the threshold from the lowest to the highest score
MOST_POINTS = 120  # of a precision-recall curve


@dataclass(frozen=True)
class Matches:
    """For each prediction [N] of a video the annotated segment that it takes, or -1.

    own: among the segments of its class, as average precision counts.
    any: among all segments, as confusion counts: what is found under a wrong label.
    """

    own: np.ndarray
    any: np.ndarray


def match(overlap: np.ndarray) -> np.ndarray:
    """Each prediction takes the free segment that it overlaps most, if by MIN_TIOU: tIoU [N, M] -> [N] int or -1.

    Of segments that overlap equally the last is taken first, as in `evaluation.detection.average_precision`.
    """
    taken = np.full(len(overlap), -1)
    free = np.nan_to_num(overlap, nan=np.inf)  # 0 / 0 is above any threshold there
    for row in np.flatnonzero((free >= MIN_TIOU).any(axis=1)):
        best = free.shape[1] - 1 - np.argmax(free[row, ::-1])
        if free[row, best] >= MIN_TIOU:
            taken[row] = best
            free[:, best] = -1
    return taken


def match_video(
    truth: Sequence[tuple[str, float, float]], predictions: Sequence[tuple[str, float, float, float]]
) -> Matches:
    """Match a video's predictions (label, start, end, score), best first, with its truth (label, start, end)."""
    overlap = segments.tiou(np.array([p[1:3] for p in predictions]), np.array([t[1:] for t in truth]))
    found, true = np.array([p[0] for p in predictions], object), np.array([t[0] for t in truth], object)
    return Matches(match(np.where(found[:, None] == true, overlap, -1.0)), match(overlap))


def f1(found: np.ndarray | int, shown: np.ndarray | int, positives: int) -> np.ndarray:
    """F1 of `found` right ones among `shown` predictions, of `positives` segments; 1 where there is nothing at all."""
    total = np.asarray(shown + positives)
    return np.where(total > 0, 2 * np.asarray(found) / np.maximum(total, 1), 1.0)


def best_threshold(scores: np.ndarray, right: np.ndarray, positives: int) -> float:
    """The score from which on to show predictions so that F1 is highest; of equally good ones the one in the middle.

    scores: [N]; right: [N] bool; positives: number of annotated segments.
    """
    low, high = score_range(scores)
    levels = low + (high - low) * np.arange(STEPS) / STEPS
    shown = scores >= levels[:, None]  # [STEPS, N]
    quality = f1((shown & right).sum(axis=1), shown.sum(axis=1), positives)
    best = np.flatnonzero(quality == quality.max())
    return round(float(levels[best[(len(best) - 1) // 2]]), 6)


def score_range(scores: np.ndarray) -> tuple[float, float]:
    """0 to 1, or further where scores of other tools go further."""
    return min(0.0, float(scores.min(initial=0))), max(1.0, float(scores.max(initial=1)))


def precision_recall(scores: np.ndarray, right: np.ndarray, positives: int) -> list[list[float]]:
    """[[recall, precision], …] after each prediction, best first, in at most MOST_POINTS + 1 points.

    Where points are left out, those stay at which recall rises past the next 1 / MOST_POINTS: precision never looks
    better than it is there.
    """
    if not positives or not len(scores):
        return []
    hits = np.cumsum(right[np.argsort(-scores, kind="stable")])
    recall, precision = hits / positives, hits / np.arange(1, len(hits) + 1)
    if len(hits) > MOST_POINTS:
        step = np.floor(recall * MOST_POINTS)
        kept = np.flatnonzero(np.append(step[1:] != step[:-1], True))  # the last of each step
        recall, precision = recall[kept], precision[kept]
    return np.round(np.stack([recall, precision], axis=1), 4).tolist()
