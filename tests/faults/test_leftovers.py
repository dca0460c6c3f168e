"""What a kill left among checkpoints goes, and nothing else does: not when the clock was put back either."""

import time

import tensorflow as tf

from training.checkpoints import _remove_leftovers


def save(folder, *steps):
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(value=tf.Variable(1.0)), str(folder), max_to_keep=5)
    for step in steps:
        manager.save(step)
    return manager


def names(folder):
    return {path.name.partition(".")[0] for path in folder.iterdir()}


def test_listed_checkpoints_stay_and_leftovers_go(tmp_path):
    save(tmp_path, 3, 6)
    (tmp_path / "best").mkdir()
    (tmp_path / "ckpt-9_temp").mkdir()
    for name in ("ckpt-9_temp/part-00000", "ckpt-7.index", "ckpt-7.data-00000-of-00001", "checkpoint.tmp12", "notes"):
        (tmp_path / name).write_text("half")
    _remove_leftovers(tmp_path)
    assert names(tmp_path) == {"checkpoint", "ckpt-3", "ckpt-6", "best", "notes"}
    assert not (tmp_path / "checkpoint.tmp12").exists()


def test_a_clock_that_was_put_back_costs_no_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, 3, 6)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 7200)
    assert save(tmp_path).checkpoints == []  # which TensorFlow believes then
    _remove_leftovers(tmp_path)
    assert names(tmp_path) == {"checkpoint", "ckpt-3", "ckpt-6"}


def test_without_a_list_only_temporary_ones_go(tmp_path):
    save(tmp_path, 3)
    (tmp_path / "checkpoint").unlink()
    (tmp_path / "ckpt-5_temp").mkdir()
    _remove_leftovers(tmp_path)
    assert names(tmp_path) == {"ckpt-3"}
