"""What a page shows, as `report.py` and `localize.py` hand it to the rendering. Symbols: P points of a curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# pictures of 12 moments take 30 to 50 kB a video: more videos than these would make a page that opens slowly
MOST_WITH_PICTURES = 60
# curves of 30 classes take 20 kB a video
MOST_WITH_CURVES = 500


@dataclass(frozen=True)
class VideoView:
    """One video of the page; times in seconds."""

    id: str
    duration: float
    file: Path | None  # None: there is no file, the page shows the rest
    truth: tuple[tuple[str, float, float], ...] | None  # (label, start, end); None: nobody annotated it
    predictions: tuple[tuple[str, float, float, float], ...]  # (label, start, end, score), best first
    times: np.ndarray | None  # [P]
    curves: dict[str, np.ndarray] | None  # label -> [P] scores, 0 to 1
    thumbnails: tuple[tuple[float, str], ...]  # (time, data: URI)
    others: tuple[tuple[str, float, float, float], ...] | None = None  # a second run's predictions, best first


@dataclass(frozen=True)
class Plan:
    """What plan.py chose and tried, each cell as text."""

    choices: tuple[tuple[str, str, str], ...]  # (setting, value, who decided: why)
    trials: tuple[tuple[str, str, str], ...]  # (changes, gain in average mAP with its spread, whether they were taken)


@dataclass(frozen=True)
class PageContent:
    """What a page shows; what is None has no section."""

    title: str
    model: str  # one or two sentences: which model, its training data, its classes
    videos: tuple[VideoView, ...]
    evaluation: dict | None  # of metrics.to_json
    errors: dict | None  # of errors.analyse
    training: list[dict] | None  # records of metrics.jsonl
    # score from which segments are shown at first, the run's own; None, where nothing says it: where F1 is highest, and
    # without truth `decoding.SHOWN_SCORE`
    threshold: float | None = None
    comparison: dict | None = None  # of comparison.compare, with `names` of the two runs
    correct: str = ""  # the command of label.py that opens these videos with what was found; "": none
    notes: tuple[str, ...] = ()  # what a reader must know of this page
    plan: Plan | None = None  # how plan.py chose the settings
