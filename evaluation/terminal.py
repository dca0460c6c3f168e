"""Evaluations and comparisons, as JSON values of their modules -> aligned lines for the terminal, in percent."""

from __future__ import annotations

from collections.abc import Sequence

MOST_CLASSES_SHOWN = 20
MOST_VIDEOS_SHOWN = 5  # that got better, and worse


def table(value: dict, every_class: bool = False) -> str:
    """The figures of `metrics_<subset>.json`, with their intervals where it has them."""
    counts, spans, AP = value["videos"], value.get("intervals") or {}, value["AP"]
    lines = [
        f"{value['subset']}: {counts['annotated']:,} videos annotated, {counts['predicted']:,} predicted, "
        f"{counts['missing']:,} missing; {value['predictions']:,} predictions, {_classes(len(AP))}"
        + (f", {value['ignored_predictions']:,} predictions of other labels ignored"
           if value["ignored_predictions"] else ""),
        f"protocol {value.get('preset') or value['protocol']}; values in percent{drawn(spans)}",
        "",
        f"{'average mAP':<12}{100 * value['average_mAP']:.2f}{span(spans.get('average_mAP'))}",
    ]  # fmt: skip
    lines += [*rough(spans), *_figures(value, spans)]
    if value.get("reliability"):
        told = value["reliability"]
        lines += ["", f"scores are {100 * told['error']:.1f} points off the share that is right (calibration error, "
                  f"tIoU {told['tiou']}){span(told.get('interval'))}"]  # fmt: skip
    if every_class or len(AP) <= MOST_CLASSES_SHOWN:
        lines += class_table(AP, spans)
    return "\n".join(lines)


def _classes(count: int) -> str:
    return f"{count} class{'es' * (count != 1)}"


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def drawn(spans: dict) -> str:
    """What low and high are, from `intervals.heading`."""
    if spans.get("videos", 0) < 2:
        return "; no intervals of one video" if spans else ""
    return f"; low and high: {100 * spans['level']:g} % of {spans['draws']:,} draws of the videos"


def rough(spans: dict) -> list[str]:
    """How much stands behind the figures where it is little."""
    if not spans.get("rough"):
        return []
    actions = sum(one["actions"] for one in spans["classes"].values())
    return [f"rough: {_count(actions, 'action')} in {_count(spans['videos'], 'video')}"]


def span(ends: Sequence[float] | None) -> str:
    return f"  ({100 * ends[0]:.2f} to {100 * ends[1]:.2f})" if ends else ""


def _figures(value: dict, spans: dict) -> list[str]:
    """The rows of mAP by tIoU, of its parts, of proposals and of videos."""
    lines = []
    rows = [("mAP", value["mAP"], spans.get("mAP"))]
    ends_of = spans.get("parts", {})
    rows += [(name, part["mAP"], ends_of.get(name, {}).get("mAP")) for name, part in value.get("parts", {}).items()]
    thresholds = list(value["mAP"])
    for first in range(0, len(thresholds), 10):
        some = thresholds[first : first + 10]
        lines += ["", line("tIoU", some)]
        for name, shares, ends in rows:
            lines += row(name, [shares[key] for key in some], ends and [ends[key] for key in some])
    if value.get("parts"):
        parts = {"action": (value, spans)}
        parts |= {name: (part, ends_of.get(name, {})) for name, part in value["parts"].items()}
        each = [f"{name} {100 * part['average_mAP']:.2f}{span(ends.get('average_mAP'))}"
                for name, (part, ends) in parts.items()]  # fmt: skip
        lines.append(f"average mAP of each: {', '.join(each)}")
    proposals, labels = value["proposals"], value["classification"]
    known, told = spans.get("proposals"), spans.get("classification")
    lines += ["", line("proposals", [*(f"AR@{number}" for number in proposals["AR"]), "AUC"])]
    lines += row("", [*proposals["AR"].values(), proposals["AUC"]], known and [*known["AR"].values(), known["AUC"]])
    lines += ["", line("videos", [name.replace("_", "-") for name in labels])]
    return lines + row("", list(labels.values()), told and [told[name] for name in labels])


def line(head: str, cells: Sequence[str], width: int = 7) -> str:
    return f"{head:<10}" + "".join(f"{cell:>{width}}" for cell in cells)


def row(name: str, shares: Sequence[float], ends: Sequence | None, width: int = 7) -> list[str]:
    """A line of shares, and under it the low and the high ends of their intervals; of one without, -."""
    lines = [line(name, [f"{100 * share:.2f}" for share in shares], width)]
    for n, side in enumerate(("low", "high") if ends else ()):
        lines.append(line(f"  {side}", [f"{100 * one[n]:.2f}" if one else "-" for one in ends], width))
    return lines


def class_table(AP: dict, spans: dict) -> list[str]:
    """The average precision of each class, best first, with what `spans` has of its intervals and counts."""
    width = max(map(len, ("class", *AP))) + 2
    best_first = sorted(AP.items(), key=lambda item: (-item[1], item[0]))
    if not spans:
        return [
            "",
            f"{'class':<{width}}{'AP':>6}",
            *(f"{name:<{width}}{100 * share:6.2f}" for name, share in best_first),
        ]
    lines = ["", f"{'class':<{width}}{'AP':>6}{'low':>7}{'high':>7}{'actions':>9}{'videos':>8}"]
    for name, share in best_first:
        ends, counts = spans.get("AP", {}).get(name), spans["classes"][name]
        low, high = (f"{100 * end:.2f}" for end in ends) if ends else ("-", "-")
        numbers = f"{counts['actions']:>9,}{counts['videos']:>8,}"
        lines.append(f"{name:<{width}}{100 * share:6.2f}{low:>7}{high:>7}{numbers}")
    return lines


def frames(value: dict, every_class: bool = False) -> str:
    """Lines for the terminal, in percent, of what `segmentation.measured` gives."""
    ends, F1 = value["intervals"], value["F1"]
    heads = ["accuracy", "edit", *(f"F1@{100 * float(overlap):g}" for overlap in F1)]
    known = [ends["accuracy"], ends["edit"], *ends["F1"].values()] if "F1" in ends else None
    shares = [value["accuracy"], value["edit"], *F1.values()]
    lines = [*rough(ends), "", line("", heads, 10), *row("", shares, known, 10)]
    frame_mAP = f"frame mAP {100 * value['frame_mAP']:.2f}{span(ends.get('frame_mAP'))}"
    lines += ["", f"{frame_mAP}, several classes at once"]
    if every_class or len(value["frame_AP"]) <= MOST_CLASSES_SHOWN:
        lines += class_table(value["frame_AP"], ends | {"AP": ends.get("frame_AP", {})})
    return "\n".join(lines)


def comparison(value: dict, names: tuple[str, str], every_class: bool = False) -> str:
    """The lines of two runs; `names`: what they are called."""
    whole, videos = value["average_mAP"], value["videos"]
    lines = [
        f"{value['subset']}: {_count(value['videos_annotated'], 'video')} annotated; A is {names[0]}, B is {names[1]}",
        "values in percent" + (
            f"; low and high: {100 * value['level']:g} % of {value['draws']:,} draws of the videos, the same for both"
            if "draws" in value else "; no intervals of one video"
        ),
        "", _difference_head("", 14), _difference("average mAP", whole, 14),
        *(_difference(f"mAP@{name}", pair, 14) for name, pair in value["mAP"].items()),
        "", _in_words(value),
    ]  # fmt: skip
    pairs = sorted(value["AP"].items(), key=lambda item: (-item[1]["difference"], item[0]))
    if not every_class and len(pairs) > MOST_CLASSES_SHOWN:
        half = MOST_CLASSES_SHOWN // 2
        pairs = [*pairs[:half], *pairs[-half:]]
    width = max(map(len, ("class", *(name for name, _ in pairs)))) + 2
    lines += ["", _difference_head("class", width), *(_difference(name, pair, width) for name, pair in pairs)]
    gained = sorted(videos.items(), key=lambda item: (item[1]["one"] - item[1]["other"], item[0]))
    better = [one for one in gained if one[1]["other"] > one[1]["one"]]
    worse = [one for one in gained[::-1] if one[1]["other"] < one[1]["one"]]
    lines.append(f"\nof {_count(len(videos), 'video')} with actions, {len(better):,} got better, {len(worse):,} worse")
    for title, some in (("better", better), ("worse", worse)):
        width = max([len(name) for name, _ in some[:MOST_VIDEOS_SHOWN]], default=0) + 2
        lines += [f"  {title:<8}{name:<{width}}{100 * pair['one']:7.2f} -> {100 * pair['other']:.2f}"
                  for name, pair in some[:MOST_VIDEOS_SHOWN]]  # fmt: skip
    return "\n".join(lines)


def _in_words(value: dict) -> str:
    ends = value["average_mAP"]["interval"]
    if not ends:
        return "one video cannot tell whether the difference would hold on others"
    rough = f"; rough: {_count(value['videos_annotated'], 'video')}" if value["rough"] else ""
    if ends[0] <= 0 <= ends[1]:
        return f"B is better in {100 * value['better']:.0f} % of the draws: the videos do not tell them apart{rough}"
    side = "better" if ends[0] > 0 else "worse"
    return f"B is {side} than A beyond the chance of which videos were taken{rough}"


def _difference_head(name: str, width: int) -> str:
    return f"{name:<{width}}{'A':>7}{'B':>7}{'B - A':>8}{'low':>8}{'high':>8}"


def _difference(name: str, pair: dict, width: int) -> str:
    low, high = (f"{100 * end:+.2f}" for end in pair["interval"]) if pair["interval"] else ("-", "-")
    shares = f"{100 * pair['one']:>7.2f}{100 * pair['other']:>7.2f}{100 * pair['difference']:>+8.2f}"
    return f"{name:<{width}}{shares}{low:>8}{high:>8}"
