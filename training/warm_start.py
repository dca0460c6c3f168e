"""Another run's model -> the first weights of a new one, weight by weight, and classes by their names."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import run_folder
import utils

OUTPUT = "logits"  # ends the name of the layers whose last axis are classes


def take_weights(classifier: keras.Model, classes: tuple[str, ...], folder: Path) -> int:
    """Give `classifier` the weights that the run in `folder` exported; those of new classes stay random.

    Returns how many of `classes` (background first) the other run knew.

    Raises:
      ValueError: the folder holds no exported model, or one of another architecture; names the weights that differ.
    """
    description, saved = folder / run_folder.DESCRIPTION, folder / run_folder.SAVED_MODEL
    if not description.is_file() or not saved.is_dir():
        raise ValueError(
            f"train.warm_start {folder}: expected the folder of a finished run, with model.json and saved_model"
        )
    known = {name: number for number, name in enumerate(utils.read_json(description)["classes"])}
    variables = run_folder.load_saved_model(saved).variables
    there = {variable.name.partition(":")[0]: variable.numpy() for variable in variables}
    shared = [(number, known[name]) for number, name in enumerate(classes) if name in known]
    here, theirs = np.asarray(shared).T
    values, differing = [], []
    for weight in classifier.weights:
        other, shape = there.get(weight.path), tuple(weight.shape)
        is_output = weight.path.split("/")[-2].endswith(OUTPUT)
        wanted = (*shape[:-1], len(known)) if is_output else shape
        if other is None or other.shape != wanted:
            found = "none" if other is None else list(other.shape)
            differing.append(f"{weight.path} {list(wanted)} here, {found} there")
        elif is_output:
            value = weight.numpy()
            value[..., here] = other[..., theirs]
            values.append(value)
        else:
            values.append(other)
    if differing:
        raise ValueError(
            f"train.warm_start {folder}: its model is another: {'; '.join(differing)}. Use its settings of section "
            "model and its features"
        )
    for weight, value in zip(classifier.weights, values, strict=True):
        weight.assign(value)
    return len(shared)
