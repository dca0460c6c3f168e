"""Predicted and true class of each frame -> frame accuracy, segmental edit score and F1@{10,25,50}.

The definitions are those of Lea et al. 2017 as Farha and Gall 2019 evaluate (yabufarha/ms-tcn, eval.py). The script
takes the class scores of a run's frames, or the segments of any predictions in ActivityNet's JSON layout.
Symbols: T frames of a video, N and M segments (runs of equal class).
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import annotations
import config
import run_folder
import segments
from annotations import Annotations, Video
from evaluation import frame_precision, matching, options, predictions
from prediction.score_file import ScoreFile

OVERLAPS = (0.1, 0.25, 0.5)
MOST_FRAMES = 50_000_000  # of a video: over a month of it, and what the memory holds
RATE = 15.0  # frames a second at which predictions are compared, as Farha and Gall sample their videos

# video id -> times of its frames [T] seconds, and their predicted classes [T] int
FrameClasses = dict[str, tuple[np.ndarray, np.ndarray]]


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
    first, end, classes = segments.label_runs(labels)
    kept = ~np.isin(classes, list(background))
    return np.stack([first, end], axis=1)[kept], classes[kept]


def edit_score(predicted: Sequence[int] | np.ndarray, true: Sequence[int] | np.ndarray) -> float:
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
    videos: Sequence[Video], results: predictions.Results, classes: Classes, rate: float = RATE, min_score: float = 0.0
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
    _require_few_frames(videos, rate)
    found = {}
    for video in videos:
        if video.id not in results:
            continue
        times = segments.rate_grid(video.duration, rate)
        entries = results[video.id]
        best_first = [entries[number] for number in matching.best_first([entry["score"] for entry in entries])]
        # the best is painted last
        shown = [entry for entry in best_first if entry["score"] >= min_score][::-1]
        numbers = np.array([classes.number(entry["label"], f"results.{video.id}") for entry in shown], int)
        found[video.id] = times, segments.paint(times, np.array([entry["segment"] for entry in shown]), numbers)
    return found


def frames_of_scores(videos: Sequence[Video], path: Path, classes: Classes) -> FrameClasses:
    """The most likely class of each sampled frame, from the scores_<subset>.npz that predictions_json.py writes.

    A frame's time is the middle of the interval that it stands for. Raises ValueError for another file, or classes
    that the annotations do not have.
    """
    found = {}
    with contextlib.closing(ScoreFile(path)) as scores:
        numbers = np.array([classes.number(name, f"{path}: classes") for name in scores.classes])
        for video in videos:
            frames = scores.frames(video.id)
            if frames is not None:
                times, probabilities = frames
                found[video.id] = times, numbers[np.argmax(probabilities, axis=1)]
    return found


def evaluate_videos(
    videos: Sequence[Video], found: FrameClasses, classes: Classes, background: Collection[str] = ()
) -> Segmentation:
    """Score the frame classes of a subset's videos; where none were found, all of the video counts as background.

    Args:
      videos: the annotated videos; the class of a frame inside several segments is that of the shortest.
      found: predicted classes of frames.
      classes: numbers of the labels.
      background: classes, besides background, whose runs are no segments.

    Raises:
      ValueError: nothing found, or a background class that the annotations do not have.
    """
    hidden = {segments.BACKGROUND, *(classes.number(name, "--background") for name in background)}
    frames = sum(len(times) for times, _ in found.values())
    if not frames:
        raise ValueError(f"expected predictions of some of the {len(videos)} videos, received none")
    # videos that nothing was found in have as many frames a second as the others
    seconds = sum(video.duration for video in videos if video.id in found)
    _require_few_frames(videos, frames / seconds)
    predicted, true = [], []
    for video in videos:
        empty = segments.grid_like(video.duration, frames, seconds)
        times, labels = found.get(video.id, (empty, np.full(len(empty), segments.BACKGROUND)))
        spans = np.array([(segment.start, segment.end) for segment in video.labelled_segments()])
        numbers = np.array([classes.index[segment.label] for segment in video.labelled_segments()], int)
        true.append(segments.frame_labels(times, spans, numbers))
        predicted.append(labels)
    return evaluate_segmentation(predicted, true, background=hidden)


def _require_few_frames(videos: Sequence[Video], rate: float) -> None:
    for video in videos:
        if video.duration * rate > MOST_FRAMES:
            raise ValueError(
                f"annotations: database.{video.id}.duration: expected at most {MOST_FRAMES / rate:,.0f} seconds at "
                f"{rate:g} frames a second, received {video.duration:g}: correct it, or compare at a lower --rate"
            )


def to_json(scored: Segmentation) -> dict:
    """Shares of 0 to 1."""
    f1 = {f"{overlap:.2f}": share for overlap, share in scored.f1.items()}
    return {"accuracy": scored.accuracy, "edit": scored.edit, "F1": f1}


def table(scored: Segmentation) -> str:
    """Two lines for the terminal, in percent."""
    columns = [("accuracy", scored.accuracy), ("edit", scored.edit)]
    columns += [(f"F1@{100 * overlap:g}", share) for overlap, share in scored.f1.items()]
    return "\n".join(
        ["".join(f"{title:>10}" for title, _ in columns), "".join(f"{100 * share:>10.2f}" for _, share in columns)]
    )


def run(settings: config.Config, arguments: argparse.Namespace) -> None:
    """Score what the command line names, else what the settings do; write the JSON and print the table."""
    subset, folder = settings.predict.subset, settings.paths.model_dir
    annotated = annotations.load(options.ground_truth_file(settings.paths, arguments))
    videos, classes = annotated.subset(subset), Classes.of(annotated, settings.data.taxonomy_level)
    if not any(video.segments for video in videos):
        raise ValueError(f"{annotated.source}: subset {subset}: no annotated segments to compare predictions with")
    scores = run_folder.scores_file(folder, subset)
    wants_segments = any(value is not None for value in (arguments.predictions, arguments.rate, arguments.min_score))
    if scores.is_file() and not wants_segments:
        source, how = scores, "the most likely class of each sampled frame"
        found = frames_of_scores(videos, scores, classes)
        likely = frame_precision.scores_of_file(videos, scores, classes.index, len(classes.names))
    else:
        source = options.predictions_file(settings.paths, settings.predict.subset, arguments)
        rate = RATE if arguments.rate is None else arguments.rate
        how = f"the best scored segment at {rate:g} frames a second"
        results = predictions.load_predictions(source)
        found = frames_of_predictions(videos, results, classes, rate, arguments.min_score or 0.0)
        likely = frame_precision.scores_of_predictions(videos, results, classes.index, len(classes.names), rate)
    scored = evaluate_videos(videos, found, classes, arguments.background)
    counts = {"annotated": len(videos), "predicted": len(found), "missing": len(videos) - len(found)}
    AP = frame_precision.frame_average_precision(videos, likely, classes.index, len(classes.names))
    known = {name: float(share) for name, share in zip(classes.names, AP, strict=True) if share == share}
    precision = {"frame_mAP": float(np.mean(list(known.values()))), "frame_AP": known}
    value = {"subset": subset, "source": how} | to_json(scored) | precision | {"videos": counts}
    head = f"{subset}: {len(videos):,} videos annotated, {len(found):,} predicted; values in percent"
    last = f"frame mAP {100 * precision['frame_mAP']:.2f}, several classes at once"
    options.show(value, f"{head}\n{how}, of {source}\n\n{table(scored)}\n\n{last}", arguments)
    options.write(value, "segmentation", settings.paths, settings.predict.subset, arguments)


def main(argv: list[str] | None = None) -> int:
    parser = options.make_parser(
        "Frame accuracy, edit score and F1@{10,25,50} of predictions, as the papers on action segmentation measure.\n\n"
        "Where the run has scores_<subset>.npz, each sampled frame has its most likely class; otherwise, and with\n"
        "--predictions, --rate or --min-score, that of the best scored predicted segment that covers it.",
        "segmentation",
        prog="metrics.py frames",
    )
    add = parser.add_argument
    add("--rate", type=float, metavar="FPS", help=f"frames a second of predicted segments (default: {RATE:g})")
    add("--min-score", type=float, metavar="SCORE", help="leave weaker predicted segments out")
    add("--background", nargs="+", default=[], metavar="LABEL", help="classes whose runs are no segments")
    return options.run_script(parser, argv, run)
