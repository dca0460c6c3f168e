"""Kinds of errors and missed segments against numbers counted by hand, and against the matching of the mAP."""

import json
from pathlib import Path

import numpy as np
import pytest

import metrics
from annotations import Annotations, Node, Video
from evaluation import detection, errors, intervals
from evaluation.errors import analyse
from segments import Segment


def annotated(**videos):
    """Validation videos of 100 s from lists of (start, end, label)."""
    made = {
        name: Video(name, "validation", 100.0, "", tuple(Segment(*segment) for segment in segments))
        for name, segments in videos.items()
    }
    return Annotations("", made, (), Path("truth.json"))


def results(**videos):
    """Predictions from lists of (start, end, label, score)."""
    return {
        name: [{"label": label, "score": score, "segment": [start, end]} for start, end, label, score in predictions]
        for name, predictions in videos.items()
    }


def kinds(truth, predicted, **more):
    """The counts of the first G predictions that are not 0."""
    profile = analyse(truth, predicted, "validation", **more)["profile"]
    return [{kind: count for kind, count in counts.items() if count} for counts in profile]


@pytest.mark.parametrize(
    ("segment", "label", "kind"),
    [
        ((0, 10), "a", "true positive"),
        ((0, 5), "a", "true positive"),  # exactly a half
        ((0, 4.9), "a", "localization"),
        ((0, 1), "a", "localization"),  # exactly a tenth
        ((0, 0.9), "a", "background"),
        ((0, 5), "b", "wrong label"),
        ((0, 4.9), "b", "confusion"),
        ((0, 1), "b", "confusion"),
        ((0, 0.9), "b", "background"),
        ((50, 60), "a", "background"),
    ],
)
def test_each_kind(segment, label, kind):
    truth = annotated(v=[(0, 10, "a")], w=[(0, 10, "b")])
    assert kinds(truth, results(v=[(*segment, label, 0.9)]))[0] == {kind: 1}


def test_a_second_hit_is_a_double_detection_and_comes_a_rank_later():
    truth, predicted = annotated(v=[(0, 10, "a")]), results(v=[(0, 9, "a", 0.4), (0, 8, "a", 0.6)])
    assert kinds(truth, predicted)[:3] == [{"true positive": 1}, {"double detection": 1}, {}]


def test_what_overlaps_most_gives_the_name():
    # the segment of its own class, at 0.5, is taken; the other class overlaps more
    truth = annotated(v=[(0, 10, "a"), (0, 6, "b")])
    predicted = results(v=[(0, 10, "a", 0.9), (0, 5, "a", 0.8)])
    assert kinds(truth, predicted)[1] == {"wrong label": 1}
    # equal overlaps: its own class
    truth = annotated(v=[(0, 10, "b"), (0, 10, "a")])
    predicted = results(v=[(0, 10, "a", 0.9), (0, 10, "a", 0.8)])
    assert kinds(truth, predicted)[1] == {"double detection": 1}


def test_predictions_elsewhere_are_background_and_unknown_labels_are_counted():
    truth = annotated(v=[(0, 10, "a")])
    analysis = analyse(truth, results(other=[(0, 10, "a", 0.9)], v=[(0, 10, "z", 1.0)]), "validation")
    assert analysis["profile"][0]["background"] == 1
    assert (analysis["predictions"], analysis["ignored_predictions"]) == (1, 1)


def test_only_ten_times_as_many_predictions_as_segments():
    truth = annotated(v=[(0, 10, "a")])
    predicted = results(v=[(50, 60, "a", 1 - n / 100) for n in range(10)] + [(0, 10, "a", 0.1)])
    analysis = analyse(truth, predicted, "validation")
    assert analysis["analysed_predictions"] == 10 and analysis["predictions"] == 11
    assert [counts["background"] for counts in analysis["profile"]] == [1] * 10
    assert analysis["misses"]["missed"] == 1 and analysis["mAP"] == 0


def test_gain_of_taking_a_kind_away():
    # a: wrong, right, wrong, right = (1/2 + 2/4) / 2; b: right
    truth = annotated(v=[(0, 10, "a"), (20, 30, "a")], w=[(0, 10, "b")])
    predicted = results(
        v=[(60, 70, "a", 0.9), (0, 10, "a", 0.8), (20, 23, "a", 0.7), (20, 30, "a", 0.6)], w=[(0, 10, "b", 0.5)]
    )
    analysis = analyse(truth, predicted, "validation")
    assert analysis["mAP"] == pytest.approx((0.5 + 1) / 2)
    # without the background error: right, wrong, right = (1 + 2/3) / 2; without localization: (2/3 + 2/3) / 2
    assert analysis["gain"] == {
        "double detection": 0,
        "wrong label": 0,
        "localization": pytest.approx((2 / 3 - 1 / 2) / 2),
        "confusion": 0,
        "background": pytest.approx((5 / 6 - 1 / 2) / 2),
    }


def test_misses_by_length_coverage_and_instances():
    truth = annotated(
        v=[(0, 30, "a"), (40, 70.5, "a")],  # coverage 0.3, 0.305
        w=[(0, 0, "b"), (0, 100, "b"), (0, 101, "a")],  # 0, 1, 1.01
    )
    predicted = results(v=[(0, 30, "a", 0.9)], w=[(0, 100, "b", 0.9)])
    misses = analyse(truth, predicted, "validation")["misses"]
    assert misses["missed"] == 3

    def counts(name):
        return [(size["size"], size["segments"], size["missed"]) for size in misses[name]]

    assert counts("length") == [("XS", 2, 1), ("S", 1, 1), ("M", 2, 1), ("L", 0, 0), ("XL", 0, 0)]
    assert counts("coverage") == [("XS", 1, 1), ("S", 2, 1), ("M", 0, 0), ("L", 0, 0), ("XL", 2, 1)]
    assert counts("instances") == [("XS", 1, 1), ("S", 4, 2), ("M", 0, 0), ("L", 0, 0)]
    assert misses["length"][0] == {"size": "XS", "above": 0, "to": 30, "segments": 2, "missed": 1}
    assert misses["length"][-1]["to"] is None


def test_every_share_has_its_interval(monkeypatch):
    # half of the draws are v twice, half w twice: an interval is half their difference to each side of the figure
    monkeypatch.setattr(intervals, "draw", lambda videos, predictions: np.array([[2, 0], [0, 2]] * 50))
    truth = annotated(v=[(0, 10, "a"), (20, 30, "a"), (40, 50, "a")], w=[(0, 10, "b")])
    predicted = results(
        v=[(60, 70, "a", 0.9), (0, 10, "a", 0.8), (20, 23, "a", 0.7), (20, 30, "a", 0.6)],
        w=[(0, 10, "b", 0.5)],
        elsewhere=[(0, 10, "b", 0.1)],  # in every draw once
    )
    analysis = analyse(truth, predicted, "validation")
    spans = analysis["intervals"]
    assert spans["rough"] and spans["classes"] == {"a": {"actions": 3, "videos": 1}, "b": {"actions": 1, "videos": 1}}
    # a: (1/2 + 2/4) / 3, without localization (2/3 + 2/3) / 3; b: 1
    assert analysis["mAP"] == pytest.approx(2 / 3) and spans["mAP"] == pytest.approx([1 / 3, 1])
    assert spans["gain"]["localization"] == pytest.approx([0, 1 / 9])
    assert analysis["misses"]["missed"] == 1
    assert spans["misses"]["missed"] == pytest.approx([1 / 4 - 1 / 6, 1 / 4 + 1 / 6])
    assert spans["misses"]["length"] == [pytest.approx([1 / 12, 5 / 12]), None, None, None, None]
    first, second, third = spans["profile"][:3]
    assert first["true positive"] == pytest.approx([1 / 6, 5 / 6])  # v: 1 of 3, w: 1 of 1
    assert second["background"] == pytest.approx([1 / 6, 5 / 6])  # v twice: 1 of 3, w: 1 of 1
    assert third == dict.fromkeys(errors.KINDS)
    lines = errors.table(analysis).splitlines()
    assert "rough: 4 actions in 2 videos" in lines and "missed: 1 of 4 segments, 25.0 %  (8.33 to 41.67)" in lines
    right = next(n for n, line in enumerate(lines) if line.startswith("true positive"))
    assert [line.split() for line in lines[right : right + 3]] == [
        ["true", "positive", "50.0", "50.0"], ["low", "16.7", "16.7"], ["high", "83.3", "83.3"],
    ]  # fmt: skip
    monkeypatch.undo()
    alone = analyse(annotated(v=[(0, 10, "a")]), {}, "validation")
    assert "mAP" not in alone["intervals"] and "no intervals of one video" in errors.table(alone)


def test_bins_for_short_actions():
    truth = annotated(v=[(0, 3, "a"), (10, 14, "a")])
    misses = analyse(truth, {}, "validation", bins="thumos14")["misses"]
    assert [size["missed"] for size in misses["length"]] == [1, 1, 0, 0, 0]
    assert [size["missed"] for size in misses["coverage"]] == [0, 2, 0, 0, 0]


def test_bins_are_told_in_words():
    assert errors.bin_range("length", {"above": 3, "to": 6.5}) == "to 6.5 s"
    assert errors.bin_range("length", {"above": 6.5, "to": None}) == "> 6.5 s"
    assert errors.bin_range("instances", {"above": 1, "to": 40}) == "to 40"


def test_no_length_on_no_length_is_right_as_in_the_official_evaluation():
    assert kinds(annotated(v=[(5, 5, "a")]), results(v=[(5, 5, "a", 0.9)]))[0] == {"true positive": 1}


def test_classes_of_a_coarser_level():
    nodes = (Node(0, "Root", None), Node(1, "games", 0), Node(2, "a", 1), Node(3, "b", 1))
    truth = annotated(v=[(0, 10, "a")])
    truth = Annotations("", truth.videos | {"w": annotated(w=[(0, 10, "b")]).videos["w"]}, nodes, Path("truth.json"))
    predicted = results(v=[(0, 10, "b", 0.9)])
    assert kinds(truth, predicted)[0] == {"wrong label": 1}
    assert kinds(truth, predicted, taxonomy_level=0)[0] == {"true positive": 1}


def random_set(seed):
    rng = np.random.default_rng(seed)

    def span():
        return np.sort(rng.integers(0, 12, 2)).tolist()

    truth = {f"v{v}": [(*span(), str(rng.choice(list("abc")))) for _ in range(rng.integers(5))] for v in range(8)}
    predicted = {
        name: [(*span(), str(rng.choice(list("abc"))), float(rng.integers(9))) for _ in range(12)] for name in truth
    }
    return annotated(**truth, last=[(0, 5, "a"), (0, 5, "b"), (0, 5, "c")]), results(**predicted)


@pytest.mark.parametrize("seed", range(5))
def test_right_is_what_the_mAP_counts_as_right(seed):
    truth, predicted = random_set(seed)
    scored = metrics.evaluate(truth, predicted, "validation", protocol=metrics.Protocol(thresholds=(0.5,)))
    analysis = analyse(truth, predicted, "validation")
    assert analysis["analysed_predictions"] == analysis["predictions"] == 96
    assert analysis["mAP"] == pytest.approx(scored.average_mAP)
    right = sum(counts["true positive"] for counts in analysis["profile"])
    assert right > 0 and analysis["segments"] - right == analysis["misses"]["missed"]
    assert sum(sum(counts.values()) for counts in analysis["profile"]) == analysis["analysed_predictions"]
    assert min(analysis["gain"].values()) >= 0


def test_precision_and_recall_after_each_prediction():
    truth = annotated(v=[(0, 10, "a"), (20, 30, "a")], w=[(0, 10, "b")])
    predicted = results(v=[(60, 70, "a", 0.7), (0, 10, "a", 0.9), (20, 30, "a", 0.6)])
    curves = errors.precision_recall(truth, predicted, "validation")
    recall, precision = curves["a"]
    assert recall.tolist() == [0.5, 0.5, 1] and precision.tolist() == [1, 0.5, pytest.approx(2 / 3)]
    assert [len(values) for values in curves["b"]] == [0, 0]


def test_every_taken_segment_is_taken_once():
    spans = np.array([[0.0, 10.0], [0.0, 10.0]])
    truth = detection.Instances(np.zeros(2, int), np.zeros(2, int), spans)
    predicted = detection.Instances(np.zeros(3, int), np.zeros(3, int), np.tile([[0.0, 10.0]], (3, 1)))
    # of equally overlapping ones the last is taken first
    assert detection.matches(truth, predicted, np.array([0.5]), 1)[:, 0].tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"threshold": 0.1}, "tIoU threshold: expected above 0.1 and at most 1, received 0.1"),
        ({"threshold": 1.1}, "received 1.1"),
        ({"bins": "mine"}, "bins: expected one of activitynet, thumos14, received 'mine'"),
    ],
)
def test_refuses_what_cannot_be(more, message):
    with pytest.raises(ValueError, match=message):
        analyse(annotated(v=[(0, 1, "a")]), {}, "validation", **more)


def test_bins_are_detads():
    # Alwassel et al. 2018, the supplement's table, and the defaults of their script for THUMOS14
    assert errors.BINS == {
        "activitynet": {"length": (30, 60, 120, 180), "coverage": (0.2, 0.4, 0.6, 0.8), "instances": (1, 4, 8)},
        "thumos14": {"length": (3, 6, 12, 18), "coverage": (0.02, 0.04, 0.06, 0.08), "instances": (1, 40, 80)},
    }


def test_the_command_names_the_bins_that_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        errors.main(["--bins", "mine"])
    assert "argument --bins: invalid choice: 'mine'" in capsys.readouterr().err


def test_refuses_a_subset_without_segments():
    with pytest.raises(ValueError, match="subset testing: no annotated segments"):
        analyse(annotated(v=[(0, 1, "a")]), {}, "testing")


@pytest.fixture
def files(tmp_path):
    """An annotation file, and a run folder with predictions."""
    database = {
        "v": {"subset": "validation", "duration": 100, "annotations": [{"segment": [0, 10], "label": "a"}]},
        "w": {"subset": "validation", "duration": 100, "annotations": [{"segment": [0, 90], "label": "b"}]},
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    (tmp_path / "run").mkdir()
    predicted = results(v=[(0, 10, "a", 0.9), (0, 9, "a", 0.8)])
    (tmp_path / "run/predictions_validation.json").write_text(json.dumps({"results": predicted}))
    return tmp_path


def settings(folder):
    return ["--set", f"paths.data_dir={folder}", "--set", "paths.json_data_path=truth.json", "--set",
            "paths.model_dir=run"]  # fmt: skip


def test_command_writes_into_the_run_folder(files, capsys):
    assert errors.main(settings(files)) == 0
    printed = capsys.readouterr().out
    assert "double detection        0.0  100.0    +0.00" in printed
    assert "missed: 1 of 2 segments, 50.0 %" in printed
    analysis = json.loads((files / "run/errors_validation.json").read_text())
    assert analysis["profile"][1]["double detection"] == 1 and analysis["mAP"] == 0.5


def test_command_takes_any_files(files, capsys):
    command = ["--ground-truth", str(files / "truth.json"), "--tiou", "0.75", "--bins", "thumos14"]
    command += ["--predictions", str(files / "run/predictions_validation.json"), "--subset", "validation"]
    assert errors.main([*command, "--output", str(files / "errors.json")]) == 0
    assert json.loads((files / "errors.json").read_text())["tiou"] == 0.75
    assert not (files / "run/errors_validation.json").exists()


def test_command_writes_into_no_run_where_it_is_told_another_file_or_evaluates_one(files):
    assert errors.main([*settings(files), "--output", str(files / "other.json")]) == 0
    assert (files / "other.json").exists()
    assert errors.main([*settings(files), "--predictions", str(files / "run/predictions_validation.json")]) == 0
    assert [path.name for path in (files / "run").iterdir()] == ["predictions_validation.json"]


def test_command_names_what_is_missing(files, capsys):
    assert errors.main([*settings(files), "--subset", "testing"]) == 2
    assert "predictions_testing.json: no such file: run `python predictions_json.py` first" in capsys.readouterr().err
