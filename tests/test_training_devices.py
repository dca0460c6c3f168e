"""Several devices and hosts take the steps that one device takes: two logical CPUs, and two processes on loopback."""

import json

import numpy as np
import pytest
import tensorflow as tf
from made_features import SETTINGS, make_data_set
from training_processes import assert_same, finished, free_ports, losses, start, weights

import trainer
import utils
from training.devices import MOST_PER_MESSAGE, Devices

# an odd batch, whose halves differ; a last batch of an epoch that is smaller still
SAME = (
    "model.dropout=0", "data.batch_size=7", "train.ema_decay=0.9", "train.save_summary_steps=5", "data.max_frames=6",
    "train.pictures=1", "predict.subset=testing",
)  # fmt: skip


def arguments(folder, run, strategy, *assignments):
    chosen = [f"paths.data_dir={folder}", *SETTINGS, *SAME, f"paths.model_dir={run}", f"train.strategy={strategy}"]
    return [part for text in (*chosen, *assignments) for part in ("--set", text)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with the run of one device."""
    folder = tmp_path_factory.mktemp("devices")
    make_data_set(folder)
    assert trainer.main(arguments(folder, "one", "one")) == 0
    return folder


def files(run):
    return {path.name for path in run.rglob("*") if path.is_file() and "tfevents" not in path.name}


@pytest.mark.slow
def test_two_devices_take_the_steps_of_one(folder):
    printed = finished(start(arguments(folder, "mirrored", "mirrored"), devices=2))
    assert "2 devices" in printed
    assert losses(folder / "mirrored") == pytest.approx(losses(folder / "one"), rel=1e-3, abs=1e-4)
    assert_same(weights(folder / "mirrored"), weights(folder / "one"), rtol=2e-2, atol=2e-3)
    assert files(folder / "mirrored") == files(folder / "one")


@pytest.mark.slow
def test_two_devices_of_every_kind_of_model(folder):
    kinds = ("model.fully_connected=[8]", "model.cell_type=gru", "model.dropout=0.5", "data.jitter=2")
    finished(start(arguments(folder, "kinds", "mirrored", *kinds, "train.max_steps=20"), devices=2))
    assert losses(folder / "kinds")[-1] < losses(folder / "kinds")[0]


@pytest.mark.slow
def test_two_workers_take_the_steps_of_one_and_only_the_chief_writes(folder):
    ports = free_ports(2)
    both = [start(arguments(folder, "workers", "multi_worker"), task=(number, ports)) for number in range(2)]
    chief, other = (finished(process) for process in both)
    assert losses(folder / "workers") == pytest.approx(losses(folder / "one"), rel=1e-3, abs=1e-4)
    assert_same(weights(folder / "workers"), weights(folder / "one"), rtol=2e-2, atol=2e-3)
    assert files(folder / "workers") == files(folder / "one")
    assert "step 60/60" in chief and "step 60/60" not in other


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_and_all_go_on_from_the_checkpoint(folder):
    chosen = arguments(folder, "lost", "multi_worker", "train.save_checkpoints_steps=10", "train.eval_steps=1")
    one = ("train.save_checkpoints_steps=10", "train.eval_steps=1")
    assert trainer.main(arguments(folder, "never_lost", "one", *one)) == 0
    ports = free_ports(2)
    chief, other = (start(chosen, task=(number, ports), lost_at=24 * number) for number in range(2))
    assert "run all of them again with the same command" in finished(chief, status=2)
    finished(other, status=-9)
    ports = free_ports(2)
    for process in [start(["--resume", *chosen], task=(number, ports)) for number in range(2)]:
        assert "resumed at step" in finished(process)
    assert utils.read_jsonl(folder / "lost/metrics.jsonl")[-1]["step"] == 60
    assert_same(weights(folder / "lost"), weights(folder / "never_lost"), rtol=2e-2, atol=2e-3)


def test_multi_worker_needs_to_be_told_of_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert trainer.main(arguments(tmp_path, "alone", "multi_worker")) == 2
    assert "TF_CONFIG" in capsys.readouterr().err
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}}')
    assert trainer.main(arguments(tmp_path, "alone", "auto")) == 2
    assert "TF_CONFIG: expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("jobs", "task", "place"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), (1, 2)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), (0, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 1), (2, 3)),
    ],
)
def test_a_chief_comes_before_the_workers(monkeypatch, jobs, task, place):
    cluster = {"cluster": jobs, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", tf.distribute.get_strategy)
    devices = Devices("auto")
    assert (devices.name, devices.worker, devices.workers) == ("multi_worker", *place)
    assert devices.chief == (place[0] == 0)


def test_what_processes_tell_each_other_comes_from_the_first_device_of_each():
    devices = Devices("one")
    told = np.array([3.0, -1.0, *np.zeros(MOST_PER_MESSAGE - 2)])
    np.testing.assert_array_equal(devices._sum(tf.constant(told)), told)
