"""Measures this machine: `python benchmarks/bench.py [extraction] [reading] [training] …`, Markdown tables out.

Contenders take turns in one run, so that whatever else the machine does meets them all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

# started as a file, Python looks for modules in this folder only
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import command_line
import utils
from benchmarks import evaluation, extraction, live, memory, precision, reading, sizes, training

PARTS = ("extraction", "reading", "training", "precision", "memory", "sizes", "evaluation", "live")


def run(parts: list[str], repeats: int, cases: tuple[extraction.Case, ...], output: Path | None) -> None:
    """Measure `parts` and print a table for each; `output` gets all numbers as JSON."""
    results = {}
    print(f"CPU with {instruction_sets()}", flush=True)
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="bench.") as name:
            folder = Path(name)
            if part == "extraction":
                results[part] = extraction.run(folder, repeats, cases)
                table = extraction.show(results[part])
            elif part == "reading":
                results[part] = reading.run(folder, repeats)
                table = reading.show(results[part])
            elif part == "training":
                results[part] = training.run(repeats)
                table = training.show(results[part])
            elif part == "precision":
                results[part] = precision.run(folder)
                table = precision.show(results[part])
            elif part == "sizes":
                results[part] = sizes.run(folder, min(repeats, 3))
                table = sizes.show(results[part])
            elif part == "evaluation":
                results[part] = evaluation.run(folder, repeats)
                table = evaluation.show(results[part])
            elif part == "live":
                results[part] = live.run(folder)
                table = live.show(results[part])
            else:
                results[part] = memory.run(folder)
                table = memory.show(results[part])
        print(f"\n## {part}\n\n{table}", flush=True)
        if output:
            utils.write_json(output, results)


def instruction_sets() -> str:
    """Those of this CPU that decide the speed of a network, as far as NumPy and the kernel know them."""
    vectors = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    matrices = [name for name in ("avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if name in flags.split()]
    return ", ".join([*vectors, *matrices]) or "no vector instructions known"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what this machine does a second, and what limits it.")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; the first three when none is given")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="turns of each contender (default: 5)")
    parser.add_argument(
        "--case", action="append", metavar="NAME", help="only networks whose name begins so; repeatable"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    arguments = parser.parse_args(argv)
    for part in arguments.part:
        if part not in PARTS:
            parser.error(f"expected {', '.join(PARTS)}, received {part!r}")
    cases = tuple(
        case for case in extraction.CASES
        if not arguments.case or f"{case.backbone} {case.size}".startswith(tuple(arguments.case))
    )  # fmt: skip

    def chosen() -> None:
        utils.start_tensorflow()
        run(list(dict.fromkeys(arguments.part)) or list(PARTS[:3]), arguments.repeats, cases, arguments.json)

    return command_line.run_script(chosen, "error")


if __name__ == "__main__":
    raise SystemExit(main())
