"""Predictions and annotations in ActivityNet's JSON layout -> what kinds of errors there are, as JSON and a table.

After Alwassel, Caba Heilbron, Escorcia and Ghanem, "Diagnosing Error in Temporal Action Detectors" (DETAD, ECCV 2018).
Right is what takes a segment in the matching of `evaluation.detection.average_precision`. What is not right is named,
as in DETAD, by the tIoU with the segment of any class that it overlaps most (of equal ones, one of its own class):

- double detection: tIoU >= threshold, its own class: a better scored prediction has the segment
- wrong label: tIoU >= threshold, another class
- localization: LOWEST_TIOU <= tIoU < threshold, its own class
- confusion: LOWEST_TIOU <= tIoU < threshold, another class
- background: tIoU < LOWEST_TIOU

Symbols: N predictions, M annotated segments, K classes, G annotated segments of a class.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

import annotations
import config
import segments
from annotations import Annotations
from evaluation import detection, intervals, matching, options, predictions, terminal

KINDS = ("true positive", "double detection", "wrong label", "localization", "confusion", "background")
LOWEST_TIOU = 0.1  # what overlaps no segment by this much is a background error
GROUPS = 10  # of G predictions of each class, best first; the rest is not analysed
SIZES = ("XS", "S", "M", "L", "XL")
# upper ends of DETAD's bins, which belong to the bin: seconds, share of the video, segments of the class in the video
BINS = {
    "activitynet": {"length": (30, 60, 120, 180), "coverage": (0.2, 0.4, 0.6, 0.8), "instances": (1, 4, 8)},
    "thumos14": {"length": (3, 6, 12, 18), "coverage": (0.02, 0.04, 0.06, 0.08), "instances": (1, 40, 80)},
}


def analyse(
    annotated: Annotations,
    results: predictions.Results | predictions.Table,
    subset: str,
    taxonomy_level: int = annotations.LEAF_LEVEL,
    threshold: float = 0.5,
    bins: str = "activitynet",
) -> dict:
    """What is wrong with the predictions of a subset, at one tIoU threshold.

    Of each class the best 10 G predictions are analysed, G being its number of annotated segments. Where DETAD
    normalises precision by the mean number of segments a class, the mAP here is the plain one, and a segment is missed
    when none of those predictions takes it.

    Args:
      annotated: the ground truth.
      results: predictions, see `predictions.Results`. Those of labels that the subset lacks are left out and counted.
      subset: training, validation or testing.
      taxonomy_level: 0 to 3, of the classes.
      threshold: tIoU from which a prediction can be right, above LOWEST_TIOU.
      bins: activitynet or thumos14 (short actions in long videos): DETAD's bins of the missed segments.

    Returns:
      JSON values; shares are 0 to 1. `profile` counts the kinds in each tenth: the predictions of rank (n - 1) G to n G
      of their class. `gain` is what the mAP wins when all errors of a kind are taken away. `misses` counts the segments
      and the missed ones by length in seconds, by coverage (length / the video's duration) and by the number of
      instances (segments of the class in the video), each bin with the range (`above`, `to`] of its values. `intervals`
      has those of these shares (of `profile`, of the predictions of a tenth, each with the rank that it has in the
      subset) under the same names.

    Raises:
      ValueError: a threshold or bins that cannot be, a subset without annotated segments, a prediction that cannot be
        read.
    """
    if not LOWEST_TIOU < threshold <= 1:
        raise ValueError(f"tIoU threshold: expected above {LOWEST_TIOU} and at most 1, received {threshold}")
    if bins not in BINS:
        raise ValueError(f"bins: expected one of {', '.join(BINS)}, received {bins!r}")
    compared = _columns(annotated, results, subset, taxonomy_level)
    truth, predicted, classes = compared.truth, compared.predicted, compared.classes
    positives = np.bincount(truth.classes, minlength=len(classes))
    tenth = matching.ranks(predicted.classes) // positives[predicted.classes]
    best = np.flatnonzero(tenth < GROUPS)
    chosen = predicted.take(best)
    taken = detection.matches(truth, chosen, np.array([threshold]), len(classes))[:, 0]
    kinds = np.where(taken >= 0, 0, _error_kinds(truth, chosen, threshold))
    durations = np.array([video.duration for video in annotated.subset(subset)])
    # the draws serve an average precision a kind
    weights = intervals.draw(len(durations), len(KINDS) * len(best))
    profile, *shares = _profile(chosen.videos, tenth[best], kinds, weights)
    gains, *gained = _gains(chosen, truth, kinds, len(classes), weights)
    misses, lost = _misses(truth, taken, durations, len(classes), BINS[bins], weights)
    spans = intervals.heading(weights, classes, truth)
    if len(durations) > 1:
        spans |= dict(zip(("profile", "mAP", "gain", "misses"), (*shares, *gained, lost), strict=True))
    return {
        "subset": subset,
        "tiou": threshold,
        "lowest_tiou": LOWEST_TIOU,
        "classes": len(classes),
        "segments": len(truth.videos),
        "predictions": len(predicted.videos),
        "analysed_predictions": len(best),
        "ignored_predictions": compared.ignored,
        "profile": profile,
        **gains,
        "misses": {"bins": bins, **misses},
        "intervals": spans,
    }


def precision_recall(
    annotated: Annotations,
    results: predictions.Results | predictions.Table,
    subset: str,
    taxonomy_level: int = annotations.LEAF_LEVEL,
    threshold: float = 0.5,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Class -> recall [n] and precision [n] after each of its predictions, best first; arguments as in `analyse`."""
    compared = _columns(annotated, results, subset, taxonomy_level)
    truth, predicted, classes = compared.truth, compared.predicted, compared.classes
    right = detection.matches(truth, predicted, np.array([threshold]), len(classes))[:, 0] >= 0
    positives = np.bincount(truth.classes, minlength=len(classes))
    return {
        name: matching.recall_and_precision(right[predicted.classes == number], positives[number])
        for number, name in enumerate(classes)
    }


def _columns(
    annotated: Annotations, results: predictions.Results | predictions.Table, subset: str, level: int
) -> predictions.Compared:
    videos, class_of = annotated.subset(subset), annotated.class_of(level)
    truth = {v.id: [segments.Segment(s.start, s.end, class_of[s.label]) for s in v.segments] for v in videos}
    return predictions.columns(truth, results, class_of, f"{annotated.source}: subset {subset}", ignore_unknown=True)


def _error_kinds(truth: detection.Instances, predicted: detection.Instances, threshold: float) -> np.ndarray:
    """[N] int: what each prediction is called, as a place in KINDS, if it is wrong; see `analyse`."""
    most, own = np.zeros(len(predicted.videos)), np.zeros(len(predicted.videos), bool)
    for rows, truths, overlap in detection.overlaps(predicted, truth, predicted.videos, truth.videos):
        # 0 / 0, both without length, is infinite: above any threshold, as the official evaluation has it
        overlap = np.nan_to_num(overlap, nan=np.inf)
        np.maximum.at(most, rows, overlap)
        same_class = predicted.classes[rows] == truth.classes[truths]
        own[rows[(overlap == most[rows]) & same_class]] = True
    double, wrong, localization, confusion, background = range(1, len(KINDS))
    return np.select(
        [most < LOWEST_TIOU, most < threshold],
        [background, np.where(own, localization, confusion)],
        np.where(own, double, wrong),
    )


def _profile(
    owners: np.ndarray, tenth: np.ndarray, kinds: np.ndarray, weights: np.ndarray
) -> tuple[list[dict], list[dict]]:
    """How many of N predictions, of videos [N], are of each kind [N] in each tenth [N]; intervals of these shares."""
    weights = intervals.with_others(weights, owners.max(initial=0) + 1)
    counts = np.zeros((weights.shape[1], GROUPS, len(KINDS)), np.int64)
    np.add.at(counts, (owners, tenth, kinds), 1)
    parts, wholes = counts.reshape(len(counts), -1), np.repeat(counts.sum(axis=2), len(KINDS), axis=1)
    ends = intervals.of_quotients(parts, wholes, weights)
    rows = [ends[first : first + len(KINDS)] for first in range(0, len(ends), len(KINDS))]
    profile, spans = ([dict(zip(KINDS, row, strict=True)) for row in some] for some in (counts.sum(0).tolist(), rows))
    return profile, spans


def _gains(
    chosen: detection.Instances, truth: detection.Instances, kinds: np.ndarray, num_classes: int, weights: np.ndarray
) -> tuple[dict, list, dict]:
    """The mAP of the N predictions [N], and what it wins without the errors of each kind; the intervals of both."""

    def mean_average_precision(kept: np.ndarray) -> tuple[float, np.ndarray]:
        ranked = detection.Ranked(chosen.take(kept), truth, kinds[kept, None] == 0)
        draws = intervals.over_classes(intervals.average_precisions(ranked, weights, num_classes))[:, 0]
        return float(ranked.areas(num_classes).mean()), draws

    figure, drawn = mean_average_precision(np.arange(len(kinds)))
    gain, ends = {}, {}
    for kind, name in enumerate(KINDS[1:], start=1):
        without, drawn_without = mean_average_precision(np.flatnonzero(kinds != kind))
        gain[name] = without - figure
        ends[name] = intervals.of_shares(drawn_without - drawn, gain[name])
    return {"mAP": figure, "gain": gain}, intervals.of_shares(drawn, figure), ends


def _misses(
    truth: detection.Instances, taken: np.ndarray, durations: np.ndarray, num_classes: int, bins: dict,
    weights: np.ndarray,
) -> tuple[dict, dict]:  # fmt: skip
    """Segments and missed segments, in all and by bin, see `analyse`, and the intervals; durations [V] seconds."""
    missed = np.ones(len(truth.videos), bool)
    missed[taken[taken >= 0]] = False
    lengths = np.ptp(truth.spans, axis=1)
    # a segment in a video of no length covers all of it
    coverage = np.divide(lengths, durations[truth.videos], out=np.ones_like(lengths), where=durations[truth.videos] > 0)
    _, place, sizes = np.unique(truth.keys(num_classes), return_inverse=True, return_counts=True)
    values = {"length": lengths, "coverage": coverage, "instances": sizes[place]}
    places = {name: np.searchsorted(bins[name], some, side="left") for name, some in values.items()}

    def spans(place: np.ndarray, size: int) -> list:
        cells = truth.videos * size + place
        parts, wholes = (np.bincount(cells, some, len(durations) * size).reshape(-1, size) for some in (missed, None))
        return intervals.of_quotients(parts, wholes, weights)

    counts = {"missed": int(missed.sum())} | {name: _binned(places[name], missed, bins[name]) for name in values}
    each = {name: spans(places[name], len(bins[name]) + 1) for name in values}
    return counts, {"missed": spans(np.zeros_like(truth.videos), 1)[0]} | each


def _binned(place: np.ndarray, missed: np.ndarray, ends: Sequence[float]) -> list[dict]:
    """Counts of all and of the missed [M] segments in each bin [M]; the last bin has no end (null)."""
    counts = np.stack([np.bincount(place[kept], minlength=len(ends) + 1) for kept in (slice(None), missed)], axis=1)
    edges = zip((0, *ends), (*ends, None), counts.tolist(), strict=True)
    return [
        {"size": size, "above": above, "to": to, "segments": number, "missed": lost}
        for size, (above, to, (number, lost)) in zip(SIZES, edges, strict=False)
    ]


def table(analysis: dict) -> str:
    """Aligned lines for the terminal, in percent."""
    total, ignored, spans = analysis["segments"], analysis["ignored_predictions"], analysis["intervals"]
    tenths = [counts for counts in analysis["profile"] if any(counts.values())]
    lines = [
        f"{analysis['subset']}: {total:,} segments of {analysis['classes']} classes; "
        f"{analysis['analysed_predictions']:,} of {analysis['predictions']:,} predictions: "
        f"the best {GROUPS} G of each class, which has G segments"
        + (f"; {ignored:,} of other labels ignored" if ignored else ""),
        f"mAP@{analysis['tiou']:g} {100 * analysis['mAP']:.2f}{terminal.span(spans.get('mAP'))}; values in percent"
        f"{terminal.drawn(spans)}; gain: of mAP without these errors",
        *terminal.rough(spans),
        "",
        f"{'predictions to rank':<20}" + "".join(f"{f'{n} G':>7}" for n in range(1, len(tenths) + 1)) + f"{'gain':>9}",
        f"{'number':<20}" + "".join(f"{sum(counts.values()):>7,}" for counts in tenths),
    ]
    for kind in KINDS:
        shares = "".join(f"{_percent(counts[kind], sum(counts.values())):>7}" for counts in tenths)
        gain = f"{100 * analysis['gain'][kind]:>+9.2f}" if kind in analysis["gain"] else ""
        lines.append(f"{kind:<20}{shares}{gain}")
        for n, side in enumerate(("low", "high") if "profile" in spans else ()):
            ends = "".join(f"{_end(some[kind], n):>7}" for some in spans["profile"][: len(tenths)])
            gained = f"{100 * spans['gain'][kind][n]:>+9.2f}" if kind in spans["gain"] else ""
            lines.append(f"{f'  {side}':<20}{ends}{gained}")
    return "\n".join([*lines, *_miss_lines(analysis["misses"], total, spans.get("misses", {}))])


def _miss_lines(misses: dict, total: int, spans: dict) -> list[str]:
    """The lines of missed segments; `spans`: their intervals, by the same names."""
    share = f"{_percent(misses['missed'], total)} %{terminal.span(spans.get('missed'))}"
    lines = ["", f"missed: {misses['missed']:,} of {total:,} segments, {share}"]
    for name in BINS[misses["bins"]]:
        heads = [f"{size['size']} {bin_range(name, size)}" for size in misses[name]]
        cells = [f"{_percent(size['missed'], size['segments'])} of {size['segments']:,}" for size in misses[name]]
        ends = [f"{_end(some, 0)} to {_end(some, 1)}" if some else "-" for some in spans.get(name, ())]
        lines += [f"{name:<11}" + "".join(f"{head:>16}" for head in heads)]
        lines += ["".join(f"{cell:>16}" for cell in some).rjust(11 + 16 * len(heads)) for some in (cells, ends) if some]
    return lines


def _end(ends: Sequence[float] | None, side: int) -> str:
    return f"{100 * ends[side]:.1f}" if ends else "-"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


def bin_range(name: str, size: dict) -> str:
    """The values of a bin of `misses`, in words."""
    values = f"> {size['above']:g}" if size["to"] is None else f"to {size['to']:g}"
    return f"{values} s" if name == "length" else values


def run(settings: config.Config, arguments: argparse.Namespace) -> None:
    """Analyse what the command line names, else what the settings do; write the JSON and print the table."""
    results = predictions.load_table(options.predictions_file(settings.paths, settings.predict.subset, arguments))
    annotated = annotations.load(options.ground_truth_file(settings.paths, arguments))
    subset, level = settings.predict.subset, settings.data.taxonomy_level
    analysis = analyse(annotated, results, subset, level, arguments.tiou, arguments.bins)
    options.show(analysis, table(analysis), arguments)
    options.write(analysis, "errors", settings.paths, settings.predict.subset, arguments)


def main(argv: list[str] | None = None) -> int:
    parser = options.make_parser(
        "What kinds of errors predictions in ActivityNet's JSON layout have, and which segments they miss (DETAD).",
        "errors",
        prog="metrics.py errors",
    )
    add = parser.add_argument
    add("--tiou", type=float, default=0.5, help="overlap from which a prediction can be right (default: 0.5)")
    add("--bins", choices=tuple(BINS), default="activitynet", help="bins of lengths; thumos14: short actions")
    return options.run_script(parser, argv, run)
