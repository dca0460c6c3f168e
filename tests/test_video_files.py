"""A video file is seen by every stage alike, however its name ends."""

import gc

import pytest
from made_videos import make_video

import annotations
import feature_map_extractor
import plots
import report
import video_input
from annotations import Video
from download import attempt, summary
from localization import inputs

SUFFIXES = [".mts", ".3gp", ".m2ts", ".ogv", ".vob", ".mp4", ".MP4", ".mpeg"]


def test_the_folder_gives_names_of_videos_in_their_order(tmp_path):
    for name in ("b.mp4", "a.MKV", ".b.x.part.mp4", ".hidden.mp4", "notes.txt", "mp4", "c.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "d.mp4").symlink_to("nowhere")
    names = [path.name for path in video_input.find_videos(tmp_path)]
    assert names == ["a.MKV", "b.mp4", "d.mp4"]
    assert video_input.find_videos(tmp_path / "none") == video_input.find_videos(tmp_path / "b.mp4") == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_stages_see_a_video(tmp_path, suffix):
    file = make_video(tmp_path / f"videos/validation/v{suffix}", 3, format="mp4")
    make_video(file.with_name(f".v.x.part{suffix}"), 3, format="mp4")  # of a download that was killed
    videos = tmp_path / "videos"
    video = Video("v", "validation", 1.0, "", ())

    table = tmp_path / "table.csv"
    table.write_text(f"video,start,end,label\nv{suffix},0,0.1,x\n")
    assert annotations.main([str(table), "--videos", str(videos), "--output", str(tmp_path / "out.json")]) == 0
    read = annotations.load(tmp_path / "out.json").videos
    assert list(read) == ["v"] and read["v"].subset == "validation" and read["v"].duration == pytest.approx(0.12)

    sources, failures = inputs.collect([str(file.parent)], tmp_path)
    assert [source.file for source in sources] == [file] and not failures
    assert feature_map_extractor.video_files(videos, "validation") == [file]
    assert report._video_files(file.parent) == {"v": file}
    assert plots._video_file(file.parent, "v") == file
    assert summary.Folder(videos, ["validation"]).find(video) == file


def test_the_downloader_writes_names_that_are_found():
    written = {*attempt._SUFFIXES.values(), *(suffix for some in attempt._FREE_CHOICE.values() for suffix in some)}
    assert written <= set(video_input.VIDEO_SUFFIXES)


def test_a_frame_leaves_memory_when_it_is_used(tmp_path):
    import av  # in front of the count, since it makes objects of its own

    file = make_video(tmp_path / "v.mp4", 13)
    gc.collect()
    gc.disable()
    try:
        with video_input.SampledVideo(file, 2, (8, 8)) as video:
            assert len(list(video)) == 7
        # one is the decoder's own; what waits for the collector, of a long 4K video, is gigabytes
        assert sum(isinstance(found, av.VideoFrame) for found in gc.get_objects()) <= 1
    finally:
        gc.enable()
