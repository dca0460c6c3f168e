"""20 minutes of extraction and of training -> whether memory, file handles or temporary space grow.

`python benchmarks/long_run.py [extraction] [training] [--minutes M]` runs the scripts as a user does and looks at their
processes from outside, SAMPLES times. Linux only.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# started as a file, Python looks for modules in this folder only
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import command_line
import utils
from benchmarks.clip import make_clip
from benchmarks.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
# a part -> the work after which it is watched, by when each kind of it has been met: videos, and steps
PARTS = {"extraction": 6, "training": 300}
MOST_GROWTH = 0.05
SAMPLES = 400  # of a part, evenly over its time


@dataclass(frozen=True)
class Sample:
    """What a process held at a moment: seconds since the start of work, MB, handles, bytes of temporary files."""

    seconds: float
    memory_mb: float
    handles: int
    temporary: int


def run(part: str, folder: Path, minutes: float) -> dict:
    """Let one stage work for so long, then end it with SIGTERM; see `summary` for what is returned.

    Raises ValueError when the stage ends by itself, with the last of what it said.
    """
    command, output = (_extraction if part == "extraction" else _training)(folder, minutes)
    scratch = folder / "scratch"
    scratch.mkdir()
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=said, stderr=said, env=os.environ | {"TMPDIR": str(scratch)}
        )
        try:
            samples = _watch(process, output, scratch, 60 * minutes, PARTS[part])
        except ProcessLookupError:
            process.wait()
            raise ValueError(f"{part} ended by itself: {log.read_text()[-2000:]}") from None
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
    return summary(samples) | {"work": _done(output)}


def _watch(process: subprocess.Popen, output: Path, scratch: Path, seconds: float, warm: int) -> list[Sample]:
    """Samples over so many seconds, when so much is done in `output` that the memory is warm, however slow it is."""
    while _done(output) < warm:
        _require_alive(process)
        time.sleep(0.2)
    started, samples = time.monotonic(), []
    while (passed := time.monotonic() - started) < seconds:
        _require_alive(process)
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        samples.append(
            Sample(
                passed,
                pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
                len(os.listdir(f"/proc/{process.pid}/fd")),
                _size(scratch, "*") + _size(output, ".*.part*"),
            )
        )
        time.sleep(seconds / SAMPLES)
    return samples


def _require_alive(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        raise ProcessLookupError(process.pid)


def _size(folder: Path, pattern: str) -> int:
    """Bytes of the files below `folder` whose names fit; those that go meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):  # passes over folders that go meanwhile, as Path.rglob does not
        for name in fnmatch.filter(names, pattern):
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def summary(samples: list[Sample]) -> dict:
    """What is said of a part: medians of the second and of the last tenth of its time, the most after the first tenth,
    and the growth of the memory between the two, as a share."""
    tenth = len(samples) // 10
    second, last, later = samples[tenth : 2 * tenth], samples[-tenth:], samples[tenth:]
    found = {"minutes": samples[-1].seconds / 60}
    for name in ("memory_mb", "handles", "temporary"):
        found[name] = {
            "early": statistics.median(getattr(sample, name) for sample in second),
            "late": statistics.median(getattr(sample, name) for sample in last),
            "most": max(getattr(sample, name) for sample in later),
        }
    return found | {"growth": found["memory_mb"]["late"] / found["memory_mb"]["early"] - 1}


def _extraction(folder: Path, minutes: float) -> tuple[list[str], Path]:
    """More 720p videos of different lengths than can be done in the time."""
    videos = folder / "videos" / "training"
    videos.mkdir(parents=True)
    clips = [make_clip(folder / f"{seconds}.mp4", seconds) for seconds in (4, 7, 12)]
    for number, clip in zip(range(int(1000 + 2000 * minutes)), itertools.cycle(clips), strict=False):
        os.link(clip, videos / f"{number:05d}.mp4")
    options = [f"paths.data_dir={folder}", "paths.videos_folder=videos", "paths.feature_map_folder=features",
               "extractor.backbone=efficientnet_lite0"]  # fmt: skip
    return ["feature_map_extractor.py", *_set(options), "training"], folder / "features" / "training"


def _training(folder: Path, minutes: float) -> tuple[list[str], Path]:
    """A training that goes on for ever, with evaluations and checkpoints."""
    from features import records

    utils.start_tensorflow()
    random, database, frames, size = np.random.default_rng(0), {}, 200, 256
    for subset, count in (("training", 24), ("validation", 8)):
        for number in range(count):
            name = f"{subset}_{number}"
            features = random.normal(0, 1, (frames, size)).astype(np.float32)
            features[40:120, number % 4] += 3
            video = records.VideoFeatures(name, features, np.arange(frames) / 4, frames / 4, 4)
            records.write_features(records.feature_file(folder / "features", subset, name), video, "float16")
            segment = {"segment": [10.0, 30.0], "label": f"class {number % 4}"}
            database[name] = {"subset": subset, "duration": frames / 4, "annotations": [segment]}
    records.create_spec(
        folder / "features", {"backbone": "imported", "feature_shape": [size], "rate": 4, "dtype": "float16"}
    )
    utils.write_json(folder / "annotations.json", {"version": "made", "taxonomy": [], "database": database})
    options = [f"paths.data_dir={folder}", "paths.json_data_path=annotations.json", "paths.feature_map_folder=features",
               "paths.model_dir=run", "train.max_steps=100000000", "train.num_epochs=100000000",
               "train.save_checkpoints_steps=100"]  # fmt: skip
    return ["trainer.py", *_set(options)], folder / "run"


def _set(options: list[str]) -> list[str]:
    return [part for option in options for part in ("--set", option)]


def _done(output: Path) -> int:
    """How many videos, or steps at the last evaluation, were done."""
    return len(list(output.glob("*.tfrecord"))) or _steps(output)


def _steps(run_folder: Path) -> int:
    """The step of a run's last evaluation, 0 before the first."""
    records = utils.read_jsonl(run_folder / "metrics.jsonl")
    return max((record["step"] for record in records if "loss_eval" in record), default=0)


def show(results: dict[str, dict]) -> str:
    """The results as a Markdown table."""
    head = (
        "stage | minutes | done | MB in the second tenth | MB in the last | growth | most MB | handles | most | "
        "temporary MB | most"
    )
    rows = []
    for part, found in results.items():
        memory, handles, temporary = found["memory_mb"], found["handles"], found["temporary"]
        unit = "videos" if part == "extraction" else "steps"
        rows.append(
            f"{part} | {found['minutes']:.1f} | {found['work']:,} {unit} | {memory['early']:.0f} | "
            f"{memory['late']:.0f} | {found['growth']:+.1%} | {memory['most']:.0f} | "
            f"{handles['early']:.0f} → {handles['late']:.0f} | {handles['most']} | "
            f"{temporary['early'] / 1e6:.1f} → {temporary['late'] / 1e6:.1f} | {temporary['most'] / 1e6:.1f}"
        )
    return markdown(head, rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Watch memory, handles and temporary space of stages at work.")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; both, one after the other, when none is given")
    parser.add_argument("--minutes", type=float, default=20, metavar="M", help="of each (default: 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    arguments = parser.parse_args(argv)
    for part in arguments.part:
        if part not in PARTS:
            parser.error(f"expected {', '.join(PARTS)}, received {part!r}")

    def chosen() -> int:
        results = {}
        for part in arguments.part or PARTS:
            with tempfile.TemporaryDirectory(prefix="long_run.") as name:
                results[part] = run(part, Path(name), arguments.minutes)
        print(show(results), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
        return int(any(found["growth"] >= MOST_GROWTH for found in results.values()))

    return command_line.run_script(chosen, "error")


if __name__ == "__main__":
    raise SystemExit(main())
