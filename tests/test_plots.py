"""Pictures of a training and of a timeline: what they need, and that they are pictures."""

import json

import cv2
import pytest
from made_videos import make_video

import plots
import utils


def test_curves_are_drawn_from_metrics_jsonl(tmp_path):
    for step in (10, 20):
        utils.append_jsonl(tmp_path / "metrics.jsonl", {"step": step, "loss": 1 / step, "mean_precision_train": 0.5})
    utils.append_jsonl(tmp_path / "metrics.jsonl", {"step": 20, "loss_eval": 0.1, "mean_precision_eval": 0.4})
    made = plots.plot_training(tmp_path, tmp_path / "pics")
    assert [path.name for path in made] == ["train_loss.png", "mean_precision_train.png"]
    for path in made:
        picture = cv2.imread(str(path))
        assert picture.shape[1] > 600 and picture.std() > 5


def test_without_a_training_the_error_names_the_file(tmp_path):
    with pytest.raises(ValueError, match=r"metrics.jsonl: .* run `python trainer\.py` first"):
        plots.plot_training(tmp_path, tmp_path)


@pytest.fixture
def folder(tmp_path):
    make_video(tmp_path / "videos/validation/v1.mp4", frames=100)
    segment = {"segment": [1.0, 3.0], "label": "jump"}
    database = {"v1": {"subset": "validation", "duration": 4.0, "annotations": [segment]}}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": database}))
    found = [{"label": "jump", "score": 0.9, "segment": [1.1, 2.9]}, {"label": "run", "score": 0.1, "segment": [0, 4]}]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/predictions_validation.json").write_text(json.dumps({"results": {"v1": found}}))
    return tmp_path


def timeline(folder, video):
    settings = ("json_data_path=annotations.json", "videos_folder=videos", "model_dir=run", f"data_dir={folder}")
    arguments = [part for setting in settings for part in ("--set", f"paths.{setting}")]
    return plots.main([*arguments, "timeline", video, "--output", str(folder / "timeline.png")])


def test_pictures_go_into_the_run_unless_another_place_is_named(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    utils.append_jsonl(folder / "run/metrics.jsonl", {"step": 10, "loss": 0.5, "mean_precision_train": 0.5})
    assert plots.main(["training", str(folder / "run")]) == 0
    settings = ("json_data_path=annotations.json", "videos_folder=videos", "model_dir=run", f"data_dir={folder}")
    arguments = [part for setting in settings for part in ("--set", f"paths.{setting}")]
    assert plots.main([*arguments, "timeline", "v1"]) == 0
    assert {path.parent.name for path in folder.rglob("*.png")} == {"run"}
    assert {path.name for path in folder.rglob("*.png")} >= {"train_loss.png", "timeline_v1.png"}


@pytest.mark.parametrize("record", [{"step": "1"}, {"loss": 1.0}, {"step": 1, "loss": "x"}, {"step": 1, "loss": True}])
def test_a_log_of_another_kind_is_named_with_its_line(tmp_path, record):
    utils.append_jsonl(tmp_path / "metrics.jsonl", {"step": 1, "loss": 1.0})
    utils.append_jsonl(tmp_path / "metrics.jsonl", record)
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: expected a step and numbers of a training"):
        plots.plot_training(tmp_path, tmp_path)


def test_a_timeline_is_drawn(folder, capsys):
    assert timeline(folder, "v1") == 0
    assert cv2.imread(str(folder / "timeline.png")).std() > 5
    assert "timeline.png" in capsys.readouterr().out


def test_an_unknown_or_missing_video_is_named(folder, capsys):
    assert timeline(folder, "v2") == 2
    assert "holds no video 'v2'" in capsys.readouterr().err
    (folder / "videos/validation/v1.mp4").unlink()
    assert timeline(folder, "v1") == 2
    assert "holds no file of the video 'v1'" in capsys.readouterr().err
