"""What is finished -> a trained run and its predictions for what is not: the pipeline's scripts, one after another.

Everything lies in `work`, a folder beside the annotations, laid out as plan.py takes it: annotations and videos of what
is finished, features, the run; what is not finished lies likewise in `unlabelled/`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import config
import run_folder
import utils
from annotation_formats.activitynet import FINISHED
from features.records import SPEC_FILE, feature_file
from labelling.media import VideoFile
from labelling.storage import Labels

RUN, OTHERS, ANNOTATIONS, LOG = "run", "unlabelled", "annotations.json", "teaching.log"
FEWEST = 2  # videos: to learn from one and to check on another
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
        """Whether it runs, the step it is at, its last lines, the error that ended it, the run's page; "" for none."""
        log = self.work / LOG
        lines = log.read_text(errors="replace").replace("\r", "\n").splitlines() if log.is_file() else []
        page = self.work / RUN / run_folder.PAGE
        told = [line for line in lines if line.strip()][-LINES:]
        return self._state | {"lines": told, "page": str(page) if page.is_file() else ""}

    def start(self, learnt: Callable[[Path], None]) -> None:
        """Begin; `learnt` is called with the run's folder when there are new predictions.

        Raises ValueError when it runs already, and when too few videos are finished.
        """
        if self._state["running"]:
            raise ValueError("it is being taught already")
        self._labels.save()
        finished = [video for video in self._videos if self._status(video) == FINISHED]
        if sum(self._subset(video) == "training" for video in finished) < FEWEST:
            raise ValueError(f"fewer than {FEWEST} training videos are finished: finish some more, and teach then")
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
            self._take_features()
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
        """Link the videos by subset, the finished ones apart, and write what is known of them.

        Returns the subsets that have videos which are not finished.
        """
        links, finished, others = {}, {}, {}
        for video in self._videos:
            entry, subset = self._labels.entries().get(video.id, {}), self._subset(video)
            known = {"subset": subset, "duration": entry.get("duration", 0.0), "annotations": []}
            if self._status(video) == FINISHED:
                finished[video.id] = known | {"annotations": entry.get("annotations") or []}
                links[self.work / "videos" / subset / video.path.name] = video.path
            else:
                others[video.id] = known
                links[self.work / OTHERS / "videos" / subset / video.path.name] = video.path
        for old in [*self.work.glob("videos/*/*"), *self.work.glob(f"{OTHERS}/videos/*/*")]:
            if old.is_symlink() and old not in links:
                old.unlink()
        for link, path in links.items():
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(path.resolve())
        for folder, database in ((self.work, finished), (self.work / OTHERS, others)):
            value = {"version": self._labels.path.stem, "taxonomy": [], "database": database}
            utils.write_json(folder / ANNOTATIONS, value)
        return [subset for subset in config.SUBSETS if any(entry["subset"] == subset for entry in others.values())]

    def _take_features(self) -> None:
        """Learn from the features with which a finished video was suggested for: they are made only once."""
        settings, made = self.work / "settings.yml", self.work / "features"
        if not self._options and settings.is_file():
            made = config.load(settings).paths.feature_map_folder
        others = self.work / OTHERS / "features"
        if not (made / SPEC_FILE).is_file() or not (others / SPEC_FILE).is_file():
            return
        if utils.read_json(made / SPEC_FILE) != utils.read_json(others / SPEC_FILE):
            return
        for video in (video for video in self._videos if self._status(video) == FINISHED):
            old, new = (feature_file(folder, self._subset(video), video.id) for folder in (others, made))
            if old.is_file() and not new.exists():
                new.parent.mkdir(parents=True, exist_ok=True)
                old.rename(new)

    def _commands(self, subsets: list[str]) -> list[tuple[str, list[str]]]:
        """What is called, each with a word for it. Without settings of the user's, plan.py finds some and learns."""
        others = ["json_data_path", ANNOTATIONS, "videos_folder", "videos", "feature_map_folder", "features"]
        if self._options:
            own = _paths(self.work, [*others, "model_dir", RUN])
            used = [subset for subset in config.SUBSETS if any(self.work.glob(f"videos/{subset}/*"))]
            settings = [*self._options, *_paths(self.work, ["model_dir", RUN])]
            learn = [("features", ["feature_map_extractor.py", *self._options, *own, *used]),
                     ("training", ["trainer.py", *self._options, *own, "--fresh"])]  # fmt: skip
        else:
            settings = ["-c", str(self.work / "settings.yml")]
            learn = [("learning", ["plan.py", str(self.work), "--learn", "--fresh", "--minutes", "0"])]
        if not subsets:
            return learn
        settings += [*_paths(self.work / OTHERS, others), "--set", "predict.save_scores=true"]
        extract = ("features of the rest", ["feature_map_extractor.py", *settings, *subsets])
        predict = [("suggestions", ["predictions_json.py", *settings, "--subset", subset]) for subset in subsets]
        return [*learn, extract, *predict]

    def _call(self, command: list[str]) -> int:
        with self.work.joinpath(LOG).open("ab") as log:
            if self._stopped:
                return -1
            script = [sys.executable, str(run_folder.PROJECT / command[0]), *command[1:]]
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            self._process = subprocess.Popen(
                script, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
            return self._process.wait()


def _paths(folder: Path, names: list[str]) -> list[str]:
    """Options that set paths: `names` holds key, name, key, name, …"""
    pairs = zip(names[::2], names[1::2], strict=True)
    return [part for key, name in pairs for part in ("--set", f"paths.{key}={folder / name}")]
