"""Segments of a video -> files for other programs: CSV, and the subtitles of players (SRT) and browsers (WebVTT)."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import utils
from annotation_formats.drafts import clock
from annotation_formats.tables import inert
from localization.results import Segment


def write_csv(path: Path, found: Mapping[str, Sequence[Segment]]) -> None:
    """A line a segment of each video: video, start and end in seconds, label, score.

    No cell is a formula to a spreadsheet.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video", "start", "end", "label", "score"])
    for video, segments in found.items():
        rows.writerows(
            [inert(video), f"{s.start:.3f}", f"{s.end:.3f}", inert(s.label), f"{s.score:.4f}"] for s in segments
        )
    utils.write_text(path, text.getvalue())


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
    return f"{clock(start, point)} --> {clock(max(round(segment.end * 1000), start + 1), point)}"
