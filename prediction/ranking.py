"""Scores of videos that nobody has labelled yet -> the order in which labelling them helps most.

A video is worth what it adds to the logarithm of each class's labelled seconds: much where the model expects classes of
which little is labelled, little where they are well known. Each choice counts as labelled for the next, which keeps the
choices unlike each other. The order by uncertainty alone did worse.

Symbols: T sampled frames of a video, K classes with background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segments import BACKGROUND

KNOWN_SECONDS = 1.0  # of each class from the start: the first second of a class must not be worth infinity
FEW_SECONDS = 1.0  # added to each length: a video costs its opening, too
UNSURE_SHARE = 0.1  # of a video's frames, the least sure ones: where to look first


@dataclass(frozen=True)
class Candidate:
    """An unlabelled video: how many seconds of each class its scores expect, [K], and its length in seconds."""

    id: str
    expected: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Ranked:
    """A choice: `worth` a second of the video, and the class numbers that it helps most, best first."""

    id: str
    worth: float
    seconds: float
    classes: tuple[int, ...]


def candidate(name: str, probabilities: np.ndarray, boundaries: np.ndarray) -> Candidate:
    """A video as the ranking sees it: scores [T, K], and the boundaries of its frames [T + 1] seconds."""
    lengths = np.diff(boundaries)
    return Candidate(name, lengths @ np.asarray(probabilities, np.float64), float(lengths.sum()))


def rank_videos(candidates: Sequence[Candidate], labelled: np.ndarray, count: int) -> list[Ranked]:
    """The `count` videos to label first, best first.

    Args:
      candidates: the videos that can be chosen; of equals the first.
      labelled: [K] seconds of each class that are labelled already; background is not looked at.
      count: how many; fewer where there are fewer.
    """
    known = np.asarray(labelled, np.float64) + KNOWN_SECONDS
    left, ranked = list(candidates), []
    while left and len(ranked) < count:
        expected = np.stack([video.expected for video in left])
        gains = np.log1p(expected / known)
        gains[:, BACKGROUND] = 0.0
        worth = gains.sum(axis=1) / (np.array([video.seconds for video in left]) + FEW_SECONDS)
        best = int(worth.argmax())
        helped = np.argsort(-gains[best], kind="stable")[:3]
        chosen = left.pop(best)
        classes = tuple(int(number) for number in helped if gains[best, number] > 0)
        ranked.append(Ranked(chosen.id, float(worth[best]), chosen.seconds, classes))
        known = known + chosen.expected
    return ranked


def labelled_seconds(classes: Sequence[str], seconds: Mapping[str, float]) -> np.ndarray:
    """[K] seconds by the name of each class; 0 where there are none."""
    return np.array([seconds.get(name, 0.0) for name in classes])


def unsure_spans(probabilities: np.ndarray, boundaries: np.ndarray, most: int = 5) -> list[tuple[float, float]]:
    """The stretches of a video in which its best two classes are closest, [(start, end)] seconds, least sure first."""
    scores = np.asarray(probabilities, np.float64)
    if len(scores) < 2 or scores.shape[1] < 2:
        return []
    best = np.partition(scores, -2, axis=1)
    margin = best[:, -1] - best[:, -2]
    unsure = margin <= np.quantile(margin, UNSURE_SHARE)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], unsure, [False]]).astype(np.int8)))
    spans = [(float(1 - margin[first:end].mean()) * (end - first), first, end) for first, end in edges.reshape(-1, 2)]
    spans.sort(key=lambda span: -span[0])
    return [(float(boundaries[first]), float(boundaries[end])) for _, first, end in spans[:most]]
