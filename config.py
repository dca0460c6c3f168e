"""Settings: config.yml + `-c FILE` + `--set section.key=value` -> one frozen, typed `Config`; the shared command line.

Defaults stand in config.yml and nowhere else. This file knows types, limits, what excludes what and what binds a model.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

import utils

SUBSETS = ("training", "validation", "testing")
MOST_TOLD = 20  # wrong keys of one file that are printed
Subset = Literal["training", "validation", "testing"]
Backbone = Literal["inception_resnet_v2", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
DEFAULTS_FILE = Path(__file__).with_name("config.yml")

Count = Annotated[int, Field(ge=1, strict=True)]
FromZero = Annotated[int, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, le=1)]
NO_MEMBERS = {"recurrent": 0, "convolutional": 0}  # a kind that is left out has none
Members = Annotated[dict[Literal["recurrent", "convolutional"], FromZero], AfterValidator(lambda own: NO_MEMBERS | own)]
LowerCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)  # the original wrote LSTM


@dataclass(frozen=True)
class Binds:
    """What a setting binds: a model (predictions share it with the training), or only a run (a training that goes on
    keeps it). What binds a model binds its run; a setting without `Binds` may change at any time."""

    what: Literal["model", "run"]
    only_with: tuple[str, object] | None = None  # another setting of the section, and the value with which this binds


Value = TypeVar("Value")
BindsModel = Annotated[Value, Binds("model")]
BindsRun = Annotated[Value, Binds("run")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def binds(self, key: str, what: Literal["model", "run"]) -> bool:
        """Whether the setting `key`, beside the others of this section, binds a model or a run."""
        said = [part for part in type(self).model_fields[key].metadata if isinstance(part, Binds)]
        held = [part for part in said if not part.only_with or getattr(self, part.only_with[0]) == part.only_with[1]]
        return any(what in (part.what, "run") for part in held)


class PathSettings(Section):
    data_dir: Path
    json_data_path: Path
    videos_folder: Path
    feature_map_folder: Path
    model_dir: Path

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: object) -> object:
        if not isinstance(values, dict) or not isinstance(values.get("data_dir"), str | Path):
            return values
        base = Path(os.path.abspath(Path(values["data_dir"]).expanduser()))

        def resolve(value: object) -> object:
            return os.path.normpath(base / Path(value).expanduser()) if isinstance(value, str | Path) else value

        return {key: resolve(value) for key, value in values.items()} | {"data_dir": base}


class VideoSettings(Section):
    skip_frames: BindsModel[Count]
    resize: BindsModel[tuple[Annotated[int, Field(ge=32, le=4096)], Annotated[int, Field(ge=32, le=4096)]]]


class ExtractorSettings(Section):
    backbone: BindsModel[Backbone]
    weights: BindsModel[str] = Field(min_length=1)
    feature_pooling: BindsModel[Literal["avg", "none"]]
    feature_maps_size: BindsModel[tuple[Count, Count, Count] | None]
    dtype: BindsModel[Literal["float16", "bfloat16", "float32"]]
    batch_size: Count
    seed: BindsModel[int]
    runtime: Literal["auto", "tensorflow", "openvino"]
    precision: Literal["auto", "float32", "bfloat16", "float16"]
    workers: Count | Literal["auto"]
    cache_folder: Path | None

    @model_validator(mode="after")
    def _usable_together(self) -> ExtractorSettings:
        if self.runtime == "openvino" and self.precision == "float16":
            raise ValueError("precision float16 is for a GPU with runtime tensorflow. Received: runtime openvino")
        if self.feature_maps_size is not None and self.feature_pooling == "avg":
            raise ValueError("feature_maps_size describes maps: set feature_pooling to none, or leave it null")
        return self


class DataSettings(Section):
    taxonomy_level: BindsModel[int] = Field(ge=0, le=3, strict=True)
    min_examples: BindsModel[Count]
    max_frames: BindsModel[Count]
    window_stride: BindsRun[Count]
    batch_size: BindsRun[Count]
    shuffle: BindsRun[bool]
    background_share: BindsRun[Share | None]
    cache: Literal["auto", "memory", "none"]
    feature_normalization: BindsModel[Literal["none", "train", "video"]]
    temporal_difference: BindsModel[Literal["none", "absolute", "signed"]]
    components: BindsModel[tuple[FromZero, ...] | None] = Field(min_length=1, max_length=2)
    jitter: BindsRun[FromZero]
    time_scale: BindsRun[float] = Field(ge=0, le=1)
    feature_noise: BindsRun[float] = Field(ge=0)
    feature_shift: BindsRun[float] = Field(ge=0)

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> DataSettings:
        if self.window_stride > self.max_frames:
            raise ValueError(
                f"window_stride must not exceed max_frames ({self.max_frames}): frames between windows would never be "
                f"learnt. Received: {self.window_stride}"
            )
        return self


class ModelSettings(Section):
    fully_connected: BindsModel[tuple[Count, ...]]
    cell_type: BindsModel[Annotated[Literal["lstm", "gru"], LowerCase]]
    num_layers: BindsModel[Count]
    num_nodes: BindsModel[Count]
    merge: BindsModel[Literal["average", "concatenate"]]
    dropout: BindsModel[float] = Field(ge=0, lt=1)
    predict_mode: BindsModel[Literal["frames", "last", "mode"]]
    output: BindsModel[Literal["softmax", "sigmoid"]]
    members: BindsModel[Members]

    @model_validator(mode="after")
    def _usable_together(self) -> ModelSettings:
        frames_only = self.output == "sigmoid" or self.members["convolutional"]
        if self.members == NO_MEMBERS or (frames_only and self.predict_mode != "frames"):
            raise ValueError("members are at least one; output sigmoid and convolutional ones need predict_mode frames")
        return self


class TrainSettings(Section):
    learning_rate: BindsRun[float] = Field(gt=0)
    schedule: BindsRun[Literal["constant", "cosine"]]
    warmup_steps: BindsRun[FromZero]
    gradient_clip_norm: BindsRun[float] = Field(ge=0)
    weight_decay: BindsRun[float] = Field(ge=0)
    weight_factor: BindsRun[float] = Field(gt=0)
    class_balance: BindsRun[Share]
    label_smoothing: BindsRun[float] = Field(ge=0, lt=1)
    ema_decay: BindsRun[float] = Field(ge=0, lt=1)
    max_steps: Annotated[Count, Binds("run", only_with=("schedule", "cosine"))]  # which is laid out over them
    num_epochs: Count
    strategy: Literal["auto", "one", "mirrored", "multi_worker"]
    precision: BindsRun[Literal["float32", "bfloat16"]]
    steps_per_call: Count
    warm_start: BindsRun[Path | None]
    save_checkpoints_steps: Count
    keep_checkpoint_max: Count
    save_summary_steps: Count
    log_step_count_steps: Count
    histograms: bool
    pictures: FromZero
    eval_steps: Count | None
    patience: BindsRun[FromZero]
    seed: BindsRun[int]
    deterministic: BindsRun[bool | Literal["auto"]]


class PredictSettings(Section):
    subset: Subset
    window_stride: Count
    method: Literal["runs", "thresholds", "peaks", "shots"]
    smoothing: float = Field(ge=0)
    smoothing_filter: Literal["gaussian", "median"]
    shot_smoothing: Share
    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(min_length=1)
    gap_seconds: float = Field(ge=0)
    max_shots: FromZero
    contrast: Share
    context: float = Field(gt=0)
    video_labels: FromZero
    video_pooling: float = Field(gt=0, le=1)
    min_score: Share
    min_seconds: float = Field(ge=0)
    min_seconds_quantile: Share
    length_weight: float = Field(ge=0)
    nms: Literal["none", "hard", "soft"]
    nms_tiou: float = Field(gt=0, le=1)
    max_segments: Count
    shown_score: Share
    save_scores: bool


class DownloadSettings(Section):
    backend: Literal["yt-dlp", "youtube-dl"]
    format: str = Field(min_length=1)
    url_template: str | None
    annotations_url: str | None
    cookies_file: Path | None
    workers: int = Field(ge=1, le=4, strict=True)
    sleep_seconds: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
    rate_limit_mb: float | None = Field(gt=0)
    max_total_gb: float | None = Field(gt=0)
    min_free_gb: float = Field(ge=0)
    timeout_seconds: float = Field(gt=0)
    video_timeout_seconds: float = Field(gt=0)
    attempts: Count
    backoff_seconds: float = Field(ge=0)
    backoff_max_seconds: float = Field(ge=0)
    patience_seconds: float = Field(ge=0)
    stop_after_blocks: Count
    stop_after_failures: Count
    duration_tolerance: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0)]]
    max_failed_fraction: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _usable_together(self) -> DownloadSettings:
        if self.sleep_seconds[0] > self.sleep_seconds[1]:
            raise ValueError(f"sleep_seconds must be [shortest, longest]. Received: {list(self.sleep_seconds)}")
        if self.url_template is not None and "{id}" not in self.url_template:
            raise ValueError(f"url_template needs {{id}} where a video's id belongs. Received: {self.url_template!r}")
        return self


class Config(Section):
    paths: PathSettings
    video: VideoSettings
    extractor: ExtractorSettings
    data: DataSettings
    model: ModelSettings
    train: TrainSettings
    predict: PredictSettings
    download: DownloadSettings

    @model_validator(mode="after")
    def _usable_together(self) -> Config:
        if self.predict.window_stride > self.data.max_frames:
            gap = f"frames between windows would have no score. Received: {self.predict.window_stride}"
            raise ValueError(f"predict.window_stride must not exceed data.max_frames ({self.data.max_frames}): {gap}")
        if self.model.output == "sigmoid" and self.predict.method == "runs":
            raise ValueError("predict.method runs takes one class a frame, model.output sigmoid several: use peaks")
        return self

    def to_yaml(self) -> str:
        """The resolved settings as YAML that `load` reads back to an equal Config."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_layer(path: Path) -> dict[str, dict]:
    """The sections of a YAML file, by name. Raises ValueError that names the file and what is wrong with it."""
    utils.require_file(path, "a YAML file of settings")
    try:
        layer = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=utils.YamlLoader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; -c names a YAML file of settings such as config.yml") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a YAML file of settings: {' '.join(str(error).split())}") from None
    if layer is None:
        return {}
    if not isinstance(layer, dict) or not all(isinstance(section, dict) for section in layer.values()):
        raise ValueError(
            f"{path}: expected sections such as `train:` with indented `key: value` lines, received {layer!r:.80}"
        )
    return layer


def parse_assignment(text: str) -> dict[str, dict]:
    """`section.key=value`, as `--set` takes it, as a layer. Raises ValueError that names the text.

    The value is YAML, but paths and plain text stand for themselves: ` #` does not begin a comment in them.
    """
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise ValueError(f"--set {text}: expected section.key=value, for example --set train.max_steps=500")
    if value and _is_path(section, key) and value not in ("null", "~") and "\0" not in value:
        return {section: {key: value}}
    try:
        node = yaml.compose(value, Loader=utils.YamlLoader)
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.end_mark.index < len(value.rstrip()):
            return {section: {key: value}}
        return {section: {key: yaml.load(value, Loader=utils.YamlLoader)}}  # noqa: S506 (a safe loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())
        raise ValueError(f"--set {text:.200}: {value!r:.80} is not a YAML value: {cause}") from None


def _is_path(section: str, key: str) -> bool:
    known = Config.model_fields
    field = known[section].annotation.model_fields.get(key) if section in known else None
    return field is not None and Path in (field.annotation, *get_args(field.annotation))


def load(config_file: Path | None = None, assignments: list[str] | tuple[str, ...] = ()) -> Config:
    """Settings of config.yml, overlaid by those of `config_file`, overlaid by `section.key=value` assignments.

    Raises ValueError that names where the value came from, the key, what was expected and what was received.
    """
    layers = [(str(DEFAULTS_FILE), read_layer(DEFAULTS_FILE))]
    if config_file is not None:
        layers.append((str(config_file), read_layer(Path(config_file))))
    layers += [(f"--set {text}", parse_assignment(text)) for text in assignments]
    merged: dict[str, dict] = {}
    for _, layer in layers:
        for section, values in layer.items():
            merged[section] = merged.get(section, {}) | values
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ValueError(_explain(error, layers)) from None


def _explain(error: ValidationError, layers: list[tuple[str, dict]]) -> str:
    """What pydantic found as `source: section.key: expected …, received …`, one clause a key."""
    clauses: dict[str, list[str]] = {}
    for problem in error.errors():
        section, key = (*problem["loc"], None, None)[:2]
        sources = [name for name, layer in layers if section in layer and (key is None or key in layer[section])]
        where = f"{sources[-1] if sources else 'settings'}: "
        if problem["type"] == "value_error":  # a combination, whose message names its keys and what was received
            clauses[f"{where}{section}: " if section else where] = [str(problem["ctx"]["error"])]
        elif problem["type"] == "extra_forbidden":
            name = f"{section}.{key}: unknown key; " if key else f"{section}: unknown section; "
            clauses[where + name] = [_instead_of(str(section), str(key or ""))]
        else:
            # positions inside a list follow the key; the names of a union's members would not help the reader
            positions = "".join(f"[{part}]" for part in problem["loc"][2:] if isinstance(part, int))
            received = f"{where}{section}.{key}{positions}: received {problem['input']!r:.80}, expected "
            message = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            clauses.setdefault(received, []).append(message)
    told = [prefix + " or ".join(messages) for prefix, messages in list(clauses.items())[:MOST_TOLD]]
    return "; ".join(told) + (f"; and {len(clauses) - MOST_TOLD} more" if len(clauses) > MOST_TOLD else "")


def _instead_of(section: str, key: str) -> str:
    """What an unknown key or section may be meant for."""
    sections = {name: list(field.annotation.model_fields) for name, field in Config.model_fields.items()}
    known = sections[section] if key else list(sections)
    near = [f"{section}.{name}" if key else name for name in difflib.get_close_matches(str(key or section), known, 1)]
    likely = [f"{name}.{key}" for name, keys in sections.items() if key in keys] or near
    return f"did you mean {' or '.join(likely)}?" if likely else f"expected one of {', '.join(known)}"
