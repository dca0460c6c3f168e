"""The frozen backbone, trained on ImageNet: frames, uint8 RGB [B, H, W, 3], -> features [B, D] or maps [B, h, w, C]."""

from __future__ import annotations

import hashlib
import os
import socket
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from extraction import efficientnet_lite
from utils import LOGGER, atomic_path

INCEPTION_FILE = "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_MD5 = "d19885ff4a710c122648d3b5c3b684e4"
INCEPTION_URL = "https://storage.googleapis.com/tensorflow/keras-applications/inception_resnet_v2/"
INCEPTION_MIN_SIZE = 75  # pixels; less leaves nothing of the last map
STALL_SECONDS = 20  # after which a connection that brings nothing counts as broken


@dataclass(frozen=True)
class FeatureExtractor:
    """A frozen backbone and what `extractor.json` has to say about it.

    Attributes:
        model: uint8 RGB [B, H, W, 3] -> float32 [B, *feature_shape]; scales the pixels itself.
        weights_file: the file that the weights were read from; None when they are random.
        weights_sha256: that file's SHA-256; None when they are random.
        preprocessing: what happens to a pixel x in 0..255.
        feature_shape: (D,) of pooled features, (h, w, C) of maps.
    """

    model: keras.Model
    weights_file: Path | None
    weights_sha256: str | None
    preprocessing: str
    feature_shape: tuple[int, ...]


def build_feature_extractor(
    backbone: str,
    weights: str = "imagenet",
    resize: tuple[int, int] = (224, 224),
    pooling: str = "avg",
    seed: int = 0,
) -> FeatureExtractor:
    """Build the frozen network that turns frames into features.

    Args:
        backbone: inception_resnet_v2, or a version of `efficientnet_lite`.
        weights: imagenet; or the path of a file of weights of this backbone without its classifier (.h5 or .weights.h5
            of Keras, .pth of PyTorch for EfficientNet-Lite); or random.
        resize: (height, width) of the frames in pixels.
        pooling: avg, the mean of the last map; or none, the map itself.
        seed: of random weights, the same for equal seeds on every machine.

    Raises:
        ValueError: an argument is none of these, or the weights are missing, damaged or do not fit; names the file.
    """
    if pooling not in ("avg", "none"):
        raise ValueError(f"feature pooling: expected avg or none, received {pooling!r}")
    backbones = ("inception_resnet_v2", *efficientnet_lite.VERSIONS)
    if backbone not in backbones:
        raise ValueError(f"backbone: expected one of {', '.join(backbones)}, received {backbone!r}")

    # before the network is built, which takes seconds
    file = weights_file(backbone, weights)
    if backbone == "inception_resnet_v2":
        network, preprocessing = _inception_resnet_v2(resize), "x / 127.5 - 1"
    else:
        network, preprocessing = efficientnet_lite.build(backbone, resize), efficientnet_lite.PREPROCESSING
    if file is None:
        warn_of_random_weights(backbone, seed)
        _randomise(network, seed)
    else:
        _load_weights(network, file)

    # float32 also where the network computes in a lower precision
    pool = keras.layers.GlobalAveragePooling2D if pooling == "avg" else keras.layers.Identity
    model = keras.Model(network.inputs[0], pool(dtype="float32")(network.outputs[0]), name=backbone)
    model.trainable = False
    sha256 = None if file is None else _digest(file, "sha256")
    return FeatureExtractor(model, file, sha256, preprocessing, model.output_shape[1:])


def _inception_resnet_v2(resize: tuple[int, int]) -> keras.Model:
    """Inception-ResNet v2 up to `conv_7b_ac` (Szegedy et al. 2016, https://arxiv.org/abs/1602.07261)."""
    if min(resize) < INCEPTION_MIN_SIZE:
        raise ValueError(f"inception_resnet_v2: expected frames of at least 75 x 75 pixels, received {resize}")
    frames = keras.Input((*resize, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(frames)
    return keras.applications.InceptionResNetV2(include_top=False, weights=None, input_tensor=scaled)


def _randomise(network: keras.Model, seed: int) -> None:
    """Draw every kernel from N(0, 2 / fan-in), which keeps the signal's size under ReLU (He et al. 2015)."""
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            continue
        shape = layer.kernel.shape  # [h, w, in, out], or [h, w, C, 1] where each channel is filtered alone
        fan_in = np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:3])
        layer.kernel.assign(generator.standard_normal(shape, np.float32) * np.sqrt(2 / fan_in, dtype=np.float32))


def warn_of_random_weights(backbone: str, seed: int) -> None:
    LOGGER.warning("%s has random weights (seed %d): its features know nothing of ImageNet", backbone, seed)


def weights_file(backbone: str, weights: str) -> Path | None:
    """The file that `weights` (see `build_feature_extractor`) stands for, downloaded if need be; None when random."""
    if weights == "random":
        return None
    if weights == "imagenet":
        return _inception_file() if backbone == "inception_resnet_v2" else efficientnet_lite.imagenet_file(backbone)
    file = Path(weights).expanduser()
    suffixes = (".h5",) if backbone == "inception_resnet_v2" else (".h5", ".pth")
    if not file.is_file() or file.suffix not in suffixes:
        raise ValueError(
            f"weights of {backbone}: expected imagenet, random or an existing file that ends in "
            f"{' or '.join(suffixes)}, received {weights!r}"
        )
    return file


def _inception_file() -> Path:
    """Find the published weights in Keras' folder, or download them to it; a file with another content is left alone.

    Keras itself would delete such a file, so the hash is looked at before Keras sees it.
    """
    file = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models" / INCEPTION_FILE
    if file.exists():
        received = _digest(file, "md5")
        if received != INCEPTION_MD5:
            raise ValueError(
                f"{file}: expected MD5 {INCEPTION_MD5}, received {received}; the file was left as it is: "
                "move it away to have it downloaded again, or name it as the weights if it is your own"
            )
        return file
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        with atomic_path(file) as temporary:
            keras.utils.get_file(
                temporary.name,
                INCEPTION_URL + INCEPTION_FILE,
                file_hash=INCEPTION_MD5,
                cache_dir=str(file.parent),
                cache_subdir="",
                force_download=True,
            )
    except Exception as error:  # get_file raises plain Exception where the network fails
        raise ValueError(
            f"{file}: the ImageNet weights of inception_resnet_v2 are not there and could not be downloaded ({error}); "
            f"put {INCEPTION_FILE} (MD5 {INCEPTION_MD5}) there, or choose the backbone efficientnet_lite0"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return file


def _load_weights(network: keras.Model, file: Path) -> None:
    # Keras only warns of some layers that a file leaves out; as NaN they cannot be overlooked
    for variable in network.weights:
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    if file.suffix == ".pth":
        efficientnet_lite.load_state_dict(network, file)
    else:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                network.load_weights(file)
        except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
            cause = textwrap.shorten(str(error), 400)
            raise ValueError(f"{file}: not the weights of {network.name} without its classifier: {cause}") from error
    for variable in network.weights:
        if not np.isfinite(variable.value.numpy()).all():
            raise ValueError(f"{file}: {variable.path}: expected finite numbers, received none, NaN or infinity")


def _digest(file: Path, algorithm: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
