"""Files of many keys or deep chains are read with so many steps as they have parts: steps are counted, never timed."""

import json

import pytest
import yaml

import annotations
import config
import utils

MANY = 20_000


def counted(steps):
    """Text whose comparisons are counted: a reader that looks through a list for each key makes many."""

    class Counted(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            steps.append(1)
            return str.__eq__(self, other)

    return Counted


def test_a_key_given_twice_is_found_in_one_pass():
    steps = []
    key = counted(steps)
    pairs = [(key(f"k{number}"), 1) for number in range(MANY)]
    assert len(utils._unique_keys(pairs)) == MANY
    with pytest.raises(ValueError, match="'k0' is given twice"):
        utils._unique_keys([*pairs, (key("k0"), 2)])
    assert len(steps) < 10  # hashes differ: hardly any two are compared


def test_a_chain_of_a_taxonomy_is_walked_once():
    steps = []

    class Number(int):
        __eq__ = int.__eq__

        def __hash__(self):
            steps.append(1)
            return int.__hash__(self)

    numbers = [Number(number) for number in range(MANY)]
    chain = [annotations.Node(number, f"n{number}", numbers[number - 1] if number else None) for number in numbers]
    places = annotations._places(reversed(chain))
    assert places[numbers[-1]].depth == MANY - 1 and places[numbers[-1]].above == ("n1", "n2", "n3")
    assert len(steps) <= 20 * MANY  # each node is looked up a few times


def test_yaml_with_many_keys_is_read_in_one_pass():
    steps = []
    text, number = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"
    keys = [yaml.ScalarNode(text, counted(steps)(f"k{number}")) for number in range(MANY)]
    node = yaml.MappingNode("tag:yaml.org,2002:map", [(key, yaml.ScalarNode(number, "1")) for key in keys])
    assert len(utils.YamlLoader("").construct_mapping(node)) == MANY
    assert len(steps) < 10


def test_many_unknown_settings_give_a_short_message(tmp_path):
    path = tmp_path / "many.yml"
    path.write_text("train:\n" + "".join(f"  key{number}: 1\n" for number in range(100)))
    with pytest.raises(ValueError, match=r"train\.key0: unknown key.*; and 80 more$") as caught:
        config.load(path)
    assert "key19:" in str(caught.value) and "key20:" not in str(caught.value)


def test_many_wrong_annotations_give_a_short_message(tmp_path):
    entries = [{"label": "x", "segment": [2, 1]}] * 1000
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"database": {"v": {"subset": "training", "duration": 9, "annotations": entries}}}))
    with pytest.raises(ValueError, match="and 980 more$") as caught:
        annotations.load(path)
    assert len(str(caught.value)) < 5000
