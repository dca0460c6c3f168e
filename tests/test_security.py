"""What strangers' files and names cannot do: leave their folder, be a formula, run code, fill the memory."""

import ast
import csv
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import annotations
import command_line
import config
import feature_map_extractor
import utils
from download import failures, fetch, selection
from extraction import claims, lanes
from features import array_files as arrays
from features import records
from localization.results import Localization, Segment
from localization.writers import write_csv
from prediction.score_file import ScoreFile
from report_page import rendering

ROOT = Path(__file__).parents[1]
# the head of a record: its length, 2^40, and the right checksum of it
CLAIM = bytes.fromhex("0000000000010000aa3d6be4")
SOURCES = [path for path in ROOT.rglob("*.py") if not {".venv", "tests"} & set(path.relative_to(ROOT).parts)]


def test_no_code_loads_pickles_or_trusts_keras_files():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                refused = {"pickle", "dill", "joblib", "shelve", "marshal"}
                if isinstance(node, ast.Import) and path.name == "efficientnet_lite.py":
                    refused.remove("pickle")
                assert not names & refused, path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                # of those only the base of the unpickler that refuses all it does not know, and numbers of opcodes
                assert node.attr in {"_Unpickler", "UnpicklingError"} or isinstance(
                    getattr(pickle, node.attr), bytes
                ), path
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "safe_mode", "shell"):
                assert node.value.value is (node.arg == "safe_mode"), path


@pytest.mark.parametrize("name", [
    "..", "../x", "/x", "a/b", "a\\b", "a\0", "a\n", "x" * 300, "", ".x", "x.", "x ", "CON", "nul.txt", "com1", "C:x",
    "a?", "\ud800", None, 3,
])  # fmt: skip
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(ValueError, match="expected an id that can be a file name"):
        utils.require_safe_name(name, "database")


@pytest.mark.parametrize("name", ["v_abc", "-dQw4w9WgXcQ", "\u00fc \u4e2d", "a.b", "console", "com10", "x" * 200])
def test_names_of_files_stay(tmp_path, name):
    (tmp_path / utils.require_safe_name(name, "database")).touch()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_in_an_output_folder_is_replaced_and_not_followed(tmp_path):
    outside, link = tmp_path / "outside", tmp_path / "run/metrics.json"
    outside.write_text("mine")
    link.parent.mkdir()
    link.symlink_to(outside)
    utils.write_json(link, {"a": 1})
    assert outside.read_text() == "mine"
    assert not link.is_symlink() and utils.read_json(link) == {"a": 1}


@pytest.mark.parametrize(("text", "cell"), [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-2+3|calc", "'-2+3|calc"), ("\t=1", "'\t=1"),
    ("a\r=1+1", "a =1+1"), ("\r=1", "' =1"), ("\n\u2028@A1", "'\n\u2028@A1"),
    ("-dQw4w9WgXcQ", "-dQw4w9WgXcQ"), ("run, jump", "run, jump"), ("a=b", "a=b"),
])  # fmt: skip
def test_no_cell_of_a_table_is_a_formula(tmp_path, text, cell):
    write_csv(tmp_path / "a.csv", {text: [Segment(0, 1, text, 0.5)]})
    with (tmp_path / "a.csv").open(newline="") as file:
        row = list(csv.reader(file))[1]
    assert row == [cell, "0.000", "1.000", cell, "0.5000"]


@pytest.mark.parametrize("read", [
    arrays.read_array, utils.read_json, utils.read_jsonl, config.read_layer, annotations.load, ScoreFile,
    selection.read_ids, fetch._read_cookies, lambda path: list(records.read_features([path])),
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder"])
def test_what_could_be_read_without_end_is_refused(tmp_path, read, name, kind):
    path = tmp_path / name
    {"pipe": os.mkfifo, "link to a device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}[kind](path)
    with pytest.raises(ValueError, match=rf"{name}.*(folder|pipe or device|neither a file)"):
        read(path)


def test_a_table_of_annotations_that_does_not_end_is_refused(tmp_path, capsys):
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    assert annotations.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / "a.json")]) == 2
    assert "a.csv: expected a file, received a pipe or device" in capsys.readouterr().err


def test_a_link_where_locks_and_descriptions_of_features_belong_is_refused(tmp_path):
    other, folder = tmp_path / "other", tmp_path / "features"
    folder.mkdir()
    other.write_text("somebody's")
    (folder / ".lock").symlink_to(other)
    with pytest.raises(ValueError, match=r"\.lock: expected a file of ours, received a link"):
        claims.Claims(folder)
    (folder / f".extractor.json.{os.getpid()}.part").symlink_to(other)
    with pytest.raises(ValueError, match="expected a file of ours, received a link"):
        records.create_spec(folder, {})
    assert other.read_text() == "somebody's"


def test_templates_escape_what_they_show():
    """What a page makes of hostile labels is tested in test_report_page.py and test_report_browser.py."""
    assert "autoescape=True" in Path(rendering.__file__).read_text()
    assert "|safe" not in (Path(rendering.__file__).parent / "page.html.j2").read_text().replace(" ", "")


def test_errors_are_one_printable_line(capsys):
    def fail():
        raise ValueError("a\nb\x1b[2J\u202e")

    assert command_line.run_script(fail) == 2
    assert capsys.readouterr().err == "error: a b\\x1b[2J\\u202e\n"


def test_names_and_reasons_reach_the_terminal_as_text(capsys, tmp_path):
    hostile = "a\x1b[2J\nb\u202e"
    command_line.set_up_logging("info")
    utils.LOGGER.info("%s  %s", hostile, "two spaces stay")
    with lanes.make_progress(1) as progress:
        lanes.Outcome().count(hostile, progress)
    assert feature_map_extractor._report(lanes.Outcome(failures=[hostile]), tmp_path) == 1
    shown = capsys.readouterr()
    assert "INFO a\\x1b[2J\\nb\\u202e  two spaces stay\n" in shown.err
    assert shown.out.count("a\\x1b[2J b\\u202e\n") == 2
    assert not set("\x1b\u202e") & set(shown.out + shown.err)
    found = Localization("a", tmp_path / hostile, 1.0, (), np.zeros(0), np.zeros((0, 1)), ("background",))
    assert repr(found).startswith("a\\x1b[2J b\\u202e  (0:01.0)")
    assert failures.classify(OSError(hostile)).message == "a\\x1b[2J b\\u202e"


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_arrays_run_no_code(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Touch(tmp_path / "ran")], object), allow_pickle=True)
    with pytest.raises(ValueError, match="a.npy: not an array of features"):
        arrays.read_array(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
    with pytest.raises(ValueError, match="b.npy: not an array of features"):
        arrays.read_array(tmp_path / "b.npy")
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", features=np.zeros((100, 1000)))
    monkeypatch.setattr(arrays, "MAX_BYTES", 700_000)
    with pytest.raises(ValueError, match="a.npz: .* at most 700,000 bytes unpacked, received 800,128"):
        arrays.read_array(tmp_path / "a.npz")


def test_an_array_whose_header_asks_for_the_whole_memory_is_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 10), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 80
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("features.npy", content)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ValueError, match=f"{name}: not an array of features"):
            arrays.read_array(tmp_path / name)


@pytest.mark.slow
def test_a_record_that_declares_more_than_its_file_does_not_end_the_process(tmp_path):
    """TensorFlow 2.21 asks for the declared bytes and crashes, so that it needs a process of its own."""
    script = (
        "import sys; from pathlib import Path; from features import records\n"
        "try: list(records.read_features([Path(sys.argv[1])]))\n"
        "except ValueError as error: print(error)\n"
    )
    (tmp_path / "a.tfrecord").write_bytes(CLAIM + b"x" * 20)
    command = [sys.executable, "-c", script, str(tmp_path / "a.tfrecord")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0 and "a.tfrecord: damaged" in done.stdout, done
