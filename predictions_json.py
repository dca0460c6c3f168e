"""Trained model + feature files -> predictions in ActivityNet's JSON layout.

Symbols: T sampled frames of a video, B windows a batch, K classes with background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from environment import prerequisites  # noqa: F401

import numpy as np

import annotations
import command_line
import config
import data
import run_folder
import utils
from features import preparation
from features.records import SPEC_FILE, check_spec, require_spec
from prediction import decoding, ranking, score_file

# windows float32 [B, T, D'] and mask bool [B, T] -> probabilities float32 [B, T, K]
Classify = Callable[[np.ndarray, np.ndarray], np.ndarray]
WINDOWS_A_BATCH = 64
DETAILS = "CNN features pretrained on ImageNet"


@dataclass(frozen=True)
class TrainedModel:
    """A run's model.

    Attributes:
      classes: [K] names, background first.
      preparation: how it wants features.
      feature_spec: `extractor.json` of the features it was trained on.
      segment_seconds: [K, Q] quantiles, evenly spaced from 0 to 1, of the lengths of each class's training segments.
      classify: see `Classify`.
      output: softmax: a frame's probabilities sum to 1 | sigmoid: each class's is by itself.
    """

    classes: tuple[str, ...]
    preparation: preparation.Preparation
    feature_spec: dict
    segment_seconds: np.ndarray
    classify: Classify
    output: Literal["softmax", "sigmoid"] = "softmax"


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
        probabilities = np.asarray(classify(batch["features"].astype(np.float32, copy=False), mask))
        if total is None:
            total = np.zeros((len(store.features), probabilities.shape[-1]), np.float32)
        rows = (windows[done : done + len(mask), :1] + np.arange(max_frames))[mask]
        np.add.at(total, rows, probabilities[mask])
        np.add.at(seen, rows, 1)
        done += len(mask)
    return [total[store.rows(video)] / seen[store.rows(video)] for video in range(len(store.ids))]


def predict(
    store: data.FeatureStore, scores: list[np.ndarray], model: TrainedModel, settings: config.PredictSettings
) -> dict[str, list[dict]]:
    """The `results` of ActivityNet's layout: video id -> [{label, score, segment}], best first, times in seconds.

    Args:
      store: the videos.
      scores: for each, class probabilities [T, K], of `frame_scores`.
      model: its classes name the labels; `classify` is not used.
      settings: section `predict` of the configuration.
    """
    results = {}
    for video, (video_id, probabilities) in enumerate(zip(store.ids, scores, strict=True)):
        cuts = store.cuts[store.rows(video)]
        detections = decoding.decode(
            probabilities, store.boundaries(video), settings, cuts, model.segment_seconds, model.output
        )
        results[video_id] = [
            {
                "label": model.classes[label],
                "score": round(float(score), 6),
                "segment": [round(float(seconds), 3) for seconds in span],
            }
            for span, label, score in zip(detections.segments, detections.classes, detections.scores, strict=True)
        ]
    return results


def write_subset(
    folder: Path, chosen: config.PredictSettings, max_frames: int, version: str, store: data.FeatureStore,
    model: TrainedModel,
) -> str:  # fmt: skip
    """Predict a store and write predictions_<subset>.json, and scores_<subset>.npz where the settings ask for it.

    Args:
      folder: of the run.
      chosen: the subset, and how segments are decoded.
      max_frames: of a window.
      version: of the annotations.
      store: the subset's features, prepared.
      model: the run's.

    Returns a line that says what was written.
    """
    scores = frame_scores(store, model.classify, max_frames, chosen.window_stride)
    results = predict(store, scores, model, chosen)
    path = run_folder.predictions_file(folder, chosen.subset)
    write_predictions(path, version, results)
    scores_path = run_folder.scores_file(folder, chosen.subset)
    if chosen.save_scores:
        refined = _refined(store, scores, chosen, model.output)
        score_file.write_scores(scores_path, model.classes, refined, model.output)
    else:
        # those of an earlier run would belie the predictions
        scores_path.unlink(missing_ok=True)
    count, videos = sum(map(len, results.values())), f"{len(results)} {chosen.subset} videos"
    return f"{count} segments in {videos} ({len(store.missing)} without features) -> {path}"


def _refined(
    store: data.FeatureStore,
    scores: list[np.ndarray],
    settings: config.PredictSettings,
    output: Literal["softmax", "sigmoid"],
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Of each video the id, the smoothed scores that its segments were decoded from, and its boundaries."""
    for video, (name, probabilities) in enumerate(zip(store.ids, scores, strict=True)):
        boundaries, cuts = store.boundaries(video), store.cuts[store.rows(video)]
        yield name, decoding.refine(probabilities, boundaries, settings, cuts, output), boundaries


def write_predictions(path: Path, version: str, results: dict[str, list[dict]]) -> None:
    """Write a submission as the ActivityNet challenge defined it."""
    external = {"used": True, "details": DETAILS}
    utils.write_json(path, {"version": version, "external_data": external, "results": results})


def refuse_differences(differing: list[str], run_config: Path) -> None:
    """Raise ValueError that names in what settings and those that a run was trained with are `differing`, if anything;
    see `run_folder.differences`."""
    if differing:
        raise ValueError(f"{run_config}: trained with other settings: {'; '.join(differing)}. Use -c {run_config}")


def load_trained(folder: Path) -> TrainedModel:
    """Load the model that trainer.py exported. Raises ValueError that names what is missing and the command to run."""
    import tensorflow as tf

    description = folder / run_folder.DESCRIPTION
    if not description.is_file() or not (folder / run_folder.SAVED_MODEL).is_dir():
        raise ValueError(f"{folder}: holds no trained model: run `python trainer.py` with the same settings first")
    value = utils.read_json(description)
    try:
        prepared = preparation.preparation_from_json(value["preparation"])
        classes, feature_spec, output = tuple(value["classes"]), value["features"], value.get("output", "softmax")
        segment_seconds = np.asarray(value["segment_seconds"], np.float64).reshape(len(classes), -1)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{description}: expected what trainer.py writes; train again") from None
    loaded = run_folder.load_saved_model(folder / run_folder.SAVED_MODEL)
    serve = loaded.signatures["serving_default"]

    def classify(features: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return serve(features=tf.constant(features), mask=tf.constant(mask))["probabilities"].numpy()

    # the signature keeps only a weak hold of what was loaded
    classify.loaded = loaded
    return TrainedModel(classes, prepared, feature_spec, segment_seconds, classify, output)


def run(settings: config.Config) -> int:
    """Predict the subset `predict.subset` with the run in `paths.model_dir`."""
    paths, subset = settings.paths, settings.predict.subset
    utils.start_tensorflow()
    model, run_config = load_trained(paths.model_dir), paths.model_dir / run_folder.CONFIG
    refuse_differences(run_folder.differences(dict(config.load(run_config)), dict(settings), "model"), run_config)
    spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
    check_spec(spec, model.feature_spec, paths.feature_map_folder / SPEC_FILE, "the trained model")
    annotated = annotations.load(paths.json_data_path)
    store = data.open_store(paths, settings.data.cache, subset, annotated.subset(subset), {}, model.preparation)
    decoding_of_run = run_folder.own_decoding(paths.model_dir, settings.predict)
    if decoding_of_run != settings.predict:
        utils.LOGGER.info("segments are decoded as chosen on folds: %s", paths.model_dir / run_folder.TUNED)
    print(write_subset(paths.model_dir, decoding_of_run, settings.data.max_frames, annotated.version, store, model))
    return 0


def suggest(paths: config.PathSettings, taxonomy_level: int, count: int) -> int:
    """Print the `count` videos that are worth labelling next, by the scores of the run in `paths.model_dir`."""
    annotated = annotations.load(paths.json_data_path)
    files = [path for subset in config.SUBSETS if (path := run_folder.scores_file(paths.model_dir, subset)).is_file()]
    if not files:
        raise ValueError(
            f"{paths.model_dir}: holds no scores: run predictions_json.py with --set predict.save_scores=true on "
            "videos that are not labelled (docs/labelling.md)"
        )
    seconds = {name: sum(counts[subset].seconds for subset in config.SUBSETS)
               for name, counts in annotated.statistics(taxonomy_level).items()}  # fmt: skip
    classes, candidates = score_file.candidates(files, set(annotated.videos))
    ranked = ranking.rank_videos(candidates, ranking.labelled_seconds(classes, seconds), count)
    if not ranked:
        print(f"all videos with scores in {paths.model_dir} are labelled in {paths.json_data_path}")
    for number, video in enumerate(ranked, start=1):
        helped = ", ".join(classes[label] for label in video.classes)
        print(f"{number:>3}  {video.id}  {video.seconds:.0f} s  {helped}")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Predict segments with a trained model and write them in ActivityNet's JSON layout."
    )
    parser.add_argument("--subset", choices=config.SUBSETS, help="the same as --set predict.subset=…")
    parser.add_argument("--suggest", type=int, metavar="N", help="instead: the N videos to label next, best first")
    arguments = parser.parse_args(argv)
    if arguments.subset:
        arguments.set.append(f"predict.subset={arguments.subset}")

    def chosen() -> int:
        settings = command_line.from_arguments(arguments)
        if arguments.suggest is not None:
            return suggest(settings.paths, settings.data.taxonomy_level, arguments.suggest)
        return run(settings)

    return command_line.run_script(chosen, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
