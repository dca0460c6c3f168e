"""Many containers and codecs: as many frames as packets, at the packets' own times, and as long as they last."""

import av
import numpy as np
import pytest
from made_media import make_media

from video_input import SampledVideo, read_header

# container -> its codecs; those behind a + have reordered frames (B-frames)
PAIRS = {
    "mp4": "libx264 libx264+ libx265+ libsvtav1 libvpx-vp9 mpeg4 mpeg4+ mpeg2video+ mjpeg",
    "mov": "libx264 libx264+ libx265+ mpeg4+ mjpeg prores_ks",
    "mkv": "libx264 libx264+ libx265+ libsvtav1 libvpx libvpx-vp9 mpeg4+ mpeg2video+ mjpeg ffv1 prores_ks",
    "webm": "libvpx libvpx-vp9 libsvtav1",
    "avi": "libx264 libx264+ mpeg4 mpeg4+ mpeg2video+ mjpeg ffv1",
    "flv": "libx264 libx264+ flv1",
    "wmv": "wmv1 wmv2",
    "mpg": "mpeg1video mpeg2video mpeg2video+",
    "vob": "mpeg2video mpeg2video+",
    "ts": "libx264 libx264+ libx265+ mpeg2video+ mpeg4+",
    "mts": "libx264+",
    "3gp": "libx264 mpeg4",
    "gif": "gif",
    "mxf": "mpeg2video mpeg2video+ libx264+",
    "h264": "libx264+",
    "h265": "libx265+",
    "m2v": "mpeg2video+",
    "mjpeg": "mjpeg",
}
SOUND = {"mp4": "aac", "mov": "pcm_s16le", "mkv": "aac", "webm": "libopus", "flv": "aac", "wmv": "wmav2", "mpg": "mp2",
         "vob": "ac3", "ts": "aac", "mts": "ac3", "avi": "mp2"}  # fmt: skip
PIXELS = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "gif": "rgb8"}
OPTIONS = {
    "libx264": {"preset": "ultrafast"}, "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"}, "libvpx": {"deadline": "realtime"}, "libvpx-vp9": {"deadline": "realtime"},
}  # fmt: skip
CASES = [
    (ending, codec, sound)
    for ending, codecs in PAIRS.items() for codec in codecs.split() for sound in (False, True)
    if ending in SOUND or not sound  # others hold pictures alone
]  # fmt: skip


def packets(path):
    """What the packets say, in seconds: each frame from the file's start, how long the last lasts, a tick.

    And whether there are times of showing.

    Where a container keeps not all times of showing, those of decoding, from the first on.
    """
    with av.open(str(path)) as container:
        container.flags &= ~av.container.Flags.gen_pts.value
        stream = container.streams.video[0]
        found = [packet for packet in container.demux(stream) if packet.size]
        begin = (container.start_time or 0) / 1e6
        own = all(packet.pts is not None for packet in found)
        begin = begin if own else found[0].dts * float(stream.time_base)
        ticks = sorted((packet.pts if own else packet.dts, packet.duration) for packet in found)
        tick = float(stream.time_base)
    times = np.array([stamp for stamp, _ in ticks]) * tick
    return times - begin, ticks[-1][1] * tick, tick, own


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "codec", "sound"), CASES)
def test_frames_times_and_length_are_the_packets_own(tmp_path, ending, codec, sound):
    name = codec.removesuffix("+")
    options = OPTIONS.get(name, {}) | ({"bf": "2"} if codec.endswith("+") and name != "libx265" else {})
    path = make_media(
        tmp_path / f"a.{ending}", name, 40, pixels=PIXELS.get(name, "yuv420p"), stream_options=options,
        size=(96, 128), sound=(SOUND[ending], 3.0) if sound else None,
    )  # fmt: skip
    with SampledVideo(path, 1, (8, 8), 1) as video:
        times = np.array([time for _, time in video])
    assert len(times) == video.source_frames == 40
    tick = 0.0
    if ending in ("h264", "h265", "m2v", "mjpeg"):  # which hold no times
        assert read_header(path).duration == pytest.approx(video.duration) == pytest.approx(1.6)
    else:
        wanted, lasts, tick, own = packets(path)
        late = 0.0 if own else times[0]  # sound begins a little before the picture
        assert 0 <= late < 0.1
        np.testing.assert_allclose(times, wanted + late, atol=tick / 2 + 1e-6)
        assert video.duration == pytest.approx(wanted[-1] + late + (lasts or 0.04), abs=tick / 2 + 1e-6)
        assert read_header(path).duration == pytest.approx(video.duration, abs=2e-3 + tick)
    np.testing.assert_allclose(times - times[0], np.arange(40) / 25, atol=max(tick / 2, 5e-4) + 1e-6)
