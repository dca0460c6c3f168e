"""A backbone -> the same network in OpenVINO, converted from Keras in memory once and kept in a cache folder.

A cached network is a folder `<backbone>-<key>`: OpenVINO's two files and `about.json` with their SHA-256. The key
covers all that its numbers come from; batch size, precision and threads are chosen when it is loaded.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import queue
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import utils
from extraction.user_cache import cache_folder

if TYPE_CHECKING:
    import openvino

    import config
    from extraction.collector import Embed

ABOUT = "about.json"
FILES = ("network.xml", "network.bin")


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which would report the import itself to its makers over the network."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # so that its import fails, which OpenVINO allows for
    import openvino

    return openvino


@functools.cache
def core() -> openvino.Core:
    """The one of this process, never given up.

    OpenVINO gives the thread that first compiles a network another stack for signals. When the last core goes on
    another thread, that stack is freed and still in use (2026.4): the next signal, Ctrl-C too, crashes the process.
    """
    return import_openvino().Core()


def has_native_bfloat16() -> bool:
    """Whether this machine's CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX); others emulate it slowly."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def load(
    settings: config.ExtractorSettings,
    resize: tuple[int, int],
    precision: str,
    frames_a_call: int,
    callers: int,
    threads: int,
) -> tuple[Embed, dict]:
    """The network as a function that `callers` threads may call at once, and what `extractor.json` says of it.

    Args:
        settings: of which the backbone, weights, seed, pooling and cache folder count.
        resize: (height, width) of the frames in pixels.
        precision: float32 or bfloat16; the features are float32 in any case.
        frames_a_call: the number of frames that the function takes, always.
        callers: networks that run at once, with `threads` threads each.
        threads: of one call.

    Raises:
        ValueError: see `build_feature_extractor`.
    """
    network, about = converted(settings, resize)
    network.reshape([frames_a_call, *resize, 3])
    compiled = core().compile_model(network, "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "NUM_STREAMS": callers,
        "INFERENCE_NUM_THREADS": callers * threads,
        # several processes on one machine would pin their threads to the same cores
        "ENABLE_CPU_PINNING": False,
    })  # fmt: skip
    # (request, its input and its output as arrays). Made here, on one thread: OpenVINO 2026.4 deadlocks when two
    # threads are the first to turn arrays into tensors
    free: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(callers):
        request = compiled.create_infer_request()
        free.put((request, request.get_input_tensor().data, request.get_output_tensor().data))

    def embed(frames: np.ndarray) -> np.ndarray:
        request, pixels, features = free.get()
        try:
            pixels[...] = frames
            request.start_async()
            request.wait()
            return features.copy()
        finally:
            free.put((request, pixels, features))

    return embed, about


def converted(settings: config.ExtractorSettings, resize: tuple[int, int]) -> tuple[openvino.Model, dict]:
    """The network from the cache, or from Keras when it is not there or damaged, and what is known of its weights."""
    from extraction import backbones, efficientnet_lite

    file = backbones.weights_file(settings.backbone, settings.weights)
    key = {
        "backbone": settings.backbone,
        "weights": None if file is None else utils.sha256_of(file),
        "seed": settings.seed if file is None else None,
        "pooling": settings.feature_pooling,
        "resize": list(resize),
        "code": [utils.sha256_of(Path(module.__file__)) for module in (backbones, efficientnet_lite)],
        "versions": {name: importlib.metadata.version(name) for name in ("openvino", "keras", "tensorflow")},
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    folder = (settings.cache_folder or cache_folder("openvino")) / f"{settings.backbone}-{name}"
    found = _read(folder, key)
    if found:
        if file is None:
            backbones.warn_of_random_weights(settings.backbone, settings.seed)
        return found
    network, about = _convert(settings, resize)
    try:
        _write(folder, network, about | {"key": key})
        return _read(folder, key) or (network, about)
    except (OSError, RuntimeError) as error:  # a RuntimeError of OpenVINO's, where a full disk stops it
        utils.LOGGER.warning("%s: cannot be written (%s): the network is converted anew each time", folder, error)
        return network, about


def _convert(settings: config.ExtractorSettings, resize: tuple[int, int]) -> tuple[openvino.Model, dict]:
    import tensorflow as tf

    from extraction import backbones

    extractor = backbones.build_feature_extractor(
        settings.backbone, settings.weights, resize, settings.feature_pooling, seed=settings.seed
    )
    signature = [tf.TensorSpec((None, *resize, 3), tf.uint8)]
    function = tf.function(lambda frames: extractor.model(frames, training=False), input_signature=signature)
    network = import_openvino().convert_model(function.get_concrete_function())
    return network, {
        "weights_sha256": extractor.weights_sha256,
        "preprocessing": extractor.preprocessing,
        "feature_shape": list(extractor.feature_shape),
    }


def _read(folder: Path, key: dict) -> tuple[openvino.Model, dict] | None:
    if not folder.exists():
        return None
    try:
        about = utils.read_json(folder / ABOUT)
        whole = about["key"] == key and all(utils.sha256_of(folder / name) == about["files"][name] for name in FILES)
        if not whole:
            raise ValueError("its files are not those that were written")
        kept = {name: about[name] for name in ("weights_sha256", "preprocessing", "feature_shape")}
        return core().read_model(folder / FILES[0]), kept
    except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
        utils.LOGGER.warning("%s: damaged, so the network is converted again: %s", folder, error)
        return None


def _write(folder: Path, network: openvino.Model, about: dict) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # what kills left; a process that is writing just now goes on without a cache
    utils.remove_temporary_files(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".", suffix=utils.TEMPORARY_SUFFIX, dir=folder.parent) as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        import_openvino().save_model(network, made / FILES[0], compress_to_fp16=False)
        utils.write_json(made / ABOUT, about | {"files": {name: utils.sha256_of(made / name) for name in FILES}})
        if folder.exists():  # damaged; another process may be doing the same
            os.rename(folder, Path(temporary, "damaged"))
        os.rename(made, folder)
