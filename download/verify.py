"""A downloaded file -> its duration in seconds, or the reason why it is no whole video."""

from __future__ import annotations

from pathlib import Path

# by what the container is, so that no name from outside decides how a file is called
_SUFFIXES = {
    "mov": ".mp4", "matroska": ".mkv", "avi": ".avi", "flv": ".flv", "mpegts": ".ts", "mpeg": ".mpg", "asf": ".wmv",
    "ogg": ".ogv",
}  # fmt: skip
_FREE_CHOICE = {"mov": (".mp4", ".m4v", ".mov", ".3gp"), "matroska": (".mkv", ".webm")}


class Refused(Exception):
    """The file is not the video. reason: too_short | too_long | not_a_video."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check(path: Path, expected: float, tolerance: tuple[float, float]) -> tuple[float, str]:
    """Read a file's packets and compare its length with the annotation.

    Args:
      expected: seconds; 0 when unknown.
      tolerance: as a share of `expected` and in seconds; the larger counts.

    Returns: the duration of the video track in seconds, and the suffix that fits the container.
    Raises: Refused.
    """
    duration, suffix, cut = _measure(path)
    allowed = max(tolerance[0] * expected, tolerance[1])
    lengths = f"{duration:.2f} s of video where the annotation has {expected:.2f} s"
    if cut:
        raise Refused("too_short", f"the file ends within a frame, after {duration:.2f} s")
    if expected > 0 and duration < expected - allowed:
        raise Refused("too_short", lengths)
    if expected > 0 and duration > expected + allowed:
        raise Refused("too_long", lengths)
    return duration, suffix


def _measure(path: Path) -> tuple[float, str, bool]:
    """Duration, suffix and whether the last frame is cut.

    The duration in a header is a promise: a file cut in transfer keeps it. The packets say what is there.
    """
    import av

    first, end, cut = None, 0, False
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Refused("not_a_video", "the file has no video track")
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.pts is None:
                    continue
                first = packet.pts if first is None else min(first, packet.pts)
                end = max(end, packet.pts + (packet.duration or 0))
                cut = packet.is_corrupt
            if first is not None:
                container.seek(0)
                next(container.decode(stream))
            family = container.format.name.split(",")[0]
            seconds = float((end - first) * stream.time_base) if first is not None else 0.0
    except (av.FFmpegError, StopIteration) as error:
        why = getattr(error, "strerror", None) or "no frame can be decoded"
        raise Refused("not_a_video", f"{path.stat().st_size:,} bytes that do not open as a video: {why}") from None
    if seconds <= 0:
        raise Refused("not_a_video", "the file has no frames")
    suffix = path.suffix.lower() if path.suffix.lower() in _FREE_CHOICE.get(family, ()) else _SUFFIXES.get(family)
    if suffix is None:
        raise Refused("not_a_video", f"the container {family} is not one of {', '.join(_SUFFIXES)}")
    return seconds, suffix, cut
