"""The feature TFRecord: the way there and back, and files that are cut, damaged or not ours."""

import os

import numpy as np
import pytest

import utils
from features import records


def video(name="-a_b", frames=250, shape=(4,)):
    features = np.random.default_rng(0).normal(size=(frames, *shape)).astype(np.float32)
    return records.VideoFeatures(name, features, np.arange(frames) * 0.24, frames * 0.24, 25.0)


def write(folder, name="-a_b", dtype="float32", **kwargs):
    path = records.feature_file(folder, "training", name)
    made = video(name, **kwargs)
    records.write_features(path, made, dtype)
    return path, made


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("frames", [1, records.RECORD_FRAMES, records.RECORD_FRAMES + 1, 250])
def test_features_survive_the_file(tmp_path, dtype, frames):
    path, made = write(tmp_path, dtype=dtype, frames=frames)
    (read,) = records.read_features([path])
    np.testing.assert_array_equal(read.features, made.features.astype(records.numpy_dtype(dtype)))
    np.testing.assert_array_equal(read.timestamps, made.timestamps)
    assert (read.id, read.duration, read.fps) == (made.id, made.duration, made.fps)
    assert os.listdir(path.parent) == [path.name]


def test_maps_keep_their_shape(tmp_path):
    path, made = write(tmp_path, frames=3, shape=(5, 5, 8))
    (read,) = records.read_features([path])
    np.testing.assert_array_equal(read.features, made.features)


def test_equal_features_give_equal_bytes(tmp_path):
    first, _ = write(tmp_path / "1")
    second, _ = write(tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()


def test_several_files_come_in_order(tmp_path):
    lengths = [("b", 130), ("a", 1), ("c", 120)]
    paths = [write(tmp_path, name, frames=frames)[0] for name, frames in lengths]
    assert [(read.id, len(read.features)) for read in records.read_features(paths)] == lengths
    assert list(records.read_features([])) == []


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path, monkeypatch):
    first, gone = (write(tmp_path, name)[0] for name in "ab")
    gone.unlink()
    monkeypatch.setattr(records, "_check_lengths", lambda path: 1_000)  # it was there when the lengths were looked at
    with pytest.raises(ValueError, match=r"b\.tfrecord: cannot be read: .*No such file"):
        list(records.read_features([first, gone]))


def test_a_video_begun_looks_through_no_folder(tmp_path, monkeypatch):
    # which would take the time of all files, for each; extraction clears up once
    monkeypatch.setattr(utils, "remove_temporary_files", None)
    write(tmp_path)


def test_nothing_appears_when_a_video_is_given_up(tmp_path):
    writer = records.FeatureWriter(tmp_path / "x.tfrecord", "float32")
    writer.add(np.zeros(4), 0.0)
    writer.discard()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("position", [0, 1])
def test_a_cut_file_is_named(tmp_path, position):
    paths = [write(tmp_path, name)[0] for name in ("first", "second")]
    whole = paths[position].read_bytes()
    for size in (0, 10, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        paths[position].write_bytes(whole[:size])
        with pytest.raises(ValueError, match=paths[position].name):
            list(records.read_features(paths))


def _too_long(content: bytes) -> bytes:
    return (1 << 40).to_bytes(8, "little") + content[8:]


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1], _too_long])
@pytest.mark.parametrize("ahead", [0, 1, 63])
def test_what_stands_before_a_fault_is_read_and_what_comes_after_it_is_never_opened(
    tmp_path, monkeypatch, ahead, damage
):
    monkeypatch.setattr(records, "MOST_AHEAD", ahead)
    paths = [write(tmp_path, name, frames=frames)[0] for name, frames in (("a", 250), ("b", 1), ("c", 1), ("d", 1))]
    paths[2].write_bytes(damage(paths[2].read_bytes()))
    paths[3].write_bytes(_too_long(paths[3].read_bytes()))  # TensorFlow would ask for a terabyte
    read = records.read_features(paths)
    assert [(next(read).id, next(read).id)] == [("a", "b")]
    with pytest.raises(ValueError, match=r"c\.tfrecord: (empty|damaged)"):
        next(read)


@pytest.mark.parametrize("ahead", [0, 1, 3, 63])
def test_no_video_is_lost_or_given_twice_before_a_fault_far_ahead(tmp_path, monkeypatch, ahead):
    monkeypatch.setattr(records, "MOST_AHEAD", ahead)
    paths = [write(tmp_path, name, frames=1)[0] for name in "abcdefgh"]
    paths[6].write_bytes(paths[6].read_bytes()[:-1])
    read = []
    with pytest.raises(ValueError, match=r"g\.tfrecord: damaged"):
        for video in records.read_features(paths):
            read.append(video.id)
    assert "".join(read) == "abcdef"


def test_records_are_read_ahead_by_their_size(tmp_path, monkeypatch):
    batches = []
    import tensorflow as tf

    batch = tf.data.TFRecordDataset.batch
    monkeypatch.setattr(tf.data.TFRecordDataset, "batch", lambda self, size: batches.append(size) or batch(self, size))
    path, _ = write(tmp_path, "a", frames=250)
    longest = max(map(len, tf.data.TFRecordDataset([str(path)]).as_numpy_iterator()))
    for room, size in ((longest - 1, 1), (2 * longest, 3), (1 << 40, records.MOST_AHEAD + 1)):
        monkeypatch.setattr(records, "BYTES_AHEAD", room)
        assert len(next(records.read_features([path])).features) == 250
        assert batches[-1] == size


def test_a_file_cut_between_records_is_named(tmp_path):
    path, _ = write(tmp_path)
    whole = path.read_bytes()
    first_record = 16 + int.from_bytes(whole[:8], "little")
    path.write_bytes(whole[:first_record])
    with pytest.raises(ValueError, match="cut or empty"):
        list(records.read_features([path]))
    path.write_bytes(whole[first_record:])
    with pytest.raises(ValueError, match="expected the record of frame 0"):
        list(records.read_features([path]))


@pytest.mark.parametrize("others", [[], ["b", "c"]])
def test_records_after_the_last_are_found_wherever_the_file_stands(tmp_path, others):
    paths = [write(tmp_path, name)[0] for name in ("a", *others)]
    paths[0].write_bytes(2 * paths[0].read_bytes())
    found = records.read_features(paths)
    assert next(found).id == "a"
    with pytest.raises(ValueError, match="goes on after its last record|received 'a'"):
        list(found)


def test_a_flipped_bit_is_found(tmp_path):
    path, _ = write(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="damaged"):
        list(records.read_features([path]))


def test_a_renamed_file_is_found(tmp_path):
    path, _ = write(tmp_path)
    path = path.rename(path.with_name("other.tfrecord"))
    with pytest.raises(ValueError, match="expected features of 'other', received '-a_b'"):
        list(records.read_features([path]))


def test_another_schema_is_found(tmp_path):
    import tensorflow as tf

    path = tmp_path / "x.tfrecord"
    for content in (b"not a message", tf.train.Example().SerializeToString()):
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(content)
        with pytest.raises(ValueError, match="x.tfrecord: not a feature file"):
            list(records.read_features([path]))


def test_the_first_spec_stands_and_others_must_agree(tmp_path):
    spec = {"backbone": "b", "skip_frames": 6, "versions": {"x": "1"}}
    assert records.create_spec(tmp_path, spec) == spec
    assert records.create_spec(tmp_path, spec | {"versions": {"x": "2"}}) == spec
    with pytest.raises(ValueError, match="skip_frames: 6 there, 3 for"):
        records.create_spec(tmp_path, spec | {"skip_frames": 3})
    assert records.read_spec(tmp_path) == spec
    assert os.listdir(tmp_path) == [records.SPEC_FILE]


# what every consumer of features compares
SPEC = {
    "backbone": "b", "weights": "w.h5", "weights_sha256": "ab", "seed": 1, "preprocessing": "p", "resize": [8, 8],
    "feature_pooling": "mean", "feature_shape": [4], "skip_frames": 6, "rate": 4.0, "placing": "c", "dtype": "float16",
}  # fmt: skip


@pytest.mark.parametrize("key", SPEC)
def test_features_of_another_making_are_refused(tmp_path, key):
    records.check_spec(SPEC, SPEC | {"versions": {"x": "2"}}, tmp_path / "e.json", "the trained model")
    with pytest.raises(ValueError, match=f"e.json: made with other settings: {key}: .* there, 'x' for the trained"):
        records.check_spec(SPEC, SPEC | {key: "x"}, tmp_path / "e.json", "the trained model")


def test_without_a_spec_the_error_names_the_command(tmp_path):
    with pytest.raises(ValueError, match=r"python feature_map_extractor\.py"):
        records.read_spec(tmp_path)
