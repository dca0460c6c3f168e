"""Windows of the training subset -> the order in which a run learns from them, batch by batch, over all epochs.

Symbols: B windows a batch, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class EpochOrder:
    """The order of training windows: a pure function of seed and epoch, so a position in it is all a resume needs.

    Attributes:
      seed: of all draws.
      num_epochs: times as many windows as there are.
      shuffle: a new order each epoch.
      first_window: windows already seen, over all epochs.
      background_share: of an epoch's windows, those that show background only, drawn anew each epoch, with repetition
        where there are too few of a kind; None: all windows once.
      replicas: devices that share each batch.
      here: those of them that this process feeds.
    """

    seed: int
    num_epochs: int
    shuffle: bool = True
    first_window: int = 0
    background_share: float | None = None
    replicas: int = 1
    here: range = range(1)

    def batches(self, windows: np.ndarray, shows_action: np.ndarray, batch_size: int) -> tf.data.Dataset:
        """Pairs of a seed int64 [2], no two alike, and windows [B, 2], of all epochs from `first_window` on.

        Args:
          windows: [W, 2].
          shows_action: bool [W].
          batch_size: windows a batch, over all replicas; epochs follow without a gap.
        """
        import tensorflow as tf

        dataset = self._windows(windows, shows_action).batch(batch_size).enumerate(self.first_window // batch_size)
        if self.replicas == 1:
            return dataset.map(lambda number, batch: (tf.stack([tf.constant(self.seed, tf.int64), number]), batch))
        share = -(-batch_size // self.replicas)
        seeds = tf.constant([self.seed + 1_000_003 * replica for replica in self.here], tf.int64)

        def parts(number: tf.Tensor, batch: tf.Tensor) -> tf.data.Dataset:
            filled = tf.pad(batch, [[0, share * self.replicas - tf.shape(batch)[0]], [0, 0]])
            mine = tf.reshape(filled, (self.replicas, share, 2))[self.here.start : self.here.stop]
            return tf.data.Dataset.from_tensor_slices((tf.stack([seeds, tf.fill([len(self.here)], number)], 1), mine))

        return dataset.flat_map(parts)

    def _windows(self, windows: np.ndarray, shows_action: np.ndarray) -> tf.data.Dataset:
        """A dataset of the windows [2] of all epochs from `first_window` on."""
        import tensorflow as tf

        table = tf.convert_to_tensor(windows)
        kinds = [tf.convert_to_tensor(windows[chosen]) for chosen in (shows_action, ~shows_action)]
        first_epoch, passed = divmod(self.first_window, len(windows))
        counts = None
        if self.background_share is not None:
            background = round(self.background_share * len(windows))
            counts = len(windows) - background, background
            if any(count and not len(kind) for count, kind in zip(counts, kinds, strict=True)):
                raise ValueError(
                    f"data.background_share {self.background_share}: expected windows with actions and without, "
                    f"received {len(kinds[0])} and {len(kinds[1])}"
                )

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            seed, drawn = tf.stack([tf.constant(self.seed, tf.int64), number]), table
            if counts is not None:
                mixed = [tf.random.experimental.stateless_shuffle(kind, seed=seed + [5, 0]) for kind in kinds]
                counted = zip(mixed, counts, strict=True)
                drawn = tf.concat([tf.gather(kind, tf.range(count) % len(kind)) for kind, count in counted if count], 0)
            if self.shuffle:
                drawn = tf.random.experimental.stateless_shuffle(drawn, seed=seed)
            return tf.data.Dataset.from_tensor_slices(drawn)

        return tf.data.Dataset.range(first_epoch, self.num_epochs).flat_map(epoch).skip(passed)
