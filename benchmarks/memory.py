"""Peak resident memory of feature_map_extractor.py with lite0 on a 10-minute and on a 120-minute 1080p file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.clip import loop_clip, make_clip
from benchmarks.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
MINUTES = (10, 120)


def run(folder: Path) -> dict:
    """Peak memory in MB and seconds, by minutes of video; the whole files are decoded."""
    # few and simple frames, so that two hours of 1080p are over in minutes
    clip = make_clip(folder / "clip.mp4", 20, (1080, 1920), fps=10, crf=40)
    peaks, seconds = {}, {}
    for minutes in MINUTES:
        data = folder / str(minutes)
        (data / "videos" / "training").mkdir(parents=True)
        loop_clip(clip, data / "videos" / "training" / "long.mp4", 60 * minutes)
        started = time.perf_counter()
        peaks[str(minutes)] = _peak_mb(data)
        seconds[str(minutes)] = time.perf_counter() - started
    short, long = (peaks[str(minutes)] for minutes in MINUTES)
    return {"peak_mb": peaks, "seconds": seconds, "growth": long / short - 1}


def _peak_mb(data: Path) -> float:
    """The largest resident memory of an extraction of all of `data`, as the kernel counts it."""
    options = [f"paths.data_dir={data}", "paths.videos_folder=videos", "paths.feature_map_folder=features",
               "extractor.backbone=efficientnet_lite0"]  # fmt: skip
    command = [sys.executable, "feature_map_extractor.py", "training"]
    process = subprocess.Popen(
        [*command, *(part for option in options for part in ("--set", option))], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"the extraction of {data} failed with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024


def show(found: dict) -> str:
    """The result as a Markdown table."""
    rows = [f"{minutes} | {peak:.0f} | {found['seconds'][minutes]:.0f}" for minutes, peak in found["peak_mb"].items()]
    return markdown("minutes of 1080p | peak MB | seconds", rows) + f"\n\nThe longer one takes {found['growth']:+.1%}."
