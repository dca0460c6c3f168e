"""Evaluation against known numbers and hand-computed cases."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_evaluation import DATA, annotated, known_files, prediction, truth

import annotations
import metrics
from annotations import Annotations, Node
from evaluation.predictions import UnknownLabelError, load_predictions


def test_known_numbers():
    ground_truth, predictions = known_files()
    scored = metrics.evaluate(annotations.load(ground_truth), load_predictions(predictions), "validation")
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
    with pytest.raises(UnknownLabelError, match=r"results\.w\[1\]\.label: 'Yoga' is not among the classes"):
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
    np.testing.assert_allclose(scored.proposals.averages, np.arange(1, 101))
    told = metrics.to_json(scored)["proposals"]["AR"]
    assert told == {"1": 0.25, "5": 0.5, "10": 0.5, "50": 0.5, "100": 0.5}
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


def test_videos_of_another_name_among_those_predicted_are_told(caplog):
    caplog.set_level(logging.WARNING)
    ground_truth = annotated({"a": truth((0, 10)), "b": truth((0, 10))})
    same = {"a": [prediction(0, 10, 0.9)], "b": [prediction(0, 10, 0.8)]}
    metrics.evaluate(ground_truth, same, "validation")
    assert not caplog.text
    metrics.evaluate(ground_truth, {"a": same["a"], "v_b": same["b"], "b.mp4": []}, "validation")
    assert "2 of 3 videos with predictions are not in subset validation, such as 'v_b'" in caplog.text
