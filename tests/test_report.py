"""The page of a run's folder, without a browser."""

import json
import re

import numpy as np
import pytest
from made_pages import data_of
from made_videos import make_video

import annotations
import config
import report
import run_folder
from evaluation import errors, predictions
from report_page import rendering


@pytest.fixture
def run(tmp_path):
    """Two validation videos, one with a file, and one training video; predictions of the two."""
    make_video(tmp_path / "videos/validation/v1.mp4", frames=100)

    def entry(subset, *actions):
        segments = [{"segment": [start, end], "label": label} for label, start, end in actions]
        return {"subset": subset, "duration": 4.0, "annotations": segments}

    database = {
        "v1": entry("validation", ("jump", 1.0, 3.0), ("run", 3.0, 4.0)),
        "v2": entry("validation", ("jump", 0.0, 2.0)),
        "t1": entry("training", ("jump", 1.0, 3.0), ("walk", 0.0, 1.0)),
        "x1": entry("testing"),
    }
    (tmp_path / "annotations.json").write_text(json.dumps({"version": "set 1", "database": database}))
    rows = {
        "v1": [("run", 0.2, 1.0, 3.0), ("jump", 0.9, 1.1, 3.0), ("walk", 0.5, 0.0, 1.0)],
        "v2": [("jump", 0.4, 2.0, 4.0), ("jump", 0.3, 0.0, 2.0)],
    }
    results = {
        name: [{"label": row[0], "score": row[1], "segment": row[2:]} for row in some] for name, some in rows.items()
    }
    (tmp_path / "run").mkdir()
    for subset in ("validation", "testing"):
        (tmp_path / f"run/predictions_{subset}.json").write_text(json.dumps({"results": results}))
    return tmp_path


def arguments_of(folder, subset="validation"):
    paths = ("json_data_path=annotations.json", "videos_folder=videos", "model_dir=run", f"data_dir={folder}")
    return [*(part for path in paths for part in ("--set", f"paths.{path}")), "--set", f"predict.subset={subset}"]


def settings_of(folder, subset="validation"):
    return config.load(None, arguments_of(folder, subset)[1::2])


def load_content(folder, subset="validation"):
    settings = settings_of(folder, subset)
    return report.load_content(settings.paths, settings.predict.subset, settings.data.taxonomy_level)


def test_curves_are_those_of_the_error_analysis(run):
    """An oracle: it matches all videos at once by its own code."""
    annotated = annotations.load(run / "annotations.json")
    results = predictions.load_predictions(run / "run/predictions_validation.json")
    content = load_content(run)
    data = rendering.page_data(content, run)
    for label, (recall, precision) in errors.precision_recall(annotated, results, "validation").items():
        drawn = data["curves"]["classes"][data["classes"].index(label)]
        np.testing.assert_allclose(np.reshape(drawn, (-1, 2)), np.stack([recall, precision], 1).round(4))


def test_what_a_run_gives_to_see(run):
    (run / "run/metrics.jsonl").write_text('{"step": 10, "loss": 0.5}\n')
    content = load_content(run)
    assert content.title == "run · validation" and content.model.startswith("Predictions for “set 1”")
    first, second = content.videos
    assert first.predictions[0] == ("jump", 1.1, 3.0, 0.9)  # best first, whatever the file's order
    assert first.truth == (("jump", 1.0, 3.0), ("run", 3.0, 4.0))
    assert len(first.thumbnails) == 12 and second.thumbnails == () and second.file is None
    assert content.evaluation["mAP"]["0.50"] == pytest.approx((0.5 + 2 / 3 * 0.5) / 2)
    assert content.errors["segments"] == 3 and content.training == [{"step": 10, "loss": 0.5}]
    said = "\n".join(content.notes)
    assert "1 of 2 video files are not in" in said
    assert "1 predictions of classes that this subset does not have" in said
    assert "No score curves: there is no scores_validation.npz" in said


def test_the_model_is_described(run):
    description = {"classes": ["background", "jump", "walk"], "features": {"backbone": "efficientnet_lite0"}}
    (run / "run/model.json").write_text(json.dumps(description))
    (run / "run/config.yml").write_text("model:\n  num_layers: 2\n  num_nodes: 64\n  cell_type: gru\n")
    model = load_content(run).model
    assert model == (
        "Bidirectional GRU (2 layers of 64 units a direction) on efficientnet_lite0 features, trained on 1 videos of "
        "“set 1”. It knows 2 actions: jump, walk."
    )
    (run / "run/model.json").write_text("[]")
    with pytest.raises(ValueError, match=r"model.json: expected what trainer.py writes"):
        load_content(run)


def test_annotations_without_a_version_are_told_by_their_file(run):
    description = {"classes": ["background", "jump"], "features": {"backbone": "b"},
                   "training_data": {"version": "", "videos": 7, "file": "actions.json"}}  # fmt: skip
    (run / "run/model.json").write_text(json.dumps(description))
    (run / "run/config.yml").write_text("")
    model = load_content(run).model
    assert model.endswith(" on b features, trained on 7 videos of “actions.json”. It knows 1 action: jump.")


def test_the_members_of_a_model_are_told():
    def network(**changes):
        return run_folder.network(config.load().model.model_copy(update=changes))

    one = "Bidirectional LSTM (1 layer of 34 units a direction)"
    assert network(num_layers=1, num_nodes=34) == one
    members = {"recurrent": 2, "convolutional": 1}
    assert network(num_layers=1, num_nodes=34, members=members) == (
        "2 bidirectional LSTMs (1 layer of 34 units a direction) and network of dilated convolutions, averaged,"
    )
    assert network(members={"recurrent": 0, "convolutional": 1}) == "Network of dilated convolutions"


def test_the_sample_sets_model_says_what_it_knows(run):
    text = (run / "annotations.json").read_text().replace("set 1", "sample set 2")
    (run / "annotations.json").write_text(text)
    (run / "run/model.json").write_text('{"classes": ["background", "jump"], "features": {"backbone": "b"}}')
    (run / "run/config.yml").write_text("")
    assert "It knows drawn figures only" in load_content(run).model


def test_of_many_videos_the_worst_have_pictures(run, monkeypatch):
    make_video(run / "videos/validation/v2.mp4", frames=100)
    monkeypatch.setattr(report, "MOST_WITH_PICTURES", 1)
    content = load_content(run)
    # v1: one of two found by its two best; v2: none of one by its best
    assert [len(view.thumbnails) for view in content.videos] == [0, 12]
    assert "Thumbnails of the 1 worst videos only, so that the page stays small." in content.notes


def test_of_many_videos_the_worst_have_curves(run, monkeypatch):
    scores = {"classes": np.array(["background", "jump"])}
    for name in ("v1", "v2"):
        scores |= {f"probabilities/{name}": np.full((4, 2), 0.5, np.float16), f"boundaries/{name}": np.arange(5.0)}
    np.savez(run / "run/scores_validation.npz", **scores)
    content = load_content(run)
    assert [list(view.curves) for view in content.videos] == [["jump"], ["jump"]]
    assert not any("Score curves" in note for note in content.notes)
    monkeypatch.setattr(report, "MOST_WITH_CURVES", 1)
    content = load_content(run)
    # as for the pictures, v2 is the worst
    assert [(view.id, view.curves is None) for view in content.videos] == [("v1", True), ("v2", False)]
    assert "Score curves of the 1 worst videos only, so that the page stays small." in content.notes


def test_an_unreadable_video_is_told_and_the_page_is_made(run):
    (run / "videos/validation/v2.mp4").write_bytes(b"no video")
    content = load_content(run)
    assert any("v2.mp4: not a readable video" in note for note in content.notes)
    assert content.videos[1].file is not None and content.videos[1].thumbnails == ()


def test_a_subset_that_nobody_annotated(run):
    content = load_content(run, "testing")
    assert content.evaluation is None and content.errors is None and content.videos[0].truth is None
    assert "2 videos with predictions are not in this subset; these predictions count as wrong." in content.notes


def test_the_command_writes_the_page(run, capsys):
    assert report.main(arguments_of(run)) == 0
    printed = capsys.readouterr().out
    assert re.search(r"2 videos, 0\.\d MB -> .*report\.html", printed) and "No score curves" in printed
    page = (run / "run/report.html").read_text()
    assert data_of(page)["verdict"].endswith("and the borders are close.")
    command = f"python label.py {run / 'videos'} --annotations {run / 'annotations.json'} --suggest {run / 'run'}"
    assert f"Correct this: <code>{command}</code>" in page
    assert report.main([*arguments_of(run), "--output", str(run / "other.html")]) == 0
    assert (run / "other.html").is_file()


def test_missing_predictions_and_videos_are_told(run, capsys):
    assert report.main([*arguments_of(run), "--subset", "training"]) == 2
    assert "run `python predictions_json.py --subset training` first" in capsys.readouterr().err
    text = (run / "annotations.json").read_text().replace('"testing"', '"training"')
    (run / "annotations.json").write_text(text)
    assert report.main(arguments_of(run, "testing")) == 2
    assert "annotations.json: holds no testing video" in capsys.readouterr().err


def test_a_second_run_stands_beside_the_first(run, capsys):
    other = run / "other"
    other.mkdir()
    found = [{"label": "jump", "score": 0.9, "segment": [0.0, 2.0]}, {"label": "sit", "score": 0.1, "segment": [0, 1]}]
    (other / "predictions_validation.json").write_text(json.dumps({"results": {"v2": found}}))
    for given in (other, other / "predictions_validation.json"):
        assert report.main([*arguments_of(run), "--compare", str(given)]) == 0
        data = data_of((run / "run/report.html").read_text())
        assert data["comparison"]["names"] == ["run", "other"]
        pair = data["comparison"]["AP"]["jump"]
        assert (pair["one"], pair["other"]) == (pytest.approx(data["evaluation"]["AP"]["jump"]), 0.5)
        first, second = data["videos"]
        jump, sit = data["classes"].index("jump"), data["classes"].index("sit")
        assert first["others"] == []
        assert second["others"] == [[jump, 0.0, 2.0, 0.9, 0, 0], [sit, 0.0, 1.0, 0.1, -1, -1]]
        assert 0.1 < data["other_threshold"] <= 0.9
    assert report.main([*arguments_of(run, "testing"), "--compare", str(other)]) == 2
    assert "no annotated segments to compare two runs with" in capsys.readouterr().err
    assert report.main(arguments_of(run)) == 0
    data = data_of((run / "run/report.html").read_text())
    assert data["comparison"] is None and "others" not in data["videos"][0]


def test_the_page_tells_how_the_settings_were_chosen(run):
    assert load_content(run).plan is None
    plan = {
        "choices": [{"key": "data.max_frames", "value": 42, "reason": "half are <long>", "source": "rule"}],
        "search": [
            {"changes": {"model.num_layers": 2}, "gain": 0.021, "spread": 0.0049, "taken": True},
            {"changes": {"data.components": None}, "gain": -0.1, "spread": 0.01, "taken": False},
        ],
    }
    (run / "plan.json").write_text(json.dumps(plan))
    content = load_content(run)
    assert content.plan.choices == (("data.max_frames", "42", "rule: half are <long>"),)
    assert content.plan.trials == (
        ("model.num_layers 2", "+2.1 ± 0.5", "taken"), ("data.components null", "-10.0 ± 1.0", ""),
    )  # fmt: skip
    page = rendering.render(content, run / "run")
    assert "<td>+2.1 ± 0.5</td><td>taken</td>" in page and "half are &lt;long&gt;" in page
    (run / "run/plan.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run/plan.json: expected what plan.py writes"):
        load_content(run)
