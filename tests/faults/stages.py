"""A stage, by name -> small made data, its command, and what its run wrote, as values to compare.

A stage runs in a folder `work`, a copy of `made`, always under the same path, as some outputs contain paths.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from download_server import FaultyServer, Place
from extraction_videos import ROOT, assignments, make_videos
from made_features import SETTINGS, make_data_set
from made_videos import make_video

import command_line
import utils

SECONDS = 300  # after which a process hangs
# short windows, whose graphs are soon traced
TRAINING = (
    *SETTINGS, "train.max_steps=24", "train.save_checkpoints_steps=6", "train.save_summary_steps=2",
    "train.steps_per_call=2", "train.ema_decay=0.9", "train.pictures=0", "data.max_frames=5", "predict.subset=testing",
)  # fmt: skip
# what differs from run to run: values of a clock, and names that count steps or carry a time
CLOCK = ("seconds", "windows_per_second", "input_wait", "seconds_this_run", "bytes_this_run", "stopped")
# of a checkpoint: names that are numbered anew in each process, and how often was saved, which a signal adds to
NO_STATE = {"_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}
COUNTED = (r"events\.out\.tfevents\..*", "events"), (r"ckpt-\d+", "ckpt")


class Stage:
    """One stage on made data below `root`; a context manager."""

    name = output = ""
    imports_tensorflow = False
    # a glob of input files, one of which is removed while the stage works
    input = ""
    # a glob of what is there when the input has been read, where a file that goes earlier is left out, and said to be
    has_read = ""

    def __init__(self, root: Path):
        self.root, self.made, self.work, self.temporary = root, root / "made", root / "work", root / "tmp"
        self.temporary.mkdir(parents=True)
        self.listeners: list[subprocess.Popen] = []

    def __enter__(self) -> Stage:
        self.made.mkdir()
        self.make()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def make(self) -> None:
        """Write the input files into `made`."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Script and arguments of a run in `work`."""
        raise NotImplementedError

    def finals(self) -> dict[str, object]:
        """What stands under final names in `work`, which is whole at any time; by name."""
        return digests(self.work / self.output)

    def records(self) -> dict[str, object]:
        """What else a whole run must have written, as values to compare."""
        return {}

    def reset(self) -> None:
        """Make `work` anew, as it was before the first run."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.made, self.work)

    def names(self) -> set[str]:
        """The names of all files and folders in `work`, hidden ones too."""
        names = {str(path.relative_to(self.work)) for path in self.work.rglob("*")}
        for pattern, instead in COUNTED:
            names = {re.sub(pattern, instead, name) for name in names}
        return names

    def temporaries(self) -> set[Path]:
        """Temporary files and folders in the folder of the outputs: ours, yt-dlp's and TensorFlow's."""
        folder = self.work / self.output
        return {path for pattern in ("*.part*", "*_temp*", "*.tmp*") for path in folder.rglob(pattern)}

    def start(self, **environment: str) -> subprocess.Popen:
        # through a process that no fault meets: a stage that may write no file can still tell why
        with (self.root / "said").open("a") as said:
            listener = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=said)
        self.listeners.append(listener)
        process = subprocess.Popen(
            [sys.executable, *self.command()], cwd=ROOT, stdout=listener.stdin, stderr=listener.stdin,
            env=os.environ | {"TMPDIR": str(self.temporary), "no_proxy": "127.0.0.1"} | environment,
        )  # fmt: skip
        listener.stdin.close()
        return process

    def finish(self, process: subprocess.Popen) -> int:
        """The exit status of a process. Raises TimeoutError when it hangs."""
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise TimeoutError(f"{self.name}: still there after {SECONDS} s: {self.said()}") from None
        finally:
            process.kill()
            process.wait()

    def said(self) -> str:
        """What processes wrote since this was asked last."""
        while self.listeners:
            self.listeners.pop().wait(SECONDS)
        path = self.root / "said"
        text = path.read_text(errors="replace")
        path.unlink()
        return text


class Download(Stage):
    """12 videos from a server on loopback, some of which are gone or break off."""

    name, output, input = "download", "videos", "annotations.json"

    def make(self) -> None:
        kinds = ["none", "none", "dropped", "404", "503 then success", "none"]
        faults = {f"video{number:02d}": kinds[number % len(kinds)] for number in range(12)}
        self.place = Place(self.made, faults)
        self.server = FaultyServer(self.place.bodies, faults, pause=0.01).__enter__()
        self.arguments = self.place.command(self.server, timeout_seconds=10)

    def __exit__(self, *exception: object) -> None:
        self.server.__exit__(*exception)

    def command(self) -> list[str]:
        return ["download_video_script.py", *self.arguments, "--set", f"paths.data_dir={self.work}"]

    def finals(self) -> dict[str, object]:
        folder = self.work / self.output
        return {name: digest for name, digest in digests(folder).items() if name.endswith(".mp4")}

    def records(self) -> dict[str, object]:
        folder = self.work / self.output
        lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        # a kill between the rename and its line makes the next run say found instead of done
        had = sorted(line["id"] for line in lines if line["status"] in ("done", "found"))
        report = json.loads((folder / "report.json").read_text())
        return {
            "had": had,
            "reasons": {line["id"]: line["reason"] for line in lines},
            "report": {key: value for key, value in report.items() if key not in CLOCK},
            "missing": (folder / "missing.txt").read_text(),
        }


class Extract(Stage):
    """8 short videos through a small network of random weights."""

    name, output, imports_tensorflow, input = "extract", "features", True, "videos/training/*.mp4"

    def make(self) -> None:
        make_videos(self.made, 8, 150)

    def command(self) -> list[str]:
        return ["feature_map_extractor.py", *_set(assignments(self.work, "features")), "training"]


class Train(Stage):
    """24 steps with 4 evaluations, an export and predictions."""

    name, output, imports_tensorflow, input = "train", "run", True, "features/training/*.tfrecord"
    has_read = "run/config.yml"

    def make(self) -> None:
        command_line.set_up_logging("warning")
        utils.start_tensorflow()
        make_data_set(self.made)

    def command(self) -> list[str]:
        return ["trainer.py", *_set([f"paths.data_dir={self.work}", *TRAINING])]

    def finals(self) -> dict[str, object]:
        names = ("config.yml", "model.json", "predictions_testing.json", "scores_testing.npz")
        found = {name: digest for name, digest in digests(self.work / "run").items() if name in names}
        weights = self.work / "run/saved_model/variables/variables"
        if weights.with_suffix(".index").is_file():
            # in what order they are listed differs, and the state of dropout, which an export does not use
            listed = {name: value for name, value in _tensors(weights).items() if name.startswith("_all_variables")}
            found["weights"] = sorted(listed.values())
        return found

    def records(self) -> dict[str, object]:
        folder = self.work / "run"
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        state = (folder / "checkpoints/checkpoint").read_text()
        listed = set(re.findall(r'all_model_checkpoint_paths: "(.*?)"', state))
        newest = re.search(r'model_checkpoint_path: "(.*?)"', state)[1]
        return {
            "metrics": [{key: value for key, value in line.items() if key not in CLOCK} for line in lines],
            "checkpoint": newest,
            "state": _tensors(folder / f"checkpoints/{newest}"),
            "unlisted": {path.stem for path in folder.glob("checkpoints/ckpt-*.index")} - listed,
        }


class Predict(Train):
    """The trained model on the testing subset."""

    name, input, has_read = "predict", "features/testing/*.tfrecord", ""

    def make(self) -> None:
        super().make()
        # paths stand in the run's config.yml: it is trained where it is used
        self.reset()
        subprocess.run([sys.executable, *super().command()], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        for name in ("predictions_testing.json", "scores_testing.npz"):
            (self.work / "run" / name).unlink()
        shutil.rmtree(self.made)
        shutil.move(self.work, self.made)

    def command(self) -> list[str]:
        return ["predictions_json.py", *_set([f"paths.data_dir={self.work}", *TRAINING])]

    def records(self) -> dict[str, object]:
        return {}


class Evaluate(Stage):
    """300 videos and 6,000 predictions."""

    name, output, input = "evaluate", "run", "run/predictions_validation.json"
    script, videos, segments = "metrics.py", 300, 20

    def make(self) -> None:
        chance, database, results = random.Random(0), {}, {}
        for number in range(self.videos):
            name, label = f"v{number:03d}", f"class {number % 10}"
            start = chance.uniform(0, 40)
            segment = {"segment": [start, start + chance.uniform(2, 20)], "label": label}
            database[name] = {"subset": "validation", "duration": 60.0, "annotations": [segment]}
            results[name] = [
                {"label": label, "score": round(chance.random(), 4), "segment": [first, first + chance.uniform(1, 20)]}
                for first in (chance.uniform(0, 40) for _ in range(self.segments))
            ]
        (self.made / "run").mkdir()
        truth = {"version": "made", "taxonomy": [], "database": database}
        predictions = {"version": "made", "external_data": {}, "results": results}
        (self.made / "annotations.json").write_text(json.dumps(truth))
        (self.made / "run/predictions_validation.json").write_text(json.dumps(predictions))

    def command(self) -> list[str]:
        paths = [f"paths.data_dir={self.work}", "paths.json_data_path=annotations.json", "paths.model_dir=run",
                 "paths.videos_folder=videos"]  # fmt: skip
        return [self.script, *_set(paths), "--subset", "validation"]


class Report(Evaluate):
    """A page of 40 videos, 6 of them with pictures."""

    name, input, script, videos = "report", "videos/validation/*.mp4", "report.py", 40

    def make(self) -> None:
        super().make()
        for number in range(6):
            make_video(self.made / f"videos/validation/v{number:03d}.mp4", frames=50)


STAGES = {stage.name: stage for stage in (Download, Extract, Train, Predict, Evaluate, Report)}


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of the files in a folder that are not hidden, nor in a hidden folder."""
    return {
        name: _digest(folder / name)
        for name in sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        if not any(part.startswith(".") for part in Path(name).parts)
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tensors(checkpoint: Path) -> dict[str, str]:
    """The SHA-256 of the bytes of each tensor in a checkpoint."""
    import tensorflow as tf

    loaded = tf.train.load_checkpoint(str(checkpoint))
    names = set(loaded.get_variable_to_shape_map()) - NO_STATE
    return {name: hashlib.sha256(loaded.get_tensor(name).tobytes()).hexdigest() for name in sorted(names)}


def _set(options: list[str]) -> list[str]:
    return [part for option in options for part in ("--set", option)]
