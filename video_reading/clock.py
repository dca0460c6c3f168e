"""The packets of a picture as they are decoded, its frames as they are shown -> seconds on the file's clock.

The file's clock begins at 0 with whatever starts first in it, as in every player: where a cut begins with sound, the
first frame is later than 0.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame

    from video_reading.door import OpenVideo

MICROSECOND = Fraction(1, 1_000_000)
# packets that tell how a file keeps its times
HEAD = 16
# what can be put together end to end (dash cameras, DVDs): the clock jumps where the next recording begins
JOINABLE = ("mpegts", "mpeg")
# the same containers: their length FFmpeg estimates from the times of their last packets, some of which have none
ESTIMATED = JOINABLE
# seconds by which its times may fall back and run ahead in the order of decoding: FFmpeg's own limits
MOST_BACK = 0.1
MOST_AHEAD = 10.0


class Clock:
    """Gives each decoded frame its time, in the order in which frames are shown.

    A frame's time is its packet's presentation time. Where a file has none (AVI with B-frames) or repeats the times of
    decoding for it (MXF), the times of decoding are dealt out in the order of showing; where single ones are missing, a
    frame begins where the one before it ends. Times that begin anew (recordings put together) go on instead.
    """

    def __init__(self, video: OpenVideo):
        self.end = 0.0  # seconds, where the newest frame ends
        self.joined = False  # the file's times jumped
        self._video = video
        self._tick = float(video.stream.time_base)
        self._begin = None if video.begin is None else _in_ticks(video.begin, video.stream.time_base)
        self._joinable = video.container.format.name in JOINABLE
        self._shown = 0.0  # seconds, where it begins
        self._interval = 1 / video.fps if video.fps > 0 else 0.0  # between frames that do not say how long they last
        self._offset = 0  # ticks
        self._next: int | None = None  # ticks, where the next packet would be decoded
        self._slots: deque[int] | None = None  # times of decoding that no frame has yet

    def packets(self) -> Iterator[Packet]:
        """The packets of the picture, with mended times; the last is empty and flushes the decoder.

        What a damaged file does not give is passed over; the end of the picture tells it.
        """
        packets = self._readable()
        head = list(islice(packets, HEAD))
        stamped = [packet for packet in head if packet.dts is not None]
        reordered = self._video.stream.codec_context.has_b_frames
        if stamped and (
            head[0].pts is None
            or (reordered and len(stamped) > 1 and all(packet.pts == packet.dts for packet in stamped))
        ):
            self._slots = deque()
        for packet in chain(head, packets):
            if packet.dts is not None:
                self._mend(packet)
            yield packet

    def _readable(self) -> Iterator[Packet]:
        import av

        packets = self._video.container.demux(self._video.stream)
        try:
            yield from packets
        except av.FFmpegError:
            packets.close()
            yield av.Packet()

    def _mend(self, packet: Packet) -> None:
        dts = packet.dts + self._offset
        if self._joinable and self._next is not None:
            ahead = (dts - self._next) * self._tick
            if ahead < -MOST_BACK or ahead > MOST_AHEAD:
                self._offset += self._next - dts
                self.joined = True
                dts = self._next
        if self._offset:
            packet.dts = dts
            if packet.pts is not None:
                packet.pts += self._offset
        self._next = dts + (packet.duration or 0)
        if self._slots is not None:
            self._slots.append(dts)

    def frames(self) -> Iterator[tuple[VideoFrame, float]]:
        """The frames that can be decoded, each with the seconds at which it is shown."""
        import av

        decode = self._video.stream.decode
        for packet in self.packets():
            try:
                decoded = decode(packet)
            except av.FFmpegError:  # damaged, as the packets after it need not be
                continue
            for frame in decoded:
                yield frame, self._show(frame)

    def _show(self, frame: VideoFrame) -> float:
        ticks = frame.pts
        if self._slots is not None:
            ticks = self._slots.popleft() if self._slots else None
        if self._begin is None or (ticks is not None and ticks < self._begin):
            self._begin = ticks
        # by way of milliseconds, to the last bit as in the features of before
        time = self.end if ticks is None else (ticks - self._begin) * self._tick * 1000 / 1000
        if time > self._shown:
            self._interval = time - self._shown
        self._shown = time
        lasts = frame.duration * self._tick
        if not lasts or abs(lasts - self._interval) < self._tick / 2:  # the same, but for rounding
            lasts = self._interval
        self.end = time + lasts
        return time


def _in_ticks(seconds: Fraction, tick: Fraction) -> float:
    """The tick that `seconds`, which FFmpeg rounds to microseconds, stand for, or the fraction between two."""
    nearest = round(seconds / tick)
    return nearest if abs(nearest * tick - seconds) < MICROSECOND else float(seconds / tick)


def packet_end(video: OpenVideo, packet: Packet) -> float:
    """Seconds on the file's clock, where a packet of any stream ends; 0 when it has no time."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return 0.0 if ticks is None else float((ticks + (packet.duration or 0)) * packet.time_base - (video.begin or 0))


def last_end(video: OpenVideo, streams: Iterable[Stream], begin: int | None = None) -> float:
    """Seconds on the file's clock, where the last packet of `streams` ends; 0 for none from `begin` (µs) on."""
    import av

    end, unseen = 0.0, 0.0
    estimated = video.container.format.name in ESTIMATED
    # a damaged file ends where it cannot be read on
    with contextlib.suppress(av.FFmpegError):
        if begin is not None:
            video.container.seek(begin)
        for packet in video.container.demux(*streams):
            lasts = float((packet.duration or 0) * packet.time_base)
            if estimated and packet.pts is None and packet.dts is not None:
                # a frame that others refer to: it is shown when the next of its kind is decoded, or at the very end
                end, unseen = max(end, packet_end(video, packet) - lasts + unseen), lasts
            else:
                end = max(end, packet_end(video, packet))
                refers = None not in (packet.pts, packet.dts) and packet.pts > packet.dts
                unseen = 0.0 if refers else unseen
    return end + unseen
