"""The jobs of cloud/: their commands run here, on a folder that plays the bucket; SkyPilot reads them where it is."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from documents import copy_project
from made_features import SETTINGS, make_data_set

import utils

ROOT = Path(__file__).parents[1]
JOBS = sorted((ROOT / "cloud").glob("*.yaml"))


def keep(source, target):
    subprocess.run([ROOT / "cloud/keep.sh", source, target], check=True)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_skypilot_takes_the_job(path, monkeypatch, tmp_path):
    sky = pytest.importorskip("sky", reason="optional: SkyPilot, which needs an environment of its own, is not here")
    monkeypatch.chdir(ROOT)
    task = sky.Task.from_yaml(str(path))
    assert task.name == path.stem and all(choice.use_spot for choice in task.resources)
    assert set(task.storage_mounts) == {"/bucket"}


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_job_is_whole(path):
    job = yaml.safe_load(path.read_text())
    assert set(job) <= {"name", "num_nodes", "resources", "workdir", "envs", "file_mounts", "setup", "run"}
    assert job["resources"]["use_spot"] and job["resources"]["accelerators"]
    assert job["file_mounts"]["/bucket"] == {"source": "${BUCKET}", "mode": "MOUNT"}
    assert (ROOT / job["envs"]["SETTINGS"]).is_file()
    for part in ("setup", "run"):
        subprocess.run(["bash", "-n", "-c", job[part]], check=True)


def test_what_is_kept_is_whole_and_names_a_checkpoint_that_is_there(tmp_path):
    run, bucket = tmp_path / "run", tmp_path / "bucket/run"
    keep(run, bucket)  # there is nothing yet
    assert not bucket.exists()
    (run / "checkpoints/best").mkdir(parents=True)
    (run / "checkpoints/ckpt-1.index").write_text("one")
    (run / "checkpoints/checkpoint").write_text("ckpt-1")
    (run / "checkpoints/.ckpt-2.part").write_text("half")
    (run / "checkpoints/ckpt-2_temp").mkdir()
    (run / "checkpoints/ckpt-2_temp/part-0").write_text("half")
    (run / ".part").mkdir()
    (run / ".part/file").write_text("half")
    keep(run, bucket)
    kept = {"checkpoints/ckpt-1.index": "one", "checkpoints/checkpoint": "ckpt-1"}
    assert tree(bucket) == kept
    (run / "checkpoints/ckpt-2.index").write_text("two")
    (run / "checkpoints/checkpoint").write_text("ckpt-2")
    (bucket / "checkpoints/ckpt-1.index").write_text("newer there")
    keep(run, bucket)
    kept["checkpoints/ckpt-1.index"] = "newer there"
    assert tree(bucket) == kept | {"checkpoints/ckpt-2.index": "two", "checkpoints/checkpoint": "ckpt-2"}


def test_files_that_go_while_others_are_kept_are_no_error_but_what_cannot_be_written_is(tmp_path):
    run, bucket = tmp_path / "run", tmp_path / "bucket"
    files = [run / f"{number}" for number in range(20)]
    run.mkdir()
    for file in files:
        file.write_text(file.name)
    # all are deleted as soon as one is kept
    copy = tmp_path / "tools/cp"
    copy.parent.mkdir()
    copy.write_text(f'#!/bin/sh\n{shutil.which("cp")} "$@"; status=$?; rm -f {run}/*; exit $status\n')
    copy.chmod(0o755)
    path = os.pathsep.join([str(copy.parent), os.environ["PATH"]])
    command = [ROOT / "cloud/keep.sh", run, bucket]
    keeping = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    assert keeping.stderr == "" and keeping.returncode == 0
    assert 0 < len(tree(bucket)) < len(files)
    (run / "lasting").write_text("")
    (bucket / "lasting").mkdir()  # no file can take its place
    os.utime(bucket / "lasting", (0, 0))
    failed = subprocess.run([ROOT / "cloud/keep.sh", run, bucket], capture_output=True, text=True)
    assert failed.returncode != 0 and "lasting" in failed.stderr


def start(job, folder, bucket, home, settings):
    """Start a job's `run` in a copy of the project; the bucket is a folder, and small settings follow its own."""
    job = yaml.safe_load((ROOT / f"cloud/{job}.yaml").read_text())
    (folder / "small.yml").write_text(yaml.safe_dump(settings))
    script = re.sub(r"sleep \d+", "sleep 0.2", job["run"].replace("/bucket", str(bucket)))
    environment = os.environ | {
        "HOME": str(home), "SETTINGS": "small.yml", "SKYPILOT_NODE_RANK": "0", "SKYPILOT_NUM_NODES": "1",
    }  # fmt: skip
    home.mkdir()
    return subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_training_whose_machine_is_taken_away_goes_on_on_another(tmp_path):
    folder, bucket = copy_project(tmp_path / "app"), tmp_path / "bucket"
    make_data_set(bucket)
    settings = {}
    for assignment in (*SETTINGS, "train.max_steps=4000", "train.save_checkpoints_steps=20", "train.eval_steps=1"):
        name, value = assignment.split("=")
        if not name.startswith("paths."):
            settings.setdefault(name.split(".")[0], {})[name.split(".")[1]] = yaml.safe_load(value)
    first = start("train", folder, bucket, tmp_path / "first", settings)
    try:
        state = bucket / "run/checkpoints/checkpoint"
        while not state.is_file() and first.poll() is None:
            time.sleep(0.2)
        assert state.is_file(), first.communicate()[0]
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    reached = [line["step"] for line in utils.read_jsonl(bucket / "run/metrics.jsonl")]
    settings["train"]["max_steps"] = max(reached) + 40
    # the number of steps is one of the few settings in which a run that goes on may differ
    second = start("train", folder, bucket, tmp_path / "second", settings)
    printed, _ = second.communicate(timeout=600)
    assert second.returncode == 0, printed
    assert "average mAP" in printed
    steps = [line["step"] for line in utils.read_jsonl(bucket / "run/metrics.jsonl")]
    assert steps[: len(reached)][0] == reached[0] and max(steps) == settings["train"]["max_steps"]
    assert (bucket / "run/predictions_validation.json").is_file()


@pytest.mark.slow
def test_an_extraction_and_a_shard_of_an_array(draw, tmp_path):
    folder, bucket = copy_project(tmp_path / "app"), tmp_path / "bucket"
    draw(bucket, training=2, validation=1)
    settings = {"extractor": {"backbone": "efficientnet_lite0"}}
    job = start("extract", folder, bucket, tmp_path / "home", settings)
    printed, _ = job.communicate(timeout=600)
    assert job.returncode == 0, printed
    made = sorted(path.name for path in bucket.glob("features/*/*.tfrecord"))
    assert len(made) == 3 and (bucket / "features/extractor.json").is_file()
    # the same by two jobs of an array, on a shared folder
    (tmp_path / "shared/data").mkdir(parents=True)
    shutil.copytree(bucket / "videos", tmp_path / "shared/data/videos")
    for number in (1, 2):
        environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": "2"}
        command = ["bash", "cloud/extract.slurm", str(tmp_path / "shared"), "-c", "small.yml"]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    found = sorted(path.name for path in (tmp_path / "shared/data/features").glob("*/*.tfrecord"))
    assert found == made
