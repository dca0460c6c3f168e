"""Scores of each class at each frame -> frame mAP, which lets several classes be right at once.

The per-frame mean average precision of Yeung et al., "Every Moment Counts" (MultiTHUMOS): of each class, all frames of
all videos are ranked by their score for it; a frame is right where an annotated segment of the class covers it. Frames
of one score count together, so that their order in a file says nothing. Symbols: T frames, K classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import segments
from annotations import Video
from evaluation.predictions import Results
from prediction.score_file import ScoreFile

# video id -> times of its frames [T] seconds, and their scores [T, K], background first
FrameScores = dict[str, tuple[np.ndarray, np.ndarray]]


def scores_of_file(videos: Sequence[Video], path: Path, index: Mapping[str, int], num_classes: int) -> FrameScores:
    """The scores that predictions_json.py keeps; of labels that are one class, the highest counts."""
    found = {}
    with contextlib.closing(ScoreFile(path)) as scores:
        for video in videos:
            if (frames := scores.frames(video.id)) is not None:
                values = np.zeros((len(frames[0]), num_classes), np.float32)
                for column, name in enumerate(scores.classes):
                    number = index[name]
                    values[:, number] = np.maximum(values[:, number], frames[1][:, column])
                found[video.id] = frames[0], values
    return found


def scores_of_predictions(
    videos: Sequence[Video], results: Results, index: Mapping[str, int], num_classes: int, rate: float
) -> FrameScores:
    """Predicted segments as scores of frames, `rate` a second: each frame has the best score that covers it."""
    found = {}
    for video in videos:
        if video.id in results:
            times = segments.rate_grid(video.duration, rate)
            values = np.full((len(times), num_classes), -np.inf, np.float32)  # below any score
            for entry in results[video.id]:
                first, end = np.searchsorted(times, entry["segment"], side="left")
                column = values[first:end, index[entry["label"]]]
                np.maximum(column, entry["score"], out=column)
            found[video.id] = times, values
    return found


def frame_average_precision(
    videos: Sequence[Video], found: FrameScores, index: Mapping[str, int], num_classes: int
) -> np.ndarray:
    """[K] from 0 to 1, background first; NaN for classes without a frame, and for background.

    A video without scores has none of its frames found; it is as densely sampled as the others.
    """
    frames = sum(len(times) for times, _ in found.values())
    seconds = sum(video.duration for video in videos if video.id in found)
    scores, true = [], []
    for video in videos:
        times, values = found.get(video.id, (None, None))
        if times is None:
            times = segments.grid_like(video.duration, frames, seconds) if seconds else np.zeros(0)
            values = np.full((len(times), num_classes), -np.inf, np.float32)
        labels = np.zeros(values.shape, bool)
        for segment in video.labelled_segments():
            first, end = np.searchsorted(times, [segment.start, segment.end], side="left")
            labels[first:end, index[segment.label]] = True
        scores.append(values)
        true.append(labels)
    scores, true = np.concatenate(scores), np.concatenate(true)
    result = np.full(num_classes, np.nan)
    for number in range(1, num_classes):
        if true[:, number].any():
            result[number] = average_precision(scores[:, number], true[:, number])
    return result


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """The sum over falling scores of the precision there times the recall that they add: [T] and [T] bool."""
    levels, place = np.unique(-scores, return_inverse=True)
    counts = np.bincount(place, minlength=len(levels))
    hits = np.bincount(place, true, minlength=len(levels))
    precision = np.cumsum(hits) / np.cumsum(counts)
    return float((precision * hits).sum() / true.sum())
