"""scores_<subset>.npz -> score curves of a video, thinned to what a screen can show.

Symbols: T sampled frames, K classes with background, P points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from segments import BACKGROUND_NAME, frame_centres

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
        self.classes: list[str] = self._read("classes").tolist()  # background first

    def _read(self, key: str) -> np.ndarray:
        try:
            return self._file[key]
        except (KeyError, ValueError, BadZipFile, OSError) as error:
            raise ValueError(f"{self._path}: expected the scores that predictions_json.py writes: {error}") from None

    def __contains__(self, video: str) -> bool:
        return f"probabilities/{video}" in self._file.files

    def frames(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """The middle [T] in seconds of each sampled frame's interval, and its class probabilities float16 [T, K]."""
        return frame_centres(self._read(f"boundaries/{video}")), self._read(f"probabilities/{video}")

    def curves(
        self, video: str, named: Collection[str], class_of: Mapping[str, str]
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray] | None]:
        """Times [P] seconds and label -> [P] scores of a video; (None, None) where the file does not have it.

        named: labels that are annotated or predicted in it; those that reach NOTICED come on top.
        class_of: the class of an annotated label.
        """
        if video not in self:
            return None, None
        times, probabilities = self.frames(video)
        probabilities = probabilities.astype(np.float64)
        times, values = thin(times, probabilities)
        peaks = probabilities.max(axis=0, initial=0)
        return times, {
            class_of.get(label, label): values[:, k]
            for k, label in enumerate(self.classes)
            if label != BACKGROUND_NAME and (peaks[k] > NOTICED or class_of.get(label, label) in named)
        }

    def close(self) -> None:
        self._file.close()
