"""A folder of videos -> what the page needs of each: its file, what a browser can do with it, the times of its frames.

Symbols: T source frames of a video. Times are seconds on the file's clock, as in the stages and in browsers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import config
import utils
from annotation_formats.drafts import VALIDATION_SHARE
from video_input import find_videos, video_id
from video_reading.clock import Clock
from video_reading.door import open_video

# what Chromium, Firefox and Safari play alike: containers as FFmpeg names them, codecs of picture and sound
PLAYED = {
    "mov,mp4,m4a,3gp,3g2,mj2": ({"h264", "av1", "vp9"}, {"aac", "mp3", "opus", "flac"}),
    "matroska,webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
PLAYED_PIXELS = {"yuv420p", "yuvj420p"}
DECIMALS = 6
EVEN = 2e-6  # seconds by which frames of a constant rate may differ from it: the rounding of times


@dataclass(frozen=True)
class VideoFile:
    """A video of the folder."""

    id: str
    path: Path
    subset: str


def find(folder: Path) -> list[VideoFile]:
    """The videos `<subset>/<id>.*` and `<id>.*` of a folder, by name.

    Where no subset's folder tells it, a fifth of the videos is validation, by a hash of the id alone, so that a video
    keeps its subset whatever joins it. Raises ValueError for no folder, no video, and two of one name.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of videos")
    found: dict[str, VideoFile] = {}
    for subset in (None, *config.SUBSETS):
        for path in find_videos(folder / subset if subset else folder):
            if not path.is_file():
                continue
            name = utils.require_safe_name(video_id(path), str(path))
            if name in found:
                raise ValueError(f"{path}: {found[name].path} has the same name: annotations could mean either")
            found[name] = VideoFile(name, path, subset or _subset_of(name))
    if not found:
        raise ValueError(f"{folder}: holds no video, nor do training/, validation/ and testing/ in it")
    return [found[name] for name in sorted(found)]


def _subset_of(name: str) -> str:
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
    return "validation" if share < VALIDATION_SHARE else "training"


def browser_plays(path: Path) -> bool:
    """Whether browsers play a file as it is. Raises ValueError when it is no readable video."""
    with open_video(path) as video:
        pictures, sounds = PLAYED.get(video.container.format.name, (set(), set()))
        context = video.stream.codec_context
        sound = {stream.codec_context.name.removesuffix("float") for stream in video.container.streams.audio}
        return context.name in pictures and context.pix_fmt in PLAYED_PIXELS and sound <= sounds


def frame_times(path: Path) -> tuple[dict, float]:
    """When each source frame of a video is shown, from the packets of its container; nothing is decoded.

    Returns the T times, as {"times": [T]}, or {"rate", "count"} where frame i is shown at i / rate; and the end of the
    last frame, in seconds. Raises ValueError when it is no readable video.
    """
    with open_video(path) as video:
        packets = [packet for packet in Clock(video).packets() if packet.size and not packet.is_discard]
        lasting = {packet.dts if packet.pts is None else packet.pts: packet.duration or 0 for packet in packets}
        lasting.pop(None, None)
        ticks, unit = sorted(lasting), video.stream.time_base
        if not ticks:
            raise ValueError(f"{path}: holds no frame whose time is known")
        begin = ticks[0] * unit if video.begin is None else video.begin
        times = [round(float(tick * unit - begin), DECIMALS) for tick in ticks]
        rate = video.fps
    last = times[-1] - times[-2] if len(times) > 1 else float(lasting[ticks[-1]] * unit)
    return _packed(times, rate), round(times[-1] + (last or (1 / rate if rate else 0.04)), DECIMALS)


def _packed(times: list[float], rate: float) -> dict:
    if rate and all(abs(time - number / rate) < EVEN for number, time in enumerate(times)):
        return {"rate": rate, "count": len(times)}
    return {"times": times}
