"""Segments of a video -> files for other programs: CSV, and the subtitles of players (SRT) and browsers (WebVTT)."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

import utils
from localization.results import Segment


def write_csv(path: Path, video_id: str, segments: Sequence[Segment]) -> None:
    """A line a segment: video, start and end in seconds, label, score. No cell is a formula to a spreadsheet."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video", "start", "end", "label", "score"])
    video = _inert(video_id)
    rows.writerows([video, f"{s.start:.3f}", f"{s.end:.3f}", _inert(s.label), f"{s.score:.4f}"] for s in segments)
    utils.write_text(path, text.getvalue())


def _inert(cell: str) -> str:
    """A cell that a spreadsheet takes for text: an apostrophe leads one that it would compute.

    YouTube's ids may begin with a minus; without a bracket or a bar in them they can do nothing, and stay as they are.
    """
    harmless = cell[:1] not in tuple("=+-@\t\r") or re.fullmatch(r"-[\w-]+", cell)
    return cell if harmless else f"'{cell}"


def write_srt(path: Path, segments: Sequence[Segment]) -> None:
    """SubRip: numbered cues, a comma before the milliseconds. It has no way to escape text."""
    cues = [f"{n}\n{_times(s, ',')}\n{_text(s)}\n" for n, s in enumerate(segments, start=1)]
    utils.write_text(path, "\n".join(cues))


def write_vtt(path: Path, segments: Sequence[Segment]) -> None:
    """WebVTT (https://www.w3.org/TR/webvtt1/): `&`, `<` and `>` of a label are escaped, so that `-->` cannot occur."""
    cues = [f"{_times(s, '.')}\n{html.escape(_text(s), quote=False)}\n" for s in segments]
    utils.write_text(path, "\n".join(["WEBVTT\n", *cues]))


def _text(segment: Segment) -> str:
    # one line: an empty line would end the cue
    return f"{' '.join(segment.label.split())} ({segment.score:.2f})"


def _times(segment: Segment, point: str) -> str:
    start = round(segment.start * 1000)
    # WebVTT wants an end after the start
    return f"{_clock(start, point)} --> {_clock(max(round(segment.end * 1000), start + 1), point)}"


def _clock(milliseconds: int, point: str) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
