"""Small media files of many kinds, made with PyAV: any container and codec, with sound, late starts and held frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

MILLISECOND = Fraction(1, 1000)


def make_media(
    path: Path, codec="libx264", frames=50, fps=25, container=None, pixels="yuv420p", options=None, *, sound=None,
    begin=0.0, hold=0.0, size=(48, 64), stream_options=None, picture=None,
):  # fmt: skip
    """Write a video whose frame i is `picture(i)`, or grey of a level that rises, and return its path.

    Args:
        sound: (codec, seconds) of a silent track.
        begin: seconds, where the picture starts.
        hold: seconds that the last frame is shown; 0 for as long as the others.
        stream_options: the encoder's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        film = output.add_stream(codec, rate=fps, options=stream_options or {})
        film.height, film.width, film.pix_fmt = *size, pixels
        if hold:  # which may be no multiple of the others
            film.time_base = film.codec_context.time_base = MILLISECOND
        track = None
        if sound:
            track = output.add_stream(sound[0], rate=48000 if sound[0] == "libopus" else 44100)
            track.layout, track.bit_rate = "mono", 64000
        packets = list(_film_packets(film, frames, fps, begin, picture or (lambda i: grey_picture(i, size))))
        if hold:
            packets[-1].duration = round(hold / packets[-1].time_base)
        if track:
            packets += _sound_packets(track, sound[1])
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            output.mux(packet)
    return path


def grey_picture(number, size):
    return np.full((*size, 3), 20 + number * 4 % 200, np.uint8)


def _film_packets(stream, frames, fps, begin, picture):
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number + round(begin * fps), Fraction(1) / fps
        yield from stream.encode(frame)
    yield from stream.encode()


def _sound_packets(track, seconds):
    samples = round(seconds * track.rate)
    kind = track.codec_context.format.name
    silence = np.zeros((1, samples), np.float32)
    resampler = av.AudioResampler(kind, "mono", track.rate, track.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = track.rate, 0, Fraction(1, track.rate)
    packets = []
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        packets += track.encode(part)
    return packets + track.encode()


def set_matrix(path, a, b, c, d):
    """Write [a b; c d] into the display matrix of an MP4."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(content)
    return path
