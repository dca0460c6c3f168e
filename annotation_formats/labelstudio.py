"""Label Studio's `timelinelabels` (JSON and JSON-MIN exports) <-> annotations. https://labelstud.io/tags/timelinelabels

Ranges are frames, the last one included, and the file does not say how long one lasts. Label Studio counts from 1;
files that other programs made count from 0, and a range that begins at 0 shows it.
"""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from urllib.parse import unquote

import segments
from annotation_formats.drafts import Draft, Drafts
from annotation_formats.members import member
from segments import read_seconds
from video_input import VIDEO_SUFFIXES

OTHER = "regions that are no spans of time (left out)"
FROM_0, FROM_1 = "ranges, counted from 0, as one that begins there shows", "ranges, taken to be counted from 1"
CANCELLED, UPLOADED = "annotations were cancelled (left out)", "files lost the prefix of an upload"


def recognised(value: object) -> bool:
    """Whether a JSON value is a list of tasks, or one task."""
    tasks = value if isinstance(value, list) else [value]
    return bool(tasks) and all(isinstance(task, dict) and (_is_task(task) or _spans(task)) for task in tasks)


def _is_task(task: dict) -> bool:
    return isinstance(task.get("data"), dict) and ("annotations" in task or "predictions" in task)


def _spans(task: dict) -> list[dict]:
    """The regions of a task of a JSON-MIN export."""
    lists = [items for items in task.values() if isinstance(items, list)]
    return [item for items in lists for item in items if isinstance(item, dict) and "timelinelabels" in item]


def read(drafts: Drafts, value: object) -> None:
    found: list[tuple[Draft, list, str, str]] = []
    for number, task in enumerate(value if isinstance(value, list) else [value]):
        place = f"[{number}]"
        try:
            draft, regions = _task(drafts, task, place)
            found += [(draft, *region) for region in regions]
        except ValueError as error:
            drafts.wrong(place, error)
    starts = [span.get("start") for _, spans, _, _ in found for span in spans if isinstance(span, dict)]
    first = drafts.options.first_frame
    if first is None and starts:
        first = 0 if 0 in starts else 1
        drafts.odd(FROM_1 if first else FROM_0, "(--first-frame says otherwise)")
    for draft, spans, label, place in found:
        for span in spans:
            try:
                start, end = (read_seconds(member(span, "", key, (int, float))) for key in ("start", "end"))
                if start < first:
                    raise ValueError(f"expected frames from {first} on, received {start:g}")
                drafts.add(draft, *segments.seconds_of_frames(start, end, drafts.rate(draft), first), label)
            except ValueError as error:
                drafts.wrong(place, error)


def _task(drafts: Drafts, task: dict, place: str) -> tuple[Draft, list[tuple[list, str, str]]]:
    """The video of a task, and its regions as (ranges, label, place)."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    names = [text for text in data.values() if isinstance(text, str) and text.lower().endswith(VIDEO_SUFFIXES)]
    if not names:
        raise ValueError("data: expected the name of a video file, received none")
    name = PurePosixPath(unquote(names[0]).replace("\\", "/")).name.rpartition("=")[2]
    if "/upload/" in names[0] and re.match("[0-9a-f]{8}-.", name):
        name = name[9:]
        drafts.odd(UPLOADED, place)
    draft = drafts.video(name, place)
    if not _is_task(task):
        return draft, _regions(drafts, _spans(task), place)
    people: dict[str, list] = {}
    for entry in member(task, f"{place}.", "annotations", list, []):
        if isinstance(entry, dict) and entry.get("was_cancelled") is True:
            drafts.odd(CANCELLED, place)
            continue
        regions = member(entry, f"{place}.annotations.", "result", list)
        person = entry.get("completed_by")
        person = str(person.get("email") or person.get("id")) if isinstance(person, dict) else str(person)
        if person in people:
            raise ValueError(f"{person} annotated it twice: cancel one of the annotations")
        people[person] = regions
    if len(people) > 1 and drafts.options.observer is None:
        raise ValueError(f"several people annotated it, {', '.join(people)}: --observer NAME chooses one")
    chosen = [regions for person, regions in people.items() if drafts.options.observer in (None, person)]
    return draft, _regions(drafts, [region for regions in chosen for region in regions], place)


def _regions(drafts: Drafts, regions: list, place: str) -> list[tuple[list, str, str]]:
    found = []
    for number, region in enumerate(regions):
        here = f"{place}.result[{number}]"
        value = region.get("value", region) if isinstance(region, dict) else None
        if not isinstance(value, dict) or "timelinelabels" not in value:
            drafts.odd(OTHER, here)
            continue
        for label in member(value, f"{here}.", "timelinelabels", list):
            if not isinstance(label, str):
                raise ValueError(f"{here}.timelinelabels: expected text, received {label!r:.80}")
            found.append((member(value, f"{here}.", "ranges", list), label, here))
    return found


def written(drafts: Drafts) -> str:
    """A task a video, ready to import: with predictions where there are scores, else with annotations."""
    first, tasks = (1 if drafts.options.first_frame is None else drafts.options.first_frame), []
    for name, draft in drafts.videos.items():
        rate, result = drafts.rate(draft), []
        for number, (segment, score) in enumerate(draft.scored()):
            start = segments.nearest_frame(segment.start, rate) + first
            end = max(segments.nearest_frame(segment.end, rate) + first - 1, start)
            value = {"ranges": [{"start": start, "end": end}],
                     "timelinelabels": [segment.label]}  # fmt: skip
            region = {"id": f"{number}", "type": "timelinelabels", "from_name": "videoLabels", "to_name": "video"}
            result.append(region | {"value": value} | ({} if score is None else {"score": score}))
        task = {"data": {"video": draft.file or f"{name}.mp4"}}
        if draft.scores:
            task["predictions"] = [{"model_version": "actions", "score": max(draft.scores), "result": result}]
        else:
            task["annotations"] = [{"completed_by": 1, "result": result}]
        tasks.append(task)
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"
