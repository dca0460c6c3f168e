"""A training + validation windows -> loss, mean precision, accuracy, mAP, and pictures of scores over time."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np

import config
import data
import metrics
import predictions_json
import segments
from training.run_data import RunData
from training.state import Training

MOST_CURVES = 6  # classes in a picture, the likeliest


def evaluate(
    training: Training, run_data: RunData, settings: config.Config, check: Callable[[], None]
) -> tuple[dict[str, float], dict[str, bytes]]:
    """Evaluate on the validation subset.

    Args:
      training: its model is evaluated as it is.
      run_data: with a validation subset.
      settings: with `train.eval_steps`, only that many batches, and no mAP.
      check: called between batches; may raise, to end the evaluation.

    Returns:
      Loss, mean precision and accuracy over the validation windows, each frame once, and the mAP of the segments; and
      the pictures, PNG, of the first videos by their ids, as `train.pictures` asks for.
    """
    store, length = run_data.validation, settings.data.max_frames
    for metric in training.eval_metrics.values():
        metric.reset_state()
    windows = data.store_windows(store.offsets, length, length)
    batches = data.input_fn(store, windows, length, predictions_json.WINDOWS_A_BATCH)
    for batch in batches.take(settings.train.eval_steps or -1):
        check()
        training.eval_step(batch)
    values = {name: float(metric.result()) for name, metric in training.eval_metrics.items()}
    if settings.train.eval_steps is not None:
        return values, {}

    def classify(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        check()
        return training.classify(features, mask)

    scores = predictions_json.frame_scores(store, classify, length, settings.predict.window_stride)
    results = predictions_json.predict(store, scores, run_data.model(classify), settings.predict)
    pictures = {}
    for video, name in list(enumerate(store.ids))[: settings.train.pictures]:
        labels = store.labels[store.rows(video)]
        pictures[name] = draw_timeline(store.boundaries(video), scores[video], labels, run_data.classes)
    return values | validation_map(run_data, results, settings.data), pictures


def validation_map(run_data: RunData, results: dict, chosen: config.DataSettings) -> dict[str, float]:
    """The mAP of predictions for the validation videos that have features."""
    present = set(run_data.validation.ids)
    videos = {name: video for name, video in run_data.annotated.videos.items() if name in present}
    # a class may occur in training and not in validation
    scored = metrics.evaluate(
        dataclasses.replace(run_data.annotated, videos=videos), results, "validation",
        taxonomy_level=chosen.taxonomy_level, ignore_unknown_labels=True,
    )  # fmt: skip
    return {"average_mAP": scored.average_mAP, "mAP_0.50": float(scored.mAP[0])}


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
