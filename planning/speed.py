"""Some seconds of a user's video -> how long the features of all of them will take on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import config
import utils
import video_input

SECONDS = 8.0  # of video that are looked at
FRAMES = 32  # that the CNN is timed on


@dataclass(frozen=True)
class Speed:
    """Seconds that a source frame takes a core to decode, and a sampled frame the CNN on all cores."""

    decode: float
    embed: float

    def minutes(self, source_frames: float, skip_frames: int, cores: int) -> float:
        """Of extraction, with all cores busy all the time."""
        return (source_frames * self.decode / cores + source_frames / skip_frames * self.embed) / 60


def measure(videos: list[Path], extractor: config.ExtractorSettings, video: config.VideoSettings) -> Speed:
    """Decode and embed the beginning of the first video that can be read. Raises ValueError where there is none."""
    # TensorFlow is imported here
    from extraction.runtime import make_embed

    embed, _ = make_embed(extractor, video)
    for path in videos:
        frames, started = [], time.monotonic()
        try:
            with video_input.SampledVideo(path, video.skip_frames, video.resize, threads=1) as sampled:
                for frame, at in sampled:
                    frames.append(frame)
                    if at >= SECONDS:
                        break
                decode = (time.monotonic() - started) / max(sampled.source_frames, 1)
        except ValueError as error:
            utils.LOGGER.debug("not measured on: %s", error)
            continue
        batch = np.resize(np.stack(frames), (FRAMES, *frames[0].shape))
        embed(batch)  # the first call builds the graph
        started = time.monotonic()
        embed(batch)
        return Speed(decode, (time.monotonic() - started) / FRAMES)
    raise ValueError(f"none of {len(videos)} videos can be read, such as {videos[0]}")


def sparser(speed: Speed, source_frames: float, skip_frames: int, cores: int, minutes: float, most: int) -> int:
    """The least `video.skip_frames` from `skip_frames` to `most` with which extraction takes at most `minutes`."""
    tried = range(skip_frames, max(most, skip_frames) + 1)
    return next((skip for skip in tried if speed.minutes(source_frames, skip, cores) <= minutes), tried[-1])
