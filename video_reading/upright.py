"""A decoded frame -> its pixels, turned and mirrored as the file says that it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame

AS_STORED = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def upright_pixels(frame: VideoFrame, order: str = "rgb24") -> np.ndarray:
    """The pixels [H, W, 3] uint8 of a frame as it is shown; `order` is rgb24 or bgr24."""
    import numpy as np
    from av.sidedata.sidedata import SideDataContainer

    try:
        # not frame.side_data, which is kept in the frame and keeps the frame: memory until the next garbage collection
        data = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # missing in its stub
    except ValueError:  # beside side data of a kind that PyAV does not know
        data = None
    a, b, _, c, d, *_ = AS_STORED if data is None else np.frombuffer(data, np.int32).tolist()
    # cubic interpolation where colours are coarser; on one thread, since others decode other videos
    pixels = frame.to_ndarray(format=order, interpolation="BICUBIC", threads=1)
    return turn(pixels, a, b, c, d)


def turn(pixels: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Turn `pixels` [H, W, 3] by quarters and mirror them: what is at (x, y) goes to (a x + c y, b x + d y), moved."""
    import numpy as np

    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
