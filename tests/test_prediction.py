"""From a trained run to segments (the original's test of predictions): window averages, and the model by itself."""

import json
import subprocess
import sys

import numpy as np
import pytest
from made_features import RATE, made_settings, make_data_set

import data
import predictions_json
import trainer
from features import records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predicted")
    make_data_set(folder)
    trainer.run(made_settings(folder))
    return folder


def test_overlapping_windows_are_averaged_and_each_frame_is_scored():
    frames = 7
    store = data.FeatureStore(
        ids=("a",), features=np.arange(frames, dtype=np.float32)[:, None], labels=np.zeros(frames, np.int32),
        timestamps=np.arange(frames) * 0.25, cuts=np.zeros(frames, bool), offsets=np.array([0, frames]),
        durations=(2.0,), missing=(),
    )  # fmt: skip

    def position_in_window(features, mask):
        position = np.broadcast_to(np.arange(features.shape[1]), mask.shape)
        return np.stack([position, features[..., 0]], axis=-1)

    (scores,) = predictions_json.frame_scores(store, position_in_window, 4, 2)
    # windows begin at 0, 2 and 3; frame 3 is at 3, 1 and 0 of them
    np.testing.assert_allclose(scores[:, 0], [0, 1, 1, 4 / 3, 1.5, 2.5, 3])
    np.testing.assert_allclose(scores[:, 1], np.arange(frames))


def test_the_exported_model_serves_in_a_fresh_process(folder):
    code = """
import sys, numpy as np, tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
inputs = serve.structured_input_signature[1]
assert inputs["features"].shape.as_list() == [None, None, 6] and inputs["mask"].dtype == tf.bool
random = np.random.default_rng(0)
out = serve(features=tf.constant(random.normal(size=(2, 9, 6)), tf.float32), mask=tf.ones((2, 9), tf.bool))
np.save(sys.argv[2], out["probabilities"].numpy())
"""
    target = folder / "served.npy"
    subprocess.run([sys.executable, "-c", code, folder / "run/saved_model", target], check=True, capture_output=True)
    served = np.load(target)
    assert served.shape == (2, 9, 3)
    np.testing.assert_allclose(served.sum(axis=-1), 1, rtol=1e-5)
    here = predictions_json.load_trained(folder / "run")
    features = np.random.default_rng(0).normal(size=(2, 9, 6)).astype(np.float32)
    np.testing.assert_allclose(here.classify(features, np.ones((2, 9), bool)), served, atol=1e-6)


def test_the_script_repeats_what_the_trainer_wrote(folder):
    path = folder / "run/predictions_validation.json"
    written = json.loads(path.read_text())
    path.unlink()
    assert predictions_json.run(made_settings(folder)) == 0
    again = json.loads(path.read_text())
    assert again["results"].keys() == written["results"].keys()
    for name, segments in written["results"].items():
        assert len(again["results"][name]) == len(segments)
        for one, other in zip(again["results"][name], segments, strict=True):
            assert one["label"] == other["label"] and one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_a_subset_is_an_option(folder, capsys):
    arguments = ["-c", str(folder / "run/config.yml"), "--subset", "testing"]
    assert predictions_json.main(arguments) == 0
    assert "2 testing videos" in capsys.readouterr().out
    assert (folder / "run/predictions_testing.json").is_file()


def test_settings_that_the_model_was_not_trained_with_are_refused(folder):
    with pytest.raises(ValueError, match=r"data.max_frames: 15 there, 20 here.* Use -c .*config\.yml"):
        predictions_json.run(made_settings(folder, "data.max_frames=20"))
    predictions_json.run(made_settings(folder, "predict.method=runs", "data.batch_size=3"))


def test_features_that_the_model_was_not_trained_on_are_refused(folder):
    spec = folder / "features" / records.SPEC_FILE
    whole = spec.read_text()
    try:
        spec.write_text(json.dumps(json.loads(whole) | {"rate": 5}))
        with pytest.raises(ValueError, match=r"extractor\.json: .*: rate: 5 there, 4 for the trained model\."):
            predictions_json.run(made_settings(folder))
    finally:
        spec.write_text(whole)


@pytest.mark.parametrize("assignment", ["data.cache=none", "data.jitter=3", "data.background_share=0.5"])
def test_settings_of_training_alone_may_be_others_than_those_trained_with(folder, assignment):
    assert predictions_json.run(made_settings(folder, assignment)) == 0


def test_without_a_run_the_error_names_the_command(folder):
    with pytest.raises(ValueError, match=r"run `python trainer\.py`"):
        predictions_json.run(made_settings(folder, "paths.model_dir=nowhere"))


def test_damaged_descriptions_are_named(folder):
    description = folder / "run/model.json"
    whole = description.read_text()
    try:
        for text in ("{}", "[]", '{"preparation": 5}'):
            description.write_text(text)
            with pytest.raises(ValueError, match="model.json: expected what trainer.py writes"):
                predictions_json.load_trained(folder / "run")
    finally:
        description.write_text(whole)


def test_the_model_says_what_it_was_trained_on(folder):
    description = json.loads((folder / "run/model.json").read_text())
    database = json.loads((folder / "annotations.json").read_text())["database"]
    seconds = sum(video["duration"] for video in database.values() if video["subset"] == "training")
    assert description["training_data"] == {
        "version": "made", "file": "annotations.json", "videos": 6, "frames": round(RATE * seconds),
    }  # fmt: skip
    lengths = [
        annotation["segment"][1] - annotation["segment"][0]
        for video in database.values() if video["subset"] == "training"
        for annotation in video["annotations"] if annotation["label"] == description["classes"][1]
    ]  # fmt: skip
    quantiles = description["segment_seconds"][1]
    assert (quantiles[0], quantiles[10], quantiles[-1]) == (min(lengths), np.median(lengths), max(lengths))


def test_the_scores_of_the_frames_are_kept_beside_the_predictions(folder):
    with np.load(folder / "run/scores_validation.npz") as scores:
        assert scores["classes"].tolist() == ["background", "jump", "run"]
        for number in range(3):
            probabilities = scores[f"probabilities/validation_{number}"]
            boundaries = scores[f"boundaries/validation_{number}"]
            assert probabilities.dtype == np.float16 and probabilities.shape == (len(boundaries) - 1, 3)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=5e-3)
    predictions_json.run(made_settings(folder, "predict.save_scores=false"))
    assert not (folder / "run/scores_validation.npz").exists()
