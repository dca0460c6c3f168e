"""metrics.py on a million predictions over 20,000 videos: processor seconds and memory of the whole command."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
# by way of a small process: the peak of a new one counts from that of the process that starts it
ALONE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
VIDEOS, PREDICTIONS, CLASSES = 20_000, 50, 200  # predictions a video


def run(folder: Path, repeats: int) -> dict:
    """Seconds of the processor and peak MB of metrics.py, and seconds of two JSON readers on the same file."""
    annotated, predicted = make_files(folder, VIDEOS)
    turns = [_measure(["metrics.py", "--ground-truth", str(annotated), str(predicted)]) for _ in range(repeats)]
    errors, frames = (
        _measure(["metrics.py", what, "--ground-truth", str(annotated), "--predictions", str(predicted)])
        for what in ("errors", "frames")
    )
    text = predicted.read_bytes()
    return {
        "predictions": VIDEOS * PREDICTIONS,
        "file_mb": len(text) / 1e6,
        "cpu_seconds": statistics.median(seconds for seconds, _ in turns),
        "peak_mb": statistics.median(peak for _, peak in turns),
        "errors_cpu_seconds": errors[0],
        "errors_peak_mb": errors[1],
        "frames_cpu_seconds": frames[0],
        "frames_peak_mb": frames[1],
        "msgspec_seconds": _time(lambda: msgspec.json.decode(text)),
        "json_seconds": _time(lambda: json.loads(text)),
    }


def make_files(folder: Path, videos: int) -> tuple[Path, Path]:
    """Annotations of one class a video, and predictions of which half are near its segments."""
    rng = np.random.default_rng(0)
    database, results = {}, {}
    for number in range(videos):
        duration, label = rng.uniform(30, 230), f"Class {rng.integers(CLASSES)}"
        starts = rng.uniform(0, 0.8 * duration, rng.choice([1, 1, 1, 2, 3]))
        spans = np.stack([starts, np.minimum(duration, starts + rng.uniform(2, duration, len(starts)))], axis=1)
        actions = [{"label": label, "segment": span} for span in spans.tolist()]
        database[f"v_{number:011d}"] = {"subset": "validation", "duration": duration, "annotations": actions}
        near = spans[rng.integers(len(spans), size=PREDICTIONS)]
        near = near + rng.normal(0, 0.3, near.shape) * np.ptp(near, axis=1)[:, None]
        far = rng.uniform(0, duration, near.shape)
        found = np.round(np.sort(np.where(rng.random((PREDICTIONS, 1)) < 0.5, near, far), axis=1), 3).tolist()
        labels = [label if right else f"Class {rng.integers(CLASSES)}" for right in rng.random(PREDICTIONS) < 0.5]
        results[f"v_{number:011d}"] = [
            {"label": name, "score": score, "segment": span}
            for name, score, span in zip(labels, (rng.random(PREDICTIONS) ** 2).tolist(), found, strict=True)
        ]
    annotated, predicted = folder / "annotations.json", folder / "predictions.json"
    annotated.write_text(json.dumps({"database": database}))
    predicted.write_text(json.dumps({"version": "made", "results": results, "external_data": {"used": False}}))
    return annotated, predicted


def _measure(arguments: list[str]) -> tuple[float, float]:
    """(processor seconds, peak MB) of one command. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-c", ALONE, sys.executable, *arguments]
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, kilobytes = map(float, printed.split())
    return seconds, kilobytes / 1e3


def _time(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def show(result: dict) -> str:
    """One row each, Markdown."""
    rows = [
        f"`metrics.py`, with intervals | {result['cpu_seconds']:.1f} | {result['peak_mb']:.0f}",
        f"`metrics.py errors` | {result['errors_cpu_seconds']:.1f} | {result['errors_peak_mb']:.0f}",
        f"`metrics.py frames` | {result['frames_cpu_seconds']:.1f} | {result['frames_peak_mb']:.0f}",
        f"msgspec, the file read alone | {result['msgspec_seconds']:.1f} | ",
        f"Python's json, the file read alone | {result['json_seconds']:.1f} | ",
    ]
    return markdown(f"{result['predictions']:,} predictions, {result['file_mb']:.0f} MB | CPU s | peak MB", rows)
