"""Annotations and predictions to every format and back, by the command that users run."""

import json
import re

import pytest

import annotations
from annotation_formats import files
from segments import Segment

SEGMENTS = {
    "party": ("training", [(1.0, 2.4, "Long jump"), (2.0, 4.0, "Sit, wait"), (4.0, 6.0, "Long jump"),
                           (5.0, 6.0, "-=Nié & co")]),
    "garden": ("validation", [(0.0, 12.0, "Long jump")]),
}  # fmt: skip
NAMES = {"activitynet": "out.json", "table": "out.csv", "boris": "out.boris", "via": "via.json",
         "labelstudio": "studio.json"}  # fmt: skip


def spans(path, **more):
    return {name: sorted((s.start, s.end, s.label) for s in video.segments)
            for name, video in annotations.load(path, **more).videos.items()}  # fmt: skip


@pytest.fixture
def original(tmp_path):
    database = {
        name: {"subset": subset, "duration": 20.0, "annotations": [{"label": s[2], "segment": s[:2]} for s in some]}
        for name, (subset, some) in SEGMENTS.items()
    }
    path = tmp_path / "original.json"
    path.write_text(json.dumps({"version": "V", "taxonomy": [], "database": database}))
    return path


def convert(*arguments):
    return annotations.main(["convert", *map(str, arguments)])


@pytest.mark.parametrize("name", files.FORMATS)
def test_there_and_back(tmp_path, original, name, capsys):
    there, back = tmp_path / NAMES.get(name, name), tmp_path / "back.json"
    assert convert(original, there, "--to", name, "--fps", 25) == 0
    assert capsys.readouterr().out == f"2 videos, 5 segments -> {there} ({name})\n"
    assert convert(there, back, "--from", name, "--fps", 25) == 0
    assert spans(back) == spans(original)
    assert convert(there, tmp_path / "told.json", "--fps", 25) == 0  # by content
    assert (tmp_path / "told.json").read_bytes() == back.read_bytes()


@pytest.mark.parametrize("name", [name for name in files.FORMATS if name in files.A_FILE_EACH])
def test_one_video_is_one_file_where_a_file_is_named(tmp_path, original, name, capsys):
    (tmp_path / "one.csv").write_text("video,start,end,label,duration\nparty,1,2,Run,4\n")
    file = tmp_path / f"party{files.A_FILE_EACH[name]}"
    assert convert(tmp_path / "one.csv", file, "--to", name, "--fps", 25) == 0 and file.is_file()
    assert convert(file, tmp_path / "back.json", "--fps", 25) == 0
    assert spans(tmp_path / "back.json") == {"party": [(1, 2, "Run")]}
    assert convert(original, file, "--to", name, "--fps", 25) == 2
    assert f"{name} has a file a video: give a folder for the 2 videos" in capsys.readouterr().err


@pytest.fixture
def predictions(tmp_path):
    results = {"party": [{"label": "Run", "score": 0.875, "segment": [1.0, 2.0]},
                         {"label": "Run", "score": 0.25, "segment": [1.2, 3.0]}]}  # fmt: skip
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"version": "V", "results": results, "external_data": {}}))
    return path


def test_predictions_take_their_scores_along(tmp_path, predictions):
    for name in ("table", "boris", "via", "labelstudio", "elan", "vtt"):
        assert convert(predictions, tmp_path / f"{name}.out", "--to", name, "--fps", 25) == 0
    assert (tmp_path / "table.out").read_text().splitlines()[:2] == [
        "video,start,end,label,score,subset,duration", "party,1.0,2.0,Run,0.875000,training,3.0"
    ]  # fmt: skip
    events = json.loads((tmp_path / "boris.out").read_text())["observations"]["party"]["events"]
    assert events == [[1.0, "", "Run", "", "score 0.8750"], [1.2, "track 2", "Run", "", "score 0.2500"],
                      [2.0, "", "Run", "", ""], [3.0, "track 2", "Run", "", ""]]  # fmt: skip
    (studio,) = json.loads((tmp_path / "labelstudio.out").read_text())
    assert "annotations" not in studio and studio["predictions"][0]["score"] == 0.875
    first = studio["predictions"][0]["result"][0]
    assert first["score"] == 0.875 and first["value"]["ranges"] == [{"start": 26, "end": 50}]
    metadata = json.loads((tmp_path / "via.out").read_text())["metadata"]
    assert [entry["av"] for entry in metadata.values()] == [{"1": "0", "2": "0.8750"}, {"1": "0", "2": "0.2500"}]
    assert "0.8750" in (tmp_path / "elan.out").read_text()
    assert "Run (0.88)" in (tmp_path / "vtt.out").read_text()
    for name in ("boris", "via", "elan"):
        assert spans(tmp_path / f"{name}.out") == {"party": [(1, 2, "Run"), (1.2, 3, "Run")]}


def test_a_score_may_be_asked_for(tmp_path, predictions):
    assert convert(predictions, tmp_path / "out.json", "--min-score", 0.5) == 0
    assert spans(tmp_path / "out.json") == {"party": [(1, 2, "Run")]}


def test_predictions_are_no_annotations_for_other_stages(predictions):
    with pytest.raises(ValueError, match="database: expected an object, but it is missing"):
        annotations.load(predictions)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["original.json", "out"], "--to says the format, one of activitynet, table"),
        (["original.json", "out.json", "--from", "srt"], "expected the format srt, received a file that looks like"),
        (["original.json", "studio.json", "--to", "labelstudio"], "its times are numbers of frames: .*--fps F"),
        (["none.csv", "out.json"], "none.csv: no such file"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, original, arguments, reason, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert convert(*arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("WARNING")]
    assert re.search(reason, line)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["convert", "{}", "{}"], ["{}", "-o", "{}"]])
def test_what_is_read_is_never_written_over(tmp_path, command, capsys):
    file = tmp_path / "a.json"
    entry = {"subset": "training", "duration": 9, "annotations": [{"segment": [1, 2], "label": "x", "note": "blurred"}]}
    file.write_text(json.dumps({"database": {"v": entry, "w": entry | {"labelling": "in work"}}}))
    before = file.read_text()
    assert annotations.main([part.format(file) for part in command]) == 2
    assert "a.json: the file that was read" in capsys.readouterr().err
    assert file.read_text() == before


def test_what_a_format_cannot_hold_is_said(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("video,start,end,label,duration\na,1,2,Run,9\nb,,,,9\na,1.5,3,Run,9\n")
    assert convert(tmp_path / "a.csv", tmp_path / "srt", "--to", "srt") == 0
    assert "1 videos without segments are left out: srt cannot hold them" in capsys.readouterr().err
    assert convert(tmp_path / "a.csv", tmp_path / "frames", "--to", "frames", "--fps", 10) == 0
    assert "'a': 2 segments become 1" in capsys.readouterr().err
    assert annotations.load(tmp_path / "frames/a_labels.csv", annotations.Options(fps=10)).videos["a"].segments == (
        Segment(1, 3, "Run"),
    )


def test_every_stage_reads_every_format(tmp_path, original):
    """Through the one function that all of them call."""
    assert convert(original, tmp_path / "out.boris") == 0
    assert annotations.main([str(tmp_path / "out.boris")]) == 0
    assert annotations.main(["--set", f"paths.json_data_path={tmp_path / 'out.boris'}"]) == 0
