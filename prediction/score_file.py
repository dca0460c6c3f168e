"""scores_<subset>.npz -> score curves of a video, thinned to what a screen can show.

Symbols: T sampled frames, K classes with background, P points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from segments import BACKGROUND_NAME

MOST_POINTS = 400
NOTICED = 0.2  # a class that reaches this score is drawn even where nothing names it


def thin(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over equal stretches: times [T] seconds, values [T, K] -> [P] and [P, K], P at most MOST_POINTS."""
    if len(times) <= MOST_POINTS:
        return times, values
    first = np.linspace(0, len(times), MOST_POINTS, endpoint=False).astype(np.int64)
    counts = np.diff(np.append(first, len(times)))
    return np.add.reduceat(times, first) / counts, np.add.reduceat(values, first, axis=0) / counts[:, None]


class ScoreFile:
    """The scores of a run, read video by video. Raises ValueError with the file when it is another kind of file."""

    def __init__(self, path: Path):
        self._path = path
        if not is_zipfile(path):
            raise ValueError(f"{path}: expected the scores that predictions_json.py writes")
        self._file = np.load(path)
        self._classes = self._read("classes").tolist()

    def _read(self, key: str) -> np.ndarray:
        try:
            return self._file[key]
        except (KeyError, ValueError, BadZipFile, OSError) as error:
            raise ValueError(f"{self._path}: expected the scores that predictions_json.py writes: {error}") from None

    def curves(
        self, video: str, named: Collection[str], class_of: Mapping[str, str]
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray] | None]:
        """Times [P] seconds and label -> [P] scores of a video; (None, None) where the file does not have it.

        named: labels that are annotated or predicted in it; those that reach NOTICED come on top.
        class_of: the class of an annotated label.
        """
        if f"probabilities/{video}" not in self._file.files:
            return None, None
        probabilities = self._read(f"probabilities/{video}").astype(np.float64)
        borders = self._read(f"boundaries/{video}")
        times, values = thin((borders[1:] + borders[:-1]) / 2, probabilities)
        peaks = probabilities.max(axis=0, initial=0)
        return times, {
            class_of.get(label, label): values[:, k]
            for k, label in enumerate(self._classes)
            if label != BACKGROUND_NAME and (peaks[k] > NOTICED or class_of.get(label, label) in named)
        }

    def close(self) -> None:
        self._file.close()
