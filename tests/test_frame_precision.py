"""Frame mAP against the words of the protocol, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_evaluation import prediction
from test_protocols import write

import metrics
from annotations import Annotations, Video
from evaluation import frame_precision, segmentation, terminal
from evaluation.frame_classes import Classes, frames_of_predictions
from evaluation.frame_precision import average_precision
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
        assert average_precision(scores, np.ones(40), true) == pytest.approx(oracle(scores, true), abs=1e-12)
    # right, wrong, right: (1 + 2/3) / 2; all of one score: the share that is right
    assert average_precision(np.array([3.0, 2, 1]), np.ones(3), np.array([1, 0, 1])) == pytest.approx(5 / 6)
    assert average_precision(np.zeros(4), np.ones(4), np.array([1, 0, 0, 0])) == 0.25
    # the same frames by stretches: two right and one wrong before three of which one is right
    assert average_precision(np.array([2.0, 1, 2]), np.array([2, 3, 1]), np.array([2, 1, 0])) == pytest.approx(
        (2 * 2 / 3 + 3 / 6) / 3
    )


def each_frame(videos, results, rate):
    """Class -> scores and truth of each frame of videos that all have predictions."""
    found = {number: ([], []) for number in INDEX.values()}
    for video in videos:
        for time in np.arange(video.duration * rate) / rate:
            for label, number in INDEX.items():
                covering = [e["score"] for e in results[video.id]
                            if e["label"] == label and e["segment"][0] <= time < e["segment"][1]]  # fmt: skip
                found[number][0].append(np.float32(max(covering, default=-np.inf)))
                found[number][1].append(any(s.label == label and s.start <= time < s.end for s in video.segments))
    return found


def test_stretches_score_as_each_frame_does():
    rng = np.random.default_rng(1)
    for _ in range(20):
        spans = np.sort(rng.integers(0, 40, (18, 2)) / 4, axis=1)
        labels = rng.choice(["a", "b"], 18)
        actions = [Segment(*span, label) for span, label in zip(spans[:6].tolist(), labels, strict=False)]
        videos = [Video(name, "testing", 10.0, "", tuple(actions[n::2])) for n, name in enumerate("vw")]
        scores = rng.integers(0, 4, 12) / 4
        entries = [prediction(*spans[6 + n].tolist(), float(scores[n]), str(labels[6 + n])) for n in range(12)]
        results = {"v": entries[:8], "w": entries[8:]}
        stretches = frame_precision.of_predictions(videos, results, INDEX, 4.0)
        assert stretches.total == 80
        AP = frame_precision.frame_average_precision(stretches, 3)
        for number, (values, true) in each_frame(videos, results, 4.0).items():
            expected = oracle(values, true) if any(true) else np.nan
            assert AP[number] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def drawn_anew(videos, results, counts):
    """A draw: each video, with its predictions, as often as it was drawn, under names of its own."""
    copies = [(video, replace(video, id=f"{video.id}#{n}")) for video, count in zip(videos, counts, strict=True)
              for n in range(count)]  # fmt: skip
    found = {copy.id: results[video.id] for video, copy in copies if video.id in results}
    return [copy for _, copy in copies], found


def test_a_draw_of_videos_equals_the_videos_repeated():
    rng = np.random.default_rng(1)
    videos, results = [], {}
    for name in "uvwx":
        spans = np.sort(rng.integers(0, 40, (9, 2)) / 4, axis=1).tolist()
        actions = tuple(Segment(*span, label) for span, label in zip(spans[:2], "ab", strict=True))
        videos.append(Video(name, "testing", 10.0, "", actions))
        results[name] = [prediction(*span, n % 4 / 4, "ab"[n % 2]) for n, span in enumerate(spans[2:])]
    del results["v"]  # nothing was found in it
    weights = np.array([[1, 1, 1, 1], [0, 3, 0, 1], [5, 0, 0, 0], [2, 0, 1, 1]])
    stretches = frame_precision.of_predictions(videos, results, INDEX, 4.0)
    found = frame_precision.drawn_average_precisions(stretches, weights, 3)
    for draw, counts in zip(found, weights, strict=True):
        again = frame_precision.of_predictions(*drawn_anew(videos, results, counts), INDEX, 4.0)
        np.testing.assert_allclose(draw, frame_precision.frame_average_precision(again, 3), atol=1e-12)
    with pytest.raises(ValueError, match="whose videos are not known"):
        frame_precision.drawn_average_precisions(replace(stretches, videos=None), weights, 3)


def test_kept_scores_know_their_videos_up_to_a_number_of_them(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    videos = [Video(name, "testing", 6.0, "", (Segment(0, 2, "a"), Segment(1, 5, "b"))) for name in "vwx"]
    kept = {f"probabilities/{name}": rng.random((6, 3)).astype(np.float16) for name in "vw"}
    kept |= {f"boundaries/{name}": np.arange(7.0) for name in "vw"}
    np.savez(tmp_path / "scores.npz", classes=np.array(["background", "a", "b"]), **kept)
    index = {"background": 0} | INDEX
    apart = frame_precision.of_file(videos, tmp_path / "scores.npz", index, 3)
    weights = np.array([[1, 1, 1], [0, 2, 1]])
    found = frame_precision.drawn_average_precisions(apart, weights, 3)
    monkeypatch.setattr(frame_precision, "MOST_CELLS", 1)
    together = frame_precision.of_file(videos, tmp_path / "scores.npz", index, 3)
    assert together.videos is None
    expected = frame_precision.frame_average_precision(together, 3)
    np.testing.assert_allclose(frame_precision.frame_average_precision(apart, 3), expected, atol=1e-12)
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    assert np.abs(found[1] - found[0])[1:].max() > 0.01


def test_more_scores_than_are_told_apart_change_a_draw_little(monkeypatch):
    rng = np.random.default_rng(2)
    right = rng.random(400) < 0.4
    scores = (rng.random(400) + 0.3 * right).astype(np.float32)
    columns = np.ones(400, np.int64), scores, np.ones(400, np.int64), right
    stretches = frame_precision.Stretches(*columns, np.full(4, 100), np.arange(400) % 4)
    weights = np.array([[1, 1, 1, 1], [0, 2, 1, 1]])
    exact = frame_precision.drawn_average_precisions(stretches, weights, 2)
    monkeypatch.setattr(frame_precision, "MOST_LEVELS", 40)
    few = frame_precision.drawn_average_precisions(stretches, weights, 2)
    assert 0 < np.abs(few - exact)[:, 1].max() < 0.02


def test_frame_figures_have_the_intervals_of_the_videos():
    spans = (Segment(0, 2, "a"),), (Segment(0, 1, "b"), Segment(1, 2, "a"))
    videos = [Video(name, "testing", 2.0, "", some) for name, some in zip("vw", spans, strict=True)]
    results = {"v": [prediction(0, 2, 0.9, "a")], "w": [prediction(0, 2, 0.5, "a")]}
    classes = Classes.of(Annotations("", {one.id: one for one in videos}, (), Path("truth.json")), 3)

    def measured(videos):
        found = frames_of_predictions(videos, results, classes, 1.0)
        likely = frame_precision.of_predictions(videos, results, classes.index, 1.0)
        return segmentation.measured(videos, segmentation.evaluate_videos(videos, found, classes)[0], likely, classes)

    value = measured(videos)
    ends = value["intervals"]
    assert (ends["videos"], ends["rough"], ends["draws"]) == (2, True, 1000)
    assert ends["classes"] == {"a": {"actions": 2, "videos": 2}, "b": {"actions": 1, "videos": 1}}
    # three of four frames; a draw has v twice, both, or w twice: 1, 3/4 or 1/2
    assert value["accuracy"] == 0.75 and ends["accuracy"] == pytest.approx([0.5, 1], abs=0.03)
    # two predicted segments find two of three: 2 * 2 / 5; of v alone 1, of w alone 2 / 3
    assert value["F1"]["0.50"] == pytest.approx(0.8) and ends["F1"]["0.50"] == pytest.approx([2 / 3, 1], abs=0.03)
    assert value["frame_AP"]["a"] == pytest.approx((2 * 1 + 3 / 4) / 3)
    assert ends["frame_AP"]["a"][0] < value["frame_AP"]["a"] <= ends["frame_AP"]["a"][1]
    assert ends["frame_AP"]["b"] is None and ends["frame_mAP"][0] < value["frame_mAP"] < ends["frame_mAP"][1]
    text = terminal.frames(value)
    assert "rough: 3 actions in 2 videos" in text and "low" in text and "high" in text
    assert "accuracy" not in (alone := measured(videos[:1]))["intervals"]
    assert "low" not in terminal.frames(alone).partition("class")[0]


def test_two_classes_are_right_at_once_and_videos_without_scores_count():
    both = (Segment(0, 4, "a"), Segment(2, 4, "b"))
    videos = [Video("v", "testing", 4.0, "", both), Video("w", "testing", 4.0, "", (Segment(0, 2, "a"),))]
    results = {"v": [prediction(0, 4, 0.9, "a"), prediction(2, 4, 0.8, "b"), prediction(0, 4, 0.1, "b")]}
    found = frame_precision.of_predictions(videos, results, INDEX, 1.0)
    b = found.classes == 2
    assert found.scores[b].tolist() == pytest.approx([0.1, 0.8])
    assert (found.frames[b].tolist(), found.right[b].tolist(), found.total) == ([2, 2], [False, True], 8)
    AP = frame_precision.frame_average_precision(found, 3)
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
    others = [Video("w", "testing", 2.0, "", (Segment(1, 2, "q"),)), Video("x", "testing", 1.0, "", ())]
    found = frame_precision.of_file([video, *others], path, index, 2)
    # the wrong ones first: background's two, then the two right ones, and w's one right frame without a score
    assert found.scores.tolist() == pytest.approx([0.1, 0.6, 0.7, -np.inf], abs=1e-3)
    assert (found.frames.tolist(), found.right.tolist(), found.total) == ([2, 1, 1, 1], [False, True, True, True], 5)
    # 1, 1, and 3 of 5 frames right at the level of no score
    assert frame_precision.frame_average_precision(found, 2)[1] == pytest.approx((1 + 1 + 3 / 5) / 3)


def test_scores_are_counted_in_parts(tmp_path, monkeypatch):
    path = tmp_path / "scores.npz"
    rng, keys = np.random.default_rng(0), {"classes": np.array(["background", "p"])}
    videos = [Video(name, "testing", 8.0, "", (Segment(2, 5, "p"),)) for name in "vwx"]
    for video in videos:
        keys[f"probabilities/{video.id}"] = rng.random((8, 2)).astype(np.float16)
        keys[f"boundaries/{video.id}"] = np.arange(9.0)
    np.savez(path, **keys)
    counts, count = [], frame_precision._Places._count
    monkeypatch.setattr(frame_precision._Places, "_count", lambda places: (counts.append(1), count(places)))
    monkeypatch.setattr(frame_precision, "MOST_CELLS", 1)
    whole = frame_precision.of_file(videos, path, {"background": 0, "p": 1}, 2)
    monkeypatch.setattr(frame_precision, "MOST_SCORES", 10)
    assert len(counts) == 1
    parts = frame_precision.of_file(videos, path, {"background": 0, "p": 1}, 2)
    assert len(counts) == 1 + 3  # after each of two videos, and at the end
    for name in ("classes", "scores", "frames", "right"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    scores = np.concatenate([keys[f"probabilities/{video.id}"][:, 1] for video in videos])
    right = [2 <= time < 5 for time in np.arange(8) + 0.5] * 3
    assert frame_precision.frame_average_precision(parts, 2)[1] == pytest.approx(oracle(scores, right))


@pytest.mark.parametrize("more", [[], ["--min-score", "0.5"]])
def test_a_label_that_the_annotations_lack_is_named_with_its_place(tmp_path, capsys, more):
    found = {"v": [prediction(0, 50, 0.9, "a"), prediction(0, 50, 0.1, "z")]}
    files = write(tmp_path, {"v": [Segment(0, 50, "a")]}, found)
    assert metrics.main(["frames", *files, *more]) == 2
    assert "results.v[1].label: 'z' is not among the classes of the annotations" in capsys.readouterr().err


@pytest.mark.parametrize("room", [frame_precision.MOST_SCORES, 30])
def test_draws_are_the_same_where_empty_places_are_left_out(monkeypatch, room):
    rng = np.random.default_rng(3)
    owners, scores = rng.integers(0, 5, 40), rng.integers(0, 9, 40).astype(np.float32)
    right, frames = rng.random(40) < 0.4, rng.integers(1, 9, 40)
    lengths = np.bincount(owners, frames, 5).astype(np.int64) + 7
    stretches = frame_precision.Stretches(np.repeat([1, 2], 20), scores, frames, right, lengths, owners)
    weights = rng.integers(0, 3, (6, 5)).astype(np.int32)
    whole = frame_precision.drawn_average_precisions(stretches, weights, 3)
    monkeypatch.setattr(frame_precision, "SPARSE", 0)
    monkeypatch.setattr(frame_precision, "MOST_SCORES", room)
    np.testing.assert_array_equal(frame_precision.drawn_average_precisions(stretches, weights, 3), whole)
    # each video once is the figure itself
    once = frame_precision.drawn_average_precisions(stretches, np.ones((1, 5), np.int32), 3)
    assert once[0] == pytest.approx(frame_precision.frame_average_precision(stretches, 3), nan_ok=True)
