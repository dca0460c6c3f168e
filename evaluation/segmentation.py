"""Predicted and true class of each frame -> frame accuracy, segmental edit score and F1@{10,25,50}.

The definitions are those of Lea et al. 2017 as Farha and Gall 2019 evaluate (yabufarha/ms-tcn, eval.py). The script
takes the class scores of a run's frames, or the segments of any predictions in ActivityNet's JSON layout.
Symbols: T frames of a video, N and M segments (runs of equal class).
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

import annotations
import config
import run_folder
import segments
from annotations import Video
from evaluation import detection, frame_precision, intervals, options, predictions, terminal
from evaluation.frame_classes import (
    RATE,
    Classes,
    FrameClasses,
    frames_of_predictions,
    frames_of_scores,
    require_few_frames,
    true_classes,
)

OVERLAPS = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Segmentation:
    """Scores of a subset, 0 to 1. `accuracy` counts all frames, `edit` is the mean over videos, `f1` is by tIoU.

    Each is a sum over videos divided by another: `parts` and `wholes` [V, 2 + tIoUs], in this order.
    """

    accuracy: float
    edit: float
    f1: dict[float, float]
    parts: np.ndarray
    wholes: np.ndarray


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
    compared = [_FrameRuns.of(number, *pair) for number, pair in enumerate(zip(predicted, true, strict=True))]
    return _score(compared, overlaps, background)


@dataclass(frozen=True)
class _FrameRuns:
    """A video's predicted and true runs, each as first frames, ends and classes [N]; how many frames are right."""

    predicted: tuple[np.ndarray, np.ndarray, np.ndarray]
    true: tuple[np.ndarray, np.ndarray, np.ndarray]
    right: int
    frames: int

    @classmethod
    def of(cls, video: int | str, predicted: np.ndarray, true: np.ndarray) -> _FrameRuns:
        if len(predicted) != len(true):
            raise ValueError(f"video {video}: expected {len(true)} predicted frames, received {len(predicted)}")
        right = int(np.count_nonzero(np.equal(predicted, true)))
        return cls(segments.label_runs(predicted), segments.label_runs(true), right, len(true))


def _score(compared: Sequence[_FrameRuns], overlaps: Sequence[float], background: Collection[int]) -> Segmentation:
    frames = sum(video.frames for video in compared)
    if not frames:
        raise ValueError(f"expected frames to score, received none in {len(compared)} videos")
    predicted = _instances([video.predicted for video in compared], background)
    true = _instances([video.true for video in compared], background)
    sequences = (
        np.split(runs.classes, np.searchsorted(runs.videos, np.arange(1, len(compared)))) for runs in (predicted, true)
    )
    edits = [edit_score(*pair) for pair in zip(*sequences, strict=True)]
    found, both = _found(predicted, true, overlaps, len(compared))
    parts = np.column_stack([[video.right for video in compared], edits, 2 * found])
    wholes = np.column_stack([[video.frames for video in compared], np.ones(len(compared)), both])
    accuracy, edit, *f1 = (parts.sum(axis=0) / np.maximum(wholes.sum(axis=0), 1)).tolist()
    return Segmentation(accuracy, edit, dict(zip(overlaps, f1, strict=True)), parts, wholes)


def _instances(runs: Sequence[tuple], background: Collection[int]) -> detection.Instances:
    """The runs of videos that are not background, in the order of the videos; spans in frames."""
    first, end, classes = (np.concatenate(part) for part in zip(*runs, strict=True))
    videos = np.repeat(np.arange(len(runs)), [len(one[0]) for one in runs])
    kept = ~np.isin(classes, list(background))
    return detection.Instances(videos[kept], classes[kept], np.stack([first, end], axis=1)[kept])


def edit_score(predicted: Sequence[int] | np.ndarray, true: Sequence[int] | np.ndarray) -> float:
    """1 - Levenshtein distance of two sequences of classes / the longer length; 1 where both are empty.

    A column of the table of distances is kept as two whole numbers, whose bits say where it rises and where it falls by
    one from row to row (Myers 1999, in the form of Hyyrö 2003).
    """
    longest = max(len(predicted), len(true))
    if not len(predicted) or not len(true):
        return 0.0 if longest else 1.0
    places: dict[int, int] = {}  # class -> bits of the rows that have it
    for row, label in enumerate(np.asarray(predicted).tolist()):
        places[label] = places.get(label, 0) | 1 << row
    rows, last, distance = (1 << len(predicted)) - 1, 1 << (len(predicted) - 1), len(predicted)
    rises, falls = rows, 0
    for label in np.asarray(true).tolist():
        equal = places.get(label, 0)
        level = (((equal & rises) + rises) ^ rises) | equal | falls  # no more than the cell up and to the left
        right_rises, right_falls = falls | (rows & ~(level | rises)), rises & level
        distance += bool(right_rises & last) - bool(right_falls & last)
        right_rises, right_falls = (right_rises << 1 | 1) & rows, right_falls << 1 & rows
        rises, falls = right_falls | (rows & ~(level | right_rises)), right_rises & level
    return 1 - float(distance) / longest


def _found(
    predicted: detection.Instances, true: detection.Instances, overlaps: Sequence[float], videos: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each of V videos the true segments found, and all predicted and true ones, at each overlap: [V, L] each.

    Each predicted segment may take its most overlapping true one of its class, once.
    """
    count = 1 + max(predicted.classes.max(initial=0), true.classes.max(initial=0))
    best, tiou = [np.zeros(0, np.int64)], [np.zeros(0)]  # true segment and overlap of each predicted one
    for rows, truths, overlap in detection.overlaps(predicted, true, predicted.keys(count), true.keys(count)):
        order = np.lexsort((truths, -overlap, rows))
        first = order[np.unique(rows[order], return_index=True)[1]]
        best.append(truths[first])
        tiou.append(overlap[first])
    best, tiou = np.concatenate(best), np.concatenate(tiou)
    right = [true.videos[np.unique(best[tiou >= overlap])] for overlap in overlaps]
    both = np.bincount(np.concatenate([predicted.videos, true.videos]), minlength=videos)
    found = [np.bincount(owners, minlength=videos) for owners in right]
    return np.stack(found, axis=1), np.repeat(both[:, None], len(overlaps), axis=1)


def evaluate_videos(
    videos: Sequence[Video], found: FrameClasses, classes: Classes, background: Collection[str] = ()
) -> tuple[Segmentation, int]:
    """Score the frame classes of a subset's videos; where none were found, all of the video counts as background.

    Args:
      videos: the annotated videos; the class of a frame inside several segments is that of the shortest.
      found: predicted classes of frames.
      classes: numbers of the labels.
      background: classes, besides background, whose runs are no segments.

    Returns:
      The scores, and the number of videos that were found.

    Raises:
      ValueError: nothing found, or a background class that the annotations do not have.
    """
    hidden = {segments.BACKGROUND, *(classes.number(name, "--background") for name in background)}
    by_id, compared = {video.id: video for video in videos}, {}
    for name, times, labels in found:
        compared[name] = _FrameRuns.of(name, labels, true_classes(by_id[name], times, classes))
    frames = sum(one.frames for one in compared.values())
    if not frames:
        raise ValueError(f"expected predictions of some of the {len(videos)} videos, received none")
    # videos that nothing was found in have as many frames a second as the others
    seconds, number = sum(video.duration for video in videos if video.id in compared), len(compared)
    require_few_frames(videos, frames / seconds)
    for video in (video for video in videos if video.id not in compared):
        times = segments.grid_like(video.duration, frames, seconds)
        empty = np.full(len(times), segments.BACKGROUND)
        compared[video.id] = _FrameRuns.of(video.id, empty, true_classes(video, times, classes))
    return _score([compared[video.id] for video in videos], OVERLAPS, hidden), number


def to_json(scored: Segmentation) -> dict:
    """Shares of 0 to 1."""
    f1 = {f"{overlap:.2f}": share for overlap, share in scored.f1.items()}
    return {"accuracy": scored.accuracy, "edit": scored.edit, "F1": f1}


def measured(
    videos: Sequence[Video], scored: Segmentation, likely: frame_precision.Stretches, classes: Classes
) -> dict:
    """All figures with their intervals, as JSON values; `likely`: the scores of frames, for frame mAP."""
    AP = frame_precision.frame_average_precision(likely, len(classes.names))
    known = {name: float(share) for name, share in zip(classes.names, AP, strict=True) if share == share}
    value = to_json(scored) | {"frame_mAP": float(np.mean(list(known.values()))), "frame_AP": known}
    weights = intervals.draw(len(videos), len(videos) * len(known))
    marked = np.array([
        (number, classes.index[segment.label]) for number, video in enumerate(videos)
        for segment in video.labelled_segments()
    ])  # fmt: skip
    truth = detection.Instances(marked[:, 0], marked[:, 1], np.zeros(marked.shape))
    spans = intervals.heading(weights, classes.names, truth)
    spans["classes"] = {name: spans["classes"][name] for name in known}
    if len(videos) > 1:
        accuracy, edit, *f1 = intervals.of_quotients(scored.parts, scored.wholes, weights)
        spans |= {"accuracy": accuracy, "edit": edit, "F1": dict(zip(value["F1"], f1, strict=True))}
    if len(videos) > 1 and likely.videos is not None:
        each = frame_precision.drawn_average_precisions(likely, weights, len(classes.names))[:, ~np.isnan(AP)]
        mean = intervals.over_classes(each[..., None])[:, 0]
        spans["frame_mAP"] = intervals.of_shares(mean, value["frame_mAP"])
        spans["frame_AP"] = intervals.of_classes(intervals.of_shares(each, AP[~np.isnan(AP)]), spans["classes"])
    return value | {"intervals": spans}


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
        scored, number = evaluate_videos(videos, found, classes, arguments.background)
        likely = frame_precision.of_file(videos, scores, classes.index, len(classes.names))
    else:
        source = options.predictions_file(settings.paths, settings.predict.subset, arguments)
        rate = RATE if arguments.rate is None else arguments.rate
        how = f"the best scored segment at {rate:g} frames a second"
        results = predictions.load_table(source)
        found = frames_of_predictions(videos, results, classes, rate, arguments.min_score or 0.0)
        scored, number = evaluate_videos(videos, found, classes, arguments.background)
        likely = frame_precision.of_predictions(videos, results, classes.index, rate)
    counts = {"annotated": len(videos), "predicted": number, "missing": len(videos) - number}
    value = {"subset": subset, "source": how} | measured(videos, scored, likely, classes) | {"videos": counts}
    head = f"{subset}: {len(videos):,} videos annotated, {number:,} predicted; values in percent"
    text = f"{head}{terminal.drawn(value['intervals'])}\n{how}, of {source}\n"
    options.show(value, text + terminal.frames(value, arguments.verbosity == "debug"), arguments)
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
