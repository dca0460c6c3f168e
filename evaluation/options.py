"""The command line that metrics.py, evaluation/errors.py and evaluation/segmentation.py share -> settings, paths, JSON.

Each evaluates a run of ours (`paths.model_dir`), or any predictions that `--predictions` names.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import command_line
import config
import run_folder
import utils


def make_parser(description: str, name: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The options of an evaluation that writes `<name>_<subset>.json`; its script adds its own."""
    parser = command_line.make_parser(description)
    parser.prog = prog or parser.prog
    add = parser.add_argument
    add("--ground-truth", type=Path, metavar="FILE", help="annotations; else paths.json_data_path")
    add("--predictions", type=Path, metavar="FILE", help="ActivityNet's JSON; else what the run in paths.model_dir has")
    add("--subset", choices=config.SUBSETS, help="the same as --set predict.subset=…")
    add("--taxonomy-level", type=int, choices=range(4), help="the same as --set data.taxonomy_level=…")
    add("--output", type=Path, metavar="FILE", help=f"JSON; else {name}_<subset>.json in the run")
    add("--json", action="store_true", help="print what is written, as JSON, instead of a table")
    return parser


def run_script(
    parser: argparse.ArgumentParser,
    argv: list[str] | None,
    run: Callable[[config.Config, argparse.Namespace], None],
) -> int:
    """Parse, call `run(settings, arguments)`, and return the exit status; see `command_line.run_script`."""
    arguments = parser.parse_args(argv)
    if arguments.subset:
        arguments.set.append(f"predict.subset={arguments.subset}")
    if arguments.taxonomy_level is not None:
        arguments.set.append(f"data.taxonomy_level={arguments.taxonomy_level}")
    return command_line.run_script(lambda: run(command_line.from_arguments(arguments), arguments), arguments.verbosity)


def ground_truth_file(paths: config.PathSettings, arguments: argparse.Namespace) -> Path:
    """The annotations to compare with."""
    return arguments.ground_truth or paths.json_data_path


def predictions_file(paths: config.PathSettings, subset: str, arguments: argparse.Namespace) -> Path:
    """The predictions to evaluate. Raises ValueError where the run has none yet."""
    if arguments.predictions is not None:
        return arguments.predictions
    path = run_folder.predictions_file(paths.model_dir, subset)
    if not path.is_file():
        raise ValueError(f"{path}: no such file: run `python predictions_json.py` first, or give --predictions FILE")
    return path


def show(value: dict, text: str, arguments: argparse.Namespace) -> None:
    """Print the text, or with `--json` the value that is written."""
    print(json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) if arguments.json else text)


def write(value: dict, name: str, paths: config.PathSettings, subset: str, arguments: argparse.Namespace) -> None:
    """Write the JSON to `--output`, else into the run where its own predictions were evaluated, and say where."""
    output = arguments.output
    if output is None and arguments.predictions is None:
        output = run_folder.evaluation_file(paths.model_dir, name, subset)
    if output:
        utils.write_json(output, value)
        if not arguments.json:
            print(f"\n-> {output}")
