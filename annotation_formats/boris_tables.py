"""BORIS' exported events -> annotations: tabular (a row an event, START and STOP) and aggregated (a row a segment)."""

from __future__ import annotations

import csv
import io

from annotation_formats.drafts import Draft, Drafts, seconds
from annotation_formats.tables import delimiter_of

MEDIA = ("media file name", "media file path", "media file")
MOST_LINES_ABOVE = 80  # older versions describe the observation above the header


def header_line(text: str) -> int | None:
    """The number of the line that heads the events, from 0; None where the text is no export of BORIS."""
    for number, line in enumerate(io.StringIO(text)):
        names = {cell.strip().strip('"').lower() for cell in line.split(delimiter_of(line))}
        if "behavior" in names and ({"time", "status"} <= names or {"time", "behavior type"} <= names
                                    or {"start (s)", "stop (s)"} <= names):  # fmt: skip
            return number
        if number == MOST_LINES_ABOVE:
            break
    return None


def read(drafts: Drafts, text: str) -> None:
    """Read the events of all observations, or of the one that `observer` names."""
    first = header_line(text)
    lines = text.splitlines(keepends=True)
    delimiter = delimiter_of(lines[first])
    names = [name.strip().lower() for name in next(csv.reader([lines[first]], delimiter=delimiter))]
    above = [line.split(delimiter) for line in lines[:first]]
    described = {cells[0].strip().lower(): cells[1].strip() for cells in above if len(cells) > 1}
    seen: dict[str, str] = {}
    begun: dict[tuple[str, str, str, str], tuple[Draft, float, int]] = {}
    try:
        for number, cells in enumerate(csv.reader(lines[first + 1 :], delimiter=delimiter, strict=True), first + 2):
            if any(cell.strip() for cell in cells):
                row = described | dict(zip(names, (cell.strip() for cell in cells), strict=False))
                try:
                    _read_row(drafts, row, number, seen, begun)
                except ValueError as error:
                    drafts.wrong(str(number), error)
    except csv.Error as error:
        raise ValueError(f"{drafts.path}: not CSV: {error}") from None
    for (_, subject, code, _), (_, start, number) in begun.items():
        drafts.wrong(str(number), f"state {code!r} of {subject!r} begins at {start:g} and has no stop")
    drafts.tells_overlaps = True


def _read_row(drafts: Drafts, row: dict[str, str], number: int, seen: dict[str, str], begun: dict) -> None:
    observation = row.get("observation id", "")
    if drafts.options.observer not in (None, observation):
        drafts.odd("events are left out for --observer", str(number))
        return
    video = next((row[name] for name in MEDIA if row.get(name)), None) or row.get("player #1") or observation
    draft = drafts.video(video, str(number))
    if seen.setdefault(draft.name, observation) != observation:
        raise ValueError(f"video {draft.name!r} is observed in {seen[draft.name]!r} too: --observer NAME chooses one")
    if seen.setdefault(f"/{observation}", draft.name) != draft.name:
        raise ValueError(f"observation {observation!r} has several videos, of which times count from the first on: "
                         "convert the .boris project instead")  # fmt: skip
    length = row.get("media duration (s)") or row.get("total length")
    if length and length.lower() != "na":
        drafts.note(draft, "duration", seconds(length))
    code, kind = row.get("behavior", ""), (row.get("behavior type") or row.get("status", "")).upper()
    offset = seconds(row.get("time offset (s)") or 0)  # times hold it
    if "start (s)" in row:
        start, stop = row["start (s)"], row.get("stop (s)", "")
        drafts.add(draft, seconds(start) - offset, seconds(start if kind == "POINT" else stop) - offset, code)
        return
    time = seconds(row.get("time", "")) - offset
    key = (draft.name, row.get("subject", ""), code, "")
    if kind == "POINT":
        drafts.add(draft, time, time, code)
    elif kind == "START":
        if key in begun:
            raise ValueError(f"state {code!r} begins again, after line {begun[key][2]}, without a stop between")
        begun[key] = (draft, time, number)
    elif kind == "STOP":
        if key not in begun:
            raise ValueError(f"state {code!r} stops without a start")
        drafts.add(draft, begun.pop(key)[1], time, code)
    else:
        raise ValueError(f"expected START, STOP or POINT, received {kind!r:.40}")
