"""Feature files as other tools write them: headers, axes, keys, names, and the times of their rows."""

import json

import h5py
import numpy as np
import pytest
from test_feature_import import database, imported, run

from features import arrays, records
from features.array_files import Layout, read_array
from features.arrays import Placing, as_video

ROWS = np.arange(40, dtype=np.float64).reshape(20, 2) / 4


def write_csv(path, header, rows=ROWS):
    lines = [header] if header is not None else []
    path.write_text("\n".join([*lines, *(",".join(f"{value:.5f}" for value in row) for row in rows)]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "arrays").mkdir()
    return tmp_path / "arrays"


@pytest.mark.parametrize(("window", "first", "last"), [(16, 0.2667, 19.7333), (64, 1.0667, 18.9333)])
def test_overlapping_clips_stand_at_their_middles(tmp_path, folder, window, first, last):
    database(tmp_path, a=20.0)
    np.save(folder / "a.npy", np.ones(((600 - window) // 8 + 1, 3)))
    assert run(tmp_path, "--fps", "30", "--stride", "8", "--window", str(window)) == 0
    video = imported(tmp_path)["a"]
    assert video.timestamps[[0, 1, -1]].tolist() == pytest.approx([first, first + 8 / 30, last], abs=1e-4)
    assert video.duration == 20
    spec = records.read_spec(tmp_path / "features")
    assert (spec["rate"], spec["placing"]) == (None, f"clips of {window} frames every 8 at 30 a second")


def test_clips_of_another_window_are_not_mixed_in(tmp_path, folder, capsys):
    database(tmp_path, a=20.0)
    np.save(folder / "a.npy", np.ones((70, 3)))
    assert run(tmp_path, "--fps", "30", "--stride", "8", "--window", "16") == 0
    assert run(tmp_path, "--fps", "30", "--stride", "8", "--window", "64") == 1
    assert "placing" in capsys.readouterr().err


def test_a_fixed_number_of_rows_is_spread_over_each_video(tmp_path, folder):
    database(tmp_path, a=30.0, b=120.0, c=0.5)
    for name in "abc":
        write_csv(folder / f"{name}.csv", "f0,f1")
    assert run(tmp_path, "--rescale") == 0
    found = imported(tmp_path)
    assert found["a"].timestamps[[0, 19]].tolist() == [0.75, 29.25]
    assert found["b"].timestamps[[0, 19]].tolist() == [3.0, 117.0] and found["b"].duration == 120
    assert found["c"].timestamps[[0, 19]].tolist() == [0.0125, 0.4875]


@pytest.mark.parametrize(
    ("header", "index", "times"),
    [
        (None, False, None),
        ("0,1", False, None),
        (",0,1", True, None),
        ("Unnamed: 0,0,1", True, None),
        ("Time,f0,f1", False, 1),
        ("t,f0,f1", False, 1),
        ("timestamp (s),f0,f1", False, 1),
        ("timestamps_ms,f0,f1", False, 1000),
        (",Time,f0,f1", True, 1),
    ],
)
def test_tables_as_pandas_writes_them(folder, header, index, times):
    columns = [ROWS]
    if times:
        columns.insert(0, (np.arange(20)[:, None] + 0.5) * times)
    if index:
        columns.insert(0, np.arange(20)[:, None])
    features, timestamps = read_array(write_csv(folder / "a.csv", header, np.hstack(columns)))
    np.testing.assert_allclose(features, ROWS)
    assert (timestamps is None) == (times is None)
    if times:
        assert timestamps.tolist() == (np.arange(20) + 0.5).tolist()


def test_one_column_named_0_is_told_from_a_first_value(folder):
    assert len(read_array(write_csv(folder / "a.csv", "0", ROWS[:, :1]))[0]) == 20
    (folder / "b.csv").write_text("0\n1\n2\n")
    assert len(read_array(folder / "b.csv")[0]) == 3


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0,1\n5,6\n7,8\n", [[5, 6], [7, 8]]),  # whole numbers under pandas' names
        (",0\n0,5\n1,7\n", [[5], [7]]),  # an index and one column
        ('"5","6"\n"7","8"\n', [[5, 6], [7, 8]]),
        ("\ufeff5,6\n7,8\n", [[5, 6], [7, 8]]),  # the mark that Excel puts first
    ],
)
def test_small_tables(folder, text, rows):
    (folder / "a.csv").write_text(text)
    assert read_array(folder / "a.csv")[0].tolist() == rows


def test_an_index_and_times_alone_are_no_features(folder):
    (folder / "a.csv").write_text(",Time\n0,0.5\n1,1.5\n")
    with pytest.raises(ValueError, match="expected numbers of the shape"):
        read_array(folder / "a.csv")


@pytest.mark.parametrize(("header", "reason"), [(",0,1", "has no name: call it timestamp"),
                                                ("frame,0,1", "counts 'frame': make seconds")])  # fmt: skip
def test_first_columns_that_could_be_anything_are_refused(folder, header, reason):
    rows = np.hstack([np.arange(20)[:, None] + 0.25, ROWS])
    with pytest.raises(ValueError, match=reason):
        read_array(write_csv(folder / "a.csv", header, rows))


@pytest.mark.parametrize("times", [[0, 2, 1], [0, 1, 1], [-0.1, 1, 2], [0, 1], [[0], [1], [2]]])
def test_timestamps_rise_from_0_on_one_a_row(folder, times):
    np.savez(folder / "a.npz", features=np.ones((3, 2)), timestamps=times)
    with pytest.raises(ValueError, match=r"a\.npz: expected 3 rising timestamps from 0 on"):
        read_array(folder / "a.npz")


def test_a_single_number_that_is_none_is_found(folder):
    np.save(folder / "a.npy", np.array([[1.0, 2.0], [3.0, np.nan]]))
    with pytest.raises(ValueError, match=r"a\.npy: expected finite numbers"):
        read_array(folder / "a.npy")


@pytest.mark.parametrize(("timestamps", "seconds"), [((np.arange(20) + 0.5) * 500, "10000.0"),
                                                     (np.arange(20) * 12.0, "234.0"),
                                                     ((np.arange(20) + 0.5) * 0.05, "1.0")])  # fmt: skip
def test_timestamps_that_do_not_fit_the_video_are_refused(folder, timestamps, seconds):
    np.savez(folder / "a.npz", features=ROWS, timestamps=timestamps)
    with pytest.raises(ValueError, match=rf"last {seconds} seconds by its timestamps, its annotation 10.0"):
        as_video(folder / "a.npz", Placing(), 10.0)


MS = {"npz": ("timestamps_ms", "timestamp_ms"), "csv": ("ms", "Time (ms)", "milliseconds", "timestamps ms")}


@pytest.mark.parametrize(("suffix", "names"), MS.items())
def test_milliseconds_are_known_by_their_name(folder, suffix, names):
    times = (np.arange(20) + 0.5) * 500
    for name in names:
        path = folder / f"a.{suffix}"
        if suffix == "npz":
            np.savez(path, features=ROWS, **{name: times})
        else:
            lines = (",".join(map(str, [time, *row])) for time, row in zip(times, ROWS, strict=True))
            path.write_text("\n".join([f"{name},x,y", *lines]))
        np.testing.assert_array_equal(as_video(path, Placing(), 10.0).timestamps, times / 1000)


def test_one_row_is_a_video(tmp_path, folder):
    database(tmp_path, a=4.0, b=4.0)
    np.savez(folder / "a.npz", features=ROWS[:1], timestamps=np.zeros(1))
    np.savez(folder / "b.npz", features=ROWS[:4], timestamps=np.arange(4.0))
    assert run(tmp_path) == 0
    found = imported(tmp_path)
    assert found["a"].timestamps.tolist() == [0] and found["a"].duration == 4 and found["a"].fps == 0


@pytest.mark.parametrize(("axes", "shape"), [("DT", (2, 20)), ("1TD", (1, 20, 2)), ("T1D", (20, 1, 2)),
                                             ("1DT", (1, 2, 20)), ("TD11", (20, 2, 1, 1))])  # fmt: skip
def test_axes_stand_in_the_order_that_is_told(folder, axes, shape):
    turned = ROWS.T if axes.index("D") < axes.index("T") else ROWS
    np.save(folder / "a.npy", turned.reshape(shape))
    np.testing.assert_array_equal(read_array(folder / "a.npy", Layout(None, axes))[0], ROWS)
    with pytest.raises(ValueError, match=r"a\.npy: its 2 rows|--layout"):
        as_video(folder / "a.npy", Placing(2.0), 10.0)


def test_an_axis_of_another_length_is_no_1(folder):
    np.save(folder / "a.npy", ROWS.reshape(2, 10, 2))
    with pytest.raises(ValueError, match=r"shape \[1, T, D\], received float64 \(2, 10, 2\)"):
        read_array(folder / "a.npy", Layout(None, "1TD"))


def test_arrays_are_chosen_by_their_names(folder):
    np.savez(folder / "a.npz", rgb=ROWS, flow=ROWS + 1)
    with h5py.File(folder / "b.h5", "w") as file:
        file["c3d/rgb"], file["c3d/timestamps"] = ROWS, np.arange(20) + 0.5
    np.testing.assert_array_equal(read_array(folder / "a.npz", Layout("flow"))[0], ROWS + 1)
    with pytest.raises(ValueError, match="expected an array 'features', received 'rgb', 'flow'; --key"):
        read_array(folder / "a.npz")
    features, timestamps = read_array(folder / "b.h5")
    np.testing.assert_array_equal(features, ROWS)
    assert timestamps[1] == 1.5


def test_an_hdf5_file_reads_no_other_file(tmp_path, folder):
    (tmp_path / "secret").write_bytes(ROWS.tobytes())
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("features", (20, 2), "f8", external=[(str(tmp_path / "secret"), 0, 320)])
    with pytest.raises(ValueError, match="another file, which is not read"):
        read_array(folder / "a.h5")
    with h5py.File(folder / "b.h5", "w") as file:
        file["features"] = h5py.ExternalLink("a.h5", "features")
    with pytest.raises(ValueError, match="expected an array 'features'"):
        read_array(folder / "b.h5")
    (folder / "c.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="c.h5: not an array"):
        read_array(folder / "c.h5")


def test_names_as_tools_write_them_and_parts_side_by_side(tmp_path, folder, capsys):
    database(tmp_path, a=10.0, b=10.0, c=10.0)
    for name in "abc":
        np.save(folder / f"v_{name}_rgb.npy", ROWS)
    np.save(folder / "v_a_flow.npy", ROWS[:19, :1] + 100)
    np.save(folder / "v_c_flow.npy", ROWS[:15, :1])
    assert run(tmp_path, "--rate", "2", "--prefix", "v_", "--suffix", "_rgb", "--also", "_flow") == 1
    found, told = imported(tmp_path), capsys.readouterr().err
    np.testing.assert_array_equal(found["a"].features, np.hstack([ROWS[:19], ROWS[:19, :1] + 100]))
    assert list(found) == ["a"]
    assert "expected a file v_b_flow" in told and "v_c_rgb.npy: expected 15 rows, as in another part" in told


def test_a_part_may_have_one_row_more_and_no_other_number(folder):
    parts = [folder / "rgb.npy", folder / "flow.npy"]
    placing = Placing(rate=2.0)
    for more, refused in ((1, False), (2, True)):
        for path, rows in zip(parts, (20 - more, 20), strict=True):
            np.save(path, ROWS[:rows])
        if refused:
            with pytest.raises(ValueError, match="flow.npy: expected 18 rows, as in another part .* received 20"):
                as_video(parts, placing, 10.0, Layout(), "a")
        else:
            assert len(as_video(parts, placing, 10.0, Layout(), "a").features) == 19


@pytest.mark.parametrize(("rows", "rate"), [(1, 0.0), (2, 4.0), (3, 4.0)])
def test_two_rows_say_how_often_there_is_one(folder, rows, rate):
    np.save(folder / "a.npy", ROWS[:rows])
    assert as_video(folder / "a.npy", Placing(rate=4.0), rows / 4, Layout(), "a").fps == rate


def test_a_folder_without_arrays_is_told(tmp_path, folder, capsys):
    database(tmp_path, a=10.0)
    (folder / "a.txt").write_text("no array")
    assert run(tmp_path, "--rate", "2") == 2
    assert f"{folder}: expected a folder with .npy" in capsys.readouterr().err


def test_the_work_of_finding_files_grows_with_their_number_alone(tmp_path, folder, monkeypatch):
    """Each name is looked at a fixed number of times, however many files there are."""
    looked = []

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            looked.append(other)
            return str.__eq__(self, other)

    names = [f"video{number}" for number in range(300)]
    database(tmp_path, **dict.fromkeys(names, 10.0))
    for name in names:
        (folder / f"{name}.npy").touch()
    monkeypatch.setattr(arrays, "video_id", lambda path: Name(path.stem))
    assert run(tmp_path, "--rate", "2") == 1  # all are empty
    assert len(looked) < 10 * len(names)


def test_composed_and_decomposed_names_are_one_video(tmp_path, folder):
    database(tmp_path, **{"Caf\u00e9": 10.0})
    np.save(folder / "Cafe\u0301.npy", ROWS)
    assert run(tmp_path, "--rate", "2") == 0
    assert list(imported(tmp_path)) == ["Caf\u00e9"]


@pytest.mark.parametrize(
    "options",
    [
        ["--fps", "3"],
        ["--rate", "2", "--rescale"],
        ["--layout", "TT"],
        ["--layout", "NTD"],
        ["--fps", "0", "--stride", "8", "--window", "1"],
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options):
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, *options)


def test_a_spec_of_before_is_one_of_a_rate(tmp_path, folder):
    database(tmp_path, a=10.0)
    np.save(folder / "a.npy", ROWS)
    assert run(tmp_path, "--rate", "2") == 0
    spec = tmp_path / "features/extractor.json"
    value = json.loads(spec.read_text())
    assert value.pop("placing") is None
    spec.write_text(json.dumps(value))
    assert run(tmp_path, "--rate", "2") == 0
