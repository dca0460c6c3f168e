"""`--live`: a camera, a stream or a file played as one -> its actions, printed as they end, and files of them.

Ctrl-C ends the stream; what was found until then is printed and written.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import command_line
import predictions_json
import run_folder
import utils
from extraction.collector import in_background
from localization import trained
from localization.online import REACH, ActionFinder, WindowScores
from localization.results import HEADER, Segment, plural, row
from localization.writers import write_csv, write_srt, write_vtt
from video_input import resize_frame
from video_reading.clock import Clock
from video_reading.door import OpenVideo, open_stream, open_video
from video_reading.upright import upright_pixels

# frames that wait for the CNN
QUEUE = 8
# seconds by which the CNN may be behind a camera or a stream, before frames are passed over
MOST_BEHIND = 5.0
READ_SECONDS = 15  # without a frame, after which a stream has ended


class LiveSource:
    """Iterates over (frame, timestamp) of every `skip_frames`-th frame, until the stream ends or `stop` is set.

    A frame is [height, width, 3] uint8 RGB; timestamps are seconds and rise: those of a file, a stream's since its
    first frame, a camera's by the clock. Frames that come faster than they are taken wait in a file and in a stream
    that is sent at any speed; those of a camera or a stream at real time are passed over, and counted in `passed`
    (of a camera, which does not say what it drops, those of the time in which nobody asked for a frame).

    Raises ValueError, at once, when the source cannot be opened.
    """

    def __init__(self, source: str, skip_frames: int, resize: tuple[int, int]):
        self.is_camera, self.is_file = source.isdecimal(), "://" not in source and not source.isdecimal()
        self.stop = threading.Event()
        self.duration = 0.0  # seconds until the end of the newest frame
        self.taken = self.passed = 0  # sampled frames
        self._skip_frames, self._resize = skip_frames, resize
        if self.is_camera:
            self._close, fps, self._frames = _open_camera(int(source))
        else:
            video = open_video(Path(source).expanduser()) if self.is_file else open_stream(source, READ_SECONDS)
            self._close, fps, self._frames = video.container.close, video.fps, _frames_of(video)
        self.fps = fps if 1 <= fps <= 240 else 25.0

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        began, timestamp, least_behind = time.monotonic(), -1 / self.fps, 0.0
        first = 0.0 if self.is_file else None
        count, lost = 0, 0.0
        try:
            for shown, picture in self._frames:
                if self.stop.is_set():
                    return
                now = time.monotonic() - began
                shown = now if shown is None else shown
                first = shown if first is None else first
                # some streams give no times, or begin anew
                if shown - first <= timestamp:
                    first = shown - timestamp - 1 / self.fps
                timestamp = shown - first
                self.duration = timestamp + 1 / self.fps
                count += 1
                if (count - 1) % self._skip_frames:
                    continue
                least_behind = min(least_behind, now - timestamp)
                if not self.is_file and now - timestamp - least_behind > MOST_BEHIND:
                    self.passed += 1
                    continue
                frame = resize_frame(picture(), self._resize)
                self.taken, handed = self.taken + 1, time.monotonic()
                yield frame, timestamp
                if self.is_camera and (held := time.monotonic() - handed) >= 1 / self.fps:
                    lost += held * self.fps / self._skip_frames
                    self.passed = int(lost)
        finally:
            self._close()


# the seconds at which a frame is shown (None: now), and what gives its pixels [height, width, 3] uint8 RGB
Arrival = tuple[float | None, Callable[[], np.ndarray]]


def _frames_of(video: OpenVideo) -> Iterator[Arrival]:
    video.stream.thread_type = "AUTO"
    for frame, shown in Clock(video).frames():
        yield shown, partial(upright_pixels, frame)


def _open_camera(number: int) -> tuple[Callable[[], None], float, Iterator[Arrival]]:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    # the error below says it in one line
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise ValueError(f"camera {number}: no such camera, or another program has it")

    def picture() -> np.ndarray:
        return cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    def frames() -> Iterator[Arrival]:
        while capture.grab():
            yield None, picture

    return capture.release, capture.get(cv2.CAP_PROP_FPS), frames()


def localize_live(
    source: LiveSource, model: trained.LoadedModel, min_score: float, on_action: Callable[[Segment], None]
) -> list[Segment]:
    """Tell `on_action` each action when it has ended; return all of them.

    `model` takes one frame a call. Memory does not grow with the length of the stream, apart from the list of actions.
    """
    settings = model.run.settings
    windows = WindowScores(
        model.trained.classify, model.trained.preparation, settings.data.max_frames, settings.predict.window_stride,
        settings.extractor.dtype,
    )  # fmt: skip
    finder = ActionFinder(model.trained, settings.predict, min_score)
    found: list[Segment] = []
    waiting: list[float] = []  # times of the frames that are not final

    def take(scores: np.ndarray, end: float | None = None) -> None:
        if len(scores) or end is not None:
            ended = finder.add(scores, np.asarray(waiting[: len(scores)]), end)
            del waiting[: len(scores)]
            found.extend(ended)
            for action in ended:
                on_action(action)

    with contextlib.closing(in_background(iter(source), QUEUE)) as items:
        for pixels, timestamp in items:
            waiting.append(timestamp)
            take(windows.add(model.embed(pixels[None])[0]))
    take(windows.finish(), source.duration)
    return found


def delay(model: run_folder.Run, fps: float) -> float:
    """Seconds of the stream that pass at most from where an action's score falls until it is known.

    A frame is in windows that begin up to a stride before it, the newest of which must be whole; then the smoothing
    must have seen what it reaches, and one frame more.
    """
    frames = model.settings.data.max_frames + 2
    return frames * model.settings.video.skip_frames / fps + REACH * model.settings.predict.smoothing


def run_live(source_name: str, run: run_folder.Run, output: Path, min_score: float) -> int:
    """Print the actions of a stream as they end; write them into `output` when it has ended."""
    settings = run.settings
    source = LiveSource(source_name, settings.video.skip_frames, settings.video.resize)
    model = trained.load(run, batch_size=1)
    print(
        f"live:  {utils.one_line(source_name)}; an action is printed at most {delay(run, source.fps):.0f} s after "
        f"its score falls below {min_score:g}: a window of {settings.data.max_frames} frames, and smoothing"
    )
    if settings.data.feature_normalization == "video":
        print("       features are normalised by what was seen so far, not by the whole video: the start is less sure")
    print(HEADER, flush=True)
    # a second Ctrl-C does not wait for a stream that hangs
    with command_line.OnSignals(lambda _: source.stop.set(), signal.default_int_handler, (signal.SIGINT,)):
        found = localize_live(source, model, min_score, lambda action: print(row(action), flush=True))
    if source.passed:
        utils.LOGGER.warning(
            "%d of %d sampled frames were passed over: this machine is too slow for them",
            source.passed, source.passed + source.taken,
        )  # fmt: skip
    # a name of its own: a second session must not delete what the first one saw
    name = f"live_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    _write(output, name, run.version, found)
    print(f"{plural(len(found), 'action')} in {source.duration:.0f} s -> {output / name}.json, .csv, .srt, .vtt")
    return 0


def _write(output: Path, name: str, version: str, found: list[Segment]) -> None:
    results = [{"label": s.label, "score": s.score, "segment": [s.start, s.end]} for s in found]
    results.sort(key=lambda result: -result["score"])
    predictions_json.write_predictions(output / f"{name}.json", version, {name: results})
    in_time = sorted(found, key=lambda segment: segment.start)
    write_csv(output / f"{name}.csv", {name: in_time})
    write_srt(output / f"{name}.srt", in_time)
    write_vtt(output / f"{name}.vtt", in_time)
