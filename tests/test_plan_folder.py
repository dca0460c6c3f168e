"""plan.py's folder: how videos and table are laid out, which videos are held out, and the lines that bad input gets."""

import json
import re

import pytest
from made_features import make_data_set
from made_videos import make_video

import annotations
import config
import plan
import run_folder
import utils
from planning import folder as folders
from planning import speed

TABLE = "video,start,end,label\na,0,2,run\na,4,6,jump\nb,1,3,run\nb,5,8,jump\nc,0,5,run\n"


def heap(folder, table=TABLE, **videos):
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for name, subset in videos.items():
        path = folder / "videos" / (subset or "") / f"{name}.mp4"
        make_video(path, frames=250)
    if table:
        (folder / "actions.csv").write_text(table)


def test_a_heap_of_videos_gets_a_folder_for_each_subset_and_goes_on_where_it_was(tmp_path):
    heap(tmp_path, a=None, b=None, c=None)
    found = folders.open_folder(tmp_path)
    assert found.undecided and found.resolved.json_data_path == tmp_path / "planned/annotations.json"
    assert sorted(path.name for path in tmp_path.glob("planned/videos/training/*")) == ["a.mp4", "b.mp4", "c.mp4"]
    features_of = tmp_path / "planned/features/training"
    features_of.mkdir(parents=True)
    for name in "abc":
        (features_of / f"{name}.tfrecord").write_text(name)
    (chosen,) = folders.hold_out(found, annotations.load(found.resolved.json_data_path), {"a": 0, "b": 1, "c": 2})
    for _ in range(2):  # a second time changes nothing
        found = folders.open_folder(tmp_path)
        assert not found.undecided
        assert (tmp_path / f"planned/features/validation/{chosen}.tfrecord").read_text() == chosen
        assert len(list(features_of.iterdir())) == 2 and len(list(tmp_path.glob("planned/videos/training/*"))) == 2
        assert (tmp_path / f"planned/videos/validation/{chosen}.mp4").resolve() == tmp_path / f"videos/{chosen}.mp4"


def test_a_folder_that_is_as_the_stages_want_it_is_left_as_it_is(tmp_path):
    make_data_set(tmp_path)
    found = folders.open_folder(tmp_path)
    assert not found.undecided and not (tmp_path / "planned").exists()
    assert found.resolved.feature_map_folder == tmp_path / "features"


def without_table(folder):
    heap(folder, table=None, a=None)


def two_tables(folder):
    heap(folder, a=None)
    (folder / "more.csv").write_text(TABLE)


def without_annotations(folder):
    heap(folder, table="video,start,end,label\n", a=None)


def with_one_video(folder):
    heap(folder, table="video,start,end,label\na,0,2,run\na,4,6,jump\n", a=None)


def without_videos(folder):
    heap(folder, table="video,start,end,label,duration\na,0,2,run,9\n")


def two_files_of_a_video(folder):
    heap(folder, a="training")
    heap(folder, a=None)


def unreadable(folder):
    (folder / "videos").mkdir(parents=True)
    for name in "ab":
        (folder / f"videos/{name}.mp4").write_text("no video")
    (folder / "actions.csv").write_text("video,start,end,label,duration\na,0,2,run,9\nb,0,2,run,9\n")


def without_actions(folder):
    heap(folder, "video,start,end,label,subset\na,,,,training\nb,0,2,run,validation\n", a="training", b="validation")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (without_table, "expected one table of the actions, .* received none"),
        (two_tables, "expected one table of the actions, .* received actions.csv, more.csv"),
        (without_annotations, "actions.csv: expected a row for each segment under the header, received none"),
        (with_one_video, "expected at least two training videos, .* received 1"),
        (without_videos, "expected videos in .*videos, or features in .*features .* received neither"),
        (two_files_of_a_video, "a.mp4: expected one file a video, received also .*a.mp4"),
        (unreadable, "none of 2 training videos can be read; the first: .*a.mp4"),
        (without_actions, "expected actions in training videos, received none in 1 of them"),
    ],
)
def test_bad_input_gets_one_line(make, line, tmp_path, capsys):
    make(tmp_path / "mine")
    assert plan.main([str(tmp_path / "mine")]) == 2
    (error,) = [told for told in capsys.readouterr().err.splitlines() if told.startswith("error: ")]
    assert re.search(line, error)


def test_a_table_beside_annotations_is_told_to_be_no_longer_read(tmp_path, caplog):
    heap(tmp_path, a=None, b=None)
    found = json.dumps({"database": {name: {"duration": 9.0, "annotations": []} for name in "ab"}})
    (tmp_path / "annotations.json").write_text(found)
    folders.open_folder(tmp_path)
    assert f"{tmp_path}: annotations.json counts; not read: actions.csv" in caplog.messages
    (tmp_path / "actions.csv").unlink()
    (tmp_path / "annotations.json").rename(tmp_path / "LABELS.JSON")  # as some systems write names
    assert sorted(annotations.load(folders.open_folder(tmp_path).resolved.json_data_path).videos) == ["a", "b"]


@pytest.mark.parametrize(
    ("frames", "assignments", "advised"),
    [(5_000, [], True), (500_000, [], False), (5_000, ["train.learning_rate=0.002"], False)],
)
def test_a_plan_is_advised_where_a_small_data_set_is_trained_with_the_defaults(frames, assignments, advised, caplog):
    caplog.set_level("INFO", utils.LOGGER.name)
    run_folder.advise_a_plan(frames, config.load(None, assignments).train)
    assert ("python plan.py" in caplog.text) == advised


def test_frames_are_sparser_where_features_would_take_longer_than_is_allowed_and_the_time_is_told(
    tmp_path, monkeypatch, capsys
):
    heap(tmp_path, a=None, b=None, c=None)
    monkeypatch.setattr(utils, "start_tensorflow", lambda: None)
    # of 720 source frames every 6th, for 5 minutes; every 7th takes 4.3 minutes, every 8th 3.75
    monkeypatch.setattr(speed, "measure", lambda *_: speed.Speed(decode=0.0, embed=2.5))
    for allowed, skip, told in ((60, 6, "5 minutes"), (4, 8, "4 minutes")):
        assert plan.main([str(tmp_path), "--extraction-minutes", str(allowed)]) == 0
        assert f"features of less than a minute: {told}\n" in capsys.readouterr().out
        assert config.load(tmp_path / "settings.yml").video.skip_frames == skip
    assert "would take more than 4 minutes with more frames" in (tmp_path / "settings.yml").read_text()


def test_videos_without_features_are_named(tmp_path):
    make_data_set(tmp_path)
    paths = folders.open_folder(tmp_path).resolved
    (tmp_path / "videos/training").mkdir(parents=True)
    for name in ("training_0", "one_more"):
        (tmp_path / f"videos/training/{name}.mp4").touch()
    assert plan.without_features(paths) == []  # imported features need no videos
    spec = tmp_path / "features/extractor.json"
    spec.write_text(spec.read_text().replace("imported", "efficientnet_lite0"))
    (line,) = plan.without_features(paths)
    assert line.startswith("1 of 2 training videos have no features") and line.endswith("one_more.mp4")
    (tmp_path / "videos/training/one_more.mp4").unlink()
    assert plan.without_features(paths) == []


def test_a_class_with_two_examples_is_named_in_a_line(tmp_path, capsys):
    make_data_set(tmp_path)
    value = json.loads((tmp_path / "annotations.json").read_text())
    for number in range(2, 6):
        video = value["database"][f"training_{number}"]
        video["annotations"] = [one for one in video["annotations"] if one["label"] != "jump"]
    (tmp_path / "annotations.json").write_text(json.dumps(value))
    assert plan.main([str(tmp_path), "--minutes", "0"]) == 0
    (line,) = [told for told in capsys.readouterr().err.splitlines() if "jump" in told]
    assert line == "WARNING classes with fewer than 10 training actions, which will hardly be learnt: jump (2), run (6)"


def test_a_run_that_was_trained_so_is_advised_too(tmp_path, caplog):
    caplog.set_level("INFO", utils.LOGGER.name)
    run_folder.advise_a_plan_for(tmp_path)
    (tmp_path / "config.yml").write_text("train: {max_steps: 5}")
    for description in ([], {}, {"training_data": {"videos": 3}}, {"training_data": {"frames": 500_000}}):
        (tmp_path / "model.json").write_text(json.dumps(description))
        run_folder.advise_a_plan_for(tmp_path)
    assert caplog.text == ""
    (tmp_path / "model.json").write_text(json.dumps({"training_data": {"frames": 5_000}}))
    run_folder.advise_a_plan_for(tmp_path)
    assert "python plan.py" in caplog.text
