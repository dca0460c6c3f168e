"""One http(s) address of a file -> that file, with limits: of time without progress, of size, of room on the disk."""

from __future__ import annotations

import http.client
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from download.apart import Apart, Say

SECONDS, BYTES = 60.0, 300_000  # each so many seconds at least so many bytes must come, 5 kB/s, or the server holds us
SPARE = 500_000_000  # bytes of the disk that stay free
_CHUNK = 1 << 18
_STALL_SECONDS = 30  # without a byte


def fetch_file(
    address: str, target: Path, most: float, refuse_pages: bool, heard: Callable[[int, int | None], None]
) -> None:
    """Write what `address` serves into `target`, which is there and empty.

    Args:
      address: http or https.
      target: the file.
      most: bytes; more is refused.
      refuse_pages: a web page (HTML) is refused, too.
      heard: told of new bytes as they come, and how many there will be, where the server says it.

    Raises:
      ValueError: what is served is not wanted, or too much for the disk; says why, without the address.
      OSError: the server or the way to it fails, or is too slow.
    """
    fresh = 0

    def on_message(said: Any) -> bool:
        nonlocal fresh
        if said is None:
            return False
        heard(*said)
        fresh += said[0]
        enough = fresh >= BYTES
        fresh = 0 if enough else fresh
        return enough

    process = Apart(_saver, str(target), most, refuse_pages, SPARE)
    try:
        problem: tuple[str, str] | None = process.ask(address, SECONDS, on_message)
    except TimeoutError:
        raise TimeoutError(f"less than {BYTES:,} bytes came in {SECONDS:g} s") from None
    finally:
        process.end()
    if problem is not None:
        kind, text = problem
        raise ValueError(text) if kind == "refused" else ConnectionError(text)


def _saver(
    say: Say, target: str, most: float, refuse_pages: bool, spare: int
) -> Callable[[Any], tuple[str, str] | None]:
    def save(address: str) -> tuple[str, str] | None:
        try:
            _save(say, address, target, most, refuse_pages, spare)
        except ValueError as error:
            return "refused", str(error)
        except (OSError, http.client.HTTPException) as error:
            return "failed", str(getattr(error, "reason", None) or error or type(error).__name__)
        return None

    return save


def _save(say: Say, address: str, target: str, most: float, refuse_pages: bool, spare: int) -> None:
    # some servers turn the library's own name away
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})  # noqa: S310 (http or https)
    with urllib.request.urlopen(request, timeout=_STALL_SECONDS) as response, open(target, "wb") as file:  # noqa: S310
        if not response.geturl().lower().startswith(("http://", "https://")):
            raise ValueError(f"it leads to {response.geturl():.100}, which is not http or https")
        if refuse_pages and response.headers.get_content_type() == "text/html":
            raise ValueError("expected a video file, received a web page: give the address of the file itself, or "
                             "download it with yt-dlp first")  # fmt: skip
        length = response.headers.get("Content-Length")
        expected = int(length) if length and length.isdecimal() and len(length) < 20 else None
        _check_room(target, max(expected or 0, 1), most, spare)
        # as much as has come, without waiting for a whole chunk
        while chunk := response.read1(_CHUNK):
            file.write(chunk)
            say((len(chunk), expected))
            if file.tell() > most or file.tell() % (16 * _CHUNK) < len(chunk):
                _check_room(target, file.tell() if file.tell() > most else 1, most, spare)
        if expected is not None and file.tell() != expected:
            raise ConnectionError(f"the connection ended after {file.tell()} of {expected} bytes")


def _check_room(target: str, wanted: int, most: float, spare: int) -> None:
    """Raise ValueError unless `wanted` more bytes are few enough, and leave `spare` bytes of the disk free."""
    if wanted > most:
        raise ValueError(f"expected at most {most / 1e6:,.0f} MB, received {wanted / 1e6:,.0f} MB or more")
    disk = os.statvfs(target)
    free = disk.f_bavail * disk.f_frsize
    if wanted > free - spare:
        raise ValueError(
            f"the disk has room for {max(free - spare, 0) / 1e6:,.0f} MB, received {wanted / 1e6:,.0f} MB or more: "
            "make room"
        )
