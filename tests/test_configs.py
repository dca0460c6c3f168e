"""Every file of configs/ loads, and trains, predicts and scores on features of its shape in the memory it states."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import config
from features import records

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs").glob("*.yml"))
CHANNELS = {"inception_resnet_v2": 1536, "efficientnet_lite0": 1280}
LABELS = ("run", "jump")
STEPS = 3

# the resident memory that the process had at most is printed last; its ru_maxrss begins with what pytest had
TRAIN = """
import re, sys
from pathlib import Path
import predictions_json, metrics, trainer
for stage in (trainer, predictions_json, metrics):
    if status := stage.main(sys.argv[1:]):
        sys.exit(status)
print("\\npeak", 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
"""


def stated_bytes(path):
    """What the header promises: `# Memory: training takes up to 2 GB …`."""
    (gigabytes,) = re.findall(r"^# Memory: .*?(\d+(?:\.\d+)?) GB", path.read_text(), re.MULTILINE)
    return float(gigabytes) * 1e9


def feature_shape(settings):
    if settings.paths.json_data_path.parent.name == "salads":
        return (10,)  # imported class scores
    channels = CHANNELS[settings.extractor.backbone]
    return settings.extractor.feature_maps_size or (channels,)


def make_features(folder, settings):
    """Videos of two windows and a bit, whose second half shows an action; two of each subset."""
    random, shape = np.random.default_rng(0), feature_shape(settings)
    rate, frames = 25 / settings.video.skip_frames, 2 * settings.data.max_frames + 3
    taxonomy = [{"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}]
    database = {}
    for subset in ("training", "validation"):
        for number, label in enumerate(LABELS):
            name, seconds = f"{subset}_{number}", frames / rate
            action = {"segment": [seconds / 2, seconds], "label": label}
            database[name] = {"subset": subset, "duration": seconds, "annotations": [action]}
            features = random.normal(number, 1, (frames, *shape)).astype(np.float32)
            video = records.VideoFeatures(name, features, (np.arange(frames) + 0.5) / rate, seconds, rate)
            records.write_features(records.feature_file(folder / "features", subset, name), video, "float16")
    spec = {"backbone": "imported", "feature_shape": list(shape), "rate": rate, "dtype": "float16"}
    if shape != (10,):
        spec |= records.chosen_spec(settings.extractor, settings.video)
    records.create_spec(folder / "features", spec)
    for number, label in enumerate(LABELS, start=1):
        taxonomy.append({"nodeId": number, "nodeName": label, "parentId": 0, "parentName": "Root"})
    value = {"version": "made", "taxonomy": taxonomy, "database": database}
    (folder / "annotations.json").write_text(json.dumps(value))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_configuration_loads_and_says_what_memory_it_takes(path):
    settings = config.load(path)
    assert settings != config.load()
    assert stated_bytes(path) > 0


def test_the_original_is_as_published():
    settings = config.load(ROOT / "configs/original.yml")
    assert settings.extractor.feature_maps_size == (5, 5, 1536) and settings.extractor.feature_pooling == "none"
    assert settings.video.resize == (224, 224) and settings.video.skip_frames == 6
    assert settings.model.fully_connected == (4096, 4096, 1000)
    assert (settings.model.cell_type, settings.model.num_layers, settings.model.dropout) == ("lstm", 1, 0.3)
    assert (settings.data.max_frames, settings.data.batch_size, settings.data.taxonomy_level) == (15, 15, 3)
    assert (settings.train.learning_rate, settings.train.max_steps, settings.train.num_epochs) == (1e-4, 100_000, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_stays_in_its_memory(path, tmp_path):
    settings = config.load(path)
    make_features(tmp_path, settings)
    assignments = [
        f"paths.data_dir={tmp_path}", "paths.json_data_path=annotations.json", "paths.feature_map_folder=features",
        "paths.model_dir=run", "predict.subset=validation", "data.taxonomy_level=0", f"train.max_steps={STEPS}",
        f"train.save_checkpoints_steps={STEPS}", "train.keep_checkpoint_max=1", "predict.min_score=0",
    ]  # fmt: skip
    options = ["-c", str(path), *(part for text in assignments for part in ("--set", text))]
    command = [sys.executable, "-c", TRAIN, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) < stated_bytes(path)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert any(line["step"] == STEPS and np.isfinite(line["average_mAP"]) for line in lines if "average_mAP" in line)
    assert set(json.loads((tmp_path / "run/metrics_validation.json").read_text())["AP"]) == set(LABELS)
