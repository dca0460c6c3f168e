"""plan.py: what is measured, what follows by rules, and which files are written."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_videos import make_video

import command_line
import config
from annotations import Annotations, Video
from planning import folder as folders
from planning import measured, rules, speed, writing
from planning.rules import Choice
from segments import Segment


def made(*videos):
    """Annotations of (subset, duration, [(start, end, label)]), called a, b, …"""
    named = {name: Video(name, subset, duration, "", tuple(Segment(*one) for one in actions))
             for name, (subset, duration, actions) in zip("abcdefghij", videos, strict=False)}  # fmt: skip
    return Annotations("made", named, (), Path("made.json"))


def test_annotations_are_measured_of_training_videos():
    found = measured.of_annotations(
        made(("training", 10.0, [(0, 2, "x"), (3, 7, "y")]), ("training", 30.0, [(0, 20, "x")]),
             ("validation", 5.0, [(0, 5, "z")])), 3)  # fmt: skip
    assert found["videos"] == {"training": 2, "validation": 1, "testing": 0}
    assert found["actions"] == 3 and found["seconds"]["0.5"] == 4.0 and found["gap_seconds"]["0.5"] == 1.0
    assert found["classes"]["x"] == {"actions": 2, "seconds": found["classes"]["x"]["seconds"], "share": 0.55}
    assert found["rare"] == ["x", "y"]
    with pytest.raises(ValueError, match="expected actions in training videos, received none in 1 of them"):
        measured.of_annotations(made(("training", 5.0, []), ("validation", 5.0, [(0, 5, "z")])), 3)


@pytest.mark.parametrize(
    ("actions", "share"),
    [
        ([(0, 4, "x"), (4, 8, "y")], 0.0),
        ([(0, 4, "x"), (2, 6, "y")], 2 / 6),
        ([(0, 4, "x"), (2, 6, "x")], 0.0),
        ([(0, 9, "x"), (2, 6, "x"), (5, 7, "y")], 2 / 9),
        ([], 0.0),
    ],
)
def test_only_actions_of_different_classes_overlap(actions, share):
    names = {"x": "x", "y": "y"}
    assert measured.overlap_share(made(("training", 10.0, actions)).videos.values(), names) == round(share, 4)


def test_borders_on_cuts_are_those_inside_the_video_with_a_cut_beside_them():
    video = made(("training", 10.0, [(0, 3, "x"), (6, 10, "x"), (4.5, 5.5, "x")])).videos["a"]
    cuts = np.zeros(20, bool)
    cuts[[6, 12]] = True  # at 3.0 and 6.0 s
    share = measured.on_cuts([(video, np.linspace(0, 10, 21), cuts)])
    # 3, 6, 4.5 and 5.5 are inside; a cut at most 0.75 s away counts, which 6.0 is of 5.5
    assert share == {"borders": 0.75, "time": 0.3}
    assert measured.on_cuts([(video, np.linspace(0, 10, 21), np.zeros(20, bool))]) == {"borders": 0.0, "time": 0.0}


def test_shots_recur_where_other_training_videos_show_them():
    groups = np.array([1, 1, 2, 2, 1, 3, 2, 4])  # of videos of 4, 2 and 2 frames; the last for validation
    assert measured.recurrence(groups, [4, 2, 2], 2) == {
        "share": 0.5, "groups": 3, "largest": 0.5, "validation": 0.5,
    }  # fmt: skip


def test_cuts_show_in_the_pixels(tmp_path):
    for name in "ab":
        make_video(tmp_path / f"training/{name}.mp4", frames=50)
    annotated = made(("training", 2.0, [(0.5, 1.0, "x")]), ("training", 2.0, []), ("training", 1.0, []))
    (tmp_path / "training/c.mp4").write_text("no video")
    found = measured.of_videos(tmp_path, annotated)
    assert found["files"] == 3 and found["unreadable"] == 1 and found["fps"] == 25.0 and found["size"] == [48, 64]
    assert measured.of_videos(tmp_path / "elsewhere", annotated) is None
    for name in "ab":
        (tmp_path / f"training/{name}.mp4").write_text("no video")
    with pytest.raises(ValueError, match="none of 3 training videos can be read; the first: .*a.mp4"):
        measured.of_videos(tmp_path, annotated)


def test_neighbouring_pictures_are_alike_in_a_scene_and_not_across_a_cut():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 255, (2, 48, 64))
    alike = measured.neighbours_alike(np.stack([one, one // 2 + 9, other, np.full_like(one, 7), np.full_like(one, 9)]))
    assert alike[0] > 0.75 and abs(alike[1]) < 0.1 and abs(alike[2]) < 0.1 and alike[3] == 1


ANNOTATIONS = {"seconds": {"0.02": 1.6, "0.1": 2.0, "0.5": 3.0, "0.9": 4.0}, "overlap": 0.0, "rare": [],
               "classes": {}}  # fmt: skip
NO_CUTS, CUTS = {"borders": 0.0, "time": 0.0}, {"borders": 0.94, "time": 0.1}


def features(**changes):
    recurring = {"share": 0.0, "groups": 40, "largest": 0.03, "validation": 0.0}
    return {
        "videos": 40,
        "rows": 5000,
        "rows_a_second": 4.2,
        "borders_on_cuts": NO_CUTS,
        "recurring": recurring,
    } | changes


def values(choices):
    return {choice.key: choice.value for choice in choices}


@pytest.mark.parametrize(
    ("shortest", "fps", "cuts", "skip"),
    [
        (2.0, 25.0, NO_CUTS, 6),
        (2.0, 25.0, CUTS, 2),
        (0.5, 30.0, NO_CUTS, 2),
        (0.1, 25.0, NO_CUTS, 1),
        (60.0, 30.0, NO_CUTS, 7),
    ],
)
def test_the_shortest_actions_have_enough_sampled_frames(shortest, fps, cuts, skip):
    data = ANNOTATIONS | {"seconds": ANNOTATIONS["seconds"] | {"0.1": shortest}}
    chosen = values(rules.of_extraction(data, {"fps": fps, "size": [720, 1280], "borders_on_cuts": cuts}))
    assert chosen["video.skip_frames"] == skip and chosen["video.resize"] == [224, 224]
    assert rules.sparsest(data, {"fps": fps}) == max(int(fps * shortest / 4), 1)


def test_small_pictures_are_not_squeezed():
    chosen = values(rules.of_extraction(ANNOTATIONS, {"fps": 25, "size": [240, 320], "borders_on_cuts": NO_CUTS}))
    assert chosen["video.resize"] == [240, 320]


def test_settings_of_windows_follow_from_lengths_and_rows():
    assert "data.max_frames" not in values(rules.of_features(ANNOTATIONS, features()))
    long = ANNOTATIONS | {"seconds": ANNOTATIONS["seconds"] | {"0.5": 10.0}}
    chosen = values(rules.of_features(long, features()))
    assert (chosen["data.max_frames"], chosen["data.window_stride"], chosen["predict.window_stride"]) == (42, 14, 14)
    assert values(rules.of_features(long, features(rows_a_second=25)))["data.max_frames"] == 128
    assert "train.max_steps" not in values(rules.of_features(ANNOTATIONS, features(rows=24_000)))
    assert values(rules.of_features(ANNOTATIONS, features(rows=100_000)))["train.max_steps"] == 1300


def test_whole_shots_are_decoded_where_borders_lie_on_cuts():
    chosen = values(rules.of_features(ANNOTATIONS, features()))
    assert chosen["predict.min_seconds"] == 1.2 and "predict.method" not in chosen
    chosen = values(rules.of_features(ANNOTATIONS, features(borders_on_cuts=CUTS)))
    assert chosen["predict.method"] == "shots" and "data.components" not in chosen
    by_chance = features(borders_on_cuts={"borders": 0.9, "time": 0.4})
    assert "predict.method" not in values(rules.of_features(ANNOTATIONS, by_chance))
    recurring = {"share": 0.9, "groups": 30, "largest": 0.1, "validation": 0.3}
    chosen = values(rules.of_features(ANNOTATIONS, features(borders_on_cuts=CUTS, recurring=recurring)))
    assert chosen["data.temporal_difference"] == "absolute" and chosen["data.components"] == [0, 8]


def test_actions_of_different_classes_that_overlap_need_an_output_each():
    assert "model.output" not in values(rules.of_features(ANNOTATIONS | {"overlap": 0.04}, features()))
    assert values(rules.of_features(ANNOTATIONS | {"overlap": 0.06}, features()))["model.output"] == "sigmoid"


def test_folds_compare_with_one_member_and_the_training_has_four():
    choices = rules.recipe()
    paths = config.load().paths.model_dump()
    assert sum(rules.planned(paths, choices).model.members.values()) == 4
    tried = rules.changed(paths, choices, {"model.num_layers": 2}, 0.5)
    assert tried.model.members == {"recurrent": 1, "convolutional": 0} and tried.model.num_layers == 2
    assert tried.train.max_steps == 150


def test_folds_keep_recurring_shots_together_where_there_are_enough_of_them():
    recurring = {"share": 0.9, "groups": 30, "largest": 0.1, "validation": 0.3}
    assert rules.group_by(features()) == "video" and rules.folds(features(videos=3)) == 3
    assert rules.group_by(features(recurring=recurring)) == "shot"
    for change in ({"largest": 0.3}, {"groups": 7}, {"share": 0.1}):
        assert rules.group_by(features(recurring=recurring | change)) == "video"
    assert any(
        "30 % of the validation frames" in line for line in rules.warnings(ANNOTATIONS, features(recurring=recurring))
    )


def test_few_examples_and_overlaps_are_named():
    data = ANNOTATIONS | {"overlap": 0.04, "rare": ["x"], "classes": {"x": {"actions": 2}}}
    few, overlap = rules.warnings(data, None)
    assert "x (2)" in few and "4.0 %" in overlap
    assert rules.warnings(ANNOTATIONS, features()) == []


def test_extraction_takes_decoding_on_all_cores_and_the_network():
    took = speed.Speed(decode=0.002, embed=0.05)
    assert took.minutes(60_000, 6, 2) == pytest.approx((60_000 * 0.002 / 2 + 10_000 * 0.05) / 60)
    assert speed.sparser(took, 60_000, 6, 2, 1000, 12) == 6
    assert speed.sparser(took, 60_000, 6, 2, 6.0, 12) == 10  # 1 minute of decoding, 50 of the network over skip
    assert speed.sparser(took, 60_000, 6, 2, 0.1, 12) == 12
    words = ["less than a minute", "a minute", "2 minutes", "99 minutes", "1.7 hours"]
    assert [command_line.in_words(minutes) for minutes in (0.4, 1.4, 1.6, 99, 100)] == words


def test_speed_is_measured_on_the_first_video_that_can_be_read(tmp_path, monkeypatch):
    from extraction import runtime

    seen = []
    monkeypatch.setattr(runtime, "make_embed", lambda *_: (lambda frames: seen.append(len(frames)), {}))
    (tmp_path / "a.mp4").write_text("no video")
    make_video(tmp_path / "b.mp4")
    settings = config.load()
    took = speed.measure([tmp_path / "a.mp4", tmp_path / "b.mp4"], settings.extractor, settings.video)
    assert took.decode > 0 and took.embed > 0 and seen == [speed.FRAMES] * 2
    with pytest.raises(ValueError, match="none of 1 videos can be read, such as .*a.mp4"):
        speed.measure([tmp_path / "a.mp4"], settings.extractor, settings.video)


def test_settings_are_written_with_a_reason_a_line_and_read_back(tmp_path):
    choices = rules.recipe() | rules.collected([
        Choice("video.resize", (240, 320), "as # the videos are", "rule"),
        Choice("predict.thresholds", (0.1, 0.9), "two\nlines", "folds"),
        Choice("extractor.weights", "/a/path/that/is/longer/than/the/column.h5", "as you gave it", "yours"),
    ])  # fmt: skip
    names = ("json_data_path", "videos_folder", "feature_map_folder", "model_dir")
    paths = {"data_dir": str(tmp_path)} | {name: f"some/{name}" for name in names}
    writing.write_plan(tmp_path, paths, choices, {"state": "planned"})
    assert config.load(tmp_path / writing.SETTINGS) == rules.planned(paths, choices)
    lines = [line for line in (tmp_path / writing.SETTINGS).read_text().splitlines() if "# " in line[1:]]
    assert len(lines) == len(choices) and all(
        any(f" # {source}: " in line for source in ("recipe", "rule", "folds", "yours")) for line in lines
    )
    assert any("# folds: two lines" in line for line in lines)
    known = json.loads((tmp_path / writing.PLAN).read_text())
    assert known["state"] == "planned" and len(known["choices"]) == len(choices)


def test_settings_that_a_person_edited_are_known_as_such(tmp_path, monkeypatch):
    assert not writing.was_edited(tmp_path)
    writing.write_plan(tmp_path, {"model_dir": "run"}, rules.recipe(), {})
    assert not writing.was_edited(tmp_path)
    # a kill between the two files: the older settings are still ours
    monkeypatch.setattr(writing.utils, "write_text", lambda *_: None)
    monkeypatch.setattr(writing.utils, "write_json", lambda path, value: path.write_text(json.dumps(value)))
    writing.write_plan(tmp_path, {"model_dir": "other"}, rules.recipe(), {})
    assert not writing.was_edited(tmp_path)
    with (tmp_path / writing.SETTINGS).open("a") as file:
        file.write("# mine\n")
    assert writing.was_edited(tmp_path)


def test_groups_go_as_a_whole_and_leave_two_thirds_of_each_class(tmp_path):
    one = ("training", 5.0, [(0, 2, "x"), (3, 4, "y")])
    annotated = made(*[one] * 10)
    data_set = folders.DataSet(tmp_path, {})
    (tmp_path / "planned").mkdir()
    chosen = folders.hold_out(data_set, annotated, {name: number // 2 for number, name in enumerate("abcdefghij")})
    assert len(chosen) == 2 and "abcdefghij".index(chosen[0]) % 2 == 0
    assert "abcdefghij".index(chosen[1]) == "abcdefghij".index(chosen[0]) + 1
    assert json.loads((tmp_path / "planned/validation.json").read_text()) == chosen
    rare = made(*[("training", 5.0, [(0, 2, name)]) for name in "uvw"])
    assert len(folders.hold_out(data_set, rare, {"a": 0, "b": 1, "c": 2})) == 1
    with pytest.raises(ValueError, match="expected at least two training videos, .* received 1"):
        folders.hold_out(data_set, made(one), {"a": 0})
