"""Intervals by bootstrap, the comparison of two runs, and the reliability of scores, against plain loops."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from made_evaluation import annotated, prediction, truth
from test_protocols import drawn, write

import metrics
from annotations import Annotations
from evaluation import calibration, comparison, intervals, terminal
from evaluation.protocols import PRESETS
from segments import Segment


def repeated(ground_truth, results, counts):
    """What a draw is: each video as often as it was drawn, under names of its own."""
    names = [(name, copy) for name, count in counts.items() for copy in range(count)]
    truths = {f"{name}#{copy}": ground_truth[name] for name, copy in names}
    predicted = {f"{name}#{copy}": results.get(name, []) for name, copy in names}
    return truths, predicted | {name: some for name, some in results.items() if name not in ground_truth}


@pytest.mark.parametrize("preset", ["multithumos", "thumos14"])
def test_a_draw_equals_the_evaluation_of_the_repeated_videos(preset):
    rng = random.Random(3)
    ground_truth, results = drawn(rng, "ab", ["ambiguous"] if preset == "thumos14" else ())
    results["elsewhere"] = [prediction(0, 5, 0.5, "a")]
    scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=PRESETS[preset])
    weights = np.array([[rng.choice([0, 0, 1, 2, 3]) for _ in ground_truth] for _ in range(20)])
    weights[:, 0] += 1
    found = intervals.average_precisions(scored.ranked, weights, 2)
    for draw, counts in zip(found, weights, strict=True):
        truths, predicted = repeated(ground_truth, results, dict(zip(ground_truth, counts.tolist(), strict=True)))
        again = metrics.evaluate(annotated(truths), predicted, "validation", protocol=PRESETS[preset])
        present = [name in again.detection.classes for name in "ab"]
        np.testing.assert_allclose(draw[present], again.detection.AP, atol=1e-9)
        assert np.isnan(draw[np.logical_not(present)]).all()


def test_parts_of_draws_give_what_all_at_once_give(monkeypatch):
    ground_truth, results = drawn(random.Random(4), "ab")
    scored = metrics.evaluate(annotated(ground_truth), results, "validation")
    whole = intervals.measure(scored)
    monkeypatch.setattr(intervals, "PART", 1)
    assert intervals.measure(scored) == whole


def test_every_video_is_drawn_as_often_as_the_others():
    counts = intervals.draw(50, 10)
    assert counts.shape == (1000, 50)
    assert (counts.sum(axis=1) == 50).all()
    # 1,000 draws of 50 with a chance of one in 50 each: 1000 on average, 31.3 the deviation
    assert np.abs(counts.sum(axis=0) - 1000).max() < 5 * 31.3
    np.testing.assert_array_equal(counts, intervals.draw(50, 10))
    assert len(intervals.draw(5, 10**9)) == intervals.FEWEST_DRAWS


def test_intervals_by_hand():
    # each video's one action is found or not: the share of found ones among four draws of four
    ground_truth = {f"v{n}": truth((0, 10)) for n in range(4)}
    results = {f"v{n}": [prediction(0, 10, 1)] for n in range(2)}
    scored = metrics.evaluate(annotated(ground_truth), results, "validation")
    value = intervals.measure(scored, np.array([[4, 0, 0, 0], [0, 0, 4, 0], [1, 1, 1, 1], [2, 0, 1, 1]]))
    draws = np.array([1.0, 0.0, 0.5, 0.5])
    expected = np.quantile(draws, [0.025, 0.975])
    assert scored.average_mAP == draws.mean() == 0.5
    assert value["average_mAP"] == pytest.approx(expected)
    assert value["mAP"]["0.50"] == pytest.approx(expected)
    assert value["AP"]["x"] == pytest.approx(expected)
    assert value["proposals"]["AR"]["1"] == pytest.approx(expected)
    assert value["classification"]["top_1"] == pytest.approx(expected)
    assert value["classification"]["mAP"] == pytest.approx(expected)
    assert value["classes"] == {"x": {"actions": 4, "videos": 4}}
    assert (value["rough"], value["videos"], value["draws"]) == (True, 4, 4)


def test_intervals_lie_about_the_figure_and_between_0_and_1():
    # the mean of the draws, 0.75, is moved to the figure, 0.5
    assert intervals.middle(np.array([0.5, 1.0] * 40), 0.5) == [0.25, 0.75]
    assert intervals.middle(np.full((5, 2), np.nan), np.zeros(2)) == [None, None]
    perfect = {f"v{n}": [prediction(0, 10, 1)] for n in range(12)}
    scored = metrics.evaluate(annotated({name: truth((0, 10)) for name in perfect}), perfect, "validation")
    value = intervals.measure(scored)
    assert (value["average_mAP"], value["rough"]) == ([1.0, 1.0], False)


def test_one_video_has_no_interval_and_a_class_of_one_video_neither(capsys):
    scored = metrics.evaluate(annotated({"v": truth((0, 1))}), {"v": [prediction(0, 1, 1)]}, "validation")
    value = intervals.measure(scored)
    assert "average_mAP" not in value and value["videos"] == 1
    assert "no intervals of one video" in metrics.table(scored) and "1 action in 1 video" in metrics.table(scored)
    lines = metrics.table(scored).splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith(("tIoU", "proposals", "videos"))]
    assert len(heads) == 3 and all(len(lines[head]) == len(lines[head + 1]) for head in heads)  # numbers below words
    two = annotated({"v": truth((0, 1)), "w": [*truth((0, 1)), Segment(3, 4, "y")]})
    value = intervals.measure(metrics.evaluate(two, {}, "validation"))
    assert value["AP"] == {"x": [0.0, 0.0], "y": None}


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # runs of one detector on many samples of videos: the figure of all videos lies inside in most of them
    rng, inside, rounds = np.random.default_rng(5), 0, 40

    def sample(count):
        found = {}
        for n in range(count):
            score = rng.random(3)
            starts = np.where(rng.random(3) < score * rng.random(), [0, 20, 40], [10, 30, 50])
            found[f"v{n}"] = [prediction(int(a), int(a) + 8, float(s)) for a, s in zip(starts, score, strict=True)]
        ground_truth = annotated({name: truth((0, 8), (20, 28), (40, 48)) for name in found})
        return metrics.evaluate(ground_truth, found, "validation")

    true = sample(1500).average_mAP
    for _ in range(rounds):
        scored = sample(60)
        low, high = intervals.measure(scored, intervals.draw(60, 10)[:200])["average_mAP"]
        inside += low <= true <= high
    assert 0.85 * rounds <= inside


def two_runs():
    ground_truth = {f"v{n}": [*truth((0, 10)), Segment(20, 30, "y")] for n in range(12)}
    one = {name: [prediction(0, 10, 0.9), prediction(50, 60, 0.8, "y")] for name in ground_truth}
    other = {name: [prediction(0, 10, 0.9), prediction(20, 30, 0.8, "y")] for name in ground_truth}
    other["v3"] = [prediction(70, 80, 0.95)]
    return ground_truth, one, other


def test_two_runs_are_compared_on_the_same_draws():
    ground_truth, one, other = two_runs()
    scored = [metrics.evaluate(annotated(ground_truth), results, "validation") for results in (one, other)]
    value = comparison.compare(*scored)
    AP = value["AP"]
    assert (AP["y"]["one"], AP["y"]["other"]) == (0, pytest.approx(11 / 12))
    assert AP["x"]["one"] == 1 and AP["x"]["difference"] < 0
    assert value["average_mAP"]["difference"] == pytest.approx(scored[1].average_mAP - scored[0].average_mAP)
    assert value["average_mAP"]["interval"][0] > 0 and value["better"] > 0.98
    assert value["videos"]["v3"] == {"one": 0.5, "other": 0.0}
    assert value["videos"]["v0"] == {"one": 0.5, "other": 1.0}
    # the share of the draws is the plain loop's
    weights = intervals.draw(12, 24)
    each = [intervals.average_precisions(run.ranked, weights, 2) for run in scored]
    means = [intervals.over_classes(values).mean(axis=1) for values in each]
    ends = np.quantile(means[1] - means[0], [0.025, 0.975]) - np.mean(means[1] - means[0])
    assert value["average_mAP"]["interval"] == pytest.approx(value["average_mAP"]["difference"] + ends)
    same = comparison.compare(scored[0], scored[0])
    assert (same["better"], same["average_mAP"]["interval"]) == (0.5, [0, 0])
    words = "B is better in 50 % of the draws: the videos do not tell them apart"
    assert words in terminal.comparison(same, ("p", "p")).splitlines()
    with pytest.raises(ValueError, match="of the same annotations"):
        comparison.compare(scored[0], metrics.evaluate(annotated({"v0": truth((0, 1))}), {}, "validation"))


def test_two_videos_have_intervals_and_one_has_not():
    assert terminal.drawn({"videos": 1}) == "; no intervals of one video"
    of_two = {"videos": 2, "level": 0.95, "draws": 1000}
    assert terminal.drawn(of_two) == "; low and high: 95 % of 1,000 draws of the videos"
    scored = [metrics.evaluate(annotated({"v": truth((0, 10))}), {"v": [prediction(0, end, 0.9)]}, "validation")
              for end in (6, 10)]  # fmt: skip
    value = comparison.compare(*scored)
    assert value["average_mAP"] == {"one": pytest.approx(0.3), "other": 1.0, "difference": pytest.approx(0.7),
                                    "interval": None}  # fmt: skip
    assert [one["interval"] for one in (*value["mAP"].values(), value["AP"]["x"])] == [None] * 11
    assert "better" not in value and value["rough"]


def test_what_changed_most_comes_first_in_columns_as_wide_as_the_longest_name():
    ground_truth, one, other = two_runs()
    value = comparison.compare(*(metrics.evaluate(annotated(ground_truth), results, "validation")
                                 for results in (one, other)))  # fmt: skip
    pairs = {"a": (0, 0.25), "a long name": (0.5, 1), "same": (0.5, 0.5), "c": (1, 0.9), "d": (0.8, 0), "e": (0.7, 0.5)}
    pairs |= {"f": (0.5, 0.1), "g": (0.5, 0.2), "h": (0.35, 0.3)}
    value["videos"] = {name: {"one": before, "other": after} for name, (before, after) in pairs.items()}
    lines = terminal.comparison(value, ("p", "q")).splitlines()
    assert len({len(line) for line in lines[3:15]}) == 1 and lines[14].startswith("mAP@0.95 ")
    rows = [line.split()[0] for line in lines[[line.startswith("class ") for line in lines].index(True) :] if line]
    assert rows[1 : 1 + len(value["AP"])] == sorted(value["AP"], key=lambda name: -value["AP"][name]["difference"])
    assert lines[lines.index("of 9 videos with actions, 2 got better, 6 worse") + 1 :] == [
        "  better  a long name    50.00 -> 100.00",
        "  better  a               0.00 -> 25.00",
        "  worse   d    80.00 -> 0.00",
        "  worse   f    50.00 -> 10.00",
        "  worse   g    50.00 -> 20.00",
        "  worse   e    70.00 -> 50.00",
        "  worse   c   100.00 -> 90.00",
    ]


def test_the_command_compares_two_files(tmp_path, capsys):
    ground_truth, one, other = two_runs()
    options = write(tmp_path, ground_truth, one)[:2]
    (tmp_path / "q.json").write_text(json.dumps({"results": other}))
    files = [str(tmp_path / "p.json"), str(tmp_path / "q.json")]
    assert metrics.main([*files, *options]) == 0
    printed = capsys.readouterr().out
    assert "B is better than A beyond the chance of which videos were taken" in printed
    assert "of 12 videos with actions, 11 got better, 1 worse" in printed
    assert ["worse", "v3", "50.00", "->", "0.00"] in [line.split() for line in printed.splitlines()]
    assert metrics.main([*files[::-1], *options]) == 0
    assert "B is worse than A" in capsys.readouterr().out
    assert metrics.main([*files, *options, "--json", "--output", str(tmp_path / "d.json")]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "d.json").read_text())
    assert metrics.main([*files, files[0], *options]) == 2
    assert "one or two files" in capsys.readouterr().err
    assert metrics.main([files[1], *options]) == 0
    assert "average mAP" in capsys.readouterr().out


def test_reliability_by_hand():
    ground_truth = annotated({"v": truth((0, 10), (20, 30))})
    results = [prediction(0, 10, 0.9), prediction(20, 30, 0.95), prediction(50, 60, 0.85), prediction(60, 70, 0.3)]
    value = calibration.reliability(metrics.evaluate(ground_truth, {"v": results}, "validation"))
    assert [(one["above"], one["to"], one["predictions"]) for one in value["bins"]] == [
        (0.2, 0.3, 1), (0.8, 0.9, 2), (0.9, 1.0, 1),
    ]  # fmt: skip
    assert [one["right"] for one in value["bins"]] == [0, 0.5, 1]
    assert [one["score"] for one in value["bins"]] == pytest.approx([0.3, 0.875, 0.95])
    assert value["error"] == pytest.approx((0.3 + 2 * 0.375 + 0.05) / 4)
    assert value["tiou"] == "0.50"


def test_the_calibration_error_has_its_interval(monkeypatch):
    monkeypatch.setattr(intervals, "draw", lambda videos, predictions: np.array([[2, 0], [0, 2]] * 50))
    ground_truth = annotated({"v": truth((0, 1)), "w": truth((0, 1))})
    # v: right at 0.9; w: wrong at 0.6; another video, in every draw once: wrong at 0.3
    results = {"v": [prediction(0, 1, 0.9)], "w": [prediction(5, 6, 0.6)], "elsewhere": [prediction(0, 1, 0.3)]}
    value = calibration.reliability(metrics.evaluate(ground_truth, results, "validation"))
    draws = (2 * 0.1 + 0.3) / 3, (2 * 0.6 + 0.3) / 3
    error, half = (0.1 + 0.6 + 0.3) / 3, (draws[1] - draws[0]) / 2
    assert value["error"] == pytest.approx(error)
    assert value["interval"] == pytest.approx([error - half, error + half])
    alone = metrics.evaluate(annotated({"v": truth((0, 1))}), {"v": [prediction(0, 1, 0.9)]}, "validation")
    assert calibration.reliability(alone)["interval"] is None


def test_scores_beyond_0_to_1_have_no_reliability_and_ambiguous_ones_do_not_count():
    ground_truth = {"v": [*truth((0, 10)), Segment(20, 30, "ambiguous")]}
    high = {"v": [prediction(0, 10, 1.5)]}
    scored = metrics.evaluate(annotated(ground_truth), high, "validation", protocol=PRESETS["thumos14"])
    assert calibration.reliability(scored) is None
    results = {"v": [prediction(0, 10, 1.0), prediction(20, 30, 0.4)]}
    scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=PRESETS["thumos14"])
    assert [one["predictions"] for one in calibration.reliability(scored)["bins"]] == [1]
    assert calibration.reliability(scored)["tiou"] == "0.50"
    alone = {"v": results["v"][1:]}
    scored = metrics.evaluate(annotated(ground_truth), alone, "validation", protocol=PRESETS["thumos14"])
    assert (calibration.reliability(scored)["bins"], calibration.reliability(scored)["error"]) == ([], 0)
    narrow = replace(PRESETS["thumos14"], thresholds=(0.6, 0.7))
    scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=narrow)
    assert calibration.reliability(scored)["tiou"] == "0.60"
    nothing = metrics.evaluate(Annotations("V", annotated({"v": truth((0, 1))}).videos, (), "x"), {}, "validation")
    assert calibration.reliability(nothing) is None
