"""BORIS' projects and exported events: small ones written by hand from its manual and code, and what is odd in them."""

import pytest
from test_annotation_formats import boris, read, write

import annotations
from segments import Segment


def test_boris_states_begin_and_end_in_turn_and_points_have_no_length(tmp_path):
    events = [(1.5, "", "Run"), (2.0, "", "Clap"), (3.25, "", "Run"), (4, "cat", "Run"), (5, "cat", "Run")]
    path = tmp_path / "a.boris"
    assert read(path, boris(events)) == {
        "party": [Segment(2, 2, "Clap"), Segment(1.5, 3.25, "Run"), Segment(4, 5, "Run")]
    }
    assert annotations.load(path).videos["party"].duration == 20


def test_boris_times_of_a_queue_count_on_from_file_to_file(tmp_path, told):
    events = [(8, "", "Run"), (12, "", "Run"), (13, "", "Run"), (14, "", "Run"), (3, "", "Clap")]
    found = read(tmp_path / "a.boris", boris(events, ("/x/a.mp4", "/x/b.mp4"), (10.0, 20.0)))
    assert found == {
        "a": [Segment(3, 3, "Clap"), Segment(8, 10, "Run")],
        "b": [Segment(0, 2, "Run"), Segment(3, 4, "Run")],
    }
    assert "1 segments reach over two files of a queue" in told()


@pytest.mark.parametrize(
    ("project", "reason"),
    [
        (boris([(1, "", "Run")]), r"observations.first: state 'Run' begins at 1 and has no stop"),
        (
            boris([(1, "cat", "Run"), (2, "", "Run")]),
            r"state 'Run' of 'cat' begins at 1 and has no stop; .*begins at 2",
        ),
        (boris([(1, "", "Swim")]), r"observations.first.events\[0\]: code 'Swim' is no behaviour of this project"),
        (boris([("NA", "", "Run")]), r"events\[0\]: expected a finite number of seconds, received 'NA'"),
        (boris([], media_creation_date_as_offset=True), "observations.first: its times count from the date of the"),
        (boris([], ("a.mp4", "b.mp4"), (1.0, 2.0), media_info={}), "media_info.length: says nothing of 'a.mp4'"),
    ],
)
def test_what_boris_leaves_open_is_refused_by_name(tmp_path, project, reason):
    with pytest.raises(ValueError, match=reason):
        read(tmp_path / "a.boris", project)


def test_with_skip_errors_the_rest_is_read_and_the_error_told(tmp_path, told):
    project = boris([(1, "", "Run"), (2, "", "Run"), (3, "", "Run")])
    assert read(tmp_path / "a.boris", project, skip_errors=True) == {"party": [Segment(1, 2, "Run")]}
    assert "1 left out" in told() and "begins at 3 and has no stop" in told()


def test_of_several_observers_one_is_chosen(tmp_path):
    project = boris([(1, "", "Run"), (2, "", "Run")])
    project["observations"]["second"] = boris([(5, "", "Clap")])["observations"]["first"]
    with pytest.raises(ValueError, match="observations.second: 'party' is observed in 'first' too: --observer NAME"):
        read(tmp_path / "a.boris", project)
    assert read(tmp_path / "a.boris", observer="second") == {"party": [Segment(5, 5, "Clap")]}


def test_offsets_are_taken_off_and_overlaps_are_told(tmp_path, told):
    events = [(13, "a", "Run"), (14, "b", "Run"), (16, "a", "Run"), (17, "b", "Run")]
    info = {"length": {"party.mp4": 20.0}, "offset": {"1": 2.0}}
    project = boris(events, media_info=info, **{"time offset": 10.0})
    assert read(tmp_path / "a.boris", project) == {"party": [Segment(1, 4, "Run"), Segment(2, 5, "Run")]}
    assert "1 overlap one of the same label; the first: video 'party', 'Run' from 2" in told()


def test_a_live_observation_has_no_video(tmp_path, told):
    project = boris([(1, "", "Clap")])
    project["observations"]["live"] = {"file": [], "type": "LIVE", "events": [[1, "", "Clap", "", ""]]}
    assert read(tmp_path / "a.boris", project) == {"party": [Segment(1, 1, "Clap")]}
    assert "1 observations have no video (left out); the first: observations.live" in told()


OLD_TABULAR = """Observation id,first,,,,,,,
Media file(s),,,,,,,,
Player #1,party.mp4,,,,,,,
Time offset (s),0.0,,,,,,,
,,,,,,,,
Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status
1.500,party.mp4,20.0,25.0,cat,Run,,,START
2.000,party.mp4,20.0,25.0,cat,Clap,,,POINT
3.250,party.mp4,20.0,25.0,cat,Run,,,STOP
"""
NEW_TABULAR = """Observation id\tTime offset (s)\tMedia duration (s)\tSubject\tBehavior\tBehavior type\tTime\tMedia file
first\t0.0\t20.0\tcat\tRun\tSTART\t1.5\tparty.mp4
first\t0.0\t20.0\tcat\tClap\tPOINT\t2.0\tparty.mp4
first\t0.0\t20.0\tcat\tRun\tSTOP\t3.25\tparty.mp4
"""
AGGREGATED = """Observation id,Media duration (s),Subject,Behavior,Behavior type,Start (s),Stop (s),Media file name
first,20.0,cat,Clap,POINT,2.0,NA,/videos/party.mp4
first,20.0,cat,Run,STATE,1.5,3.25,/videos/party.mp4
"""


@pytest.mark.parametrize("text", [OLD_TABULAR, NEW_TABULAR, AGGREGATED])
def test_tables_that_boris_exports(tmp_path, text):
    (found,) = annotations.load(write(tmp_path / "a.csv", text)).videos.values()
    assert found.segments == (Segment(2, 2, "Clap"), Segment(1.5, 3.25, "Run"))
    assert (found.id, found.duration) == ("party", 20)
    shifted = text.replace("(s),0.0", "(s),0.5").replace("first\t0.0", "first\t0.5").replace("first,20", "first,20")
    (found,) = annotations.load(write(tmp_path / "a.csv", shifted)).videos.values()
    assert found.segments[0] == (Segment(2, 2, "Clap") if text is AGGREGATED else Segment(1.5, 1.5, "Clap"))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("first\t0\t20\tcat\tRun\tSTOP\t1\tparty.mp4\n", "a.tsv:2: state 'Run' stops without a start"),
        ("first\t0\t20\tcat\tRun\tSTART\t1\tparty.mp4\n", "a.tsv:2: state 'Run' of 'cat' begins at 1 and has no stop"),
        ("first\t0\t20\tcat\tRun\tSTART\t1\tparty.mp4\n" * 2, "a.tsv:3: state 'Run' begins again, after line 2"),
        ("first\t0\t20\tcat\tRun\t?\t1\tparty.mp4\n", "a.tsv:2: expected START, STOP or POINT"),
        ("first\t0\t20\t\tClap\tPOINT\t1\ta.mp4\nsecond\t0\t20\t\tClap\tPOINT\t1\ta.mp4\n", "--observer NAME"),
        ("first\t0\t20\t\tClap\tPOINT\t1\ta.mp4\nfirst\t0\t20\t\tClap\tPOINT\t1\tb.mp4\n", "has several videos"),
    ],
)
def test_rows_of_boris_that_cannot_be_are_refused_by_line(tmp_path, rows, reason):
    with pytest.raises(ValueError, match=reason):
        read(tmp_path / "a.tsv", NEW_TABULAR.splitlines()[0] + "\n" + rows)
