"""The truth and the predictions of videos -> which prediction is right, and from which score on to believe them.

Average precision, error analysis and the page all rank and match with what stands here. Symbols: N predictions, best
first; M annotated segments; L tIoU thresholds; P points of a curve. On the page a prediction is right at a tIoU of
MIN_TIOU. A match holds at any threshold of the score: what scores less never takes anything from what scores more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def grouped(groups: np.ndarray) -> np.ndarray:
    """The order [N] in which those of one group, int, stand together, each group's as they come."""
    # numbers of 16 bits are sorted by their digits, ten times as fast
    short = len(groups) and groups.min() >= 0 and groups.max() <= np.iinfo(np.uint16).max
    return np.argsort(groups.astype(np.uint16) if short else groups, kind="stable")


def ranks(groups: np.ndarray) -> np.ndarray:
    """[N] int: how many of the predictions before this one, best first, are of the same group."""
    order = grouped(groups)
    result = np.empty(len(groups), np.int64)
    result[order] = np.arange(len(groups)) - np.searchsorted(groups[order], groups[order])
    return result


def take(
    pairs: tuple[np.ndarray, np.ndarray], overlap: np.ndarray, shape: tuple[int, int], thresholds: np.ndarray
) -> np.ndarray:
    """Each prediction takes the free segment that it overlaps most, if by the threshold.

    Each threshold keeps its own account of what is taken. Of segments that overlap equally the last is taken first.

    Args:
      pairs: predictions [P] and segments [P] that are of one video and class, as numbers; best prediction first.
      overlap: tIoU [P] of each pair; NaN, a prediction and a segment without length, is above all.
      shape: N predictions, M segments.
      thresholds: [L] rising.

    Returns:
      [N, L] int: the segment that each prediction takes at each threshold, or -1.
    """
    # bit l of a number stands for threshold l, so that all thresholds are matched in one pass; NaN sorts above all
    count = np.searchsorted(thresholds, overlap, "right")
    near = np.flatnonzero(count)  # most pairs reach nothing
    rows, truths, count, overlap = pairs[0][near], pairs[1][near], count[near], overlap[near]
    order = np.lexsort((-truths, -np.nan_to_num(overlap, nan=np.inf), rows))
    every = (1 << len(thresholds)) - 1
    free, left, last = dict.fromkeys(truths.tolist(), every), every, -1
    levels = []
    for row, truth, reached in zip(rows[order].tolist(), truths[order].tolist(), count[order].tolist(), strict=True):
        left, last = every if row != last else left, row
        taken = ((1 << reached) - 1) & free[truth] & left
        free[truth] ^= taken
        left ^= taken
        levels.append(taken)
    result = np.full((shape[0], len(thresholds)), -1, np.int32)
    size = (len(thresholds) + 7) // 8
    packed = np.frombuffer(b"".join(bits.to_bytes(size, "little") for bits in levels), np.uint8).reshape(-1, size)
    which, level = np.nonzero(np.unpackbits(packed, axis=1, count=len(thresholds), bitorder="little"))
    result[rows[order][which], level] = truths[order][which]
    return result


def match(overlap: np.ndarray, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
    """`take` for predictions, best first, that may each take any segment: tIoU [N, M] -> [N, L] int."""
    rows, truths = np.indices(overlap.shape).reshape(2, -1)
    return take((rows, truths), overlap.ravel(), overlap.shape, np.asarray(thresholds))


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


def operating_point(
    truth: Mapping[str, Sequence[tuple[str, float, float]]],
    predictions: Mapping[str, Sequence[tuple[str, float, float, float]]],
) -> float:
    """`best_threshold` over videos, by their ids: truth (label, start, end), predictions (…, score), best first."""
    right = [match_video(truth[name], some).own >= 0 if truth[name] else np.zeros(len(some), bool)
             for name, some in predictions.items()]  # fmt: skip
    scores = np.array([one[3] for some in predictions.values() for one in some], np.float64)
    return best_threshold(scores, np.concatenate([np.zeros(0, bool), *right]), sum(map(len, truth.values())))


def score_range(scores: np.ndarray) -> tuple[float, float]:
    """0 to 1, or further where scores of other tools go further."""
    return min(0.0, float(scores.min(initial=0))), max(1.0, float(scores.max(initial=1)))


def recall_and_precision(
    right: np.ndarray, positives: int, counted: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision [N, …] after each prediction; right: [N, …] bool, best first.

    counted: [N, …] bool; what is False there is neither right nor wrong. None: all count.
    """
    hits = np.cumsum(right, axis=0)
    if counted is None:
        return hits / positives, hits / np.arange(1, len(hits) + 1).reshape(-1, *[1] * (hits.ndim - 1))
    return hits / positives, hits / np.maximum(np.cumsum(counted, axis=0), 1)


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
