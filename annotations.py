"""ActivityNet-layout JSON -> videos, segments in seconds, and classes at a taxonomy level; CSV -> that JSON.

`load` checks everything that it reads and keeps segments as the file has them; `Video.labelled_segments` is what a
network learns from. A level is the depth under the taxonomy's root: 0 is the coarsest, 3 the annotated labels.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from environment import prerequisites  # noqa: F401

import command_line
import config
from annotation_formats import files
from annotation_formats.drafts import Drafts, Options
from annotation_formats.members import member
from segments import BACKGROUND_NAME, JOINERS, Segment, check_name
from utils import LOGGER

LEAF_LEVEL = 3
# kinds of oddity that real files hold, each as the warning calls it
BEYOND, BEFORE = "end beyond their video's end (clipped in labels)", "begin before 0 (clipped in labels)"
EMPTY, TWICE = "have no length (not in labels)", "are given twice"
ROUNDING = 0.02  # seconds beyond the end that are taken for rounding
UNSEEN = str.maketrans("", "", JOINERS)


@dataclass(frozen=True, slots=True)
class Video:
    id: str
    subset: str  # training | validation | testing
    duration: float  # seconds
    url: str  # "" where the file has none
    segments: tuple[Segment, ...]

    def labelled_segments(self) -> list[Segment]:
        """The segments clipped to the video, without those that have no length there."""
        clipped = (Segment(max(s.start, 0.0), min(s.end, self.duration), s.label) for s in self.segments)
        return [segment for segment in clipped if segment.start < segment.end]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the taxonomy; `parent_id` is None for the root."""

    id: int
    name: str
    parent_id: int | None


class ClassCount(NamedTuple):
    instances: int  # all that the file has
    seconds: float  # as labelled: inside the video


@dataclass(frozen=True)
class Annotations:
    version: str
    videos: dict[str, Video]  # in file order
    taxonomy: tuple[Node, ...]
    source: Path

    def subset(self, name: str) -> list[Video]:
        """The videos of a subset, in file order. Raises ValueError for a subset that does not exist."""
        if name not in config.SUBSETS:
            raise ValueError(f"subset: expected one of {', '.join(config.SUBSETS)}, received {name!r}")
        return [video for video in self.videos.values() if video.subset == name]

    def labels(self) -> list[str]:
        """The annotated labels, sorted."""
        return sorted({segment.label for video in self.videos.values() for segment in video.segments})

    def class_of(self, level: int = LEAF_LEVEL) -> dict[str, str]:
        """The class of each annotated label: the label itself at level 3, its ancestor at that level below 3.

        Where a branch of the taxonomy is less deep than `level`, the label itself is the class. Raises ValueError when
        a level below 3 is asked of a file without a taxonomy, or with labels that its taxonomy does not have.
        """
        labels = self.labels()
        if level == LEAF_LEVEL:
            return {label: label for label in labels}
        if not 0 <= level < LEAF_LEVEL:
            raise ValueError(f"taxonomy level: expected 0 to {LEAF_LEVEL}, received {level}")
        if not self.taxonomy:
            raise ValueError(
                f"{self.source}: taxonomy: empty, so the only level is {LEAF_LEVEL} (the labels), received {level}. "
                f"Use data.taxonomy_level={LEAF_LEVEL}"
            )
        places = _places(self.taxonomy)
        # of nodes with one name, the deepest is the one that annotations mean
        deepest_last = sorted(self.taxonomy, key=lambda node: places[node.id].depth)
        classes = {node.name: (*places[node.id].above, node.name)[level] if places[node.id].depth > level else node.name
                   for node in deepest_last if node.parent_id is not None}  # fmt: skip
        for label in labels:
            if label not in classes:
                raise ValueError(
                    f"{self.source}: label {label!r} is no node of the taxonomy, so it has no class at level {level}. "
                    f"Add it there, or use data.taxonomy_level={LEAF_LEVEL}"
                )
        return {label: classes[label] for label in labels}

    def statistics(self, level: int = LEAF_LEVEL) -> dict[str, dict[str, ClassCount]]:
        """Instances and labelled seconds of each class, sorted by name, in each subset."""
        class_of = self.class_of(level)
        instances, seconds = Counter(), Counter()
        for video in self.videos.values():
            instances.update((class_of[segment.label], video.subset) for segment in video.segments)
            for segment in video.labelled_segments():
                seconds[class_of[segment.label], video.subset] += segment.end - segment.start
        return {
            name: {subset: ClassCount(instances[name, subset], seconds[name, subset]) for subset in config.SUBSETS}
            for name in sorted(set(class_of.values()))
        }

    def classes(self, level: int = LEAF_LEVEL, min_examples: int = 1) -> tuple[str, ...]:
        """The classes at a taxonomy level: background, then the names in order; it depends on the file alone.

        min_examples: training instances that a class must have. Raises ValueError when no class has them.
        """
        counts = {name: subsets["training"].instances for name, subsets in self.statistics(level).items()}
        kept = [name for name, count in counts.items() if count >= min_examples]
        if not kept:
            raise ValueError(
                f"{self.source}: expected a class with at least {min_examples} training segments (data.min_examples), "
                f"received {len(counts)} classes, the largest with {max(counts.values(), default=0)}"
            )
        return (BACKGROUND_NAME, *kept)


def load(path: Path, options: Options | None = None) -> Annotations:
    """Read an annotation file of any format that is known, and warn once with the number of each kind of oddity.

    Videos whose labelling is still in work are left out: what is not labelled yet would be taken for background.
    Raises ValueError with the file, the places in it, what was expected and what was received.
    """
    return _checked(*files.read(Path(path), options))


def _checked(drafts: Drafts, around: dict) -> Annotations:
    """What was read, as annotations."""
    try:
        nodes = _read_taxonomy(member(around, "", "taxonomy", list, []))
    except ValueError as error:
        raise ValueError(f"{drafts.path}: {error}") from None
    videos = {
        name: Video(name, draft.subset, draft.duration, draft.url or "", tuple(draft.segments))
        for name, draft in drafts.finish().items()
    }
    annotated = Annotations(str(around.get("version", drafts.path.stem) or ""), videos, nodes, drafts.path)
    _warn(annotated)
    return annotated


def _warn(annotated: Annotations) -> None:
    """Tell once what is odd in the segments, and which labels look alike."""
    found: dict[str, list[str]] = {kind: [] for kind in (BEYOND, BEFORE, EMPTY, TWICE)}
    for video in annotated.videos.values():
        seen = set()
        for segment in video.segments:
            odd = {
                BEYOND: segment.end > video.duration + ROUNDING,
                BEFORE: segment.start < 0,
                EMPTY: segment.start == segment.end,
                TWICE: segment in seen,
            }
            seen.add(segment)
            for kind in (kind for kind, is_so in odd.items() if is_so):
                found[kind].append(f"{video.id}, {segment.start:g} to {segment.end:g} of {video.duration:g} s")
    kinds = [f"{len(some)} {kind}, such as {some[0]}" for kind, some in found.items() if some]
    if kinds:
        total = sum(len(video.segments) for video in annotated.videos.values())
        LOGGER.warning("%s: of %d segments, %s", annotated.source, total, "; ".join(kinds))
    alike: dict[str, list[str]] = {}
    for label in annotated.labels():
        alike.setdefault("".join(label.casefold().translate(UNSEEN).split()), []).append(label)
    some = [" and ".join(map(repr, labels)) for labels in alike.values() if len(labels) > 1]
    if some:
        LOGGER.warning("%s: labels that differ in case, spaces or joiners only are different classes: %s",
                       annotated.source, ", ".join(some))  # fmt: skip


def _read_taxonomy(entries: list) -> tuple[Node, ...]:
    """The nodes of a taxonomy, which must be one tree in which a name occurs once a level."""
    nodes: dict[int, Node] = {}
    for number, entry in enumerate(entries):
        place = f"taxonomy[{number}]."
        node = Node(
            member(entry, place, "nodeId", int),
            check_name(member(entry, place, "nodeName", str)),
            member(entry, place, "parentId", int, None),
        )
        if node.id in nodes:
            raise ValueError(f"{place}nodeId: {node.id} is given twice")
        nodes[node.id] = node
    roots = [node for node in nodes.values() if node.parent_id is None]
    if nodes and len(roots) != 1:
        raise ValueError(f"taxonomy: expected one root (its parentId is null), received {len(roots)}")
    taken: set[tuple[str, int]] = set()
    for id_, place in _places(nodes.values()).items():
        name = nodes[id_].name
        if (name, place.depth) in taken:
            raise ValueError(f"taxonomy: two nodes of one level are named {name!r}; labels could mean either")
        taken.add((name, place.depth))
    return tuple(nodes.values())


class _Place(NamedTuple):
    """Where a node is: its depth, 0 for the root, and the names above it from just under the root, at most three."""

    depth: int
    above: tuple[str, ...]


def _places(taxonomy: Iterable[Node]) -> dict[int, _Place]:
    """The place of each node, by its id. Raises ValueError for a node without a parent, and for a circle."""
    nodes = {node.id: node for node in taxonomy}
    places = {node.id: _Place(0, ()) for node in nodes.values() if node.parent_id is None}
    for node in nodes.values():
        unknown: dict[int, Node] = {}  # from the node upwards, to the first whose place is known
        while node.id not in places:
            if node.parent_id not in nodes:
                raise ValueError(f"taxonomy: node {node.id} ({node.name!r}): no node {node.parent_id}, its parent")
            if node.id in unknown:
                raise ValueError(f"taxonomy: node {node.id} ({node.name!r}): its parents form a circle")
            unknown[node.id] = node
            node = nodes[node.parent_id]
        for below in reversed(unknown.values()):
            parent = nodes[below.parent_id]
            depth, above = places[parent.id]
            names = () if parent.parent_id is None else (*above, parent.name)[:LEAF_LEVEL]
            places[below.id] = _Place(depth + 1, names)
    return places


def summary(annotated: Annotations, level: int = LEAF_LEVEL) -> str:
    """Tables for the terminal: videos, hours and segments of each subset, segments and seconds of each class."""
    rows = []
    for subset in config.SUBSETS:
        videos = annotated.subset(subset)
        rows.append((len(videos), sum(v.duration for v in videos) / 3600, sum(len(v.segments) for v in videos)))
    lines = [f"{annotated.source}  {annotated.version}", "", f"{'subset':<12}{'videos':>9}{'hours':>9}{'segments':>10}"]
    total = tuple(map(sum, zip(*rows, strict=True)))
    for subset, (count, hours, segments) in zip((*config.SUBSETS, "total"), (*rows, total), strict=True):
        lines.append(f"{subset:<12}{count:>9,}{hours:>9.2f}{segments:>10,}")
    statistics = annotated.statistics(level)
    title = "1 class" if len(statistics) == 1 else f"{len(statistics)} classes"
    width = max(map(len, (title, *statistics))) + 2
    shown = [subset for subset in config.SUBSETS if any(counts[subset].instances for counts in statistics.values())]
    heads = "".join(f"{subset:>12}{'seconds':>10}" for subset in shown)
    lines += ["", f"{title:<{width}}{heads}"]
    for name, counts in statistics.items():
        cells = "".join(f"{counts[subset].instances:>12,}{counts[subset].seconds:>10,.1f}" for subset in shown)
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)


def convert(arguments: argparse.Namespace) -> None:
    """Read one file and write another; see `_convert_parser`."""
    options = Options(arguments.videos, arguments.fps, arguments.first_frame, arguments.observer, arguments.skip_errors)
    drafts, around = files.read(arguments.input, options, arguments.from_, scored=True)
    drafts.finish()
    if arguments.min_score is not None:
        files.above(drafts, arguments.min_score)
    name = arguments.to or files.BY_SUFFIX.get(arguments.output.suffix.lower())
    if name is None:
        raise ValueError(f"{arguments.output}: --to says the format, one of {', '.join(files.FORMATS)}")
    segments = sum(len(draft.segments) for draft in drafts.videos.values())
    files.write(arguments.output, name, drafts, around)
    print(f"{len(drafts.videos)} videos, {segments} segments -> {arguments.output} ({name})")


def _convert_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotations.py convert",
        description="Convert annotations, or predictions with scores, from one format to another. The format of what "
        "is read is told by its content, that of what is written by its name or --to.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help="a file, or a folder of files")
    parser.add_argument("output", type=Path, metavar="OUT", help="a file; a folder where the format has a file a video")
    parser.add_argument("--from", dest="from_", choices=files.FORMATS, help="where the content misleads")
    parser.add_argument("--to", choices=files.FORMATS)
    parser.add_argument("--videos", type=Path, metavar="FOLDER", help="tell durations, subsets and frame rates")
    parser.add_argument("--fps", type=float, metavar="F", help="of formats that count frames, for all videos")
    parser.add_argument("--first-frame", type=int, choices=(0, 1), help="the number of a video's first frame there")
    parser.add_argument("--observer", metavar="NAME", help="a person; an observation of BORIS; a tier of ELAN")
    parser.add_argument("--skip-errors", action="store_true", help="leave out what cannot be used, and say what")
    parser.add_argument("--min-score", type=float, metavar="S", help="of predictions, those of this score or more")
    parser.add_argument("-v", "--verbosity", choices=command_line.LEVELS, default="info", metavar="LEVEL")
    return parser


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["convert"]:
        arguments = _convert_parser().parse_args(argv[1:])
        return command_line.run_script(lambda: convert(arguments), arguments.verbosity)
    parser = command_line.make_parser(
        "Check an annotation file of any format and summarise it, or make one in ActivityNet's JSON layout of it.\n"
        "`annotations.py convert IN OUT` reads and writes all formats (convert --help).\n\n"
        "A table has a header and a row for each segment: video,start,end,label[,subset][,duration][,url], times in\n"
        "seconds. A row with start, end and label left empty is a video without segments.\n"
        "  subset    without this column: FOLDER/<subset>/ where --videos finds the video there, else a fifth of the\n"
        "            videos, chosen by a hash of their ids, is validation and the rest training\n"
        "  duration  without it: read from the video that --videos finds, else the end of its last segment"
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="annotations; else paths.json_data_path")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json", help="where the JSON made of it goes")
    parser.add_argument("--videos", type=Path, metavar="FOLDER", help="the videos: <id>.* or <subset>/<id>.*")
    parser.add_argument("--taxonomy-level", type=int, metavar="0-3", help="level of the classes")
    arguments = parser.parse_args(argv)

    def run() -> None:
        settings = command_line.from_arguments(arguments)
        path, level = arguments.file or settings.paths.json_data_path, arguments.taxonomy_level
        if arguments.output is not None and arguments.output.suffix.lower() != ".json":
            raise ValueError(f"--output: expected a name that ends in .json, received {arguments.output}")
        drafts, around = files.read(path, Options(videos=arguments.videos))
        annotated = _checked(drafts, around)
        if arguments.output is not None:
            files.write(arguments.output, "activitynet", drafts, around)
        print(summary(annotated, settings.data.taxonomy_level if level is None else level))

    return command_line.run_script(run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
