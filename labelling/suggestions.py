"""A run's predictions -> what the page suggests of each video, and the order in which labelling videos helps most."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import utils
from evaluation.predictions import load_predictions
from labelling.storage import Labels
from prediction import ranking, score_file

MOST = 300  # suggestions of a video; what scores less than so many others is noise


class Suggestions:
    """What a run predicted: `run` is its folder, that of localize.py, or a predictions file.

    Raises ValueError when there is nothing that could be suggested, or it cannot be read.
    """

    def __init__(self, run: Path):
        files = sorted(run.glob("predictions*.json")) if run.is_dir() else [run]
        if not files:
            raise ValueError(f"{run}: holds no predictions_<subset>.json: run predictions_json.py or localize.py first")
        self._segments: dict[str, list[dict]] = {}
        for file in files:
            self._segments |= load_predictions(file)
        self._classes = sorted({one["label"] for found in self._segments.values() for one in found})
        self._scores = sorted(run.glob("scores_*.npz")) if run.is_dir() else []
        self._candidates: tuple[list[str], list[ranking.Candidate]] | None = None

    def of_video(self, name: str) -> list[dict]:
        """The suggested segments of a video, {label, score, segment}, best first."""
        found = self._segments.get(name, [])
        return sorted(found, key=lambda segment: -segment["score"])[:MOST]

    def classes(self) -> list[str]:
        """The classes that are suggested anywhere, sorted."""
        return self._classes

    def videos(self) -> Collection[str]:
        """The videos of which there are predictions."""
        return self._segments.keys()

    def unsure(self, name: str) -> list[tuple[float, float]]:
        """The stretches of a video in which the run is least sure, (start, end) seconds; nothing without scores."""
        for path in self._scores:
            with contextlib.closing(score_file.ScoreFile(path)) as scores:
                if name in scores.videos():
                    return ranking.unsure_spans(*scores.raw(name))
        return []

    def order(self, labels: Labels) -> list[str]:
        """The videos that are not finished, the one whose labelling helps most first; nothing without scores."""
        if not self._scores:
            return []
        finished, seconds = set(), Counter()
        for name, entry in labels.entries().items():
            if labels.status(name) == "finished":
                finished.add(name)
            for action in entry.get("annotations") or []:
                start, end = map(float, action["segment"])
                seconds[action["label"]] += end - start
        try:
            self._candidates = self._candidates or score_file.candidates(self._scores, ())
        except ValueError as error:  # written anew at this moment, or by another version
            utils.LOGGER.warning("no order of videos: %s", error)
            return []
        classes, candidates = self._candidates
        candidates = [video for video in candidates if video.id not in finished]
        ranked = ranking.rank_videos(candidates, ranking.labelled_seconds(classes, seconds), len(candidates))
        return [video.id for video in ranked]
