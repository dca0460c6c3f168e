"""Frame mAP against the words of the protocol, and the command."""

import json

import numpy as np
import pytest
from made_evaluation import prediction
from test_protocols import write

import metrics
from annotations import Video
from evaluation import frame_precision
from segments import Segment

INDEX = {"a": 1, "b": 2}


def oracle(scores, true):
    """Of each score that a right frame has: the precision among the frames that score as much, over right frames."""
    found = []
    for score, right in zip(scores, true, strict=True):
        if right:
            reached = [other for other, value in zip(true, scores, strict=True) if value >= score]
            found.append(sum(reached) / len(reached))
    return sum(found) / len(found)


def test_average_precision_equals_the_oracle():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, true = rng.integers(0, 6, 40) / 6, rng.random(40) < 0.3
        true[0] = True
        assert frame_precision.average_precision(scores, true) == pytest.approx(oracle(scores, true), abs=1e-12)
    # right, wrong, right: (1 + 2/3) / 2; all of one score: the share that is right
    assert frame_precision.average_precision(np.array([3.0, 2, 1]), np.array([1, 0, 1], bool)) == pytest.approx(5 / 6)
    assert frame_precision.average_precision(np.zeros(4), np.array([1, 0, 0, 0], bool)) == 0.25


def test_two_classes_are_right_at_once_and_videos_without_scores_count():
    both = (Segment(0, 4, "a"), Segment(2, 4, "b"))
    videos = [Video("v", "testing", 4.0, "", both), Video("w", "testing", 4.0, "", (Segment(0, 2, "a"),))]
    results = {"v": [prediction(0, 4, 0.9, "a"), prediction(2, 4, 0.8, "b"), prediction(0, 4, 0.1, "b")]}
    found = frame_precision.scores_of_predictions(videos, results, INDEX, 3, 1.0)
    assert found["v"][1][:, 2].tolist() == pytest.approx([0.1, 0.1, 0.8, 0.8])
    AP = frame_precision.frame_average_precision(videos, found, INDEX, 3)
    # b is perfect; a: four right frames first, then four of no score, of which two are right
    assert np.isnan(AP[0]) and AP[2] == 1
    assert AP[1] == pytest.approx((4 * 1 + 2 * 6 / 8) / 6)


def test_the_command_says_it(tmp_path, capsys):
    files = write(tmp_path, {"v": [Segment(0, 50, "a"), Segment(50, 100, "b")]}, {"v": [prediction(0, 50, 0.9, "a")]})
    assert metrics.main(["frames", *files, "--rate", "1", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    # a is perfect; b has no score anywhere: half of the frames are right
    assert value["frame_AP"] == {"a": 1.0, "b": 0.5}
    assert value["frame_mAP"] == 0.75
    assert metrics.main(["frames", *files, "--rate", "1"]) == 0
    assert "frame mAP 75.00" in capsys.readouterr().out


def test_kept_scores_of_labels_that_are_one_class_count_by_the_highest(tmp_path):
    path = tmp_path / "scores.npz"
    probabilities = np.array([[0.1, 0.2, 0.7], [0.1, 0.6, 0.3]], np.float16)
    np.savez(path, classes=np.array(["background", "p", "q"]),
             **{"probabilities/v": probabilities, "boundaries/v": np.array([0.0, 1.0, 2.0])})  # fmt: skip
    video = Video("v", "testing", 2.0, "", (Segment(0, 2, "p"),))
    index = {"background": 0, "p": 1, "q": 1}
    found = frame_precision.scores_of_file([video, Video("w", "testing", 2.0, "", ())], path, index, 2)
    assert list(found) == ["v"]
    assert found["v"][1].tolist() == pytest.approx(np.array([[0.1, 0.7], [0.1, 0.6]]), abs=1e-3)
