"""The order of windows: balanced draws, shares of several replicas, and features that stay in a file."""

import json
import os

import numpy as np
import pytest
from made_features import load_data, made_settings, make_data_set
from training_processes import assert_same, losses, weights

import data
import trainer
from training.run_data import training_batches

WINDOWS = np.stack([np.arange(0, 40, 4), np.full(10, 4)], axis=1)
ACTION = np.arange(10) < 2  # two windows of ten


def drawn(order, batch_size=3):
    return [(seed.tolist(), batch[:, 0].tolist()) for seed, batch in
            order.batches(WINDOWS, ACTION, batch_size).as_numpy_iterator()]  # fmt: skip


def firsts(order, batch_size=3):
    return [first for _, batch in drawn(order, batch_size) for first in batch]


@pytest.mark.parametrize(("fewest", "told"), [(4, ""), (5, "count as background: jump\n")])
def test_classes_with_few_examples_are_named_and_become_background(tmp_path, caplog, fewest, told):
    make_data_set(tmp_path)
    file = tmp_path / "annotations.json"
    value = json.loads(file.read_text())
    for name in ("training_4", "training_5"):
        for action in value["database"][name]["annotations"]:
            action["label"] = "run"  # 8 of it, and 4 of the other
    file.write_text(json.dumps(value))
    run_data = load_data(made_settings(tmp_path, f"data.min_examples={fewest}"), ("training",))
    assert run_data.classes == (("background", "run") if told else ("background", "jump", "run"))
    assert caplog.text.endswith(told) and bool(caplog.text) == bool(told)


def test_a_balanced_epoch_has_the_share_and_repeats_what_is_rare():
    epochs = np.reshape(firsts(data.EpochOrder(seed=1, num_epochs=4, background_share=0.5)), (4, 10))
    for epoch in epochs:
        assert (epoch < 8).sum() == 5  # windows at 0 and 4 show an action
        background = epoch[epoch >= 8]
        assert len(set(background.tolist())) == 5  # more of these than wanted: none twice
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 4
    # over the epochs every window comes
    assert set(epochs.ravel().tolist()) == set(range(0, 40, 4))


@pytest.mark.parametrize(("share", "seen"), [(0.0, {0, 4}), (1.0, set(range(8, 40, 4)))])
def test_a_share_of_nothing_and_of_all(share, seen):
    assert set(firsts(data.EpochOrder(seed=1, num_epochs=3, background_share=share))) == seen


def test_balancing_without_a_kind_of_window_is_refused():
    order = data.EpochOrder(seed=1, num_epochs=1, background_share=0.5)
    with pytest.raises(ValueError, match=r"data.background_share 0.5: .* received 10 and 0"):
        order.batches(WINDOWS, np.ones(10, bool), 3)


def test_a_balanced_order_is_taken_up_at_any_window():
    whole = firsts(data.EpochOrder(seed=1, num_epochs=3, background_share=0.5))
    assert firsts(data.EpochOrder(seed=1, num_epochs=3, background_share=0.5, first_window=12)) == whole[12:]


def test_windows_show_an_action_when_a_frame_does():
    labels = np.array([0, 0, 1, 0, 0, 0, data.IGNORED, 2], np.int32)
    windows = np.array([[0, 2], [0, 3], [2, 1], [3, 4], [3, 5], [4, 2]])
    assert data._shows_action(labels, windows).tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize("workers", [1, 2])
def test_replicas_share_the_batches_of_one(workers):
    one = drawn(data.EpochOrder(seed=2, num_epochs=2))
    parts = []
    for worker in range(workers):
        here = range(2) if workers == 1 else range(worker, worker + 1)
        order = data.EpochOrder(seed=2, num_epochs=2, replicas=2, here=here)
        batches = list(order.batches(WINDOWS, ACTION, 3).as_numpy_iterator())
        parts.append([batches[number : number + len(here)] for number in range(0, len(batches), len(here))])
    for number, (_, expected) in enumerate(one):
        shares = [share for worker in parts for share in worker[number]]
        assert [batch.shape for _, batch in shares] == [(2, 2)] * 2  # 3 windows and one that is masked
        found = [first for _, batch in shares for first, frames in batch.tolist() if frames]
        assert found == expected
        assert len({tuple(seed) for seed, _ in shares}) == 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    make_data_set(folder)
    return folder


PREPARED = ("data.feature_normalization=video", "data.temporal_difference=signed", "data.max_frames=6")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [({}, None), ({"jitter": 2}, data.Augmentation(jitter=2)), ({"feature_noise": 0.5}, data.Augmentation(noise=0.5))],
)
def test_windows_are_disturbed_where_a_setting_says_so_and_pass_untouched_else(folder, monkeypatch, change, wanted):
    settings = made_settings(folder)
    plain = {"jitter": 0, "time_scale": 0.0, "feature_noise": 0.0, "feature_shift": 0.0}
    data_settings = settings.data.model_copy(update=plain | change)
    passed = []
    monkeypatch.setattr(data, "input_fn", lambda *arguments: passed.append(arguments[-1]))
    training_batches(load_data(settings, ("training",)).training, data_settings, settings.train)
    assert passed == [wanted]


def test_features_in_a_file_are_those_in_memory(folder):
    stores = [load_data(made_settings(folder, f"data.cache={cache}", *PREPARED)) for cache in ("memory", "none")]
    for subset in ("training", "validation"):
        memory, file = (getattr(found, subset) for found in stores)
        assert isinstance(file.features, np.memmap) and not isinstance(memory.features, np.memmap)
        for name in ("features", "labels", "timestamps", "cuts", "offsets"):
            np.testing.assert_array_equal(getattr(memory, name), getattr(file, name))
        assert memory.durations == file.durations


def test_a_file_is_reused_until_features_or_preparation_change(folder):
    settings = made_settings(folder, "data.cache=none", "paths.model_dir=reused", *PREPARED)
    cache = folder / "reused/cache"

    def files():
        load_data(settings, ())
        return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}

    first = files()
    assert len(first) == 2 and files() == first
    path = next((folder / "features/training").glob("*.tfrecord"))
    os.utime(path, ns=(1, 1))
    assert len(files()) == 4
    for rows in cache.glob("*.rows"):
        rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(ValueError, match="received another size: delete it"):
        load_data(settings, ())


def test_training_from_a_file_is_training_from_memory(folder):
    for cache in ("memory", "none"):
        chosen = ("train.max_steps=20", "train.pictures=0", "data.jitter=2", "data.background_share=0.5")
        trainer.run(made_settings(folder, f"data.cache={cache}", f"paths.model_dir={cache}", *PREPARED, *chosen))
    assert losses(folder / "memory") == losses(folder / "none")
    assert_same(weights(folder / "memory"), weights(folder / "none"))


def test_features_that_fit_no_memory(folder, monkeypatch):
    monkeypatch.setattr(data, "fits_memory", lambda *_: False)
    chosen = (*PREPARED, "paths.model_dir=large")
    assert isinstance(load_data(made_settings(folder, *chosen), ()).training.features, np.memmap)
    with pytest.raises(ValueError, match="set data.cache to none"):
        load_data(made_settings(folder, "data.cache=memory", *chosen), ())
