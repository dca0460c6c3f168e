"""Scores to segments: the original's runs, score levels with interpolated borders, peaks, smoothing and suppression."""

import numpy as np
import pytest

import config
import segments
from prediction import decoding, proposals


def settings(*assignments):
    plain = [
        "predict.method=thresholds", "predict.smoothing=0", "predict.nms=none", "predict.min_seconds=0",
        "predict.min_score=0",
    ]  # fmt: skip
    return config.load(None, plain + [f"predict.{assignment}" for assignment in assignments]).predict


def one_class(scores):
    """[T] scores of class 1 -> [T, 2] with its background."""
    scores = np.asarray(scores, float)
    return np.stack([1 - scores, scores], axis=1)


def test_runs_by_hand():
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.4, 0.6, 0], [0.1, 0.2, 0.7], [0.2, 0.1, 0.7]])
    found = decoding.decode(probabilities, np.arange(6.0), settings("method=runs"))
    assert found.classes.tolist() == [2, 1] or found.classes.tolist() == [1, 2]
    assert sorted(map(tuple, found.segments.tolist())) == [(1.0, 3.0), (3.0, 5.0)]
    np.testing.assert_allclose(found.scores, 0.7)


def test_equal_scores_come_in_the_order_of_time():
    probabilities = one_class([1, 0, 1, 0, 1])
    found = decoding.decode(probabilities, np.arange(6.0), settings("method=runs"))
    assert found.segments[:, 0].tolist() == [0.0, 2.0, 4.0]


def test_of_equal_scores_the_earlier_the_shorter_and_the_lower_class_come_first(monkeypatch):
    spans = np.array([[1.0, 3], [0, 5], [0, 2], [0, 2]])
    found = proposals.Detections(spans, np.array([2, 1, 2, 1]), np.full(4, 0.6))
    monkeypatch.setattr(proposals, "stretches", lambda *_: found)
    ordered = decoding.decode(np.full((6, 3), 0.3), np.arange(7.0), settings("video_labels=0"))
    assert ordered.segments.tolist() == [[0, 2], [0, 2], [0, 5], [1, 3]]
    assert ordered.classes.tolist() == [1, 2, 1, 2]


def test_true_labels_decode_to_their_segments_with_every_method():
    labels = np.array([0, 0, 1, 1, 1, 0, 2, 2, 1, 0])
    boundaries = np.arange(11.0) / 2
    for method in ("runs", "thresholds", "peaks"):
        found = decoding.decode(np.eye(3)[labels], boundaries, settings(f"method={method}", "thresholds=[0.5]"))
        got = sorted(zip(found.classes.tolist(), *found.segments.T.tolist(), strict=True))
        assert got == [(1, 1.0, 2.5), (1, 4.0, 4.5), (2, 3.0, 4.0)]


def test_a_border_lies_where_the_level_is_passed():
    # centres .5 1.5 2.5 3.5; 0.25 is passed a quarter of the way from .5 to 1.5
    found = decoding.decode(one_class([0, 1, 1, 0]), np.arange(5.0), settings("thresholds=[0.25]"))
    np.testing.assert_allclose(found.segments, [[0.75, 3.25]])


def test_stretches_at_the_ends_reach_the_ends():
    found = decoding.decode(one_class([1, 1, 1]), np.array([0.0, 1, 2, 2.4]), settings("thresholds=[0.5]"))
    assert found.segments.tolist() == [[0.0, 2.4]]


def test_a_stretch_that_stands_out_scores_more_than_a_part_of_it():
    found = decoding.decode(one_class([0, 0.9, 0.9, 0.9, 0.9, 0.6, 0.6, 0]), np.arange(9.0),
                            settings("thresholds=[0.5, 0.7]"))  # fmt: skip
    whole, part = (found.scores[np.flatnonzero(np.isclose(np.ptp(found.segments, axis=1), width, atol=0.5))[0]]
                   for width in (6, 4))  # fmt: skip
    assert whole == pytest.approx(0.8) and part == pytest.approx(0.9 - 0.5 * 0.3)


@pytest.mark.parametrize(("context", "around"), [(0.5, (0.4 + 0.2) / 4), (0.25, 0.2 / 2), (0.1, 0.2 / 2)])
def test_surroundings_reach_a_share_of_the_length_and_at_least_one_frame(context, around):
    chosen = settings("thresholds=[0.5]", "contrast=1", f"context={context}")
    found = decoding.decode(one_class([0.4, 0.2, 1, 1, 1, 1, 0, 0]), np.arange(9.0), chosen)
    assert found.scores.tolist() == [pytest.approx(1 - around)]


def test_no_frames_and_no_action_give_no_segments():
    for probabilities in (np.zeros((0, 3)), np.eye(3)[[0, 0, 0]]):
        boundaries = np.arange(len(probabilities) + 1.0)
        for method in ("runs", "thresholds", "peaks", "shots"):
            found = decoding.decode(probabilities, boundaries, settings(f"method={method}"))
            assert found.segments.shape == (0, 2) and found.scores.shape == (0,)


def test_smoothing_keeps_sums_and_constants_and_is_symmetric():
    boundaries = np.arange(22.0) / 4
    constant = np.full((21, 2), 0.5)
    np.testing.assert_allclose(decoding.smooth(constant, boundaries, 0.4), constant)
    peak = one_class(np.arange(21) == 10)
    smooth = decoding.smooth(peak, boundaries, 0.5)  # a frame at four standard deviations counts on both sides
    np.testing.assert_allclose(smooth.sum(axis=1), 1)
    np.testing.assert_allclose(smooth, smooth[::-1])
    # weights exp(-x^2 / 2 s^2) of neighbours a quarter second apart
    assert smooth[11, 1] / smooth[10, 1] == pytest.approx(np.exp(-0.5 * (0.25 / 0.5) ** 2), rel=1e-3)
    assert decoding.smooth(peak, boundaries, 0) is peak
    # intervals of 1 and 3 s, whose centres lie one standard deviation apart
    uneven = decoding.smooth(one_class([1, 0]), np.array([0.0, 1, 4]), 2.0)[:, 1]
    apart = np.exp(-0.5)
    np.testing.assert_allclose(uneven, [1 / (1 + 3 * apart), apart / (apart + 3)])


def detections(spans, scores, classes=None):
    classes = [1] * len(spans) if classes is None else classes
    return decoding.Detections(np.array(spans, float), np.array(classes), np.array(scores, float))


def test_hard_suppression_by_hand():
    found = decoding.suppress(detections([[0, 10], [0, 9], [0, 4], [20, 30]], [0.9, 0.8, 0.7, 0.6]), "hard", 0.5, 0)
    assert found.segments[:, 1].tolist() == [10, 4, 30]
    both = decoding.suppress(detections([[0, 10], [0, 10]], [0.9, 0.8], [1, 2]), "hard", 0.5, 0)
    assert len(both.scores) == 2  # of different classes
    assert len(decoding.suppress(detections([[0, 10], [0, 5]], [0.9, 0.8]), "hard", 0.5, 0).scores) == 2  # 0.5 itself


def test_soft_suppression_by_hand():
    found = decoding.suppress(detections([[0, 10], [0, 5], [50, 60]], [0.9, 0.8, 0.5]), "soft", 0.5, 0.01)
    # tIoU 0.5: 0.8 exp(-0.25 / 0.5) = 0.485, now below 0.5
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.8 * np.exp(-0.5)])
    gone = decoding.suppress(detections([[0, 10], [0, 10]], [0.9, 0.05]), "soft", 0.5, 0.01)
    assert len(gone.scores) == 1


def test_short_weak_and_surplus_segments_are_left_out():
    probabilities = one_class([0.9, 0, 0.3, 0.3, 0, 0.8, 0.8, 0, 0.7, 0.7])
    chosen = settings("thresholds=[0.2]", "min_seconds=1.5", "min_score=0.4", "max_segments=1")
    found = decoding.decode(probabilities, np.arange(11.0), chosen)
    assert len(found.scores) == 1
    assert found.scores[0] == pytest.approx(0.8)
    assert segments.tiou(found.segments, [[5, 7]])[0, 0] > 0.6


def test_stretches_with_a_short_gap_are_also_joined():
    scores = one_class([0, 1, 1, 0, 1, 0, 0, 0, 1, 0])
    plain = decoding.decode(scores, np.arange(11.0), settings("thresholds=[0.5]"))
    joined = decoding.decode(scores, np.arange(11.0), settings("thresholds=[0.5]", "gap_seconds=1"))
    assert sorted(map(tuple, plain.segments.tolist())) == [(1, 3), (4, 5), (8, 9)]
    assert sorted(map(tuple, joined.segments.tolist())) == [(1, 3), (1, 5), (4, 5), (8, 9)]
    three = decoding.decode(scores, np.arange(11.0), settings("thresholds=[0.5]", "gap_seconds=3"))
    assert (1, 9) in set(map(tuple, three.segments.tolist())) and len(three.scores) == 4


def test_gaps_are_not_joined_across_classes():
    labels = np.array([0, 1, 0, 2, 0, 2, 0, 1])
    found = decoding.decode(np.eye(3)[labels], np.arange(9.0), settings("thresholds=[0.5]", "gap_seconds=2"))
    assert sorted(map(tuple, found.segments.tolist())) == [(1, 2), (3, 4), (3, 6), (5, 6), (7, 8)]


def by_span(found):
    return dict(zip(map(tuple, found.segments.tolist()), found.scores.tolist(), strict=True))


SHOTS = ("method=shots", "nms=none", "min_score=0", "smoothing=0")


def test_rows_of_shots_score_the_share_of_thresholds_they_are_expected_to_reach():
    cuts = np.array([False, False, True, False, True, False])
    scores = one_class([0.5, 0.5, 0.6, 1.0, 0.1, 0.1])  # shots of 2 s that show it with 0.5, 0.8, 0.1
    found = by_span(decoding.decode(scores, np.arange(7.0), settings(*SHOTS), cuts))
    likely = {
        (0, 2): 0.5 * 0.2, (2, 4): 0.5 * 0.8 * 0.9, (4, 6): 0.2 * 0.1,
        (0, 4): 0.5 * 0.8 * 0.9, (2, 6): 0.5 * 0.8 * 0.1, (0, 6): 0.5 * 0.8 * 0.1,
    }  # fmt: skip
    assert found.keys() == likely.keys()
    # tIoU of one shot with two: 1/2, reaches one threshold of ten; of two with three: 2/3, reaches four
    assert found[(2, 4)] == pytest.approx(likely[2, 4] + 0.1 * (likely[0, 4] + likely[2, 6]))
    assert found[(0, 4)] == pytest.approx(likely[0, 4] + 0.1 * (likely[0, 2] + likely[2, 4]) + 0.4 * likely[0, 6])
    assert max(found, key=found.get) == (0, 4)
    short = by_span(decoding.decode(scores, np.arange(7.0), settings(*SHOTS, "max_shots=1"), cuts))
    assert short.keys() == {(0, 2), (2, 4), (4, 6)} and short[(2, 4)] == pytest.approx(likely[2, 4])
    sure, each = one_class(np.ones(10)), np.ones(10, bool)  # ten shots that are one action for certain
    assert not by_span(decoding.decode(sure, np.arange(11.0), settings(*SHOTS, "max_shots=9"), each))
    assert by_span(decoding.decode(sure, np.arange(11.0), settings(*SHOTS, "max_shots=0"), each)) == {
        (0, 10): pytest.approx(1)
    }


def test_rows_of_shots_of_several_classes_of_uneven_frames_and_without_cuts():
    boundaries = np.array([0.0, 1, 4, 5])
    scores = np.array([[0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.1, 0.0, 0.9]])
    found = decoding.decode(scores, boundaries, settings(*SHOTS), np.array([False, False, True]))
    # the first shot's mean over time: (1 * 0.8 + 3 * 0.4) / 4
    assert by_span(found) == {(0, 4): pytest.approx(0.5), (4, 5): pytest.approx(0.9)}
    assert found.classes.tolist() == [2, 1]
    whole = decoding.decode(scores, boundaries, settings(*SHOTS), None)
    assert by_span(whole.take(whole.classes == 1)) == {(0, 5): pytest.approx(0.4)}


def test_many_rows_of_shots_are_compared_in_parts(monkeypatch):
    random = np.random.default_rng(0)
    scores, cuts = one_class(random.uniform(0.2, 0.8, 30)), random.random(30) < 0.5
    whole = decoding.decode(scores, np.arange(31.0), settings(*SHOTS), cuts)
    monkeypatch.setattr(proposals, "PAIRS_AT_ONCE", 1)
    parts = decoding.decode(scores, np.arange(31.0), settings(*SHOTS), cuts)
    assert len(whole.scores) > 20
    np.testing.assert_allclose(parts.scores, whole.scores)


def test_scores_move_towards_their_mean_over_the_shot():
    cuts = np.array([False, False, True, False])
    boundaries = np.array([0.0, 1, 2, 3, 6])
    scores = one_class([0.2, 0.4, 1.0, 0.0])
    half = decoding.refine(scores, boundaries, settings("shot_smoothing=0.5"), cuts)
    np.testing.assert_allclose(half[:, 1], [0.25, 0.35, 0.625, 0.125])  # means 0.3 and (1 * 1 + 0 * 3) / 4
    np.testing.assert_allclose(half.sum(axis=1), 1)
    np.testing.assert_array_equal(decoding.refine(scores, boundaries, settings("shot_smoothing=0.5"), None), scores)


def test_a_median_takes_single_frames_out():
    scores = one_class([0, 0, 1, 0, 0, 1, 1, 1])
    found = decoding.refine(scores, np.arange(9.0), settings("smoothing=1", "smoothing_filter=median"))
    np.testing.assert_allclose(found[:, 1], [0, 0, 0, 0, 0, 1, 1, 1])


def test_the_best_classes_of_a_video_are_kept_and_weigh():
    scores = np.zeros((10, 4))
    scores[2:6, 1], scores[6:8, 2], scores[8, 3] = 0.8, 0.8, 0.8
    scores[:, 0] = 1 - scores.sum(axis=1)
    found = decoding.decode(scores, np.arange(11.0), settings("thresholds=[0.5]", "contrast=0", "video_labels=2"))
    # class 3 is the third; class 2 is seen half as long as class 1
    assert found.classes.tolist() == [1, 2]
    np.testing.assert_allclose(found.scores, [0.8, 0.4])
    top = decoding.decode(
        scores, np.arange(11.0), settings("thresholds=[0.5]", "contrast=0", "video_labels=3", "video_pooling=0.1")
    )
    np.testing.assert_allclose(top.scores, 0.8)  # the best frame of each class is as good


def test_each_class_has_its_shortest_length():
    labels = np.array([0, 1, 1, 0, 2, 2, 0])
    # a quarter of class 1's are shorter than 1.5 s, three quarters than 5.5; of class 2's than 3 and 4.25
    lengths = np.array([[0, 0, 0], [1, 2, 9], [2, 4, 4.5]])
    chosen = settings("thresholds=[0.5]", "min_seconds_quantile=0.25")
    found = decoding.decode(np.eye(3)[labels], np.arange(8.0), chosen, None, lengths)
    assert found.classes.tolist() == [1]
    everything = decoding.decode(np.eye(3)[labels], np.arange(8.0), settings("thresholds=[0.5]"), None, lengths + 9)
    assert len(everything.scores) == 2  # without the setting the shortest training segment is no limit


PEAKS = ("method=peaks", "length_weight=0")
# of the logarithms of class 1's training lengths: mean 1, variance 1; class 2 has none
LENGTHS = np.array([[0, 0], [1, np.e**2], [0, 0]])


def test_a_peak_scores_the_share_of_thresholds_its_likely_segments_reach():
    # levels are passed at 1 and 2 before the peak and at 4 and 8 behind it: four segments, each with 0.8 / 4
    centres = np.arange(1, 20) / 2
    scores = np.interp(centres, [0, 1, 2, 3, 4, 8, 9, 10], [0, 0.2, 0.6, 0.8, 0.6, 0.2, 0, 0])
    found = decoding.decode(one_class(scores), np.arange(20) / 2 + 0.25, settings(*PEAKS, "thresholds=[0.2, 0.6]"))
    # of (1, 4), (1, 8), (2, 4), (2, 8) with each other
    overlaps = [[1, 3 / 7, 2 / 3, 2 / 7], [3 / 7, 1, 2 / 7, 6 / 7], [2 / 3, 2 / 7, 1, 1 / 3], [2 / 7, 6 / 7, 1 / 3, 1]]
    shares = [sum(sum(tiou >= level for level in np.arange(50, 100, 5) / 100) for tiou in row) / 10 for row in overlaps]
    assert shares == [1.4, 1.8, 1.4, 1.8]
    # (1, 8) and (2, 8) are nearly one
    got = sorted(zip(*found.segments.T, found.scores, strict=True))
    np.testing.assert_allclose(got, [(1, 4, 0.2 * 1.4), (1, 8, 0.2 * 1.8), (2, 4, 0.2 * 1.4)])


def test_the_likeliest_segment_has_a_usual_length():
    scores = np.interp(np.arange(40) / 4 + 0.125, [0, 4, 6, 10], [0, 1, 1, 0])
    levels = "thresholds=[0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]"
    lengths = [
        np.ptp(decoding.decode(one_class(scores), np.arange(41) / 4, settings("method=peaks", f"length_weight={weight}",
               levels), None, np.array([[0, 0], [usual, usual * 1.1]])).segments[0])
        for weight, usual in ((0, 3), (0.5, 3), (0.5, 9))
    ]  # fmt: skip
    assert lengths[0] == pytest.approx(6, abs=0.7) and lengths[1] < 4 and lengths[2] > 8


def test_unusual_lengths_score_less_and_unknown_ones_as_they_are():
    chosen = settings("method=peaks", "length_weight=0.5", "thresholds=[0.5]")
    found = decoding.decode(np.eye(3)[[0, 0, 1, 1, 0, 2, 2]], np.arange(8.0), chosen, None, LENGTHS)
    assert by_span(found) == {
        (2, 4): pytest.approx(np.exp(-0.25 * (np.log(2) - 1) ** 2) ** proposals.LENGTH_EVIDENCE), (5, 7): 1,
    }  # fmt: skip
    nothing_known = decoding.decode(np.eye(3)[[0, 1, 1, 0]], np.arange(5.0), chosen)
    assert by_span(nothing_known) == {(1, 3): 1}


def peaks_one_by_one(row, boundaries, levels):
    """The segments about the peaks of one class's scores and their scores, by recursion, without lengths."""
    centres = (boundaries[1:] + boundaries[:-1]) / 2

    def passed(before, after, level):
        if before < 0 or after == len(row):
            return boundaries[after]
        share = (level - row[before]) / (row[after] - row[before])
        return centres[before] + share * (centres[after] - centres[before])

    def climb(first, past, number, starts, ends):
        inside = [number < len(levels) and value >= levels[number] for value in row[first:past]] + [False]
        higher, start = [], None
        for frame, above in enumerate(inside, start=first):
            if above and start is None:
                start = frame
            if not above and start is not None:
                higher.append((start, frame))
                start = None
        if not higher and starts:
            yield starts, ends, max(row[first:past])
        for a, b in higher:
            level = levels[number]
            yield from climb(a, b, number + 1, [*starts, passed(a - 1, a, level)], [*ends, passed(b - 1, b, level)])

    for starts, ends, height in climb(0, len(row), 0, [], []):
        spans = [(start, end) for start in starts for end in ends]
        each = {}
        for span in spans:
            overlaps = segments.tiou([span], spans)[0]
            each[span] = sum((level <= overlaps + 1e-9).mean() for level in np.arange(50, 100, 5) / 100) / 10 * height
        for _ in range(5):
            if each:
                best = max(each, key=each.get)
                yield best, each[best]
                each = {span: value for span, value in each.items() if segments.tiou([span], [best])[0, 0] <= 0.8}


@pytest.mark.parametrize("at_once", [4_000_000, 1])
def test_peaks_are_as_found_one_by_one(monkeypatch, at_once):
    monkeypatch.setattr(proposals, "PAIRS_AT_ONCE", at_once)
    random = np.random.default_rng(5)
    levels = (0.12, 0.37, 0.52, 0.81)
    boundaries = np.concatenate([[0], np.cumsum(random.uniform(0.5, 1.5, 60))])
    scores = np.abs(np.convolve(random.normal(0, 0.6, 62), np.ones(3) / 3, "valid")).clip(0, 0.95)
    both = np.stack([1 - scores / 2, scores / 4, scores / 4], axis=1)
    both[:, 1], both[:, 2] = scores, scores[::-1]
    found = decoding.decode(both, boundaries, settings(*PEAKS, f"thresholds={list(levels)}", "max_segments=1000"))
    for label, row in ((1, scores), (2, scores[::-1])):
        expected = sorted((*span, value) for span, value in peaks_one_by_one(row, boundaries, levels))
        of_class = found.classes == label
        got = sorted(zip(*found.segments[of_class].T, found.scores[of_class], strict=True))
        assert len(got) == len(expected) > 20
        np.testing.assert_allclose(got, expected)


def test_a_video_without_frames_has_no_segments():
    methods = ("method=runs", "method=shots", "method=peaks")
    for assignment in (*methods, "video_labels=1", "shot_smoothing=1", "gap_seconds=1"):
        found = decoding.decode(np.zeros((0, 3)), np.zeros(1), settings(assignment), np.zeros(0, bool))
        assert len(found.scores) == 0
