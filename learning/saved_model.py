"""A SavedModel's folder -> the model, or one error that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

# what TensorFlow raises for a file that is missing, cut or damaged, here and where it reads checkpoints
DAMAGE = (OSError, ValueError, IndexError, tf.errors.OpError)


def load_saved_model(folder: Path) -> Any:
    """What `tf.saved_model.load` gives. Raises ValueError for a folder that is none, or is damaged."""
    try:
        return tf.saved_model.load(str(folder))
    except DAMAGE as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"{folder}: a damaged model, or none: {cause:.200}; copy it again, or train again") from None
