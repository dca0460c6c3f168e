"""A finished run -> its classifier of windows as a file of Keras, ONNX, LiteRT or OpenVINO, which gives probabilities.

Symbols: B windows a batch, T frames a window (`data.max_frames`), D' numbers a prepared frame, K classes.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

import config
import model
import run_folder
import utils
from exporting.saved_model import EXTRA
from training.warm_start import take_weights


def export(folder: Path, form: str) -> Path:
    """Write the finished run in `folder` as `form`: keras, onnx, litert or openvino. Returns what was written.

    Raises ValueError when the run is not finished, or a package is missing that writes the format.
    """
    if not (folder / run_folder.SAVED_MODEL).is_dir():
        raise ValueError(f"{folder}: holds no trained model: run `python trainer.py` with the same settings first")
    path = folder / run_folder.EXPORTS[form]
    with (utils.atomic_folder if form == "openvino" else utils.atomic_path)(path) as temporary:
        if form == "keras":
            _classifier(folder, None, None).save(temporary)
        elif form == "onnx":
            write_onnx(folder / run_folder.SAVED_MODEL, temporary)
        elif form == "litert":
            # its LSTM needs a length that is known, and its interpreter one number of windows
            _fixed(folder, 1).export(temporary, format="litert", verbose=False)
        else:
            _fixed(folder, None).export(str(temporary / "model.xml"), format="openvino", verbose=False)
    return path


def _fixed(folder: Path, batch: int | None) -> keras.Model:
    return _classifier(folder, config.load(folder / run_folder.CONFIG).data.max_frames, batch)


def _classifier(folder: Path, frames: int | None, batch: int | None) -> keras.Model:
    """The run's [features float32 [B, T, D'], mask bool [B, T]] -> `probabilities` float32 [B, T, K], in any precision
    of training; `frames` and `batch` fix T and B."""
    settings = config.load(folder / run_folder.CONFIG).model
    classes = tuple(utils.read_json(folder / run_folder.DESCRIPTION)["classes"])
    serve = run_folder.load_saved_model(folder / run_folder.SAVED_MODEL).signatures["serving_default"]
    size = serve.structured_input_signature[1]["features"].shape[-1]
    classifier = model.build_classifier(size, len(classes), settings, portable=True)
    take_weights(classifier, classes, folder)
    features = keras.Input((frames, size), batch, name="features")
    mask = keras.Input((frames,), batch, dtype="bool", name="mask")
    # built anew on these inputs, so that their shapes reach each layer
    probabilities = keras.layers.Activation(settings.output, name="probabilities")(classifier([features, mask]))
    return keras.Model([features, mask], probabilities, name="actions")


def write_onnx(saved: Path, path: Path) -> None:
    """Turn a SavedModel into an ONNX file: windows of any number and length; model.json and config.yml in its metadata.

    Raises ValueError when the packages tf2onnx and onnx are missing.
    """
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ValueError(f"--export onnx needs two packages: pip install tf2onnx onnx ({error})") from None
    loaded = run_folder.load_saved_model(saved)
    serve = loaded.signatures["serving_default"]
    names = ("features", "mask")
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=name)
                 for name in names for spec in [serve.structured_input_signature[1][name]]]  # fmt: skip
    function = tf.function(lambda features, mask: serve(features=features, mask=mask), input_signature=signature)
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    for name in (run_folder.DESCRIPTION, run_folder.CONFIG):
        entry = converted.metadata_props.add()
        entry.key, entry.value = name, (saved / EXTRA / name).read_text(encoding="utf-8")
    onnx.checker.check_model(converted)
    path.write_bytes(converted.SerializeToString())
