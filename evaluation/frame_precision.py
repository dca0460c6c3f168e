"""Scores of each class at each frame -> frame mAP, which lets several classes be right at once.

The per-frame mean average precision of Yeung et al., "Every Moment Counts" (MultiTHUMOS): of each class, all frames of
all videos are ranked by their score for it; a frame is right where an annotated segment of the class covers it. Frames
of one score count together, so that their order in a file says nothing. Frames that share everything are kept as one
stretch: memory grows with the segments, not with frames times classes. Symbols: T frames, K classes, S stretches, N
predicted and M annotated segments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import segments
from annotations import Video
from evaluation import predictions
from prediction.score_file import ScoreFile

HALVES = 1 << 15  # float16 numbers that are not negative, by their bits
MOST_SCORES = 4_000_000  # counted at once: some 100 MB
MOST_CELLS = 20_000_000  # of a file's scores, up to which each video's are kept apart for intervals: some 500 MB
MOST_LEVELS = 1000  # of a class's scores that draws of the videos tell apart
SPARSE = 20  # places of videos times levels for each that is taken, from which on the empty ones are left out
MOST_LISTED = 100_000  # segments at once as Python's own numbers, which take 20 times the memory


@dataclass(frozen=True)
class Stretches:
    """Frames of one class, score and truth, in columns [S]. What is in none of them has no score and is wrong."""

    classes: np.ndarray  # int
    scores: np.ndarray  # float32; -inf is below any score
    frames: np.ndarray  # int, how many
    right: np.ndarray  # bool
    lengths: np.ndarray  # [V] int, frames of each video
    videos: np.ndarray | None  # int, 0 to V - 1; None where so many scores are known of all videos together only

    @property
    def total(self) -> int:
        return int(self.lengths.sum())


def of_predictions(
    videos: Sequence[Video], results: predictions.Results | predictions.Table, index: Mapping[str, int], rate: float
) -> Stretches:
    """Predicted segments as scores of frames, `rate` a second: each frame has the best score that covers it.

    Args:
      videos: the annotated ones; one without predictions has none of its frames found.
      results: predictions, see `predictions.Results`.
      index: numbers of the classes, background 0, by their labels.
      rate: frames a second.

    Raises:
      ValueError: a label that `index` lacks.
    """
    table = predictions.to_table(results)
    classes = predictions.class_numbers(table, index, videos)
    rows_of = table.rows()
    rows, spans, truth, frames, counts = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)], [], 0, {}
    for number, video in enumerate(videos):
        if (some := rows_of.get(video.id)) is None:
            continue
        times = segments.rate_grid(video.duration, rate)
        rows.append(np.arange(some.start, some.stop))
        spans.append(frames + np.searchsorted(times, table.spans[some], side="left"))
        truth.append(_truth(video, times, index, frames))
        counts[number] = len(times)
        frames += len(times)
    more, lengths = _without_scores(videos, rows_of, index, frames)
    lengths[list(counts)] = list(counts.values())
    kept = np.concatenate(rows)
    scored = classes[kept], np.concatenate(spans), table.scores[kept].astype(np.float32)
    return _stretches(*scored, np.concatenate([*truth, more]), lengths, _order(videos, rows_of))


def of_file(videos: Sequence[Video], path: Path, index: Mapping[str, int], num_classes: int) -> Stretches:
    """The scores that predictions_json.py keeps; of labels that are one class, the highest counts.

    They are float16, so few that the frames of each can be counted.
    """
    found, frames, scored = {}, {}, _Places(2 * num_classes * HALVES)
    with contextlib.closing(ScoreFile(path)) as scores:
        for owner, video in enumerate(videos):
            if (some := scores.frames(video.id)) is None:
                continue
            values = np.zeros((len(some[0]), num_classes), np.float16)
            for column, name in enumerate(scores.classes):
                number = index[name]
                values[:, number] = np.maximum(values[:, number], some[1][:, column])
            right = np.zeros(values.shape, bool)
            for number, first, end in _truth(video, some[0], index, 0).tolist():
                right[first:end, number] = True
            # each number a place: whether it is right, its class, its bits but that of the sign
            places = (values.view(np.uint16) & (HALVES - 1)) + HALVES * np.arange(num_classes)
            scored.add(owner, (places + right * (num_classes * HALVES)).ravel())
            found[video.id], frames[owner] = video, len(values)
    truth, lengths = _without_scores(videos, found, index, sum(frames.values()))
    lengths[list(frames)] = list(frames.values())
    none = np.zeros(0, np.int64)
    rest = _stretches(none, np.zeros((0, 2), np.int64), np.zeros(0, np.float32), truth, lengths, _order(videos, found))
    owners, place, number = scored.counted()
    right, place = np.divmod(place, num_classes * HALVES)
    halves = (place % HALVES).astype(np.uint16).view(np.float16)
    return Stretches(
        np.concatenate([place // HALVES, rest.classes]),
        np.concatenate([halves.astype(np.float32), rest.scores]),
        np.concatenate([number, rest.frames]),
        np.concatenate([right > 0, rest.right]),
        lengths,
        None if owners is None else np.concatenate([owners, rest.videos]),
    )


class _Places:
    """How many frames have each of `size` places: of every video, as long as that is few numbers, else of all."""

    def __init__(self, size: int):
        self._size, self._cells = size, 0
        self._each: list[tuple[int, np.ndarray, np.ndarray]] | None = []  # video, places, frames
        self._all, self._waiting = np.zeros(0, np.int64), [np.zeros(0, np.int64)]

    def add(self, video: int, places: np.ndarray) -> None:
        if self._each is None:
            self._waiting.append(places)
            if sum(map(len, self._waiting)) >= MOST_SCORES:
                self._count()
            return
        self._each.append((video, *np.unique(places, return_counts=True)))
        self._cells += len(self._each[-1][1])
        if self._cells > MOST_CELLS:
            self._all = np.zeros(self._size, np.int64)
            for _, place, number in self._each:
                self._all[place] += number
            self._each = None

    def counted(self) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """Videos, None where they are not told apart, places and numbers of frames, [S] int each."""
        if self._each is None:
            self._count()
            place = np.flatnonzero(self._all)
            return None, place, self._all[place]
        none = np.zeros(0, np.int64)
        videos = np.repeat([one[0] for one in self._each], [len(one[1]) for one in self._each]).astype(np.int64)
        place, number = (np.concatenate([none, *(one[n] for one in self._each)]) for n in (1, 2))
        return videos, place, number

    def _count(self) -> None:
        self._all += np.bincount(np.concatenate(self._waiting), minlength=self._size)
        self._waiting = [np.zeros(0, np.int64)]


def _order(videos: Sequence[Video], found: Mapping[str, object]) -> np.ndarray:
    """The numbers of the videos in the order in which their frames stand: those that are not `found` come last."""
    return np.argsort([video.id not in found for video in videos], kind="stable")


def _truth(video: Video, times: np.ndarray, index: Mapping[str, int], before: int) -> np.ndarray:
    """[M, 3] int: class, first frame and the one after the last of each annotated segment; `before` frames precede."""
    labelled = video.labelled_segments()
    spans = np.array([(one.start, one.end) for one in labelled], np.float64).reshape(-1, 2)
    inside = before + np.searchsorted(times, spans, side="left")
    return np.column_stack([np.array([index[one.label] for one in labelled], np.int64), inside])


def _without_scores(
    videos: Sequence[Video], found: Mapping[str, object], index: Mapping[str, int], frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """The truth [M, 3] of the videos that are not `found`, which has `frames` frames, and their frames [V], else 0.

    They are as densely sampled as the others.
    """
    seconds = sum(video.duration for video in videos if video.id in found)
    truth, lengths = [np.zeros((0, 3), np.int64)], np.zeros(len(videos), np.int64)
    for number, video in enumerate(videos):
        if video.id not in found and seconds:
            times = segments.grid_like(video.duration, frames, seconds)
            truth.append(_truth(video, times, index, frames + int(lengths.sum())))
            lengths[number] = len(times)
    return np.concatenate(truth), lengths


def _stretches(
    classes: np.ndarray, spans: np.ndarray, scores: np.ndarray, truth: np.ndarray, lengths: np.ndarray,
    order: np.ndarray,
) -> Stretches:  # fmt: skip
    """Predicted segments, classes [N], frames [N, 2] and scores [N], and annotated ones [M, 3] -> their stretches.

    lengths: [V] frames; order: [V] numbers of the videos as their frames follow one another.
    """
    total, ends = int(lengths.sum()), np.cumsum(lengths[order])
    # the frames of all classes on one line
    places = np.concatenate([classes[:, None] * total + spans, truth[:, :1] * total + truth[:, 1:]])
    borders, inside = np.unique(places, return_inverse=True)
    inside = inside.reshape(-1, 2)
    best, right = np.full(len(borders), -np.inf, np.float32), np.zeros(len(borders), bool)
    rising = np.argsort(scores, kind="stable")  # the best is written last
    for some in np.split(rising, range(MOST_LISTED, len(rising), MOST_LISTED)):
        for first, end, score in zip(*inside[some].T.tolist(), scores[some].tolist(), strict=True):
            best[first:end] = score
    for first, end in inside[len(classes) :].tolist():
        right[first:end] = True
    kept = np.flatnonzero(right | (best > -np.inf))
    frames = np.diff(borders, append=0)
    number, place = np.divmod(borders[kept], max(total, 1))
    # no segment, so no stretch goes beyond its video
    owners = order[np.searchsorted(ends, place, side="right")]
    return Stretches(number, best[kept], frames[kept], right[kept], lengths, owners)


def frame_average_precision(stretches: Stretches, num_classes: int) -> np.ndarray:
    """[K] from 0 to 1, background first; NaN for classes without a right frame, and for background."""
    order = np.argsort(stretches.classes, kind="stable")
    borders = np.searchsorted(stretches.classes[order], np.arange(num_classes + 1))
    result = np.full(num_classes, np.nan)
    for number in range(1, num_classes):
        rows = order[borders[number] : borders[number + 1]]
        frames, right = stretches.frames[rows], stretches.frames[rows] * stretches.right[rows]
        if right.any():
            scores = np.append(stretches.scores[rows], np.float32(-np.inf))
            rest = stretches.total - frames.sum()
            result[number] = average_precision(scores, np.append(frames, rest), np.append(right, 0))
    return result


def drawn_average_precisions(stretches: Stretches, weights: np.ndarray, num_classes: int) -> np.ndarray:
    """[R, K]: the same of each draw [R, V], of `intervals.draw`; NaN also for classes that a draw has no frame of.

    Beyond MOST_LEVELS levels of a class's score at which a frame is right, neighbours count as one.
    """
    if stretches.videos is None:
        raise ValueError("stretches whose videos are not known cannot be drawn")
    result, videos = np.full((len(weights), num_classes), np.nan), weights.shape[1]
    for number in range(1, num_classes):
        rows = np.flatnonzero(stretches.classes == number)
        owners, frames = stretches.videos[rows], stretches.frames[rows]
        right = frames * stretches.right[rows]
        if not right.any():
            continue
        rest = stretches.lengths - np.bincount(owners, frames, videos)  # of each video, frames without a score
        scores = np.concatenate([stretches.scores[rows], np.full(videos, -np.inf, np.float32)])
        owners, frames = np.concatenate([owners, np.arange(videos)]), np.concatenate([frames, rest])
        right = np.concatenate([right, np.zeros(videos)])
        _, place = np.unique(-scores, return_inverse=True)
        hit = np.bincount(place, right) > 0
        # levels without a right frame join the next one below; what is below the last changes nothing
        level, levels = np.cumsum(hit) - hit, int(hit.sum())
        if levels > MOST_LEVELS:
            level, levels = level * MOST_LEVELS // levels, MOST_LEVELS
        level = level[place]
        # most videos have no frame at most levels: what they have is summed level by level
        rising = np.argsort(level, kind="stable")
        rising = rising[: np.searchsorted(level[rising], levels)]
        shown, hits = (_of_levels(weights, owners, level, some, rising, levels) for some in (frames, right))
        precision, positives = np.cumsum(hits, axis=1) / np.maximum(np.cumsum(shown, axis=1), 1), hits.sum(axis=1)
        result[:, number] = (precision * hits).sum(axis=1) / np.where(positives > 0, positives, np.nan)
    return result


def _of_levels(
    weights: np.ndarray, owners: np.ndarray, level: np.ndarray, counts: np.ndarray, rising: np.ndarray, levels: int
) -> np.ndarray:
    """[R, levels]: how many frames of each level a draw has; `rising` are the entries in the order of their levels."""
    videos = weights.shape[1]
    if videos * levels < SPARSE * len(rising):
        cells = np.bincount(owners[rising] * levels + level[rising], counts[rising], videos * levels)
        return weights @ cells.reshape(videos, levels)
    first, step = np.searchsorted(level[rising], np.arange(levels)), max(1, MOST_SCORES // len(rising))
    return np.concatenate([
        np.add.reduceat(weights[start : start + step, owners[rising]] * counts[rising], first, axis=1)
        for start in range(0, len(weights), step)
    ])  # fmt: skip


def average_precision(scores: np.ndarray, frames: np.ndarray, right: np.ndarray) -> float:
    """The sum over falling scores of the precision there times the recall that they add.

    scores: [S]; frames, right: [S] how many frames have each, and how many of these are right.
    """
    _, place = np.unique(-scores, return_inverse=True)
    shown, hits = np.bincount(place, frames), np.bincount(place, right)
    precision = np.cumsum(hits) / np.cumsum(shown)
    return float((precision * hits).sum() / right.sum())
