"""Predictions of training videos -> their average mAP, also with groups of videos left out: how sure a gain is."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

import metrics
from annotations import Annotations
from evaluation import matching

GROUPS = 20  # most groups of videos of which each is left out once


@dataclass(frozen=True)
class Score:
    """What folds say of settings: the average mAP of all training videos, and without each of G groups of them [G].

    `shown_score`: from which score on to show segments so that F1 is highest.
    """

    average_map: float
    left_out: tuple[float, ...]
    shown_score: float = 0.0


def gain(one: Score, other: Score) -> tuple[float, float]:
    """How much better `one` is than `other`, and the spread (jackknife: one standard error) of that."""
    differences = np.asarray(one.left_out) - np.asarray(other.left_out)
    count = len(differences)
    spread = np.sqrt((count - 1) / count * np.sum(np.square(differences - differences.mean()))) if count > 1 else np.inf
    return one.average_map - other.average_map, float(spread)


def jackknifed(annotated: Annotations, ids: Collection[str], results: dict[str, list[dict]], level: int) -> Score:
    """The average mAP of training videos' predictions, of all of them and without each of their groups."""
    present = {name: annotated.videos[name] for name in ids}
    # by hashes of their ids: neighbours in a list of names may be alike
    order = sorted(present, key=lambda name: hashlib.sha256(name.encode()).digest())
    groups = [set(order[number::GROUPS]) for number in range(min(GROUPS, len(order)))]

    def average_map(without: set[str]) -> float:
        videos = {name: video for name, video in present.items() if name not in without}
        if not any(video.segments for video in videos.values()):
            return 0.0
        some = dataclasses.replace(annotated, videos=videos)
        kept = {name: results[name] for name in videos}
        scored = metrics.evaluate(some, kept, "training", taxonomy_level=level, ignore_unknown_labels=True)
        return scored.average_mAP

    class_of = annotated.class_of(level)
    truth = {name: [(class_of[s.label], s.start, s.end) for s in video.segments] for name, video in present.items()}
    found = {name: [(one["label"], *one["segment"], one["score"]) for one in some] for name, some in results.items()}
    shown_score = round(matching.operating_point(truth, found), 2)
    return Score(average_map(set()), tuple(average_map(group) for group in groups), shown_score)
