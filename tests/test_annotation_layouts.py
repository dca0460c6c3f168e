"""Annotation JSON as other data sets write it: words for subsets, frames, labels by number; errors told together."""

import logging

import pytest
from test_annotations import video, write

import annotations
from segments import Segment


@pytest.mark.parametrize(("word", "subset"), [("Validation", "validation"), ("val", "validation"),
                                              ("TRAIN", "training"), ("Test", "testing")])  # fmt: skip
def test_subsets_as_data_sets_call_them(tmp_path, word, subset):
    assert annotations.load(write(tmp_path, {"a": video((0, 1, "x"), subset=word)})).videos["a"].subset == subset


def test_without_a_subset_a_fifth_is_validation(tmp_path):
    database = {f"v{number}": video((0, 1, "x")) for number in range(10)}
    for entry in database.values():
        del entry["subset"]
    read = annotations.load(write(tmp_path, database))
    assert [len(read.subset(subset)) for subset in ("training", "validation")] == [8, 2]


def test_segments_in_frames_and_labels_by_number(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    entries = [{"label": "x", "label_id": 3, "segment(frames)": [25, 50], "segment": [1, 2]},
               {"label": "x", "segment(frames)": [50, 75]}, {"label_id": 4, "segment": [3, 4]}]  # fmt: skip
    path = write(tmp_path, {"a": video(fps=25.0) | {"annotations": entries}})
    read = annotations.load(path).videos["a"].segments
    assert read == (Segment(1, 2, "x"), Segment(2, 3, "x"), Segment(3, 4, "4"))
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "1 have their times counted in frames; the first: database.a.annotations[1]",
        "1 are labelled by label_id alone; the first: database.a.annotations[2]",
    ]
    entries[1]["segment(frames)"] = [True, 1]
    with pytest.raises(ValueError, match=r"database.a.annotations\[1\]: expected a finite number"):
        annotations.load(write(tmp_path, {"a": video(fps=25.0) | {"annotations": entries}}))


def test_all_errors_are_told_together(tmp_path):
    path = write(tmp_path, {"a": video((2, 1, "x"), (1, 2, " ")), "b": video(duration=-1), "c": video((0, 1, "x"))})
    with pytest.raises(ValueError) as caught:
        annotations.load(path)
    told = str(caught.value).removeprefix(f"{path}: ").split("; ")
    assert [part.split(":")[0] for part in told] == [
        "database.a.annotations[0]", "database.a.annotations[1]", "database.b.duration",
    ]  # fmt: skip


def test_a_place_is_named_once(tmp_path):
    entry = video()
    del entry["duration"]
    with pytest.raises(ValueError) as caught:
        annotations.load(write(tmp_path, {"a": entry}))
    assert str(caught.value).count("database.a.duration") == 1
