"""Training features -> what grouped folds of them say of settings: scores of frames whose label was not learnt.

Symbols: N frames of all videos, K classes, G groups of videos.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

import config
import metrics
import predictions_json
from evaluation import matching
from planning.search import Score
from training import tuning
from training.run_data import RunData, load_data

GROUPS = 20  # most groups of videos of which each is left out once


class Folds:
    """Grouped folds of the training subset, the same for all settings."""

    def __init__(self, paths: config.PathSettings, spec: dict, data_settings: config.DataSettings, group_by: str,
                 folds: int):  # fmt: skip
        """`spec` is of the features. Raises ValueError when there are fewer groups than folds."""
        self._paths, self._spec = paths, spec
        store = self._data(data_settings).training
        self.groups = tuning.frame_groups(store, paths.feature_map_folder, group_by)
        self._fold_of = tuning.split(self.groups, folds, seed=0)

    def _data(self, settings: config.DataSettings) -> RunData:
        return load_data(self._paths, settings, self._spec, ("training",))

    def score(
        self,
        data_settings: config.DataSettings,
        model_settings: config.ModelSettings,
        train_settings: config.TrainSettings,
        predict_settings: config.PredictSettings,
    ) -> Score:
        """The average mAP of the training videos' segments, each frame scored by a model that has not seen it."""
        run_data = self._data(data_settings)

        def classify_after(labels: np.ndarray) -> predictions_json.Classify:
            return tuning.fit(run_data, labels, data_settings, model_settings, train_settings).classify

        stride = predict_settings.window_stride
        scores = tuning.out_of_fold_scores(
            run_data.training, self._fold_of, classify_after, data_settings.max_frames, stride
        )
        results = predictions_json.predict(run_data.training, scores, run_data.model(None), predict_settings)
        return jackknifed(run_data, results, data_settings.taxonomy_level)


def jackknifed(run_data: RunData, results: dict[str, list[dict]], level: int) -> Score:
    """The average mAP of training videos' predictions, of all of them and without each of their groups."""
    present = {name: run_data.annotated.videos[name] for name in run_data.training.ids}
    # by hashes of their ids: neighbours in a list of names may be alike
    order = sorted(present, key=lambda name: hashlib.sha256(name.encode()).digest())
    groups = [set(order[number::GROUPS]) for number in range(min(GROUPS, len(order)))]

    def average_map(without: set[str]) -> float:
        videos = {name: video for name, video in present.items() if name not in without}
        if not any(video.segments for video in videos.values()):
            return 0.0
        annotated = dataclasses.replace(run_data.annotated, videos=videos)
        kept = {name: results[name] for name in videos}
        scored = metrics.evaluate(annotated, kept, "training", taxonomy_level=level, ignore_unknown_labels=True)
        return scored.average_mAP

    class_of = run_data.annotated.class_of(level)
    truth = {name: [(class_of[s.label], s.start, s.end) for s in video.segments] for name, video in present.items()}
    found = {name: [(one["label"], *one["segment"], one["score"]) for one in some] for name, some in results.items()}
    shown_score = round(matching.operating_point(truth, found), 2)
    return Score(average_map(set()), tuple(average_map(group) for group in groups), shown_score)
