"""One video file -> its sampled frames (every `skip_frames`-th, RGB, resized) with the times at which they are shown.

And a folder -> its video files. OpenCV decodes and resizes; the container's header is read with PyAV, which names what
is wrong with a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import utils

if TYPE_CHECKING:
    import numpy as np

# how the names of video files end, in any case of letters
VIDEO_SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob",
    ".webm", ".wmv",
)  # fmt: skip
# of the seconds that the header declares, what may be missing at the end before a file counts as cut: containers round
# up, sound may outlast the picture, and an encoder may drop the last frames
CUT_SECONDS = 0.5
CUT_SHARE = 0.02
# a frame of 8192 x 8192: twice 8K. More is a broken or hostile header, which would ask for gigabytes
MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class VideoHeader:
    """What a container says of its first video stream; 0 where it says nothing."""

    fps: float
    duration: float  # seconds
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
    """Read a container's header. Raises ValueError with the file and the reason when it is not a readable video."""
    import av

    path = Path(path)
    if not path.is_file():  # a pipe, too: opening it would wait for ever
        received = "a folder" if path.is_dir() else "a pipe or device" if path.exists() else "nothing there"
        raise ValueError(f"{path}: expected a video file, received {received}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: empty file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
                raise ValueError(f"{path}: no video stream (streams: {kinds})")
            stream = container.streams.video[0]
            if stream.duration:
                declared = stream.duration * stream.time_base
            else:  # Matroska counts from 0 even where the picture starts later
                declared = ((container.duration or 0) - max(container.start_time or 0, 0)) / 1e6
            rate = stream.average_rate or stream.guessed_rate or 0
            if stream.width * stream.height > MAX_PIXELS:
                raise ValueError(
                    f"{path}: expected at most {MAX_PIXELS:,} pixels a frame, received {stream.width} x {stream.height}"
                )
            return VideoHeader(float(rate), float(declared), stream.width, stream.height)
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable video: {getattr(error, 'strerror', None) or error}") from None


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a frame [H, W, 3] uint8 to `size` (height, width): by area when it shrinks, bilinear when it grows."""
    import cv2

    height, width = size
    shrinks = height <= frame.shape[0] and width <= frame.shape[1]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


class SampledVideo:
    """Iterate over source frames 0, skip, 2 skip, … of a video as (frame, timestamp).

    A frame is [height, width, 3] uint8, RGB, upright; its timestamp is the presentation time in seconds from the first
    source frame on, taken from the container, so a variable frame rate is right. After the iteration `duration`
    (seconds, the end of the last source frame), `fps` and `source_frames` are known. Frames that are passed over are
    decoded (others refer to them) but not converted.

    Raises ValueError, at once or while iterating, with the file and the reason: not there, empty, not a video, no video
    stream, no frame, times that do not rise, or cut (the decoded picture ends before the header says).
    """

    def __init__(self, path: Path, skip_frames: int, resize: tuple[int, int], threads: int | None = None):
        """Open `path`; `threads` decode it, None leaves their number to OpenCV (as many as cores)."""
        # FFmpeg's own complaints do not name the file; ours do
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
        import cv2

        self.path = Path(path)
        self.header = read_header(self.path)
        self.duration = 0.0
        self.fps = self.header.fps
        self.source_frames = 0
        self._skip_frames, self._resize = skip_frames, resize
        parameters = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
        self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG, parameters)
        if not self._capture.isOpened():
            raise ValueError(f"{self.path}: OpenCV cannot open this video")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        import cv2

        first = previous = sampled = None
        interval = 1 / self.fps if self.fps > 0 else 0.0
        while self._capture.grab():
            shown = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if first is None:
                first = shown
            elif previous is not None and shown > previous:
                interval = shown - previous
            timestamp = shown - first
            if self.source_frames % self._skip_frames == 0:
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    raise ValueError(f"{self.path}: source frame {self.source_frames} cannot be decoded")
                if sampled is not None and timestamp <= sampled:
                    raise ValueError(
                        f"{self.path}: its times do not rise: source frame {self.source_frames} is shown at "
                        f"{timestamp:.3f} s, an earlier one at {sampled:.3f} s"
                    )
                sampled = timestamp
                yield cv2.cvtColor(resize_frame(frame, self._resize), cv2.COLOR_BGR2RGB), timestamp
            previous = shown
            self.source_frames += 1
            self.duration = timestamp + interval
        self._check_end()

    def _check_end(self) -> None:
        if not self.source_frames:
            raise ValueError(f"{self.path}: holds no frame that can be decoded")
        if self.fps <= 0:
            self.fps = self.source_frames / self.duration if self.duration > 0 else 0.0
        missing = self.header.duration - self.duration
        if missing > max(CUT_SECONDS, CUT_SHARE * self.header.duration):
            raise ValueError(
                f"{self.path}: cut: the picture ends after {self.duration:.2f} of {self.header.duration:.2f} seconds"
            )
