"""Predicted and true class of each frame -> frame accuracy, segmental edit score and F1@{10,25,50}.

The definitions are those of Lea et al. 2017 as Farha and Gall 2019 evaluate (yabufarha/ms-tcn, eval.py).
Symbols: T frames of a video, N and M segments (runs of equal class).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

import segments

OVERLAPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Segmentation:
    """Scores of a subset, 0 to 1. `accuracy` counts all frames, `edit` is the mean over videos, `f1` is by tIoU."""

    accuracy: float
    edit: float
    f1: dict[float, float]


def evaluate_segmentation(
    predicted: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    overlaps: Sequence[float] = OVERLAPS,
    background: Collection[int] = (segments.BACKGROUND,),
) -> Segmentation:
    """Score the frame labels of videos.

    Args:
      predicted: for each video, the classes [T] int.
      true: the same of the annotations.
      overlaps: tIoU, above 0, that a segment needs to count for F1.
      background: classes whose runs are no segments; their frames count for the accuracy only.

    Raises:
      ValueError: no frames, or videos with different numbers of frames.
    """
    if len(predicted) != len(true):
        raise ValueError(f"expected predictions of {len(true)} videos, received {len(predicted)}")
    for number, (labels, others) in enumerate(zip(predicted, true, strict=True)):
        if len(labels) != len(others):
            raise ValueError(f"video {number}: expected {len(others)} predicted frames, received {len(labels)}")
    frames = sum(map(len, true))
    if not frames:
        raise ValueError(f"expected frames to score, received none in {len(true)} videos")
    correct = sum(int(np.sum(np.equal(*pair))) for pair in zip(predicted, true, strict=True))
    runs = [tuple(_runs(labels, background) for labels in pair) for pair in zip(predicted, true, strict=True)]
    edit = float(np.mean([edit_score(classes, others) for (_, classes), (_, others) in runs]))
    return Segmentation(correct / frames, edit, {overlap: _f1(runs, overlap) for overlap in overlaps})


def _runs(labels: np.ndarray, background: Collection[int]) -> tuple[np.ndarray, np.ndarray]:
    """Spans [N, 2] in frames and classes [N] of the runs that are not background."""
    first, past, classes = segments.label_runs(labels)
    kept = ~np.isin(classes, list(background))
    return np.stack([first, past], axis=1)[kept], classes[kept]


def edit_score(predicted: Sequence[int], true: Sequence[int]) -> float:
    """1 - Levenshtein distance of two sequences of classes / the longer length; 1 where both are empty."""
    longest = max(len(predicted), len(true))
    if not longest:
        return 1.0
    true, columns = np.asarray(true), np.arange(len(true) + 1)
    distances = columns
    for number, label in enumerate(predicted, start=1):
        replaced = distances[:-1] + (true != label)
        row = np.concatenate([[number], np.minimum(distances[1:] + 1, replaced)])
        # an insertion costs 1 more than the cell before it
        distances = np.minimum.accumulate(row - columns) + columns
    return 1 - float(distances[-1]) / longest


def _f1(runs: Sequence[tuple], overlap: float) -> float:
    """F1 over all videos: each predicted segment may take its most overlapping true one of its class, once."""
    right, predicted, true = 0, 0, 0
    for (spans, classes), (true_spans, true_classes) in runs:
        predicted, true = predicted + len(classes), true + len(true_classes)
        if not len(classes) or not len(true_classes):
            continue
        tiou = np.where(classes[:, None] == true_classes, segments.tiou(spans, true_spans), 0)
        best = np.argmax(tiou, axis=1)
        right += len(np.unique(best[np.max(tiou, axis=1) >= overlap]))
    return 2 * right / (predicted + true) if right else 0.0
