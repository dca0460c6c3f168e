"""How long a picture may end before its file says, and the times of frames that do not say theirs."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import pytest
from made_media import make_media

from video_input import SampledVideo
from video_reading.clock import Clock


# half a second, or a fiftieth of what the header declares where that is more
@pytest.mark.parametrize(("fps", "lasts", "most"), [(25, 2, 2.5), (1, 50, 50 / 0.98)])
def test_a_picture_that_ends_too_early_is_cut(tmp_path, fps, lasts, most):
    path = make_media(tmp_path / "a.mp4", frames=50, fps=fps)

    def watch(declared):
        with SampledVideo(path, 10, (8, 8), 1) as video:
            video.header = replace(video.header, duration=declared)
            return len(list(video)), video.duration

    assert watch(most - 0.01) == (5, pytest.approx(lasts))
    with pytest.raises(ValueError, match=f"a.mp4: cut: the picture ends after {lasts}.00 of {most + 0.01:.2f} seconds"):
        watch(most + 0.01)


def clock(ticks, begin=0, fps=5, late=0, broken=False):
    """The clock of frames shown at `ticks` of 0.1 s, which a decoder gives out `late` packets later; of a file that
    cannot be read to its end where it is `broken`."""

    def demux(_):
        for tick in ticks:
            yield SimpleNamespace(pts=tick, dts=tick, duration=0)
        if broken:
            raise av.InvalidDataError(1, "damaged")
        yield av.Packet()

    waiting = []

    def decode(packet):
        if isinstance(packet, av.Packet):  # the empty one
            return waiting
        waiting.append(SimpleNamespace(pts=packet.pts, duration=0))
        return [waiting.pop(0)] if len(waiting) > late else []

    stream = SimpleNamespace(
        time_base=Fraction(1, 10), codec_context=SimpleNamespace(has_b_frames=False), decode=decode
    )
    container = SimpleNamespace(format=SimpleNamespace(name="made"), demux=demux)
    return Clock(SimpleNamespace(stream=stream, container=container, begin=Fraction(begin), fps=fps))


def times(made):
    return [time for _, time in made.frames()]


def test_no_frame_is_shown_before_the_file_begins():
    assert times(clock([8, 10, 14], begin=1)) == pytest.approx([0, 0.2, 0.6])
    assert times(clock([12, 14], begin=1)) == pytest.approx([0.2, 0.4])


def test_a_frame_that_does_not_say_how_long_it_lasts_does_as_the_one_before():
    alone, several = clock([0], fps=5), clock([0, 4, None])
    assert times(alone) == [0] and alone.end == pytest.approx(0.2)  # a frame a fifth of a second
    assert times(several) == pytest.approx([0, 0.4, 0.8]) and several.end == pytest.approx(1.2)


@pytest.mark.parametrize("broken", [False, True])
def test_the_decoder_gives_its_last_frames_where_a_file_breaks_off(broken):
    assert times(clock([0, 2, 4, 6], late=2, broken=broken)) == pytest.approx([0, 0.2, 0.4, 0.6])
