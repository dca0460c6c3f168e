"""The content of a page -> its JSON data and its HTML, which holds script, style and data, and asks for nothing else.

Whatever comes from files is text: Jinja2 escapes it in the HTML, the data cannot end its script block, the script only
ever sets textContent, and a policy lets no other script run and no address be asked but the linked videos.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup

import utils
from evaluation import matching
from prediction import decoding
from report_page.content import PageContent, VideoView
from report_page.verdict import verdict

if TYPE_CHECKING:
    from report_page.content import PageContent, VideoView


FOLDER = Path(__file__).parent
# one scope, in this order
SCRIPTS = ("elements.js", "page.js", "charts.js", "results.js", "timeline.js", "videos.js", "start.js")
# what JSON allows and HTML, or JavaScript before 2019, does not
UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def render(content: PageContent, folder: Path) -> str:
    """The page, with links to the videos relative to `folder`, where it will lie."""
    data = page_data(content, folder)
    script = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        content=content,
        verdict=data["verdict"],
        annotated=data["annotated"],
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704 (ours)
        script=Markup(script),  # noqa: S704 (ours)
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(to_script_json(data)),  # noqa: S704 (escaped)
    )


def to_script_json(value: object) -> str:
    """JSON that can stand in a script block: it holds no `<`, `>` or `&`. Raises ValueError for NaN and infinity."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).translate(UNSAFE)


def page_data(content: PageContent, folder: Path) -> dict:
    """All that the script draws; labels are numbers in `classes`."""
    matches = {view.id: matching.match_video(view.truth, view.predictions) for view in content.videos if view.truth}
    scores = np.array([p[3] for view in content.videos for p in view.predictions], np.float64)
    right = np.concatenate([np.zeros(0, bool), *(_right(view, matches) for view in content.videos)])
    classes = sorted({label for view in content.videos for label in _labels(view)} | _annotated_classes(content))
    positives = Counter(label for view in content.videos for label, *_ in view.truth or ())
    threshold = content.threshold
    if threshold is None:
        total = positives.total()
        threshold = matching.best_threshold(scores, right, total) if total else decoding.SHOWN_SCORE
    shown = scores >= threshold
    index = {label: number for number, label in enumerate(classes)}
    videos = [_video(view, index, matches.get(view.id), folder) for view in content.videos]
    if content.comparison:
        for view, video in zip(content.videos, videos, strict=True):
            found = matching.match_video(view.truth, view.others) if view.truth else None
            video["others"] = _predictions(view.others or (), index, found)
    return {
        "classes": classes,
        "positives": [positives[label] for label in classes],
        "threshold": threshold,
        "range": matching.score_range(scores),
        "annotated": bool(positives),
        "verdict": _sentence(content, threshold, shown, right, positives.total()),
        "evaluation": content.evaluation,
        "curves": _precision_recall(content, classes, scores, right, positives),
        "errors": content.errors,
        "training": content.training,
        "comparison": content.comparison,
        "other_threshold": _other_threshold(videos, positives.total()) if content.comparison else None,
        "videos": videos,
    }


def _labels(view: VideoView) -> set[str]:
    named = {action[0] for some in (view.truth, view.predictions, view.others) for action in some or ()}
    return named | set(view.curves or ())


def _annotated_classes(content: PageContent) -> set[str]:
    return set(content.evaluation["AP"]) if content.evaluation else set()


def _right(view: VideoView, matches: dict[str, matching.Matches]) -> np.ndarray:
    """[N] bool: which of a video's predictions are right."""
    return matches[view.id].own >= 0 if view.id in matches else np.zeros(len(view.predictions), bool)


def _sentence(content: PageContent, threshold: float, shown: np.ndarray, right: np.ndarray, positives: int) -> str:
    if not content.evaluation or not positives:
        count, videos = int(shown.sum()), len(content.videos)
        found = f"{count} action{'s' * (count != 1)} found in {videos} video{'s' * (videos != 1)}"
        return f"{found}, with a score of {threshold:.2f} or more."
    at = content.evaluation["mAP"]
    found = (shown & right).sum()
    close = at["0.75"] / at["0.50"] if at["0.50"] else 0.0
    return verdict(content.evaluation["average_mAP"], found / positives, found / max(shown.sum(), 1), close)


def _precision_recall(
    content: PageContent, classes: Sequence[str], scores: np.ndarray, right: np.ndarray, positives: Counter
) -> dict | None:
    """Curves at matching.MIN_TIOU: of all predictions together, and of each class."""
    if not positives:
        return None
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index[p[0]] for view in content.videos for p in view.predictions], np.int64)
    order = np.argsort(labels, kind="stable")
    of_class = np.split(order, np.searchsorted(labels[order], np.arange(1, len(classes))))
    each = [
        matching.precision_recall(scores[rows], right[rows], positives[name])
        for name, rows in zip(classes, of_class, strict=True)
    ]
    return {"all": matching.precision_recall(scores, right, positives.total()), "classes": each}


def _video(view: VideoView, index: dict[str, int], matches: matching.Matches | None, folder: Path) -> dict:
    return {
        "id": view.id,
        "duration": round(view.duration, 3),
        "file": link(view.file, folder) if view.file else None,
        "name": os.fsencode(view.file.name).decode(errors="replace") if view.file else None,
        "truth": None if view.truth is None else [[index[t[0]], *_seconds(t[1:])] for t in view.truth],
        "predictions": _predictions(view.predictions, index, matches),
        "times": None if view.times is None else np.round(view.times, 2).tolist(),
        # hundredths are finer than the curve's pixels, and short
        "curves": [
            [index[label], np.round(100 * np.asarray(values)).astype(int).tolist()]
            for label, values in (view.curves or {}).items()
        ],
        "thumbnails": view.thumbnails,
    }


def _predictions(found: Sequence[tuple], index: dict[str, int], matches: matching.Matches | None) -> list[list]:
    """[label, start, end, score, own, any] of each prediction, as page.js reads them."""
    nothing = [-1] * len(found)
    own, any_class = (matches.own.tolist(), matches.any.tolist()) if matches else (nothing, nothing)
    return [
        [index[label], round(start, 3), round(end, 3), round(score, 4), taken, taken_of_any]
        for (label, start, end, score), taken, taken_of_any in zip(found, own, any_class, strict=True)
    ]


def _other_threshold(videos: Sequence[dict], positives: int) -> float:
    """The score from which the second run's segments are shown: where its F1 is highest."""
    found = [prediction for video in videos for prediction in video["others"]]
    scores, right = np.array([p[3] for p in found]), np.array([p[4] >= 0 for p in found], bool)
    return matching.best_threshold(scores, right, positives) if positives else decoding.SHOWN_SCORE


def _seconds(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in values]


def link(file: Path, folder: Path) -> str:
    """The address of a file relative to a folder, percent-encoded."""
    return quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))


def write_page(path: Path, content: PageContent) -> Path:
    """Write the page; the video files are linked relative to its folder, so that both can move together."""
    path = Path(path)
    utils.write_text(path, render(content, path.parent))
    return path
