"""Predictions and annotations in ActivityNet's JSON layout -> mAP, AR@AN and video classification, as JSON and a table.

It evaluates anybody's predictions, needs no TensorFlow and never goes online. Symbols: K classes, L tIoU thresholds.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from environment import prerequisites  # noqa: F401

import annotations
import config
import run_folder
from evaluation import calibration, comparison, errors, intervals, model_card, options, segmentation, terminal
from evaluation.predictions import UnknownLabelError, load_table
from evaluation.protocols import PRESETS, RULES, THRESHOLDS, Protocol, parse_thresholds
from evaluation.subset import Evaluation, evaluate, evaluate_detection, to_json

__all__ = ["THRESHOLDS", "Evaluation", "Protocol", "evaluate", "evaluate_detection", "parse_thresholds", "to_json"]
# `metrics.py errors …` and `metrics.py frames …`
OTHER_MEASURES = {"errors": errors, "frames": segmentation}


def with_intervals(scored: Evaluation) -> dict:
    """`to_json`, with the intervals of its figures and the reliability of the scores."""
    return to_json(scored) | {"intervals": intervals.measure(scored), "reliability": calibration.reliability(scored)}


def table(scored: Evaluation, every_class: bool = False) -> str:
    """Aligned lines for the terminal, in percent."""
    return terminal.table(with_intervals(scored), every_class)


def _protocol(arguments: argparse.Namespace) -> Protocol:
    """The preset, with what the other options change of it."""
    protocol = PRESETS[arguments.preset] if arguments.preset else Protocol()
    if arguments.protocol:
        protocol = replace(protocol, name=arguments.protocol)
    return replace(protocol, thresholds=arguments.tiou) if arguments.tiou else protocol


def run(settings: config.Config, arguments: argparse.Namespace) -> None:
    """Evaluate what the command line names, else what the settings do; write the JSON and print the table."""
    subset, level = settings.predict.subset, settings.data.taxonomy_level
    if len(arguments.files) == 1 and arguments.predictions is None:
        arguments.predictions = arguments.files[0]
    elif arguments.files and (len(arguments.files) != 2 or arguments.predictions is not None):
        raise ValueError(f"expected one or two files of predictions, received {' '.join(map(str, arguments.files))}")
    two = arguments.files if len(arguments.files) == 2 else None
    paths = two or [options.predictions_file(settings.paths, subset, arguments)]
    tables = [load_table(path) for path in paths]
    annotated = annotations.load(options.ground_truth_file(settings.paths, arguments))
    scored = []
    for path, results in zip(paths, tables, strict=True):
        try:
            scored.append(
                evaluate(annotated, results, subset, level, _protocol(arguments), arguments.ignore_unknown_labels)
            )
        except UnknownLabelError as error:
            raise ValueError(f"{path}: {error}") from None
    every_class = arguments.verbosity == "debug"
    if two:
        value = {"files": [str(path) for path in two], **comparison.compare(*scored)}
        text = terminal.comparison(value, (str(two[0]), str(two[1])), every_class)
        arguments.predictions = two[1]  # two files are nobody's run: what is written goes to --output
    else:
        value = with_intervals(scored[0])
        text = terminal.table(value, every_class)
    options.show(value, text, arguments)
    options.write(value, "metrics", settings.paths, subset, arguments)
    if arguments.predictions is None and arguments.output is None and arguments.ground_truth is None:
        model_card.write_card(settings.paths.model_dir)
        run_folder.advise_a_plan_for(settings.paths.model_dir)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in OTHER_MEASURES:
        return OTHER_MEASURES[argv[0]].main(argv[1:])
    parser = options.make_parser(
        "Evaluate predictions in ActivityNet's JSON layout: mAP, AR@AN of proposals, video classification.\n\n"
        "metrics.py A.json B.json  two runs: the difference, its interval, and where B is better\n"
        "metrics.py errors  what kinds of errors there are, and which segments are missed (DETAD)\n"
        "metrics.py frames  frame accuracy, edit score and F1@{10,25,50}; each with --help of its own",
        "metrics",
    )
    add = parser.add_argument
    add("files", type=Path, nargs="*", metavar="FILE", help="predictions, as --predictions; two are compared")
    add("--preset", choices=PRESETS, help="the tIoU and the rules of a data set's own evaluation")
    add("--tiou", type=parse_thresholds, metavar="THRESHOLDS",
        help="0.5, 0.3,0.5,0.7 or first:last:step; without a preset 0.5:0.95:0.05, ActivityNet's")  # fmt: skip
    add("--protocol", choices=RULES, help="opentad leaves out annotations without length or given twice")
    add("--ignore-unknown-labels", action="store_true", help="leave out predictions of classes the subset lacks")
    return options.run_script(parser, argv, run)


if __name__ == "__main__":
    raise SystemExit(main())
