"""Runtimes: who decides between them, that a batch's other frames change nothing, the cache of converted networks."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import config
from extraction import openvino_network, runtime, user_cache
from extraction.runtime import Device
from features import records

ROOT = Path(__file__).parents[1]
OLD_CPU, NEW_CPU = Device(gpu=False, native_bfloat16=False), Device(gpu=False, native_bfloat16=True)
GPU = Device(gpu=True, native_bfloat16=True)


def settings(folder, *assignments):
    return config.load(None, [f"paths.data_dir={folder}", "paths.feature_map_folder=features", "video.resize=[64, 96]",
                              "extractor.backbone=efficientnet_lite0", "extractor.weights=random",
                              f"extractor.cache_folder={folder}/cache", *assignments])  # fmt: skip


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 96, 3), dtype=np.uint8)


# who decides


@pytest.mark.parametrize(
    ("wanted", "device", "recorded", "expected"),
    [
        (("auto", "auto"), NEW_CPU, None, ("openvino", "bfloat16")),
        (("auto", "auto"), OLD_CPU, None, ("openvino", "float32")),
        (("auto", "auto"), GPU, None, ("tensorflow", "float16")),
        (("auto", "float32"), NEW_CPU, None, ("openvino", "float32")),
        (("auto", "bfloat16"), NEW_CPU, None, ("openvino", "bfloat16")),
        (("auto", "bfloat16"), OLD_CPU, None, ("tensorflow", "bfloat16")),
        (("openvino", "auto"), NEW_CPU, None, ("openvino", "bfloat16")),
        (("openvino", "auto"), OLD_CPU, None, ("openvino", "float32")),
        (("tensorflow", "auto"), NEW_CPU, None, ("tensorflow", "float32")),
        # what stands in extractor.json goes before the machine
        (("auto", "auto"), NEW_CPU, {"runtime": "openvino", "precision": "float32"}, ("openvino", "float32")),
        (("auto", "auto"), GPU, {"runtime": "openvino", "precision": "bfloat16"}, ("openvino", "bfloat16")),
        (("auto", "auto"), NEW_CPU, {"backbone": "of before these keys"}, ("tensorflow", "float32")),
    ],
)
def test_auto_is_decided_by_what_stands_there_then_by_the_machine(wanted, device, recorded, expected):
    assert runtime.resolve(*wanted, device, recorded) == expected


@pytest.mark.parametrize(
    ("wanted", "device", "recorded", "message"),
    [
        (("openvino", "bfloat16"), OLD_CPU, None, "extractor.precision: openvino in bfloat16 needs a CPU with native"),
        (("auto", "auto"), OLD_CPU, {"runtime": "openvino", "precision": "bfloat16"}, "extractor.json of the feature"),
        (("auto", "auto"), NEW_CPU, {"runtime": "tensorflow", "precision": "float16"}, "in float16 needs a GPU"),
    ],
)
def test_what_a_machine_cannot_do_is_refused(wanted, device, recorded, message):
    with pytest.raises(ValueError, match=message):
        runtime.resolve(*wanted, device, recorded)


def stand_in(monkeypatch, resolved):
    """Replace the network by none, made with what `resolved` says."""

    def make_embed(extractor, video, recorded, callers):
        made = dict(zip(("runtime", "precision"), resolved(recorded), strict=True))
        return lambda batch: batch, records.chosen_spec(extractor, video) | made

    monkeypatch.setattr(runtime, "make_embed", make_embed)


def open_extractor(folder, *assignments):
    chosen = settings(folder, *assignments)
    return runtime.open_extractor(chosen.paths.feature_map_folder, chosen.extractor, chosen.video, 1)


def test_the_first_decides_and_a_later_run_keeps_to_it(tmp_path, monkeypatch):
    stand_in(monkeypatch, lambda recorded: runtime.resolve("auto", "auto", NEW_CPU, recorded))
    open_extractor(tmp_path)
    stand_in(monkeypatch, lambda recorded: runtime.resolve("auto", "auto", GPU, recorded))
    open_extractor(tmp_path)
    spec = records.read_spec(tmp_path / "features")
    assert (spec["runtime"], spec["precision"]) == ("openvino", "bfloat16")


def test_who_loses_the_race_for_the_spec_keeps_to_the_winners(tmp_path, monkeypatch):
    calls = []

    def resolved(recorded):
        calls.append(recorded)
        if recorded is None:  # while the network is built, another machine creates the spec
            chosen = records.chosen_spec(settings(tmp_path).extractor, settings(tmp_path).video)
            records.create_spec(tmp_path / "features", chosen | {"runtime": "tensorflow", "precision": "float16"})
        return runtime.resolve("auto", "auto", GPU if recorded else NEW_CPU, recorded)

    stand_in(monkeypatch, resolved)
    open_extractor(tmp_path)
    assert len(calls) == 2 and calls[1]["precision"] == "float16"


def test_settings_other_than_the_spec_are_refused_before_a_network_is_built(tmp_path, monkeypatch):
    stand_in(monkeypatch, lambda recorded: ("openvino", "float32"))
    open_extractor(tmp_path)
    monkeypatch.setattr(runtime, "make_embed", None)
    with pytest.raises(ValueError, match="precision: 'float32' there, 'bfloat16' for"):
        open_extractor(tmp_path, "extractor.precision=bfloat16")


def test_consumers_accept_auto_and_refuse_another_explicit_choice(tmp_path):
    chosen = settings(tmp_path)
    spec = records.chosen_spec(chosen.extractor, chosen.video)
    folder = tmp_path / "features"
    records.create_spec(folder, spec)  # of before runtime and precision were written down
    assert records.require_spec(folder, chosen.extractor, chosen.video) == spec
    explicit = settings(tmp_path, "extractor.runtime=tensorflow", "extractor.precision=float32")
    assert records.require_spec(folder, explicit.extractor, explicit.video) == spec
    other = settings(tmp_path, "extractor.runtime=openvino").extractor
    with pytest.raises(ValueError, match="runtime: 'tensorflow' there, 'openvino' for this configuration"):
        records.require_spec(folder, other, chosen.video)
    # a model that was trained on a GPU's features takes a CPU's
    trained = spec | {"runtime": "tensorflow", "precision": "float16"}
    records.check_spec(spec, trained, folder, "the trained model")


def test_openvino_in_float16_is_refused():
    with pytest.raises(ValueError, match="precision float16 is for a GPU"):
        config.load(None, ["extractor.runtime=openvino", "extractor.precision=float16"])


# the numbers


RUNTIMES = [("tensorflow", "float32"), ("tensorflow", "bfloat16"), ("openvino", "float32"), ("openvino", "bfloat16")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runtimes")


@pytest.fixture(scope="module")
def embeds(folder):
    """A function per runtime that this machine has, each with the same random weights."""
    native = openvino_network.has_native_bfloat16()
    made = {}
    for name, precision in RUNTIMES:
        if native or (name, precision) != ("openvino", "bfloat16"):
            chosen = settings(folder, f"extractor.runtime={name}", f"extractor.precision={precision}")
            made[name, precision] = runtime.make_embed(chosen.extractor, chosen.video)[0]
    return made


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_from_the_cache_gives_the_same_bits_on_any_number_of_threads(folder, embeds, precision, monkeypatch):
    if ("openvino", precision) not in embeds:
        assert not openvino_network.has_native_bfloat16()
        return
    monkeypatch.setattr(openvino_network, "_convert", None)  # the cache must do
    chosen = settings(folder, "extractor.runtime=openvino", f"extractor.precision={precision}")
    embed, _ = runtime.make_embed(chosen.extractor, chosen.video, callers=3)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(embed, [frames(20)] * 6))
    assert all(np.array_equal(features, embeds["openvino", precision](frames(20))) for features in results)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_what_shares_a_batch_changes_no_bit(embeds, kind):
    if kind not in embeds:
        assert not openvino_network.has_native_bfloat16()
        return
    embed, batch = embeds[kind], frames(32)
    features = embed(batch)
    assert features.shape == (32, 1280) and features.dtype == np.float32
    assert np.array_equal(features, embed(batch))
    order = np.random.default_rng(1).permutation(32)
    assert np.array_equal(features[order], embed(batch[order]))
    for first, last in ((0, 1), (5, 6), (3, 12), (31, 32)):
        assert np.array_equal(features[first:last], embed(batch[first:last]))
    assert np.array_equal(features[:4], embed(np.concatenate([batch[:4], frames(9, seed=2)]))[:4])


@pytest.mark.parametrize("kind", RUNTIMES[1:])
def test_runtimes_differ_by_rounding(embeds, kind):
    if kind not in embeds:
        assert not openvino_network.has_native_bfloat16()
        return
    reference, features = embeds["tensorflow", "float32"](frames(8)), embeds[kind](frames(8))
    error = np.linalg.norm(features - reference, axis=1) / np.linalg.norm(reference, axis=1)
    limit = 1e-5 if kind[1] == "float32" else 5e-2
    assert error.max() < limit
    if kind[1] != "float32":
        assert error.max() > 1e-4  # it does compute in less


def test_frames_go_in_calls_of_one_size():
    sizes = []

    def call(batch):
        sizes.append(len(batch))
        return batch.astype(np.float32).mean(axis=(1, 2))

    embed = runtime.in_calls(call, 4)
    for count in (1, 4, 5, 8):
        np.testing.assert_array_equal(embed(frames(count)), frames(count).astype(np.float32).mean(axis=(1, 2)))
    assert sizes == [4, 4, 4, 4, 4, 4]


# the cache


@pytest.fixture
def conversions(monkeypatch):
    """Replace the conversion of a backbone by a network that is made at once: mean colour times (seed + 1)."""
    from openvino import opset13 as ops

    done = []

    def convert(chosen, resize):
        done.append(chosen.seed)
        pixels = ops.parameter([-1, *resize, 3], np.uint8)
        means = ops.reduce_mean(ops.convert(pixels, "f32"), np.array([1, 2]), keep_dims=False)
        network = openvino_network.import_openvino().Model([ops.multiply(means, np.float32(chosen.seed + 1))], [pixels])
        return network, {"weights_sha256": None, "preprocessing": "x", "feature_shape": [3]}

    monkeypatch.setattr(openvino_network, "_convert", convert)
    return done


def openvino_features(folder, *assignments):
    chosen = settings(folder, "extractor.runtime=openvino", "extractor.precision=float32", *assignments)
    embed, spec = runtime.make_embed(chosen.extractor, chosen.video)
    assert spec["feature_shape"] == [3]
    return embed(frames(3))


def test_the_cache_is_used_and_rebuilt_when_damaged(tmp_path, conversions, caplog):
    first = openvino_features(tmp_path)
    np.testing.assert_allclose(first, frames(3).astype(np.float32).mean(axis=(1, 2)), rtol=1e-5)
    (folder,) = (tmp_path / "cache").iterdir()
    assert {path.name for path in folder.iterdir()} == {"network.xml", "network.bin", "about.json"}
    # another batch size needs no new conversion, other weights do
    for same in ([], ["extractor.batch_size=5"]):
        caplog.clear()
        assert np.array_equal(first, openvino_features(tmp_path, *same))
        assert "random weights" in caplog.text  # also when nothing is built
    assert conversions == [0]
    np.testing.assert_allclose(openvino_features(tmp_path, "extractor.seed=1"), 2 * first, rtol=1e-5)
    assert conversions == [0, 1]
    xml = (folder / "network.xml").read_bytes()
    for name, damage in (("network.xml", xml[:-9]), ("network.bin", b""), ("about.json", b"{"), ("about.json", b"[]")):
        caplog.clear()
        (folder / name).write_bytes(damage)
        assert np.array_equal(first, openvino_features(tmp_path)) and "damaged" in caplog.text
    (folder / "about.json").unlink()
    assert np.array_equal(first, openvino_features(tmp_path))
    assert conversions == [0, 1] + 5 * [0]
    assert len(list((tmp_path / "cache").iterdir())) == 2  # nothing temporary is left


def test_without_a_writable_cache_it_works_and_says_so(tmp_path, conversions, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert openvino_features(tmp_path).shape == (3, 3) and "cannot be written" in caplog.text


def test_the_cache_is_in_the_users_cache_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache.cache_folder("openvino") == Path("/somewhere/temporal-action-localization/openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache.cache_folder("weights") == Path.home() / ".cache/temporal-action-localization/weights"


def test_openvino_reports_to_nobody(tmp_path):
    # in a process of its own: the import is what would report
    script = (
        "import socket, sys\n"
        "def refuse(*args): raise SystemExit('went online')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from extraction import openvino_network as network\n"
        "network.import_openvino().convert_model\n"
        "loaded = [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
        "print(loaded, sys.modules['openvino_telemetry'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "[] None\n", done.stderr
    assert list(tmp_path.iterdir()) == []  # where its consent and client id would be


NETWORK_DROPPED_BY_A_THREAD = """
import os, signal, threading
import numpy as np
from extraction import openvino_network
ov = openvino_network.import_openvino()
pixels = ov.opset13.parameter([1, 8], np.float32)
kept = [openvino_network.core().compile_model(ov.Model([ov.opset13.relu(pixels)], [pixels], "small"), "CPU")]
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_is_heard_after_a_network_has_gone():
    done = subprocess.run([sys.executable, "-c", NETWORK_DROPPED_BY_A_THREAD], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0 and done.stdout == "heard\n", done
