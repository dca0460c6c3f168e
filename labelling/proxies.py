"""A video that no browser plays -> a small H.264 and AAC copy of it, made once; and where its shots change.

Copies keep the times of the frames, so that a border set on the copy is one of the video.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import utils
from video_input import read_header

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer, OutputContainer

HEIGHT = 480  # pixels; enough to see an action by, and quick to encode and to seek in
TICKS = 90_000  # a second, of the copy's clock
SOUND_RATE = 48_000
KEYFRAMES = 24  # frames from one to the next: seeking decodes at most so many

SMALL = (48, 27)  # pixels at which neighbouring frames are compared
CHANGE = 28.0  # mean change of grey, of 255, from which on a frame can begin a shot
TIMES_USUAL = 5.0  # and how many times the usual change of the frames around it

Progress = Callable[[float], None]  # a share, 0 to 1


def make_proxy(source: Path, target: Path, progress: Progress) -> None:
    """Write a copy of `source`, at most HEIGHT pixels high and upright, that browsers play.

    Where its end cannot be decoded, the copy holds what is before it. Raises ValueError when nothing can be decoded.
    """
    import av

    seconds = read_header(source).duration
    with utils.atomic_path(target) as temporary:
        try:
            with (
                av.open(str(source)) as reading,
                av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as writing,
            ):
                _copy(reading, writing, lambda now: progress(min(1.0, now / seconds) if seconds else 0.0))
        except av.FFmpegError as error:
            raise ValueError(f"{source}: no copy for the browser can be made: {error.strerror or error}") from None


def _copy(reading: InputContainer, writing: OutputContainer, progress: Progress) -> None:
    import av

    picture = reading.streams.video[0]
    picture.thread_type = "AUTO"
    sounds = reading.streams.audio[:1]
    begin, video, sound, resampler, written = None, None, None, None, 0
    if sounds:
        sound = writing.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SOUND_RATE)
    for frame in _decoded(reading, [picture, *sounds]):
        if isinstance(frame, av.VideoFrame):
            begin = frame.time if begin is None else begin
            upright = _upright(frame)
            if video is None:
                video = _video_stream(writing, picture.average_rate, upright)
            small = upright.reformat(width=video.width, height=video.height, format="yuv420p")
            small.pts, small.time_base = round((frame.time - begin) * TICKS), Fraction(1, TICKS)
            writing.mux(video.encode(small))
            progress(frame.time - begin)
        elif begin is not None and frame.time is not None and frame.time >= begin:
            for piece in resampler.resample(frame):
                written = written or round((frame.time - begin) * SOUND_RATE)
                piece.pts, piece.time_base = written, Fraction(1, SOUND_RATE)
                written += piece.samples
                writing.mux(sound.encode(piece))
    if video is None:
        raise ValueError(f"{reading.name}: holds no frame that can be decoded")
    writing.mux(video.encode())
    if sound is not None:
        writing.mux(sound.encode())


def _decoded(reading: InputContainer, streams: list) -> Iterator[VideoFrame]:
    """Frames in the order of the file; damaged packets are passed over, as players do."""
    import av

    packets = reading.demux(streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        with contextlib.suppress(av.FFmpegError):
            yield from (frame for frame in cast("list[VideoFrame]", packet.decode()) if frame.time is not None)


def _upright(frame: VideoFrame) -> VideoFrame:
    import av

    turns = round(frame.rotation / 90) % 4
    if not turns:
        return frame
    picture: Any = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
    return av.VideoFrame.from_ndarray(picture, format="rgb24")


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
    """Where another shot begins: times, in seconds from the first frame on, of frames unlike the one before."""
    import av

    seconds, times, grey = read_header(source).duration, [], []
    with av.open(str(source)) as reading:
        stream = reading.streams.video[0]
        stream.thread_type = "AUTO"
        previous, begin = None, None
        for frame in _decoded(reading, [stream]):
            begin = frame.time if begin is None else begin
            small = frame.reformat(*SMALL, format="gray").to_ndarray().astype(np.int16)
            grey.append(0.0 if previous is None else float(np.abs(small - previous).mean()))
            times.append(frame.time - begin)
            previous = small
            progress(min(1.0, times[-1] / seconds) if seconds else 0.0)
    return [round(times[n], 6) for n in changes_of(np.asarray(grey))]


def changes_of(grey: np.ndarray) -> list[int]:
    """The frames that begin a shot, by the change [T] of each from the one before it."""
    found = []
    for number in np.flatnonzero(grey >= CHANGE):
        around = np.delete(grey[max(0, number - 12) : number + 13], min(12, number))
        if grey[number] >= TIMES_USUAL * max(1.0, np.median(around) if len(around) else 0.0):
            found.append(int(number))
    return found
