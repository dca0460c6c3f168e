"""Annotations while they are labelled: the file, its journal, who else writes, what trains; videos; the ranking."""

import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest
from labelling_server import ROOT, action, make_folder
from made_videos import make_sound, make_video

import annotations
import label
from annotation_formats.activitynet import STATES
from labelling import media, proxies, storage
from labelling.background import Workshop
from labelling.storage import ConflictError, Labels


@pytest.fixture
def file(tmp_path):
    return tmp_path / "annotations.json"


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Let go of all files at the end, as the end of a killed process does."""
    made, begin = [], Labels.__init__
    monkeypatch.setattr(Labels, "__init__", lambda labels, path: (made.append(labels), begin(labels, path))[1])
    yield
    for labels in made:
        labels._file.close()


def edit(labels, change, name="v0", version=None):
    version = labels.video(name)["version"] if version is None else version
    return labels.edit(name, version, change, "training", 10.0)


def written(file):
    return json.loads(file.read_text())["database"]


def test_an_edit_is_in_the_file_after_saving_and_reads_as_annotations(file):
    labels = Labels(file)
    edit(labels, {"add": [action(3, 4), action(1, 2, note="twice")]})
    edit(labels, {"remove": [action(3, 4)], "add": [action(3.5, 4.25, "run")], "status": "finished"})
    labels.close()
    entry = {"subset": "training", "duration": 10.0, "labelling": "finished"}
    assert written(file) == {"v0": entry | {"annotations": [action(1, 2, note="twice"), action(3.5, 4.25, "run")]}}
    (video,) = annotations.load(file).subset("training")
    assert [(s.start, s.end, s.label) for s in video.segments] == [(1, 2, "jump"), (3.5, 4.25, "run")]


def test_an_edit_is_on_the_disk_before_it_is_told(file, monkeypatch):
    labels, held = Labels(file), []
    monkeypatch.setattr(os, "fsync", lambda _: held.append(labels.journal.read_text().splitlines()[-1]))
    edit(labels, {"add": [action(1, 2)]})
    assert len(held) == 1 and action(1, 2) in json.loads(held[0])["add"]


def test_what_the_file_holds_besides_stays(file):
    other = {"subset": "testing", "duration": 5.0, "url": "u", "annotations": [action(0.0, 1.0, id=7)], "fps": 3}
    file.write_text(json.dumps({"version": "1.3", "taxonomy": [], "database": {"w": other}, "mine": 1}))
    labels = Labels(file)
    assert labels.status("w") == "finished"  # it came so
    # JavaScript knows no 0.0
    edit(labels, {"remove": [action(0, 1, id=7)], "add": [action(0, 2, id=7)]}, "w")
    labels.close()
    value = json.loads(file.read_text())
    assert value == {"version": "1.3", "taxonomy": [], "mine": 1,
                     "database": {"w": other | {"annotations": [action(0, 2, id=7)]}}}  # fmt: skip


def test_a_video_in_work_neither_trains_nor_counts_as_background(file, caplog):
    labels = Labels(file)
    for name in ("v0", "v1"):
        edit(labels, {"add": [action(1, 2)]}, name)
    edit(labels, {"status": "finished"}, "v1")
    assert [labels.status(name) for name in ("v0", "v1", "v2")] == ["in work", "finished", "not begun"]
    labels.close()
    assert list(annotations.load(file).videos) == ["v1"]
    assert "1 videos are left out, their labelling is not finished: v0" in caplog.text
    file.write_text(file.read_text().replace("in work", "nearly"))
    with pytest.raises(ValueError, match=r"database\.v0\.labelling: expected one of in work, finished, received 'near"):
        annotations.load(file)


def test_a_stopped_session_goes_on_from_the_journal(file):
    labels = Labels(file)
    edit(labels, {"add": [action(1, 2)]})
    labels.save()
    edit(labels, {"add": [action(3, 4)]})
    labels.name_class("run")
    labels.rename_class("jump", "hop")
    labels._file.write(b'{"video": "v0", "add": [{"seg')  # cut by the kill
    labels._file.close()
    assert len(written(file)["v0"]["annotations"]) == 1
    labels = Labels(file)
    assert labels.video("v0")["annotations"] == [action(1, 2, "hop"), action(3, 4, "hop")]
    assert labels.classes() == ["hop", "run"]
    edit(labels, {"add": [action(5, 6)]})  # behind a cut line
    labels._file.close()
    labels = Labels(file)
    assert len(labels.video("v0")["annotations"]) == 3
    labels.close()
    assert len(labels.journal.read_text().splitlines()) == 1


def test_a_file_that_was_written_but_not_noted_is_not_edited_twice(file):
    labels = Labels(file)
    edit(labels, {"add": [action(1, 2)]})
    labels._start_journal = lambda: labels._file.close()  # killed before the journal is emptied
    labels.save()
    assert len(Labels(file).video("v0")["annotations"]) == 1


def test_a_journal_of_another_file_is_refused(file):
    labels = Labels(file)
    edit(labels, {"add": [action(1, 2)]})
    labels._file.close()
    file.write_text('{"database": {}}')
    with pytest.raises(ValueError, match="another program changed it, and .annotations.json.journal holds 1 edits"):
        Labels(file)


def test_one_process_labels_a_file(file):
    labels = Labels(file)
    with pytest.raises(ValueError, match="another label.py works on this file"):
        Labels(file)
    labels.close()
    Labels(file).close()


def test_an_older_state_changes_nothing(file):
    labels = Labels(file)
    version = edit(labels, {"add": [action(1, 2)]})
    edit(labels, {"add": [action(3, 4)]}, version=version)
    for change in ({"add": [action(5, 6)]}, {"status": "finished"}):
        with pytest.raises(ConflictError, match="video"):
            edit(labels, change, version=version)
    with pytest.raises(ConflictError, match="video"):  # nothing of that kind is there
        edit(labels, {"remove": [action(1, 3)]})
    assert len(labels.video("v0")["annotations"]) == 2


@pytest.mark.parametrize("keep", ["mine", "file"])
def test_a_file_changed_by_another_program_is_kept_whatever_is_chosen(file, keep):
    labels = Labels(file)
    edit(labels, {"add": [action(1, 2)]})
    labels.save()
    file.write_text(file.read_text().replace("jump", "theirs"))
    assert labels.changed_elsewhere()
    for write in (lambda: edit(labels, {"add": [action(3, 4)]}), lambda: labels.name_class("x")):
        with pytest.raises(ConflictError, match="file"):
            write()
    aside = labels.resolve(keep)
    kept, other = (file, aside) if keep == "file" else (aside, file)
    assert written(kept)["v0"]["annotations"][0]["label"] == "theirs"
    assert written(other)["v0"]["annotations"][0]["label"] == "jump"
    edit(labels, {"add": [action(5, 6)]})
    labels.close()
    assert len(written(file)["v0"]["annotations"]) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"add": [action(2, 1)]}, "ends after it begins"),
        ({"add": [action(1, 1)]}, "has a length"),
        ({"add": [action(0, "x")]}, "finite number"),
        ({"add": [{"label": "jump"}]}, "with segment and label"),
        ({"add": [action(0, 1, "background")]}, "reserved"),
        ({"add": action(0, 1)}, "add: expected a list"),
        ({"status": "done"}, "status: expected one of in work, finished"),
        ({"delete": []}, "received delete"),
    ],
)
def test_what_is_no_edit_is_refused(file, change, said):
    labels = Labels(file)
    with pytest.raises(ValueError, match=said):
        edit(labels, change)
    assert labels.status("v0") == "not begun"


def test_classes_are_named_once(file):
    labels = Labels(file)
    edit(labels, {"add": [action(1, 2)], "reject": [action(4, 5)]})
    labels.name_class("run")
    for wrong in (lambda: labels.name_class("run"), lambda: labels.rename_class("jump", "run"),
                  lambda: labels.rename_class("fly", "x"), lambda: labels.name_class(" ")):  # fmt: skip
        with pytest.raises(ValueError, match="class|label"):
            wrong()
    version = labels.video("v0")["version"]
    labels.rename_class("jump", "hop")
    assert labels.video("v0")["version"] > version
    assert labels.video("v0")["rejected"] == [action(4, 5, "hop")]
    assert labels.classes() == ["hop", "run"] and labels.counts() == {"hop": 1}


KILLS = """
import os, random, signal, sys
from pathlib import Path
from labelling.storage import Labels

file, done = Path(sys.argv[1]), 0
random.seed(1)
for kill in range(50):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        labels = Labels(file)
        while True:
            there = labels.video("v")
            number = len(there["annotations"])
            change = {"add": [{"segment": [number, number + 1], "label": "a"}]}
            labels.edit("v", there["version"], change, "training", 9.0)
            os.write(writing, b".")
            if number % 3 == 0:
                labels.save()
    os.close(writing)
    done += sum(len(os.read(reading, 1)) for _ in range(random.randint(1, 8)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done += len(os.read(reading, 10**6))
    labels = Labels(file)
    held = [action["segment"][0] for action in labels.video("v")["annotations"]]
    labels.close()
    assert held == list(range(len(held))), held
    # the edit in hand may be whole and not yet told
    assert done <= len(held) <= done + 1, (kill, done, len(held))
    done = len(held)
print("kept", done)
"""


@pytest.mark.slow
def test_fifty_kills_lose_no_edit(file):
    done = subprocess.run([sys.executable, "-c", KILLS, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) >= 50


def test_videos_lie_in_the_folder_or_in_those_of_subsets(tmp_path):
    make_video(tmp_path / "testing/a.mp4", frames=2)
    make_video(tmp_path / "b.mp4", frames=2)
    (tmp_path / "notes.txt").touch()
    found = media.find(tmp_path)
    assert [(video.id, video.path.name) for video in found] == [("a", "a.mp4"), ("b", "b.mp4")]
    assert found[0].subset == "testing" and found[1].subset in ("training", "validation")
    make_video(tmp_path / "training/b.mkv", frames=2)
    with pytest.raises(ValueError, match="same name"):
        media.find(tmp_path)
    for empty, said in ((tmp_path / "none", "expected a folder"), (tmp_path / "testing/x", "expected a folder")):
        with pytest.raises(ValueError, match=said):
            media.find(empty)


def test_a_fifth_of_the_videos_is_validation_whatever_joins():
    subsets = [media._subset_of(f"video{number}") for number in range(500)]
    assert 60 < subsets.count("validation") < 140


def test_times_of_frames_are_the_containers(tmp_path):
    even = make_video(tmp_path / "even.mp4", frames=30)
    assert media.frame_times(even) == ({"rate": 25.0, "count": 30}, 1.2)
    uneven = make_video(tmp_path / "uneven.mkv", frames=4, times=[0, 40, 140, 180])
    times, end = media.frame_times(uneven)
    assert times == {"times": [0.0, 0.04, 0.14, 0.18]} and end == pytest.approx(0.22)
    with pytest.raises(ValueError, match="no video stream"):
        media.frame_times(make_sound(tmp_path / "sound.mp4"))


def test_a_copy_plays_and_keeps_the_times(tmp_path):
    folder = make_folder(tmp_path, videos=1)
    old, played = folder / "old.avi", folder / "v0.mp4"
    assert media.browser_plays(played) and not media.browser_plays(old)
    shares = []
    proxies.make_proxy(old, tmp_path / "copy.mp4", shares.append)
    assert media.browser_plays(tmp_path / "copy.mp4")
    assert media.frame_times(tmp_path / "copy.mp4") == media.frame_times(old)
    assert shares == sorted(shares) and len(shares) == 80 and shares[-1] > 0.9
    uneven = make_video(tmp_path / "uneven.ts", frames=4, times=[0, 40, 140, 180], format="mpegts")
    proxies.make_proxy(uneven, tmp_path / "uneven.mp4", shares.append)
    assert media.frame_times(tmp_path / "uneven.mp4")[0] == media.frame_times(uneven)[0]


def test_a_copy_is_made_once(tmp_path):
    video = next(video for video in media.find(make_folder(tmp_path, videos=0)))
    shop = Workshop(tmp_path / "copies")
    assert shop.picture(video)[0] is None
    shop.wait()
    copy, _ = shop.picture(video)
    stamp = copy.stat().st_mtime_ns
    shop.stop()
    again = Workshop(tmp_path / "copies")
    assert again.picture(video)[0] == copy and copy.stat().st_mtime_ns == stamp
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [copy.name]


def test_shots_change_where_frames_do():
    quiet = np.full(50, 2.0)
    quiet[[10, 30]] = 60.0
    assert proxies.changes_of(quiet) == [10, 30]
    assert proxies.changes_of(np.full(50, 60.0)) == []  # a shaken camera
    assert proxies.changes_of(np.array([0.0, 90.0])) == [1]
    assert proxies.changes_of(np.zeros(0)) == []


def test_storage_is_light():
    code = "import sys, label, labelling.storage; assert not {'tensorflow', 'av', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_states_are_those_of_annotations():
    assert storage.NOT_BEGUN not in STATES


def test_a_table_beside_is_not_hidden_by_a_new_file(tmp_path, capsys):
    folder = make_folder(tmp_path)
    (tmp_path / "actions.csv").write_text("video,start,end,label\nv0,0.5,1,jump\nv0,1,1.5,run\n")
    with label.listening(0) as taken:
        begin = [str(folder), "--no-browser", "--port", str(taken.getsockname()[1])]
        assert label.main(begin) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and not (tmp_path / "annotations.json").exists()
        command = shlex.split(told.split("`")[1])
        assert command[:2] == ["python", "annotations.py"] and annotations.main(command[2:]) == 0
        # goes on to the port, which is taken, with what the table holds; another file is another beginning
        for arguments in (begin, [*begin, "--annotations", str(tmp_path / "elsewhere.json")]):
            assert label.main(arguments) == 2 and "cannot be had" in capsys.readouterr().err
    entry = json.loads((tmp_path / "annotations.json").read_text())["database"]["v0"]
    assert [one["label"] for one in entry["annotations"]] == ["jump", "run"] and entry["duration"] == 2.0
