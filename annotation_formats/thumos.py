"""THUMOS14's text files (a folder, one file a class: `<Class>_val.txt`, `<Class>_test.txt`) <-> annotations.

A line is `video start end`, in seconds. `Ambiguous_*.txt` holds what may be any class; it stays a class of that name.
"""

from __future__ import annotations

import re
from pathlib import Path

from annotation_formats.drafts import Draft, Drafts, read_subset, read_text

NAME = re.compile(r"(.+)_(val|validation|test|train)\.txt", re.IGNORECASE)
WORDS = {"training": "train", "validation": "val", "testing": "test"}
AMBIGUOUS = "Ambiguous"


def recognised(folder: Path) -> bool:
    return any(NAME.fullmatch(path.name) for path in folder.glob("*.txt"))


def read(drafts: Drafts, folder: Path) -> None:
    for path in sorted(folder.glob("*.txt")):
        name = NAME.fullmatch(path.name)
        if name is None:
            drafts.wrong(path.name, "expected a name such as Diving_val.txt, which says class and subset")
            continue
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            place = f"{path.name}:{number}"
            cells = line.split()
            if not cells:
                continue
            try:
                if len(cells) != 3:
                    raise ValueError(f"expected `video start end`, received {line!r:.80}")
                draft = drafts.video(cells[0], place)
                drafts.note(draft, "subset", read_subset(name[2]))
                drafts.add(draft, cells[1], cells[2], name[1])
                if name[1] == AMBIGUOUS:
                    drafts.odd(f"are {AMBIGUOUS}, a class of its own", place)
            except ValueError as error:
                drafts.wrong(place, error)


def written(videos: dict[str, Draft]) -> dict[str, str]:
    """The texts, by the names of their files. Videos without segments have no line."""
    files: dict[str, list[str]] = {}
    for name, draft in videos.items():
        if name.split() != [name]:
            raise ValueError(f"video {name!r}: names with spaces cannot stand in THUMOS14's files")
        for segment in draft.segments:
            file = f"{segment.label}_{WORDS[draft.subset]}.txt"
            files.setdefault(file, []).append(f"{name}  {segment.start:.3f} {segment.end:.3f}\n")
    return {file: "".join(sorted(lines)) for file, lines in files.items()}
