"""The annotation file itself: taken from where it is, or downloaded once, checked and put there."""

from __future__ import annotations

import dataclasses
import http.client
import urllib.request
from pathlib import Path
from urllib.parse import quote

import annotations
from annotations import Annotations
from download.selection import require_web_address
from utils import LOGGER, atomic_path

BY_HAND = "http://activity-net.org/download.html"
_MOST_BYTES = 500_000_000


def get(path: Path, address: str | None) -> Annotations:
    """Load the annotations in `path`; when it is missing, download it from `address` first.

    address: http or https, with {name} for the file's name; None never downloads.
    Raises ValueError that says where to get the file by hand.
    """
    if path.exists():
        return annotations.load(path)
    remedy = f"get it by hand from {BY_HAND}, or set paths.json_data_path to a file that exists"
    if address is None:
        raise ValueError(f"{path}: no such file; {remedy}")
    address = require_web_address(address.replace("{name}", quote(path.name)))
    LOGGER.info("%s is missing: downloading it from %s", path, address)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(_read(address))
            loaded = annotations.load(temporary)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ValueError(f"{path}: no such file, and {address} gave no annotations ({error}); {remedy}") from None
    return dataclasses.replace(loaded, source=path)


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as response:  # noqa: S310 (checked to be http or https)
        require_web_address(response.geturl())
        body = response.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"more than {_MOST_BYTES / 1e6:.0f} MB")
    return body
