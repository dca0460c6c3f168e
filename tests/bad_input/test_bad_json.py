"""Annotation and prediction files as strangers write them: one line and status 2, or read with a checked result."""

import copy
import json
import os

import pytest
from outcomes import digests, refused

import annotations
import metrics

SEGMENT = {"segment": [1, 4], "label": "run"}
VIDEO = {"subset": "validation", "duration": 10, "annotations": [SEGMENT]}
ROOT = {"nodeId": 0, "nodeName": "Root", "parentId": None}
GOOD = {"version": "1", "taxonomy": [], "database": {"v": VIDEO}}
PREDICTION = {"label": "run", "score": 0.5, "segment": [1, 4]}
DEEP = b"[" * 100_000


def changed(path, value):
    """The good annotations with the value at `path` replaced."""
    whole = copy.deepcopy(GOOD)
    part = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return json.dumps(whole).encode()


def without(*path):
    whole = copy.deepcopy(GOOD)
    part = whole
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return json.dumps(whole).encode()


def video(**values):
    return changed(("database", "v"), VIDEO | values)


def segment(**values):
    return video(annotations=[SEGMENT | values])


def named(name):
    return changed(("database",), {name: VIDEO})


def taxonomy(*nodes):
    return changed(("taxonomy",), list(nodes))


WHOLE = json.dumps(GOOD).encode()
ANNOTATIONS = {
    "zero bytes": (b"", "not a JSON file"),
    "text": (b"hello", "not a JSON file"),
    "cut": (WHOLE[:-7], "not a JSON file"),
    "two documents": (WHOLE * 2, "Extra data"),
    "binary": (bytes(range(256)), "not a JSON file"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "not a JSON file"),
    "Latin-1": (segment(label="X").replace(b"X", b"\xe9"), "not a JSON file"),
    "nested too deeply": (DEEP, "nested too deeply"),
    "a list": (b"[]", "expected an object"),
    "null": (b"null", "expected an object"),
    "a key twice": (b'{"database": {}, "database": {}}', "given twice"),
    "a video twice": (b'{"database": {"v": {}, "v": {}}}', "given twice"),
    "no database": (without("database"), "database: expected an object, but it is missing"),
    "database a list": (changed(("database",), []), "database: expected an object"),
    "video a number": (changed(("database", "v"), 3), "expected an object"),
    "unknown subset": (video(subset="trian"), "expected one of training, validation, testing"),
    "no duration": (without("database", "v", "duration"), "duration"),
    "duration NaN": (video(duration=float("nan")), "duration: expected a finite number"),
    "duration infinite": (video(duration=float("inf")), "duration: expected a finite number"),
    "duration negative": (video(duration=-1), "at least 0 seconds"),
    "duration of 400 digits": (video(duration=10**400), "duration: expected a finite number"),
    "duration of 5,000 digits": (video(duration=1).replace(b'"duration": 1', b'"duration": ' + b"9" * 5000), "digits"),
    "duration true": (video(duration=True), "duration: expected a number"),
    "duration a word": (video(duration="ten"), "duration: expected a finite number"),
    "annotations an object": (video(annotations={}), "annotations: expected a list"),
    "no annotations": (without("database", "v", "annotations"), "annotations: expected a list, but it is missing"),
    "segment of one number": (segment(segment=[1]), "expected [start, end]"),
    "segment of three": (segment(segment=[1, 2, 3]), "expected [start, end]"),
    "segment backwards": (segment(segment=[4, 1]), "ends after it begins"),
    "segment with NaN": (segment(segment=[float("nan"), 1]), "finite number"),
    "segment with null": (segment(segment=[None, 1]), "finite number"),
    "no label": (segment(label=None), "label: expected text"),
    "label empty": (segment(label=" "), "printable"),
    "label with a line break": (segment(label="a\nb"), "printable"),
    "label with a terminal's code": (segment(label="\x1b[31mred"), "printable"),
    "label background": (segment(label="Background"), "reserved"),
    "id leaves its folder": (named("../../etc/x"), "an id that can be a file name"),
    "id absolute": (named("/etc/x"), "an id that can be a file name"),
    "id with NUL": (named("a\0b"), "an id that can be a file name"),
    "id with a line break": (named("a\nb"), "an id that can be a file name"),
    "id of 300 characters": (named("x" * 300), "an id that can be a file name"),
    "id empty": (named(""), "an id that can be a file name"),
    "id hidden": (named(".x"), "an id that can be a file name"),
    "id with a backslash": (named("a\\b"), "an id that can be a file name"),
    "id a device of Windows": (named("con"), "an id that can be a file name"),
    "id a device of Windows with an ending": (named("LPT1.x"), "an id that can be a file name"),
    "id that ends in a dot": (named("x."), "an id that can be a file name"),
    "id of half a character": (named("\ud800"), "an id that can be a file name"),
    "taxonomy an object": (changed(("taxonomy",), {}), "taxonomy: expected a list"),
    "taxonomy: a circle": (
        taxonomy(ROOT, {"nodeId": 1, "nodeName": "a", "parentId": 2}, {"nodeId": 2, "nodeName": "b", "parentId": 1}),
        "circle",
    ),
    "taxonomy: its own parent": (taxonomy(ROOT, {"nodeId": 1, "nodeName": "a", "parentId": 1}), "circle"),
    "taxonomy: an orphan": (taxonomy(ROOT, {"nodeId": 1, "nodeName": "a", "parentId": 9}), "9"),
    "taxonomy: an id twice": (taxonomy(ROOT, ROOT), "given twice"),
    "taxonomy: no root": (taxonomy({"nodeId": 1, "nodeName": "a", "parentId": 1}), "root"),
}


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_annotations_are_refused(tmp_path, capsys, case):
    content, because = ANNOTATIONS[case]
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    refused(capsys, annotations.main, [path], names=path, because=because)


# a JSON file -> videos, labelled segments, a part of the warning
READ = {
    "byte order mark": (b"\xef\xbb\xbf" + WHOLE, 1, 1, ""),
    "UTF-8": (segment(label="\u00e9\u4e2d"), 1, 1, ""),
    "extra keys": (video(more={"x": [1]}), 1, 1, ""),
    "empty subsets": (changed(("database",), {}), 0, 0, ""),
    "testing without annotations": (video(subset="testing", annotations=None), 1, 0, ""),
    "numbers as text": (segment(segment=["1.5", "2"]), 1, 1, "numbers written as text"),
    "beyond the end": (segment(segment=[1, 99]), 1, 1, "end beyond"),
    "before the beginning": (segment(segment=[-1, 3]), 1, 1, "begin before 0"),
    "without length": (segment(segment=[3, 3]), 1, 0, "have no length"),
    "twice": (video(annotations=[SEGMENT, SEGMENT]), 1, 2, "given twice"),
    "a video of no length": (video(duration=0), 1, 0, "end beyond"),
    "huge but finite": (video(duration=1e308), 1, 1, ""),
}


@pytest.mark.parametrize("case", READ)
def test_odd_annotations_are_read_and_their_oddities_counted(tmp_path, capsys, case):
    content, videos, segments, warning = READ[case]
    path = tmp_path / "annotations.json"
    path.write_bytes(content)
    before = digests(tmp_path)
    assert annotations.main([str(path)]) == 0
    printed = capsys.readouterr().err
    assert (warning in printed and printed.count("\n") == 1) if warning else not printed
    read = annotations.load(path)
    assert len(read.videos) == videos
    assert sum(len(video.labelled_segments()) for video in read.videos.values()) == segments
    assert digests(tmp_path) == before


@pytest.mark.slow
def test_a_million_segments_are_read(tmp_path):
    path = tmp_path / "annotations.json"
    one = json.dumps(SEGMENT)
    path.write_text(json.dumps(GOOD).replace(f"[{one}]", "[" + ",".join([one] * 1_000_000) + "]"))
    assert len(annotations.load(path).videos["v"].segments) == 1_000_000


@pytest.mark.parametrize(("make", "because"), [
    (lambda path: None, "no such file"), (lambda path: path.mkdir(), "received a folder"),
    (lambda path: path.symlink_to("nowhere"), "no such file"), (os.mkfifo, "a pipe or device"),
])  # fmt: skip
def test_what_is_no_file(tmp_path, capsys, make, because):
    path = tmp_path / "annotations.json"
    make(path)
    refused(capsys, annotations.main, [path], names=path, because=because)


def results(value):
    return json.dumps({"version": "1", "results": value}).encode()


def one(**values):
    return results({"v": [PREDICTION | values]})


PREDICTIONS = {
    "zero bytes": (b"", "not a JSON file"),
    "text": (b"hello", "not a JSON file"),
    "UTF-16": ('{"results": {}}'.encode("utf-16"), "not a JSON file"),
    "nested too deeply": (DEEP, "nested too deeply"),
    "no results": (b"{}", "expected an object with results"),
    "results a list": (results([]), "expected an object with results"),
    "a video twice": (b'{"results": {"v": [], "v": []}}', "given twice"),
    "a video an object": (results({"v": {}}), "expected a list of predictions"),
    "a prediction null": (results({"v": [None]}), "expected {"),
    "no score": (results({"v": [{"label": "run", "segment": [1, 2]}]}), "expected {"),
    "score NaN": (one(score=float("nan")), "finite numbers"),
    "score infinite": (one(score=float("inf")), "finite numbers"),
    "score of 1e308": (one(score=-1e308), "up to 1e"),
    "end of 1e308": (one(segment=[0, 1e308]), "up to 1e"),
    "score text": (one(score="0.5"), "finite numbers"),
    "score true": (one(score=True), "finite numbers"),
    "score of 400 digits": (one(score=10**400), "finite numbers"),
    "label a number": (one(label=3), "expected {"),
    "segment of one number": (one(segment=[1]), "expected {"),
    "segment backwards": (one(segment=[4, 1]), "start <= end"),
    "segment a text": (one(segment="14"), "expected {"),
    "unknown label": (one(label="fly"), "fly"),
    "id with a line break": (results({"a\nb": 3}), "expected a list of predictions"),
    "label with a terminal's code": (one(label="\x1b[2Jx"), "x"),
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_predictions_are_refused(tmp_path, capsys, case):
    content, because = PREDICTIONS[case]
    truth, path = tmp_path / "truth.json", tmp_path / "predictions.json"
    truth.write_bytes(WHOLE)
    path.write_bytes(content)
    argv = ["--ground-truth", truth, "--predictions", path, "--subset", "validation"]
    refused(capsys, metrics.main, argv, names=path, because=because)


@pytest.mark.parametrize(("content", "average"), [
    (b"\xef\xbb\xbf" + results({"v": [PREDICTION]}), 1.0),
    (one(more=1), 1.0),
    (one(score=-3), 1.0),
    (one(segment=[4, 4]), 0.0),
    (results({}), 0.0),
    (results({"stranger": [PREDICTION]}), 0.0),
    (results({"v": [PREDICTION], "stranger": [PREDICTION | {"score": 0.9}]}), 0.5),
])  # fmt: skip
def test_odd_predictions_are_evaluated(tmp_path, capsys, content, average):
    truth, path = tmp_path / "truth.json", tmp_path / "predictions.json"
    truth.write_bytes(WHOLE)
    path.write_bytes(content)
    output = tmp_path / "out"
    argv = ["--ground-truth", truth, "--predictions", path, "--subset", "validation", "--output", output]
    assert metrics.main([str(part) for part in argv]) == 0
    assert json.loads(output.read_text())["average_mAP"] == pytest.approx(average)
    assert path.read_bytes() == content
