"""The commands of docs/datasets.md, from annotation files in each public data set's layout to its score."""

import csv
import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT, blocks
from made_videos import make_video

import annotations
import config
import metrics
import trainer
from features import arrays

ABOUT = "tests/test_data_sets.py runs it on made files, "
BLOCKS = {block.about.removeprefix(ABOUT): block.commands for block in blocks() if block.about.startswith(ABOUT)}
SCRIPTS = {"data.py": arrays.main, "trainer.py": trainer.main, "metrics.py": metrics.main}
FPS, COLUMNS, SECONDS, VIDEOS = 30, 8, 60, {"training": 8, "scored": 4}
# what a set of twelve videos needs; all else is as in configs/
SHORT = (
    "data.max_frames=32", "data.window_stride=16", "predict.window_stride=16", "data.batch_size=8", "data.jitter=2",
    "model.num_nodes=16", "train.learning_rate=0.02", "train.warmup_steps=5", "train.max_steps=60",
    "train.ema_decay=0.9", "train.save_checkpoints_steps=60", "train.pictures=0",
)  # fmt: skip


def make_actions(names, labels):
    """For each video two actions half a minute apart: {name: [(start, end, label)]}, in seconds."""
    random = np.random.default_rng(0)
    actions = {}
    for number, name in enumerate(names):
        first = random.uniform(4, 10, 2) + (0, 30)
        chosen = labels[number % len(labels)], labels[(number + 1) % len(labels)]
        spans = np.round(np.stack([first, first + random.uniform(9, 14, 2)], axis=1), 2).tolist()
        actions[name] = [(start, end, label) for (start, end), label in zip(spans, chosen, strict=True)]
    return actions


def make_arrays(folder, actions, stride, window, name="{}.npy"):
    """Clips in which every class has a direction of its own in all columns, in a little noise."""
    random = np.random.default_rng(1)
    labels = sorted({label for found in actions.values() for *_, label in found})
    direction = dict(zip(labels, random.normal(0, 1, (len(labels), COLUMNS)), strict=True))
    middle = (np.arange((SECONDS * FPS - window) // stride + 1) * stride + window / 2) / FPS
    folder.mkdir(parents=True)
    for video, found in actions.items():
        rows = random.normal(0, 0.1, (len(middle), COLUMNS)).astype(np.float32)
        for start, end, label in found:
            rows[(middle >= start) & (middle < end)] += direction[label]
        np.save(folder / name.format(video), rows)


def write_table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def thumos_videos(folder, labels):
    names = [f"video_validation_{number:07}" for number in range(VIDEOS["training"])]
    names += [f"video_test_{number:07}" for number in range(VIDEOS["scored"])]
    actions = make_actions(names, labels)
    make_arrays(folder / "thumos14/arrays", actions, 4, 16)
    for name in names:
        make_video(folder / f"thumos14/videos/{name}.mp4", frames=SECONDS, size=(16, 16), fps=1)
    return actions


def write_classes(folder, actions, name_of):
    """A text file a class, with lines `video  start end`."""
    lines = defaultdict(list)
    for video, found in actions.items():
        for start, end, label in found:
            lines[name_of(label, video)].append(f"{video}  {start} {end}\n")
    folder.mkdir(parents=True)
    for name, text in lines.items():
        (folder / f"{name}.txt").write_text("".join(text))


def make_thumos14(folder):
    actions = thumos_videos(folder, ["CliffDiving", "Diving"])
    ambiguous = {name: [*found, (1.0, 2.0, "Ambiguous")] for name, found in actions.items() if name.endswith("0")}
    write_classes(folder / "thumos14/text", actions | ambiguous,
                  lambda label, video: f"{label}_{'test' if '_test_' in video else 'val'}")  # fmt: skip


def make_multithumos(folder):
    actions = thumos_videos(folder, ["Jump", "Run"])
    both = {name: [*found, (*found[0][:2], "Stand")] for name, found in actions.items()}
    write_classes(folder / "multithumos/text", both, lambda label, _: label)


def make_epic(folder):
    names = [f"P01_{number:02}" for number in range(sum(VIDEOS.values()))]
    actions = make_actions(names, [(0, 0), (1, 0), (1, 1)])
    make_arrays(folder / "epic/arrays", actions, 16, 32)
    tables, said = folder / "epic/csv", (("put-down", "place"), ("wash", "plate"))
    for name, keys in (("verb", ("put", "wash")), ("noun", ("plate", "board:chopping"))):
        rows = [(number, key, "[]", "any") for number, key in enumerate(keys)]
        write_table(tables / f"EPIC_100_{name}_classes.csv", ("id", "key", "instances", "category"), rows)
    write_table(tables / "EPIC_100_video_info.csv", ("video_id", "duration", "fps", "resolution"),
                [(name, SECONDS, FPS, "1920x1080") for name in names])  # fmt: skip
    header = ("narration_id", "participant_id", "video_id", "narration_timestamp", "start_timestamp", "stop_timestamp",
              "start_frame", "stop_frame", "narration", "verb", "verb_class", "noun", "noun_class", "all_nouns",
              "all_noun_classes")  # fmt: skip
    for subset, some in (("train", names[: VIDEOS["training"]]), ("validation", names[VIDEOS["training"] :])):
        rows = []
        for video in some:
            for number, (start, end, (verb, noun)) in enumerate(actions[video]):
                times = [f"00:00:{seconds:05.2f}" for seconds in (start, start, end)]
                words = said[number % 2]
                frames = int(start * FPS), int(end * FPS)
                rows.append((f"{video}_{number}", "P01", video, *times, *frames, " ".join(words),
                             words[0], verb, words[1], noun, f"['{words[1]}', 'tap']", f"[{noun}, 7]"))  # fmt: skip
        write_table(tables / f"EPIC_100_{subset}.csv", header, rows)


def write_database(path, actions, about):
    """ActivityNet's layout; `about` says of a video what the release says besides."""
    database = {}
    for number, (name, found) in enumerate(actions.items()):
        entries = [{"label": label, "segment": [start, end]} for start, end, label in found]
        subset = "training" if number < VIDEOS["training"] else "validation"
        database[name] = {"subset": subset, "duration": SECONDS, "annotations": entries, **about(name)}
    path.write_text(json.dumps({"version": "made", "database": database}))


def make_hacs(folder):
    names = [f"-{number}aB_cD{number:03}" for number in range(sum(VIDEOS.values()))]
    actions = make_actions(names, ["Archery", "Skiing"])
    make_arrays(folder / "hacs/arrays", actions, 16, 16, "v_{}.npy")
    write_database(folder / "hacs/HACS_segments_v1.1.1.json", actions, lambda name: {"url": f"made/{name}"})


def make_fineaction(folder):
    names = [f"v_{number:08}" for number in range(sum(VIDEOS.values()))]
    actions = make_actions(names, ["apply eyebrows", "pole vault"])
    make_arrays(folder / "fineaction/arrays", actions, 16, 16, "{}_rgb.npy")
    write_database(
        folder / "fineaction/annotations_gt.json", actions, lambda name: {"filename": f"{name}.mp4", "fps": FPS}
    )


MAKERS = {
    "thumos14": make_thumos14, "multithumos": make_multithumos, "epic": make_epic, "hacs": make_hacs,
    "fineaction": make_fineaction,
}  # fmt: skip


def follow(commands, folder):
    """What comes before the empty line is run by a shell, the three commands behind it here, to spare imports."""
    *preparing, three = commands.rstrip().split("\n\n")
    if preparing:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        text = "\n\n".join(preparing).replace("python annotations.py", f"python {ROOT / 'annotations.py'}")
        subprocess.run(["bash", "-ec", text], cwd=folder, env=os.environ | {"PATH": path}, check=True)
    lines = three.splitlines()
    assert len(lines) == 3
    for line in lines:
        python, script, *options = shlex.split(line)
        assert python == "python"
        options = [str(ROOT / word) if word.startswith("configs/") else word for word in options]
        assignments = [part for text in (f"paths.data_dir={folder}", *SHORT) for part in ("--set", text)]
        assert SCRIPTS[script]([*options, *assignments]) == 0


def test_every_data_set_of_the_page_has_its_settings_and_is_tried():
    assert set(BLOCKS) == set(MAKERS)
    assert all((ROOT / f"configs/{name}.yml").is_file() for name in MAKERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_a_data_set_comes_from_its_files_to_a_score(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MAKERS[name](tmp_path / "data")
    follow(BLOCKS[name], tmp_path)
    settings = config.load(ROOT / f"configs/{name}.yml", [f"paths.data_dir={tmp_path}"])
    annotated = annotations.load(settings.paths.json_data_path)
    counts = [len(annotated.subset(subset)) for subset in ("training", settings.predict.subset)]
    assert counts == list(VIDEOS.values())
    if name == "epic":
        assert annotated.labels() == ["put plate", "wash board:chopping", "wash plate"]
    scored = json.loads((settings.paths.model_dir / f"metrics_{settings.predict.subset}.json").read_text())
    assert scored["preset"] == name and scored["videos"]["missing"] == 0
    # weights that were not trained reach 0.03 to 0.40
    assert scored["average_mAP"] > 0.7, scored["mAP"]
