"""Accuracy against labelled seconds: a simulated labeller answers with the true labels, in two orders of the videos.

`python benchmarks/labelling.py -c configs/sample.yml [--seeds 0 1 2] [--begin 4] [--rounds 3] [--subset testing]`. Both
orders begin with the same randomly drawn training videos. In each round the labelled seconds double: `suggested` by
what `predictions_json.py --suggest` says after the last round's model, `random` by chance. Each model is trained to the
last step with the settings of the file and scored on `--subset`, of which nothing is chosen.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections import Counter
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
from annotations import Annotations, Video  # noqa: E402
from features.records import require_spec  # noqa: E402
from prediction import ranking  # noqa: E402
from training import tuning  # noqa: E402
from training.run_data import load_data  # noqa: E402


@dataclasses.dataclass
class Labeller:
    """A person who labels training videos: what is labelled so far, and what there is."""

    settings: config.Config
    annotated: Annotations
    labelled: list[Video]

    @property
    def seconds(self) -> float:
        """How many seconds of video are labelled."""
        return sum(video.duration for video in self.labelled)

    def left(self) -> list[Video]:
        """The training videos that are not labelled."""
        known = {video.id for video in self.labelled}
        return [video for video in self.annotated.subset("training") if video.id not in known]

    def teach(self, seed: int, subset: str) -> tuple[float, list[ranking.Candidate], np.ndarray]:
        """Train on what is labelled.

        Returns the average mAP on `subset`, what is left as the ranking sees it, and each class's labelled seconds.
        """
        settings, paths = self.settings, self.settings.paths
        kept = {video.id: video for video in [*self.labelled, *self.annotated.subset(subset)]}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "annotations.json"
            write(file, kept)
            spec = require_spec(paths.feature_map_folder, settings.extractor, settings.video)
            own = paths.model_copy(update={"json_data_path": file})
            run_data = load_data(own, settings.data, spec, ("training",), settings.model.output)
        train = settings.train.model_copy(update={"seed": seed})
        training = tuning.fit(run_data, run_data.training.labels, settings.data, settings.model, train)
        model = run_data.model(training.classify)

        def scored(name: str, videos: list[Video]) -> tuple[data.FeatureStore, list[np.ndarray]]:
            store = data.load_store(paths.feature_map_folder, name, videos, {}, run_data.preparation)
            stride = settings.predict.window_stride
            return store, predictions_json.frame_scores(store, model.classify, settings.data.max_frames, stride)

        store, scores = scored(subset, self.annotated.subset(subset))
        results = predictions_json.predict(store, scores, model, settings.predict)
        evaluation = metrics.evaluate(self.annotated, results, subset, ignore_unknown_labels=True)
        known = Counter()
        for segment in (segment for video in self.labelled for segment in video.labelled_segments()):
            known[segment.label] += segment.end - segment.start
        candidates = []
        if left := self.left():
            store, scores = scored("training", left)
            candidates = [ranking.candidate(name, scores[n], store.boundaries(n)) for n, name in enumerate(store.ids)]
        return 100 * evaluation.average_mAP, candidates, ranking.labelled_seconds(model.classes, known)

    def label(self, order: list[str], seconds: float) -> None:
        """Label videos in this order until so many seconds are labelled."""
        for name in order:
            if self.seconds >= seconds:
                break
            self.labelled.append(self.annotated.videos[name])


def write(path: Path, videos: dict[str, Video]) -> None:
    """Write videos as an annotation file."""
    database = {
        name: {"subset": video.subset, "duration": video.duration,
               "annotations": [{"label": s.label, "segment": [s.start, s.end]} for s in video.segments]}
        for name, video in videos.items()
    }  # fmt: skip
    path.write_text(json.dumps({"version": "", "taxonomy": [], "database": database}))


def simulate(settings: config.Config, seed: int, begin: int, rounds: int, subset: str) -> dict[str, list[float]]:
    """The average mAP after each round, in both orders; prints a line a model."""
    annotated = annotations.load(settings.paths.json_data_path)
    training = annotated.subset("training")
    shuffled = [training[number] for number in np.random.default_rng(seed).permutation(len(training))]
    start = Labeller(settings, annotated, shuffled[:begin])
    first = start.teach(seed, subset)
    figures = {}
    for order in ("random", "suggested"):
        labeller, (value, candidates, known) = Labeller(settings, annotated, list(start.labelled)), first
        figures[order] = [value]
        print(f"seed {seed}  {order:<10} {labeller.seconds:6.0f} s  {value:5.1f}", flush=True)
        for step in range(1, rounds + 1):
            names = [video.id for video in shuffled[begin:]]
            if order == "suggested":
                names = [video.id for video in ranking.rank_videos(candidates, known, len(candidates))]
            labeller.label([name for name in names if name in {v.id for v in labeller.left()}],
                           start.seconds * 2**step)  # fmt: skip
            value, candidates, known = labeller.teach(seed, subset)
            figures[order].append(value)
            print(f"seed {seed}  {order:<10} {labeller.seconds:6.0f} s  {value:5.1f}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--begin", type=int, default=4, metavar="VIDEOS")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subset", default="testing")
    arguments = parser.parse_args()
    settings = config.load(arguments.config, arguments.set)
    utils.start_tensorflow()
    runs = [simulate(settings, seed, arguments.begin, arguments.rounds, arguments.subset) for seed in arguments.seeds]
    for order in ("random", "suggested"):
        values = np.array([figures[order] for figures in runs])
        cells = [f"{mean:5.1f} ± {spread:.1f}" for mean, spread in zip(values.mean(axis=0), values.std(axis=0),
                                                                     strict=True)]  # fmt: skip
        print(f"{order:<10} " + "   ".join(cells))


if __name__ == "__main__":
    main()
