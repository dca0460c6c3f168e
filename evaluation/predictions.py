"""A prediction file in ActivityNet's layout -> checked entries; annotations and predictions -> columns to compare.

Two readers give one result. The typed one is quick and takes what it is sure of; whatever it is not sure of, the
explaining one reads, which says what is wrong and where. Symbols: N predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

import utils
from annotations import Video
from evaluation import detection, matching
from segments import Segment, as_compared

# video id -> [{"label": …, "score": …, "segment": [start, end]}]
Results = Mapping[str, list[dict]]
LARGEST = 1e100  # of scores and seconds: differences and squares stay finite
EXACT = 2.0**53  # whole numbers from here on have no float64 of their own, and Python compares them as they are written


class UnknownLabelError(ValueError):
    """A prediction of a label that is not among the classes."""


@dataclass(frozen=True)
class Table:
    """N predictions in columns, in the order of their file: those of a video stand together."""

    names: tuple[str, ...]  # of videos, also of those without predictions
    labels: tuple[str, ...]
    videos: np.ndarray  # [N] int, places in `names`
    classes: np.ndarray  # [N] int, places in `labels`
    scores: np.ndarray  # [N]
    spans: np.ndarray  # [N, 2] seconds

    def rows(self) -> dict[str, slice]:
        """The predictions of each video."""
        borders = np.searchsorted(self.videos, np.arange(len(self.names) + 1)).tolist()
        return {name: slice(*borders[number : number + 2]) for number, name in enumerate(self.names)}

    def label_place(self, row: int) -> str:
        """Where the label of a prediction stands in the file."""
        name = self.names[self.videos[row]]
        return f"results.{name}[{row - self.rows()[name].start}].label"

    def without(self, labels: Iterable[str]) -> Table:
        """The predictions of other labels."""
        kept = ~np.isin(self.classes, [self.labels.index(label) for label in labels])
        columns = {name: getattr(self, name)[kept] for name in ("videos", "classes", "scores", "spans")}
        return self if kept.all() else replace(self, **columns)


@dataclass(frozen=True)
class Compared:
    """Truth and predictions of one evaluation in the same numbers; `classes` [K] and `videos` are their names."""

    truth: detection.Instances
    predicted: detection.Instances  # best first, ties in file order
    classes: tuple[str, ...]
    scores: np.ndarray  # [N] of the predictions, falling
    videos: tuple[str, ...]
    ignored: int  # predictions of labels that are not among the classes


class _Prediction(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    label: str
    score: float
    segment: tuple[float, float]


def load_predictions(path: Path) -> dict[str, list[dict]]:
    """The `results` of a prediction file. Raises ValueError with the file, the place, and what was expected there."""
    value = utils.read_json(path)
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, dict):
        raise ValueError(f"{path}: expected an object with results: {{video id: [{{label, score, segment}}]}}")
    try:
        for _ in _entries(results):
            pass
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    # names are written in one of two ways, and compared in one
    return {
        utils.composed(video): [entry | {"label": as_compared(entry["label"])} for entry in entries]
        for video, entries in results.items()
    }


def load_table(path: Path) -> Table:
    """The same predictions in columns, at six times the speed; refuses the same files with the same words."""
    path = Path(path)
    table = _typed(path.read_bytes()) if path.is_file() else None
    return table if table is not None else to_table(load_predictions(path))


def _typed(text: bytes) -> Table | None:
    """The predictions of a file that is plainly right; None where the explaining reader must look.

    What JSON libraries let pass and `utils.read_json` refuses, a key given twice, shows in the number of colons: each
    key has one, so that there are more of them than the kept keys and the texts account for.
    """
    decoder, numbers = msgspec.json.Decoder(list[_Prediction]), {}
    columns: list[list[np.ndarray]] = [[], [], []]
    try:
        # an escape that writes a letter or a colon would be counted otherwise than it reads
        if b"\\u00" in text and any(b"\\u00%d" % digit in text for digit in range(8)):
            return None
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        videos = msgspec.json.decode(members.pop("results"), type=dict[str, msgspec.Raw])
        rest = sum(bytes(member).count(b":") for member in members.values())
        for member in members.values():
            utils.parse_json(bytes(member).decode())
        for entries in videos.values():
            found = decoder.decode(entries)
            columns[0].append(np.array([numbers.setdefault(one.label, len(numbers)) for one in found], np.int64))
            columns[1].append(np.array([one.score for one in found], np.float64))
            columns[2].append(np.array([one.segment for one in found], np.float64).reshape(-1, 2))
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError):
        return None
    counts = [len(part) for part in columns[0]]
    classes, scores, spans = (np.concatenate([np.zeros((0, *shape)), *parts]) for parts, shape in zip(
        columns, ((), (), (2,)), strict=True))  # fmt: skip
    classes = classes.astype(np.int64)
    labels, names = tuple(numbers), tuple(videos)
    if any(label != as_compared(label) for label in labels) or any(name != utils.composed(name) for name in names):
        return None
    colons = 3 * len(classes) + len(names) + len(members) + 1 + rest + sum(name.count(":") for name in names)
    colons += sum(labels[n].count(":") * count for n, count in Counter(classes.tolist()).items())
    if colons != text.count(b":") or not _plain(scores) or not _plain(spans) or (spans[:, 0] > spans[:, 1]).any():
        return None
    return Table(names, labels, np.repeat(np.arange(len(names)), counts), classes, scores, spans)


def _plain(values: np.ndarray) -> bool:
    """Whether the numbers are finite and compare as they are written."""
    return bool((np.abs(values) < EXACT).all())


def to_table(results: Results | Table) -> Table:
    """The same in columns. Raises ValueError for a prediction that cannot be read."""
    if isinstance(results, Table):
        return results
    labels: dict[str, int] = {}
    videos, classes, scores, spans = [], [], [], []
    names = {name: number for number, name in enumerate(results)}
    for video, _, label, score, start, end in _entries(results):
        videos.append(names[video])
        classes.append(labels.setdefault(label, len(labels)))
        scores.append(score)
        spans.append((start, end))
    return Table(
        tuple(names), tuple(labels), np.array(videos, np.int64), np.array(classes, np.int64),
        np.array(scores, np.float64), np.array(spans, np.float64).reshape(-1, 2),
    )  # fmt: skip


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
                    f"with finite numbers (up to {LARGEST:g}) and start <= end, received {entry!r:.160}"
                )
            yield video, number, label, score, start, end


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def class_numbers(table: Table, index: Mapping[str, int], videos: Iterable[Video]) -> np.ndarray:
    """[N] int: the class of each prediction by its label, of the predictions of `videos`; -1 where others have none.

    Raises ValueError for a label that `index` lacks.
    """
    numbers = np.array([index.get(label, -1) for label in table.labels], np.int64)[table.classes]
    asked = {video.id for video in videos}
    inside = np.array([name in asked for name in table.names], bool)[table.videos]
    for row in np.flatnonzero(inside & (numbers < 0)):
        label = table.labels[table.classes[row]]
        raise ValueError(f"{table.label_place(int(row))}: {label!r} is not among the classes of the annotations")
    return numbers


def columns(
    ground_truth: Mapping[str, Iterable[Segment]],
    results: Results | Table,
    class_of: Mapping[str, str],
    source: str,
    ignore_unknown: bool = False,
) -> Compared:
    """Truth and predictions in columns, as `evaluation.detection` takes them.

    Args:
      ground_truth: video id -> its annotated segments; their labels are the classes.
      results: see `Results`, or what `load_table` read of a file.
      class_of: label -> class, of labels that predictions may name instead of a class.
      source: what the ground truth is called in messages.
      ignore_unknown: leave out predictions of other labels instead of raising UnknownLabelError.

    Raises:
      ValueError: no annotated segment, or a prediction that cannot be read.
      UnknownLabelError: see `ignore_unknown`.
    """
    classes = tuple(sorted({segment.label for some in ground_truth.values() for segment in some}))
    if not classes:
        raise ValueError(f"{source}: no annotated segments to compare predictions with")
    table = to_table(results)
    index = {name: number for number, name in enumerate(classes)}
    # a class wins over a label of the same name
    index = {label: index[name] for label, name in class_of.items() if name in index} | index
    videos = {name: number for number, name in enumerate(dict.fromkeys([*ground_truth, *table.names]))}
    numbers = np.array([index.get(label, -1) for label in table.labels], np.int64)[table.classes]
    unknown = np.flatnonzero(numbers < 0)
    if len(unknown) and not ignore_unknown:
        first = int(unknown[0])
        label = table.labels[table.classes[first]]
        raise UnknownLabelError(
            f"{table.label_place(first)}: {label!r} is not among the classes that the ground truth has in this "
            "subset; --ignore-unknown-labels leaves such predictions out"
        )
    kept = np.flatnonzero(numbers >= 0)
    order = kept[matching.best_first(table.scores[kept])]
    places = np.array([videos[name] for name in table.names], np.int64)
    predicted = detection.Instances(places[table.videos[order]], numbers[order], table.spans[order])
    truths = [(videos[name], index[s.label], s.start, s.end) for name, some in ground_truth.items() for s in some]
    true = np.array(truths, np.float64).reshape(-1, 4)
    truth = detection.Instances(true[:, 0].astype(np.int64), true[:, 1].astype(np.int64), true[:, 2:])
    return Compared(truth, predicted, classes, table.scores[order], tuple(videos), len(unknown))
