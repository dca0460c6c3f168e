"""Training and evaluation values -> one aligned terminal line, metrics.jsonl and TensorBoard scalars."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import config
import utils


class TrainingLog:
    """Writes the values of a run; those of steps beyond `first_step`, which a resumed run repeats, go first."""

    def __init__(self, folder: Path, settings: config.TrainSettings, first_step: int):
        import tensorflow as tf

        self._jsonl = folder / "metrics.jsonl"
        kept = [record for record in utils.read_jsonl(self._jsonl) if record["step"] <= first_step]
        self._jsonl.unlink(missing_ok=True)
        for record in kept:
            utils.append_jsonl(self._jsonl, record)
        self._settings = settings
        self._writer = tf.summary.create_file_writer(str(folder))
        self._started = self._last = time.monotonic()
        self._windows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def step(self, step: int, windows: int, values: Callable[[], dict[str, float]]) -> None:
        """Note that a step with that many windows was taken; ask for its `values` when it is time to write them."""
        self._windows += windows
        to_file = step % self._settings.save_summary_steps == 0
        to_terminal = step % self._settings.log_step_count_steps == 0
        if not (to_file or to_terminal):
            return
        now = time.monotonic()
        rate = self._windows / max(now - self._last, 1e-9)
        self._last, self._windows = now, 0
        written = values()
        if to_file:
            self._write(step, written | {"windows_per_second": round(rate, 1)})
        if to_terminal:
            print(
                f"step {step:>{len(str(self._settings.max_steps))}}/{self._settings.max_steps}"
                f"   loss {written['loss']:7.4f}   mean precision {written['mean_precision_train']:.4f}"
                f"   accuracy {written['mean_accuracy_train']:.4f}   {rate:7.0f} windows/s", flush=True,
            )  # fmt: skip

    def evaluation(self, step: int, values: dict[str, float]) -> None:
        """Write the values of an evaluation."""
        self._write(step, values)
        width = 2 * len(str(self._settings.max_steps)) + len("step /")
        line = (
            f"{'validation':<{width}}   loss {values['loss_eval']:7.4f}   mean precision "
            f"{values['mean_precision_eval']:.4f}   accuracy {values['mean_accuracy_eval']:.4f}"
        )
        if "average_mAP" in values:
            line += f"   mAP {values['average_mAP']:.4f}   mAP@0.5 {values['mAP_0.50']:.4f}"
        print(line, flush=True)
        # the time of an evaluation is not training time
        self._last, self._windows = time.monotonic(), 0

    def _write(self, step: int, values: dict[str, float]) -> None:
        import tensorflow as tf

        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        utils.append_jsonl(
            self._jsonl, {"step": step} | values | {"seconds": round(time.monotonic() - self._started, 2)}
        )
