"""Trained model + feature files -> predictions in ActivityNet's JSON layout.

Symbols: T sampled frames of a video, B windows a batch, K classes with background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import annotations
import config
import data
import decoding
import utils
from feature_records import SPEC_FILE, check_spec, require_spec

# windows float32 [B, T, D'] and mask bool [B, T] -> probabilities float32 [B, T, K]
Classify = Callable[[np.ndarray, np.ndarray], np.ndarray]
WINDOWS_A_BATCH = 64
DETAILS = "CNN features pretrained on ImageNet"
# sections of the configuration that a prediction must share with the training
TRAINED_SECTIONS = ("video", "extractor", "data", "model")
# their settings that change nothing in what the model takes or gives
FREE_SETTINGS = ("extractor.batch_size", "data.batch_size", "data.shuffle", "data.window_stride")


@dataclass(frozen=True)
class TrainedModel:
    """A run's model: its classes (background first), how it wants features, and what classifies windows."""

    classes: tuple[str, ...]
    preparation: data.Preparation
    feature_spec: dict
    classify: Classify


def frame_scores(store: data.FeatureStore, classify: Classify, max_frames: int, stride: int) -> list[np.ndarray]:
    """Class probabilities [T, K] of each video of a store: the mean over the overlapping windows that see a frame.

    Args:
      store: prepared features.
      classify: see `Classify`; called with at most WINDOWS_A_BATCH windows.
      max_frames: sampled frames a window.
      stride: sampled frames from window to window, at most `max_frames`.
    """
    windows = data.store_windows(store.offsets, max_frames, stride)
    total: np.ndarray | None = None
    seen = np.zeros((len(store.features), 1), np.float32)
    done = 0
    for batch in data.input_fn(store, windows, max_frames, WINDOWS_A_BATCH).as_numpy_iterator():
        mask = batch["mask"]
        probabilities = np.asarray(classify(batch["features"], mask))
        if total is None:
            total = np.zeros((len(store.features), probabilities.shape[-1]), np.float32)
        rows = (windows[done : done + len(mask), :1] + np.arange(max_frames))[mask]
        np.add.at(total, rows, probabilities[mask])
        np.add.at(seen, rows, 1)
        done += len(mask)
    return [total[store.rows(video)] / seen[store.rows(video)] for video in range(len(store.ids))]


def predict(
    store: data.FeatureStore,
    classify: Classify,
    classes: tuple[str, ...],
    max_frames: int,
    settings: config.PredictSettings,
) -> dict[str, list[dict]]:
    """The `results` of ActivityNet's layout: video id -> [{label, score, segment}], best first, times in seconds."""
    results = {}
    scores = frame_scores(store, classify, max_frames, settings.window_stride)
    for video, (video_id, probabilities) in enumerate(zip(store.ids, scores, strict=True)):
        found = decoding.decode(probabilities, store.boundaries(video), settings)
        results[video_id] = [
            {
                "label": classes[label],
                "score": round(float(score), 6),
                "segment": [round(float(seconds), 3) for seconds in span],
            }
            for span, label, score in zip(found.segments, found.classes, found.scores, strict=True)
        ]
    return results


def write_predictions(path: Path, version: str, results: dict[str, list[dict]]) -> None:
    """Write a submission as the ActivityNet challenge defined it."""
    external = {"used": True, "details": DETAILS}
    utils.write_json(path, {"version": version, "external_data": external, "results": results})


def predictions_path(settings: config.Config) -> Path:
    return settings.paths.model_dir / f"predictions_{settings.predict.subset}.json"


def check_settings(settings: config.Config, run_config: Path) -> None:
    """Raise ValueError unless `settings` agree with those that a run was trained with, in what its model depends on."""
    differing = [
        difference for difference in config.differences(config.load(run_config), settings, TRAINED_SECTIONS)
        if not difference.startswith(FREE_SETTINGS)
    ]  # fmt: skip
    if differing:
        raise ValueError(f"{run_config}: trained with other settings: {'; '.join(differing)}. Use -c {run_config}")


def load_trained(run_folder: Path) -> TrainedModel:
    """Load the model that trainer.py exported. Raises ValueError that names what is missing and the command to run."""
    import tensorflow as tf

    description = run_folder / "model.json"
    if not description.is_file() or not (run_folder / "saved_model").is_dir():
        raise ValueError(f"{run_folder}: holds no trained model: run `python trainer.py` with the same settings first")
    value = utils.read_json(description)
    try:
        preparation = data.preparation_from_json(value["preparation"])
        classes, feature_spec = tuple(value["classes"]), value["features"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{description}: expected what trainer.py writes; train again") from None
    loaded = tf.saved_model.load(str(run_folder / "saved_model"))
    serve = loaded.signatures["serving_default"]

    def classify(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return serve(features=tf.constant(features), mask=tf.constant(mask))["probabilities"].numpy()

    # the signature keeps only a weak hold of what was loaded
    classify.loaded = loaded
    return TrainedModel(classes, preparation, feature_spec, classify)


def run(settings: config.Config) -> int:
    """Predict the subset `predict.subset` with the run in `paths.model_dir`."""
    paths, subset = settings.paths, settings.predict.subset
    utils.start_tensorflow()
    model = load_trained(paths.model_dir)
    check_settings(settings, paths.model_dir / "config.yml")
    spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
    check_spec(spec, model.feature_spec, paths.feature_map_folder / SPEC_FILE, "the trained model")
    annotated = annotations.load(paths.json_data_path)
    store = data.load_store(paths.feature_map_folder, subset, annotated.subset(subset), {}, model.preparation)
    results = predict(store, model.classify, model.classes, settings.data.max_frames, settings.predict)
    path = predictions_path(settings)
    write_predictions(path, annotated.version, results)
    count = sum(map(len, results.values()))
    print(f"{count} segments in {len(results)} {subset} videos ({len(store.missing)} without features) -> {path}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = config.make_parser("Predict segments with a trained model and write them in ActivityNet's JSON layout.")
    parser.add_argument("--subset", choices=config.SUBSETS, help="the same as --set predict.subset=…")
    arguments = parser.parse_args(argv)
    if arguments.subset:
        arguments.set.append(f"predict.subset={arguments.subset}")
    return utils.run_script(lambda: run(config.from_arguments(arguments)), arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
