"""The training stage on made features: it learns, repeats itself, resumes exactly, and refuses what does not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from made_features import load_data, made_settings, make_data_set

import annotations
import run_folder
import trainer
import utils
from training import start

TIMES = ("seconds", "windows_per_second", "input_wait")


def values(folder: Path) -> list[dict]:
    records = utils.read_jsonl(folder / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set with the run that the defaults of these tests give."""
    folder = tmp_path_factory.mktemp("trained")
    make_data_set(folder)
    assert trainer.run(made_settings(folder)) == 0
    return folder


def test_it_learns_the_actions(folder):
    first, last = [record for record in values(folder / "run") if "loss_eval" in record]
    assert last["average_mAP"] > 0.8 and last["mean_accuracy_eval"] > 0.9
    assert last["loss_eval"] < first["loss_eval"]


def test_what_a_run_leaves(folder):
    run = folder / "run"
    names = {path.name for path in run.iterdir()}
    assert names >= {*run_folder.MODEL_FILES, "metrics.jsonl", "checkpoints", "predictions_validation.json"}
    assert any(name.startswith("events.out.tfevents") for name in names)
    training = [record for record in values(run) if "loss" in record]
    evaluation = [record for record in values(run) if "loss_eval" in record]
    assert [record["step"] for record in training] == [10, 20, 30, 40, 50, 60]
    assert [record["step"] for record in evaluation] == [30, 60]
    names = {"loss", "gradient_norm", "mean_precision_train", "mean_accuracy_train", "learning_rate"}
    assert set(training[0]) == {"step"} | names
    names = {"loss_eval", "mean_precision_eval", "mean_accuracy_eval", "average_mAP", "mAP_0.50"}
    assert set(evaluation[0]) == {"step"} | names
    described = json.loads((run / "model.json").read_text())
    assert described["classes"] == ["background", "jump", "run"]


def test_predictions_have_the_challenges_layout(folder):
    written = json.loads((folder / "run/predictions_validation.json").read_text())
    assert set(written) == {"version", "external_data", "results"}
    annotated = annotations.load(folder / "annotations.json")
    assert set(written["results"]) == {video.id for video in annotated.subset("validation")}
    for segments in written["results"].values():
        scores = [segment["score"] for segment in segments]
        assert scores == sorted(scores, reverse=True)
        for segment in segments:
            assert segment["label"] in ("run", "jump") and segment["segment"][0] < segment["segment"][1]


def test_one_seed_gives_one_run_and_another_gives_another(folder):
    again = made_settings(folder, "paths.model_dir=again")
    trainer.run(again)
    assert values(folder / "again") == values(folder / "run")
    trainer.run(made_settings(folder, "paths.model_dir=other", "train.seed=1"))
    assert values(folder / "other") != values(folder / "run")


@pytest.mark.parametrize("stopped_at", [20, 45])
def test_a_resumed_run_ends_as_one_that_never_stopped(folder, stopped_at):
    name = f"resumed_{stopped_at}"
    trainer.run(made_settings(folder, f"paths.model_dir={name}", f"train.max_steps={stopped_at}"))
    trainer.run(made_settings(folder, f"paths.model_dir={name}"))
    losses = [[r for r in values(folder / run) if "loss" in r] for run in (name, "run")]
    assert losses[0] == losses[1]
    checkpoints = [tf.train.load_checkpoint(str(folder / run / "checkpoints/ckpt-60")) for run in (name, "run")]
    compared = [key for key in checkpoints[0].get_variable_to_shape_map() if key.startswith(("model", "opt", "rand"))]
    # weights are saved once, under the optimizer that also holds them
    assert {key.split("/")[0] for key in compared} >= {"optimizer", "random_state"}
    for key in compared:
        np.testing.assert_array_equal(*(checkpoint.get_tensor(key) for checkpoint in checkpoints))


def test_checkpoints_are_the_newest_and_the_best(folder):
    often = ("train.save_checkpoints_steps=10", "train.keep_checkpoint_max=2")
    trainer.run(made_settings(folder, "paths.model_dir=kept", *often))
    kept = sorted(path.name for path in (folder / "kept/checkpoints").glob("*.index"))
    assert kept == ["ckpt-50.index", "ckpt-60.index"]
    scores = {r["step"]: r["average_mAP"] for r in values(folder / "kept") if "average_mAP" in r}
    best = max(scores, key=lambda step: (scores[step], -step))
    assert [path.name for path in (folder / "kept/checkpoints/best").glob("*.index")] == [f"ckpt-{best}.index"]


def test_another_configuration_is_refused_and_fresh_starts_over(folder):
    shutil.copytree(folder / "run", folder / "second")
    (folder / "second/notes.txt").write_text("mine")
    changed = made_settings(folder, "paths.model_dir=second", "model.num_nodes=4", "train.max_steps=10")
    with pytest.raises(ValueError, match="model.num_nodes: 8 there, 4 here"):
        trainer.run(changed)
    with pytest.raises(ValueError, match=r"data\.jitter: 0 there, 2 here\. Use -c"):
        trainer.run(made_settings(folder, "paths.model_dir=second", "data.cache=none", "data.jitter=2"))
    trainer.run(changed, fresh=True)
    assert values(folder / "second")[-1]["step"] == 10
    assert (folder / "second/notes.txt").read_text() == "mine"


def test_fresh_deletes_nothing_before_the_new_run_is_checked(folder):
    shutil.copytree(folder / "run", folder / "kept_run")
    before = {path: path.read_bytes() for path in (folder / "kept_run").rglob("*") if path.is_file()}
    for wrong, cause in {
        "paths.feature_map_folder=elsewhere": "extractor.json",
        "paths.json_data_path=elsewhere.json": "no such file",
        "train.warm_start=elsewhere": "expected the folder of a finished run",
        "data.min_examples=1000": "min_examples",
    }.items():
        with pytest.raises(ValueError, match=cause):
            trainer.run(made_settings(folder, "paths.model_dir=kept_run", wrong), fresh=True)
    assert {path: path.read_bytes() for path in (folder / "kept_run").rglob("*") if path.is_file()} == before


def test_fresh_may_begin_with_the_weights_of_the_run_that_it_replaces(folder):
    shutil.copytree(folder / "run", folder / "replaced")
    short = ("train.max_steps=1", "train.learning_rate=1e-9", "train.save_checkpoints_steps=1")
    settings = made_settings(folder, "paths.model_dir=replaced", f"train.warm_start={folder / 'replaced'}", *short)
    trainer.run(settings, fresh=True)
    (evaluated,) = [record for record in values(folder / "replaced") if "loss_eval" in record]
    assert evaluated["step"] == 1 and evaluated["average_mAP"] > 0.8


def test_a_run_of_other_annotations_is_told_and_one_of_other_classes_refused(folder, tmp_path, caplog):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file, settings = tmp_path / "annotations.json", made_settings(tmp_path)
    start.tell_of_other_data(tmp_path / "run", load_data(settings))
    assert caplog.text == ""
    value = json.loads(file.read_text())
    action = value["database"]["training_0"]["annotations"][0]
    action["segment"][1] += 0.25
    file.write_text(json.dumps(value))
    start.tell_of_other_data(tmp_path / "run", load_data(settings))
    assert "has learnt from other annotations or features than there are now" in caplog.text
    file.write_text(file.read_text().replace('"jump"', '"leap"'))
    with pytest.raises(ValueError, match="begun with other classes, such as 'jump': --fresh starts it over"):
        trainer.run(settings)
    for other in ({}, {"classes": 2}, []):
        (tmp_path / "run/model.json").write_text(json.dumps(other))
        with pytest.raises(ValueError, match=r"run/model\.json: not the description of a run; --fresh starts it over"):
            start.tell_of_other_data(tmp_path / "run", load_data(made_settings(folder)))


def test_patience_without_a_map_stops_nothing(folder, caplog):
    few = ("paths.model_dir=patient", "train.patience=1", "train.save_checkpoints_steps=5", "train.max_steps=20")
    trainer.run(made_settings(folder, *few, "train.eval_steps=1"))
    assert values(folder / "patient")[-1]["step"] == 20
    assert "train.patience waits for a better average mAP, and train.eval_steps leaves it out" in caplog.text


def test_epochs_end_a_run(folder):
    trainer.run(made_settings(folder, "paths.model_dir=epochs", "train.num_epochs=1", "train.save_summary_steps=1"))
    # 128 windows of 15 frames at a stride of 5 in 6 videos, by 8
    assert values(folder / "epochs")[-1]["step"] == int(np.ceil(count_windows(folder) / 8))


def count_windows(folder):
    lengths = [video.duration * 4 for video in annotations.load(folder / "annotations.json").subset("training")]
    return sum(int(np.ceil((length - 15) / 5)) + 1 for length in lengths)


@pytest.mark.parametrize(
    "assignments",
    [
        ("model.predict_mode=last", "model.cell_type=gru", "model.num_layers=2"),
        ("model.predict_mode=mode", "model.fully_connected=[12, 8]", "model.merge=concatenate"),
        ("data.feature_normalization=train", "data.temporal_difference=signed", "train.schedule=cosine",
         "train.warmup_steps=5", "train.eval_steps=1"),
    ],
)  # fmt: skip
def test_every_kind_of_model_trains(folder, assignments):
    short = ("paths.model_dir=kind", "train.max_steps=20", "predict.subset=testing")
    assert trainer.run(made_settings(folder, *short, *assignments), fresh=True) == 0
    assert values(folder / "kind")[-1]["loss_eval"] < 2
    assert len(utils.read_json(folder / "kind/predictions_testing.json")["results"]) == 2


def test_a_loss_that_is_no_number_stops_and_names_the_step(folder):
    settings = made_settings(folder, "paths.model_dir=wild", "train.learning_rate=1e38", "train.gradient_clip_norm=0")
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step \d+: stopped.*learning_rate"):
        trainer.run(settings)


def test_training_works_without_validation_features(tmp_path, caplog):
    make_data_set(tmp_path)
    shutil.rmtree(tmp_path / "features/validation")
    trainer.run(made_settings(tmp_path, "train.max_steps=10", "predict.subset=testing"))
    assert "no features of validation videos" in caplog.text
    assert values(tmp_path / "run")[-1]["step"] == 10


def test_errors_name_the_command_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"run `python feature_map_extractor\.py`"):
        trainer.run(made_settings(tmp_path))
