"""An output a class where actions overlap: softmax against sigmoid on drawn videos with two actions at once.

`python benchmarks/overlapping.py [--seeds 0 1]`: draws the sample set in which the figure claps while it kicks,
extracts its features, and with each seed trains both values of `model.output`, all other settings being those of
configs/sample.yml. The last step is scored on the testing subset, of which nothing is chosen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

import utils  # noqa: E402
from benchmarks.accuracy import extracted, load, run_stage, train_and_predict  # noqa: E402

OUTPUTS = ("softmax", "sigmoid")


def prepare(folder: Path) -> list[str]:
    """Draw the set and extract its features, as far as they are not there; returns the settings that name them."""
    run_stage("sample_videos.py", "--overlapping", "--output", str(folder))
    own = {"json_data_path": folder / "annotations.json", "videos_folder": folder / "videos",
           "feature_map_folder": folder / "features"}  # fmt: skip
    return extracted("sample", own, "training", "testing")


def average_map(paths: list[str], output: str, seed: int) -> float:
    """Percent, on the testing subset."""
    scored = train_and_predict(load("sample", *paths, f"model.output={output}", f"train.seed={seed}"), "testing")
    return scored.values(np.arange(len(scored.store.ids)), background=(0,))["average mAP"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--work", type=Path, default=PROJECT / "runs/overlapping", help="folder of videos and features")
    arguments = parser.parse_args()
    paths = prepare(arguments.work.resolve())
    utils.start_tensorflow()
    values = []
    for seed in arguments.seeds:
        softmax, sigmoid = (average_map(paths, output, seed) for output in OUTPUTS)
        values.append((softmax, sigmoid, sigmoid - softmax))
        print(f"seed {seed}   softmax {softmax:.1f}   sigmoid {sigmoid:.1f}   {sigmoid - softmax:+.1f}", flush=True)
    means, spreads = np.mean(values, axis=0), np.std(values, axis=0)
    cells = [f"{mean:.1f} ± {spread:.1f}" for mean, spread in zip(means, spreads, strict=True)]
    print(f"average mAP, mean ± deviation: softmax {cells[0]}   sigmoid {cells[1]}   difference {cells[2]}")


if __name__ == "__main__":
    main()
