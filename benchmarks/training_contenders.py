"""What training.py lets run against each other: `python training_contenders.py NAME BATCH STEPS`, a process each.

It says `ready`, and for each line that it is given takes STEPS steps and says windows, seconds, and the share of them
that it waited for input. The same work for all: 15 frames of 1536 numbers a window, gathered at random from features
in memory, dropout, a bidirectional LSTM of 128 units whose directions are averaged, 101 classes, cross-entropy,
gradients clipped to norm 1, Adam; accuracy along the way. Parts of ours run by themselves as well: `products`, the
matrix products of a step in their shapes; `update`, the clipping and Adam; and `matmul`, products of large matrices,
which counts GFLOP instead of windows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import data

SIZE, FRAMES, CLASSES, UNITS, DROPOUT, RATE = 1536, 15, 101, 128, 0.3, 1e-4
VIDEOS, VIDEO_FRAMES = 100, 300

Steps = Callable[[], tuple[int, float]]  # -> windows, seconds of waiting


def made_features() -> tuple[np.ndarray, np.ndarray]:
    """Features float16 [N, SIZE] and labels int32 [N] of all videos."""
    random = np.random.default_rng(0)
    frames = VIDEOS * VIDEO_FRAMES
    features = random.standard_normal((frames, SIZE), np.float32).astype(np.float16)
    return features, random.integers(0, CLASSES, frames).astype(np.int32)


def _store() -> data.FeatureStore:
    import data

    features, labels = made_features()
    offsets = np.arange(VIDEOS + 1) * VIDEO_FRAMES
    times = np.tile(np.arange(VIDEO_FRAMES) / 4, VIDEOS)
    names = tuple(str(number) for number in range(VIDEOS))
    cuts = np.zeros(len(labels), bool)
    return data.FeatureStore(names, features, labels, times, cuts, offsets, (VIDEO_FRAMES / 4,) * VIDEOS, ())


def ours(batch: int, steps: int) -> Steps:
    """trainer.py's steps at the default settings."""
    import tempfile

    import tensorflow as tf

    import config
    import utils
    from training.state import TrainingState
    from training.step import TrainingSteps

    settings = config.load(None, [f"paths.data_dir={tempfile.mkdtemp()}", f"data.batch_size={batch}"])
    utils.seed_everything(0, True)
    training = TrainingState(SIZE, CLASSES, settings.model, settings.train)
    learner = TrainingSteps(training, settings.train, np.ones(CLASSES, np.float32))
    from training.run_data import training_batches

    batches = training.devices.distribute(training_batches(_store(), settings.data, settings.train))
    a_call = settings.train.steps_per_call

    def call() -> tuple[int, float]:
        counts = [a_call] * (steps // a_call) + [steps % a_call] * bool(steps % a_call)
        taken = [learner.take(batches, tf.constant(count)) for count in counts]
        return steps * batch, float(sum(each["input_wait"] for each in taken))

    return call


def fit(batch: int, steps: int) -> Steps:
    """`fit` of the Keras model that one would write down, with default settings, fed by our input pipeline."""
    import keras

    import config

    settings = config.load(None, [f"data.batch_size={batch}"])
    from training.run_data import training_batches

    batches = training_batches(_store(), settings.data, settings.train).map(
        lambda one: (one["features"], one["labels"])
    )
    one_way = keras.layers.LSTM(UNITS, return_sequences=True)
    model = keras.Sequential([
        keras.Input((FRAMES, SIZE)), keras.layers.Dropout(DROPOUT),
        keras.layers.Bidirectional(one_way, merge_mode="ave"), keras.layers.Dense(CLASSES),
    ])  # fmt: skip
    model.compile(
        keras.optimizers.Adam(RATE, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
    )  # fmt: skip

    def call() -> tuple[int, float]:
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        return steps * batch, 0.0

    return call


def pytorch(batch: int, steps: int) -> Steps:
    """nn.LSTM in float32, with the fused Adam."""
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dropout = torch.nn.Dropout(DROPOUT)
            self.lstm = torch.nn.LSTM(SIZE, UNITS, bidirectional=True, batch_first=True)
            self.logits = torch.nn.Linear(UNITS, CLASSES)

        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            states, _ = self.lstm(self.dropout(windows))
            return self.logits((states[..., :UNITS] + states[..., UNITS:]) / 2)

    torch.manual_seed(0)
    features, labels = (torch.from_numpy(array) for array in made_features())
    labels = labels.long()
    starts = (torch.arange(VIDEOS)[:, None] * VIDEO_FRAMES + torch.arange(0, VIDEO_FRAMES - FRAMES + 1, 5)).flatten()
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), RATE, fused=True)
    correct = torch.zeros((), dtype=torch.int64)

    def call() -> tuple[int, float]:
        waited = 0.0
        for _ in range(steps):
            asked = time.perf_counter()
            rows = starts[torch.randint(len(starts), (batch,))][:, None] + torch.arange(FRAMES)
            windows, wanted = features[rows].float(), labels[rows]
            waited += time.perf_counter() - asked
            optimizer.zero_grad(set_to_none=True)
            logits = model(windows)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            correct.add_((logits.detach().argmax(-1) == wanted).sum())
            float(loss.detach())
        return steps * batch, waited

    return call


def gflop_a_window() -> float:
    """Of the matrix products of a step: each product, the gradient of its weights and, but for the features, of what
    goes into it; giga operations, 2 a multiplication and addition."""
    features, states, logits = SIZE * 4 * UNITS, UNITS * 4 * UNITS, UNITS * CLASSES
    return 2 * FRAMES * (2 * (2 * features + 3 * states) + 3 * logits) / 1e9


def products(batch: int, steps: int) -> Steps:
    """The matrix products of a step of ours, in its shapes: one for all frames and each direction of the features, one
    a frame of the states."""
    import tensorflow as tf

    def numbers(*shape: int) -> list[tf.Tensor]:
        return list(tf.unstack(tf.random.normal((2, *shape))))  # of both directions

    rows = batch * FRAMES
    inputs = tf.random.normal((rows, SIZE))
    kernels, gates = numbers(SIZE, 4 * UNITS), numbers(rows, 4 * UNITS)
    recurrent, states, frame_gates = (
        numbers(UNITS, 4 * UNITS), numbers(FRAMES, batch, UNITS), numbers(FRAMES, batch, 4 * UNITS)
    )  # fmt: skip
    merged, weights, logits = (tf.random.normal(s) for s in ((rows, UNITS), (UNITS, CLASSES), (rows, CLASSES)))

    @tf.function
    def step(*given: tf.Tensor) -> list[tf.Tensor]:
        inputs, kernels, gates, recurrent, states, frame_gates, merged, weights, logits = given
        found = [
            merged @ weights,
            tf.matmul(merged, logits, transpose_a=True),
            tf.matmul(logits, weights, transpose_b=True),
        ]
        for way in range(2):
            found += [inputs @ kernels[way], tf.matmul(inputs, gates[way], transpose_a=True)]
            for state, gate in zip(tf.unstack(states[way]), tf.unstack(frame_gates[way]), strict=True):
                found += [state @ recurrent[way], tf.matmul(gate, recurrent[way], transpose_b=True)]
                found.append(tf.matmul(state, gate, transpose_a=True))
        return found

    def call() -> tuple[int, float]:
        for _ in range(steps):
            step(inputs, kernels, gates, recurrent, states, frame_gates, merged, weights, logits)
        return steps * batch, 0.0

    return call


def update(batch: int, steps: int) -> Steps:
    """The norm of the gradients, their clipping, and Adam."""
    import tensorflow as tf

    import config
    from training.state import TrainingState

    settings = config.load()
    state = TrainingState(SIZE, CLASSES, settings.model, settings.train)
    gradients = [tf.random.normal(weight.shape) for weight in state.trained]

    @tf.function
    def step(*given: tf.Tensor) -> None:
        clipped, _ = tf.clip_by_global_norm(given, settings.train.gradient_clip_norm)
        state.optimizer.apply(clipped)

    def call() -> tuple[int, float]:
        for _ in range(steps):
            step(*gradients)
        return steps * batch, 0.0

    return call


def matmul(batch: int, steps: int) -> Steps:
    """Products of 2048 x 2048 matrices in float32, whatever the batch; counts GFLOP."""
    import tensorflow as tf

    side, times = 2048, 20
    matrix = tf.random.normal((side, side)) / np.sqrt(side)

    def call() -> tuple[int, float]:
        product = matrix
        for _ in range(times):
            product = product @ matrix
        product.numpy()
        return round(times * 2 * side**3 / 1e9), 0.0

    return call


def main() -> None:
    name, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    contenders = {
        "ours": ours,
        "fit": fit,
        "pytorch": pytorch,
        "products": products,
        "update": update,
        "matmul": matmul,
    }
    call = contenders[name](batch, steps)
    # graphs are traced and memory is there
    call()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        windows, waited = call()
        seconds = time.perf_counter() - started
        print(windows, seconds, waited / seconds, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
