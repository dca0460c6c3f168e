"""Windows of features -> states of a bidirectional LSTM, computed the way that is fast on the device at hand.

Symbols: B windows a batch, T frames a window, D numbers a frame, U units a direction.
"""

from __future__ import annotations

import keras
import tensorflow as tf

# windows up to this many frames are written out frame by frame: a loop in the graph costs a quarter of the speed at 15
# frames and batch 15, and its share shrinks as windows and batches grow, while the time to trace grows with the frames
UNROLLED_FRAMES = 64


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
