"""Geometry of time: hand-computed boundaries, labels, runs and overlaps, and the way there and back."""

import numpy as np
import pytest
from label_segments import labels_to_segments

import segments


def test_boundaries_are_midpoints_between_zero_and_the_end():
    assert segments.frame_boundaries([0.0, 0.24, 0.48], 0.6).tolist() == [0.0, 0.12, 0.36, 0.6]


def test_boundaries_of_centres_are_the_exact_edges_of_their_cells():
    centres = (np.arange(300) + 0.5) / 10
    assert segments.frame_boundaries(centres, 30.0).tolist() == [round(i / 10, 1) for i in range(301)]


def test_boundaries_of_nothing_and_of_one_frame():
    assert segments.frame_boundaries([], 0).tolist() == [0.0]
    assert segments.frame_boundaries([0.0], 2.0).tolist() == [0.0, 2.0]


def test_the_end_is_never_before_the_last_frame():
    assert segments.frame_boundaries([0.0, 1.0], 0.8)[-1] == 1.0


def test_centres_are_the_middles_of_the_intervals():
    assert segments.frame_centres(np.array([0.0, 0.5, 1.5, 2.0])).tolist() == [0.25, 1.0, 1.75]
    assert segments.frame_centres(np.zeros(1)).tolist() == []


def test_the_grid_of_a_rate_holds_the_times_before_the_end():
    assert segments.rate_grid(2.0, 2.0).tolist() == [0.0, 0.5, 1.0, 1.5]  # 2.0 is the end, and not shown
    assert segments.rate_grid(1.6, 2.0).tolist() == [0.0, 0.5, 1.0, 1.5]
    assert segments.rate_grid(0.1, 2.0).tolist() == [0.0]
    assert segments.rate_grid(0.0, 2.0).tolist() == []


def test_a_grid_like_another_has_its_frames_a_second():
    # 8 frames in 4 s are one each 0.5 s; 1.3 s have room for 2.6 of them, 1.2 s for 2.4
    assert segments.grid_like(1.3, 8, 4.0).tolist() == [0.0, 0.5, 1.0]
    assert segments.grid_like(1.2, 8, 4.0).tolist() == [0.0, 0.5]
    assert segments.grid_like(0.0, 8, 4.0).tolist() == []


def test_rows_of_a_rate_are_shown_at_their_centres():
    centres, end = segments.rows_at_rate(3, 2.0)
    assert (centres.tolist(), end) == ([0.25, 0.75, 1.25], 1.5)
    assert segments.frame_boundaries(centres, end).tolist() == [0.0, 0.5, 1.0, 1.5]


def test_what_is_painted_last_is_on_top():
    times = np.arange(4.0)
    assert segments.paint(times, [[0, 3], [1, 2]], [1, 2]).tolist() == [1, 2, 1, 0]
    assert segments.paint(times, [[1, 2], [0, 3]], [2, 1]).tolist() == [1, 1, 1, 0]
    assert segments.paint(times, [], []).tolist() == [0, 0, 0, 0]


def test_a_video_ends_at_its_duration_or_with_its_last_frame():
    assert segments.video_end(np.array([0.0, 1.0]), 1.5) == 1.5
    assert segments.video_end(np.array([0.0, 1.0]), 0.8) == 1.0


def test_where_frames_alone_are_known_a_video_ends_half_a_frame_after_the_last():
    assert segments.end_by_times(np.array([0.0, 1.0, 3.0])).tolist() == [4.0]
    assert segments.end_by_times(np.array([2.0])).tolist() == [2.0]


def test_equal_parts_have_middles():
    assert segments.middles_of_parts(4, 6.0).tolist() == [0.75, 2.25, 3.75, 5.25]


def test_numbers_of_frames_and_seconds():
    # both frames are shown whole
    assert segments.seconds_of_frames(10, 14, 5) == (2.0, 3.0)
    assert segments.seconds_of_frames(1, 1, 4, zero=1) == (0.0, 0.25)
    assert [segments.nearest_frame(second, 10) for second in (-1.0, 0.04, 0.06, 2.0)] == [0, 0, 1, 20]


def test_labels_are_half_open():
    labels = segments.frame_labels([0.0, 1.0, 2.0, 3.0], [[1.0, 3.0]], [4])
    assert labels.tolist() == [0, 4, 4, 0]
    assert labels.dtype == np.int32


def test_the_shortest_segment_wins_and_of_equal_ones_the_first():
    times = np.arange(6.0)
    assert segments.frame_labels(times, [[2, 4], [0, 6]], [1, 2]).tolist() == [2, 2, 1, 1, 2, 2]
    assert segments.frame_labels(times, [[0, 6], [2, 4]], [2, 1]).tolist() == [2, 2, 1, 1, 2, 2]
    assert segments.frame_labels(times, [[0, 2], [1, 3]], [1, 2]).tolist() == [1, 1, 2, 0, 0, 0]


def test_labels_without_segments_or_of_zero_length_are_background():
    assert segments.frame_labels([0.0, 1.0], np.zeros((0, 2)), []).tolist() == [0, 0]
    assert segments.frame_labels([0.0, 1.0], [[1.0, 1.0]], [3]).tolist() == [0, 0]


def test_the_last_run_becomes_a_segment():
    spans, classes = labels_to_segments([0, 2, 2, 1], np.array([0.0, 0.5, 1.5, 2.5, 3.0]))
    assert spans.tolist() == [[0.5, 2.5], [2.5, 3.0]]
    assert classes.tolist() == [2, 1]


@pytest.mark.parametrize("labels", [[], [0], [0, 0, 0]])
def test_background_gives_no_segment(labels):
    spans, classes = labels_to_segments(labels, np.arange(len(labels) + 1.0))
    assert spans.shape == (0, 2) and classes.shape == (0,)


def test_labels_survive_the_way_to_seconds_and_back():
    random = np.random.default_rng(0)
    for frames in (1, 2, 7, 100):
        times = np.cumsum(random.uniform(0.05, 0.5, frames)) - 0.05
        boundaries = segments.frame_boundaries(times, times[-1] + 0.2)
        labels = random.integers(0, 3, frames)
        spans, classes = labels_to_segments(labels, boundaries)
        assert segments.frame_labels(times, spans, classes).tolist() == labels.tolist()


def test_tiou_by_hand():
    found = segments.tiou([[0, 2], [1, 1]], [[1, 3], [0, 2], [5, 6], [1, 1]])
    assert found[0].tolist() == [1 / 3, 1.0, 0.0, 0.0]
    assert found[1, :3].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(found[1, 3])
    assert segments.tiou(np.zeros((0, 2)), [[0, 1]]).shape == (0, 1)


def test_a_frame_may_show_several_classes():
    times = np.arange(5.0)
    # from its start on, and before its end
    targets = segments.frame_targets(times, np.array([[1, 3], [2, 4.5]]), np.array([1, 2]), 3)
    assert targets.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert segments.frame_targets(times, np.zeros((0, 2)), np.zeros(0, int), 3)[:, 0].tolist() == [1] * 5


def test_spans_that_overlap_stand_in_rows_of_their_own():
    assert segments.lanes([]) == []
    # (1, 3) begins where (0, 1) ends; (2, 4) has to go below; (3, 5) fits into the first row again
    assert segments.lanes([(2, 4), (0, 1), (3, 5), (1, 3)]) == [[1, 3, 2], [0]]
