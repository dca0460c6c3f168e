"""Real pictures for the precision benchmark: scikit-image's, and frames of the real videos in ../shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from video_input import SampledVideo, resize_frame

NAMES = ("astronaut", "cat", "coffee", "chelsea", "rocket", "retina", "hubble_deep_field", "immunohistochemistry")
VIDEOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "videos"
EVERY = 12  # source frames from picture to picture, half a second


def pictures(size: tuple[int, int]) -> np.ndarray:
    """All pictures, [N, height, width, 3] uint8; of each still picture also four crops."""
    import skimage.data

    found = []
    for name in NAMES:
        picture = getattr(skimage.data, name)()
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        crops = [picture[top : top + height, left : left + width] for top in (0, height) for left in (0, width)]
        found += [resize_frame(np.ascontiguousarray(part[..., :3]), size) for part in (picture, *crops)]
    for path in sorted(VIDEOS.glob("*/*.mp4")):
        with SampledVideo(path, EVERY, size) as video:
            found += [pixels for pixels, _ in video]
    return np.stack(found)
