"""A prediction file in ActivityNet's layout -> checked entries; annotations and predictions -> columns to compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

import utils
from evaluation import detection, matching
from segments import Segment, as_compared

# video id -> [{"label": …, "score": …, "segment": [start, end]}]
Results = Mapping[str, list[dict]]


class UnknownLabelError(ValueError):
    """A prediction of a label that is not among the classes."""


def load_predictions(path: Path) -> dict[str, list[dict]]:
    """The `results` of a prediction file. Raises ValueError with the file, the place, and what was expected there."""
    value = utils.read_json(path)
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, dict):
        raise ValueError(f"{path}: expected an object with results: {{video id: [{{label, score, segment}}]}}")
    try:
        list(_entries(results))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    # names are written in one of two ways, and compared in one
    return {
        utils.composed(video): [entry | {"label": as_compared(entry["label"])} for entry in entries]
        for video, entries in results.items()
    }


def _entries(results: Results) -> Iterator[tuple[str, int, str, float, float, float]]:
    """Each prediction as (video, number in the video, label, score, start, end), checked."""
    for video, entries in results.items():
        if not isinstance(entries, list):
            raise ValueError(f"results.{video}: expected a list of predictions, received {entries!r:.80}")
        for number, entry in enumerate(entries):
            try:
                label, score, (start, end) = entry["label"], entry["score"], entry["segment"]
                usable = type(label) is str and start <= end and all(map(_is_number, (score, start, end)))
            except (KeyError, TypeError, ValueError, OverflowError):
                usable = False
            if not usable:
                raise ValueError(
                    f'results.{video}[{number}]: expected {{"label": text, "score": number, "segment": [start, end]}} '
                    f"with finite numbers and start <= end, received {entry!r:.160}"
                )
            yield video, number, label, score, start, end


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def columns(
    ground_truth: Mapping[str, Iterable[Segment]],
    results: Results,
    class_of: Mapping[str, str],
    source: str,
    ignore_unknown: bool = False,
) -> tuple[detection.Instances, detection.Instances, tuple[str, ...], int]:
    """Truth and predictions in columns, as `evaluation.detection` takes them.

    Args:
      ground_truth: video id -> its annotated segments; their labels are the classes.
      results: see `Results`.
      class_of: label -> class, of labels that predictions may name instead of a class.
      source: what the ground truth is called in messages.
      ignore_unknown: leave out predictions of other labels instead of raising UnknownLabelError.

    Returns:
      Truth; predictions, best first (ties in file order); the K class names; the number of predictions left out.

    Raises:
      ValueError: no annotated segment, or a prediction that cannot be read.
      UnknownLabelError: see `ignore_unknown`.
    """
    classes = tuple(sorted({segment.label for some in ground_truth.values() for segment in some}))
    if not classes:
        raise ValueError(f"{source}: no annotated segments to compare predictions with")
    index = {name: number for number, name in enumerate(classes)}
    # a class wins over a label of the same name
    index = {label: index[name] for label, name in class_of.items() if name in index} | index
    videos = {name: number for number, name in enumerate(dict.fromkeys([*ground_truth, *results]))}
    truths = [(videos[name], index[s.label], s.start, s.end) for name, some in ground_truth.items() for s in some]
    rows, scores, ignored = [], [], 0
    for video, number, label, score, start, end in _entries(results):
        if label in index:
            rows.append((videos[video], index[label], start, end))
            scores.append(score)
        elif ignore_unknown:
            ignored += 1
        else:
            raise UnknownLabelError(
                f"results.{video}[{number}].label: {label!r} is none of the {len(classes)} classes that "
                "the ground truth has in this subset; --ignore-unknown-labels leaves such predictions out"
            )

    def instances(values: list, order: np.ndarray | slice) -> detection.Instances:
        table = np.array(values, np.float64).reshape(-1, 4)[order]
        return detection.Instances(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:])

    return instances(truths, slice(None)), instances(rows, matching.best_first(scores)), classes, ignored
