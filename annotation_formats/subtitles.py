"""Subtitles, SubRip (.srt) and WebVTT (.vtt) <-> annotations: a cue's text is the label. One file is one video.

A score in brackets behind the label, which `localize.py` writes, is taken off.
"""

from __future__ import annotations

import html
import re

from annotation_formats.drafts import Draft, Drafts, clock

TIMES = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)(?:\s.*)?", re.ASCII)
MARKUP = re.compile(r"</?(?:b|i|u|s|font|c|v|ruby|rt|lang)(?:[ .][^<>]{0,100})?>|\{\\[^{}]{0,100}\}")
SCORE = re.compile(r" \((?:0\.\d\d|1\.00)\)")
SCORED = "have a score behind their label (taken off)"


def recognised(text: str) -> bool:
    lines = text.lstrip().splitlines()[:3]
    return bool(lines) and (lines[0].startswith("WEBVTT") or any(TIMES.fullmatch(line) for line in lines[:2]))


def read(drafts: Drafts, text: str) -> None:
    draft = drafts.video(drafts.path.stem, "1")
    lines = [*text.splitlines(), ""]
    escaped, number = text.lstrip().startswith("WEBVTT"), 0
    while number < len(lines):
        times, place = TIMES.fullmatch(lines[number]), str(number + 1)
        number += 1
        if times is None:  # numbers of cues, notes, styles
            if "-->" in lines[number - 1]:
                drafts.wrong(place, f"expected `start --> end`, received {lines[number - 1]!r:.80}")
            continue
        words = []
        while lines[number].strip():
            words.append(lines[number])
            number += 1
        label = MARKUP.sub("", " ".join(" ".join(words).split()))
        label = html.unescape(label) if escaped else label
        if SCORE.search(label[-7:]):
            label = label[:-7]
            drafts.odd(SCORED, place)
        try:
            drafts.add(draft, times[1], times[2], label)
        except ValueError as error:
            drafts.wrong(place, error)


def written(draft: Draft, vtt: bool) -> str:
    cues = []
    for number, (segment, score) in enumerate(draft.scored(), start=1):
        start = round(1000 * segment.start)
        # a cue ends after it begins
        times = [clock(time, "." if vtt else ",") for time in (start, max(round(1000 * segment.end), start + 1))]
        label = segment.label if score is None else f"{segment.label} ({score:.2f})"
        head = [] if vtt else [str(number)]
        cues.append("\n".join([*head, " --> ".join(times), html.escape(label, quote=False) if vtt else label, ""]))
    return "\n".join(["WEBVTT\n", *cues] if vtt else cues)
