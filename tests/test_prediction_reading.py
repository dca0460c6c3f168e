"""The quick reader of prediction files gives the numbers of the explaining one, and refuses what that refuses."""

import json
import random

import numpy as np
import pytest
from made_evaluation import prediction

from annotations import Video
from evaluation import predictions


def outcome(read, path):
    """What a reader makes of a file, as something to compare."""
    try:
        found = read(path)
    except ValueError as error:
        return str(error)
    table = found if isinstance(found, predictions.Table) else predictions.to_table(found)
    labels = [table.labels[number] for number in table.classes]
    videos = [table.names[number] for number in table.videos]
    return table.names, videos, labels, table.scores.tolist(), table.spans.tolist()


def assert_readers_agree(path, text):
    path.write_bytes(text)
    expected = outcome(predictions.load_predictions, path)
    assert outcome(predictions.load_table, path) == expected
    return expected


ENTRY = '{"label": "x", "score": 0.5, "segment": [1, 2.5]}'
GOOD = f'{{"version": "1:2", "results": {{"a:b": [{ENTRY}, {ENTRY}], "c": []}}, "external_data": {{"used": false}}}}'


def test_predictions_of_videos_that_are_not_asked_for_may_have_any_label(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"results": {"a": [prediction(0, 1, 0.5)], "b": [prediction(0, 1, 0.4, "other")]}}))
    table, a, b = predictions.load_table(path), *(Video(name, "testing", 9.0, "", ()) for name in "ab")
    assert predictions.class_numbers(table, {"x": 0}, [a]).tolist() == [0, -1]
    with pytest.raises(ValueError, match="results.b.0..label: 'other' is not among the classes"):
        predictions.class_numbers(table, {"x": 0}, [a, b])


def test_a_plain_file_takes_the_quick_way(tmp_path):
    assert predictions._typed(GOOD.encode()) is not None
    names, videos, labels, scores, spans = assert_readers_agree(tmp_path / "p.json", GOOD.encode())
    assert (names, videos, labels) == (("a:b", "c"), ["a:b", "a:b"], ["x", "x"])
    assert (scores, spans) == ([0.5, 0.5], [[1.0, 2.5], [1.0, 2.5]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"c": []', '"a:b": []'),  # each key given twice, at every depth
        ('"results"', '"version"'),
        ('"external_data"', '"results"'),
        ('"label": "x"', '"label": "x", "label": "y"'),
        ('"score": 0.5', '"score": 0.5, "score": 0.6'),
        ('"used": false', '"used": false, "used": true'),
        ('"label": "x"', '"label": "x", "\\u006cabel": "y"'),
        # a lost key whose colon an escaped one would make up for
        ('"label": "x", "score": 0.5', '"label": "x\\u003a", "score": 0.5, "score": 1'),
        ('"label": "x"', '"label": "x:y"'),
        ('"label": "x"', '"label": "x\\u00e9\\"\\\\"'),
        ('"label": "x"', '"label": "e\u0301"'), ('"c"', '"e\u0301"'),  # letters and accents by themselves
        ('"label": "x"', '"label": "\\ud800"'),
        ('"label": "x"', '"label": "x", "id": 3'),
        ("0.5", "true"), ("0.5", "1e400"), ("0.5", "NaN"), ("0.5", "-0"), ("0.5", "9" * 400), ("0.5", '"0.5"'),
        ("[1, 2.5]", "[2.5, 1]"), ("[1, 2.5]", f"[{2**53 + 1}, {2**53}]"), ("[1, 2.5]", "[1]"),
        ("[1, 2.5]", "[1, 2, 3]"), ("[1, 2.5]", '{"a": 1, "b": 2}'), ("[1, 2.5]", "[null, 1]"), ("0.5", "01"),
        ("0.5", ".5"), ('"c": []', '"c": {}'), ('"c": []', '"c": [[]]'), ("false", "NaN"), ("}}", "}"),
        ('"c": []', '"c": [],'), ("{", "[{"), ("x", "\x01"),
    ],
)  # fmt: skip
def test_other_files_end_as_the_explaining_reader_has_them(tmp_path, old, new):
    assert old in GOOD
    assert_readers_agree(tmp_path / "p.json", GOOD.replace(old, new, 1).encode())


def test_bytes_that_are_no_text_and_marks_at_the_front(tmp_path):
    path = tmp_path / "p.json"
    assert "not a JSON file" in assert_readers_agree(path, GOOD.encode().replace(b"x", b"\xff", 1))
    assert "not a JSON file" in assert_readers_agree(path, GOOD.encode().replace(b"1:2", b"\xff", 1))
    assert assert_readers_agree(path, b"\xef\xbb\xbf" + GOOD.encode())[0] == ("a:b", "c")
    assert "no such file" in outcome(predictions.load_table, tmp_path / "absent.json")
    assert "a folder" in outcome(predictions.load_table, tmp_path)


def test_random_damage_is_judged_alike(tmp_path):
    rng, path, refused = random.Random(0), tmp_path / "p.json", 0
    pieces = [b'"', b":", b",", b"{", b"}", b"[", b"]", b"\\", b"0", b"1e9", b"-", b" ", b"label"]
    for _ in range(600):
        text = bytearray(GOOD.encode())
        for _ in range(rng.choice([1, 1, 2])):
            place = rng.randrange(len(text))
            text[place : place + rng.randrange(3)] = rng.choice([b"", *pieces])
        refused += isinstance(assert_readers_agree(path, bytes(text)), str)
    assert 100 < refused < 600


def test_many_predictions_are_the_same_in_columns(tmp_path):
    rng = random.Random(1)
    results = {
        f"v{n}": [prediction(s := rng.random(), s + rng.random(), rng.random(), rng.choice("ab:c")) for _ in range(n)]
        for n in range(9)
    }
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"results": results}))
    table = predictions.load_table(path)
    expected = predictions.to_table(results)
    assert (table.names, table.labels) == (expected.names, expected.labels)
    for name in ("videos", "classes", "scores", "spans"):
        np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))
