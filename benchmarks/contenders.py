"""What bench.py lets run against each other on the same files, each in a process of its own that waits between turns.

A contender is made once (networks are built, compiled and warm) and then called as often as wanted; a call returns the
number of sampled frames that it did.
"""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import config
from extraction.lanes import available_cores, extract, make_plan
from extraction.runtime import make_embed
from features.records import feature_file
from video_input import SampledVideo

PLAIN_BATCH = 15


def serve(connection: Connection, name: str, videos: list[Path], assignments: list[str]) -> None:
    """Make the contender `name`, say so, and call it for each message until None comes."""
    settings = config.load(None, assignments)
    makers = {
        "plain": plain,
        "ours": ours,
        "decoder": decoder,
        "decode": decode_only,
        "cnn": cnn_only,
        "matmul": matmul,
    }
    call = makers[name](videos, settings)
    connection.send("ready")
    while connection.recv() is not None:
        connection.send(call())


def plain(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """The way one would write it down: read every frame, `model.predict` on 15 of the sampled, `np.savez` a video."""
    import cv2

    import utils

    utils.start_tensorflow()
    from extraction.backbones import build_feature_extractor

    chosen, (height, width) = settings.extractor, settings.video.resize
    model = build_feature_extractor(chosen.backbone, chosen.weights, (height, width)).model
    model.predict(np.zeros((PLAIN_BATCH, height, width, 3), np.uint8), verbose=0)
    folder = Path(tempfile.mkdtemp(dir=videos[0].parent))

    def call() -> int:
        frames = 0
        for video in videos:
            capture, features, batch, number = cv2.VideoCapture(str(video)), [], [], 0
            while True:
                read, frame = capture.read()
                if read and number % settings.video.skip_frames == 0:
                    batch.append(cv2.cvtColor(cv2.resize(frame, (width, height)), cv2.COLOR_BGR2RGB))
                if len(batch) == PLAIN_BATCH or (not read and batch):
                    features.append(model.predict(np.stack(batch), verbose=0))
                    batch = []
                if not read:
                    break
                number += 1
            features = np.concatenate(features)
            np.savez(folder / f"{video.stem}.npz", features=features)
            frames += len(features)
        return frames

    return call


def ours(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """feature_map_extractor.py from its first video on."""
    plan = make_plan(len(videos), available_cores(), settings.extractor.workers)
    embed, _ = make_embed(settings.extractor, settings.video, callers=plan.callers)
    embed(np.zeros((1, *settings.video.resize, 3), np.uint8))
    folder = Path(tempfile.mkdtemp(dir=videos[0].parent))
    todo = {video: feature_file(folder, "training", video.stem) for video in videos}

    def call() -> int:
        shutil.rmtree(folder)
        outcome = extract(todo, settings.extractor, settings.video, embed, plan)
        if outcome.failures:
            raise ValueError("; ".join(outcome.failures))
        return outcome.frames

    return call


def decoder(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """Decoding and resizing one file after the other on the decoder's own threads, as a mere reader would."""

    def call() -> int:
        frames = 0
        for path in videos:
            with SampledVideo(path, settings.video.skip_frames, settings.video.resize) as video:
                frames += sum(1 for _ in video)
        return frames

    return call


def decode_only(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """The same on all cores, a file a core: the most that decoding can reach."""
    import cv2

    cv2.setNumThreads(1)

    def call() -> int:
        waiting, counts = queue.SimpleQueue(), []
        for video in videos:
            waiting.put(video)

        def work() -> None:
            while not waiting.empty():
                with SampledVideo(waiting.get(), settings.video.skip_frames, settings.video.resize, 1) as video:
                    counts.append(sum(1 for _ in video))

        _on_threads(work, available_cores())
        return sum(counts)

    return call


def cnn_only(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """The same network as ours on all cores, on frames that are there already."""
    cores, size = available_cores(), settings.extractor.batch_size
    embed, _ = make_embed(settings.extractor, settings.video, callers=cores)
    frames = np.random.default_rng(0).integers(0, 256, (size, *settings.video.resize, 3), dtype=np.uint8)
    embed(frames)
    calls = 4 if "inception" in settings.extractor.backbone else 32

    def call() -> int:
        _on_threads(lambda: [embed(frames) for _ in range(calls)], cores)
        return calls * cores * size

    return call


def matmul(videos: list[Path], settings: config.Config) -> Callable[[], int]:
    """Multiplies 2048 x 2048 matrices in ours' precision; a call returns MFLOP instead of frames."""
    from extraction.openvino_network import has_native_bfloat16, import_openvino

    openvino = import_openvino()
    from openvino import opset13 as ops

    side, times = 2048, 8
    left = ops.parameter([side, side], np.float32)
    matrix = (np.random.default_rng(0).standard_normal((side, side)) / np.sqrt(side)).astype(np.float32)
    product = left
    for _ in range(times):
        product = ops.matmul(product, ops.constant(matrix), False, False)
    fast = has_native_bfloat16() and settings.extractor.precision in ("auto", "bfloat16")
    compiled = openvino.Core().compile_model(
        openvino.Model([product], [left]), "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}
    )
    compiled({0: matrix})

    def call() -> int:
        for _ in range(16):
            compiled({0: matrix})
        return round(16 * times * 2 * side**3 / 1e6)

    return call


def _on_threads(work: Callable[[], object], count: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
