"""The evaluation of predictions -> pictures: mAP and AP, precision and recall, the kinds of errors.

Every function returns a matplotlib `Figure`, which a notebook shows when it is a cell's last value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from evaluation import errors as error_kinds
from notebooks.pictures import BLUE, GREY, RED, add_legend, colours, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# of error_kinds.KINDS
KIND_COLOURS = ("#54a24b", "#eeca3b", RED, BLUE, "#b279a2", GREY)


def mean_ap(mAP: Mapping[str, float], AP: Mapping[str, float]) -> Figure:
    """mAP by tIoU threshold, and the AP of each class, as `metrics.to_json` has them."""
    figure = new_figure(11, 0.9 + max(2.4, 0.3 * len(AP)))
    left, right = figure.subplots(1, 2)
    left.bar(list(mAP), [100 * share for share in mAP.values()], color=BLUE)
    for x, share in enumerate(mAP.values()):
        left.text(x, 100 * share + 1, f"{100 * share:.0f}", ha="center", fontsize=8)
    plain(left, "y", ylim=(0, 105), xlabel="tIoU threshold", ylabel="mAP, percent")
    names = sorted(AP, key=lambda name: AP[name])
    colour = colours(AP)
    right.barh(names, [100 * AP[name] for name in names], color=[colour[name] for name in names])
    for row, name in enumerate(names):
        right.text(100 * AP[name] + 1, row, f"{100 * AP[name]:.0f}", va="center", fontsize=8)
    plain(right, "x", xlim=(0, 108), xlabel="AP, mean over the thresholds, percent")
    return figure


def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], tiou: float) -> Figure:
    """A curve for each class, with the precision that its AP counts: the best at this recall or beyond.

    curves: label -> recall and precision [n] after each prediction, of `evaluation.errors.precision_recall`.
    """
    figure, colour = new_figure(11, 4), colours(curves)
    axes = figure.subplots()
    for label, (recall, precision) in curves.items():
        best = np.maximum.accumulate(precision[::-1])[::-1]
        # no prediction finds more than the last: from there on it is 0
        x, y = [0, *recall, *recall[-1:]], [*best[:1], *best, 0]
        axes.step(x, y, where="pre", color=colour[label], label=label, linewidth=2, alpha=0.8)
    plain(axes, "both", xlim=(0, 1.02), ylim=(0, 1.04), xlabel="recall", ylabel="precision")
    axes.set_title(f"tIoU {tiou:g}", fontsize=10)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def errors(analysis: Mapping) -> Figure:
    """What `evaluation.errors.analyse` found: kinds by rank, what each costs, and which segments are missed."""
    figure = new_figure(12, 3.8)
    profile, gain, misses = figure.subplots(1, 3, width_ratios=(1.3, 1, 1.3))
    tenths = [counts for counts in analysis["profile"] if any(counts.values())]
    names, sofar = [f"{n} G" for n in range(1, len(tenths) + 1)], np.zeros(len(tenths))
    for kind, colour in zip(error_kinds.KINDS, KIND_COLOURS, strict=True):
        shares = np.array([100 * counts[kind] / sum(counts.values()) for counts in tenths])
        profile.bar(names, shares, bottom=sofar, color=colour, label=kind)
        sofar += shares
    plain(profile, title="predictions by rank", xlabel="rank, G: segments of the class", ylabel="percent")
    kinds = list(analysis["gain"])
    gains = [100 * analysis["gain"][kind] for kind in kinds]
    gain.barh(kinds, gains, color=KIND_COLOURS[1:])
    for row, value in enumerate(gains):
        gain.annotate(f"{value:+.1f}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
    plain(gain, "x", title=f"mAP@{analysis['tiou']:g} without them", xlabel="points above the mAP")
    gain.set_xlim(0, 1.25 * max(1, *gains))
    gain.invert_yaxis()
    found = analysis["misses"]
    shown = [(name, size) for name in ("length", "coverage", "instances") for size in found[name] if size["segments"]]
    shares = [100 * size["missed"] / size["segments"] for _, size in shown]
    titles = [f"{name} {error_kinds.bin_range(name, size)} ({size['segments']})" for name, size in shown]
    misses.barh(titles, shares, color=RED)
    for row, value in enumerate(shares):
        misses.text(value + 1, row, f"{value:.0f}", va="center", fontsize=8)
    plain(misses, "x", title=f"missed: {found['missed']} of {analysis['segments']} segments", xlabel="percent")
    misses.set_xlim(0, 108)
    misses.invert_yaxis()
    add_legend(figure, error_kinds.KINDS, dict(zip(error_kinds.KINDS, KIND_COLOURS, strict=True)), 6)
    return figure
