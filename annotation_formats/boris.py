"""A BORIS project (.boris, one JSON) <-> annotations. https://www.boris.unito.it

`observations.<name>.events` are `[time, subject, code, modifier, comment, …]`; `behaviors_conf` says which codes are
states, whose events are starts and stops in turn, and which are points, which have no length.
"""

from __future__ import annotations

import json
from typing import Any

from annotation_formats.drafts import Draft, Drafts, lanes
from annotation_formats.members import member
from segments import read_seconds

LIVE, FURTHER = "observations have no video (left out)", "videos of further players go without their events"
SPLIT = "segments reach over two files of a queue (cut there)"


def read(drafts: Drafts, value: object) -> None:
    """Read all observations of a project, or the one that `observer` names."""
    kinds = {}
    for number, behaviour in member(value, "", "behaviors_conf", dict).items():
        place = f"behaviors_conf.{number}."
        kinds[member(behaviour, place, "code", str)] = member(behaviour, place, "type", str)
    seen: dict[str, str] = {}
    for name, observation in member(value, "", "observations", dict).items():
        if drafts.options.observer not in (None, name):
            drafts.odd("observations are left out for --observer", f"observations.{name}")
            continue
        try:
            _read_observation(drafts, name, observation, kinds, seen)
        except ValueError as error:
            drafts.wrong(f"observations.{name}", error)


def _read_observation(drafts: Drafts, name: str, observation: Any, kinds: dict[str, str], seen: dict[str, str]) -> None:
    place = f"observations.{name}"
    files = _files(drafts, observation, place)
    if not files:
        drafts.odd(LIVE, place)
        return
    if observation.get("media_creation_date_as_offset"):
        raise ValueError("its times count from the date of the medium: take that option off in BORIS")
    for draft, _, _ in files:
        if seen.setdefault(draft.name, name) != name:
            raise ValueError(f"{draft.name!r} is observed in {seen[draft.name]!r} too: --observer NAME chooses one")
    begun: dict[tuple[str, str], float] = {}
    for time, subject, code in sorted(_events(drafts, observation, place, kinds), key=lambda event: event[0]):
        if kinds[code].lower().startswith("point"):
            _add(drafts, files, time, time, code)
        elif (subject, code) not in begun:
            begun[subject, code] = time
        else:
            _add(drafts, files, begun.pop((subject, code)), time, code)
    for (subject, code), time in begun.items():
        drafts.wrong(place, f"state {code!r}{f' of {subject!r}' if subject else ''} begins at {time:g} and has no stop")
    drafts.tells_overlaps = True


def _files(drafts: Drafts, observation: Any, place: str) -> list[tuple[Draft, float, float]]:
    """The videos of the first player, one after another: with where each begins in the events' time, and its length."""
    players = observation.get("file") if isinstance(observation, dict) else member(observation, "", "file", dict)
    if not players:
        return []
    info = member(observation, "", "media_info", dict, {})
    queue = member(players, "file.", "1", list, [])
    if any(others for player, others in players.items() if player != "1"):
        drafts.odd(FURTHER, place)
    lengths, files = member(info, "media_info.", "length", dict, {}), []
    # events hold the offset of the observation, and wait for that of the first player
    begin = read_seconds(observation.get("time offset") or 0)
    begin += read_seconds(member(info, "media_info.", "offset", dict, {}).get("1") or 0)
    for path in queue:
        if not isinstance(path, str):
            raise ValueError(f"file.1: expected names of files, received {path!r:.80}")
        length = lengths.get(path)
        if length is None and len(queue) > 1:
            raise ValueError(f"media_info.length: says nothing of {path!r}, one of several files")
        draft = drafts.video(path, place)
        length = float("inf") if length is None else read_seconds(length)
        drafts.note(draft, "duration", None if length == float("inf") else length)
        files.append((draft, begin, length))
        begin += length
    return files


def _events(drafts: Drafts, observation: dict, place: str, kinds: dict[str, str]) -> list[tuple[float, str, str]]:
    events = []
    for number, event in enumerate(member(observation, "", "events", list)):
        try:
            if not isinstance(event, list) or len(event) < 3 or not all(isinstance(text, str) for text in event[1:3]):
                raise ValueError(f"expected [time, subject, code, …], received {event!r:.80}")
            if event[2] not in kinds:
                raise ValueError(f"code {event[2]!r} is no behaviour of this project, so neither state nor point")
            events.append((read_seconds(event[0]), event[1], event[2]))
        except ValueError as error:
            drafts.wrong(f"{place}.events[{number}]", error)
    return events


def _add(drafts: Drafts, files: list[tuple[Draft, float, float]], start: float, end: float, label: str) -> None:
    """Add a segment to the files that it lies in; what reaches beyond the last belongs to it."""
    parts = 0
    for number, (draft, begin, length) in enumerate(files):
        last = number == len(files) - 1
        if (start < begin + length or last) and (end > begin or start == end or number == 0):
            drafts.add(draft, max(start - begin, 0) if number else start - begin,
                       end - begin if last else min(end - begin, length), label)  # fmt: skip
            parts += 1
            if start == end:
                break
    if parts > 1:
        drafts.odd(SPLIT, files[0][0].place)


def written(videos: dict[str, Draft]) -> str:
    """A project with an observation a video. Segments of one label that overlap are of several subjects."""
    labels = sorted({segment.label for draft in videos.values() for segment in draft.segments})
    subjects: dict[str, None] = {}
    observations = {}
    for name, draft in videos.items():
        file = draft.file or f"{name}.mp4"
        events: list[list[Any]] = []
        for label in labels:
            for number, lane in enumerate(lanes([item for item in draft.scored() if item[0].label == label])):
                subject = f"track {number + 1}" if number else ""
                subjects |= {subject: None} if subject else {}
                for segment, score in lane:
                    comment = "" if score is None else f"score {score:.4f}"
                    events += [[segment.start, subject, label, "", comment], [segment.end, subject, label, "", ""]]
        observations[name] = {
            "file": {"1": [file]} | {str(player): [] for player in range(2, 9)},
            "type": "MEDIA", "date": "1970-01-01T00:00:00", "description": "", "time offset": 0.0,
            "events": sorted(events, key=lambda event: event[0]),
            "observation time interval": [0, 0], "independent_variables": {}, "close_behaviors_between_videos": False,
            "visualize_spectrogram": False, "visualize_waveform": False,
            "media_info": {"length": {file: draft.duration}, "fps": {file: draft.fps} if draft.fps else {},
                           "hasVideo": {file: True}, "hasAudio": {file: False}, "offset": {"1": 0.0}},
        }  # fmt: skip
    project = {
        "time_format": "hh:mm:ss", "project_date": "1970-01-01T00:00:00", "project_name": "actions",
        "project_description": "", "project_format_version": "7.0",
        "subjects_conf": {str(number): {"key": "", "name": subject, "description": ""}
                          for number, subject in enumerate(subjects)},
        "behaviors_conf": {str(number): {"type": "State event", "key": "", "code": label, "description": "",
                                         "category": "", "modifiers": {}, "excluded": "", "coding map": ""}
                           for number, label in enumerate(labels)},
        "observations": observations, "behavioral_categories": [], "independent_variables": {}, "coding_map": {},
        "behaviors_coding_map": [], "converters": {},
    }  # fmt: skip
    return json.dumps(project, indent=1, ensure_ascii=False) + "\n"
