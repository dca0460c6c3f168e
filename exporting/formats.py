"""A finished run -> its classifier of windows for TensorFlow, Keras, ONNX, LiteRT or OpenVINO, or with its CNN.

Symbols: B windows a batch, T frames a window (`data.max_frames`), D' numbers a prepared frame, K classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import config
import model
import run_folder
import utils
from exporting.frames_model import write_frames_model
from exporting.saved_model import EXTRA, VideoScores, write_saved_model
from training.warm_start import take_weights


def export(folder: Path, form: str) -> Path:
    """Write the finished run in `folder` as `form`, one of `run_folder.EXPORTS`. Returns what was written.

    Raises ValueError when the run is not finished, a package is missing that writes the format, or the frames of a
    video cannot become this run's features here.
    """
    if not (folder / run_folder.SAVED_MODEL).is_dir():
        raise ValueError(f"{folder}: holds no trained model: run `python trainer.py` with the same settings first")
    path = folder / run_folder.EXPORTS[form]
    if form in ("saved_model", "frames"):
        _with_video(folder, path, form)
        return path
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


def _with_video(folder: Path, path: Path, form: str) -> None:
    """Write what scores whole videos, in windows as the run's own predictions are made of."""
    settings = config.load(folder / run_folder.CONFIG)
    description: Any = utils.read_json(folder / run_folder.DESCRIPTION)
    windows = settings.data.max_frames, run_folder.own_decoding(folder, settings.predict).window_stride
    trained = _trained(folder, settings.model)
    if form == "saved_model":
        write_saved_model(path, trained, settings.model, windows, description, settings.to_yaml())
    else:
        scores = VideoScores(trained, settings.model.output, windows, description)
        write_frames_model(path, settings.extractor, settings.video, scores, description, settings.to_yaml())


def _trained(folder: Path, settings: config.ModelSettings) -> keras.Model:
    """The run's [features float32 [B, T, D'], mask bool [B, T]] -> logits float32 [B, T, K], in any precision of
    training, for any device."""
    classes = tuple(utils.read_json(folder / run_folder.DESCRIPTION)["classes"])
    serve = run_folder.load_saved_model(folder / run_folder.SAVED_MODEL).signatures["serving_default"]
    size = serve.structured_input_signature[1]["features"].shape[-1]
    classifier = model.build_classifier(size, len(classes), settings, portable=True)
    take_weights(classifier, classes, folder)
    return classifier


def _fixed(folder: Path, batch: int | None) -> keras.Model:
    return _classifier(folder, config.load(folder / run_folder.CONFIG).data.max_frames, batch)


def _classifier(folder: Path, frames: int | None, batch: int | None) -> keras.Model:
    """The run's model with probabilities for logits; `frames` and `batch` fix T and B."""
    settings = config.load(folder / run_folder.CONFIG).model
    trained = _trained(folder, settings)
    features = keras.Input((frames, trained.input_shape[0][-1]), batch, name="features")
    mask = keras.Input((frames,), batch, dtype="bool", name="mask")
    # built anew on these inputs, so that their shapes reach each layer
    probabilities = keras.layers.Activation(settings.output, name="probabilities")(trained([features, mask]))
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
