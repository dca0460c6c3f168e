"""What a file of any format tells of videos, gathered while it is read: segments, lengths, subsets, and what is odd.

Readers call `video`, `add`, `odd` and `wrong` with the place in the file; `finish` tells everything at once and asks
the video files for what the format does not hold. Times are seconds.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import config
import segments
import utils
from segments import Segment
from utils import LOGGER
from video_input import VIDEO_SUFFIXES, find_videos, read_header, video_id

VALIDATION_SHARE = 0.2
MOST_TOLD = 20  # errors of one file that are printed
SUBSET_WORDS = {
    "train": "training", "training": "training", "val": "validation", "valid": "validation", "dev": "validation",
    "validation": "validation", "test": "testing", "testing": "testing",
}  # fmt: skip
# hh:mm:ss.sss or mm:ss.s, with a point or a comma
CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2}(?:[.,]\d{1,9})?)", re.ASCII)
DECIMAL_COMMA = re.compile(r"-?\d+,\d+", re.ASCII)


OVERLAP = "overlap one of the same label"


@dataclass(frozen=True)
class Options:
    """What the user says beyond the file.

    videos: a folder with `<id>.*` or `<subset>/<id>.*`. fps: of formats that count frames, for all videos. first_frame:
    the number of a video's first frame there, 0 or 1; None leaves it to the format. observer: whose annotations, where
    several people made some. skip_errors: leave out what cannot be used, instead of refusing the file.
    """

    videos: Path | None = None
    fps: float | None = None
    first_frame: int | None = None
    observer: str | None = None
    skip_errors: bool = False


@dataclass
class Draft:
    """A video as a file tells of it; None where it does not. `scores` stand beside segments that were predicted."""

    name: str
    place: str
    segments: list[Segment] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    subset: str | None = None
    duration: float | None = None
    url: str | None = None
    file: str | None = None  # its name, with the ending
    fps: float | None = None
    in_work: bool = False  # its labelling is not finished: what is not labelled yet is no background

    def scored(self) -> list[tuple[Segment, float | None]]:
        """The segments, each with its score, or None where they were annotated."""
        return list(zip(self.segments, self.scores or [None] * len(self.segments), strict=True))


class Drafts:
    """The videos of one annotation file, in its order, with what is odd or wrong in it."""

    def __init__(self, path: Path, options: Options | None = None):
        self.path = Path(path)
        self.options = options or Options()
        self.videos: dict[str, Draft] = {}
        self._odd: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._wrong: list[str] = []
        self._errors = 0
        self._files: dict[str, list[Path]] | None = None
        self.tells_overlaps = False

    def video(self, name: str, place: str) -> Draft:
        """The draft of the video of this id, or of this file's name. Raises ValueError for what can be no id."""
        file = None
        if isinstance(name, str) and name.lower().endswith(VIDEO_SUFFIXES):
            file = re.split(r"[/\\]", name)[-1]
            name = file.removesuffix(Path(file).suffix)
        name = utils.require_safe_name(name, "video")
        draft = self.videos.setdefault(name, Draft(name, place))
        self.note(draft, "file", file and utils.composed(file))
        return draft

    def note(self, draft: Draft, name: str, value: Any) -> None:
        """Keep what a file says of a video; nothing says nothing, and another value than before is a ValueError."""
        known = getattr(draft, name)
        if not value:
            return
        if known is not None and known != value:
            message = f"{name}: expected {known!r} as in an earlier row of this video, received {value!r}"
            if name == "file":
                message = f"two videos of one name: {known!r} and {value!r}; rename one of them"
            raise ValueError(message)
        setattr(draft, name, value)

    def add(self, draft: Draft, start: object, end: object, label: str, score: float | None = None) -> None:
        """Add a segment. Raises ValueError that says what was expected and received."""
        draft.segments.append(segments.read_segment(seconds(start), seconds(end), label))
        if score is not None:
            draft.scores.append(score)

    def rate(self, draft: Draft) -> float:
        """Frames a second of a video of which frames were counted; see `Options`. Raises ValueError for want of it."""
        rate = self.options.fps or draft.fps
        if not rate and self.options.videos is not None and (file := self._file(draft)):
            rate = draft.fps = read_header(file).fps
        if not rate:
            raise ValueError(
                f"video {draft.name!r}: its times are numbers of frames: give their folder, --videos FOLDER, or "
                "the frames a second, --fps F, to `python annotations.py convert`"
            )
        return rate

    def odd(self, kind: str, place: str) -> None:
        """Count something that is read in spite of it, or left out on purpose; a line tells each kind."""
        self._odd[kind] += 1
        self._first.setdefault(kind, place)

    def wrong(self, place: str, message: object) -> None:
        """Keep an error: all of a file are told together."""
        self._errors += 1
        if self._errors <= MOST_TOLD:
            self._wrong.append(f"{self._at(place)}: {message}")

    def merge(self, other: Drafts) -> None:
        """Take the videos of another file, with what is odd or wrong in it."""
        for name, draft in other.videos.items():
            if self.videos.setdefault(name, draft) is not draft:
                other.wrong(draft.place, f"video {name!r} is told of in another file too")
        self._wrong += other._wrong[: MOST_TOLD - len(self._wrong)]
        self._errors += other._errors
        self._odd.update(other._odd)
        for kind, place in other._first.items():
            self._first.setdefault(kind, f"{other.path.name}, {place}")
        self.tells_overlaps |= other.tells_overlaps

    def _count_overlaps(self) -> None:
        """Tell of segments that overlap one of the same label: several people or animals may have done it."""
        for draft in self.videos.values():
            ends: dict[str, float] = {}
            for segment in sorted(draft.segments, key=lambda segment: segment.start):
                if segment.start < ends.get(segment.label, segment.start):
                    self.odd(OVERLAP, f"video {draft.name!r}, {segment.label!r} from {segment.start:g}")
                ends[segment.label] = max(segment.end, ends.get(segment.label, segment.end))

    def _at(self, place: str) -> str:
        return f"{self.path}:{place}" if place.isdecimal() else f"{self.path}: {place}" if place else str(self.path)

    def require_videos(self, expected: str) -> None:
        """Raise ValueError where nothing was read and nothing was wrong."""
        if not self.videos and not self._errors:
            raise ValueError(f"{self.path}: expected {expected}, received none")

    def finish(self) -> dict[str, Draft]:
        """The videos but for those in work, each with a duration and a subset. Raises ValueError with all wrong."""
        self._tell_errors()
        if self.options.videos is not None:
            self._ask_files()
        self._tell_errors()
        self._use_last_ends()
        self._tell_errors()
        if self.tells_overlaps:
            self._count_overlaps()
        split([(name, draft) for name, draft in self.videos.items() if draft.subset is None])
        for kind, count in self._odd.items():
            LOGGER.warning("%s: %d %s; the first: %s", self.path, count, kind, self._first[kind])
        in_work = [name for name, draft in self.videos.items() if draft.in_work]
        if in_work:
            LOGGER.warning("%s: %d videos are left out, their labelling is not finished: %s", self.path, len(in_work),
                           ", ".join(in_work[:MOST_TOLD]) + ", …" * (len(in_work) > MOST_TOLD))  # fmt: skip
        self.videos = {name: draft for name, draft in self.videos.items() if not draft.in_work}
        return self.videos

    def _tell_errors(self) -> None:
        if not self._errors:
            return
        first, *others = self._wrong
        told = "; ".join([first, *(text.removeprefix(str(self.path)).lstrip(": ") for text in others)])
        told += f"; and {self._errors - MOST_TOLD} more" if self._errors > MOST_TOLD else ""
        if not self.options.skip_errors:
            raise ValueError(told)
        LOGGER.warning("%d left out: %s", self._errors, utils.one_line(told))
        self._wrong, self._errors = [], 0
        empty = [name for name, draft in self.videos.items() if not draft.segments]
        if empty:  # what is wrong in them may have been all there was
            LOGGER.warning("%s: %d videos without a usable segment are left out too: %s", self.path, len(empty),
                           utils.one_line(", ".join(empty[:MOST_TOLD])))  # fmt: skip
            self.videos = {name: draft for name, draft in self.videos.items() if draft.segments}

    def _file(self, draft: Draft) -> Path | None:
        """The video's file. Raises ValueError where two could be it."""
        folder = self.options.videos
        if self._files is None:
            if not folder.is_dir():
                raise ValueError(f"--videos {folder}: no such folder")
            self._files = {}
            for place in (*(folder / subset for subset in config.SUBSETS), folder):
                for path in find_videos(place):
                    self._files.setdefault(video_id(path), []).append(path)
        files = self._files.get(draft.name, [])
        files = [path for path in files if path.parent.name == draft.subset] or files
        files = [path for path in files if utils.composed(path.name) == draft.file] or files
        if len(files) > 1:
            raise ValueError(f"video {draft.name!r}: expected one file, received {' and '.join(map(str, files))}")
        return files[0] if files else None

    def _ask_files(self) -> None:
        """Let the video files say what the annotations do not: the duration and, by their folder, the subset."""
        missing = []
        for name, draft in self.videos.items():
            try:
                file = self._file(draft)
            except ValueError as error:
                if not self._files:
                    raise
                self.wrong(draft.place, error)
                continue
            if file is None:
                missing.append(name)
                continue
            draft.file = draft.file or file.name
            if draft.subset is None and file.parent.name in config.SUBSETS:
                draft.subset = file.parent.name
            if draft.duration is None:
                # a container that does not say leaves it to the segments
                draft.duration = round(read_header(file).duration, 3) or None
        if missing:
            LOGGER.warning("%s: %d of %d videos of %s are not there, such as %s", self.options.videos, len(missing),
                           len(self.videos), self.path, missing[0])  # fmt: skip

    def _use_last_ends(self) -> None:
        """Let the end of its last segment stand for a duration that nothing told."""
        unknown = {name: draft for name, draft in self.videos.items() if draft.duration is None}
        for name, draft in unknown.items():
            draft.duration = max((segment.end for segment in draft.segments), default=0.0)
            if draft.duration <= 0:
                self.wrong(draft.place, f"video {name!r} has no segment that tells its duration: add a duration "
                                        "column, or give the folder with the videos: --videos FOLDER")  # fmt: skip
        if unknown:
            LOGGER.warning(
                "%s: for want of durations, %d of %d videos are taken to end with their last segment; a duration "
                "column or --videos FOLDER would tell", self.path, len(unknown), len(self.videos),
            )  # fmt: skip


def split(undecided: list[tuple[str, Draft]]) -> None:
    """A fifth of the videos, and at least one of two, becomes validation: those whose ids have the smallest hashes."""
    undecided.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    count = max(round(VALIDATION_SHARE * len(undecided)), 1) if len(undecided) > 1 else 0
    for number, (_, draft) in enumerate(undecided):
        draft.subset = "validation" if number < count else "training"


def read_subset(word: str) -> str:
    """training, validation or testing, of the words that data sets have for them in any case of letters."""
    subset = SUBSET_WORDS.get(word.strip().casefold())
    if subset is None:
        raise ValueError(
            f"subset: expected one of {', '.join(config.SUBSETS)} (or train, val, test), received {word!r}"
        )
    return subset


def seconds(value: object) -> float:
    """Seconds, of a number or of text: 1.5, 1,5 (a decimal comma), 0:01.5, 00:00:01.500."""
    text = value.strip() if isinstance(value, str) else ""
    if clock := CLOCK.fullmatch(text):
        hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3].replace(",", "."))
        if rest < 60 and (clock[1] is None or minutes < 60):
            return 3600 * hours + 60 * minutes + rest
    return segments.read_seconds(text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else value)


def clock(milliseconds: int, point: str) -> str:
    """hh:mm:ss and milliseconds behind a point or comma."""
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def lanes(scored: list[tuple[Segment, float | None]]) -> list[list[tuple[Segment, float | None]]]:
    """Segments in as few rows as it takes that none overlaps another in its row; each row in the order of time."""
    rows = segments.lanes([(segment.start, segment.end) for segment, _ in scored])
    return [[scored[number] for number in row] for row in rows]


def read_text(path: Path) -> str:
    """A text file, in UTF-8, or in UTF-16 with a byte-order mark. Raises ValueError that names it."""
    if not utils.require_file(path, "a file").exists():
        raise ValueError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not in UTF-8; save the table as CSV UTF-8") from None
