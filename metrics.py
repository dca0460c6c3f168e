"""Predictions and annotations in ActivityNet's JSON layout -> mAP, AR@AN and video classification, as JSON and a table.

It evaluates anybody's predictions, needs no TensorFlow and never goes online. Symbols: K classes, L tIoU thresholds.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

import annotations
import config
import utils
from annotations import Annotations
from evaluation import errors, options, segmentation
from evaluation.detection import (
    Classification,
    Detection,
    Proposals,
    average_precision,
    average_recall,
    classification,
)
from evaluation.predictions import Results, UnknownLabelError, columns, load_predictions
from segments import Segment

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
PROTOCOLS = ("activitynet", "opentad")
SAME_SECONDS = 1e-3  # what OpenTAD takes for one annotation given twice
SHOWN_RECALLS = (1, 5, 10, 50, 100)
MOST_CLASSES_SHOWN = 20
# `metrics.py errors …` and `metrics.py frames …`
OTHER_MEASURES = {"errors": errors, "frames": segmentation}


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with annotations.

    activitynet: as the official code, oddities of the annotations included. opentad: as OpenTAD
    (sming256/OpenTAD, opentad/evaluations), which leaves out annotations without length and given twice, and
    predictions of classes that the subset does not have.
    """

    name: str = "activitynet"
    thresholds: tuple[float, ...] = THRESHOLDS  # [L] rising

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}, received {self.name!r}")
        steps = np.diff(self.thresholds)
        if not len(self.thresholds) or not all(0 <= value <= 1 for value in self.thresholds) or (steps <= 0).any():
            raise ValueError(f"tIoU thresholds: expected rising numbers from 0 to 1, received {self.thresholds}")


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of one subset; shares are 0 to 1."""

    subset: str
    protocol: Protocol
    detection: Detection
    proposals: Proposals
    classification: Classification
    videos: dict[str, int]  # annotated = predicted + missing
    predictions: int
    ignored: int  # predictions of unknown labels

    @property
    def mAP(self) -> np.ndarray:
        return self.detection.mAP

    @property
    def average_mAP(self) -> float:
        return self.detection.average_mAP


def evaluate_detection(
    ground_truth: Mapping[str, Iterable[Segment]], results: Results, thresholds: Iterable[float] = THRESHOLDS
) -> Detection:
    """Average precision of predictions, as ActivityNet's evaluation defines it.

    Args:
      ground_truth: video id -> its annotated segments; their labels are the classes.
      results: see `Results`; predictions of other videos count as wrong.
      thresholds: [L] rising tIoU.

    Raises:
      ValueError: no annotated segment, or a prediction that cannot be read.
      UnknownLabelError: a prediction of a label that the ground truth does not have.
    """
    thresholds = np.array(Protocol(thresholds=tuple(thresholds)).thresholds)
    truth, predicted, classes, _ = columns(ground_truth, results, {}, "ground truth")
    return average_precision(truth, predicted, classes, thresholds)


def evaluate(
    annotated: Annotations,
    results: Results,
    subset: str,
    taxonomy_level: int = annotations.LEAF_LEVEL,
    protocol: Protocol | None = None,
    ignore_unknown_labels: bool = False,
) -> Evaluation:
    """Measure predictions of a subset.

    Args:
      annotated: the ground truth; segments count as the file has them, beyond the video's end and given twice.
      results: see `Results`. Labels may be classes at `taxonomy_level` or annotated labels under them.
      subset: training, validation or testing.
      taxonomy_level: 0 to 3; the classes are those that the subset's segments have at this level.
      protocol: None is ActivityNet's.
      ignore_unknown_labels: leave out, and count, predictions of labels that are not among the classes.

    Raises:
      ValueError: as `evaluate_detection`, or a subset without annotated segments.
    """
    protocol = protocol or Protocol()
    videos, class_of = annotated.subset(subset), annotated.class_of(taxonomy_level)
    truth = {v.id: [Segment(s.start, s.end, class_of[s.label]) for s in v.segments] for v in videos}
    if protocol.name == "opentad":
        truth = {name: _without_repeats(segments) for name, segments in truth.items()}
        ignore_unknown_labels = True
    source = f"{annotated.source}: subset {subset}"
    true, predicted, classes, ignored = columns(truth, results, class_of, source, ignore_unknown_labels)
    present = sum(video.id in results for video in videos)
    if not present:
        utils.LOGGER.warning("no %s video has predictions; ids such as %r are expected", subset, videos[0].id)
    elif others := [name for name in results if name not in truth]:
        utils.LOGGER.warning(
            "%d of %d videos with predictions are not in subset %s, such as %r: their predictions count as wrong; ids "
            "such as %r are expected", len(others), len(results), subset, others[0], videos[0].id,
        )  # fmt: skip
    levels = np.array(protocol.thresholds)
    return Evaluation(
        subset, protocol,
        average_precision(true, predicted, classes, levels),
        average_recall(true, predicted, levels),
        classification(true, predicted, len(classes)),
        {"annotated": len(videos), "predicted": present, "missing": len(videos) - present},
        len(predicted.videos), ignored,
    )  # fmt: skip


def _without_repeats(segments: list[Segment]) -> list[Segment]:
    """The segments that have a length, without those that repeat an earlier one to within SAME_SECONDS."""
    kept: list[Segment] = []
    for one in segments:
        same = any(
            one.label == k.label and abs(one.start - k.start) <= SAME_SECONDS and abs(one.end - k.end) <= SAME_SECONDS
            for k in kept
        )
        if one.start < one.end and not same:
            kept.append(one)
    return kept


def to_json(scored: Evaluation) -> dict:
    """What is written as `metrics_<subset>.json`; shares are 0 to 1."""
    thresholds = map(_threshold_name, scored.protocol.thresholds)
    return {
        "subset": scored.subset,
        "protocol": scored.protocol.name,
        "average_mAP": scored.average_mAP,
        "mAP": dict(zip(thresholds, scored.mAP.tolist(), strict=True)),
        "AP": dict(zip(scored.detection.classes, scored.detection.AP.mean(axis=1).tolist(), strict=True)),
        "proposals": {
            "AR": {str(number): float(scored.proposals.recall[number - 1]) for number in SHOWN_RECALLS},
            "AUC": scored.proposals.area,
        },
        "classification": {
            "mAP": scored.classification.mAP,
            **{f"top_{k}": share for k, share in scored.classification.top.items()},
        },
        "videos": scored.videos,
        "predictions": scored.predictions,
        "ignored_predictions": scored.ignored,
    }


def _threshold_name(value: float) -> str:
    return f"{value:.2f}" if math.isclose(value, round(value, 2), abs_tol=1e-9) else f"{value:.6g}"


def table(scored: Evaluation, every_class: bool = False) -> str:
    """Aligned lines for the terminal, in percent."""
    value = to_json(scored)
    counts = value["videos"]
    lines = [
        f"{value['subset']}: {counts['annotated']:,} videos annotated, {counts['predicted']:,} predicted, "
        f"{counts['missing']:,} missing; {value['predictions']:,} predictions, "
        f"{len(value['AP'])} class{'es' * (len(value['AP']) != 1)}"
        + (f", {value['ignored_predictions']:,} predictions of other labels ignored" if scored.ignored else ""),
        f"protocol {value['protocol']}; values in percent",
        "",
        f"{'average mAP':<12}{100 * value['average_mAP']:.2f}",
    ]
    thresholds = list(value["mAP"].items())
    for first in range(0, len(thresholds), 10):
        lines += _row("tIoU", "mAP", thresholds[first : first + 10])
    recalls = [(f"AR@{number}", recall) for number, recall in value["proposals"]["AR"].items()]
    lines += _row("proposals", "", [*recalls, ("AUC", value["proposals"]["AUC"])])
    lines += _row("videos", "", [(name.replace("_", "-"), share) for name, share in value["classification"].items()])
    if every_class or len(value["AP"]) <= MOST_CLASSES_SHOWN:
        width = max(map(len, ("class", *value["AP"]))) + 2
        best_first = sorted(value["AP"].items(), key=lambda item: (-item[1], item[0]))
        lines += ["", f"{'class':<{width}}{'AP':>6}"]
        lines += [f"{name:<{width}}{100 * share:6.2f}" for name, share in best_first]
    return "\n".join(lines)


def _row(head: str, name: str, columns: list[tuple[str, float]]) -> list[str]:
    return [
        "",
        f"{head:<10}" + "".join(f"{title:>7}" for title, _ in columns),
        f"{name:<10}" + "".join(f"{100 * share:>7.2f}" for _, share in columns),
    ]


def parse_thresholds(text: str) -> tuple[float, ...]:
    """`0.5`, `0.3,0.5,0.7` or `0.5:0.95:0.05` (first, last, step; both ends included) as rising thresholds."""
    try:
        if ":" in text:
            first, last, step = map(float, text.split(":"))
            steps = math.floor((last - first) / step + 1e-6)
            # as it was written, not as a sum of steps that rounding moved
            end = last if math.isclose(first + steps * step, last) else first + steps * step
            values = np.linspace(first, end, steps + 1)
        else:
            values = [float(part) for part in text.split(",")]
        return Protocol(thresholds=tuple(map(float, values))).thresholds
    except (ValueError, ZeroDivisionError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"expected rising numbers from 0 to 1 as 0.5, 0.3,0.5,0.7 or 0.5:0.95:0.05, received {text!r}"
        ) from None


def run(settings: config.Config, arguments: argparse.Namespace) -> None:
    """Evaluate what the command line names, else what the settings do; write the JSON and print the table."""
    subset, path = settings.predict.subset, options.predictions_file(settings.paths, settings.predict.subset, arguments)
    results = load_predictions(path)
    annotated = annotations.load(options.ground_truth_file(settings.paths, arguments))
    level, protocol = settings.data.taxonomy_level, Protocol(arguments.protocol, arguments.tiou)
    try:
        scored = evaluate(annotated, results, subset, level, protocol, arguments.ignore_unknown_labels)
    except UnknownLabelError as error:
        raise ValueError(f"{path}: {error}") from None
    print(table(scored, arguments.verbosity == "debug"))
    options.write(to_json(scored), "metrics", settings.paths, settings.predict.subset, arguments)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OTHER_MEASURES:
        return OTHER_MEASURES[argv[0]].main(argv[1:])
    parser = options.make_parser(
        "Evaluate predictions in ActivityNet's JSON layout: mAP, AR@AN of proposals, video classification.\n\n"
        "metrics.py errors  what kinds of errors there are, and which segments are missed (DETAD)\n"
        "metrics.py frames  frame accuracy, edit score and F1@{10,25,50}; each with --help of its own",
        "metrics",
    )
    add = parser.add_argument
    add("--tiou", type=parse_thresholds, default=THRESHOLDS, metavar="THRESHOLDS",
        help="0.5, 0.3,0.5,0.7 or first:last:step; ActivityNet's are 0.5:0.95:0.05")  # fmt: skip
    add("--protocol", choices=PROTOCOLS, default="activitynet",
        help="opentad leaves out annotations without length or given twice")  # fmt: skip
    add("--ignore-unknown-labels", action="store_true", help="leave out predictions of classes the subset lacks")
    return options.run_script(parser, argv, run)


if __name__ == "__main__":
    raise SystemExit(main())
