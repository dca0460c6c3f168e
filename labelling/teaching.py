"""What is finished -> a trained run and its predictions for what is not: the pipeline's scripts, one after another.

Everything lies in `work`, a folder beside the annotations: links to the videos by subset, features, the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import config
import utils
from annotation_formats.activitynet import FINISHED
from labelling.media import VideoFile
from labelling.storage import Labels

PROJECT = Path(__file__).parents[1]
RUN, UNLABELLED, LOG = "run", "unlabelled.json", "teaching.log"
LINES = 12  # of the output, that the page shows


class Teacher:
    """Trains in a thread, one at a time. `options` are those that the scripts get, such as `-c FILE`."""

    def __init__(self, labels: Labels, videos: Sequence[VideoFile], work: Path, options: Sequence[str]):
        self._labels, self._videos, self.work, self._options = labels, videos, work, list(options)
        self._process: subprocess.Popen | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._state = {"running": False, "step": "", "error": ""}

    def state(self) -> dict:
        """Whether it runs, the step it is at, its last lines, and the error that ended it or ""."""
        log = self.work / LOG
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines() if log.is_file() else []
        return self._state | {"lines": [line for line in lines if line.strip()][-LINES:]}

    def start(self, learnt: Callable[[Path], None]) -> None:
        """Begin; `learnt` is called with the run's folder when there are new predictions.

        Raises ValueError when it runs already, and when no video is finished.
        """
        if self._state["running"]:
            raise ValueError("it is being taught already")
        self._labels.save()
        finished = [video for video in self._videos if self._status(video) == FINISHED]
        if not any(self._subset(video) == "training" for video in finished):
            raise ValueError("no training video is finished yet: finish some, and teach then")
        self._state = {"running": True, "step": "", "error": ""}
        self._thread = threading.Thread(target=self._run, args=(learnt,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what runs."""
        self._stopped = True
        if self._process and self._process.poll() is None:
            self._process.terminate()
        if self._thread:
            self._thread.join()

    def _status(self, video: VideoFile) -> str:
        return self._labels.status(video.id)

    def _subset(self, video: VideoFile) -> str:
        return self._labels.entries().get(video.id, {}).get("subset", video.subset)

    def _run(self, learnt: Callable[[Path], None]) -> None:
        error = ""
        try:
            subsets = self._prepare()
            self.work.joinpath(LOG).write_bytes(b"")
            for step, command in self._commands(subsets):
                self._state |= {"step": step}
                if status := self._call(command):
                    raise ValueError(f"{step}: {command[0]} ended with status {status}; {self.work / LOG} says why")
            learnt(self.work / RUN)
        except (ValueError, OSError) as raised:
            error = utils.one_line(raised)
        self._state = {"running": False, "step": "" if error else "learnt", "error": error}

    def _prepare(self) -> list[str]:
        """Link the videos by subset, and write the list of those to predict; the subsets that it names."""
        links = {self.work / "videos" / self._subset(video) / video.path.name: video.path for video in self._videos}
        for old in self.work.glob("videos/*/*"):
            if old.is_symlink() and old not in links:
                old.unlink()
        for link, path in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(path.resolve())
        database = {}
        for video in self._videos:
            if self._status(video) != FINISHED:
                entry = self._labels.entries().get(video.id, {})
                duration = entry.get("duration", 0.0)
                database[video.id] = {"subset": self._subset(video), "duration": duration, "annotations": []}
        utils.write_json(self.work / UNLABELLED, {"version": "unlabelled", "taxonomy": [], "database": database})
        return sorted({entry["subset"] for entry in database.values()})

    def _commands(self, subsets: list[str]) -> list[tuple[str, list[str]]]:
        used = [subset for subset in config.SUBSETS if (self.work / "videos" / subset).is_dir()]
        common = [*self._options, *_set("videos_folder", self.work / "videos"), *_set("model_dir", self.work / RUN),
                  *_set("feature_map_folder", self.work / "features")]  # fmt: skip
        labelled = [*common, *_set("json_data_path", self._labels.path)]
        unlabelled = [*common, *_set("json_data_path", self.work / UNLABELLED), "--set", "predict.save_scores=true"]
        return [
            ("features", ["feature_map_extractor.py", *labelled, *used]),
            ("training", ["trainer.py", *labelled, "--fresh"]),
            *(("suggestions", ["predictions_json.py", *unlabelled, "--subset", subset]) for subset in subsets),
        ]

    def _call(self, command: list[str]) -> int:
        with self.work.joinpath(LOG).open("ab") as log:
            if self._stopped:
                return -1
            self._process = subprocess.Popen(
                [sys.executable, str(PROJECT / command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            return self._process.wait()


def _set(key: str, path: Path) -> list[str]:
    return ["--set", f"paths.{key}={path}"]
