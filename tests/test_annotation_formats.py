"""Annotation files of other programs: small ones written by hand from their specifications, and what is odd in them."""

import json

import pytest

import annotations
from annotation_formats import files
from annotation_formats.drafts import Options
from segments import Segment


def read(path, content=None, **options):
    """Video id -> its segments."""
    if content is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return {name: list(video.segments) for name, video in annotations.load(path, Options(**options)).videos.items()}


def boris(events, files=("party.mp4",), lengths=(20.0,), **more):
    behaviours = {"0": {"type": "State event", "code": "Run"}, "1": {"type": "Point event", "code": "Clap"}}
    info = {"length": dict(zip(files, lengths, strict=True)), "fps": {}, "offset": {"1": 0.0, "2": 0.0}}
    observation = {"file": {"1": list(files), "2": []}, "type": "MEDIA", "time offset": 0.0, "media_info": info}
    observation |= {"events": [[time, subject, code, "", ""] for time, subject, code in events]} | more
    return {"behaviors_conf": behaviours, "observations": {"first": observation}}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///x/my%20party.mp4" MIME_TYPE="video/mp4"{origin}/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="3250"/>
<TIME_SLOT TIME_SLOT_ID="ts3"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="actions"{first}>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="{end}">
<ANNOTATION_VALUE>Jump &amp; run</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Sit"{second}>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a2"><ANNOTATION_VALUE>note</ANNOTATION_VALUE>
</REF_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
PLAIN = {"origin": "", "first": "", "second": "", "end": "ts2"}


def test_elan_reads_values_and_tiers_without_one(tmp_path, told):
    found = read(tmp_path / "a.eaf", EAF.format(**PLAIN))
    assert found == {"my party": [Segment(1.5, 3.25, "Jump & run"), Segment(1.5, 3.25, "Sit")]}
    assert "1 have no value and are called by their tier; the first: tier 'Sit', a2" in told()
    assert "1 refer to other annotations and have no times of their own" in told()


def test_elan_offsets_people_and_missing_times(tmp_path):
    shifted = EAF.format(**PLAIN | {"origin": ' TIME_ORIGIN="500"'})
    assert read(tmp_path / "a.eaf", shifted)["my party"][0] == Segment(2.0, 3.75, "Jump & run")
    people = EAF.format(**PLAIN | {"first": ' ANNOTATOR="A"', "second": ' ANNOTATOR="B"'})
    with pytest.raises(ValueError, match=r"several annotators, \['A', 'B'\]: --observer NAME"):
        read(tmp_path / "a.eaf", people)
    assert read(tmp_path / "a.eaf", observer="A") == {"my party": [Segment(1.5, 3.25, "Jump & run")]}
    assert read(tmp_path / "a.eaf", observer="Sit") == {"my party": [Segment(1.5, 3.25, "Sit")]}
    # a tier that names nobody is nobody else's
    named = EAF.format(**PLAIN | {"first": ' ANNOTATOR="A"'})
    assert len(read(tmp_path / "a.eaf", named)["my party"]) == 2
    with pytest.raises(ValueError, match="tier 'actions', a1: has no time"):
        read(tmp_path / "a.eaf", EAF.format(**PLAIN | {"end": "ts3"}))


def test_elan_annotations_that_divide_another_share_its_time(tmp_path, told):
    part = """<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{0}" TIME_SLOT_REF1="{1}" TIME_SLOT_REF2="{2}">
<ANNOTATION_VALUE>{0}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"""
    parts = "".join(part.format(*names) for names in (("b1", "ts1", "ts3"), ("b2", "ts3", "ts4"), ("b3", "ts4", "ts2")))
    tier = f'<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="parts">{parts}</TIER>\n<LINGUISTIC_TYPE'
    divided = EAF.format(**PLAIN).replace("<LINGUISTIC_TYPE", tier)
    divided = divided.replace("</TIME_ORDER>", '<TIME_SLOT TIME_SLOT_ID="ts4"/></TIME_ORDER>')
    found = read(tmp_path / "a.eaf", divided)["my party"]
    # 1.5 to 3.25 in three
    assert [(round(s.start, 3), round(s.end, 3), s.label) for s in found[2:]] == [
        (1.5, 2.083, "b1"), (2.083, 2.667, "b2"), (2.667, 3.25, "b3")]  # fmt: skip
    assert "3 have no times of their own, and share those of the annotation" in told()
    # a ring of slots, which no ELAN writes, has no times
    with pytest.raises(ValueError, match="tier 'parts', b2: has no time"):
        read(tmp_path / "a.eaf", divided.replace('TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts2"',
                                                 'TIME_SLOT_REF1="ts4" TIME_SLOT_REF2="ts3"'))  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_xml_with_entities_is_refused_before_they_are_read(tmp_path, encoding):
    (tmp_path / "secret").write_text("secret")
    document = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{tmp_path}/secret">]><x>&e;</x>'
    (tmp_path / "a.eaf").write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>{document}'.encode(encoding))
    with pytest.raises(ValueError, match=r"a\.eaf: has a document type"):
        read(tmp_path / "a.eaf")


@pytest.mark.parametrize("text", ["<a>", "<ANNOTATION_DOCUMENT/>", "<a/>"])
def test_other_xml_is_no_file_of_elan(tmp_path, text):
    with pytest.raises(ValueError, match=r"a\.eaf: (not XML|not a file of ELAN|expected a video)"):
        read(tmp_path / "a.eaf", text)


def via(*entries, options=True):
    attribute = {"1": {"aname": "action", "type": 4, "options": {"0": "Run", "1": "Sit"} if options else {}}}
    metadata = {str(number): {"vid": "1", "flg": 0, "z": z, "xy": [], "av": {"1": given}}
                for number, (z, given) in enumerate(entries)}  # fmt: skip
    return {"project": {}, "config": {}, "attribute": attribute, "file": {"1": {"fid": "1", "fname": "party.mp4"}},
            "metadata": metadata, "view": {"1": {"fid_list": ["1"]}}}  # fmt: skip


def test_via_spans_are_of_their_options(tmp_path, told):
    project = via(([1.5, 3.25], "0"), ([4, 5], "0,1"), ([6, 7], "9"), ([8], "0"))
    assert read(tmp_path / "a.json", project) == {
        "party": [Segment(1.5, 3.25, "Run"), Segment(4, 5, "Run"), Segment(4, 5, "Sit"), Segment(6, 7, "9")]
    }
    for words in ("1 have several attributes", "1 are of options that are not listed", "1 mark pictures, not spans"):
        assert words in told()
    free = via(([1, 2], "free, text"), options=False)
    assert read(tmp_path / "a.json", free) == {"party": [Segment(1, 2, "free, text")]}
    # VIA's own word where an attribute has no options
    assert read(tmp_path / "a.json", via(([1, 2], "_DEFAULT"), options=False)) == {"party": [Segment(1, 2, "action")]}
    assert "1 have VIA's default for a value and are called by their attribute" in told()
    with pytest.raises(ValueError, match="metadata.0: av: has no label"):
        read(tmp_path / "a.json", via(([1, 2], "")))


def task(*ranges, video="/data/upload/1/0123abcd-party.mp4", person=1, **more):
    result = [{"type": "timelinelabels", "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}}
              for start, end, label in ranges]  # fmt: skip
    return {"data": {"video": video}, "annotations": [{"completed_by": person, "result": result} | more]}


def test_label_studio_counts_frames_from_1_unless_a_range_shows_0(tmp_path, told):
    path = tmp_path / "a.json"
    assert read(path, [task((26, 50, "Run"))], fps=25) == {"party": [Segment(1, 2, "Run")]}
    assert "1 ranges, taken to be counted from 1; the first: (--first-frame says otherwise)" in told()
    assert "1 files lost the prefix of an upload" in told()
    assert read(path, fps=25, first_frame=0) == {"party": [Segment(26 / 25, 51 / 25, "Run")]}
    assert read(path, [task((0, 24, "Run"))], fps=25) == {"party": [Segment(0, 1, "Run")]}
    with pytest.raises(ValueError, match=r"\[0\]\.result\[0\]: expected frames from 1 on, received 0"):
        read(path, fps=25, first_frame=1)
    with pytest.raises(ValueError, match="numbers of frames"):
        read(path)


def test_label_studio_short_exports_and_several_people(tmp_path, told):
    short = [{"video": "party.mp4", "videoLabels": [{"ranges": [{"start": 1, "end": 25}], "timelinelabels": ["Run"]}]}]
    path = tmp_path / "a.json"
    assert read(path, short, fps=25) == {"party": [Segment(0, 1, "Run")]}
    two = task((1, 25, "Run"))
    two["annotations"] += task((1, 50, "Sit"), person={"id": 2, "email": "b@x"})["annotations"]
    with pytest.raises(ValueError, match=r"\[0\]: several people annotated it, 1, b@x: --observer NAME"):
        read(path, [two], fps=25)
    assert read(path, fps=25, observer="b@x") == {"party": [Segment(0, 2, "Sit")]}
    two["annotations"][1]["was_cancelled"] = True
    two["annotations"][0]["result"].append({"type": "videorectangle", "value": {"sequence": []}})
    assert read(path, [two], fps=25) == {"party": [Segment(0, 1, "Run")]}
    assert "annotations were cancelled" in told() and "regions that are no spans of time" in told()


FRAMES = ",background,Run,Sit\n0,1,0,0\n1,0,1,0\n2,0,1,1\n3,0,0,1\n"


def test_a_table_of_frames_becomes_runs(tmp_path):
    path = tmp_path / "party_labels.csv"
    assert read(path, FRAMES, fps=2) == {"party": [Segment(0.5, 1.5, "Run"), Segment(1, 2, "Sit")]}
    assert annotations.load(path, Options(fps=2)).videos["party"].duration == 2
    with pytest.raises(ValueError, match="party_labels.csv:5: 1 frames are not labelled"):
        read(path, FRAMES.replace("3,0,0,1", "3,-1,-1,-1"), fps=2)
    assert read(path, fps=2, skip_errors=True)["party"][1] == Segment(1, 1.5, "Sit")
    with pytest.raises(ValueError, match="party_labels.csv:6: expected frame 4 with 3 numbers"):
        read(path, FRAMES + "9,0,0,0\n", fps=2)
    with pytest.raises(ValueError, match="party_labels.csv:6: expected 0, 1 or -1, received '7'"):
        read(path, FRAMES + "4,0,7,0\n", fps=2)


def test_thumos_keeps_what_is_ambiguous(tmp_path, told):
    write(tmp_path / "CliffDiving_val.txt", "video_validation_0000051  67.50 75.90\n\nvideo_validation_0000052 1 2\n")
    write(tmp_path / "Ambiguous_val.txt", "video_validation_0000051  10.0  11.5\n")
    write(tmp_path / "Diving_test.txt", "video_test_0000001 1.0 2.0\n")
    assert read(tmp_path) == {
        "video_validation_0000051": [Segment(10, 11.5, "Ambiguous"), Segment(67.5, 75.9, "CliffDiving")],
        "video_validation_0000052": [Segment(1, 2, "CliffDiving")],
        "video_test_0000001": [Segment(1, 2, "Diving")],
    }
    assert annotations.load(tmp_path).videos["video_test_0000001"].subset == "testing"
    assert "1 are Ambiguous, a class of its own; the first: Ambiguous_val.txt:1" in told()
    write(tmp_path / "Diving_test.txt", "video_test_0000001 1.0\n")
    write(tmp_path / "readme.txt", "hello")
    with pytest.raises(ValueError, match=r"Diving_test.txt:1: expected `video start end`.*readme.txt: expected a name"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("party.txt", "1.500000\t3.250000\tJump & run\n\\\t100.0\t200.0\n5,0\t5,0\tClap\n"),
        ("party.srt", "1\n00:00:01,500 --> 00:00:03,250\n<i>Jump &</i>\nrun\n\n2\n"
                      "00:00:05,000 --> 00:00:05,000\nClap\n"),
        ("party.vtt", "WEBVTT\n\nNOTE\nhello\n\n00:01.500 --> 00:03.250 align:start\nJump &amp; run (0.95)\n\n"
                      "00:00:05.000 --> 00:00:05.000\n<v Ann>Clap\n"),
    ],
)  # fmt: skip
def test_labels_and_subtitles(tmp_path, name, text, told):
    assert read(tmp_path / name, text) == {"party": [Segment(1.5, 3.25, "Jump & run"), Segment(5, 5, "Clap")]}
    assert ("lines of frequencies" in told()) == name.endswith("txt")
    assert ("have a score behind their label" in told()) == name.endswith("vtt")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", "1\t2\tx\n1\t2\n", "a.txt:2: expected start, end and label"),
        ("a.txt", "1\t2\tx\n3\tb\tx\n", "a.txt:2: expected a finite number of seconds, received 'b'"),
        ("a.srt", "1\n00:00:01,0 --> 00:00:02,0\nx\n\n00:00:01 -> 2 --> 3\nx\n", "a.srt:5: expected `start --> end`"),
        ("a.srt", "1\n00:00:03,0 --> 00:00:02,0\nx\n", "a.srt:2: expected a segment that ends after it begins"),
        ("a.json", "[]", "a.json: top level: expected an object"),
        ("a.json", '{"results": {}}', "a.json: database: expected an object, but it is missing"),
        ("a.xyz", "hello", "a.xyz:1: expected a header"),
    ],
)
def test_wrong_files_name_the_place(tmp_path, name, text, reason):
    with pytest.raises(ValueError, match=reason):
        read(tmp_path / name, text)


def test_a_folder_of_files_is_read_as_one(tmp_path):
    write(tmp_path / "a.srt", "1\n00:00:01,0 --> 00:00:02,0\nRun\n")
    write(tmp_path / "b.txt", "1\t2\tSit\n")
    write(tmp_path / "notes.md", "hello")
    assert read(tmp_path) == {"a": [Segment(1, 2, "Run")], "b": [Segment(1, 2, "Sit")]}
    write(tmp_path / "c.txt", "1\tx\tSit\n1\t2\tSit\n")
    write(tmp_path / "d.txt", "1\t2\tSit\n2\t1\tSit\n")
    with pytest.raises(ValueError, match=r"c\.txt:1: expected a header|d\.txt:2: expected a segment"):
        read(tmp_path)
    write(tmp_path / "c.txt", "1\t2\tSit\n")
    (tmp_path / "d.txt").rename(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"a\.txt:2: expected a segment that ends.*"):
        read(tmp_path)
    write(tmp_path / "a.txt", "1\t2\tSit\n")
    with pytest.raises(ValueError, match="video 'a' is told of in another file too"):
        read(tmp_path)


def test_the_format_is_told_by_content_not_by_name(tmp_path):
    for name, content, expected in (
        ("a.csv", boris([]), "boris"), ("b.txt", via(), "via"), ("c", [task((1, 2, "x"))], "labelstudio"),
        ("d.csv", "WEBVTT\n", "srt"), ("e.csv", FRAMES, "frames"), ("f.txt", "video,start,end,label\n", "table"),
        ("j.json", [{"file": "x.mp4"}], "table"), ("k.json", [], "activitynet"), ("l.json", [{"x": []}], "activitynet"),
        ("g.csv", "1\t2\tx\n", "audacity"), ("h.csv", EAF.format(**PLAIN), "elan"), ("i.boris", {}, "activitynet"),
    ):  # fmt: skip
        write(tmp_path / name, content if isinstance(content, str) else json.dumps(content))
        assert files.recognise(tmp_path / name)[0] == expected
