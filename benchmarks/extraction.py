"""Files to features, end to end: ours, the plain way, and the limit that decoding and the CNN set, in turn."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tqdm import tqdm

from benchmarks import contenders
from benchmarks.clip import make_clip
from benchmarks.tables import markdown

# giga floating-point operations a frame (2 a multiplication and addition), for the share of the matmul peak
GFLOP = {("inception_resnet_v2", 224): 12.9, ("inception_resnet_v2", 299): 26.3, ("efficientnet_lite0", 224): 0.77}
CONTENDERS = ("plain", "ours", "decoder", "decode", "cnn", "matmul")


@dataclass(frozen=True)
class Case:
    """One network at one frame size, on `files` copies of a clip of `seconds`."""

    backbone: str
    size: int
    files: int
    seconds: int

    def assignments(self) -> list[str]:
        weights = "random" if self.backbone == "inception_resnet_v2" else "imagenet"
        return [
            f"extractor.backbone={self.backbone}", f"extractor.weights={weights}",
            f"video.resize=[{self.size}, {self.size}]",
        ]  # fmt: skip


CASES = tuple(
    Case(backbone, size, files=4, seconds=30)
    for backbone, size in (("inception_resnet_v2", 224), ("inception_resnet_v2", 299), ("efficientnet_lite0", 224))
)


def run(folder: Path, repeats: int, cases: tuple[Case, ...] = CASES) -> dict[str, dict]:
    """Measure each case; medians of `repeats` turns, in sampled frames a second."""
    return {f"{case.backbone} {case.size}": _measure(case, folder, repeats) for case in cases}


def _measure(case: Case, folder: Path, repeats: int) -> dict:
    clip = folder / f"{case.seconds}.mp4"
    if not clip.exists():
        make_clip(clip, case.seconds)
    videos = [folder / f"{case.seconds}_{number}.mp4" for number in range(case.files)]
    for video in videos:
        if not video.exists():
            os.link(clip, video)
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with contextlib.ExitStack() as stack:
        turns = {name: stack.enter_context(_contender(name, videos, case.assignments())) for name in CONTENDERS}
        steps = [name for _ in range(repeats) for name in CONTENDERS]
        for name in tqdm(steps, desc=f"{case.backbone} {case.size}", file=sys.stderr):
            started = time.perf_counter()
            turns[name].send("go")
            frames = turns[name].recv()
            rates[name].append(frames / (time.perf_counter() - started))
    median = {name: statistics.median(values) for name, values in rates.items()}
    limit = 1 / (1 / median["decode"] + 1 / median["cnn"])
    operations = GFLOP.get((case.backbone, case.size))
    return {
        "frames_per_second": median,
        "all": rates,
        "times_plain": median["ours"] / median["plain"],
        "limit": limit,
        "share_of_limit": median["ours"] / limit,
        "share_of_decoder": median["ours"] / median["decoder"],
        "matmul_gflops": median["matmul"] / 1e3,
        "cnn_share_of_matmul": operations and median["cnn"] * operations / (median["matmul"] / 1e3),
    }


@contextlib.contextmanager
def _contender(name: str, videos: list[Path], assignments: list[str]) -> Iterator[Connection]:
    """The connection to a contender that is ready; its process ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=contenders.serve, args=(there, name, videos, assignments))
    process.start()
    there.close()  # so that recv() ends when the process does
    try:
        here.recv()
        yield here
        here.send(None)
        process.join()
    finally:
        process.terminate()
        process.join()


def show(results: dict[str, dict]) -> str:
    """The results as a Markdown table."""
    head = (
        "network, pixels | plain way | ours | ratio | decode, all cores | CNN, all cores | limit | share of limit | "
        "one decoder | share of it | matmul GFLOP/s | CNN's share of it"
    )
    rows = []
    for name, found in results.items():
        rate, share = found["frames_per_second"], found["cnn_share_of_matmul"]
        rows.append(
            f"{name} | {rate['plain']:.1f} | {rate['ours']:.1f} | {found['times_plain']:.2f} | "
            f"{rate['decode']:.0f} | {rate['cnn']:.1f} | {found['limit']:.1f} | {found['share_of_limit']:.0%} | "
            f"{rate['decoder']:.0f} | {found['share_of_decoder']:.0%} | "
            f"{found['matmul_gflops']:.0f} | {'' if share is None else f'{share:.0%}'}"
        )
    return markdown(head, rows)
