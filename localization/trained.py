"""A run folder (or none: the demo's) -> what its model is, in words, and the model itself, ready for frames.

Symbols: B frames a batch, D numbers a frame, K classes (0 is background).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import annotations
import config
import predictions_json
import utils
from extraction.runtime import make_embed
from feature_records import SPEC_KEYS

PROJECT = Path(__file__).parents[1]
DEMO = Path("runs/demo")
RUN_FILES = ("model.json", "config.yml", "saved_model")
# the version that the annotations of sample_videos.py carry begins so
SAMPLE_VERSION = "sample set"
SHOWN_CLASSES = 12


@dataclass(frozen=True)
class Run:
    """A trained run as its files describe it, before TensorFlow is needed; `classes` [K], background first."""

    folder: Path
    settings: config.Config
    classes: tuple[str, ...]
    version: str  # of the annotations it was trained on; "" where nothing says it
    videos: int  # it was trained on; 0 where nothing says it

    @property
    def knows_drawn_figures_only(self) -> bool:
        return self.version.startswith(SAMPLE_VERSION)

    def describe(self) -> tuple[str, str]:
        """The model, its training data and its classes in a sentence; and a caution, or ""."""
        actions = self.classes[1:]
        shown = ", ".join(actions[:SHOWN_CLASSES])
        more = f" and {len(actions) - SHOWN_CLASSES} more" if len(actions) > SHOWN_CLASSES else ""
        if self.version:
            learnt = f"trained on {f'{self.videos} videos of ' if self.videos else ''}“{self.version}”"
        else:
            learnt = f"trained on {self.settings.paths.json_data_path.name}, which is not here"
        caution = (
            "This model knows drawn figures only: for real videos, train one on your own (README, “Your own videos”)."
            if self.knows_drawn_figures_only
            else ""
        )
        name = f"{self.folder.parent.name}/{self.folder.name}"
        return f"{name}, {learnt}, knows {len(actions)} actions: {shown}{more}.", caution


@dataclass(frozen=True)
class LoadedModel:
    """A run with its networks: `embed` takes uint8 RGB frames [B, H, W, 3] of the one shape `batch_shape`."""

    run: Run
    trained: predictions_json.TrainedModel
    embed: Callable[[np.ndarray], np.ndarray]
    batch_shape: tuple[int, int, int, int]


def find_run(given: str | Path | None = None) -> Run:
    """The run that `given` names: its folder, or the `saved_model` folder beside its model.json and config.yml.

    Without a name it is the demo's, of the project's folder or else of the current one. Raises ValueError that says
    what is missing.
    """
    if given is None:
        candidates = [PROJECT / DEMO, Path.cwd() / DEMO]
        folder = next((path for path in candidates if (path / "model.json").is_file()), None)
        if folder is None:
            raise ValueError(
                f"no model: expected one in {candidates[0]}, which `make demo` trains in a few minutes, or the folder "
                "of a run of your own after --model"
            )
    else:
        folder = Path(given).expanduser()
        if (folder / "saved_model.pb").is_file():
            folder = folder.absolute().parent
        elif not folder.exists():
            raise ValueError(f"--model {given}: no such folder; expected that of a run, which trainer.py makes")
    missing = [name for name in RUN_FILES if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"{given or folder}: expected a run's folder, which holds {', '.join(RUN_FILES)} (trainer.py writes them): "
            f"{', '.join(missing)} missing in {folder}"
        )
    folder = folder.resolve()
    description: Any = utils.read_json(folder / "model.json")
    try:
        classes = tuple(str(name) for name in description["classes"])
        backbone = description["features"]["backbone"]
    except (KeyError, TypeError):
        raise ValueError(f"{folder / 'model.json'}: expected what trainer.py writes; train again") from None
    if backbone == "imported":
        raise ValueError(
            f"{folder}: trained on imported features, which another tool made: they cannot be made of a video here. "
            "Use predictions_json.py on imported features, or train on those of feature_map_extractor.py"
        )
    settings = config.load(folder / "config.yml")
    version, videos = _training_data(description, settings.paths.json_data_path)
    return Run(folder, settings, classes, version, videos)


def _training_data(description: dict, file: Path) -> tuple[str, int]:
    """The version of the annotations and the number of training videos; ("", 0) where nothing says it any more."""
    known = description.get("training_data")
    if isinstance(known, dict):
        return str(known.get("version", "")), int(known.get("videos") or 0)
    if not file.is_file():
        return "", 0
    try:
        annotated = annotations.load(file)
    except ValueError as error:
        utils.LOGGER.debug("the training data cannot be described: %s", error)
        return "", 0
    return annotated.version or file.name, len(annotated.subset("training"))


def load(run: Run, batch_size: int | None = None) -> LoadedModel:
    """Load a run's networks; `batch_size` frames a call of the CNN instead of the run's own.

    Raises ValueError when the CNN here would give other features than those that the run was trained on.
    """
    # in a notebook nothing has set up the logging
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    settings = run.settings
    if batch_size is not None:
        extractor = settings.extractor.model_copy(update={"batch_size": batch_size})
        settings = settings.model_copy(update={"extractor": extractor})
    embed, spec = make_embed(settings)
    trained = predictions_json.load_trained(run.folder)
    wanted = trained.feature_spec
    differing = [key for key in SPEC_KEYS if key in wanted and spec.get(key) != wanted[key]]
    if differing:
        details = "; ".join(f"{key}: {spec.get(key)!r} here, {wanted[key]!r} in training" for key in differing)
        raise ValueError(f"{run.folder}: the CNN of its config.yml gives other features than in training: {details}")
    return LoadedModel(run, trained, embed, (settings.extractor.batch_size, *settings.video.resize, 3))
