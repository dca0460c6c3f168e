"""A table of segments (CSV, TSV, with semicolons; a JSON list of rows, as CreateML's) <-> annotations.

Columns: video, start, end, label, and where it has them subset, duration (seconds) and url, in any case of letters and
under the names that other tools give them. A row is a segment, or a video without segments when start, end and label
are empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import segments
from annotation_formats.drafts import Draft, Drafts, read_subset, seconds
from utils import LOGGER

REQUIRED = ("video", "start", "end", "label")
# what a column may be called, in lower-case letters and digits; of several that are there, the first
NAMES = {
    "video": ("video", "videoid", "videoname", "videofile", "file", "filename", "clip", "media", "mediafilename",
              "videopath", "path", "filepath"),
    "start": ("start", "starttime", "startseconds", "starttimestamp", "starts", "startsec", "begin", "begintime",
              "onset", "from", "tstart", "beginseconds"),
    "end": ("end", "endtime", "endseconds", "endtimestamp", "ends", "endsec", "stop", "stoptime", "stoptimestamp",
            "stopseconds", "offset", "to", "tend", "until"),
    "start ms": ("startms", "starttimems", "beginms", "startmilliseconds", "begintimems", "begintimemsec"),
    "end ms": ("endms", "endtimems", "stopms", "endmilliseconds", "endtimemsec"),
    "start frame": ("startframe", "framestart", "firstframe", "beginframe"),
    "end frame": ("endframe", "stopframe", "frameend", "lastframe"),
    "label": ("label", "class", "classname", "labelname", "category", "behavior", "behaviour", "action", "activity",
              "event", "tag", "annotation"),
    "verb": ("verb",),
    "noun": ("noun",),
    "text": ("narration", "text", "description"),
    "subset": ("subset", "split", "set", "partition"),
    "duration": ("duration", "videoduration", "mediaduration"),
    "url": ("url", "link", "address"),
}  # fmt: skip
# the apostrophe with which `inert` hides a formula
FORMULA = re.compile(r"^'(?=[=+\-@\t\r])")
# what stands for a column that is not there
INSTEAD = {"start": ("start ms", "start frame"), "end": ("end ms", "end frame"), "label": ("verb", "text")}


def read(drafts: Drafts, content: str | list[dict]) -> None:
    """Read the rows of a table; wrong ones are kept to be told together. Raises ValueError for a bad header."""
    for place, row in _rows(drafts, content) if isinstance(content, str) else _objects(drafts, content):
        try:
            draft = drafts.video(row["video"], place)
            start, end, label = _segment(row)
            if start or end or label:
                if "start frame" in row:
                    first, rate = drafts.options.first_frame or 0, drafts.rate(draft)
                    start, end = segments.seconds_of_frames(seconds(start), seconds(end), rate, first)
                elif "start ms" in row:
                    start, end = seconds(start) / 1000, seconds(end) / 1000
                drafts.add(draft, start, end, label)
            drafts.note(draft, "subset", row.get("subset") and read_subset(row["subset"]))
            drafts.note(draft, "url", row.get("url"))
            if row.get("duration"):
                duration = seconds(row["duration"])
                if duration <= 0:
                    raise ValueError(f"duration: expected more than 0 seconds, received {duration}")
                drafts.note(draft, "duration", duration)
        except ValueError as error:
            drafts.wrong(place, error)


def recognised(value: object) -> bool:
    """Whether a JSON value is a list of rows: objects of which none holds others."""
    return isinstance(value, list) and bool(value) and all(
        isinstance(row, dict) and not any(isinstance(cell, dict | list) for cell in row.values()) for row in value
    )  # fmt: skip


def _objects(drafts: Drafts, rows: list[dict]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a JSON list; a member that a row lacks is an empty cell."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    columns = _columns(drafts.path, header)
    for number, row in enumerate(rows):
        cells = {ours: row.get(header[position]) for ours, position in columns.items()}
        yield (
            f"[{number}]",
            {"video": drafts.path.stem}
            | {name: "" if cell is None else str(cell).strip() for name, cell in cells.items()},
        )


def _segment(row: dict[str, str]) -> tuple[str, str, str]:
    start, end = (next(row[name] for name in (key, *INSTEAD[key]) if name in row) for key in ("start", "end"))
    if "label" in row:
        return start, end, row["label"]
    return start, end, f"{row['verb']} {row['noun']}".strip() if "noun" in row else row.get("verb", row.get("text", ""))


def delimiter_of(header: str) -> str:
    """What stands between the cells of a header."""
    return max(",;\t", key=header.count)


def header_of(text: str) -> tuple[list[str], str, int]:
    """The names in the first line, what stands between them, and how many lines come before it (Excel's `sep=;`)."""
    lines = text.split("\n", 2)
    told = re.fullmatch(r"sep=(.)\r?", lines[0])
    header = lines[1] if told and len(lines) > 1 else lines[0]
    delimiter = told[1] if told else delimiter_of(header)
    return next(csv.reader([header.rstrip("\r")], delimiter=delimiter), []), delimiter, int(bool(told))


def _rows(drafts: Drafts, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Line numbers and rows, by our names of the columns, with nothing around the cells."""
    table = drafts.path
    reader = None
    try:
        header, delimiter, skipped = header_of(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        for _ in range(skipped + 1):
            next(reader, None)
        columns = _columns(table, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                names = ",".join(name.strip().lower() for name in header)
                drafts.wrong(str(reader.line_num), f"expected {len(header)} cells ({names}), received {len(cells)}; a "
                                                   'label with a comma stands in "quotes"')  # fmt: skip
                continue
            row = {name: FORMULA.sub("", cells[position].strip()) for name, position in columns.items()}
            yield str(reader.line_num), {"video": table.stem} | row
    except csv.Error as error:
        raise ValueError(f"{table}:{reader.line_num if reader else 1}: not CSV: {error}") from None


def known_columns(header: list[str]) -> dict[str, int]:
    """Our names of the columns that a header has, with their positions."""
    plain = [re.sub(r"\((s|sec|seconds)\)|\[(s|sec|seconds)\]|[^a-z0-9]", "", name.lower()) for name in header]
    found = {}
    for column, names in NAMES.items():
        present = [name for name in names if name in plain]
        if present:
            found[column] = plain.index(present[0])
    for column, others in INSTEAD.items():
        kept = next((name for name in (column, *others) if name in found), None)
        for name in {column, *others} - {kept}:
            found.pop(name, None)
    return found


def _columns(table: Path, header: list[str]) -> dict[str, int]:
    columns = known_columns(header)
    names = [name.strip().lower() for name in header]
    missing = [name for name in REQUIRED if not {name, *INSTEAD.get(name, ())} & set(columns)]
    if missing and (missing != ["video"] or len(columns) < len(REQUIRED) - 1):
        raise ValueError(
            f"{table}:1: expected a header with {','.join(REQUIRED)}, received {','.join(names)!r:.120}; "
            f"missing: {', '.join(missing)}"
        )
    if missing:
        LOGGER.warning("%s: has no column video: all of it is taken for the video %r", table, table.stem)
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise ValueError(f"{table}:1: expected each column once, received {', '.join(sorted(twice))} more than once")
    if ("start ms" in columns) != ("end ms" in columns) or ("start frame" in columns) != ("end frame" in columns):
        raise ValueError(f"{table}:1: expected starts and ends in one unit, received {','.join(names)!r:.120}")
    if "noun" in columns and "verb" not in columns:
        del columns["noun"]
    unused = [name for position, name in enumerate(names) if position not in columns.values()]
    if unused:
        LOGGER.warning("%s: columns that are not used: %s", table, ", ".join(unused))
    return columns


def written(videos: dict[str, Draft], delimiter: str) -> str:
    """A row a segment, with the score of each that was predicted; a row without times for a video without segments."""
    scored = any(draft.scores for draft in videos.values())
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n", delimiter=delimiter)
    rows.writerow([*REQUIRED, *(["score"] if scored else []), "subset", "duration"])
    for name, draft in videos.items():
        about = [draft.subset, draft.duration]
        for segment, score in draft.scored():
            more = [f"{score:.6f}" if score is not None else ""] if scored else []
            rows.writerow([inert(name), segment.start, segment.end, inert(segment.label), *more, *about])
        if not draft.segments:
            rows.writerow([inert(name), "", "", "", *([""] if scored else []), *about])
    return text.getvalue()


def inert(cell: str) -> str:
    """A cell that a spreadsheet takes for text: an apostrophe leads one that it would compute.

    It has no carriage returns, after which some begin a new cell. YouTube's ids may begin with a minus; without a
    bracket or a bar in them they can do nothing, and stay as they are.
    """
    cell = cell.replace("\r", " ")
    harmless = cell.lstrip()[:1] not in tuple("=+-@") or re.fullmatch(r"-[\w-]+", cell)
    return cell if harmless else f"'{cell}"
