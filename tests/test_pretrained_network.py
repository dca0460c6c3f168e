"""The frozen feature extractor: uint8 frames in, features out; its weights are right, or an error names their file."""

import contextlib
import hashlib
import http.server
import re
import socket
import threading

import h5py
import keras
import numpy as np
import pytest

from extraction import backbones, efficientnet_lite


@pytest.fixture(scope="module")
def lite():
    return backbones.build_feature_extractor("efficientnet_lite0")


@pytest.fixture(scope="module")
def inception():
    return backbones.build_feature_extractor("inception_resnet_v2", "random", resize=(224, 224), pooling="none")


@pytest.fixture(scope="module")
def lite_network():
    """The network without its pooling, and no weights: what a user would save."""
    network = efficientnet_lite.build("efficientnet_lite0")
    efficientnet_lite.load_state_dict(network, efficientnet_lite.imagenet_file("efficientnet_lite0"))
    return network


def frames(count, height, width):
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def rescaling(extractor):
    """The extractor's first step, as a function of pixels."""
    layer = next(layer for layer in extractor.model.layers if isinstance(layer, keras.layers.Rescaling))
    return lambda *pixels: layer(np.array(pixels, np.uint8)).numpy().tolist()


# the networks


def test_lite_turns_uint8_frames_into_vectors(lite):
    assert lite.model.inputs[0].dtype == "uint8"
    assert lite.feature_shape == (1280,)
    features = lite.model(frames(2, 224, 224), training=False).numpy()
    assert features.shape == (2, 1280)
    assert features.dtype == np.float32
    assert features.min() >= 0  # means of ReLU6
    assert not np.allclose(features[0], features[1])
    assert lite.preprocessing == "(x - 127) / 128"
    assert rescaling(lite)(0, 127, 255) == [-127 / 128, 0, 1]


def test_lite_says_which_weights_it_has(lite):
    assert lite.weights_file.name == "efficientnet-lite0-57934424.pth"
    assert lite.weights_sha256.startswith("57934424")
    assert lite.weights_sha256 == hashlib.sha256(lite.weights_file.read_bytes()).hexdigest()


def test_pooled_features_are_the_mean_of_the_map(lite):
    whole = backbones.build_feature_extractor("efficientnet_lite0", pooling="none")
    assert whole.feature_shape == (7, 7, 1280)
    batch = frames(1, 224, 224)
    maps = whole.model(batch, training=False).numpy()
    np.testing.assert_allclose(maps.mean((1, 2)), lite.model(batch, training=False).numpy(), rtol=1e-4, atol=1e-5)


def test_inception_has_the_map_of_the_original(inception):
    assert inception.model.inputs[0].dtype == "uint8"
    assert inception.feature_shape == (5, 5, 1536)
    assert [variable.path for variable in inception.model.trainable_variables] == []
    assert inception.preprocessing == "x / 127.5 - 1"
    np.testing.assert_allclose(rescaling(inception)(0, 51, 255), [-1, -0.6, 1], atol=1e-6)
    assert (inception.weights_file, inception.weights_sha256) == (None, None)
    maps = inception.model(frames(1, 224, 224), training=False).numpy()
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert maps.min() == 0 < maps.max()  # after the ReLU of conv_7b_ac


def test_inception_pools_to_1536_numbers():
    extractor = backbones.build_feature_extractor("inception_resnet_v2", "random", resize=(75, 96))
    assert extractor.feature_shape == (1536,)
    assert extractor.model.output_shape == (None, 1536)


def test_random_weights_follow_their_seed(caplog):
    batch = frames(2, 64, 96)
    features = [
        backbones.build_feature_extractor("efficientnet_lite0", "random", (64, 96), seed=seed).model(batch).numpy()
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(features[0], features[1])
    assert not np.allclose(features[0], features[2])
    assert 0.01 < features[0].std() < 100  # neither died out nor exploded on the way
    assert "efficientnet_lite0 has random weights (seed 4)" in caplog.text


# settings that cannot be


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet50"}, "expected one of inception_resnet_v2, efficientnet_lite0, .*received 'resnet50'"),
        ({"pooling": "max"}, "expected avg or none, received 'max'"),
        ({"weights": "image-net"}, r"imagenet, random or an existing file .*\.h5 or \.pth, received 'image-net'"),
        ({"backbone": "inception_resnet_v2", "weights": __file__}, r"ends in \.h5, received .*test_pretrained"),
        (
            {"backbone": "inception_resnet_v2", "weights": "random", "resize": (224, 74)},
            r"at least 75 x 75 pixels, received \(224, 74\)",
        ),
    ],
)
def test_unknown_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        backbones.build_feature_extractor(**{"backbone": "efficientnet_lite0"} | arguments)


# files of weights


@pytest.fixture
def saved(lite_network, tmp_path):
    path = tmp_path / "mine.weights.h5"
    lite_network.save_weights(path)
    return path


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_own_keras_file_gives_the_same_features(lite, saved):
    extractor = backbones.build_feature_extractor("efficientnet_lite0", str(saved))
    batch = frames(1, 224, 224)
    assert np.array_equal(extractor.model(batch).numpy(), lite.model(batch).numpy())
    assert extractor.weights_file == saved
    assert extractor.weights_sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_files_that_do_not_fit_are_refused(saved):
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(saved))}: not the weights of efficientnet_lite1 .*\(5, 5, 144, 1\)"
    ):
        backbones.build_feature_extractor("efficientnet_lite1", str(saved))
    with h5py.File(saved, "r+") as file:
        file["layers/conv2d/vars/0"][0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=rf"{re.escape(str(saved))}: conv_stem/kernel: expected finite numbers"):
        backbones.build_feature_extractor("efficientnet_lite0", str(saved))
    with h5py.File(saved, "r+") as file:
        del file["layers/conv2d/vars/0"]
    with pytest.raises(
        ValueError, match=rf"{re.escape(str(saved))}: not the weights .*conv_stem.* expected 1 variables"
    ):
        backbones.build_feature_extractor("efficientnet_lite0", str(saved))
    saved.write_bytes(saved.read_bytes()[:5000])
    with pytest.raises(ValueError, match=rf"{re.escape(str(saved))}: not the weights .*truncated file"):
        backbones.build_feature_extractor("efficientnet_lite0", str(saved))


def test_pytorch_file_of_another_version_is_refused(lite):
    with pytest.raises(ValueError, match="lite0-57934424.pth: does not fit efficientnet_lite1: tensor _blocks"):
        backbones.build_feature_extractor("efficientnet_lite1", str(lite.weights_file))


# the published weights of Inception-ResNet v2


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "models"


@contextlib.contextmanager
def server(body, announced=None):
    """Serve `body` under every address of a loopback port; yield the address of the folder."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(announced or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_file_with_another_hash_is_left_alone(keras_home):
    keras_home.mkdir()
    file = keras_home / "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.write_bytes(b"abc")  # MD5 from RFC 1321
    with pytest.raises(ValueError) as error:
        backbones.build_feature_extractor("inception_resnet_v2")
    for part in (str(file), "d19885ff4a710c122648d3b5c3b684e4", "900150983cd24fb0d6963f7d28e17f72"):
        assert part in str(error.value)
    assert file.read_bytes() == b"abc"


def test_without_network_the_error_says_which_file_to_put_where(keras_home, monkeypatch):
    with socket.socket() as closed:  # bound but not listening: a connection is refused at once
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(backbones, "INCEPTION_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with pytest.raises(ValueError) as error:
            backbones.build_feature_extractor("inception_resnet_v2")
    for part in (str(keras_home / backbones.INCEPTION_FILE), "could not be downloaded", backbones.INCEPTION_MD5):
        assert part in str(error.value)
    assert list(keras_home.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_download_lands_in_keras_folder_and_is_not_repeated(keras_home, monkeypatch):
    monkeypatch.setattr(backbones, "INCEPTION_MD5", "900150983cd24fb0d6963f7d28e17f72")
    with server(b"abc") as address:
        monkeypatch.setattr(backbones, "INCEPTION_URL", address)
        file = backbones._inception_file()
    assert file == keras_home / backbones.INCEPTION_FILE
    assert file.read_bytes() == b"abc"
    assert backbones._inception_file() == file  # the server is gone
    assert list(keras_home.iterdir()) == [file]


@pytest.mark.parametrize(("body", "announced"), [(b"abd", 3), (b"ab", 3)])
def test_wrong_or_cut_download_leaves_nothing(keras_home, monkeypatch, body, announced):
    monkeypatch.setattr(backbones, "INCEPTION_MD5", "900150983cd24fb0d6963f7d28e17f72")
    with server(body, announced) as address:
        monkeypatch.setattr(backbones, "INCEPTION_URL", address)
        with pytest.raises(ValueError, match="could not be downloaded"):
            backbones._inception_file()
    assert list(keras_home.iterdir()) == []
