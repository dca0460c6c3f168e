"""The classifier: masks, predict modes, shapes; loss and streaming metrics against numbers computed by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

import config
import model
from training.streaming_metrics import MeanAccuracy, MeanPrecision

SMALL = ["model.num_nodes=4", "model.dropout=0"]


def classifier(*assignments, input_size=3, classes=4):
    tf.keras.utils.set_random_seed(0)
    return model.build_classifier(input_size, classes, config.load(None, [*SMALL, *assignments]).model)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("mode", ["frames", "last", "mode"])
@pytest.mark.parametrize(
    "extra", [(), ("model.num_layers=2", "model.merge=concatenate", "model.fully_connected=[6, 5]")]
)
def test_padding_changes_no_real_frame(cell, mode, extra):
    network = classifier(f"model.cell_type={cell}", f"model.predict_mode={mode}", *extra)
    features = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    whole = network([features, mask], training=False).numpy()
    assert whole.shape == (2, 7, 4)
    short = network([features[1:, :4], mask[1:, :4]], training=False).numpy()
    np.testing.assert_allclose(whole[1, :4], short[0], atol=1e-6)
    features[1, 4:] = 1000
    np.testing.assert_allclose(network([features, mask], training=False).numpy()[1, :4], short[0], atol=1e-6)


def test_both_directions_are_seen_and_averaged():
    network = classifier()
    features = np.zeros((1, 5, 3), np.float32)
    mask = np.ones((1, 5), bool)
    base = network([features, mask], training=False).numpy()
    features[0, 4] = 1
    changed = network([features, mask], training=False).numpy()
    assert not np.allclose(base[0, 0], changed[0, 0])  # the first frame knows of the last
    assert network.get_layer("logits").kernel.shape == (4, 4)  # averaged: one direction's width
    assert classifier("model.merge=concatenate").get_layer("logits").kernel.shape == (8, 4)


@pytest.mark.parametrize("mode", ["last", "mode"])
def test_a_window_has_one_class(mode):
    network = classifier(f"model.predict_mode={mode}")
    logits = network([np.random.default_rng(0).normal(size=(1, 5, 3)), np.ones((1, 5), bool)], training=False).numpy()
    assert np.ptp(logits, axis=1).max() == 0


def test_target_labels_by_hand():
    labels = tf.constant([[1, 2, 2, 3], [3, 1, 0, 0], [1, 2, 0, 0]])
    mask = tf.constant([[True] * 4, [True, True, False, False], [True, True, False, False]])
    assert model.target_labels(labels, mask, "frames", 4) is labels
    assert model.target_labels(labels, mask, "last", 4)[:, 0].numpy().tolist() == [3, 1, 2]
    mode = model.target_labels(labels, mask, "mode", 4).numpy()
    assert mode.tolist() == [[2] * 4, [1] * 4, [1] * 4]  # ties go to the lower class


def test_loss_by_hand():
    logits = tf.constant([[[0.0, 0.0], [math.log(3), 0.0], [9.0, -9.0]]])
    labels = tf.constant([[1, 0, 1]])
    mask = tf.constant([[True, True, False]])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert tf.math.divide_no_nan(*model.masked_cross_entropy(labels, logits, mask)).numpy() == pytest.approx(
        expected, rel=1e-6
    )
    assert tf.math.divide_no_nan(*model.masked_cross_entropy(labels, logits, tf.zeros((1, 3), bool))).numpy() == 0
    # the first frame is of class 1, which weighs 3
    total, weight = model.masked_cross_entropy(labels, logits, mask, tf.constant([1.0, 3.0]))
    assert (total.numpy(), weight.numpy()) == (pytest.approx(3 * math.log(2) + math.log(4 / 3), rel=1e-6), 4)
    # half of each target spread evenly: 3/4 and 1/4
    total, _ = model.masked_cross_entropy(labels, logits, mask, None, 0.5)
    smoothed = math.log(2) + 3 / 4 * math.log(4 / 3) + 1 / 4 * math.log(4)
    assert total.numpy() == pytest.approx(smoothed, rel=1e-6)


@pytest.mark.parametrize(
    ("classes", "thresholds"),
    [
        (2, [0.5, 1, 1, 1, 1]),
        (7, [1 / 7, 3.25 / 7, 5.5 / 7, 1, 1]),
        (101, [1 / 101, 3.25 / 101, 5.5 / 101, 7.75 / 101, 10 / 101]),
    ],
)
def test_the_thresholds_are_multiples_of_chance_capped_at_one(classes, thresholds):
    np.testing.assert_allclose(MeanPrecision(classes).thresholds, thresholds, rtol=1e-6)


def update(metric, labels, probabilities, mask=None):
    probabilities = np.asarray(probabilities, np.float32)
    mask = np.ones(probabilities.shape[:2], bool) if mask is None else np.asarray(mask)
    metric.update_state(tf.constant(labels), tf.constant(probabilities), tf.constant(mask))
    return float(metric.result())


def test_mean_precision_of_two_classes():
    # at 0.5 three pairs reach it (0.5 and 0.5 of the first frame, 0.8 of the second), two of them right: the first
    # frame's label and the second's. at 1 nothing reaches it, four times
    assert update(MeanPrecision(2), [[0, 1]], [[[0.5, 0.5], [0.2, 0.8]]]) == pytest.approx((2 / 3) / 5)
    # a certain and right frame reaches every threshold
    assert update(MeanPrecision(2), [[1]], [[[0.0, 1.0]]]) == 1.0


def test_mean_precision_of_seven_classes():
    # thresholds .143 .464 .786 1 1; frame 1 (label 0): .2 reaches the first, .6, wrong, reaches two; frame 2 (label 6):
    # .9 reaches three. precision: 2 of 3, 1 of 2, 1 of 1, nothing, nothing
    probabilities = np.zeros((1, 2, 7))
    probabilities[0, 0, [0, 3]] = 0.2, 0.6
    probabilities[0, 1, 6] = 0.9
    assert update(MeanPrecision(7), [[0, 6]], probabilities) == pytest.approx((2 / 3 + 1 / 2 + 1) / 5)


def test_mean_precision_of_a_hundred_classes_and_background():
    # uniform: 1/101 reaches the first threshold in all 101 pairs, one of them right
    uniform = np.full((1, 1, 101), np.float32(1 / 101))
    assert update(MeanPrecision(101), [[5]], uniform) == pytest.approx(1 / 101 / 5)


def test_mean_precision_adds_up_over_batches_and_leaves_padding_out():
    metric = MeanPrecision(2)
    update(metric, [[1, 0]], [[[0.1, 0.9], [0.0, 1.0]]], [[True, False]])
    # now at 0.5: one right of two; at 1: none
    assert update(metric, [[0]], [[[0.3, 0.7]]]) == pytest.approx((1 / 2) / 5)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_mean_accuracy_is_the_mean_of_the_classes_recalls():
    # class 0: 1 of 2 right; class 2: 1 of 1; class 1 has no frame and does not count
    probabilities = [[[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]]]
    found = update(MeanAccuracy(3), [[0, 0, 2, 2]], probabilities, [[True, True, True, False]])
    assert found == pytest.approx((1 / 2 + 1) / 2)


def test_the_mean_of_members_is_that_of_their_probabilities():
    features = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    for output in ("softmax", "sigmoid"):
        settings = config.load(
            None, [*SMALL, f"model.output={output}", "model.members={recurrent: 2, convolutional: 1}"]
        ).model
        members = model.build_members(3, 4, settings)
        assert len({weight.path for member in members for weight in member.weights}) == sum(
            len(member.weights) for member in members
        )
        alone = [model.probabilities(member([features, mask], training=False), output).numpy() for member in members]
        assert not np.allclose(alone[0], alone[1])
        both = model.probabilities(model.mean_of(members, output)([features, mask], training=False), output)
        np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-6)


@pytest.mark.parametrize(("output", "expected"), [("softmax", 0), ("sigmoid", -math.log(3))])
def test_a_training_begins_with_each_class_as_likely_as_the_others(output, expected):
    members = "model.members={recurrent: 1, convolutional: 1}"
    settings = config.load(None, [*SMALL, f"model.output={output}", members]).model
    for member in model.build_members(3, 4, settings):
        bias = member.layers[-1].bias.numpy()
        np.testing.assert_allclose(bias, np.full(4, expected), atol=1e-6)
        np.testing.assert_allclose(model.probabilities(tf.constant(bias), output), np.full(4, 1 / 4), atol=1e-6)


def test_a_convolutional_member_does_not_see_padding():
    network = classifier("model.members={recurrent: 0, convolutional: 1}", "model.fully_connected=[6]")
    features = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    mask = np.array([[True] * 7, [True] * 4 + [False] * 3])
    short = network([features[1:, :4], mask[1:, :4]], training=False).numpy()
    features[1, 4:] = 1000
    whole = network([features, mask], training=False).numpy()
    np.testing.assert_allclose(whole[1, :4], short[0], atol=1e-6)
    features[0, 6] += 1
    assert not np.allclose(network([features, mask], training=False)[0, 0], whole[0, 0])  # the last frame is seen


def test_loss_of_several_classes_at_once_by_hand():
    # logits of 0 cost log 2 a class; of log 3 (probability 3/4) log 4/3 where the class is shown and log 4 where not
    logits = tf.constant([[[0.0, 0.0, 0.0], [math.log(3), math.log(3), 0.0], [9.0, -9.0, 9.0]]])
    targets = tf.constant([[[0, 1, 1], [1, 0, 0], [1, 1, 1]]], tf.uint8)
    mask = tf.constant([[True, True, False]])
    first, second = 3 * math.log(2), math.log(4 / 3) + math.log(4) + math.log(2)
    total, weight = model.masked_cross_entropy(targets, logits, mask)
    assert (total.numpy(), weight.numpy()) == (pytest.approx(first + second, rel=1e-6), 2)
    # the first frame weighs as its classes on average: 3
    total, weight = model.masked_cross_entropy(targets, logits, mask, tf.constant([1.0, 2.0, 4.0]))
    assert (total.numpy(), weight.numpy()) == (pytest.approx(3 * first + second, rel=1e-6), 4)
    # half of each target spread evenly: 1 of 3 gives 2/3 and 1/6 twice
    total, _ = model.masked_cross_entropy(targets[:, 1:2], logits[:, 1:2], mask[:, 1:2], None, 0.5)
    smoothed = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(4) + 1 / 6 * math.log(4 / 3) + 5 / 6 * math.log(4)
    assert total.numpy() == pytest.approx(smoothed + math.log(2), rel=1e-6)


def test_metrics_of_several_classes_at_once():
    shown = tf.constant([[[0, 1, 1], [1, 0, 0]]], tf.uint8)
    probabilities = [[[0.1, 0.9, 0.4], [0.5, 0.6, 0.1]]]
    # of background 1 of 1 frames reaches 0.5, of class 1 1 of 1, of class 2 none
    assert update(MeanAccuracy(3), shown, probabilities) == pytest.approx(2 / 3)
    # thresholds 1/3 and 1, four times: .9, .4, .5 and .6 reach the first, three of them right
    assert update(MeanPrecision(3), shown, probabilities) == pytest.approx(3 / 4 / 5)
