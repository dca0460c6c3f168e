"""A video's frames have the times of its own clock, whatever its container keeps of them, and stand upright."""

import av
import numpy as np
import pytest
from made_media import make_media, set_matrix

from video_input import SampledVideo, read_header
from video_reading.upright import turn


def watch(path, skip=1):
    with SampledVideo(path, skip, (48, 64), 1) as video:
        frames, times = zip(*video, strict=True)
    return frames, np.array(times), video


# AVI, MXF and program streams keep no presentation times of reordered frames, or not all
@pytest.mark.parametrize(
    ("name", "codec", "stream_options"),
    [
        ("xvid.avi", "mpeg4", {"bf": "2"}),
        ("h264.avi", "libx264", {"bf": "3"}),
        ("x.mxf", "libx264", {"bf": "3"}),
        ("camcorder.mpg", "mpeg2video", {"bf": "0"}),
        ("dvd.vob", "mpeg2video", {"bf": "2"}),
        ("pi.h264", "libx264", {"bf": "2"}),
        ("drone.h265", "libx265", {"x265-params": "log-level=none"}),
        ("tape.m2v", "mpeg2video", {"bf": "2"}),
    ],
)
def test_frames_without_presentation_times(tmp_path, name, codec, stream_options):
    path = make_media(tmp_path / name, codec, 60, stream_options=stream_options)
    frames, times, video = watch(path)
    np.testing.assert_allclose(times, np.arange(60) / 25, atol=1e-5)
    assert (video.source_frames, video.duration) == (60, pytest.approx(2.4))
    assert read_header(path).duration == pytest.approx(2.4, abs=1e-3)
    shades = [frame.mean() for frame in frames[:45]]
    assert (np.diff(shades) >= 0).all()  # in the order of showing


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.mkv", "libx264", "aac"), ("a.webm", "libvpx", "libopus"), ("a.flv", "libx264", "aac"),
        ("a.wmv", "wmv2", "wmav2"), ("a.mp4", "libx264", "aac"), ("a.avi", "mpeg4", "mp2"), ("a.ts", "libx264", "aac"),
    ],
)  # fmt: skip
def test_sound_may_outlast_the_picture(tmp_path, name, codec, sound):
    path = make_media(tmp_path / name, codec, sound=(sound, 4.0))
    _, times, video = watch(path)
    # sound is encoded ahead of its time: the picture waits for it
    assert 0 <= times[0] < 0.1 and (video.source_frames, len(times)) == (50, 50)
    assert video.duration - times[0] == pytest.approx(2.0, abs=2e-3)
    assert read_header(path).duration == pytest.approx(video.duration, abs=2e-3)


@pytest.mark.parametrize("name", ["a.mkv", "a.flv"])
def test_a_cut_file_with_sound_is_told(tmp_path, name):
    path = make_media(tmp_path / name, sound=("aac", 2.0), frames=50, stream_options={"crf": "1", "g": "10"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=f"{name}: cut: the picture ends after [01]"):
        watch(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
def test_a_late_picture_counts_from_the_files_start(tmp_path, name):
    path = make_media(tmp_path / name, sound=("aac", 4.0), begin=1.6)
    _, times, video = watch(path)
    with av.open(str(path)) as container:
        late = 1.6 if name == "a.ts" else 1.6 - container.start_time / 1e6
    assert times[0] == pytest.approx(late, abs=0.05) and times[0] > 1.5
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1.1e-3)
    assert video.duration == pytest.approx(times[-1] + 0.04, abs=1e-3)
    assert read_header(path).duration == pytest.approx(video.duration, abs=2e-3)


@pytest.mark.parametrize("name", ["held.mp4", "held.mov", "held.mkv"])
@pytest.mark.parametrize(("hold", "end"), [(8.0, 9.96), (0.01, 1.97)])
def test_the_last_frame_lasts_as_long_as_the_file_says(tmp_path, name, hold, end):
    path = make_media(tmp_path / name, hold=hold, stream_options={"bf": "0"})
    _, times, video = watch(path)
    assert times[-1] == pytest.approx(1.96) and video.duration == pytest.approx(end, abs=2e-3)


@pytest.mark.parametrize(("name", "codec"), [("x.ts", "libx264"), ("x.vob", "mpeg2video")])
def test_recordings_put_together_go_on(tmp_path, name, codec):
    one = make_media(tmp_path / f"one_{name}", codec, stream_options={"bf": "2"})
    path = tmp_path / name
    path.write_bytes(one.read_bytes() * 2)
    _, times, video = watch(path)
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=1e-5)
    assert video.duration == pytest.approx(4.0)


def test_a_recording_whose_clock_is_ahead_goes_on(tmp_path):
    one, other = (make_media(tmp_path / f"{begin}.ts", begin=begin) for begin in (0.0, 400.0))
    (tmp_path / "x.ts").write_bytes(one.read_bytes() + other.read_bytes())
    _, times, video = watch(tmp_path / "x.ts")
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=1e-5)
    assert video.duration == pytest.approx(4.0)


def test_a_picture_damaged_under_whole_sound_is_told(tmp_path):
    path = make_media(tmp_path / "a.mp4", frames=100, sound=("aac", 4.0))
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in places[50:]:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a.mp4: cut: the picture ends after"):
        watch(path)


def cover_only(path, codec):
    with av.open(str(path), "w") as output:
        track = output.add_stream(codec, rate=44100, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        pictures = cover.encode(frame.reformat(format="yuvj420p")) + cover.encode()
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        for packet in [*pictures, *track.encode(silence), *track.encode()]:
            output.mux(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), [("song.mp3", "libmp3lame"), ("song.mp4", "aac")])
def test_a_cover_is_no_video(tmp_path, name, codec):
    with pytest.raises(ValueError, match=f"{name}: no video stream .sound with a cover picture"):
        read_header(cover_only(tmp_path / name, codec))


def test_the_default_stream_is_taken(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as output:
        small, large = (output.add_stream("libx264", rate=rate) for rate in (5, 25))
        small.pix_fmt = large.pix_fmt = "yuv420p"
        small.width, small.height, small.disposition = 64, 48, 0
        large.width, large.height, large.disposition = 96, 80, av.stream.Disposition.default
        for stream, count in ((small, 10), (large, 50)):
            for _ in range(count):
                shade = np.zeros((stream.height, stream.width, 3), np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
            output.mux(stream.encode())
    header = read_header(path)
    assert (header.width, header.height, header.fps) == (96, 80, 25)
    assert watch(path)[2].source_frames == 50


# [a b; c d] of the display matrix -> where a mark at the top left is shown
TURNS = {
    (1, 0, 0, 1): "top left", (0, 1, -1, 0): "top right", (-1, 0, 0, -1): "bottom right", (0, -1, 1, 0): "bottom left",
    (-1, 0, 0, 1): "top right", (1, 0, 0, -1): "bottom left", (0, 1, 1, 0): "top left", (0, -1, -1, 0): "bottom right",
}  # fmt: skip


@pytest.mark.parametrize("matrix", TURNS)
def test_pictures_stand_as_they_are_shown(tmp_path, matrix):
    def marked(number):
        pixels = np.zeros((48, 96, 3), np.uint8)
        pixels[:12, :48] = 255  # longer along x, so that a turn differs from a reflection
        return pixels

    path = set_matrix(make_media(tmp_path / "a.mp4", frames=2, size=(48, 96), picture=marked), *matrix)
    turned = matrix[0] == 0
    with SampledVideo(path, 6, (96, 48) if turned else (48, 96)) as video:
        frame = next(iter(video))[0]
    corners = {"top left": frame[:12, :12], "top right": frame[:12, -12:], "bottom left": frame[-12:, :12],
               "bottom right": frame[-12:, -12:]}  # fmt: skip
    assert [name for name, corner in corners.items() if corner.mean() > 128] == [TURNS[matrix]]
    # the mark's long side lies along the picture's
    rows, columns = np.nonzero(frame.mean(axis=2) > 128)
    assert (np.ptp(rows) > np.ptp(columns)) == turned


def test_turns_by_hand():
    pixels = np.arange(6).reshape(2, 3, 1)
    assert turn(pixels, 1, 0, 0, 1)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert turn(pixels, 0, 1, -1, 0)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]  # a quarter clockwise
    assert turn(pixels, 0, -1, 1, 0)[..., 0].tolist() == [[2, 5], [1, 4], [0, 3]]
    assert turn(pixels, -1, 0, 0, 1)[..., 0].tolist() == [[2, 1, 0], [5, 4, 3]]


def test_av1_is_decoded(tmp_path):
    path = make_media(tmp_path / "a.mp4", "libsvtav1", 12, size=(64, 64), stream_options={"preset": "12"})
    _, times, _ = watch(path)
    np.testing.assert_allclose(times, np.arange(12) / 25, atol=1e-5)
