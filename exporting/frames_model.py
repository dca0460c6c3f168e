"""A trained run -> one SavedModel from the frames of a video to class probabilities: its CNN and its classifier in one.

TensorFlow Serving and OpenVINO read it. Symbols: T sampled frames of a video, H W their pixels, D numbers a raw frame,
K classes.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

import config
import run_folder
import utils
from exporting.saved_model import VideoScores, write_archive
from extraction.backbones import build_feature_extractor
from extraction.runtime import CPU_FRAMES
from features.records import check_spec, chosen_spec


def write_frames_model(
    folder: Path,
    extractor: config.ExtractorSettings,
    video: config.VideoSettings,
    scores: VideoScores,
    description: dict,
    resolved: str,
) -> None:
    """Write the SavedModel, with model.json and config.yml beside it.

    Its signature `serving_default` takes `frames` uint8 [T, H, W, 3], RGB, all sampled frames of a video, and gives
    `probabilities` float32 [T, K]. Its signature `features` takes any part of them and gives `features` float32
    [T, D] or maps [T, h, w, C], which the signature `video` of the run's SavedModel takes as a whole.

    Args:
      folder: of the SavedModel.
      extractor: names the CNN, whose weights it gets.
      video: of which the frame size decides what the CNN sees.
      scores: raw features -> class probabilities.
      description: the content of model.json.
      resolved: that of config.yml, see `config.Config.to_yaml`.

    Raises:
      ValueError: the run was trained on features that this CNN does not give.
    """
    wanted = description["features"]
    if wanted["backbone"] == "imported":
        raise ValueError(
            f"{folder.parent}: trained on imported features, which another tool made: frames cannot become them here; "
            "the signature video of saved_model takes such features"
        )
    network = build_feature_extractor(
        extractor.backbone, extractor.weights, video.resize, extractor.feature_pooling, seed=extractor.seed
    )
    made = chosen_spec(extractor, video) | {
        "weights_sha256": network.weights_sha256, "preprocessing": network.preprocessing,
        "feature_shape": list(network.feature_shape),
    }  # fmt: skip
    check_spec(wanted, made, folder.parent / run_folder.DESCRIPTION, "the CNN here")

    def features_of(frames: tf.Tensor) -> tf.Tensor:
        # in calls of one size, as the extraction makes them: memory does not grow with the video
        count, shape = tf.shape(frames)[0], (*video.resize, 3)
        calls = tf.reshape(tf.pad(frames, [[0, -count % CPU_FRAMES], *[[0, 0]] * 3]), (-1, CPU_FRAMES, *shape))
        rows = tf.map_fn(
            lambda call: network.model(call, training=False), calls, fn_output_signature=tf.float32
        )  # [calls, CPU_FRAMES, …]
        return tf.reshape(rows, (-1, *network.feature_shape))[:count]

    signature = [tf.TensorSpec((None, *video.resize, 3), tf.uint8, name="frames")]
    archive = keras.export.ExportArchive()
    archive.track(network.model)
    archive.track(scores.classifier)
    archive.add_endpoint(
        "serving_default", lambda frames: {"probabilities": scores.probabilities(features_of(frames))}, signature
    )
    archive.add_endpoint("features", lambda frames: {"features": features_of(frames)}, signature)
    with utils.atomic_folder(folder) as temporary:
        write_archive(temporary, archive, description, resolved)
