"""Orders of labelling against each other in minutes: a ridge classifier in the place of the network, many seeds.

`python benchmarks/orders.py -c configs/sample.yml [--seeds 12] [--begin 4] [--stretch 4] [--subset testing]
[--plot FILE.svg]`. A simulated labeller begins with the same training videos in each order, drawn at random, and
answers with the true labels. Scores are decoded and measured as everywhere; nothing is chosen on `--subset`. An order
is tried with the network by benchmarks/labelling.py, which takes hours for as many seeds. Stretches labelled by
themselves, which label.py cannot do, tell what an order of whole videos leaves out.

Symbols: N frames of all videos, D numbers a frame, K classes with background.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import annotations  # noqa: E402
import config  # noqa: E402
import data  # noqa: E402
import metrics  # noqa: E402
import predictions_json  # noqa: E402
import utils  # noqa: E402
from annotations import Annotations  # noqa: E402
from prediction import ranking  # noqa: E402
from training import run_data  # noqa: E402

BUDGETS = (1, 1.5, 2, 3, 4, 6, 8)  # of the seconds that all orders begin with
ORDERS = ("random", "suggested", "random stretches", "suggested stretches")
COMPONENTS, REACH = 64, 2  # of the features; frames of a quarter of a window before and behind that a frame is told by
PENALTY, SHARPNESS = 30.0, 6.0  # of the ridge; from its answers to probabilities


@dataclass(frozen=True)
class Material:
    """Training and held-out videos: stores, and what the ridge sees of each frame, [N, D]."""

    settings: config.Config
    annotated: Annotations
    classes: tuple[str, ...]
    subset: str
    stores: tuple[data.FeatureStore, data.FeatureStore]
    inputs: tuple[np.ndarray, np.ndarray]
    lengths: np.ndarray  # [N] seconds of the training frames


def load(settings: config.Config, subset: str) -> Material:
    """The features of the training videos and of `subset`, their components with those of the frames around."""
    annotated = annotations.load(settings.paths.json_data_path)
    classes = annotated.classes(settings.data.taxonomy_level, settings.data.min_examples)
    index = {name: number for number, name in enumerate(classes) if number}
    folder, training = settings.paths.feature_map_folder, annotated.subset("training")
    prepared = run_data.learn_preparation(folder, training, settings.data)
    stores = (
        data.load_store(folder, "training", training, index, prepared),
        data.load_store(folder, subset, annotated.subset(subset), index, prepared),
    )
    features = np.asarray(stores[0].features, np.float64)
    centre = features.mean(axis=0)
    vectors = np.linalg.eigh(np.cov((features - centre).T))[1][:, ::-1][:, :COMPONENTS]
    step = max(settings.data.max_frames // 4, 1)

    def inputs(store: data.FeatureStore) -> np.ndarray:
        components = (np.asarray(store.features, np.float64) - centre) @ vectors
        around = np.arange(-REACH, REACH + 1) * step
        parts = []
        for video in range(len(store.ids)):
            of_video = components[store.rows(video)]
            rows = np.clip(np.arange(len(of_video))[:, None] + around, 0, len(of_video) - 1)
            parts.append(of_video[rows].reshape(len(of_video), -1))
        return np.concatenate(parts)

    seen, held_out = inputs(stores[0]), inputs(stores[1])
    scale = seen.std(axis=0).mean()
    seen, held_out = (np.concatenate([one / scale, np.ones((len(one), 1))], axis=1) for one in (seen, held_out))
    lengths = np.concatenate([np.diff(stores[0].boundaries(video)) for video in range(len(stores[0].ids))])
    return Material(settings, annotated, classes, subset, stores, (seen, held_out), lengths)


def learn(material: Material, labelled: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What gives class probabilities [N, K] after learning from the training frames that are `labelled`, bool [N]."""
    wanted = np.eye(len(material.classes))[material.stores[0].labels[labelled]]
    prior = wanted.mean(axis=0)
    seen = material.inputs[0][labelled]
    weights = np.linalg.solve(seen.T @ seen + PENALTY * np.eye(seen.shape[1]), seen.T @ (wanted - prior))

    def classify(frames: np.ndarray) -> np.ndarray:
        scores = SHARPNESS * (frames @ weights + prior)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True)) * (prior > 0)
        return odds / odds.sum(axis=1, keepdims=True)

    return classify


def score(material: Material, classify: Callable[[np.ndarray], np.ndarray], labelled: np.ndarray) -> float:
    """The average mAP, in percent, on the held-out videos."""
    training, store = material.stores
    probabilities = classify(material.inputs[1])
    videos = [material.annotated.videos[name] for number, name in enumerate(training.ids)
              if labelled[training.rows(number)].any()]  # fmt: skip
    index = {name: number for number, name in enumerate(material.classes) if number}
    lengths = run_data.segment_seconds(videos, index, len(material.classes))
    model = predictions_json.TrainedModel(material.classes, None, {}, lengths, None)
    scores = [probabilities[store.rows(video)] for video in range(len(store.ids))]
    results = predictions_json.predict(store, scores, model, material.settings.predict)
    return 100 * metrics.evaluate(material.annotated, results, material.subset, ignore_unknown_labels=True).average_mAP


def suggested(material: Material, labelled: np.ndarray, left: list[int], probabilities: np.ndarray) -> list[int]:
    """The videos that are left, in the order of `predictions_json.py --suggest`."""
    store = material.stores[0]
    known = np.bincount(store.labels[labelled], material.lengths[labelled], len(material.classes))
    candidates = [ranking.candidate(str(video), probabilities[store.rows(video)], store.boundaries(video))
                  for video in left]  # fmt: skip
    return [int(video.id) for video in ranking.rank_videos(candidates, known, len(left))]


def covering(
    material: Material, labelled: np.ndarray, left: list[int], probabilities: np.ndarray, units: list[np.ndarray]
) -> list[int]:
    """The stretches that are left, those first that are like many which are unsure and like none that is labelled."""
    means = np.stack([material.inputs[0][rows].mean(axis=0) for rows in units])
    means -= means.mean(axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True) + 1e-12
    alike = means @ means.T
    entropy = -(probabilities * np.log(probabilities + 1e-9)).sum(axis=1)
    unsure = np.array([entropy[rows].mean() for rows in units])
    seconds = np.array([material.lengths[rows].sum() for rows in units])
    covered = alike[:, [number for number in range(len(units)) if labelled[units[number]].any()]].max(axis=1)
    order, left = [], list(left)
    while left:
        gains = unsure @ np.maximum(alike[:, left] - covered[:, None], 0) / seconds[left]
        order.append(left.pop(int(gains.argmax())))
        covered = np.maximum(covered, alike[:, order[-1]])
    return order


def simulate(material: Material, seed: int, begin: int, order: str, stretch: float) -> tuple[list[float], list[float]]:
    """The labelled seconds and the average mAP at each of BUDGETS."""
    store, chance = material.stores[0], np.random.default_rng(seed)
    labelled = np.zeros(len(store.features), bool)
    for video in chance.permutation(len(store.ids))[:begin]:
        labelled[store.rows(video)] = True
    first, values, used = material.lengths[labelled].sum(), [], []
    units = [np.arange(len(labelled))[store.rows(video)] for video in range(len(store.ids))]
    if order.endswith("stretches"):
        units = [part for rows in units
                 for part in np.array_split(rows, max(round(material.lengths[rows].sum() / stretch), 1))]  # fmt: skip
    queue = chance.permutation(len(units)).tolist()
    classify = learn(material, labelled)
    for budget in BUDGETS:
        left = [unit for unit in queue if not labelled[units[unit]].all()]
        if left and "suggested" in order:
            probabilities = classify(material.inputs[0])
            left = (covering(material, labelled, left, probabilities, units) if order.endswith("stretches")
                    else suggested(material, labelled, left, probabilities))  # fmt: skip
        for unit in left:
            # the nearest to the budget, so that long videos do not buy more
            if material.lengths[labelled].sum() + material.lengths[units[unit]].sum() / 2 > first * budget:
                break
            labelled[units[unit]] = True
        classify = learn(material, labelled)
        values.append(score(material, classify, labelled))
        used.append(float(material.lengths[labelled].sum()))
    return used, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--begin", type=int, default=4, metavar="VIDEOS")
    parser.add_argument("--stretch", type=float, default=4.0, metavar="SECONDS", help="that are labelled by themselves")
    parser.add_argument("--subset", default="testing")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    arguments = parser.parse_args()
    material = load(config.load(arguments.config, arguments.set), arguments.subset)
    found: dict[str, list] = {order: [] for order in ORDERS}
    for seed in range(arguments.seeds):
        for order, runs in found.items():
            runs.append(simulate(material, seed, arguments.begin, order, arguments.stretch))
        print(f"seed {seed} of {arguments.seeds}", file=sys.stderr, flush=True)
    used = np.mean([used for used, _ in found["random"]], axis=0)
    print(f"{'seconds':<20}" + "".join(f"{mean:>12.0f}" for mean in used))
    chance = np.array([value for _, value in found["random"]])
    for order, runs in found.items():
        values = np.array([value for _, value in runs])
        print(f"{order:<20}" + "".join(f"{mean:>12.1f}" for mean in values.mean(axis=0)))
        if order != "random":
            error = (values - chance).std(axis=0, ddof=1) / np.sqrt(len(values))
            cells = [
                f"{mean:+.1f} ± {one:.1f}" for mean, one in zip((values - chance).mean(axis=0), error, strict=True)
            ]
            print(f"{'  against random':<20}" + "".join(f"{cell:>12}" for cell in cells))
    if arguments.plot:
        plot(arguments.plot, found)


def plot(path: Path, found: dict[str, list]) -> None:
    """Draw the mean of each order, with its standard error over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "orders"  # equal bytes of equal figures
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for order, runs in found.items():
        used, values = np.array([used for used, _ in runs]), np.array([value for _, value in runs])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axes.errorbar(used.mean(axis=0) / 60, values.mean(axis=0), error, marker="o", markersize=4, label=order)
    axes.set(xlabel="labelled minutes", ylabel="average mAP, %")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with utils.atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
