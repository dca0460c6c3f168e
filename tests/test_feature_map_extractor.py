"""The extraction stage: whole files, bad files among good ones, reruns, batches that span videos."""

import os
import threading

import numpy as np
import pytest
from made_videos import make_video

import config
import extraction.runtime
import feature_map_extractor as extractor
from extraction.runtime import make_embed
from features import records


def mean_colour(frames):
    """Stands for the CNN: [B, H, W, 3] -> [B, 3], and sees each frame by itself as a CNN does."""
    return frames.astype(np.float32).mean(axis=(1, 2))


def settings(folder, *assignments):
    return config.load(None, [f"paths.data_dir={folder}", "paths.videos_folder=videos",
                              "paths.feature_map_folder=features", "video.resize=[32, 32]", "extractor.dtype=float32",
                              *assignments])  # fmt: skip


def extract(folder, videos, *assignments):
    chosen = settings(folder, *assignments)
    todo = {video: folder / "features" / f"{video.stem}.tfrecord" for video in videos}
    return extractor.extract(todo, chosen.extractor, chosen.video, mean_colour)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batches_span_videos_and_change_no_feature(tmp_path, batch_size):
    frames = {"a": 50, "b": 1, "c": 30}
    videos = [make_video(tmp_path / f"{name}.mp4", frames=count) for name, count in frames.items()]
    outcome = extract(tmp_path, videos, f"extractor.batch_size={batch_size}")
    assert (outcome.written, outcome.frames, outcome.failures) == (3, 9 + 1 + 5, [])
    found = list(records.read_features(sorted((tmp_path / "features").iterdir())))
    assert [len(video.features) for video in found] == [9, 1, 5]
    for video in found:
        np.testing.assert_allclose(video.features[:, 0], np.arange(len(video.features)) * 30 % 250, atol=3)
        np.testing.assert_allclose(video.timestamps, np.arange(len(video.features)) * 0.24)
        assert video.duration == pytest.approx(frames[video.id] / 25) and video.fps == 25


def test_a_bad_video_is_a_line_and_the_rest_is_done(tmp_path):
    good = [make_video(tmp_path / f"{name}.mp4", frames=20) for name in "ad"]
    cut = make_video(tmp_path / "b.mp4", frames=250, container_options={"movflags": "faststart"})
    cut.write_bytes(cut.read_bytes()[:-500])
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    text = tmp_path / "c.mp4"
    text.write_text("no video")
    outcome = extract(tmp_path, [good[0], cut, text, good[1]], "extractor.batch_size=3")
    assert outcome.written == 2 and len(outcome.failures) == 2
    failures = sorted(outcome.failures)
    assert failures[0].startswith(f"{cut}: cut") and failures[1].startswith(f"{text}: not a readable")
    assert sorted(os.listdir(tmp_path / "features")) == ["a.tfrecord", "d.tfrecord"]


def test_a_bug_in_the_network_leaves_no_file_and_no_thread(tmp_path):
    videos = [make_video(tmp_path / f"{name}.mp4", frames=60) for name in "ab"]
    todo = {video: tmp_path / "features" / f"{video.stem}.tfrecord" for video in videos}
    chosen, calls = settings(tmp_path, "extractor.batch_size=4"), []

    def fail_soon(frames):
        calls.append(1)
        if len(calls) >= 2:
            raise KeyError("bug")
        return mean_colour(frames)

    with pytest.raises(KeyError):
        extractor.extract(todo, chosen.extractor, chosen.video, fail_soon)
    assert not list(tmp_path.glob("features/*"))  # which a bug may come before
    assert not {"lane", "cnn"} & {thread.name for thread in threading.enumerate()}


def run(folder, monkeypatch, *subsets, assignments=(), shard=(1, 1)):
    chosen = settings(folder, *assignments)
    spec = records.chosen_spec(chosen.extractor, chosen.video) | {"runtime": "openvino", "precision": "float32"}
    monkeypatch.setattr(extraction.runtime, "make_embed", lambda *given: (mean_colour, spec))
    return extractor.run(chosen, list(subsets), shard)


def test_a_rerun_does_what_is_missing_and_no_more(tmp_path, monkeypatch, capsys):
    for name in ("-a", "_b"):
        make_video(tmp_path / f"videos/training/{name}.mp4", frames=20)
    assert run(tmp_path, monkeypatch, "training") == 0
    files = sorted((tmp_path / "features/training").iterdir())
    assert [file.name for file in files] == ["-a.tfrecord", "_b.tfrecord"]
    before = [file.read_bytes() for file in files]
    times = [file.stat().st_mtime_ns for file in files]
    files[1].unlink()
    (tmp_path / "features/training/._b.x.part.tfrecord").write_bytes(b"half")
    assert run(tmp_path, monkeypatch, "training") == 0
    assert sorted((tmp_path / "features/training").iterdir()) == files
    assert [file.read_bytes() for file in files] == before and files[0].stat().st_mtime_ns == times[0]
    assert "1 videos, 4 frames" in capsys.readouterr().out


def test_where_nothing_is_missing_no_network_is_made_ready(tmp_path, monkeypatch, capsys):
    make_video(tmp_path / "videos/training/a.mp4", frames=20)
    assert run(tmp_path, monkeypatch, "training") == 0
    # one that is asked for anything would fail
    monkeypatch.setattr(extractor, "open_extractor", None)
    assert extractor.run(settings(tmp_path), ["training"]) == 0
    assert "0 videos, 0 frames" in capsys.readouterr().out
    with pytest.raises(ValueError, match="skip_frames: 6 there, 3 for"):
        extractor.run(settings(tmp_path, "video.skip_frames=3"), ["training"])


def test_a_failed_video_gives_status_1_and_its_line(tmp_path, monkeypatch, capsys):
    make_video(tmp_path / "videos/validation/good.mp4", frames=20)
    (tmp_path / "videos/validation/bad.mp4").write_text("no video")
    assert run(tmp_path, monkeypatch, "validation") == 1
    out = capsys.readouterr().out
    assert "1 failed" in out and "bad.mp4: not a readable video" in out


def test_other_settings_are_refused(tmp_path, monkeypatch):
    make_video(tmp_path / "videos/training/a.mp4", frames=20)
    assert run(tmp_path, monkeypatch, "training", assignments=["video.skip_frames=3"]) == 0
    with pytest.raises(ValueError, match="skip_frames: 3 there, 6 for"):
        run(tmp_path, monkeypatch, "training")


def test_no_videos_and_two_of_one_id_are_errors(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"python download_video_script\.py training"):
        run(tmp_path, monkeypatch, "training")
    make_video(tmp_path / "videos/training/a.mp4", frames=6)
    make_video(tmp_path / "videos/training/a.mkv", frames=6)
    with pytest.raises(ValueError, match="one file a video"):
        run(tmp_path, monkeypatch, "training")


def test_each_video_is_in_one_shard_whatever_else_is_there(tmp_path, monkeypatch, capsys):
    names = [f"v{number}" for number in range(12)]
    for name in names:
        make_video(tmp_path / f"videos/training/{name}.mp4", frames=1)
    of = {name: [i for i in (1, 2, 3) if extractor.in_shard(name, (i, 3))] for name in names}
    assert all(len(shards) == 1 for shards in of.values())
    assert {shards[0] for shards in of.values()} == {1, 2, 3}
    # sha256("v0") begins with 0270da4daac514f3, which leaves 1 when it is divided by 3
    assert of["v0"] == [2]
    for number in (2, 3):
        assert run(tmp_path, monkeypatch, "training", shard=(number, 3)) == 0
    done = {path.stem for path in (tmp_path / "features/training").iterdir()}
    assert done == {name for name in names if of[name] != [1]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainning"], "received 'trainning'"),
        (["--shard", "0/4"], "from 1 to N, such as 2/8, received '0/4'"),
        (["--shard", "5/4"], "received '5/4'"),
        (["--shard", "half"], "received 'half'"),
        (["--local-cluster", "0"], "from 1 on, received '0'"),
        (["--local-cluster", "2", "--scheduler", "tcp://x:1"], "not allowed with"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        extractor.main(arguments)
    assert message in capsys.readouterr().err


def test_the_map_size_is_checked_before_the_first_video(tmp_path):
    chosen = settings(tmp_path, "extractor.backbone=efficientnet_lite0", "extractor.weights=random",
                      "extractor.feature_pooling=none", "extractor.feature_maps_size=[5, 5, 1536]",
                      "video.resize=[64, 64]")  # fmt: skip
    with pytest.raises(ValueError, match=r"expected \[2, 2, 1280\].* received \[5, 5, 1536\]"):
        make_embed(chosen.extractor, chosen.video)


def test_what_other_programs_put_beside_videos_is_passed_over(tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level("INFO")
    make_video(tmp_path / "videos/training/party.mp4", frames=20)
    for name in ("party.eaf", "party.srt", "Thumbs.db", ".party.part.mp4"):
        (tmp_path / "videos/training" / name).write_text("x")
    assert run(tmp_path, monkeypatch, "training") == 0
    assert "1 videos" in capsys.readouterr().out
    assert "passed over 3 names that do not end as a video's, such as Thumbs.db" in caplog.text


def test_features_bear_the_composed_name(tmp_path, monkeypatch):
    make_video(tmp_path / "videos/training/Cafe\u0301.mp4", frames=20)
    assert run(tmp_path, monkeypatch, "training") == 0
    assert [path.stem for path in (tmp_path / "features/training").iterdir()] == ["Caf\u00e9"]
    make_video(tmp_path / "videos/training/Caf\u00e9.mp4", frames=20)
    with pytest.raises(ValueError, match="one file a video"):
        run(tmp_path, monkeypatch, "training")
