"""A video in, its actions out: the model that is found, the script and the function, a trained model on real videos."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_localization import (  # noqa: F401 (fixtures)
    BLACK,
    BRIGHT,
    DIM,
    film,
    made_loads,
    made_run,
    made_server,
    read_srt,
    read_vtt,
    settings_of,
    spans,
)
from made_videos import make_video

import localize
import metrics
import utils
from benchmarks.clip import loop_clip
from localization.results import Segment
from run_folder import find_run

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared/data/videos"


# ---- the model


def test_without_a_model_the_error_says_how_to_get_one(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("run_folder.PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    assert localize.main(["some.mp4"]) == 2
    error = capsys.readouterr().err
    assert "make demo" in error and "--model" in error and error.count("\n") == 1


def test_the_demos_model_is_found_in_the_project_first(monkeypatch, tmp_path, run_folder):
    monkeypatch.setattr("run_folder.PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    run_folder.rename(run_folder.with_name("demo"))
    assert find_run().folder == tmp_path / "runs/demo"
    in_project = tmp_path / "project/runs/demo"
    in_project.parent.mkdir(parents=True)
    (tmp_path / "runs/demo").rename(in_project)
    assert find_run().folder == in_project


def test_an_export_moved_elsewhere_is_a_model_too(tmp_path, run_folder):
    moved = tmp_path / "elsewhere/best"
    moved.parent.mkdir()
    run_folder.rename(moved)
    (moved / "saved_model/saved_model.pb").touch()
    assert find_run(moved / "saved_model") == find_run(moved)
    (moved / "config.yml").unlink()
    with pytest.raises(ValueError, match=r"saved_model: expected a run's folder.*: config\.yml missing in .*/best"):
        find_run(moved / "saved_model")
    with pytest.raises(ValueError, match=r"--model .*nowhere: no such folder; expected that of a run"):
        find_run(tmp_path / "nowhere")


def test_a_model_of_imported_features_is_refused(run_folder):
    value = utils.read_json(run_folder / "model.json") | {"features": {"backbone": "imported"}}
    utils.write_json(run_folder / "model.json", value)
    with pytest.raises(ValueError, match="trained on imported features"):
        find_run(run_folder)


@pytest.mark.parametrize("text", ["{}", "[]", '{"classes": 3}'])
def test_a_damaged_description_is_named(run_folder, text):
    (run_folder / "model.json").write_text(text)
    with pytest.raises(ValueError, match=r"model\.json: expected what trainer\.py writes"):
        find_run(run_folder)


def test_a_model_says_what_it_learnt_from(run_folder):
    sentence, caution = find_run(run_folder).describe()
    assert sentence == "runs/made, trained on 7 videos of “made set”, knows 2 actions: bright, dim."
    assert caution == ""


def test_the_demos_model_says_that_it_knows_drawn_figures_only(run_folder):
    value = utils.read_json(run_folder / "model.json")
    value["training_data"]["version"] = "sample set 3"
    utils.write_json(run_folder / "model.json", value)
    _, caution = find_run(run_folder).describe()
    assert "drawn figures only" in caution and "Your own videos" in caution


def test_an_older_run_is_described_by_its_annotations(run_folder, tmp_path):
    value = utils.read_json(run_folder / "model.json")
    del value["training_data"]
    utils.write_json(run_folder / "model.json", value)
    file = tmp_path / "annotations.json"
    (run_folder / "config.yml").write_text(settings_of(f"paths.json_data_path={file}").to_yaml())
    assert "trained on annotations.json, which is not here," in find_run(run_folder).describe()[0]
    video = {"duration": 9, "annotations": [{"segment": [1, 2], "label": "dim"}]}
    database = {"a": video | {"subset": "training"}, "b": video | {"subset": "validation"}}
    utils.write_json(file, {"version": "sample set 2", "taxonomy": [], "database": database})
    run = find_run(run_folder)
    assert (run.version, run.videos, run.knows_drawn_figures_only) == ("sample set 2", 1, True)


def test_many_classes_are_shortened(run_folder):
    value = utils.read_json(run_folder / "model.json")
    value["classes"] = ["background", *(f"action {number}" for number in range(200))]
    utils.write_json(run_folder / "model.json", value)
    sentence, _ = find_run(run_folder).describe()
    assert "knows 200 actions: action 0, " in sentence and sentence.endswith("action 11 and 188 more.")


# ---- videos


def test_a_video_gives_its_segments(run_folder, loads, tmp_path):
    video = film(tmp_path / "v.mp4", (2, BLACK), (3, BRIGHT), (1, BLACK), (2, DIM), (1, BLACK))
    found = localize.localize(video, run_folder)
    # boundaries lie half a sampled frame before the first frame that differs: frames are shown at 0, 0.2, …
    assert spans(found.highlights(), "bright") == [(1.9, 4.9)] and spans(found.highlights(), "dim") == [(5.9, 7.9)]
    assert found.duration == pytest.approx(9) and found[0] == Segment(1.9, 4.9, "bright", 1.0)
    assert "v.mp4" in repr(found) and "0:01.9     0:04.9   1.00  bright" in repr(found)
    assert found.probabilities.shape == (45, 3) and len(found.times) == 45
    model = localize.load_model(run_folder)
    assert list(localize.localize(video, model)) == list(localize.localize(str(video), model)) == list(found)
    assert loads == [None, None]


def test_a_video_that_cannot_be_read_raises_in_a_notebook(run_folder, loads, tmp_path):
    (tmp_path / "bad.mp4").write_text("x")
    with pytest.raises(ValueError, match=r"bad\.mp4: not a readable video"):
        localize.localize(tmp_path / "bad.mp4", run_folder)
    for name in "ab":
        make_video(tmp_path / f"two/{name}.mp4", 3)
    with pytest.raises(ValueError, match="two: expected one video, received 2"):
        localize.localize(tmp_path / "two", run_folder)


def test_a_corrupt_video_among_good_ones(run_folder, loads, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "a/v.mp4", (2, BLACK), (3, BRIGHT), (1, BLACK))
    film(tmp_path / "b/v.mp4", (1, DIM), (0.4, BLACK), (3, DIM))
    whole = film(tmp_path / "b/w.mp4", (3, BLACK)).read_bytes()
    # Matroska, so that a cut file has a header and breaks while it is decoded
    cut = film(tmp_path / "cut.mkv", (8, DIM), (8, BRIGHT)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "bad.mp4").write_bytes(whole[: len(whole) // 2])
    status = localize.main(["a/v.mp4", "bad.mp4", "cut.mkv", "b", "--model", str(run_folder)])
    printed = capsys.readouterr()
    assert status == 1 and loads == [None]
    assert [line.split(":")[1].strip() for line in printed.err.splitlines()] == ["bad.mp4", "cut.mkv"]
    assert "trained on 7 videos of “made set”, knows 2 actions: bright, dim." in printed.out.splitlines()[0]
    assert "0:01.9     0:04.9   1.00  bright" in printed.out and "no action of score 0.2 or more" in printed.out
    assert "3 videos, 3 actions -> localized" in printed.out

    results = utils.read_json(tmp_path / "localized/predictions.json")["results"]
    assert list(results) == ["v", "v-2", "w"] and results["w"] == []
    assert results["v"][0] == {"label": "bright", "score": 1.0, "segment": [1.9, 4.9]}
    assert read_srt(tmp_path / "localized/v.srt") == read_vtt(tmp_path / "localized/v.vtt")
    assert read_vtt(tmp_path / "localized/v-2.vtt") == [(0, 0.9, "dim (1.00)"), (1.3, 4.4, "dim (1.00)")]
    lines = (tmp_path / "localized/segments.csv").read_text().splitlines()
    assert lines == ["video,start,end,label,score", *(line for name in results
                     for line in (tmp_path / f"localized/{name}.csv").read_text().splitlines()[1:])]  # fmt: skip
    page = (tmp_path / "localized/index.html").read_text()
    assert "label.py" not in page  # they lie in two folders
    assert "made set" in page and "v-2" in page
    # nothing beside the user's videos, no temporary files
    assert sorted(path.name for path in tmp_path.rglob("b/*")) == ["v.mp4", "w.mp4"]
    assert not list(tmp_path.rglob("*.part*"))

    bright = {"segment": [2, 5], "label": "bright"}
    dim = [{"segment": [0, 1], "label": "dim"}, {"segment": [1.4, 4.4], "label": "dim"}]
    videos = {
        "v": {"subset": "testing", "duration": 6, "annotations": [bright]},
        "v-2": {"subset": "testing", "duration": 4.4, "annotations": dim},
    }
    utils.write_json(tmp_path / "truth.json", {"version": "t", "taxonomy": [], "database": videos})
    arguments = ["--ground-truth", "truth.json", "--predictions", "localized/predictions.json", "--subset", "testing"]
    assert metrics.main([*arguments, "--output", "scored.json"]) == 0
    assert utils.read_json(tmp_path / "scored.json")["mAP"]["0.50"] == pytest.approx(1)


def test_when_no_input_is_left_nothing_is_loaded_or_written(run_folder, loads, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert localize.main(["nowhere.mp4", "--model", str(run_folder)]) == 1
    assert capsys.readouterr().err == "failed: nowhere.mp4: no such file or folder\n"
    assert loads == [] and not (tmp_path / "localized").exists()


def test_an_address_and_the_size_of_the_table(run_folder, loads, tmp_path, server, capsys):
    film(tmp_path / "served/far.mp4", (1, BRIGHT), (1, BLACK), (2, DIM), (1, BLACK), (1, BRIGHT))
    output = tmp_path / "out"
    address = f"{server.address}/far.mp4"
    arguments = [address, "--model", str(run_folder), "--output", str(output), "--top", "2", "--min-score", "0.5"]
    assert localize.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count(" bright") + printed.count(" dim") == 2 + 2  # 2 in the first line
    assert "and 1 of lower score (--top 3)" in printed
    assert len(list((output / "videos").rglob("far.mp4"))) == 1
    assert list(utils.read_json(output / "predictions.json")["results"]) == ["far"]


@pytest.mark.parametrize(
    "arguments", [[], ["v.mp4", "--live", "0"], ["v.mp4", "--min-score", "2"], ["v", "--top", "0"]]
)
def test_wrong_options_are_refused(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        localize.main(arguments)
    assert "error: expected" in capsys.readouterr().err


def test_importing_localize_does_not_import_tensorflow():
    code = "import sys, localize; print(sorted({'tensorflow', 'keras', 'cv2', 'openvino'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- a trained model, real videos


def script(*command, status=0):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def sample(demo, draw, tmp_path_factory):
    """Two videos of the sample set that the demo's model has not seen, and that model."""
    folder = tmp_path_factory.mktemp("localize")
    draw(folder / "data/sample", testing=2)
    (folder / "runs").mkdir()
    (folder / "runs/demo").symlink_to(demo / "project/runs/demo")
    return folder


def sample_truth(folder, name):
    database = utils.read_json(folder / "data/sample/annotations.json")["database"]
    return [Segment(*annotation["segment"], annotation["label"], 1.0) for annotation in database[name]["annotations"]]


def hits(found, wanted):
    """How many of `wanted` a segment of `found` with its label covers for the most part."""
    return sum(
        any(
            min(one.end, other.end) - max(one.start, other.start) > 0.5 * (other.end - other.start)
            for one in found
            if one.label == other.label
        )
        for other in wanted
    )


@pytest.mark.slow
def test_a_trained_model_finds_the_actions_of_a_sample_video(sample, tmp_path):
    video = sample / "data/sample/videos/testing/sample_testing_00.mp4"
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(video.read_bytes()[:50_000])
    done = script("localize.py", bad, video, "--model", sample / "runs/demo", "--output", tmp_path / "out", status=1)
    assert re.fullmatch(rf"failed: {bad}: cut: the picture ends after .* of .* seconds\n", done.stderr)
    first, second = done.stdout.splitlines()[:2]
    assert "sample set" in first and "Jumping jacks" in first and "drawn figures only" in second
    truth = sample_truth(sample, "sample_testing_00")
    found = [
        Segment(start, end, text.rsplit(" (", 1)[0], 1)
        for start, end, text in read_srt(tmp_path / "out/sample_testing_00.srt")
    ]
    assert hits(found, truth) >= len(truth) / 2
    page = (tmp_path / "out/index.html").read_text()
    assert "drawn figures only" in page and "sample_testing_00" in page
    assert f"python label.py {video.parent} --suggest {tmp_path / 'out'}" in page
    script(
        "metrics.py", "--ground-truth", sample / "data/sample/annotations.json", "--subset", "testing",
        "--predictions", tmp_path / "out/predictions.json", "--output", tmp_path / "scored.json",
    )  # fmt: skip
    scored = utils.read_json(tmp_path / "scored.json")
    assert scored["videos"]["annotated"] == 2 and scored["videos"]["predicted"] == 1 and scored["mAP"]["0.50"] > 0.1


@pytest.mark.slow
def test_live_finds_what_is_found_in_the_whole_video(sample, tmp_path):
    video = sample / "data/sample/videos/testing/sample_testing_01.mp4"
    whole = localize.localize(video, sample / "runs/demo").highlights()
    output = tmp_path / "live"
    printed = script("localize.py", "--live", video, "--model", sample / "runs/demo", "--output", output).stdout
    (written,) = output.glob("live_*.csv")
    with written.open(newline="") as file:
        found = [
            Segment(float(r["start"]), float(r["end"]), r["label"], float(r["score"])) for r in csv.DictReader(file)
        ]
    assert len(whole) >= 4 and hits(found, whole) >= 0.6 * len(whole)
    assert "normalised by what was seen so far" in printed and len(found) <= 2 * len(whole)


@pytest.mark.slow
def test_live_ends_with_ctrl_c(sample, tmp_path):
    # longer than any machine takes to hear of its first action
    video = loop_clip(sample / "data/sample/videos/testing/sample_testing_01.mp4", tmp_path / "long.mp4", 600)
    command = [sys.executable, "localize.py", "--live", video, "--model", sample / "runs/demo", "--output", tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        lines, stopped = [], False
        for line in process.stdout:
            lines.append(line)
            if not stopped and re.match(r"\s+\d+:\d\d\.\d", line):
                process.send_signal(signal.SIGINT)  # a second one would end it at once
                stopped = True
        assert process.wait(300) == 0
    assert stopped
    assert int(re.search(r"\d+ actions? in (\d+) s -> ", lines[-1])[1]) < 600
    (written,) = tmp_path.glob("live_*.json")
    assert next(iter(utils.read_json(written)["results"].values()))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the two ActivityNet videos of ../shared/data")
def test_real_videos_are_localized_and_scored(sample, tmp_path):
    arguments = [SHARED / "training", SHARED / "validation", "--min-score", "0.1"]
    script("localize.py", *arguments, "--model", sample / "runs/demo", "--output", tmp_path)
    results = utils.read_json(tmp_path / "predictions.json")["results"]
    clips = utils.read_json(SHARED / "clips.json")
    assert set(results) == set(clips["database"])
    for name, found in results.items():
        assert found and all(
            0 <= r["segment"][0] < r["segment"][1] <= clips["database"][name]["duration"] + 0.1 for r in found
        )
        assert read_srt(tmp_path / f"{name}.srt") == read_vtt(tmp_path / f"{name}.vtt")
    # what the sample set's model finds in them means nothing, and is scored as such
    clips["database"]["GGSY1Qvo990"]["annotations"].append(
        {"segment": [0, 2], "label": results["GGSY1Qvo990"][0]["label"]}
    )
    utils.write_json(tmp_path / "truth.json", clips)
    script(
        "metrics.py", "--ground-truth", tmp_path / "truth.json", "--subset", "validation", "--predictions",
        tmp_path / "predictions.json", "--output", tmp_path / "scored.json", "--ignore-unknown-labels",
    )  # fmt: skip
    assert utils.read_json(tmp_path / "scored.json")["videos"]["predicted"] == 1
