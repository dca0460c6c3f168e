"""A whole video's stored features -> features as the model takes them: normalised, with temporal differences.

Symbols: T sampled frames of a video, D numbers a frame as stored, D' after preparation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.records import read_features

# consecutive sampled frames whose features differ by more than this cosine distance lie on two sides of a shot cut
SHOT_CUT = 0.3
EPSILON = 1e-6
MOST_NUMBERS = 8192  # a frame, of which principal components are computed: the products take 0.5 GB


@dataclass(frozen=True)
class Projection:
    """Principal components: x -> (x - mean) @ basis; mean [D], basis [D, k] scaled so that the k numbers square to 1
    on average, their proportions being kept."""

    mean: np.ndarray
    basis: np.ndarray


@dataclass(frozen=True)
class Preparation:
    """What `prepare_features` does; the arrays were learnt from a run's training features, and belong to the run.

    `mean` and `deviation` [D] are for normalization `train`; `projections` for the features and their differences, or
    None to take all numbers.
    """

    normalization: str = "none"
    temporal_difference: str = "none"
    mean: np.ndarray | None = None
    deviation: np.ndarray | None = None
    projections: tuple[Projection, ...] | None = None


def prepare_features(features: np.ndarray, timestamps: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Whole-video features as the model takes them; everything that feeds the model calls this, before windows are cut.

    Args:
      features: [T, D] of one whole video, or maps [T, h, w, C], which are laid out as D = h * w * C.
      timestamps: [T] seconds.
      preparation: `normalization` none, train (given mean and deviation) or video (the video's own);
        `temporal_difference` none, absolute or signed: f_t - f_(t-1) is appended, 0 at the start and at shot cuts;
        `projections` of both onto their principal components.

    Returns:
      [T, D'] float32; D' is D, or 2 D with temporal differences, or the number of components.

    Raises:
      ValueError: the statistics or timestamps do not fit the features.
    """
    features = np.asarray(features, np.float32).reshape(len(features), -1)
    if len(timestamps) != len(features):
        raise ValueError(f"features: expected a timestamp for each of {len(features)} rows, received {len(timestamps)}")
    parts = _parts(features, preparation)
    if preparation.projections is not None:
        for part, projection in zip(parts, preparation.projections, strict=True):
            _require_size(part, projection.mean)
        parts = [
            (part - projection.mean) @ projection.basis
            for part, projection in zip(parts, preparation.projections, strict=True)
        ]
    return np.concatenate(parts, axis=1)


def _parts(features: np.ndarray, preparation: Preparation) -> list[np.ndarray]:
    """Normalised features [T, D] and, where they are wanted, their temporal differences [T, D]."""
    # cuts show in the features as they are: normalised ones point everywhere
    change = _temporal_difference(features) if preparation.temporal_difference != "none" else None
    mean, deviation = 0.0, 1.0
    if preparation.normalization == "train":
        _require_size(features, preparation.mean)
        mean, deviation = preparation.mean, preparation.deviation
    elif preparation.normalization == "video" and len(features):
        mean, deviation = features.mean(axis=0), features.std(axis=0) + EPSILON
    prepared = (features - mean) / deviation
    if change is None:
        return [prepared]
    change /= deviation
    return [prepared, np.abs(change) if preparation.temporal_difference == "absolute" else change]


def _require_size(features: np.ndarray, mean: np.ndarray | None) -> None:
    if mean is None or mean.shape != features.shape[1:]:
        trained, received = None if mean is None else len(mean), features.shape[1]
        raise ValueError(f"features: expected {trained} numbers a frame as in training, received {received}")


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
    """Mean and standard deviation [D], float32, over all frames of feature files, one video in memory at a time.

    A number that is the same in all of them has no scale: its deviation is 1, or another value of it in a video that
    was not learnt from would be huge.
    """
    count, total, squares = 0, 0.0, 0.0
    for video in read_features(paths):
        features = np.asarray(video.features, np.float64).reshape(len(video.features), -1)
        count += len(features)
        total = total + features.sum(axis=0)
        squares = squares + np.square(features).sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    deviation = np.where(deviation > EPSILON * np.maximum(np.abs(mean), 1), deviation, 1.0) + EPSILON
    return mean.astype(np.float32), deviation.astype(np.float32)


def training_projections(
    paths: Iterable[Path], preparation: Preparation, components: tuple[int, ...]
) -> tuple[Projection, ...]:
    """The principal components of the prepared training features and, where they are wanted, of their differences.

    Args:
      paths: feature files, read one at a time.
      preparation: without projections.
      components: how many to keep of each part, 0 to leave it out.

    Raises:
      ValueError: more components than a part has numbers, not one number for each part, or too many numbers a frame.
    """
    count, totals, products = 0, None, None
    for video in read_features(paths):
        parts = _parts(np.asarray(video.features, np.float32).reshape(len(video.features), -1), preparation)
        if totals is None:
            _require_components(parts, components)
            totals = [np.zeros(part.shape[1]) for part in parts]
            products = [np.zeros((part.shape[1],) * 2) for part in parts]
        count += len(video.features)
        for part, total, product in zip(parts, totals, products, strict=True):
            total += part.sum(axis=0, dtype=np.float64)
            product += part.T @ part
    projections = []
    for total, product, number in zip(totals, products, components, strict=True):
        mean = total / count
        values, vectors = np.linalg.eigh(product / count - np.outer(mean, mean))
        values, vectors = values[::-1][:number], vectors[:, ::-1][:, :number]
        # a vector's sign is arbitrary: its largest number is made positive, so that machines agree
        vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
        scale = np.sqrt(max(values.mean() if number else 0.0, EPSILON))
        projections.append(Projection(mean.astype(np.float32), (vectors / scale).astype(np.float32)))
    return tuple(projections)


def _require_components(parts: list[np.ndarray], components: tuple[int, ...]) -> None:
    size = parts[0].shape[1]
    if size > MOST_NUMBERS:
        raise ValueError(f"data.components: expected at most {MOST_NUMBERS} numbers a frame, received {size}")
    if len(components) != len(parts) or max(components) > size or not any(components):
        raise ValueError(
            f"data.components: expected {len(parts)} numbers, of the features"
            f"{' and of their differences' if len(parts) > 1 else ''}, from 0 to {size} and not all 0, "
            f"received {list(components)}"
        )


def preparation_to_json(preparation: Preparation) -> dict:
    """A preparation, with what it learnt, as JSON values that give the same float32 numbers back."""

    def numbers(values: np.ndarray | None) -> list | None:
        return None if values is None else values.astype(np.float64).tolist()

    projections = preparation.projections
    return {
        "normalization": preparation.normalization,
        "temporal_difference": preparation.temporal_difference,
        "mean": numbers(preparation.mean),
        "deviation": numbers(preparation.deviation),
        "projections": projections and [{"mean": numbers(p.mean), "basis": numbers(p.basis)} for p in projections],
    }


def preparation_from_json(value: dict) -> Preparation:
    """What `preparation_to_json` made. Raises KeyError, TypeError or ValueError when it is something else."""

    def array(numbers: list | None) -> np.ndarray | None:
        return None if numbers is None else np.asarray(numbers, np.float32)

    projections = value["projections"]
    if projections is not None:
        projections = tuple(
            Projection(array(p["mean"]), array(p["basis"]).reshape(len(p["mean"]), -1)) for p in projections
        )
    return Preparation(
        value["normalization"],
        value["temporal_difference"],
        array(value["mean"]),
        array(value["deviation"]),
        projections,
    )
