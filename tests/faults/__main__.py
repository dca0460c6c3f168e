"""`python -m tests.faults STAGE [--fault NAME] [--times N] [--seed S]` -> rows of a table: injected, survived, lost."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

# tests are no package: they find each other, and the program, as pytest lets them
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.conditions import CONDITIONS, inject
from faults.kills import kill_often, undisturbed
from faults.stages import STAGES

KILLS, KILLS_WITH_TENSORFLOW, CONDITIONS_EACH = 100, 30, 3


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, "all"])
    parser.add_argument(
        "--fault", choices=["kill", *CONDITIONS, "others", "all"], default="all", help="others: no kill; default: all"
    )
    parser.add_argument("--times", type=int, metavar="N", help="kills (default: 100, with TensorFlow 30; others: 3)")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    arguments = parser.parse_args(argv)
    # started in the background, a shell has SIGINT ignored, and so would the stages
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lost = 0
    print("| stage | fault | injected | survived | lost | seconds |\n|---|---|---|---|---|---|", flush=True)
    for name in STAGES if arguments.stage == "all" else [arguments.stage]:
        lost += _one_stage(name, arguments)
    return int(lost > 0)


def _one_stage(name: str, arguments: argparse.Namespace) -> int:
    lost = 0
    with tempfile.TemporaryDirectory(prefix=f"faults.{name}.") as folder, STAGES[name](Path(folder)) as stage:
        whole = undisturbed(stage)
        groups = {"all": ("kill", *CONDITIONS), "others": tuple(CONDITIONS)}
        for fault in groups.get(arguments.fault, (arguments.fault,)):
            started = time.monotonic()
            if fault == "kill":
                default = KILLS_WITH_TENSORFLOW if stage.imports_tensorflow else KILLS
                tally = kill_often(stage, whole, arguments.times or default, arguments.seed)
            else:
                tally = inject(stage, whole, fault, arguments.times or CONDITIONS_EACH, arguments.seed)
            seconds, bad = time.monotonic() - started, min(len(tally.lost), tally.injected)
            print(
                f"| {name} | {fault} | {tally.injected} | {tally.injected - bad} | {bad} | {seconds:.0f} |", flush=True
            )
            for ending, count in sorted(tally.ends.items()):
                print(f"  {count:3d} x {ending}", file=sys.stderr)
            lost += bad
    return lost


if __name__ == "__main__":
    raise SystemExit(main())
