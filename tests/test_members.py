"""Members side by side and actions that overlap, from training to scores; what cannot go together is refused."""

import json

import numpy as np
import pytest
from made_features import RATE, load_data, made_settings, make_data_set

import config
import predictions_json
import trainer
import utils
from prediction.score_file import ScoreFile

CHOSEN = (
    "model.output=sigmoid", "model.members={recurrent: 1, convolutional: 1}", "train.ema_decay=0.9",
    "predict.method=peaks", "predict.save_scores=true", "data.max_frames=30",
)  # fmt: skip


def overlap(folder):
    """Every action of the made data set has one of the other class in its first half, in features and labels."""
    from features.records import feature_file, read_features, write_features

    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    for name, video in content["database"].items():
        file = feature_file(folder / "features", video["subset"], name)
        (stored,) = read_features([file])
        features = np.array(stored.features)
        for entry in list(video["annotations"]):
            start, end = entry["segment"]
            middle, other = (start + end) / 2, {"run": "jump", "jump": "run"}[entry["label"]]
            video["annotations"].append({"segment": [start, middle], "label": other})
            features[round(start * RATE) : round(middle * RATE), :2] = 1
        file.unlink()
        write_features(file, type(stored)(name, features, stored.timestamps, stored.duration, RATE), "float32")
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    make_data_set(folder)
    overlap(folder)
    assert trainer.run(made_settings(folder, *CHOSEN)) == 0
    return folder


def test_overlapping_actions_are_learnt_at_once(folder):
    last = [record for record in utils.read_jsonl(folder / "run/metrics.jsonl") if "loss_eval" in record][-1]
    assert last["average_mAP"] > 0.6 and last["mean_accuracy_eval"] > 0.9
    assert predictions_json.run(made_settings(folder, *CHOSEN)) == 0
    scores = ScoreFile(folder / "run/scores_validation.npz")
    assert scores.output == "sigmoid"
    probabilities, _ = scores.raw("validation_0")
    scores.close()
    assert ((probabilities[:, 1:] > 0.5).sum(axis=1) == 2).any()


def test_the_exported_model_is_the_mean_of_all_members(folder):
    trained = predictions_json.load_trained(folder / "run")
    assert trained.output == "sigmoid"
    run_data = load_data(made_settings(folder, *CHOSEN), ())
    found = trained.classify(np.ones((1, 5, run_data.training.features.shape[1]), np.float32), np.ones((1, 5), bool))
    assert found.shape == (1, 5, 3) and found.max() < 1 and abs(found.sum(axis=-1) - 1).max() > 0.01


def test_targets_and_class_weights_count_every_class_of_a_frame(folder):
    from training.run_data import class_weights

    settings = made_settings(folder, *CHOSEN, "train.class_balance=1", "train.weight_factor=1")
    run_data = load_data(settings, ())
    store = run_data.training
    assert store.targets.shape == (len(store.labels), 3) and store.targets.sum(axis=1).max() == 2
    frames = store.targets.sum(axis=0, dtype=np.float64)
    weights = class_weights(store, 3, settings.train)
    np.testing.assert_allclose(weights * frames, frames.sum() / 3, rtol=1e-5)


def test_a_run_with_members_goes_on_exactly(folder, tmp_path):
    runs = {}
    for name, stops in (("once", (20,)), ("twice", (10, 20))):
        for steps in stops:
            chosen = (*CHOSEN, f"paths.model_dir={tmp_path / name}", f"train.max_steps={steps}",
                      "train.save_checkpoints_steps=10")  # fmt: skip
            assert trainer.run(made_settings(folder, *chosen)) == 0
        runs[name] = predictions_json.load_trained(tmp_path / name)
    features = np.random.default_rng(0).normal(size=(2, 9, 6)).astype(np.float32)
    found = [run.classify(features, np.ones((2, 9), bool)) for run in runs.values()]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["model.output=sigmoid", "model.predict_mode=last"], "need predict_mode frames"),
        (["model.members={convolutional: 1}", "model.predict_mode=mode"], "need predict_mode frames"),
        (["model.output=sigmoid", "predict.method=runs"], "predict.method runs takes one class a frame"),
        (["model.members={recurrent: 0}"], "at least one"),
        (["model.members={transformer: 1}"], "model.members: received"),
    ],
)
def test_what_cannot_go_together_is_refused_by_name(assignments, message):
    with pytest.raises(ValueError, match=message):
        config.load(None, assignments)


def test_a_kind_that_is_left_out_has_no_members():
    assert config.load(None, ["model.members={convolutional: 2}"]).model.members == {"recurrent": 0, "convolutional": 2}
