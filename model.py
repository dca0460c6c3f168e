"""Windows of features [B, T, D] -> class logits [B, T, K]: the classifier and its members, its targets and its loss.

The recurrence is computed the way that is fast on the device at hand. Symbols: B windows a batch, T frames a window,
D numbers a frame, U units a direction, K classes with background.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from config import ModelSettings

# windows up to this many frames are written out frame by frame: a loop in the graph costs a quarter of the speed at 15
# frames and batch 15, and its share shrinks as windows and batches grow, while the time to trace grows with the frames
UNROLLED_FRAMES = 64
# of a convolutional member
CHANNELS, DILATIONS = 64, (1, 2, 4, 8, 16, 32)


def build_classifier(
    input_size: int, classes: int, settings: ModelSettings, precision: str = "float32", portable: bool = False
) -> keras.Model:
    """Build the classifier of windows: one member, or the mean of several; see `build_members` and `mean_of`."""
    return mean_of(build_members(input_size, classes, settings, precision, portable), settings.output)


def build_members(
    input_size: int, classes: int, settings: ModelSettings, precision: str = "float32", portable: bool = False
) -> list[keras.Model]:
    """Build the classifiers of windows that `model.members` asks for, of the same inputs; they share no weights.

    Args:
        input_size: D', numbers a prepared frame.
        classes: K, background included.
        settings: section `model` of the configuration.
        precision: float32, or bfloat16 for what is between weights and logits, which stay float32.
        portable: leave out what only a GPU can run, for an export.

    Returns:
        Models of [features float32 [B, T, D'], mask bool [B, T]] -> logits float32 [B, T, K]. With `predict_mode` last
        or mode a window has one class: its logits are the same in each of its frames.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    features = keras.Input((None, input_size), name="features")
    mask = keras.Input((None,), dtype="bool", name="mask")
    members = []
    for number in range(sum(settings.members.values())):
        # what has weights has a name of its own, by which another run can begin with them
        prefix = f"member_{number}_" if number else ""
        signal = _dense(features, mask, settings, policy, prefix)
        if number < settings.members["recurrent"]:
            signal = _recurrent(signal, mask, settings, policy, portable, prefix)
        else:
            signal = _convolutional(signal, mask, settings.dropout, policy, prefix)
        logits = keras.layers.Dense(
            classes, bias_initializer=_first_bias(classes, settings.output), dtype="float32", name=f"{prefix}logits"
        )(signal)
        if settings.predict_mode != "frames":
            logits = _RepeatOverFrames()([logits, mask])  # [B, K] -> [B, T, K]
        members.append(keras.Model([features, mask], logits, name=f"{prefix}classifier"))
    return members


def _first_bias(classes: int, output: str) -> keras.initializers.Initializer:
    """Of the logits. Of sigmoids, what says of each class that one frame in K shows it: from 0, where all say one half,
    the first hundreds of steps would go into unlearning classes that are rare (Lin et al. 2017, section 3.3)."""
    return keras.initializers.Constant(-math.log(max(classes - 1, 1)) if output == "sigmoid" else 0.0)


def mean_of(members: list[keras.Model], output: str) -> keras.Model:
    """The model whose probabilities are the mean of its members'; of one member that member itself."""
    if len(members) == 1:
        return members[0]
    logits = keras.ops.stack([member.output for member in members])  # [members, B, T, K]
    if output == "softmax":
        mean = keras.ops.logsumexp(keras.ops.log_softmax(logits), axis=0)
    else:
        on, off = (keras.ops.logsumexp(keras.ops.log_sigmoid(sign * logits), axis=0) for sign in (1, -1))
        mean = on - off
    return keras.Model(members[0].inputs, mean, name="classifier")


def probabilities(logits: tf.Tensor, output: str) -> tf.Tensor:
    """Of one class a frame (`model.output` softmax), or of each class by itself (sigmoid)."""
    return tf.nn.softmax(logits) if output == "softmax" else tf.sigmoid(logits)


def _dense(
    signal: keras.KerasTensor, mask: keras.KerasTensor, settings: ModelSettings, policy: str, prefix: str
) -> keras.KerasTensor:
    for number, units in enumerate(settings.fully_connected):
        signal = keras.layers.Dense(units, use_bias=False, dtype=policy, name=f"{prefix}dense_{number}")(signal)
        # padded frames stay out of the statistics
        norm = keras.layers.BatchNormalization(dtype=policy, name=f"{prefix}norm_{number}")
        signal = keras.layers.ReLU(dtype=policy)(norm(signal, mask=mask))
    return signal


def _recurrent(
    signal: keras.KerasTensor,
    mask: keras.KerasTensor,
    settings: ModelSettings,
    policy: str,
    portable: bool,
    prefix: str,
) -> keras.KerasTensor:
    """[B, T, D] -> states [B, T, U or 2 U] of a bidirectional recurrent network (Ullah et al. 2018, averaged directions
    by default); [B, …] of the whole window where `predict_mode` asks for one class."""
    lstm = settings.cell_type == "lstm"
    cell, both = (keras.layers.LSTM, BidirectionalLSTM) if lstm else (keras.layers.GRU, keras.layers.Bidirectional)
    for number in range(settings.num_layers):
        # a layer of its own: dropout inside the cell would shut out the fused kernel of a GPU
        signal = keras.layers.Dropout(settings.dropout, dtype=policy)(signal)
        whole_window = number == settings.num_layers - 1 and settings.predict_mode != "frames"
        one_way = cell(
            settings.num_nodes, return_sequences=not whole_window, use_cudnn=False if portable else "auto",
            dtype=policy, name="cell",
        )  # fmt: skip
        merge = {"average": "ave", "concatenate": "concat"}[settings.merge]
        layer = both(one_way, merge_mode=merge, dtype=policy, name=f"{prefix}recurrent_{number}")
        signal = layer(signal, mask=mask)
    return signal


def _convolutional(
    signal: keras.KerasTensor, mask: keras.KerasTensor, dropout: float, policy: str, prefix: str
) -> keras.KerasTensor:
    """[B, T, D] -> [B, T, CHANNELS], by a stage of dilated residual layers (MS-TCN, Farha and Gall 2019,
    https://arxiv.org/abs/1903.01945), which sees as many frames on each side as its dilations add up to."""

    def real(signal: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.where(mask[..., None], signal, 0)

    signal = keras.layers.Dropout(dropout, dtype=policy)(real(signal))
    signal = real(keras.layers.Dense(CHANNELS, dtype=policy, name=f"{prefix}entry")(signal))
    for number, dilation in enumerate(DILATIONS):
        seen = keras.layers.Conv1D(
            CHANNELS, 3, padding="same", dilation_rate=dilation, activation="relu", dtype=policy,
            name=f"{prefix}dilated_{number}",
        )(signal)  # fmt: skip
        seen = keras.layers.Dense(CHANNELS, dtype=policy, name=f"{prefix}mixed_{number}")(seen)
        signal = real(signal + keras.layers.Dropout(dropout, dtype=policy)(seen))
    return signal


@keras.saving.register_keras_serializable("actions")
class _RepeatOverFrames(keras.layers.Layer):
    """[B, K] and a mask [B, T] -> [B, T, K]."""

    def call(self, inputs: list) -> keras.KerasTensor:
        logits, mask = inputs
        ones = keras.ops.cast(mask, logits.dtype) * 0 + 1
        return logits[:, None, :] * ones[..., None]


def target_labels(labels: tf.Tensor, mask: tf.Tensor, predict_mode: str, classes: int) -> tf.Tensor:
    """The labels a window is trained on [B, T]: of each frame, of its last frame, or its most frequent one.

    Args:
        labels: int32 [B, T].
        mask: bool [B, T], True where a frame is real; real frames come first.
        predict_mode: frames, last or mode; of equally frequent classes the lower index.
        classes: K.
    """
    if predict_mode == "frames":
        return labels
    if predict_mode == "last":
        last = tf.maximum(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1) - 1, 0)
        window = tf.gather(labels, last, axis=1, batch_dims=1)  # [B]
    else:
        counts = tf.reduce_sum(tf.one_hot(labels, classes) * tf.cast(mask, tf.float32)[..., None], axis=1)  # [B, K]
        window = tf.argmax(counts, axis=1, output_type=labels.dtype)
    return tf.broadcast_to(window[:, None], tf.shape(labels))


def masked_cross_entropy(
    targets: tf.Tensor,
    logits: tf.Tensor,
    mask: tf.Tensor,
    class_weights: tf.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cross-entropy of the real frames of a batch, weighted by class: its sum, and that of the weights.

    The loss is their quotient; where replicas share a batch, that of this one's sum and of all the weights.

    Args:
        targets: the class of each frame, int32 [B, T]: softmax cross-entropy. Or 1 for each class that a frame shows,
            else 0, [B, T, K]: binary cross-entropies, summed; a frame weighs as its classes do on average.
        logits: float32 [B, T, K].
        mask: bool [B, T].
        class_weights: float32 [K]; None: every frame counts alike.
        label_smoothing: share of each target that is spread evenly over all classes (Szegedy et al. 2016).
    """
    weights = tf.cast(mask, logits.dtype)
    if targets.shape.rank == 3:
        targets = tf.cast(targets, logits.dtype)
        if class_weights is not None:
            weights *= tf.math.divide_no_nan(tf.linalg.matvec(targets, class_weights), tf.reduce_sum(targets, -1))
        targets += label_smoothing * (tf.reduce_mean(targets, -1, keepdims=True) - targets)
        losses = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), -1)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(weights)
    if class_weights is not None:
        weights *= tf.gather(class_weights, targets)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    if label_smoothing:
        even = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=-1)
        losses += label_smoothing * (even - losses)
    return tf.reduce_sum(losses * weights), tf.reduce_sum(weights)


@keras.saving.register_keras_serializable("actions")
class BidirectionalLSTM(keras.layers.Bidirectional):
    """Keras' bidirectional LSTM with the same weights and results, in fewer and larger operations on a CPU.

    Keras multiplies each frame's features by the kernel on its own, and adds up as many gradients of the kernel; here
    one product serves all frames. A mask has to pad on the right.

    On a GPU Keras' layer is left to choose cuDNN's kernel. It does not where the activations are others than tanh and
    sigmoid, where dropout or recurrent dropout is set in the cell (ours is a layer of its own), or where the bias is
    left out; and `use_cudnn=False` of the wrapped layer forbids it.
    """

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: None = None,
        mask: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        """States of windows [B, T, D] with a mask bool [B, T]: [B, T, U or 2 U], or [B, …] of the last real frame."""
        if self.forward_layer.use_cudnn and tf.config.get_visible_devices("GPU"):
            return super().call(sequences, initial_state, mask, training)
        forward, backward = self.forward_layer.cell, self.backward_layer.cell
        # real frames come first: what follows them cannot change what is seen forwards, and is nothing to the others
        real = None if mask is None else tf.cast(mask, tf.float32)[..., None]
        seen = _states(_projected(sequences, forward), forward, None, backwards=False)  # [B, T, U]
        seen_back = _states(_projected(sequences, backward), backward, real, backwards=True)
        if not self.return_sequences:
            last = tf.shape(sequences)[1] - 1
            if mask is not None:
                last = tf.maximum(tf.reduce_sum(tf.cast(mask, tf.int32), axis=1) - 1, 0)
            last = tf.broadcast_to(last, tf.shape(sequences)[:1])
            seen, seen_back = tf.gather(seen, last, axis=1, batch_dims=1), seen_back[:, 0]
        merged = tf.concat([seen, seen_back], -1) if self.merge_mode == "concat" else (seen + seen_back) / 2
        return tf.cast(merged, self.compute_dtype)


def _projected(sequences: tf.Tensor, cell: keras.layers.LSTMCell) -> tf.Tensor:
    """[B, T, D] -> [B, T, 4 U] float32: what features add to the gates (input, forget, candidate, output)."""
    shape = tf.shape(sequences)
    product = tf.reshape(sequences, (-1, sequences.shape[-1])) @ tf.cast(cell.kernel, sequences.dtype)
    product = tf.cast(product, tf.float32) + tf.cast(cell.bias, tf.float32)
    product = tf.reshape(product, (shape[0], shape[1], 4 * cell.units))
    return tf.ensure_shape(product, (None, sequences.shape[1], 4 * cell.units))


def _states(gates: tf.Tensor, cell: keras.layers.LSTMCell, real: tf.Tensor | None, backwards: bool) -> tf.Tensor:
    """Hidden states [B, T, U] of one direction, from the features' part of the gates [B, T, 4 U].

    The state is zero after frames where `real` [B, T, 1] is 0; None: all frames are real.
    """
    kernel = tf.cast(cell.recurrent_kernel, tf.float32)

    def step(state: tuple[tf.Tensor, tf.Tensor], frame: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        hidden, carry = state
        entry, forget, candidate, output = tf.split(frame[0] + hidden @ kernel, 4, axis=-1)
        carry = tf.sigmoid(forget) * carry + tf.sigmoid(entry) * tf.tanh(candidate)
        hidden = tf.sigmoid(output) * tf.tanh(carry)
        return (hidden, carry) if real is None else (hidden * frame[1], carry * frame[1])

    start = tf.zeros((tf.shape(gates)[0], cell.units))
    frames = (gates,) if real is None else (gates, real)
    length = gates.shape[1]
    if length is None or length > UNROLLED_FRAMES:
        # turned by hand: a loop that runs backwards is lost on the way to ONNX
        turn = (lambda part: tf.reverse(part, [0])) if backwards else (lambda part: part)
        frames = tuple(turn(tf.transpose(part, [1, 0, 2])) for part in frames)
        return tf.transpose(turn(tf.scan(step, frames, (start, start))[0]), [1, 0, 2])
    states, state = [None] * length, (start, start)
    parts = [tf.unstack(part, length, axis=1) for part in frames]
    for number in reversed(range(length)) if backwards else range(length):
        state = step(state, tuple(part[number] for part in parts))
        states[number] = state[0]
    return tf.stack(states, axis=1)
