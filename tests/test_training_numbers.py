"""What a training takes of settings and annotations, in numbers by hand: rates, class weights, lengths, cache keys."""

import os
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import config
import data
from annotations import Video
from features.cache import PreparedVideo, cache_key, cached
from features.preparation import Preparation, Projection
from segments import Segment
from training import run_data
from training.checkpoints import Checkpoints
from training.state import TrainingState


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("constant", 0, {0: 0.1, 5: 0.1, 12: 0.1}),
        ("constant", 4, {0: 0, 2: 0.05, 4: 0.1, 12: 0.1}),
        ("cosine", 0, {0: 0.1, 3: 0.1 * (1 + 0.5**0.5) / 2, 6: 0.05, 12: 0}),
        ("cosine", 4, {0: 0, 2: 0.05, 4: 0.1, 8: 0.05, 12: 0}),  # the cosine falls over the 8 steps after the 4
    ],
)
def test_the_learning_rate_of_each_step(schedule, warmup, rates):
    chosen = [f"train.schedule={schedule}", f"train.warmup_steps={warmup}", "train.learning_rate=0.1"]
    settings = config.load(None, [*chosen, "train.max_steps=12", "model.num_nodes=2"])
    state = TrainingState(3, 2, settings.model, settings.train)
    for step, rate in rates.items():
        state.optimizer.iterations.assign(step)
        assert float(state.optimizer.learning_rate) == pytest.approx(rate, abs=1e-7)


def weights(labels, *assignments, targets=None):
    store = SimpleNamespace(labels=np.array(labels), targets=targets)
    settings = config.load(None, [f"train.{assignment}" for assignment in assignments])
    return run_data.class_weights(store, 3, settings.train).tolist()


def test_class_weights_by_hand():
    # 6, 2 and 1 learnt frames; those without a label do not count
    labels = [0] * 6 + [1] * 2 + [2] + [data.IGNORED] * 7
    assert weights(labels, "class_balance=0", "weight_factor=1") == [1, 1, 1]
    assert weights(labels, "class_balance=0", "weight_factor=0.5") == [0.5, 1, 1]
    # 1 / frequency: each class weighs 9 frames / 3 classes
    assert weights(labels, "class_balance=1", "weight_factor=1") == pytest.approx([3 / 6, 3 / 2, 3])
    root = np.array([6, 2, 1]) ** -0.5
    expected = root * 9 / (root * [6, 2, 1]).sum() * [0.5, 1, 1]
    assert weights(labels, "class_balance=0.5", "weight_factor=0.5") == pytest.approx(expected.tolist())
    # a class without frames has no weight, which one of several at once has
    assert weights([0, 1], "class_balance=1", "weight_factor=1") == pytest.approx([1, 1, 0])
    targets = np.array([[1, 0, 0], [0, 1, 1]], np.uint8)
    assert weights([0, 1], "class_balance=1", "weight_factor=1", targets=targets) == pytest.approx([1, 1, 1])


def test_quantiles_of_the_lengths_of_each_class():
    spans = [(0, 1, "a"), (5, 8, "a"), (0, 9, "left out")]
    video = Video("v", "training", 100.0, "", tuple(Segment(*span) for span in spans))
    found = run_data.segment_seconds([video], {"a": 1, "b": 2}, 3)
    assert found.shape == (3, run_data.QUANTILES)
    assert not found[[0, 2]].any()
    np.testing.assert_allclose(found[1], np.linspace(1, 3, run_data.QUANTILES))


def test_a_cache_is_of_its_files_and_of_all_that_was_learnt(tmp_path):
    file = tmp_path / "a.tfrecord"
    file.write_bytes(b"12")
    os.utime(file, ns=(10**18, 10**18))
    ones = np.ones(2, np.float32)
    learnt = Preparation("train", "none", ones, ones, (Projection(ones, ones[:, None]),))
    keys = [cache_key([file], learnt), cache_key([], learnt), cache_key([file], Preparation("video", "none"))]
    keys.append(cache_key([file], Preparation("video", "signed")))
    for other in (
        Preparation("train", "none", ones * 2, ones, learnt.projections),
        Preparation("train", "none", ones, ones * 2, learnt.projections),
        Preparation("train", "none", ones, ones, (Projection(ones * 2, ones[:, None]),)),
        Preparation("train", "none", ones, ones, (Projection(ones, ones[:, None] * 2),)),
    ):
        keys.append(cache_key([file], other))
    os.utime(file, ns=(10**18, 10**18 + 1))
    keys.append(cache_key([file], learnt))
    file.write_bytes(b"123")
    os.utime(file, ns=(10**18, 10**18))
    keys.append(cache_key([file], learnt))
    assert len(set(keys)) == len(keys) and {len(key) for key in keys} == {16}


def test_the_weights_that_are_exported_are_the_best_or_the_averages_of_the_last(tmp_path):
    settings = config.load(None, ["model.num_nodes=2", "train.ema_decay=0.5"])
    state = TrainingState(3, 2, settings.model, settings.train)
    checkpoints = Checkpoints(tmp_path, state, 1)

    def fill(value, variables):
        for variable in variables:
            variable.assign(np.full(variable.shape, value, np.float32))

    fill(1.0, [weight.value for weight in state.trained])
    fill(2.0, state.averages)
    checkpoints.use_final_weights()
    assert {float(value) for weight in state.trained for value in weight.numpy().ravel()} == {2.0}
    fill(3.0, [weight.value for weight in state.trained])
    checkpoints.keep_as_best()
    fill(4.0, [weight.value for weight in state.trained])
    checkpoints.use_final_weights()
    assert {float(value) for weight in state.trained for value in weight.numpy().ravel()} == {3.0}


def test_features_that_are_written_leave_the_memory(tmp_path):
    written = []

    def videos():
        for number in range(4):
            assert not [reference for reference in written[:-1] if reference() is not None]
            features = np.full((5, 2), number, np.float32)
            written.append(weakref.ref(features))
            yield PreparedVideo(features, np.arange(5.0), np.zeros(5, bool), 5.0)

    rows, _ = cached(tmp_path / "a.rows", videos())
    assert rows[::5, 0].tolist() == [0, 1, 2, 3]
