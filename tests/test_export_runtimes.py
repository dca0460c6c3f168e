"""Each export of a run with a real CNN, read by its own runtime in a fresh process, gives the run's own scores."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_exports import make_run, own_scores
from made_localization import film

import predictions_json
import run_folder
import trainer
from video_input import SampledVideo

READER = Path(__file__).with_name("read_exports.py")
REAL = Path(__file__).resolve().parents[2] / "shared/data/videos/validation/GGSY1Qvo990.mp4"
SIZE, FRAMES, SKIP = (64, 96), 6, 3  # as made_exports.SETTINGS has them
# runtime -> what it reads of windows; TensorFlow and OpenVINO read the frames of videos, too
READ_BY = {"tensorflow": {"saved_model", "litert", "keras"}, "onnxruntime": {"onnx"}, "openvino": {"openvino"}}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' and TensorFlow's own
def test_fresh_processes_give_the_scores_of_the_run(tmp_path):
    make_run(tmp_path, f"video.resize={list(SIZE)}", "extractor.backbone=efficientnet_lite0")
    for form in run_folder.EXPORTS:
        assert trainer.main(["-c", str(tmp_path / "config.yml"), "--export", form]) == 0
    trained, random = predictions_json.load_trained(tmp_path), np.random.default_rng(0)
    features = random.normal(size=(3, FRAMES, 2 * trained.feature_spec["feature_shape"][0])).astype(np.float32)
    mask = np.arange(FRAMES) < np.array([[FRAMES], [4], [1]])
    videos = {"made": film(tmp_path / "made.mp4", (2.0, 90), (1.4, 240), (1.2, 30))}
    videos |= {"real": REAL} if REAL.is_file() else {}
    frames = {name: np.stack([frame for frame, _ in SampledVideo(path, SKIP, SIZE)]) for name, path in videos.items()}
    np.savez(tmp_path / "inputs.npz", features=features, mask=mask, **frames)
    expected = {name: own_scores(tmp_path, path) for name, path in videos.items()}
    assert all(np.ptp(scores, axis=0).max() > 0.1 for scores in expected.values())
    for runtime, windows in READ_BY.items():
        subprocess.run([sys.executable, READER, runtime, tmp_path], check=True, timeout=300, cwd="/")
        with np.load(tmp_path / f"{runtime}.npz") as found:
            assert set(found) == windows | (set() if runtime == "onnxruntime" else set(videos))
            for name in windows:
                wanted = trained.classify(features, mask)[mask]
                np.testing.assert_allclose(found[name][mask], wanted, atol=1e-5, err_msg=name)
            for name in set(found) - windows:
                # features are rounded to float16, where the last digit of a CNN decides
                np.testing.assert_allclose(found[name], expected[name], atol=2e-3, err_msg=f"{runtime} {name}")
