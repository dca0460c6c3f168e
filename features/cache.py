"""Prepared features that do not fit the memory -> one flat file of rows, mapped into memory, and what belongs to it.

Windows are read from it at random, so that their order is the same as from memory, and needs no shuffle buffer; what
the operating system keeps of the file is memory that it takes back when another needs it. Records would have to be
parsed anew each epoch, and shuffled within a buffer only.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import utils
from features.preparation import Preparation
from features.records import numpy_dtype


@dataclasses.dataclass(frozen=True)
class PreparedVideo:
    """A video's prepared features [T, D'] in the precision of the stored ones, and what the stored ones say of it."""

    features: np.ndarray
    timestamps: np.ndarray
    cuts: np.ndarray
    duration: float


def cache_key(paths: list[Path], preparation: Preparation) -> str:
    """16 hexadecimal digits that change with the files' names, sizes and times, and with what preparation learnt."""
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    projections = [array for found in preparation.projections or () for array in (found.mean, found.basis)]
    digest.update(f"{preparation.normalization} {preparation.temporal_difference}".encode())
    for array in (preparation.mean, preparation.deviation, *projections):
        digest.update(b"none" if array is None else array.tobytes())
    return digest.hexdigest()[:16]


def cached(file: Path, videos: Iterator[PreparedVideo]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The prepared features of all videos, end to end [sum of T, D'], mapped from `file`, which is made from `videos`
    where it is missing; and their `timestamps`, `cuts`, `durations` and `frames` (of each video)."""
    described = file.with_suffix(".npz")
    # the description is written last: where it is, the rows are whole
    if not described.is_file():
        _write(file, described, videos)
    with np.load(described) as loaded:
        values = dict(loaded)
    dtype = numpy_dtype(str(values.pop("dtype")))
    shape = (int(values["frames"].sum()), int(values.pop("size")))
    if file.stat().st_size != shape[0] * shape[1] * dtype.itemsize:
        raise ValueError(f"{file}: expected {shape[0]} rows of {shape[1]} {dtype}, received another size: delete it")
    return np.memmap(file, dtype, "r", shape=shape), values


def _write(file: Path, described: Path, videos: Iterator[PreparedVideo]) -> None:
    utils.remove_temporary_files(file.parent)
    kept: list[PreparedVideo] = []
    with utils.atomic_path(file) as temporary, temporary.open("wb") as stream:
        for video in videos:
            stream.write(np.ascontiguousarray(video.features).tobytes())
            # a row stands for the dtype and size
            kept.append(dataclasses.replace(video, features=video.features[:1].copy()))
    with utils.atomic_path(described) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            dtype=np.asarray(kept[0].features.dtype.name),
            size=np.asarray(kept[0].features.shape[1]),
            timestamps=np.concatenate([video.timestamps for video in kept]),
            cuts=np.concatenate([video.cuts for video in kept]),
            durations=np.asarray([video.duration for video in kept]),
            frames=np.asarray([len(video.timestamps) for video in kept]),
        )
