"""A training's steps -> a trace of what each operation takes, for TensorBoard's profiler."""

from __future__ import annotations

from pathlib import Path
from typing import Self

# the first steps trace graphs and fill buffers
FIRST_STEP, LAST_STEP = 10, 30


class Profile:
    """Traces steps FIRST_STEP to LAST_STEP of those taken within its `with` block into `folder`; None: nothing."""

    def __init__(self, folder: Path | None):
        self._folder, self._tracing = folder, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def after(self, steps: int) -> None:
        """To be called between steps, with the number of those taken."""
        if self._folder is not None and not self._tracing and FIRST_STEP <= steps < LAST_STEP:
            import tensorflow as tf

            tf.profiler.experimental.start(str(self._folder))
            self._tracing = True
        elif steps >= LAST_STEP:
            self._end()

    def _end(self) -> None:
        if self._tracing:
            import tensorflow as tf

            tf.profiler.experimental.stop()
            self._tracing, self._folder = False, None
