"""Read a run's exports as somebody else would: in a process of its own, by one runtime, without what wrote them.

`python read_exports.py RUNTIME FOLDER` scores what FOLDER/inputs.npz holds (`features`, `mask` of windows; under other
names the frames of videos) by each export that RUNTIME reads, and writes the probabilities into FOLDER/RUNTIME.npz:
those of windows by the export's name, those of videos by the video's.
"""

import os
import sys
from pathlib import Path

import numpy as np

PROJECT = str(Path(__file__).resolve().parents[1])


def read_tensorflow(folder, features, mask, videos):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    windows = tf.saved_model.load(str(folder / "saved_model"))
    yield "saved_model", windows.signatures["serving_default"](features=features, mask=mask)["probabilities"]
    whole = tf.saved_model.load(str(folder / "frames_model"))
    for name, frames in videos.items():
        yield name, whole.signatures["serving_default"](frames=frames)["probabilities"]
    run = tf.lite.Interpreter(str(folder / "model.tflite")).get_signature_runner()
    each = [run(features=features[i : i + 1], mask=mask[i : i + 1]) for i in range(len(mask))]
    yield "litert", np.concatenate([next(iter(found.values())) for found in each])
    assert "model" not in sys.modules
    sys.path.insert(0, PROJECT)
    import model  # noqa: F401  the layers of model.keras

    yield "keras", tf.keras.models.load_model(folder / "model.keras")([features, mask])


def read_onnxruntime(folder, features, mask, videos):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    yield "onnx", session.run(["probabilities"], {"features": features, "mask": mask})[0]


def read_openvino(folder, features, mask, videos):
    sys.modules["openvino_telemetry"] = None  # it reports to its makers
    import openvino

    core, exact = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    windows = core.compile_model(folder / "openvino/model.xml", "CPU", exact)
    yield "openvino", windows({"features": features, "mask": mask})[0]
    whole = core.compile_model(folder / "frames_model", "CPU", exact)
    for name, frames in videos.items():
        yield name, whole({"frames": frames})["probabilities"]


if __name__ == "__main__":
    runtime, folder = sys.argv[1], Path(sys.argv[2])
    with np.load(folder / "inputs.npz") as inputs:
        videos = dict(inputs)
        features, mask = videos.pop("features"), videos.pop("mask")
    read = {"tensorflow": read_tensorflow, "onnxruntime": read_onnxruntime, "openvino": read_openvino}[runtime]
    found = {name: np.array(scores) for name, scores in read(folder, features, mask, videos)}
    np.savez(folder / f"{runtime}.npz", **found)
