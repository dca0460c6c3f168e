"""The benchmark's parts: clips, loops, the contenders' frame counts, and tables of known numbers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import config
from benchmarks import contenders, extraction, memory, reading, sizes, training, training_contenders
from benchmarks import live as bench_live
from benchmarks.clip import loop_clip, make_clip
from localization import live
from video_input import SampledVideo, read_header

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 2, (96, 128))


def test_a_clip_is_what_was_asked_for_and_moves(clip):
    header = read_header(clip)
    assert (header.width, header.height, header.fps) == (128, 96, 30) and header.duration == pytest.approx(2)
    with SampledVideo(clip, 6, (96, 128)) as video:
        frames = [frame.astype(float) for frame, _ in video]
    assert len(frames) == 10 and abs(frames[0] - frames[9]).mean() > 5


def test_a_looped_clip_is_long_and_whole(clip, tmp_path):
    path = loop_clip(clip, tmp_path / "long.mp4", 7)
    assert read_header(path).duration == pytest.approx(8)
    with SampledVideo(path, 1, (96, 128)) as video:
        times = [time for _, time in video]
    assert len(times) == 240 and times[60] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("name", ["decoder", "decode_only"])
def test_a_contender_counts_its_sampled_frames(clip, name):
    settings = config.load(None, ["video.resize=[96, 128]"])
    assert getattr(contenders, name)([clip, clip, clip], settings)() == 30


def test_the_table_has_what_was_measured():
    found = {
        "frames_per_second": {"plain": 10.0, "ours": 40.0, "decoder": 80.0, "decode": 100.0, "cnn": 100.0},
        "times_plain": 4.0, "limit": 50.0, "share_of_limit": 0.8, "share_of_decoder": 0.5,
        "matmul_gflops": 2000.0, "cnn_share_of_matmul": None,
    }  # fmt: skip
    row = extraction.show({"x 224": found}).splitlines()[-1]
    assert row == "| x 224 | 10.0 | 40.0 | 4.00 | 100 | 100.0 | 50.0 | 80% | 80 | 50% | 2000 |  |"
    measured = {"peak_mb": {"10": 1000.0, "120": 1020.0}, "seconds": {"10": 9.6, "120": 100.0}, "growth": 0.02}
    assert "| 10 | 1000 | 10 |" in memory.show(measured) and "+2.0%" in memory.show(measured)


def test_reading_counts_every_window_on_both_sides(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "VIDEOS", 2)
    monkeypatch.setattr(reading, "FRAMES", 30)
    monkeypatch.setattr(reading, "SIZE", 8)
    found = reading.run(tmp_path, 1)
    assert set(found["windows_per_second"]) == {"plain", "ours"} and found["loaded_mb"] == 2 * 30 * 8 * 2 / 1e6


def test_the_command_line(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "benchmarks/bench.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "memory" in done.stdout
    done = subprocess.run([sys.executable, ROOT / "benchmarks/bench.py", "speed"], capture_output=True, text=True)
    assert done.returncode == 2 and "received 'speed'" in done.stderr


@pytest.mark.slow
def test_all_contenders_do_the_same_frames(tmp_path):
    case = extraction.Case("efficientnet_lite0", 64, files=2, seconds=1)
    found = extraction.run(tmp_path, 1, (case,))["efficientnet_lite0 64"]
    assert all(rate > 0 for rate in found["frames_per_second"].values())
    assert found["cnn_share_of_matmul"] is None  # nobody counted its operations at this size
    assert len(list(tmp_path.glob("*/training/*.tfrecord"))) == 2 and len(list(tmp_path.glob("*/*.npz"))) == 2


def test_the_slope_counts_no_start():
    seconds = {"200": 1.0, "2000": 3.0, "20000": 43.0}
    stages = {"metrics": {size: {"cpu_seconds": cpu, "peak_mb": 90.0} for size, cpu in seconds.items()}}
    # 40 seconds for 18,000 videos after 2 for 1,800: log 20 / log 10
    assert sizes.show(stages).splitlines()[-1] == "| metrics | 1.0 | 90 | 3.0 | 90 | 43.0 | 90 | 1.30 |"
    stages["metrics"]["2000"]["cpu_seconds"] = 1.05
    assert sizes.show(stages).endswith("| 43.0 | 90 |  |")


def test_the_made_live_actions_end_when_they_are_to_end():
    settings = config.load(None, ["extractor.backbone=efficientnet_lite0"])
    frames = [(np.zeros((2, 2, 3), np.uint8), number / 5) for number in range(150)]
    done: list[float] = []
    source = type("Source", (), {"__iter__": lambda self: iter(frames), "duration": 30.0})()
    model = bench_live._model(settings, lambda some: np.zeros((1, 4), np.float32), lambda features, mask: None, done)
    found = live.localize_live(source, model, bench_live.LEVEL, lambda action: None)
    # 4 seconds without an action, 4 with one
    assert [round(action.end / 8) * 8 for action in found] == [8, 16, 24]
    assert all(abs(action.end - round(action.end / 8) * 8) < 0.3 for action in found)
    assert len(done) == 150


def test_the_table_of_live_figures():
    late = {"median": 3.85, "worst": 3.904}
    found = {"real_time_factor": 6.214, "cpu_seconds_a_second": 0.193, "frames": 148, "passed": 2,
             "frame_seconds": None, "action_seconds": late, "promised_seconds": 4.4}  # fmt: skip
    assert bench_live.show(found).splitlines()[-1] == "| 6.21 | 0.19 | – | 3.85 / 3.90 | 4.40 | 2 of 150 |"


def test_where_the_time_of_a_training_step_goes():
    # 15 frames; 2 directions of 1536 x 512 twice and 128 x 512 three times, 128 x 101 three times; 2 operations each
    assert training_contenders.gflop_a_window() == pytest.approx(0.10733184)
    rate = {"ours": 500.0, "fit": 250.0, "products": 1000.0, "update": 2500.0, "matmul": 214.66368}
    times = {"fit": 2.0, "products": 0.5, "update": 0.2, "matmul": 500 / 214.66368}
    found = {"windows_per_second": rate, "times": times, "input_wait": 0.01}
    against, parts = (table.splitlines()[-1] for table in training.show({"batch 15": found}).split("\n\n"))
    assert against == "| batch 15 | 500 | 250 | – | 2.00 | – | 1.0% |"
    assert parts == "| batch 15 | 54 | 215 | 25% | 50% | 50% | 20% | 30% |"
