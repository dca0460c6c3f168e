"""How far the figures of an evaluation can be trusted: intervals by bootstrap over videos.

Videos, not predictions, are drawn with replacement, because those of one video stand or fall together; a figure is
computed of each draw, and the interval holds the middle 95 % of them. A drawn video counts as
often as it was drawn, with all its segments and predictions. Symbols: V annotated videos, R draws, K classes, L tIoU
thresholds, N predictions, H hits: pairs of a prediction and a threshold at which it is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evaluation import matching
from evaluation.detection import Instances, Ranked
from evaluation.subset import SHOWN_RECALLS, Evaluation, threshold_name

DRAWS = 1000
FEWEST_DRAWS = 100
MOST_WEIGHTS = 100_000_000  # draws times predictions, beyond which fewer draws are made
PART = 1_000_000  # of these at once
LEVEL = 0.95
ROUGH = 10  # with fewer videos than these an interval is rough: it knows no video that is not there


def draw(videos: int, predictions: int, seed: int = 0) -> np.ndarray:
    """[R, V] int32: how often each video is drawn; fewer draws where there are many predictions."""
    draws = int(np.clip(MOST_WEIGHTS // max(predictions, 1), FEWEST_DRAWS, DRAWS))
    generator = np.random.default_rng(seed)
    counts = np.empty((draws, videos), np.int32)
    for one in counts:
        one[:] = np.bincount(generator.integers(videos, size=videos), minlength=videos)
    return counts


def with_others(weights: np.ndarray, videos: int) -> np.ndarray:
    """[R, videos]: weights [R, V] with those of videos that are not annotated behind them, in every draw once."""
    return np.pad(weights, ((0, 0), (0, max(videos - weights.shape[1], 0))), constant_values=1)


def average_precisions(ranked: Ranked, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """[R, K, L]: the average precision of each draw; NaN for classes that have no segment in it.

    weights: [R, V], see `draw`. Videos that are not annotated are in every draw once.
    """
    order = matching.grouped(ranked.predicted.classes)
    classes, videos = ranked.predicted.classes[order], ranked.predicted.videos[order]
    hits = ranked.hits[order]
    counted = None if ranked.counted is None else ranked.counted[order]
    levels = hits.shape[1]
    level, row = np.nonzero(hits.T)  # [H] by threshold, then class, then rank
    group = level * num_classes + classes[row]
    first = np.searchsorted(group, group)  # the first hit of the same class and threshold
    class_first = np.searchsorted(classes, classes[row])  # the first prediction of the class
    # where anything is read of what is shown so far: what lies between is summed at once
    stops = np.unique(np.concatenate([class_first, row + 1]))
    shown_first, shown_end = np.searchsorted(stops, class_first), np.searchsorted(stops, row + 1)
    positives = np.zeros((len(weights), num_classes))
    for number, weight in enumerate(weights):
        positives[number] = np.bincount(
            ranked.truth.classes, weights=weight[ranked.truth.videos], minlength=num_classes
        )
    result = np.zeros((len(weights), num_classes, levels))
    # to keep classes and thresholds apart in one running maximum: precision is at most 1
    apart = 2.0 * (levels * num_classes - group)
    each_video = with_others(weights, videos.max(initial=0) + 1)
    each_video = each_video.astype(np.min_scalar_type(int(each_video.max(initial=0))))  # a byte is read the fastest
    for part in _parts(len(weights), max(len(videos), 2 * len(row))):
        weight = each_video[part][:, videos]  # [R, N]
        mine = weight[:, row]  # [R, H]
        right = _running(mine)
        right = right[:, 1:] - right[:, first]
        if counted is None:
            shown = _running_at(weight, stops)
            shown = shown[:, shown_end] - shown[:, shown_first]
        else:
            each = [_running_at(weight * counted[:, number], stops) for number in range(levels)]
            shown = np.concatenate(
                [each[n][:, shown_end[level == n]] - each[n][:, shown_first[level == n]] for n in range(levels)], axis=1
            )
        precision = right / np.maximum(shown, 1)
        best = np.maximum.accumulate((precision + apart)[:, ::-1], axis=1)[:, ::-1] - apart
        for number, gains in zip(range(part.start, part.stop), mine * best, strict=True):
            summed = np.bincount(group, weights=gains, minlength=levels * num_classes)
            result[number] = summed.reshape(levels, num_classes).T
    return result / np.where(positives > 0, positives, np.nan)[..., None]


def _running(values: np.ndarray) -> np.ndarray:
    """[R, N + 1]: the sum of what stands before each place."""
    sums = np.zeros((len(values), values.shape[1] + 1), np.int32)
    np.cumsum(values, axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _running_at(values: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """[R, S]: the sum of what stands from the first of the rising places `stops` [S] before each of them."""
    if len(stops) < 2:
        return np.zeros((len(values), len(stops)), np.int32)
    sums = np.add.reduceat(values[:, stops[0] : stops[-1]], stops[:-1] - stops[0], axis=1, dtype=np.int32)
    return _running(sums)


def _parts(draws: int, size: int) -> Iterator[slice]:
    step = max(1, PART // max(size, 1))
    return (slice(first, min(first + step, draws)) for first in range(0, draws, step))


def middle(values: np.ndarray, figures: np.ndarray | float) -> list:
    """The interval [low, high] of each figure: draws [R, …] -> lists […, 2]; without any draw, None.

    A drawn video that counts twice is found, or missed, twice at one score, which lifts the average precision of a
    draw a little; the draws are moved by what their mean is above the figure. Draws that are NaN are left out.
    """
    shape, flat = values.shape[1:], values.reshape(len(values), -1)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = []
    for draws, figure in zip(flat.T, np.ravel(figures), strict=True):
        draws = draws[~np.isnan(draws)]
        ends.append((np.quantile(draws, tails) - draws.mean() + figure).tolist() if len(draws) else None)
    return ends if shape else ends[0]


def of_shares(values: np.ndarray, figures: np.ndarray | float) -> list:
    """`middle` of what lies between 0 and 1."""
    clipped = [ends and np.clip(ends, 0, 1).tolist() for ends in middle(values.reshape(len(values), -1), figures)]
    return clipped if values.ndim > 1 else clipped[0]


def of_quotients(parts: np.ndarray, wholes: np.ndarray, weights: np.ndarray) -> list:
    """The intervals of F shares that are a sum over videos, [V, F], divided by another, [V, F]; weights as of `draw`.

    A share of nothing, 0 / 0, has none, and a draw of nothing does not count.
    """
    counts = np.concatenate([np.ones((1, len(parts))), weights]) @ np.concatenate([parts, wholes], axis=1)
    part, whole = np.split(counts, 2, axis=1)
    shares = part / np.where(whole > 0, whole, np.nan)
    return of_shares(shares[1:], shares[0])


def heading(weights: np.ndarray, names: Sequence[str], truth: Instances) -> dict:
    """What is to be said of intervals besides their ends, as JSON values: how they came about, and what is behind them.

    weights: [R, V], see `draw`; names: of the K classes.
    """
    actions = np.bincount(truth.classes, minlength=len(names)).tolist()
    # videos that have each class
    holders = np.bincount(np.unique(truth.keys(len(names))) % len(names), minlength=len(names)).tolist()
    classes = {
        name: {"actions": number, "videos": some} for name, number, some in zip(names, actions, holders, strict=True)
    }
    draws, videos = weights.shape
    return {"level": LEVEL, "draws": draws, "videos": videos, "rough": videos < ROUGH, "classes": classes}


def of_classes(ends: list, classes: dict) -> dict:
    """The intervals of classes by name, none for one that a single video has: every draw with it is that video."""
    pairs = zip(classes.items(), ends, strict=True)
    return {name: interval if counts["videos"] > 1 else None for (name, counts), interval in pairs}


def measure(scored: Evaluation, weights: np.ndarray | None = None) -> dict:
    """The intervals of an evaluation's figures, as JSON values, named as in `subset.to_json`; None for one video.

    The number of proposals that AR@AN keeps of each video stays as it is in the subset.
    """
    truth, num_classes, videos = scored.ranked.truth, len(scored.detection.classes), scored.videos["annotated"]
    weights = draw(videos, scored.predictions) if weights is None else weights
    result = heading(weights, scored.detection.classes, truth)
    if videos < 2:
        return result
    each = average_precisions(scored.ranked, weights, num_classes)
    each_class = of_shares(each.mean(axis=2), scored.detection.AP.mean(axis=1))
    parts = {
        name: _of_thresholds(part, average_precisions(part.ranked, weights, len(part.detection.classes)))
        for name, part in scored.parts.items()
    }
    return result | ({"parts": parts} if parts else {}) | {
        **_of_thresholds(scored, each),
        "AP": of_classes(each_class, result["classes"]),
        **_recall_and_labels(scored, weights),
    }


def _of_thresholds(scored: Evaluation, each: np.ndarray) -> dict:
    """Intervals of the average mAP and of the mAP by threshold; `each`: [R, K, L] of `average_precisions`."""
    means, names = over_classes(each), [threshold_name(level) for level in scored.protocol.thresholds]
    return {
        "average_mAP": of_shares(means.mean(axis=1), scored.average_mAP),
        "mAP": dict(zip(names, of_shares(means, scored.mAP), strict=True)),
    }


def over_classes(each: np.ndarray) -> np.ndarray:
    """[R, K, L] -> [R, L]: the mean over the classes that a draw has segments of."""
    there = ~np.isnan(each)
    return np.where(there, each, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def _recall_and_labels(scored: Evaluation, weights: np.ndarray) -> dict:
    truth, videos = scored.ranked.truth, weights.shape[1]
    floats = weights.astype(np.float32)
    found = np.zeros((videos, scored.proposals.found.shape[1]), np.float32)
    np.add.at(found, truth.videos, scored.proposals.found)
    segments = np.maximum(floats @ np.bincount(truth.videos, minlength=videos).astype(np.float32), 1)
    recall = floats @ found / segments[:, None]  # [R, points]
    averages = scored.proposals.averages
    area = np.trapezoid(recall, averages, axis=1) / averages[-1]
    labelled = np.zeros(videos, np.float32)
    labelled[np.unique(truth.videos)] = 1
    top = {}
    for k, some in scored.classification.found.items():
        told = np.zeros(videos, np.float32)
        told[some[some < videos]] = 1
        top[f"top_{k}"] = of_shares(floats @ told / np.maximum(floats @ labelled, 1), scored.classification.top[k])
    labels = average_precisions(scored.classification.ranked, weights, len(scored.detection.classes))
    return {
        "proposals": {
            "AR": {str(n): of_shares(recall[:, n - 1], scored.proposals.recall[n - 1]) for n in SHOWN_RECALLS},
            "AUC": of_shares(area, scored.proposals.area),
        },
        "classification": {"mAP": of_shares(over_classes(labels)[:, 0], scored.classification.mAP), **top},
    }
