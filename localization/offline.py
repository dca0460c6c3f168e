"""Video files + a loaded model -> the segments of each, with features in memory only.

One thread decodes while the CNN runs on this one. Symbols: T sampled frames of a video, K classes (0 is background).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import data
import predictions_json
from extraction.collector import Collector, End, decode, in_background
from features.preparation import shot_cuts
from features.records import VideoFeatures, numpy_dtype
from localization.inputs import Source
from localization.results import Localization, Segment
from localization.trained import LoadedModel
from prediction import decoding


class _MemoryWriter:
    """Keeps one video's features: what `features.records.FeatureWriter` is, without the file."""

    def __init__(self, video_id: str, dtype: str, finished: Callable[[VideoFeatures], None]):
        self._id, self._finished = video_id, finished
        self._dtype = numpy_dtype(dtype)
        self._rows: list[np.ndarray] = []
        self._times: list[float] = []

    def add(self, row: np.ndarray, timestamp: float) -> None:
        # in the precision of the files that the model was trained on
        self._rows.append(row.astype(self._dtype))
        self._times.append(timestamp)

    def finish(self, duration: float, fps: float) -> None:
        self._finished(VideoFeatures(self._id, np.stack(self._rows), np.asarray(self._times), duration, fps))

    def discard(self) -> None:
        self._rows.clear()


def localize_all(
    sources: list[Source], model: LoadedModel, on_frame: Callable[[int, float], None] = lambda video, seconds: None
) -> Iterator[tuple[Source, Localization | ValueError]]:
    """What is in each video, in order, each as soon as it is known; an error for a video that cannot be read.

    Args:
      sources: the videos; each file once.
      model: of `trained.load`.
      on_frame: told the number of the video in work, and the second that has arrived at the CNN.
    """
    by_file = {source.file: source for source in sources}
    numbers = {source.file: number for number, source in enumerate(sources)}
    # one batch of the CNN may end several short videos
    features: dict[Path, VideoFeatures] = {}
    settings = model.run.settings
    collector = Collector(
        model.embed,
        np.zeros(model.batch_shape, np.uint8),
        lambda video: _MemoryWriter(by_file[video].id, settings.extractor.dtype, partial(features.__setitem__, video)),
    )

    def outcome(end: End) -> tuple[Source, Localization | ValueError]:
        source = by_file[end.video]
        if end.failure:
            return source, ValueError(end.failure)
        try:
            return source, _localize(source, features.pop(end.video), model)
        except ValueError as error:
            return source, error

    frames = decode(list(by_file), settings.video.skip_frames, settings.video.resize)
    with contextlib.closing(in_background(frames, 2 * model.batch_shape[0])) as items:
        for item in items:
            on_frame(numbers[item.video], by_file[item.video].seconds if isinstance(item, End) else item.timestamp)
            yield from map(outcome, collector.take(item))
        yield from map(outcome, collector.flush())


def _localize(source: Source, stored: VideoFeatures, model: LoadedModel) -> Localization:
    if not np.all(np.diff(stored.timestamps) > 0):
        raise ValueError(f"{source.file}: the times of its frames do not rise")
    settings, trained = model.run.settings, model.trained
    store = _store(stored, source, model)
    scores = predictions_json.frame_scores(
        store, trained.classify, settings.data.max_frames, settings.predict.window_stride
    )
    (found,) = predictions_json.predict(store, scores, trained, settings.predict).values()
    segments = tuple(
        Segment(start, end, result["label"], result["score"]) for result in found for start, end in [result["segment"]]
    )
    refined = decoding.refine(scores[0], store.boundaries(0), settings.predict, store.cuts, trained.output)
    return Localization(
        source.id, source.file, stored.duration, segments, stored.timestamps, refined, trained.classes,
        settings.predict.shown_score,
    )  # fmt: skip


def _store(stored: VideoFeatures, source: Source, model: LoadedModel) -> data.FeatureStore:
    prepared = data.prepared_as_stored(stored, model.trained.preparation, source.file)
    frames = len(stored.timestamps)
    return data.FeatureStore(
        ids=(stored.id,),
        features=prepared,
        labels=np.zeros(frames, np.int32),
        timestamps=stored.timestamps,
        cuts=shot_cuts(stored.features),
        offsets=np.asarray([0, frames]),
        durations=(stored.duration,),
        missing=(),
    )
