"""What a user names (files, folders, addresses of files) -> video files with ids, and a line for what is no video."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

import utils
from download.plain_file import fetch_file
from video_input import find_videos, read_header

# an id becomes a file name, with a suffix and the letters of a temporary name: 255 bytes are the limit
ID_BYTES = 120
JOINED = "segments"  # the name of the table of all videos, which no id may take


@dataclass(frozen=True)
class Source:
    """A video file that can be opened; `id` is unique among those of a run, `seconds` is what its header says."""

    id: str
    file: Path
    seconds: float


def collect(given: list[str], downloads: Path) -> tuple[list[Source], list[str]]:
    """The videos that `given` names, each once, in that order; and a line for each name that gives none.

    Addresses are downloaded into a folder of their own under `downloads`.
    """
    files: dict[Path, Path] = {}
    failures: list[str] = []
    for name in given:
        try:
            found = [download(name, downloads)] if is_address(name) else _local(Path(name).expanduser())
            files |= {path.resolve(): path for path in found if path.resolve() not in files}
        except (ValueError, OSError) as error:
            failures.append(str(error))
    sources: list[Source] = []
    taken = {JOINED}
    for path in files.values():
        try:
            seconds = read_header(path).duration
            sources.append(Source(_unique_id(path.stem, taken), path, seconds))
        except (ValueError, OSError) as error:
            failures.append(str(error))
    return sources, failures


def is_address(name: str) -> bool:
    return name.lower().startswith(("http://", "https://"))


def _local(path: Path) -> list[Path]:
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path]  # which may end as it will
    folders = [path]
    for folder in folders:  # which grows: folders inside, but hidden ones, and links, which may form a circle
        folders += sorted(p for p in folder.iterdir() if p.is_dir() and not (p.is_symlink() or p.name.startswith(".")))
    found = [file for folder in folders for file in find_videos(folder) if file.is_file()]
    if not found:
        raise ValueError(f"{path}: holds no videos: no file ends in .mp4, .mkv, .mov or another ending of videos")
    return found


def _unique_id(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem-2` and so on; compared without case, as some file systems do."""
    base = stem.encode("utf-8", "replace")[:ID_BYTES].decode("utf-8", "ignore")
    number, chosen = 1, base
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{base}-{number}"
    taken.add(chosen.casefold())
    return chosen


def download(address: str, folder: Path) -> Path:
    """The file at an http(s) address, as `folder/<hash of the address>/<its name>`; one that is there is not asked for.

    Raises ValueError that names the address and the cause.
    """
    name = re.sub(r"[^\w.-]+", "_", PurePosixPath(unquote(urlsplit(address).path)).name)[-80:].strip("._") or "video"
    path = folder / hashlib.sha256(address.encode()).hexdigest()[:8] / name
    if path.is_file():
        utils.LOGGER.info("%s: downloaded before, to %s", address, path)
        return path
    try:
        with (
            utils.atomic_path(path) as temporary,
            tqdm(desc=path.name, unit="B", unit_scale=True, disable=None, leave=False) as progress,
        ):
            fetch_file(address, temporary, math.inf, True, partial(_tell, progress))
    except OSError as error:
        raise ValueError(f"{address}: cannot be downloaded: {error}") from None
    except ValueError as error:
        raise ValueError(f"{address}: {error}") from None
    return path


def _tell(progress: tqdm, count: int, expected: int | None) -> None:
    progress.total = expected
    progress.update(count)
