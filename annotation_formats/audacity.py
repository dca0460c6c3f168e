"""Audacity's labels (`start`, `end`, `label` with tabs between, in seconds) <-> annotations. One file is one video."""

from __future__ import annotations

from annotation_formats.drafts import Draft, Drafts, seconds

FREQUENCIES = "lines of frequencies (passed over)"


def recognised(text: str) -> bool:
    cells = text.lstrip().partition("\n")[0].rstrip("\r").split("\t")
    try:
        return len(cells) in (2, 3) and all(seconds(cell) is not None for cell in cells[:2])
    except ValueError:
        return False


def read(drafts: Drafts, text: str) -> None:
    draft = drafts.video(drafts.path.stem, "1")
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split("\t")
        if not line.strip():
            continue
        if cells[0] == "\\":
            drafts.odd(FREQUENCIES, str(number))
            continue
        try:
            if len(cells) != 3:
                raise ValueError(f"expected start, end and label with tabs between, received {line!r:.80}")
            drafts.add(draft, cells[0], cells[1], cells[2].strip())
        except ValueError as error:
            drafts.wrong(str(number), error)


def written(draft: Draft) -> str:
    return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{s.label}\n" for s in draft.segments)
