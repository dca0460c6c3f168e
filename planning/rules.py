"""What was measured of a data set -> settings, each with its reason: one recipe for all, and what follows by rules.

The figures behind recipe and rules are in docs/experiments.md. Nothing here knows a data set by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import config
from planning.measured import FEW_EXAMPLES

Source = Literal["yours", "recipe", "rule", "folds"]
SETTLED = "served three unlike data sets as well as settings chosen by hand for each"
RECIPE = {
    "data.max_frames": 30,
    "data.window_stride": 10,
    "data.batch_size": 32,
    "data.feature_normalization": "video",
    "data.temporal_difference": "none",
    "data.components": None,
    "data.feature_noise": 0.3,
    "data.feature_shift": 0.3,
    "model.num_layers": 1,
    "model.num_nodes": 64,
    "model.dropout": 0.5,
    "model.members": {"recurrent": 2, "convolutional": 2},
    "train.learning_rate": 0.002,
    "train.schedule": "cosine",
    "train.max_steps": 300,
    "train.ema_decay": 0.98,
    "predict.window_stride": 10,
    "predict.method": "peaks",
    "predict.smoothing": 0.3,
}
# how often a training of 300 steps comes round to the same videos; larger data sets need more steps for that
STEPS, LEAST_EPOCHS = 300, 4
# in the shortest tenth of the actions: what the sample set's have at 4.2 frames/s, where folds gave 72.3 average mAP;
# at 12.5 frames/s it was 68.0
ENOUGH_FRAMES = 7.5
FEWEST_FRAMES = 4  # where there is no time for more
# sampled frames a second: at least; where cuts tell of borders, by the folds of such a set: 26.5 average mAP at 4.2
# frames/s, 31.8 at 12.5, 28.9 at 25
SPARSEST, FAST = 4.0, 12.5
ON_CUTS, BY_CHANCE = 0.75, 0.25  # shares: of borders that must lie on cuts, of the time that may
RECURS = 0.2  # share of the training frames from which on shots count as recurring
LONGEST_WINDOW = 128
SHORTER_THAN_ALL = 0.75  # of the shortest actions' length, below which a segment is none
ONE_MEMBER = {"recurrent": 1, "convolutional": 0}  # on folds: switches are compared in a third of the time
OVERLAPS = 0.05  # share of the time with actions from which on those of different classes count as overlapping
SMALL_FRAME = (240, 320)  # pixels, the largest frame that is taken as it is
FOLDS = 4
# what a plan leaves as the user has it: whole sections, and of section data
KEPT, KEPT_OF_DATA = ("video", "extractor", "download"), ("taxonomy_level", "min_examples")


@dataclass(frozen=True)
class Choice:
    """A setting `section.key` with its value, why it has it, and what decided."""

    key: str
    value: object
    reason: str
    source: Source


Choices = dict[str, Choice]


def collected(choices: Iterable[Choice]) -> Choices:
    """Choices by their keys; of two of one key the later holds."""
    return {choice.key: choice for choice in choices}


def recipe() -> Choices:
    return collected(Choice(key, value, SETTLED, "recipe") for key, value in RECIPE.items())


def of_extraction(annotations: dict, videos: dict) -> list[Choice]:
    """Settings of sections video and extractor, for videos without features.

    Args:
      annotations: of `measured.of_annotations`.
      videos: of `measured.of_videos`.
    """
    shortest, fps = annotations["seconds"]["0.1"], videos["fps"]
    cuts = lie_on_cuts(videos["borders_on_cuts"])
    wanted = max(ENOUGH_FRAMES / max(shortest, 1e-3), FAST if cuts else SPARSEST)
    skip = max(int(fps / wanted + 1e-6), 1)
    why = f"{fps / skip:.1f} of {fps:g} frames/s: the shortest tenth of the actions, {shortest:g} s, has " \
          f"{shortest * fps / skip:.0f} sampled frames"  # fmt: skip
    if cuts:
        why += f"; actions begin and end at cuts, where what moves says more at {FAST:g} frames/s"
    height, width = videos["size"]
    small = height <= SMALL_FRAME[0] and width <= SMALL_FRAME[1] and min(height, width) >= 32
    resize = [height, width] if small else [224, 224]
    why_size = "as the videos are: squeezing small pictures costs accuracy" if small else \
               f"videos have {width} x {height} pixels; the CNN learnt on pictures of about this size"  # fmt: skip
    backbone = "5 times as fast as the original's, and what all figures of the recipe were measured with"
    return [
        Choice("extractor.backbone", "efficientnet_lite0", backbone, "recipe"),
        Choice("video.skip_frames", skip, why, "rule"),
        Choice("video.resize", resize, why_size, "rule"),
    ]


def sparsest(annotations: dict, videos: dict) -> int:
    """The most source frames from one sampled frame to the next that leave the shortest actions FEWEST_FRAMES."""
    return max(int(videos["fps"] * annotations["seconds"]["0.1"] / FEWEST_FRAMES), 1)


def lie_on_cuts(share: dict[str, float]) -> bool:
    """Whether borders of actions lie on shot cuts, of `measured.on_cuts`."""
    return share["borders"] >= ON_CUTS and share["time"] <= BY_CHANCE


def group_by(features: dict) -> Literal["shot", "video"]:
    """What a fold keeps together: recurring shots where there are some, and enough groups of them to make folds."""
    recurring = features["recurring"]
    usable = recurring["groups"] >= 2 * FOLDS and recurring["largest"] <= 1 / FOLDS
    return "shot" if recurring["share"] >= RECURS and usable else "video"


def folds(features: dict) -> int:
    """How many folds there can be; 1: none."""
    groups = features["recurring"]["groups"] if group_by(features) == "shot" else features["videos"]
    return min(FOLDS, groups)


def of_features(annotations: dict, features: dict) -> list[Choice]:
    """Settings of windows, training and decoding.

    Args:
      annotations: of `measured.of_annotations`.
      features: of `measured.of_features`.
    """
    return [
        *_windows(annotations, features),
        *_output(annotations),
        *_decoding(annotations, features),
        Choice("train.save_checkpoints_steps", 100, "a training of this length takes a minute", "recipe"),
        Choice("train.save_summary_steps", 20, "the same", "recipe"),
        Choice("train.log_step_count_steps", 50, "the same", "recipe"),
    ]


def _windows(annotations: dict, features: dict) -> list[Choice]:
    rate, median = features["rows_a_second"], annotations["seconds"]["0.5"]
    usual, frames = RECIPE["data.max_frames"], RECIPE["data.max_frames"]
    choices, stride = [], RECIPE["data.window_stride"]
    if median * rate > usual:
        frames = min(math.ceil(median * rate), LONGEST_WINDOW)
        stride = math.ceil(frames / 3)
        why = f"half the actions last {median:g} s or more, {median * rate:.0f} sampled frames: a window holds one"
        choices = [
            Choice("data.max_frames", frames, why, "rule"),
            Choice("data.window_stride", stride, "a third of a window", "rule"),
            Choice("predict.window_stride", stride, "the same", "rule"),
        ]
    windows = features["rows"] / stride
    steps = max(STEPS, math.ceil(LEAST_EPOCHS * windows / RECIPE["data.batch_size"] / 100) * 100)
    if steps > STEPS:
        why = f"{LEAST_EPOCHS} times over some {windows:,.0f} training windows"
        choices.append(Choice("train.max_steps", steps, why, "rule"))
    return choices


def _output(annotations: dict) -> list[Choice]:
    if annotations["overlap"] < OVERLAPS:
        return []
    why = f"actions of different classes overlap in {100 * annotations['overlap']:.0f} % of the time with actions"
    return [Choice("model.output", "sigmoid", why, "rule")]


def _decoding(annotations: dict, features: dict) -> list[Choice]:
    shortest, share, recurring = annotations["seconds"]["0.02"], features["borders_on_cuts"], features["recurring"]
    least = round(SHORTER_THAN_ALL * shortest, 2)
    choices = [Choice("predict.min_seconds", least, f"2 % of the actions are shorter than {shortest:g} s", "rule")]
    if not lie_on_cuts(share):
        return choices
    percent = (
        f"{100 * share['borders']:.0f} % of the actions' borders lie on cuts ({100 * share['time']:.0f} % by chance)"
    )
    choices += [
        Choice("predict.method", "shots", percent, "rule"),
        Choice("predict.smoothing", 0.0, "nothing is smoothed across cuts", "rule"),
        Choice("predict.shot_smoothing", 1.0, "a shot shows one thing", "rule"),
    ]
    if group_by(features) == "shot":
        percent = f"{100 * recurring['share']:.0f} % of the training frames are of shots that recur in other videos"
        why = f"{percent}: their look is soon learnt by heart, what moves in them is not"
        choices += [
            Choice("data.temporal_difference", "absolute", why, "rule"),
            Choice("data.components", [0, 8], "the differences alone, for the same reason", "rule"),
        ]
    return choices


def warnings(annotations: dict, features: dict | None) -> list[str]:
    """What a user should know of the data besides the settings."""
    told = []
    if annotations["rare"]:
        names = ", ".join(f"{name} ({annotations['classes'][name]['actions']})" for name in annotations["rare"])
        told.append(f"classes with fewer than {FEW_EXAMPLES} training actions, which will hardly be learnt: {names}")
    if 0 < annotations["overlap"] < OVERLAPS:
        told.append(
            f"actions of different classes overlap in {100 * annotations['overlap']:.1f} % of the time with actions, "
            "where the shorter one counts"
        )
    if features and group_by(features) == "shot" and features["recurring"]["validation"] > RECURS:
        shared = 100 * features["recurring"]["validation"]
        told.append(
            f"{shared:.0f} % of the validation frames are of shots that training videos show too: its figures flatter"
        )
    return told


def of_search(changes: dict[str, object], said: list[dict], shown_score: float | None) -> Choices:
    """The switches that folds have changed, with what they gained."""
    choices = []
    for key, value in changes.items():
        best = next(record for record in said if record["taken"] and key in record["changes"])
        why = f"average mAP on folds {100 * best['gain']:+.1f} ± {100 * best['spread']:.1f}"
        choices.append(Choice(key, value, why, "folds"))
    if shown_score is not None:
        choices.append(Choice("predict.shown_score", shown_score, "where F1 is highest on folds", "folds"))
    return collected(choices)


def changed(paths: dict[str, str], choices: Choices, changes: dict[str, object], share: float) -> config.Config:
    """The settings of `planned` with changes, one member and a share of the steps, for a trial on folds."""
    tried = {"model.members": ONE_MEMBER} | changes
    settings = planned(paths, choices | collected(Choice(key, value, "", "folds") for key, value in tried.items()))
    steps = max(round(settings.train.max_steps * share), 1)
    return settings.model_copy(update={"train": settings.train.model_copy(update={"max_steps": steps})})


def planned(paths: dict[str, str], choices: Choices) -> config.Config:
    """config.yml's settings with these paths and choices. Raises ValueError for what cannot go together."""
    values = config.load().model_dump() | {"paths": paths}
    for choice in choices.values():
        section, key = choice.key.split(".")
        values[section][key] = choice.value
    return config.Config.model_validate(values)


def given(values: dict[str, dict]) -> Choices:
    """What of settings, as JSON values, is not as in config.yml and is for the user to say."""
    usual = config.load().model_dump(mode="json")
    return collected(
        Choice(f"{name}.{key}", value, "as you gave it", "yours")
        for name, section in values.items()
        for key, value in section.items()
        if (name in KEPT or (name == "data" and key in KEPT_OF_DATA)) and value != usual[name][key]
    )
