"""Annotations and predictions in a few words, and the known evaluation files of ../shared."""

from pathlib import Path

import pytest

from annotations import Annotations, Video
from segments import Segment

DATA = Path(__file__).parents[1].parent / "shared/data"


def prediction(start, end, score, label="x"):
    return {"label": label, "score": score, "segment": [start, end]}


def truth(*spans, label="x"):
    return [Segment(start, end, label) for start, end in spans]


def annotated(videos, subset="validation", taxonomy=()):
    """Annotations of {id: [Segment]}."""
    made = {name: Video(name, subset, 100.0, "", tuple(segments)) for name, segments in videos.items()}
    return Annotations("V", made, taxonomy, Path("truth.json"))


def known_files():
    if not (DATA / "evaluation").is_dir():
        pytest.skip("needs ../shared/data/evaluation")
    return DATA / "evaluation/gt.json", DATA / "evaluation/result.json"
