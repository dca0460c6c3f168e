"""Frames one by one give the actions of the whole video, soon after they end and with bounded memory."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from made_localization import (  # noqa: F401 (fixtures)
    BLACK,
    BRIGHT,
    DIM,
    SAMPLED,
    classify,
    film,
    made_loads,
    made_run,
    made_server,
    model_of,
    read_srt,
    read_vtt,
    settings_of,
    spans,
)

import data
import localize
import predictions_json
import utils
from features import preparation
from localization import live, online
from localization.results import Segment, highlights
from run_folder import find_run


def store_of(features, prepared):
    frames = len(features)
    return data.FeatureStore(
        ids=("v",), features=prepared, labels=np.zeros(frames, np.int32), timestamps=np.arange(frames) / SAMPLED,
        cuts=np.zeros(frames, bool), offsets=np.array([0, frames]), durations=(frames / SAMPLED,), missing=(),
    )  # fmt: skip


def context_classify(features, mask):
    """Scores that depend on the whole window and on the place in it."""
    place = np.arange(mask.shape[1])[None, :] * mask
    values = features[..., 0] + 0.1 * features.sum(axis=(1, 2))[:, None] + place + features[..., 1]
    return np.stack([values, -values], axis=-1)


@pytest.mark.parametrize("difference", ["none", "signed"])
@pytest.mark.parametrize(
    ("length", "stride", "frames"), [(6, 2, 40), (6, 6, 42), (6, 6, 40), (4, 1, 9), (8, 2, 5), (3, 1, 1)]
)
def test_frame_by_frame_scores_are_those_of_the_whole_video(length, stride, frames, difference):
    features = np.random.default_rng(1).random((frames, 2)).astype(np.float32)
    prepared = preparation.Preparation("none", difference)
    store = store_of(features, preparation.prepare_features(features, np.arange(frames), prepared))
    (whole,) = predictions_json.frame_scores(store, context_classify, length, stride)
    scores = online.WindowScores(context_classify, prepared, length, stride, "float32")
    parts = [scores.add(row) for row in features] + [scores.finish()]
    np.testing.assert_allclose(np.concatenate([part for part in parts if len(part)]), whole, rtol=1e-5)


def test_running_statistics_are_the_mean_and_deviation_so_far():
    rows = np.random.default_rng(0).normal(3, 2, (50, 4))
    statistics = online.RunningStatistics()
    for row in rows:
        statistics.add(row)
    running = statistics.instead_of_the_videos(preparation.Preparation("video", "signed"))
    np.testing.assert_allclose(running.mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(running.deviation, rows.std(axis=0), rtol=1e-4)
    assert (running.normalization, running.temporal_difference) == ("train", "signed")


def play(brightness, settings, min_score=0.3, longest=online.LONGEST, model=None):
    """Feed a stream of frames; return [(segment, seconds of the stream when it was given)], and the most rows held."""
    model = model or model_of()
    windows = online.WindowScores(
        model.classify, model.preparation, settings.data.max_frames, settings.predict.window_stride, "float32"
    )
    finder = online.ActionFinder(model, settings.predict, min_score, longest)
    given, held, final = [], 0, 0
    for number, value in enumerate(brightness):
        scores = windows.add(np.full(1, value, np.float32))
        times = np.arange(final, final + len(scores)) / SAMPLED
        final += len(scores)
        if len(scores):
            given += [(segment, number / SAMPLED) for segment in finder.add(scores, times)]
        held = max(held, windows.held + finder.held)
    end = len(brightness) / SAMPLED
    scores = windows.finish()
    times = np.arange(final, final + len(scores)) / SAMPLED
    given += [(segment, end) for segment in finder.add(scores, times, end)]
    return given, held


def stream_of(*spans_of):
    return np.concatenate([np.full(round(seconds * SAMPLED), level / 255) for seconds, level in spans_of])


@pytest.mark.parametrize("method", ["thresholds", "runs"])
@pytest.mark.parametrize("smoothing", [0, 0.3])
def test_live_actions_come_soon_after_they_end(method, smoothing):
    settings = settings_of(f"predict.method={method}", f"predict.smoothing={smoothing}")
    brightness = stream_of((3, BLACK), (2, BRIGHT), (2, DIM), (30, BLACK), (4, BRIGHT), (5, BLACK), (2, DIM))
    given, _ = play(brightness, settings)
    assert [segment.label for segment, _ in given] == ["bright", "dim", "bright", "dim"]
    bounds = [(3, 5), (5, 7), (37, 41), (46, 48)]
    limit = (settings.data.max_frames + 2) / SAMPLED + online.REACH * smoothing
    for (segment, when), (start, end) in zip(given, bounds, strict=True):
        assert (segment.start, segment.end) == pytest.approx((start, end), abs=1 / SAMPLED)
        assert end <= when <= end + limit


def test_live_and_whole_videos_agree():
    settings = settings_of("predict.smoothing=0.25", "predict.thresholds=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]")
    random = np.random.default_rng(4)
    brightness = stream_of(*((random.uniform(1, 4), level) for level in (BLACK, BRIGHT, BLACK, DIM) * 8))
    store = store_of(brightness, brightness[:, None].astype(np.float32))
    scores = predictions_json.frame_scores(store, classify, settings.data.max_frames, settings.predict.window_stride)
    whole = predictions_json.predict(store, scores, model_of(), settings.predict)["v"]
    whole = highlights(Segment(*found["segment"], found["label"], found["score"]) for found in whole)
    given = sorted((segment for segment, _ in play(brightness, settings)[0]), key=lambda segment: segment.start)
    assert len(given) == len(whole) == 16
    for one, other in zip(given, whole, strict=True):
        assert one.label == other.label
        # of an action at several lengths, another may come first without the lowest levels
        assert (one.start, one.end, one.score) == pytest.approx((other.start, other.end, other.score), abs=1 / SAMPLED)


@pytest.mark.parametrize(("output", "labels"), [("sigmoid", {"bright", "dim"}), ("softmax", set())])
def test_live_finds_two_actions_at_once_where_each_class_is_by_itself(output, labels):
    def both(features, mask):
        seen = features[..., 0] > 0.5
        return np.stack([~seen, 0.9 * seen, 0.8 * seen], axis=-1).astype(np.float32)

    # the median of scores of one class a frame is brought to a sum of 1: no class of these keeps 0.6
    settings = settings_of("predict.method=thresholds", "predict.smoothing=0.3", "predict.smoothing_filter=median")
    model = dataclasses.replace(model_of(), classify=both, output=output)
    given, _ = play(stream_of((3, BLACK), (4, BRIGHT), (3, BLACK)), settings, min_score=0.6, model=model)
    assert {segment.label for segment, _ in given} == labels
    for segment, _ in given:
        assert (segment.start, segment.end) == pytest.approx((3, 7), abs=1 / SAMPLED)


def test_live_memory_does_not_grow_and_a_long_action_comes_in_parts():
    settings = settings_of()
    brightness = stream_of((5, BLACK), (100, BRIGHT), (200, BLACK), (1, DIM), (200, BLACK))
    given, held = play(brightness, settings, longest=30)
    assert held <= 30 * SAMPLED + 2 * (settings.data.max_frames + settings.predict.window_stride) + 4
    bright = [segment for segment, _ in given if segment.label == "bright"]
    assert 3 <= len(bright) <= 4 and len(given) == len(bright) + 1
    assert bright[0].start == pytest.approx(5, abs=0.2) and bright[-1].end == pytest.approx(105, abs=0.2)
    for one, following in zip(bright, bright[1:], strict=False):
        assert one.end == pytest.approx(following.start, abs=0.3)


def test_a_stream_without_actions_and_one_of_a_single_frame():
    assert play(stream_of((20, BLACK)), settings_of())[0] == []
    ((segment, _),) = play(np.full(1, 1.0), settings_of("predict.min_seconds=0.1"))[0]
    assert (segment.start, segment.end, segment.label) == (0, 0.2, "bright")
    assert play(np.zeros(0), settings_of())[0] == []


def test_live_on_a_file_prints_and_writes_actions(run_folder, loads, tmp_path, capsys):
    video = film(tmp_path / "v.mp4", (2, BLACK), (3, BRIGHT), (5, BLACK), (2, DIM))
    output = tmp_path / "out"
    assert localize.main(["--live", str(video), "--model", str(run_folder), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "0:01.9     0:04.9   1.00  bright" in printed and "0:09.9     0:12.0   1.00  dim" in printed
    # 4 frames a window and 2 more, 5 a second
    assert "at most 1 s after its score falls below 0.2" in printed and "2 actions in 12 s" in printed
    (written,) = output.glob("live_*.json")
    ((name, results),) = utils.read_json(written)["results"].items()
    assert name == written.stem and [result["label"] for result in results] == ["bright", "dim"]
    assert len(read_srt(written.with_suffix(".srt"))) == len(read_vtt(written.with_suffix(".vtt"))) == 2
    assert loads == [1]


def test_live_says_that_normalisation_runs_along(run_folder, loads, tmp_path, capsys):
    (run_folder / "config.yml").write_text(settings_of("data.feature_normalization=video").to_yaml())
    video = film(tmp_path / "v.mp4", (1, BLACK))
    localize.main(["--live", str(video), "--model", str(run_folder), "--output", str(tmp_path)])
    assert "normalised by what was seen so far" in capsys.readouterr().out


def test_live_on_an_address(run_folder, loads, tmp_path, server, monkeypatch):
    monkeypatch.setattr(live, "MOST_BEHIND", 600)  # a machine that stands still for 5 seconds is none of its business
    film(tmp_path / "served/v.mp4", (1, BLACK), (2, BRIGHT), (1, BLACK))
    source = live.LiveSource(f"{server.address}/v.mp4", 5, (32, 32))
    model = localize.load(find_run(run_folder), 1)
    assert spans(live.localize_live(source, model, 0.3, lambda action: None)) == [(0.9, 2.9)]
    assert source.duration == pytest.approx(4) and source.passed == 0


def sampled_of(source, clock, work):
    """The times of the frames that a reader gets who needs `work` seconds for each."""
    times = []
    for _, timestamp in source:
        times.append(timestamp)
        clock.now += work
    return times


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands, and frames that wait for it: those of a camera, or of a stream at real time, 10 a second."""
    clock = SimpleNamespace(now=100.0)
    picture = partial(np.zeros, (8, 8, 3), np.uint8)

    def camera(number):
        def frames():
            for _ in range(40):
                clock.now += 0.1
                yield None, picture

        return (lambda: None), 10.0, frames()

    def stream(video):
        for number in range(120):
            clock.now = max(clock.now, 100 + number / 10)
            yield number / 10, picture

    opened = SimpleNamespace(container=SimpleNamespace(close=lambda: None), fps=10.0)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(live, "_open_camera", camera)
    monkeypatch.setattr(live, "open_stream", lambda address, seconds: opened)
    monkeypatch.setattr(live, "_frames_of", stream)
    return clock


def test_frames_of_a_stream_that_come_too_fast_are_passed_over_and_counted(clock):
    source = live.LiveSource("rtsp://here/x", 2, (8, 8))
    # 0.69 s for each fifth of a second: 0.49 s more behind with each; that of 2.2 s is 5.39 behind, of 2.6 s 4.99
    times = sampled_of(source, clock, 0.69)
    assert times[:12] == pytest.approx([*(number / 5 for number in range(11)), 2.6])
    assert (source.taken, source.passed) == (len(times), 60 - len(times))
    quick = live.LiveSource("rtsp://here/x", 2, (8, 8))
    assert len(sampled_of(quick, clock, 0.0)) == 60 and quick.passed == 0


def test_what_a_camera_drops_while_nobody_asks_is_counted(clock):
    source = live.LiveSource("0", 2, (8, 8))
    # 20 sampled frames of 40; 0.5 s of work for each hold back 5 frames, half of them to be sampled
    assert len(sampled_of(source, clock, 0.5)) == 20 and (source.taken, source.passed) == (20, 50)
    quick = live.LiveSource("0", 2, (8, 8))
    assert len(sampled_of(quick, clock, 0.09)) == 20 and quick.passed == 0


def test_the_number_of_frames_passed_over_is_said(run_folder, loads, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live.LiveSource, "passed", property(lambda self: 3, lambda self, value: None), raising=False)
    video = film(tmp_path / "v.mp4", (1, BLACK))
    assert localize.main(["--live", str(video), "--model", str(run_folder), "--output", str(tmp_path)]) == 0
    assert "3 of 8 sampled frames were passed over: this machine is too slow for them" in capsys.readouterr().err


def test_ctrl_c_ends_a_stream_and_keeps_what_was_found(run_folder, loads, tmp_path):
    video = film(tmp_path / "v.mp4", (1, BRIGHT), (20, BLACK), (1, BRIGHT), (60, BLACK))
    source = live.LiveSource(str(video), 5, (32, 32))
    model = localize.load(find_run(run_folder), 1)
    seen = []

    def stop(action):
        seen.append(action)
        source.stop.set()

    assert live.localize_live(source, model, 0.3, stop) == seen
    assert spans(seen) == [(0, 0.9)] and source.duration < 20


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.mp4", "nothing there"), ("http://127.0.0.1:9/x", "cannot be opened"), ("77", "camera 77")],
)
def test_a_source_that_cannot_be_opened_is_one_line(run_folder, loads, name, message, capfd):
    assert localize.main(["--live", name, "--model", str(run_folder)]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
