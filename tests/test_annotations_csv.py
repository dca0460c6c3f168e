"""CSV files of segments: what becomes of rows, durations and subsets, and what is refused."""

import logging
from pathlib import Path

import pytest
from made_videos import make_video

import annotations
from annotation_formats.drafts import Options
from segments import Segment

VIDEOS = Path(__file__).parents[1].parent / "shared/data/videos"


def convert(folder, text, videos=None):
    table = folder / "table.csv"
    table.write_text(text, encoding="utf-8")
    options = [] if videos is None else ["--videos", str(videos)]
    read = annotations.load(table, Options(videos=videos)).videos
    assert annotations.main([str(table), "--output", str(folder / "out.json"), *options]) == 0
    assert annotations.load(folder / "out.json").videos == read
    return read


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
        ("video,start,end,label,subset\na,1,2,x,some\n", r"csv:2: subset: expected one of training"),
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
        annotations.load(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes("video,start,end,label\na,1,2,\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not in UTF-8"):
        annotations.load(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="--videos .*nowhere: no such folder"):
        convert(tmp_path, "video,start,end,label\na,1,2,x\n", tmp_path / "nowhere")


def test_columns_that_are_not_used_are_named(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    convert(tmp_path, "video,start,end,label,notes\na,1,2,x,hm\n")
    assert "columns that are not used: notes" in caplog.text


def test_the_script_converts_and_summarises(tmp_path, capsys):
    table, output = tmp_path / "t.csv", tmp_path / "o.json"
    table.write_text("video,start,end,label\na,1,2,Run\n")
    assert annotations.main([str(table)]) == 0
    assert "1 class " in capsys.readouterr().out
    assert annotations.main([str(table), "--output", str(tmp_path / "o.csv")]) == 2
    assert "--output: expected a name that ends in .json" in capsys.readouterr().err
    assert annotations.main([str(table), "--output", str(output)]) == 0
    assert "1 class " in capsys.readouterr().out
    assert annotations.load(output).videos["a"].segments == (Segment(1, 2, "Run"),)


@pytest.mark.parametrize(
    "content",
    [
        b"video;start;end;label\na;1,5;3,25;x\n",
        b"sep=;\r\nvideo;start;end;label\r\na;1.5;3.25;x\r\n",
        "video\tstart\tend\tlabel\na\t1.5\t3.25\tx\n".encode("utf-16"),
        b"video,start,end,label\na,00:00:01.5,00:00:03.250,x\n",
        b'Video ID,Start Time (s),STOP,Behaviour\na.mp4,"0:01,5",0:03.25,x\n',
        b"label,file_name,start_ms,end_ms\nx,a,1500,3250\n",
        b"narration_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame,verb,noun,verb_class\n"
        b"1,a,00:00:01.50,00:00:03.25,90,195,x,,0\n",
    ],
)
def test_tables_as_other_tools_write_them(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    assert annotations.load(tmp_path / "t.csv").videos["a"].segments == (Segment(1.5, 3.25, "x"),)


def test_minutes_and_hours_are_counted(tmp_path):
    videos = convert(tmp_path, "video,start,end,label\na,1:30:00.5,90:01,x\n")
    assert videos["a"].segments == (Segment(5400.5, 5401, "x"),)
    with pytest.raises(ValueError, match="received '0:75'"):
        convert(tmp_path, "video,start,end,label\na,0,0:75,x\n")


def test_verb_and_noun_make_an_action(tmp_path):
    videos = convert(tmp_path, "video_id,start,stop,verb,noun,narration\na,0,1,take,plate,take the plate\n")
    assert videos["a"].segments == (Segment(0, 1, "take plate"),)


def test_frames_are_counted_at_the_rate_that_is_given(tmp_path):
    (tmp_path / "t.csv").write_text("video,start_frame,end_frame,label\na,50,99,x\n")
    with pytest.raises(ValueError, match=r"csv:2: video 'a': its times are numbers of frames: .*--videos.*--fps F"):
        annotations.load(tmp_path / "t.csv")
    for first, start in ((None, 2.0), (0, 2.0), (1, 1.96)):
        read = annotations.load(tmp_path / "t.csv", Options(fps=25, first_frame=first))
        assert read.videos["a"].segments == (Segment(start, start + 2, "x"),)


def test_frames_are_counted_at_the_rate_of_the_video(tmp_path):
    make_video(tmp_path / "videos/validation/a.mp4", 20, fps=10)
    (tmp_path / "t.csv").write_text("video,start_frame,end_frame,label\na.mp4,5,9,x\n")
    read = annotations.load(tmp_path / "t.csv", Options(videos=tmp_path / "videos")).videos["a"]
    assert read.segments == (Segment(0.5, 1.0, "x"),) and read.subset == "validation"


def test_all_wrong_rows_are_told_together(tmp_path, caplog):
    rows = "a,1,2,x\na,two,3,x\na,5,4,x\na,1\n../b,1,2,x\n"
    (tmp_path / "t.csv").write_text(f"video,start,end,label\n{rows}")
    with pytest.raises(ValueError) as caught:
        annotations.load(tmp_path / "t.csv")
    told = str(caught.value).removeprefix(str(tmp_path)).split("; ")
    assert [part.split(":")[0] for part in told[1:] if part[0].isdigit()] == ["4", "5", "6"]
    assert told[0].startswith("/t.csv:3: expected a finite number of seconds, received 'two'")
    read = annotations.load(tmp_path / "t.csv", Options(skip_errors=True))
    assert read.videos["a"].segments == (Segment(1, 2, "x"),) and "4 left out" in caplog.text
    (tmp_path / "t.csv").write_text("video,start,end,label\n" + "a,two,3,x\n" * 25)
    with pytest.raises(ValueError, match="and 5 more$") as caught:
        annotations.load(tmp_path / "t.csv")
    assert str(caught.value).count("'two'") == 20


def test_two_videos_of_one_name_are_not_merged(tmp_path):
    with pytest.raises(ValueError, match=r"csv:3: two videos of one name: 'a\.mp4' and 'a\.avi'"):
        convert(tmp_path, "video,start,end,label\na.mp4,1,2,x\na.avi,30,31,y\n")
    for subset in ("training", "validation"):
        make_video(tmp_path / f"videos/{subset}/take.mp4", 20, fps=10)
    with pytest.raises(ValueError, match=r"csv:2: video 'take': expected one file, received .*training.*validation"):
        convert(tmp_path, "video,start,end,label\ntake,1,2,x\n", tmp_path / "videos")
    videos = convert(tmp_path, "video,start,end,label,subset\ntake,1,2,x,val\n", tmp_path / "videos")
    assert videos["take"].subset == "validation"


def test_composed_and_decomposed_letters_are_the_same(tmp_path):
    make_video(tmp_path / "videos/Cafe\u0301.mp4", 40, fps=10)
    text = "video,start,end,label\nCaf\u00e9,1,2,Caf\u00e9\nCafe\u0301,2,3,Cafe\u0301\n"
    videos = convert(tmp_path, text, tmp_path / "videos")
    assert videos["Caf\u00e9"].segments == (Segment(1, 2, "Caf\u00e9"), Segment(2, 3, "Caf\u00e9"))
    assert videos["Caf\u00e9"].duration == 4.0
    json = '{"database": {"Caf\u00e9": {"duration": 1, "annotations": []}, "Cafe\u0301": {"duration": 1}}}'
    (tmp_path / "a.json").write_text(json)
    with pytest.raises(ValueError, match="two videos of one name"):
        annotations.load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("label", "read"),
    [
        ("\u0645\u06cc\u200c\u062f\u0648\u062f", None),  # Persian: runs
        ("\u0915\u094d\u200d\u0937", None),  # Hindi
        ("\U0001f468\u200d\U0001f373 cook", None),
        ("Cutting\u00a0cake", "Cutting cake"),
        ("Qui saute\u202f!", "Qui saute !"),
        ("jump\u00ading", "jumping"),
    ],
)
def test_letters_of_all_languages_can_be_labels(tmp_path, label, read):
    videos = convert(tmp_path, f"video,start,end,label\na,1,2,{label}\n")
    assert videos["a"].segments == (Segment(1, 2, read or label),)


@pytest.mark.parametrize("mark", ["\u200f", "\u202e", "\u200b"])
def test_what_hides_or_turns_letters_is_refused_by_name(tmp_path, mark):
    with pytest.raises(ValueError, match=f"with U\\+{ord(mark):04X}"):
        convert(tmp_path, f"video,start,end,label\na,1,2,x{mark}y\n")
    with pytest.raises(ValueError, match="printable"):
        convert(tmp_path, "video,start,end,label\na,1,2,\u200d\n")


def test_labels_that_look_alike_are_named(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    rows = "a,1,2,Long jump\na,2,3,long  jump\na,3,4,Run\na,4,5,run\u200d\na,5,6,Sit\n"
    convert(tmp_path, f"video,start,end,label\n{rows}")
    (told,) = {record.getMessage().partition(": ")[2] for record in caplog.records if "differ" in record.getMessage()}
    assert "'Long jump' and 'long  jump', 'Run' and 'run\\u200d'" in told and "Sit" not in told


def test_a_table_beside_its_only_video_needs_no_column_for_it(tmp_path, caplog):
    (tmp_path / "party.csv").write_text("start,end,label\n1,2,x\n")
    assert annotations.load(tmp_path / "party.csv").videos["party"].segments == (Segment(1, 2, "x"),)
    assert "no column video" in caplog.text


def test_a_json_list_of_rows_is_a_table(tmp_path):
    rows = tmp_path / "actions.json"
    rows.write_text(
        '[{"videoPath": "in/jump.mp4", "label": "Jump, high", "startTime": 1.5, "endTime": 3},'
        ' {"videoPath": "sit.mov", "label": "Sit", "startTime": "0:02", "endTime": 4.25, "note": null}]'
    )
    videos = annotations.load(rows).videos
    assert videos["jump"].segments == (Segment(1.5, 3, "Jump, high"),)
    assert videos["sit"].segments == (Segment(2, 4.25, "Sit"),)
    rows.write_text('[{"videoPath": "a.mp4", "label": "x", "startTime": 1, "endTime": 2}, {"videoPath": "a.mp4",'
                    ' "label": "x", "startTime": 3, "endTime": 2}]')  # fmt: skip
    with pytest.raises(ValueError, match=r"actions\.json: \[1\]: expected a segment that ends"):
        annotations.load(rows)
    rows.write_text('[{"videoPath": "a.mp4", "kind": "x"}]')
    with pytest.raises(ValueError, match=r"actions\.json:1: expected a header .*missing: start, end, label"):
        annotations.load(rows)
