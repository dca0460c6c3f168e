"""One video file -> its sampled frames (every `skip_frames`-th, RGB, resized) with the times at which they are shown.

And a folder -> its video files. PyAV decodes, OpenCV resizes; what a file needs until it is a picture with a time lies
in video_reading/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

import utils
from video_reading.clock import ESTIMATED, Clock, last_end
from video_reading.door import OpenVideo, open_video
from video_reading.upright import upright_pixels

if TYPE_CHECKING:
    import numpy as np

# how the names of video files end, in any case of letters
VIDEO_SUFFIXES = (
    ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc",
    ".ivf", ".m1v", ".m2p", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg",
    ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv",
    ".y4m",
)  # fmt: skip
# of the seconds that the header declares, what may be missing at the end before a file counts as cut: containers round
# up, sound may outlast the picture, and an encoder may drop the last frames
CUT_SECONDS = 0.5
CUT_SHARE = 0.02
# µs before the end, from which the last frame is looked for: in the order of decoding it may come before others
LAST = 3_000_000
ROUNDING = Fraction(1, 1000)  # seconds


@dataclass(frozen=True)
class VideoHeader:
    """What a container says of its picture; 0 where it says nothing."""

    fps: float
    duration: float  # seconds from the file's start to the end of the picture
    width: int  # pixels, before rotation
    height: int


def find_videos(folder: Path) -> list[Path]:
    """What `folder` holds under the name of a video, in the order of the names; nothing when it is no folder.

    Hidden names, which temporary files have, are passed over, and what other programs put beside videos. What a name
    stands for (a folder, a broken link) is for the caller to find out, who may want to name it.
    """
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if not path.name.startswith(".") and path.suffix.lower() in VIDEO_SUFFIXES]


def video_id(path: Path) -> str:
    """What annotations and features call the video in a file: its name without the ending, composed."""
    return utils.composed(path.stem)


def read_header(path: Path) -> VideoHeader:
    """Read a container's header. Raises ValueError with the file and the reason when it is not a readable video.

    Where the container declares one length for sound and picture, the end of the picture is looked up.
    """
    with open_video(path) as video:
        header = _header(video)
        alone = len(video.container.streams) == 1
        if video.begin is None:  # a raw stream, which holds no times
            lasts = sum(packet.duration or 0 for packet in video.container.demux(video.stream))
            return replace(header, duration=float(lasts * video.stream.time_base))
        told = header.duration and (alone or _own_length(video) is not None)
        if told and video.container.format.name not in ESTIMATED:
            return header
        # without an index, a file is read to its end for this
        last = max((video.container.duration or 0) - LAST, 0) + (video.container.start_time or 0)
        end = last_end(video, [video.stream], last)
    if not end:  # the picture may end long before
        with open_video(path) as video:
            end = last_end(video, [video.stream])
    return replace(header, duration=end or header.duration)


def _header(video: OpenVideo) -> VideoHeader:
    own = _own_length(video)
    begin = video.begin or 0
    if own is not None:
        declared = (video.stream.start_time or 0) * video.stream.time_base - begin + own
    else:  # Matroska counts from 0 even where all of it starts later
        declared = _whole_length(video) - max(begin, 0)
    return VideoHeader(video.fps, float(declared), video.stream.width, video.stream.height)


def _whole_length(video: OpenVideo) -> Fraction:
    return Fraction(video.container.duration or 0, 1_000_000)


def _own_length(video: OpenVideo) -> Fraction | None:
    """Seconds that the picture lasts, where the container says it apart from the sound."""
    stream = video.stream
    if not stream.duration:
        return None
    length = stream.duration * stream.time_base
    if video.container.format.name.startswith("mov"):  # which lists the frames of each stream
        return length
    end = (stream.start_time or 0) * stream.time_base - (video.begin or 0) + length
    # FFmpeg gives a stream that says nothing the length of the whole
    return None if abs(end - _whole_length(video)) < ROUNDING else length


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a frame [H, W, 3] uint8 to `size` (height, width): by area when it shrinks, bilinear when it grows."""
    import cv2

    height, width = size
    shrinks = height <= frame.shape[0] and width <= frame.shape[1]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


class SampledVideo:
    """Iterate over source frames 0, skip, 2 skip, … of a video as (frame, timestamp).

    A frame is [height, width, 3] uint8, RGB, upright; its timestamp is the presentation time in seconds on the file's
    clock (see `Clock`), taken from the container, so a variable frame rate is right. After the iteration `duration`
    (seconds, the end of the last source frame), `fps` and `source_frames` are known. Frames that are passed over are
    decoded (others refer to them) but not converted.

    Raises ValueError, at once or while iterating, with the file and the reason: not there, empty, not a video, no video
    stream, no frame, times that do not rise, or cut (the decoded picture ends before the header says).
    """

    def __init__(self, path: Path, skip_frames: int, resize: tuple[int, int], threads: int | None = None):
        """Open `path`; `threads` decode it, None leaves their number to FFmpeg (as many as cores)."""
        self.path = Path(path)
        self._video = open_video(self.path)
        self._video.stream.thread_type = "AUTO"
        self._video.stream.thread_count = threads or 0
        self.header = _header(self._video)
        self.duration = 0.0
        self.fps = self.header.fps
        self.source_frames = 0
        self._skip_frames, self._resize = skip_frames, resize

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._video.container.close()

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        clock = Clock(self._video)
        sampled = None
        for frame, timestamp in clock.frames():
            if self.source_frames % self._skip_frames == 0:
                if sampled is not None and timestamp <= sampled:
                    raise ValueError(
                        f"{self.path}: its times do not rise: source frame {self.source_frames} is shown at "
                        f"{timestamp:.3f} s, an earlier one at {sampled:.3f} s"
                    )
                sampled = timestamp
                yield resize_frame(upright_pixels(frame), self._resize), timestamp
            self.source_frames += 1
        self.duration = clock.end
        self._check_end(clock.joined)

    def _check_end(self, joined: bool) -> None:
        if not self.source_frames:
            raise ValueError(f"{self.path}: holds no frame that can be decoded")
        if self.fps <= 0:
            self.fps = self.source_frames / self.duration if self.duration > 0 else 0.0
        missing = self.header.duration - self.duration
        allowed = max(CUT_SECONDS, CUT_SHARE * self.header.duration)
        if missing > allowed and not joined and not self._others_last(self.header.duration - allowed):
            raise ValueError(
                f"{self.path}: cut: the picture ends after {self.duration:.2f} of {self.header.duration:.2f} seconds"
            )

    def _others_last(self, seconds: float) -> bool:
        """Whether sound or subtitles go on until `seconds`, in a container that declares one length for all."""
        if _own_length(self._video) is not None:
            return False
        with open_video(self.path) as video:
            others = [stream for stream in video.container.streams if stream.index != video.stream.index]
            return bool(others) and last_end(video, others) >= seconds
