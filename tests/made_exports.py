"""A finished run that nothing was learnt in: random weights on the features of a CNN; and its own scores of a video."""

import numpy as np

import config
import utils
from exporting import saved_model
from extraction.runtime import make_embed
from features import preparation
from localization import offline, trained
from localization.inputs import Source
from model import build_classifier
from run_folder import find_run

CLASSES = ["background", "jump", "run"]
SETTINGS = (
    "video.skip_frames=3", "data.max_frames=6", "data.window_stride=2", "predict.window_stride=2",
    "data.feature_normalization=video", "data.temporal_difference=signed", "model.output=sigmoid", "model.num_nodes=8",
    "model.members={recurrent: 1, convolutional: 1}", "extractor.precision=float32", "predict.smoothing=0",
)  # fmt: skip


def make_run(folder, *assignments):
    """Write a run of the backbone that the settings name, whose scores differ from frame to frame."""
    import keras

    settings = config.load(None, [f"paths.model_dir={folder}", *SETTINGS, *assignments])
    _, spec = make_embed(settings.extractor, settings.video)
    classifier = build_classifier(2 * spec["feature_shape"][0], len(CLASSES), settings.model)
    random = keras.random.SeedGenerator(1)
    for weight in classifier.weights:
        weight.assign(keras.random.normal(weight.shape, stddev=2 / np.sqrt(weight.shape[0]), seed=random))
    prepared = preparation.Preparation(settings.data.feature_normalization, settings.data.temporal_difference)
    description = {
        "classes": CLASSES, "output": settings.model.output, "segment_seconds": [[0.0, 0.0]] * len(CLASSES),
        "preparation": preparation.preparation_to_json(prepared), "features": spec,
        "training_data": {"version": "made", "videos": 0, "file": "annotations.json"},
    }  # fmt: skip
    windows = settings.data.max_frames, settings.predict.window_stride
    saved_model.write_saved_model(
        folder / "saved_model", classifier, settings.model, windows, description, settings.to_yaml()
    )
    utils.write_json(folder / "model.json", description)
    utils.write_text(folder / "config.yml", settings.to_yaml())


def own_scores(folder, video):
    """The class probabilities [T, K] that `localize.py` decodes segments of a video from."""
    ((_, found),) = offline.localize_all([Source("made", video, 1.0)], trained.load(find_run(folder)))
    return found.probabilities
