"""Class scores of sampled frames <-> scores_<subset>.npz; a video's curves, thinned to what a screen can show.

Symbols: T sampled frames, K classes with background, P points.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

import segments
import utils
from prediction import ranking

MOST_POINTS = 400
NOTICED = 0.2  # a class that reaches this score is drawn even where nothing names it


def write_scores(
    path: Path, classes: Sequence[str], videos: Iterable[tuple[str, np.ndarray, np.ndarray]], output: str = "softmax"
) -> None:
    """Write scores as np.load reads them.

    Keys: classes [K]; output, softmax or sigmoid (several classes of a frame at once); for each video
    probabilities/<id> float16 [T, K] and boundaries/<id> float64 [T + 1] seconds.

    Args:
      path: the file.
      classes: [K] names, background first.
      videos: for each its id, scores [T, K] and the boundaries of its frames [T + 1] seconds.
      output: `model.output` of what scored them.
    """
    arrays: dict[str, Any] = {"classes": np.asarray(classes), "output": np.asarray(output)}
    for name, probabilities, boundaries in videos:
        arrays |= {f"probabilities/{name}": probabilities.astype(np.float16), f"boundaries/{name}": boundaries}
    with utils.atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def thin(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over equal stretches: times [T] seconds, values [T, K] -> [P] and [P, K], P at most MOST_POINTS."""
    if len(times) <= MOST_POINTS:
        return times, values
    first = np.linspace(0, len(times), MOST_POINTS, endpoint=False).astype(np.int64)
    counts = np.diff(np.append(first, len(times)))
    return np.add.reduceat(times, first) / counts, np.add.reduceat(values, first, axis=0) / counts[:, None]


class ScoreFile:
    """The scores of a run, read video by video. Raises ValueError with the file when it is another kind of file.

    `classes` [K], background first; `output` softmax, or sigmoid where a frame may show several classes at once.
    """

    def __init__(self, path: Path):
        self._path = path
        if not is_zipfile(utils.require_file(path, "the scores that predictions_json.py writes")):
            raise ValueError(f"{path}: expected the scores that predictions_json.py writes")
        try:
            self._file = np.load(path)
        except (ValueError, BadZipFile, OSError) as error:
            raise self._other(error) from None
        try:
            self.classes: list[str] = self._read("classes").tolist()
            # scores of before there was a choice do not say it
            self.output = str(self._read("output")) if "output" in self._file.files else "softmax"
        except ValueError:
            self.close()
            raise

    def _other(self, error: Exception) -> ValueError:
        return ValueError(f"{self._path}: expected the scores that predictions_json.py writes: {error}")

    def _read(self, key: str) -> np.ndarray:
        try:
            return self._file[key]
        except (KeyError, ValueError, BadZipFile, OSError) as error:
            raise self._other(error) from None

    def videos(self) -> list[str]:
        """The ids of the videos, in the file's order."""
        return [key.partition("/")[2] for key in self._file.files if key.startswith("probabilities/")]

    def raw(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """A video's scores [T, K] and the boundaries of its frames [T + 1] seconds."""
        return self._read(f"probabilities/{video}"), self._read(f"boundaries/{video}")

    def frames(self, video: str) -> tuple[np.ndarray, np.ndarray] | None:
        """When a video's sampled frames are shown, the middles of their intervals [T] seconds, and their scores [T, K].

        None where the file does not have the video.
        """
        if f"probabilities/{video}" not in self._file.files:
            return None
        return segments.frame_centres(self._read(f"boundaries/{video}")), self._read(f"probabilities/{video}")

    def curves(
        self, video: str, named: Collection[str], class_of: Mapping[str, str]
    ) -> tuple[np.ndarray | None, dict[str, np.ndarray] | None]:
        """Times [P] seconds and label -> [P] scores of a video; (None, None) where the file does not have it.

        named: labels that are annotated or predicted in it; those that reach NOTICED come on top.
        class_of: the class of an annotated label.
        """
        frames = self.frames(video)
        if frames is None:
            return None, None
        probabilities = frames[1].astype(np.float64)
        times, values = thin(frames[0], probabilities)
        peaks = probabilities.max(axis=0, initial=0)
        return times, {
            class_of.get(label, label): values[:, k]
            for k, label in enumerate(self.classes)
            if label != segments.BACKGROUND_NAME and (peaks[k] > NOTICED or class_of.get(label, label) in named)
        }

    def close(self) -> None:
        self._file.close()


def candidates(paths: Sequence[Path], labelled: Collection[str]) -> tuple[list[str], list[ranking.Candidate]]:
    """The classes of score files of one run, and their videos but those of `labelled`, to be ranked."""
    classes, found = [], []
    for path in paths:
        with contextlib.closing(ScoreFile(path)) as scores:
            classes = scores.classes
            found += [ranking.candidate(v, *scores.raw(v)) for v in scores.videos() if v not in labelled]
    return classes, found
