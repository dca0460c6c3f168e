"""Frame accuracy, edit score and F1 against hand-computed numbers and a plain Levenshtein distance."""

import random

import numpy as np
import pytest

from segmentation_metrics import edit_score, evaluate_segmentation


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
