"""Small real video files for the tests, made with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def make_video(path: Path, frames: int = 50, size: tuple[int, int] = (48, 64), fps: int = 25, times=None, **container):
    """Write an H.264 video of `size` (height, width) whose frame i is `grey(i)`; `times` are milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = [round(1000 * i / fps) for i in range(frames)] if times is None else times
    with av.open(str(path), "w", **container) as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), grey(number), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def grey(number: int) -> int:
    return number * 5 % 250


def make_sound(path: Path, seconds: float = 1.0):
    """Write a file that holds sound only."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        stream.layout = "mono"
        for start in range(0, int(16000 * seconds), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def make_mpeg4(path):
    """MPEG-4 part 2 in AVI, which no browser plays."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for number in range(80):
            shade = np.full((96, 128, 3), 3 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        output.mux(stream.encode())
