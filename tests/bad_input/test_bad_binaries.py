"""Feature files, arrays and weights that are damaged, foreign or hostile: one line with the file and the reason."""

import json

import numpy as np
import pytest
from made_features import make_data_set
from outcomes import refused

import command_line
from features import arrays as importing
from features import records

ANNOTATED = {"v": {"subset": "training", "duration": 3, "annotations": []}}


def whole(path, rows=300):
    values = np.ones((rows, 2), np.float32)
    video = records.VideoFeatures("v", values, np.arange(float(rows)), float(rows), 1.0)
    records.write_features(path, video, "float32")
    return path.read_bytes()


def flipped(content, position):
    position = int(len(content) * position)
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


FEATURES = {
    "zero bytes": lambda content: b"",
    "text": lambda content: b"hello\n" * 50,
    "twice itself": lambda content: content * 2,
    "bytes behind it": lambda content: content + b"\0" * 100,
} | {
    f"cut at {tenth} tenths": lambda content, tenth=tenth: content[: len(content) * tenth // 10]
    for tenth in range(1, 10)
} | {
    f"a bit flipped at {tenth} tenths": lambda content, tenth=tenth: flipped(content, tenth / 10) for tenth in range(10)
}  # fmt: skip


@pytest.mark.parametrize("case", FEATURES)
def test_feature_files_are_refused(tmp_path, capsys, case):
    path = tmp_path / "v.tfrecord"
    path.write_bytes(FEATURES[case](whole(path)))

    def main(argv):
        return command_line.run_script(lambda: list(records.read_features([path])))

    refused(capsys, main, [], names=path, because="")


@pytest.fixture
def arrays(tmp_path):
    (tmp_path / "arrays").mkdir()
    (tmp_path / "annotations.json").write_text(json.dumps({"taxonomy": [], "database": ANNOTATED}))
    return tmp_path / "arrays"


ARRAYS = {
    "zero bytes": ("v.npy", lambda path: path.write_bytes(b"")),
    "text": ("v.npy", lambda path: path.write_text("hello")),
    "text as an archive": ("v.npz", lambda path: path.write_text("hello")),
    "cut archive": ("v.npz", lambda path: (np.savez(path, features=np.ones((3, 2))),
                                           path.write_bytes(path.read_bytes()[:200]))),
    "objects": ("v.npy", lambda path: np.save(path, np.array([{}, {}, {}], object), allow_pickle=True)),
    "three axes": ("v.npy", lambda path: np.save(path, np.ones((3, 2, 2)))),
    "no rows": ("v.npy", lambda path: np.save(path, np.ones((0, 2)))),
    "NaN": ("v.npy", lambda path: np.save(path, np.full((3, 2), np.nan))),
    "complex": ("v.npy", lambda path: np.save(path, np.ones((3, 2), complex))),
    "text cells": ("v.csv", lambda path: path.write_text("1,2\na,b\n")),
    "ragged rows": ("v.csv", lambda path: path.write_text("1,2\n1\n")),
    "UTF-16": ("v.csv", lambda path: path.write_text("1,2\n", encoding="utf-16")),
    "another rate": ("v.npy", lambda path: np.save(path, np.ones((300, 2)))),
    "falling times": ("v.npz", lambda path: np.savez(path, features=np.ones((2, 2)), timestamps=[1.0, 0.5])),
    "times of NaN": ("v.npz", lambda path: np.savez(path, features=np.ones((2, 2)), timestamps=[0.5, np.nan])),
    "times of text": ("v.npz", lambda path: np.savez(path, features=np.ones((2, 2)), timestamps=["a", "b"])),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_are_refused(tmp_path, capsys, arrays, case):
    name, make = ARRAYS[case]
    make(arrays / name)
    sets = [f"paths.data_dir={tmp_path}", "paths.json_data_path=annotations.json", "paths.feature_map_folder=features"]
    options = [part for text in sets for part in ("--set", text)]
    status = importing.main(["import", str(arrays), "--rate", "1", *options])
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("ERROR")]
    assert status == 1 and len(lines) == 1, printed
    assert str(arrays / name) in lines[0]
    assert "Traceback" not in printed.err and not list(tmp_path.glob("features/*/*"))


def test_features_of_another_extractor_are_refused(tmp_path, capsys):
    import trainer

    make_data_set(tmp_path)
    spec = tmp_path / "features" / records.SPEC_FILE
    spec.write_text(json.dumps(json.loads(spec.read_text()) | {"backbone": "efficientnet_lite0"}))
    sets = [f"paths.data_dir={tmp_path}", "paths.json_data_path=annotations.json", "paths.feature_map_folder=features"]
    assert trainer.main([part for text in sets for part in ("--set", text)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and str(spec) in lines[0] and "made with other settings" in lines[0]
