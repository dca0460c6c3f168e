"""CSV files of segments: what becomes of rows, durations and subsets, and what is refused."""

import logging
from pathlib import Path

import pytest

import annotations
from annotation_formats import tables
from segments import Segment

VIDEOS = Path(__file__).parents[1].parent / "shared/data/videos"


def convert(folder, text, videos=None):
    table = folder / "table.csv"
    table.write_text(text, encoding="utf-8")
    tables.convert(table, folder / "out.json", videos)
    return annotations.load(folder / "out.json").videos


def test_rows_become_segments(tmp_path):
    videos = convert(
        tmp_path,
        "\ufeffVideo, start,end,label,subset,duration,url\n"
        'a,1.5,3,"Jump, high",training,10,http://h/a\n'
        "b.mp4,0,2,Run,validation,5,\n"
        "\n"
        "a,4,5,Run,,,\n"
        "c,,,,testing,7,\n",
    )
    assert list(videos) == ["a", "b", "c"]
    assert videos["a"].segments == (Segment(1.5, 3, "Jump, high"), Segment(4, 5, "Run"))
    assert (videos["a"].subset, videos["a"].duration, videos["a"].url) == ("training", 10, "http://h/a")
    assert (videos["c"].subset, videos["c"].segments) == ("testing", ())


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(tmp_path, delimiter):
    text = "video,start,end,label\na,1,2,x\n".replace(",", delimiter)
    assert convert(tmp_path, text)["a"].segments == (Segment(1, 2, "x"),)


def test_without_durations_the_last_end_stands_for_it(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    videos = convert(tmp_path, "video,start,end,label\na,4,9,x\na,1,2,x\n")
    assert videos["a"].duration == 9
    assert "1 of 1 videos" in caplog.text


def test_the_folder_tells_durations_and_subsets(tmp_path):
    if not VIDEOS.is_dir():
        pytest.skip("needs ../shared/data: the real videos")
    text = "video,start,end,label\nGGSY1Qvo990,1,2,x\nZNVhz7ctTq0,1,2,x\nelsewhere,1,2,x\n"
    videos = convert(tmp_path, text, VIDEOS)
    assert videos["GGSY1Qvo990"].subset == "validation"
    assert videos["ZNVhz7ctTq0"].subset == "training"
    assert videos["GGSY1Qvo990"].duration == pytest.approx(18.1, abs=0.2)
    # a single video that is left to the split trains
    assert (videos["elsewhere"].subset, videos["elsewhere"].duration) == ("training", 2)


def test_a_fifth_becomes_validation_whatever_the_order_of_rows(tmp_path):
    rows = [f"v{number},0,1,x" for number in range(50)]
    videos = convert(tmp_path, "\n".join(["video,start,end,label", *rows]))
    chosen = {name for name, video in videos.items() if video.subset == "validation"}
    assert len(chosen) == 10
    again = convert(tmp_path, "\n".join(["video,start,end,label", *reversed(rows)]))
    assert chosen == {name for name, video in again.items() if video.subset == "validation"}


def test_of_two_videos_one_is_validation(tmp_path):
    videos = convert(tmp_path, "video,start,end,label\na,0,1,x\nb,0,1,x\n")
    assert sorted(video.subset for video in videos.values()) == ["training", "validation"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"csv:1: expected a header with video,start,end,label, received ''"),
        ("video,start,end\na,1,2\n", r"csv:1: expected a header .* missing: label"),
        ("video,start,end,label,label\n", r"csv:1: expected each column once, received label"),
        ("video,start,end,label\n", r"csv: expected a row for each segment"),
        ("video,start,end,label\na,1,2,x,y\n", r"csv:2: expected 4 cells .*received 5; a label with a comma"),
        ("video,start,end,label\na,1,2\n", r"csv:2: expected 4 cells .*received 3"),
        ("video,start,end,label\na,1,2,x\na,3,one,x\n", r"csv:3: expected a finite number of seconds, received 'one'"),
        ("video,start,end,label\na,1,,x\n", r"csv:2: expected a finite number of seconds, received ''"),
        ("video,start,end,label\na,1,nan,x\n", r"csv:2: expected a finite"),
        ("video,start,end,label\na,2,1,x\n", r"csv:2: expected a segment that ends after it begins"),
        ("video,start,end,label\na,1,2,\n", r"csv:2: expected a label"),
        ("video,start,end,label\na,1,2,background\n", r"csv:2: label 'background': reserved"),
        ("video,start,end,label\n../a,1,2,x\n", r"csv:2: video: expected an id that can be a file name"),
        ("video,start,end,label,subset\na,1,2,x,train\n", r"csv:2: subset: expected one of training"),
        (
            "video,start,end,label,subset\na,1,2,x,training\na,1,2,y,testing\n",
            r"csv:3: subset: expected 'training' as in an earlier row of this video, received 'testing'",
        ),
        ("video,start,end,label,duration\na,1,2,x,-3\n", r"csv:2: duration: expected more than 0 seconds"),
        ("video,start,end,label,duration\na,1,2,x,3\na,1,2,x,4\n", r"csv:3: duration: expected 3.0 as in"),
        ("video,start,end,label\na,,,\n", r"csv:2: video 'a' has no segment that tells its duration"),
        ('video,start,end,label\na,1,2,"x\n', r"csv:2: not CSV"),
    ],
)
def test_bad_tables_name_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, text)
    assert not (tmp_path / "out.json").exists()


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        tables.convert(tmp_path / "a.csv", tmp_path / "a.json")
    (tmp_path / "a.csv").write_bytes("video,start,end,label\na,1,2,\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not in UTF-8"):
        tables.convert(tmp_path / "a.csv", tmp_path / "a.json")
    with pytest.raises(ValueError, match="ends in .json"):
        tables.convert(tmp_path / "a.csv", tmp_path / "a.csv")
    with pytest.raises(ValueError, match="--videos .*nowhere: no such folder"):
        convert(tmp_path, "video,start,end,label\na,1,2,x\n", tmp_path / "nowhere")


def test_columns_that_are_not_used_are_named(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    convert(tmp_path, "video,start,end,label,notes\na,1,2,x,hm\n")
    assert "columns that are not used: notes" in caplog.text


def test_the_script_converts_and_summarises(tmp_path, capsys):
    table, output = tmp_path / "t.csv", tmp_path / "o.json"
    table.write_text("video,start,end,label\na,1,2,Run\n")
    assert annotations.main([str(table)]) == 2
    assert "--output FILE.json" in capsys.readouterr().err
    assert annotations.main([str(table), "--output", str(output)]) == 0
    assert "1 class " in capsys.readouterr().out
    assert annotations.load(output).videos["a"].segments == (Segment(1, 2, "Run"),)
