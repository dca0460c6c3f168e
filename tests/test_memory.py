"""The memory there is, and all stages on a data set that does not fit it."""

import json

import pytest
from made_features import SETTINGS, load_data, make_data_set

import config
import data
import metrics
import predictions_json
import report
import trainer
from features import memory
from training import tuning

GIB = 1 << 30


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64 * GIB),
        ({"sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ({"sys/fs/cgroup/memory.max": "max\n", "proc/self/cgroup": "0::/\n"}, 64 * GIB),
        ({"sys/fs/cgroup/memory.max": f"{200 * GIB}\n"}, 64 * GIB),
        # the process' own group, and one above it
        ({"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/memory.max": f"{3 * GIB}\n"}, 3 * GIB),
        ({"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/memory.max": "max\n",
          "sys/fs/cgroup/job/memory.max": f"{5 * GIB}\n"}, 5 * GIB),
        ({"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/other/memory.max": f"{GIB}\n"}, 64 * GIB),
        # a container that sees the host's path, and its own group at the top
        ({"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/memory.max": f"{4 * GIB}\n"}, 4 * GIB),
        # version 1, whose groups without a limit have a huge one
        ({"proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/a\n0::/\n",
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
          "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{6 * GIB}\n"}, 6 * GIB),
        ({"proc/self/cgroup": "3:cpu:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{GIB}\n"}, 64 * GIB),
    ],
)  # fmt: skip
def test_the_memory_of_a_container_is_its_limit(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(memory.os, "sysconf", {"SC_PHYS_PAGES": 64 * GIB // 4096, "SC_PAGE_SIZE": 4096}.get)
    write(tmp_path, files)
    assert memory.memory_bytes(tmp_path) == expected


def test_features_fit_where_twice_their_files_do(tmp_path, monkeypatch):
    file = tmp_path / "a.tfrecord"
    file.write_bytes(bytes(1000))
    monkeypatch.setattr(data, "memory_bytes", lambda: 3999)
    for difference, fits in (("none", True), ("signed", False)):
        assert data.fits_memory([file], data.Preparation("none", difference)) == fits


CHOSEN = (
    "train.max_steps=20", "train.save_checkpoints_steps=10", "train.pictures=0", "predict.subset=testing",
    "data.feature_normalization=train", "data.temporal_difference=signed",
)  # fmt: skip


def all_stages(folder, run):
    """Train, predict, tune, evaluate and report; what each wrote, by file name."""
    options = []
    for assignment in (f"paths.data_dir={folder}", *SETTINGS, *CHOSEN, f"paths.model_dir={run}"):
        options += ["--set", assignment]
    assert trainer.main(options) == 0
    finished = (folder / run / "predictions_testing.json").read_text()
    assert predictions_json.main([*options, "--subset", "validation"]) == 0
    assert trainer.main([*options, "--tune", "--folds", "2"]) == 0
    assert metrics.main([*options, "--subset", "validation"]) == 0
    assert report.main([*options, "--subset", "validation"]) == 0
    assert (folder / run / "report.html").stat().st_size > 10_000
    names = ("predictions_validation.json", "metrics_validation.json", "tuning.json")
    written = {name: json.loads((folder / run / name).read_text()) for name in names}
    tuned = config.load(folder / run / "tuned.yml").predict
    return written | {"predictions_testing.json": json.loads(finished), "tuned.yml": tuned}


def test_a_data_set_that_fits_no_memory_goes_through_all_stages(tmp_path, monkeypatch):
    make_data_set(tmp_path)
    monkeypatch.setattr(tuning, "SEARCHED", ([{"smoothing": 0.0}, {"smoothing": 0.5}], [{"nms_tiou": 0.25}]))
    expected = all_stages(tmp_path, "memory")
    assert not (tmp_path / "memory/cache").exists()
    monkeypatch.setattr(data, "fits_memory", lambda *_: False)
    assert all_stages(tmp_path, "file") == expected
    # a file a subset, which a later stage reads again
    rows = sorted(path.name.split("-")[0] for path in (tmp_path / "file/cache").glob("*.rows"))
    assert rows == ["testing", "training", "validation"]
    # both runs hold something to compare
    assert any(expected["predictions_testing.json"]["results"].values())


def test_the_search_for_settings_copies_no_features(tmp_path):
    make_data_set(tmp_path)
    settings = config.load(None, [f"paths.data_dir={tmp_path}", *SETTINGS, "data.cache=none"])
    run_data = load_data(settings, ("training",))
    search = tuning.Search(run_data, [None] * len(run_data.training.ids), 0)
    assert search._store.features.size == 0 and search._store.ids == run_data.training.ids
