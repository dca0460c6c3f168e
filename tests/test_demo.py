"""The whole chain on the embedded sample set reaches its figures, and a stranger's own videos go through the README."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import utils

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(folder, *command):
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample set, drawn."""
    folder = tmp_path_factory.mktemp("demo")
    run(ROOT, "sample_videos.py", "--output", folder / "data/sample")
    return folder


def test_the_demo_reaches_its_figures_on_videos_that_chose_nothing(sample):
    settings = ("-c", "configs/sample.yml", "--set", f"paths.data_dir={sample}")
    run(ROOT, "feature_map_extractor.py", *settings, "training", "validation", "testing")
    run(ROOT, "trainer.py", *settings)
    run(ROOT, "predictions_json.py", *settings, "--subset", "testing")
    printed = run(ROOT, "metrics.py", *settings, "--subset", "testing")
    assert "average mAP" in printed
    scored = utils.read_json(sample / "runs/demo/metrics_testing.json")
    assert scored["average_mAP"] >= 0.60 and scored["mAP"]["0.50"] >= 0.85


def test_the_readmes_way_for_own_videos(sample, tmp_path):
    """The commands under "Your own videos", on sample videos that play the part of a stranger's."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    database = utils.read_json(sample / "data/sample/annotations.json")["database"]
    chosen = [name for name in database if database[name]["subset"] != "testing"][::8]
    (tmp_path / "mine").mkdir()
    with (tmp_path / "mine/actions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "start", "end", "label", "subset"])
        for name in chosen:
            subset = database[name]["subset"]
            target = tmp_path / f"mine/videos/{subset}/{name}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sample / f"data/sample/videos/{subset}/{name}.mp4", target)
            rows.writerows([name, *a["segment"], a["label"], subset] for a in database[name]["annotations"])
    section = (ROOT / "README.md").read_text().split("## Your own videos")[1].split("\n## ")[0]
    (commands,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    commands = commands.replace("python ", f"{sys.executable} ").replace("max_steps: 1000", "max_steps: 40")
    done = subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 0 <= utils.read_json(tmp_path / "mine/run/metrics_validation.json")["average_mAP"] <= 1
