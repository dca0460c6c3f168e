"""One address -> one file in a folder of its own, by yt-dlp or youtube-dl; and whether these are fit for the work.

Only options that both understand are set, except yt-dlp's `extractor_retries`. The libraries are imported here, late.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import command_line
from download.apart import MEMORY, Apart, Say
from download.failures import Failed, Failure, classify
from utils import LOGGER, require_file

INSTALL = "pip install --upgrade -r requirements-download.txt"
_OLD_DAYS = 90  # YouTube changes often enough that an older yt-dlp should be suspected first
_DENO_AT_LEAST = (2, 3)


@dataclass(frozen=True)
class FetchOptions:
    backend: str  # yt-dlp | youtube-dl
    format: str
    timeout: float  # seconds without a byte
    longest: float  # seconds a video may take
    rate_limit: float | None  # bytes/s of one worker
    cookies_file: Path | None


def is_youtube(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    return host == "youtu.be" or host == "youtube.com" or host.endswith(".youtube.com")


def check_backend(backend: str, addresses: list[str]) -> None:
    """Say what is missing to download `addresses`, and how to get it.

    Raises ValueError when a package, yt-dlp's JavaScript part or its runtime is missing, or when youtube-dl would be
    used on YouTube.
    """
    youtube = any(is_youtube(address) for address in addresses)
    module = _import(backend)
    version = module.version.__version__
    if backend == "youtube-dl":
        LOGGER.warning("youtube-dl %s: its last release, of 2021, reads plain addresses only, not YouTube", version)
        if youtube and version <= "2021.12.17":
            raise ValueError(
                "download.backend: youtube-dl cannot read YouTube since February 2023, and these videos are there; "
                "use --set download.backend=yt-dlp, or download.url_template for a copy elsewhere"
            )
        return
    if not youtube:
        return
    try:
        import yt_dlp_ejs  # noqa: F401
    except ImportError:
        raise ValueError(f"yt-dlp lacks its JavaScript part, which YouTube needs: {INSTALL}") from None
    _check_deno()
    released = re.match(r"(\d{4})\.(\d{1,2})\.(\d{1,2})", version)
    age = (date.today() - date(*map(int, released.groups()))).days if released else 0
    if age > _OLD_DAYS:
        LOGGER.warning("yt-dlp %s is %d days old, and YouTube may have changed since: %s", version, age, INSTALL)


def _check_deno() -> None:
    """yt-dlp looks for the runtime beside Python and on the PATH, and so does this."""
    folders = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    deno = shutil.which("deno", path=folders)
    if deno is None:
        raise ValueError(f"yt-dlp needs the JavaScript runtime deno for YouTube, and there is none: {INSTALL}")
    said = subprocess.run([deno, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.match(r"deno (\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < _DENO_AT_LEAST:
        raise ValueError(f"{deno}: yt-dlp needs deno 2.3 or newer, received {said.strip()[:40]!r}: {INSTALL}")


def _import(backend: str) -> ModuleType:
    try:
        if backend == "yt-dlp":
            import yt_dlp as module
        else:
            import youtube_dl as module
    except ImportError as error:
        wanted = INSTALL if backend == "yt-dlp" else "pip install youtube-dl"
        raise ValueError(f"download.backend: {backend} is not installed ({error}): {wanted}") from None
    return module


class _Log:
    """What the libraries say goes to our log, at its finest level: a failure is reported once, by its reason."""

    def debug(self, message: str) -> None:
        LOGGER.debug("%s", message)

    info = warning = error = debug


class Fetcher:
    """One worker's back end: a folder that is emptied before each video, one session, one cookie jar.

    on_bytes: called with the number of new bytes while they arrive; what it raises ends the download.
    """

    def __init__(self, options: FetchOptions, folder: Path, on_bytes: Callable[[int], None]) -> None:
        self._options = options
        self._folder = folder
        self._on_bytes = on_bytes
        self._seen = 0
        cookies = _read_cookies(options.cookies_file)
        module = _import(options.backend)
        try:
            self._session = module.YoutubeDL(self._parameters(cookies))
            if cookies is not None:
                len(self._session.cookiejar)  # yt-dlp reads the file at its first use
        except (module.utils.YoutubeDLError, OSError):
            if cookies is None:
                raise
            raise ValueError(
                f"download.cookies_file: {options.cookies_file}: expected cookies in Netscape's format, as browser "
                "extensions export them"
            ) from None

    def _parameters(self, cookies: str | None) -> dict:
        options = self._options
        parameters = {
            "format": options.format,
            # no part of the name comes from the video, and a % in the folder's name is no field
            "outtmpl": str(self._folder).replace("%", "%%") + "/video.%(ext)s",
            "progress_hooks": [self._progress],
            "logger": _Log(),
            "quiet": True,
            "noprogress": True,
            "verbose": LOGGER.isEnabledFor(logging.DEBUG),
            "noplaylist": True,
            "playlist_items": "1",
            "retries": 5,  # these resume where the connection broke
            "fragment_retries": 5,
            "extractor_retries": 1,
            "skip_unavailable_fragments": False,  # a video with a hole is not whole
            "hls_prefer_native": True,  # no ffmpeg needed
            "socket_timeout": options.timeout,
            "ratelimit": options.rate_limit,
            "updatetime": False,
        }
        if cookies is not None:
            # a copy in memory for yt-dlp, which would write its jar back over the user's file
            parameters["cookiefile"] = (
                io.StringIO(cookies) if options.backend == "yt-dlp" else str(options.cookies_file)
            )
        return parameters

    def fetch(self, address: str) -> Path:
        """Download `address`; return the file, which the next call deletes.

        Raises meter.Interrupted, or whatever the library raises: failures.classify tells these apart.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._seen = 0
        self._session.extract_info(address, download=True)
        files = [path for path in self._folder.iterdir() if path.suffix not in (".part", ".ytdl")]
        if len(files) != 1:
            raise FileNotFoundError("no media found: the download ended without a file")
        return files[0]

    def _progress(self, state: dict) -> None:
        arrived = state.get("downloaded_bytes") or 0
        new, self._seen = max(0, arrived - self._seen), arrived
        self._on_bytes(new)

    def close(self) -> None:
        """End the session."""
        if hasattr(self._session, "close"):  # youtube-dl has none
            self._session.close()


class FetcherApart:
    """A `Fetcher` in a process of its own: the whole of a video's attempt has an end, and a limit of memory."""

    def __init__(
        self, options: FetchOptions, folder: Path, on_bytes: Callable[[int], None], memory: int = MEMORY
    ) -> None:
        Fetcher(options, folder, on_bytes).close()  # what is wrong with the options is said here
        self._options, self._on_bytes = options, on_bytes
        self._process = Apart(_make_fetcher, options, folder, LOGGER.isEnabledFor(logging.DEBUG), memory=memory)

    def fetch(self, address: str) -> Path:
        """See `Fetcher.fetch`. Raises meter.Interrupted, failures.Failed, or OSError when the attempt was ended."""
        try:
            found = self._process.ask(address, self._options.longest, lambda count: self._on_bytes(count or 0))
        except TimeoutError as error:
            raise TimeoutError(f"{error} (download.video_timeout_seconds)") from None
        if isinstance(found, Failure):
            raise Failed(found)
        return Path(found)

    def close(self) -> None:
        """End the process."""
        self._process.end()


def _make_fetcher(say: Say, options: FetchOptions, folder: Path, debug: bool) -> Callable[[str], str | Failure]:
    if debug:
        command_line.set_up_logging("debug")
    fetcher = Fetcher(options, folder, say)

    def fetch(address: str) -> str | Failure:
        try:
            return str(fetcher.fetch(address))
        except Exception as error:  # a bug in one of 1,800 extractors is that video's failure
            LOGGER.debug("%s", address, exc_info=True)
            return classify(error)

    return fetch


def _read_cookies(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return require_file(path, "a text file of cookies").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"download.cookies_file: {path}: cannot be read: {error}") from None
