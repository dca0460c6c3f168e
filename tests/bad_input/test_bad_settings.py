"""Configuration files and `--set` values that cannot be meant: one line with source, key and reason, status 2."""

import os

import pytest
from outcomes import refused

import annotations
import config

STEPS = zip("abcdefghi", "bcdefghij", strict=True)
BOMB = "a: &a {x: 1}\n" + "".join(f"{b}: &{b} {{x: *{a}, y: *{a}}}\n" for a, b in STEPS)
FILES = {
    "unknown section": (b"trian:\n  seed: 1\n", "trian: unknown section"),
    "unknown key": (b"train:\n  lerning_rate: 1\n", "train.lerning_rate: unknown key"),
    "key twice": (b"train:\n  seed: 1\n  seed: 2\n", "given twice"),
    "wrong type": (b"train:\n  max_steps: many\n", "train.max_steps: received 'many'"),
    "a float for a count": (b"train:\n  max_steps: 1.5\n", "train.max_steps"),
    "true for a count": (b"train:\n  max_steps: true\n", "train.max_steps"),
    "null where there is none": (b"train:\n  seed: null\n", "train.seed"),
    "NaN": (b"train:\n  learning_rate: .nan\n", "train.learning_rate"),
    "infinite": (b"train:\n  learning_rate: .inf\n", "train.learning_rate"),
    "out of range": (b"model:\n  dropout: 1\n", "model.dropout"),
    "choice": (b"model:\n  cell_type: rnn\n", "model.cell_type"),
    "frames of 100,000 x 100,000": (b"video:\n  resize: [100000, 100000]\n", "video.resize[0]"),
    "impossible: gaps between windows": (b"data:\n  max_frames: 3\n", "window_stride must not exceed max_frames"),
    "impossible: size of maps": (b"extractor:\n  feature_maps_size: [5, 5, 8]\n", "set feature_pooling to none"),
    "impossible: shortest above longest": (b"download:\n  sleep_seconds: [9, 1]\n", "[shortest, longest]"),
    "template without an id": (b"download:\n  url_template: http://host/x\n", "needs {id}"),
    "a list": (b"- 1\n", "expected sections"),
    "a text": (b"hello", "expected sections"),
    "a section that is no section": (b"train: 3\n", "expected sections"),
    "not YAML": (b"train: [", "not a YAML file"),
    "a tab": (b"train:\n\tseed: 1\n", "not a YAML file"),
    "binary": (bytes(range(256)), "not a YAML file"),
    "UTF-16 without its mark": ("train:\n".encode("utf-16-le"), "not a YAML file"),
    "tag that runs code": (b"train:\n  seed: !!python/object/apply:os.system ['touch ran']\n", "could not determine"),
    "tag that imports": (b"train: !!python/module:antigravity\n", "could not determine a constructor"),
    "tag at the top": (b"!!python/object/new:os.system [touch ran]\n", "could not determine a constructor"),
    "anchors that explode": (BOMB.encode(), "anchors are not used here"),
    "merge key": (b"a: &a {seed: 1}\ntrain:\n  <<: *a\n", "anchors are not used here"),
    "nested too deeply": (b"train:\n  seed: " + b"[" * 100_000, "not a YAML file"),
    "a list as a key": (b"train:\n  ? [1]\n  : 2\n", "not a YAML file"),
    "a section without a name": (b"1: {}\n", "received 1"),
    "a date that is none": (b"train:\n  seed: 2001-99-99\n", "not a YAML file"),
    "a number of 5,000 digits": (b"train:\n  seed: " + b"9" * 5000 + b"\n", "not a YAML file"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_files_are_refused(tmp_path, capsys, monkeypatch, case):
    monkeypatch.chdir(tmp_path)  # where code in them would leave its mark
    content, because = FILES[case]
    path = tmp_path / "settings.yml"
    path.write_bytes(content)
    refused(capsys, annotations.main, ["-c", path], names=path, because=because)


@pytest.mark.parametrize(("make", "because"), [
    (lambda path: None, "no such file"), (lambda path: path.mkdir(), "received a folder"),
    (lambda path: path.symlink_to("nowhere"), "no such file"), (os.mkfifo, "pipe"),
])  # fmt: skip
def test_what_is_no_file(tmp_path, capsys, make, because):
    path = tmp_path / "settings.yml"
    make(path)
    refused(capsys, annotations.main, ["-c", path], names=path, because=because)


@pytest.mark.parametrize(("assignment", "because"), [
    ("train.max_steps", "expected section.key=value"),
    ("max_steps=3", "expected section.key=value"),
    ("train.max_step=3", "unknown key"),
    ("train.max_steps=-3", "greater than or equal to 1"),
    ("train.max_steps=[", "not a YAML value"),
    ("train.max_steps=!!python/name:os.system", "not a YAML value"),
    ("train.max_steps=" + "[" * 100_000, "not a YAML value"),
    ("paths.data_dir=a\0b", "paths"),
])  # fmt: skip
def test_assignments_are_refused(capsys, assignment, because):
    assert annotations.main(["--set", assignment]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1 and because in printed
    assert printed[:-1].isprintable() and len(printed) < 2000


def test_a_byte_order_mark_and_an_empty_file_are_read(tmp_path):
    path = tmp_path / "settings.yml"
    path.write_bytes(b"\xef\xbb\xbftrain:\n  seed: 7\n")
    assert config.load(path).train.seed == 7
    path.write_bytes(b"")
    assert config.load(path) == config.load()
