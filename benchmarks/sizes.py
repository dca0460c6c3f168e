"""What each stage costs at 200, 2,000 and 20,000 videos: processor seconds of whole processes, and the slope."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import config
from benchmarks.tables import markdown
from features.records import chosen_spec, create_spec, feature_file

ROOT = Path(__file__).resolve().parents[1]
VIDEOS = (200, 2_000, 20_000)
RATE, WIDTH, CLASSES = 2, 16, 50
PREDICTIONS = 50  # a video of the validation subset
# finished when its features are in order; the extraction finds nothing to do, the training takes one step
READY = ["train.max_steps=1", "train.schedule=constant", "data.batch_size=32", "predict.subset=validation"]


@dataclass(frozen=True)
class Stage:
    """A script with its arguments, once everything before it is there."""

    name: str
    arguments: tuple[str, ...]


STAGES = (
    Stage("import arrays", ("data.py", "import", "{folder}/arrays", "--rate", str(RATE))),
    Stage(
        "extraction with nothing left to do",
        (
            "feature_map_extractor.py",
            "training",
            "validation",
            "--set",
            "paths.feature_map_folder={folder}/finished",
        ),
    ),
    Stage("one training step, with evaluation and predictions", ("trainer.py", "--fresh")),
    Stage("metrics", ("metrics.py", "--subset", "validation")),
    Stage("report", ("report.py", "--subset", "validation")),
)


def run(folder: Path, repeats: int, sizes: tuple[int, ...] = VIDEOS) -> dict:
    """Processor seconds and peak MB of each stage, by number of videos; medians of `repeats`."""
    found: dict[str, dict[str, dict[str, float]]] = {stage.name: {} for stage in STAGES}
    for size in sizes:
        made = folder / str(size)
        make_data_set(made, size)
        for stage in STAGES:
            if stage.name == "metrics":  # of more predictions than a model of one step makes
                make_predictions(made)
            turns = [_measure(stage, made) for _ in range(repeats)]
            found[stage.name][str(size)] = {
                "cpu_seconds": statistics.median(seconds for seconds, _ in turns),
                "peak_mb": statistics.median(peak for _, peak in turns),
            }
    return found


def _measure(stage: Stage, folder: Path) -> tuple[float, float]:
    """(processor seconds, peak MB) of one run of a stage, children included."""
    script, *arguments = [part.format(folder=folder) for part in stage.arguments]
    settings = ["paths.json_data_path=annotations.json", "paths.feature_map_folder=features", "paths.model_dir=run",
                "paths.videos_folder=videos", "data.taxonomy_level=3", *READY]  # fmt: skip
    options = [part for each in (f"paths.data_dir={folder}", *settings) for part in ("--set", each)]
    command = [sys.executable, script, *options, *arguments]
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"{' '.join(command)} failed: {(folder / 'output.txt').read_text()[-500:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make_data_set(folder: Path, videos: int) -> None:
    """`folder` gets annotations.json, arrays/<id>.npy [T, WIDTH], and an empty file a video with
    features that count as finished, half of them training."""
    random, database = np.random.default_rng(0), {}
    for subset in ("training", "validation"):
        (folder / "videos" / subset).mkdir(parents=True)
        (folder / "finished" / subset).mkdir(parents=True)
    (folder / "arrays").mkdir()
    for number in range(videos):
        subset, name, rows = ("training", "validation")[number % 2], f"v_{number:05d}", int(random.integers(120, 360))
        np.save(folder / "arrays" / f"{name}.npy", random.normal(0, 1, (rows, WIDTH)).astype(np.float32))
        (folder / "videos" / subset / f"{name}.mp4").touch()
        feature_file(folder / "finished", subset, name).touch()
        seconds = rows / RATE
        annotated = [
            {"label": f"class {(number // 2 + first) % CLASSES:02d}", "segment": [float(start), float(start + 10)]}
            for first, start in enumerate(np.sort(random.uniform(0, seconds - 12, 2)))
        ]
        database[name] = {"subset": subset, "duration": seconds, "annotations": annotated}
    (folder / "annotations.json").write_text(json.dumps({"version": "1", "taxonomy": [], "database": database}))
    settings = config.load()
    create_spec(folder / "finished", chosen_spec(settings.extractor, settings.video))


def make_predictions(folder: Path) -> None:
    """Replace the validation subset's predictions by PREDICTIONS a video."""
    random = np.random.default_rng(1)
    database = json.loads((folder / "annotations.json").read_text())["database"]
    results = {
        name: [
            {"label": f"class {random.integers(CLASSES):02d}", "score": float(random.random()),
             "segment": [float(start), float(start + random.uniform(2, 12))]}
            for start in random.uniform(0, entry["duration"] - 12, PREDICTIONS)
        ]
        for name, entry in database.items() if entry["subset"] == "validation"
    }  # fmt: skip
    content = {"version": "1", "results": results, "external_data": {}}
    (folder / "run" / "predictions_validation.json").write_text(json.dumps(content))


def show(found: dict) -> str:
    """The results as a Markdown table."""
    sizes = list(next(iter(found.values())))
    columns = [f"{int(size):,} videos: CPU s | peak MB" for size in sizes]
    rows = []
    for name, of_size in found.items():
        cells = [f"{of_size[size]['cpu_seconds']:.1f} | {of_size[size]['peak_mb']:.0f}" for size in sizes]
        rows.append(f"{name} | {' | '.join(cells)} | {_slope(of_size)}")
    return markdown(" | ".join(["stage", *columns, "slope"]), rows)


def _slope(of_size: dict[str, dict[str, float]]) -> str:
    """log of how often the second step in size costs the first one, by the log of how often it is as large.

    Steps and not sizes, so that what a start costs counts nowhere: 1 where each video costs the same. Empty where the
    first step costs nothing that can be told from noise.
    """
    videos = [int(size) for size in of_size][-3:]
    seconds = [of_size[str(size)]["cpu_seconds"] for size in videos]
    if len(videos) < 3 or seconds[1] - seconds[0] < 0.1:
        return ""
    cost, size = ((steps[2] - steps[1]) / (steps[1] - steps[0]) for steps in (seconds, videos))
    return f"{math.log(cost) / math.log(size):.2f}" if cost > 0 else ""
