"""JSON in ActivityNet's layout, and what other data sets write in it <-> annotations.

`database: {id: {subset, duration, annotations: [{label, segment: [start, end]}]}}` in seconds. Subset words of any case
(train, val, test too) or none; `segment(frames)` where there is no `segment`, `label_id` where there is no `label`.
"""

from __future__ import annotations

import utils
from annotation_formats.drafts import Draft, Drafts, read_subset
from annotation_formats.members import NUMBER, REQUIRED, member
from segments import read_seconds

# how far the labelling of a video is (label.py), in the key `labelling` of its entry; without it, finished
IN_WORK, FINISHED = STATES = ("in work", "finished")
TEXT, BY_NUMBER = "have their numbers written as text", "are labelled by label_id alone"
COUNTED = "have their times counted in frames"


def read(drafts: Drafts, value: object) -> None:
    """Read the database of an annotation file; what is wrong in it is kept to be told together."""
    for name, entry in member(value, "", "database", dict).items():
        try:
            draft = Draft(utils.require_safe_name(name, "database"), f"database.{name}")
            if drafts.videos.setdefault(draft.name, draft) is not draft:
                raise ValueError(f"database.{name}: two videos of one name, which differ in how accents are written")
            _read_video(drafts, draft, entry)
        except ValueError as error:
            drafts.wrong("", error)


def _read_video(drafts: Drafts, draft: Draft, entry: object) -> None:
    place = f"{draft.place}."
    subset = member(entry, place, "subset", str, "")
    try:
        draft.subset = read_subset(subset) if subset.strip() else None
    except ValueError as error:
        raise ValueError(f"{place}{error}") from None
    draft.duration = _number(entry, place, "duration", REQUIRED if drafts.options.videos is None else None)
    draft.fps = _number(entry, place, "fps", None) or _number(entry, place, "frame_rate", None)
    draft.url = member(entry, place, "url", str, "")
    state = member(entry, place, "labelling", str, FINISHED)
    if state not in STATES:
        raise ValueError(f"{place}labelling: expected one of {', '.join(STATES)}, received {state!r:.80}")
    draft.in_work = state == IN_WORK
    # the labels of ActivityNet's testing videos were never published
    entries = member(entry, place, "annotations", list, [] if draft.subset == "testing" else REQUIRED)
    for number, annotation in enumerate(entries):
        try:
            _read_annotation(drafts, draft, annotation, f"{place}annotations[{number}]")
        except ValueError as error:
            drafts.wrong("", error)


def _number(entry: object, place: str, key: str, default: object) -> float | None:
    written = member(entry, place, key, NUMBER, default)
    if written is None:
        return None
    try:
        number = read_seconds(written)
        if number < 0:
            raise ValueError(f"expected at least 0 seconds, received {number}")
    except ValueError as error:
        raise ValueError(f"{place}{key}: {error}") from None
    return number


def _read_annotation(drafts: Drafts, draft: Draft, annotation: object, place: str) -> None:
    counted = isinstance(annotation, dict) and "segment" not in annotation and "segment(frames)" in annotation
    span = member(annotation, f"{place}.", "segment(frames)" if counted else "segment", list)
    if "label" not in annotation and isinstance(annotation.get("label_id"), int):
        label = str(annotation["label_id"])
        drafts.odd(BY_NUMBER, place)
    else:
        label = member(annotation, f"{place}.", "label", str)
    if len(span) != 2:
        raise ValueError(f"{place}.segment: expected [start, end], received {span!r:.80}")
    try:
        if counted:
            drafts.odd(COUNTED, place)
            span = [read_seconds(number) / drafts.rate(draft) for number in span]
        drafts.add(draft, span[0], span[1], label)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if isinstance(span[0], str) or isinstance(span[1], str):
        drafts.odd(TEXT, place)


def read_results(drafts: Drafts, value: dict) -> None:
    """Read predictions: `results: {id: [{label, score, segment}]}`."""
    for name, entries in member(value, "", "results", dict).items():
        place = f"results.{name}"
        try:
            draft = drafts.video(name, place)
            for number, entry in enumerate(member({"": entries}, place, "", list)):
                place = f"results.{name}[{number}]"
                span, label = member(entry, f"{place}.", "segment", list), member(entry, f"{place}.", "label", str)
                if len(span) != 2:
                    raise ValueError(f"segment: expected [start, end], received {span!r:.80}")
                drafts.add(draft, span[0], span[1], label, read_seconds(entry.get("score")))
        except ValueError as error:
            drafts.wrong(place, error)


def written(videos: dict[str, Draft], version: str, taxonomy: list) -> dict:
    """The JSON value of annotations."""
    database = {
        name: {
            "subset": draft.subset,
            "duration": draft.duration,
            "url": draft.url or "",
            "annotations": [{"label": s.label, "segment": [s.start, s.end]} for s in draft.segments],
        }
        for name, draft in videos.items()
    }
    return {"version": version, "taxonomy": taxonomy, "database": database}
