"""Annotation files: what is read, counted, relabelled and refused."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import annotations
from annotations import ClassCount
from segments import Segment

DATA = Path(__file__).parents[1].parent / "shared/data/activitynet"


def video(*segments, subset="training", duration=10.0, **more):
    entries = [{"label": label, "segment": [start, end]} for start, end, label in segments]
    return {"subset": subset, "duration": duration, "annotations": entries} | more


def write(folder, database, taxonomy=(), **more):
    path = folder / "annotations.json"
    path.write_text(json.dumps({"version": "V", "taxonomy": list(taxonomy), "database": database} | more))
    return path


def node(number, name, parent):
    return {"nodeId": number, "nodeName": name, "parentId": parent, "parentName": None}


# Root -> Sports -> Ball -> Team -> {Polo, Soccer}; Root -> Food -> Cooking (a branch that ends at level 1)
TREE = (
    node(5, "Soccer", 4), node(0, "Root", None), node(1, "Sports", 0), node(2, "Ball", 1), node(4, "Team", 2),
    node(6, "Polo", 4), node(7, "Food", 0), node(8, "Cooking", 7),
)  # fmt: skip


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("name", "subsets", "labels", "instances", "odd"),
    [
        ("activity_net.v1-2.min.json", (4441, 2198, 2268), 100, 9869, ("4 end", "9 have no", "31 are given twice")),
        ("activity_net.v1-3.min.json", (9649, 4728, 4851), 200, 22152, ("9 end", "12 have no", "45 are given twice")),
    ],
)
def test_the_real_files(name, subsets, labels, instances, odd, warnings):
    if not (DATA / name).is_file():
        pytest.skip("needs ../shared/data: the real annotation files")
    annotated = annotations.load(DATA / name)
    assert tuple(len(annotated.subset(s)) for s in ("training", "validation", "testing")) == subsets
    assert len(annotated.labels()) == labels
    assert sum(len(video.segments) for video in annotated.videos.values()) == instances
    (message,) = warnings()
    assert all(kind in message for kind in odd)
    assert len(annotated.classes()) == labels + 1


def test_the_levels_of_the_real_taxonomy():
    path = DATA / "activity_net.v1-2.min.json"
    if not path.is_file():
        pytest.skip("needs ../shared/data: the real annotation files")
    annotated = annotations.load(path)
    assert [len(annotated.classes(level)) - 1 for level in range(4)] == [5, 12, 33, 100]
    assert annotated.class_of(0)["Archery"] == "Sports, Exercise, and Recreation"
    for level in range(4):
        counts = annotated.statistics(level).values()
        assert sum(count.instances for subsets in counts for count in subsets.values()) == 9869


def test_videos_and_segments_are_kept_as_they_are_and_labels_are_clipped(tmp_path, warnings):
    database = {"-a_b": video((-1, 2.5, "x"), (3, 3, "x"), (9, 12, "y"), (11, 12, "y"), url="http://h/v", other=[1])}
    annotated = annotations.load(write(tmp_path, database, more=1))
    (only,) = annotated.subset("training")
    assert (only.id, only.duration, only.url) == ("-a_b", 10.0, "http://h/v")
    assert only.segments == (Segment(-1, 2.5, "x"), Segment(3, 3, "x"), Segment(9, 12, "y"), Segment(11, 12, "y"))
    assert only.labelled_segments() == [Segment(0, 2.5, "x"), Segment(9, 10, "y")]
    (message,) = warnings()
    assert "of 4 segments" in message
    assert "2 end beyond" in message and "1 begin before 0" in message and "1 have no length" in message


def test_a_clean_file_gives_no_warning(tmp_path, warnings):
    annotations.load(write(tmp_path, {"a": video((0, 10, "x"))}))
    assert warnings() == []


def test_twice_counts_repeats_of_span_and_label_within_a_video(tmp_path, warnings):
    database = {"a": video((1, 2, "x"), (1, 2, "x"), (1, 2, "x"), (1, 2, "y")), "b": video((1, 2, "x"))}
    annotations.load(write(tmp_path, database))
    assert warnings()[0].endswith("of 5 segments, 2 are given twice, such as a, 1 to 2 of 10 s")


def test_a_segment_beyond_the_end_is_named_and_rounding_is_none(tmp_path, warnings):
    annotations.load(write(tmp_path, {"a": video((1, 10.02, "x"), (2, 10.03, "x"), (3, 11, "x"))}))
    assert warnings()[0].endswith(
        "of 3 segments, 2 end beyond their video's end (clipped in labels), such as a, 2 to 10.03 of 10 s"
    )


def test_numbers_written_as_text_are_read(tmp_path, warnings):
    annotated = annotations.load(write(tmp_path, {"a": video(("1.5", 2, "x"), duration="10")}))
    assert annotated.videos["a"].segments == (Segment(1.5, 2.0, "x"),)
    assert annotated.videos["a"].duration == 10.0
    assert "1 have their numbers written as text" in warnings()[0]


def test_unlabelled_videos_and_a_byte_order_mark(tmp_path):
    path = write(tmp_path, {"_t": {"subset": "testing", "duration": 3}, "a": video(url=None)})
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    annotated = annotations.load(path)
    assert annotated.videos["_t"].segments == () and annotated.videos["a"].url == ""
    assert annotated.version == "V"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"annotations": [{"label": "x", "segment": [5, 4]}]}, r"database\.a\.annotations\[0\]: .*ends after .*5.0 to"),
        ({"annotations": [{"label": "x", "segment": [1, float("nan")]}]}, r"annotations\[0\]: expected a finite .*nan"),
        ({"annotations": [{"label": "x", "segment": [1, float("inf")]}]}, r"annotations\[0\]: expected a finite .*inf"),
        ({"annotations": [{"label": "x", "segment": [1, 10**400]}]}, r"annotations\[0\]: expected a finite"),
        ({"annotations": [{"label": "x", "segment": [1, "two"]}]}, r"annotations\[0\]: expected a finite .*'two'"),
        ({"annotations": [{"label": "x", "segment": [True, 2]}]}, r"annotations\[0\]: expected a finite .*True"),
        ({"annotations": [{"label": "x", "segment": [1]}]}, r"annotations\[0\]\.segment: expected \[start, end\]"),
        ({"annotations": [{"label": "x", "segment": 1}]}, r"annotations\[0\]\.segment: expected a list, received 1"),
        ({"annotations": [{"label": "x"}]}, r"annotations\[0\]\.segment: expected a list, but it is missing"),
        ({"annotations": [{"segment": [1, 2]}]}, r"annotations\[0\]\.label: expected text, but it is missing"),
        ({"annotations": [{"label": 3, "segment": [1, 2]}]}, r"annotations\[0\]\.label: expected text, received 3"),
        ({"annotations": [{"label": " ", "segment": [1, 2]}]}, r"annotations\[0\]: expected a label of printable"),
        ({"annotations": [{"label": "Background", "segment": [1, 2]}]}, r"annotations\[0\]: label 'Back.*reserved"),
        ({"annotations": ["x"]}, r"annotations\[0\]: expected an object, received 'x'"),
        ({"annotations": {}}, r"database\.a\.annotations: expected a list"),
        ({"annotations": None}, r"database\.a\.annotations: expected a list"),
        ({"duration": -1}, r"database\.a\.duration: expected at least 0 seconds, received -1"),
        ({"duration": float("nan")}, r"database\.a\.duration: expected a finite"),
        ({"duration": None}, r"database\.a\.duration: expected a number"),
        ({"subset": "some"}, r"database\.a\.subset: expected one of training, validation, testing.* received 'some'"),
        ({"url": 5}, r"database\.a\.url: expected text"),
    ],
)
def test_errors_name_file_and_place(tmp_path, change, place):
    path = write(tmp_path, {"a": video() | change})
    with pytest.raises(ValueError, match=place) as error:
        annotations.load(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("key", ["duration", "annotations"])
def test_missing_keys(tmp_path, key):
    entry = video()
    del entry[key]
    with pytest.raises(ValueError, match=rf"database\.a\.{key}: expected .*, but it is missing"):
        annotations.load(write(tmp_path, {"a": entry}))


@pytest.mark.parametrize("name", ["../x", "/x", "", ".x", "a/b", "a\\b", "a\nb"])
def test_ids_must_stay_in_their_folder(tmp_path, name):
    with pytest.raises(ValueError, match="expected an id that can be a file name"):
        annotations.load(write(tmp_path, {name: video()}))


@pytest.mark.parametrize("text", ["[]", "{}", '{"database": []}', '{"database": {"a": 1}}'])
def test_another_layout(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="expected an object"):
        annotations.load(tmp_path / "a.json")


def test_classes_are_ancestors_at_a_level(tmp_path):
    database = {"a": video((0, 1, "Soccer"), (1, 2, "Polo"), (2, 3, "Cooking"))}
    annotated = annotations.load(write(tmp_path, database, TREE))
    assert annotated.classes(0) == ("background", "Food", "Sports")
    assert annotated.classes(1) == ("background", "Ball", "Cooking")
    # the branch of cooking ends above level 2: the label stands for itself
    assert annotated.classes(2) == ("background", "Cooking", "Team")
    assert annotated.classes(3) == ("background", "Cooking", "Polo", "Soccer")
    assert annotated.class_of(2) == {"Cooking": "Cooking", "Polo": "Team", "Soccer": "Team"}


def test_the_order_of_classes_does_not_depend_on_the_order_of_videos(tmp_path):
    database = {"a": video((0, 1, "z")), "b": video((0, 1, "m")), "c": video((0, 1, "k"))}
    first = annotations.load(write(tmp_path, database)).classes()
    assert first == annotations.load(write(tmp_path, dict(reversed(database.items())))).classes()
    assert first == ("background", "k", "m", "z")


def test_a_label_that_repeats_the_name_of_a_coarser_node_means_the_deeper_one(tmp_path):
    tree = (node(0, "Root", None), node(1, "Skiing", 0), node(2, "Snow", 1), node(3, "Skiing", 2))
    annotated = annotations.load(write(tmp_path, {"a": video((0, 1, "Skiing"))}, tree))
    assert annotated.class_of(1) == {"Skiing": "Snow"}


def test_min_examples_counts_training_segments(tmp_path):
    database = {
        "a": video((0, 1, "x"), (1, 2, "x"), (2, 3, "y")),
        "b": video((0, 1, "y"), (1, 2, "y"), (2, 3, "z"), subset="validation"),
    }
    annotated = annotations.load(write(tmp_path, database))
    assert annotated.classes() == ("background", "x", "y")
    assert annotated.classes(min_examples=2) == ("background", "x")
    assert annotated.classes(min_examples=0) == ("background", "x", "y", "z")
    with pytest.raises(ValueError, match="at least 3 training segments .* 3 classes, the largest with 2"):
        annotated.classes(min_examples=3)


def test_statistics_count_all_segments_and_labelled_seconds(tmp_path):
    database = {
        "a": video((0, 1.5, "Soccer"), (8, 12, "Polo"), (3, 3, "Polo")),
        "b": video((0, 1, "Polo"), subset="validation"),
    }
    annotated = annotations.load(write(tmp_path, database, TREE))
    none = ClassCount(0, 0)
    assert annotated.statistics()["Polo"] == {
        "training": ClassCount(2, 2.0), "validation": ClassCount(1, 1.0), "testing": none
    }  # fmt: skip
    assert annotated.statistics(1) == {
        "Ball": {"training": ClassCount(3, 3.5), "validation": ClassCount(1, 1.0), "testing": none}
    }


def test_a_coarse_level_needs_a_taxonomy_that_has_the_labels(tmp_path):
    with pytest.raises(ValueError, match="taxonomy: empty, so the only level is 3"):
        annotations.load(write(tmp_path, {"a": video((0, 1, "x"))})).classes(2)
    annotated = annotations.load(write(tmp_path, {"a": video((0, 1, "x"))}, TREE))
    assert annotated.classes(3) == ("background", "x")
    with pytest.raises(ValueError, match="label 'x' is no node of the taxonomy"):
        annotated.classes(2)
    with pytest.raises(ValueError, match="expected 0 to 3, received 4"):
        annotated.classes(4)


@pytest.mark.parametrize(
    ("taxonomy", "message"),
    [
        ((node(0, "Root", None), node(1, "a", 9)), r"node 1 \('a'\): no node 9, its parent"),
        ((node(0, "Root", None), node(1, "a", 2), node(2, "b", 1)), "its parents form a circle"),
        ((node(0, "Root", None), node(1, "a", 1)), "its parents form a circle"),
        ((node(1, "a", 2), node(2, "b", 1)), "expected one root .* received 0"),
        ((node(0, "Root", None), node(1, "a", None)), "expected one root .* received 2"),
        ((node(0, "Root", None), node(0, "a", 0)), r"taxonomy\[1\]\.nodeId: 0 is given twice"),
        ((node(0, "Root", None), node(1, "a", 0), node(2, "a", 0)), "two nodes of one level are named 'a'"),
        ((node(0, "Root", None), node(1, "background", 0)), "reserved"),
        (({"nodeName": "Root", "parentId": None},), r"taxonomy\[0\]\.nodeId: expected a whole number, but it is miss"),
        (("Root",), r"taxonomy\[0\]: expected an object"),
    ],
)
def test_a_taxonomy_must_be_one_tree(tmp_path, taxonomy, message):
    with pytest.raises(ValueError, match=message):
        annotations.load(write(tmp_path, {}, taxonomy))


def test_an_unknown_subset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="received 'test'"):
        annotations.load(write(tmp_path, {})).subset("test")


def test_the_script_prints_a_summary(tmp_path, capsys):
    database = {
        "a": video((0, 1.5, "Soccer"), (3, 7, "Polo"), duration=3600),
        "b": {"subset": "testing", "duration": 1800},
    }
    assert annotations.main([str(write(tmp_path, database, TREE))]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["training", "1", "1.00", "2"] in lines
    assert ["testing", "1", "0.50", "0"] in lines
    assert ["total", "2", "1.50", "2"] in lines
    assert ["2", "classes", "training", "seconds"] in lines
    assert ["Polo", "1", "4.0"] in lines


def test_the_script_ends_with_status_2_and_one_line(tmp_path, capsys):
    path = write(tmp_path, {"a": video(duration=-1)})
    assert annotations.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: database.a.duration")
    assert annotations.main([str(path), "--output", str(tmp_path / "b.json")]) == 2
    assert not (tmp_path / "b.json").exists()


def test_classes_of_random_trees_are_those_of_the_names_on_the_way_up(tmp_path):
    random = np.random.default_rng(0)
    for _ in range(30):
        count = int(random.integers(2, 30))
        parents = [None, *(int(random.integers(0, number)) for number in range(1, count))]
        nodes = tuple(node(number, f"n{number}", parent) for number, parent in enumerate(parents))
        leaves = [f"n{number}" for number in range(1, count)]
        entry = video(*((0, 1, name) for name in leaves))
        made = annotations.load(write(tmp_path, {"a": entry}, [nodes[n] for n in random.permutation(count)]))
        for level in range(3):
            classes = made.class_of(level)
            for number in range(1, count):
                way = [number]
                while parents[way[0]]:
                    way.insert(0, parents[way[0]])
                assert classes[f"n{number}"] == f"n{way[min(level, len(way) - 1)]}"


def test_a_long_chain_of_nodes_is_walked_once():
    looked = []

    class Counted:
        def __init__(self, number):
            self.number, self.name = number, f"n{number}"
            self.parent_id = number - 1 if number else None

        @property
        def id(self):
            looked.append(self.number)
            return self.number

    count = 3000
    places = annotations._places([Counted(number) for number in reversed(range(count))])
    assert places[count - 1] == (count - 1, ("n1", "n2", "n3")) and len(looked) < 12 * count
