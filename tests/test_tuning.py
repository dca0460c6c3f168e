"""Folds that keep groups together, scores by models that have not seen a frame, and the search for settings."""

import itertools
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from made_features import RATE, SETTINGS, load_data, made_settings, make_data_set

import config
import data
import predictions_json
import run_folder
import trainer
from features import records
from planning.folds import Folds
from training import tuning


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    make_data_set(folder)
    return folder


def write_shots(path, shots, frames=4):
    features = np.repeat(np.asarray(shots, np.float32), frames, axis=0)
    times = (np.arange(len(features)) + 0.5) / RATE
    video = records.VideoFeatures(path.stem, features, times, len(features) / RATE, RATE)
    records.write_features(path, video, "float32")


def test_folds_keep_groups_together_and_are_of_a_size():
    groups = np.repeat([7, 3, 5, 9], [4, 2, 2, 4])
    folds = tuning.split(groups, 2, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in groups)
    assert np.bincount(folds).tolist() == [6, 6]
    np.testing.assert_array_equal(folds, tuning.split(groups, 2, seed=0))
    with pytest.raises(ValueError, match="--tune: expected at least 5 .* received 4: --folds 4 takes fewer"):
        tuning.split(groups, 5, seed=0)
    with pytest.raises(ValueError, match="received 2: --folds 2 takes fewer"):
        tuning.split(groups[:6], 3, seed=0)
    with pytest.raises(ValueError, match="received 1$"):
        tuning.split(groups[:4], 2, seed=0)


def test_shots_that_recur_in_another_video_are_one_group(tmp_path):
    one, two, three, like_one = [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0.05, 0]
    paths = [tmp_path / f"{name}.tfrecord" for name in "abc"]
    for path, shots in zip(paths, ([one, two], [three, like_one], [two]), strict=True):
        write_shots(path, shots)
    groups = tuning.recurring_shots(paths)[::4]  # of each shot
    assert groups[0] == groups[3] and groups[1] == groups[4] and len(set(groups)) == 3
    (tmp_path / "training").mkdir()
    for path in paths:
        path.rename(tmp_path / "training" / path.name)
    store = SimpleNamespace(ids=("a", "b", "c"), offsets=np.array([0, 8, 16, 20]))
    np.testing.assert_array_equal(tuning.frame_groups(store, tmp_path, "shot")[::4], groups)
    assert tuning.frame_groups(store, tmp_path, "video").tolist() == [0] * 8 + [1] * 8 + [2] * 4


def test_a_shot_that_is_like_two_groups_joins_them(tmp_path):
    left, right = np.array([1, 0.0]), np.array([np.cos(0.6), np.sin(0.6)])  # their cosine is 0.825
    middle = (left + right) / 2  # 0.955 to each
    paths = [tmp_path / f"{name}.tfrecord" for name in "abc"]
    for path, shot in zip(paths, (left, right, middle), strict=True):
        write_shots(path, [shot])
    assert len(set(tuning.recurring_shots(paths))) == 1
    assert len(set(tuning.recurring_shots(paths[:2]))) == 2


def fit(settings, run_data, labels, tell=None):
    return tuning.fit(run_data, labels, settings.data, settings.model, settings.train, tell)


def test_a_frame_is_scored_by_a_model_that_has_not_seen_its_label(folder):
    settings = made_settings(folder)
    run_data = load_data(settings, ("training",))
    store = run_data.training
    # the first video's labels are swapped: only its own fold could learn that
    swapped = store.labels.copy()
    rows = store.rows(0)
    swapped[rows] = np.array([0, 2, 1])[swapped[rows]]
    held_out = np.repeat(np.arange(len(store.ids)) == 0, np.diff(store.offsets))
    training = fit(settings, run_data, np.where(held_out, data.IGNORED, swapped).astype(np.int32))
    (scores, *_) = predictions_json.frame_scores(store, training.classify, settings.data.max_frames, 5)
    action = store.labels[rows] > 0
    assert np.mean(scores.argmax(axis=1)[action] == store.labels[rows][action]) > 0.7


def test_no_fold_is_shown_its_own_labels_and_each_gives_the_scores_of_its_own_frames(folder):
    store = load_data(made_settings(folder), ("training",)).training
    fold_of = tuning.split(np.repeat(np.arange(len(store.ids)), np.diff(store.offsets)), 3, seed=0)
    shown = []

    def classify_after(labels):
        shown.append(labels)
        number = len(shown) - 1
        return lambda features, mask: np.full((*mask.shape, 3), number, np.float32)

    scores = tuning.out_of_fold_scores(store, fold_of, classify_after, 20, 10)
    for fold, labels in enumerate(shown):
        assert (labels[fold_of == fold] == data.IGNORED).all()
        np.testing.assert_array_equal(labels[fold_of != fold], store.labels[fold_of != fold])
    assert len(shown) == 3
    np.testing.assert_array_equal(np.concatenate(scores)[:, 0], fold_of)


def test_the_folds_of_a_plan_train_on_the_labels_they_are_given(folder, monkeypatch):
    settings = made_settings(folder)
    spec = records.require_spec(settings.paths.feature_map_folder, settings.extractor, settings.video)
    held_out, true = [], load_data(settings, ("training",)).training.labels

    def fit(run_data, labels, *_):
        held_out.append(labels == data.IGNORED)
        np.testing.assert_array_equal(labels[~held_out[-1]], true[~held_out[-1]])
        return SimpleNamespace(classify=lambda features, mask: np.full((*mask.shape, 3), 1 / 3, np.float32))

    monkeypatch.setattr(tuning, "fit", fit)
    Folds(settings.paths, spec, settings.data, "video", 3).score(
        settings.data, settings.model, settings.train, settings.predict
    )
    # each frame is held out once
    assert len(held_out) == 3 and (np.sum(held_out, axis=0) == 1).all()


@pytest.mark.parametrize(("more", "taken"), [(0.0009, False), (0.0011, True)])
def test_the_search_takes_what_gains_more_than_a_thousandth(folder, monkeypatch, more, taken):
    settings = made_settings(folder, "predict.smoothing=0").predict
    found = {0.0: 0.5, 1.0: 0.5 + more}
    monkeypatch.setattr(tuning, "SEARCHED", ([{"smoothing": value} for value in found],))
    monkeypatch.setattr(tuning.Search, "average_map", lambda _, tried: found[tried.smoothing])
    run_data = load_data(made_settings(folder), ("training",))
    search = tuning.Search(run_data, [np.zeros((1, 3))] * len(run_data.training.ids), 3)
    best, score = search.best(settings)
    assert (best.smoothing, score) == ((1.0, 0.5 + more) if taken else (0.0, 0.5))


def test_the_search_tries_rising_values_that_the_settings_allow():
    plain = config.load(None).predict.model_dump()
    for changes in tuning.SEARCHED:
        tried = [config.PredictSettings.model_validate(plain | change) for change in changes]
        (name, *_) = changes[0]
        # in one way of smoothing or suppression; a number of classes of 0 keeps all, and comes last
        for _, same in itertools.groupby(tried, lambda one: (one.smoothing_filter, one.nms, one.video_labels == 0)):
            values = [getattr(one, name) for one in same]
            assert name in ("method", "thresholds") or values == sorted(values)
    for levels in tuning.LEVELS:
        assert list(levels) == sorted(levels)


def test_a_fit_learns_its_labels_and_takes_nothing_from_the_run_in_its_folder(folder, monkeypatch):
    steps = ("train.max_steps=25", "train.save_checkpoints_steps=10", "train.pictures=0")
    trained, elsewhere = (made_settings(folder, f"paths.model_dir={name}", *steps) for name in ("trained", "none"))
    trainer.run(trained)
    assert list((folder / "trained/checkpoints/best").glob("ckpt-*"))
    run_data = load_data(trained, ("training",))
    labels = np.zeros_like(run_data.training.labels)
    learnt = []

    def noted(function):
        return lambda store, *others: (learnt.append(store.labels), function(store, *others))[1]

    for name in ("class_weights", "training_batches"):
        monkeypatch.setattr(tuning, name, noted(getattr(tuning, name)))
    told = []
    # timed steps are steps as all others
    one, other = (
        fit(settings, run_data, labels, tell) for settings, tell in ((trained, None), (elsewhere, told.append))
    )
    assert len(learnt) == 4 and not np.any(learnt) and len(told) == 1 and 0 < told[0] < 60
    for weight, expected in zip(one.classifier.weights, other.classifier.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())


def test_tuning_writes_settings_that_predict(folder, capsys, monkeypatch):
    searched = ([{"smoothing": 0.0}, {"smoothing": 0.5}], [{"nms_tiou": 0.25}])
    monkeypatch.setattr(tuning, "SEARCHED", searched)
    monkeypatch.setattr(tuning, "gain", lambda one, other: (one.average_map - other.average_map, 0.0))
    options = ["--set", f"paths.data_dir={folder}", "--tune", "--folds", "2"]
    for assignment in SETTINGS:
        options += ["--set", assignment]
    assert trainer.main(options) == 0
    printed, told = capsys.readouterr()
    assert "2 folds of 6 videos: a training of 60 steps each" in told and "6 training videos are few" in told
    times = r"(less than a minute|a minute|\d+ minutes)"
    assert len(re.findall(rf"the trainings on folds will take {times}, then", told)) == 1
    assert re.search(rf"tries up to 6 settings on the folds' scores: {times}\n", told)
    tuned = config.load(folder / "run/tuned.yml")
    found = json.loads((folder / "run/tuning.json").read_text())
    assert tuned.model == made_settings(folder).model
    assert 2 <= len(found["trials"]) <= 5 and found["groups"] == 6
    assert found["average_mAP"]["tuned"] >= found["average_mAP"]["before"] > 0.2
    assert f"{found['average_mAP']['tuned']:.4f}" in printed and "tuned.yml" in printed
    # the run in this folder decodes as tuned from now on, unless a person asks for another way
    trained = made_settings(folder)
    (folder / "run/config.yml").write_text(trained.to_yaml())
    assert 0 < run_folder.shown_score(folder / "run") == tuned.predict.shown_score != trained.predict.shown_score
    for_testing = trained.predict.model_copy(update={"subset": "testing"})
    own = run_folder.own_decoding(folder / "run", for_testing)
    assert own == tuned.predict.model_copy(update={"subset": "testing"})
    other = trained.predict.model_copy(update={"smoothing": 3.0})
    assert run_folder.own_decoding(folder / "run", other) == other
    (folder / "run/config.yml").write_text(made_settings(folder, "model.num_nodes=9").to_yaml())
    assert run_folder.own_decoding(folder / "run", for_testing) == for_testing
    best = max(trial["average_mAP"] for trial in found["trials"])
    assert found["average_mAP"]["tuned"] >= best - tuning.SMALLEST_GAIN


def test_a_gain_within_its_spread_over_the_videos_changes_no_settings(folder, capsys, monkeypatch):
    run_data = load_data(made_settings(folder), ("training",))
    labels = np.split(run_data.training.labels, run_data.training.offsets[1:-1])
    # of six videos the scores of one flicker, which smoothing mends: a gain that hangs on a single video
    scores = [np.eye(3, dtype=np.float32)[video] for video in labels]
    scores[0][::2] = np.eye(3)[0]
    search, settings = tuning.Search(run_data, scores, 3), made_settings(folder).predict
    better = settings.model_copy(update={"smoothing": 1.0})
    gained, spread = search.gain(better, settings)
    assert gained == pytest.approx(search.average_map(better) - search.average_map(settings))
    assert search.gain(settings, settings) == (0, 0) and search.gain(settings, better)[1] == pytest.approx(spread)
    assert spread > 0

    longer = {"smoothing": 7.0}
    monkeypatch.setattr(tuning.Search, "best", lambda _, settings: (settings.model_copy(update=longer), 0.9))
    monkeypatch.setattr(tuning, "gain", lambda one, other: (0.02, 0.02))
    monkeypatch.setattr(tuning, "out_of_fold_scores", lambda *_: scores)
    settings = made_settings(folder, "paths.model_dir=kept")
    assert tuning.run(settings, 2, "video") == 0
    # from which score on segments are shown belongs to a decoding, and is no gain
    same = {"shown_score": settings.predict.shown_score}
    assert config.load(folder / "kept/tuned.yml").predict.model_copy(update=same) == settings.predict
    found = json.loads((folder / "kept/tuning.json").read_text())
    assert found["average_mAP"]["tuned"] == found["average_mAP"]["before"] and found["spread"] == 0.02
    assert "gains 0.0200, with a spread of 0.0200 over the videos: the settings stay" in capsys.readouterr().out
    monkeypatch.setattr(tuning, "gain", lambda one, other: (0.0201, 0.02))
    assert tuning.run(settings, 2, "video") == 0
    assert config.load(folder / "kept/tuned.yml").predict.smoothing == 7
    assert json.loads((folder / "kept/tuning.json").read_text())["average_mAP"]["tuned"] == 0.9
    assert "with a spread of 0.0200 over the videos: taken" in capsys.readouterr().out


@pytest.mark.parametrize(("videos", "warned"), [(19, True), (20, False)])
def test_few_videos_to_choose_settings_on_are_told(caplog, videos, warned):
    tuning._tell_beforehand(SimpleNamespace(ids=("v",) * videos), 4, 100)
    assert (f"{videos} training videos are few" in caplog.text) == warned


def test_too_few_folds_are_refused(capsys):
    assert trainer.main(["--tune", "--folds", "1"]) == 2
    assert "--folds: expected at least 2" in capsys.readouterr().err
