"""A video file -> small pictures of it, evenly spaced, as `data:` URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import segments
import video_input
from video_reading.clock import Clock
from video_reading.door import OpenVideo, open_video
from video_reading.upright import upright_pixels

if TYPE_CHECKING:
    from av import VideoFrame

QUALITY = 70  # of JPEG: 2 to 4 kB a picture at 72 pixels


def make_thumbnails(file: Path, count: int = 12, height: int = 72) -> tuple[tuple[float, str], ...]:
    """Up to `count` pictures of a video, each from the middle of its share of the time, upright.

    Args:
      file: the video; where its end cannot be decoded, the pictures before it are given.
      height: pixels.

    Returns:
      (seconds, `data:image/jpeg;base64,…`) in the order of time.

    Raises:
      ValueError: no file, or not a readable video; names the file and the reason.
    """
    header = video_input.read_header(file)
    seconds = segments.middles_of_parts(count, header.duration) if header.duration > 0 else np.zeros(1)
    return tuple(_pictures(Path(file), seconds.tolist(), height))


def _pictures(file: Path, seconds: list[float], height: int) -> Iterator[tuple[float, str]]:
    with open_video(file) as video:
        video.stream.thread_type = "AUTO"
        for second in seconds:
            frame = _frame_at(video, second)
            if frame is None:
                return  # the extraction reports damage; here what is whole is shown
            yield round(second, 3), _encode(frame, height)


def _frame_at(video: OpenVideo, second: float) -> VideoFrame | None:
    """The frame that is shown at `second`, decoded from the keyframe before it; None where they end earlier."""
    import av

    try:
        video.container.seek(int((second + (video.begin or 0)) / video.stream.time_base), stream=video.stream)
    except av.FFmpegError:
        return None
    clock = Clock(video)
    shown = None
    for frame, time in clock.frames():
        if shown is not None and time > second:
            return shown
        shown = frame
    return shown if clock.end > second else None


def _encode(frame: VideoFrame, height: int) -> str:
    import cv2

    picture = upright_pixels(frame, "bgr24")
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
