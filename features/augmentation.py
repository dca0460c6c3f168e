"""Windows' rows and features -> the same, randomly moved, stretched and disturbed: a pure function of a seed.

Symbols: B windows a batch, T frames a window, D' numbers a prepared frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training windows: what differs between two looks at the same frames.

    Attributes:
      jitter: sampled frames by which a window begins earlier or later.
      time_scale: share by which its time is stretched or squeezed about its middle, 0.25 for 0.8 to 1.25.
      noise: standard deviation of what is added to each number of each prepared frame.
      shift: the same, constant over a window.
    """

    jitter: int = 0
    time_scale: float = 0.0
    noise: float = 0.0
    shift: float = 0.0


def moved_rows(rows: tf.Tensor, offsets: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Rows int64 [B, T] of windows, moved and stretched in time, within their videos (`offsets`)."""
    import tensorflow as tf

    video = tf.searchsorted(offsets, rows[:, 0], side="right") - 1
    first, last = tf.gather(offsets, video)[:, None], tf.gather(offsets, video + 1)[:, None] - 1
    shape = (tf.shape(rows)[0], 1)
    reach = augmentation.jitter
    moved = tf.random.stateless_uniform(shape, seed + [1, 0], -reach, reach + 1, tf.int64)
    rows += tf.clip_by_value(moved, first - rows[:, :1], tf.maximum(last - rows[:, -1:], first - rows[:, :1]))
    reach = np.log1p(augmentation.time_scale)
    scale = tf.exp(tf.random.stateless_uniform(shape, seed + [2, 0], -reach, reach, tf.float64))
    middle = tf.cast(rows[:, :1] + rows[:, -1:], tf.float64) / 2
    stretched = middle + (tf.cast(rows, tf.float64) - middle) * scale
    return tf.clip_by_value(tf.cast(tf.round(stretched), tf.int64), first, last)


def disturbed(features: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Features [B, T, D'] with noise and shift added, in the precision that they have."""
    import tensorflow as tf

    if not (augmentation.noise or augmentation.shift):
        return features
    stored, features = features.dtype, tf.cast(features, tf.float32)
    if augmentation.noise:
        features += tf.random.stateless_normal(tf.shape(features), seed + [3, 0], 0, augmentation.noise)
    if augmentation.shift:
        shape = tf.shape(features[:, :1])
        features += tf.random.stateless_normal(shape, seed + [4, 0], 0, augmentation.shift)
    return tf.cast(features, stored)
