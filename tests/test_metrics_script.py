"""Prediction files that cannot be read, thresholds as they are typed, and the command."""

import argparse
import json

import pytest
from made_evaluation import annotated, known_files, prediction, truth

import metrics
from evaluation import predictions
from segments import Segment

READERS = (predictions.load_predictions, predictions.load_table)


@pytest.mark.parametrize(
    "change",
    [
        {"segment": ["1", "2"]}, {"segment": [2, 1]}, {"segment": [0, float("inf")]}, {"segment": [float("nan"), 1]},
        {"segment": [1]}, {"segment": [1, 2, 3]}, {"segment": None}, {"segment": [True, 2]}, {"segment": {"a": 1}},
        {"score": "0.5"}, {"score": float("nan")}, {"score": float("inf")}, {"score": None}, {"score": 10**400},
        {"label": 3}, {"label": None},
    ],
)  # fmt: skip
def test_predictions_that_cannot_be_read_are_named(tmp_path, change):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"results": {"v": [prediction(0, 1, 1), prediction(0, 1, 1) | change]}}))
    for read in READERS:
        with pytest.raises(ValueError, match=r"p\.json: results\.v\[1\]: expected \{\"label\": text"):
            read(path)


@pytest.mark.parametrize("key", ["label", "score", "segment"])
def test_missing_keys_are_named(key):
    entry = prediction(0, 1, 1)
    del entry[key]
    with pytest.raises(ValueError, match=r"results\.v\[0\]: expected"):
        metrics.evaluate_detection({"v": truth((0, 1))}, {"v": [entry]})


@pytest.mark.parametrize("text", ["[]", "{}", '{"results": []}', '{"results": {"v": {}}}', '{"results": {"v": [1]}}'])
def test_files_of_another_layout(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    for read in READERS:
        with pytest.raises(ValueError, match=r"p\.json: .*expected"):
            read(tmp_path / "p.json")


def test_thresholds_as_typed():
    assert metrics.parse_thresholds("0.5:0.95:0.05") == metrics.THRESHOLDS
    assert metrics.parse_thresholds("0.3:0.7:0.1") == pytest.approx((0.3, 0.4, 0.5, 0.6, 0.7))
    assert metrics.parse_thresholds("0.3:0.75:0.1") == pytest.approx((0.3, 0.4, 0.5, 0.6, 0.7))
    assert metrics.parse_thresholds("0.5") == (0.5,)
    assert metrics.parse_thresholds("0.1,0.25") == (0.1, 0.25)
    assert metrics.parse_thresholds("0,1") == (0.0, 1.0)


@pytest.mark.parametrize(
    "text",
    ["", "half", "0.5:0.9", "0.9:0.5:0.1", "0.5:0.9:0", "0.5:1.5:0.5", "0.7,0.5", "0.5,0.5", "nan", "0:inf:1", "-1"],
)
def test_thresholds_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected rising numbers"):
        metrics.parse_thresholds(text)


def test_the_script_on_the_known_files(tmp_path, capsys):
    ground_truth, predictions = known_files()
    output = tmp_path / "m.json"
    options = ["--ground-truth", str(ground_truth), "--predictions", str(predictions), "--output", str(output)]
    assert metrics.main(options) == 0
    value = json.loads(output.read_text())
    assert value["average_mAP"] == pytest.approx(0.6177579365079365)
    assert list(value["mAP"])[::9] == ["0.50", "0.95"]
    assert value["protocol"] == "activitynet"
    assert value["AP"]["Cleaning shoes"] == 1.0
    assert value["videos"] == {"annotated": 2, "predicted": 2, "missing": 0}
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:4] for line in lines if line[:1] == ["average"]] == [["average", "mAP", "61.78", "(21.91"]]
    assert ["rough:", "4", "actions", "in", "2", "videos"] in lines
    assert ["mAP", *(f"{100 * share:.2f}" for share in value["mAP"].values())] in lines
    rows = [["Cleaning", "shoes", "100.00", "-", "-", "1", "1"], ["Wakeboarding", "23.55", "-", "-", "3", "1"]]
    assert lines.index(rows[0]) + 1 == lines.index(rows[1])
    assert metrics.main([*options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == value


def test_the_script_takes_its_paths_from_the_settings(tmp_path, capsys):
    (tmp_path / "a.json").write_text(
        json.dumps({"database": {"v": {"subset": "testing", "duration": 9, "annotations": [
            {"label": "x", "segment": [0, 1]}]}}})
    )  # fmt: skip
    options = ["--set", f"paths.data_dir={tmp_path}", "--set", "paths.json_data_path=a.json",
               "--set", "paths.model_dir=run", "--subset", "testing", "--tiou", "0.5"]  # fmt: skip
    assert metrics.main(options) == 2
    assert "run `python predictions_json.py` first" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    (tmp_path / "run/predictions_testing.json").write_text(json.dumps({"results": {"v": [prediction(0, 1, 1)]}}))
    assert metrics.main(options) == 0
    assert json.loads((tmp_path / "run/metrics_testing.json").read_text())["mAP"] == {"0.50": 1.0}


def test_the_script_names_file_video_and_label_and_the_option_that_helps(tmp_path, capsys):
    ground_truth, _ = known_files()
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"results": {"v": [prediction(0, 1, 1, "Yoga")]}}))
    options = ["--ground-truth", str(ground_truth), "--predictions", str(path)]
    assert metrics.main(options) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {path}: results.v[0].label: 'Yoga'")
    assert "--ignore-unknown-labels" in message
    assert metrics.main([*options, "--ignore-unknown-labels"]) == 0
    assert "1 predictions of other labels ignored" in capsys.readouterr().out


def test_all_classes_are_listed_when_few_or_asked_for():
    many = {"v": [Segment(0, 1, f"class {number}") for number in range(21)]}
    scored = metrics.evaluate(annotated(many), {"v": []}, "validation")
    assert "class 20" not in metrics.table(scored)
    assert all(f"class {number}" in metrics.table(scored, every_class=True) for number in range(21))


def test_thresholds_closer_than_a_hundredth_keep_their_names():
    protocol = metrics.Protocol(thresholds=(0.5, 0.501, 0.51))
    scored = metrics.evaluate(annotated({"v": truth((0, 1))}), {"v": []}, "validation", protocol=protocol)
    assert list(metrics.to_json(scored)["mAP"]) == ["0.50", "0.501", "0.51"]


@pytest.mark.parametrize(("name", "levels"), [("coco", (0.5,)), ("opentad", ()), ("opentad", (0.5, 0.5))])
def test_protocols_that_do_not_exist(name, levels):
    with pytest.raises(ValueError, match="expected"):
        metrics.Protocol(name, levels)
