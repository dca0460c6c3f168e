"""A training that begins with the weights of another run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_features import load_data, made_settings, make_data_set

import model
import trainer
import utils
from training import start
from training.warm_start import take_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("warm")
    make_data_set(folder)
    assert trainer.run(made_settings(folder, "data.max_frames=6")) == 0
    return folder


def test_a_warm_start_takes_weights_and_matches_classes_by_name(folder):
    settings = made_settings(folder, "data.max_frames=6")
    keras.utils.set_random_seed(9)
    classes = ("background", "climb", "run", "jump")
    fresh = model.build_classifier(6, 4, settings.model)
    random_start = fresh.get_layer("logits").kernel.numpy()
    assert take_weights(fresh, classes, folder / "run") == 3
    trained = tf.saved_model.load(str(folder / "run/saved_model"))
    there = {variable.name.partition(":")[0]: variable.numpy() for variable in trained.variables}
    kernel = fresh.get_layer("logits").kernel.numpy()
    # there: background, jump, run
    np.testing.assert_array_equal(kernel[:, [0, 3, 2]], there["logits/kernel"])
    np.testing.assert_array_equal(kernel[:, 1], random_start[:, 1])
    for weight in fresh.weights[:-2]:
        np.testing.assert_array_equal(weight.numpy(), there[weight.path])


def test_a_warm_start_begins_where_the_other_run_ended(folder):
    chosen = ("data.max_frames=6", "paths.model_dir=warm", f"train.warm_start={folder / 'run'}", "train.max_steps=10")
    assert trainer.run(made_settings(folder, *chosen, "train.ema_decay=0.9", "train.pictures=0")) == 0
    first = utils.read_jsonl(folder / "warm/metrics.jsonl")[0]["loss"]
    assert first < utils.read_jsonl(folder / "run/metrics.jsonl")[0]["loss"] / 2
    settings = made_settings(folder, *chosen, "train.ema_decay=0.9")
    run_data = load_data(settings, ("training",))
    state, _ = start.make_state(run_data, settings.model, settings.train, None)
    start.begin(folder / "warm", state, run_data.classes, settings.train, True, False)
    for average, weight in zip(state.averages, state.trained, strict=True):
        np.testing.assert_array_equal(average.numpy(), weight.value.numpy())


def test_a_warm_start_from_another_model_names_the_weights(folder, tmp_path):
    settings = made_settings(folder, "model.num_nodes=5")
    other = model.build_classifier(6, 3, settings.model)
    with pytest.raises(ValueError, match=r"its model is another: .*kernel \[6, 20\] here, \[6, 32\] there"):
        take_weights(other, ("background", "jump", "run"), folder / "run")
    with pytest.raises(ValueError, match="expected the folder of a finished run"):
        take_weights(other, ("background",), tmp_path)
