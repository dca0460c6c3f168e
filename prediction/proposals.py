"""Scores of sampled frames -> candidate segments with their scores: runs, stretches above levels, peaks, whole shots.

Symbols: T sampled frames of a video, K classes (0 is background), N segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import segments

if TYPE_CHECKING:
    from config import PredictSettings

EPSILON = 1e-9
OVERLAPS = np.linspace(0.5, 0.95, 10)  # tIoU thresholds of ActivityNet's average mAP
LEAST_LIKELY = 1e-3  # rows of shots that are less likely one action are not looked at
PAIRS_AT_ONCE = 4_000_000
LEAST_SPREAD = 0.1  # of the logarithm of a class's lengths: equal ones of few examples say little
LENGTH_EVIDENCE = 1 / 3  # power of how usual a peak's lengths are, by which its segments are less likely to be there
MOST_OF_A_PEAK, DISTINCT = 5, 0.8  # segments, and the tIoU that two of them have at most


@dataclass(frozen=True)
class Detections:
    """Segments [N, 2] in seconds with their classes [N] (1 and up) and scores [N] in 0..1, best first."""

    segments: np.ndarray
    classes: np.ndarray
    scores: np.ndarray

    def take(self, chosen: np.ndarray) -> Detections:
        return Detections(self.segments[chosen], self.classes[chosen], self.scores[chosen])


class Stretches(NamedTuple):
    """N stretches of frames [first, end) of the rows of scores, and the seconds that they start and end at; [N] each.

    They come row by row, in the order of time.
    """

    row: np.ndarray
    first: np.ndarray
    end: np.ndarray
    start_seconds: np.ndarray
    end_seconds: np.ndarray


def runs(probabilities: np.ndarray, boundaries: np.ndarray) -> Detections:
    """The original's way: runs of equal most likely class, scored by that class's mean probability."""
    first, end, classes = segments.label_runs(np.argmax(probabilities, axis=1))
    action = classes != segments.BACKGROUND
    first, end, classes = first[action], end[action], classes[action]
    scores = np.asarray([probabilities[a:b, k].mean() for a, b, k in zip(first, end, classes, strict=True)])
    return Detections(np.stack([boundaries[first], boundaries[end]], axis=1), classes, scores)


def shot_means(scores: np.ndarray, boundaries: np.ndarray, cuts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The first frames of the S shots and T behind them [S + 1], and their mean scores over time [S, K]."""
    inner = np.zeros(len(scores) - 1, bool) if cuts is None else cuts[1:]
    borders = np.flatnonzero(np.concatenate([[True], inner, [True]]))
    widths = np.diff(boundaries)
    sums = np.add.reduceat(scores * widths[:, None], borders[:-1])
    return borders, sums / np.maximum(np.add.reduceat(widths, borders[:-1]), EPSILON)[:, None]


def rows_of_shots(scores: np.ndarray, boundaries: np.ndarray, cuts: np.ndarray | None, max_shots: int) -> Detections:
    """Up to `max_shots` (0: any number of) whole shots in a row, for videos whose actions begin and end at cuts.

    Shots count as independent, each showing class k with q_k, the mean of its score. So a row of shots is one action
    and no part of a longer one with the probability (1 - q_k of the shot before) * the product of its q_k * (1 - q_k of
    the shot after). A row's score is the share of the tIoU thresholds OVERLAPS that it is expected to reach: the sum
    over all rows, itself included, of their probability times the share that its tIoU with them reaches.
    """
    if not len(scores):
        return Detections(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    borders, means = shot_means(scores, boundaries, cuts)
    first, end = np.triu_indices(len(borders), 1)
    near = end - first <= (max_shots or len(borders))
    first, end = first[near], end[near]
    inside = np.pad(np.cumsum(np.log(np.maximum(means, EPSILON)), axis=0), ((1, 0), (0, 0)))  # [S + 1, K]
    others = np.pad(1 - means, ((1, 1), (0, 0)), constant_values=1)  # [S + 2, K]
    spans, classes, values = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]
    for label in range(1, scores.shape[1]):
        likely = np.exp(inside[end, label] - inside[first, label]) * others[first, label] * others[end + 1, label]
        rows = np.flatnonzero(likely >= LEAST_LIKELY)
        span = np.stack([boundaries[borders[first[rows]]], boundaries[borders[end[rows]]]], axis=1)
        spans.append(span)
        classes.append(np.full(len(rows), label))
        values.append(_expected_share(span, likely[rows]))
    return Detections(np.concatenate(spans), np.concatenate(classes), np.concatenate(values))


def _expected_share(spans: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """The share [..., N] of OVERLAPS that spans [..., N, 2] are expected to reach, each the true one with `likely`."""
    expected = np.zeros(likely.shape)
    step = max(PAIRS_AT_ONCE // max(likely.size, 1), 1)
    for start in range(0, likely.shape[-1], step):
        overlaps = np.nan_to_num(segments.tiou(spans[..., start : start + step, :], spans))
        # rounding shall not take a threshold away that is met exactly
        share = np.searchsorted(OVERLAPS, overlaps + EPSILON, side="right") / len(OVERLAPS)
        expected[..., start : start + step] = np.einsum("...nm,...m->...n", share, likely)
    return np.clip(expected, 0, 1)


def peaks(
    probabilities: np.ndarray, boundaries: np.ndarray, segment_seconds: np.ndarray | None, settings: PredictSettings
) -> Detections:
    """The likeliest segments about each peak of a class's score, a stretch in which no higher level is reached.

    Where a score is the probability that the action is on, it also is the probability that the action has begun, and
    behind the peak that it has not ended: evenly spaced levels are passed at times that are equally likely borders. So
    each pair of a level before and a level behind a peak is the action's segment with equal probability, times the
    likelihood of its length (`_usual_length`). Together these have the peak's height as probability, less where all
    their lengths are unusual. A segment's score is the share of OVERLAPS that it is expected to reach.
    """
    scores = probabilities[:, 1:].T  # [K - 1, T]
    levels = [_above(scores, level, boundaries) for level in sorted(settings.thresholds)]
    keys = [level.row * len(probabilities) + level.first for level in levels]  # rising
    parts = [(np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))]
    for number, (highest, key) in enumerate(zip(levels, keys, strict=True), start=1):
        higher = keys[number] if number < len(keys) else np.zeros(0, np.int64)
        tops = np.setdiff1d(np.arange(len(key)), np.searchsorted(key, higher, side="right") - 1)
        step = max(PAIRS_AT_ONCE // number**4, 1)
        for begin in range(0, len(tops), step):
            some = tops[begin : begin + step]
            # the stretches that hold a top: one of each level up to its own
            about = [np.searchsorted(lower, key[some], side="right") - 1 for lower in keys[:number]]
            starts = np.stack([level.start_seconds[index] for level, index in zip(levels, about, strict=False)], axis=1)
            ends = np.stack([level.end_seconds[index] for level, index in zip(levels, about, strict=False)], axis=1)
            frames = zip(highest.row[some], highest.first[some], highest.end[some], strict=True)
            height = np.asarray([scores[row, first:end].max() for row, first, end in frames])
            parts.append(_about_peaks(starts, ends, height, 1 + highest.row[some], segment_seconds, settings))
    return Detections(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _about_peaks(
    starts: np.ndarray,
    ends: np.ndarray,
    height: np.ndarray,
    classes: np.ndarray,
    segment_seconds: np.ndarray | None,
    settings: PredictSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest segments [N, 2], classes [N] and scores [N] about P peaks, as `peaks` defines them.

    Args:
      starts, ends: [P, L] seconds, where L levels are passed before and behind each peak.
      height: [P], its highest score.
      classes: [P].
      segment_seconds, settings: as for `decoding.decode`.
    """
    count, levels = starts.shape
    spans = np.stack([np.repeat(starts, levels, axis=1), np.tile(ends, levels)], axis=-1)  # [P, L * L, 2]
    usual = _usual_length(np.ptp(spans, axis=-1), classes, segment_seconds, settings.length_weight)
    exists = height * usual.mean(axis=1) ** LENGTH_EVIDENCE
    values = _expected_share(spans, usual * (exists / usual.sum(axis=1))[:, None])
    left, each = np.ones(values.shape, bool), np.arange(count)
    chosen = []
    for _ in range(MOST_OF_A_PEAK):
        best = np.argmax(np.where(left, values, -1), axis=1)
        kept = left[each, best]
        chosen.append((spans[each, best][kept], classes[kept], values[each, best][kept]))
        left &= np.nan_to_num(segments.tiou(spans[each, best][:, None], spans))[:, 0] <= DISTINCT
        left[each, best] = False
    likeliest, labels, scores = (np.concatenate(values) for values in zip(*chosen, strict=True))
    return likeliest, labels, scores


def _usual_length(
    seconds: np.ndarray, classes: np.ndarray, segment_seconds: np.ndarray | None, weight: float
) -> np.ndarray:
    """How usual lengths [P, N] of classes [P] are: over 0, to 1; 1 where nothing is known of them.

    The logarithm of a class's training lengths counts as normal; its density over its highest, to the power `weight`.
    """
    if segment_seconds is None:
        return np.ones(seconds.shape)
    logs = np.log(np.maximum(segment_seconds, EPSILON))
    spread = np.maximum(logs.std(axis=1), LEAST_SPREAD)
    away = (np.log(np.maximum(seconds, EPSILON)) - logs.mean(axis=1)[classes, None]) / spread[classes, None]
    known = segment_seconds[classes, -1:] > 0
    return np.where(known, np.maximum(np.exp(-0.5 * weight * np.square(away)), EPSILON), 1.0)


def stretches(probabilities: np.ndarray, boundaries: np.ndarray, settings: PredictSettings) -> Detections:
    """Stretches in which a class's score stays above a level, for every class and level (as in TAG, Zhao et al. 2017).

    With `gap_seconds`, neighbouring stretches with a shorter gap also come as one. A stretch's score is the mean inside
    less `contrast` times that of its surroundings: one that stands out is more likely whole than one cut from a longer
    one.
    """
    scores = probabilities[:, 1:].T  # [K - 1, T]
    spans, classes, values = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0)]

    def add(row: np.ndarray, first: np.ndarray, end: np.ndarray, span: np.ndarray) -> None:
        spans.append(span)
        classes.append(row + 1)
        values.append(_contrast(scores, row, first, end, settings))

    for level in settings.thresholds:
        row, first, end, starts, ends = _above(scores, level, boundaries)
        add(row, first, end, np.stack([starts, ends], axis=1))
        if settings.gap_seconds:
            apart = np.concatenate([[True], (row[1:] != row[:-1]) | (starts[1:] - ends[:-1] > settings.gap_seconds)])
            left, right = np.flatnonzero(apart[: len(row)]), np.flatnonzero(np.append(apart[1:], True)[: len(row)])
            left, right = left[left < right], right[left < right]
            add(row[left], first[left], end[right], np.stack([starts[left], ends[right]], axis=1))
    return Detections(np.concatenate(spans), np.concatenate(classes), np.concatenate(values))


def _above(scores: np.ndarray, level: float, boundaries: np.ndarray) -> Stretches:
    """The stretches of each row of `scores` [R, T] that are not below `level`."""
    above = np.pad(scores >= level, ((0, 0), (1, 1)))
    change = np.diff(above.astype(np.int8), axis=1)  # [R, T + 1]
    row, first = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]  # the same rows in the same order: each stretch that begins also ends
    start_seconds, end_seconds = (_crossing(scores, row, frame, level, boundaries) for frame in (first, end))
    return Stretches(row, first, end, start_seconds, end_seconds)


def _crossing(
    scores: np.ndarray, row: np.ndarray, frame: np.ndarray, level: float, boundaries: np.ndarray
) -> np.ndarray:
    """When the score of each `row` passes `level` between the sampled frames `frame` - 1 and `frame`; [N] seconds.

    Linear between the centres of the two frames' intervals, so that a jump from 0 to 1 passes 0.5 on the boundary.
    """
    last = scores.shape[1]
    inner = (frame > 0) & (frame < last)
    left, right = np.clip(frame - 1, 0, last - 1), np.clip(frame, 0, last - 1)
    before, after = scores[row, left], scores[row, right]
    rise = np.where(np.abs(after - before) > EPSILON, after - before, 1.0)
    share = np.clip((level - before) / rise, 0, 1)
    centres = segments.frame_centres(boundaries)
    return np.where(inner, centres[left] + share * (centres[right] - centres[left]), boundaries[frame])


def _contrast(
    scores: np.ndarray, row: np.ndarray, first: np.ndarray, end: np.ndarray, settings: PredictSettings
) -> np.ndarray:
    """Mean score of frames [first, end) less `contrast` times the mean of their surroundings, at least 0; [N].

    The surroundings reach `context` of the length on each side, and at least one frame.
    """
    total = np.pad(np.cumsum(scores, axis=1), ((0, 0), (1, 0)))  # [K - 1, T + 1]
    length = end - first
    reach = np.maximum(np.round(length * settings.context).astype(np.int64), 1)
    before, after = np.maximum(first - reach, 0), np.minimum(end + reach, scores.shape[1])
    inside = total[row, end] - total[row, first]
    around = total[row, after] - total[row, before] - inside
    outside = around / np.maximum((after - before) - length, 1)
    return np.clip(inside / length - settings.contrast * outside, 0, 1)
