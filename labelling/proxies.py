"""A video that no browser plays -> a small H.264 and AAC copy of it, made once; and where its shots change.

Copies keep the times of the frames, so that a border set on the copy is one of the video.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import utils
from labelling.media import DECIMALS
from video_input import read_header
from video_reading.clock import Clock
from video_reading.door import open_video
from video_reading.upright import upright_pixels

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame, VideoStream
    from av.container import OutputContainer

    from video_reading.door import OpenVideo

HEIGHT = 480  # pixels; enough to see an action by, and quick to encode and to seek in
TICKS = 90_000  # a second, of the copy's clock
SOUND_RATE = 48_000
KEYFRAMES = 24  # frames from one to the next: seeking decodes at most so many

SMALL = (48, 27)  # pixels at which neighbouring frames are compared
CHANGE = 28.0  # mean change of grey, of 255, from which on a frame can begin a shot
TIMES_USUAL = 5.0  # and how many times the usual change of the frames around it

Progress = Callable[[float], None]  # a share, 0 to 1


def make_proxy(source: Path, target: Path, progress: Progress) -> None:
    """Write a copy of `source`, at most HEIGHT pixels high and upright, that browsers play; its first frame is at 0.

    What cannot be decoded is left out. Raises ValueError when nothing can be.
    """
    import av

    seconds = read_header(source).duration
    with utils.atomic_path(target) as temporary, open_video(source) as video:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as writing:
                _copy(video, writing, lambda now: progress(min(1.0, now / seconds) if seconds else 0.0))
        except av.FFmpegError as error:
            raise ValueError(f"{source}: no copy for the browser can be made: {error.strerror or error}") from None


def _copy(video: OpenVideo, writing: OutputContainer, progress: Progress) -> None:
    picture, first, sound = None, 0.0, None
    for frame, time in _pictures(video):
        if picture is None:
            first = time
            picture = _video_stream(writing, video.stream.average_rate, _upright(frame))
            sound = _Sound(video.path, writing, first) if video.container.streams.audio else None
        small = _upright(frame).reformat(width=picture.width, height=picture.height, format="yuv420p")
        small.pts, small.time_base = round((time - first) * TICKS), Fraction(1, TICKS)
        writing.mux(picture.encode(small))
        if sound:
            sound.write(time)
        progress(time)
    if picture is None:
        raise ValueError(f"{video.path}: holds no frame that can be decoded")
    writing.mux(picture.encode())
    if sound:
        sound.write(math.inf)


def _pictures(video: OpenVideo) -> Iterator[tuple[VideoFrame, float]]:
    video.stream.thread_type = "AUTO"
    return Clock(video).frames()


class _Sound:
    """The sound of a file, written as far as its picture is, so that the two lie side by side in the copy."""

    def __init__(self, path: Path, writing: OutputContainer, first: float):
        import av

        self._writing, self._first = writing, first
        self._stream = writing.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
        self._frames = self._decoded(path)
        self._samples: int | None = None  # written

    def _decoded(self, path: Path) -> Iterator[tuple[AudioFrame, float]]:
        import av

        with open_video(path) as video:
            begin = float(video.begin or 0)
            packets = video.container.demux(video.container.streams.audio[0])
            with contextlib.suppress(av.FFmpegError):
                for packet in packets:
                    with contextlib.suppress(av.FFmpegError):  # a damaged one is passed over
                        for frame in cast("list[AudioFrame]", packet.decode()):
                            if frame.time is not None:
                                yield frame, frame.time - begin

    def write(self, until: float) -> None:
        """Write what is heard before `until`, in seconds; with infinity all, and the end."""
        for frame, time in self._frames:
            if time >= self._first:
                for piece in self._resampler.resample(frame):
                    if self._samples is None:
                        self._samples = round((time - self._first) * SOUND_RATE)
                    piece.pts, piece.time_base = self._samples, Fraction(1, SOUND_RATE)
                    self._samples += piece.samples
                    self._writing.mux(self._stream.encode(piece))
            if time > until:
                return
        if until == math.inf:
            self._writing.mux(self._stream.encode())


def _upright(frame: VideoFrame) -> VideoFrame:
    import av

    if not frame.rotation:
        return frame
    pixels: Any = upright_pixels(frame)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


def _video_stream(writing: OutputContainer, rate: Fraction | None, frame: VideoFrame) -> VideoStream:
    options = {"preset": "veryfast", "crf": "26", "g": str(KEYFRAMES), "bf": "0"}
    stream = writing.add_stream("libx264", rate=rate or 25, options=options)
    scale = min(1.0, HEIGHT / frame.height)
    stream.height = max(2, round(frame.height * scale / 2) * 2)
    stream.width = max(2, round(frame.width * scale / 2) * 2)
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


def shot_changes(source: Path, progress: Progress) -> list[float]:
    """Where another shot begins: times, in seconds, of frames unlike the one before."""
    seconds, times, grey, previous = read_header(source).duration, [], [], None
    with open_video(source) as video:
        for frame, time in _pictures(video):
            small = frame.reformat(*SMALL, format="gray").to_ndarray().astype(np.int16)
            grey.append(0.0 if previous is None else float(np.abs(small - previous).mean()))
            times.append(time)
            previous = small
            progress(min(1.0, time / seconds) if seconds else 0.0)
    return [round(times[n], DECIMALS) for n in changes_of(np.asarray(grey))]


def changes_of(grey: np.ndarray) -> list[int]:
    """The frames that begin a shot, by the change [T] of each from the one before it."""
    found = []
    for number in np.flatnonzero(grey >= CHANGE):
        around = np.delete(grey[max(0, number - 12) : number + 13], min(12, number))
        if grey[number] >= TIMES_USUAL * max(1.0, np.median(around) if len(around) else 0.0):
            found.append(int(number))
    return found
