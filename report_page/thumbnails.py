"""A video file -> small pictures of it, evenly spaced, as `data:` URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import video_input

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

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
    seconds = (np.arange(count) + 0.5) * header.duration / count if header.duration > 0 else np.zeros(1)
    return tuple(_pictures(Path(file), seconds.tolist(), height))


def _pictures(file: Path, seconds: list[float], height: int) -> Iterator[tuple[float, str]]:
    import av

    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        begin = float((stream.start_time or 0) * stream.time_base)
        try:
            for second in seconds:
                container.seek(int((begin + second) / stream.time_base), stream=stream)
                frame = _frame_at(container, begin + second)
                if frame is None:
                    return
                yield round(second, 3), _encode(frame, height)
        except av.FFmpegError:
            return  # the extraction reports damage; here what is whole is shown


def _frame_at(container: InputContainer, second: float) -> VideoFrame | None:
    """The frame that is shown at `second`, decoded from the keyframe before it; the last one where they end earlier."""
    shown = None
    for frame in container.decode(video=0):
        if shown is not None and frame.time is not None and frame.time > second:
            break
        shown = frame
    return shown


def _encode(frame: VideoFrame, height: int) -> str:
    import cv2

    picture = np.rot90(frame.to_ndarray(format="bgr24"), round(frame.rotation / 90))  # both count counterclockwise
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    small = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
