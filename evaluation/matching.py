"""The truth and the predictions of videos -> which prediction is right, and from which score on to believe them.

Average precision, error analysis and the page all rank and match with what stands here. Symbols: N predictions, best
first; M annotated segments; L tIoU thresholds; P points of a curve. On the page a prediction is right at a tIoU of
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


def best_first(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """The order [N] of predictions by falling score; of equal scores the first in the file comes first."""
    return np.argsort(-np.asarray(scores, np.float64), kind="stable")


def ranks(groups: np.ndarray) -> np.ndarray:
    """[N] int: how many of the predictions before this one, best first, are of the same group."""
    order = np.argsort(groups, kind="stable")
    result = np.empty(len(groups), np.int64)
    result[order] = np.arange(len(groups)) - np.searchsorted(groups[order], groups[order])
    return result


def match(overlap: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Each prediction takes the free segment that it overlaps most, if by the threshold.

    Each threshold keeps its own account of what is taken. Of segments that overlap equally the last is taken first.

    Args:
      overlap: tIoU [N, M], best prediction first; NaN, a prediction and a segment without length, is above all.
      thresholds: [L] rising.

    Returns:
      [N, L] int: the segment that each prediction takes at each threshold, or -1.
    """
    # bit l of a number stands for threshold l, so that all thresholds are matched in one pass; NaN sorts above all
    reached = [[(1 << count) - 1 for count in row] for row in np.searchsorted(thresholds, overlap, "right").tolist()]
    most_first = np.argsort(overlap, axis=1, kind="stable")[:, ::-1].tolist()
    every = (1 << len(thresholds)) - 1
    free = [every] * overlap.shape[1]
    rows, truths, levels = [], [], []
    for row, (bits, order) in enumerate(zip(reached, most_first, strict=True)):
        left = every
        for truth in order:
            take = bits[truth] & free[truth] & left
            if take:
                free[truth] ^= take
                left ^= take
                rows.append(row)
                truths.append(truth)
                levels.append(take)
    taken = np.full((len(overlap), len(thresholds)), -1)
    if rows:
        size = (len(thresholds) + 7) // 8
        packed = np.frombuffer(b"".join(bits.to_bytes(size, "little") for bits in levels), np.uint8)
        each = np.unpackbits(packed.reshape(-1, size), axis=1, count=len(thresholds), bitorder="little")
        which, level = np.nonzero(each)
        taken[np.array(rows)[which], level] = np.array(truths)[which]
    return taken


def match_video(
    truth: Sequence[tuple[str, float, float]], predictions: Sequence[tuple[str, float, float, float]]
) -> Matches:
    """Match a video's predictions (label, start, end, score), best first, with its truth (label, start, end)."""
    overlap = segments.tiou(np.array([p[1:3] for p in predictions]), np.array([t[1:] for t in truth]))
    labels, true = np.array([p[0] for p in predictions], object), np.array([t[0] for t in truth], object)
    own = np.where(labels[:, None] == true, overlap, -1.0)
    return Matches(match(own, (MIN_TIOU,))[:, 0], match(overlap, (MIN_TIOU,))[:, 0])


def f1(right: np.ndarray | int, shown: np.ndarray | int, positives: int) -> np.ndarray:
    """F1 of `right` ones among `shown` predictions, of `positives` segments; 1 where there is nothing at all."""
    total = np.asarray(shown + positives)
    return np.where(total > 0, 2 * np.asarray(right) / np.maximum(total, 1), 1.0)


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


def recall_and_precision(right: np.ndarray, positives: int) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision [N, …] after each prediction; right: [N, …] bool, best first."""
    hits = np.cumsum(right, axis=0)
    shown = np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return hits / positives, hits / shown


def precision_recall(scores: np.ndarray, right: np.ndarray, positives: int) -> list[list[float]]:
    """[[recall, precision], …] after each prediction, best first, in at most MOST_POINTS + 1 points.

    Where points are left out, those stay at which recall rises over the next 1 / MOST_POINTS: precision never looks
    better than it is there.
    """
    if not positives or not len(scores):
        return []
    recall, precision = recall_and_precision(right[best_first(scores)], positives)
    if len(recall) > MOST_POINTS:
        step = np.floor(recall * MOST_POINTS)
        kept = np.flatnonzero(np.append(step[1:] != step[:-1], True))  # the last of each step
        recall, precision = recall[kept], precision[kept]
    return np.round(np.stack([recall, precision], axis=1), 4).tolist()
