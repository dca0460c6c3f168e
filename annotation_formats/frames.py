"""A table of frames, as DeepEthogram has it <-> annotations: a column a behaviour, a row a frame, 0 or 1.

The first column, which has no name, counts frames. -1 is "not labelled", which no label of ours can say: such frames
would count as background. One file is one video.
"""

from __future__ import annotations

import csv
import io

import segments
from annotation_formats.drafts import Draft, Drafts
from segments import BACKGROUND_NAME
from utils import LOGGER

SUFFIX = "_labels"  # behind the video's name in the file's
VALUES = {"0": 0, "0.0": 0, "1": 1, "1.0": 1, "-1": -1, "-1.0": -1}


def recognised(text: str) -> bool:
    """Whether the first rows are 0, 1 and -1 under a header of names, behind a column that counts from 0."""
    head, *rows = csv.reader(io.StringIO("".join(io.StringIO(text).readlines()[:4]))) if text.strip() else [[]]
    if len(head) < 2 or head[0].strip().lower() not in ("", "unnamed: 0", "frame") or not rows:
        return False
    return all(
        len(row) == len(head) and row[0].strip() == str(number) and all(cell.strip() in VALUES for cell in row[1:])
        for number, row in enumerate(rows)
    )


def read(drafts: Drafts, text: str) -> None:
    import numpy as np

    rows = csv.reader(io.StringIO(text))
    names = [name.strip() for name in next(rows)[1:]]
    draft, table = drafts.video(drafts.path.stem.removesuffix(SUFFIX), "1"), []
    for line, row in enumerate(rows, start=2):
        try:
            if len(row) != len(names) + 1 or row[0].strip() != str(line - 2):
                raise ValueError(f"expected frame {line - 2} with {len(names)} numbers, received {','.join(row)!r:.80}")
            table.append([VALUES[cell.strip()] for cell in row[1:]])
        except KeyError as error:
            drafts.wrong(str(line), f"expected 0, 1 or -1, received {error}")
        except ValueError as error:
            drafts.wrong(str(line), error)
    labels = np.asarray(table, np.int8).reshape(-1, len(names))
    unlabelled = np.flatnonzero((labels < 0).any(axis=1))
    if len(unlabelled):
        drafts.wrong(str(unlabelled[0] + 2), f"{len(unlabelled)} frames are not labelled (-1), and would count as "
                                             "background")  # fmt: skip
    rate = drafts.rate(draft)
    drafts.note(draft, "duration", len(labels) / rate)
    for column, name in enumerate(names):
        if name.casefold() == BACKGROUND_NAME:
            continue
        for first, end, value in zip(*segments.label_runs(labels[:, column]), strict=True):
            if value == 1:
                drafts.add(draft, *segments.seconds_of_frames(first, end - 1, rate), name)


def written(drafts: Drafts, draft: Draft, labels: list[str]) -> str:
    """The table of one video, with all labels of the data set and, first, background."""
    import numpy as np

    rate = drafts.rate(draft)
    table = np.zeros((round(draft.duration * rate), len(labels) + 1), np.int8)
    for segment in draft.segments:
        first, end = (segments.nearest_frame(time, rate) for time in (segment.start, segment.end))
        table[first:end, labels.index(segment.label) + 1] = 1
    runs = sum(len(segments.label_runs(column)[2].nonzero()[0]) for column in table[:, 1:].T)
    if runs < len(draft.segments):
        LOGGER.warning("video %r: %d segments become %d: what overlaps or touches one of its label is one in a "
                       "table of frames", draft.name, len(draft.segments), runs)  # fmt: skip
    table[:, 0] = ~table[:, 1:].any(axis=1)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["", BACKGROUND_NAME, *labels])
    rows.writerows([number, *row] for number, row in enumerate(table.tolist()))
    return text.getvalue()
