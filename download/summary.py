"""Manifest + chosen videos -> what became of each, as a table, report.json and missing.txt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from annotations import Video
from config import SUBSETS
from download.manifest import HAVE, Manifest
from utils import write_json, write_text
from video_input import find_videos, video_id

DONE, NOT_TRIED = "done", "not_tried"


@dataclass(frozen=True, slots=True)
class State:
    kind: str  # done | gone | failed | not_tried
    reason: str = ""


class Folder:
    """The video files that lie in a folder, by path relative to it and by (subset, id)."""

    def __init__(self, root: Path, subsets: Iterable[str]) -> None:
        self.sizes: dict[str, int] = {}
        self._by_id: dict[tuple[str, str], Path] = {}
        for subset in subsets:
            for path in find_videos(root / subset):
                if path.is_file():
                    self.sizes[f"{subset}/{path.name}"] = path.stat().st_size
                    self._by_id.setdefault((subset, video_id(path)), path)

    def has_whole(self, video: Video, manifest: Manifest) -> bool:
        """True when the manifest knows the video's file and the file has kept its size."""
        past = manifest.of(video.id)
        return past.status in HAVE and past.bytes > 0 and self.sizes.get(past.file) == past.bytes

    def find(self, video: Video) -> Path | None:
        return self._by_id.get((video.subset, video.id))


def states(videos: Iterable[Video], manifest: Manifest, folder: Folder, refused: dict[str, str]) -> dict[str, State]:
    """What is known of each video, by id. refused: ids whose address cannot be used."""
    result = {}
    for video in videos:
        past = manifest.of(video.id)
        if folder.has_whole(video, manifest):
            result[video.id] = State(DONE)
        elif past.status == "failed":
            result[video.id] = State("gone" if past.gone else "failed", past.reason)
        elif video.id in refused:
            result[video.id] = State("failed", "bad_address")
        else:
            result[video.id] = State(NOT_TRIED)
    return result


def table(videos: list[Video], state: dict[str, State]) -> str:
    """Counts by outcome and subset, with the hours of annotated video that each subset's files hold."""
    totals = Counter(video.subset for video in videos)
    subsets = [subset for subset in SUBSETS if subset in totals]
    counts = Counter((state[video.id], video.subset) for video in videos)
    seconds = Counter()
    for video in videos:
        if state[video.id].kind == DONE:
            seconds[video.subset] += video.duration
    order = (DONE, "gone", "failed", NOT_TRIED)
    kinds = sorted({kind for kind, _ in counts}, key=lambda kind: (order.index(kind.kind), kind.reason))

    def row(name: str, numbers: list[float], form: str) -> list[str]:
        return [name, *(format(number, form) for number in [*numbers, sum(numbers)])]

    rows = []
    for kind in kinds:
        name = f"{kind.kind}: {kind.reason}" if kind.reason else kind.kind
        rows.append(row(name.replace("_", " "), [counts[kind, subset] for subset in subsets], ",d"))
    rows.append(row("all", [totals[subset] for subset in subsets], ",d"))
    rows.append(row("hours done", [seconds[subset] / 3600 for subset in subsets], ",.1f"))
    return layout(["", *subsets, "total"], rows)


def layout(header: list[str], rows: list[list[str]]) -> str:
    """Lines of text in columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in [header, *rows]
    ]  # fmt: skip
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def report(videos: list[Video], state: dict[str, State], run: dict) -> dict:
    """The table as data: counts by subset, and the ids behind every reason. run: what else is to be kept."""
    subsets: dict[str, dict] = {}
    ids: dict[str, dict[str, list[str]]] = {"gone": {}, "failed": {}}
    for video in videos:
        kind, reason = state[video.id].kind, state[video.id].reason
        counts = subsets.setdefault(video.subset, {"videos": 0, DONE: 0, "gone": {}, "failed": {}, NOT_TRIED: 0})
        counts["videos"] += 1
        if reason:
            counts[kind][reason] = counts[kind].get(reason, 0) + 1
            ids[kind].setdefault(reason, []).append(video.id)
        else:
            counts[kind] += 1
    return {**run, "subsets": subsets, "ids": ids}


def write(folder: Path, data: dict, gone: list[str]) -> None:
    """Write report.json, and missing.txt with the ids that are gone, one a line."""
    write_json(folder / "report.json", data)
    write_text(folder / "missing.txt", "".join(f"{video_id}\n" for video_id in gone))
