"""Feature files to training batches: the data set of data.py against `from_generator` over .npz files."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import annotations
import data
from benchmarks.tables import markdown
from features import preparation, records

VIDEOS, FRAMES, SIZE = 40, 500, 1536
LENGTH, STRIDE, BATCH = 15, 5, 15
PASSES = 8  # of ours a turn, as one data set, which is how a training reads; one would be over in a tenth of a second


def run(folder: Path, repeats: int) -> dict:
    """Windows a second, in turn; `ours` gathers from memory, `load` is what filling it takes (seconds)."""
    import tensorflow as tf

    _make(folder)
    videos = annotations.load(folder / "annotations.json").subset("training")
    archives = sorted(folder.glob("*.npz"))
    signature = {
        "features": tf.TensorSpec((LENGTH, SIZE), tf.float32),
        "labels": tf.TensorSpec((LENGTH,), tf.int32),
        "mask": tf.TensorSpec((LENGTH,), tf.bool),
    }

    def windows() -> Iterator[dict]:
        for archive in archives:
            with np.load(archive) as loaded:
                features, labels = loaded["features"], loaded["labels"]
            for start in data.window_starts(len(features), LENGTH, STRIDE):
                rows = slice(start, start + LENGTH)
                yield {"features": features[rows], "labels": labels[rows], "mask": np.ones(LENGTH, bool)}

    plain = tf.data.Dataset.from_generator(windows, output_signature=signature).batch(BATCH).prefetch(4)
    rates: dict[str, list[float]] = {"plain": [], "ours": [], "load": []}
    for _ in range(repeats):
        started = time.perf_counter()
        store = data.load_store(folder, "training", videos, {"a": 1}, preparation.Preparation())
        each = np.tile(data.store_windows(store.offsets, LENGTH, STRIDE), (PASSES, 1))
        ours = data.input_fn(store, each, LENGTH, BATCH)
        rates["load"].append(time.perf_counter() - started)
        for name, dataset in (("plain", plain), ("ours", ours)):
            started = time.perf_counter()
            count = sum(len(batch["mask"]) for batch in dataset)
            rates[name].append(count / (time.perf_counter() - started))
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "windows_per_second": {name: median[name] for name in ("plain", "ours")},
        "load_seconds": median["load"],
        "loaded_mb": store.features.nbytes / 1e6,
        "times_plain": median["ours"] / median["plain"],
        "all": rates,
    }


def _make(folder: Path) -> None:
    random, database = np.random.default_rng(0), {}
    for number in range(VIDEOS):
        name = f"v{number:02d}"
        features = random.normal(size=(FRAMES, SIZE)).astype(np.float32)
        times = np.arange(FRAMES) * 0.24
        video = records.VideoFeatures(name, features, times, FRAMES * 0.24, 25.0)
        records.write_features(records.feature_file(folder, "training", name), video, "float16")
        np.savez(folder / f"{name}.npz", features=features, labels=np.zeros(FRAMES, np.int32))
        segments = [{"segment": [10.0, 20.0], "label": "a"}]
        database[name] = {"subset": "training", "duration": FRAMES * 0.24, "annotations": segments}
    content = {"version": "made", "taxonomy": [], "database": database}
    (folder / "annotations.json").write_text(json.dumps(content))


def show(found: dict) -> str:
    """The result as a Markdown table."""
    rate = found["windows_per_second"]
    row = (
        f"{rate['plain']:,.0f} | {rate['ours']:,.0f} | {found['times_plain']:.0f} | "
        f"{found['load_seconds']:.2f} s for {found['loaded_mb']:.0f} MB"
    )
    return markdown("`from_generator` over .npz, windows/s | ours, windows/s | ratio | loading, once", [row])
