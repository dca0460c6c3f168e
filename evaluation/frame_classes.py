"""Videos -> the class of each of their frames: as annotated, of predicted segments, or of a run's scores.

Symbols: T frames of a video.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import segments
from annotations import Annotations, Video
from evaluation import matching, predictions
from prediction.score_file import ScoreFile

MOST_FRAMES = 50_000_000  # of a video: over a month of it, and what the memory holds
RATE = 15.0  # frames a second at which predictions are compared, as Farha and Gall sample their videos

# of one video after another: its id, the times of its frames [T] seconds, and their predicted classes [T] int
FrameClasses = Iterator[tuple[str, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Classes:
    """Numbers of the classes at a taxonomy level, background being 0."""

    names: tuple[str, ...]  # background first
    index: dict[str, int]  # of class names and of annotated labels

    @classmethod
    def of(cls, annotated: Annotations, level: int) -> Classes:
        class_of = annotated.class_of(level)
        names = (segments.BACKGROUND_NAME, *sorted(set(class_of.values())))
        index = {name: number for number, name in enumerate(names)}
        # a class wins over a label of the same name
        return cls(names, {label: index[name] for label, name in class_of.items()} | index)

    def number(self, label: str, source: str) -> int:
        if label not in self.index:
            raise ValueError(f"{source}: {label!r} is not among the classes of the annotations")
        return self.index[label]


def frames_of_predictions(
    videos: Sequence[Video],
    results: predictions.Results | predictions.Table,
    classes: Classes,
    rate: float = RATE,
    min_score: float = 0.0,
) -> FrameClasses:
    """Predicted segments as frame classes: each frame takes the class of the best scored segment that covers it.

    Args:
      videos: those to label; frame i is at i / rate, up to the video's duration. A video without predictions is
        left out.
      results: see `predictions.Results`. A segment is half-open; of equally scored ones the first in the file counts.
      classes: numbers of the labels.
      rate: frames a second.
      min_score: leave weaker segments out, where a detector writes many; every frame that one covers counts.

    Raises:
      ValueError: a rate of 0 or less, or a label that the annotations do not have.
    """
    if not rate > 0:
        raise ValueError(f"rate: expected frames a second above 0, received {rate}")
    require_few_frames(videos, rate)
    table = predictions.to_table(results)
    numbers, rows_of = predictions.class_numbers(table, classes.index, videos), table.rows()
    for video in (video for video in videos if video.id in rows_of):
        times, rows = segments.rate_grid(video.duration, rate), rows_of[video.id]
        scores = table.scores[rows]
        best_last = matching.best_first(scores)[::-1]
        shown = best_last[scores[best_last] >= min_score]
        yield video.id, times, segments.paint(times, table.spans[rows][shown], numbers[rows][shown])


def frames_of_scores(videos: Sequence[Video], path: Path, classes: Classes) -> FrameClasses:
    """The most likely class of each sampled frame, from the scores_<subset>.npz that predictions_json.py writes.

    A frame's time is the middle of the interval that it stands for. Raises ValueError for another file, or classes
    that the annotations do not have.
    """
    with contextlib.closing(ScoreFile(path)) as scores:
        numbers = np.array([classes.number(name, f"{path}: classes") for name in scores.classes])
        for video in videos:
            frames = scores.frames(video.id)
            if frames is not None:
                times, probabilities = frames
                yield video.id, times, numbers[np.argmax(probabilities, axis=1)]


def true_classes(video: Video, times: np.ndarray, classes: Classes) -> np.ndarray:
    """The annotated class [T] int of a video's frames at `times` [T] seconds: that of the shortest segment around."""
    labelled = video.labelled_segments()
    spans = np.array([(segment.start, segment.end) for segment in labelled])
    return segments.frame_labels(times, spans, np.array([classes.index[segment.label] for segment in labelled], int))


def require_few_frames(videos: Sequence[Video], rate: float) -> None:
    """Raise ValueError for a video that has more frames at this rate than the memory holds."""
    for video in videos:
        if video.duration * rate > MOST_FRAMES:
            raise ValueError(
                f"annotations: database.{video.id}.duration: expected at most {MOST_FRAMES / rate:,.0f} seconds at "
                f"{rate:g} frames a second, received {video.duration:g}: correct it, or compare at a lower --rate"
            )
