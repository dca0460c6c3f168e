"""Videos of your own + a trained model -> the actions in them: a table, ActivityNet JSON, CSV, subtitles and a page.

In a notebook:
    from localize import localize
    found = localize("party.mp4")
    found.highlights()
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from environment import prerequisites  # noqa: F401

import numpy as np
from tqdm import tqdm

import command_line
import predictions_json
import utils
from localization.inputs import JOINED, Source, collect
from localization.live import run_live
from localization.offline import localize_all
from localization.results import TOP, Localization, Segment, heading, plural, table
from localization.trained import LoadedModel, load
from localization.writers import write_csv, write_srt, write_vtt
from report_page.content import MOST_WITH_PICTURES, PageContent, VideoView
from report_page.rendering import write_page
from report_page.thumbnails import make_thumbnails
from run_folder import Run, find_run

TABLE = f"{JOINED}.csv"  # of all videos
MOST_POINTS = 1500  # of a score curve on the page: about as many as it has pixels


def localize(video: str | Path, model: str | Path | LoadedModel | None = None) -> Localization:
    """The actions in a video.

    Args:
      video: a file, or the http(s) address of one, which is downloaded for the call only.
      model: a run's folder; None is the demo's. `load_model` gives one that serves several calls.

    Returns:
      A sequence of segments (start, end, label, score), best first; `highlights()` are those to read.

    Raises:
      ValueError: no such model, or the video cannot be read; names the file and the reason.
    """
    with tempfile.TemporaryDirectory() as downloads:
        sources, failures = collect([str(video)], Path(downloads))
        if failures or len(sources) != 1:
            raise ValueError(failures[0] if failures else f"{video}: expected one video, received {len(sources)}")
        loaded = model if isinstance(model, LoadedModel) else load_model(model)
        ((_, found),) = localize_all(sources, loaded)
    if isinstance(found, ValueError):
        raise found
    return found


def load_model(folder: str | Path | None = None) -> LoadedModel:
    """The model of a run's folder (None: the demo's), to be given to `localize` as often as wanted."""
    return load(find_run(folder))


def run(given: list[str], chosen_run: Run, output: Path, min_score: float, top: int) -> int:
    """Localize all that `given` names, print it and write it into `output`. Returns 1 when something failed, else 0."""
    sources, failures = collect(given, output / "videos")
    for failure in failures:
        print(f"failed: {utils.one_line(failure)}", file=sys.stderr)
    results: dict[str, list[dict]] = {}
    views: list[VideoView] = []
    shown: dict[str, list[Segment]] = {}
    try:
        for source, found in _with_progress(sources, load(chosen_run)) if sources else ():
            if isinstance(found, ValueError):
                failures.append(str(found))
                tqdm.write(f"failed: {utils.one_line(found)}", file=sys.stderr)
                continue
            chosen = found.highlights(min_score)
            _write_video(output, found, chosen)
            views.append(_view(found, pictures=len(views) < MOST_WITH_PICTURES))
            results[source.id] = [_as_result(segment) for segment in found]
            shown[source.id] = chosen
            tqdm.write(_shown(found, min_score, top))
    finally:
        # also what was found before Ctrl-C
        if results:
            predictions_json.write_predictions(output / "predictions.json", chosen_run.version, results)
            _write_page(output, chosen_run, views, min_score)
            if len(sources) > 1:
                write_csv(output / TABLE, shown)
    if results:
        counts = f"{plural(len(results), 'video')}, {plural(sum(map(len, shown.values())), 'action')}"
        print(f"\n{counts} -> {output}: index.html, predictions.json, .csv, .srt, .vtt")
    return 1 if failures else 0


def _with_progress(sources: list[Source], model: LoadedModel) -> Iterator[tuple[Source, Localization | ValueError]]:
    """`localize_all` under a progress bar, in seconds of video."""
    before = np.concatenate([[0.0], np.cumsum([source.seconds for source in sources])])
    layout = "{percentage:3.0f}% |{bar:24}| {n:.0f} of {total:.0f} s of video  {elapsed}<{remaining}{postfix}"
    with command_line.Progress(
        total=float(before[-1]) or None, bar_format=layout, desc="localization", unit="second", leave=False
    ) as progress:

        def on_frame(video: int, seconds: float) -> None:
            progress.update(float(before[video]) + seconds - progress.n)
            rate = progress.format_dict["rate"]
            progress.set_postfix_str(f"{rate:.1f} x real time" if rate else "", refresh=False)

        yield from localize_all(sources, model, on_frame)


def _shown(found: Localization, min_score: float, top: int) -> str:
    chosen, passed = found.highlights(min_score, top), len(found.highlights(min_score))
    if passed:
        text = table(chosen)
    else:
        text = f"  no action of score {min_score:g} or more (--min-score), {len(found)} below it in predictions.json"
    more = f"\n  and {passed - len(chosen)} of lower score (--top {passed})" if passed > len(chosen) else ""
    return f"\n{heading(found)}\n{text}{more}"


def _as_result(segment: Segment) -> dict:
    return {"label": segment.label, "score": segment.score, "segment": [segment.start, segment.end]}


def _write_video(output: Path, found: Localization, chosen: list[Segment]) -> None:
    write_csv(output / f"{found.id}.csv", {found.id: chosen})
    write_srt(output / f"{found.id}.srt", chosen)
    write_vtt(output / f"{found.id}.vtt", chosen)


def _write_page(output: Path, run: Run, views: list[VideoView], min_score: float) -> None:
    title = f"Actions in {views[0].id}" if len(views) == 1 else f"Actions in {len(views)} videos"
    sentence, caution = run.describe()
    content = PageContent(
        title=title,
        model=f"The model {sentence} {caution}".rstrip(),
        videos=tuple(views),
        evaluation=None,
        errors=None,
        training=None,
        threshold=min_score,
        correct=_correction(output, views),
    )
    write_page(output / "index.html", content)


def _correction(output: Path, views: list[VideoView]) -> str:
    """The command that opens the page to label in with what was found, where the videos lie in one folder."""
    folders = {view.file.parent for view in views}
    return shlex.join(["python", "label.py", str(*folders), "--suggest", str(output)]) if len(folders) == 1 else ""


def _view(found: Localization, pictures: bool) -> VideoView:
    """A video as the page shows it: one segment an action, and the score curves of their labels."""
    chosen = sorted(found.highlights(min_score=0), key=lambda segment: -segment.score)
    labels = {segment.label for segment in chosen}
    thumbnails = ()
    if pictures:
        try:
            thumbnails = make_thumbnails(found.file)
        except ValueError as error:
            utils.LOGGER.warning("no thumbnails: %s", error)
    # the highest score of each stretch that becomes one point
    first = np.unique(np.linspace(0, len(found.times), MOST_POINTS, endpoint=False).astype(np.int64))
    peaks = np.maximum.reduceat(found.probabilities, first, axis=0)
    return VideoView(
        id=found.id,
        duration=found.duration,
        file=found.file,
        truth=None,
        predictions=tuple((s.label, s.start, s.end, s.score) for s in chosen),
        times=found.times[first],
        curves={label: peaks[:, number] for number, label in enumerate(found.classes) if label in labels},
        thumbnails=thumbnails,
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Find the actions in videos with a trained model.",
        epilog="Table, .csv and subtitles hold what --min-score passes, one segment an action; the page (index.html) "
        "has a slider for that; predictions.json holds all. Exit status 1: an input failed, the rest is done.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {command_line.VERSION}")
    parser.add_argument("video", nargs="*", help="files, folders of videos, http(s) addresses of files")
    parser.add_argument("--model", metavar="RUN", help="the folder of a run (default: the demo's, runs/demo)")
    # the current folder, since videos may lie where nothing should be, or can be, written
    parser.add_argument(
        "--output", type=Path, default=Path("localized"), metavar="FOLDER", help="for the results (default: localized)"
    )
    parser.add_argument(
        "--min-score", type=float, metavar="S", help="0 to 1 (default: the run's own, predict.shown_score)"
    )
    parser.add_argument(
        "--top", type=int, default=TOP, metavar="N", help=f"lines of a video's table, best (default: {TOP})"
    )
    parser.add_argument(
        "--live", metavar="SOURCE", help="number of a camera, address of a stream, or a file: print actions as they end"
    )
    parser.add_argument("-v", "--verbosity", choices=command_line.LEVELS, default="info", metavar="LEVEL")
    arguments = parser.parse_args(argv)
    if bool(arguments.video) == (arguments.live is not None):
        parser.error("expected videos, or --live SOURCE")
    if not 0 <= (arguments.min_score or 0) <= 1 or arguments.top < 1:
        parser.error("expected --min-score from 0 to 1 and --top from 1 on")

    def chosen() -> int:
        found = find_run(arguments.model)
        min_score = found.settings.predict.shown_score if arguments.min_score is None else arguments.min_score
        sentence, caution = found.describe()
        print(f"model: {sentence}" + (f"\n       {caution}" if caution else ""), flush=True)
        if arguments.live is not None:
            return run_live(arguments.live, found, arguments.output, min_score)
        return run(arguments.video, found, arguments.output, min_score, arguments.top)

    return command_line.run_script(chosen, arguments.verbosity)


if __name__ == "__main__":
    raise SystemExit(main())
