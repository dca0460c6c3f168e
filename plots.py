"""A run's metrics.jsonl -> curves of loss and mean precision; a video and its predictions -> a picture of its timeline.

`python plots.py training runs/demo` and `python plots.py -c configs/sample.yml timeline VIDEO_ID`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from environment import prerequisites  # noqa: F401

import numpy as np

import annotations
import command_line
import config
import run_folder
import segments
import utils
import video_input
from prediction.decoding import SHOWN_SCORE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = {"train_loss": ("loss", "loss_eval", "loss"),
          "mean_precision_train": ("mean_precision_train", "mean_precision_eval", "mean precision")}  # fmt: skip
STRIP_FRAMES, STRIP_SIZE = 12, (120, 160)  # pictures in a film strip; their height and width in pixels


def plot_training(folder: Path, output: Path) -> list[Path]:
    """Draw each curve of CURVES from `folder`/metrics.jsonl into a PNG in `output`; return the files."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    source = folder / run_folder.LOG
    records = run_folder.read_log(folder)
    if not records:
        raise ValueError(f"{source}: expected the values of a training, received none: run `python trainer.py` first")
    files = []
    for name, (training, validation, title) in CURVES.items():
        figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
        for key, label, style in ((training, "training", "-"), (validation, "validation", "o-")):
            points = [(record["step"], record[key]) for record in records if key in record]
            if points:
                axes.plot(*zip(*points, strict=True), style, label=label, markersize=5, linewidth=1.6)
        axes.set(xlabel="step", ylabel=title, ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        files.append(output / f"{name}.png")
        with utils.atomic_path(files[-1]) as temporary:
            figure.savefig(temporary, dpi=120)
        plt.close(figure)
    return files


def plot_timeline(paths: config.PathSettings, video_id: str, output: Path, min_score: float = SHOWN_SCORE) -> Path:
    """Draw a video's frames over its annotated and its predicted segments, from `min_score` on, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    annotated = annotations.load(paths.json_data_path)
    if video_id not in annotated.videos:
        raise ValueError(f"{paths.json_data_path}: holds no video {video_id!r}")
    video = annotated.videos[video_id]
    source = run_folder.predictions_file(paths.model_dir, video.subset)
    results = utils.read_json(source)["results"].get(video_id, [])
    truth = [(segment.label, segment.start, segment.end, None) for segment in video.labelled_segments()]
    shown = [(item["label"], *item["segment"], item["score"]) for item in results if item["score"] >= min_score]
    detections = _best(shown)
    colours = {label: f"C{number}" for number, label in enumerate(sorted({lane[0] for lane in truth + detections}))}
    figure, (strip, lanes) = plt.subplots(2, 1, figsize=(12, 3.4), height_ratios=(1, 1.25), layout="constrained")
    strip.imshow(_film_strip(_video_file(paths.videos_folder / video.subset, video.id)))
    strip.axis("off")
    strip.set_title(f"{video_id}  ·  {video.duration:.1f} s", loc="left", fontsize=10)
    for row, actions in ((1, truth), (0, detections)):
        _draw_lane(lanes, row, actions, colours)
    lanes.set(xlim=(0, video.duration), ylim=(-0.5, 1.5), xlabel="seconds")
    lanes.set_yticks([1, 0], ["annotated", "predicted"])
    lanes.spines[["top", "right", "left"]].set_visible(False)
    lanes.tick_params(axis="y", length=0)
    with utils.atomic_path(output) as temporary:
        figure.savefig(temporary, dpi=120)
    plt.close(figure)
    return output


def _best(shown: list[tuple]) -> list[tuple]:
    """Of (label, start, end, score), best first: those that meet no better one of their label."""
    kept: list[tuple] = []
    for one in shown:
        if not any(one[0] == other[0] and one[1] < other[2] and other[1] < one[2] for other in kept):
            kept.append(one)
    return kept


def _draw_lane(axes: Axes, row: int, actions: list[tuple], colours: dict[str, str]) -> None:
    lanes = segments.lanes([(start, end) for _, start, end, _ in actions])
    for lane, numbers in enumerate(lanes):
        height = 0.8 / len(lanes)
        middle = row + 0.4 - height * (lane + 0.5)
        for label, start, end, score in (actions[number] for number in numbers):
            axes.barh(middle, end - start, left=start, height=height, color=colours[label], edgecolor="white")
            parted = "\n" if len(lanes) == 1 else " "
            text = label.replace(" ", "\n", 1) + ("" if score is None else f"{parted}{score:.2f}")
            axes.text(
                (start + end) / 2, middle, text, ha="center", va="center", fontsize=7, color="white", clip_on=True
            )


def _video_file(folder: Path, video_id: str) -> Path:
    files = [path for path in video_input.find_videos(folder) if video_input.video_id(path) == video_id]
    if not files:
        raise ValueError(f"{folder}: holds no file of the video {video_id!r}")
    return files[0]


def _film_strip(path: Path) -> np.ndarray:
    """STRIP_FRAMES frames of a video, evenly spaced, side by side: [height, n * width, 3] uint8."""
    with video_input.SampledVideo(path, 5, STRIP_SIZE) as video:
        frames = [frame for frame, _ in video]
    chosen = segments.middles_of_parts(STRIP_FRAMES, len(frames))
    return np.concatenate([frames[int(position)] for position in chosen], axis=1)


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser("Draw the curves of a training, or the timeline of a video.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("training", help="loss and mean precision by step")
    training.add_argument("run", type=Path, help="run folder, such as runs/demo")
    training.add_argument("--output", type=Path, help="folder of the pictures (default: the run's)")
    timeline = commands.add_parser("timeline", help="a video's frames, annotated and predicted segments")
    timeline.add_argument("video", help="its id")
    timeline.add_argument("--output", type=Path, help="the picture (default: timeline_<video>.png in the run)")
    timeline.add_argument("--min-score", type=float, default=SHOWN_SCORE, help="leave weaker segments out")
    arguments = parser.parse_args(argv)

    def run() -> None:
        if arguments.command == "training":
            made = plot_training(arguments.run, arguments.output or arguments.run)
        else:
            settings = command_line.from_arguments(arguments)
            output = arguments.output or settings.paths.model_dir / f"timeline_{arguments.video}.png"
            made = [plot_timeline(settings.paths, arguments.video, output, arguments.min_score)]
        print("drawn:", ", ".join(str(path) for path in made))

    return command_line.run_script(run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
