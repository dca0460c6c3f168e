"""Settings: layers, types, and errors that name source, key, expected and received."""

import pytest
import yaml

import config
import run_folder


def test_defaults_are_the_originals_values():
    settings = config.load()
    assert settings.video.skip_frames == 6 and settings.video.resize == (224, 224)
    assert settings.data.max_frames == 15 and settings.data.taxonomy_level == 3 and settings.data.batch_size == 15
    assert settings.train.learning_rate == 0.0001 and settings.train.max_steps == 100000
    assert settings.train.num_epochs == 3000 and settings.model.dropout == 0.3
    assert settings.extractor.backbone == "inception_resnet_v2"


def test_a_file_overlays_the_defaults_and_assignments_overlay_the_file(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text("train:\n  max_steps: 7\n  seed: 3\n")
    settings = config.load(file, ["train.seed=4", "model.cell_type=GRU", "train.learning_rate=1e-3"])
    assert (settings.train.max_steps, settings.train.seed) == (7, 4)
    assert settings.model.cell_type == "gru" and settings.train.learning_rate == 0.001


def test_relative_paths_lie_in_data_dir_and_absolute_ones_win(tmp_path):
    paths = [f"paths.data_dir={tmp_path}", "paths.videos_folder=v", "paths.model_dir=/elsewhere/run"]
    settings = config.load(None, paths)
    assert settings.paths.videos_folder == tmp_path / "v"
    assert str(settings.paths.model_dir) == "/elsewhere/run"


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("paths.model_dir=/shared/data #2", "/shared/data #2"),
        ("paths.model_dir=5", "5"),
        ("paths.videos_folder={a: b}", "{a: b}"),
        ("train.warm_start=runs/a #1", "runs/a #1"),
        ("train.warm_start=null", None),
        ("extractor.cache_folder=~", None),
        ("download.cookies_file=~/my: cookies", "~/my: cookies"),
        ("download.format=best #1", "best #1"),
        ("download.format='best #1'", "best #1"),
        ("predict.thresholds=[0.1, 0.2]  # few", [0.1, 0.2]),
        ("train.max_steps=500 ", 500),
    ],
)
def test_paths_and_text_of_assignments_are_taken_as_they_are(assignment, value):
    ((section, key),) = [assignment.partition("=")[0].split(".")]
    assert config.parse_assignment(assignment) == {section: {key: value}}


def test_what_is_saved_reads_back_equal(tmp_path):
    settings = config.load(None, ["paths.data_dir=some/where", "extractor.feature_pooling=none"])
    file = tmp_path / "config.yml"
    file.write_text(settings.to_yaml())
    assert config.load(file) == settings


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        config.load().train.max_steps = 5


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("train.max_stepz=5", ["train.max_stepz", "unknown key; did you mean train.max_steps?"]),
        ("train.batch_size=5", ["unknown key; did you mean extractor.batch_size or data.batch_size?"]),
        ("train.wing=5", ["train.wing", "unknown key; expected one of learning_rate, ", "max_steps"]),
        ("trian.max_steps=5", ["trian", "unknown section; did you mean train?"]),
        ("zzz.max_steps=5", ["zzz", "unknown section; expected one of paths, "]),
        ("train.max_steps=many", ["train.max_steps", "received 'many'", "integer"]),
        ("train.max_steps=null", ["train.max_steps", "received None", "integer"]),
        ("train.max_steps=0", ["train.max_steps", "received 0", "greater than or equal to 1"]),
        ("train.learning_rate=.nan", ["train.learning_rate", "finite"]),
        ("train.deterministic=maybe", ["train.deterministic", "'auto'", "boolean"]),
        ("video.resize=[1, 224]", ["video.resize[0]", "received 1"]),
        ("model.cell_type=rnn", ["model.cell_type", "'lstm' or 'gru'", "'rnn'"]),
        ("data.window_stride=16", ["window_stride", "max_frames (15)", "16"]),
        ("predict.window_stride=16", ["predict.window_stride", "data.max_frames (15)", "16"]),
        ("extractor.feature_maps_size=[5, 5, 1536]", ["feature_maps_size", "feature_pooling"]),
        ("paths.model_dir=", ["paths.model_dir", "received None"]),
        ("train", ["section.key=value"]),
        ("train.max_steps=[", ["train.max_steps=[", "YAML"]),
        ("train.max_steps=!!python/object/apply:os.system [true]", ["YAML"]),
    ],
)
def test_errors_name_source_key_expected_and_received(assignment, parts):
    with pytest.raises(ValueError) as caught:
        config.load(None, [assignment])
    assert str(caught.value).startswith(("--set " + assignment, "settings: "))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("train: {max_steps: 5, max_steps: 6}", "given twice"),
        ("train: &a {max_steps: 5}\nmodel: *a", "anchors"),
        ("- a\n- b", "expected sections"),
        ("train: 5", "expected sections"),
        ("train: [", "not a YAML file"),
        ("train: !!python/name:os.system ''", "not a YAML file"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, part):
    file = tmp_path / "bad.yml"
    file.write_text(text)
    with pytest.raises(ValueError, match="bad.yml") as caught:
        config.load(file)
    assert part in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="absent.yml: no such file"):
        config.load(tmp_path / "absent.yml")


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "empty.yml").write_text("# nothing\n")
    assert config.load(tmp_path / "empty.yml") == config.load()


def test_every_setting_is_commented_once():
    text = config.DEFAULTS_FILE.read_text()
    for section, values in yaml.safe_load(text).items():
        for key in values:
            lines = [line for line in text.splitlines() if line.startswith(f"  {key}:")]
            assert lines and all("  # " in line for line in lines), f"{section}.{key}"


# what binds a model, and what binds only a run, of each section; a new setting belongs into one of the three
BINDING = {
    "paths": ("", "", "data_dir json_data_path videos_folder feature_map_folder model_dir"),
    "video": ("skip_frames resize", "", ""),
    "extractor": (
        "backbone weights feature_pooling feature_maps_size dtype seed",
        "",
        "batch_size runtime precision workers cache_folder",
    ),
    "data": (
        "taxonomy_level min_examples max_frames feature_normalization temporal_difference components",
        "window_stride batch_size shuffle background_share jitter time_scale feature_noise feature_shift",
        "cache",
    ),
    "model": ("fully_connected cell_type num_layers num_nodes merge dropout predict_mode output members", "", ""),
    "train": (
        "",
        "learning_rate schedule warmup_steps gradient_clip_norm weight_decay weight_factor class_balance "
        "label_smoothing ema_decay precision warm_start patience seed deterministic",
        "max_steps num_epochs strategy steps_per_call save_checkpoints_steps keep_checkpoint_max save_summary_steps "
        "log_step_count_steps histograms pictures eval_steps",
    ),
    "predict": ("", "", " ".join(config.PredictSettings.model_fields)),
    "download": ("", "", " ".join(config.DownloadSettings.model_fields)),
}


def test_what_each_setting_binds_is_decided():
    found = {
        name: tuple(
            {key for key, _ in section if (section.binds(key, "model"), section.binds(key, "run")) == kind}
            for kind in ((True, True), (False, True), (False, False))
        )
        for name, section in config.load()
    }
    assert found == {name: tuple(set(keys.split()) for keys in kinds) for name, kinds in BINDING.items()}


def test_the_number_of_steps_binds_a_run_whose_schedule_is_laid_out_over_it():
    one, other = (config.load(None, [f"train.max_steps={steps}"]) for steps in (5, 6))
    assert run_folder.differences(dict(one), dict(other), "run") == []
    one, other = (config.load(None, ["train.schedule=cosine", f"train.max_steps={steps}"]) for steps in (5, 6))
    assert run_folder.differences(dict(one), dict(other), "run") == ["train.max_steps: 5 there, 6 here"]


def test_what_differs_is_told_of_what_binds():
    here = [
        "data.cache=none",
        "data.jitter=2",
        "model.cell_type=gru",
        "predict.subset=testing",
        "paths.model_dir=/else",
    ]
    one, other = config.load(), config.load(None, here)
    cell = "model.cell_type: 'lstm' there, 'gru' here"
    assert run_folder.differences(dict(one), dict(other), "model") == [cell]
    assert run_folder.differences(dict(one), dict(other), "run") == ["data.jitter: 0 there, 2 here", cell]
    assert run_folder.differences(dict(one), dict(one), "run") == []
