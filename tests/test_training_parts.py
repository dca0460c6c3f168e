"""The recurrent layer and the optimizer against Keras' own, what TensorBoard gets."""

import dataclasses
import io
import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_features import load_data, made_settings, make_data_set
from matplotlib.axes import Axes
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import config
import data
import model
import trainer
import utils
from model import BidirectionalLSTM
from training import log as training_log
from training import start, step
from training.adam import Adam
from training.evaluation import Evaluation, draw_timeline, validation_map
from training.log import TrainingLog
from training.state import TrainingState
from training.step import TrainingSteps


def both_layers(merge, sequences):
    """Our layer and Keras' with the same weights, biases included."""
    keras.utils.set_random_seed(3)
    cell = keras.layers.LSTM(5, return_sequences=sequences, bias_initializer="normal")
    layers = [kind(cell, merge_mode=merge) for kind in (BidirectionalLSTM, keras.layers.Bidirectional)]
    for layer in layers:
        layer.build((None, None, 4))
    layers[0].set_weights(layers[1].get_weights())
    return layers


@pytest.mark.parametrize("unrolled", [0, 64])
@pytest.mark.parametrize(("merge", "sequences"), [("ave", True), ("concat", True), ("concat", False)])
def test_the_layer_computes_what_keras_computes(monkeypatch, merge, sequences, unrolled):
    monkeypatch.setattr(model, "UNROLLED_FRAMES", unrolled)
    features = tf.constant(np.random.default_rng(0).normal(size=(3, 7, 4)), tf.float32)
    mask = tf.constant([[True] * 7, [True] * 4 + [False] * 3, [True] + [False] * 6])
    values, gradients = [], []
    for layer in both_layers(merge, sequences):
        with tf.GradientTape() as tape:
            states = layer(features, mask=mask)
            # Keras gives zeros in padded frames, where ours keeps the last state
            real = tf.where(mask[..., None], states, 0.0) if sequences else states
            loss = tf.reduce_sum(tf.sin(real * 3))
        values.append(real)
        gradients.append(tape.gradient(loss, layer.trainable_weights))
    np.testing.assert_allclose(*values, atol=1e-6)
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_layer_without_a_mask():
    features = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 4)), tf.float32)
    ours, theirs = both_layers("ave", True)
    np.testing.assert_allclose(ours(features), theirs(features), atol=1e-6)


@pytest.mark.parametrize(("setting", "gpus", "expected"), [("auto", 0, True), ("auto", 1, False), ("true", 1, True)])
def test_a_training_repeats_by_itself_where_there_is_no_gpu(monkeypatch, setting, gpus, expected):
    told = []
    monkeypatch.setattr(start.utils, "seed_everything", lambda seed, deterministic: told.append((seed, deterministic)))
    monkeypatch.setattr(start.tf.config, "list_physical_devices", lambda kind: ["GPU"] * gpus)
    for name in ("TrainingState", "TrainingSteps", "class_weights"):
        monkeypatch.setattr(start, name, lambda *arguments: None)
    run_data = SimpleNamespace(classes=(), training=SimpleNamespace(features=np.zeros((1, 3))))
    settings = config.load(None, ["train.seed=7", f"train.deterministic={setting}"])
    start.make_state(run_data, settings.model, settings.train, None)
    assert told == [(7, expected)]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_optimizer_takes_keras_steps(decay):
    random, start = np.random.default_rng(0), np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
    ours, theirs = keras.Variable(start), keras.Variable(start)
    optimizer = Adam([ours], lambda step: 0.1 / (1 + tf.cast(step, tf.float32)), decay)
    schedule = keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0)
    reference = keras.optimizers.AdamW(schedule, weight_decay=decay)
    for _ in range(5):
        gradient = tf.constant(random.normal(size=(2, 2)), tf.float32)
        optimizer.apply([gradient])
        reference.apply_gradients([(gradient, theirs)])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)
    assert int(optimizer.iterations) == 5 and float(optimizer.learning_rate) == pytest.approx(0.1 / 6)


def test_the_first_step_by_hand():
    # Adam's first step is the learning rate against the gradient's sign; decay takes 0.1 * 0.5 of the weight before
    weight = keras.Variable(np.array([2.0, -4.0], np.float32))
    Adam([weight], 0.1, 0.5).apply([tf.constant([3.0, -0.2])])
    np.testing.assert_allclose(weight.numpy(), [2 - 0.1 - 0.1, -4 + 0.2 + 0.1], rtol=1e-5)


TINY = ("model.num_nodes=4", "model.dropout=0", "data.max_frames=5")


def made_training(tmp_path, *assignments):
    keras.utils.set_random_seed(0)
    settings = config.load(None, [*TINY, f"paths.data_dir={tmp_path}", *assignments])
    state = TrainingState(3, 3, settings.model, settings.train)
    return state, TrainingSteps(state, settings.train, np.ones(3, np.float32))


def batches():
    random = np.random.default_rng(0)
    values = {
        "features": random.normal(size=(20, 2, 5, 3)).astype(np.float32),
        "labels": random.integers(0, 3, (20, 2, 5)).astype(np.int32),
        "mask": np.ones((20, 2, 5), bool),
    }
    return tf.data.Dataset.from_tensor_slices(values)


def test_what_is_learnt_has_a_label_and_is_no_padding():
    labels = tf.constant([[2, data.IGNORED, 1, 0]])
    batch = {"labels": labels, "mask": tf.constant([[True, True, True, False]])}
    for more in ({}, {"targets": tf.zeros((1, 4, 3))}):
        learnt, mask = step.targets(batch | more, "frames", 3)
        assert mask.numpy().tolist() == [[True, False, True, False]]
        assert not more or learnt is more["targets"]


def test_the_figures_of_training_are_of_the_frames_before_each_step(tmp_path):
    state, steps = made_training(tmp_path, "train.learning_rate=0.1")
    labels, found = [], []
    iterator, same = state.devices.distribute(batches()), iter(batches())
    for _ in range(2):
        batch = next(same)
        labels.append(batch["labels"].numpy())
        found.append(state.classify(batch["features"], batch["mask"]).argmax(axis=-1))
        steps.take(iterator, tf.constant(1))
    values = {name: float(metric.result()) for name, metric in state.metrics.items()}
    labels, found = np.concatenate(labels), np.concatenate(found)
    recalls = [np.mean(found[labels == label] == label) for label in range(3)]
    assert values["mean_accuracy_train"] == pytest.approx(np.mean(recalls)) and values["mean_precision_train"] > 0


def test_averages_begin_with_a_short_memory(tmp_path):
    state, steps = made_training(tmp_path, "train.ema_decay=0.5")
    averages = [value.numpy() for value in state.averages]
    iterator = state.devices.distribute(batches())
    for decay in (2 / 11, 3 / 12):  # below 0.5
        steps.take(iterator, tf.constant(1))
        averages = [
            decay * old + (1 - decay) * new.value.numpy() for old, new in zip(averages, state.trained, strict=True)
        ]
        for ours, expected in zip(state.averages, averages, strict=True):
            np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


def test_several_steps_a_call_are_the_single_ones(tmp_path):
    (single, single_steps), (several, several_steps) = made_training(tmp_path), made_training(tmp_path)
    one_by_one = single.devices.distribute(batches())
    losses = [single_steps.take(one_by_one, tf.constant(1))["loss"][0] for _ in range(7)]
    iterator = several.devices.distribute(batches())
    taken = [several_steps.take(iterator, tf.constant(count)) for count in (1, 4, 2)]
    np.testing.assert_array_equal(np.concatenate([part["loss"] for part in taken]), losses)
    assert all(part["input_wait"] >= 0 for part in taken) and several.step == 7
    for one, other in zip(single.classifier.weights, several.classifier.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_what_goes_by_between_a_step_and_its_batch_is_waiting(tmp_path, monkeypatch):
    # a clock that goes on by one whenever it is looked at: before and after each of three batches
    looks = itertools.count()
    monkeypatch.setattr(step, "time", SimpleNamespace(perf_counter=lambda: float(next(looks))))
    _, steps = made_training(tmp_path)
    assert float(steps.take(iter(batches()), tf.constant(3))["input_wait"]) == 3


def test_the_log_tells_windows_a_second_and_the_share_of_waiting_since_the_line_before(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(training_log, "time", SimpleNamespace(monotonic=lambda: now[0]))
    settings = config.load(None, ["train.save_summary_steps=10", "train.log_step_count_steps=1000"]).train
    # steps, windows and seconds of waiting, when; an evaluation ends at 112
    taken = [(5, 50, 1.0, 102), (10, 50, 1.0, 104), (20, 30, 9.0, 114), (30, 40, 1.0, 118)]
    with TrainingLog(tmp_path, settings, 0) as log:
        for number, windows, waited, now[0] in taken:
            if number == 20:
                now[0] = 112
                log.restart_clock()
                now[0] = 114
            log.steps(number, windows, waited, lambda: {"loss": 0.5})
    records = [(r["step"], r["windows_per_second"], r["input_wait"], r["seconds"])
               for r in utils.read_jsonl(tmp_path / "metrics.jsonl")]  # fmt: skip
    assert records == [(10, 25.0, 0.5, 4.0), (20, 15.0, 1.0, 14.0), (30, 10.0, 0.25, 18.0)]


def test_gradients_are_clipped_and_their_norm_is_of_before(tmp_path):
    free = made_training(tmp_path, "train.gradient_clip_norm=0", "train.learning_rate=1e-9")
    cut = made_training(tmp_path, "train.gradient_clip_norm=0.01", "train.learning_rate=1e-9")
    norms = [float(steps.take(iter(batches()), tf.constant(1))["gradient_norm"][0]) for _, steps in (free, cut)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5) and norms[0] > 0.01
    # the moments say what the optimizer was given: a tenth of the gradient
    applied = [np.sqrt(sum(np.sum(m.numpy() ** 2) for m in one.optimizer.momentums)) * 10 for one, _ in (free, cut)]
    assert applied == pytest.approx([norms[0], 0.01], rel=1e-4)


def test_each_member_learns_as_if_it_were_alone(tmp_path):
    chosen = ("train.gradient_clip_norm=0.01", "train.learning_rate=0.01")
    members = "model.members={recurrent: 1, convolutional: 1}"
    (alone, alone_steps), (both, both_steps) = (
        made_training(tmp_path, *chosen),
        made_training(tmp_path, members, *chosen),
    )
    lonely, shared = (steps.take(iter(batches()), tf.constant(1)) for steps in (alone_steps, both_steps))
    # each gradient is cut to the norm by itself: what Adam was given of the first member is what it is given alone
    for one, other in zip(alone.optimizer.momentums, both.optimizer.momentums, strict=False):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-9)
    for one, other in zip(alone.trained, both.members[0].trainable_variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    # the loss that is told is the mean of both
    assert float(shared["loss"][0]) != pytest.approx(float(lonely["loss"][0]), rel=1e-6)
    assert len(both.trained) == len(both.optimizer.momentums) > len(alone.trained)


def test_bfloat16_learns_with_float32_weights(tmp_path):
    training, steps = made_training(tmp_path, "train.precision=bfloat16", "train.learning_rate=0.02")
    taken = steps.take(iter(batches().take(1).repeat()), tf.constant(30))
    assert taken["loss"][-1] < taken["loss"][0] - 0.1
    assert {weight.value.dtype for weight in training.classifier.weights} == {tf.float32}
    logits = training.classifier([tf.zeros((1, 5, 3)), tf.ones((1, 5), tf.bool)])
    assert logits.dtype == tf.float32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run with everything that TensorBoard can get."""
    folder = tmp_path_factory.mktemp("parts")
    make_data_set(folder)
    settings = made_settings(folder, "data.max_frames=6", "train.histograms=true", "train.pictures=2")
    assert trainer.run(settings, profile=True) == 0
    return folder


def test_the_validation_map_is_the_mean_and_that_of_the_lowest_threshold(folder):
    run_data = load_data(made_settings(folder), ("training", "validation"))
    # each segment is met by 0.52: at the first of ten thresholds, 0.5 to 0.95
    results = {
        name: [{"label": s.label, "score": 1.0, "segment": [s.start, s.start + 0.52 * (s.end - s.start)]}
               for s in run_data.annotated.videos[name].segments]
        for name in run_data.validation.ids
    }  # fmt: skip
    expected = pytest.approx({"average_mAP": 0.1, "mAP_0.50": 1.0, "AP/jump": 0.1, "AP/run": 0.1})
    assert validation_map(run_data, results, 3) == expected
    # a video of which there are no features, such as a lost one, is no miss
    (some,) = (video for video in run_data.annotated.videos.values() if video.id == run_data.validation.ids[0])
    videos = run_data.annotated.videos | {"lost": dataclasses.replace(some, id="lost")}
    annotated = dataclasses.replace(run_data.annotated, videos=videos)
    assert validation_map(dataclasses.replace(run_data, annotated=annotated), results, 3) == expected


def test_what_tensorboard_gets(folder):
    events = EventAccumulator(str(folder / "run"), size_guidance={"tensors": 0}).Reload()
    names = set(events.Tags()["tensors"])
    records = utils.read_jsonl(folder / "run/metrics.jsonl")
    scalars = {name for record in records for name in record} - {"step", "seconds"}
    assert scalars >= {"loss", "gradient_norm", "learning_rate", "windows_per_second", "input_wait", "average_mAP"}
    assert scalars <= names
    assert {"validation/validation_0", "validation/validation_1", "logits/kernel"} <= names
    assert "validation/validation_2" not in names
    # a class alone would hide in a mean; metrics.jsonl, of which pages are made, has the means only
    assert {"AP/jump", "AP/run"} <= names and not any(name.startswith("AP/") for name in scalars)
    both = [tf.make_ndarray(events.Tensors(f"AP/{name}")[-1].tensor_proto) for name in ("jump", "run")]
    assert np.mean(both) == pytest.approx([record for record in records if "average_mAP" in record][-1]["average_mAP"])
    # of an image: width, height and the picture itself
    picture = events.Tensors("validation/validation_0")[-1].tensor_proto.string_val[2]
    assert Image.open(io.BytesIO(picture)).size[0] > 500
    assert list((folder / "run/plugins/profile").rglob("*.xplane.pb"))
    assert all(0 <= record["input_wait"] <= 1 for record in records if "input_wait" in record)


def test_tensorboard_compares_runs_by_their_settings(folder):
    events = EventAccumulator(str(folder / "run")).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    chosen = HParamsPluginData.FromString(content).session_start_info.hparams
    assert chosen["data.max_frames"].number_value == 6 and chosen["model.cell_type"].string_value == "lstm"
    assert chosen["train.histograms"].bool_value and chosen["model.members"].string_value.startswith("{")
    assert not any(name.startswith("paths.") for name in chosen)


def test_an_evaluation_can_be_ended_between_its_batches(folder):
    settings = made_settings(folder)
    run_data = load_data(settings, ("training", "validation"))
    state = SimpleNamespace(classes=3)  # no model: it is never asked
    evaluation = Evaluation(state, run_data, settings.data, settings.train, settings.predict)

    def check():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation.run(check)


def test_a_timeline_shows_what_is_annotated(monkeypatch):
    boundaries, labels = np.arange(11.0), np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    scores = np.full((10, 3), [0.9, 0.05, 0.05])

    def drawn(labels, names=("background", "jump", "run")):
        return np.asarray(Image.open(io.BytesIO(draw_timeline(boundaries, scores, labels, names))).convert("RGB"))

    empty = drawn(np.zeros(10, int))
    assert np.ptp(empty) > 100
    changed = np.flatnonzero((drawn(labels) != empty).any(axis=(0, 2)))
    assert drawn(labels)[:, changed].mean() < empty[:, changed].mean() - 5
    # the shade reaches over 4 of 10 seconds
    assert 0.25 * empty.shape[1] < len(changed) < 0.6 * empty.shape[1]
    # the classes are named
    others = drawn(labels, ("background", "climb", "fall"))
    assert others.shape == empty.shape and (others != drawn(labels)).any()
    # of many classes those with the highest scores, behind what is annotated
    drawn_classes, stairs = [], Axes.stairs
    monkeypatch.setattr(Axes, "stairs", lambda axes, *values, **options: (
        drawn_classes.append(options["label"]), stairs(axes, *values, **options))[1])  # fmt: skip
    rising = np.tile(np.linspace(0, 1, 10), (10, 1))
    draw_timeline(boundaries, rising, np.where(labels == 1, 3, 0), tuple("-123456789"))
    assert drawn_classes == ["3", "9", "8", "7", "6", "5"]
    one = draw_timeline(np.array([0.0, 1.0]), np.ones((1, 1)), np.zeros(1, int), ("background",))
    assert Image.open(io.BytesIO(one)).size == empty.shape[1::-1]


@pytest.mark.parametrize(("losses", "told"), [((0.9, 0.4, 0.5), "lowest at step 20, 0.4000, and is 0.5000"),
                                              ((0.9, 0.4, 0.43), ""), ((0.9, 0.4), ""), ((), "")])  # fmt: skip
def test_a_validation_loss_that_rises_is_told_at_the_end(tmp_path, caplog, losses, told):
    known = {"mean_precision_eval": 0.0, "mean_accuracy_eval": 0.0}
    with TrainingLog(tmp_path, config.load().train, 0) as log:
        for number, loss in enumerate(losses[:1]):
            log.evaluation(10 * (number + 1), known | {"loss_eval": loss}, {}, None)
    # a run that goes on knows what was before
    with TrainingLog(tmp_path, config.load().train, 10) as log:
        for number, loss in enumerate(losses[1:], 1):
            log.evaluation(10 * (number + 1), known | {"loss_eval": loss}, {}, None)
    assert told in caplog.text and bool(told) == bool(caplog.text)
