"""Arrays of other tools to feature files: rates, timestamps, and the true labels' way there and back."""

import json
from pathlib import Path

import numpy as np
import pytest
from label_segments import labels_to_segments

import annotations
import data
import segments
from features import array_files, records
from features import arrays as importing

SALADS = Path(__file__).parents[1].parent / "shared/data/salads"


def database(folder, **durations):
    entries = {
        name: {"subset": "training", "duration": seconds, "annotations": []} for name, seconds in durations.items()
    }
    (folder / "annotations.json").write_text(json.dumps({"database": entries}))


def run(folder, *arguments):
    return importing.main(["import", str(folder / "arrays"), *arguments, "--set", f"paths.data_dir={folder}",
                                "--set", "paths.json_data_path=annotations.json",
                                "--set", "paths.feature_map_folder=features"])  # fmt: skip


def imported(folder):
    return {video.id: video for video in records.read_features(sorted((folder / "features").glob("*/*.tfrecord")))}


@pytest.fixture
def arrays(tmp_path):
    (tmp_path / "arrays").mkdir()
    return tmp_path / "arrays"


def test_a_row_covers_its_share_of_a_second(tmp_path, arrays):
    database(tmp_path, a=2.0, b=1.5, _c=2.0)
    rows = np.arange(12, dtype=np.float64).reshape(4, 3)
    np.save(arrays / "a.npy", rows)
    np.savez(arrays / "b.npz", features=rows[:3])
    (arrays / "_c.csv").write_text("x,y,z\n" + "\n".join(",".join(map(str, row)) for row in rows))
    assert run(tmp_path, "--rate", "2") == 0
    found = imported(tmp_path)
    for name, count in (("a", 4), ("b", 3), ("_c", 4)):
        np.testing.assert_array_equal(found[name].features, rows[:count])
        np.testing.assert_array_equal(found[name].timestamps, (np.arange(count) + 0.5) / 2)
        assert found[name].duration == count / 2
    boundaries = segments.frame_boundaries(found["a"].timestamps, found["a"].duration)
    assert boundaries.tolist() == [0, 0.5, 1, 1.5, 2]
    assert records.read_spec(tmp_path / "features")["backbone"] == "imported"


def test_explicit_timestamps_are_centres(tmp_path, arrays):
    database(tmp_path, a=3.0, b=3.0)
    np.savez(arrays / "a.npz", features=np.ones((3, 2)), timestamps=[0.2, 1.0, 2.6])
    (arrays / "b.csv").write_text("timestamp,x,y\n0.2,1,1\n1.0,1,1\n2.6,1,1\n")
    assert run(tmp_path) == 0
    for video in imported(tmp_path).values():
        assert video.timestamps.tolist() == [0.2, 1.0, 2.6] and video.features.shape == (3, 2)
        assert segments.frame_boundaries(video.timestamps, video.duration).tolist() == [0, 0.6, 1.8, 3.0]


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("flat.npy", np.ones(5), "shape .T, D., received float64 .5,."),
        ("none.npy", np.ones((0, 3)), "received float64 .0, 3."),
        ("text.npy", np.array([["a"]]), "expected numbers"),
        ("nan.npy", np.full((20, 3), np.nan), "finite"),
        ("turned.npy", np.ones((3, 20)), "rate another, .* or is the array .D, T."),
        ("object.npy", np.array([[{}]]), "not an array"),
    ],
)
def test_bad_arrays_are_named_and_the_rest_is_done(tmp_path, arrays, capsys, name, array, reason):
    database(tmp_path, good=10.0, **{name.split(".")[0]: 10.0})
    np.save(arrays / "good.npy", np.ones((20, 3)))
    np.save(arrays / name, array, allow_pickle=True)
    assert run(tmp_path, "--rate", "2") == 1
    assert list(imported(tmp_path)) == ["good"]
    assert name in capsys.readouterr().err
    with pytest.raises(ValueError, match=reason):
        importing.as_video(arrays / name, importing.Placing(2.0), 10.0)


def test_files_that_are_no_arrays_are_named(arrays):
    for name, content in (("a.npy", b"nothing"), ("b.npz", b""), ("c.csv", b"1,2\n3\n"), ("d.csv", b"a,b\nc,d\n")):
        (arrays / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: not an array of features"):
            array_files.read_array(arrays / name)


def test_widths_must_agree(tmp_path, arrays, capsys):
    database(tmp_path, a=10.0, b=10.0)
    np.save(arrays / "a.npy", np.ones((20, 3)))
    np.save(arrays / "b.npy", np.ones((20, 4)))
    assert run(tmp_path, "--rate", "2") == 1
    assert "b.npy: expected 3 numbers a row, as in the first file; received 4" in capsys.readouterr().err


def test_importing_again_replaces_and_another_rate_is_refused_for_every_file(tmp_path, arrays, capsys):
    database(tmp_path, a=10.0, b=10.0)
    for name in "ab":
        np.save(arrays / f"{name}.npy", np.ones((20, 3)))
    assert run(tmp_path, "--rate", "2") == 0
    (arrays / "a.npy").unlink()
    np.save(arrays / "b.npy", np.full((20, 3), 2.0))
    # stored as float32 all the same
    assert run(tmp_path, "--rate", "2", "--set", "extractor.dtype=float16") == 0
    found = imported(tmp_path)
    assert [video.features[0, 0] for video in found.values()] == [1, 2] and found["b"].features.dtype == np.float32
    np.save(arrays / "a.npy", np.ones((20, 3)))
    assert run(tmp_path, "--rate", "2.05") == 1
    assert capsys.readouterr().err.count("rate: 2.0 there, 2.05 for these features") == 2
    assert {video.timestamps[0] for video in imported(tmp_path).values()} == {0.25}


def test_names_without_annotation_are_counted(tmp_path, arrays, capsys):
    database(tmp_path, a=10.0)
    np.save(arrays / "a.npy", np.ones((20, 3)))
    np.save(arrays / "stranger.npy", np.ones((20, 3)))
    assert run(tmp_path, "--rate", "2") == 0
    assert "1 of 2 files are named as no annotated video" in capsys.readouterr().err
    (arrays / "a.npy").unlink()
    assert run(tmp_path, "--rate", "2") == 2
    assert "none of 1 files, such as stranger.npy" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_impossible_rates_are_refused(tmp_path, rate):
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--rate", rate)


def test_without_rate_or_timestamps_the_option_is_named(arrays):
    np.save(arrays / "a.npy", np.ones((20, 3)))
    with pytest.raises(ValueError, match="--rate"):
        importing.as_video(arrays / "a.npy", importing.Placing(), 10.0)


@pytest.mark.skipif(not SALADS.exists(), reason="needs ../shared/data/salads")
@pytest.mark.parametrize("split", range(1, 6))
def test_the_true_labels_of_salads_decode_to_their_own_segments(split):
    annotated = annotations.load(SALADS / f"split{split}.json")
    classes = annotated.classes()
    index = {name: number for number, name in enumerate(classes)}
    for video in annotated.videos.values():
        found = importing.as_video(SALADS / f"features/{video.id}.npy", importing.Placing(1.0), video.duration)
        labels = data.video_labels(video, found.timestamps, index)
        boundaries = segments.frame_boundaries(found.timestamps, found.duration)
        spans, labels = labels_to_segments(labels, boundaries)
        decoded = [(*span, classes[label]) for span, label in zip(spans.tolist(), labels, strict=True)]
        assert decoded == [(segment.start, segment.end, segment.label) for segment in video.segments]
