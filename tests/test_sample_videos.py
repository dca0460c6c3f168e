"""The sample set: the same seed gives the same bytes, real H.264 files, annotations that fit what is drawn."""

import json
import shutil
from collections import Counter
from itertools import pairwise

import av
import numpy as np
import pytest

import annotations
import sample_videos
from sample.motion import add_idle_motion, ease, pose_track
from sample.timeline import FPS, LASTS, MIRRORED, TAXONOMY, Spot, Stretch, Timeline, plan_timeline


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    sample_videos.draw_sample_set(folder, videos={"training": 1, "testing": 1}, workers=1)
    return folder


@pytest.fixture(scope="module")
def default_set(tmp_path_factory):
    """The annotations of the default set, whose videos are not drawn."""
    folder = tmp_path_factory.mktemp("default")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_videos, "_draw_all", lambda plans, workers: None)
        return sample_videos.draw_sample_set(folder)


def timeline_of(kind, frames, seated=False, raised=False):
    spot = Spot(0.1, 0.7)
    return Timeline(140.0, spot, spot, seated, raised, (Stretch(kind, 0, frames, side="left", repeats=2),))


def test_the_same_seed_gives_the_same_bytes(small_set, tmp_path):
    sample_videos.draw_sample_set(tmp_path, videos={"testing": 1, "training": 1}, workers=2)
    again, first = contents(tmp_path), contents(small_set)
    assert again.keys() == first.keys() and len(first) == 3
    assert all(again[name] == first[name] for name in first if name.endswith(".mp4"))
    assert json.loads(again["annotations.json"]) == json.loads(first["annotations.json"])


def test_files_are_h264_that_starts_before_it_is_loaded(small_set):
    database = json.loads((small_set / "annotations.json").read_text())["database"]
    path = small_set / "videos/training/sample_training_00.mp4"
    data = path.read_bytes()
    assert data[4:8] == b"ftyp" and 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 25)
        assert len(container.streams) == 1
        frames = list(container.decode(stream))
    assert {(frame.width, frame.height) for frame in frames} == {(320, 240)}
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(len(frames)) / 25, atol=1e-9)
    assert database["sample_training_00"]["duration"] == len(frames) / 25
    keys = [number for number, frame in enumerate(frames) if frame.key_frame]
    assert keys[0] == 0 and max(b - a for a, b in pairwise([*keys, len(frames)])) <= 50
    assert sample_videos.HEIGHT == 240 and database["sample_training_00"]["resolution"] == "320x240"


def test_the_picture_moves_in_an_action_and_nothing_is_plain(small_set):
    entry = json.loads((small_set / "annotations.json").read_text())["database"]["sample_training_00"]
    with av.open(str(small_set / "videos/training/sample_training_00.mp4")) as container:
        grey = [frame.to_ndarray(format="gray").astype(float) for frame in container.decode(video=0)]
    assert all(frame.std() > 15 for frame in grey)
    for annotation in entry["annotations"]:
        start, stop = (round(second * FPS) for second in annotation["segment"])
        assert np.abs(grey[(start + stop) // 2] - grey[start]).max() > 40, annotation


def test_a_rerun_draws_only_what_is_missing_cut_or_of_another_seed(small_set, tmp_path):
    folder, videos = tmp_path / "set", {"training": 1, "testing": 1}
    shutil.copytree(small_set, folder)
    drawn = []

    def draw(plan):
        drawn.append(plan.id)
        original(plan)

    original = sample_videos._draw
    first = contents(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_videos, "_draw", draw)
        sample_videos.draw_sample_set(folder, videos=videos, workers=1)
        assert drawn == [] and contents(folder) == first

        path = folder / "videos/training/sample_training_00.mp4"
        path.write_bytes(path.read_bytes()[:-1])
        (path.parent / ".sample_training_00.x.part.mp4").write_bytes(b"left by a kill")
        sample_videos.draw_sample_set(folder, videos=videos, workers=1)
        assert drawn == ["sample_training_00"] and contents(folder) == first

        (folder / "videos/testing/sample_testing_00.mp4").write_text("no video")
        patch.setattr(sample_videos, "_draw", lambda plan: drawn.append(plan.id))
        sample_videos.draw_sample_set(folder, videos=videos, workers=1)
        assert drawn[1:] == ["sample_testing_00"]
        sample_videos.draw_sample_set(folder, seed=1, videos={"training": 1}, workers=1)
        assert drawn[2:] == ["sample_training_00"]


def test_a_set_that_is_not_whole_has_no_annotations(small_set, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(small_set, folder)

    def fail(plan):
        raise RuntimeError("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_videos, "_draw", fail)
        with pytest.raises(RuntimeError, match="disk"):
            sample_videos.draw_sample_set(folder, seed=1, videos={"training": 1}, workers=1)
    assert not (folder / "annotations.json").exists()


def test_segments_are_in_order_and_on_the_frame_grid(default_set):
    database = json.loads(default_set.read_text())["database"]
    assert len(database) == sum(sample_videos.VIDEOS.values())
    for name, entry in database.items():
        assert 20 <= entry["duration"] <= 40 and 4 <= len(entry["annotations"]) <= 8, name
        spans = [annotation["segment"] for annotation in entry["annotations"]]
        edges = [0.0, *(second for span in spans for second in span), entry["duration"]]
        # at least 0.4 s of background before, between and behind the actions
        assert all(after - before > 0.39 for before, after in pairwise(edges)), name
        assert all(second * FPS == pytest.approx(round(second * FPS), abs=1e-6) for second in edges)
        for annotation, (start, end) in zip(entry["annotations"], spans, strict=True):
            shortest, longest, _ = LASTS[annotation["label"]]
            assert shortest - 0.04 <= end - start <= longest + 0.04


def test_every_subset_has_every_class_often_enough(default_set):
    counts = {subset: Counter() for subset in sample_videos.VIDEOS}
    for entry in json.loads(default_set.read_text())["database"].values():
        counts[entry["subset"]].update(annotation["label"] for annotation in entry["annotations"])
    for subset, counted in counts.items():
        assert counted.keys() == TAXONOMY.keys(), subset
        assert min(counted.values()) >= 0.4 * sample_videos.VIDEOS[subset], subset


def test_the_pipeline_reads_the_taxonomy_at_every_level(default_set):
    loaded = annotations.load(default_set)
    assert loaded.class_of(3) == {label: label for label in TAXONOMY}
    assert set(loaded.class_of(0).values()) == {"Whole-body movements", "Arm movements"}
    assert loaded.class_of(2)["Kicking"] == "Martial arts"
    root = json.loads(default_set.read_text())["taxonomy"][0]
    assert root == {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}


def test_subsets_and_seeds_differ_and_more_videos_leave_the_first_as_they_are(tmp_path):
    def plans(seed, subset, count):
        return [plan.timeline for plan in sample_videos._plan_subset(tmp_path, seed, subset, count)]

    assert plans(0, "training", 2) == plans(0, "training", 5)[:2]
    different = [plans(0, "training", 2), plans(0, "testing", 2), plans(1, "training", 2)]
    assert all(a != b for n, a in enumerate(different) for b in different[n + 1 :])


def test_the_set_of_one_action_at_a_time_is_planned_as_ever(default_set):
    """The last of a subset depends on every random number of those before."""
    last = json.loads(default_set.read_text())["database"]["sample_testing_07"]["annotations"]
    assert [(annotation["label"], *annotation["segment"]) for annotation in last] == [
        ("Clapping", 1.48, 4.16), ("Jumping jacks", 5.12, 7.16), ("Kicking", 9.04, 12.64),
        ("Kicking", 14.4, 16.72), ("Clapping", 18.16, 21.48), ("Touching the toes", 23.16, 27.12),
    ]  # fmt: skip


@pytest.mark.parametrize(("forth", "back"), MIRRORED.items())
@pytest.mark.parametrize("frames", [1, 40, 75])
def test_a_time_order_pair_is_one_motion_run_both_ways(forth, back, frames):
    begun = {"seated": True} if back == "Standing up" else {"raised": True}
    there, again = pose_track(timeline_of(forth, frames)), pose_track(timeline_of(back, frames, **begun))
    for name in there:
        np.testing.assert_allclose(there[name], again[name][::-1], atol=1e-12, err_msg=name)


def test_pairs_last_equally_long():
    assert all(LASTS[forth] == LASTS[back] for forth, back in MIRRORED.items())


def test_what_a_pair_changes_is_held_until_it_is_undone():
    spot = Spot(0.0, 0.0)
    stretches = (Stretch("Sitting down", 0, 50), Stretch("Still", 50, 80), Stretch("Standing up", 80, 130))
    pose = pose_track(Timeline(140.0, spot, spot, False, False, (*stretches, Stretch("Still", 130, 140))))
    np.testing.assert_allclose(pose["pelvis_drop"][50:80], 0.235)
    np.testing.assert_allclose(pose["pelvis_drop"][130:], 0.012)
    assert np.all(np.diff(pose["pelvis_drop"][:50]) > 0) and np.all(np.diff(pose["pelvis_drop"][80:130]) < 0)


@pytest.mark.parametrize("kind", [kind for kind in TAXONOMY if kind not in (*MIRRORED, *MIRRORED.values())])
def test_other_actions_begin_and_end_at_rest_and_move_between(kind):
    pose, rest = pose_track(timeline_of(kind, 75)), pose_track(timeline_of("Still", 75))
    travelled = np.max([np.abs(pose[name] - rest[name]) for name in pose], axis=0)
    assert travelled[0] < 0.2 and travelled[-1] < 0.2 and travelled.max() > 0.4
    assert travelled[3] > 0.01


def test_ease_is_symmetric_in_time():
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(ease(p) + ease(1 - p), 1)
    assert ease(np.array([0.0, 1.0])).tolist() == pytest.approx([0, 1], abs=1e-12) and np.all(np.diff(ease(p)) > 0)


def test_idle_motion_reaches_every_frame_but_not_the_feet():
    pose = pose_track(timeline_of("Still", 60))
    still = {name: channel.copy() for name, channel in pose.items()}
    add_idle_motion(pose, np.random.default_rng(0))
    assert np.all(np.ptp(pose["head_turn"]) > 0.01) and np.all(np.abs(np.diff(pose["lean"])).max() > 0)
    assert all(np.array_equal(pose[name], still[name]) for name in pose if "foot" in name or name == "place")


def test_nobody_sits_beside_the_chair_or_walks_while_seated():
    for number in range(60):
        timeline = plan_timeline(np.random.default_rng(number), {})
        spot, seated, raised, end = timeline.start, timeline.seated, timeline.raised, 0
        for stretch in timeline.stretches:
            assert stretch.start == end < stretch.stop
            end = stretch.stop
            if stretch.kind == "Walking":
                assert not seated and not raised
                spot = stretch.spot
            if stretch.kind == "Sitting down":
                assert spot == timeline.chair and not seated
            seated = stretch.kind == "Sitting down" or (seated and stretch.kind != "Standing up")
            assert raised or stretch.kind != "Lowering the arms"
            assert not raised or stretch.kind != "Raising the arms"
            raised = {"Raising the arms": True, "Lowering the arms": False}.get(stretch.kind, raised)


@pytest.mark.parametrize(("name", "given"), [("seed", {"seed": -1}), ("workers", {"workers": 0})])
def test_impossible_numbers_are_refused(tmp_path, name, given):
    with pytest.raises(ValueError, match=f"{name}: expected .* received"):
        sample_videos.draw_sample_set(tmp_path, **given)
    assert list(tmp_path.iterdir()) == []


def test_the_script_says_what_it_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sample_videos, "VIDEOS", {"validation": 0})
    assert sample_videos.main(["--output", str(tmp_path)]) == 0
    assert "0 actions of 8 classes" in capsys.readouterr().out
    assert sample_videos.main(["--output", str(tmp_path), "--seed", "-4"]) == 2
    assert "seed: expected" in capsys.readouterr().err
