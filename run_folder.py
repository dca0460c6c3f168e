"""The folder of a run: the names of its files, what its model is in words, and the SavedModel in it.

`runs/<name>/` holds config.yml (resolved), model.json, metrics.jsonl, TensorBoard's events, checkpoints/, saved_model/,
and for each subset that was predicted predictions_, scores_, metrics_, errors_ and segmentation_<subset>.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import config
import utils

CONFIG, DESCRIPTION, LOG, PAGE = "config.yml", "model.json", "metrics.jsonl", "report.html"
CHECKPOINTS, SAVED_MODEL, CACHE = "checkpoints", "saved_model", "cache"
# what `trainer.py --export` writes, by the format
EXPORTS = {
    "saved_model": SAVED_MODEL, "frames": "frames_model", "keras": "model.keras", "onnx": "model.onnx",
    "litert": "model.tflite", "openvino": "openvino",
}  # fmt: skip
TUNED, TRIALS = "tuned.yml", "tuning.json"
# what a trained model is: who has these can use it
MODEL_FILES = (DESCRIPTION, CONFIG, SAVED_MODEL)
# what a training writes, and starting over deletes; the profiler writes plugins. The cache stays: its files are named
# by the features that they hold, and the training that starts over has loaded them
_OF_TRAINING = (*MODEL_FILES, LOG, CHECKPOINTS, *EXPORTS.values(), "plugins")
PROJECT = Path(__file__).parent
DEMO = Path("runs/demo")
# the version that the annotations of sample_videos.py carry begins so
SAMPLE_VERSION = "sample set"
SHOWN_CLASSES = 12
SMALL = 200_000  # training frames: 13 hours at 4.2 frames/s. ActivityNet has some 6 million


def predictions_file(folder: Path, subset: str) -> Path:
    """A subset's segments in ActivityNet's layout."""
    return folder / f"predictions_{subset}.json"


def scores_file(folder: Path, subset: str) -> Path:
    """A subset's class scores of frames, see `prediction.score_file`."""
    return folder / f"scores_{subset}.npz"


def evaluation_file(folder: Path, name: str, subset: str) -> Path:
    """What an evaluation measured of a subset; `name` is metrics, errors or segmentation."""
    return folder / f"{name}_{subset}.json"


def read_log(folder: Path) -> list[dict]:
    """The values that a training wrote into metrics.jsonl: of each record its step, and numbers by their names.

    Raises ValueError that names the file and the record which holds something else.
    """
    path = folder / LOG
    records = utils.read_jsonl(path)
    for number, record in enumerate(records, start=1):
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in record.values())
        if not (numbers and isinstance(record.get("step"), int)):
            raise ValueError(f"{path}:{number}: expected a step and numbers of a training, received {record!r:.120}")
    return records


def delete_training(folder: Path) -> None:
    """Delete what a training wrote into its folder, and nothing else that is there."""
    files = [folder / name for name in _OF_TRAINING]
    for path in files + list(folder.glob("events.out.tfevents.*")):
        utils.delete(path)


@dataclass(frozen=True)
class Run:
    """A trained run as its files describe it, before TensorFlow is needed; `classes` [K], background first."""

    folder: Path
    settings: config.Config
    classes: tuple[str, ...]
    features: dict  # how they were made, as in extractor.json
    version: str  # of the annotations it was trained on; "" where nothing says it
    file: str  # the name of theirs
    videos: int  # it was trained on; 0 where nothing says it

    @property
    def knows_drawn_figures_only(self) -> bool:
        return self.version.startswith(SAMPLE_VERSION)

    def describe(self) -> tuple[str, str]:
        """The model, its training data and its classes in a sentence; and a caution, or ""."""
        return f"{self.folder.parent.name}/{self.folder.name}, {self.learnt()}, {self.known()}.", self.caution()

    def learnt(self) -> str:
        """What it was trained on, in words."""
        if not (self.version or self.videos):
            return f"trained on {self.file}, which is not here"
        return f"trained on {f'{self.videos} videos of ' if self.videos else ''}“{self.version or self.file}”"

    def known(self) -> str:
        """Its classes, in words."""
        actions = self.classes[1:]
        more = f" and {len(actions) - SHOWN_CLASSES} more" if len(actions) > SHOWN_CLASSES else ""
        plural = "s" if len(actions) > 1 else ""
        return f"knows {len(actions)} action{plural}: {', '.join(actions[:SHOWN_CLASSES])}{more}"

    def caution(self) -> str:
        """What has to be said of what it cannot do, or ""."""
        if not self.knows_drawn_figures_only:
            return ""
        return "It knows drawn figures only: for real videos, train one on your own (README, “Your own videos”)."


def network(chosen: config.ModelSettings) -> str:
    """The members of a model in words."""
    recurrent, convolutional = chosen.members["recurrent"], chosen.members["convolutional"]
    layers = f"{chosen.num_layers} layer{'s' * (chosen.num_layers > 1)} of {chosen.num_nodes} units a direction"
    members = [
        f"{count if count > 1 else ''} {name}{'s' * (count > 1)}{more}".strip()
        for count, name, more in (
            (recurrent, f"bidirectional {chosen.cell_type.upper()}", f" ({layers})"),
            (convolutional, "network", " of dilated convolutions"),
        )
        if count
    ]
    words = f"{' and '.join(members)}{', averaged,' if recurrent + convolutional > 1 else ''}"
    return words[0].upper() + words[1:]


def find_run(given: str | Path | None = None) -> Run:
    """The run that `given` names: its folder, or the `saved_model` folder beside its model.json and config.yml.

    Without a name it is the demo's, of the project's folder or else of the current one. Raises ValueError that says
    what is missing.
    """
    if given is None:
        candidates = [PROJECT / DEMO, Path.cwd() / DEMO]
        folder = next((path for path in candidates if (path / DESCRIPTION).is_file()), None)
        if folder is None:
            raise ValueError(
                f"no model: expected one in {candidates[0]}, which `make demo` trains in a few minutes, or the folder "
                "of a run of your own after --model"
            )
    else:
        folder = Path(given).expanduser()
        if (folder / "saved_model.pb").is_file():
            folder = folder.absolute().parent
        elif not folder.exists():
            raise ValueError(f"--model {given}: no such folder; expected that of a run, which trainer.py makes")
    missing = [name for name in MODEL_FILES if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"{given or folder}: expected a run's folder, which holds {', '.join(MODEL_FILES)} (trainer.py writes "
            f"them): {', '.join(missing)} missing in {folder}"
        )
    run = read_run(folder.resolve())
    if run.features["backbone"] == "imported":
        raise ValueError(
            f"{run.folder}: trained on imported features, which another tool made: they cannot be made of a video "
            "here. Use predictions_json.py on imported features, or train on those of feature_map_extractor.py"
        )
    return run


def read_run(folder: Path, annotated: Path | None = None) -> Run:
    """The run that model.json and config.yml in `folder` describe.

    What an older model.json does not say of its training data is looked up in the file `annotated`, else in that of the
    run's settings. Raises ValueError for files that trainer.py did not write.
    """
    description: Any = utils.read_json(folder / DESCRIPTION)
    try:
        classes = tuple(str(name) for name in description["classes"])
        features = {**description["features"], "backbone": str(description["features"]["backbone"])}
    except (KeyError, TypeError):
        raise ValueError(f"{folder / DESCRIPTION}: expected what trainer.py writes; train again") from None
    settings = config.load(folder / CONFIG)
    settings = settings.model_copy(update={"predict": own_decoding(folder, settings.predict)})
    training_data = _training_data(description, annotated or settings.paths.json_data_path)
    return Run(folder, settings, classes, features, *training_data)


def _training_data(description: dict, file: Path) -> tuple[str, str, int]:
    """Version and file name of the annotations, and the number of training videos; "" and 0 where nothing says it."""
    known = description.get("training_data")
    if isinstance(known, dict):
        return str(known.get("version", "")), str(known.get("file", file.name)), int(known.get("videos") or 0)
    if not file.is_file():
        return "", file.name, 0
    try:
        annotated: Any = utils.read_json(file)
        videos = sum(video["subset"] == "training" for video in annotated["database"].values())
        return annotated.get("version") or file.name, file.name, videos
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        utils.LOGGER.debug("the training data cannot be described: %s", error)
        return "", file.name, 0


def own_decoding(folder: Path, given: config.PredictSettings) -> config.PredictSettings:
    """How scores of the run in `folder` become segments: as `--tune` chose, where `given` does not ask for another way.

    `given` is that of the settings at hand; where it differs from the run's config.yml a person has chosen it.
    """
    if not (folder / TUNED).is_file() or not (folder / CONFIG).is_file():
        return given
    trained, tuned = config.load(folder / CONFIG), config.load(folder / TUNED)
    free = {name: getattr(given, name) for name in ("subset", "save_scores")}
    if differences(dict(trained), dict(tuned), "model") or trained.predict.model_copy(update=free) != given:
        return given
    return tuned.predict.model_copy(update=free)


def shown_score(folder: Path) -> float | None:
    """The score from which the run in `folder` shows segments; None where its settings are not there."""
    if not (folder / CONFIG).is_file():
        return None
    return own_decoding(folder, config.load(folder / CONFIG).predict).shown_score


def advise_a_plan(frames: int, settings: config.TrainSettings) -> None:
    """Name plan.py where few `frames` are learnt from with the learning rate that the original had for ActivityNet."""
    default = config.load().train
    if frames < SMALL and (settings.learning_rate, settings.schedule) == (default.learning_rate, default.schedule):
        utils.LOGGER.info(
            "config.yml's settings are those of 2018 for ActivityNet; for a data set of this size `python plan.py` "
            "chooses better ones (docs/custom_data.md)"
        )


def advise_a_plan_for(folder: Path) -> None:
    """`advise_a_plan` for a run that was trained, where its files say on how many frames."""
    if (folder / DESCRIPTION).is_file() and (folder / CONFIG).is_file():
        description: Any = utils.read_json(folder / DESCRIPTION)
        known = description.get("training_data") if isinstance(description, dict) else None
        if isinstance(known, dict) and isinstance(known.get("frames"), int):
            advise_a_plan(known["frames"], config.load(folder / CONFIG).train)


def damage() -> tuple[type[Exception], ...]:
    """What TensorFlow raises for a file that is missing, cut or damaged, in a SavedModel and in a checkpoint."""
    import tensorflow as tf

    return (AssertionError, OSError, ValueError, IndexError, tf.errors.OpError)


def load_saved_model(folder: Path) -> Any:
    """What `tf.saved_model.load` gives. Raises ValueError for a folder that is none, or is damaged."""
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except damage() as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"{folder}: a damaged model, or none: {cause:.200}; copy it again, or train again") from None


def differences(
    one: Mapping[str, config.Section], other: Mapping[str, config.Section], what: Literal["model", "run"]
) -> list[str]:
    """Where sections, by name, differ in what binds a model or a run: `section.key: value there, value here` each."""
    return [
        f"{name}.{key}: {getattr(one[name], key)!r} there, {value!r} here"
        for name, section in other.items()
        for key, value in section
        if getattr(one[name], key) != value and section.binds(key, what)
    ]
