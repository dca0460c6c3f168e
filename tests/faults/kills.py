"""A stage, killed at random moments of its run and started again -> whether its outputs are those of a run left alone.

Half of the kills come evenly over the time that the undisturbed run took, half at the first write after such a moment;
by SIGKILL, SIGTERM and SIGINT in equal shares.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from faults.again import Again
from faults.stages import ROOT, Stage

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# a shell says 128 + the number; a stage that ends by itself says so, too
STATUSES = {number: (-number, 128 + number) for number in SIGNALS}
MOST_IN_A_ROW = 5


@dataclass
class Whole:
    """What a run left alone wrote, and the seconds it took."""

    finals: dict[str, object]
    records: dict[str, object]
    names: set[str]
    seconds: float
    largest: int  # bytes of the largest file that was written
    before: int  # bytes in the folder of the outputs when the run began, and in the end
    after: int


@dataclass
class Tally:
    """Faults that were injected, those after which something was lost or wrong, and what."""

    injected: int = 0
    runs: int = 0  # left alone after faults, and compared
    lost: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def compare(self, found: list[str]) -> None:
        """Note what was found to be wrong, at once, as the rest takes minutes."""
        for line in found:
            print(f"  lost: {line}", file=sys.stderr, flush=True)
        self.lost += found


def undisturbed(stage: Stage) -> Whole:
    stage.reset()
    before, present = size(stage.work / stage.output), set(stage.work.rglob("*"))
    started = time.monotonic()
    status = stage.finish(stage.start())
    seconds, said = time.monotonic() - started, stage.said()
    if status or not stage.finals():
        raise ValueError(f"{stage.name}: the undisturbed run ended with status {status}: {said[-2000:]}")
    names, output = stage.names(), stage.work / stage.output
    written = [path for path in output.rglob("*") if path.is_file() and path not in present]
    largest = max(path.stat().st_size for path in written)
    return Whole(stage.finals(), stage.records(), names, seconds, largest, before, size(output))


def size(folder: Path) -> int:
    """Bytes that the files of a folder take on a disk of 4 KB pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def differences(stage: Stage, whole: Whole) -> list[str]:
    """What a finished run in `work` has that the undisturbed one has not, or has otherwise, or lacks."""
    found = []
    for kind, values, expected in (
        ("file", stage.finals(), whole.finals),
        ("record", stage.records(), whole.records),
    ):
        found += [f"{kind} {name}" for name in expected.keys() | values.keys()
                  if values.get(name) != expected.get(name)]  # fmt: skip
    return found + [f"stray {name}" for name in sorted(stage.names() - whole.names)]


def halves(stage: Stage, whole: Whole) -> list[str]:
    """Files under final names that are not what the undisturbed run wrote."""
    return [f"half {name}" for name, value in stage.finals().items() if whole.finals.get(name) != value]


def finish_and_compare(stage: Stage, whole: Whole, again: Again | None = None) -> list[str]:
    """What a run left alone, by a process of its own or by `again`, makes otherwise than the undisturbed one did."""
    status, said = again.run(stage.command()) if again else (stage.finish(stage.start()), stage.said())
    return [f"status {status}: {said[-1500:]}"] if status else differences(stage, whole)


def _wait(stage: Stage, process: subprocess.Popen, seconds: float, in_a_write: bool) -> None:
    """Wait so long; with `in_a_write` on until a temporary file is there that was not there before."""
    before = stage.temporaries()
    time.sleep(seconds)
    while in_a_write and process.poll() is None and stage.temporaries() <= before:
        time.sleep(0.0005)


def _met_python_alone(number: int, status: int, said: str) -> bool:
    """Whether Ctrl-C came before anything of ours ran, or in a C extension's import: Python ends with 1 then."""
    own = str(ROOT) not in said or "ImportError" in said
    return number == signal.SIGINT and status == 1 and "KeyboardInterrupt" in said and own


def kill_often(stage: Stage, whole: Whole, times: int, seed: int) -> Tally:
    """Kill `times` times, one to MOST_IN_A_ROW kills between two runs that are left alone."""
    chance, tally = random.Random(seed), Tally()
    numbers = [SIGNALS[index % len(SIGNALS)] for index in range(times)]
    chance.shuffle(numbers)
    seconds = whole.seconds
    while numbers:
        stage.reset()
        for kill in range(min(chance.randint(1, MOST_IN_A_ROW), len(numbers))):
            moment, process = chance.uniform(0, seconds), stage.start()
            _wait(stage, process, moment, in_a_write=chance.random() < 0.5)
            if process.poll() is not None:  # what was left took less time than the whole
                stage.finish(process)
                if not kill:  # the machine is less busy now; a little is kept for a late write
                    seconds = min(seconds, max(moment, 0.7 * seconds))
                break
            process.send_signal(numbers[-1])
            status = stage.finish(process)
            if status == 0:  # the work was done just when the signal came: no kill
                break
            number = numbers.pop()
            tally.injected += 1
            tally.ends[f"{number.name} {status}"] += 1
            said = stage.said()
            if status not in STATUSES[number] and not _met_python_alone(number, status, said):
                tally.compare([f"{number.name} ended with status {status}: {said[-1500:]}"])
            tally.compare(halves(stage, whole))
        tally.compare(finish_and_compare(stage, whole))
        tally.runs += 1
        print(f"  {stage.name}: {tally.injected} of {times} kills", file=sys.stderr, flush=True)
    return tally
