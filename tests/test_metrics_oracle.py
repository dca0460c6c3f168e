"""The evaluation equals a slow oracle, one loop a sentence, that was written from the words of the protocol."""

import itertools
import json
import random

import numpy as np
import pytest
from made_evaluation import annotated, prediction, truth

import annotations
import metrics
from evaluation.predictions import load_predictions
from segments import Segment


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
        curve, area = oracle_recall(ground_truth, results, metrics.THRESHOLDS)
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


def test_every_order_of_videos_gives_the_same_numbers():
    ground_truth, results = draw(random.Random(3), True)
    expected = metrics.to_json(metrics.evaluate(annotated(ground_truth), results, "validation"))
    for names in itertools.islice(itertools.permutations(results), 0, None, 23):
        shuffled = {name: results[name] for name in names}
        assert metrics.to_json(metrics.evaluate(annotated(ground_truth), shuffled, "validation")) == expected


def test_files_in_the_official_layout_give_the_official_numbers(tmp_path):
    """Two classes of two videos of the subset; a prediction for a video of another one is wrong."""

    def video(subset, *actions):
        annotated = [{"segment": segment, "label": label} for label, segment in actions]
        return {"subset": subset, "duration": 40.0, "url": "", "resolution": "8x8", "annotations": annotated}

    database = {
        "a": video("validation", ("jump", [0.0, 10.0]), ("run", [20.0, 30.0])),
        "b": video("validation", ("jump", [0.0, 10.0])),
        "c": video("training", ("jump", [0.0, 10.0]), ("sing", [20.0, 30.0])),
    }
    results = {
        "b": [prediction(0, 7.7, 0.8, "jump")],
        "a": [prediction(20, 30, 0.6, "run"), prediction(20, 26.2, 0.7, "run"), prediction(0, 10, 0.9, "jump")],
        "c": [prediction(0, 10, 0.85, "jump")],
    }
    (tmp_path / "gt.json").write_text(json.dumps({"version": "VERSION 1.3", "taxonomy": [], "database": database}))
    external = {"used": False, "details": ""}
    (tmp_path / "result.json").write_text(
        json.dumps({"version": "VERSION 1.3", "external_data": external, "results": results})
    )
    ground_truth = annotations.load(tmp_path / "gt.json")
    scored = metrics.evaluate(ground_truth, load_predictions(tmp_path / "result.json"), "validation")
    # jump: right, wrong, right up to 0.77; run: right and surplus up to 0.62, then wrong and right
    jump, run = [5 / 6] * 6 + [1 / 2] * 4, [1.0] * 3 + [1 / 2] * 7
    np.testing.assert_allclose(scored.mAP, np.mean([jump, run], axis=0), rtol=0, atol=1e-12)
    assert scored.average_mAP == pytest.approx(0.675, abs=1e-12)
    truths = {name: truth_of(database[name]) for name in ("a", "b")}
    oracle = [[oracle_ap(truths, results, label, level) for level in np.linspace(0.5, 0.95, 10)]
              for label in ("jump", "run")]  # fmt: skip
    np.testing.assert_allclose(oracle, [jump, run], rtol=0, atol=1e-12)


def truth_of(video):
    return [Segment(*one["segment"], one["label"]) for one in video["annotations"]]
