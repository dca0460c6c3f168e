"""`localize.py --live` on made 1080p30: how much faster than real time, and how late an action is known.

The network of the default settings scores windows as a trained one would; what it says is replaced by actions that
begin and end every 4 seconds, so that each has a known end to be late after.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import config
from benchmarks.clip import loop_clip, make_clip
from benchmarks.tables import markdown
from extraction.runtime import Embed, make_embed
from features.preparation import Preparation
from localization import live
from localization.results import Segment
from localization.trained import LoadedModel
from model import build_classifier, probabilities
from predictions_json import Classify, TrainedModel
from run_folder import Run

SECONDS, FPS, CLASSES = 60, 30, 101
ACTION = 4.0  # seconds that an action lasts, and until the next one
LEVEL = 0.2  # score from which on an action is shown


class Paced(live.LiveSource):
    """A file whose frames come when they are shown, as from a camera; `began` is the moment of its first frame."""

    def __init__(self, file: Path, skip_frames: int, resize: tuple[int, int]):
        super().__init__(str(file), skip_frames, resize)
        self.is_file = False  # frames that are late are passed over
        self.began = 0.0
        self._frames = self._in_time(self._frames)

    def _in_time(self, frames: Iterator[live.Arrival]) -> Iterator[live.Arrival]:
        for shown, picture in frames:
            self.began = self.began or time.monotonic() - shown
            time.sleep(max(0.0, self.began + shown - time.monotonic()))
            yield shown, picture


def run(folder: Path, settings: config.Config | None = None, seconds: int = SECONDS) -> dict:
    """A file as fast as it goes: seconds of it a second, and processor seconds for each. As a camera would show it:
    how late actions and frames were, in seconds, and how many frames were passed over."""
    settings = settings or config.load(None, ["extractor.backbone=efficientnet_lite0"])
    skip, resize = settings.video.skip_frames, settings.video.resize
    clip = loop_clip(make_clip(folder / "ten.mp4", 10, (1080, 1920), FPS), folder / "clip.mp4", seconds)
    networks = _networks(settings)
    play(live.LiveSource(str(clip), 1000 * skip, resize), _model(settings, *networks))  # what the first call costs
    alone = play(live.LiveSource(str(clip), skip, resize), _model(settings, *networks))
    source, lags, done = Paced(clip, skip, resize), [], []

    def tell(action: Segment) -> None:
        if action.end > seconds - ACTION:  # the end of the file tells it early
            return
        end = 2 * ACTION * round(action.end / (2 * ACTION))  # where the made scores fall
        lags.append(time.monotonic() - source.began - end)

    paced = play(source, _model(settings, *networks, done), tell)
    # which frame is which is known where none was passed over
    late = [] if source.passed else [when - source.began - n * skip / FPS for n, when in enumerate(done)]
    return {
        "real_time_factor": seconds / alone[0], "cpu_seconds_a_second": alone[1] / seconds,
        "paced_cpu_seconds_a_second": paced[1] / seconds, "frames": len(done), "passed": source.passed,
        "actions": len(lags), "action_seconds": _spread(lags), "frame_seconds": _spread(late),
        "promised_seconds": live.delay(_model(settings, *networks).run, FPS),
    }  # fmt: skip


def play(
    source: live.LiveSource, model: LoadedModel, tell: Callable[[Segment], None] = lambda action: None
) -> tuple[float, float]:
    """Seconds, and seconds of the processor, until a source has ended."""
    began, used = time.monotonic(), time.process_time()
    live.localize_live(source, model, LEVEL, tell)
    return time.monotonic() - began, time.process_time() - used


def _spread(values: list[float]) -> dict[str, float] | None:
    return {"median": statistics.median(values), "worst": max(values)} if values else None


def _networks(settings: config.Config) -> tuple[Embed, Classify]:
    """The CNN, one frame a call, and a classifier that was never trained."""
    import tensorflow as tf

    extractor = settings.extractor.model_copy(update={"batch_size": 1})
    embed, spec = make_embed(extractor, settings.video)
    network = build_classifier(int(np.prod(spec["feature_shape"])), CLASSES, settings.model)
    scored = tf.function(lambda features, mask: probabilities(network([features, mask]), settings.model.output))
    return embed, lambda features, mask: scored(features, mask).numpy()


def _model(settings: config.Config, embed: Embed, classify: Classify, done: list[float] | None = None) -> LoadedModel:
    """A model with made actions from the first window on; `done` gets when each frame's features are there."""
    windows, skip = itertools.count(), settings.video.skip_frames

    def made(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        classify(features, mask)
        frames = next(windows) * settings.predict.window_stride + np.arange(features.shape[1])
        scores = np.zeros((1, features.shape[1], CLASSES), np.float32)
        scores[0, np.arange(len(frames)), (frames * skip / FPS // ACTION % 2).astype(int)] = 1
        return scores

    def embedded(frames: np.ndarray) -> np.ndarray:
        features = embed(frames)
        if done is not None:
            done.append(time.monotonic())
        return features

    classes = ("background", *(f"class {number}" for number in range(1, CLASSES)))
    trained = TrainedModel(classes, Preparation(), {}, np.full((CLASSES, 2), ACTION), made)
    return LoadedModel(Run(Path(), settings, classes, {}, "", "", 0), trained, embedded, (1, *settings.video.resize, 3))


def show(found: dict) -> str:
    """One row, Markdown."""
    late = [f"{one['median']:.2f} / {one['worst']:.2f}" if one else "–"
            for one in (found["frame_seconds"], found["action_seconds"])]  # fmt: skip
    row = (
        f"{found['real_time_factor']:.2f} | {found['cpu_seconds_a_second']:.2f} | {late[0]} | {late[1]} | "
        f"{found['promised_seconds']:.2f} | {found['passed']} of {found['frames'] + found['passed']}"
    )
    head = "seconds of video a second | CPU s a second of video | frame to features, s, median / worst | "
    head += "end of an action to its line, s, median / worst | promised, s | frames passed over"
    return markdown(head, [row])
