"""What the notebooks share: the way into the project, and annotations, features, batches and results as pictures.

Every drawing function returns a matplotlib `Figure`, which a notebook shows when it is a cell's last value.
Symbols: B windows a batch, T sampled frames, D numbers a frame.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import command_line
import config
import run_folder
from annotations import LEAF_LEVEL, Annotations, ClassCount, Node, Video
from segments import BACKGROUND_NAME, Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
GREY, BLUE, RED = "#d9dce1", "#4c78a8", "#e45756"
COMPONENTS = 24  # principal components of features that are drawn
SUBSET_COLOURS = {"training": BLUE, "validation": "#f58518", "testing": "#72b7b2"}
STATE_COLOURS = {"done": "#54a24b", "gone": "#9d9da1", "failed": RED, "not tried": GREY}


class MissingError(ValueError):
    """Something that a notebook needs is not there; a notebook shows it as one line, without a traceback."""

    def _render_traceback_(self, *_: object) -> list[str]:
        return [f"missing: {self}"]


def open_project(config_file: str, assignments: Iterable[str], needs: Collection[str]) -> config.Config:
    """The settings, with the project's folder as the working folder, as for the scripts.

    Args:
      config_file: settings that differ from config.yml, relative to the project's folder.
      assignments: single settings, `section.key=value`.
      needs: what must be there: annotations, videos, features or predictions.

    Raises:
      MissingError: it is not there; says what to run.
    """
    os.chdir(ROOT)
    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm does without widgets
    command_line.set_up_logging("info")
    settings = config.load(Path(config_file), list(assignments))
    paths, subset = settings.paths, settings.predict.subset
    places = {
        "annotations": (paths.json_data_path, "sample_videos.py"),
        "videos": (paths.videos_folder, "sample_videos.py"),
        "features": (paths.feature_map_folder / "extractor.json", f"feature_map_extractor.py -c {config_file}"),
        "predictions": (
            run_folder.predictions_file(paths.model_dir, subset),
            f"predictions_json.py -c {config_file} --subset {subset}",
        ),
    }
    for need in needs:
        place, command = places[need]
        if not place.exists():
            raise MissingError(f"{place}: run `make demo`, which makes all of it, or `python {command}`, in {ROOT}")
    return settings


def colours(labels: Iterable[str]) -> dict[str, Any]:
    """A colour for each label, in the order of their names, and grey for background."""
    from matplotlib import colormaps

    names = sorted(set(labels) - {BACKGROUND_NAME})
    few = colormaps["tab10" if len(names) <= 10 else "tab20"].colors
    many = colormaps["hsv"](np.linspace(0, 0.95, len(names)))
    chosen = few if len(names) <= 20 else [tuple(colour) for colour in many]
    return {BACKGROUND_NAME: GREY} | dict(zip(names, chosen, strict=False))


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def plain(axes: Axes, grid: Literal["x", "y", "both"] | None = None, **texts: object) -> None:
    """Axes without a frame, with a faint grid along x or y behind what is drawn."""
    axes.set(**texts)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, alpha=0.3)


def _lane(axes: Axes, segments: Iterable[Segment], colour: Mapping[str, tuple], vertical: bool = False) -> None:
    """Segments as coloured bars along one axis; the other one disappears."""
    for segment in segments:
        draw = axes.axhspan if vertical else axes.axvspan
        draw(segment.start, segment.end, color=colour[segment.label], linewidth=0)
    axes.set_facecolor(GREY)
    axes.tick_params(left=vertical, bottom=False, labelbottom=False, labelleft=vertical)
    axes.set_xticks([]) if vertical else axes.set_yticks([])
    axes.spines[:].set_visible(False)


def add_legend(figure: Figure, labels: Iterable[str], colour: Mapping[str, Any], columns: int = 5) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour[label], label=label) for label in sorted(set(labels), key=list(colour).index)]
    figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def downloads(report: Mapping, lines: Sequence[Mapping]) -> Figure:
    """What became of the videos of each subset, and how large and long each video is.

    Args:
      report: report.json of download_video_script.py.
      lines: of its manifest.jsonl.
    """
    figure = new_figure(10, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    subsets = report["subsets"]
    sofar = np.zeros(len(subsets))
    for state, colour in STATE_COLOURS.items():
        entries = [counts[state.replace(" ", "_")] for counts in subsets.values()]
        numbers = np.array([sum(entry.values()) if isinstance(entry, dict) else entry for entry in entries])
        if numbers.any():
            left.barh(list(subsets), numbers, left=sofar, color=colour, height=0.5)
        sofar += numbers
    plain(left, "x", title="what became of them", xlabel="videos")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.invert_yaxis()
    latest = {line["id"]: line for line in lines}.values()
    for state in dict.fromkeys(line["status"] for line in latest):
        mine = [line for line in latest if line["status"] == state]
        sizes = [(line["bytes"] or 0) / 1e6 for line in mine]
        right.barh([line["id"] for line in mine], sizes, color=STATE_COLOURS.get(state, GREY), height=0.5)
        for line, size in zip(mine, sizes, strict=True):
            text = line["reason"] or f"{line['duration']:.0f} s"
            right.annotate(text, (size, line["id"]), (4, 0), textcoords="offset points", va="center", fontsize=8)
    plain(right, "x", title="last line of each in manifest.jsonl", xlabel="megabytes")
    right.tick_params(axis="y", labelsize=8)
    right.margins(x=0.2)
    right.invert_yaxis()
    add_legend(figure, STATE_COLOURS, STATE_COLOURS)
    return figure


def taxonomy(annotated: Annotations) -> Figure:
    """The tree of classes, the coarsest level to the left; of a file that has a taxonomy."""
    from matplotlib import colormaps

    children: dict[int | None, list[Node]] = {}
    for node in annotated.taxonomy:
        children.setdefault(node.parent_id, []).append(node)
    leaves = sum(node.id not in children for node in annotated.taxonomy)
    figure = new_figure(13, 0.8 + 0.3 * leaves)
    axes, rows = figure.subplots(), itertools.count()

    def place(node: Node, depth: int, colour: tuple) -> float:
        """Draw what is under a node, then the node; return its height."""
        below = children.get(node.id, ())
        heights = [place(child, depth + 1, colour) for child in below]
        height = float(np.mean(heights)) if heights else float(next(rows))
        for child in heights:
            axes.plot(
                [depth, depth + 0.5, depth + 0.5, depth + 1], [height, height, child, child], color=GREY, zorder=0
            )
        box = {"boxstyle": "round,pad=0.3", "facecolor": colour if below else "white", "edgecolor": colour}
        axes.text(depth, height, node.name, fontsize=8, va="center", bbox=box, color="white" if below else "black")
        return height

    for number, branch in enumerate(child for root in children[None] for child in children.get(root.id, ())):
        place(branch, 0, colormaps["tab10"](number % 10))
    for level in range(LEAF_LEVEL + 1):
        count = len(set(annotated.class_of(level).values()))
        axes.text(level, -1, f"level {level}: {count} classes", fontsize=9, color="grey", va="center")
    axes.set(xlim=(-0.05, 3.5), ylim=(leaves - 0.5, -1.5))
    axes.axis("off")
    return figure


def class_balance(statistics: Mapping[str, Mapping[str, ClassCount]], min_examples: int) -> Figure:
    """Instances and labelled seconds of each class and subset; classes with fewer training instances are crossed out.

    statistics: of `Annotations.statistics`.
    """
    names = sorted(statistics, key=lambda name: -statistics[name]["training"].instances)
    figure = new_figure(10, 1.2 + 0.34 * len(names))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, field, title in zip(panels, ("instances", "seconds"), ("examples", "seconds"), strict=True):
        sofar = np.zeros(len(names))
        for subset, colour in SUBSET_COLOURS.items():
            values = np.array([getattr(statistics[name][subset], field) for name in names])
            axes.barh(names, values, left=sofar, color=colour, height=0.7)
            sofar += values
        plain(axes, "x", xlabel=title)
    for row, name in enumerate(names):
        if statistics[name]["training"].instances < min_examples:
            for axes in panels:
                axes.axhspan(row - 0.5, row + 0.5, color="white", alpha=0.7)
            panels[0].text(0.99, row, "too few", transform=panels[0].get_yaxis_transform(), ha="right", va="center")
    panels[0].axvline(min_examples, color="black", linestyle=":", linewidth=1)
    panels[0].set_title(f"dotted: {min_examples} training examples, the least that a class needs", fontsize=9)
    panels[0].invert_yaxis()
    add_legend(figure, SUBSET_COLOURS, SUBSET_COLOURS)
    return figure


def segment_lengths(videos: Iterable[Video], class_of: Mapping[str, str]) -> Figure:
    """How long the segments of each class are; a dot is a segment."""
    lengths: dict[str, list[float]] = {}
    for segment in (segment for video in videos for segment in video.labelled_segments()):
        lengths.setdefault(class_of[segment.label], []).append(segment.end - segment.start)
    names = sorted(lengths, key=lambda name: np.median(lengths[name]))
    figure = new_figure(10, 0.8 + 0.34 * len(names))
    axes, colour = figure.subplots(), colours(names)
    for row, name in enumerate(names):
        scatter = np.random.default_rng(row).uniform(-0.25, 0.25, len(lengths[name]))
        axes.plot(lengths[name], row + scatter, "o", color=colour[name], alpha=0.6, markersize=4, markeredgewidth=0)
        axes.plot(2 * [np.median(lengths[name])], [row - 0.35, row + 0.35], color="black", linewidth=1.5)
    axes.set_yticks(range(len(names)), names)
    plain(axes, "x", xlabel="seconds of a segment; the line is the median", xlim=(0, None))
    return figure


def frames_with_labels(
    frames: Sequence[np.ndarray], times: Sequence[float], labels: Sequence[str], colour: Mapping[str, tuple]
) -> Figure:
    """Frames [H, W, 3] uint8 in reading order, each framed in its label's colour."""
    columns = 6
    rows = -(-len(frames) // columns)
    figure = new_figure(12, 1.85 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, frame, time, label in zip(panels, frames, times, labels, strict=False):
        axes.imshow(frame)
        axes.set_title(f"{time:.1f} s  {label}", fontsize=8.5, pad=5)
        axes.spines[:].set(visible=True, color=colour[label], linewidth=5)
    return figure


def similarity(
    features: np.ndarray, boundaries: np.ndarray, segments: Sequence[Segment], colour: Mapping[str, tuple]
) -> Figure:
    """Cosine similarity of each two frames of a video, with its annotated segments along both axes of time.

    Args:
      features: [T, D].
      boundaries: [T + 1] seconds.
      segments: of the video.
      colour: of each label.
    """
    unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-9)
    alike = unit @ unit.T
    figure = new_figure(8.6, 8)
    grid = figure.add_gridspec(2, 3, width_ratios=(0.04, 1, 0.03), height_ratios=(0.04, 1), wspace=0.01, hspace=0.01)
    main = figure.add_subplot(grid[1, 1])
    # the diagonal is 1 and says nothing
    low, high = np.percentile(alike[~np.eye(len(alike), dtype=bool)], (1, 99)) if len(alike) > 1 else (0, 1)
    mesh = main.pcolormesh(boundaries, boundaries, alike, cmap="magma", vmin=low, vmax=high, rasterized=True)
    main.set(xlim=boundaries[[0, -1]], ylim=boundaries[[-1, 0]], xlabel="seconds")
    main.tick_params(labelleft=False, left=False)
    _lane(figure.add_subplot(grid[0, 1], sharex=main), segments, colour)
    _lane(figure.add_subplot(grid[1, 0], sharey=main), segments, colour, vertical=True)
    figure.colorbar(mesh, cax=figure.add_subplot(grid[1, 2]), label="cosine similarity")
    add_legend(figure, (segment.label for segment in segments), colour)
    return figure


def windows(segments: Sequence[Segment], boundaries: np.ndarray, first: np.ndarray, length: int) -> Figure:
    """The windows of a video under its segments.

    Args:
      segments: of the video.
      boundaries: [T + 1] seconds.
      first: [W] the first frame of each window.
      length: frames a window.
    """
    figure, colour = new_figure(11, 3.6), colours(segment.label for segment in segments)
    lane, axes = figure.subplots(2, 1, sharex=True, height_ratios=(0.15, 1))
    _lane(lane, segments, colour)
    begins, ends = boundaries[first], boundaries[np.minimum(first + length, len(boundaries) - 1)]
    axes.barh(range(len(first)), ends - begins, left=begins, color=BLUE, height=0.7)
    axes.invert_yaxis()
    plain(axes, "x", xlim=(0, boundaries[-1]), xlabel="seconds", ylabel="window")
    add_legend(figure, colour, colour)
    return figure


def batch(values: Mapping[str, np.ndarray], classes: Sequence[str]) -> Figure:
    """A batch as the model takes it: the label of each frame of each window, and four of its windows.

    Args:
      values: features [B, T, D], labels [B, T], mask [B, T], of `data.input_fn`.
      classes: [K] names, background first.
    """
    from matplotlib.colors import ListedColormap

    features, labels, mask = (np.asarray(values[name]) for name in ("features", "labels", "mask"))
    features = features.astype(np.float32)
    colour, labels = colours(classes), np.ma.array(labels, mask=~mask)
    as_label: dict[str, Any] = {"vmin": -0.5, "vmax": len(classes) - 0.5, "aspect": "auto", "interpolation": "nearest"}
    as_label["cmap"] = ListedColormap([colour[name] for name in classes])
    figure = new_figure(11, 5.2)
    outer = figure.add_gridspec(1, 2, width_ratios=(1, 1.5))
    left = figure.add_subplot(outer[0])
    left.imshow(labels, **as_label)
    left.set(title=f"labels [B, T] = {list(labels.shape)}", xlabel="sampled frame", ylabel="window")
    left.title.set_fontsize(9)
    centred = features - features[mask].mean(axis=0)
    some = centred[mask][:: -(-mask.sum() // 200)]  # enough, and in no time
    axes_of_change = np.linalg.svd(some, full_matrices=False)[2][:COMPONENTS]
    components = np.where(mask[..., None], centred @ axes_of_change.T, 0)  # [B, T, COMPONENTS]
    scale = np.percentile(np.abs(components[mask]), 97, axis=0) + 1e-9
    grid = outer[1].subgridspec(4, 2, height_ratios=(1, 0.12, 1, 0.12))
    for number, window in enumerate(np.linspace(0, len(labels) - 1, min(4, len(labels))).round().astype(int)):
        row, column = divmod(number, 2)
        heat, strip = (figure.add_subplot(grid[2 * row + below, column]) for below in (0, 1))
        heat.imshow((components[window] / scale).T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        heat.set(title=f"window {window}: {mask[window].sum()} of {labels.shape[1]} frames", xticks=[], yticks=[])
        heat.title.set_fontsize(9)
        strip.imshow(labels[[window]], **as_label)
        strip.set(xticks=[], yticks=[])
    title = f"features [B, T, D] = {list(features.shape)}: their {COMPONENTS} main components over the frames' labels"
    figure.suptitle(title, x=0.7, fontsize=9)
    add_legend(figure, classes, colour)
    return figure
