"""A tiny data set of features whose actions a BiLSTM can learn: annotations.json and imported feature files."""

import json
from pathlib import Path

import numpy as np

import config
from features import records
from training import run_data

RATE, SIZE = 4, 6
SETTINGS = (
    "paths.json_data_path=annotations.json", "paths.feature_map_folder=features", "paths.model_dir=run",
    "model.num_nodes=8", "train.learning_rate=0.02", "train.max_steps=60", "train.save_checkpoints_steps=30",
    "train.save_summary_steps=10", "train.log_step_count_steps=20", "data.batch_size=8",
)  # fmt: skip


def make_data_set(folder: Path) -> None:
    """Videos of half a minute with 2 actions each; a feature is its frame's class, one-hot, in noise."""
    random = np.random.default_rng(0)
    labels, database = ("run", "jump"), {}
    for subset, count in (("training", 6), ("validation", 3), ("testing", 2)):
        for number in range(count):
            name, frames = f"{subset}_{number}", int(random.integers(100, 130))
            features = random.normal(0, 0.3, (frames, SIZE)).astype(np.float32)
            annotated = []
            for start, label in zip((10, 60), random.permutation(2), strict=True):
                start, end = start + int(random.integers(10)), start + 20 + int(random.integers(15))
                features[start:end, label] += 1
                annotated.append({"segment": [start / RATE, end / RATE], "label": labels[label]})
            database[name] = {"subset": subset, "duration": frames / RATE, "annotations": annotated}
            times = (np.arange(frames) + 0.5) / RATE
            video = records.VideoFeatures(name, features, times, frames / RATE, RATE)
            records.write_features(records.feature_file(folder / "features", subset, name), video, "float32")
    spec = {"backbone": "imported", "feature_shape": [SIZE], "rate": RATE, "dtype": "float32"}
    records.create_spec(folder / "features", spec)
    (folder / "annotations.json").write_text(json.dumps({"version": "made", "taxonomy": [], "database": database}))


def load_data(settings: config.Config, *subsets: tuple[str, ...]) -> run_data.RunData:
    """What a run with these settings trains and evaluates on."""
    spec = records.require_spec(settings.paths.feature_map_folder, settings.extractor, settings.video)
    return run_data.load_data(settings.paths, settings.data, spec, *subsets, output=settings.model.output)


def made_settings(folder: Path, *assignments: str) -> config.Config:
    return config.load(None, [f"paths.data_dir={folder}", *SETTINGS, *assignments])
