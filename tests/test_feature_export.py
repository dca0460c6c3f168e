"""`data.py export`: what ActionFormer and OpenTAD would read of it, and our own import."""

import json

import h5py
import numpy as np
import pytest
from made_features import RATE, SIZE, made_settings, make_data_set

import annotations
from features import arrays, handing_on, records


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    make_data_set(folder)
    (folder / "features/testing/testing_1.tfrecord").unlink()
    return folder


def options(folder, *assignments):
    settings = ["paths.json_data_path=annotations.json", "paths.feature_map_folder=features", *assignments]
    return [word for text in (f"paths.data_dir={folder}", *settings) for word in ("--set", text)]


def stored(folder):
    return {video.id: video for video in records.read_features(sorted((folder / "features").glob("*/*.tfrecord")))}


def test_what_is_exported_is_imported_as_it_was(folder, capsys):
    assert handing_on.main(["export", str(folder / "npy"), *options(folder)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("10 videos of 11, 2 classes ->")
    # rows of a fourth of a second are 16 frames of 64 a second, and begin at 0
    assert "feat_stride 16, num_frames 16, input_dim 6, num_classes 2" in told
    assert "feature_stride 16, sample_stride 1, offset_frames 8, in_channels 6" in told
    back = ["import", str(folder / "npy/features"), "--fps", "64", "--stride", "16", "--window", "16"]
    changed = [f"paths.json_data_path={folder / 'npy/annotations.json'}", "paths.feature_map_folder=imported"]
    assert arrays.main([*back, *options(folder, *changed)]) == 0
    before, after = stored(folder), {
        video.id: video for video in records.read_features(sorted((folder / "imported").glob("*/*.tfrecord")))
    }  # fmt: skip
    assert set(before) == set(after) and len(before) == 10
    for name, video in before.items():
        np.testing.assert_array_equal(after[name].features, video.features)
        np.testing.assert_allclose(after[name].timestamps, video.timestamps, atol=1e-9)
    ours, theirs = (annotations.load(folder / path) for path in ("annotations.json", "npy/annotations.json"))
    for name, video in theirs.videos.items():
        assert (video.subset, video.segments) == (ours.videos[name].subset, ours.videos[name].segments)


def test_both_programs_find_what_they_look_for(folder):
    """As ActionFormer's and OpenTAD's thumos.py read it: labels by number, fps said or frames by seconds."""
    handing_on.run(made_settings(folder), folder / "both", "npy")
    database = json.loads((folder / "both/annotations.json").read_text())["database"]
    names = (folder / "both/category_idx.txt").read_text().splitlines()
    assert names == ["jump", "run"]
    for name, video in database.items():
        rows = np.load(folder / f"both/features/{name}.npy")
        assert rows.dtype == np.float32 and rows.shape == (round(video["duration"] * RATE), SIZE)
        assert video["frame"] / video["duration"] == pytest.approx(video["fps"])
        centres = (np.arange(len(rows)) * 16 + 0.5 * 16) / video["fps"]
        np.testing.assert_allclose(centres, stored(folder)[name].timestamps)
        assert all(names[action["label_id"]] == action["label"] for action in video["annotations"])


def test_hdf5_holds_a_data_set_a_video(folder):
    handing_on.run(made_settings(folder), folder / "one", "hdf5")
    with h5py.File(folder / "one/features.hdf5") as file:
        assert set(file) == set(stored(folder))
        for name, video in stored(folder).items():
            assert file[name].dtype == np.float32
            np.testing.assert_array_equal(file[name][()], video.features)


def test_frames_of_a_video_begin_at_0(tmp_path):
    """Features of `feature_map_extractor.py`: every 5th frame of 25 a second, the last one late; maps laid out flat."""
    even = handing_on.even_grid(np.arange(11) / 5, 2.2, 5)
    assert (even.fps, even.offset) == (pytest.approx(25), 0) and even.off(np.arange(11) / 5) < 1e-9
    one = handing_on.even_grid(np.array([0.0]), 0.5, 5)
    assert (one.fps, one.offset) == (10, 0)
    times = np.array([0.0, 0.1, 0.2, 0.3, 1.0])
    # of a grid of 0.25 seconds the fourth is at 0.75: 1.8 rows
    assert handing_on.even_grid(times, 1.2, 5).off(times) == pytest.approx(1.8)


def test_uneven_frames_are_told_and_maps_laid_out(tmp_path, told):
    times = np.array([0.0, 0.1, 0.2, 0.3, 1.0])
    maps = np.random.default_rng(0).normal(size=(5, 2, 2, 3)).astype(np.float16)
    video = records.VideoFeatures("a", maps, times, 1.2, 25.0)
    records.write_features(records.feature_file(tmp_path / "features", "training", "a"), video, "float16")
    spec = {"backbone": "imported", "feature_shape": [2, 2, 3], "rate": None, "dtype": "float16"}
    records.create_spec(tmp_path / "features", spec)
    annotated = {"a": {"subset": "training", "duration": 1.2, "annotations": [{"segment": [0, 9], "label": "x"}]}}
    (tmp_path / "annotations.json").write_text(json.dumps({"version": "", "taxonomy": [], "database": annotated}))
    handing_on.run(made_settings(tmp_path), tmp_path / "out", "npy")
    assert "1 videos have frames at uneven times, such as a" in told()
    np.testing.assert_array_equal(np.load(tmp_path / "out/features/a.npy"), maps.reshape(5, 12).astype(np.float32))
    (action,) = json.loads((tmp_path / "out/annotations.json").read_text())["database"]["a"]["annotations"]
    assert action == {"segment": [0, 1.2], "label": "x", "label_id": 0}  # clipped to the video


def test_nothing_of_others_is_overwritten(folder, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert handing_on.main(["export", str(tmp_path / "mine"), *options(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    empty = ["paths.feature_map_folder=" + str(tmp_path / "none")]
    (tmp_path / "none").mkdir()
    (tmp_path / "none/extractor.json").write_text((folder / "features/extractor.json").read_text())
    assert handing_on.main(["export", str(tmp_path / "new"), *options(folder, *empty)]) == 2
    assert "has no features of the 11 videos" in capsys.readouterr().err and not (tmp_path / "new").exists()
