"""Faults other than kills: no room, no right to write, a vanished file, a second process, a clock that jumps back.

A stage meets the fault and may say so in one line and end; when the fault is gone, the same command must come to what
the undisturbed run wrote.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.again import Again
from faults.kills import Tally, Whole, finish_and_compare, halves
from faults.stages import Stage

BACK = 7200.0  # seconds that the clock jumps


def inject(stage: Stage, whole: Whole, fault: str, times: int, seed: int, again: Again | None = None) -> Tally:
    """Let a stage meet a fault `times` times, each in a folder of its own; `again` runs it when the fault is mended."""
    chance, tally = random.Random(seed), Tally()
    for _ in range(times):
        stage.reset()
        ends = CONDITIONS[fault](stage, whole, chance)
        said = stage.said()
        tally.injected += 1
        tally.ends[f"{fault} {ends}: {_message(said)}"] += 1
        # 1 and 2 are the statuses of errors that were told
        if not set(ends) <= {0, 1, 2} or "Traceback" in said or (any(ends) and not _message(said)):
            tally.compare([f"{fault} ended with {ends}: {said[-3000:]}"])
        # a page without a video's pictures is whole; what is half is found in the end, as no run makes it anew
        tally.compare(halves(stage, whole) if fault != "removed" else [])
        tally.compare(finish_and_compare(stage, whole, again))
        tally.runs += 1
    return tally


def _message(said: str) -> str:
    """The last line that tells an error, without what differs from run to run."""
    words = ("error", "fail", "another", "stopped")
    lines = [line for line in said.splitlines() if any(word in line for word in words)]
    return lines[-1][:200] if lines else ""


def file_limit(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """No file may grow beyond a share of the largest that the run wants to write."""
    largest = chance.uniform(0, 1) * whole.largest
    process = stage.start()
    # before Python has come so far as to write anything
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (int(largest), int(largest)))
    return [stage.finish(process)]


def full_disk(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """The folder of the outputs is a disk with room for a share of what the run wants to write."""
    room = whole.before + int(chance.uniform(0, 1) * (whole.after - whole.before - 1)) // 4096 * 4096
    with _mounted(stage.work / stage.output, "-t", "tmpfs", "-o", f"size={room}", "tmpfs") as folder:
        ends = [stage.finish(stage.start())]
        # what lies there is taken along, so that the next run finds what this one left
        shutil.copytree(folder, stage.root / "left", symlinks=True)
    shutil.rmtree(stage.work / stage.output)
    shutil.move(stage.root / "left", stage.work / stage.output)
    return ends


def read_only(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """The folder of the outputs may be read only."""
    folder = stage.work / stage.output
    folder.mkdir(exist_ok=True)
    if not may_mount():
        folder.chmod(0o555)
        try:
            return [stage.finish(stage.start())]
        finally:
            folder.chmod(0o755)
    with _mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        return [stage.finish(stage.start())]


@contextlib.contextmanager
def _mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """Mount something over a folder, which keeps its content; needs root."""
    folder.mkdir(exist_ok=True)
    kept = folder.with_name(folder.name + ".kept")
    shutil.copytree(folder, kept)
    subprocess.run(["mount", *arguments, folder], check=True)
    try:
        if not any(folder.iterdir()):
            shutil.copytree(kept, folder, dirs_exist_ok=True)
        shutil.rmtree(kept)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def removed(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """An input file goes while the stage works, and comes back when it has ended."""
    file = chance.choice(sorted(stage.work.glob(stage.input)))
    process = stage.start()
    moment = chance.uniform(0, 1)
    if stage.has_read:
        while process.poll() is None and not list(stage.work.glob(stage.has_read)):
            time.sleep(0.0005)
        moment *= 0.3  # what is left of its time
    time.sleep(moment * whole.seconds)
    elsewhere = stage.root / "removed"
    shutil.move(file, elsewhere)
    ends = [stage.finish(process)]
    shutil.move(elsewhere, file)
    return ends


def two_at_once(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """A second process comes while the first works in the folder."""
    first = stage.start()
    time.sleep(chance.uniform(0, 0.8) * whole.seconds)
    second = stage.start()
    return [stage.finish(first), stage.finish(second)]


def clock_back(stage: Stage, whole: Whole, chance: random.Random) -> list[int]:
    """`time.time` jumps back by BACK seconds in one run; another is killed, and goes on with the clock put back."""
    folder = stage.root / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CLOCK)
    before = chance.uniform(0, whole.seconds)
    ends = [stage.finish(stage.start(PYTHONPATH=str(folder), JUMP_AFTER=str(before), JUMP=str(BACK)))]
    shutil.rmtree(stage.work)
    stage.reset()
    process = stage.start()
    time.sleep(chance.uniform(0, whole.seconds))
    process.kill()
    stage.finish(process)
    return [*ends, stage.finish(stage.start(PYTHONPATH=str(folder), JUMP_AFTER="0", JUMP=str(BACK)))]


# read by Python before anything else runs
CLOCK = """
import os, time
real, begun = time.time, time.monotonic()
after, jump = float(os.environ["JUMP_AFTER"]), float(os.environ["JUMP"])
time.time = lambda: real() - jump * (time.monotonic() - begun >= after)
"""


def may_mount() -> bool:
    """Whether this process is one that can mount, without which there is no full disk to be had."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


CONDITIONS: dict[str, Callable[[Stage, Whole, random.Random], list[int]]] = {
    "limit": file_limit,
    **({"full": full_disk} if may_mount() else {}),
    "readonly": read_only,
    "removed": removed,
    "two": two_at_once,
    "clock": clock_back,
}
