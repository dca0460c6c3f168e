"""Exceptions of yt-dlp and youtube-dl -> one of REASONS and a line for people; which reasons are final; what to advise.

Both libraries wrap what happened in a DownloadError. The causes below it carry an HTTP status or a telling class; what
YouTube says stands only in the text.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from utils import one_line

# equal failures in a row after which a reason is final. One bad delivery can happen, so a bad file is believed the
# second time; reasons that are not listed pass and are always tried again
BELIEVED_AFTER = {
    "private": 1, "removed": 1, "copyright": 1, "geo_blocked": 1, "sign_in": 1, "http_404": 1, "http_410": 1,
    "too_short": 2, "too_long": 2, "not_a_video": 2,
}  # fmt: skip
FINAL = tuple(reason for reason, times in BELIEVED_AFTER.items() if times == 1)
BY_HAND = ("bad_file", "bad_address")  # only the user can mend these
BLOCKS = ("bot_check", "http_429")  # the site refuses us, not the video

# what sites say, in lower case; the first pattern found wins, so what is special stands before what is general
_MESSAGES = (
    ("disk", r"no space left|disk quota exceeded|read-only file system"),
    ("bot_check", r"not a bot|captcha|your ip is likely being blocked|unusual traffic"),
    ("http_429", r"rate-limited by youtube|content isn.?t available"),
    ("geo_blocked", r"(in|from) (your|this) (country|location|region)"),
    ("copyright", r"copyright (claim|grounds|infringement)"),
    ("private", r"private video|video is private"),
    ("sign_in", r"sign in|confirm your age|age-restricted|members.only|join this channel|requires payment|"
     r"inappropriate for some users|login required|registered users"),
    ("no_format", r"requested format (is )?not available|no video formats|drm protected|only images are available|"
     r"not available on this app|live event will begin|premieres in|live stream recording is not available"),
    ("removed", r"video has been removed|account associated with this video|no longer available|"
     r"video (is )?(unavailable|not available)|video isn.?t available|video does not exist"),
    ("not_a_video", r"unsupported url|no media found"),
)  # fmt: skip
# of what a library says, what is looked through: a site may put a page of its own into it
MOST_LETTERS = 20_000
_NETWORK_CLASSES = frozenset(
    ("TransportError", "ContentTooShortError", "URLError", "HTTPException", "ConnectionError", "TimeoutError")
)
_NETWORK_WORDS = r"giving up after|timed out|connection (reset|refused)|file is empty|did not get any data|bytes read"


@dataclass(frozen=True, slots=True)
class Failure:
    reason: str  # one of REASONS, or "disk": that is no fault of the video's
    message: str  # one line
    retry_after: float = 0.0  # seconds that the server asked to wait


class Failed(Exception):
    """A download that failed, and is told apart already."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def classify(error: BaseException) -> Failure:
    """Tell why a download failed.

    error: what yt-dlp or youtube-dl raised. What the site says in words comes before the HTTP status, and that before
    the exception's class.
    """
    chain = list(_causes(error))
    names = {parent.__name__ for link in chain for parent in type(link).__mro__}
    text = " ".join(str(link)[:MOST_LETTERS] for link in chain).lower()[:MOST_LETTERS]
    said = next((reason for reason, pattern in _MESSAGES if re.search(pattern, text)), None)
    status, headers = _http_status(chain, text)
    if isinstance(error, Failed):
        return error.failure
    if "MemoryError" in names:
        return Failure("not_a_video", "the server sends more than the memory of a download holds")
    if "GeoRestrictedError" in names:
        reason = "geo_blocked"
    elif status is not None and said in (None, "not_a_video", "removed"):
        reason = _of_status(status)
    elif said is not None:
        reason = said
    elif names & _NETWORK_CLASSES or re.search(_NETWORK_WORDS, text):
        reason = "network"
    else:
        reason = "other"
    return Failure(reason, _one_line(str(error)[:MOST_LETTERS]), _retry_after(headers))


def advice(reason: str) -> str:
    """What helps when one video after another fails for `reason`."""
    if reason in BLOCKS:
        return (
            "the site refuses this address for now. What helps: cookies of a signed-in browser "
            "(download.cookies_file), longer pauses (download.sleep_seconds), or to go on in an hour or tomorrow"
        )
    if reason == "network":
        return "the line or the server seems to be down. Run the same command again once it is back"
    if reason == "disk":
        return "the disk is full or cannot be written. Make room, then run the same command again"
    if reason in FINAL:
        return (
            "so many in a row is unlikely. Check download.url_template and the annotation file; if they were wrong, "
            "--retry-permanent tries these videos again, and if not, the same command goes on"
        )
    return (
        "the site may have changed or refuse this tool. What helps: the newest release "
        "(pip install --upgrade 'yt-dlp[default]' deno), and `-v debug` to see what it says"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies below it: DownloadError.exc_info, ExtractorError.cause and exc_info, __cause__."""
    seen: list[int] = []
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.append(id(link))
        yield link
        exc_info = getattr(link, "exc_info", None)
        below = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
        waiting += [below, getattr(link, "cause", None), getattr(link, "reason", None), link.__cause__]


def _http_status(chain: list[BaseException], text: str) -> tuple[int | None, object]:
    for link in chain:
        status = getattr(link, "status", None) or getattr(link, "code", None)
        if isinstance(status, int) and 400 <= status < 600:
            headers = getattr(getattr(link, "response", None), "headers", None) or getattr(link, "headers", None)
            return status, headers
    found = re.search(r"http error (\d{3})", text)
    return (int(found[1]), None) if found else (None, None)


def _of_status(status: int) -> str:
    if status in (403, 404, 410, 429):
        return f"http_{status}"
    if status == 401:
        return "sign_in"
    if status == 451:  # unavailable for legal reasons, RFC 7725
        return "geo_blocked"
    return "http_5xx" if status >= 500 else "other"


def _retry_after(headers: object) -> float:
    """Seconds of a Retry-After header, which is a number or a date; 0 where there is none."""
    value = headers.get("Retry-After") if hasattr(headers, "get") else None
    if not value:
        return 0.0
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _one_line(text: str) -> str:
    """What the library said, without its prefix, the wish for a bug report and the repeated cause."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"^ERROR:\s*", "", text)
    text = re.sub(r"^\[[^\]]+\]\s*(\S+: )?", "", text)
    text = re.split(r"\(caused by|; please report|\. Use --cookies|; use --", text, maxsplit=1)[0]
    text = re.sub(r"HTTPS?Connection(Pool)?\([^()]*\): ", "", text)
    return one_line(text)[:240].rstrip(" .;")
