"""How a data set's predictions are compared with its annotations, by the words of each benchmark's own evaluation.

Presets (`metrics.py --preset NAME`), with the code that papers on the data set compare with:

  activitynet, hacs, fineaction  tIoU 0.5 to 0.95 (activitynet/ActivityNet, Evaluation/eval_detection.py)
  thumos14     tIoU 0.3 to 0.7; a wrong prediction that overlaps a segment labelled Ambiguous, by however little, does
               not count (THUMOS14's TH14eventdetpr.m: "overlapping detections will be removed from the FP list")
  multithumos  tIoU 0.1 to 0.9; frame mAP is that of `metrics.py frames`
  epic         tIoU 0.1 to 0.5; an action is a verb and a noun, and verbs and nouns are also measured alone, with the
               same predictions and scores (epic-kitchens/C2-Action-Detection)
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segments import Segment

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RULES = ("activitynet", "opentad")
SAME_SECONDS = 1e-3  # what OpenTAD takes for one annotation given twice


@dataclass(frozen=True)
class Protocol:
    """How predictions are compared with annotations.

    activitynet: as the official code, oddities of the annotations included. opentad: as OpenTAD
    (sming256/OpenTAD, opentad/evaluations), which leaves out annotations without length and given twice, and
    predictions of classes that the subset does not have.
    """

    name: str = "activitynet"
    thresholds: tuple[float, ...] = THRESHOLDS  # [L] rising
    preset: str = ""
    ambiguous: str = ""  # label of segments near which nothing counts as wrong; "" for none
    parts: tuple[str, ...] = ()  # what the words of a label name, each measured alone as well

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise ValueError(f"protocol: expected one of {', '.join(RULES)}, received {self.name!r}")
        steps = np.diff(self.thresholds)
        if not len(self.thresholds) or not all(0 <= value <= 1 for value in self.thresholds) or (steps <= 0).any():
            raise ValueError(f"tIoU thresholds: expected rising numbers from 0 to 1, received {self.thresholds}")


def _steps(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(np.round(np.linspace(first, last, count), 6).tolist())


PRESETS = {
    "activitynet": Protocol(preset="activitynet"),
    "thumos14": Protocol(thresholds=_steps(0.3, 0.7, 5), preset="thumos14", ambiguous="ambiguous"),
    "epic": Protocol(thresholds=_steps(0.1, 0.5, 5), preset="epic", parts=("verb", "noun")),
    "multithumos": Protocol(thresholds=_steps(0.1, 0.9, 9), preset="multithumos"),
    "fineaction": Protocol(preset="fineaction"),
    "hacs": Protocol(preset="hacs"),
}


def split_truth(
    truth: Mapping[str, list[Segment]], protocol: Protocol
) -> tuple[dict[str, list[Segment]], dict[str, list[Segment]]]:
    """The segments that count, and those near which nothing is wrong, of each video."""
    counted = {name: [s for s in some if not is_ambiguous(s.label, protocol)] for name, some in truth.items()}
    near = {name: [s for s in some if is_ambiguous(s.label, protocol)] for name, some in truth.items()}
    if protocol.name == "opentad":
        counted = {name: _without_repeats(segments) for name, segments in counted.items()}
    return counted, near


def is_ambiguous(label: str, protocol: Protocol) -> bool:
    return bool(protocol.ambiguous) and label.casefold() == protocol.ambiguous


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


def part_of(label: str, place: int, parts: tuple[str, ...]) -> str:
    """The verb or the noun of a label such as `take,plate`, or `take plate` where it holds no comma.

    Raises ValueError for a label without as many words.
    """
    separator = "," if "," in label else None
    words = [word.strip() for word in label.split(separator, len(parts) - 1)]
    if len(words) < len(parts) or not all(words):
        raise ValueError(
            f"label {label!r}: expected {' and '.join(parts)}, as in 'take,plate': this preset measures each"
        )
    return words[place]


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
