"""Annotations and what the command line asks for -> the videos to get, and the address of each."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urldefrag, urlsplit

import annotations
from annotations import Annotations, Video
from download.plain_file import fetch_file
from utils import LOGGER, atomic_path, require_file

BY_HAND = "http://activity-net.org/download.html"
_MOST_BYTES = 500_000_000

_YOUTUBE = "https://www.youtube.com/watch?v="


@dataclass(frozen=True)
class Wanted:
    subsets: tuple[str, ...]
    classes: tuple[str, ...] = ()  # labels; none: all
    per_subset: int | None = None
    per_class: int | None = None  # of each subset
    ids: tuple[str, ...] | None = None  # None: all


def choose(videos: Iterable[Video], wanted: Wanted, gone: Collection[str]) -> list[Video]:
    """The wanted videos in the order of the annotation file.

    Where a number is asked for, ids in `gone` are passed over, so that a second run replaces what the first could not
    get. A video belongs to the class of its first wanted label; unlabelled ones form a class of their own.

    Raises ValueError for labels and ids that the annotations do not have.
    """
    videos = list(videos)
    known = {segment.label for video in videos for segment in video.segments}
    for name in wanted.classes:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(map(repr, near))}?" if near else f"there are {len(known)} others"
            raise ValueError(f"--class {name!r}: no segment has this label; {hint}")
    chosen = [video for video in videos if video.subset in wanted.subsets]
    if wanted.ids is not None:
        chosen = _with_ids(chosen, wanted.ids)
    if wanted.classes:
        chosen = [video for video in chosen if any(segment.label in wanted.classes for segment in video.segments)]
    if wanted.per_class is None and wanted.per_subset is None:
        return chosen
    drawn: set[str] = set()
    for subset in wanted.subsets:
        left = [video for video in chosen if video.subset == subset and video.id not in gone]
        drawn.update(_draw_evenly(left, wanted))
    return [video for video in chosen if video.id in drawn]


def _draw_evenly(videos: list[Video], wanted: Wanted) -> list[str]:
    """Ids, one of each class in turn, until each class has given `per_class` or all have given `per_subset`."""
    classes: dict[str, list[str]] = {}
    for video in videos:
        labels = [segment.label for segment in video.segments]
        label = next((label for label in labels if not wanted.classes or label in wanted.classes), "")
        classes.setdefault(label, []).append(video.id)
    turns = range(max(map(len, classes.values()), default=0) if wanted.per_class is None else wanted.per_class)
    order = [ids[turn] for turn in turns for ids in classes.values() if turn < len(ids)]
    return order[: wanted.per_subset]


def _with_ids(videos: list[Video], ids: tuple[str, ...]) -> list[Video]:
    missing = set(ids) - {video.id for video in videos}
    if missing == set(ids):
        raise ValueError(f"--ids: none of the {len(missing)} ids is in the chosen subsets of the annotations")
    if missing:
        few = ", ".join(sorted(missing)[:3])
        LOGGER.warning("--ids: %d ids are not in the chosen subsets, such as %s", len(missing), few)
    return [video for video in videos if video.id in set(ids)]


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids of a text file: one a line, with empty lines and lines that begin with # passed over."""
    try:
        lines = require_file(path, "a text file of ids").read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(f"--ids {path}: cannot be read: {error}") from None
    ids = tuple(dict.fromkeys(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")))
    if not ids:
        raise ValueError(f"--ids {path}: expected an id a line, received an empty file")
    return ids


def address_of(video: Video, template: str | None) -> str:
    """Where to get a video: from `template`, else its own url, else YouTube by its id.

    Raises ValueError for anything but a plain http or https address. The fragment is dropped: it never reaches a
    server, and both libraries read options of their own from it.
    """
    if template is not None:
        address = template.replace("{id}", quote(video.id, safe=""))
    elif video.url:
        address = video.url
    elif re.fullmatch(r"[A-Za-z0-9_-]{11}", video.id):
        address = _YOUTUBE + video.id
    else:
        raise ValueError("there is no url, and the id is not one of YouTube's; set download.url_template")
    return require_web_address(address)


def require_web_address(address: str) -> str:
    """`address` without its fragment. Raises ValueError when it is not http or https, or has no host."""
    try:
        plain = urldefrag(address).url
        parts = urlsplit(plain)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f\x7f]", plain):
        raise ValueError(f"expected an http or https address, received {address!r:.120}")
    return plain


def get(path: Path, address: str | None) -> Annotations:
    """Load the annotations in `path`; when it is missing, download it from `address` first.

    address: http or https, with {name} for the file's name; None never downloads.
    Raises ValueError that says where to get the file by hand.
    """
    if path.exists():
        return annotations.load(path)
    remedy = f"get it by hand from {BY_HAND}, or set paths.json_data_path to a file that exists"
    if address is None:
        raise ValueError(f"{path}: no such file; {remedy}")
    address = require_web_address(address.replace("{name}", quote(path.name)))
    LOGGER.info("%s is missing: downloading it from %s", path, address)
    try:
        with atomic_path(path) as temporary:
            fetch_file(address, temporary, _MOST_BYTES, False, lambda count, expected: None)
            loaded = annotations.load(temporary)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no such file, and {address} gave no annotations ({error}); {remedy}") from None
    return dataclasses.replace(loaded, source=path)
