"""What a user names becomes videos; segments become what people and other programs read."""

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from made_localization import (  # noqa: F401 (fixtures)
    BLACK,
    BRIGHT,
    DIM,
    film,
    made_loads,
    made_run,
    made_server,
    read_srt,
    read_vtt,
    spans,
)
from made_videos import make_sound, make_video

import localize
import utils
from localization.inputs import Source, collect, download
from localization.offline import localize_all
from localization.results import Segment, clock, highlights
from localization.writers import write_csv, write_srt, write_vtt


def test_no_input_is_lost_and_none_comes_twice(tmp_path):
    for name in ("a/clip.mp4", "b/clip.mp4", "b/Clip.mkv", "b/clip-2.mp4", "b/.hidden.mp4"):
        make_video(tmp_path / name, 3)
    (tmp_path / "b/notes.txt").write_text("not looked at")
    given = [tmp_path / "a/clip.mp4", tmp_path / "b", tmp_path / "a/../a/clip.mp4"]
    sources, failures = collect([str(path) for path in given], tmp_path)
    assert failures == []
    names = [(source.id, str(source.file.relative_to(tmp_path))) for source in sources]
    assert names == [
        ("clip", "a/clip.mp4"), ("Clip-2", "b/Clip.mkv"), ("clip-2-2", "b/clip-2.mp4"), ("clip-3", "b/clip.mp4"),
    ]  # fmt: skip
    assert sources[0].seconds == pytest.approx(3 / 25, abs=0.02)


def test_a_long_name_leaves_room_for_a_suffix(tmp_path):
    video = make_video(tmp_path / "v.mp4", 3)
    ((source,), _) = collect([str(video.rename(tmp_path / f"{'ä' * 124}.mp4"))], tmp_path)
    assert source.id == "ä" * 60
    write_csv(tmp_path / f"{source.id}.csv", {source.id: []})


def test_what_is_no_video_is_a_line_each(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "notes.txt").write_text("not a video\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "bare").mkdir()
    make_sound(tmp_path / "sound.mp4")
    names = ["text.mp4", "notes.txt", "empty.mp4", "bare", "sound.mp4", "nowhere.mp4"]
    sources, failures = collect([str(tmp_path / name) for name in names], tmp_path)
    assert sources == [] and len(failures) == len(names)
    lines = {Path(line.split(": ")[0]).name: line.split(": ", 1)[1] for line in failures}
    assert lines["nowhere.mp4"] == "no such file or folder" and lines["empty.mp4"] == "empty file"
    assert lines["bare"].startswith("holds no videos: no file ends in .mp4")
    assert lines["sound.mp4"].startswith("no video stream")
    assert lines["text.mp4"].startswith("not a readable video")
    assert lines["notes.txt"] == "not a video, but text"


def test_a_folder_is_searched_with_those_inside_it(tmp_path):
    for name in ("a.mp4", "in/b.mp4", "in/deeper/a.mp4", ".hidden/c.mp4", "in/.d/d.mp4"):
        make_video(tmp_path / name, frames=4)
    (tmp_path / "in/circle").symlink_to(tmp_path)
    sources, failures = collect([str(tmp_path)], tmp_path / "got")
    assert [source.id for source in sources] == ["a", "b", "a-2"] and not failures


def test_an_address_is_downloaded_once(tmp_path, server):
    video = make_video(tmp_path / "served/my party.mp4", 3)
    address = f"{server.address}/my%20party.mp4?key=1"
    first = download(address, tmp_path / "got")
    assert first.name == "my_party.mp4" and first.read_bytes() == video.read_bytes()
    assert download(address, tmp_path / "got") == first and len(server.asked) == 1
    other = download(f"{server.address}/other/my%20party.mp4", tmp_path / "got")
    assert other != first and other.name == first.name
    assert [path.suffix for path in (tmp_path / "got").rglob("*") if path.is_file()] == [".mp4", ".mp4"]


def test_a_failed_download_is_a_line_and_leaves_no_file(tmp_path, server):
    make_video(tmp_path / "served/v.mp4", 3)
    given = [f"{server.address}{path}" for path in ("/cut/v.mp4", "/gone.mp4", "/page")]
    _, failures = collect([*given, "http://127.0.0.1:9/v.mp4", "http://[/v.mp4"], tmp_path / "got")
    assert len(failures) == 5
    assert re.search(r"/cut/v\.mp4: cannot be downloaded: the connection ended after \d+ of \d+ bytes", failures[0])
    assert failures[1].endswith("/gone.mp4: cannot be downloaded: Not Found")
    assert "/page: expected a video file, received a web page" in failures[2]
    assert "9/v.mp4: cannot be downloaded" in failures[3] and "\n" not in "".join(failures)
    assert not [path for path in (tmp_path / "got").rglob("*") if path.is_file()]


# ---- what is read: highlights, tables, files


def test_highlights_are_the_best_of_each_action_in_time_order():
    found = [
        Segment(10, 20, "run", 0.9), Segment(11, 19, "run", 0.8), Segment(15, 25, "jump", 0.5),
        Segment(0, 10, "run", 0.6), Segment(30, 40, "run", 0.19), Segment(50, 60, "run", 0.2),
    ]  # fmt: skip
    assert spans(highlights(found)) == [(0, 10), (10, 20), (15, 25), (50, 60)]
    assert spans(highlights(found, 0.55)) == [(0, 10), (10, 20)]
    assert spans(highlights(found, top=2)) == [(0, 10), (10, 20)]
    assert highlights([]) == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (7.25, "0:07.2"), (59.96, "1:00.0"), (3599.97, "1:00:00.0"), (3723.4, "1:02:03.4")],
)
def test_a_clock_carries(seconds, shown):
    assert clock(seconds) == shown


def test_subtitles_and_csv_are_read_back(tmp_path):
    found = [
        Segment(0.0, 1.2344, "Clapping", 0.914), Segment(1.5, 1.5, "A <b> & c\n\nd", 0.5),
        Segment(3599.9996, 36001.5, 'say "x", then y', 1.0),
    ]  # fmt: skip
    cues = [
        (0, 1.234, "Clapping (0.91)"),
        (1.5, 1.501, "A <b> & c d (0.50)"),
        (3600, 36001.5, 'say "x", then y (1.00)'),
    ]
    write_srt(tmp_path / "v.srt", found)
    assert read_srt(tmp_path / "v.srt") == cues
    write_vtt(tmp_path / "v.vtt", found)
    assert read_vtt(tmp_path / "v.vtt") == cues
    write_csv(tmp_path / "v.csv", {"v": found})
    with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [s.label for s in found]
    assert rows[0] == {"video": "v", "start": "0.000", "end": "1.234", "label": "Clapping", "score": "0.9140"}


def test_an_arrow_in_a_label_cannot_break_webvtt(tmp_path):
    write_vtt(tmp_path / "v.vtt", [Segment(0, 1, "a --> b", 0.5)])
    assert read_vtt(tmp_path / "v.vtt") == [(0, 1, "a --> b (0.50)")]


def test_nothing_found_gives_files_all_the_same(tmp_path):
    for write, read in ((write_srt, read_srt), (write_vtt, read_vtt)):
        write(tmp_path / "v", [])
        assert read(tmp_path / "v") == []


def test_short_videos_of_one_batch_keep_their_own_results(run_folder, loads, tmp_path):
    films = {
        "a": [(0.4, BLACK), (0.6, BRIGHT)],
        "b": [(0.6, DIM), (0.2, BLACK)],
        "d": [(0.2, BLACK), (0.4, BRIGHT)],
        "e": [(0.4, DIM), (0.4, BRIGHT)],
    }
    files = [film(tmp_path / f"{name}.mp4", *spans) for name, spans in films.items()]
    broken = tmp_path / "c.mp4"
    broken.write_bytes(files[0].read_bytes()[:-400])
    model = localize.load_model(run_folder)
    sources = [Source(file.stem, file, 1.0) for file in (*files[:2], broken, *files[2:])]
    together = {source.id: found for source, found in localize_all(sources, model)}
    assert list(together) == ["a", "b", "c", "d", "e"] and isinstance(together["c"], ValueError)
    for file in files:
        alone, found = localize.localize(file, model), together[file.stem]
        assert [*found] == [*alone] and found.id == file.stem and found.duration == alone.duration
        assert len(alone) and np.array_equal(found.times, alone.times)


def test_a_terminals_codes_in_a_name_are_shown_not_sent(run_folder, loads, tmp_path, capsys):
    bad = tmp_path / "a\x1b]0;title\x07\nb.mp4"
    bad.write_bytes(b"no video")
    assert localize.main([str(bad), "--model", str(run_folder), "--output", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("failed: ") and "\\x1b]0;title" in told and told.count("\n") == 1 and "\x1b" not in told


def test_a_name_that_is_no_utf8_is_done_as_any_other(run_folder, loads, tmp_path, capsys):
    video = film(tmp_path / os.fsdecode(b"cl\xe9.mp4"), (0.4, BLACK), (0.6, BRIGHT))
    output = tmp_path / "out"
    assert localize.main([str(video), "--model", str(run_folder), "--output", str(output)]) == 0
    assert "\ncl\\udce9.mp4  (0:01.0)\n" in capsys.readouterr().out
    assert list(utils.read_json(output / "predictions.json")["results"]) == ["cl?"]
    assert "../cl%E9.mp4" in (output / "index.html").read_text()
    assert localize.main(["--live", str(video), "--model", str(run_folder), "--output", str(output)]) == 0
