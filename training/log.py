"""Training and evaluation values -> one aligned terminal line, metrics.jsonl, and TensorBoard: scalars, pictures, and
the run's settings as hyperparameters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

import config
import run_folder
import utils

if TYPE_CHECKING:
    import keras


RISEN = 1.1  # times the lowest validation loss, from which on a rise is told
PER_CLASS = "AP/"  # begins the names of values that TensorBoard alone gets: they would be most of metrics.jsonl
COMPARED = ("data", "model", "train")  # the sections of settings that runs are compared by


class TrainingLog:
    """Writes the values of a run; those of steps beyond `first_step`, which a resumed run repeats, go first."""

    def __init__(self, folder: Path, settings: config.TrainSettings, first_step: int, chief: bool = True):
        """`chief`: of several processes only the chief writes."""
        import tensorflow as tf

        self._settings, self._chief = settings, chief
        self._jsonl = folder / run_folder.LOG
        self._writer = tf.summary.create_noop_writer()
        self._losses: list[tuple[float, int]] = []  # (validation loss, step) of each evaluation
        if chief:
            records = run_folder.read_log(folder)
            kept = [record for record in records if record["step"] <= first_step]
            if self._jsonl.exists():
                # a last line that a kill or a full disk cut short goes as well
                utils.write_text(self._jsonl, "".join(f"{json.dumps(record)}\n" for record in kept))
            self._losses = [(record["loss_eval"], record["step"]) for record in kept if "loss_eval" in record]
            self._writer = tf.summary.create_file_writer(str(folder))
            if (folder / run_folder.CONFIG).is_file():
                self._write_hyperparameters(config.load(folder / run_folder.CONFIG))
        self._started = self._last = time.monotonic()
        self._windows = 0
        self._waited = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if self._losses and kind is None:
            lowest, step = min(self._losses)
            latest, _ = self._losses[-1]
            if latest > RISEN * lowest:
                utils.LOGGER.warning(
                    "the validation loss was lowest at step %d, %.4f, and is %.4f now: the model begins to know the "
                    "training videos by heart. mAP says whether fewer steps (train.max_steps) would have served better",
                    step, lowest, latest,
                )  # fmt: skip

    def next_line(self, step: int) -> int:
        """The first step after `step` whose values are written."""
        every = self._settings.save_summary_steps, self._settings.log_step_count_steps
        return min((step // count + 1) * count for count in every)

    def steps(self, step: int, windows: int, waited: float, values: Callable[[], dict[str, float]]) -> None:
        """Note that steps up to `step` were taken, with so many windows, of which `waited` seconds went by waiting for
        input; ask for the `values` of the last when it is time to write them."""
        self._windows += windows
        self._waited += waited
        to_file = step % self._settings.save_summary_steps == 0
        to_terminal = step % self._settings.log_step_count_steps == 0
        if not (self._chief and (to_file or to_terminal)):
            return
        seconds = max(time.monotonic() - self._last, 1e-9)
        rate, share = self._windows / seconds, min(self._waited / seconds, 1.0)
        self.restart_clock()
        written = values()
        if to_file:
            self._write(step, written | {"windows_per_second": round(rate, 1), "input_wait": round(share, 4)})
        if to_terminal:
            print(
                f"step {step:>{len(str(self._settings.max_steps))}}/{self._settings.max_steps}"
                f"   loss {written['loss']:7.4f}   mean precision {written['mean_precision_train']:.4f}"
                f"   accuracy {written['mean_accuracy_train']:.4f}   {rate:7.0f} windows/s", flush=True,
            )  # fmt: skip

    def evaluation(self, step: int, values: dict[str, float], pictures: dict[str, bytes], model: keras.Model) -> None:
        """Write the values of an evaluation, its pictures (PNG, by name), and histograms of the model's weights where
        `train.histograms` asks for them."""
        import tensorflow as tf

        self._write(step, values)
        self._losses.append((values["loss_eval"], step))
        with self._writer.as_default(step):
            for name, picture in pictures.items():
                tf.summary.image(f"validation/{name}", tf.io.decode_png(picture)[None])
            for weight in model.weights if self._settings.histograms else ():
                tf.summary.histogram(weight.path, weight.numpy())
        width = 2 * len(str(self._settings.max_steps)) + len("step /")
        line = (
            f"{'validation':<{width}}   loss {values['loss_eval']:7.4f}   mean precision "
            f"{values['mean_precision_eval']:.4f}   accuracy {values['mean_accuracy_eval']:.4f}"
        )
        if "average_mAP" in values:
            line += f"   mAP {values['average_mAP']:.4f}   mAP@0.5 {values['mAP_0.50']:.4f}"
        print(line, flush=True)

    def restart_clock(self) -> None:
        """Leave what went by since the last line out: the time of an evaluation is not training time."""
        self._last, self._windows, self._waited = time.monotonic(), 0, 0.0

    def _write_hyperparameters(self, settings: Iterable[tuple[str, config.Section]]) -> None:
        from tensorboard.plugins.hparams import api

        chosen = {f"{name}.{key}": value for name, section in settings if name in COMPARED for key, value in section}
        plain = {key: value if isinstance(value, int | float | str) else str(value) for key, value in chosen.items()}
        with self._writer.as_default():
            api.hparams(plain)

    def _write(self, step: int, values: dict[str, float]) -> None:
        import tensorflow as tf

        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        kept = {name: value for name, value in values.items() if not name.startswith(PER_CLASS)}
        seconds = round(time.monotonic() - self._started, 2)
        utils.append_jsonl(self._jsonl, {"step": step} | kept | {"seconds": seconds})
