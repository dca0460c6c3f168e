"""Windows a second that trainer.py learns from, against Keras' `fit` and PyTorch's nn.LSTM doing the same work."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from benchmarks.tables import markdown
from benchmarks.training_contenders import gflop_a_window

ROOT = Path(__file__).resolve().parents[1]
BATCHES = {15: 200, 128: 30}  # windows a step -> steps a turn
CONTENDERS = ("ours", "fit", "pytorch")
PARTS = ("products", "update", "matmul")  # of ours, and what the matrix products could reach
# an environment of its own: `make bench` makes it from benchmarks/requirements.txt
TORCH_PYTHON = Path(os.environ.get("TORCH_PYTHON", ROOT / ".venv/torch/bin/python"))


def run(repeats: int) -> dict[str, dict]:
    """For each batch size: windows a second of each contender (all turns, and their median) and ratios to ours."""
    contenders = [name for name in (*CONTENDERS, *PARTS) if name != "pytorch" or TORCH_PYTHON.is_file()]
    if "pytorch" not in contenders:
        print(f"no PyTorch: {TORCH_PYTHON} is not there; `make bench` installs it", file=sys.stderr)
    return {f"batch {batch}": _measure(batch, steps, contenders, repeats) for batch, steps in BATCHES.items()}


def _measure(batch: int, steps: int, contenders: list[str], repeats: int) -> dict:
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    waits = []
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(_contender(name, batch, steps)) for name in contenders}
        turns = [name for _ in range(repeats) for name in contenders]
        for name in tqdm(turns, desc=f"batch {batch}", file=sys.stderr):
            process = processes[name]
            process.stdin.write("go\n")
            process.stdin.flush()
            windows, seconds, waited = map(float, process.stdout.readline().split())
            rates[name].append(windows / seconds)
            if name == "ours":
                waits.append(waited)
    median = {name: statistics.median(values) for name, values in rates.items()}
    # each turn against the others' of the same round, which met the same machine
    ratios = {
        name: statistics.median(ours / theirs for ours, theirs in zip(rates["ours"], rates[name], strict=True))
        for name in contenders if name != "ours"
    }  # fmt: skip
    return {"windows_per_second": median, "all": rates, "times": ratios, "input_wait": statistics.median(waits)}


@contextlib.contextmanager
def _contender(name: str, batch: int, steps: int) -> Iterator[subprocess.Popen]:
    """A contender's process that is ready; it ends with the block."""
    python = TORCH_PYTHON if name == "pytorch" else sys.executable
    script = Path(__file__).with_name("training_contenders.py")
    process = subprocess.Popen(
        [python, script, name, str(batch), str(steps)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    try:
        if process.stdout.readline().strip() != "ready":
            raise ValueError(f"the contender {name} did not start: {process.communicate()[1][-400:]}")
        yield process
    finally:
        process.kill()
        process.communicate()


def show(results: dict[str, dict]) -> str:
    """The results as two Markdown tables: against the others, and where the time goes."""
    rows, shares = [], []
    for name, found in results.items():
        rate, times = found["windows_per_second"], found["times"]
        torch = f"{rate['pytorch']:.0f}" if "pytorch" in rate else "–"
        torch_times = f"{times['pytorch']:.2f}" if "pytorch" in rate else "–"
        rows.append(
            f"{name} | {rate['ours']:.0f} | {rate['fit']:.0f} | {torch} | {times['fit']:.2f} | {torch_times} | "
            f"{found['input_wait']:.1%}"
        )
        products, update = times["products"], times["update"]  # shares of the step's time
        share = times["matmul"] * gflop_a_window()
        shares.append(
            f"{name} | {rate['ours'] * gflop_a_window():.0f} | {rate['matmul']:.0f} | {share:.0%} | "
            f"{share / products:.0%} | {products:.0%} | {update:.0%} | {1 - products - update:.0%}"
        )
    head = "a step | GFLOP/s | matmul peak | share of it | products alone, of the peak | products, of the step | "
    return "\n\n".join([
        markdown("windows/s | ours | Keras fit | PyTorch | ours / fit | ours / PyTorch | input wait", rows),
        markdown(head + "clipping and Adam | the rest", shares),
    ])  # fmt: skip
