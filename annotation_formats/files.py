"""Any annotation file, told by what it holds -> drafts; drafts -> a file, or a folder, of any of the formats."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import utils
from annotation_formats import (
    activitynet,
    audacity,
    boris,
    boris_tables,
    elan,
    frames,
    labelstudio,
    subtitles,
    tables,
    thumos,
    via,
)  # fmt: skip
from annotation_formats.drafts import Draft, Drafts, Options, read_text
from utils import LOGGER

FORMATS = ("activitynet", "table", "boris", "elan", "via", "labelstudio", "frames", "thumos", "audacity", "srt", "vtt")
# of names that say the format; a folder says thumos, or is of one file a video
BY_SUFFIX = {".json": "activitynet", ".csv": "table", ".tsv": "table", ".boris": "boris", ".eaf": "elan",
             ".srt": "srt", ".vtt": "vtt", ".txt": "audacity"}  # fmt: skip
# of formats with one file a video, how its name ends
A_FILE_EACH = {"elan": ".eaf", "frames": f"{frames.SUFFIX}.csv", "audacity": ".txt", "srt": ".srt", "vtt": ".vtt"}

# of a folder with one table of its videos' actions
TABLES = (".csv", ".tsv", ".boris", ".eaf")
NOT_EMPTY = ("audacity", "srt", "thumos")  # cannot hold a video without segments
# what formats are made of, where not of text
KINDS = {"activitynet": "JSON", "boris": "JSON", "via": "JSON", "labelstudio": "JSON", "elan": "XML",
         "thumos": "folder"}  # fmt: skip


def tables_in(folder: Path, suffixes: tuple[str, ...] = TABLES) -> list[Path]:
    """The files of a folder that are called as tables of actions, in the order of their names."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in suffixes and path.is_file()]


def recognise(path: Path) -> tuple[str, Any]:
    """The format of a file, or folder, by its content; with the JSON value or the text that it holds."""
    if path.is_dir():
        return "thumos" if thumos.recognised(path) else "folder", None
    text = "" if path.suffix.lower() == ".json" else read_text(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
        value = utils.read_json(path)
        if isinstance(value, dict) and "observations" in value and "behaviors_conf" in value:
            return "boris", value
        if isinstance(value, dict) and {"attribute", "file", "metadata", "view"} <= set(value):
            return "via", value
        if labelstudio.recognised(value):
            return "labelstudio", value
        return "table" if tables.recognised(value) else "activitynet", value
    if text.lstrip()[:1] == "<":
        return "elan", None
    if subtitles.recognised(text):
        return "srt", text
    if audacity.recognised(text):
        return "audacity", text
    return "frames" if frames.recognised(text) else "table", text


def read(path: Path, options: Options | None, name: str | None = None, scored: bool = False) -> tuple[Drafts, dict]:
    """Read a file into drafts.

    Args:
      path: a file of any of FORMATS, or a folder of files.
      options: see `Options`.
      name: one of FORMATS; None tells it by content.
      scored: accept predictions in ActivityNet's layout, too.

    Returns:
      The drafts, not finished yet, and the object that ActivityNet's layout has around them (else an empty one).

    Raises:
      ValueError: what is wrong with the file as a whole.
    """
    drafts = Drafts(path, options)
    told, content = recognise(path)
    around = content if told == "activitynet" and isinstance(content, dict) else {}
    try:
        if told == "folder":
            _read_folder(drafts, name)
        else:
            if name is not None and KINDS.get(name, "text") != KINDS.get(told, "text"):
                raise ValueError(f"expected the format {name}, received a file that looks like {told}")
            _read(drafts, name or told, content, scored)
    except ValueError as error:
        raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from None
    if told != "activitynet":  # whose emptiest file is one all the same
        drafts.require_videos(
            "a row for each segment under the header" if told == "table" else "annotations of a video"
        )
    return drafts, around


def _read(drafts: Drafts, name: str, content: Any, scored: bool) -> None:
    if name == "activitynet":
        if scored and isinstance(content, dict) and "results" in content:
            activitynet.read_results(drafts, content)
        else:
            activitynet.read(drafts, content)
    elif name == "boris":
        boris.read(drafts, content)
    elif name == "via":
        via.read(drafts, content)
    elif name == "labelstudio":
        labelstudio.read(drafts, content)
    elif name == "thumos":
        thumos.read(drafts, drafts.path)
    elif name == "elan":
        elan.read(drafts, drafts.path)
    elif name == "audacity":
        audacity.read(drafts, content)
    elif name in ("srt", "vtt"):
        subtitles.read(drafts, content)
    elif name == "frames":
        frames.read(drafts, content)
    elif name == "table":
        exported = isinstance(content, str) and boris_tables.header_line(content) is not None
        (boris_tables if exported else tables).read(drafts, content)
    else:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, received {name!r}")


def _read_folder(drafts: Drafts, name: str | None) -> None:
    """Read all annotation files of a folder; what ends otherwise is passed over."""
    files = [path for path in sorted(drafts.path.iterdir()) if path.suffix.lower() in BY_SUFFIX and path.is_file()]
    if not files:
        raise ValueError("expected a file of annotations, received a folder without any")
    for path in files:
        drafts.merge(read(path, drafts.options, name)[0])


def write(path: Path, name: str, drafts: Drafts, around: dict) -> None:
    """Write finished drafts in a format: into the file `path`, or the folder where a format has a file a video.

    Raises ValueError where that is what was read: it may hold what is not written, such as videos in work and notes.
    """
    if path.resolve() == drafts.path.resolve():
        raise ValueError(f"{path}: the file that was read, which may hold more than is written: give another name")
    videos = drafts.videos
    if name in NOT_EMPTY:
        videos = {video: draft for video, draft in videos.items() if draft.segments}
        if len(videos) < len(drafts.videos):
            LOGGER.warning("%s: %d videos without segments are left out: %s cannot hold them", path,
                           len(drafts.videos) - len(videos), name)  # fmt: skip
    if name == "activitynet":
        utils.write_json(path, activitynet.written(videos, str(around.get("version") or drafts.path.stem),
                                                   around.get("taxonomy") or []))  # fmt: skip
    elif name == "table":
        utils.write_text(path, tables.written(videos, "\t" if path.suffix.lower() == ".tsv" else ","))
    elif name == "boris":
        utils.write_text(path, boris.written(videos))
    elif name == "via":
        utils.write_text(path, via.written(videos))
    elif name == "labelstudio":
        utils.write_text(path, labelstudio.written(drafts))
    elif name == "thumos":
        for class_file, text in thumos.written(videos).items():
            utils.write_text(path / utils.require_safe_name(class_file, "label"), text)
    elif name in A_FILE_EACH:
        _write_each(path, name, drafts, videos)
    else:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, received {name!r}")


def _write_each(path: Path, name: str, drafts: Drafts, videos: dict[str, Draft]) -> None:
    if path.suffix and len(videos) > 1:
        raise ValueError(f"{path}: {name} has a file a video: give a folder for the {len(videos)} videos")
    labels = sorted({segment.label for draft in videos.values() for segment in draft.segments})
    for video, draft in videos.items():
        file = path if path.suffix else path / f"{video}{A_FILE_EACH[name]}"
        if name == "elan":
            text = elan.written(video, draft)
        elif name == "frames":
            text = frames.written(drafts, draft, labels)
        elif name == "audacity":
            text = audacity.written(draft)
        else:
            text = subtitles.written(draft, vtt=name == "vtt")
        utils.write_text(file, text)


def above(drafts: Drafts, score: float) -> None:
    """Leave out predictions below a score."""
    for draft in drafts.videos.values():
        kept = [item for item in draft.scored() if item[1] is None or item[1] >= score]
        scores = [one for _, one in kept] if draft.scores else []
        drafts.videos[draft.name] = dataclasses.replace(draft, segments=[s for s, _ in kept], scores=scores)
