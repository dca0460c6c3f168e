"""Frame accuracy, edit score and F1 against hand-computed numbers and a plain Levenshtein distance."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from annotations import Annotations, Video
from evaluation import segmentation
from evaluation.frame_classes import (
    MOST_FRAMES,
    Classes,
    frames_of_predictions,
    frames_of_scores,
    require_few_frames,
)  # fmt: skip
from evaluation.segmentation import edit_score, evaluate_segmentation, evaluate_videos
from segments import Segment


def score(predicted, true, **more):
    return evaluate_segmentation([np.array(predicted)], [np.array(true)], **more)


def test_equal_labels_score_one():
    scored = score([0, 1, 1, 2], [0, 1, 1, 2])
    assert (scored.accuracy, scored.edit, scored.f1) == (1.0, 1.0, {0.1: 1.0, 0.25: 1.0, 0.5: 1.0})


def test_by_hand():
    true = [1, 1, 1, 1, 2, 2, 2, 2, 0, 0]
    predicted = [1, 1, 2, 2, 2, 2, 1, 2, 0, 3]
    scored = score(predicted, true)
    assert scored.accuracy == 0.6
    # 1 2 against 1 2 1 2 3: three of five are inserted
    assert scored.edit == pytest.approx(2 / 5)
    # predicted: 1 [0, 2) 0.5 of [0, 4); 2 [2, 6) 2/6; 1 [6, 7) none; 2 [7, 8) 1/4, taken; 3 none
    assert scored.f1 == pytest.approx({0.1: 2 * 2 / 7, 0.25: 2 * 2 / 7, 0.5: 2 * 1 / 7})


def test_a_true_segment_is_taken_once():
    # [0, 4) and [5, 9) both lie in [0, 10)
    scored = score([1, 1, 1, 1, 2, 1, 1, 1, 1, 2], [1] * 10, overlaps=(0.4,))
    assert scored.f1 == {0.4: pytest.approx(2 / 5)}


def test_only_the_most_overlapping_one_is_tried():
    # the second prediction overlaps [3, 6) most, which the first took, and [6, 8) a little
    true = [1, 1, 1, 2, 2, 2]
    assert score([1, 1, 1, 1, 1, 1], true, overlaps=(0.5,)).f1 == {0.5: pytest.approx(2 / 3)}


def test_the_last_run_ends_with_the_last_frame():
    # [1, 2) against [1, 3): exactly a half
    assert score([0, 1, 0], [0, 1, 1], overlaps=(0.5,)).f1 == {0.5: 1.0}


def test_background_is_no_segment_but_counts_as_frames():
    scored = score([0, 0, 1], [0, 1, 1])
    assert scored.accuracy == pytest.approx(2 / 3)
    assert scored.edit == 1.0
    assert score([0, 0, 1], [0, 1, 1], background=()).edit == 1.0
    assert score([1, 1, 1], [0, 1, 1], background=()).edit == 0.5


def test_nothing_predicted_and_nothing_there():
    scored = score([0, 0], [0, 1])
    assert (scored.accuracy, scored.edit, scored.f1[0.1]) == (0.5, 0.0, 0.0)
    scored = score([0, 1], [0, 0])
    assert (scored.accuracy, scored.edit, scored.f1[0.1]) == (0.5, 0.0, 0.0)
    scored = score([0, 0], [0, 0])
    assert (scored.accuracy, scored.edit, scored.f1[0.1]) == (1.0, 1.0, 0.0)


def test_videos_pool_frames_and_segments_and_average_edit():
    predicted = [np.array([1, 1, 1, 1]), np.array([2])]
    true = [np.array([1, 1, 1, 1]), np.array([1])]
    scored = evaluate_segmentation(predicted, true)
    assert scored.accuracy == 0.8
    assert scored.edit == 0.5
    assert scored.f1[0.5] == pytest.approx(2 * 1 / (2 + 2))


def levenshtein(one, other):
    if not one or not other:
        return len(one) + len(other)
    return min(
        levenshtein(one[1:], other) + 1,
        levenshtein(one, other[1:]) + 1,
        levenshtein(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_edit_equals_the_definition():
    rng = random.Random(0)
    for _ in range(60):
        one, other = ([rng.randrange(3) for _ in range(rng.randrange(6))] for _ in range(2))
        longest = max(len(one), len(other))
        expected = 1 - levenshtein(one, other) / longest if longest else 1.0
        assert edit_score(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([[1]], [], "expected predictions of 0 videos, received 1"),
        ([[1], [1, 2]], [[1], [1]], "video 1: expected 1 predicted frames, received 2"),
        ([], [], "expected frames to score"),
        ([[]], [[]], "expected frames to score"),
    ],
)
def test_what_cannot_be_compared(predicted, true, message):
    with pytest.raises(ValueError, match=message):
        evaluate_segmentation(predicted, true)


VIDEOS = [
    Video("v", "validation", 4.0, "", (Segment(1.0, 3.0, "b"),)),
    Video("w", "validation", 2.0, "", (Segment(0.0, 2.0, "a"),)),
]
CLASSES = Classes.of(Annotations("", {video.id: video for video in VIDEOS}, (), Path("truth.json")), 3)


def prediction(start, end, label, score):
    return {"segment": [start, end], "label": label, "score": score}


def painted(results, rate, **more):
    """Video id -> times and classes of its frames."""
    return {name: pair for name, *pair in frames_of_predictions(VIDEOS, results, CLASSES, rate, **more)}


def test_classes_are_numbered_by_name_after_background():
    assert CLASSES.names == ("background", "a", "b")
    assert [CLASSES.number(name, "") for name in CLASSES.names] == [0, 1, 2]


def test_a_frame_has_the_class_of_the_best_segment_that_covers_it():
    results = {"v": [prediction(0, 3, "a", 0.5), prediction(1, 2, "b", 0.9), prediction(1.5, 4, "b", 0.4)]}
    found = painted(results, 2)
    assert list(found) == ["v"]
    times, labels = found["v"]
    assert times.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    # half-open: the frame at 2 s is no longer in [1, 2), the one at 3 s in [1.5, 4) alone
    assert labels.tolist() == [1, 1, 2, 2, 1, 1, 2, 2]
    assert painted(results, 2, min_score=0.6)["v"][1].tolist() == [0, 0, 2, 2, 0, 0, 0, 0]


def test_of_equally_scored_segments_the_first_counts():
    results = {"w": [prediction(0, 2, "b", 0.5), prediction(0, 2, "a", 0.5)]}
    assert painted(results, 1)["w"][1].tolist() == [2, 2]


def test_no_segments_are_background():
    assert painted({"w": []}, 2)["w"][1].tolist() == [0, 0, 0, 0]


def test_videos_that_lack_predictions_count_as_background():
    found = frames_of_predictions(VIDEOS, {"v": [prediction(1, 3, "b", 1)]}, CLASSES, rate=2)
    scored, number = evaluate_videos(VIDEOS, found, CLASSES)
    assert number == 1
    # v: 8 right; w: 4 frames, all of class a
    assert scored.accuracy == pytest.approx(8 / 12)
    assert scored.edit == 0.5
    assert scored.f1[0.5] == pytest.approx(2 * 1 / (1 + 2))
    with pytest.raises(ValueError, match="expected predictions of some of the 2 videos, received none"):
        evaluate_videos(VIDEOS, iter(()), CLASSES)


def test_a_class_can_count_as_background():
    found = list(frames_of_predictions(VIDEOS, {"v": [prediction(1, 3, "b", 1)], "w": []}, CLASSES, rate=2))
    scored, _ = evaluate_videos(VIDEOS, iter(found), CLASSES, background=["a"])
    assert (scored.accuracy, scored.edit, scored.f1[0.5]) == (pytest.approx(8 / 12), 1.0, 1.0)
    with pytest.raises(ValueError, match="--background: 'z' is not among the classes"):
        evaluate_videos(VIDEOS, iter(found), CLASSES, background=["z"])


def write_scores(path, classes=("background", "b", "a")):
    # in another order than the annotations' classes; frames at 0.5, 1.5, 2.5 and 3.5 s
    scores = np.array([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.2, 0.7], [0.5, 0.4, 0.1]], np.float16)
    np.savez(path, **{"classes": np.array(classes), "probabilities/v": scores, "boundaries/v": np.arange(5.0)})
    return path


def test_most_likely_class_of_each_frame(tmp_path):
    found = list(frames_of_scores(VIDEOS, write_scores(tmp_path / "scores.npz"), CLASSES))
    ((name, times, labels),) = found
    assert (name, times.tolist(), labels.tolist()) == ("v", [0.5, 1.5, 2.5, 3.5], [0, 2, 1, 0])
    # w: 2 s at the same rate, 1 frame a second
    assert evaluate_videos(VIDEOS, iter(found), CLASSES)[0].accuracy == pytest.approx(3 / 6)


def test_scores_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="scores.npz: classes: 'z' is not among the classes of the annotations"):
        list(frames_of_scores(VIDEOS, write_scores(tmp_path / "scores.npz", ("background", "z", "a")), CLASSES))
    np.savez(tmp_path / "other.npz", a=np.zeros(1))
    (tmp_path / "text.npz").write_text("no scores")
    for name in ("other.npz", "text.npz"):
        with pytest.raises(ValueError, match=f"{name}: expected the scores that predictions_json.py writes"):
            list(frames_of_scores(VIDEOS, tmp_path / name, CLASSES))


@pytest.fixture
def files(tmp_path):
    """An annotation file, a run folder with predictions, and the options that name them."""
    database = {
        video.id: {
            "subset": "validation",
            "duration": video.duration,
            "annotations": [{"segment": [s.start, s.end], "label": s.label} for s in video.segments],
        }
        for video in VIDEOS
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    (tmp_path / "run").mkdir()
    results = {"v": [prediction(1, 3, "b", 0.9)], "w": [prediction(0, 2, "a", 0.2)]}
    (tmp_path / "run/predictions_validation.json").write_text(json.dumps({"results": results}))
    paths = {"data_dir": tmp_path, "json_data_path": "truth.json", "model_dir": "run"}
    return tmp_path, [word for key, value in paths.items() for word in ("--set", f"paths.{key}={value}")]


def test_command_scores_segments_then_the_scores_of_frames(files, capsys):
    folder, options = files
    assert segmentation.main(options) == 0
    assert "best scored segment at 15 frames a second" in capsys.readouterr().out
    written = json.loads((folder / "run/segmentation_validation.json").read_text())
    assert (written["accuracy"], written["edit"], written["F1"]["0.50"]) == (1, 1, 1)
    write_scores(folder / "run/scores_validation.npz")
    assert segmentation.main(options) == 0
    assert "most likely class of each sampled frame" in capsys.readouterr().out
    written = json.loads((folder / "run/segmentation_validation.json").read_text())
    assert (written["accuracy"], written["videos"]["missing"]) == (0.5, 1)
    assert segmentation.main([*options, "--min-score", "0.5"]) == 0
    written = json.loads((folder / "run/segmentation_validation.json").read_text())
    assert written["accuracy"] == pytest.approx(4 / 6)


def test_of_one_video_there_are_no_intervals(files):
    folder, options = files
    truth = json.loads((folder / "truth.json").read_text())
    del truth["database"]["w"]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "run/predictions_validation.json").write_text(
        json.dumps({"results": {"v": [prediction(1, 3, "b", 0.9)]}})
    )
    assert segmentation.main(options) == 0
    written = json.loads((folder / "run/segmentation_validation.json").read_text())
    assert not {"accuracy", "edit", "F1", "frame_mAP", "frame_AP"} & written["intervals"].keys()


def test_command_takes_any_files(files):
    folder, _ = files
    command = ["--ground-truth", str(folder / "truth.json"), "--subset", "validation", "--rate", "2"]
    command += ["--predictions", str(folder / "run/predictions_validation.json"), "--background", "a", "b"]
    assert segmentation.main([*command, "--output", str(folder / "scored.json")]) == 0
    written = json.loads((folder / "scored.json").read_text())
    assert (written["accuracy"], written["F1"]["0.50"]) == (1, 0)
    assert not (folder / "run/segmentation_validation.json").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--subset", "testing"], "subset testing: no annotated segments"),
        (["--rate", "-1"], "rate: expected frames a second above 0, received -1"),
        (["--predictions", "none.json"], "none.json: no such file"),
        (["--background", "z"], "--background: 'z' is not among the classes"),
    ],
)
def test_command_says_what_is_wrong(files, more, message, capsys):
    assert segmentation.main([*files[1], *more]) == 2
    assert message in capsys.readouterr().err


def test_a_duration_that_no_memory_holds_is_named(tmp_path, capsys):
    jump = {"label": "jump", "segment": [0.0, 1.0]}
    database = {"a": {"subset": "validation", "duration": 1e9, "annotations": [jump]}}
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))
    (tmp_path / "found.json").write_text(json.dumps({"results": {"a": [jump | {"score": 0.5}]}}))
    files = ["--ground-truth", str(tmp_path / "truth.json"), "--predictions", str(tmp_path / "found.json")]
    assert segmentation.main([*files, "--subset", "validation"]) == 2
    said = capsys.readouterr().err
    assert "database.a.duration: expected at most 3,333,333 seconds at 15 frames a second, received 1e+09" in said
    assert segmentation.main([*files, "--subset", "validation", "--rate", "1"]) == 2
    assert "expected at most 50,000,000 seconds at 1 frames a second" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [0.5, 1, 30])
def test_the_most_frames_are_those_of_the_rate(rate):
    longest = MOST_FRAMES / rate
    require_few_frames([Video("a", "testing", longest, "", ())], rate)
    with pytest.raises(ValueError, match="database.a.duration"):
        require_few_frames([Video("a", "testing", longest * 1.01, "", ())], rate)
