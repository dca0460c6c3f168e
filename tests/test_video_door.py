"""Only files that hold a video themselves are opened, whatever their names; FFmpeg's scripts and addresses are not."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from made_videos import make_video

import report
from download import attempt
from localization import inputs
from video_input import SampledVideo, read_header
from video_reading.door import open_stream, open_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", 13)


SCRIPTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n",  # without an end: waited for for ever
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile clip.mp4\n",
    "parts.mp4": "ffconcat version 1.0\nfile clip.mp4\nfile clip.mp4\n",
    "README.txt": "Read me.\n" * 100,
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "manifest.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    "subtitles.srt": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "scene.vpy": "import vapoursynth\n",
    "picture.ppm": "P3\n1 1\n255\n0 0 0\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_and_texts_are_no_videos(tmp_path, clip, name):
    shutil.copy(clip, tmp_path / "clip.mp4")
    (tmp_path / name).write_text(SCRIPTS[name])
    path = tmp_path / name
    for opened in (read_header, open_video, lambda path: SampledVideo(path, 1, (8, 8)), report.make_thumbnails):
        with pytest.raises(ValueError, match="not a readable video|not a video, but text") as refused:
            opened(path)
        assert str(refused.value).startswith(f"{path}: ")
    with pytest.raises(attempt.Refused):
        attempt.check(path, 0.0, (1.0, 100.0))
    sources, (line,) = inputs.collect([str(path)], tmp_path)
    assert not sources and line.startswith(f"{path}: ")


def test_a_picture_is_no_video(tmp_path):
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="x.png: not a readable video"):
        read_header(tmp_path / "x.png")


NAMES = [
    "12:30.mp4",
    "cam1:0800.mp4",
    "concat:a|b.mp4",
    "file:x.mp4",
    "a?b#c%20d.mp4",
    "%d.mp4",
    "-i.mp4",
    "pipe:0.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_taken_for_an_address(tmp_path, clip, monkeypatch, name):
    shutil.copy(clip, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name):
        with SampledVideo(path, 6, (8, 8)) as video:
            assert len(list(video)) == 3


def test_a_name_like_an_address_connects_to_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = f"tcp:127.0.0.1:{server.getsockname()[1]}?.mp4"
        Path(name).write_bytes(b"no video" * 100)
        with pytest.raises(ValueError, match="not a readable video"):
            read_header(Path(name))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


# a name that is no UTF-8, as from an old archive
LATIN = os.fsdecode("clé.mp4".encode("latin-1"))


def test_a_name_that_is_not_utf8_opens(tmp_path, clip):
    path = tmp_path / LATIN
    shutil.copy(clip, path)
    with SampledVideo(path, 6, (8, 8)) as video:
        assert len(list(video)) == 3
    assert len(report.make_thumbnails(path, 2)) == 2
    assert attempt.check(path, 0.0, (1.0, 100.0)) == (pytest.approx(0.52), ".mp4")
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match="not a readable video"):
        read_header(path)


def test_no_stream_is_a_file(clip):
    with pytest.raises(ValueError, match="stream file:.*: cannot be opened"):
        open_stream(f"file://{clip}", 1.0)
