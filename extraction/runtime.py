"""What runs the CNN and in which precision -> the CNN as a function of frames, and its part of `extractor.json`.

The choice is made once for a folder of features, by whoever creates its `extractor.json`; all others keep to it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import config
import utils
from extraction.collector import Embed
from extraction.lanes import available_cores
from features.records import MADE_WITH, chosen_spec, create_spec, recorded_spec

# calls that a GPU gets at once: one that is computed, and one whose frames are copied
GPU_CALLS = 2
# frames a call on a CPU: as many as its cache holds; 32 are 5 to 30 % slower
CPU_FRAMES = 8


@dataclass(frozen=True)
class Device:
    """What there is to compute with: a GPU that TensorFlow finds, a CPU that multiplies bfloat16 by itself."""

    gpu: bool
    native_bfloat16: bool


def find_device() -> Device:
    """Look for both; TensorFlow and OpenVINO are imported for it."""
    utils.start_tensorflow()
    import tensorflow as tf

    from extraction.openvino_network import has_native_bfloat16

    return Device(bool(tf.config.list_physical_devices("GPU")), has_native_bfloat16())


def resolve(runtime: str, precision: str, device: Device, recorded: dict | None = None) -> tuple[str, str]:
    """Replace `auto` in `extractor.runtime` and `extractor.precision`.

    Args:
        runtime: auto, tensorflow or openvino.
        precision: auto, float32, bfloat16 or float16.
        device: what there is to compute with.
        recorded: the `extractor.json` of the folder that the features belong to; decides where it exists.

    Returns:
        (runtime, precision) without auto: TensorFlow in float16 (mixed precision) on a GPU; on a CPU OpenVINO, in
        bfloat16 where the CPU has it and else in float32, which TensorFlow computes 1.1 to 1.6 times as slowly.

    Raises:
        ValueError: this machine cannot do what is asked for; says who asked, and what to do.
    """
    source = "extractor.runtime, extractor.precision"
    if recorded:
        made = {key: recorded.get(key, earlier) for key, earlier in MADE_WITH.items()}
        if "auto" in (runtime, precision):
            source = "the extractor.json of the feature folder"
        runtime = made["runtime"] if runtime == "auto" else runtime
        precision = made["precision"] if precision == "auto" else precision
    if runtime == "auto":
        able = precision in ("auto", "float32") or (precision == "bfloat16" and device.native_bfloat16)
        runtime = "openvino" if able and not device.gpu else "tensorflow"
    if precision == "auto" and runtime == "tensorflow":
        precision = "float16" if device.gpu else "float32"
    elif precision == "auto":
        precision = "bfloat16" if device.native_bfloat16 else "float32"
    lacking = ""
    if runtime == "openvino" and precision == "bfloat16" and not device.native_bfloat16:
        lacking = "a CPU with native bfloat16"
    elif precision == "float16" and not device.gpu:
        lacking = "a GPU"
    if lacking:
        raise ValueError(
            f"{source}: {runtime} in {precision} needs {lacking}, which this machine has not: use one that has, or "
            "another paths.feature_map_folder with --set extractor.precision=float32"
        )
    return runtime, precision


def make_embed(
    extractor: config.ExtractorSettings,
    video: config.VideoSettings,
    recorded: dict | None = None,
    callers: int | None = None,
) -> tuple[Embed, dict]:
    """The CNN as a function of frames [n, H, W, 3] uint8 -> features [n, D] or [n, h, w, C] float32, and its spec.

    Inside, the network sees batches of one padded shape only, so that nothing but its pixels decides a frame's
    features, to the last bit.

    Args:
        extractor: see config.yml.
        video: of which the frame size decides what the network sees.
        recorded: the `extractor.json` that the features must agree with, if there is one.
        callers: threads that will call the function at once, a core for each; None: one, with all cores.

    Raises:
        ValueError: the weights are missing or do not fit, or this machine cannot do what is asked for.
    """
    device = find_device()
    runtime, precision = resolve(extractor.runtime, extractor.precision, device, recorded)
    threads = available_cores() if callers is None else 1
    on_gpu = device.gpu and runtime == "tensorflow"
    frames_a_call = extractor.batch_size if on_gpu else min(extractor.batch_size, CPU_FRAMES)
    if runtime == "openvino":
        from extraction import openvino_network

        call, about = openvino_network.load(extractor, video.resize, precision, frames_a_call, callers or 1, threads)
    else:
        call, about = _tensorflow(extractor, video.resize, precision, frames_a_call, threads, device.gpu)
    if extractor.feature_maps_size not in (None, tuple(about["feature_shape"])):
        raise ValueError(
            f"extractor.feature_maps_size: expected {about['feature_shape']}, which {extractor.backbone} gives at "
            f"{video.resize[0]} x {video.resize[1]} pixels, received {list(extractor.feature_maps_size)}"
        )
    used = ("tensorflow", "keras", *(["openvino"] if runtime == "openvino" else []))
    return in_calls(call, frames_a_call), chosen_spec(extractor, video) | about | {
        "runtime": runtime,
        "precision": precision,
        "dtype": extractor.dtype,
        "versions": {name: importlib.metadata.version(name) for name in used},
    }  # fmt: skip


def in_calls(call: Embed, frames_a_call: int) -> Embed:
    """A function of any number of frames, made of one that takes `frames_a_call` of them."""

    def embed(frames: np.ndarray) -> np.ndarray:
        lacking = -len(frames) % frames_a_call
        if lacking:
            frames = np.concatenate([frames, np.zeros((lacking, *frames.shape[1:]), np.uint8)])
        rows = [call(frames[start : start + frames_a_call]) for start in range(0, len(frames), frames_a_call)]
        return np.concatenate(rows)[: len(frames) - lacking]

    return embed


def open_extractor(
    folder: Path, extractor: config.ExtractorSettings, video: config.VideoSettings, callers: int
) -> Embed:
    """The CNN for a feature folder: as its `extractor.json` says, which is created if there is none yet.

    Raises ValueError where the settings or this machine do not agree with what stands there.
    """
    recorded = recorded_spec(folder, extractor, video)  # before the network is built, which takes seconds
    embed, spec = make_embed(extractor, video, recorded, callers)
    try:
        create_spec(folder, spec)
    except ValueError:
        if recorded:
            raise
        # another machine was faster, and may have chosen otherwise: keep to its choice
        return open_extractor(folder, extractor, video, callers)
    return embed


def _tensorflow(
    settings: config.ExtractorSettings,
    resize: tuple[int, int],
    precision: str,
    frames_a_call: int,
    threads: int,
    gpu: bool,
) -> tuple[Embed, dict]:
    import keras
    import tensorflow as tf

    from extraction.backbones import build_feature_extractor

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:  # something computed already, as in a notebook; it changes the speed only
        utils.LOGGER.debug("TensorFlow keeps its threads: %s", error)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        extractor = build_feature_extractor(
            settings.backbone, settings.weights, resize, settings.feature_pooling, seed=settings.seed
        )
    finally:
        keras.config.set_dtype_policy(before)
    signature = [tf.TensorSpec((frames_a_call, *resize, 3), tf.uint8)]
    call = tf.function(lambda frames: extractor.model(frames, training=False), input_signature=signature)
    turns = threading.Semaphore(GPU_CALLS) if gpu else contextlib.nullcontext()

    def embed(frames: np.ndarray) -> np.ndarray:
        with turns:
            return call(frames).numpy()

    return embed, {
        "weights_sha256": extractor.weights_sha256,
        "preprocessing": extractor.preprocessing,
        "feature_shape": list(extractor.feature_shape),
    }
