"""A run's predictions, scores, annotations and videos -> one self-contained HTML page to look at.

`python report.py -c configs/sample.yml --subset testing` writes report.html into the run's folder. The page needs no
network and no server. Where the video files are gone, it shows pictures of them.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from environment import prerequisites  # noqa: F401

from tqdm import tqdm

import annotations
import command_line
import config
import metrics
import run_folder
import utils
import video_input
from annotations import Annotations, Video
from evaluation import comparison, errors, matching, predictions
from prediction.score_file import ScoreFile
from report_page.content import MOST_WITH_CURVES, MOST_WITH_PICTURES, PageContent, Plan, VideoView
from report_page.rendering import write_page
from report_page.thumbnails import make_thumbnails

PLAN = "plan.json"  # of plan.py

Predictions = tuple[tuple[str, float, float, float], ...]  # (class, start, end, score) of a video, best first


def load_content(paths: config.PathSettings, subset: str, level: int, other: Path | None = None) -> PageContent:
    """What the run in `paths.model_dir` gives to see of a subset, with the classes of taxonomy level `level`.

    `other` is a second run to compare with: its folder, or its predictions. Predictions and annotations are needed;
    scores, training log and videos are shown where they are. Raises ValueError with the file and what is wrong with it.
    """
    folder = paths.model_dir
    path = run_folder.predictions_file(folder, subset)
    if not path.is_file():
        raise ValueError(f"{path}: no such file: run `python predictions_json.py --subset {subset}` first")
    results = predictions.load_table(path)
    annotated = annotations.load(paths.json_data_path)
    videos, class_of = annotated.subset(subset), annotated.class_of(level)
    if not videos:
        raise ValueError(f"{annotated.source}: holds no {subset} video: choose another --subset")
    files = _video_files(paths.videos_folder / subset)
    labelled = any(video.segments for video in videos)
    found = _predictions(results, class_of)
    views = [_view(video, found.get(video.id, ()), class_of, files, labelled) for video in videos]
    notes = _notes(views, results.names, paths.videos_folder / subset)
    views, told = _with_scores(views, run_folder.scores_file(folder, subset), class_of)
    views, told_too = _with_pictures(views)
    evaluation = error_kinds = compared = None
    if labelled:
        scored = metrics.evaluate(annotated, results, subset, level, ignore_unknown_labels=True)
        evaluation = metrics.with_intervals(scored)
        error_kinds = errors.analyse(annotated, results, subset, level)
        if evaluation["ignored_predictions"]:
            ignored = f"{evaluation['ignored_predictions']:,} predictions of classes that this subset does not have"
            notes.append(f"{ignored} are left out of the figures.")
    if other is not None:
        if not labelled:
            raise ValueError(f"{annotated.source}: subset {subset} has no annotated segments to compare two runs with")
        path = run_folder.predictions_file(other, subset) if other.is_dir() else other
        others = predictions.load_table(path)
        found = _predictions(others, class_of)
        views = [replace(view, others=found.get(view.id, ())) for view in views]
        again = metrics.evaluate(annotated, others, subset, level, ignore_unknown_labels=True)
        compared = {**comparison.compare(scored, again), "names": [folder.name, path.parent.name]}
    return PageContent(
        title=f"{folder.name} · {subset}",
        model=_describe_model(paths, annotated),
        videos=tuple(views),
        evaluation=evaluation,
        errors=error_kinds,
        comparison=compared,
        training=run_folder.read_log(folder) or None,
        threshold=run_folder.shown_score(folder),
        plan=_plan(folder),
        correct=_correction(paths) if any(view.file for view in views) else "",
        notes=(*notes, *told, *told_too),
    )


def _plan(folder: Path) -> Plan | None:
    """What plan.py says of the run's settings, where it made them: beside the run, or in its folder."""
    path = next((place / PLAN for place in (folder, folder.parent) if (place / PLAN).is_file()), None)
    if path is None:
        return None
    value = utils.read_json(path)
    try:
        choices = tuple((c["key"], json.dumps(c["value"]), f"{c['source']}: {c['reason']}") for c in value["choices"])
        trials = tuple(
            (", ".join(f"{key} {json.dumps(setting)}" for key, setting in trial["changes"].items()),
             f"{100 * trial['gain']:+.1f} ± {100 * trial['spread']:.1f}", "taken" if trial["taken"] else "")
            for trial in value.get("search", ())
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: expected what plan.py writes, received something else: remove it") from None
    return Plan(choices, trials)


def _correction(paths: config.PathSettings) -> str:
    """The command that opens the page to label in, with what the run found."""
    parts = ["python", "label.py", paths.videos_folder, "--annotations", paths.json_data_path, "--suggest"]
    return shlex.join(map(str, [*parts, paths.model_dir]))


def _video_files(folder: Path) -> dict[str, Path]:
    """Video id -> its file."""
    return {video_input.video_id(path): path for path in video_input.find_videos(folder) if path.is_file()}


def _view(
    video: Video, found: Predictions, class_of: Mapping[str, str], files: dict[str, Path], labelled: bool
) -> VideoView:
    return VideoView(
        id=video.id,
        duration=video.duration,
        file=files.get(video.id),
        truth=tuple((class_of[s.label], s.start, s.end) for s in video.segments) if labelled else None,
        predictions=found,
        times=None,
        curves=None,
        thumbnails=(),
    )


def _predictions(table: predictions.Table, class_of: Mapping[str, str]) -> dict[str, Predictions]:
    """The predictions of each video, best first."""
    labels, found = [class_of.get(label, label) for label in table.labels], {}
    for name, rows in table.rows().items():
        best = rows.start + matching.best_first(table.scores[rows])
        columns = (table.classes[best].tolist(), *table.spans[best].T.tolist(), table.scores[best].tolist())
        found[name] = tuple((labels[number], *rest) for number, *rest in zip(*columns, strict=True))
    return found


def _notes(views: list[VideoView], predicted: Collection[str], folder: Path) -> list[str]:
    """What is not there, in sentences."""
    missing = sum(view.file is None for view in views)
    others = len(set(predicted) - {view.id for view in views})
    notes = []
    if missing:
        notes.append(f"{missing} of {len(views)} video files are not in {folder}.")
    if others:
        notes.append(f"{others} videos with predictions are not in this subset; these predictions count as wrong.")
    return notes


def _with_scores(views: list[VideoView], path: Path, class_of: Mapping[str, str]) -> tuple[list[VideoView], list[str]]:
    """The views with their score curves, of the worst MOST_WITH_CURVES only, and a note where there are none."""
    if not path.is_file():
        return views, [f"No score curves: there is no {path.name} (predict.save_scores, then predictions_json.py)."]
    completed, chosen, notes = {view.id: view for view in views}, views, []
    if len(views) > MOST_WITH_CURVES:
        chosen = sorted(views, key=_quality)[:MOST_WITH_CURVES]
        notes.append(f"Score curves of the {len(chosen)} worst videos only, so that the page stays small.")
    with contextlib.closing(ScoreFile(path)) as scores:
        for view in chosen:
            named = {action[0] for action in view.truth or ()} | {action[0] for action in view.predictions}
            times, curves = scores.curves(view.id, named, class_of)
            completed[view.id] = replace(view, times=times, curves=curves)
    return list(completed.values()), notes


def _with_pictures(views: list[VideoView]) -> tuple[list[VideoView], list[str]]:
    """The views with thumbnails, of the worst MOST_WITH_PICTURES only, and notes on what has none."""
    with_file = sorted((view for view in views if view.file), key=_quality)
    chosen, notes, pictures = with_file[:MOST_WITH_PICTURES], [], {}
    for view in tqdm(chosen, desc="thumbnails", unit="video", disable=None, leave=False):
        try:
            pictures[view.id] = make_thumbnails(view.file)
        except ValueError as error:
            utils.LOGGER.warning("no thumbnails: %s", error)
            notes.append(f"No thumbnails: {error}.")
    if len(with_file) > len(chosen):
        notes.append(f"Thumbnails of the {len(chosen)} worst videos only, so that the page stays small.")
    return [replace(view, thumbnails=pictures.get(view.id, ())) for view in views], notes


def _quality(view: VideoView) -> float:
    """The share of a video's annotated segments that as many of its best predictions find; 1 where there are none."""
    if not view.truth:
        return 1.0
    right = matching.match_video(view.truth, view.predictions[: len(view.truth)]).own >= 0
    return right.sum() / len(view.truth)


def _describe_model(paths: config.PathSettings, annotated: Annotations) -> str:
    """The model of a run, its training data and its classes, in sentences."""
    folder = paths.model_dir
    if not all((folder / name).is_file() for name in (run_folder.DESCRIPTION, run_folder.CONFIG)):
        data = f"“{annotated.version or annotated.source.name}”"
        return f"Predictions for {data}; what made them left no model.json and config.yml here."
    run = run_folder.read_run(folder, paths.json_data_path)
    made_of = f"{run_folder.network(run.settings.model)} on {run.features['backbone']} features"
    return f"{made_of}, {run.learnt()}. It {run.known()}. {run.caution()}".rstrip()


def main(argv: list[str] | None = None) -> int:
    parser = command_line.make_parser("Make one HTML page of a run: figures, charts, and each video with its segments.")
    parser.add_argument("--subset", choices=config.SUBSETS, help="the same as --set predict.subset=…")
    parser.add_argument("--compare", type=Path, metavar="RUN", help="a second run's folder or predictions file")
    parser.add_argument("--output", type=Path, metavar="FILE", help="else report.html in paths.model_dir")
    arguments = parser.parse_args(argv)
    if arguments.subset:
        arguments.set.append(f"predict.subset={arguments.subset}")

    def run() -> None:
        settings = command_line.from_arguments(arguments)
        content = load_content(settings.paths, settings.predict.subset, settings.data.taxonomy_level, arguments.compare)
        path = write_page(arguments.output or settings.paths.model_dir / run_folder.PAGE, content)
        for note in content.notes:
            print(utils.one_line(note))
        print(f"{len(content.videos)} videos, {path.stat().st_size / 1e6:.1f} MB -> {path}")

    return command_line.run_script(run, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
