"""A folder -> a trained run with its page: every stage by its script, each of which goes on where it was stopped."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import annotations
import command_line
import config
import run_folder
import utils
from features.records import SPEC_FILE, feature_file
from planning import folder as folders
from planning import writing

FINAL = "final"  # the run of a model that has learnt from all videos


def learn(folder: Path, options: list[str], everything: bool, fresh: bool) -> int:
    """Run all stages on a user's folder.

    Args:
      folder: see `folders.open_folder`.
      options: for plan.py.
      everything: at last train a model on all videos.
      fresh: begin the training anew.

    Returns the exit status of the stage that ended it, or 0.
    """
    settings_file = folders.existing(folder) / writing.SETTINGS
    plan, with_settings = ["plan.py", str(folder), *options], ["-c", str(settings_file)]
    # an extraction that was stopped: what there is must not be planned of, as if it were all
    begun = writing.is_current(folder) and writing.read_plan(folder)["state"] == writing.FEATURES_WANTED
    if begun and (status := _extract(settings_file)):
        return status
    if status := run_stage(plan) or _extract(settings_file) or run_stage(plan):
        return status
    settings = config.load(settings_file)
    fresh_too, subsets = ["--fresh"] if fresh else [], _to_predict(settings.paths)
    commands = [["trainer.py", *with_settings, *fresh_too]]
    for subset in reversed(subsets):
        of_subset = [*with_settings, "--subset", subset]
        commands.append(["predictions_json.py", *of_subset])
        commands.append(["metrics.py", *of_subset, "--ignore-unknown-labels"])
    commands.append(["report.py", *with_settings, "--subset", subsets[0]])
    if everything:
        of_all = ["-c", str(_all_settings(settings_file)), "--set", "predict.subset=training"]
        commands.append(["trainer.py", *of_all, *fresh_too])
    for command in commands:
        if status := run_stage(command):
            return status
    runs = [settings.paths.model_dir, *([settings_file.parent / FINAL] if everything else [])]
    print(f"open: {settings.paths.model_dir / run_folder.PAGE}\nnext: python localize.py VIDEO --model {runs[-1]}")
    return 0


def _extract(settings_file: Path) -> int:
    """Make the features that are missing; 0, too, where some videos fail."""
    paths = config.load(settings_file).paths
    subsets = [name for name in config.SUBSETS if any((paths.videos_folder / name).glob("*"))]
    if _imported(paths.feature_map_folder) or not subsets:
        return 0
    status = run_stage(["feature_map_extractor.py", "-c", str(settings_file), *subsets])
    some = status == 1 and any(paths.feature_map_folder.glob("*/*.tfrecord"))
    return 0 if some else status


def _imported(features: Path) -> bool:
    return (features / SPEC_FILE).is_file() and utils.read_json(features / SPEC_FILE).get("backbone") == "imported"


def _to_predict(paths: config.PathSettings) -> list[str]:
    """Validation, testing: those that have features and actions; else training, which flatters."""
    annotated = annotations.load(paths.json_data_path)
    found = []
    for subset in ("validation", "testing"):
        videos = annotated.subset(subset)
        there = any(feature_file(paths.feature_map_folder, subset, v.id).is_file() for v in videos)
        if there and any(video.segments for video in videos):
            found.append(subset)
    return found or ["training"]


def _all_settings(settings_file: Path) -> Path:
    """Settings that train on all videos: the planned ones, with links that put every video into the training subset."""
    ours, settings = settings_file.parent / folders.ALL, config.load(settings_file)
    annotated = folders.as_training(annotations.load(settings.paths.json_data_path))
    folders.write_annotations(ours / folders.ANNOTATIONS, annotated)
    folders.arrange(ours, annotated, {}, settings.paths.feature_map_folder)
    paths = {"data_dir": settings_file.parent, "json_data_path": ours / folders.ANNOTATIONS,
             "videos_folder": settings.paths.videos_folder, "feature_map_folder": ours / "features",
             "model_dir": settings_file.parent / FINAL}  # fmt: skip
    chosen = settings.model_copy(update={"paths": config.PathSettings.model_validate(paths)})
    utils.write_text(ours / writing.SETTINGS, chosen.to_yaml())
    return ours / writing.SETTINGS


def run_stage(arguments: list[str]) -> int:
    """Run a script of ours as a person would, and hand on Ctrl-C and SIGTERM; its exit status."""
    print(f"\n$ python {shlex.join(arguments)}", flush=True)
    command = [sys.executable, str(run_folder.PROJECT / arguments[0]), *arguments[1:]]
    with subprocess.Popen(command) as process:

        def hand_on(number: int, _: object = None) -> None:
            if number == signal.SIGTERM:  # Ctrl-C reaches the whole group by itself
                process.terminate()

        with command_line.OnSignals(hand_on, second=hand_on):
            status = process.wait()
    return status if status >= 0 else 128 - status
