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
MOST_PAIRS = 2_000_000  # compared at once: some 200 MB


@dataclass(frozen=True)
class Instances:
    """N segments; predictions stand in the order of falling score."""

    videos: np.ndarray  # [N] int, the same numbers for truth and predictions
    classes: np.ndarray  # [N] int, 0 to K - 1
    spans: np.ndarray  # [N, 2] seconds

    def keys(self, num_classes: int) -> np.ndarray:
        """[N] int: one number for each pair of video and class."""
        return self.videos * num_classes + self.classes

    def take(self, rows: np.ndarray) -> Instances:
        return Instances(self.videos[rows], self.classes[rows], self.spans[rows])


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


@dataclass(frozen=True)
class Ranked:
    """N predictions, best first, each right or wrong at each of L thresholds, and the M segments they are to find."""

    predicted: Instances
    truth: Instances
    hits: np.ndarray  # [N, L] bool
    counted: np.ndarray | None = None  # [N, L] bool; False: neither right nor wrong. None: all count

    def areas(self, num_classes: int) -> np.ndarray:
        """[K, L]: the average precision of each class at each threshold."""
        positives = np.bincount(self.truth.classes, minlength=num_classes)
        return areas(self.predicted.classes, self.hits, positives, self.counted)


def rank(
    truth: Instances, predicted: Instances, thresholds: np.ndarray, num_classes: int, near: Instances | None = None
) -> Ranked:
    """Which predictions are right.

    A prediction is right when the most overlapping segment of its video and class that no better scored prediction
    took reaches the threshold; each threshold keeps its own account of what is taken. Of segments that overlap
    equally, the last in the file is taken first. A prediction and a segment that both have no length overlap by 0 / 0,
    which counts as more than any threshold, as in the official code.

    Args:
      truth: annotated segments.
      predicted: predicted segments, best first.
      thresholds: [L] rising.
      num_classes: K.
      near: segments, whatever their class; what is not right and overlaps one of its video does not count as wrong.
    """
    hits = matches(truth, predicted, thresholds, num_classes) >= 0
    if near is None or not len(near.videos):
        return Ranked(predicted, truth, hits)
    beside = np.zeros(len(hits), bool)
    for rows, _, overlap in overlaps(predicted, near, predicted.videos, near.videos):
        beside[rows[overlap > 0]] = True
    return Ranked(predicted, truth, hits, hits | ~beside[:, None])


def matches(truth: Instances, predicted: Instances, thresholds: np.ndarray, num_classes: int) -> np.ndarray:
    """[N, L] int: the segment that each prediction takes at each threshold, or -1; see `rank`."""
    rows, truths, overlap = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    keys, truth_keys = predicted.keys(num_classes), truth.keys(num_classes)
    for some_rows, some_truths, some_overlap in overlaps(predicted, truth, keys, truth_keys):
        near = ~(some_overlap < thresholds[0])  # NaN is
        rows.append(some_rows[near])
        truths.append(some_truths[near])
        overlap.append(some_overlap[near])
    pairs = np.concatenate(rows), np.concatenate(truths)
    shape = len(predicted.videos), len(truth.videos)
    return matching.take(pairs, np.concatenate(overlap), shape, thresholds)


def overlaps(
    predicted: Instances, truth: Instances, keys: np.ndarray, truth_keys: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The pairs of one key, such as a video, in parts of about MOST_PAIRS: predictions [P], segments [P], tIoU [P].

    Args:
      predicted: [N], whose order the pairs keep; all pairs of one stand in one part.
      truth: [M].
      keys: [N] int.
      truth_keys: [M] int.
    """
    by_key = matching.grouped(truth_keys)
    first = np.searchsorted(truth_keys[by_key], keys, side="left")
    count = np.searchsorted(truth_keys[by_key], keys, side="right") - first
    end = np.cumsum(count)
    begin = 0
    while begin < len(keys):
        before = end[begin] - count[begin]
        stop = max(begin + 1, int(np.searchsorted(end, before + MOST_PAIRS, side="right")))
        some = count[begin:stop]
        rows = np.repeat(np.arange(begin, stop), some)
        # the number of a pair among those of its prediction
        number = np.arange(len(rows)) - np.repeat(end[begin:stop] - some - before, some)
        truths = by_key[np.repeat(first[begin:stop], some) + number]
        if len(rows):
            yield rows, truths, segments.tiou_of_pairs(predicted.spans[rows], truth.spans[truths])
        begin = stop


def areas(
    classes: np.ndarray, hits: np.ndarray, positives: np.ndarray, counted: np.ndarray | None = None
) -> np.ndarray:
    """Area under the monotone precision-recall curve of each class, its average precision.

    Args:
      classes: [N] int of the predictions, best first.
      hits: [N, L] bool, right or wrong.
      positives: [K] int, annotated segments of each class.
      counted: [N, L] bool, see `Ranked`.

    Returns:
      [K, L] from 0 to 1; 0 for a class without predictions.
    """
    result = np.zeros((len(positives), hits.shape[1]))
    order = matching.grouped(classes)
    borders = np.searchsorted(classes[order], np.arange(len(positives) + 1))
    for k, (first, end) in enumerate(zip(borders[:-1], borders[1:], strict=True)):
        if first < end:
            rows = order[first:end]
            shown = None if counted is None else counted[rows]
            recall, precision = matching.recall_and_precision(hits[rows], positives[k], shown)
            highest_from_here = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
            result[k] = np.sum(np.diff(recall, axis=0, prepend=0) * highest_from_here, axis=0)
    return result


@dataclass(frozen=True)
class Proposals:
    """AR@AN: `recall[n - 1]` [100] is the recall, averaged over thresholds, with n proposals a video on average."""

    recall: np.ndarray
    averages: np.ndarray  # [100] proposals a video, rising
    found: np.ndarray  # [M, 100] the share of the thresholds at which each annotated segment is found

    @property
    def area(self) -> float:
        """Under that curve, 0 to 1."""
        return float(np.trapezoid(self.recall, self.averages) / self.averages[-1])


def average_recall(truth: Instances, predicted: Instances, thresholds: np.ndarray) -> Proposals:
    """Recall of the annotated segments, whatever the class, against the average number of proposals a video.

    Each video keeps the same share of its proposals, so that the number averages 100; fewer are kept as they are.
    Arguments as in `average_precision`.
    """
    counts = np.bincount(predicted.videos, minlength=1 + max(predicted.videos.max(initial=0), truth.videos.max()))
    videos, total = len(np.unique(truth.videos)), len(predicted.videos)
    ratio = MOST_PROPOSALS * videos / max(total, 1)
    kept = np.minimum((counts * ratio).astype(np.int64), counts)  # of each video
    kept_total = int(kept[np.unique(truth.videos)].sum())
    if not kept_total:
        return Proposals(
            np.zeros(POINTS), np.arange(1.0, POINTS + 1), np.zeros((len(truth.videos), POINTS), np.float32)
        )
    # the rank of the first proposal that reaches each threshold; one that nothing reaches has the number kept
    kept = kept[truth.videos]
    ranks = np.tile(kept[:, None], len(thresholds))
    place = matching.ranks(predicted.videos)
    for rows, truths, overlap in overlaps(predicted, truth, predicted.videos, truth.videos):
        reached = np.searchsorted(thresholds, np.nan_to_num(overlap, nan=-1.0), "right")
        near = np.flatnonzero(reached)
        for level in range(len(thresholds)):
            near = near[reached[near] > level]
            np.minimum.at(ranks[:, level], truths[near], place[rows[near]])
    kept = kept[:, None]
    shares = np.arange(1, POINTS + 1) / POINTS * (MOST_PROPOSALS * videos / kept_total)
    used = np.minimum((kept * shares).astype(np.int64), kept)  # [M, points]
    recalls, found = [], np.zeros(used.shape, np.float32)
    for level in range(len(thresholds)):
        reached = ranks[:, [level]] < used
        recalls.append(np.mean(reached, axis=0))
        found += reached
    return Proposals(np.mean(recalls, axis=0), shares * kept_total / videos, found / len(thresholds))


@dataclass(frozen=True)
class Classification:
    """Labels of whole videos: mean AP over classes, and k -> the share of videos with a true label in the top k."""

    mAP: float
    top: dict[int, float]
    ranked: Ranked  # the best prediction of each video and label; each label of a video is one segment of the truth
    found: dict[int, np.ndarray]  # k -> the videos with a true label in the top k


def classification(truth: Instances, predicted: Instances, num_classes: int) -> Classification:
    """How well each video's best score for a label tells its labels. Arguments as in `rank`."""
    keys, true_keys = predicted.keys(num_classes), np.unique(truth.keys(num_classes))
    # predictions stand best first, so the first of a key is its best
    best = np.sort(np.unique(keys, return_index=True)[1])
    keys, videos = keys[best], predicted.videos[best]
    hits = np.isin(keys, true_keys)
    labelled = np.unique(truth.videos)
    place = matching.ranks(videos)
    found = {k: np.unique(videos[hits & (place < k)]) for k in (1, 3)}
    ranked = Ranked(
        Instances(videos, predicted.classes[best], predicted.spans[best]),
        Instances(true_keys // num_classes, true_keys % num_classes, np.zeros((len(true_keys), 2))),
        hits[:, None],
    )
    top = {k: len(some) / len(labelled) for k, some in found.items()}
    return Classification(float(ranked.areas(num_classes).mean()), top, ranked, found)
