"""Evaluation against known numbers, hand-computed cases, and a slow oracle written from the words of the protocol."""

import argparse
import itertools
import json
import logging
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import annotations
import metrics
from annotations import Annotations, Node, Segment, Video

DATA = Path(__file__).parents[1].parent / "shared/data"
LEVELS = metrics.THRESHOLDS


def prediction(start, end, score, label="x"):
    return {"label": label, "score": score, "segment": [start, end]}


def truth(*spans, label="x"):
    return [Segment(start, end, label) for start, end in spans]


def annotated(videos, subset="validation", taxonomy=()):
    """Annotations of {id: [Segment]}."""
    made = {name: Video(name, subset, 100.0, "", tuple(segments)) for name, segments in videos.items()}
    return Annotations("V", made, taxonomy, Path("truth.json"))


# --- the oracle: one loop a sentence ---


def oracle_tiou(one, other):
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    both = (one[1] - one[0]) + (other[1] - other[0]) - shared
    return shared / both if both else float("nan")


def oracle_curve_area(right, positives):
    """Area under the precision made monotone from the right, for right or wrong predictions, best first."""
    precisions, recalls = [0.0], [0.0]
    for number in range(1, len(right) + 1):
        precisions.append(sum(right[:number]) / number)
        recalls.append(sum(right[:number]) / positives)
    precisions.append(0.0)
    recalls.append(1.0)
    area = 0.0
    for number in range(1, len(recalls)):
        area += (recalls[number] - recalls[number - 1]) * max(precisions[number:])
    return area


def oracle_ap(ground_truth, results, label, threshold):
    truths = {name: [s for s in some if s.label == label] for name, some in ground_truth.items()}
    mine = [(name, p) for name, some in results.items() for p in some if p["label"] == label]
    mine.sort(key=lambda item: -item[1]["score"])
    matched, right = set(), []
    for name, p in mine:
        overlaps = [oracle_tiou(p["segment"], (s.start, s.end)) for s in truths.get(name, [])]
        # NumPy sorts NaN as the largest, and NaN is not less than any threshold; of equal ones the last in the file
        overlaps = [float("inf") if overlap != overlap else overlap for overlap in overlaps]
        order = sorted(range(len(overlaps)), key=lambda j: (-overlaps[j], -j))
        found = False
        for j in order:
            if overlaps[j] < threshold:
                break
            if (name, j) not in matched:
                matched.add((name, j))
                found = True
                break
        right.append(found)
    return oracle_curve_area(right, sum(map(len, truths.values())))


def oracle_recall(ground_truth, results, thresholds):
    """Average recall at 100 points, and the area."""
    with_truth = {name: some for name, some in ground_truth.items() if some}
    total = sum(map(len, results.values()))
    ratio = 100.0 * len(with_truth) / total
    kept = {}
    for name in with_truth:
        best = sorted(results.get(name, []), key=lambda p: -p["score"])
        kept[name] = best[: min(int(len(best) * ratio), len(best))]
    share = 100.0 * len(with_truth) / sum(map(len, kept.values()))
    averages, curve = [], []
    for point in range(1, 101):
        recalls = []
        for threshold in thresholds:
            found = 0
            for name, some in with_truth.items():
                used = kept[name][: int(len(kept[name]) * (point / 100.0 * share))]
                found += sum(
                    any(oracle_tiou(p["segment"], (s.start, s.end)) >= threshold for p in used) for s in some
                )
            recalls.append(found / sum(map(len, with_truth.values())))
        curve.append(sum(recalls) / len(recalls))
        averages.append(point / 100.0 * share * sum(map(len, kept.values())) / len(with_truth))
    area = sum(
        (averages[i] - averages[i - 1]) * (curve[i] + curve[i - 1]) / 2 for i in range(1, 100)
    ) / averages[-1]  # fmt: skip
    return curve, area


def oracle_classification(ground_truth, results):
    labels = {name: {s.label for s in some} for name, some in ground_truth.items() if some}
    best = {}
    for name, some in results.items():
        for p in sorted(some, key=lambda p: -p["score"]):
            best.setdefault((name, p["label"]), p["score"])
    areas = []
    for label in sorted(set().union(*labels.values())):
        ranked = sorted((key for key in best if key[1] == label), key=lambda key: -best[key])
        right = [label in labels.get(name, ()) for name, _ in ranked]
        areas.append(oracle_curve_area(right, sum(label in some for some in labels.values())))
    top = {}
    for k in (1, 3):
        hits = 0
        for name, some in labels.items():
            ranked = sorted((key for key in best if key[0] == name), key=lambda key: -best[key])
            hits += any(label in some for _, label in ranked[:k])
        top[k] = hits / len(labels)
    return sum(areas) / len(areas), top


def draw(rng, distinct_scores):
    """A small evaluation full of duplicates, ties, empty segments, and videos on one side only."""

    def span():
        start = rng.randrange(8)
        return start, start + rng.choice([0, 0, 1, 2, 3, 5])

    score = iter(rng.sample(range(10_000), 200)).__next__ if distinct_scores else lambda: rng.randrange(3)
    ground_truth = {
        f"v{number}": [Segment(*span(), rng.choice("abc")) for _ in range(rng.randrange(6))] for number in range(4)
    } | {"first": truth((0, 4), (0, 4), (2, 2), label="a")}
    labels = sorted({segment.label for some in ground_truth.values() for segment in some})
    results = {
        f"v{number}": [prediction(*span(), score(), rng.choice(labels)) for _ in range(rng.randrange(12))]
        for number in range(1, 6)
    } | {"first": [prediction(*span(), score(), "a") for _ in range(5)]}
    return ground_truth, results


@pytest.mark.parametrize("distinct_scores", [True, False])
def test_detection_equals_the_oracle(distinct_scores):
    rng = random.Random(1)
    levels = (0.0, 0.2, 0.25, 1 / 3, 0.5, 0.6, 0.75, 0.95, 1.0)
    for _ in range(60):
        ground_truth, results = draw(rng, distinct_scores)
        found = metrics.evaluate_detection(ground_truth, results, levels)
        expected = [[oracle_ap(ground_truth, results, label, level) for level in levels] for label in found.classes]
        np.testing.assert_allclose(found.AP, expected, rtol=0, atol=1e-12)


# 60 times the proposals are more than 100 a video on average, so that a share of them is left out
@pytest.mark.parametrize(("copies", "draws"), [(1, 15), (60, 4)])
def test_proposals_and_classification_equal_the_oracle(copies, draws):
    rng = random.Random(2)
    for _ in range(draws):
        ground_truth, results = draw(rng, True)
        results = {name: some * copies for name, some in results.items()}
        scored = metrics.evaluate(annotated(ground_truth), results, "validation")
        curve, area = oracle_recall(ground_truth, results, LEVELS)
        np.testing.assert_allclose(scored.proposals.recall, curve, rtol=0, atol=1e-12)
        assert scored.proposals.area == pytest.approx(area, abs=1e-12)
        mean, top = oracle_classification(ground_truth, results)
        assert scored.classification.mAP == pytest.approx(mean, abs=1e-12)
        assert scored.classification.top == top


def test_many_thresholds_match_on_their_own_account():
    levels = np.linspace(0, 1, 101)
    ground_truth = {"v": truth((0, 10), (5, 15))}
    results = {"v": [prediction(1, 11, 3), prediction(4, 14, 2), prediction(0, 10, 1)]}
    found = metrics.evaluate_detection(ground_truth, results, levels)
    assert found.AP.shape == (1, 101)
    expected = [oracle_ap(ground_truth, results, "x", level) for level in levels]
    np.testing.assert_allclose(found.AP[0], expected, atol=1e-12)


# --- known numbers and cases by hand ---


def known_files():
    if not (DATA / "evaluation").is_dir():
        pytest.skip("needs ../shared/data/evaluation")
    return DATA / "evaluation/gt.json", DATA / "evaluation/result.json"


def test_known_numbers():
    ground_truth, predictions = known_files()
    scored = metrics.evaluate(annotations.load(ground_truth), metrics.load_predictions(predictions), "validation")
    expected = [0.71428571] * 3 + [0.6875] * 2 + [0.59722222] + [0.52083333] * 3 + [0.5]
    np.testing.assert_allclose(scored.mAP, expected, atol=5e-9)
    assert scored.average_mAP == pytest.approx(0.6177579365079365, abs=1e-15)


def test_the_real_validation_set_scores_one_against_itself():
    path = DATA / "activitynet/activity_net.v1-3.min.json"
    if not path.is_file():
        pytest.skip("needs ../shared/data: the real annotations")
    real = annotations.load(path)
    videos = real.subset("validation")
    spans = [(s.start, s.end) for video in videos for s in video.segments]
    assert (len(videos), len(spans), sum(start == end for start, end in spans)) == (4728, 7293, 3)
    repeats = Counter((v.id, s) for v in videos for s in v.segments)
    assert sum(repeats.values()) - len(repeats) == 17
    results = {v.id: [prediction(s.start, s.end, 1.0, s.label) for s in v.segments] for v in videos}
    assert metrics.evaluate(real, results, "validation").average_mAP == 1.0
    # without the repeats, a repeated prediction of each is wrong
    opentad = metrics.evaluate(real, results, "validation", protocol=metrics.Protocol("opentad"))
    assert 0.999 < opentad.average_mAP < 1.0


def ap(truths, predictions, level=0.5):
    return metrics.evaluate_detection({"v": truths}, {"v": predictions}, [level]).average_mAP


def test_average_precision_by_hand():
    truths = truth((0, 10), (20, 30))
    # right, wrong, right: 1/2 * 1 + 1/2 * 2/3
    predictions = [prediction(0, 10, 0.9), prediction(50, 60, 0.8), prediction(20, 30, 0.7)]
    assert ap(truths, predictions) == pytest.approx(5 / 6)
    assert ap(truths, predictions[:1]) == 0.5
    assert ap(truths, predictions[1:2]) == 0.0
    assert ap(truths, []) == 0.0


def test_a_threshold_is_reached_when_it_is_equalled():
    assert ap(truth((0, 10)), [prediction(0, 5, 1)], 0.5) == 1.0
    assert ap(truth((0, 10)), [prediction(0, 5, 1)], 0.500001) == 0.0


def test_a_truth_is_taken_once_and_the_next_best_is_tried():
    truths = truth((0, 10), (2, 12))
    # both lie nearest to the first; the second takes the other one
    assert ap(truths, [prediction(0, 10, 0.9), prediction(0, 11, 0.8)]) == 1.0
    # one truth, two predictions: the worse scored is wrong, behind full recall
    assert ap(truths[:1], [prediction(0, 10, 0.9), prediction(0, 10, 0.8)]) == 1.0
    assert ap(truths[:1], [prediction(50, 60, 0.9), prediction(0, 10, 0.8)]) == 0.5


def test_thresholds_match_separately():
    truths = truth((0, 10), (4, 14))
    # at 0.5 the first takes (0, 10) and leaves (4, 14) to the second; at 0.9 the first reaches nothing
    predictions = [prediction(1, 11, 0.9), prediction(4, 14, 0.8)]
    found = metrics.evaluate_detection({"v": truths}, {"v": predictions}, [0.5, 0.9])
    assert found.AP.tolist() == [[1.0, 0.25]]


def test_ties_in_score_keep_the_order_of_the_file():
    right, wrong = prediction(0, 10, 0.5), prediction(50, 60, 0.5)
    assert ap(truth((0, 10)), [right, wrong]) == 1.0
    assert ap(truth((0, 10)), [wrong, right]) == 0.5


def test_no_length_on_no_length_is_right_at_every_threshold_and_anywhere_in_the_video():
    found = metrics.evaluate_detection({"v": truth((5, 5))}, {"v": [prediction(70, 70, 1)]}, [0.5, 1.0])
    assert found.AP.tolist() == [[1.0, 1.0]]
    # a prediction that has a length never takes an empty one
    assert ap(truth((5, 5)), [prediction(4, 6, 1)]) == 0.0
    # proposals compare the other way round, and 0 / 0 is no recall
    scored = metrics.evaluate(annotated({"v": truth((5, 5))}), {"v": [prediction(5, 5, 1)]}, "validation")
    assert scored.proposals.recall.tolist() == [0.0] * 100


def test_annotations_given_twice_count_twice():
    assert ap(truth((0, 10), (0, 10)), [prediction(0, 10, 1)]) == 0.5
    assert ap(truth((0, 10), (0, 10)), [prediction(0, 10, 2), prediction(0, 10, 1)]) == 1.0


def test_annotations_are_not_clipped():
    # the video ends at 100
    scored = metrics.evaluate(annotated({"v": truth((90, 110))}), {"v": [prediction(90, 110, 1)]}, "validation")
    assert scored.average_mAP == 1.0


@pytest.mark.parametrize("elsewhere", ["absent", "trained"])
def test_predictions_for_other_videos_count_as_wrong(elsewhere):
    videos = annotated({"v": truth((0, 10))}).videos | annotated({"trained": truth((0, 10))}, "training").videos
    ground_truth = Annotations("V", videos, (), Path("truth.json"))
    results = {elsewhere: [prediction(0, 10, 0.9)], "v": [prediction(0, 10, 0.8)]}
    scored = metrics.evaluate(ground_truth, results, "validation")
    assert scored.average_mAP == 0.5
    assert scored.videos == {"annotated": 1, "predicted": 1, "missing": 0}
    assert scored.predictions == 2


def test_the_classes_are_those_of_the_subset_and_each_counts_alike():
    ground_truth = {"v": truth((0, 10), (20, 30), (40, 50)) + truth((0, 10), label="y"), "w": truth((0, 9), label="z")}
    results = {"v": [prediction(0, 10, 1, "y")]}
    found = metrics.evaluate_detection(ground_truth, results)
    assert found.classes == ("x", "y", "z")
    assert found.average_mAP == pytest.approx(1 / 3)


def test_no_prediction_is_dropped_however_many():
    wrong = [prediction(50, 60, 0.9)] * 2999
    assert ap(truth((0, 10)), [*wrong, prediction(0, 10, 0.1)]) == pytest.approx(1 / 3000)


def test_a_label_outside_the_classes_is_an_error_or_ignored_and_counted():
    ground_truth = annotated({"v": truth((0, 10))})
    results = {"v": [prediction(0, 10, 0.5)], "w": [prediction(0, 1, 0.9), prediction(0, 1, 0.9, "Yoga")]}
    with pytest.raises(metrics.UnknownLabelError, match=r"results\.w\[1\]\.label: 'Yoga' is none of the 1 classes"):
        metrics.evaluate(ground_truth, results, "validation")
    scored = metrics.evaluate(ground_truth, results, "validation", ignore_unknown_labels=True)
    assert (scored.ignored, scored.predictions, scored.average_mAP) == (1, 2, 0.5)
    assert metrics.to_json(scored)["ignored_predictions"] == 1


def test_a_coarser_level_maps_truth_and_predicted_leaves():
    tree = (Node(0, "Root", None), Node(1, "Sport", 0), Node(2, "Run", 1), Node(3, "Swim", 1))
    ground_truth = annotated({"v": truth((0, 10), label="Run") + truth((20, 30), label="Swim")}, taxonomy=tree)
    coarse = {"v": [prediction(0, 10, 0.9, "Sport"), prediction(20, 30, 0.8, "Sport")]}
    scored = metrics.evaluate(ground_truth, coarse, "validation", taxonomy_level=0)
    assert (scored.detection.classes, scored.average_mAP) == (("Sport",), 1.0)
    leaves = {"v": [prediction(0, 10, 0.9, "Swim"), prediction(20, 30, 0.8, "Run")]}
    assert metrics.evaluate(ground_truth, leaves, "validation", taxonomy_level=0).average_mAP == 1.0
    assert metrics.evaluate(ground_truth, leaves, "validation").average_mAP == 0.0


def test_opentad_leaves_out_annotations_without_length_and_given_twice():
    ground_truth = annotated({"v": truth((0, 10), (0, 10.0009), (0.002, 10), (5, 5), (5, 5))})
    results = {"v": [prediction(0, 10, 0.9), prediction(0.002, 10, 0.8), prediction(5, 5, 0.7, "y")]}
    official = metrics.evaluate(ground_truth, results, "validation", ignore_unknown_labels=True)
    assert official.average_mAP == pytest.approx(2 / 5)
    opentad = metrics.evaluate(ground_truth, results, "validation", protocol=metrics.Protocol("opentad"))
    assert opentad.average_mAP == 1.0
    assert opentad.ignored == 1
    assert metrics.to_json(opentad)["protocol"] == "opentad"


def test_average_recall_by_hand():
    # two videos, 4 and 0 proposals: an average of 2, all kept; AN = 1 uses half of the first's
    results = {"v": [prediction(50, 60, 4), prediction(0, 10, 3), prediction(20, 30, 2), prediction(70, 80, 1)]}
    ground_truth = annotated({"v": truth((0, 10), (20, 30)), "w": truth((0, 1), (3, 4))})
    scored = metrics.evaluate(ground_truth, results, "validation")
    assert scored.proposals.recall[:3].tolist() == [0.25, 0.5, 0.5]
    # the curve from 1 to 2, then flat to 100
    assert scored.proposals.area == pytest.approx((0.375 + 98 * 0.5) / 100)


def test_classification_by_hand():
    ground_truth = annotated({"v": truth((0, 1)), "w": truth((0, 1), label="y"), "empty": []})
    results = {
        "v": [prediction(0, 1, 0.2, "y"), prediction(5, 6, 0.1), prediction(7, 8, 0.3)],
        "w": [prediction(0, 1, 0.9), prediction(0, 1, 0.5, "y")],
    }
    scored = metrics.evaluate(ground_truth, results, "validation")
    # x: wrong for w, right for v; y: right for w first
    assert scored.classification.mAP == pytest.approx((0.5 + 1) / 2)
    assert scored.classification.top == {1: 0.5, 3: 1.0}


def test_nothing_predicted(caplog):
    caplog.set_level(logging.WARNING)
    value = metrics.to_json(metrics.evaluate(annotated({"v": truth((0, 1))}), {}, "validation"))
    assert (value["average_mAP"], value["proposals"]["AUC"], value["classification"]["mAP"]) == (0, 0, 0)
    assert value["videos"] == {"annotated": 1, "predicted": 0, "missing": 1}
    assert "ids such as 'v' are expected" in caplog.text


def test_nothing_annotated():
    with pytest.raises(ValueError, match="truth.json: subset testing: no annotated segments"):
        metrics.evaluate(annotated({"v": []}, "testing"), {}, "testing")


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
    with pytest.raises(ValueError, match=r"p\.json: results\.v\[1\]: expected \{\"label\": text"):
        metrics.load_predictions(path)


@pytest.mark.parametrize("key", ["label", "score", "segment"])
def test_missing_keys_are_named(key):
    entry = prediction(0, 1, 1)
    del entry[key]
    with pytest.raises(ValueError, match=r"results\.v\[0\]: expected"):
        metrics.evaluate_detection({"v": truth((0, 1))}, {"v": [entry]})


@pytest.mark.parametrize("text", ["[]", "{}", '{"results": []}', '{"results": {"v": {}}}', '{"results": {"v": [1]}}'])
def test_files_of_another_layout(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ValueError, match=r"p\.json: .*expected"):
        metrics.load_predictions(tmp_path / "p.json")


def test_thresholds_as_typed():
    assert metrics.parse_thresholds("0.5:0.95:0.05") == LEVELS
    assert metrics.parse_thresholds("0.3:0.7:0.1") == pytest.approx((0.3, 0.4, 0.5, 0.6, 0.7))
    assert metrics.parse_thresholds("0.3:0.75:0.1") == pytest.approx((0.3, 0.4, 0.5, 0.6, 0.7))
    assert metrics.parse_thresholds("0.5") == (0.5,)
    assert metrics.parse_thresholds("0.1,0.25") == (0.1, 0.25)


@pytest.mark.parametrize(
    "text",
    ["", "half", "0.5:0.9", "0.9:0.5:0.1", "0.5:0.9:0", "0.5:1.5:0.5", "0.7,0.5", "0.5,0.5", "nan", "0:inf:1", "-1"],
)
def test_thresholds_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected rising numbers"):
        metrics.parse_thresholds(text)


# --- the script ---


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
    assert ["average", "mAP", "61.78"] in lines
    assert ["mAP", *(f"{100 * share:.2f}" for share in value["mAP"].values())] in lines
    assert lines.index(["Cleaning", "shoes", "100.00"]) + 1 == lines.index(["Wakeboarding", "23.55"])


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


def test_every_order_of_videos_gives_the_same_numbers():
    ground_truth, results = draw(random.Random(3), True)
    expected = metrics.to_json(metrics.evaluate(annotated(ground_truth), results, "validation"))
    for names in itertools.islice(itertools.permutations(results), 0, None, 23):
        shuffled = {name: results[name] for name in names}
        assert metrics.to_json(metrics.evaluate(annotated(ground_truth), shuffled, "validation")) == expected
