"""Annotated and predicted segments, in columns -> AP of each class, AR@AN of proposals, video classification.

Symbols: N and M segments, K classes, L tIoU thresholds. The definitions are those of ActivityNet's evaluation
(activitynet/ActivityNet, Evaluation/eval_detection.py, eval_proposal.py, eval_classification.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import segments
from evaluation import matching

MOST_PROPOSALS = 100  # a video on average, the end of the AR@AN curve
POINTS = 100  # of that curve


@dataclass(frozen=True)
class Instances:
    """N segments; predictions stand in the order of falling score."""

    videos: np.ndarray  # [N] int, the same numbers for truth and predictions
    classes: np.ndarray  # [N] int, 0 to K - 1
    spans: np.ndarray  # [N, 2] seconds

    def keys(self, num_classes: int) -> np.ndarray:
        """[N] int: one number for each pair of video and class."""
        return self.videos * num_classes + self.classes


@dataclass(frozen=True)
class Detection:
    """Average precision `AP` [K, L] of each class at each tIoU threshold [L]."""

    classes: tuple[str, ...]
    thresholds: np.ndarray
    AP: np.ndarray

    @property
    def mAP(self) -> np.ndarray:
        """[L]: the mean over classes."""
        return self.AP.mean(axis=0)

    @property
    def average_mAP(self) -> float:
        """The mean over classes and thresholds."""
        return float(self.mAP.mean())


def average_precision(
    truth: Instances, predicted: Instances, classes: tuple[str, ...], thresholds: np.ndarray
) -> Detection:
    """Interpolated average precision of each class at each tIoU threshold; 0 for a class without predictions.

    A prediction is right when the most overlapping segment of its video and class that no better scored prediction
    took reaches the threshold; each threshold keeps its own account of what is taken. Of segments that overlap
    equally, the last in the file is taken first. A prediction and a segment that both have no length overlap by 0 / 0,
    which counts as more than any threshold, as in the official code.

    Args:
      truth: annotated segments.
      predicted: predicted segments, best first.
      classes: K names, each with at least one annotated segment.
      thresholds: [L] rising.
    """
    hits = matches(truth, predicted, thresholds, len(classes)) >= 0
    positives = np.bincount(truth.classes, minlength=len(classes))
    return Detection(classes, thresholds, areas(predicted.classes, hits, positives))


def matches(truth: Instances, predicted: Instances, thresholds: np.ndarray, num_classes: int) -> np.ndarray:
    """[N, L] int: the segment that each prediction takes at each threshold, or -1; see `average_precision`."""
    taken = np.full((len(predicted.videos), len(thresholds)), -1)
    for rows, truths in groups(predicted.keys(num_classes), truth.keys(num_classes)):
        if len(rows):
            places = matching.match(segments.tiou(predicted.spans[rows], truth.spans[truths]), thresholds)
            taken[rows] = np.append(truths, -1)[places]  # place -1, nothing taken, is the -1 at the end
    return taken


def groups(keys: np.ndarray, truth_keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each different truth key, the rows of the predictions and of the truths that have it, in their order.

    Args:
      keys: [N] int of the predictions, such as their videos or `Instances.keys`.
      truth_keys: [M] int of the annotated segments.
    """
    order, truth_order = np.argsort(keys, kind="stable"), np.argsort(truth_keys, kind="stable")
    different, first = np.unique(truth_keys[truth_order], return_index=True)
    end = np.append(first[1:], len(truth_keys))
    first_row = np.searchsorted(keys[order], different, side="left")
    end_row = np.searchsorted(keys[order], different, side="right")
    for group in zip(first_row.tolist(), end_row.tolist(), first.tolist(), end.tolist(), strict=True):
        yield order[group[0] : group[1]], truth_order[group[2] : group[3]]


def areas(classes: np.ndarray, hits: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Area under the monotone precision-recall curve of each class, its average precision.

    Args:
      classes: [N] int of the predictions, best first.
      hits: [N, L] bool, right or wrong.
      positives: [K] int, annotated segments of each class.

    Returns:
      [K, L] from 0 to 1.
    """
    result = np.zeros((len(positives), hits.shape[1]))
    order = np.argsort(classes, kind="stable")
    borders = np.searchsorted(classes[order], np.arange(len(positives) + 1))
    for k, (first, end) in enumerate(zip(borders[:-1], borders[1:], strict=True)):
        if first < end:
            recall, precision = matching.recall_and_precision(hits[order[first:end]], positives[k])
            highest_from_here = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            result[k] = np.sum(np.diff(recall, axis=0, prepend=0) * highest_from_here, axis=0)
    return result


@dataclass(frozen=True)
class Proposals:
    """AR@AN: `recall[n - 1]` [100] is the recall, averaged over thresholds, with n proposals a video on average."""

    recall: np.ndarray
    area: float  # under that curve, 0 to 1


def average_recall(truth: Instances, predicted: Instances, thresholds: np.ndarray) -> Proposals:
    """Recall of the annotated segments, whatever the class, against the average number of proposals a video.

    Each video keeps the same share of its proposals, so that the number averages 100; fewer are kept as they are.
    Arguments as in `average_precision`.
    """
    videos, total = len(np.unique(truth.videos)), len(predicted.videos)
    ratio = MOST_PROPOSALS * videos / max(total, 1)
    # the rank of the first proposal that reaches each threshold, and the number kept in the segment's video
    ranks, kept, kept_total = [], [], 0
    for rows, truths in groups(predicted.videos, truth.videos):
        count = min(int(len(rows) * ratio), len(rows))
        overlap = segments.tiou(predicted.spans[rows[:count]], truth.spans[truths])
        reached = overlap[..., None] >= thresholds  # [count, M, L]
        # a last row that is reached stands for never
        reached = np.concatenate([reached, np.ones((1, *reached.shape[1:]), bool)])
        ranks.append(np.argmax(reached, axis=0))
        kept += [count] * len(truths)
        kept_total += count
    if not kept_total:
        return Proposals(np.zeros(POINTS), 0.0)
    ranks, kept = np.concatenate(ranks), np.array(kept)[:, None]
    shares = np.arange(1, POINTS + 1) / POINTS * (MOST_PROPOSALS * videos / kept_total)
    used = np.minimum((kept * shares).astype(np.int64), kept)  # [M, points]
    recall = np.mean([np.mean(ranks[:, [level]] < used, axis=0) for level in range(len(thresholds))], axis=0)
    averages = shares * kept_total / videos
    return Proposals(recall, float(np.trapezoid(recall, averages) / averages[-1]))


@dataclass(frozen=True)
class Classification:
    """Labels of whole videos: mean AP over classes, and k -> the share of videos with a true label in the top k."""

    mAP: float
    top: dict[int, float]


def classification(truth: Instances, predicted: Instances, num_classes: int) -> Classification:
    """How well each video's best score for a label tells its labels. Arguments as in `average_precision`."""
    keys, true_keys = predicted.keys(num_classes), np.unique(truth.keys(num_classes))
    # predictions stand best first, so the first of a key is its best
    best = np.sort(np.unique(keys, return_index=True)[1])
    keys, videos = keys[best], predicted.videos[best]
    hits = np.isin(keys, true_keys)
    positives = np.bincount(true_keys % num_classes, minlength=num_classes)
    labelled = np.unique(truth.videos)
    rank = matching.ranks(videos)
    top = {k: len(np.unique(videos[hits & (rank < k)])) / len(labelled) for k in (1, 3)}
    return Classification(float(areas(predicted.classes[best], hits[:, None], positives).mean()), top)
