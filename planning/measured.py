"""Annotations, video files and features -> what of them decides about settings, as JSON values.

Only the training subset is looked at, but for what it shares with the validation subset. Symbols: T sampled frames of a
video, N frames of all videos, D numbers a frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import config
import segments
import utils
import video_input
from annotations import Annotations, Video
from features import preparation
from features.records import VideoFeatures, feature_file, read_features
from training import tuning

QUANTILES = (0.02, 0.1, 0.5, 0.9)
FEW_EXAMPLES = 10  # training actions, below which a class is named as one that will hardly be learnt
MOST_HEADERS = 500  # videos whose headers are read
# of the videos' pixels, in which cuts are looked for before there are features
LOOKED_AT_SECONDS, LOOKED_AT_SIZE = 240, (48, 64)
CUT_PIXELS = 0.6  # a cut lies where neighbouring pictures are less alike than this
NO_CONTRAST = 25.0  # grey levels, squared, that count as noise
MOST_VIDEOS = 500  # whose features are looked at
MOVES = 0.1  # cosine distance of a shot's frames from their mean, from which on the camera counts as moving


def of_annotations(annotated: Annotations, level: int) -> dict:
    """Videos, hours, lengths, gaps and overlaps of the training actions; of each class number, lengths, share of time.

    Raises ValueError where there is nothing to learn from.
    """
    training = annotated.subset("training")
    actions = [segment for video in training for segment in video.labelled_segments()]
    if not actions:
        raise ValueError(
            f"{annotated.source}: expected actions in training videos, received none in {len(training)} of them: "
            "annotate some, or let the table say which videos are for training (column subset)"
        )
    class_of = annotated.class_of(level)
    seconds = [segment.end - segment.start for segment in actions]
    total = sum(video.duration for video in training)
    classes = {}
    for name in sorted({class_of[segment.label] for segment in actions}):
        lengths = [s.end - s.start for s in actions if class_of[s.label] == name]
        classes[name] = {"actions": len(lengths), "seconds": _quantiles(lengths), "share": _share(sum(lengths), total)}
    return {
        "videos": {subset: len(annotated.subset(subset)) for subset in config.SUBSETS},
        "hours": round(sum(video.duration for video in annotated.videos.values()) / 3600, 3),
        "actions": len(actions),
        "seconds": _quantiles(seconds),
        "gap_seconds": _quantiles([gap for video in training for gap in _gaps(video)]),
        "overlap": overlap_share(training, class_of),
        "classes": classes,
        "rare": [name for name, counts in classes.items() if counts["actions"] < FEW_EXAMPLES],
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    grid = np.quantile(values, QUANTILES) if len(values) else np.zeros(len(QUANTILES))
    return {str(at): round(float(value), 3) for at, value in zip(QUANTILES, grid, strict=True)}


def _share(part: float, whole: float) -> float:
    return round(float(part) / max(float(whole), 1e-9), 4)


def _gaps(video: Video) -> list[float]:
    """Seconds without any action between two actions."""
    gaps, end = [], None
    for segment in sorted(video.labelled_segments(), key=lambda s: s.start):
        if end is not None and segment.start > end:
            gaps.append(segment.start - end)
        end = max(segment.end, end or 0.0)
    return gaps


def overlap_share(videos: Iterable[Video], class_of: dict[str, str]) -> float:
    """The share of the time with an action in which there are actions of two or more classes."""
    labelled = several = 0.0
    for video in videos:
        borders = [(s.start, 1, class_of[s.label]) for s in video.labelled_segments()]
        borders += [(s.end, -1, class_of[s.label]) for s in video.labelled_segments()]
        running, before = Counter(), 0.0
        for time, step, name in sorted(borders):
            labelled += (time - before) * (len(running) > 0)
            several += (time - before) * (len(running) > 1)
            running[name] += step
            running = +running if step < 0 else running
            before = time
    return _share(several, labelled)


def of_videos(folder: Path, annotated: Annotations) -> dict | None:
    """Frame rate, size and length of the training videos, and how many of their borders lie on cuts in the pictures.

    None where there is no file of any. Raises ValueError when none of the files can be read.
    """
    files = {video_input.video_id(path): path for path in video_input.find_videos(folder / "training")}
    present = [(video, files[video.id]) for video in annotated.subset("training") if video.id in files]
    if not present:
        return None
    headers, failures = [], []
    for _, path in present[:MOST_HEADERS]:
        try:
            headers.append(video_input.read_header(path))
        except ValueError as error:
            failures.append(str(error))
    if not headers:
        raise ValueError(f"none of {len(present)} training videos can be read; the first: {failures[0]}")
    if failures:
        utils.LOGGER.warning("%d training videos cannot be read, such as %s", len(failures), failures[0])
    rates = [header.fps for header in headers if header.fps > 0]
    sizes = Counter((header.height, header.width) for header in headers)
    return {
        "files": len(present),
        "unreadable": len(failures),
        "fps": round(float(np.median(rates)), 3) if rates else 25.0,
        "size": list(sizes.most_common(1)[0][0]),
        "borders_on_cuts": _pixel_cuts(present),
    }


def _pixel_cuts(present: list[tuple[Video, Path]]) -> dict[str, float]:
    """`on_cuts` of small pictures of the first videos."""
    parts, seconds = [], 0.0
    for video, path in present:
        if seconds >= LOOKED_AT_SECONDS:
            break
        try:
            sampled = video_input.SampledVideo(path, 2, LOOKED_AT_SIZE)
            with sampled:
                pictures, times = zip(*((frame.mean(axis=2), at) for frame, at in sampled), strict=True)
        except ValueError as error:
            utils.LOGGER.debug("not looked at: %s", error)
            continue
        cuts = np.concatenate([[False], neighbours_alike(np.stack(pictures)) < CUT_PIXELS])
        parts.append((video, segments.frame_boundaries(np.asarray(times), sampled.duration), cuts))
        seconds += sampled.duration
    return on_cuts(parts)


def neighbours_alike(pictures: np.ndarray) -> np.ndarray:
    """How alike each grey picture of [T, H, W] is to the next in contrast and structure (as in SSIM), to 1; [T - 1]."""
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    squares, shared = np.mean(np.square(flat), axis=1), np.mean(flat[1:] * flat[:-1], axis=1)
    return (2 * shared + NO_CONTRAST) / (squares[1:] + squares[:-1] + NO_CONTRAST)


def on_cuts(videos: Iterable[tuple[Video, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """How many borders of actions inside their videos have a cut beside them, and how much of the time has one.

    Args:
      videos: each with the boundaries [T + 1] seconds of its sampled frames and whether a cut lies before them [T].

    Returns:
      `borders`: the share of the borders; `time`: the share that chance would give.
    """
    borders = found = time = near = 0.0
    for video, boundaries, cuts in videos:
        at = boundaries[:-1][cuts]
        tolerance = 1.5 * float(np.median(np.diff(boundaries)))
        inside = [
            border
            for segment in video.labelled_segments()
            for border in (segment.start, segment.end)
            if tolerance < border < boundaries[-1] - tolerance
        ]
        borders += len(inside)
        if len(at):
            found += np.sum(np.abs(np.asarray(inside)[:, None] - at).min(axis=1, initial=np.inf) <= tolerance)
        time += boundaries[-1]
        near += min(2 * tolerance * len(at), boundaries[-1])
    return {"borders": _share(found, borders), "time": _share(near, time)}


def of_features(folder: Path, annotated: Annotations) -> dict:
    """Rows, cuts and recurring shots of the training features, and what the validation subset shares with them."""
    files = {
        subset: [(video, path) for video in annotated.subset(subset)[:MOST_VIDEOS]
                 if (path := feature_file(folder, subset, video.id)).is_file()]
        for subset in ("training", "validation")
    }  # fmt: skip
    parts, numbers, away, rows = [], 0, [], []
    paths = [path for _, path in files["training"]]
    for (video, _), stored in zip(files["training"], read_features(paths), strict=True):
        cuts = preparation.shot_cuts(stored.features)
        parts.append((video, segments.frame_boundaries(stored.timestamps, stored.duration), cuts))
        away.append(_distance_in_shots(stored, cuts))
        rows.append(len(cuts))
        numbers = int(np.prod(stored.features.shape[1:]))
    seconds = sum(boundaries[-1] for _, boundaries, _ in parts)
    groups = tuning.recurring_shots(paths + [path for _, path in files["validation"]])
    counts = rows + [len(video.timestamps) for video in read_features([path for _, path in files["validation"]])]
    return {
        "videos": len(paths),
        "rows": sum(rows),
        "rows_a_second": round(sum(rows) / max(seconds, 1e-9), 3),
        "numbers": numbers,
        "shots": int(sum(cuts.sum() + 1 for _, _, cuts in parts)),
        "borders_on_cuts": on_cuts(parts),
        "camera": "moves" if np.average(away, weights=rows) > MOVES else "stands still",
        "recurring": recurrence(groups, counts, len(paths)),
    }


def _distance_in_shots(stored: VideoFeatures, cuts: np.ndarray) -> float:
    """The mean cosine distance of a video's frames from the mean of their shot."""
    features = np.asarray(stored.features, np.float32).reshape(len(stored.features), -1)
    shot = np.cumsum(cuts)
    means = np.stack([features[shot == number].mean(axis=0) for number in range(shot[-1] + 1)])[shot]
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(means, axis=1)
    return float(np.mean(1 - np.sum(features * means, axis=1) / np.maximum(norms, 1e-12)))


def recurrence(groups: np.ndarray, counts: Sequence[int], training: int) -> dict:
    """What of the shots recurs in other videos.

    Args:
      groups: [N] the group of each frame, of `tuning.recurring_shots`: training videos first, then validation.
      counts: the frames of each video.
      training: how many of the videos are for training.

    Returns:
      `share` of the training frames whose shot recurs in another training video, number of `groups` and share of the
      `largest` among training frames, and `validation`: the share of its frames whose shot is in training.
    """
    video = np.repeat(np.arange(len(counts)), counts)
    learnt = video < training
    names, index = np.unique(groups, return_inverse=True)
    pairs = np.unique(np.stack([index[learnt], video[learnt]]), axis=1)
    videos_of = np.bincount(pairs[0], minlength=len(names))  # training videos of each group
    sizes = np.bincount(index[learnt], minlength=len(names))
    return {
        "share": _share(int(np.sum(videos_of[index[learnt]] > 1)), int(learnt.sum())),
        "groups": int(np.sum(sizes > 0)),
        "largest": _share(int(sizes.max()), int(learnt.sum())),
        "validation": _share(int(np.sum(videos_of[index[~learnt]] > 0)), max(int(np.sum(~learnt)), 1)),
    }


def video_groups(folder: Path, annotated: Annotations) -> dict[str, int]:
    """Training video id -> its group: videos with features that share a shot, directly or through others, are one.

    Where that leaves one group, as where all videos are of one place, each video is its own.
    """
    present = [(video.id, path) for video in annotated.subset("training")
               if (path := feature_file(folder, "training", video.id)).is_file()]  # fmt: skip
    group = {name: number for number, (name, _) in enumerate(present)}
    if len(present) <= MOST_VIDEOS:
        shots = tuning.recurring_shots([path for _, path in present])
        counts = [len(video.timestamps) for video in read_features([path for _, path in present])]
        first: dict[int, str] = {}
        for (name, _), some in zip(present, np.split(shots, np.cumsum(counts)[:-1]), strict=True):
            for shot in np.unique(some):
                joined, other = group[name], group[first.setdefault(int(shot), name)]
                group = {key: other if value == joined else value for key, value in group.items()}
    if len(set(group.values())) < 2:
        return {name: number for number, (name, _) in enumerate(present)}
    return group
