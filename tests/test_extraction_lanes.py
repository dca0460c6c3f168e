"""Lanes: how cores are shared out, one order of a video's frames on many threads, clean ends after errors."""

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from made_videos import make_video

import config
from extraction import lanes
from extraction.claims import Claims
from extraction.collector import End, Frame, decode
from extraction.lanes import Plan, Sampling

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("videos", "cores", "workers", "plan"),
    [
        (100, 1, "auto", Plan(1, 1, 0)),
        (100, 2, "auto", Plan(2, 1, 0)),
        (1, 2, "auto", Plan(1, 1, 1)),
        (100, 16, "auto", Plan(16, 1, 0)),
        (1, 16, "auto", Plan(1, 8, 8)),
        (4, 16, "auto", Plan(4, 2, 8)),
        (100, 16, 4, Plan(4, 2, 8)),
        (100, 2, 64, Plan(2, 1, 0)),
        (0, 3, "auto", Plan(1, 2, 1)),
    ],
)
def test_threads_are_as_many_as_cores(videos, cores, workers, plan):
    assert lanes.make_plan(videos, cores, workers) == plan
    assert plan.lanes * plan.decoder_threads + plan.helpers == cores
    assert plan.callers == plan.lanes + plan.helpers


class Memory:
    """Keeps what a writer gets, by video."""

    def __init__(self):
        self.rows, self.ended, self.discarded = {}, {}, []

    def open(self, video):
        memory, rows = self, self.rows.setdefault(video.stem, [])

        class Writer:
            def add(self, row, timestamp):
                rows.append((round(float(row[0])), round(timestamp, 3)))

            def finish(self, duration, fps):
                memory.ended[video.stem] = round(duration, 3)

            def discard(self):
                memory.discarded.append(video.stem)

        return Writer()


def settings():
    return config.load(None, ["extractor.batch_size=3", "video.resize=[32, 32]", "video.skip_frames=2"])


def sampling(batch_size=3):
    return Sampling(2, (32, 32), batch_size)


def mean_colour(frames):
    return frames.astype(np.float32).mean(axis=(1, 2))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [make_video(folder / f"{number}.mp4", frames=1 + 13 * number) for number in range(6)]


@pytest.fixture(scope="module")
def expected(videos):
    """The same by one thread, without lanes."""
    rows = {path.stem: [] for path in videos}
    for item in decode(videos, 2, (32, 32)):
        if isinstance(item, Frame):
            rows[item.video.stem].append((round(float(item.pixels[..., 0].mean())), round(item.timestamp, 3)))
    return rows


@pytest.mark.parametrize("plan", [Plan(1, 1, 0), Plan(1, 2, 1), Plan(3, 1, 0), Plan(2, 2, 3), Plan(8, 1, 0)])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_any_plan_gives_the_same_rows_in_order(videos, expected, plan, batch_size):
    memory, busy, most = Memory(), [], []
    random = np.random.default_rng(0)

    def embed(frames):
        assert 1 <= len(frames) <= batch_size
        busy.append(1)
        most.append(len(busy))
        time.sleep(random.random() / 500)
        busy.pop()
        return mean_colour(frames)

    events = list(lanes.embed_videos(videos, sampling(batch_size), embed, memory.open, plan))
    assert memory.rows == expected
    assert sum(event for event in events if not isinstance(event, End)) == sum(map(len, expected.values()))
    ended = [event.video for event in events if isinstance(event, End)]
    assert sorted(ended) == videos
    if plan.lanes == 1:
        assert ended == videos
    assert memory.ended == {path.stem: (1 + 13 * number) / 25 for number, path in enumerate(videos)}
    assert max(most) <= plan.callers
    assert no_threads()


def no_threads():
    return not {"lane", "cnn"} & {thread.name for thread in threading.enumerate()}


def test_no_video_is_no_event():
    assert list(lanes.embed_videos([], sampling(), mean_colour, Memory().open, Plan(2, 1, 0))) == []


@pytest.mark.parametrize("plan", [Plan(1, 1, 0), Plan(1, 1, 1), Plan(3, 1, 0)])
def test_an_error_of_the_network_ends_all_threads_and_discards(videos, plan):
    memory, calls = Memory(), []

    def embed(frames):
        calls.append(1)
        if len(calls) > 4:
            raise KeyError("bug")
        return mean_colour(frames)

    with pytest.raises(KeyError, match="bug"):
        list(lanes.embed_videos(videos, sampling(), embed, memory.open, plan))
    assert no_threads()
    # a video that was begun is either whole or given up
    assert set(memory.rows) == set(memory.ended) | set(memory.discarded)


def test_an_iteration_that_is_given_up_ends_all_threads(videos):
    memory = Memory()
    events = lanes.embed_videos(videos, sampling(), mean_colour, memory.open, Plan(2, 1, 1))
    next(events)
    events.close()
    assert no_threads()
    assert set(memory.rows) == set(memory.ended) | set(memory.discarded)


def test_a_full_disk_is_an_error_of_the_run(videos):
    memory = Memory()

    def open_writer(video):
        writer = memory.open(video)
        writer.finish = full
        return writer

    def full(duration, fps):
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        list(lanes.embed_videos(videos, sampling(), mean_colour, open_writer, Plan(2, 1, 0)))
    assert no_threads()


def test_videos_that_are_not_taken_are_left_to_another_process(videos, expected):
    memory = Memory()
    free = {videos[2], videos[4]}.isdisjoint
    events = list(
        lanes.embed_videos(videos, sampling(), mean_colour, memory.open, Plan(1, 1, 0), lambda video: free([video]))
    )
    assert [event.video for event in events if isinstance(event, End) and event.elsewhere] == [videos[2], videos[4]]
    assert memory.rows == {name: rows for name, rows in expected.items() if name not in ("2", "4")}


TAKE = """
import sys; from pathlib import Path; from extraction.claims import Claims
folder = Path(sys.argv[1])
claims = Claims(folder)
print([claims.take(folder / name) for name in sys.argv[2:]], flush=True)
sys.stdin.read()
"""


def test_a_file_is_claimed_by_one_process_until_that_ends(tmp_path):
    names = ["training/a", "training/b", "validation/a"]

    def other():
        return subprocess.Popen(
            [sys.executable, "-c", TAKE, tmp_path, *names], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    with contextlib.closing(Claims(tmp_path)) as claims:
        assert claims.take(tmp_path / "training/a")
        first = other()
        assert first.stdout.readline() == "[False, True, True]\n"
        assert not claims.take(tmp_path / "training/b") and claims.take(tmp_path / "training/c")
        first.kill()
        first.communicate()
        assert claims.take(tmp_path / "training/b") and claims.take(tmp_path / "validation/a")
    assert other().communicate()[0] == "[True, True, True]\n"


def test_links_to_one_video_are_all_done(videos, tmp_path):
    links = [tmp_path / f"link{number}.avi" for number in range(4)]
    for number, link in enumerate(links):
        (link.hardlink_to if number % 2 else link.symlink_to)(videos[0])

    todo = {link: tmp_path / "features" / f"{link.stem}.tfrecord" for link in links}
    chosen = settings()
    for written, elsewhere in ((4, 0), (0, 4)):  # the second time all is there
        with contextlib.closing(Claims(tmp_path / "features")) as claims:
            outcome = lanes.extract(todo, chosen.extractor, chosen.video, mean_colour, Plan(2, 1, 0), claims.take)
        assert (outcome.written, outcome.elsewhere, outcome.failures) == (written, elsewhere, [])
    assert len(list(tmp_path.glob("features/link*.tfrecord"))) == 4


def test_the_decoders_threads_change_no_frame(videos):
    def frames(threads):
        return [(item.pixels.tobytes(), item.timestamp) for item in decode(videos, 2, (32, 32), threads)
                if isinstance(item, Frame)]  # fmt: skip

    assert frames(1) == frames(4) == frames(None)
