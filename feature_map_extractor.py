"""Video files of one or more subsets -> feature files and `extractor.json`, by a CNN trained on ImageNet.

One thread decodes while the CNN runs on this one; frames of several videos share a batch, so that short videos do not
waste it. A rerun takes up where the last one stopped. Symbols: B frames a batch, D numbers a frame.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

import config
import utils
from feature_records import FeatureWriter, chosen_spec, create_spec, feature_file
from video_input import SampledVideo

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Frame:
    """A sampled frame [height, width, 3] uint8 of `video`, shown at `timestamp` seconds."""

    video: Path
    pixels: np.ndarray
    timestamp: float


@dataclass(frozen=True)
class End:
    """A video's last frame has gone by; with `failure`, the reason why it cannot be used."""

    video: Path
    duration: float = 0.0
    fps: float = 0.0
    failure: str = ""


@dataclass
class Outcome:
    """What a run did: videos written, frames seen, and a line for each video that failed."""

    written: int = 0
    frames: int = 0
    failures: list[str] = field(default_factory=list)


def decode(videos: list[Path], skip_frames: int, resize: tuple[int, int]) -> Iterator[Frame | End]:
    """The sampled frames of all videos, each video closed by an `End`. A video that cannot be read does not stop it."""
    for path in videos:
        try:
            with SampledVideo(path, skip_frames, resize) as video:
                for pixels, timestamp in video:
                    yield Frame(path, pixels, timestamp)
            yield End(path, video.duration, video.fps)
        except (ValueError, OSError) as error:
            yield End(path, failure=str(error))


def in_background(items: Iterator, size: int) -> Iterator:
    """Iterate on another thread, at most `size` items ahead. What it raises is raised here; leaving here ends it."""
    waiting: queue.Queue = queue.Queue(size)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put((None, StopIteration()))
        except BaseException as error:  # carried over to the thread that waits
            put((None, error))

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


class Collector:
    """Gathers frames into batches, has them embedded, and hands each row to its video's writer."""

    def __init__(self, embed: Embed, batch: np.ndarray, open_writer: Callable[[Path], FeatureWriter]):
        """`batch` [B, height, width, 3] uint8 is the buffer of the one shape that `embed` ever sees."""
        self._embed, self._batch, self._open_writer = embed, batch, open_writer
        # (video, timestamp) of the frames in the batch, and the ends that wait for them, in order
        self._pending: list[tuple[Path, float] | End] = []
        self._filled = 0
        self._writer: FeatureWriter | None = None

    def take(self, item: Frame | End) -> list[End]:
        """Take the next frame or end; return the ends of the videos that this completes."""
        if isinstance(item, Frame):
            self._batch[self._filled] = item.pixels
            self._filled += 1
            self._pending.append((item.video, item.timestamp))
        else:
            self._pending.append(item)
        return self.flush() if self._filled == len(self._batch) else []

    def flush(self) -> list[End]:
        """Embed what is pending, write it, and return the ends of the videos that are complete with it."""
        # rows beyond `_filled` hold frames of earlier batches: a batch of constant shape needs no second compilation
        rows = iter(self._embed(self._batch)[: self._filled]) if self._filled else iter(())
        ended = []
        for item in self._pending:
            if not isinstance(item, End):
                video, timestamp = item
                self._writer = self._writer or self._open_writer(video)
                self._writer.add(next(rows), timestamp)
                continue
            if self._writer and item.failure:
                self._writer.discard()
            elif self._writer:
                self._writer.finish(item.duration, item.fps)
            self._writer = None
            ended.append(item)
        self._pending, self._filled = [], 0
        return ended

    def discard(self) -> None:
        """Give up the video in work."""
        if self._writer:
            self._writer.discard()


def video_files(folder: Path, subset: str) -> list[Path]:
    """A subset's video files in the order of their names; a file is a video until reading it says otherwise.

    Raises ValueError when there is none, or when two have one id.
    """
    files = sorted(path for path in (folder / subset).glob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError(
            f"{folder / subset}: expected video files (<id>.mp4, …), received none: run "
            f"`python download_video_script.py {subset}`, or put them there"
        )
    for first, second in zip(files, files[1:], strict=False):
        if first.stem == second.stem:
            raise ValueError(f"{second}: expected one file a video, received also {first.name}")
    return files


def extract(videos: list[Path], settings: config.Config, embed: Embed, target: Callable[[Path], Path]) -> Outcome:
    """Write the feature file `target(video)` of each video; one that cannot be read becomes a line in the outcome."""
    size = settings.extractor.batch_size
    batch = np.zeros((size, *settings.video.resize, 3), np.uint8)
    collector = Collector(embed, batch, lambda video: FeatureWriter(target(video), settings.extractor.dtype))
    outcome, started = Outcome(), time.monotonic()
    items = in_background(decode(videos, settings.video.skip_frames, settings.video.resize), size * 2)
    try:
        with tqdm(total=len(videos), unit="video", desc="extract", disable=None) as progress:

            def count(ended: list[End]) -> None:
                for end in ended:
                    if end.failure:
                        outcome.failures.append(end.failure)
                        progress.write(f"failed: {end.failure}")
                    else:
                        outcome.written += 1
                    progress.update()

            for item in items:
                outcome.frames += isinstance(item, Frame)
                count(collector.take(item))
                rate = outcome.frames / (time.monotonic() - started)
                progress.set_postfix_str(f"{outcome.frames} frames, {rate:.1f} frames/s", refresh=False)
            count(collector.flush())
    finally:
        items.close()
        collector.discard()
    return outcome


def make_embed(settings: config.Config) -> tuple[Embed, dict]:
    """The CNN as a function of frames [B, H, W, 3] uint8 -> features [B, D] or [B, h, w, C] float32, and its spec."""
    utils.start_tensorflow()
    import keras
    import tensorflow as tf

    from model import build_feature_extractor

    chosen, video = settings.extractor, settings.video
    extractor = build_feature_extractor(
        chosen.backbone, chosen.weights, video.resize, chosen.feature_pooling, seed=chosen.seed
    )
    if chosen.feature_maps_size not in (None, extractor.feature_shape):
        raise ValueError(
            f"extractor.feature_maps_size: expected {list(extractor.feature_shape)}, which {chosen.backbone} gives at "
            f"{video.resize[0]} x {video.resize[1]} pixels, received {list(chosen.feature_maps_size)}"
        )
    signature = [tf.TensorSpec((chosen.batch_size, *video.resize, 3), tf.uint8)]
    call = tf.function(lambda frames: extractor.model(frames, training=False), input_signature=signature)
    spec = chosen_spec(settings.extractor, settings.video) | {
        "weights_sha256": extractor.weights_sha256,
        "preprocessing": extractor.preprocessing,
        "feature_shape": list(extractor.feature_shape),
        "dtype": chosen.dtype,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    return lambda frames: call(frames).numpy(), spec


def run(settings: config.Config, subsets: list[str]) -> int:
    """Extract the features of the videos of `subsets` that have none yet. Returns 1 when a video failed, else 0."""
    folder = settings.paths.feature_map_folder
    todo = {}
    for subset in subsets:
        videos = video_files(settings.paths.videos_folder, subset)
        utils.remove_temporary_files(folder / subset)
        targets = {video: feature_file(folder, subset, video.stem) for video in videos}
        todo |= {video: target for video, target in targets.items() if not target.exists()}
        utils.LOGGER.info("%s: %d videos, %d of them have features", subset, len(videos),
                          sum(target.exists() for target in targets.values()))  # fmt: skip
    embed, spec = make_embed(settings)
    create_spec(folder, spec)
    outcome = extract(list(todo), settings, embed, todo.__getitem__)
    print(f"{outcome.written} videos, {outcome.frames} frames -> {folder}; {len(outcome.failures)} failed")
    for failure in outcome.failures:
        print(f"  {failure}")
    return 1 if outcome.failures else 0


def main(argv: list[str] | None = None) -> int:
    parser = config.make_parser("Extract CNN features of every skip_frames-th frame of the videos.")
    parser.add_argument("subset", nargs="*", help=f"of {', '.join(config.SUBSETS)}; training when none is given")
    arguments = parser.parse_args(argv)
    for subset in arguments.subset:
        if subset not in config.SUBSETS:
            parser.error(f"expected {', '.join(config.SUBSETS)}, received {subset!r}")
    subsets = list(dict.fromkeys(arguments.subset)) or ["training"]
    return utils.run_script(lambda: run(config.from_arguments(arguments), subsets), arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
