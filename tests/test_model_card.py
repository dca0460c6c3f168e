"""The card of a run: from its files, with its figures, and nothing where there is no model."""

import json
import os

import pytest
from made_evaluation import annotated, prediction, truth

import config
import metrics
import utils
from evaluation import model_card
from segments import Segment


@pytest.fixture
def run(tmp_path):
    """The folder of a run with its figures on two videos of the testing subset."""
    (tmp_path / "config.yml").write_text(config.load().to_yaml())
    features = {"backbone": "efficientnet_lite0", "weights": "imagenet"}
    model = {"classes": ["background", "x", "a|b"], "features": features,
             "training_data": {"version": "sample set 2", "videos": 40, "file": "annotations.json"}}  # fmt: skip
    utils.write_json(tmp_path / "model.json", model)
    ground_truth = {"v": truth((0, 10)), "w": [*truth((0, 10)), Segment(20, 30, "a|b")]}
    results = {"v": [prediction(0, 10, 0.9)], "w": [prediction(0, 10, 0.8), prediction(50, 60, 0.7, "a|b")]}
    scored = metrics.evaluate(annotated(ground_truth, "testing"), results, "testing")
    utils.write_json(tmp_path / "metrics_testing.json", metrics.with_intervals(scored))
    return tmp_path


def test_the_card_says_what_the_run_knows(run):
    text = model_card.write_card(run).read_text()
    assert "It knows 2 classes: x, a\\|b." in text
    assert "40 training videos of “sample set 2”" in text
    assert "| average mAP | 50.0 | " in text
    assert "| x | 100.0 | 100.0 to 100.0 | 2 | 2 |" in text
    assert "| a\\|b | 0.0 | none: one video | 1 | 1 |" in text
    places = [number for number, line in enumerate(text.splitlines()) if line.startswith(("| x |", "| a\\|b |"))]
    assert places[1] == places[0] + 1  # an empty line would end the table
    assert "testing: 3 actions in 2 videos, protocol activitynet; rough: few videos" in text
    assert "Real videos at all" in text and "the testing subset has 2 videos only" in text
    # scores of 0.9, 0.8, 0.7 for right, right, wrong are 1/3 off on average
    assert "on the testing subset they are not (33.3 points off on average)" in text
    settings = config.load()
    assert f"  learning_rate: {settings.train.learning_rate}\n" in text


def test_figures_of_an_older_model_are_left_out(run):
    os.utime(run / "metrics_testing.json", ns=(0, 0))
    text = model_card.write_card(run).read_text()
    assert "Nothing yet" in text and "average mAP" not in text


def test_without_a_model_there_is_no_card_and_a_damaged_one_is_named(run):
    (run / "model.json").write_text(json.dumps({"classes": 3}))
    with pytest.raises(ValueError, match=r"model\.json: expected what trainer\.py writes"):
        model_card.write_card(run)
    (run / "model.json").unlink()
    assert model_card.write_card(run) is None


def test_the_command_writes_it_into_the_run_it_evaluates(run, capsys):
    database = {"v": {"subset": "testing", "duration": 9, "annotations": [{"label": "x", "segment": [0, 1]}]}}
    utils.write_json(run / "a.json", {"database": database})
    utils.write_json(run / "predictions_testing.json", {"results": {"v": [prediction(0, 1, 1)]}})
    options = [
        "--set",
        f"paths.json_data_path={run / 'a.json'}",
        "--set",
        f"paths.model_dir={run}",
        "--subset",
        "testing",
    ]
    assert metrics.main([*options, "--output", str(run / "other.json")]) == 0
    assert not (run / "model_card.md").exists()
    assert metrics.main(options) == 0
    assert "| average mAP | 100.0 | none: one video |" in (run / "model_card.md").read_text()
