"""Training features -> what grouped folds of them say of settings: scores of frames whose label was not learnt.

Symbols: N frames of all videos, K classes, G groups of videos.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

import config
import predictions_json
from training import tuning
from training.jackknife import Score, jackknifed
from training.run_data import RunData, load_data


class Folds:
    """Grouped folds of the training subset, the same for all settings."""

    def __init__(self, paths: config.PathSettings, spec: dict, data_settings: config.DataSettings, group_by: str,
                 folds: int):  # fmt: skip
        """`spec` is of the features. Raises ValueError when there are fewer groups than folds."""
        self._paths, self._spec = paths, spec
        store = self._data(data_settings).training
        self.groups = tuning.frame_groups(store, paths.feature_map_folder, group_by)
        self._fold_of = tuning.split(self.groups, folds, seed=0)

    def _data(self, settings: config.DataSettings, output: Literal["softmax", "sigmoid"] = "softmax") -> RunData:
        return load_data(self._paths, settings, self._spec, ("training",), output)

    def score(
        self,
        data_settings: config.DataSettings,
        model_settings: config.ModelSettings,
        train_settings: config.TrainSettings,
        predict_settings: config.PredictSettings,
    ) -> Score:
        """The average mAP of the training videos' segments, each frame scored by a model that has not seen it."""
        run_data = self._data(data_settings, model_settings.output)
        stride = predict_settings.window_stride
        scores = self._scores(run_data, data_settings, model_settings, train_settings, stride)
        return _score(run_data, scores, predict_settings, data_settings.taxonomy_level)

    def decoding(
        self,
        data_settings: config.DataSettings,
        model_settings: config.ModelSettings,
        train_settings: config.TrainSettings,
        predict_settings: config.PredictSettings,
    ) -> tuple[dict[str, object], Score]:
        """What the search of `trainer.py --tune` changes of section predict, `predict.key` -> value, and what folds say
        of that."""
        run_data = self._data(data_settings, model_settings.output)
        stride, level = predict_settings.window_stride, data_settings.taxonomy_level
        scores = self._scores(run_data, data_settings, model_settings, train_settings, stride)
        best, _ = tuning.Search(run_data, scores, level).best(predict_settings)
        before = predict_settings.model_dump(mode="json")
        found = {f"predict.{key}": value for key, value in best.model_dump(mode="json").items() if value != before[key]}
        return found, _score(run_data, scores, best, level)

    def _scores(
        self,
        run_data: RunData,
        data_settings: config.DataSettings,
        model_settings: config.ModelSettings,
        train_settings: config.TrainSettings,
        stride: int,
    ) -> list[np.ndarray]:
        def classify_after(labels: np.ndarray) -> predictions_json.Classify:
            return tuning.fit(run_data, labels, data_settings, model_settings, train_settings).classify

        return tuning.out_of_fold_scores(
            run_data.training, self._fold_of, classify_after, data_settings.max_frames, stride
        )


def _score(run_data: RunData, scores: list[np.ndarray], settings: config.PredictSettings, level: int) -> Score:
    results = predictions_json.predict(run_data.training, scores, run_data.model(None), settings)
    return jackknifed(run_data.annotated, run_data.training.ids, results, level)
