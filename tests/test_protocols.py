"""Presets against oracles that were written from the words of each benchmark's protocol."""

import random

import numpy as np
import pytest
from made_evaluation import annotated, prediction, truth
from test_metrics_oracle import oracle_ap, oracle_curve_area, oracle_tiou

import metrics
from evaluation import intervals
from evaluation.protocols import PRESETS, part_of
from segments import Segment


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("activitynet", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("fineaction", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("hacs", [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("thumos14", [0.3, 0.4, 0.5, 0.6, 0.7]),
        ("epic", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("multithumos", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
    ],
)
def test_each_preset_equals_the_oracle_at_its_thresholds(name, levels):
    assert PRESETS[name].thresholds == pytest.approx(levels, abs=1e-9)
    labels = ["take,plate", "wash,cup"]
    ground_truth, results = drawn(random.Random(0), labels)
    scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=PRESETS[name])
    expected = [[oracle_ap(ground_truth, results, label, level) for level in PRESETS[name].thresholds]
                for label in labels]  # fmt: skip
    np.testing.assert_allclose(scored.detection.AP, expected, atol=1e-12)


def drawn(rng, labels, extra=()):
    def span():
        start = rng.randrange(20)
        return start, start + rng.choice([1, 2, 4, 6])

    score = iter(rng.sample(range(10_000), 400)).__next__
    ground_truth = {f"v{n}": [Segment(*span(), rng.choice([*labels, *extra])) for _ in range(8)] for n in range(4)}
    ground_truth["all"] = [Segment(*span(), label) for label in labels]
    results = {f"v{n}": [prediction(*span(), score() / 1e4, rng.choice(labels)) for _ in range(20)] for n in range(4)}
    return ground_truth, results


def oracle_thumos(ground_truth, results, label, level):
    """A prediction that takes no segment of its class counts as wrong unless it touches an ambiguous one."""
    mine = sorted(
        ((name, p) for name, some in results.items() for p in some if p["label"] == label),
        key=lambda item: -item[1]["score"],
    )
    free = {(name, n): s for name, some in ground_truth.items() for n, s in enumerate(some) if s.label == label}
    positives, right = len(free), []
    for name, p in mine:
        near = [(oracle_tiou(p["segment"], (s.start, s.end)), key) for key, s in free.items() if key[0] == name]
        if near and max(near)[0] >= level:
            del free[max(near)[1]]
            right.append(True)
            continue
        beside = [s for s in ground_truth.get(name, []) if s.label == "Ambiguous"]
        if not any(min(p["segment"][1], s.end) - max(p["segment"][0], s.start) > 0 for s in beside):
            right.append(False)
    return oracle_curve_area(right, positives)


def test_thumos_does_not_count_what_touches_an_ambiguous_segment():
    for seed in range(12):
        ground_truth, results = drawn(random.Random(seed), "ab", ["Ambiguous"])
        scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=PRESETS["thumos14"])
        assert scored.detection.classes == ("a", "b")
        expected = [[oracle_thumos(ground_truth, results, label, level) for level in PRESETS["thumos14"].thresholds]
                    for label in "ab"]  # fmt: skip
        np.testing.assert_allclose(scored.detection.AP, expected, atol=1e-12)


def test_ambiguous_segments_by_hand():
    ground_truth = {"v": [*truth((0, 10)), Segment(20, 30, "Ambiguous")]}
    wrong, right = prediction(29, 40, 0.9), prediction(0, 10, 0.8)
    thumos = PRESETS["thumos14"]
    both = {"v": [wrong, right]}
    assert metrics.evaluate(annotated(ground_truth), both, "validation", protocol=thumos).average_mAP == 1
    # touching is not overlapping, and another video's segment is none of its own
    touching = {"v": [prediction(30, 40, 0.9), right]}
    assert metrics.evaluate(annotated(ground_truth), touching, "validation", protocol=thumos).average_mAP == 0.5
    elsewhere = {"w": [wrong], "v": [right]}
    ground_truth["w"] = truth((50, 60))
    scored = metrics.evaluate(annotated(ground_truth), elsewhere, "validation", protocol=thumos)
    assert scored.average_mAP == pytest.approx(0.5 * 0.5)
    # who predicts the ambiguous label is neither refused nor counted, other labels are still refused
    named = {"v": [right, prediction(20, 30, 1, "ambiguous")], "w": [prediction(50, 60, 0.5)]}
    scored = metrics.evaluate(annotated(ground_truth), named, "validation", protocol=thumos)
    assert (scored.average_mAP, scored.predictions) == (1, 2)
    with pytest.raises(ValueError, match="'y' is not among the classes"):
        unknown = {"v": [prediction(0, 1, 1, "y"), prediction(0, 1, 1, "ambiguous")]}
        metrics.evaluate(annotated(ground_truth), unknown, "validation", protocol=thumos)


def test_epic_measures_the_action_its_verb_and_its_noun():
    for seed in range(8):
        ground_truth, results = drawn(random.Random(seed), ["take,plate", "take,cup", "wash,cup"])
        scored = metrics.evaluate(annotated(ground_truth), results, "validation", protocol=PRESETS["epic"])
        levels = PRESETS["epic"].thresholds
        value = metrics.to_json(scored)
        for place, part in enumerate(("verb", "noun")):
            words = {v: [Segment(s.start, s.end, s.label.split(",")[place]) for s in some]
                     for v, some in ground_truth.items()}  # fmt: skip
            said = {v: [p | {"label": p["label"].split(",")[place]} for p in some] for v, some in results.items()}
            labels = sorted({s.label for some in words.values() for s in some})
            expected = [[oracle_ap(words, said, label, level) for level in levels] for label in labels]
            np.testing.assert_allclose(scored.parts[part].detection.AP, expected, atol=1e-12)
            assert value["parts"][part]["average_mAP"] == pytest.approx(np.mean(expected))
            ends, alone = intervals.measure(scored)["parts"][part], intervals.measure(scored.parts[part])
            assert ends == {name: alone[name] for name in ("average_mAP", "mAP")}
            low, high = (f"{100 * end:.2f}" for end in ends["average_mAP"])
            assert f"{part} {100 * np.mean(expected):.2f}  ({low} to {high})" in metrics.table(scored)
        whole = [[oracle_ap(ground_truth, results, label, level) for level in levels]
                 for label in scored.detection.classes]  # fmt: skip
        np.testing.assert_allclose(scored.detection.AP, whole, atol=1e-12)


def test_verbs_and_nouns_are_read_from_labels():
    assert [part_of("take,plate", n, ("verb", "noun")) for n in (0, 1)] == ["take", "plate"]
    assert [part_of("turn-on board:chopping", n, ("verb", "noun")) for n in (0, 1)] == ["turn-on", "board:chopping"]
    assert part_of("put down, big plate", 0, ("verb", "noun")) == "put down"
    with pytest.raises(ValueError, match="label 'take': expected verb and noun"):
        part_of("take", 0, ("verb", "noun"))


def test_the_command_takes_a_preset_and_what_changes_of_it(tmp_path, capsys):
    files = write(tmp_path, {"v": truth((0, 10))}, {"v": [prediction(0, 4, 1)]})
    assert metrics.main([*files, "--preset", "thumos14"]) == 0
    assert "protocol thumos14" in capsys.readouterr().out
    assert metrics.main([*files, "--preset", "epic", "--json"]) == 2
    assert "label 'x': expected verb and noun" in capsys.readouterr().err
    assert metrics.main([*files, "--preset", "thumos14", "--tiou", "0.4", "--json"]) == 0
    assert '"0.40": 1.0' in capsys.readouterr().out
    assert metrics.main([*files, "--tiou", "0.05:0.6:0.05"]) == 0
    heads = [text.split()[1:] for text in capsys.readouterr().out.splitlines() if text.startswith("tIoU")]
    assert [len(head) for head in heads] == [10, 2] and len({*sum(heads, [])}) == 12


def write(folder, ground_truth, results):
    """Files of annotations and predictions -> the options that name them."""
    from utils import write_json

    database = {
        name: {"subset": "validation", "duration": 100,
               "annotations": [{"label": s.label, "segment": [s.start, s.end]} for s in some]}
        for name, some in ground_truth.items()
    }  # fmt: skip
    write_json(folder / "a.json", {"database": database})
    write_json(folder / "p.json", {"results": results})
    return ["--ground-truth", str(folder / "a.json"), "--predictions", str(folder / "p.json")]
