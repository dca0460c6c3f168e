"""Video files to sampled frames, and feature files to labelled windows (the original's test of its input function)."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_videos import grey, make_sound, make_video

import data
import video_input
from annotations import Video
from features import preparation, records
from segments import Segment

SHARED = Path(__file__).parents[1].parent / "shared/data"


def sample(path, skip=6, resize=(32, 32)):
    with video_input.SampledVideo(path, skip, resize) as video:
        frames, times = zip(*video, strict=True)
    return np.stack(frames), np.array(times), video


def test_every_sixth_frame_with_its_time(tmp_path):
    frames, times, video = sample(make_video(tmp_path / "a.mp4", frames=50))
    assert frames.shape == (9, 32, 32, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(times, np.arange(9) * 0.24)
    assert np.abs(frames.mean(axis=(1, 2, 3)) - [grey(6 * i) for i in range(9)]).max() < 3
    assert video.source_frames == 50 and video.duration == pytest.approx(2.0) and video.fps == 25


@pytest.mark.parametrize(("frames", "expected"), [(1, 1), (6, 1), (7, 2)])
def test_the_first_and_the_last_frame(tmp_path, frames, expected):
    assert len(sample(make_video(tmp_path / "a.mp4", frames=frames))[0]) == expected


def test_times_of_a_variable_frame_rate_are_the_containers(tmp_path):
    times = np.cumsum([0] + [40, 80, 20, 100] * 10)
    _, found, video = sample(make_video(tmp_path / "a.mp4", times=times), skip=1)
    np.testing.assert_allclose(found * 1000, times, atol=1e-6)
    _, shifted, _ = sample(make_video(tmp_path / "b.mkv", times=times + 5000), skip=3)
    np.testing.assert_allclose(shifted * 1000, times[::3], atol=1e-6)


def test_colours_are_rgb(tmp_path):
    import av

    path = tmp_path / "red.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        red = np.zeros((64, 64, 3), np.uint8)
        red[..., 0] = 255
        output.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        output.mux(stream.encode())
    pixel = sample(path)[0][0, 16, 16]
    assert pixel[0] > 200 and pixel[1] < 60 and pixel[2] < 60


def test_the_resizer_is_by_area_when_it_shrinks_and_bilinear_when_it_grows():
    checks = (np.indices((4, 4)).sum(axis=0) % 2 * 200).astype(np.uint8)[..., None].repeat(3, axis=2)
    assert video_input.resize_frame(checks, (2, 2)).tolist() == np.full((2, 2, 3), 100).tolist()
    step = np.array([[0, 200]], np.uint8)[..., None].repeat(3, axis=2)
    assert video_input.resize_frame(step, (1, 4))[0, :, 0].tolist() == [0, 50, 150, 200]


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data: two real ActivityNet videos")
@pytest.mark.parametrize(
    ("name", "source", "sampled"), [("validation/GGSY1Qvo990", 355, 60), ("training/ZNVhz7ctTq0", 420, 70)]
)
def test_real_videos(name, source, sampled):
    frames, times, video = sample(SHARED / f"videos/{name}.mp4", resize=(224, 224))
    assert video.source_frames == source and frames.shape == (sampled, 224, 224, 3)
    assert np.all(np.diff(times) > 0) and times[0] == 0


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "sound":
        return make_sound(path)
    if kind == "folder":
        path.mkdir()
    elif kind in ("cut", "headless"):
        # with the index in front, a cut file opens; with it behind, it does not
        front = {"container_options": {"movflags": "faststart"}} if kind == "cut" else {}
        whole = make_video(path, frames=250, **front).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind != "absent":
        path.write_bytes({"empty": b"", "text": b"this is no video\n" * 99}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("absent", "nothing there"),
        ("folder", "a folder"),
        ("empty", "empty file"),
        ("text", "not a readable video"),
        ("sound", "no video stream .streams: audio"),
        ("cut", "cut: the picture ends after"),
        ("headless", "not a readable video"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path, kind, reason):
    path = bad_file(kind, tmp_path)
    with pytest.raises(ValueError, match=reason) as caught:
        sample(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("frames", "length", "stride", "starts"),
    [
        (30, 15, 15, [0, 15]),
        (31, 15, 15, [0, 15, 30]),
        (31, 15, 5, [0, 5, 10, 15, 16]),
        (15, 15, 5, [0]),
        (3, 15, 5, [0]),
        (1, 15, 15, [0]),
    ],
)
def test_windows_cover_a_video(frames, length, stride, starts):
    assert data.window_starts(frames, length, stride).tolist() == starts


def store(frames=(7, 3), size=2):
    total = sum(frames)
    return data.FeatureStore(
        ids=tuple("abc"[: len(frames)]),
        features=np.arange(total * size, dtype=np.float32).reshape(total, size) + 1,
        labels=np.arange(total, dtype=np.int32),
        timestamps=np.concatenate([np.arange(count) * 0.5 for count in frames]),
        cuts=np.zeros(total, bool),
        offsets=np.concatenate([[0], np.cumsum(frames)]),
        durations=tuple(count * 0.5 for count in frames),
        missing=(),
    )


def test_evaluation_sees_every_frame_once_and_windows_never_cross_videos():
    made = store()
    windows = data.store_windows(made.offsets, 4, 4)
    assert windows.tolist() == [[0, 4], [4, 3], [7, 3]]
    (batch,) = data.input_fn(made, windows, 4, 8).as_numpy_iterator()
    assert batch["mask"].tolist() == [[True] * 4, [True] * 3 + [False], [True] * 3 + [False]]
    assert batch["labels"][batch["mask"]].tolist() == list(range(10))
    np.testing.assert_array_equal(batch["features"][batch["mask"]], made.features)
    assert not batch["features"][~batch["mask"]].any() and not batch["labels"][~batch["mask"]].any()


def order_of(windows, **kwargs):
    made = store((40,), size=1)
    batches = data.input_fn(made, windows, 4, 3, data.EpochOrder(seed=5, **kwargs)).as_numpy_iterator()
    return [batch["labels"][:, 0].tolist() for batch in batches]


def test_the_order_is_a_function_of_seed_and_epoch():
    windows = data.store_windows(np.array([0, 40]), 4, 4)
    whole = order_of(windows, num_epochs=3)
    assert whole == order_of(windows, num_epochs=3)
    flat = sum(whole, [])
    epochs = [flat[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(0, 40, 4)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    for step in (1, 4, 7):  # taken up after `step` batches of 3
        assert order_of(windows, num_epochs=3, first_window=3 * step) == whole[step:]
    assert sum(order_of(windows, num_epochs=1, shuffle=False), []) == list(range(0, 40, 4))


def prepared_by(**kwargs):
    return preparation.Preparation(**kwargs)


def test_normalisation_by_hand():
    features = np.array([[1.0, 10.0], [3.0, 10.0]])
    times = [0.0, 0.5]
    np.testing.assert_array_equal(preparation.prepare_features(features, times, prepared_by()), features)
    video = preparation.prepare_features(features, times, prepared_by(normalization="video"))
    np.testing.assert_allclose(video, [[-1, 0], [1, 0]], atol=1e-4)
    mean, deviation = np.array([1, 0], np.float32), np.array([2, 10], np.float32)
    trained = prepared_by(normalization="train", mean=mean, deviation=deviation)
    np.testing.assert_allclose(preparation.prepare_features(features, times, trained), [[0, 1], [1, 1]])
    with pytest.raises(ValueError, match="expected 2 numbers a frame"):
        preparation.prepare_features(np.zeros((2, 3)), times, trained)
    with pytest.raises(ValueError, match="expected a timestamp for each of 2"):
        preparation.prepare_features(features, [0.0], prepared_by())


def test_temporal_differences_stop_at_shot_cuts():
    # the last step turns the feature by a right angle: a cut
    features = np.array([[1.0, 0.0], [1.5, 0.1], [1.0, 0.1], [0.0, 2.0]])
    signed = preparation.prepare_features(features, range(4), prepared_by(temporal_difference="signed"))
    np.testing.assert_allclose(signed[:, 2:], [[0, 0], [0.5, 0.1], [-0.5, 0], [0, 0]], atol=1e-6)
    absolute = preparation.prepare_features(features, range(4), prepared_by(temporal_difference="absolute"))
    np.testing.assert_allclose(absolute[:, 2:], np.abs(signed[:, 2:]))


@pytest.mark.parametrize(("cosine", "cut"), [(0.71, False), (0.69, True)])
def test_a_shot_cut_is_a_cosine_distance_above_0_3(cosine, cut):
    features = np.array([[2, 0], [3 * cosine, 3 * (1 - cosine**2) ** 0.5]])
    assert preparation.shot_cuts(features).tolist() == [False, cut]


def test_maps_are_laid_out_flat():
    maps = np.arange(2 * 2 * 2 * 3).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(preparation.prepare_features(maps, [0, 1], prepared_by()), maps.reshape(2, 12))


def test_a_preparation_travels_as_json_exactly():
    statistics = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    made = prepared_by(normalization="train", mean=statistics[0], deviation=statistics[1])
    back = preparation.preparation_from_json(preparation.preparation_to_json(made))
    np.testing.assert_array_equal(back.mean, made.mean)
    np.testing.assert_array_equal(back.deviation, made.deviation)


def test_components_keep_what_varies_most(tmp_path):
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 3)) * [5, 0.1, 1] + [0, 9, 0]
    write_features(tmp_path, "one", features[:120])
    write_features(tmp_path, "two", features[120:])
    paths = sorted(tmp_path.glob("*/*"))
    (projection,) = preparation.training_projections(paths, prepared_by(), (2,))
    np.testing.assert_allclose(projection.mean, features.mean(axis=0), atol=1e-5)
    directions = projection.basis / np.linalg.norm(projection.basis, axis=0)
    np.testing.assert_allclose(directions, [[1, 0], [0, 0], [0, 1]], atol=0.1)
    prepared = preparation.prepare_features(features, np.arange(200), prepared_by(projections=(projection,)))
    assert prepared.shape == (200, 2)
    # one scale for all components: they square to 1 on average, and the first stays 5 times the second
    assert np.mean(np.square(prepared)) == pytest.approx(1, rel=1e-3)
    assert prepared[:, 0].std() / prepared[:, 1].std() == pytest.approx(5, rel=0.2)
    with pytest.raises(ValueError, match="expected 3 numbers a frame as in training, received 2"):
        preparation.prepare_features(features[:, :2], np.arange(200), prepared_by(projections=(projection,)))


def test_components_of_features_and_differences(tmp_path):
    write_features(tmp_path, "one", np.random.default_rng(0).normal(size=(50, 3)) + 10)
    paths = sorted(tmp_path.glob("*/*"))
    signed = prepared_by(temporal_difference="signed")
    projections = preparation.training_projections(paths, signed, (0, 2))
    made = prepared_by(temporal_difference="signed", projections=projections)
    assert preparation.prepare_features(np.ones((4, 3)), np.arange(4), made).shape == (4, 2)
    back = preparation.preparation_from_json(json.loads(json.dumps(preparation.preparation_to_json(made))))
    for one, other in zip(back.projections, projections, strict=True):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.basis, other.basis)
    for components, message in (((2,), "expected 2 numbers"), ((0, 0), "not all 0"), ((4, 1), "from 0 to 3")):
        with pytest.raises(ValueError, match=f"data.components: .*{message}"):
            preparation.training_projections(paths, signed, components)


def test_augmented_windows_stay_in_their_videos_and_are_reproducible():
    made = store((40, 12), size=1)
    windows = data.store_windows(made.offsets, 8, 4)
    order = data.EpochOrder(seed=3, num_epochs=2)
    changes = data.Augmentation(jitter=3, time_scale=0.5)

    def batches(order=order, changes=changes):
        return list(data.input_fn(made, windows, 8, 4, order, changes).as_numpy_iterator())

    moved = batches()
    rows = np.concatenate([batch["labels"] for batch in moved])  # a frame's label is its row
    assert (np.diff(rows) >= 0).all() and ((rows[:, 0] < 40) == (rows[:, -1] < 40)).all()
    lengths = rows[:, -1] - rows[:, 0]
    assert lengths.min() < 7 < lengths.max()
    np.testing.assert_array_equal(rows, np.concatenate([batch["labels"] for batch in batches()]))
    # taken up after two batches, the same windows come
    resumed = batches(data.EpochOrder(seed=3, num_epochs=2, first_window=8))
    np.testing.assert_array_equal(resumed[0]["labels"], moved[2]["labels"])
    # moved alone, a window ends with its video, and begins with it, and repeats no frame
    rows = np.concatenate([batch["labels"] for batch in batches(changes=data.Augmentation(jitter=3))])
    assert (np.diff(rows) == 1).all()
    assert {rows[:, 0].min(), rows[:, -1].max()} == {0, 51} and len(set(rows[:, 0] % 4)) == 4
    # features follow their labels: `store` numbers them the same way
    np.testing.assert_array_equal(moved[0]["features"][..., 0], moved[0]["labels"] + 1)


def test_noise_changes_each_frame_and_shift_a_window():
    made = store((16,), size=2)
    windows = data.store_windows(made.offsets, 8, 8)
    order = data.EpochOrder(seed=3, num_epochs=1, shuffle=False)

    def disturbance(**kwargs):
        (batch,) = data.input_fn(made, windows, 8, 2, order, data.Augmentation(**kwargs)).as_numpy_iterator()
        return batch["features"] - made.features.reshape(2, 8, 2)

    noise, shift = disturbance(noise=1.0), disturbance(shift=1.0)
    assert 0.5 < noise.std() < 1.5 and noise.std(axis=1).min() > 0.2
    assert shift.std() > 0.1
    np.testing.assert_allclose(shift, np.repeat(shift[:, :1], 8, axis=1), atol=1e-5)


def write_features(folder, name, features, subset="training"):
    times = np.arange(len(features)) * 0.5
    video = records.VideoFeatures(name, np.asarray(features), times, len(features) * 0.5, 2.0)
    records.write_features(records.feature_file(folder, subset, name), video, "float32")


def test_a_store_labels_from_the_annotations_and_names_the_missing(tmp_path, caplog):
    write_features(tmp_path, "one", np.ones((4, 2)))
    write_features(tmp_path, "two", np.zeros((3, 2)))
    videos = [
        Video("one", "training", 1.8, "", (Segment(0.5, 9.0, "jump"), Segment(0.0, 0.5, "other"))),
        Video("gone", "training", 5.0, "", ()),
        Video("two", "training", 1.5, "", ()),
    ]
    made = data.load_store(tmp_path, "training", videos, {"jump": 2}, prepared_by())
    assert made.ids == ("one", "two") and made.missing == ("gone",)
    assert "1 of 3 annotated videos have no features" in caplog.text and "gone" in caplog.text
    assert made.labels.tolist() == [0, 2, 2, 2, 0, 0, 0]
    assert made.boundaries(0).tolist() == [0, 0.25, 0.75, 1.25, 2.0]
    with pytest.raises(ValueError, match=r"python feature_map_extractor\.py validation"):
        data.load_store(tmp_path, "validation", videos, {}, prepared_by())


def test_statistics_of_the_training_features(tmp_path):
    write_features(tmp_path, "one", [[0.0, 1.0], [2.0, 1.0]])
    write_features(tmp_path, "two", [[4.0, 1.0]])
    paths = sorted(tmp_path.glob("*/*"))
    mean, deviation = preparation.training_statistics(paths)
    np.testing.assert_allclose(mean, [2, 1])
    np.testing.assert_allclose(deviation, [np.sqrt(8 / 3), 1], atol=1e-5)  # what never changes has no scale
    unlike = preparation.prepare_features(
        np.asarray([[2.0, 4.0]]), np.zeros(1), preparation.Preparation("train", "none", mean, deviation)
    )
    np.testing.assert_allclose(unlike, [[0, 3]], atol=1e-5)


def test_bad_features_are_named(tmp_path):
    videos = [Video(name, "training", 2.0, "", ()) for name in ("one", "two")]
    write_features(tmp_path, "one", np.ones((4, 2)))
    write_features(tmp_path, "two", np.full((4, 2), np.nan))
    with pytest.raises(ValueError, match="two.tfrecord: expected finite features"):
        data.load_store(tmp_path, "training", videos, {}, prepared_by())
    write_features(tmp_path, "two", np.ones((4, 3)))
    with pytest.raises(ValueError, match="two.tfrecord: expected 2 numbers a frame, received 3"):
        data.load_store(tmp_path, "training", videos, {}, prepared_by())
