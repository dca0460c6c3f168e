"""The sample set in which legs and arms act on their own: what overlaps, for how long, and how it looks."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from test_sample_videos import timeline_of

import sample_videos
from sample.film import film
from sample.motion import pose_track
from sample.timeline import FPS, LASTS, LONG, LONG_KINDS, SHORT, TAXONOMY, plan_timeline

ARMS = ("Clapping", "Raising the arms", "Lowering the arms")


@pytest.fixture(scope="module")
def overlapping_set(tmp_path_factory):
    """The database of the set with two actions at once, whose videos are not drawn."""
    folder = tmp_path_factory.mktemp("overlapping")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_videos, "_draw_all", lambda plans, workers: None)
        path = sample_videos.draw_sample_set(folder, overlapping=True)
    return json.loads(path.read_text())["database"]


@pytest.mark.parametrize("subset", sample_videos.VIDEOS)
def test_two_actions_at_once_take_a_third_of_the_time_with_actions(overlapping_set, subset):
    at_once, kinds = Counter(), list(TAXONOMY)
    for entry in overlapping_set.values():
        frames = np.zeros((round(entry["duration"] * FPS), len(TAXONOMY)), int)
        for annotation in entry["annotations"]:
            start, stop = (round(second * FPS) for second in annotation["segment"])
            frames[start:stop, kinds.index(annotation["label"])] += 1
        assert frames.max() == 1  # nobody does one action twice at once
        for frame in np.unique(frames[frames.sum(axis=1) > 1], axis=0):
            legs, arms = (kinds[number] for number in sorted(np.flatnonzero(frame), key=lambda n: kinds[n] in ARMS))
            assert arms in ARMS and legs in ("Kicking", "Sitting down", "Standing up")
            assert arms == "Clapping" or legs != "Kicking"
        if entry["subset"] == subset:
            at_once.update(frames.sum(axis=1).tolist())
    assert at_once[2] / (at_once[1] + at_once[2]) >= 1 / 3


def test_long_actions_have_short_ones_inside_and_over_their_ends(overlapping_set):
    inside = over = 0
    for name, entry in overlapping_set.items():
        spans = [(*annotation["segment"], annotation["label"]) for annotation in entry["annotations"]]
        starts = [start for start, _, _ in spans]
        assert starts == sorted(starts) and starts[0] >= 0, name
        assert max(end for _, end, _ in spans) <= entry["duration"], name
        for start, end, label in spans:
            shortest, longest = LASTS[label][:2]
            others = [span for span in spans if span[2] != label and span[0] < end and span[1] > start]
            if end - start >= LONG[0] - 0.04:
                assert label in LONG_KINDS and end - start <= LONG[1] + 0.04 and len(others) >= 2, name
                assert all(SHORT[0] - 0.04 <= stop - begin <= SHORT[1] + 0.04 for begin, stop, _ in others), name
                within = sum(begin >= start and stop <= end for begin, stop, _ in others)
                inside, over = inside + within, over + len(others) - within
            elif others:
                assert [stop - begin >= LONG[0] - 0.04 for begin, stop, _ in others] == [True], name
            else:
                assert shortest - 0.04 <= end - start <= longest + 0.04, name
    assert over > 0.2 * inside > 20


def test_who_claps_while_kicking_has_the_legs_of_one_and_the_arms_of_the_other():
    kicking, clapping = timeline_of("Kicking", 50), timeline_of("Clapping", 50)
    both = replace(kicking, beside=clapping.stretches)
    assert [action.kind for action in both.actions] == ["Kicking", "Clapping"]
    kick, clap, pose = (pose_track(timeline) for timeline in (kicking, clapping, both))
    middle = slice(6, 44)  # where the arms have come up to clap, and are not yet on the way back
    for name in pose:
        expected = clap if "upper" in name or "fore_" in name else kick
        np.testing.assert_allclose(pose[name][middle], expected[name][middle], atol=1e-12, err_msg=name)
    pictures = [
        list(film(timeline, np.random.default_rng(0)))[12].astype(int) for timeline in (kicking, clapping, both)
    ]
    for alone in pictures[:2]:
        assert (np.abs(pictures[2] - alone).max(axis=-1) > 40).sum() > 200  # pixels


def test_who_sits_down_while_clapping_has_the_arms_of_one_and_the_seat_of_the_other():
    clapping, sitting = timeline_of("Clapping", 50), timeline_of("Sitting down", 50)
    both = replace(clapping, beside=sitting.stretches)
    clap, sit, pose = (pose_track(timeline) for timeline in (clapping, sitting, both))
    middle = slice(6, 44)
    for name in pose:
        expected = clap if "upper" in name or "fore_" in name else sit
        np.testing.assert_allclose(pose[name][middle], expected[name][middle], atol=1e-12, err_msg=name)
    assert np.ptp(pose["pelvis_drop"][middle]) > 0.1


def test_with_overlaps_nobody_sits_beside_the_chair_or_walks_with_raised_arms():
    for number in range(60):
        timeline = plan_timeline(np.random.default_rng(number), {}, overlapping=True)
        spot, seated, raised = timeline.start, timeline.seated, timeline.raised
        for action in sorted((*timeline.stretches, *timeline.beside), key=lambda stretch: stretch.start):
            if action.kind == "Walking":
                assert not seated and not raised
                spot = action.spot
            if action.kind in ("Sitting down", "Standing up"):
                assert spot == timeline.chair and seated == (action.kind == "Standing up")
                seated = not seated
            if action.kind in ("Raising the arms", "Lowering the arms"):
                assert raised == (action.kind == "Lowering the arms")
                raised = not raised


def test_a_set_with_two_actions_at_once_is_drawn_anew_and_the_script_asks_for_it(tmp_path, monkeypatch, capsys):
    plain, both = (
        sample_videos._plan_subset(tmp_path, 0, "testing", 1, overlapping)[0] for overlapping in (False, True)
    )
    assert plain.path == both.path and plain.origin != both.origin
    assert not plain.timeline.beside
    monkeypatch.setattr(sample_videos, "VIDEOS", {"testing": 3})
    monkeypatch.setattr(sample_videos, "_draw_all", lambda plans, workers: None)
    assert sample_videos.main(["--overlapping", "--output", str(tmp_path)]) == 0
    database = json.loads((tmp_path / "annotations.json").read_text())["database"].values()
    spans = [sorted(a["segment"] for a in entry["annotations"]) for entry in database]
    assert any(before[1] > after[0] for some in spans for before, after in pairwise(some))
