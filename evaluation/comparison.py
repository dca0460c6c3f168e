"""Two runs on one subset -> the difference of their figures with its interval, and where one is better.

The draws of videos are shared (a paired bootstrap), so that what is hard for both leaves the difference alone.
Symbols: V annotated videos, R draws, K classes, L thresholds.
"""

from __future__ import annotations

import numpy as np

from evaluation import intervals
from evaluation.detection import areas
from evaluation.subset import Evaluation, threshold_name

SAME = 1e-9  # a difference that is none


def compare(one: Evaluation, other: Evaluation) -> dict:
    """What `other` is above `one`, as JSON values; shares are 0 to 1.

    Args:
      one, other: two evaluations of the same annotations, subset and protocol.

    Returns:
      `average_mAP`, `mAP` by threshold and `AP` by class, each as {"one", "other", "difference", "interval"}, and
      `better`: the share of draws in which `other` has the higher average mAP. `videos`: for each annotated video the
      figures of both: the average precision of its own predictions, all classes in one ranking, over the thresholds.

    Raises:
      ValueError: they are of different subsets or annotations.
    """
    same = (one.subset, one.detection.classes, one.protocol, one.videos["annotated"])
    if same != (other.subset, other.detection.classes, other.protocol, other.videos["annotated"]):
        raise ValueError("expected two evaluations of the same annotations and subset")
    videos, classes = one.videos["annotated"], one.detection.classes
    result = {"subset": one.subset, "level": intervals.LEVEL, "videos_annotated": videos,
              "rough": videos < intervals.ROUGH}  # fmt: skip
    holders = np.bincount(np.unique(one.ranked.truth.keys(len(classes))) % len(classes), minlength=len(classes))
    if videos > 1:
        weights = intervals.draw(videos, max(one.predictions, other.predictions))
        each = [intervals.average_precisions(run.ranked, weights, len(classes)) for run in (one, other)]
        means = [intervals.over_classes(values) for values in each]
        total = means[1].mean(axis=1) - means[0].mean(axis=1)
        result |= {"draws": len(weights), "better": float(np.mean(total > SAME) + np.mean(np.abs(total) <= SAME) / 2)}
        spans = [
            intervals.middle(total, other.average_mAP - one.average_mAP),
            intervals.middle(means[1] - means[0], other.mAP - one.mAP),
        ]
        by_class = intervals.middle(
            (each[1] - each[0]).mean(axis=2), (other.detection.AP - one.detection.AP).mean(axis=1)
        )
    else:
        spans, by_class = [None, [None] * len(one.mAP)], [None] * len(classes)
    names = [threshold_name(level) for level in one.protocol.thresholds]
    AP = [run.detection.AP.mean(axis=1) for run in (one, other)]
    return result | {
        "average_mAP": _pair(one.average_mAP, other.average_mAP, spans[0]),
        "mAP": {n: _pair(a, b, ends) for n, a, b, ends in zip(names, one.mAP, other.mAP, spans[1], strict=True)},
        "AP": {
            name: _pair(a, b, ends if some > 1 else None)
            for name, a, b, ends, some in zip(classes, *AP, by_class, holders, strict=True)
        },
        "videos": _videos(one, other),
    }


def _pair(one: float, other: float, interval: list | None) -> dict:
    return {"one": float(one), "other": float(other), "difference": float(other - one), "interval": interval}


def _videos(one: Evaluation, other: Evaluation) -> dict[str, dict[str, float]]:
    """The figures of each video that has annotated segments; see `compare`."""
    count = one.videos["annotated"]
    found = [video_quality(run) for run in (one, other)]
    labelled = np.unique(one.ranked.truth.videos)
    return {
        one.compared.videos[video]: {"one": float(found[0][video]), "other": float(found[1][video])}
        for video in labelled
        if video < count
    }


def video_quality(scored: Evaluation) -> np.ndarray:
    """[V]: the average precision in each annotated video alone, all its predictions in one ranking, over thresholds."""
    count = scored.videos["annotated"]
    predicted, truth = scored.ranked.predicted, scored.ranked.truth
    inside = predicted.videos < count
    positives = np.maximum(np.bincount(truth.videos, minlength=count), 1)
    counted = None if scored.ranked.counted is None else scored.ranked.counted[inside]
    return areas(predicted.videos[inside], scored.ranked.hits[inside], positives, counted).mean(axis=1)
