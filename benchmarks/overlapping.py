"""An output a class where actions overlap: softmax against sigmoid, all other settings the same.

`python benchmarks/overlapping.py overlapping|sample|fights|salads [--seeds 0 1 2]`: `overlapping` draws the sample set
in which short actions lie in long ones (`sample_videos.py --overlapping`); `sample`, `fights` and `salads` (the mean
of its five splits), where nothing overlaps, say what sigmoid costs. With each seed both values of `model.output` are
trained with the settings of configs/, which were chosen for softmax on these three. The last step is scored on the
held-out subset, of which nothing is chosen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import metrics  # noqa: E402
import utils  # noqa: E402
from benchmarks.accuracy import (  # noqa: E402
    extracted,
    fights_paths,
    load,
    run_stage,
    salads_paths,
    train_and_predict,
)

OUTPUTS = ("softmax", "sigmoid")
AVERAGE = "average mAP"


def prepare(arguments: argparse.Namespace) -> tuple[str, str, list[list[str]]]:
    """Settings file, held-out subset and the paths of each split of a data set, drawn and extracted where it is not."""
    if arguments.set == "fights":
        return "fights", "validation", [fights_paths(arguments)]
    if arguments.set == "salads":
        return "salads", "validation", salads_paths(arguments)
    if arguments.set == "sample":
        return "sample", "testing", [[]]
    folder = arguments.work / "overlapping"
    run_stage("sample_videos.py", "--overlapping", "--output", str(folder))
    own = {"json_data_path": folder / "annotations.json", "videos_folder": folder / "videos",
           "feature_map_folder": folder / "features"}  # fmt: skip
    return "sample", "testing", [extracted("sample", own, "training", "testing")]


def average_precisions(name: str, subset: str, assignments: list[str]) -> dict[str, float]:
    """Percent, over the tIoU thresholds: the mean over classes, and each class."""
    scored = train_and_predict(load(name, *assignments), subset)
    found = metrics.evaluate(scored.run_data.annotated, scored.results, subset, ignore_unknown_labels=True)
    each = dict(zip(found.detection.classes, found.detection.AP.mean(axis=1), strict=True))
    return {name: 100 * float(share) for name, share in ({AVERAGE: found.average_mAP} | each).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", choices=("overlapping", "sample", "fights", "salads"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, default=PROJECT.parent / "shared/data", help="where fights, salads are")
    parser.add_argument("--work", type=Path, default=PROJECT / "runs/accuracy", help="folder of videos and features")
    arguments = parser.parse_args()
    arguments.data, arguments.work = arguments.data.resolve(), arguments.work.resolve()
    name, subset, splits = prepare(arguments)
    utils.start_tensorflow()
    found: dict[str, list[dict[str, float]]] = {output: [] for output in OUTPUTS}
    for seed in arguments.seeds:
        for output, values in found.items():
            chosen = [f"model.output={output}", f"train.seed={seed}"]
            each = [average_precisions(name, subset, [*paths, *chosen]) for paths in splits]
            values.append({row: float(np.mean([one[row] for one in each])) for row in each[0]})
            print(f"seed {seed}   {output}   {AVERAGE} {values[-1][AVERAGE]:.1f}", flush=True)
    print(f"\n{'mean ± deviation':<22}" + "".join(f"{title:>16}" for title in (*OUTPUTS, "difference")))
    for row in found["softmax"][0]:
        softmax, sigmoid = (np.array([one[row] for one in found[output]]) for output in OUTPUTS)
        cells = (f"{some.mean():.1f} ± {some.std():.1f}" for some in (softmax, sigmoid, sigmoid - softmax))
        print(f"{row:<22}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
