"""Accuracy on real and drawn data: trains a configuration with several seeds and scores the held-out subset.

`python benchmarks/accuracy.py fights|salads|sample|order|defaults|planned [--seeds 0 1 2 3 4]`. Nothing is chosen here:
the last step of each training is scored with the settings of configs/, which were chosen on grouped folds of the
training subset, or, with `defaults`, with those of config.yml, or, with `planned`, with those that plan.py chooses.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import config  # noqa: E402
import data  # noqa: E402
import metrics  # noqa: E402
import plan  # noqa: E402
import predictions_json  # noqa: E402
import utils  # noqa: E402
from evaluation import segmentation  # noqa: E402
from features.records import require_spec  # noqa: E402
from planning import rules, writing  # noqa: E402
from planning.folder import DataSet  # noqa: E402
from prediction import decoding  # noqa: E402
from training import tuning  # noqa: E402
from training.run_data import RunData, load_data  # noqa: E402

RESAMPLES = 500
# that differ in nothing but the order of time, on the sample set
ORDER_PAIRS = ("Sitting down", "Standing up", "Raising the arms", "Lowering the arms")
ORDER_FIGURES = ("of all classes", "of the four")
# as action-segmentation papers leave it out of edit and F1 on 50 Salads
SALADS_BACKGROUND = "action_00"

# values by name, in percent
Scores = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Scored:
    """A scored subset: for each video its refined class scores [T, K], true classes [T], and results by three methods.

    `runs`: runs of equal class of the same frame scores; `as_in_2018`: of those of windows that do not overlap.
    """

    store: data.FeatureStore
    scores: list[np.ndarray]
    true: list[np.ndarray]
    results: dict[str, list[dict]]
    runs: dict[str, list[dict]]
    as_in_2018: dict[str, list[dict]]
    run_data: RunData
    subset: str

    def values(self, videos: np.ndarray, background: tuple[int, ...]) -> Scores:
        """All figures over some of the videos, by their numbers, each as often as it comes."""
        names = [(f"{self.store.ids[video]}#{number}", self.store.ids[video]) for number, video in enumerate(videos)]
        annotated = self.run_data.annotated
        copies = {new: dataclasses.replace(annotated.videos[old], id=new) for new, old in names}
        annotated = dataclasses.replace(annotated, videos=copies)

        def evaluated(results: dict[str, list[dict]]) -> metrics.Evaluation:
            return metrics.evaluate(
                annotated, {new: results[old] for new, old in names}, self.subset, ignore_unknown_labels=True
            )

        scored, runs, old = evaluated(self.results), evaluated(self.runs), evaluated(self.as_in_2018)
        frames = segmentation.evaluate_segmentation(
            [self.scores[video].argmax(axis=1) for video in videos], [self.true[video] for video in videos],
            background=background,
        )  # fmt: skip
        return {
            "accuracy": 100 * frames.accuracy, "edit": 100 * frames.edit,
            "F1@50": 100 * frames.f1[0.5], "average mAP": 100 * scored.average_mAP,
            "mAP@0.5": 100 * scored.mAP[0], "by runs": 100 * runs.average_mAP, "as in 2018": 100 * old.average_mAP,
        }  # fmt: skip


def train_and_predict(settings: config.Config, subset: str) -> Scored:
    """Train to the last step and predict `subset`, whose labels nothing but the score sees."""
    spec = require_spec(settings.paths.feature_map_folder, settings.extractor, settings.video)
    run_data = load_data(settings.paths, settings.data, spec, ("training",), settings.model.output)
    training = tuning.fit(run_data, run_data.training.labels, settings.data, settings.model, settings.train)
    index = {name: number for number, name in enumerate(run_data.classes)}
    store = data.load_store(
        settings.paths.feature_map_folder, subset, run_data.annotated.subset(subset), index, run_data.preparation
    )
    chosen, model = settings.predict, run_data.model(training.classify)
    scores, side_by_side = (
        predictions_json.frame_scores(store, model.classify, settings.data.max_frames, stride)
        for stride in (chosen.window_stride, settings.data.max_frames)
    )
    refined = [
        decoding.refine(values, store.boundaries(video), chosen, store.cuts[store.rows(video)], model.output)
        for video, values in enumerate(scores)
    ]
    # the original knew neither shortest lengths nor suppression
    plain = {"method": "runs", "nms": "none", "min_seconds": 0.0, "min_seconds_quantile": 0.0}
    by_runs = chosen.model_copy(update=plain)
    results, runs, as_in_2018 = (
        predictions_json.predict(store, each, model, way)
        for each, way in ((scores, chosen), (scores, by_runs), (side_by_side, by_runs))
    )
    true = [store.labels[store.rows(video)] for video in range(len(store.ids))]
    return Scored(store, refined, true, results, runs, as_in_2018, run_data, subset)


def report(title: str, parts: list[Scored], background: tuple[int, ...] = (0,)) -> Scores:
    """Print a line of figures, means over `parts` (the splits), with the interval of a bootstrap over videos."""

    def mean(resample: np.random.Generator | None) -> Scores:
        each = []
        for part in parts:
            count = len(part.store.ids)
            chosen = np.arange(count) if resample is None else resample.integers(0, count, count)
            each.append(part.values(chosen, background))
        return {name: float(np.mean([values[name] for values in each])) for name in each[0]}

    values = mean(None)
    random = np.random.default_rng(0)
    samples = [mean(random) for _ in range(RESAMPLES // len(parts))]
    cells = []
    for name, value in values.items():
        low, high = np.percentile([sample[name] for sample in samples], [2.5, 97.5])
        cells.append(f"{name} {value:5.1f} [{low:.1f}, {high:.1f}]")
    print(f"{title:<10} " + "   ".join(cells), flush=True)
    return values


def summary(values: list[Scores]) -> None:
    """Print the mean over seeds of each figure and its standard deviation."""
    cells = []
    for name in values[0]:
        some = [each[name] for each in values]
        cells.append(f"{name} {np.mean(some):.1f} ± {np.std(some):.1f}")
    mean = {name: np.mean([each[name] for each in values]) for name in ("average mAP", "by runs", "as in 2018")}
    runs, old = (100 * (mean["average mAP"] / max(mean[name], 1e-9) - 1) for name in ("by runs", "as in 2018"))
    print(f"{'mean':<10} " + "   ".join(cells) + f"   over runs {runs:+.0f} %, over 2018 {old:+.0f} %", flush=True)


def run_stage(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, cwd=PROJECT)


def load(name: str, *assignments: str) -> config.Config:
    return config.load(PROJECT / f"configs/{name}.yml", list(assignments))


def extracted(name: str, paths: dict[str, Path], *subsets: str) -> list[str]:
    """The settings of these `paths`; features are extracted as configs/NAME.yml says, where they are not there."""
    settings = [f"paths.{key}={path}" for key, path in paths.items()]
    options = [part for setting in settings for part in ("--set", setting)]
    run_stage("feature_map_extractor.py", "-c", f"configs/{name}.yml", *options, *subsets)
    return settings


def fights_paths(arguments: argparse.Namespace) -> list[str]:
    """Where the surveillance fights are; features are extracted when they are not there."""
    folder = arguments.data / "fights"
    own = {"json_data_path": folder / "fights.json", "videos_folder": folder / "videos",
           "feature_map_folder": arguments.work / "fights"}  # fmt: skip
    return extracted("fights", own, "training", "validation")


def salads_paths(arguments: argparse.Namespace) -> list[list[str]]:
    """Where the splits of 50 Salads are; features are imported when they are not there."""
    folder = arguments.data / "salads"
    splits = []
    for number in range(1, 6):
        splits.append([
            f"paths.json_data_path={folder / f'split{number}.json'}",
            f"paths.feature_map_folder={arguments.work / f'salads{number}'}",
        ])  # fmt: skip
        options = [part for path in (*splits[-1], "extractor.dtype=float32") for part in ("--set", path)]
        run_stage("data.py", "import", str(folder / "features"), "--rate", "1", *options)
    return splits


def fights(arguments: argparse.Namespace) -> None:
    """The validation subset of the surveillance fights."""
    paths = fights_paths(arguments)
    every_seed(arguments, lambda seed: [train_and_predict(load("fights", *paths, seed), "validation")])


def salads(arguments: argparse.Namespace) -> None:
    """50 Salads in 5 splits, with 15-step windows and with windows of two minutes."""
    splits = salads_paths(arguments)
    for name in ("salads", "salads_long"):
        print(f"\n{name}")

        def predicted(seed: str, name: str = name) -> list[Scored]:
            return [train_and_predict(load(name, *paths, seed), "validation") for paths in splits]

        every_seed(arguments, predicted, SALADS_BACKGROUND)


def sample(arguments: argparse.Namespace) -> None:
    """The testing subset of the sample set, whose features `make demo` leaves in data/sample."""
    every_seed(arguments, lambda seed: [train_and_predict(load("sample", seed), "testing")])


def defaults(arguments: argparse.Namespace) -> None:
    """Each data set with config.yml as it is, 2,000 steps: what decoding adds where nothing was chosen for the data."""

    def of_config_yml(name: str, seed: str, paths: Sequence[str] = ()) -> config.Config:
        features = load(name, *paths)  # made with the settings of the data set
        kept = {section: getattr(features, section) for section in ("paths", "video", "extractor")}
        return config.load(None, ["train.max_steps=2000", seed]).model_copy(update=kept)

    print("\nsample")
    every_seed(arguments, lambda seed: [train_and_predict(of_config_yml("sample", seed), "testing")])
    print("\nfights")
    paths = fights_paths(arguments)
    every_seed(arguments, lambda seed: [train_and_predict(of_config_yml("fights", seed, paths), "validation")])
    print("\nsalads")
    splits = salads_paths(arguments)
    every_seed(
        arguments,
        lambda seed: [train_and_predict(of_config_yml("salads", seed, split), "validation") for split in splits],
        SALADS_BACKGROUND,
    )


def planned(arguments: argparse.Namespace) -> None:
    """Each of --sets with what plan.py chooses of its training subset: the recipe, with rules, with the search."""
    parts = {
        "sample": lambda: ("sample", "testing", [[]]),
        "fights": lambda: ("fights", "validation", [fights_paths(arguments)]),
        "salads": lambda: ("salads", "validation", salads_paths(arguments)),
    }
    for name in arguments.sets:
        file, subset, splits = parts[name]()
        bases = [load(file, *paths) for paths in splits]
        for column in ("recipe", "rules", "search")[: 3 if arguments.trials else 2]:
            chosen = [_planned(base, arguments.work / f"plans/{name}{number}-{column}", column, arguments.trials)
                      for number, base in enumerate(bases)]  # fmt: skip
            print(f"\n{name}, {column}", flush=True)

            def predicted(seed: str, chosen: list[Path] = chosen, subset: str = subset) -> list[Scored]:
                return [train_and_predict(config.load(file, [seed]), subset) for file in chosen]

            every_seed(arguments, predicted, SALADS_BACKGROUND if name == "salads" else None)


def _planned(base: config.Config, folder: Path, column: str, trials: int) -> Path:
    """A file of settings, planned of the training features and annotations that `base` names."""
    paths = {key: str(value) for key, value in base.paths} | {"model_dir": str(folder)}
    given = rules.given(base.model_dump(mode="json"))
    if column == "recipe":
        folder.mkdir(parents=True, exist_ok=True)
        writing.write_plan(folder, paths, rules.recipe() | given, {})
    else:
        plan.run(DataSet(folder, paths, given), minutes=0, trials=trials if column == "search" else None)
    return folder / writing.SETTINGS


def every_seed(
    arguments: argparse.Namespace, predicted: Callable[[str], list[Scored]], left_out: str | None = None
) -> None:
    """Print a line for each seed and their mean; the class `left_out` is no segment for edit and F1."""
    values = []
    for seed in arguments.seeds:
        parts = predicted(f"train.seed={seed}")
        background = (0,) if left_out is None else (0, parts[0].run_data.classes.index(left_out))
        values.append(report(f"seed {seed}", parts, background))
    summary(values)


def order(arguments: argparse.Namespace) -> None:
    """The actions of the sample set that differ in the order of time only: BiLSTM against a classifier of frames.

    The latter is the same network with windows of one frame. Components make it affordable and fair: a frame's
    classifier, too, gets numbers that it cannot learn by heart.
    """
    plain = ("data.temporal_difference=none", "data.components=[64]", "model.dropout=0.5")
    differences = ("data.temporal_difference=signed", "data.components=[64,64]", "model.dropout=0.5")
    single = ("data.max_frames=1", "data.window_stride=1", "data.batch_size=512", "predict.window_stride=1")
    for title, changes in (("features alone", plain), ("with signed differences", differences)):
        gains = []
        for seed in arguments.seeds:
            each = [
                _order_accuracy(train_and_predict(load("sample", *changes, *windows, f"train.seed={seed}"), "testing"))
                for windows in ((), single)
            ]
            gains.append([with_context - alone for with_context, alone in zip(*each, strict=True)])
            cells = (
                f"{name}: BiLSTM {with_context:.1f}, frames alone {alone:.1f}"
                for name, with_context, alone in zip(ORDER_FIGURES, *each, strict=True)
            )
            print(f"{title}, seed {seed}, " + "; ".join(cells), flush=True)
        for name, some in zip(ORDER_FIGURES, np.transpose(gains), strict=True):
            print(f"{title}, {name}: gain {np.mean(some):+.1f} ± {np.std(some):.1f} points")


def _order_accuracy(scored: Scored) -> list[float]:
    """Percent of the pairs' frames that are right among all classes, and when only the pairs' classes may be said."""
    classes = np.asarray([scored.run_data.classes.index(name) for name in ORDER_PAIRS])
    true, scores = np.concatenate(scored.true), np.concatenate(scored.scores)
    of_pairs = np.isin(true, classes)
    free = (scores.argmax(axis=1) == true)[of_pairs]
    forced = (classes[scores[:, classes].argmax(axis=1)] == true)[of_pairs]
    return [100 * float(free.mean()), 100 * float(forced.mean())]


STUDIES = {"fights": fights, "salads": salads, "sample": sample, "order": order, "defaults": defaults,
           "planned": planned}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", choices=tuple(STUDIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared/data", help="where fights, salads are")
    parser.add_argument("--work", type=Path, default=PROJECT / "runs/accuracy", help="folder of extracted features")
    sets = ("sample", "fights", "salads")
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(sets), help="of study planned")
    parser.add_argument("--trials", type=int, default=0, metavar="N", help="of the search of study planned; 0: none")
    arguments = parser.parse_args()
    arguments.data, arguments.work = arguments.data.resolve(), arguments.work.resolve()
    utils.start_tensorflow()
    STUDIES[arguments.study](arguments)


if __name__ == "__main__":
    main()
