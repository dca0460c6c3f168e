"""Why a download failed: real messages, statuses and exception classes of both libraries -> reason and advice."""

import email.utils
import os
import re
import time
import urllib.error
from email.message import Message
from types import SimpleNamespace

import pytest
from download_server import make_video

from annotations import Video
from download import failures
from download.attempt import Task, attempt
from download.failures import BELIEVED_AFTER, advice, classify

REASONS = (
    "private", "removed", "copyright", "geo_blocked", "sign_in", "bot_check", "http_403", "http_404", "http_410",
    "http_429", "http_5xx", "no_format", "network", "too_short", "too_long", "not_a_video", "bad_file", "other",
)  # fmt: skip

yt_dlp = pytest.importorskip("yt_dlp", reason="requirements-download.txt is not installed")


@pytest.fixture(params=["yt_dlp", "youtube_dl"])
def library(request):
    return pytest.importorskip(request.param, reason="this back end is not installed")


# what yt-dlp and youtube-dl print for YouTube, from their public issue threads and sources
MESSAGES = [
    ("private", "Private video. Sign in if you've been granted access to this video. Use --cookies-from-browser"),
    ("private", "This video is private"),
    ("removed", "Video unavailable. This video has been removed by the uploader"),
    ("removed", "This video has been removed for violating YouTube's Terms of Service"),
    ("removed", "Video unavailable. This video is no longer available because the YouTube account associated with this "
     "video has been terminated."),
    ("removed", "This video is no longer available because the uploader has closed their YouTube account."),
    ("removed", "Video unavailable"),
    ("removed", "This video is not available"),
    ("copyright", "Video unavailable. This video contains content from WMG, who has blocked it on copyright grounds"),
    ("copyright", "This video is no longer available due to a copyright claim by Someone"),
    ("geo_blocked", "Video unavailable. This video contains content from SME, who has blocked it in your country on "
     "copyright grounds"),
    ("geo_blocked", "Video unavailable. The uploader has not made this video available in your country"),
    ("geo_blocked", "This video is not available from your location due to geo restriction"),
    ("sign_in", "Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies"),
    ("sign_in", "Join this channel to get access to members-only content like this video, and other exclusive perks."),
    ("sign_in", "This video requires payment to watch."),
    ("bot_check", "Sign in to confirm you\u2019re not a bot. This helps protect our community. Learn more"),
    ("bot_check", "Sign in to confirm you're not a bot. Use --cookies-from-browser or --cookies"),
    ("bot_check", "Video unavailable. YouTube is requiring a captcha challenge before playback"),
    ("bot_check", "All player responses are invalid. Your IP is likely being blocked by Youtube"),
    ("http_429", "Video unavailable. This content isn\u2019t available, try again later. The current session has been "
     "rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep` to add a delay"),
    ("no_format", "Requested format is not available. Use --list-formats for a list of available formats"),
    ("no_format", "requested format not available"),
    ("no_format", "No video formats found!"),
    ("no_format", "This video is DRM protected"),
    ("no_format", "The following content is not available on this app.. Watch on the latest version of YouTube."),
    ("not_a_video", "Unsupported URL: http://127.0.0.1/page"),
    ("network", "Unable to download webpage: <urlopen error timed out>"),
    ("network", "giving up after 5 retries"),
    ("network", "The downloaded file is empty"),
    ("disk", "unable to write data: [Errno 28] No space left on device"),
    ("other", "An extractor error has occurred."),
    ("http_404", "Unable to download webpage: HTTP Error 404: Not Found"),
    ("http_5xx", "unable to download video data: HTTP Error 503: Service Unavailable"),
]  # fmt: skip


def download_error(library, cause):
    return library.utils.DownloadError(f"ERROR: [youtube] 5wOmHw6Boj8: {cause}", exc_info=(type(cause), cause, None))


@pytest.mark.parametrize(("reason", "message"), MESSAGES)
def test_messages_have_their_reason(library, reason, message):
    assert classify(download_error(library, library.utils.ExtractorError(message, expected=True))).reason == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "sign_in"), (403, "http_403"), (404, "http_404"), (410, "http_410"), (429, "http_429"), (451, "geo_blocked"),
     (500, "http_5xx"), (599, "http_5xx"), (418, "other")],
)  # fmt: skip
def test_statuses_are_found_below_the_wrappers(library, status, reason):
    headers = Message()
    headers["Retry-After"] = "7"
    cause = urllib.error.HTTPError("http://127.0.0.1/x.mp4", status, "no", headers, None)
    failure = classify(
        download_error(library, library.utils.ExtractorError("Unable to download", expected=True, cause=cause))
    )
    cause.close()
    assert (failure.reason, failure.retry_after) == (reason, 7.0)


def test_classes_and_dates_count_too():
    geo = yt_dlp.utils.GeoRestrictedError("Watch it elsewhere", countries=["FI"])
    assert classify(download_error(yt_dlp, geo)).reason == "geo_blocked"
    lost = yt_dlp.networking.exceptions.TransportError("no words we know")
    assert classify(download_error(yt_dlp, lost)).reason == "network"
    assert classify(ConnectionResetError(104, "reset")).reason == "network"
    headers = Message()
    headers["Retry-After"] = email.utils.formatdate(time.time() + 100, usegmt=True)
    refused = urllib.error.HTTPError("http://127.0.0.1/x.mp4", 429, "slow down", headers, None)
    assert 90 < classify(refused).retry_after <= 100
    refused.close()
    assert classify(KeyError("formats")).reason == "other"


def test_a_message_is_one_plain_line():
    text = "\x1b[0;31mERROR:\x1b[0m [youtube] abc: Unable to\n download; please report this issue on  https://x.y"
    assert classify(yt_dlp.utils.DownloadError(text)).message == "Unable to download"


def test_every_reason_has_advice_and_final_ones_exist():
    assert all(advice(reason) for reason in REASONS)
    assert set(BELIEVED_AFTER) < set(REASONS)


def test_the_patterns_see_a_bounded_part_of_what_a_site_says(monkeypatch):
    """However much that is: one of them looked at all the rest from each of its beginnings."""
    looked = []

    class Counting:
        def __getattr__(self, name):
            def call(pattern, *arguments, **more):
                looked.append(max(len(text) for text in (pattern, *arguments) if isinstance(text, str)))
                return getattr(re, name)(pattern, *arguments, **more)

            return call

    monkeypatch.setattr(failures, "re", Counting())
    failure = classify(Exception("HTTPConnection(" * 100_000 + "this video is private"))
    assert failure.reason == "other" and len(failure.message) <= 240
    assert looked and max(looked) <= failures.MOST_LETTERS
    assert classify(Exception("x" * 10_000 + "this video is private")).reason == "private"
    text = "HTTPSConnection(host='a', port=443): timed out"
    assert classify(Exception(text)).message == "timed out"


def test_a_video_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    fetched, done = tmp_path / "fetched", []
    fetched.write_bytes(make_video(1.0, seed=0))
    fsync, replace, number = os.fsync, os.replace, fetched.stat().st_ino
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), replace(*paths)))
    task = Task(Video("a", "training", 1.0, "", ()), "")
    outcome = attempt(task, SimpleNamespace(fetch=lambda address: fetched), tmp_path, (0.05, 0.2))
    assert outcome.file == tmp_path / "training/a.mp4" and done == [number, "named"]
