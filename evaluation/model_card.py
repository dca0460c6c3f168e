"""A run's files -> model_card.md: what the model is, was trained on and measured at, and what it must not be used for.

The sections are those of Mitchell et al., "Model Cards for Model Reporting" (2019), as far as a run's files know them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

import config
import run_folder
import utils

NAME = "model_card.md"
SHOWN_SETTINGS = ("video", "data", "model", "train", "predict")
OFF = 0.1  # a calibration error from which scores are called no probabilities


def write_card(folder: Path) -> Path | None:
    """Write the card of a run from its config.yml, model.json and metrics_<subset>.json; None where it has no model.

    Figures that are older than the model are another model's and are left out. Raises ValueError for a file that is
    damaged, with its name.
    """
    described, settings_file = folder / run_folder.DESCRIPTION, folder / run_folder.CONFIG
    if not described.is_file() or not settings_file.is_file():
        return None
    run, measured = run_folder.read_run(folder), []
    for subset in config.SUBSETS:
        path = run_folder.evaluation_file(folder, "metrics", subset)
        if path.is_file() and path.stat().st_mtime_ns >= described.stat().st_mtime_ns:
            value: Any = utils.read_json(path)
            if isinstance(value, dict) and "intervals" in value:
                measured.append(value)
    environment = jinja2.Environment(  # noqa: S701 (Markdown, no HTML)
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined, trim_blocks=True,
    )  # fmt: skip
    environment.filters |= {"plain": _plain, "percent": _percent, "between": _between}
    text = environment.get_template("model_card.md.j2").render(
        run=run, network=run_folder.network(run.settings.model), measured=measured,
        settings={name: getattr(run.settings, name).model_dump(mode="json") for name in SHOWN_SETTINGS},
        uncalibrated=[m for m in measured if not m.get("reliability") or m["reliability"]["error"] > OFF],
    )  # fmt: skip
    utils.write_text(folder / NAME, text)
    return folder / NAME


def _plain(value: object) -> str:
    """Text of a file without what Markdown or a terminal would take for more than text."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|" else c for c in utils.one_line(value))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _between(ends: list | None) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else "none: one video"
