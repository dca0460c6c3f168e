"""The search of plan.py: what is tried, what is taken, and that a search that was stopped goes on."""

import hashlib
import json

import numpy as np
import pytest
from made_features import make_data_set

import config
import plan
from planning import rules, search, writing
from planning.search import Score

CHOSEN = {key: value for values in search.SWITCHES for key, value in values[0].items()}
CHOSEN |= {"data.max_frames": 30, "data.window_stride": 10, "predict.window_stride": 10, "train.max_steps": 300}
BASE = Score(0.30, (0.29, 0.30, 0.31))
TWO_LAYERS, LONG, SIGNED = {"model.num_layers": 2}, search.SWITCHES[1][2], search.SWITCHES[0][2]


class Folds:
    """Stands for the trainings: what each setting adds to BASE, in all parts alike."""

    def __init__(self, **gains):
        self.gains, self.asked = gains, []

    def __call__(self, changes, share):
        self.asked.append((json.dumps(changes), share))
        more = sum(
            self.gains.get(key.partition(".")[2], {}).get(json.dumps(value), 0) for key, value in changes.items()
        )
        return Score(BASE.average_map + more, tuple(part + more for part in BASE.left_out), 0.3)


def nothing_better(changes, share):
    """Stands for the search of a decoding, which found none."""
    return {}, BASE


def trials(path, folds, most=100, about=None, decode=nothing_better):
    return search.Trials(path / "trials.jsonl", about or {"of": "made"}, folds, decode, 20, most)


def test_the_spread_of_a_gain_is_that_of_the_jackknife():
    more, spread = search.gain(Score(0.5, (0.5, 0.4, 0.6)), Score(0.4, (0.4, 0.4, 0.4)))
    assert more == pytest.approx(0.1) and spread == pytest.approx(np.sqrt(2 / 3 * 0.02))


def test_all_switches_are_tried_cheaply_and_the_better_half_fully(tmp_path):
    folds = Folds(num_layers={"2": 0.02}, max_frames={"60": 0.01, "15": -0.01}, temporal_difference={'"signed"': 0.001})
    taken, said, _ = search.search(trials(tmp_path, folds), CHOSEN)
    cheap, full = ([changes for changes, share in folds.asked if share == rung] for rung in (search.FEW, search.ALL))
    others = sum(len(values) - 1 for values in search.SWITCHES)
    assert len(cheap) == 1 + others and cheap[0] == full[0] == "{}"
    # of 6 the best 3, which all gain something; then those together
    assert len(full) == 1 + 3 + 1
    assert taken == {**SIGNED, **LONG, **TWO_LAYERS}
    assert [record["taken"] for record in said] == [False, False, False, False, True]
    assert said[-1]["gain"] == pytest.approx(0.031)
    why = rules.of_search(taken, said, 0.4)
    assert why["model.num_layers"].reason == "average mAP on folds +3.1 ± 0.0" and why["model.num_layers"].value == 2
    assert why["predict.shown_score"].value == 0.4


class FewAreBetter(Folds):
    """Twice as good with few steps."""

    def __call__(self, changes, share):
        score = super().__call__(changes, share)
        factor = 2 if share < 1 else 1
        return Score(factor * score.average_map, tuple(factor * part for part in score.left_out))


def test_few_steps_stay_where_more_gain_nothing(tmp_path):
    folds = FewAreBetter(num_layers={"2": 0.02})
    taken, said, _ = search.search(trials(tmp_path, folds), CHOSEN)
    assert taken == {"train.max_steps": 100, **TWO_LAYERS}
    assert [share for _, share in folds.asked].count(search.ALL) == 1
    assert [(record["changes"], record["gain"]) for record in said if record["taken"]] == [
        ({"train.max_steps": 100}, 0.3), (TWO_LAYERS, 0.04),
    ]  # fmt: skip


def test_a_gain_within_its_spread_is_not_taken(tmp_path):
    class Noisy(Folds):
        def __call__(self, changes, share):
            score = super().__call__(changes, share)
            return Score(score.average_map, (0.2, 0.4, 0.31)) if changes else score

    taken, said, _ = search.search(trials(tmp_path, Noisy(num_layers={"2": 0.02})), CHOSEN)
    assert taken == {} and said[1]["spread"] > said[1]["gain"] == 0.02


@pytest.mark.parametrize(("most", "asked"), [(1, [1.0]), (2, [1.0, 1 / 3]), (5, [1.0, 1 / 3, 1 / 3, 1.0])])
def test_nothing_is_taken_that_was_not_compared_with_equal_steps(most, asked, tmp_path):
    folds = Folds(temporal_difference={'"absolute"': 0.02})
    taken, _, shown_score = search.search(trials(tmp_path, folds, most=most), CHOSEN)
    assert [share for _, share in folds.asked] == asked
    assert (taken == {}) == (most < 5) and shown_score == (None if not most else 0.3)


@pytest.mark.parametrize(("more", "spread", "taken"), [(0.02, 0.0, True), (0.02, 0.05, False), (-0.01, 0.0, False)])
def test_decoding_is_searched_on_the_folds_of_what_was_chosen(more, spread, taken, tmp_path):
    asked, folds = [], Folds(num_layers={"2": 0.02})

    def decode(changes, share):
        asked.append((changes, share))
        scored = folds(changes, share)
        parts = [part + more + sign * spread for part, sign in zip(scored.left_out, (-1, 1, 0), strict=True)]
        return {"predict.smoothing": 0.5}, Score(scored.average_map + more, tuple(parts), 0.7)

    changes, said, shown_score = search.search(trials(tmp_path, folds, decode=decode), CHOSEN)
    assert asked == [(TWO_LAYERS, search.ALL)]
    assert changes == TWO_LAYERS | ({"predict.smoothing": 0.5} if taken else {})
    assert said[-1]["gain"] == more and said[-1]["taken"] == taken and shown_score == (0.7 if taken else 0.3)
    # what is known of it is not searched again
    assert search.search(trials(tmp_path, folds, decode=decode), CHOSEN) == (changes, said, shown_score)
    assert len(asked) == 1


@pytest.mark.parametrize("stopped_after", [0, 1, 5, 8])
def test_a_search_that_was_stopped_gives_what_one_in_a_piece_gives(stopped_after, tmp_path):
    gains = {"num_layers": {"2": 0.02}, "max_frames": {"60": 0.01}}
    whole = Folds(**gains)
    expected = search.search(trials(tmp_path / "whole", whole), CHOSEN)

    class Killed(Folds):
        def __call__(self, changes, share):
            if len(self.asked) == stopped_after:
                raise KeyboardInterrupt
            return super().__call__(changes, share)

    first = Killed(**gains)
    with pytest.raises(KeyboardInterrupt):
        search.search(trials(tmp_path / "parts", first), CHOSEN)
    log = tmp_path / "parts/trials.jsonl"
    with log.open("a") as file:
        file.write('{"changes": {"model.nu')  # a line that a kill has cut
    second = Folds(**gains)
    assert search.search(trials(tmp_path / "parts", second), CHOSEN) == expected
    assert first.asked + second.asked == whole.asked
    assert len(log.read_text().splitlines()) == 1 + len(whole.asked) + 1  # the last is of the decoding


def test_trials_of_other_data_are_not_believed(tmp_path):
    search.search(trials(tmp_path, Folds(num_layers={"2": 0.02})), CHOSEN)
    folds = Folds()
    search.search(trials(tmp_path, folds, about={"of": "others"}), CHOSEN)
    assert len(folds.asked) > 1
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 1 + len(folds.asked) + 1


def test_time_is_that_of_all_trials_those_before_a_stop_included(tmp_path):
    record = {"changes": {}, "share": 1 / 3, "average_mAP": 0.3, "left_out": [0.3], "seconds": 120.0}
    (tmp_path / "trials.jsonl").write_text(json.dumps({"of": "made"}) + "\n" + json.dumps(record) + "\n")
    some = search.Trials(tmp_path / "trials.jsonl", {"of": "made"}, Folds(), nothing_better, minutes=8, most=None)
    # 2 of 8 minutes are spent; a whole training takes 6
    assert some.left(1.0) and not some.left(1.0, until=0.9)
    assert some.left(1 / 3, until=0.5) and not some.left(1 / 3, until=0.4)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A folder of imported features, planned with three short trials: all steps, a third of them, decoding."""
    folder = tmp_path_factory.mktemp("planned") / "mine"
    make_data_set(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "FOLDS", 2)
        patch.setitem(rules.RECIPE, "train.max_steps", 30)
        assert plan.main([str(folder), "--trials", "3"]) == 0
    return folder


def test_a_folder_of_features_is_planned_on_folds(planned):
    known = json.loads((planned / writing.PLAN).read_text())
    assert known["state"] == "planned" and known["measured"]["features"]["rows_a_second"] == 4.0
    about, *trials = (json.loads(line) for line in (planned / writing.TRIALS).read_text().splitlines())
    assert about == known["about"]
    for trial in trials:
        assert trial["changes"] == {} and 0 <= trial["average_mAP"] <= 1 and len(trial["left_out"]) == 6
    whole, few, decoded = trials
    assert (whole["share"], few["share"]) == (search.ALL, search.FEW) and decoded["share"] in (search.ALL, search.FEW)
    # no search ends with less than it began with
    base = whole if decoded["share"] == search.ALL else few
    assert decoded["average_mAP"] >= base["average_mAP"] and all(
        key.startswith("predict.") for key in decoded["decoding"]
    )
    settings = config.load(planned / writing.SETTINGS)
    assert settings.data.max_frames == 30 and settings.paths.feature_map_folder == planned / "features"


def test_what_is_planned_is_not_planned_again_and_what_was_edited_is_left(planned, capsys, monkeypatch):
    before = (planned / writing.SETTINGS).read_bytes()
    assert plan.main([str(planned)]) == 0
    assert "planned already" in capsys.readouterr().out and (planned / writing.SETTINGS).read_bytes() == before
    # a kill between the two files left older settings: they are written again, of the same trials
    known = json.loads((planned / writing.PLAN).read_text())
    known["settings_sha256"].insert(0, hashlib.sha256(b"# older").hexdigest())
    (planned / writing.PLAN).write_text(json.dumps(known))
    (planned / writing.SETTINGS).write_bytes(b"# older")
    with monkeypatch.context() as patch:
        patch.setattr(rules, "FOLDS", 2)
        patch.setitem(rules.RECIPE, "train.max_steps", 30)
        assert plan.main([str(planned), "--trials", "3"]) == 0
    assert (planned / writing.SETTINGS).read_bytes() == before
    (planned / writing.SETTINGS).write_bytes(before + b"# mine\n")
    assert plan.main([str(planned)]) == 0
    assert "edited since it was planned" in capsys.readouterr().out
    assert (planned / writing.SETTINGS).read_bytes() == before + b"# mine\n"
    with monkeypatch.context() as patch:
        patch.setattr(rules, "FOLDS", 2)
        patch.setitem(rules.RECIPE, "train.max_steps", 30)
        assert plan.main([str(planned), "--minutes", "0", "--force"]) == 0
        without = json.loads((planned / writing.PLAN).read_text())["choices"]
        assert not [choice for choice in without if choice["source"] == "folds"]
        assert "# mine" not in (planned / writing.SETTINGS).read_text()
        # unasked, folds are looked at once, for the score from which on segments are shown
        (planned / writing.TRIALS).unlink()
        assert plan.main([str(planned), "--force"]) == 0
    _, trial = (json.loads(line) for line in (planned / writing.TRIALS).read_text().splitlines())
    assert (trial["changes"], trial["share"]) == ({}, search.ALL)
    known = json.loads((planned / writing.PLAN).read_text())
    assert known["search"] == []
    assert [(choice["key"], choice["value"]) for choice in known["choices"] if choice["source"] == "folds"] == [
        ("predict.shown_score", trial["shown_score"])
    ]
