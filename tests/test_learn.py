"""`plan.py FOLDER --learn`: killed at named moments it ends where one left alone ends; the order of its stages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import learn_processes
import pytest
from made_features import make_data_set
from made_videos import make_video

import annotations
import plan
import utils
from planning import folder as folders
from planning import stages

# one of each kind of file that goes on from a kill, as it is about to have its name or has it, in their order
MOMENTS = (
    "before:planned/annotations.json", "before:settings.yml", "after:planned/features/training/v*.tfrecord",
    "before:planned/validation.json", "before:planned/features/validation/*.tfrecord", "after:trials.jsonl",
    "before:settings.yml", "after:run/checkpoints/*.index", "before:run/saved_model",
    "before:run/metrics_validation.json", "before:run/report.html",
)  # fmt: skip


def make_heap(folder):
    """Five short videos and a table."""
    rows = ["video,start,end,label"]
    for number in range(5):
        make_video(folder / f"videos/v{number}.mp4", frames=250)
        at = number / 5
        rows += [f"v{number},{1 + at},{3 + at},run", f"v{number},{5 + at},{7 + at},jump"]
    (folder / "actions.csv").write_text("\n".join(rows))


def learn(folder, *moments):
    """Learn from a heap in `folder`, killed at each of the moments and then left alone."""
    make_heap(folder)
    command = [sys.executable, learn_processes.__file__, str(folder), *moments]
    environment = os.environ | {"PYTHONPATH": str(Path(plan.__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


@pytest.mark.slow
def test_kills_lose_nothing(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    learn(undisturbed)
    learn(killed, *MOMENTS)
    for name in ("settings.yml", "run/predictions_validation.json", "run/metrics_validation.json"):
        expected, found = ((folder / name).read_text() for folder in (undisturbed, killed))
        assert found.replace("/killed", "/undisturbed") == expected, name
    (about, trial), (_, other) = (
        [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
        for folder in (undisturbed, killed)
    )
    assert about and trial["left_out"] == other["left_out"]
    assert (killed / "run/report.html").is_file()


def told(monkeypatch, folder, statuses, **options):
    """The commands that `learn` runs, and its own status; `statuses`: those of commands by their script."""
    commands = []

    def run_stage(arguments):
        commands.append(arguments)
        if arguments[0] == "plan.py" and not (folder / "settings.yml").is_file():
            (folder / "settings.yml").write_text(
                f"paths: {{data_dir: '{folder}', json_data_path: annotations.json, videos_folder: videos, "
                "feature_map_folder: features, model_dir: run}\n"
            )
        return statuses.get(arguments[0], 0)

    monkeypatch.setattr(stages, "run_stage", run_stage)
    return commands, stages.learn(
        folder, ["--trials", "1"], options.get("everything", False), options.get("fresh", False)
    )


def test_every_stage_is_run_in_its_order(tmp_path, monkeypatch):
    make_data_set(tmp_path)
    commands, status = told(monkeypatch, tmp_path, {}, everything=True, fresh=True)
    plan, chosen = ["plan.py", str(tmp_path), "--trials", "1"], ["-c", str(tmp_path / "settings.yml")]
    assert status == 0
    assert commands == [
        plan, plan, ["trainer.py", *chosen, "--fresh"],
        ["predictions_json.py", *chosen, "--subset", "testing"],
        ["metrics.py", *chosen, "--subset", "testing", "--ignore-unknown-labels"],
        ["predictions_json.py", *chosen, "--subset", "validation"],
        ["metrics.py", *chosen, "--subset", "validation", "--ignore-unknown-labels"],
        ["report.py", *chosen, "--subset", "validation"],
        ["trainer.py", "-c", str(tmp_path / "planned/all/settings.yml"), "--set", "predict.subset=training", "--fresh"],
    ]  # fmt: skip
    linked = list((tmp_path / "planned/all/features/training").iterdir())
    assert len(linked) == 11 and all(path.is_file() for path in linked)
    database = json.loads((tmp_path / "planned/all/annotations.json").read_text())["database"]
    assert {entry["subset"] for entry in database.values()} == {"training"}


def test_an_extraction_that_was_stopped_goes_on_before_anything_is_planned_of_it(tmp_path, monkeypatch):
    make_data_set(tmp_path)
    spec = tmp_path / "features/extractor.json"
    spec.write_text(spec.read_text().replace("imported", "efficientnet_lite0"))
    (tmp_path / "videos/training").mkdir(parents=True)
    (tmp_path / "videos/training/a.mp4").touch()
    for state, first in (("features are missing", "feature_map_extractor.py"), ("planned", "plan.py")):
        told(monkeypatch, tmp_path, {})
        written = utils.sha256_of(tmp_path / "settings.yml")
        (tmp_path / "plan.json").write_text(json.dumps({"settings_sha256": [written], "state": state}))
        commands, status = told(monkeypatch, tmp_path, {})
        assert status == 0 and commands[0][0] == first
        assert [command[0] for command in commands].count("plan.py") == 2


def test_features_are_extracted_of_the_subsets_that_have_videos(tmp_path, monkeypatch):
    make_data_set(tmp_path)
    (tmp_path / "features/extractor.json").unlink()
    for name in ("training/a.mp4", "validation/b.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True)
        (tmp_path / "videos" / name).touch()
    commands, _ = told(monkeypatch, tmp_path, {})
    assert commands[1] == [
        "feature_map_extractor.py", "-c", str(tmp_path / "settings.yml"), "training", "validation",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "ended_by", "status"),
    [
        ({"plan.py": 2}, "plan.py", 2),
        ({"trainer.py": 143}, "trainer.py", 143),
        ({"feature_map_extractor.py": 2}, "feature_map_extractor.py", 2),
        # some videos failed: the others are learnt from
        ({"feature_map_extractor.py": 1}, "report.py", 0),
    ],
)
def test_a_stage_that_fails_ends_it(statuses, ended_by, status, tmp_path, monkeypatch):
    make_data_set(tmp_path)
    (tmp_path / "features/extractor.json").unlink()
    (tmp_path / "videos/training").mkdir(parents=True)
    (tmp_path / "videos/training/a.mp4").touch()
    commands, ended = told(monkeypatch, tmp_path, statuses)
    assert ended == status and commands[-1][0] == ended_by


def test_a_stage_is_a_process_whose_status_is_handed_on(capfd):
    assert stages.run_stage(["metrics.py", "--ground-truth", "/nowhere.json", "--predictions", "/nowhere.json"]) == 2
    printed = capfd.readouterr()
    assert "$ python metrics.py --ground-truth /nowhere.json" in printed.out and "nowhere.json" in printed.err


def test_all_videos_with_actions_are_for_training_at_last(tmp_path):
    make_data_set(tmp_path)
    annotated = folders.as_training(annotations.load(tmp_path / "annotations.json"))
    assert len(annotated.subset("training")) == 11
