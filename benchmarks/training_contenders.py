"""What training.py lets run against each other: `python training_contenders.py NAME BATCH STEPS`, a process each.

It says `ready`, and for each line that it is given takes STEPS steps and says windows, seconds, and the share of them
that it waited for input. The same work for all: 15 frames of 1536 numbers a window, gathered at random from features
in memory, dropout, a bidirectional LSTM of 128 units whose directions are averaged, 101 classes, cross-entropy,
gradients clipped to norm 1, Adam; accuracy along the way.
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


def main() -> None:
    name, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    call = {"ours": ours, "fit": fit, "pytorch": pytorch}[name](batch, steps)
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
