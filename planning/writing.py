"""Choices and measurements -> settings.yml, with a reason a line, and plan.json; a file that a person edited stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

import config
import utils
from planning.rules import Choice, Choices

SETTINGS, PLAN, TRIALS = "settings.yml", "plan.json", "trials.jsonl"
PLANNED, FEATURES_WANTED = "planned", "features are missing"  # the state that plan.json tells
HEAD = (
    "# Planned by plan.py: what differs from config.yml, and why. Edit it as you like; plan.py then leaves it alone\n"
    "# (--force plans anew). plan.json holds what was measured.\n"
)
WIDTH = 34  # of `  key: value` before its reason


def read_plan(folder: Path) -> dict:
    """What plan.json holds; nothing where there is none. Raises ValueError for a file that is something else."""
    path = folder / PLAN
    if not path.exists():
        return {}
    value = utils.read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("settings_sha256"), list):
        raise ValueError(f"{path}: expected what plan.py writes, received something else: remove it")
    return value


def was_edited(folder: Path) -> bool:
    """Whether settings.yml is there and is not what plan.py wrote."""
    path = folder / SETTINGS
    return path.is_file() and utils.sha256_of(path) not in read_plan(folder).get("settings_sha256", [])


def is_current(folder: Path) -> bool:
    """Whether settings.yml is what plan.json tells of: not an older one, which a kill between the two files leaves."""
    path = folder / SETTINGS
    return path.is_file() and [utils.sha256_of(path)] == read_plan(folder).get("settings_sha256", [])[-1:]


def write_plan(folder: Path, paths: dict[str, str], choices: Choices, about: dict) -> None:
    """Write both files.

    Args:
      folder: where.
      paths: section paths of the settings.
      choices: what was chosen.
      about: what else plan.json holds, as JSON values.
    """
    text = settings_text(paths, choices)
    written = read_plan(folder).get("settings_sha256", [])
    # the hash stands first: a kill between the two files leaves settings that are known as ours, the older ones
    known = [*written[-1:], hashlib.sha256(text.encode()).hexdigest()]
    listed = [{"key": c.key, "value": c.value, "reason": c.reason, "source": c.source} for c in choices.values()]
    utils.write_json(folder / PLAN, {"settings_sha256": known, **about, "choices": listed})
    utils.write_text(folder / SETTINGS, text)


def settings_text(paths: dict[str, str], choices: Choices) -> str:
    """The content of settings.yml: `paths`, then what was chosen in the order of config.yml's sections."""
    lines = [HEAD, "paths:"]
    lines += [f"  {key}: {_plain(value)}" for key, value in paths.items()]
    for section in config.Config.model_fields:
        chosen = [choice for choice in choices.values() if choice.key.startswith(f"{section}.")]
        if chosen:
            lines += ["", f"{section}:", *map(_line, chosen)]
    return "\n".join(lines) + "\n"


def _line(choice: Choice) -> str:
    said = f"  {choice.key.partition('.')[2]}: {_plain(choice.value)}"
    return f"{said:<{WIDTH - 1}} # {choice.source}: {utils.one_line(choice.reason)}"


def _plain(value: object) -> str:
    """A value as YAML in one line."""
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
