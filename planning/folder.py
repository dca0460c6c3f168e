"""A user's folder of videos (or imported features) and a table -> what the stages take, in a folder for each subset.

What is as the stages want it stays where it is. Where the table is a CSV file, the videos lie in one heap or there is
no validation subset, `planned/` holds annotations of our own and links to the videos, in a folder for each subset.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import annotations
import config
import utils
import video_input
from annotation_formats import files as formats
from annotation_formats import tables
from annotation_formats.drafts import Options, read_text
from annotations import Annotations, Video
from features.records import SPEC_FILE, feature_file
from planning.rules import Choices
from planning.writing import PLAN

OURS, ALL = "planned", "planned/all"
ANNOTATIONS, HELD_OUT = "annotations.json", "validation.json"
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class DataSet:
    """Where settings and plan go, and section `paths` of the settings.

    `given` is what the user has set of what a plan leaves as it is; `undecided`: nobody has said which videos are for
    validation, and plan.py may.
    """

    folder: Path
    paths: dict[str, str]
    given: Choices = field(default_factory=dict)
    undecided: bool = False

    @property
    def resolved(self) -> config.PathSettings:
        return config.PathSettings.model_validate(self.paths)


def open_folder(folder: Path) -> DataSet:
    """Find annotations, videos and features, and lay them out as the stages want them.

    Raises ValueError that says what is missing, and how it should be called.
    """
    folder = existing(folder)
    table, ours = _find_table(folder), folder / OURS
    videos = _video_files(folder / "videos")
    annotated, split = _read(table, folder)
    decided = folder / OURS / HELD_OUT
    chosen: Any = utils.read_json(decided) if decided.is_file() else None
    undecided = not annotated.subset("validation") and chosen is None
    heap = any(path.parent.name not in config.SUBSETS for path in videos.values())
    imported = (folder / "features" / SPEC_FILE).is_file()
    if not videos and not imported:
        raise ValueError(
            f"{folder}: expected videos in {folder / 'videos'}, or features in {folder / 'features'} "
            "(`python data.py import`), received neither"
        )
    paths = {"data_dir": str(folder), "json_data_path": table.name, "videos_folder": "videos",
             "feature_map_folder": "features", "model_dir": "run"}  # fmt: skip
    if table.suffix == ".json" and split and not heap and chosen is None:
        return DataSet(folder, paths, {}, undecided)
    if chosen is not None:
        annotated = with_validation(annotated, chosen)
    write_annotations(ours / ANNOTATIONS, annotated)
    arrange(ours, annotated, videos, folder / "features" if imported else None)
    made = {"json_data_path": f"{OURS}/{ANNOTATIONS}", "videos_folder": f"{OURS}/videos",
            "feature_map_folder": f"{OURS}/features"}  # fmt: skip
    return DataSet(folder, paths | made, {}, undecided)


def existing(folder: Path) -> Path:
    """The folder's whole path. Raises ValueError where it is none."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected one with videos and a table of their actions")
    return Path(os.path.abspath(folder))


def _find_table(folder: Path) -> Path:
    if (folder / ANNOTATIONS).is_file():
        told = ", ".join(path.name for path in formats.tables_in(folder))
        if told:
            utils.LOGGER.warning("%s: %s counts; not read: %s", folder, ANNOTATIONS, told)
        return folder / ANNOTATIONS
    found = [path for path in formats.tables_in(folder, (*formats.TABLES, ".json")) if path.name != PLAN]
    if len(found) != 1:
        received = ", ".join(path.name for path in found) or "none"
        raise ValueError(
            f"{folder}: expected one table of the actions, a .csv (video,start,end,label) or an {ANNOTATIONS}, "
            f"received {received}"
        )
    return found[0]


def _video_files(folder: Path) -> dict[str, Path]:
    """Video id -> its file, in the folder or in its subsets' folders."""
    places = [folder, *(folder / subset for subset in config.SUBSETS)]
    files: dict[str, Path] = {}
    for path in (path for place in places for path in video_input.find_videos(place)):
        other = files.setdefault(video_input.video_id(path), path)
        if other is not path:
            raise ValueError(f"{path}: expected one file a video, received also {other}")
    return files


def _read(table: Path, folder: Path) -> tuple[Annotations, bool]:
    """The annotations, and whether somebody has said which videos are of which subset; if not, all are training."""
    videos = folder / "videos"
    annotated = annotations.load(table, Options(videos=videos if videos.is_dir() else None))
    if _tells_subsets(table) or any((videos / subset).is_dir() for subset in config.SUBSETS):
        return annotated, bool(annotated.subset("validation"))
    return with_validation(annotated, []), False


def _tells_subsets(table: Path) -> bool:
    if table.suffix.lower() == ".json":
        value: Any = utils.read_json(table)
        database = value.get("database") if isinstance(value, dict) else None
        entries = database.values() if isinstance(database, dict) else ()
        return any(isinstance(entry, dict) and entry.get("subset") for entry in entries)
    header = read_text(table).partition("\n")[0].lower()
    return any(re.sub("[^a-z]", "", name) in tables.NAMES["subset"] for name in re.split("[,;\t]", header))


def with_validation(annotated: Annotations, chosen: Sequence[str]) -> Annotations:
    """The annotations with these videos for validation, and all others but those for testing for training."""
    videos = {
        name: video if video.subset == "testing" else dataclasses.replace(
            video, subset="validation" if name in chosen else "training")
        for name, video in annotated.videos.items()
    }  # fmt: skip
    return dataclasses.replace(annotated, videos=videos)


def as_training(annotated: Annotations) -> Annotations:
    """The annotations with all videos that have actions for training."""
    videos = {name: dataclasses.replace(video, subset="training") for name, video in annotated.videos.items()
              if video.segments or video.subset != "testing"}  # fmt: skip
    return dataclasses.replace(annotated, videos=videos)


def write_annotations(path: Path, annotated: Annotations) -> None:
    """Write annotations in ActivityNet's layout, unless they stand there."""
    database = {
        video.id: {"subset": video.subset, "duration": video.duration, "url": video.url,
                   "annotations": [{"label": s.label, "segment": [s.start, s.end]} for s in video.segments]}
        for video in annotated.videos.values()
    }  # fmt: skip
    taxonomy = [{"nodeId": node.id, "nodeName": node.name, "parentId": node.parent_id} for node in annotated.taxonomy]
    value = {"version": annotated.version, "taxonomy": taxonomy, "database": database}
    if not path.is_file() or utils.read_json(path) != value:
        utils.write_json(path, value)


def arrange(ours: Path, annotated: Annotations, videos: dict[str, Path], imported: Path | None) -> None:
    """Put each video's link, and its features, into the folder of its subset; what lies in another moves."""
    known = {utils.composed(path.stem): path for path in (imported.glob("*/*.tfrecord") if imported else ())}
    if imported:
        _link(imported / SPEC_FILE, ours / "features" / SPEC_FILE)
    for subset in config.SUBSETS:
        for path in (ours / "videos" / subset).glob("*"):
            video = annotated.videos.get(video_input.video_id(path))
            if video is None or video.subset != subset:
                path.unlink()
    for video in annotated.videos.values():
        target = feature_file(ours / "features", video.subset, video.id)
        for subset in config.SUBSETS:
            elsewhere = feature_file(ours / "features", subset, video.id)
            if subset != video.subset and elsewhere.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(elsewhere, target)
        if video.id in known:
            _link(known[video.id], target)
        if video.id in videos:
            _link(videos[video.id], ours / "videos" / video.subset / videos[video.id].name)


def _link(source: Path, target: Path) -> None:
    """A link at `target` to `source`, unless something stands there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.unlink(missing_ok=True)  # a link to what is gone
        target.symlink_to(source)


def require_two(training: Sequence[Video], source: Path) -> None:
    """Raise ValueError where a validation subset would leave no training video."""
    if len(training) < 2:
        raise ValueError(
            f"{source}: expected at least two training videos, to learn from one and to check on another, received "
            f"{len(training)}"
        )


def hold_out(data_set: DataSet, annotated: Annotations, group_of: dict[str, int]) -> list[str]:
    """Choose the validation videos of a folder in which nobody has, and keep to it; their ids.

    Args:
      data_set: of `open_folder`, which is to be called again after this.
      annotated: its annotations.
      group_of: video id -> group, of which all or none goes.

    Raises:
      ValueError: there is one training video only.
    """
    training = [video for video in annotated.subset("training") if video.id in group_of]
    require_two(training, annotated.source)
    members = defaultdict(list)
    for video in training:
        members[group_of[video.id]].append(video)
    if len(members) < 2:
        members = {number: [video] for number, video in enumerate(training)}
    left = Counter(segment.label for video in training for segment in video.segments)
    most, chosen, taken = max(round(VALIDATION_SHARE * len(training)), 1), [], Counter()
    for group in sorted(members.values(), key=lambda group: hashlib.sha256(group[0].id.encode()).digest()):
        with_it = taken + Counter(segment.label for video in group for segment in video.segments)
        # two thirds of each class's actions stay to be learnt
        if len(chosen) + len(group) <= most and all(3 * count <= left[label] for label, count in with_it.items()):
            chosen, taken = chosen + group, with_it
    if not taken:  # such as two videos, or a few with one action each
        chosen = min((group for group in members.values() if any(v.segments for v in group)), key=len)
    names = sorted(video.id for video in chosen)
    utils.write_json(data_set.folder / OURS / HELD_OUT, names)
    return names
