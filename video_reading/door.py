"""A file -> the stream of its picture: the one door to videos, for headers, frames, stills and checks.

Only containers that hold their pictures themselves are let in, and no protocol but plain files: FFmpeg's scripts
(playlists, lists of files) would open other files and addresses, and have no end.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from av.container import InputContainer
    from av.video.stream import VideoStream

# FFmpeg's names of the containers and raw streams that are read; those of sound alone, so that they can be named
CONTAINERS = (
    "3gp", "aac", "ac3", "aiff", "amr", "asf", "av1", "avi", "caf", "dirac", "dv", "flac", "flv", "gif", "gxf", "h261",
    "h263", "h264", "hevc", "ivf", "m4v", "matroska", "mjpeg", "mov", "mp3", "mpeg", "mpegts", "mpegvideo", "mxf",
    "nut", "obu", "ogg", "rm", "vc1", "vvc", "wav", "wtv", "yuv4mpegpipe",
)  # fmt: skip
# how a camera or a server on the network sends it
STREAMS = ("hls", "mpjpeg", "rtp", "rtsp", "sdp")
NETWORK = ("crypto", "data", "http", "httpproxy", "https", "rtmp", "rtmps", "rtp", "srt", "tcp", "tls", "udp")
# a frame of 8192 x 8192: twice 8K. More is a broken or hostile header, which would ask for gigabytes
MAX_PIXELS = 1 << 26
# pictures one after the other, which FFmpeg takes for a single one unless it is told
RAW_JPEG = (".mjpeg", ".mjpg")


class NoPicture(ValueError):
    """A file that can be read and holds no video: sound, say."""


@dataclass(frozen=True)
class OpenVideo:
    """An open file and the stream of its picture: the default one, or the one that FFmpeg finds best; never a cover.

    `begin` is the container's start in seconds, from which players count; None when the file holds no times.
    """

    container: InputContainer
    stream: VideoStream
    begin: Fraction | None

    @property
    def fps(self) -> float:
        """Frames a second; 0 when the file does not say."""
        return float(self.stream.average_rate or self.stream.guessed_rate or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.container.close()


def open_video(path: Path) -> OpenVideo:
    """Open a video file. Raises ValueError with the file and the reason when it is not a readable video."""
    import av

    path = Path(path)
    if not path.is_file():  # a pipe, too: opening it would wait for ever
        received = "a folder" if path.is_dir() else "a pipe or device" if path.exists() else "nothing there"
        raise ValueError(f"{path}: expected a video file, received {received}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: empty file")
    try:
        # with the protocol and the whole path, no name is taken for an address
        kind = "mjpeg" if path.suffix.lower() in RAW_JPEG else None
        return _open(path, f"file:{path.absolute()}", "file", CONTAINERS, kind=kind)
    except av.ArgumentError:  # what FFmpeg says of a format outside the list
        reason = "not a video, but text" if _is_text(path) else "not a readable video: no container of videos"
        raise ValueError(f"{path}: {reason}") from None
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not a readable video: {error.strerror or error}") from None


def open_stream(address: str, most_seconds: float) -> OpenVideo:
    """Open an address that sends a video; one that sends nothing for `most_seconds` has ended.

    Raises ValueError with the address when it cannot be opened.
    """
    import av

    try:
        return _open(address, address, ",".join(NETWORK), (*CONTAINERS, *STREAMS), timeout=most_seconds)
    except av.FFmpegError as error:
        raise ValueError(f"stream {address}: cannot be opened: {error.strerror or error}; expected a camera's number, "
                         "an address or a file") from None  # fmt: skip


def _open(
    name: Path | str, address: str, protocols: str, formats: tuple[str, ...], timeout: float | None = None,
    kind: str | None = None,
) -> OpenVideo:  # fmt: skip
    import av

    options = {"protocol_whitelist": protocols, "format_whitelist": ",".join(formats)}
    container = av.open(address, format=kind, container_options=options, metadata_errors="replace", timeout=timeout)
    try:
        # FFmpeg's own guess at missing times is wrong where frames are reordered
        container.flags &= ~av.container.Flags.gen_pts.value
        begin = None if container.start_time is None else Fraction(container.start_time, av.time_base)
        return OpenVideo(container, _picture(name, container), begin)
    except BaseException:
        container.close()
        raise


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    return b"\0" not in head


def _picture(name: Path | str, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    moving = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not moving:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        received = "sound with a cover picture" if container.streams.video else f"streams: {kinds}"
        raise NoPicture(f"{name}: no video stream ({received})")
    best = container.streams.best("video")
    stream = best if best in moving else moving[0]
    if stream.codec_context is None:
        raise ValueError(f"{name}: not a readable video: no decoder for its pictures")
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(
            f"{name}: expected at most {MAX_PIXELS:,} pixels a frame, received {stream.width} x {stream.height}"
        )
    return stream
