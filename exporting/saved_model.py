"""A trained classifier -> a SavedModel that needs nothing of this code.

The SavedModel's `serving_default` takes prepared windows; its signature `video` takes a whole video's raw features and
prepares them itself. Symbols: B windows a batch, T frames of a window or of a video, D numbers a raw frame, D' numbers
a prepared one, K classes, W windows of a video.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

import config
import model
import run_folder
import segments
import utils
from features import preparation
from predictions_json import WINDOWS_A_BATCH

# the folder of a SavedModel that servers leave to others
EXTRA = "assets.extra"


def write_saved_model(
    folder: Path,
    classifier: keras.Model,
    settings: config.ModelSettings,
    windows: tuple[int, int],
    description: dict,
    resolved: str,
) -> None:
    """Write the classifier with its signatures, and model.json and config.yml beside them.

    Args:
      folder: of the SavedModel.
      classifier: whose weights it gets.
      settings: what the classifier was built with.
      windows: the frames of a window, and from the start of one to the next, that a whole video is scored with.
      description: the content of model.json.
      resolved: that of config.yml, see `config.Config.to_yaml`.
    """
    # another one of the same weights: without what belongs to a GPU, to several devices or to a lower precision
    portable = model.build_classifier(
        classifier.input_shape[0][-1], classifier.output_shape[-1], settings, portable=True
    )
    for weight, trained in zip(portable.weights, classifier.weights, strict=True):
        weight.assign(trained.numpy())

    def serve(features: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model.probabilities(portable([features, mask], training=False), settings.output)}

    video = VideoScores(portable, settings.output, windows, description)
    archive = keras.export.ExportArchive()
    archive.track(portable)
    archive.add_endpoint("serving_default", serve, input_signature=[
        tf.TensorSpec((None, None, portable.input_shape[0][-1]), tf.float32, name="features"),
        tf.TensorSpec((None, None), tf.bool, name="mask"),
    ])  # fmt: skip
    archive.add_endpoint("video", video.score, input_signature=[
        tf.TensorSpec((None, *description["features"]["feature_shape"]), tf.float32, name="features"),
        tf.TensorSpec((None,), tf.float64, name="timestamps"),
    ])  # fmt: skip
    with utils.atomic_folder(folder) as temporary:
        write_archive(temporary, archive, description, resolved)


def write_archive(folder: Path, archive: keras.export.ExportArchive, description: dict, resolved: str) -> None:
    """Write an archive with its endpoints into an empty folder, and what explains it beside."""
    archive.write_out(str(folder), verbose=False)
    (folder / EXTRA).mkdir()
    utils.write_json(folder / EXTRA / run_folder.DESCRIPTION, description)
    utils.write_text(folder / EXTRA / run_folder.CONFIG, resolved)


class VideoScores:
    """A whole video's raw features -> class probabilities of its frames, in a graph.

    The same as `preparation.prepare_features` and `predictions_json.frame_scores`, which the tests compare it with.
    """

    def __init__(self, classifier: keras.Model, output: str, windows: tuple[int, int], description: dict):
        self.classifier, self._output = classifier, output
        self._length, self._stride = windows
        self._preparation = preparation.preparation_from_json(description["preparation"])
        self._stored_as = tf.as_dtype(description["features"].get("dtype", "float32"))

    def score(self, features: tf.Tensor, timestamps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Score a video.

        Args:
          features: float32 [T, D] or maps [T, h, w, C] of its sampled frames, as the extractor gives them.
          timestamps: float64 [T] seconds, when each is shown.

        Returns:
          `probabilities` float32 [T, K], and `boundaries` float64 [T + 1] seconds: 0, the midpoints between frames, and
          the end by `segments.end_by_times`, since nothing tells the video's duration.
        """
        tf.debugging.assert_equal(tf.shape(features)[0], tf.shape(timestamps)[0], "a timestamp for each frame")
        tf.debugging.assert_positive(tf.shape(features)[0], "at least one frame")
        between, end = segments.midpoints(timestamps), segments.end_by_times(timestamps)
        boundaries = tf.concat([tf.zeros(1, tf.float64), between, end], 0)
        return {"probabilities": self.probabilities(features), "boundaries": boundaries}

    def probabilities(self, features: tf.Tensor) -> tf.Tensor:
        """The class probabilities float32 [T, K] that `score` gives."""
        # training rounds features and prepared ones to what feature files hold
        stored = tf.cast(tf.cast(tf.reshape(features, (tf.shape(features)[0], -1)), self._stored_as), tf.float32)
        prepared = tf.cast(tf.cast(self._prepare(stored), self._stored_as), tf.float32)
        return self._scores(tf.ensure_shape(prepared, (None, self.classifier.input_shape[0][-1])))

    def _prepare(self, features: tf.Tensor) -> tf.Tensor:
        """[T, D] -> [T, D'], see `preparation.prepare_features`."""
        how = self._preparation
        mean, deviation = tf.constant(0.0), tf.constant(1.0)
        if how.normalization == "train":
            mean, deviation = tf.constant(how.mean), tf.constant(how.deviation)
        elif how.normalization == "video":
            # axes in lists: OpenVINO does not read a single one
            mean = tf.reduce_mean(features, [0])
            deviation = tf.math.reduce_std(features, [0]) + preparation.EPSILON
        parts = [(features - mean) / deviation]
        if how.temporal_difference != "none":
            change = features - tf.concat([features[:1], features[:-1]], 0)
            change = tf.where(self._cuts(features)[:, None], 0.0, change) / deviation
            parts.append(tf.abs(change) if how.temporal_difference == "absolute" else change)
        if how.projections is not None:
            parts = [(part - p.mean) @ p.basis for part, p in zip(parts, how.projections, strict=True)]
        return tf.concat(parts, 1)

    def _cuts(self, features: tf.Tensor) -> tf.Tensor:
        """Whether a shot cut lies before each frame, bool [T], see `preparation.shot_cuts`."""
        norm = tf.norm(features, axis=1) + preparation.EPSILON
        cosine = tf.reduce_sum(features[1:] * features[:-1], 1) / (norm[1:] * norm[:-1])
        return tf.concat([[False], cosine < 1 - preparation.SHOT_CUT], 0)

    @tf.function  # which turns the loop over a tensor into one of the graph
    def _scores(self, features: tf.Tensor) -> tf.Tensor:
        """Prepared features [T, D'] -> mean probabilities [T, K] of the overlapping windows that see each frame."""
        frames, length = tf.shape(features)[0], self._length
        if self._stride >= length:
            starts = tf.range(0, frames, length)
        else:
            # the last window ends with the video; see `data.window_starts`. OpenVINO loses a start that is joined on
            last = tf.maximum(frames - length, 0)
            starts = tf.minimum(tf.range(0, last + self._stride, self._stride), last)  # [W]
        total = tf.zeros((frames, self.classifier.output_shape[-1]))
        seen = tf.zeros((frames, 1))
        for first in tf.range(0, tf.shape(starts)[0], WINDOWS_A_BATCH):
            rows = starts[first : first + WINDOWS_A_BATCH, None] + tf.range(length)  # [B, T]
            mask = rows < frames
            windows = tf.where(mask[..., None], tf.gather(features, tf.minimum(rows, frames - 1)), 0.0)
            probabilities = model.probabilities(self.classifier([windows, mask], training=False), self._output)
            total = tf.tensor_scatter_nd_add(total, rows[mask][:, None], probabilities[mask])
            seen = tf.tensor_scatter_nd_add(seen, rows[mask][:, None], tf.ones((tf.size(rows[mask]), 1)))
        return total / seen
