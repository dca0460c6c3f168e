"""What a run hands on: the SavedModel's signature `video` against the pipeline's own preparation and windows; ONNX."""

import io
import json
import re
import runpy
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from made_features import SIZE, load_data, made_settings, make_data_set

import config
import data
import predictions_json
import segments
import trainer
import utils
from exporting import formats, saved_model
from features import preparation
from features.records import feature_file, read_features
from model import build_classifier

KINDS = {
    "plain": (),
    "video": ("data.feature_normalization=video", "data.temporal_difference=signed"),
    "train": ("data.feature_normalization=train", "data.temporal_difference=absolute", "data.components=[4, 3]"),
    "no_overlap": ("data.components=[3]", "predict.window_stride=15", "model.predict_mode=last"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    make_data_set(folder)
    trainer.run(made_settings(folder, "train.max_steps=20"))
    return folder


def write(folder, classifier, settings, description):
    windows = settings.data.max_frames, settings.predict.window_stride
    saved_model.write_saved_model(folder, classifier, settings.model, windows, description, settings.to_yaml())


def exported(folder, *assignments):
    """The `video` signature of an untrained model, and scores [T, K] of the testing videos from the pipeline."""
    settings = made_settings(folder, "model.dropout=0", *assignments)
    run_data = load_data(settings, ())
    size = run_data.training.features.shape[1]
    tf.keras.utils.set_random_seed(1)
    classifier = build_classifier(size, len(run_data.classes), settings.model)
    target = folder / "untrained"
    write(target, classifier, settings, run_data.description())
    testing = run_data.annotated.subset("testing")
    store = data.load_store(folder / "features", "testing", testing, {}, run_data.preparation)
    scores = predictions_json.frame_scores(
        store, lambda features, mask: tf.nn.softmax(classifier([features, mask])).numpy(),
        settings.data.max_frames, settings.predict.window_stride,
    )  # fmt: skip
    return tf.saved_model.load(str(target)), store, scores


@pytest.mark.parametrize("kind", KINDS)
def test_the_video_signature_does_what_the_pipeline_does(folder, kind):
    loaded, store, expected = exported(folder, *KINDS[kind])
    paths = [feature_file(folder / "features", "testing", name) for name in store.ids]
    for number, video in enumerate(read_features(paths)):
        found = loaded.signatures["video"](
            features=tf.constant(video.features, tf.float32), timestamps=tf.constant(video.timestamps)
        )
        np.testing.assert_allclose(found["probabilities"], expected[number], atol=2e-6)
        np.testing.assert_allclose(found["boundaries"][:-1], store.boundaries(number)[:-1], atol=1e-6)


def test_cuts_and_short_videos(folder):
    settings = made_settings(folder, *KINDS["video"])
    loaded, store, _ = exported(folder, *KINDS["video"])
    features = np.random.default_rng(0).normal(size=(9, SIZE)).astype(np.float32)
    features[5:] *= -1
    assert preparation.shot_cuts(features).any()
    for frames in (1, 2, 9):
        found = loaded.signatures["video"](
            features=tf.constant(features[:frames]), timestamps=tf.range(frames, dtype=tf.float64)
        )
        prepared = preparation.prepare_features(
            features[:frames], np.arange(frames), preparation.Preparation("video", "signed")
        )
        windows = np.zeros((1, settings.data.max_frames, 2 * SIZE), np.float32)
        windows[0, :frames] = prepared
        mask = np.arange(settings.data.max_frames)[None] < frames
        serve = loaded.signatures["serving_default"]
        expected = serve(features=tf.constant(windows), mask=tf.constant(mask))["probabilities"][0, :frames]
        np.testing.assert_allclose(found["probabilities"], expected, atol=2e-6)
        times = np.arange(frames, dtype=float)
        boundaries = segments.frame_boundaries(times, segments.end_by_times(times)[0])
        np.testing.assert_allclose(found["boundaries"], boundaries, atol=1e-9)
        assert boundaries[-1] == (frames - 0.5 if frames > 1 else 0)


def test_maps_are_laid_out_as_in_training(folder):
    chosen = ["model.num_nodes=4", "data.max_frames=4", "data.window_stride=2", "predict.window_stride=2"]
    settings = config.load(None, chosen)
    classifier = build_classifier(12, 3, settings.model)
    description = {
        "classes": ["background", "a", "b"], "features": {"feature_shape": [2, 2, 3], "dtype": "float16"},
        "preparation": preparation.preparation_to_json(preparation.Preparation()),
    }  # fmt: skip
    write(folder / "maps", classifier, settings, description)
    maps = np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype(np.float16).astype(np.float32)
    loaded = tf.saved_model.load(str(folder / "maps"))
    found = loaded.signatures["video"](features=tf.constant(maps), timestamps=tf.range(4, dtype=tf.float64))
    expected = tf.nn.softmax(classifier([maps.reshape(1, 4, 12), np.ones((1, 4), bool)]))[0]
    np.testing.assert_allclose(found["probabilities"], expected, atol=2e-6)


def test_classes_features_and_decoding_travel_with_the_model(folder):
    extra = folder / "run/saved_model/assets.extra"
    described = utils.read_json(extra / "model.json")
    assert described == utils.read_json(folder / "run/model.json")
    assert described["classes"] == ["background", "jump", "run"] and described["features"]["feature_shape"] == [SIZE]
    training = {"version": "made", "videos": 6, "frames": 651, "file": "annotations.json"}
    assert described["training_data"] == training
    assert config.load(extra / "config.yml").predict == made_settings(folder).predict


def test_onnx_gives_the_same_probabilities(folder, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    arguments = ["-c", str(folder / "run/config.yml"), "--export", "onnx"]
    assert trainer.main(arguments) == 0
    assert "model.onnx" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(folder / "run/model.onnx", providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    trained = predictions_json.load_trained(folder / "run")
    for batch, frames in ((2, 15), (3, 7), (1, 1)):
        features = random.normal(size=(batch, frames, SIZE)).astype(np.float32)
        mask = np.arange(frames)[None] < random.integers(1, frames + 1, size=(batch, 1))
        (found,) = session.run(["probabilities"], {"features": features, "mask": mask})
        np.testing.assert_allclose(found[mask], trained.classify(features, mask)[mask], atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["model.json"])["classes"] == ["background", "jump", "run"]


def test_onnx_of_members_whose_classes_are_by_themselves(folder):
    onnxruntime = pytest.importorskip("onnxruntime")
    exported(folder, "model.output=sigmoid", "model.members={recurrent: 1, convolutional: 1}", "data.max_frames=6")
    formats.write_onnx(folder / "untrained", folder / "members.onnx")
    session = onnxruntime.InferenceSession(folder / "members.onnx", providers=["CPUExecutionProvider"])
    serve = tf.saved_model.load(str(folder / "untrained")).signatures["serving_default"]
    features = np.random.default_rng(0).normal(size=(2, 6, SIZE)).astype(np.float32)
    mask = np.arange(6) < np.array([[6], [4]])
    (found,) = session.run(["probabilities"], {"features": features, "mask": mask})
    expected = serve(features=tf.constant(features), mask=tf.constant(mask))["probabilities"].numpy()
    np.testing.assert_allclose(found[mask], expected[mask], atol=1e-5)
    assert np.abs(found[mask].sum(axis=-1) - 1).max() > 0.1


def test_onnx_of_no_run_is_refused(folder):
    shutil.rmtree(folder / "nowhere", ignore_errors=True)
    with pytest.raises(ValueError, match=r"run `python trainer\.py`"):
        formats.export(folder / "nowhere", "onnx")


def test_the_documented_client_asks_for_what_the_saved_model_takes(folder, monkeypatch):
    page = Path(__file__).parents[1] / "docs/exporting.md"
    code, _ = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    video = tf.saved_model.load(str(folder / "run/saved_model")).signatures["video"]
    asked = []

    def server(request):
        """Answer as TensorFlow Serving's REST page says: `outputs` by name for `inputs` by name."""
        body = json.loads(request.data)
        asked.append(body)
        specs = video.structured_input_signature[1]
        assert set(body) == {"signature_name", "inputs"} and set(body["inputs"]) == set(specs)
        given = {name: tf.constant(value, specs[name].dtype) for name, value in body["inputs"].items()}
        assert all(spec.is_compatible_with(given[name]) for name, spec in specs.items())
        outputs = {name: value.numpy().tolist() for name, value in video(**given).items()}
        return io.BytesIO(json.dumps({"outputs": outputs}).encode())

    monkeypatch.setattr(urllib.request, "urlopen", server)
    (folder / "client.py").write_text(code)
    client = runpy.run_path(str(folder / "client.py"))
    features = np.random.default_rng(0).normal(size=(20, SIZE)).astype(np.float32)
    times = np.arange(20) / 4
    probabilities, boundaries = client["score"](features, times)
    assert asked[0]["signature_name"] == "video"
    expected = video(features=tf.constant(features), timestamps=tf.constant(times))
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-6)
    np.testing.assert_allclose(boundaries, expected["boundaries"])
