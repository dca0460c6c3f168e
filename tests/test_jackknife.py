"""How sure a gain is: the average mAP without each group of videos."""

import pytest
from made_evaluation import annotated, prediction, truth

from training import jackknife


def jackknifed(videos, right):
    ground_truth = annotated({name: truth((0, 10)) for name in videos}, "training")
    found = {name: [prediction(0, 10, 0.25) if name in right else prediction(50, 60, 0.75)] for name in videos}
    return jackknife.jackknifed(ground_truth, videos, found, 3)


def test_each_group_of_videos_is_left_out_once():
    # the wrong one comes first: precision 1/2 at recall 1/2, 2/3 at recall 1
    score = jackknifed("abc", "ab")
    assert score.average_map == pytest.approx(2 / 3 * 2 / 3)
    assert sorted(score.left_out) == pytest.approx([0.25, 0.25, 1])
    # F1 from the right ones' score on, 2 * 2 / (3 + 3), beats that of the wrong one alone
    assert 0 < score.shown_score <= 0.25


def test_many_videos_are_left_out_in_twenty_groups():
    videos = [f"v{number}" for number in range(45)]
    assert len(jackknifed(videos, videos).left_out) == 20
    assert set(jackknifed(videos, videos).left_out) == {1.0}


def test_without_any_action_left_the_figure_is_none():
    score = jackknifed("a", "a")
    assert (score.average_map, score.left_out) == (1.0, (0.0,))
