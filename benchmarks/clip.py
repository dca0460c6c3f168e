"""Made H.264 clips: textured scenery under a moving camera, and files that repeat one clip for hours."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

MARGIN = 300  # pixels that the camera moves at most


def make_clip(path: Path, seconds: int, size: tuple[int, int] = (720, 1280), fps: int = 30, crf: int = 23) -> Path:
    """Write a clip of `size` (height, width), 1.5 Mbit/s at 720p and crf 23; equal for equal arguments."""
    height, width = size
    noise = np.random.default_rng(0).integers(0, 256, (height + 2 * MARGIN, width + 2 * MARGIN, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    scenery = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8, copy=False)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps, options={"crf": str(crf), "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(seconds * fps):
            left = round(MARGIN * (1 + np.sin(number / 40)))
            top = round(MARGIN * (1 + np.cos(number / 55)))
            frame = scenery[top : top + height, left : left + width].copy()
            centre = (
                round(width * (0.5 + 0.3 * np.cos(number / 15))),
                round(height * (0.5 + 0.3 * np.sin(number / 15))),
            )
            cv2.circle(frame, centre, height // 9, (40, 200, 90), -1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())
    return path


def loop_clip(clip: Path, path: Path, seconds: float) -> Path:
    """Repeat a clip until `seconds` are reached, by copying its packets."""
    with av.open(str(path), "w") as output:
        offset, stream = 0, None
        while True:
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                stream = stream or output.add_stream_from_template(video)
                if offset * video.time_base >= seconds:
                    return path
                for packet in source.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    output.mux(packet)
                offset += video.duration
