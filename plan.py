"""Videos (or imported features) and a table of their actions -> settings.yml, with a reason a line, and plan.json.

`python plan.py mine` measures the data, applies one recipe and a few rules, and once there are features tries a short
list of switches on grouped folds of the training subset. `--learn` runs every stage.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from environment import prerequisites  # noqa: F401

import annotations
import command_line
import config
import utils
import video_input
from annotations import Annotations
from extraction.lanes import available_cores
from features.records import SPEC_FILE, feature_file, read_spec, require_spec
from planning import folder as folders
from planning import measured, rules, search, speed, stages, writing
from planning.folder import DataSet
from planning.rules import Choice, Choices

EXTRACTION_MINUTES = 60.0


def run(data_set: DataSet, minutes: float | None = None, trials: int | None = None,
        extraction_minutes: float = EXTRACTION_MINUTES, force: bool = False) -> int:  # fmt: skip
    """Measure, choose and write; a search goes on where it was stopped.

    Args:
      data_set: of `planning.folder`.
      minutes: that a search on folds may take; None: recipe and rules, of which one look at folds says from which score
        on segments are to be shown; 0: without that.
      trials: of a search, so many instead of minutes, however long they take.
      extraction_minutes: that features may take.
      force: overwrite settings that a person edited, and plan anew what is planned.

    Returns 0. Raises ValueError that names what is missing, or cannot be learnt from.
    """
    folder, paths = data_set.folder, data_set.resolved
    if writing.was_edited(folder) and not force:
        print(f"{folder / writing.SETTINGS}: edited since it was planned, left as it is (--force plans anew)")
        return 0
    annotated = annotations.load(paths.json_data_path)
    features = paths.feature_map_folder
    if not (features / SPEC_FILE).is_file() or not any(features.glob("training/*.tfrecord")):
        return _plan_features(data_set, annotated, extraction_minutes)
    if data_set.undecided:
        data_set, annotated = _hold_out(data_set, annotated)
    about = _fingerprint(data_set, annotated)
    known = writing.read_plan(folder)
    planned = known.get("state") == writing.PLANNED and writing.is_current(folder)
    if known.get("about") == about and planned and not force:
        print(f"{folder / writing.SETTINGS}: planned already, of the same data (--force plans anew)")
        return 0
    return _plan_all(data_set, annotated, about, minutes, trials)


def _plan_features(data_set: DataSet, annotated: Annotations, minutes: float) -> int:
    """Choose how features are made, and all that does not need them."""
    folder, paths = data_set.folder, data_set.resolved
    found = measured.of_annotations(annotated, _level(data_set))
    if data_set.undecided:  # told before hours of extraction, not after them
        folders.require_two(annotated.subset("training"), annotated.source)
    videos = measured.of_videos(paths.videos_folder, annotated)
    if videos is None:
        raise ValueError(
            f"{paths.videos_folder / 'training'}: holds no file of any of the {found['videos']['training']} "
            f"training videos of {annotated.source}, and {paths.feature_map_folder} no features: a video's "
            "file is called <id>.mp4 or the like"
        )
    choices = rules.recipe() | rules.collected(rules.of_extraction(found, videos)) | data_set.given
    chosen = rules.planned(data_set.paths, choices)
    files = video_input.find_videos(paths.videos_folder / "training")
    utils.start_tensorflow()
    took = speed.measure(files, chosen.extractor, chosen.video)
    length, source = command_line.in_words(60 * found["hours"]), found["hours"] * 3600 * videos["fps"]
    cores, skip = available_cores(), chosen.video.skip_frames
    if took.minutes(source, skip, cores) > minutes and "video.skip_frames" not in data_set.given:
        skip = speed.sparser(took, source, skip, cores, minutes, rules.sparsest(found, videos))
        why = f"features of {length} would take more than {minutes:g} minutes with more frames"
        choices |= rules.collected([Choice("video.skip_frames", skip, why, "rule")])
    needed = f"features of {length}: {command_line.in_words(took.minutes(source, skip, cores))}"
    about = {"measured": {"annotations": found, "videos": videos}, "extraction": needed}
    writing.write_plan(folder, data_set.paths, choices, {"state": writing.FEATURES_WANTED, **about})
    _tell(rules.warnings(found, None))
    print(f"{needed}\n-> {folder / writing.SETTINGS}\nnext: python feature_map_extractor.py -c "
          f"{folder / writing.SETTINGS} training validation, then this command again")  # fmt: skip
    return 0


def _hold_out(data_set: DataSet, annotated: Annotations) -> tuple[DataSet, Annotations]:
    """Make a validation subset of whole groups of videos, where nobody has."""
    utils.start_tensorflow()
    groups = measured.video_groups(data_set.resolved.feature_map_folder, annotated)
    names = folders.hold_out(data_set, annotated, groups)
    print(f"no video was for validation: {len(names)} of {len(groups)} are now, of scenes that the others do not show: "
          f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}")  # fmt: skip
    data_set = folders.open_folder(data_set.folder)
    return data_set, annotations.load(data_set.resolved.json_data_path)


def _fingerprint(data_set: DataSet, annotated: Annotations) -> dict:
    """What a plan is of: annotations and training features, and what the user has set."""
    features = data_set.resolved.feature_map_folder
    files = sorted((path.name, path.stat().st_size) for path in features.glob("training/*.tfrecord"))
    return {
        "annotations": utils.sha256_of(annotated.source),
        "features": hashlib.sha256(json.dumps([files, read_spec(features)]).encode()).hexdigest(),
        "given": {key: choice.value for key, choice in data_set.given.items()},
    }


def _plan_all(data_set: DataSet, annotated: Annotations, about: dict, minutes: float | None, trials: int | None) -> int:
    """Choose everything, of features that are there."""
    folder, paths = data_set.folder, data_set.resolved
    utils.start_tensorflow()
    found = measured.of_annotations(annotated, _level(data_set))
    features = measured.of_features(paths.feature_map_folder, annotated)
    choices = rules.recipe() | rules.collected(rules.of_features(found, features))
    choices |= _of_these_features(data_set) | data_set.given
    said: list[dict] = []
    if minutes is None and trials is None:
        trials = 1
    if (trials is not None or minutes > 0) and rules.folds(features) > 1:
        evaluate, decode = _on_folds(data_set, choices, features)
        log = search.Trials(folder / writing.TRIALS, about, evaluate, decode, minutes or 0.0, trials)
        changes, said, shown_score = search.search(log, {key: choice.value for key, choice in choices.items()})
        choices |= rules.of_search(changes, said, shown_score)
    told = rules.warnings(found, features) + without_features(paths)
    writing.write_plan(folder, data_set.paths, choices, {
        "state": writing.PLANNED, "about": about, "measured": {"annotations": found, "features": features},
        "search": said, "warnings": told,
    })  # fmt: skip
    _tell(told)
    print(f"{search.table(said)}-> {folder / writing.SETTINGS}, {writing.PLAN}\n"
          f"next: python trainer.py -c {folder / writing.SETTINGS}")  # fmt: skip
    return 0


def _on_folds(data_set: DataSet, choices: Choices, features: dict) -> tuple[search.Evaluate, search.Decode]:
    """What scores changes to the choices, with a share of the steps, on folds of the training subset, and what finds
    the best decoding there."""
    from planning.folds import Folds

    way, count = rules.group_by(features), rules.folds(features)
    base, paths = rules.planned(data_set.paths, choices), data_set.resolved
    spec = require_spec(paths.feature_map_folder, base.extractor, base.video)
    utils.LOGGER.info("search on %d folds that keep each %s together", count, way)
    folds = Folds(paths, spec, base.data, way, count)

    def evaluate(changes: search.Changes, share: float) -> search.Score:
        settings = rules.changed(data_set.paths, choices, changes, share)
        return folds.score(settings.data, settings.model, settings.train, settings.predict)

    def decode(changes: search.Changes, share: float) -> tuple[search.Changes, search.Score]:
        settings = rules.changed(data_set.paths, choices, changes, share)
        return folds.decoding(settings.data, settings.model, settings.train, settings.predict)

    return evaluate, decode


def without_features(paths: config.PathSettings) -> list[str]:
    """A line where training videos have no features, as an extraction that was stopped leaves them."""
    folder = paths.feature_map_folder
    videos = video_input.find_videos(paths.videos_folder / "training")
    missing = [v for v in videos if not feature_file(folder, "training", video_input.video_id(v)).is_file()]
    if not missing or read_spec(folder)["backbone"] == "imported":
        return []
    return [
        f"{len(missing)} of {len(videos)} training videos have no features, and nothing is planned of them: "
        f"feature_map_extractor.py makes them, or says why not; such as {missing[0]}"
    ]


def _level(data_set: DataSet) -> int:
    return rules.planned(data_set.paths, data_set.given).data.taxonomy_level


def _of_these_features(data_set: DataSet) -> Choices:
    """How the features that are there were made; with the reason of an earlier plan, where it is of that."""
    spec = read_spec(data_set.resolved.feature_map_folder)
    if spec["backbone"] == "imported":
        return {}
    before = {record["key"]: record for record in writing.read_plan(data_set.folder).get("choices", [])}
    made = {"video.skip_frames": spec["skip_frames"], "video.resize": spec["resize"]}
    made |= {f"extractor.{key}": spec[key] for key in ("backbone", "feature_pooling", "dtype") if key in spec}
    choices = []
    for key, value in made.items():
        known = before.get(key)
        if known and known["value"] == value:
            choices.append(Choice(key, value, known["reason"], known["source"]))
        else:
            choices.append(Choice(key, value, "the features that are there were made so", "yours"))
    return rules.collected(choices)


def _tell(warnings: list[str]) -> None:
    for warning in warnings:
        utils.LOGGER.warning("%s", warning)


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser(
        "Choose the settings for a data set: settings.yml, with a reason a line, and plan.json.\n\n"
        "FOLDER holds a table of the actions, a .csv with the columns video,start,end,label or an annotations.json,\n"
        "and videos/, as <id>.mp4 or <subset>/<id>.mp4, or features/ of `data.py import`. With -c FILE the data set\n"
        "is the one that FILE names, and the plan goes into its paths.model_dir."
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    parser.add_argument("--minutes", type=float, metavar="M", help="search for so long, such as 20, on folds; 0: not "
                        "even the score from which on segments are shown is looked up there")  # fmt: skip
    parser.add_argument("--trials", type=int, metavar="N", help="so many trials instead of minutes: equal everywhere")
    parser.add_argument("--extraction-minutes", type=float, default=EXTRACTION_MINUTES, metavar="M",
                        help=f"that features may take (default: {EXTRACTION_MINUTES:g})")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="plan anew, over settings that were edited")
    parser.add_argument("--learn", action="store_true", help="every stage: check, plan, extract, train on all "
                        "training videos, predict, evaluate, page; goes on where it was stopped")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="with --learn: at last train a model on all videos, final/")
    parser.add_argument("--fresh", action="store_true", help="with --learn: begin the training anew")
    arguments = parser.parse_args(argv)
    if (arguments.folder is None) == (arguments.config is None):
        parser.error("expected a FOLDER, or -c FILE")
    if arguments.learn and arguments.folder is None:
        parser.error("--learn takes a FOLDER")

    def chosen() -> int:
        options = ["--extraction-minutes", str(arguments.extraction_minutes)]
        options += ["--minutes", str(arguments.minutes)] if arguments.minutes is not None else []
        options += ["--trials", str(arguments.trials)] if arguments.trials is not None else []
        if arguments.learn:
            return stages.learn(arguments.folder, options, arguments.all, arguments.fresh)
        if arguments.folder:
            folder, given = folders.existing(arguments.folder), None
        else:
            settings = command_line.from_arguments(arguments)
            folder, given = settings.paths.model_dir, settings.model_dump(mode="json")
        with utils.held(folder, "plan"):
            data_set = DataSet(folder, given["paths"], rules.given(given)) if given else folders.open_folder(folder)
            return run(data_set, arguments.minutes, arguments.trials, arguments.extraction_minutes, arguments.force)

    return command_line.run_script(chosen, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
