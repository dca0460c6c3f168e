"""Annotations and predictions of one subset -> everything that is measured of it, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

import annotations
import utils
from annotations import Annotations
from evaluation import predictions, protocols
from evaluation.detection import (
    Classification,
    Detection,
    Instances,
    Proposals,
    Ranked,
    average_recall,
    classification,
    rank,
)
from evaluation.predictions import Compared, Results, Table
from evaluation.protocols import Protocol
from segments import Segment

SHOWN_RECALLS = (1, 5, 10, 50, 100)


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of one subset; shares are 0 to 1."""

    subset: str
    protocol: Protocol
    detection: Detection
    proposals: Proposals
    classification: Classification
    videos: dict[str, int]  # annotated = predicted + missing
    compared: Compared
    ranked: Ranked
    parts: dict[str, Evaluation] = field(default_factory=dict)  # of EPIC's verbs and nouns

    @property
    def mAP(self) -> np.ndarray:
        return self.detection.mAP

    @property
    def average_mAP(self) -> float:
        return self.detection.average_mAP

    @property
    def predictions(self) -> int:
        return len(self.compared.scores)

    @property
    def ignored(self) -> int:
        """Predictions of unknown labels."""
        return self.compared.ignored


def evaluate_detection(
    ground_truth: Mapping[str, Iterable[Segment]],
    results: Results,
    thresholds: Iterable[float] = protocols.THRESHOLDS,
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
    levels = np.array(Protocol(thresholds=tuple(thresholds)).thresholds)
    compared = predictions.columns(ground_truth, results, {}, "ground truth")
    ranked = rank(compared.truth, compared.predicted, levels, len(compared.classes))
    return Detection(compared.classes, levels, ranked.areas(len(compared.classes)))


def evaluate(
    annotated: Annotations,
    results: Results | Table,
    subset: str,
    taxonomy_level: int = annotations.LEAF_LEVEL,
    protocol: Protocol | None = None,
    ignore_unknown_labels: bool = False,
) -> Evaluation:
    """Measure predictions of a subset.

    Args:
      annotated: the ground truth; segments count as the file has them, beyond the video's end and given twice.
      results: see `Results`, or what `load_table` read. Labels may be classes at `taxonomy_level` or annotated labels
        under them.
      subset: training, validation or testing.
      taxonomy_level: 0 to 3; the classes are those that the subset's segments have at this level.
      protocol: None is ActivityNet's.
      ignore_unknown_labels: leave out, and count, predictions of labels that are not among the classes.

    Raises:
      ValueError: as `evaluate_detection`, or a subset without annotated segments.
    """
    protocol = protocol or Protocol()
    table = predictions.to_table(results)
    videos, class_of = annotated.subset(subset), annotated.class_of(taxonomy_level)
    truth = {v.id: [Segment(s.start, s.end, class_of[s.label]) for s in v.segments] for v in videos}
    present = len(truth.keys() & set(table.names))
    counts = {"annotated": len(videos), "predicted": present, "missing": len(videos) - present}
    source = f"{annotated.source}: subset {subset}"
    ignore = ignore_unknown_labels or protocol.name == "opentad"
    whole = _measure(truth, table, class_of, protocol, (source, subset, counts, ignore))
    if not present:
        utils.LOGGER.warning("no %s video has predictions; ids such as %r are expected", subset, videos[0].id)
    elif others := [name for name in table.names if name not in truth]:
        utils.LOGGER.warning(
            "%d of %d videos with predictions are not in subset %s, such as %r: their predictions count as wrong; ids "
            "such as %r are expected", len(others), len(table.names), subset, others[0], videos[0].id,
        )  # fmt: skip
    parts = {}
    for place, part in enumerate(protocol.parts):
        part_of = {label: protocols.part_of(class_of.get(label, label), place, protocol.parts)
                   for label in {*class_of, *table.labels, *class_of.values()}}  # fmt: skip
        words = {v: [Segment(s.start, s.end, part_of[s.label]) for s in some] for v, some in truth.items()}
        parts[part] = _measure(words, table, part_of, protocol, (source, subset, counts, ignore))
    return replace(whole, parts=parts)


def _measure(
    truth: Mapping[str, list[Segment]], table: Table, class_of: Mapping[str, str], protocol: Protocol, told: tuple
) -> Evaluation:
    """`evaluate` for classes that are known; `told`: source, subset, counts of videos, whether to ignore labels."""
    source, subset, counts, ignore = told
    counted, near = protocols.split_truth(truth, protocol)
    table = table.without(label for label in table.labels if protocols.is_ambiguous(label, protocol))
    compared = predictions.columns(counted, table, class_of, source, ignore)
    levels, size = np.array(protocol.thresholds), len(compared.classes)
    numbers = {name: number for number, name in enumerate(compared.videos)}
    places = [(numbers[name], 0, s.start, s.end) for name, some in near.items() for s in some]
    beside = np.array(places, np.float64).reshape(-1, 4)
    ranked = rank(
        compared.truth, compared.predicted, levels, size,
        Instances(beside[:, 0].astype(np.int64), beside[:, 1].astype(np.int64), beside[:, 2:]),
    )  # fmt: skip
    return Evaluation(
        subset, protocol,
        Detection(compared.classes, levels, ranked.areas(size)),
        average_recall(compared.truth, compared.predicted, levels),
        classification(compared.truth, compared.predicted, size),
        counts, compared, ranked,
    )  # fmt: skip


def to_json(scored: Evaluation) -> dict:
    """What is written as `metrics_<subset>.json`; shares are 0 to 1."""
    preset = {"preset": scored.protocol.preset} if scored.protocol.preset else {}
    parts = {"parts": {name: _shares(part) for name, part in scored.parts.items()}} if scored.parts else {}
    return {
        "subset": scored.subset,
        "protocol": scored.protocol.name,
        **preset,
        **_shares(scored),
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
        **parts,
    }


def _shares(scored: Evaluation) -> dict:
    names = map(threshold_name, scored.protocol.thresholds)
    return {
        "average_mAP": scored.average_mAP,
        "mAP": dict(zip(names, scored.mAP.tolist(), strict=True)),
        "AP": dict(zip(scored.detection.classes, scored.detection.AP.mean(axis=1).tolist(), strict=True)),
    }


def threshold_name(value: float) -> str:
    return f"{value:.2f}" if math.isclose(value, round(value, 2), abs_tol=1e-9) else f"{value:.6g}"
