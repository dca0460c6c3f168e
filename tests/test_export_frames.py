"""From the frames of a video to class probabilities in one SavedModel, against what `localize.py` computes in parts."""

import io
import json
import re
import runpy
import shutil
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_exports import CLASSES, make_run, own_scores
from made_localization import film

import config
import trainer
import utils
from exporting import formats, frames_model
from extraction import backbones
from video_input import SampledVideo

SIZE = (32, 48)


def small_network(backbone, weights, resize, pooling, seed):
    """A network of one layer in place of a CNN that takes seconds to build."""
    keras.utils.set_random_seed(seed)
    frames = keras.Input((*resize, 3), dtype="uint8")
    maps = keras.layers.Conv2D(5, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(frames))
    network = keras.Model(frames, keras.layers.GlobalAveragePooling2D()(maps))
    return backbones.FeatureExtractor(network, None, weights, "x / 255", (5,))


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "build_feature_extractor", small_network)
        patch.setattr(frames_model, "build_feature_extractor", small_network)
        yield


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    chosen = [f"video.resize={list(SIZE)}", "extractor.runtime=tensorflow"]
    make_run(folder, *chosen)
    assert trainer.main(["-c", str(folder / "config.yml"), "--export", "frames"]) == 0
    return folder


def frames_of(video):
    return np.stack([frame for frame, _ in SampledVideo(video, 3, SIZE)])


def test_frames_become_the_scores_of_the_run(folder, tmp_path):
    loaded = tf.saved_model.load(str(folder / "frames_model"))
    # of as many frames as a call of the CNN takes, of fewer, and of more; of windows that do and do not end with it
    for number, spans in enumerate(([(0.96, 200)], [(0.1, 16)], [(1.0, 90), (0.4, 240), (1.2, 30)])):
        video = film(tmp_path / f"{number}.mp4", *spans)
        expected, frames = own_scores(folder, video), frames_of(video)
        found = loaded.signatures["serving_default"](frames=tf.constant(frames))["probabilities"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(frames) == 22 and np.ptp(expected[:, 1:], axis=0).min() > 0.1


def test_features_of_parts_are_those_of_the_whole(folder, tmp_path):
    frames = frames_of(film(tmp_path / "a.mp4", (1.0, 90), (0.4, 240), (1.2, 30)))
    features = tf.saved_model.load(str(folder / "frames_model")).signatures["features"]
    parts = [features(frames=tf.constant(part))["features"] for part in (frames[:5], frames[5:])]
    video = tf.saved_model.load(str(folder / "saved_model")).signatures["video"]
    joined = video(features=tf.concat(parts, 0), timestamps=tf.range(len(frames), dtype=tf.float64))
    whole = tf.saved_model.load(str(folder / "frames_model")).signatures["serving_default"]
    np.testing.assert_allclose(joined["probabilities"], whole(frames=tf.constant(frames))["probabilities"], atol=1e-6)
    assert utils.read_json(folder / "frames_model/assets.extra/model.json")["classes"] == CLASSES


def test_a_saved_model_is_written_anew_with_the_same_weights(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    before = tf.saved_model.load(str(tmp_path / "run/saved_model")).signatures["serving_default"]
    path = tmp_path / "run/config.yml"
    settings = config.load(path, ["predict.window_stride=5"])
    utils.write_text(path, settings.to_yaml())
    assert formats.export(tmp_path / "run", "saved_model") == tmp_path / "run/saved_model"
    loaded = tf.saved_model.load(str(tmp_path / "run/saved_model"))
    windows = {"features": tf.random.normal((2, 6, 10)), "mask": tf.constant([[True] * 6, [True] * 4 + [False] * 2])}
    after = loaded.signatures["serving_default"](**windows)["probabilities"]
    np.testing.assert_allclose(after, before(**windows)["probabilities"], atol=1e-6)
    assert config.load(tmp_path / "run/saved_model/assets.extra/config.yml").predict.window_stride == 5


def test_what_frames_cannot_become_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("frames_model"))
    described = utils.read_json(folder / "model.json")
    for features, message in (
        ({"weights_sha256": "of others"}, "weights_sha256: 'of others' there"),
        ({"backbone": "imported"}, "imported features"),
    ):
        changed = described | {"features": described["features"] | features}
        utils.write_json(tmp_path / "run/model.json", changed)
        with pytest.raises(ValueError, match=message):
            formats.export(tmp_path / "run", "frames")
    assert not (tmp_path / "run/frames_model").exists()


def test_the_documented_client_sends_the_frames_as_bytes(folder, tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs/exporting.md"
    _, code = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    serve = tf.saved_model.load(str(folder / "frames_model")).signatures["serving_default"]

    def server(request):
        """Answer as KServe's protocol with its extension of binary data says."""
        size = int(request.get_header("Inference-header-content-length"))
        (tensor,) = json.loads(request.data[:size])["inputs"]
        values = request.data[size:]
        assert len(values) == tensor["parameters"]["binary_data_size"] and tensor["datatype"] == "UINT8"
        given = tf.constant(np.frombuffer(values, np.uint8).reshape(tensor["shape"]))
        assert serve.structured_input_signature[1][tensor["name"]].is_compatible_with(given)
        found = serve(**{tensor["name"]: given})["probabilities"].numpy()
        output = {"name": "probabilities", "datatype": "FP32", "shape": found.shape, "data": found.ravel().tolist()}
        return io.BytesIO(json.dumps({"outputs": [output]}).encode())

    monkeypatch.setattr(urllib.request, "urlopen", server)
    (tmp_path / "client.py").write_text(code)
    frames = np.random.default_rng(0).integers(0, 256, (9, *SIZE, 3), dtype=np.uint8)
    shape, values = runpy.run_path(str(tmp_path / "client.py"))["score_frames"](frames)
    np.testing.assert_allclose(np.reshape(values, shape), serve(frames=tf.constant(frames))["probabilities"], atol=1e-6)
