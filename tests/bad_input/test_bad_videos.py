"""Videos that are none, or odd: `feature_map_extractor.py` names them and goes on, or writes what they hold."""

import os
import shutil
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from made_videos import make_sound, make_video
from outcomes import digests

import feature_map_extractor
from features import records
from video_input import read_header
from video_reading import door


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("good") / "good.mp4", frames=30)


def extract(folder, monkeypatch, capsys):
    """Run the stage with a network that gives the mean brightness; its status, what it printed, the features by id."""
    monkeypatch.setattr(feature_map_extractor, "open_extractor", lambda *given: brightness)
    before = digests(folder / "videos")
    arguments = [f"paths.data_dir={folder}", "paths.videos_folder=videos", "paths.feature_map_folder=features",
                 "video.resize=[32, 32]", "video.skip_frames=6", "extractor.batch_size=2"]  # fmt: skip
    status = feature_map_extractor.main([part for text in arguments for part in ("--set", text)])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    assert digests(folder / "videos") == before
    read = records.read_features(sorted((folder / "features/training").glob("*.tfrecord")))
    return status, printed.out, {video.id: video for video in read}


def brightness(frames):
    return frames.mean(axis=(1, 2, 3))[:, None].astype(np.float32)


def picture(path, size, codec="mpeg4", frames=1, pixels="yuv420p", fps=10, first=0, options=None):
    """A grey video with PyAV's `codec`; `size` is (height, width)."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 128, np.uint8), format="rgb24")
            frame.pts, frame.time_base = first + number, Fraction(1, fps)
            output.mux(stream.encode(frame.reformat(format=pixels)))
        output.mux(stream.encode())


def patched_size(path):
    """An AVI of raw pictures whose header says 100,000 x 100,000."""
    picture(path, (64, 64), "rawvideo", frames=2, pixels="bgr24")
    data = path.read_bytes()
    position = data.index(b"strf") + 12
    path.write_bytes(data[:position] + struct.pack("<ii", 100_000, 100_000) + data[position + 8 :])


def patched(path, key, skip, value, **video):
    """A video of 13 frames, 10 a second, whose container has `value` at `skip` bytes behind the first `key`."""
    picture(path, (48, 64), frames=13, **video)
    data = path.read_bytes()
    position = data.index(key) + len(key) + skip
    path.write_bytes(data[:position] + value + data[position + len(value) :])


BAD = {
    "zero bytes": (lambda path, good: path.write_bytes(b""), "empty file"),
    "text": (lambda path, good: path.write_text("no video\n" * 100), "not a readable video"),
    "noise": (lambda path, good: path.write_bytes(np.random.default_rng(0).bytes(5000)), "not a readable video"),
    "sound only": (lambda path, good: make_sound(path), "no video stream"),
    "a folder": (lambda path, good: path.mkdir(), "received a folder"),
    "a broken link": (lambda path, good: path.symlink_to("nowhere"), "received nothing there"),
    "a pipe": (lambda path, good: os.mkfifo(path), "received a pipe or device"),
    "100,000 x 100,000": (lambda path, good: patched_size(path), ""),
    "frames that last no time": (
        lambda path, good: patched(path, b"stts", 12, bytes(4)), "its times do not rise: source frame 12"
    ),
} | {
    f"cut at {tenth} tenths": (
        lambda path, good, tenth=tenth: path.write_bytes(good.read_bytes()[: len(good.read_bytes()) * tenth // 10]), ""
    ) for tenth in range(1, 10)
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_video_is_named_and_the_others_are_done(tmp_path, monkeypatch, capsys, good, case):
    make, because = BAD[case]
    folder = tmp_path / "videos/training"
    folder.mkdir(parents=True)
    shutil.copy(good, folder / "good.mp4")
    make(folder / "bad.mp4" if case != "100,000 x 100,000" else folder / "bad.avi", good)
    status, printed, features = extract(tmp_path, monkeypatch, capsys)
    assert status == 1 and set(features) == {"good"}
    named = [line for line in printed.splitlines() if line.startswith("  ") and "bad." in line]
    assert len(named) == 1 and because in named[0] and named[0].isprintable(), printed
    assert "1 failed" in printed


# a video -> how many frames are sampled of it
ODD = {
    "one frame": ("x.mp4", lambda path: picture(path, (48, 64)), 1),
    "2 x 2": ("x.avi", lambda path: picture(path, (2, 2), "ffv1", frames=7), 2),
    "1 x 1": ("x.avi", lambda path: picture(path, (1, 1), "rawvideo", frames=7, pixels="bgr24"), 2),
    "odd sizes": ("x.avi", lambda path: picture(path, (37, 53), "ffv1", frames=7), 2),
    "8K": ("x.mp4", lambda path: picture(path, (4320, 7680), "mjpeg", pixels="yuvj420p", frames=2), 1),
    "10 bits": ("x.mp4", lambda path: picture(path, (48, 64), "libx264", frames=13, pixels="yuv420p10le"), 3),
    "1000 frames a second": ("x.mkv", lambda path: picture(path, (48, 64), frames=50, fps=1000), 9),
    "one key frame": ("x.mp4", lambda path: picture(path, (48, 64), frames=40, options={"g": "9999"}), 7),
    "a negative beginning": ("x.mkv", lambda path: picture(path, (48, 64), "libx264", frames=13, first=-9), 3),
    "a late beginning": ("x.mkv", lambda path: picture(path, (48, 64), frames=13, first=500), 3),
    "variable frame rate": ("x.mp4", lambda path: make_video(path, 13, times=[n * n * 20 for n in range(13)]), 3),
    "no frame rate": ("x.avi", lambda path: patched(path, b"strh", 24, bytes(8)), 3),
    "a frame rate of 0": ("x.avi", lambda path: patched(path, b"strh", 28, bytes(4)), 3),
    "a frame that lasts for 136 years": ("x.avi", lambda path: patched(path, b"strh", 24, b"\xff" * 4), 3),
    "a duration that is no number": (
        "x.mkv", lambda path: patched(path, bytes.fromhex("448988"), 0, struct.pack(">d", np.nan)), 3
    ),
    "a negative duration": ("x.mkv", lambda path: patched(path, bytes.fromhex("448988"), 0, struct.pack(">d", -5)), 3),
    "a clock of 0 ticks a second": ("x.mp4", lambda path: patched(path, b"mvhd", 12, bytes(4)), 3),
    "wrong ending": ("x.avi", lambda path: make_video(path, 13, format="mp4"), 3),
    "a name with a colon": ("12:30.mp4", lambda path: make_video(path, 13), 3),
    "a name with spaces, brackets and an umlaut": ("\u00fc [a] %d.mp4", lambda path: make_video(path, 13), 3),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] if c == "8K" else []) for c in ODD])
def test_an_odd_video_is_done(tmp_path, monkeypatch, capsys, case):
    name, make, sampled = ODD[case]
    path = tmp_path / "videos/training" / name
    path.parent.mkdir(parents=True)
    make(path)
    status, printed, features = extract(tmp_path, monkeypatch, capsys)
    assert status == 0, printed
    video = features[path.stem]
    assert len(video.features) == sampled
    assert video.timestamps[0] == 0 and (np.diff(video.timestamps) > 0).all()
    assert np.isfinite(video.duration) and np.isfinite(video.fps)


def test_a_name_that_is_no_utf8_is_told_and_the_others_are_done(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "videos/training"
    make_video(folder / "good.mp4", 13)
    shutil.copy(folder / "good.mp4", folder / os.fsdecode(b"cl\xe9.mp4"))
    status, printed, features = extract(tmp_path, monkeypatch, capsys)
    assert (status, set(features)) == (1, {"good"})
    (line,) = [line for line in printed.splitlines() if line.startswith("  ")]
    assert line.endswith(r"training/cl\udce9.mp4: expected a name in UTF-8, as annotations are: rename it")


def test_frames_of_a_size_that_fills_the_memory_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = tmp_path / "large.avi"
    picture(path, (64, 64), "rawvideo", pixels="bgr24")
    monkeypatch.setattr(door, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(ValueError, match="large.avi: expected at most 4,095 pixels a frame, received 64 x 64"):
        read_header(path)
