"""Gradients -> updated weights: Adam with decoupled weight decay, one fused operation a weight.

Keras' Adam takes ten passes over a weight and its moments, which is a third of a step at batch 15; the fused operation
takes one. It runs inside a replica of `tf.distribute`, on gradients that were summed over all replicas before.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Adam:
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), as AdamW with `weight_decay` (Loshchilov and Hutter
    2019, https://arxiv.org/abs/1711.05101): each step takes that share of the learning rate from the weights first.
    """

    def __init__(
        self,
        weights: list[keras.Variable],
        learning_rate: float | Callable[[tf.Tensor], tf.Tensor],
        weight_decay: float = 0.0,
    ):
        """Make the moments of `weights`, within a strategy's scope; `learning_rate` may be a function of the step."""
        self._weights, self._rate, self._decay = weights, learning_rate, weight_decay
        first = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.iterations = tf.Variable(0, trainable=False, dtype=tf.int64, aggregation=first)
        self.momentums, self.velocities = (
            [tf.Variable(tf.zeros(weight.shape), trainable=False, aggregation=first) for weight in weights]
            for _ in range(2)
        )

    @property
    def learning_rate(self) -> tf.Tensor:
        """That of the next step, float32."""
        return tf.cast(self._rate(self.iterations) if callable(self._rate) else self._rate, tf.float32)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """Take one step; `gradients` as the weights are."""
        rate, steps = self.learning_rate, tf.cast(self.iterations + 1, tf.float32)
        moments = zip(gradients, self._weights, self.momentums, self.velocities, strict=True)
        updates = []
        for gradient, weight, momentum, velocity in moments:
            # in a replica `handle` is that of its own copy: equal gradients keep the copies equal
            variable = weight.value.handle
            if self._decay:
                tf.raw_ops.AssignSubVariableOp(resource=variable, value=weight.value * (rate * self._decay))
            update = tf.raw_ops.ResourceApplyAdam(
                var=variable, m=momentum.handle, v=velocity.handle, grad=gradient, lr=rate,
                beta1_power=BETA_1**steps, beta2_power=BETA_2**steps, beta1=BETA_1, beta2=BETA_2, epsilon=EPSILON,
            )  # fmt: skip
            updates.append(update)
        # a step that is counted is done
        with tf.control_dependencies(updates):
            self.iterations.assign_add(1)
