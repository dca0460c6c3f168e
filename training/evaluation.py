"""A training + validation windows -> loss, mean precision, accuracy, mAP, and pictures of scores over time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import config
import data
import metrics
import model
import predictions_json
import segments
from training.log import PER_CLASS
from training.run_data import RunData
from training.state import TrainingState
from training.step import targets
from training.streaming_metrics import MeanAccuracy, MeanPrecision

MOST_CURVES = 6  # classes in a picture, the likeliest


class Evaluation:
    """Evaluates the model of a training, as it is at each time, on the validation subset."""

    def __init__(
        self,
        state: TrainingState,
        run_data: RunData,
        data_settings: config.DataSettings,
        train_settings: config.TrainSettings,
        predict_settings: config.PredictSettings,
    ):
        """For the chief alone, outside the strategy's scope: what is counted here belongs to no replica.

        With `train.eval_steps` only that many batches are evaluated, and no mAP.
        """
        self.state, self._run_data = state, run_data
        self._data_settings, self._train_settings = data_settings, train_settings
        self._predict_settings = predict_settings
        self._metrics = {
            "loss_eval": keras.metrics.Mean(),
            "mean_precision_eval": MeanPrecision(state.classes),
            "mean_accuracy_eval": MeanAccuracy(state.classes),
        }
        # batches of any number of windows share a graph; their length stays fixed, so that the recurrence is written
        # out frame by frame; see `BidirectionalLSTM`
        self._count = tf.function(self._count_batch, reduce_retracing=True)

    def run(self, check: Callable[[], None]) -> tuple[dict[str, float], dict[str, bytes]]:
        """Evaluate; `check` is called between batches and may raise, to end it.

        Returns:
          Loss, mean precision and accuracy over the validation windows, each frame once, and the mAP of the segments;
          and the pictures, PNG, of the first videos by their ids, as `train.pictures` asks for.
        """
        run_data, settings = self._run_data, self._predict_settings
        store, length = run_data.validation, self._data_settings.max_frames
        for metric in self._metrics.values():
            metric.reset_state()
        windows = data.store_windows(store.offsets, length, length)
        batches = data.input_fn(store, windows, length, predictions_json.WINDOWS_A_BATCH)
        for batch in batches.take(self._train_settings.eval_steps or -1):
            check()
            self._count(batch)
        values = {name: float(metric.result()) for name, metric in self._metrics.items()}
        if self._train_settings.eval_steps is not None:
            return values, {}

        def classify(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
            check()
            return self.state.classify(features, mask)

        scores = predictions_json.frame_scores(store, classify, length, settings.window_stride)
        results = predictions_json.predict(store, scores, run_data.model(classify), settings)
        pictures = {}
        for video, name in list(enumerate(store.ids))[: self._train_settings.pictures]:
            labels = store.labels[store.rows(video)]
            pictures[name] = draw_timeline(store.boundaries(video), scores[video], labels, run_data.classes)
        return values | validation_map(run_data, results, self._data_settings.taxonomy_level), pictures

    def _count_batch(self, batch: dict) -> None:
        labels, mask = targets(batch, self.state.predict_mode, self.state.classes)
        logits = self.state.classifier([batch["features"], batch["mask"]], training=False)
        frames = tf.reduce_sum(tf.cast(mask, tf.float32))
        loss, precision, accuracy = self._metrics.values()
        mean = tf.math.divide_no_nan(*model.masked_cross_entropy(labels, logits, mask))
        loss.update_state(mean, sample_weight=frames)
        for metric in (precision, accuracy):
            metric.update_state(labels, model.probabilities(logits, self.state.output), mask)


def validation_map(run_data: RunData, results: dict, taxonomy_level: int) -> dict[str, float]:
    """The mAP, and each class's AP, of predictions for the validation videos that have features."""
    present = set(run_data.validation.ids)
    videos = {name: video for name, video in run_data.annotated.videos.items() if name in present}
    # a class may occur in training and not in validation
    scored = metrics.evaluate(
        dataclasses.replace(run_data.annotated, videos=videos), results, "validation",
        taxonomy_level=taxonomy_level, ignore_unknown_labels=True,
    )  # fmt: skip
    of_classes = zip(scored.detection.classes, scored.detection.AP.mean(axis=1).tolist(), strict=True)
    per_class = {f"{PER_CLASS}{name}": value for name, value in of_classes}
    return {"average_mAP": scored.average_mAP, "mAP_0.50": float(scored.mAP[0])} | per_class


def draw_timeline(
    boundaries: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]
) -> bytes:
    """A picture, PNG, of a video's scores over time against what is annotated.

    Args:
      boundaries: [T + 1] seconds.
      probabilities: [T, K].
      labels: [T] annotated classes.
      classes: [K] names, background first.
    """
    # no pyplot, which keeps figures and looks for a display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.add_subplot()
    annotated = sorted(set(labels[labels > 0].tolist()))
    likeliest = [label for label in np.argsort(-probabilities.max(axis=0)).tolist() if label > 0]
    shown_labels = list(dict.fromkeys(annotated + likeliest))[:MOST_CURVES]
    for number, label in enumerate(shown_labels):
        axes.stairs(probabilities[:, label], boundaries, color=f"C{number}", label=classes[label], linewidth=1.4)
        first, end, shaded = segments.label_runs(labels == label)
        for a, b in zip(boundaries[first[shaded]], boundaries[end[shaded]], strict=True):
            axes.axvspan(a, b, color=f"C{number}", alpha=0.2, linewidth=0)
    axes.set(xlim=(boundaries[0], boundaries[-1]), ylim=(0, 1), xlabel="seconds (shaded: annotated)", ylabel="score")
    if shown_labels:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    target = io.BytesIO()
    FigureCanvasAgg(figure).print_png(target)
    return target.getvalue()
