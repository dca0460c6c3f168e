"""Which videos are worth labelling first, by the scores of a run."""

import json

import numpy as np
import pytest
from labelling_server import action

import predictions_json
from prediction import ranking, score_file


def candidate(name, seconds, *expected):
    return ranking.Candidate(name, np.array([0.0, *expected]), seconds)


def test_what_is_little_known_and_short_comes_first():
    videos = [candidate("known", 9.0, 8, 0), candidate("rare", 9.0, 0, 8), candidate("long", 99.0, 0, 8)]
    ranked = ranking.rank_videos(videos, np.array([0.0, 1000.0, 0.0]), 3)
    assert [video.id for video in ranked] == ["rare", "long", "known"]
    assert ranked[0].classes == (2,)
    # log(1 + 8 / 1) / (9 + 1)
    assert ranked[0].worth == pytest.approx(np.log(9) / 10)


def test_a_choice_makes_its_like_worth_less():
    videos = [candidate("a", 9.0, 8, 0), candidate("a again", 9.0, 8, 0), candidate("b", 9.0, 0, 6)]
    ranked = ranking.rank_videos(videos, np.zeros(3), 2)
    assert [video.id for video in ranked] == ["a", "b"]
    assert ranking.rank_videos([], np.zeros(3), 2) == []


def test_background_is_worth_nothing():
    videos = [ranking.Candidate("empty", np.array([50.0, 0.0]), 9.0), candidate("some", 9.0, 0.1)]
    assert ranking.rank_videos(videos, np.zeros(2), 1)[0].id == "some"


def test_unsure_stretches_come_least_sure_first():
    scores = np.tile([0.9, 0.1], (20, 1))
    scores[5:7] = [0.5, 0.5]
    assert ranking.unsure_spans(scores, np.arange(21.0)) == [(5.0, 7.0)]
    assert ranking.unsure_spans(scores[:1], np.arange(2.0)) == []


def test_unsure_stretches_weigh_by_their_length_and_five_are_told():
    scores = np.tile([0.9, 0.1], (50, 1))
    scores[5:7] = [0.5, 0.5]  # (1 - 0) * 2 frames
    scores[20:23] = [0.7, 0.3]  # (1 - 0.4) * 3
    assert ranking.unsure_spans(scores, np.arange(51.0)) == [(5.0, 7.0), (20.0, 23.0)]
    scores = np.tile([0.9, 0.1], (60, 1))
    scores[5:35:5] = [0.5, 0.5]
    assert [start for start, _ in ranking.unsure_spans(scores, np.arange(61.0))] == [5, 10, 15, 20, 25]


def test_the_terminal_gives_the_same_order(tmp_path, capsys):
    file = tmp_path / "annotations.json"
    database = {"known": {"subset": "training", "duration": 4.0, "annotations": [action(0, 4)]}}
    database["work"] = {"subset": "training", "duration": 4.0, "annotations": [], "labelling": "in work"}
    file.write_text(json.dumps({"database": database}))
    shares = {"known": [0, 1, 0], "work": [0, 1, 0], "new": [0, 0, 1]}
    scores = [(name, np.array([row, row]), np.array([0.0, 2.0, 4.0])) for name, row in shares.items()]
    score_file.write_scores(tmp_path / "run/scores_training.npz", ["background", "jump", "run"], scores)
    paths = (f"data_dir={tmp_path}", "json_data_path=annotations.json", "model_dir=run")
    options = [part for path in paths for part in ("--set", f"paths.{path}")]
    assert predictions_json.main([*options, "--suggest", "5"]) == 0
    assert capsys.readouterr().out.splitlines() == ["  1  new  4 s  run", "  2  work  4 s  jump"]
