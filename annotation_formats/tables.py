"""A CSV file of segments -> annotations in ActivityNet's JSON layout.

Columns: video, start, end, label, and where it has them subset, duration (seconds) and url. A row is a segment, or a
video without segments when start, end and label are empty.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import config
import segments
import utils
from segments import Segment
from utils import LOGGER
from video_input import VIDEO_SUFFIXES, find_videos, read_header

REQUIRED = ("video", "start", "end", "label")
OPTIONAL = ("subset", "duration", "url")
VALIDATION_SHARE = 0.2


@dataclass
class _Draft:
    """A video as its rows tell it; None where they do not."""

    line: int  # of its first row
    segments: list[Segment] = field(default_factory=list)
    subset: str | None = None
    duration: float | None = None
    url: str | None = None


def convert(table: Path, output: Path, videos: Path | None = None) -> None:
    """Write the segments of `table` as an annotation file.

    Args:
      table: the CSV file, in UTF-8; commas, semicolons or tabs between its columns.
      output: the JSON file.
      videos: a folder with `<id>.*` or `<subset>/<id>.*`, which tells what the table does not.

    Raises:
      ValueError: with file and line, what was expected and what was received.
    """
    table, output = Path(table), Path(output)
    if output.suffix.lower() != ".json":
        raise ValueError(f"--output: expected a name that ends in .json, received {output}")
    drafts = _read(table)
    if not drafts:
        raise ValueError(f"{table}: expected a row for each segment under the header, received none")
    if videos is not None:
        _ask_files(drafts, Path(videos), table)
    _use_last_ends(drafts, table)
    _split([(name, draft) for name, draft in drafts.items() if draft.subset is None])
    database = {
        name: {
            "subset": draft.subset,
            "duration": draft.duration,
            "url": draft.url or "",
            "annotations": [{"label": s.label, "segment": [s.start, s.end]} for s in draft.segments],
        }
        for name, draft in drafts.items()
    }
    utils.write_json(output, {"version": table.stem, "taxonomy": [], "database": database})


def _read(table: Path) -> dict[str, _Draft]:
    drafts: dict[str, _Draft] = {}
    for line, row in _rows(table):
        try:
            name = row["video"]
            if name.lower().endswith(VIDEO_SUFFIXES):  # of a file, where an id would do
                name = name.removesuffix(Path(name).suffix)
            draft = drafts.setdefault(utils.require_safe_name(name, "video"), _Draft(line))
            if row["start"] or row["end"] or row["label"]:
                draft.segments.append(segments.read_segment(row["start"], row["end"], row["label"]))
            _note(draft, "subset", row.get("subset"))
            _note(draft, "url", row.get("url"))
            if row.get("duration"):
                _note(draft, "duration", segments.read_seconds(row["duration"]))
            if draft.subset is not None and draft.subset not in config.SUBSETS:
                raise ValueError(f"subset: expected one of {', '.join(config.SUBSETS)}, received {draft.subset!r}")
            if draft.duration is not None and draft.duration <= 0:
                raise ValueError(f"duration: expected more than 0 seconds, received {draft.duration}")
        except ValueError as error:
            raise ValueError(f"{table}:{line}: {error}") from None
    return drafts


def _note(draft: _Draft, name: str, value: object) -> None:
    """Keep what a row says of its video; an empty cell says nothing."""
    known = getattr(draft, name)
    if not value:
        return
    if known is not None and known != value:
        raise ValueError(f"{name}: expected {known!r} as in an earlier row of this video, received {value!r}")
    setattr(draft, name, value)


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows, with names in lower case and nothing around the cells."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count), strict=True)
            names = [name.strip().lower() for name in next(reader, [])]
            _check_header(table, names)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise ValueError(
                        f"{table}:{reader.line_num}: expected {len(names)} cells ({','.join(names)}), received "
                        f'{len(cells)}; a label with a comma stands in "quotes"'
                    )
                yield reader.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=True))
    except FileNotFoundError:
        raise ValueError(f"{table}: no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{table}: not in UTF-8; save the table as CSV UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{table}:{reader.line_num}: not CSV: {error}") from None


def _check_header(table: Path, names: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise ValueError(
            f"{table}:1: expected a header with {','.join(REQUIRED)}, received {','.join(names)!r:.120}; "
            f"missing: {', '.join(missing)}"
        )
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{table}:1: expected each column once, received {', '.join(sorted(twice))} more than once")
    unused = [name for name in names if name not in REQUIRED + OPTIONAL]
    if unused:
        LOGGER.warning("%s: columns that are not used: %s", table, ", ".join(unused))


def _ask_files(drafts: dict[str, _Draft], folder: Path, table: Path) -> None:
    """Let the video files say what the table does not: the duration and, by their folder, the subset."""
    if not folder.is_dir():
        raise ValueError(f"--videos {folder}: no such folder")
    places = (*(folder / subset for subset in config.SUBSETS), folder)
    files = {path.stem: path for place in reversed(places) for path in find_videos(place)}
    missing = [name for name in drafts if name not in files]
    if missing:
        LOGGER.warning("%s: %d of %d videos of %s are not there, such as %s", folder, len(missing), len(drafts), table,
                       missing[0])  # fmt: skip
    for name, draft in drafts.items():
        if name not in files:
            continue
        if draft.subset is None and files[name].parent.name in config.SUBSETS:
            draft.subset = files[name].parent.name
        if draft.duration is None:
            # a container that does not say leaves it to the segments
            draft.duration = round(read_header(files[name]).duration, 3) or None


def _use_last_ends(drafts: dict[str, _Draft], table: Path) -> None:
    """Let the end of its last segment stand for a duration that nothing told."""
    unknown = {name: draft for name, draft in drafts.items() if draft.duration is None}
    for name, draft in unknown.items():
        draft.duration = max((segment.end for segment in draft.segments), default=0.0)
        if draft.duration <= 0:
            raise ValueError(
                f"{table}:{draft.line}: video {name!r} has no segment that tells its duration: add a duration column, "
                "or give the folder with the videos: --videos FOLDER"
            )
    if unknown:
        LOGGER.warning(
            "%s: for want of durations, %d of %d videos are taken to end with their last segment; a duration column or "
            "--videos FOLDER would tell", table, len(unknown), len(drafts),
        )  # fmt: skip


def _split(undecided: list[tuple[str, _Draft]]) -> None:
    """A fifth of the videos, and at least one of two, becomes validation: those whose ids have the smallest hashes."""
    undecided.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    count = max(round(VALIDATION_SHARE * len(undecided)), 1) if len(undecided) > 1 else 0
    for number, (_, draft) in enumerate(undecided):
        draft.subset = "validation" if number < count else "training"
