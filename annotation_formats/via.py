"""VGG Image Annotator 3's project (JSON) <-> annotations. https://www.robots.ox.ac.uk/~vgg/software/via/

`metadata.<id>` is `{vid, z: [start, end], av: {attribute: option}}` in seconds; `vid` is a view, whose first file is
the video, and an option's name stands in `attribute.<id>.options`.
"""

from __future__ import annotations

import json

from annotation_formats.drafts import Draft, Drafts
from annotation_formats.members import member
from segments import read_seconds

SPATIAL, SEVERAL = "mark pictures, not spans of time (left out)", "have several attributes: a segment for each"
UNKNOWN, FURTHER = "are of options that are not listed (their text is the label)", "files of a view beside its first"
# what VIA writes where an attribute has no options
DEFAULT, BY_ATTRIBUTE = "_DEFAULT", "have VIA's default for a value and are called by their attribute"
SCORE = "score"  # the attribute that predictions have beside their label


def read(drafts: Drafts, value: object) -> None:
    attributes, files = member(value, "", "attribute", dict), member(value, "", "file", dict)
    views: dict[str, Draft] = {}
    for vid, view in member(value, "", "view", dict).items():
        shown = member(view, f"view.{vid}.", "fid_list", list)
        if not shown or str(shown[0]) not in files:
            drafts.wrong(f"view.{vid}.fid_list", f"expected the number of a file, received {shown!r:.80}")
            continue
        if len(shown) > 1:
            drafts.odd(FURTHER, f"view.{vid}")
        file = f"file.{shown[0]}"
        try:
            views[vid] = drafts.video(member(files[str(shown[0])], f"{file}.", "fname", str), file)
        except ValueError as error:
            drafts.wrong(file, error)
    for id_, entry in member(value, "", "metadata", dict).items():
        place = f"metadata.{id_}"
        try:
            _read_entry(drafts, entry, place, views, attributes)
        except ValueError as error:
            drafts.wrong(place, error)


def _read_entry(drafts: Drafts, entry: object, place: str, views: dict[str, Draft], attributes: dict) -> None:
    span = member(entry, "", "z", list, [])
    if len(span) != 2:
        drafts.odd(SPATIAL, place)
        return
    vid = str(entry.get("vid"))
    if vid not in views:
        raise ValueError(f"vid: expected a view with a file, received {vid!r:.80}")
    labels = []
    for number, given in member(entry, "", "av", dict).items():
        attribute = member(attributes, "attribute.", number, dict)
        if attribute.get("aname") == SCORE or given in ("", None):
            continue
        options = member(attribute, f"attribute.{number}.", "options", dict, {})
        # of check boxes, several with commas between
        chosen = [str(given)] if str(given) in options or not options else str(given).split(",")
        for option in chosen:
            if option == DEFAULT and option not in options:
                drafts.odd(BY_ATTRIBUTE, place)
                option = member(attribute, f"attribute.{number}.", "aname", str)
            elif options and option not in options:
                drafts.odd(UNKNOWN, place)
            labels.append(options.get(option, option))
    if not labels:
        raise ValueError("av: has no label: give it one in VIA")
    if len(labels) > 1:
        drafts.odd(SEVERAL, place)
    for label in labels:
        if not isinstance(label, str):
            raise ValueError(f"expected a label of text, received {label!r:.80}")
        drafts.add(views[vid], read_seconds(span[0]), read_seconds(span[1]), label)


def written(videos: dict[str, Draft]) -> str:
    """A project with one attribute, `action`, and with the scores of predictions as another."""
    labels = sorted({segment.label for draft in videos.values() for segment in draft.segments})
    number_of = {label: str(number) for number, label in enumerate(labels)}
    span = {"anchor_id": "FILE1_Z2_XY0", "desc": "", "default_option_id": ""}
    attribute = {"1": {"aname": "action", "type": 4, "options": {n: label for label, n in number_of.items()}, **span}}
    if any(draft.scores for draft in videos.values()):
        attribute["2"] = {"aname": SCORE, "type": 1, "options": {}, **span}
    files, views, metadata = {}, {}, {}
    for number, (name, draft) in enumerate(videos.items(), start=1):
        file = draft.file or f"{name}.mp4"
        files[str(number)] = {"fid": str(number), "fname": file, "type": 4, "loc": 1, "src": file}
        views[str(number)] = {"fid_list": [str(number)]}
        for position, (segment, score) in enumerate(draft.scored()):
            given = {"1": number_of[segment.label]} | ({} if score is None else {"2": f"{score:.4f}"})
            metadata[f"{number}_{position}"] = {"vid": str(number), "flg": 0, "z": [segment.start, segment.end],
                                                "xy": [], "av": given}  # fmt: skip
    project = {
        "project": {"pid": "__VIA_PROJECT_ID__", "rev": "__VIA_PROJECT_REV_ID__", "rev_timestamp": "",
                    "pname": "actions", "creator": "", "created": 0, "vid_list": list(views)},
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
        "attribute": attribute, "file": files, "metadata": metadata, "view": views,
    }  # fmt: skip
    return json.dumps(project, indent=1, ensure_ascii=False) + "\n"
