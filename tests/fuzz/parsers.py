"""Made-up files -> the parsers of annotations, predictions, settings, feature files and `.pth`, and what must hold.

A target is a parser, a strategy of file contents and a name for the file. Contents are of three kinds: any bytes, whole
files with some bytes changed, and well-formed files of which the values are anything.
"""

import contextlib
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from hypothesis import strategies as st
from test_efficientnet_lite import ZERO_TO_FIVE, dictionary, storage, tensor, text, weights

import annotations
import command_line
import config
from annotation_formats import files
from annotation_formats.drafts import Options
from evaluation import predictions
from extraction import efficientnet_lite
from features import records

ODD = [None, True, -1, 0, 1e308, float("nan"), float("inf"), 10**400, "", "1", "\x1b[31m", "a\nb", "../x", "\ud800"]


def mutated(whole: bytes) -> st.SearchStrategy[bytes]:
    """`whole` with up to six stretches replaced by other bytes, and perhaps cut."""
    edit = st.tuples(st.integers(0, len(whole)), st.integers(0, 16), st.binary(max_size=16))

    def apply(edits: list[tuple[int, int, bytes]], end: int) -> bytes:
        data = whole
        for position, removed, added in edits:
            data = data[:position] + added + data[position + removed :]
        return data[: len(data) - end]

    return st.builds(apply, st.lists(edit, max_size=6), st.one_of(st.just(0), st.integers(0, len(whole))))


def replaced(value: object, leaf: st.SearchStrategy) -> st.SearchStrategy:
    """A JSON value like `value` in which any part may be missing or be something else."""
    if isinstance(value, dict):
        parts = {key: replaced(part, leaf) for key, part in value.items()}
        whole = st.fixed_dictionaries({}, optional=parts) | st.fixed_dictionaries(parts)
        whole |= st.builds(lambda one, name, other: one | {name: other}, whole, st.text(max_size=4), leaf)
    elif isinstance(value, list):
        whole = st.tuples(*(replaced(part, leaf) for part in value)).map(list)
        whole |= st.lists(replaced(value[0], leaf), max_size=3) if value else st.just([])
    else:
        return st.just(value) | leaf
    return whole | leaf


LEAF = st.sampled_from(ODD) | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
ANNOTATIONS = {
    "version": "1", "taxonomy": [{"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None},
                                 {"nodeId": 1, "nodeName": "run", "parentId": 0, "parentName": "Root"}],
    "database": {"v": {"subset": "training", "duration": 9.5, "url": "",
                       "annotations": [{"segment": [1.5, 4], "label": "run"}]}},
}  # fmt: skip
PREDICTIONS = {"version": "1", "results": {"v": [{"label": "run", "score": 0.5, "segment": [1, 4.5]}]}}


def json_files(whole: dict) -> st.SearchStrategy[bytes]:
    written = replaced(whole, LEAF).map(lambda value: json.dumps(value).encode())
    text = json.dumps(whole).encode()
    return st.just(text) | st.binary(max_size=200) | mutated(text) | written


def yaml_files() -> st.SearchStrategy[bytes]:
    defaults = yaml.safe_load(config.DEFAULTS_FILE.read_text(encoding="utf-8"))
    some = {section: dict(list(values.items())[:4]) for section, values in defaults.items()}
    leaf = LEAF.filter(lambda value: not (isinstance(value, str) and "\ud800" in value))
    written = replaced(some, leaf).map(lambda value: yaml.safe_dump(value).encode("utf-8", "replace"))
    tokens = st.sampled_from([
        "train:", "\n  ", "seed", ": ", "[", "]", "{", "}", "&a ", "*a", "!!python/name:os.system ", "!!binary ", "- ",
        "? ", "'", "|", "0x1", "1e999", ".nan", "2001-01-01", "<<", "#", "\t", "%",
    ])  # fmt: skip
    text = st.lists(tokens, max_size=30).map(lambda parts: "".join(parts).encode())
    whole = yaml.safe_dump(some).encode()
    return st.just(whole) | st.binary(max_size=100) | mutated(whole) | written | text


def feature_files() -> st.SearchStrategy[bytes]:
    import tensorflow as tf

    def of(**fields: object) -> bytes:
        made = {}
        for name, value in fields.items():
            if isinstance(value, bytes):
                made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            else:
                made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString(deterministic=True)

    def framed(records: list[bytes]) -> bytes:
        buffer = b""
        for record in records:
            head = struct.pack("<Q", len(record))
            buffer += head + _checksum(head) + record + _checksum(record)
        return buffer

    times = np.arange(3, dtype="<f8")
    good = {"video_id": b"sample", "dtype": b"float32", "shape": [3, 2], "features": np.ones((3, 2), "<f4").tobytes(),
            "timestamps": times.tobytes(), "duration_fps": np.array([3, 1], "<f8").tobytes(), "first_frame": [0],
            "last": [1]}  # fmt: skip
    whole = of(**good)
    number = st.integers(-(2**63), 2**63 - 1)
    doubles = st.lists(st.floats(), max_size=4).map(lambda values: np.array(values, "<f8").tobytes())
    others = {
        "video_id": st.binary(max_size=8),
        "dtype": st.sampled_from([b"float16", b"object", b"bfloat16", b"f4,f4", b"V8"]) | st.binary(max_size=4),
        "shape": st.lists(st.integers(-2, 4) | number, max_size=4),
        "features": st.binary(max_size=40),
        "timestamps": doubles,
        "first_frame": st.lists(number, max_size=2),
        "duration_fps": doubles,
        "last": st.lists(st.integers(0, 2), max_size=2),
    }
    changed = st.fixed_dictionaries({}, optional=others).map(lambda some: of(**(good | some)))
    record = mutated(whole) | changed | st.just(whole) | st.binary(max_size=50)
    file = framed([whole])
    return st.just(file) | st.binary(max_size=100) | mutated(file) | st.lists(record, max_size=3).map(framed)


def _checksum(data: bytes) -> bytes:
    """The masked CRC-32C (polynomial 0x1EDC6F41, reflected) of TensorFlow's record format."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def weight_files() -> st.SearchStrategy[bytes]:
    whole = weights()
    opcodes = [bytes([code]) for code in b"()]}.tRsue012NQ\x85\x86\x87\x88\x89"]
    opcodes += [b"K\x01", b"M\xff\xff", b"J\xff\xff\xff\xff", b"q\x00", b"h\x00", text("a"), b"cos\nsystem\n",
                b"\x8a\x08" + b"\x7f" * 8, storage(), tensor(), tensor(strides=(0, 0)), tensor(offset=9)]  # fmt: skip
    program = st.lists(st.sampled_from(opcodes), max_size=25).map(lambda codes: b"\x80\x02" + b"".join(codes) + b".")
    states = mutated(dictionary(a=tensor())) | program
    assembled = st.builds(lambda state, data: weights(state, data=data), states, mutated(ZERO_TO_FIVE))
    return st.just(whole) | st.binary(max_size=100) | mutated(whole) | assembled


def check_annotations(path: Path) -> None:
    read = annotations.load(path)
    for video in read.videos.values():
        assert np.isfinite([video.duration, *(time for s in video.segments for time in (s.start, s.end))]).all()
        assert all(0 <= s.start < s.end <= video.duration for s in video.labelled_segments())
    annotations.summary(read)


BORIS = {"behaviors_conf": {"0": {"type": "State event", "code": "run"}}, "observations": {"first": {
    "file": {"1": ["v.mp4"], "2": []}, "type": "MEDIA", "time offset": 0.0,
    "media_info": {"length": {"v.mp4": 9.5}, "offset": {"1": 0.0}},
    "events": [[1.5, "", "run", "", ""], [4.0, "", "run", "", ""]]}}}  # fmt: skip
VIA = {"attribute": {"1": {"aname": "action", "options": {"0": "run"}}}, "file": {"1": {"fname": "v.mp4"}},
       "metadata": {"a": {"vid": "1", "z": [1.5, 4], "av": {"1": "0"}}}, "view": {"1": {"fid_list": [1]}}}  # fmt: skip
STUDIO = [{"data": {"video": "v.mp4"}, "annotations": [{"completed_by": 1, "result": [
    {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 9}],
                                         "timelinelabels": ["run"]}}]}]}]  # fmt: skip
TEXTS = [
    "video,start,end,label,subset\nv,1.5,4,run,val\nv,0:05,00:00:06.5,run,\n",
    "Observation id,Behavior,Behavior type,Time,Media file name\nx,run,START,1,v.mp4\nx,run,STOP,2,v.mp4\n",
    ",background,run\n0,1,0\n1,0,1\n",
    "1.5\t4.0\trun\n",
    "1\n00:00:01,500 --> 00:00:04,000\nrun\n",
    "WEBVTT\n\n00:01.500 --> 00:04.000\nrun\n",
    '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT VERSION="3.0" xmlns:xsi="http://www.w3.org/2001/'
    'XMLSchema-instance" xsi:noNamespaceSchemaLocation="x"><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1"/>'
    '</TIME_ORDER><TIER TIER_ID="t"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" '
    'TIME_SLOT_REF2="ts1"><ANNOTATION_VALUE>run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>'
    "</ANNOTATION_DOCUMENT>",
]


def other_files() -> st.SearchStrategy[bytes]:
    """Annotations of other programs, which are told apart by their content."""
    jsons = st.one_of(*map(json_files, (BORIS, VIA, STUDIO)))
    return jsons | st.one_of(*(st.just(text.encode()) | mutated(text.encode()) for text in TEXTS))


def check_others(path: Path) -> None:
    drafts, _ = files.read(path, Options(fps=25.0), scored=True)
    for draft in drafts.finish().values():
        assert np.isfinite([draft.duration, *(time for s in draft.segments for time in (s.start, s.end))]).all()
        assert draft.subset in config.SUBSETS


def check_predictions(path: Path) -> None:
    for entries in predictions.load_predictions(path).values():
        assert all(np.isfinite([entry["score"], *entry["segment"]]).all() for entry in entries)


def check_settings(path: Path) -> None:
    settings = config.load(path)
    path.with_suffix(".again.yml").write_text(settings.to_yaml(), encoding="utf-8")
    assert config.load(path.with_suffix(".again.yml")) == settings


def check_features(path: Path) -> None:
    for video in records.read_features([path]):
        assert video.id == "sample" and len(video.features) == len(video.timestamps) > 0
        assert video.features.dtype in ("float16", "bfloat16", "float32")
        assert np.isfinite([video.duration, *video.timestamps]).all()


def check_weights(path: Path) -> None:
    for value in efficientnet_lite.read_state_dict(path).values():
        assert value.dtype in ("float32", "int64")
        value.sum()


class Target(NamedTuple):
    check: Callable[[Path], None]
    contents: Callable[[], st.SearchStrategy[bytes]]
    file: str


TARGETS = {
    "annotations": Target(check_annotations, lambda: json_files(ANNOTATIONS), "annotations.json"),
    "other annotations": Target(check_others, other_files, "v.any"),
    "predictions": Target(check_predictions, lambda: json_files(PREDICTIONS), "predictions.json"),
    "settings": Target(check_settings, yaml_files, "settings.yml"),
    "features": Target(check_features, feature_files, "sample.tfrecord"),
    "weights": Target(check_weights, weight_files, "weights.pth"),
}


def check(target: Target, path: Path, content: bytes) -> int:
    """Parse `content` as a script does: it is read, or status 2 and one line that names the file; never changed."""
    path.write_bytes(content)
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), np.errstate(all="ignore"):
        status = command_line.run_script(lambda: target.check(path))
    lines = [line for line in printed.getvalue().splitlines() if not line.startswith("WARNING")]
    expected = status == 0 and not lines or status == 2 and len(lines) == 1 and path.name in lines[0]
    assert expected and "".join(lines).isprintable(), (status, lines)
    assert path.read_bytes() == content, "the file was changed"
    return status
