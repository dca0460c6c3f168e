"""ELAN's .eaf (XML) <-> annotations, with pympi-ling. https://archive.mpi.nl/tla/elan

An annotation's value is the label, whichever tier it is in; a tier's name stands for an empty value. One file is one
video. Times are milliseconds, to which the medium's TIME_ORIGIN is added; slots without one, which tiers of the kind
"time subdivision" have between two that do, share the time there evenly, as ELAN shows them.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as etree  # writes only: files are read by pympi, after `_check`
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from annotation_formats.drafts import Draft, Drafts, lanes

UNALIGNED = "refer to other annotations and have no times of their own (left out)"
BY_TIER = "have no value and are called by their tier"
BETWEEN = "have no times of their own, and share those of the annotation that they divide"
FURTHER = "media beside the first video (passed over)"


def read(drafts: Drafts, path: Path) -> None:
    """Read all tiers, or the one, or those of the annotator, that `observer` names."""
    _check(path)
    from pympi import Eaf

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions of the schema that only add to it
            file = Eaf(str(path), suppress_version_warning=True)
        tiers = {name: (tier[0], tier[1], tier[2]) for name, tier in file.tiers.items() if tier[0] or tier[1]}
        media = sorted(file.media_descriptors, key=lambda one: not one.get("MIME_TYPE", "video").startswith("video"))
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a file of ELAN's: {error!r:.120}") from None
    url = unquote(media[0].get("RELATIVE_MEDIA_URL") or media[0].get("MEDIA_URL", "")) if media else ""
    draft = drafts.video(url.replace("\\", "/").rpartition("/")[2] or path.stem, "")
    if len(media) > 1:
        drafts.odd(FURTHER, f"MEDIA_DESCRIPTOR {media[1].get('MEDIA_URL')!r:.80}")
    origin = int(media[0].get("TIME_ORIGIN", 0)) if media else 0
    people = {tier[2].get("ANNOTATOR", "") for tier in tiers.values()} - {""}
    if len(people) > 1 and drafts.options.observer is None:
        raise ValueError(f"{path}: tiers of several annotators, {sorted(people)}: --observer NAME chooses one")
    for name, (aligned, referring, attributes) in tiers.items():
        if drafts.options.observer not in (None, name, attributes.get("ANNOTATOR", "")):
            drafts.odd("tiers are left out for --observer", f"tier {name!r}")
            continue
        for id_ in referring:
            drafts.odd(UNALIGNED, f"tier {name!r}, {id_}")
        between = _between(file.timeslots, {begin: end for begin, end, *_ in aligned.values()})
        for id_, (begin, end, value, _) in aligned.items():
            place = f"tier {name!r}, {id_}"
            label = " ".join(value.split())
            if not label:
                drafts.odd(BY_TIER, place)
            try:
                times = [between.get(slot, file.timeslots.get(slot)) for slot in (begin, end)]
                if begin in between or end in between:
                    drafts.odd(BETWEEN, place)
                if None in times:
                    raise ValueError("has no time of its own; --observer TIER reads one tier alone")
                drafts.add(draft, (times[0] + origin) / 1000, (times[1] + origin) / 1000, label or name)
            except ValueError as error:
                drafts.wrong(place, error)


def _between(times: dict[str, int | None], next_slot: dict[str, str]) -> dict[str, float]:
    """The times of slots that have none, of a tier whose annotations go from each slot to `next_slot`."""
    found = {}
    for first in (slot for slot in next_slot if times.get(slot) is not None):
        chain = [first, next_slot[first]]
        while times.get(chain[-1]) is None and chain[-1] in next_slot and len(chain) <= len(next_slot):
            chain.append(next_slot[chain[-1]])
        start, end = times[first], times.get(chain[-1])
        if end is not None:
            steps = len(chain) - 1
            found |= {slot: start + (end - start) * step / steps for step, slot in enumerate(chain[1:-1], start=1)}
    return found


def _check(path: Path) -> None:
    """Raise ValueError for what is no XML, and for a document type: its entities can explode, or read other files."""

    def refuse(*_: object) -> None:
        raise ValueError(f"{path}: has a document type (DTD), which ELAN does not write: refused")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise ValueError(f"{path}: not XML: {error}") from None


def written(name: str, draft: Draft) -> str:
    """A file with a tier of the labels, more where they overlap; scores stand in tiers below them."""
    from pympi import Eaf
    from pympi.Elan import to_adocument

    file = Eaf(author="")
    file.remove_tier("default")
    file.add_linked_file(draft.file or f"{name}.mp4", mimetype="video/mp4")
    file.add_linguistic_type("score", constraints="Symbolic_Association", timealignable=False)
    for number, lane in enumerate(lanes(draft.scored())):
        tier = f"actions {number + 1}" if number else "actions"
        file.add_tier(tier)
        if draft.scores:
            file.add_tier(f"{tier}: score", ling="score", parent=tier)
        for segment, score in lane:
            start = round(1000 * segment.start)
            end = max(round(1000 * segment.end), start + 1)
            file.add_annotation(tier, start, end, segment.label)
            if score is not None:
                file.add_ref_annotation(f"{tier}: score", tier, (start + end) // 2, f"{score:.4f}")
    media = file.media_descriptors[0]
    media["MEDIA_URL"] = media["RELATIVE_MEDIA_URL"] = draft.file or f"{name}.mp4"
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(to_adocument(file), encoding="unicode") + "\n"
