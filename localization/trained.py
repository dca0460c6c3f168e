"""A run folder (or none: the demo's) -> what its model is, in words, and the model itself, ready for frames.

Symbols: B frames a batch, D numbers a frame, K classes (0 is background).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import predictions_json
from extraction.runtime import make_embed
from features.records import SPEC_KEYS
from run_folder import Run


@dataclass(frozen=True)
class LoadedModel:
    """A run with its networks: `embed` takes uint8 RGB frames [B, H, W, 3] of the one shape `batch_shape`."""

    run: Run
    trained: predictions_json.TrainedModel
    embed: Callable[[np.ndarray], np.ndarray]
    batch_shape: tuple[int, int, int, int]


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
    embed, spec = make_embed(settings.extractor, settings.video)
    trained = predictions_json.load_trained(run.folder)
    wanted = trained.feature_spec
    differing = [key for key in SPEC_KEYS if key in wanted and spec.get(key) != wanted[key]]
    if differing:
        details = "; ".join(f"{key}: {spec.get(key)!r} here, {wanted[key]!r} in training" for key in differing)
        raise ValueError(f"{run.folder}: the CNN of its config.yml gives other features than in training: {details}")
    return LoadedModel(run, trained, embed, (settings.extractor.batch_size, *settings.video.resize, 3))
