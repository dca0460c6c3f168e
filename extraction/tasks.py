"""What a Dask worker does: settings and paths as text -> one video's feature file.

All that goes through the scheduler is text and numbers, so that it needs nothing of this program.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

from distributed import get_worker

import command_line
import config
from extraction.collector import Embed, End
from extraction.lanes import GPU, Sampling, embed_videos, make_plan
from extraction.runtime import open_extractor
from features.records import FeatureWriter

# one a worker process, whose threads share it
_networks: dict[str, tuple[Sampling, str, Embed]] = {}
_building = threading.Lock()


def open_network(settings: str) -> None:
    """Make this worker process ready; the first of all creates `extractor.json`, as its hardware wants it."""
    _open(settings)


def extract_video(settings: str, video: str, target: str) -> tuple[int, str]:
    """Write one video's features. Returns the number of frames and, if the video cannot be used, the reason."""
    if Path(target).exists():  # written by a worker that was lost before it could say so
        return 0, ""
    sampling, dtype, embed = _open(settings)
    worker = get_worker().state
    # tasks share a worker's threads; one that has a GPU to itself has all of them
    plan = make_plan(1, worker.nthreads if GPU in worker.total_resources else 1)
    frames, failure = 0, ""
    with contextlib.closing(
        embed_videos([Path(video)], sampling, embed, lambda _: FeatureWriter(Path(target), dtype), plan)
    ) as events:
        for event in events:
            if isinstance(event, End):
                failure = event.failure
            else:
                frames += event
    return frames, failure


def _open(settings: str) -> tuple[Sampling, str, Embed]:
    """How videos are sampled, the type of their features, and the network."""
    with _building:
        if settings not in _networks:
            command_line.set_up_logging("warning")
            given = json.loads(settings)
            extractor = config.ExtractorSettings.model_validate(given["extractor"])
            video = config.VideoSettings.model_validate(given["video"])
            embed = open_extractor(Path(given["folder"]), extractor, video, get_worker().state.nthreads)
            sampling = Sampling(video.skip_frames, video.resize, extractor.batch_size)
            _networks[settings] = sampling, extractor.dtype, embed
        return _networks[settings]
