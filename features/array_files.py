"""One file of features that another tool wrote (.npy, .npz, .csv, .h5) -> an array [T, D] and perhaps its timestamps.

Symbols: T rows (frames, clips) of a video, D numbers a row.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

SUFFIXES = (".npy", ".npz", ".csv", ".h5", ".hdf5")
# of one video: an archive of zeros unpacks to a thousand times its size
MAX_BYTES = 4 << 30
# names of columns and arrays with the rows' times -> what a second is counted as; None: a number of frames
TIMES = {
    "timestamp": 1, "timestamps": 1, "time": 1, "times": 1, "t": 1, "s": 1, "sec": 1, "seconds": 1,
    "timestampss": 1, "ms": 1000, "timestampms": 1000, "timestampsms": 1000, "timems": 1000,
    "milliseconds": 1000, "frame": None, "frames": None, "frameid": None, "frameindex": None, "frameno": None,
    "framenumber": None, "frameidx": None,
}  # fmt: skip


class Layout(NamedTuple):
    """How a file holds its array: the name of it (where there are several), and the order of its axes.

    axes: one T, one D, and a 1 for each axis of length one: TD, DT, 1TD, T1D, TD11, …
    """

    key: str | None = None
    axes: str = "TD"


ROWS_FIRST = Layout()


def read_array(path: Path, layout: Layout = ROWS_FIRST) -> tuple[np.ndarray, np.ndarray | None]:
    """One video's features [T, D] float32 and, where the file has them, its timestamps [T] (seconds, frame centres).

    `.npy` holds the features; `.npz` and `.h5` hold `features` (or a single array of any name, or the one that
    `layout` names) and perhaps `timestamps` or `timestamps_ms`; `.csv` holds a row a line, with or without a header,
    with an index or times in its first column or without. Raises ValueError with the file and what is wrong.
    """
    try:
        if not path.is_file():
            raise ValueError("neither a file nor a link to one")
        if path.suffix.lower() == ".csv":
            features, timestamps = _read_csv(path)
        elif path.suffix.lower() in (".h5", ".hdf5"):
            features, timestamps = _read_hdf5(path, layout.key)
        else:
            features, timestamps = _read_numpy(path, layout.key)
        timestamps = None if timestamps is None else np.asarray(timestamps, np.float64)
    except (ValueError, KeyError, EOFError, OSError, IndexError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not an array of features: {error}") from None
    except MemoryError:
        raise ValueError(f"{path}: not an array of features: its header asks for more than the memory holds") from None
    if features.dtype.kind in "iuf" and features.ndim == len(layout.axes):
        features = _in_order(features, layout.axes)
    if features.ndim != 2 or not features.size or features.dtype.kind not in "iuf":
        expected = ", ".join(layout.axes)
        raise ValueError(
            f"{path}: expected numbers of the shape [{expected}], received {features.dtype} {features.shape}; other "
            "orders of axes are told by --layout, such as DT, 1TD or T1D"
        )
    if not np.isfinite(features).all():
        raise ValueError(f"{path}: expected finite numbers, received NaN or infinity")
    if timestamps is not None and (
        timestamps.shape != features.shape[:1] or not np.all(np.diff(timestamps) > 0) or not timestamps[0] >= 0
    ):
        raise ValueError(f"{path}: expected {len(features)} rising timestamps from 0 on, a row each")
    return features.astype(np.float32), timestamps


def _in_order(features: np.ndarray, axes: str) -> np.ndarray:
    """The array as [T, D]; as it is, where an axis that should have the length 1 has another."""
    ones = tuple(number for number, axis in enumerate(axes) if axis == "1")
    if any(features.shape[number] != 1 for number in ones):
        return features
    squeezed = features.squeeze(axis=ones)
    return squeezed if axes.index("T") < axes.index("D") else squeezed.T


def _read_numpy(path: Path, key: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(part.file_size for part in archive.infolist()))
    with path.open("rb") as file:  # NumPy leaves a file open that it cannot read
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        name, times = _chosen(loaded.files, key)
        return loaded[name], _in_seconds(times, loaded)


def _read_hdf5(path: Path, key: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    import h5py

    with h5py.File(path, "r") as file:
        arrays: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, item: arrays.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        name, times = _chosen(list(arrays), key)
        for array in (arrays[one] for one in (name, times) if one is not None):
            if array.external or array.is_virtual:
                raise ValueError(f"{array.name}: its numbers lie in another file, which is not read")
            _check_size(array.nbytes)
        return np.asarray(arrays[name]), _in_seconds(times, arrays)


def _chosen(names: list[str], key: str | None) -> tuple[str, str | None]:
    """Of the arrays of a file, the features' name and that of their times, where it has them."""
    times = next((name for name in names if TIMES.get(_plain(name))), None)
    others = [name for name in names if _plain(name) not in TIMES]
    name = key or (others[0] if len(others) == 1 else "features")
    if name not in names:
        raise ValueError(f"expected an array {name!r}, received {', '.join(map(repr, names))}; --key says which it is")
    return name, times if times != name else None


def _in_seconds(times: str | None, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    return None if times is None else np.asarray(arrays[times], np.float64) / TIMES[_plain(times)]


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes unpacked, received {size:,}")


def _plain(name: str) -> str:
    return re.sub(r"\(s\)|\[s\]|[^a-z]", "", name.rpartition("/")[2].lower())


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """A table of numbers; a header is told by its words, or by pandas' names of columns, 0, 1, 2, …"""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = [cell.strip() for cell in next(csv.reader([file.readline()]), [])]
        numbered = [str(number) for number in range(len(header))]
        # one column called 0 is told from a first value by the point in the second
        named = header == numbered and (len(header) > 1 or "." in file.readline())
    skip = int(named or not all(_is_number(cell) for cell in header))
    rows = np.loadtxt(path, delimiter=",", skiprows=skip, ndmin=2, encoding="utf-8-sig", quotechar='"')
    if not skip or not len(rows):
        return rows, None
    first = _plain(header[0])
    if header[0] == "" or first in ("index", "unnamed"):  # as pandas writes the index of a table
        if not np.array_equal(rows[:, 0], np.arange(len(rows))):
            raise ValueError("its first column has no name: call it timestamp (seconds), or leave it out")
        rows, first = rows[:, 1:], _plain(header[1]) if len(header) > 1 else ""
    if first not in TIMES:
        return rows, None
    if TIMES[first] is None:
        raise ValueError(
            f"its first column counts {first!r}: make seconds of it and call it timestamp, or leave it out"
        )
    return rows[:, 1:], rows[:, 0] / TIMES[first]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
