"""A whole video's stored features -> features as the model takes them: normalised, with temporal differences.

Symbols: T sampled frames of a video, D numbers a frame as stored, D' after preparation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feature_records import read_features

# consecutive sampled frames whose features differ by more than this cosine distance lie on two sides of a shot cut
SHOT_CUT = 0.3
EPSILON = 1e-6


@dataclass(frozen=True)
class Preparation:
    """What `prepare_features` does; `mean` and `deviation` [D] belong to normalization `train`, and to a run."""

    normalization: str = "none"
    temporal_difference: str = "none"
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None


def prepare_features(features: np.ndarray, timestamps: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Whole-video features as the model takes them; everything that feeds the model calls this, before windows are cut.

    Args:
      features: [T, D] of one whole video, or maps [T, h, w, C], which are laid out as D = h * w * C.
      timestamps: [T] seconds.
      preparation: `normalization` none, train (given mean and deviation) or video (the video's own); and
        `temporal_difference` none, absolute or signed: f_t - f_(t-1) is appended, 0 at the start and at shot cuts.

    Returns:
      [T, D'] float32; D' is D, or 2 D with temporal differences.

    Raises:
      ValueError: the statistics or timestamps do not fit the features.
    """
    features = np.asarray(features, np.float32).reshape(len(features), -1)
    if len(timestamps) != len(features):
        raise ValueError(f"features: expected a timestamp for each of {len(features)} rows, received {len(timestamps)}")
    # cuts show in the features as they are: normalised ones point everywhere
    change = _temporal_difference(features) if preparation.temporal_difference != "none" else None
    mean, deviation = 0.0, 1.0
    if preparation.normalization == "train":
        mean, deviation = preparation.mean, preparation.deviation
        if mean is None or mean.shape != features.shape[1:]:
            trained, received = None if mean is None else len(mean), features.shape[1]
            raise ValueError(f"features: expected {trained} numbers a frame as in training, received {received}")
    elif preparation.normalization == "video" and len(features):
        mean, deviation = features.mean(axis=0), features.std(axis=0) + EPSILON
    prepared = (features - mean) / deviation
    if change is None:
        return prepared
    change /= deviation
    if preparation.temporal_difference == "absolute":
        change = np.abs(change)
    return np.concatenate([prepared, change], axis=1)


def _temporal_difference(features: np.ndarray) -> np.ndarray:
    """f_t - f_(t-1) [T, D], 0 in the first frame and across shot cuts."""
    change = np.diff(features, axis=0, prepend=features[:1])
    change[shot_cuts(features)] = 0
    return change


def shot_cuts(features: np.ndarray) -> np.ndarray:
    """Whether a shot cut lies before each frame, bool [T], of features [T, ...]: their cosine distance says it.

    The first frame has none before it.
    """
    features = np.asarray(features, np.float32).reshape(len(features), -1)
    norm = np.linalg.norm(features, axis=1) + EPSILON
    cosine = np.sum(features[1:] * features[:-1], axis=1) / (norm[1:] * norm[:-1])
    return np.concatenate([np.zeros(min(len(features), 1), bool), cosine < 1 - SHOT_CUT])


def training_statistics(paths: Iterable[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [D], float32, over all frames of feature files, one video in memory at a time."""
    count, total, squares = 0, 0.0, 0.0
    for video in read_features(paths):
        features = np.asarray(video.features, np.float64).reshape(len(video.features), -1)
        count += len(features)
        total = total + features.sum(axis=0)
        squares = squares + np.square(features).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0)) + EPSILON
    return mean.astype(np.float32), deviation.astype(np.float32)


def preparation_to_json(preparation: Preparation) -> dict:
    """A preparation, statistics included, as JSON values that give the same float32 numbers back."""
    statistics = {name: getattr(preparation, name) for name in ("mean", "deviation")}
    return {"normalization": preparation.normalization, "temporal_difference": preparation.temporal_difference} | {
        name: None if values is None else [float(value) for value in values] for name, values in statistics.items()
    }


def preparation_from_json(value: dict) -> Preparation:
    """What `preparation_to_json` made. Raises KeyError, TypeError or ValueError when it is something else."""
    statistics = {
        name: None if value[name] is None else np.asarray(value[name], np.float32) for name in ("mean", "deviation")
    }
    return Preparation(value["normalization"], value["temporal_difference"], **statistics)
