"""Servers that hold a connection or send without end, manifests of another kind: each attempt ends, with a word."""

import json
import socketserver
import threading

import pytest

from download import plain_file, selection
from download.failures import Failed, Failure, classify
from download.fetch import FetcherApart, FetchOptions
from download.manifest import Manifest
from download.meter import Interrupted
from localization.inputs import collect

pytest.importorskip("yt_dlp", reason="requirements-download.txt is not installed")

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"
VIDEO = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 1000000\r\n\r\n"
FILE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        """`/drip/…` sends what comes after the first part of an answer byte by byte, `/endless/…` in large pieces."""
        how, what = self.request.recv(65536).split()[1].decode().split("/")[1:3]
        first = {"header": b"HTTP/1.1 200 OK\r\nX: ", "page": PAGE, "video": VIDEO, "file": FILE}[what]
        piece = b" " if how == "drip" else b" " * (1 << 20)
        try:
            self.request.sendall(first)
            while not self.server.closing.wait(0.05 if how == "drip" else 0):
                self.request.sendall(piece)
        except OSError:
            pass  # the client had enough


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True


@pytest.fixture(scope="module")
def server():
    with Server(("127.0.0.1", 0), Handler) as running:
        running.closing = threading.Event()
        running.address = f"http://127.0.0.1:{running.server_address[1]}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


def fetcher(folder, on_bytes=lambda count: None, longest=1.0, **limits):
    options = FetchOptions("yt-dlp", "best", timeout=30.0, longest=longest, rate_limit=None, cookies_file=None)
    return FetcherApart(options, folder / "work", on_bytes, **limits)


@pytest.mark.parametrize("what", ["header", "page", "video"])
def test_a_server_that_sends_byte_by_byte_is_left_when_the_time_is_over(tmp_path, server, what):
    one = fetcher(tmp_path)
    with pytest.raises(TimeoutError, match=r"timed out after 1 s \(download\.video_timeout_seconds\)") as caught:
        one.fetch(f"{server.address}/drip/{what}/a.mp4")
    assert classify(caught.value).reason == "network"
    one.close()


def test_a_page_without_end_fills_its_own_process_only(tmp_path, server):
    one = fetcher(tmp_path, longest=600.0, memory=400 << 20)
    with pytest.raises(Failed, match="more than the memory of a download holds") as caught:
        one.fetch(f"{server.address}/endless/page/a")
    assert classify(caught.value) == caught.value.failure == Failure("not_a_video", str(caught.value))
    one.close()


def test_a_run_that_is_stopped_leaves_a_server_that_says_nothing(tmp_path, server):
    def stop(count):
        raise Interrupted("stopped")

    one = fetcher(tmp_path, stop, longest=600.0)
    with pytest.raises(Interrupted):
        one.fetch(f"{server.address}/drip/header/a.mp4")


@pytest.mark.parametrize("what", ["header", "file"])
def test_annotations_that_come_byte_by_byte_are_given_up(tmp_path, server, monkeypatch, what):
    monkeypatch.setattr(plain_file, "SECONDS", 0.5)
    with pytest.raises(ValueError, match="gave no annotations.*less than 300,000 bytes came in 0.5 s"):
        selection.get(tmp_path / "a.json", f"{server.address}/drip/{what}/a.json")
    assert not list(tmp_path.iterdir())


def test_annotations_without_end_are_refused(tmp_path, server, monkeypatch):
    monkeypatch.setattr(selection, "_MOST_BYTES", 3_000_000)
    with pytest.raises(ValueError, match=r"gave no annotations.*expected at most 3 MB, received \d+ MB or more"):
        selection.get(tmp_path / "a.json", f"{server.address}/endless/file/a.json")
    assert not list(tmp_path.iterdir())


def test_a_video_at_an_address_has_the_same_limits(tmp_path, server, monkeypatch):
    monkeypatch.setattr(plain_file, "SECONDS", 0.5)
    given = [f"{server.address}/drip/{what}/a.mp4" for what in ("header", "video")]
    sources, failures = collect(given, tmp_path)
    assert not sources and all("cannot be downloaded: less than 300,000 bytes came" in line for line in failures)
    monkeypatch.setattr(plain_file, "SPARE", 1 << 80)
    sources, (failure,) = collect([f"{server.address}/endless/video/b.mp4"], tmp_path)
    assert "the disk has room for 0 MB, received 1 MB or more: make room" in failure and not sources
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("wrong", [
    {"id": []}, {"id": 3}, {"status": ["done"]}, {"reason": {}}, {"file": 1}, {"bytes": "9"}, {"bytes": 0.5},
    {"time": 1}, {"time": "soon"},
])  # fmt: skip
def test_a_line_of_other_types_is_an_error_with_its_place(tmp_path, wrong):
    good = {"id": "a", "status": "failed", "reason": "other", "time": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "manifest.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(good | wrong)}\n")
    with pytest.raises(ValueError, match=r"manifest\.jsonl:2: not a line of a manifest"):
        Manifest(tmp_path)
