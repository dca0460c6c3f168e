"""One list of a video's endings and one finder of video files, for every stage."""

import json

import pytest

import annotations
import config
import feature_map_extractor
import plots
import report
import video_input
from download.summary import Folder
from localization import inputs


@pytest.fixture
def folder(tmp_path):
    """One file of each ending, in upper case too, beside what is no video."""
    names = [f"v{number}{ending}" for number, ending in enumerate(video_input.VIDEO_SUFFIXES)]
    (tmp_path / "training").mkdir()
    for name in (*names, "CLIP.MTS", ".hidden.mp4", "notes.txt", "party.eaf"):
        (tmp_path / "training" / name).write_bytes(b"no video")
    (tmp_path / "training/folder.mp4").mkdir()
    return tmp_path, sorted([*names, "CLIP.MTS"])


def test_videos_are_told_by_their_endings(folder):
    root, names = folder
    assert [path.name for path in video_input.video_files(root / "training")] == names
    assert video_input.video_files(root / "nowhere") == []
    everything = [path.name for path in video_input.video_files(root / "training", any_ending=True)]
    assert everything == sorted([*names, "notes.txt", "party.eaf", "folder.mp4"])
    assert set(video_input.VIDEO_SUFFIXES) >= {".mts", ".3gp", ".m2ts", ".ogv", ".vob"}


def test_every_stage_sees_the_same_videos(folder, tmp_path, monkeypatch):
    root, names = folder
    stems = {name.rpartition(".")[0] for name in names}
    rows = [f"{name},0,1,A" for name in names] + [f"{stem},1,2,A" for stem in stems]
    (tmp_path / "a.csv").write_text("video,start,end,label\n" + "\n".join(rows))
    headers = []

    def read_header(path):
        headers.append(path.name)
        return video_input.VideoHeader(25.0, 4.0, 64, 48)

    for module in (inputs, annotations.tables):
        monkeypatch.setattr(module, "read_header", read_header)
    annotations.tables.convert(tmp_path / "a.csv", tmp_path / "a.json", root)
    database = json.loads((tmp_path / "a.json").read_text())["database"]
    assert set(database) == stems and sorted(headers) == names
    assert {video["duration"] for video in database.values()} == {4.0}
    monkeypatch.setattr(inputs, "_refuse_text", lambda path: None)
    sources, failures = inputs.collect([str(root / "training")], tmp_path)
    assert {source.file.name for source in sources} == set(names) and not failures
    assert {path.rpartition("/")[2] for path in Folder(root, ["training"]).sizes} == set(names)
    assert {path.name for path in feature_map_extractor.video_files(root, "training")} >= set(names)
    assert set(report._video_files(root / "training")) >= stems
    settings = config.load(None, [f"paths.videos_folder={root}"])
    video = annotations.Video("CLIP", "training", 4.0, "", ())
    assert plots._video_file(settings, video).name == "CLIP.MTS"
